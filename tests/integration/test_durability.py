"""Durability as it is configured: what queues are made with, on a fresh broker and where a queue of 2010 is already; what
full queues, lost hosts and a store that is away do then."""
import json
import re
import shlex
import signal
import sqlite3

import pytest

from lib.http import Monitor
from lib.waiting import wait_until


def queues(site):
    """name -> arguments, with the type among them."""
    listed = json.loads(site.broker.ctl("list_queues", "-p", site.vhost, "--formatter", "json", "name", "type",
                                        "arguments"))
    found = {}
    for queue in listed:
        arguments = {a[0]: a[2] for a in queue["arguments"]} if isinstance(queue["arguments"], list) \
            else dict(queue["arguments"])
        found[queue["name"]] = dict(arguments, type=queue["type"])
    return found


def prefetches(site):
    """Of the consumers there are."""
    listed = json.loads(site.broker.ctl("list_consumers", "-p", site.vhost, "--formatter", "json"))
    return {consumer["queue_name"]: consumer["prefetch_count"] for consumer in listed}


def wait_prefetch(site, count):
    wait_until(lambda: prefetches(site) == {"master.in": count, "vogeler.fresh": count}, f"the collector takes {count} of each")


def options(section, **keys):
    return [f"{section}.{key}={value}" for key, value in keys.items()]


def admin_setup(site, *hosts, options=(), status=0):  # pylint: disable=redefined-outer-name
    argv = ["setup", *hosts]
    for option in options:
        argv = ["--option", option] + argv
    return site.admin(*argv, qhost=True, status=status)


PLAIN = {"type": "classic"}
DEAD_LETTER = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "vogeler.dead"}
EACH = [
    ({"expires": "1h"}, {"x-expires": 3600000}),
    ({"max_length": 3}, {"x-max-length": 3}),
    ({"max_length_bytes": "6GiB"}, {"x-max-length-bytes": 6 << 30}),
    ({"overflow": "reject-publish"}, {"x-overflow": "reject-publish"}),
    ({"message_ttl": "90s"}, {"x-message-ttl": 90000}),
]
ONLY_MASTER = [
    ({"dead_letter": "yes"}, DEAD_LETTER),
    ({"type": "quorum", "delivery_limit": 20}, {"x-queue-type": "quorum", "x-delivery-limit": 20, "type": "quorum"}),
    ({"type": "quorum", "overflow": "reject-publish", "dead_letter": "yes"},
     dict(DEAD_LETTER, **{"x-queue-type": "quorum", "x-overflow": "reject-publish", "type": "quorum",
                          "x-dead-letter-strategy": "at-least-once"})),
]
ONLY_HOST = [
    ({"type": "quorum"}, {"x-queue-type": "quorum", "x-single-active-consumer": True, "type": "quorum"}),
]


def test_defaults_are_those_of_2010(site):
    admin_setup(site, "web01")
    assert queues(site) == {"web01": PLAIN, "master.in": PLAIN, "vogeler.fresh": PLAIN, "vogeler.dead": PLAIN}
    # Declared as in 2010, which fails if a single argument differs.
    site.party("Server2010")
    site.party("Client2010", "web01")


@pytest.mark.parametrize("keys,arguments", EACH + ONLY_MASTER, ids=[",".join(k) for k, _ in EACH + ONLY_MASTER])
def test_fresh_master_queue(site, keys, arguments):
    admin_setup(site, "web01", options=options("master_queue", **keys))
    assert queues(site) == {"web01": PLAIN, "master.in": dict(PLAIN, **arguments),
                            "vogeler.fresh": dict(PLAIN, **arguments), "vogeler.dead": PLAIN}


@pytest.mark.parametrize("keys,arguments", EACH + ONLY_HOST, ids=[",".join(k) for k, _ in EACH + ONLY_HOST])
def test_fresh_host_queue(site, keys, arguments):
    admin_setup(site, "web01", options=options("host_queue", **keys))
    assert queues(site) == {"web01": dict(PLAIN, **arguments), "master.in": PLAIN, "vogeler.fresh": PLAIN,
                            "vogeler.dead": PLAIN}


