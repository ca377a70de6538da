# SPDX-License-Identifier: Apache-2.0
"""A fake of an AMQP 0-9-1 broker, byte by byte, for what a real one does not do on demand. It knows one way to behave:
everybody may log in, declare, consume and publish, every publish is confirmed, nothing is ever delivered. A Fault says
at which step of that it does something else. It is no broker: queues, routes and messages do not exist in it.

The steps, each named after what the fake would answer there:

    start         the protocol header has come      tune        start-ok has come     open     tune-ok and open have come
    channel.open  confirm.select  exchange.declare  queue.declare  queue.bind  basic.qos  basic.consume
    basic.publish
"""
import socket
import struct
import threading
import time

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END = 0xCE
FRAME_MAX = 131072

START, START_OK, TUNE, TUNE_OK, OPEN, OPEN_OK = (10, 10), (10, 11), (10, 30), (10, 31), (10, 40), (10, 41)
CLOSE, CLOSE_OK = (10, 50), (10, 51)
BASIC_PUBLISH = (60, 40)


def shortstr(text):
    return bytes([len(text)]) + text.encode()


def longstr(data):
    return struct.pack(">I", len(data)) + data


def table(fields=b""):
    return longstr(fields)


def text_field(name, text):
    return shortstr(name) + b"S" + longstr(text.encode())


def frame(kind, channel, payload, end=END):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([end])


def method(channel, name, arguments=b""):
    return frame(METHOD, channel, struct.pack(">HH", *name) + arguments)


def start(properties=text_field("product", "Fake") + text_field("version", "0"), major=0, minor=9, mechanisms=b"PLAIN"):
    return method(0, START, bytes([major, minor]) + table(properties) + longstr(mechanisms) + longstr(b"en_US"))


def tune(channel_max=2047, frame_max=FRAME_MAX, heartbeat=0):
    return method(0, TUNE, struct.pack(">HIH", channel_max, frame_max, heartbeat))


def close(code, text):
    return method(0, CLOSE, struct.pack(">H", code) + shortstr(text) + struct.pack(">HH", 0, 0))


def nested(levels):
    """The fields of a table that holds a table that holds a table..."""
    fields = b""
    for _ in range(levels):
        fields = b"\x01aF" + longstr(fields)
    return fields


# method -> (step, name of the answer, arguments of the answer)
ANSWERS = {
    (20, 10): ("channel.open", (20, 11), longstr(b"")),
    (40, 10): ("exchange.declare", (40, 11), b""),
    (40, 30): ("exchange.bind", (40, 31), b""),
    (50, 10): ("queue.declare", (50, 11), None),
    (50, 20): ("queue.bind", (50, 21), b""),
    (60, 10): ("basic.qos", (60, 11), b""),
    (60, 20): ("basic.consume", (60, 21), None),
    (60, 30): ("basic.cancel", (60, 31), None),
    (85, 10): ("confirm.select", (85, 11), b""),
}


class Gone(Exception):
    """The peer has closed."""


class Fault:
    """At step, do(connection, proper) is called in place of sending the bytes `proper`; then nothing more is said and
    what the peer says is read, heartbeats answered if `alive`, until it hangs up."""

    def __init__(self, step, do, alive=False):
        self.step = step
        self.do = do
        self.alive = alive


def send(data):
    return lambda connection, proper: connection.write(data)


def send_and_close(data):
    def do(connection, proper):
        connection.write(data)
        connection.hang_up()
    return do


def mangled(change):
    """Sends change(proper)."""
    return lambda connection, proper: connection.write(change(proper))


def silence(connection, proper):
    del connection, proper


def split_at(offset, pause=0.001):
    """A pace: everything that is sent has one cut, after so many bytes."""
    def chunks(sent, data):
        cut = offset - sent
        return [(data[:cut], pause), (data[cut:], 0)] if 0 < cut < len(data) else [(data, 0)]
    return chunks


def dribble(size, pause):
    """A pace: size bytes at a time."""
    return lambda sent, data: [(data[i:i + size], pause) for i in range(0, len(data), size)]


