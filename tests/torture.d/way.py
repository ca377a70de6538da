# SPDX-License-Identifier: Apache-2.0
"""The ways between programs, on each of which something can happen to what travels: a thread with a loop of its own that
passes bytes on, and spoils it when told to."""
import asyncio
import contextlib
import socket
import struct
import threading

CHUNK = 65536
BOTH = ("to", "from")


class Pair:
    """A connection, and the one to the server that stands behind it."""

    def __init__(self, way, client, server):
        self.way = way
        self.ends = {"to": (client, server), "from": (server, client)}  # direction -> whom from, whom to
        self.swallowed = set()   # directions in which all is read and nothing passed on, as of a line that is dead
        self.left = {}           # direction -> bytes until the end

    async def run(self):
        await asyncio.gather(*(self._pass_on(d) for d in BOTH))
        self.close()

    async def _pass_on(self, direction):
        (reader, _), (_, writer) = self.ends[direction]
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.way.delay:
                    await asyncio.sleep(self.way.delay)
                if direction in self.swallowed:
                    continue
                if direction in self.left:
                    data = data[:self.left[direction]]
                    self.left[direction] -= len(data)
                writer.write(data)
                await writer.drain()
                if self.left.get(direction) == 0:
                    self.close()
                    return
            if not self.swallowed:
                writer.write_eof()

    def reset(self):
        for _, writer in self.ends["to"]:
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    def close(self):
        for _, writer in self.ends["to"]:
            writer.close()


class Way:
    """A port of 127.0.0.1 that leads to another."""

    def __init__(self, ways, to_port):
        self.ways = ways
        self.to_port = to_port
        self.pairs = set()
        self.delay = 0
        self.is_open = True
        self.server = ways.call(self._listen())
        self.port = self.server.sockets[0].getsockname()[1]

    async def _listen(self):
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _serve(self, reader, writer):
        try:
            if not self.is_open:
                raise ConnectionRefusedError
            there = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.transport.abort()
            return
        pair = Pair(self, (reader, writer), there)
        self.pairs.add(pair)
        try:
            await pair.run()
        finally:
            self.pairs.discard(pair)

    def _each(self, what):
        def all_of_them():
            for pair in list(self.pairs):
                what(pair)
        self.ways.loop.call_soon_threadsafe(all_of_them)

    def swallow(self, directions):
        """Nothing more arrives on the connections of this moment; nobody is told."""
        self._each(lambda pair: pair.swallowed.update(directions))

    def reset(self):
        self._each(Pair.reset)

    def cut_after(self, direction, size):
        """Inside of whatever is being said by then."""
        self._each(lambda pair: pair.left.setdefault(direction, size))

    def slow_down(self, seconds):
        """Each piece takes as long; 0: none does."""
        self.delay = seconds

    def shut(self):
        """Nobody comes through, not even who is in the middle."""
        self.is_open = False
        self.reset()

    def open(self):
        self.is_open = True
        self.delay = 0


class Ways:
    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda loop, context: None)  # of connections that we have broken
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def to(self, port):
        return Way(self, port)