def test_daemons_make_what_setup_makes(site):
    everything = dict(type="quorum", expires="1h", max_length=10, max_length_bytes="1MiB", overflow="reject-publish",
                      message_ttl="10min")
    chosen = options("host_queue", **everything) + \
        options("master_queue", dead_letter="yes", delivery_limit=50, **everything)
    site.plugin("one", "echo 1")
    site.agent(options=chosen)
    made = queues(site)
    assert made["web01"]["x-max-length"] == 10 and made["master.in"]["x-delivery-limit"] == 50, made
    assert made["vogeler.dead"] == PLAIN, made
    site.collector(options=chosen)
    site.ask("one")
    assert site.wait_plugin("one") == ["1"]
    again = admin_setup(site, "web01", options=chosen)
    assert "created" not in re.sub("database.*", "", again.out), again


# Where a queue of 2010 is

@pytest.fixture(name="old")
def old_fixture(site):
    """The queues of 2010, which keep what was sent before anything new ran."""
    site.party("Server2010")
    site.party("Client2010", "web01")
    site.plugin("one", "echo 1")
    return site


LIMITS = {"expires": "1h", "max_length": 1000, "max_length_bytes": "1GiB", "overflow": "reject-publish",
          "message_ttl": "30min"}


@pytest.mark.parametrize("keys,master", [(LIMITS, {}), (dict(LIMITS, type="quorum"), {"delivery_limit": 20})],
                         ids=["limits", "quorum"])
def test_queue_of_2010_works_unchanged(old, keys, master):
    before = queues(old)
    chosen = options("host_queue", **keys) + options("master_queue", dead_letter="yes", **master, **keys)
    old.party("Runner2010").send("one", "web01")
    collector = old.collector(options=chosen)
    agent = old.agent(options=chosen)
    assert old.wait_plugin("one") == ["1"]
    agent.wait_log('queue "web01" was there and is used as it is')
    collector.wait_log('queue "master.in" was there and is used as it is')
    after = queues(old)
    assert {name: after[name] for name in before} == before


def test_setup_explains_and_the_policy_it_names_does_it(old):
    chosen = options("master_queue", dead_letter="yes", **LIMITS)
    admin_setup(old)
    done = admin_setup(old, options=chosen, status=1)
    for name in ("master.in", "vogeler.fresh"):
        assert f"queue {name} exists with other arguments; wanted: x-expires 3600000, " in done.err, done
    assert "inequivalent arg" in done.err and "web01" not in done.err, done
    assert "database" in done.out, done  # the rest was done
    for line in re.findall(r"rabbitmqctl (set_policy .*)", done.err):
        old.broker.ctl(*shlex.split(line))
    admin_setup(old)  # without the keys, as it says
    policies = json.loads(old.broker.ctl("list_policies", "-p", old.vhost, "--formatter", "json"))
    assert sorted(p["name"] for p in policies) == ["master.in", "vogeler.fresh"], policies
    for policy in policies:
        definition = policy["definition"]
        assert (json.loads(definition) if isinstance(definition, str) else definition) == {
            "expires": 3600000, "max-length": 1000, "max-length-bytes": 1 << 30, "overflow": "reject-publish",
            "message-ttl": 1800000, "dead-letter-exchange": "", "dead-letter-routing-key": "vogeler.dead"}
    listed = old.broker.ctl("list_queues", "-p", old.vhost, "--no-table-headers", "name", "policy")
    assert "master.in\tmaster.in" in listed and "web01\tmaster.in" not in listed, listed


def test_setup_explains_and_making_it_anew_does_it(old):
    chosen = options("host_queue", type="quorum")
    done = admin_setup(old, "web01", options=chosen, status=1)
    assert "queue web01 exists with other arguments; wanted: x-queue-type quorum" in done.err, done
    assert "set_policy" not in done.err and "master.in" not in done.err, done
    line = re.search(r"rabbitmqctl (delete_queue .*?)  ", done.err).group(1)
    old.broker.ctl(*shlex.split(line))
    assert "queue web01: created" in admin_setup(old, "web01", options=chosen).out
    assert queues(old)["web01"]["type"] == "quorum"