class Connection(threading.Thread):
    def __init__(self, fake, sock):
        super().__init__(daemon=True)
        self.fake = fake
        self.fault = fake.fault
        self.pace = fake.pace
        self.sock = sock
        self.sent = 0
        self.published = 0
        self.steps = []
        self.ended = False

    def read(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.sock.recv(size - len(data))
            except OSError:
                raise Gone from None
            if not more:
                raise Gone
            data += more
        return data

    def write(self, data):
        for chunk, pause in self.pace(self.sent, data) if self.pace else [(data, 0)]:
            try:
                self.sock.sendall(chunk)
            except OSError:
                raise Gone from None
            self.sent += len(chunk)
            if pause:
                time.sleep(pause)

    def hang_up(self):
        """Says that nothing more comes; what the peer still sends is read, so that it gets all of ours and no reset."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def answer(self, step, proper):
        self.steps.append(step)
        if self.fault is None or self.fault.step != step:
            self.write(proper)
            return
        self.fake.faults_done += 1
        self.fault.do(self, proper)
        if not self.fault.alive:
            while True:
                self.read(1)
        while True:
            if self.frame()[0] == HEARTBEAT:
                self.write(frame(HEARTBEAT, 0, b""))

    def frame(self):
        kind, channel, size = struct.unpack(">BHI", self.read(7))
        payload = self.read(size)
        assert self.read(1)[0] == END, "the peer's frame has a wrong end"
        return kind, channel, payload

    def publish(self, channel):
        """The rest of a publish: header, then bodies until all of it is there."""
        kind, _, payload = self.frame()
        assert kind == HEADER, kind
        left = struct.unpack(">Q", payload[4:12])[0]
        while left > 0:
            kind, _, payload = self.frame()
            if kind == BODY:
                left -= len(payload)
        self.published += 1
        self.answer("basic.publish", method(channel, (60, 80), struct.pack(">QB", self.published, 0)))

    def on_method(self, channel, payload):
        name, arguments = struct.unpack(">HH", payload[:4]), payload[4:]
        if name == START_OK:
            self.answer("tune", tune())
        elif name == OPEN:
            self.answer("open", method(0, OPEN_OK, shortstr("")))
        elif name == CLOSE:
            self.write(method(0, CLOSE_OK))
            self.hang_up()
        elif name == BASIC_PUBLISH:
            self.publish(channel)
        elif name in ANSWERS:
            step, reply, fields = ANSWERS[name]
            if name == (50, 10):  # reserved, the queue's name
                fields = arguments[2:3 + arguments[2]] + struct.pack(">II", 0, 0)
            elif name == (60, 20):  # reserved, the queue's name, the consumer's tag
                queue_end = 3 + arguments[2]
                fields = arguments[queue_end:queue_end + 1 + arguments[queue_end]]
                fields = fields if fields != b"\0" else shortstr("fake")
            elif name == (60, 30):
                fields = arguments[:1 + arguments[0]]
            self.answer(step, method(channel, reply, fields))

    def run(self):
        try:
            assert self.read(8) == b"AMQP\0\0\x09\x01"
            self.answer("start", start())
            while True:
                kind, channel, payload = self.frame()
                if kind == METHOD:
                    self.on_method(channel, payload)
                elif kind == HEARTBEAT:
                    self.write(frame(HEARTBEAT, 0, b""))
        except Gone:
            pass
        finally:
            self.ended = True
            self.sock.close()


class FakeAmqp:
    """Listens on 127.0.0.1 from birth to stop(). What is set in fault and pace holds for connections that come later."""

    def __init__(self, port=0, fault=None):
        self.fault = fault
        self.pace = None
        self.faults_done = 0
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, sock)
            connection.start()  # before it is listed: stop() joins what is listed
            self.connections.append(connection)

    def hang_up(self):
        """Ends every connection."""
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        except OSError:
            pass
        self.listener.close()
        self.acceptor.join(10)  # no connection joins the list behind our back
        self.hang_up()
        for connection in self.connections:
            connection.join(10)

    def open_steps(self):
        """What the connections that are open have got to: a list of lists."""
        return [c.steps for c in self.connections if not c.ended]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
