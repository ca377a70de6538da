"""A private RabbitMQ node, started through tests/private-rabbitmq."""
import os
import signal
import socket
import subprocess

import pika

from .orphan import die_with_parent
from .waiting import wait_until

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "private-rabbitmq")
POOL = 25  # vhosts made at a time: one call of rabbitmqctl costs more than the vhosts do


class Broker:
    def __init__(self, folder):
        self.folder = folder
        self.epmd = None
        self.node = None
        self.made = 0
        self.spare = []
        self._choose_ports()

    def _choose_ports(self):
        self._call("init")
        values = dict(line.split("=", 1) for line in (self.folder / "node.env").read_text().split())
        self.port = int(values["NODE_PORT"])
        self.epmd_port = int(values["EPMD_PORT"])

    def _argv(self, *args):
        return [SCRIPT, str(self.folder), *args]

    def _call(self, *args, check=True):
        return subprocess.run(self._argv(*args), check=check, timeout=90, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()

    def _popen(self, verb):
        with open(self.folder / f"{verb}.out", "ab") as out:
            return subprocess.Popen(self._argv(verb), stdin=subprocess.DEVNULL, stdout=out,
                                    stderr=subprocess.STDOUT, start_new_session=True,
                                    preexec_fn=die_with_parent)

    @property
    def running(self):
        return self.node is not None and self.node.poll() is None

    def _listens(self, port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def start_first(self):
        """Other tests look for free ports at the same time: whoever finds one taken chooses again."""
        for _ in range(5):
            try:
                return self.start()
            except (AssertionError, subprocess.CalledProcessError) as e:
                failure = e
                self.finish()
                self._choose_ports()
        raise failure

    def start(self):
        if self.epmd is None or self.epmd.poll() is not None:
            self.epmd = self._popen("epmd")
            wait_until(self._epmd_is_up, "epmd listens")
        self.node = self._popen("server")
        wait_until(self._is_up, "the broker listens", 90, 0.1)
        self.ctl("await_startup")
        assert self.running, self._said("server")
        return self

    def _said(self, verb):
        return (self.folder / f"{verb}.out").read_text("utf-8", "replace")[-2000:]

    def _epmd_is_up(self):
        assert self.epmd.poll() is None, "epmd did not start: " + self._said("epmd")
        return self._listens(self.epmd_port)

    def _is_up(self):
        assert self.running, "the broker did not start: " + self._said("server")
        return self._listens(self.port)

    def stop(self):
        self.node.terminate()
        self.node.wait(60)

    def kill(self):
        """SIGKILL to the node; what it started (its epmd is ours) goes with it."""
        os.killpg(self.node.pid, signal.SIGKILL)
        self.node.wait(60)

    def restart(self):
        self.stop()
        self.start()

    def finish(self):
        for process in (self.node, self.epmd):
            if process is not None and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(60)

    def ctl(self, *args, check=True):
        return self._call("ctl", *args, check=check)

    def add_vhosts(self, names):
        listed = ",".join(f"<<\"{n}\">>" for n in names)
        self.ctl("eval", f"""[begin ok = rabbit_vhost:add(V, <<"tests">>),
            ok = rabbit_auth_backend_internal:set_permissions(<<"guest">>, V, <<".*">>, <<".*">>,
            <<".*">>, <<"tests">>) end || V <- [{listed}]], ok.""")

    def new_vhost(self):
        """The name of a vhost that nobody has used."""
        if not self.spare:
            self.spare = [f"t{self.made + i}" for i in range(POOL)]
            self.made += POOL
            self.add_vhosts(self.spare)
        return self.spare.pop(0)

    def uri(self, vhost, user="guest", password="guest"):
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost}"

    def connect(self, vhost):
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.port, vhost, pika.PlainCredentials("guest", "guest"), heartbeat=0))

    def queue(self, vhost, name):
        """(messages ready, consumers), or None when there is no such queue."""
        connection = self.connect(vhost)
        try:
            method = connection.channel().queue_declare(name, passive=True).method
            return method.message_count, method.consumer_count
        except pika.exceptions.ChannelClosedByBroker as e:
            if e.reply_code == 404:
                return None
            raise
        finally:
            if connection.is_open:
                connection.close()

    def unacked(self, vhost):
        """name -> messages delivered but not acknowledged."""
        lines = self.ctl("list_queues", "-p", vhost, "name", "messages_unacknowledged", "--no-table-headers")
        return {n: int(c) for n, c in (line.split("\t") for line in lines.splitlines() if "\t" in line)}
