# SPDX-License-Identifier: Apache-2.0
"""TLS in front of a plain server: a thread per connection, in this process."""
import select
import socket
import ssl
import threading

from .relay import Listener


class TlsProxy(Listener):
    """port speaks TLS with the certificate of identity; what comes is passed on to plain_port of 127.0.0.1."""

    def __init__(self, identity, plain_port, old=False, client_ca=None, host="127.0.0.1", port=0):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if old:
            self.context.set_ciphers("ALL:@SECLEVEL=0")
            self.context.minimum_version = ssl.TLSVersion.TLSv1
            self.context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.context.load_cert_chain(identity.cert, identity.key)
        if client_ca:
            self.context.verify_mode = ssl.CERT_REQUIRED
            self.context.load_verify_locations(client_ca)
        self.plain_port = plain_port
        super().__init__(host, port)

    def _serve(self, peer):
        try:
            secure = self.context.wrap_socket(peer, server_side=True)
        except (OSError, ssl.SSLError):
            peer.close()
            return
        plain = socket.create_connection(("127.0.0.1", self.plain_port))
        # Two threads share the TLS socket, which only one may use at a time.
        lock = threading.Lock()
        secure.setblocking(False)

        def back():
            try:
                data = plain.recv(65536)
                while data:
                    self._send(secure, data, lock)
                    data = plain.recv(65536)
            except OSError:
                pass
            for s in (peer, secure):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

        threading.Thread(target=back, daemon=True).start()
        try:
            data = self._receive(secure, lock)
            while data:
                plain.sendall(data)
                data = self._receive(secure, lock)
        except OSError:
            pass
        try:
            plain.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    @staticmethod
    def _wait(secure, reading):
        select.select([secure] if reading else [], [] if reading else [secure], [], 1)

    def _send(self, secure, data, lock):
        view = memoryview(data)
        while view:
            try:
                with lock:
                    view = view[secure.send(view):]
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as e:
                self._wait(secure, isinstance(e, ssl.SSLWantReadError))

    def _receive(self, secure, lock):
        while True:
            try:
                with lock:
                    return secure.recv(65536)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as e:
                self._wait(secure, isinstance(e, ssl.SSLWantReadError))
