# SPDX-License-Identifier: Apache-2.0
"""What a real broker does not do on demand, from a fake (tests/fake/fake_amqp.py, which
says what it is). vogeler-runner ends with 1 and says why; the daemons keep trying, at little cost, and are back when the
broker behaves."""
import os
import re
import struct
import sys
import time

import pytest

from lib.site import SOURCE, Site, in_use, is_sanitized
from lib.waiting import wait_until

sys.path.insert(0, str(SOURCE / "tests" / "fake"))
# pylint: disable=wrong-import-position
import fake_amqp as fake  # noqa: E402

pytestmark = pytest.mark.as_shipped

QUICK = ("amqp.connect_timeout=300ms", "amqp.heartbeat=1s", "amqp.reconnect_max=100ms")
STEPS = ("start", "tune", "open", "channel.open", "confirm.select", "exchange.declare")
CODES = {
    403: "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN",
    530: "NOT_ALLOWED - vhost fake not found",
    320: "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
    501: "FRAME_ERROR - type 65, all octets = <<>>: {frame_too_large,1,2}",
    541: "INTERNAL_ERROR - oops",
}
SAYS = {403: "user.*refused|ACCESS_REFUSED", 530: "no vhost|NOT_ALLOWED", 320: "CONNECTION_FORCED",
        501: "FRAME_ERROR", 541: "INTERNAL_ERROR"}
HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
TLS_ALERT = bytes([21, 3, 3, 0, 2, 2, 70])
BAD = "it sent .*frame"


