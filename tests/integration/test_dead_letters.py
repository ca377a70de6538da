# SPDX-License-Identifier: Apache-2.0
"""The queue of dead letters is full or forbidden, or its broker blocks whoever publishes: poison waits, good answers do not,
and health says so. When it takes letters again every one of them arrives."""
import json

import pika

from lib.http import Monitor
from lib.waiting import wait_until

POISON = 1000
GOOD = 20
PATIENCE = 120


def publish(channel):
    """1,000 of poison in front of good answers."""
    for n in range(POISON):
        channel.basic_publish("vogeler.master.in", "", f"not json {n}".encode(), pika.BasicProperties(delivery_mode=2))
    for n in range(GOOD):
        body = json.dumps({"syskey": f"host{n:02}", "ps": "a", "format": "raw"})
        channel.basic_publish("vogeler.master.in", "", body.encode(), pika.BasicProperties(delivery_mode=2))


def declare(channel):
    channel.exchange_declare("vogeler.master.in", "direct", durable=True)
    channel.queue_declare("master.in", durable=True)
    channel.queue_bind("master.in", "vogeler.master.in", "")
    channel.queue_declare("vogeler.dead", durable=True)


def limit(site):
    site.broker.ctl("set_policy", "-p", site.vhost, "full", r"^vogeler\.dead$",
                    '{"max-length": 1, "overflow": "reject-publish"}', "--apply-to", "queues")


def collector(site, **kw):
    monitor = Monitor("server")
    monitor.process = site.collector(options=[monitor.option, "server.prefetch=100"], level="INFO", **kw)
    monitor.process.wait_log("/metrics and /healthz on")
    return monitor


def expect_good_ones_stored(site, monitor, in_queue=0):
    wait_until(lambda: site.admin("show", f"host{GOOD - 1:02}", status=None).status == 0, "good answers are stored", PATIENCE)
    for n in range(GOOD):
        site.admin("show", f"host{n:02}")
    wait_until(lambda: monitor.narrow(r"^dead letters: vogeler\.dead takes nothing, \d+ refused responses wait for it, since"),
               "health says so", PATIENCE)
    monitor.process.wait_log(r"vogeler\.dead: takes nothing, ")
    wait_until(lambda: monitor.metric("vogeler_dead_held") == POISON - 100 - in_queue, "the tags of all are held", PATIENCE)
    assert monitor.metric("vogeler_dead_waiting") <= 100


def expect_all_buried(site, monitor, channel):
    seen = set()

    def all_arrived():
        while True:
            method, _, body = channel.basic_get("vogeler.dead", auto_ack=True)
            if method is None:
                return len(seen) == POISON
            seen.add(body)
    wait_until(all_arrived, "all are in vogeler.dead", PATIENCE)
    wait_until(lambda: site.broker.messages(site.vhost)["master.in"] == 0, "nothing is held", PATIENCE)
    wait_until(monitor.is_well, "all is well", PATIENCE)


def test_full(site):
    channel = site.broker.connect(site.vhost).channel()
    declare(channel)
    limit(site)
    publish(channel)
    monitor = collector(site)
    expect_good_ones_stored(site, monitor, in_queue=1)
    site.broker.ctl("clear_policy", "-p", site.vhost, "full")
    expect_all_buried(site, monitor, channel)


def test_forbidden(site):
    channel = site.broker.connect(site.vhost).channel()
    declare(channel)
    publish(channel)
    user = f"c{site.vhost}"
    site.broker.add_user(user, "pw")
    site.broker.set_permissions(site.vhost, user, write=r"^(?!amq\.default$).*")
    monitor = collector(site, qhost=site.broker.uri(site.vhost, user, "pw"))
    expect_good_ones_stored(site, monitor)
    site.broker.set_permissions(site.vhost, user)
    expect_all_buried(site, monitor, channel)


def test_blocked(own_site):
    site = own_site
    channel = site.broker.connect(site.vhost).channel()
    declare(channel)
    publish(channel)
    site.broker.ctl("set_vm_memory_high_watermark", "0.0001")
    monitor = collector(site)
    expect_good_ones_stored(site, monitor)
    site.broker.ctl("set_vm_memory_high_watermark", "0.4")
    expect_all_buried(site, monitor, site.broker.connect(site.vhost).channel())


def test_stopping_gives_what_is_held_back(site):
    channel = site.broker.connect(site.vhost).channel()
    declare(channel)
    limit(site)
    publish(channel)
    monitor = collector(site)
    expect_good_ones_stored(site, monitor, in_queue=1)
    monitor.process.stop()
    wait_until(lambda: site.broker.queue(site.vhost, "master.in")[0] >= POISON - 1, "it is in its queue again")
    assert site.broker.messages(site.vhost)["master.in"] + site.broker.messages(site.vhost)["vogeler.dead"] >= POISON
