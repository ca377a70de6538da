# SPDX-License-Identifier: Apache-2.0
"""A client of 2010 that is always connected again: it answers what it is asked, and says without end something new under one
of a few keys. Its answers have no order: what arrives last counts."""
import random
import threading

import pika

from lib.client2010 import Client2010

KEYS = [f"key{n}" for n in range(20)]


class Client(threading.Thread):
    def __init__(self, site, host, seed):
        super().__init__(daemon=True)
        self.site = site
        self.host = host
        self.dice = random.Random(f"{seed}.{host}")
        self.sent = {key: [] for key in KEYS}  # numbers, in turn
        self.confirmed = set()
        self.number = 0
        self.over = threading.Event()
        self.last = {}                       # key -> what it said in the end

    def run(self):
        while not self.over.is_set():
            try:
                self._talk()
            except (pika.exceptions.AMQPError, OSError, AssertionError):
                self.over.wait(0.2)

    def _talk(self):
        party = Client2010(self.site.broker, self.site.vhost, self.host)
        try:
            party.channel.confirm_delivery()
            while not self.over.is_set():
                method, _, body = party.channel.basic_get(self.host, auto_ack=True)
                if method is not None:
                    party.answer("echo", body.decode(), "json")
                for _ in range(self.dice.randint(1, 20)):
                    self._say(party, self.dice.choice(KEYS))
                party.connection.sleep(self.dice.uniform(0, 0.2))
        finally:
            if party.connection.is_open:
                party.close()

    def _say(self, party, key):
        """A confirm that did not come says nothing: the number may arrive or not, and is not sent again."""
        self.number += 1
        number = self.number
        self.sent[key].append(number)
        party.answer(key, str(number), "json")
        self.confirmed.add(number)

    def last_words(self):
        """One more under each key, when nothing else is on its way."""
        party = Client2010(self.site.broker, self.site.vhost, self.host)
        party.channel.confirm_delivery()
        for key in KEYS:
            self._say(party, key)
            self.last[key] = self.number
        party.close()

    def end(self):
        self.over.set()
        self.join()
