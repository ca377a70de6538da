# SPDX-License-Identifier: Apache-2.0
"""The programs of 2010 on the library that they used: amqplib, whose last release is the newest that there is. It reads
the header types S, I, D, T and F, dies of any other, and knows neither heartbeats nor confirms. What gets along with pika
only (client2010.py) does not get along with an old installation.

Run as a program it is an agent: amqplib2010.py PORT VHOST HOST PLUGIN=COMMAND... runs a shell command for each plugin
name that it is sent, and acknowledges beforehand, as in 2010."""
import json
import os
import signal
import subprocess
import sys
import time

from amqplib import client_0_8 as amqp

BROADCAST = "vogeler.broadcast.in"
MASTER = "vogeler.master.in"
PATIENCE = 60


class Party:
    def __init__(self, port, vhost):
        self.connection = amqp.Connection(host=f"127.0.0.1:{port}", userid="guest", password="guest",
                                          virtual_host=vhost, insist=False)
        self.channel = self.connection.channel()
        self.queue = None
        self.message = None

    def close(self):
        self.connection.close()

    def publish(self, exchange, key, value):
        self.channel.basic_publish(amqp.Message(json.dumps(value), delivery_mode=2), exchange=exchange, routing_key=key)

    def receive(self, patience=PATIENCE):
        """The next message of the own queue, decoded; its properties are in self.message."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            self.message = self.channel.basic_get(self.queue, no_ack=True)
            if self.message is not None:
                return json.loads(self.message.body)
            time.sleep(0.03)
        raise AssertionError(f"nothing arrived in {self.queue} within {patience} s")

    @property
    def headers(self):
        return self.message.properties.get("application_headers", {})


class Client(Party):
    def __init__(self, port, vhost, host):
        super().__init__(port, vhost)
        self.host = self.queue = host
        self.channel.queue_declare(queue=host, durable=True, exclusive=False, auto_delete=False)
        self.channel.queue_bind(queue=host, exchange=BROADCAST, routing_key="broadcasts.*")
        self.channel.queue_bind(queue=host, exchange=BROADCAST, routing_key=host)

    def greet(self):
        self.publish(MASTER, "", {"syskey": self.host, "format": "pydict"})

    def answer(self, plugin, output, fmt):
        self.publish(MASTER, "", {"syskey": self.host, plugin: output, "format": fmt})

    def fail(self, text):
        self.publish(MASTER, "", {"syskey": self.host, "format": "pydict", "last_error": {
            "timestamp": "2010-09-26 06:16:29.609000", "message": text}})

    def serve(self, plugins):
        """Runs what it is told to until it is ended. Any message that amqplib cannot read is the end, too."""
        def take(message):
            name = json.loads(message.body)
            if name not in plugins:
                self.fail(f"Plugin {name} is not authorized for this host. Ignoring")
                return
            done = subprocess.run(["sh", "-c", plugins[name]], stdout=subprocess.PIPE, check=False)
            self.answer(name, done.stdout.decode(), "output")
        self.channel.basic_consume(queue=self.queue, no_ack=True, callback=take, consumer_tag=self.host)
        while True:
            self.channel.wait()


class Server(Party):
    def __init__(self, port, vhost):
        super().__init__(port, vhost)
        self.queue = "master.in"
        self.channel.exchange_declare(exchange=BROADCAST, type="topic", durable=True, auto_delete=False)
        self.channel.exchange_declare(exchange=MASTER, type="direct", durable=True, auto_delete=False)
        self.channel.queue_declare(queue=self.queue, durable=True, exclusive=False, auto_delete=False)
        self.channel.queue_bind(queue=self.queue, exchange=MASTER, routing_key="")


class Runner(Party):
    def send(self, command, node="all"):
        self.publish(BROADCAST, "broadcasts.*" if node == "all" else node, command)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    client = Client(int(sys.argv[1]), *sys.argv[2:4])
    client.greet()
    client.serve(dict(word.split("=", 1) for word in sys.argv[4:]))
