# SPDX-License-Identifier: Apache-2.0
"""What a hostile value costs the collector: memory in proportion to its size, given back, and no other host's time."""
import base64
import json
import random

import pika
import pytest
from lib.http import Monitor
from lib.waiting import wait_until

pytestmark = pytest.mark.as_shipped

SIZE = 7 * 1024 * 1024
KEPT = 6_900_000  # of text in a record, which may have 7 MB
TIMES = 4  # its own size


def filled(head, unit, tail):
    return head, unit, tail


def native(unit):
    return filled('{"syskey":"hostile","format":"raw","p":[0,', unit + ",", '0]}')


def text(fmt, head, unit, tail):
    return filled('{"syskey":"hostile","format":"%s","p":"%s' % (fmt, head), unit, tail + '"}')


def body(what, size=SIZE):
    head, unit, tail = HOSTILE[what]
    return (head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail).encode()


def kept(what):
    """As large as a record keeps it: as a text, in which a quote is two bytes, or line by line."""
    unit = HOSTILE[what][1]
    in_record = len('"a",') if what == "lines" else len(unit) + unit.count('"')
    return body(what, KEPT * len(unit) // in_record)


HOSTILE = {
    "objects": native("{}"), "arrays": native("[]"), "texts": native('""'), "numbers": native("1"),
    "opening": filled('{"syskey":"hostile","format":"raw","p":', "[[", ""),
    "objects in a text": text("json", "[0", ",{}", "]"),
    "numbers in a text": text("json", "[0", ",1", "]"),
    "members": filled('{"syskey":"hostile","format":"raw","p":[0', ',{"b":1,"a":2}', "]}"),
    "lines": text("output", "", "a\\n", ""),
    "escapes": text("string", "", "\\u0001", ""),
}


def resident(process, field="VmRSS"):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))