def test_setup_tells_of_more_than_is_asked_for(site):
    admin_setup(site, options=options("master_queue", type="quorum"))
    done = admin_setup(site, status=1)
    assert "queue master.in exists with other arguments; wanted: no arguments" in done.err, done
    assert "make [master_queue] say what is there" in done.err, done


# Full queues (row B11)

@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_agent_keeps_what_a_full_queue_refuses(site, kind):
    chosen = options("master_queue", type=kind, max_length=3, overflow="reject-publish")
    names = [f"p{i}" for i in range(8)]
    for name in names:
        site.plugin(name, f"echo {name}")
    admin_setup(site, options=chosen)
    agent = site.agent(options=chosen)
    for name in names:
        site.ask(name)
    agent.wait_log(r"(?i)nack")
    site.collector(options=chosen)
    site.wait_record(lambda r: all(n in r for n in names), "has all that was refused at first")
    site.wait_drained("web01", "master.in")


def test_runner_says_that_a_host_queue_is_full(site):
    chosen = options("host_queue", max_length=1, overflow="reject-publish")
    admin_setup(site, "web01", options=chosen)

    def is_full():
        done = site.runner("-n", "web01", "-x", "one", status=None)
        return done if done.status != 0 else None
    done = wait_until(is_full, "the queue of web01 is full")
    assert done.status == 1, done
    assert "refused the command" in done.err and "full" in done.err, done


def test_what_a_limit_drops_is_dead_lettered(site):
    chosen = options("master_queue", max_length=1, dead_letter="yes")
    admin_setup(site, options=chosen)
    client = site.party("Client2010", "web01")
    client.answer("a", "1", "output")
    client.answer("b", "2", "output")
    site.wait_queue("vogeler.dead", 1)
    (_, body), = site.dead_letters()
    assert json.loads(body)["a"] == "1"


# One reader of a quorum host queue

def test_second_agent_of_a_quorum_queue_stands_by(site):
    chosen = options("host_queue", type="quorum")
    runs = site.folder / "runs"
    site.plugin("count", [site.script("count", f"echo run >>{runs}; wc -l <{runs}")])
    site.collector()
    first = site.agent(options=chosen)
    other = site.folder / "state.other"
    other.mkdir()
    second = site.agent(options=chosen + [f"client.state_dir={other}"], name="second", ready=False)
    wait_until(lambda: site.broker.queue(site.vhost, "web01")[1] >= 1 and second.log_contains("waiting for commands"),
               "the second agent consumes")
    site.ask("count")
    assert site.wait_plugin("count") == ["1"]
    first.stop()
    site.ask("count")
    site.wait_record(lambda r: r.get("count") == ["2"], "the second agent answers")


# The store is away for longer than the broker waits for an acknowledgement (row B15)

@pytest.fixture
def impatient(broker):
    """The broker closes a channel that holds a delivery for 5 s, and looks each second."""
    broker.eval("application:set_env(rabbit, consumer_timeout, 5000), "
                "application:set_env(rabbit, channel_tick_interval, 1000)")
    yield broker
    broker.eval("application:set_env(rabbit, consumer_timeout, 1800000), "
                "application:set_env(rabbit, channel_tick_interval, 60000)")


