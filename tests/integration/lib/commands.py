# SPDX-License-Identifier: Apache-2.0
"""Who sends commands to web01 with any properties, and who reads its answers, in the places of runner and collector."""
import json
import time

import pika

from .client2010 import BROADCAST, MASTER, Party2010, Server2010
from .waiting import PATIENCE, wait_until


class Runner(Party2010):
    """Sends commands with any properties."""

    def send(self, plugin, job=None, age=0, expires=0, **properties):
        """Sent so many seconds ago; expires: seconds from now, 0 = never."""
        now = time.time()
        headers = {"not_after": int((now + expires) * 1000) if expires else 0, **properties.pop("headers", {})}
        self.channel.basic_publish(BROADCAST, "web01", json.dumps(plugin).encode(), pika.BasicProperties(
            delivery_mode=2, message_id=job, timestamp=int(now - age), headers=headers, **properties))

    def cancel(self, job, **kw):
        self.send("vogeler.cancel", "cancel-of-" + job, headers={"job": job}, **kw)


class Collector(Server2010):
    """Reads the answers of both lanes; without the fresh one as in 2010."""

    def __init__(self, broker, vhost, fresh=False):
        super().__init__(broker, vhost)
        self.queues = ["master.in"]
        if fresh:
            self.channel.queue_declare("vogeler.fresh", durable=True)
            self.channel.queue_bind("vogeler.fresh", MASTER, "fresh")
            self.queues.append("vogeler.fresh")
        self.seen = []

    def poll(self):
        """Takes one of each queue; false when there is none."""
        before = len(self.seen)
        for queue in self.queues:
            method, properties, body = self.channel.basic_get(queue, auto_ack=True)
            if method is not None:
                self.seen.append(Answer(queue, properties, json.loads(body)))
        return len(self.seen) > before

    def answer(self, job, patience=PATIENCE):
        def found():
            self.poll()
            return [a for a in self.seen if a.job == job]
        return wait_until(found, f"job {job} is answered", patience)[0]

    def everything(self, site):
        """All answers with a job, when nothing is left to be answered."""
        site.wait_drained("web01")
        while self.poll():
            pass
        return {a.job: a for a in self.seen if a.job}


class Answer:
    def __init__(self, queue, properties, body):
        self.queue = queue
        self.job = properties.correlation_id
        self.properties = properties
        self.body = body
        self.state = (properties.headers or {}).get("state")

    @property
    def message(self):
        return self.body.get("last_error", {}).get("message")
