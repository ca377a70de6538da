"""Passes bytes on, from one socket to another and from one port to another."""
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


class Relay:
    """Passes on what comes to a port of 127.0.0.1. `taken`: how many connections came."""

    def __init__(self, address, port, to_port):
        self.to_port = to_port
        self.taken = 0
        self.sockets = []
        self.listener = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.taken += 1
            broker = socket.create_connection(("127.0.0.1", self.to_port))
            self.sockets += [peer, broker]
            for source, sink in ((peer, broker), (broker, peer)):
                threading.Thread(target=pass_on, args=(source, sink), daemon=True).start()

    def close(self):
        for one in [self.listener, *self.sockets]:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()
