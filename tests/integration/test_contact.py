# SPDX-License-Identifier: Apache-2.0
"""Whether a host is online is known from who reads its queue, not from when it answered last: the collector looks, and
stores what changes."""
import json
import re
from signal import SIGCONT, SIGHUP, SIGSTOP

import pika

from lib.site import all_stores
from lib.waiting import wait_until

# Of the collector's looks by itself: at a host that says hello at once, at all of them each 12 to 15 s.
PATIENCE = 120


def contacts(site):
    return {h["host"]: dict(h["contact"], last_seen=h["last_seen"]) for h in json.loads(site.admin("--json", "hosts").out)}


def wait_state(site, host, state, looking=None):
    """looking: the collector that is not to take its time for it."""
    def seen():
        if looking:
            look(looking)
        found = contacts(site).get(host)
        if found is None or found["state"] != state:
            return None
        # An answer after the look is contact, too; here it is about the look.
        return found if state != "online" or found["since"] != found["last_seen"] else None
    return wait_until(seen, f"{host} is {state}", PATIENCE, step=0.5)


def row(site, host):
    lines = [line for line in site.admin("hosts").out.splitlines() if line.startswith(host + " ")]
    assert len(lines) == 1, lines
    return lines[0]


def look(collector):
    """It looks at all of them when it is reloaded."""
    collector.signal(SIGHUP)


def hello(site, host):
    """A host that has no agent: it was heard of, and nobody reads a queue of its name."""
    connection = site.broker.connect(site.vhost)
    body = json.dumps({"syskey": host, "format": "pydict"})
    connection.channel().basic_publish("vogeler.master.in", "", body.encode(), pika.BasicProperties(delivery_mode=2))
    connection.close()


@all_stores
def test_hosts_come_and_go(site):
    soon = ("amqp.reconnect_max=1s",)  # who has not been seen may be on its way for twice that
    collector = site.collector(options=soon)
    agent = site.agent()
    online = wait_state(site, "web01", "online")
    assert online["since"]
    assert re.search(r"^web01 +online ", row(site, "web01"))
    assert f"contact     online since {online['since'][:19]}Z (" in site.admin("show", "web01").out
    hello(site, "web02")
    wait_state(site, "web02", "never", looking=collector)
    assert re.search(r"^web02 +never ", row(site, "web02"))
    # Nobody stops it from answering later: its last answer says nothing.
    agent.stop()
    offline = wait_state(site, "web01", "offline", looking=collector)
    assert online["since"] <= offline["since"] <= offline["looked_at"]
    assert re.search(r"^web01 +offline \d+ \w+ ago ", row(site, "web01"))
    both = site.admin("show", "web*").out
    assert f"contact     offline since {offline['since'][:19]}Z (" in both
    assert "contact     never: nobody was ever seen to read its queue" in both
    doctor = site.admin("doctor", status=None, qhost=True).out
    assert re.search(r"store contact .*hosts online=0, offline=1, never=1, unknown=0", doctor), doctor
    # An answer after the latest look is contact, for both.
    hello(site, "web01")
    wait_until(lambda: contacts(site)["web01"]["last_seen"] > contacts(site)["web01"]["looked_at"], "it has answered")
    doctor = site.admin("doctor", status=None, qhost=True).out
    assert re.search(r"^web01 +online ", row(site, "web01"))
    assert re.search(r"store contact .*hosts online=1, offline=0, never=1, unknown=0", doctor), doctor
    # Back, and it said so.
    agent = site.agent()
    assert wait_state(site, "web01", "online", looking=collector)["since"] > offline["since"]
    # What was known is known to the next collector, and to nobody in between.
    collector.stop()
    done = site.admin("hosts")
    assert re.search(r"^web01 +unknown ", done.out, re.M) and re.search(r"^web02 +unknown ", done.out, re.M)
    assert "which hosts are online is unknown: no collector has looked at the queues of hosts since 20" in done.err
    assert "contact     unknown: no collector has looked at the queues of hosts since 20" in site.admin("show", "web01").out
    before = contacts(site)["web01"]
    assert before["state"] == "unknown" and before["looked_at"]
    collector = site.collector(options=soon)
    assert wait_state(site, "web02", "never")
    wait_state(site, "web01", "online")
    agent.stop()


def test_a_broker_that_restarts_makes_nobody_offline(own_site):
    """All agents are on their way back then, some for longer than the collector takes for two looks."""
    site = own_site
    collector = site.collector(options=("amqp.reconnect_max=30s",))
    agent = site.agent(options=("amqp.reconnect_max=1s",))
    online = wait_state(site, "web01", "online")
    looks = "bindings.*queues of hosts: bound=1,"
    agent.signal(SIGSTOP)
    site.broker.restart()
    for _ in range(3):
        before = collector.log_count(looks)
        look(collector)
        collector.wait_log(looks, before + 1)
    # What is stored of a look later than those.
    site.agent("web02")
    wait_state(site, "web02", "online", looking=collector)
    assert site.broker.queue(site.vhost, "web01")[1] == 0
    assert contacts(site)["web01"]["since"] == online["since"]
    agent.signal(SIGCONT)
    site.wait_consumer("web01", agent)
    assert wait_state(site, "web01", "online", looking=collector)["since"] == online["since"]
    agent.stop()


def test_one_that_does_not_come_back_to_the_broker_is_offline(own_site):
    """When the time that agents are given has passed."""
    site = own_site
    collector = site.collector(options=("amqp.reconnect_max=500ms",))
    agent = site.agent()
    wait_state(site, "web01", "online")
    agent.signal(SIGSTOP)
    site.broker.restart()
    wait_state(site, "web01", "offline", looking=collector)
    agent.signal(SIGCONT)
    wait_state(site, "web01", "online", looking=collector)
    agent.stop()


def test_a_host_that_is_not_bound_is_looked_at_all_the_same(site):
    """Looking takes no rights: a collector that may not write to the queues of hosts knows who reads them."""
    own = r"^(vogeler\..*|master\.in)$"
    name = f"collector-{site.vhost.strip('/')}"
    site.broker.add_user(name, "pw")
    site.broker.set_permissions(site.vhost, name, own, own, own)
    site.collector(qhost=site.broker.uri(site.vhost, name, "pw"))
    agent = site.agent()
    wait_state(site, "web01", "online")
    agent.stop()