def forget_peak(process):
    with open(f"/proc/{process.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def collector(site, *options):
    monitor = Monitor("server")
    monitor.process = site.collector(options=[monitor.option, *options], level="WARN")
    return monitor


def publish(site, *bodies):
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    for body in bodies:
        channel.basic_publish("vogeler.master.in", "", body, pika.BasicProperties(delivery_mode=2))
    connection.close()


def small(host):
    return json.dumps({"syskey": host, "format": "raw", "q": 1}).encode()


def cost(site, sanitized, record_property, what, message, *before_it):
    """What the collector takes for one message, above what it has when those before it are stored."""
    monitor = collector(site)
    publish(site, small("first"), *before_it)
    n = 1 + len(before_it)
    wait_until(lambda: monitor.metric("vogeler_acked_total") == n, "those before it are acked", patience=120)
    wait_until(lambda: monitor.metric("vogeler_inbox_held_bytes") == 0, "nothing is in hand")
    before = resident(monitor.process)
    forget_peak(monitor.process)
    publish(site, message)
    wait_until(lambda: monitor.metric("vogeler_acked_total") == n + 1, "it is acked", patience=120)
    peak = resident(monitor.process, "VmHWM") - before
    wait_until(lambda: resident(monitor.process) - before < len(message) or sanitized, "it is given back")
    after = resident(monitor.process) - before
    record_property("figure", f"{what}, {len(message) / 1e6:.1f} MB: {peak / len(message):.1f} times its size while "
                    f"it is read, {after / len(message):.1f} afterwards")
    assert sanitized or peak < TIMES * len(message)


@pytest.mark.parametrize("what", HOSTILE)
def test_memory_stays_in_proportion_and_is_given_back(site, what, sanitized, record_property):
    cost(site, sanitized, record_property, what, body(what))


@pytest.mark.parametrize("what", HOSTILE)
def test_and_so_it_does_for_what_a_record_keeps(site, what, sanitized, record_property):
    cost(site, sanitized, record_property, what, kept(what))
    assert what == "opening" or site.record("hostile")["vogeler"]["p"]


def noise(n):
    """Text that does not compress well."""
    return base64.b64encode(random.Random(n).randbytes(n // 4 * 3)).decode()


@pytest.mark.parametrize("what", ["texts", "lines", "members"])
def test_and_for_one_that_comes_in_the_place_of_another(site, what, sanitized, record_property):
    cost(site, sanitized, record_property, f"{what}, the second", numbered(kept(what), 2), numbered(kept(what), 1))
    assert site.value("n", "hostile") == 2


@pytest.mark.parametrize("fmt", ["string", "json"])
def test_and_for_what_cannot_be_compressed(site, fmt, sanitized, record_property):
    message = json.dumps({"syskey": "hostile", "format": fmt, "p": noise(KEPT)}).encode()
    cost(site, sanitized, record_property, f"noise as {fmt}", message)
    assert ("unparsed" in site.meta("p", "hostile")) == (fmt == "json")


@pytest.mark.parametrize("site", ["couch"], indirect=True)
@pytest.mark.parametrize("what", ["texts", "lines", "members", "noise"])
def test_and_with_couchdb(site, what, sanitized, record_property):
    message = (json.dumps({"syskey": "hostile", "format": "string", "p": noise(KEPT)}).encode() if what == "noise"
               else kept(what))
    cost(site, sanitized, record_property, f"{what}, CouchDB", numbered(message, 2), numbered(message, 1))
    assert site.value("n", "hostile") == 2


def numbered(message, i):
    """With a plugin "n", whose value says which of them it is."""
    return b'{"n":%d,' % i + message[1:]


def of_many_plugins(i):
    return json.dumps({"n": i, "syskey": "hostile", "format": "raw", f"p{i % 10}": "x" * 500_000}).encode()


def yaml(i):
    return json.dumps({"n": i, "syskey": "hostile", "format": "yaml", "p": "- a: [1, 2]\n" * 80_000}).encode()


def failure(i):
    return json.dumps({"n": i, "syskey": "hostile", "format": "raw",
                       "last_error": {"timestamp": "", "message": "x" * KEPT}}).encode()


FLOODS = {
    "numbers in a text": lambda: [numbered(kept("numbers in a text"), i) for i in range(20)],
    "lines": lambda: [numbered(kept("lines"), i) for i in range(20)],
    "many plugins": lambda: [of_many_plugins(i) for i in range(60)],
    "yaml": lambda: [yaml(i) for i in range(60)],
    "failures": lambda: [failure(i) for i in range(20)],
}


def quorum(whats):
    """Each of them, and some on a quorum queue too, which counts what is given back and has an order of its own for it."""
    return [(what, "classic") for what in whats] + [(what, "quorum") for what in ("lines", "many plugins")]


@pytest.mark.parametrize("what,queue", quorum(FLOODS))
def test_other_hosts_do_not_wait(site, what, queue, sanitized):
    """What one host floods with is taken in hand a few at a time: who comes behind all of it is stored before its end."""
    monitor = collector(site, f"master_queue.type={queue}")
    flood = FLOODS[what]()
    others = [f"other{i}" for i in range(50)]
    large = json.dumps({"syskey": "large", "format": "raw", "q": "x" * 200_000}).encode()
    publish(site, *flood, large, *map(small, others))
    wait_until(lambda: monitor.metric("vogeler_acked_total") == len(flood) + len(others) + 1, "all are acked", patience=300)
    assert site.value("n", "hostile") == len(flood) - 1, "the last one came last"
    last = site.meta("n", "hostile")["received_at"]
    came = {host: site.meta("q", host)["received_at"] for host in ["large", *others]}
    assert max(came.values()) < last, (last, came)
    assert monitor.metric("vogeler_inbox_held_bytes") == 0
    assert monitor.metric("vogeler_inbox_over_share") == 0
    seconds = monitor.metric("vogeler_loop_pass_cpu_seconds_max")
    assert sanitized or seconds < 0.1


@pytest.mark.parametrize("queue", ["classic", "quorum"])
def test_a_host_of_which_more_waits_than_is_prefetched(site, queue):
    """The tags of half the prefetch are held at most before the others have all of it again."""
    monitor = collector(site, f"master_queue.type={queue}", "server.prefetch=8", "server.intake_max_bytes=1MiB")
    flood = [json.dumps({"syskey": "hostile", "format": "raw", "n": i, "p": "x" * 200_000}).encode() for i in range(60)]
    publish(site, *flood, small("other"))
    wait_until(lambda: monitor.metric("vogeler_acked_total") == len(flood) + 1, "all are acked", patience=60)
    assert site.value("n", "hostile") == len(flood) - 1
    assert site.meta("q", "other")["received_at"] < site.meta("n", "hostile")["received_at"]
