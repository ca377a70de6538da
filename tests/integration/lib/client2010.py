# SPDX-License-Identifier: Apache-2.0
"""The programs of 2010, as far as their messages go: no headers, no confirms, no properties but delivery_mode, automatic
acknowledgement. Whoever gets along with these gets along with an old installation."""
import json
import time

import pika

from .waiting import PATIENCE

BROADCAST = "vogeler.broadcast.in"
MASTER = "vogeler.master.in"


class Party2010:
    def __init__(self, broker, vhost):
        self.connection = broker.connect(vhost)
        self.channel = self.connection.channel()
        self.queue = None

    def close(self):
        if self.connection.is_open:
            self.connection.close()

    def _publish(self, exchange, key, message):
        self.channel.basic_publish(exchange, key, json.dumps(message).encode(),
                                   pika.BasicProperties(delivery_mode=2))

    def receive(self, patience=PATIENCE):
        """The next message of the own queue, decoded. basic.get, because that is what a test can wait with."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            method, properties, body = self.channel.basic_get(self.queue, auto_ack=True)
            if method is not None:
                self.properties = properties
                return json.loads(body)
            self.connection.sleep(0.03)
        raise AssertionError(f"nothing arrived in {self.queue} within {patience} s")


class Client2010(Party2010):
    """vogeler-client: a queue named after the host, two bindings; answers through the direct exchange, empty key."""

    def __init__(self, broker, vhost, host):
        super().__init__(broker, vhost)
        self.host = self.queue = host
        self.channel.queue_declare(host, durable=True, auto_delete=False)
        self.channel.queue_bind(host, BROADCAST, "broadcasts.*")
        self.channel.queue_bind(host, BROADCAST, host)

    def greet(self):
        self._publish(MASTER, "", {"syskey": self.host, "format": "pydict"})

    def answer(self, plugin, output, fmt):
        self._publish(MASTER, "", {"syskey": self.host, plugin: output, "format": fmt})

    def answer_several(self, outputs, fmt):
        self._publish(MASTER, "", dict({"syskey": self.host, "format": fmt}, **outputs))

    def fail(self, text):
        self._publish(MASTER, "", {"syskey": self.host, "format": "pydict", "last_error": {
            "timestamp": "2010-09-26 06:16:29.609000", "message": text}})


class Server2010(Party2010):
    """vogeler-server: declares everything, reads master.in."""

    def __init__(self, broker, vhost):
        super().__init__(broker, vhost)
        self.queue = "master.in"
        self.channel.exchange_declare(BROADCAST, "topic", durable=True, auto_delete=False)
        self.channel.exchange_declare(MASTER, "direct", durable=True, auto_delete=False)
        self.channel.queue_declare(self.queue, durable=True, auto_delete=False)
        self.channel.queue_bind(self.queue, MASTER, "")


class Runner2010(Party2010):
    """vogeler-runner: -n all published with the literal key 'broadcasts.*', -n NODE with the node's name."""

    def send(self, command, node="all"):
        self._publish(BROADCAST, "broadcasts.*" if node == "all" else node, command)
