# SPDX-License-Identifier: Apache-2.0
"""Fresh before stale: what is asked now is answered while a backlog of old answers waits, by any of the collectors."""
import json
import re
import time
from signal import SIGHUP

import pika
import pytest
from lib.waiting import wait_until

pytestmark = pytest.mark.as_shipped

BACKLOG = 100_000
HOSTS = 5000
OLD, FRESH = "master.in", "vogeler.fresh"


def fill(site, n):
    """So many old answers, put into their queue by the broker itself: no client has to send them one by one."""
    site.admin("setup", qhost=True)
    site.broker.publish(site.vhost, "vogeler.master.in", "", f"""[
        io_lib:format("{{\\"syskey\\":\\"old~b\\",\\"uptime\\":\\"~b\\",\\"format\\":\\"string\\"}}",
            [I rem {HOSTS}, I]) || I <- lists:seq(1, {n})]""")
    site.wait_queue(OLD, n)


def held(site, queue):
    """What waits there and what a collector has in hand."""
    return site.ready(queue) + site.broker.unacked(site.vhost).get(queue, 0)


def consumers(site, queue):
    return (site.broker.queue(site.vhost, queue) or (0, 0))[1]


def wait_consumers(site, n, *queues):
    wait_until(lambda: [consumers(site, q) for q in queues] == [n] * len(queues), f"{n} consume each of {queues}")


def hello(site, *args, **kw):
    """Asks web01 and waits for the answer."""
    return site.runner("-n", "web01", "-x", "hello", "--wait", *args, dbhost=True, **kw)


def test_fresh_before_stale(any_site, record_property):
    """100,000 old answers wait, and a job that is sent now is answered while most of them are still there."""
    site = any_site
    site.plugin("hello", "/bin/echo hi")
    fill(site, BACKLOG)
    site.agent()
    site.collector(level="WARN")
    began = time.monotonic()
    done = hello(site)
    seconds = time.monotonic() - began
    left = held(site, OLD)
    assert re.search("1 targeted = 1 ok", done.out + done.err), done
    assert left > BACKLOG / 2, f"{left} left"
    assert held(site, FRESH) == 0
    assert site.value("hello") == ["hi"]
    record_property("figure", f"{site.dbhost.split(':')[0]}: answered in {seconds:.1f} s, {left} of {BACKLOG} old "
                    "answers still waiting")


def test_two_collectors_read_both(site):
    site.plugin("hello", "/bin/echo hi")
    site.agent()
    collectors = [site.collector(name=f"vogelerd.{n}", level="WARN") for n in range(2)]
    wait_consumers(site, 2, OLD, FRESH)
    hello(site)
    collectors[0].kill()
    collectors[0].may_fail = True
    wait_consumers(site, 1, OLD, FRESH)
    hello(site)


def publish(site, key, **results):
    """An answer of web01 with that key."""
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("vogeler.master.in", key, json.dumps({"syskey": "web01", "format": "json", **results}).encode(),
                          pika.BasicProperties(delivery_mode=2))
    connection.close()


def test_both_are_given_back_while_the_store_is_away(couch_site):
    site = couch_site
    collector = site.collector(options=["server.store_patience=1s"])
    publish(site, "", first="1")
    site.wait_plugin("first")
    wait_consumers(site, 1, OLD, FRESH)
    site.database.drop()
    publish(site, "", old="2")
    publish(site, "fresh", new="3")
    collector.wait_log("Got response for: old")
    collector.wait_log("Got response for: new")
    wait_until(lambda: [site.broker.queue(site.vhost, q) for q in (OLD, FRESH)] == [(1, 0), (1, 0)],
               "both are given back, both consumers cancelled")
    site.database.create()
    record = site.wait_record(lambda r: "old" in r and "new" in r, "has both")
    assert (record["old"], record["new"]) == (2, 3)
    site.wait_drained(OLD)
    wait_consumers(site, 1, OLD, FRESH)


def limited(site, configure, read):
    """The URI of a user with these rights, and to send anything."""
    user = f"limited{site.vhost}"
    site.broker.add_user(user, "pw")
    site.broker.set_permissions(site.vhost, user, configure, ".*", read)
    return site.broker.uri(site.vhost, user, "pw")


GOES_ON = "goes on without queue vogeler.fresh, the broker says .*; cure: let an administrator run vogeler-admin setup"


def test_a_collector_that_may_not_make_it(site):
    """On the queues of 2010: it works, and says once what it has to do without. When an administrator has made the queue
    it is used from the next connection on."""
    site.party("Server2010").close()
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_declare("vogeler.dead", durable=True)
    connection.close()
    site.plugin("hello", "/bin/echo hi")
    agent = site.agent()
    collector = site.collector(qhost=limited(site, "^$", ".*"), level="WARN", options=["amqp.reconnect_max=1s"])
    hello(site)
    agent.wait_log("no queue is bound to exchange vogeler.master.in with key fresh")
    assert site.broker.queue(site.vhost, FRESH) is None
    site.broker.ctl("close_all_connections", "-p", site.vhost, "again")
    site.wait_consumer("web01", agent)
    site.wait_consumer(OLD, collector)
    hello(site)
    assert collector.log_count(GOES_ON) == 1, collector.log()
    site.admin("setup", qhost=True)
    site.broker.ctl("close_all_connections", "-p", site.vhost, "again")
    wait_consumers(site, 1, OLD, FRESH, "web01")
    hello(site)


def test_a_collector_that_may_not_read_it(site):
    """It takes what is in the other queue, and says once what it cannot take, until it is reloaded."""
    site.admin("setup", qhost=True)
    collector = site.collector(qhost=limited(site, "^$", r"^master\.in$"), level="WARN")
    publish(site, "", old="2")
    publish(site, "fresh", new="3")
    assert site.wait_plugin("old") == 2
    assert site.ready(FRESH) == 1
    assert collector.log_count(GOES_ON) == 1, collector.log()
    collector.wait_log('lacks rights on queue "vogeler.fresh"')
    limited(site, "^$", ".*")
    collector.signal(SIGHUP)
    assert site.wait_plugin("new") == 3
