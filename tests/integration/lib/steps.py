# SPDX-License-Identifier: Apache-2.0
"""A relay that knows AMQP frames: it lets the first so many methods of a client through, and then ends what a test wants
ended. So a start can be walked step by step."""
import socket
import struct
import threading

from .relay import Listener, pass_on

METHOD = 1
NAMES = {(20, 10): "channel.open", (40, 10): "exchange.declare", (50, 10): "queue.declare", (50, 20): "queue.bind",
         (60, 10): "basic.qos", (60, 20): "basic.consume", (60, 40): "basic.publish", (85, 10): "confirm.select"}


class StepRelay(Listener):
    """Calls at(step) in the thread of the connection, once the method number `stop` of a channel has gone to the broker;
    what follows it never does, on this connection and on the others of that moment."""

    def __init__(self, to_port, stop, at):
        self.to_port = to_port
        self.stop = stop
        self.at = at
        self.steps = []  # of all connections
        self.over = False
        self.pairs = []
        self.lock = threading.Lock()
        super().__init__()

    def _count(self, payload):
        """True: this was the last."""
        with self.lock:
            if self.over:
                return False
            self.steps.append(NAMES.get(struct.unpack(">HH", payload[:4]), "other"))
            if len(self.steps) == self.stop:
                self.over = True
                return True
            return False

    def cut(self):
        for pair in self.pairs:
            for one in pair:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _serve(self, peer):
        broker = socket.create_connection(("127.0.0.1", self.to_port))
        self.pairs.append((peer, broker))
        threading.Thread(target=pass_on, args=(broker, peer), daemon=True).start()
        if self.over:
            pass_on(peer, broker)
            return
        try:
            self._read(peer.makefile("rb"), broker)
        except OSError:
            pass
        broker.close()

    def _read(self, stream, broker):
        broker.sendall(stream.read(8))
        while True:
            head = stream.read(7)
            if len(head) < 7:
                return
            kind, channel, size = struct.unpack(">BHI", head)
            payload = stream.read(size)
            broker.sendall(head + payload + stream.read(1))
            if kind == METHOD and channel > 0 and self._count(payload):
                self.at(self)
                return

    def close(self):
        super().close()
        self.cut()
