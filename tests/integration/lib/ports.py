# SPDX-License-Identifier: Apache-2.0
"""A port for a program that is yet to listen."""
import secrets
import socket


def free_port():
    """Of 127.0.0.1, below those that the kernel gives to outgoing connections: while the tests run these are thousands, of which
    one could take the port before the program does. Other tests choose at the same time, so it is one by chance."""
    while True:
        port = 20000 + secrets.randbelow(12000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