def test_store_away_for_longer_than_the_consumer_timeout(site, impatient):
    collector = site.collector(options=["server.store_patience=500ms"])
    client = site.party("Client2010", "web01")
    client.answer("before", "1", "output")
    site.wait_plugin("before")
    # Somebody who holds a delivery, and shows when the broker's patience is over.
    witness = site.broker.connect(site.vhost)
    channel = witness.channel()
    channel.queue_declare("witness")
    channel.basic_publish("", "witness", b"x")
    away = site.folder / "away.db"
    (site.folder / "records.db").rename(away)  # writing to a file that nobody will find is no storing
    client.answer("during", "2", "output")
    collector.wait_log("[0-9] deliveries given back")
    site.wait_queue("master.in", 1)
    held = []
    channel.basic_consume("witness", lambda *message: held.append(message))

    def is_closed():
        try:
            witness.process_data_events(0.05)
        except Exception as e:  # pylint: disable=broad-except
            return str(e)
        return channel.is_closed
    wait_until(is_closed, "the broker closes the channel of who holds a delivery")
    assert held
    away.rename(site.folder / "records.db")
    site.wait_plugin("during")
    site.wait_drained("master.in")
    assert not collector.log_contains("timed out|PRECONDITION"), collector.log()
    assert collector.log_count(r"[0-9] deliveries given back") == 1


# What the collector takes in hand, and how the store keeps it, whoever made the queue

@pytest.fixture(name="made", params=["fresh", "2010"])
def made_fixture(request, site):
    """The queue is made by the programs, or was there."""
    return request.getfixturevalue("old") if request.param == "2010" else site


def test_prefetch(made):
    made.collector(options=["server.prefetch=17"])
    wait_prefetch(made, 17)
    made.party("Client2010", "web01").answer("a", "1", "output")
    assert made.wait_plugin("a") == ["1"]


def test_intake_max_bytes(made):
    """While the store is held, the collector takes no more in hand than that, until a reload allows it more."""
    limit, size, n = 64 << 10, 16 << 10, 60
    text = "[server]\nprefetch = 1000\nstore_patience = 10min\nintake_max_bytes = {}\n"
    conf = made.file("vogeler.conf", text.format(limit))
    monitor = Monitor("server")
    collector = made.collector("-c", conf, options=[monitor.option])
    lock = sqlite3.connect(made.folder / "records.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    client = made.party("Client2010", "web01")
    for i in range(n):
        client.answer(f"p{i}", "x" * size, "output")
    made.wait_queue("master.in", 0)  # prefetch alone would let all of it through
    wait_until(lambda: monitor.metric("vogeler_inbox_paused") == 1, "it is over the limit and reads no more")

    def in_hand():
        seen = monitor.metrics()
        return int(seen["vogeler_inbox_deliveries"]), seen["vogeler_inbox_held_bytes"]
    for _ in range(5):
        deliveries, held = in_hand()
        # The one that goes over the limit is taken, and what was read together with it from the socket.
        assert 0 < deliveries < n / 2 and held > limit, (deliveries, held)
    made.file("vogeler.conf", text.format("32MiB"))
    collector.signal(signal.SIGHUP)
    wait_until(lambda: in_hand()[0] == n, "it has all in hand")
    assert monitor.metric("vogeler_inbox_paused") == 0
    lock.execute("ROLLBACK")
    lock.close()
    made.wait_record(lambda r: all(f"p{i}" in r for i in range(n)), "has everything")
    made.wait_drained("master.in")


@pytest.mark.parametrize("chosen,holds", [((), "full"), (("sqlite.synchronous=normal",), "normal")], ids=["default", "normal"])
def test_synchronous(made, chosen, holds):
    """What SQLite itself says of the connection that writes."""
    collector = made.collector(options=chosen)
    collector.wait_log(rf"records.db\]: opened, synchronous={holds}$")
    made.party("Client2010", "web01").answer("a", "1", "output")
    assert made.wait_plugin("a") == ["1"]
    made.wait_drained("master.in")


# SIGHUP

def test_reload_applies_prefetch_to_the_running_consumer(site):
    conf = site.file("vogeler.conf", "[server]\nprefetch = 17\nintake_max_bytes = 1MiB\n")
    collector = site.collector("-c", conf)
    wait_prefetch(site, 17)
    site.file("vogeler.conf", "[server]\nprefetch = 5\nintake_max_bytes = 2MiB\n")
    collector.signal(signal.SIGHUP)
    wait_prefetch(site, 5)
    client = site.party("Client2010", "web01")
    client.answer("a", "1", "output")
    assert site.wait_plugin("a") == ["1"]
