# SPDX-License-Identifier: Apache-2.0
"""Listening on a port, and passing bytes on from one socket to another."""
import socket
import threading


def pass_on(source, sink):
    """Until the source ends, or one of them is broken."""
    try:
        data = source.recv(65536)
        while data:
            sink.sendall(data)
            data = source.recv(65536)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Listener:
    """Each connection to its port is given to _serve(), in a thread of its own."""

    def __init__(self, host="127.0.0.1", port=0):
        self.listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        raise NotImplementedError

    def close(self):
        """Its port is free then, even while somebody is in accept() on it."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()


class Relay(Listener):
    """Passes on what comes to a port of 127.0.0.1."""

    def __init__(self, address, port, to_port):
        self.to_port = to_port
        self.peers = []
        self.sockets = []
        super().__init__(address, port)

    @property
    def taken(self):
        """How many connections came."""
        return len(self.peers)

    def _serve(self, peer):
        self.peers.append(peer)
        broker = socket.create_connection(("127.0.0.1", self.to_port))
        self.sockets += [peer, broker]
        threading.Thread(target=pass_on, args=(broker, peer), daemon=True).start()
        pass_on(peer, broker)

    def close(self):
        super().close()
        for one in self.sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