def half(proper):
    return proper[:len(proper) // 2]


# name -> (step, what is done, what the one line of the runner says)
GARBAGE = {
    "half a frame, then silence": ("start", fake.mangled(half), "no answer within 300 ms"),
    "half a frame, then the end": ("tune", lambda c, proper: fake.send_and_close(half(proper))(c, proper), "closed"),
    "the end at once": ("start", fake.send_and_close(b""), "closed"),
    "wrong frame end": ("tune", fake.mangled(lambda p: p[:-1] + b"\xcd"), BAD),
    "undersized frame": ("start", fake.send(fake.frame(fake.METHOD, 0, b"\0\x0a")), BAD),
    "empty method frame": ("open", fake.send(fake.frame(fake.METHOD, 0, b"")), BAD),
    "frame_max 8": ("tune", fake.send(fake.tune(frame_max=8)), "at most 8 bytes.*4096"),
    "oversize frame": ("start", fake.send(struct.pack(">BHI", 1, 0, 0x7fffffff) + b"x" * 9), BAD),
    "oversize frame after tune": ("open", fake.send(struct.pack(">BHI", 1, 0, fake.FRAME_MAX + 1)), BAD),
    "wrong channel": ("channel.open", fake.send(fake.method(7, (20, 11), fake.longstr(b""))), "channel that is not open"),
    "unknown class": ("open", fake.send(fake.method(0, (999, 999))), BAD),
    "unknown method": ("channel.open", fake.send(fake.method(1, (20, 999))), BAD),
    "unknown frame type": ("open", fake.send(fake.frame(77, 0, b"abcd")), BAD),
    "method out of turn": ("start", fake.send(fake.tune()), "CONNECTION_TUNE.*not to come"),
    "garbage": ("start", fake.send(bytes(range(256)) * 8), BAD + ".*AMQP port"),
    "garbage later": ("exchange.declare", fake.send(bytes(range(255, 0, -1)) * 8), BAD),
    "HTTP": ("start", fake.send_and_close(HTTP), "HTTP.*AMQP port"),
    "TLS alert": ("start", fake.send_and_close(TLS_ALERT), "TLS.*AMQP port"),
    "AMQP 1.0": ("start", fake.send_and_close(b"AMQP\x00\x01\x00\x00"), "0-9-1"),
    "AMQP 0-8": ("start", fake.send(fake.start(major=8, minor=0)), "0-9-1|AMQP 8-0"),
    "deep table": ("start", fake.send(fake.start(properties=fake.nested(15000))), BAD),
    "no PLAIN": ("start", fake.send(fake.start(mechanisms=b"GSSAPI")), "PLAIN.*GSSAPI"),
}
SILENCE = {f"silence at {step}": (step, fake.silence, "no answer within 300 ms") for step in STEPS}
SILENCE["silence at basic.publish"] = ("basic.publish", fake.silence, "heartbeat|no answer|silent")
CLOSED = {f"{code} at {step}": (step, fake.send(fake.close(code, text)), SAYS[code])
          for code, text in CODES.items() for step in STEPS}
FAULTS = {**GARBAGE, **SILENCE, **CLOSED}


@pytest.fixture
def liar():
    with fake.FakeAmqp() as server:
        yield server


class NoBroker:
    """Stands in for the real broker where a test has none."""
    port = 0

    def uri(self, vhost):
        return f"amqp://127.0.0.1:1/{vhost}"


@pytest.fixture
def alone(tmp_path, liar, request):
    """A site on the fake."""
    site = Site(NoBroker(), "fake", tmp_path)
    site.qhost = f"amqp://ann:s3cr3tword@127.0.0.1:{liar.port}/fake"
    yield from in_use(request, site)


def ask(site, status, *options):
    options = [word for option in options or QUICK for word in ("--option", option)]
    return site.runner("-n", "web01", "-x", "hello", *options, status=status)


def test_the_fake_can_behave(alone, liar):
    """Else what follows would prove nothing."""
    assert "sent hello to web01" in ask(alone, 0).out
    steps = [step for c in liar.connections for step in c.steps]
    assert set(STEPS) <= set(steps) and "basic.publish" in steps, steps


@pytest.mark.parametrize("name", FAULTS)
def test_runner_says_what_is_wrong_and_ends_with_1(alone, liar, name):
    step, do, says = FAULTS[name]
    liar.fault = fake.Fault(step, do)
    done = ask(alone, 1)
    wait_until(lambda: liar.faults_done, "the fault has come to pass")  # counted behind its being sent
    lines = [line for line in done.err.splitlines() if line.startswith("vogeler-runner: ")]
    # A command that has left and is not confirmed may have been taken: its state, and the job's id, are told besides.
    told = [line for line in lines if re.fullmatch(r"vogeler-runner: unsent; job [0-9a-f-]{36}", line)]
    assert len(told) == (name == "silence at basic.publish") and len(lines) == 1 + len(told), done
    assert re.search(says, lines[0]), done
    assert f"127.0.0.1:{liar.port}" in lines[0], done
    assert "s3cr3tword" not in done.out + done.err and "sent" not in done.out, done


def test_frames_may_be_cut_anywhere(alone, liar):
    ask(alone, 0)
    total = liar.connections[0].sent
    assert total > 100
    for offset in range(1, total, 1 if not is_sanitized() else 7):
        liar.pace = fake.split_at(offset)
        ask(alone, 0)


def test_one_byte_at_a_time(alone, liar):
    liar.pace = fake.dribble(1, 0.0005)
    ask(alone, 0, "amqp.connect_timeout=20s")


# The daemons


def start(site, program):
    if program == "vogelerd":
        return site.collector(ready=False, options=QUICK, level="WARN")
    return site.agent(ready=False, options=QUICK, level="WARN")


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_consumes(liar, process):
    wait_until(lambda: not process.running or any("basic.consume" in steps for steps in liar.open_steps()),
               f"{process.name} consumes from the fake")
    assert process.running, process.log()


def tries(liar, process, times):
    """Until it has come so many times again."""
    before = len(liar.connections)
    wait_until(lambda: len(liar.connections) >= before + times or not process.running, f"{process.name} tries again")
    assert process.running, process.log()


@pytest.mark.parametrize("program", ["vogelerd", "vogeler-agent"])
@pytest.mark.parametrize("kind", ["garbage", "silence", "closed"])
def test_a_daemon_tries_again_until_the_broker_behaves(alone, liar, program, kind):
    faults = dict({"garbage": GARBAGE, "silence": SILENCE, "closed": CLOSED}[kind])
    faults.pop("silence at basic.publish", None)
    if kind != "closed":
        faults["consume"] = ("basic.consume", fake.silence, "")
    liar.fault = fake.Fault("start", fake.silence)
    process = start(alone, program)
    tries(liar, process, 2)
    pid, memory = process.pid, process.memory_kb()
    began, used = time.monotonic(), cpu_seconds(process)
    for step, do, _ in faults.values():
        liar.fault = fake.Fault(step, do)
        liar.hang_up()
        tries(liar, process, 2)
    share = (cpu_seconds(process) - used) / (time.monotonic() - began)
    grown = process.memory_kb() - memory
    lines = process.log().count("down (")
    liar.fault = None
    wait_consumes(liar, process)
    assert process.pid == pid
    assert "s3cr3tword" not in process.log()
    # A line for each kind of failure a minute, of the ten kinds there are, on each connection.
    assert 1 <= lines <= 20 * (1 + (time.monotonic() - began) // 60), process.log()
    if not is_sanitized():
        assert share < 0.2, f"{share:.1%} of a processor, at ten tries a second"
        assert grown < 10 * 1024, f"{grown} KiB more"


@pytest.mark.parametrize("program", ["vogelerd", "vogeler-agent"])
@pytest.mark.parametrize("step", ["start", "basic.consume"])
def test_waiting_costs_nothing(alone, liar, program, step):
    """A silent broker, waited for; and the longest step alone, not the whole."""
    liar.fault = fake.Fault(step, fake.silence, alive=True)
    options = ("amqp.connect_timeout=3s", "amqp.heartbeat=1s", "amqp.reconnect_max=100ms")
    process = (alone.collector if program == "vogelerd" else alone.agent)(ready=False, options=options, level="WARN")
    wait_until(lambda: any(step in steps for steps in liar.open_steps()), f"{step} is reached")
    began, used = time.monotonic(), cpu_seconds(process)
    wait_until(lambda: process.log_contains("down .timeout"), "it gives up on the silent broker")
    share = (cpu_seconds(process) - used) / (time.monotonic() - began)
    assert is_sanitized() or share < 0.05, f"{share:.1%} of a processor"
    liar.fault = None
    wait_consumes(liar, process)


@pytest.mark.parametrize("program", ["vogelerd", "vogeler-agent"])
def test_a_broker_of_1_kb_a_second_is_borne(alone, liar, program):
    """Slow is not broken; it works, and waits without spinning."""
    liar.pace = fake.dribble(1, 0.001)
    options = ("amqp.connect_timeout=20s", "amqp.heartbeat=1s")
    process = (alone.collector if program == "vogelerd" else alone.agent)(ready=False, options=options, level="WARN")
    wait_consumes(liar, process)
    began, used = time.monotonic(), cpu_seconds(process)
    wait_until(lambda: time.monotonic() - began > 3, "a while has passed")
    share = (cpu_seconds(process) - used) / (time.monotonic() - began)
    assert is_sanitized() or share < 0.05, f"{share:.1%} of a processor"
    assert not process.log_contains("down"), process.log()


@pytest.mark.parametrize("program", ["vogelerd", "vogeler-agent"])
def test_the_real_broker_takes_the_place_of_a_liar(site, broker, program):
    """The daemon has met garbage on this port; then RabbitMQ comes up there."""
    broker.stop()
    with fake.FakeAmqp(broker.port) as liar:
        liar.fault = fake.Fault("start", fake.send(HTTP))
        process = start(site, program)
        tries(liar, process, 3)
    broker.start()
    site.wait_consumer("master.in" if program == "vogelerd" else "web01", process)
    assert process.log_contains("HTTP and not AMQP")
