# SPDX-License-Identifier: Apache-2.0
"""Names and addresses of a test's own: a name server that says what it is told to, the mounts that make a program ask it,
and addresses that are silent. All of it on the loopback."""
import os
import random
import select
import socket
import struct
import threading

A, AAAA = 1, 28

# Before the program; what it does not see of /etc is only what says whom to ask.
MOUNTS = r"""
set -eu
mount --bind "$1/resolv.conf" /etc/resolv.conf
mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
shift
exec "$@"
"""


class NameServer:
    """Silent until speak(names), name -> list of addresses of both kinds; then it says of others that they do not exist.
    asked: somebody did."""

    def __init__(self, folder):
        assert os.getuid() == 0, "a name server has port 53, which needs root, as the mounts do"
        self.folder = folder
        self.names = None
        self.asked = threading.Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = self._bind()
        (folder / "resolv.conf").write_text(f"nameserver {self.address}\noptions timeout:2 attempts:5\n")
        (folder / "nsswitch.conf").write_text("hosts: files dns\n")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _bind(self):
        while True:
            address = f"127.{random.randrange(64, 255)}.{random.randrange(256)}.{random.randrange(1, 255)}"
            try:
                self.socket.bind((address, 53))
                return address
            except OSError:  # another test has it
                pass

    def speak(self, names):
        self.names = names

    def command(self, argv):
        """argv, run where this is the only name server."""
        return ["unshare", "--mount", "--propagation", "private", "/bin/bash", "-c", MOUNTS, "names", str(self.folder), *argv]

    def _serve(self):
        while True:
            query, peer = self.socket.recvfrom(4096)
            if query == b"":  # of close()
                return
            self.asked.set()
            if self.names is not None:
                self.socket.sendto(self._answer(query), peer)

    def _answer(self, query):
        """RFC 1035, 4.1: the question comes back, then one record per address."""
        labels, at = [], 12
        while query[at] != 0:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        kind = struct.unpack_from(">H", query, at + 1)[0]
        addresses = self.names.get(".".join(labels))
        family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
        found = [a for a in addresses or [] if (socket.AF_INET6 if ":" in a else socket.AF_INET) == family]
        status = 0x8180 | (3 if addresses is None else 0)
        answer = query[:2] + struct.pack(">HHHHH", status, 1, len(found), 0, 0) + query[12:at + 5]
        for address in found:
            data = socket.inet_pton(family, address)
            answer += struct.pack(">HHHIH", 0xC00C, kind, 1, 0, len(data)) + data
        return answer

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"", (self.address, 53))
        self.thread.join(10)
        self.socket.close()


class SilentAddress:
    """A port where the machine answers no connection: its queue of those to be accepted is full, so that it drops what
    comes, as a firewall does."""

    def __init__(self, address, port=0):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.address = address
        self.waiting = []
        while self._add():
            assert len(self.waiting) < 100, f"{address} answers all"

    def _add(self):
        """Whether one more was answered."""
        one = socket.socket()
        one.setblocking(False)
        self.waiting.append(one)
        one.connect_ex(self.listener.getsockname())
        return bool(select.select([], [one], [], 0.5)[1])

    def callers(self):
        """How many others wait for its answer: /proc/net/tcp has local and remote address, and state 02 is SYN_SENT."""
        here = f"{struct.unpack('=I', socket.inet_aton(self.address))[0]:08X}:{self.port:04X}"
        own = {f"{one.getsockname()[1]:04X}" for one in self.waiting}
        with open("/proc/net/tcp", encoding="ascii") as f:
            found = [line.split()[1:4] for line in f]
        return sum(remote == here and state == "02" and local.split(":")[1] not in own for local, remote, state in found)

    def close(self):
        for one in [*self.waiting, self.listener]:
            one.close()
