# SPDX-License-Identifier: Apache-2.0
"""Memory that is out, wherever it is: the collector goes on or ends with a word, never by a signal, and no answer is lost."""
import base64
import json
import random
import re
import resource

import pika
import pytest
from lib.http import Monitor
from lib.site import all_stores
from lib.waiting import wait_until

pytestmark = pytest.mark.as_shipped

SIZE = 4_000_000
LEFT = [0, 4, 12]  # MiB of address space, beside what the collector has
KINDS = {
    "raw": lambda: [0] + [""] * (SIZE // 4),
    "string": lambda: base64.b64encode(random.Random(1).randbytes(SIZE // 4 * 3)).decode(),
    "yaml": lambda: "- [a, {b: 1}]\n" * 15_000,
}
WAITS = r"no memory for a message|vogeler.dead: takes nothing|inbox: TAKING -> (PROBING|TRYING)"


def limit(process, left):
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as f:
        size = int(f.read().split()[0]) * resource.getpagesize()
    resource.prlimit(process.pid, resource.RLIMIT_AS, (size + left, resource.RLIM_INFINITY))


def publish(site, host, fmt):
    connection = site.broker.connect(site.vhost)
    body = json.dumps({"syskey": host, "format": fmt, "p": KINDS[fmt]()}).encode()
    connection.channel().basic_publish("vogeler.master.in", "", body, pika.BasicProperties(delivery_mode=2))
    connection.close()


def dead_letters(site):
    """Their hosts, and why."""
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    found = {}
    while True:
        method, properties, body = channel.basic_get("vogeler.dead", auto_ack=True)
        if method is None:
            break
        found[re.search(rb'"syskey": ?"(\w+)"', body).group(1).decode()] = properties.headers["x-reason"]
    connection.close()
    return found


def acked(monitor):
    """0 also when the collector ends while it is asked."""
    try:
        return monitor.metric("vogeler_acked_total")
    except (OSError, AssertionError):  # an HTTP status of want of memory, too
        return 0


def try_one(site, name, fmt, left):
    """A collector that has so much left; None: as much as it likes."""
    monitor = Monitor("server")
    collector = site.collector(name=f"vogelerd-{name}", options=[monitor.option], level="INFO")
    collector.may_fail = True
    publish(site, f"before{name}", "yaml")
    wait_until(lambda: monitor.metric("vogeler_acked_total") >= 1, "it is at work")
    if left is not None:
        limit(collector, left)
    publish(site, f"host{name}", fmt)
    wait_until(lambda: not collector.running or acked(monitor) >= 2 or collector.log_contains(WAITS),
               "it has ended, goes on, or waits for memory", 120)
    if collector.running:
        resource.prlimit(collector.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        collector.stop()
        return "goes on"
    assert collector.wait() == 1, f"it ended with {collector.wait()}"
    collector.wait_log(r"CRITICAL\] vogelerd \(memory\) - there is none left")
    return "ends"


@all_stores
def test_without_memory_nothing_is_lost(site, sanitized):
    lefts = [None] if sanitized else [n << 20 for n in LEFT]  # a sanitizer ends the program itself
    tries = [(f"{fmt}{i}", fmt, left) for i, left in enumerate(lefts) for fmt in KINDS]
    ends = [try_one(site, *one) for one in tries]
    assert "goes on" in ends, ends
    site.collector(name="last")
    site.wait_drained("master.in")
    dead = dead_letters(site)
    for name, _, _ in tries:
        assert site.record(f"before{name}") is not None
        assert "no memory to read" in dead.get(f"host{name}", "") or site.record(f"host{name}") is not None, (name, dead)
