# SPDX-License-Identifier: Apache-2.0
"""Durability as it is configured: what queues are made with, on a fresh broker and where a queue of 2010 is already; what
full queues, lost hosts and a store that is away do then."""
import json
import re
import shlex
import signal
import sqlite3

import pytest

from lib.broker import binary
from lib.http import Monitor
from lib.waiting import wait_until


def queues(site):
    """name -> arguments, with the type among them. (RabbitMQ 4 lists x-queue-type for a queue that was declared without.)"""
    listed = json.loads(site.broker.ctl("list_queues", "-p", site.vhost, "--formatter", "json", "name", "type",
                                        "arguments"))
    found = {}
    for queue in listed:
        arguments = {a[0]: a[2] for a in queue["arguments"]} if isinstance(queue["arguments"], list) \
            else dict(queue["arguments"])
        if queue["type"] == "classic" and site.broker.major() >= 4:
            arguments.pop("x-queue-type", None)
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
DEAD = dict(PLAIN, **{"x-max-length-bytes": 64 << 20, "x-overflow": "drop-head"})
NO_LIMIT = {"x-delivery-limit": 2147483647}  # of ours; RabbitMQ 4 has one of its own otherwise
QUORUM = dict(NO_LIMIT, **{"x-queue-type": "quorum", "type": "quorum"})
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
     dict(DEAD_LETTER, **NO_LIMIT, **{"x-queue-type": "quorum", "x-overflow": "reject-publish", "type": "quorum",
                          "x-dead-letter-strategy": "at-least-once"})),
]
ONLY_HOST = [
    ({"type": "quorum"}, dict(NO_LIMIT, **{"x-queue-type": "quorum", "x-single-active-consumer": True, "type": "quorum"})),
    ({"type": "quorum", "delivery_limit": 20},
     {"x-queue-type": "quorum", "x-single-active-consumer": True, "x-delivery-limit": 20, "type": "quorum"}),
]


def of_release(site, arguments):
    """What a queue of answers has where its type goes by the release."""
    return dict(QUORUM, **{k: v for k, v in arguments.items() if k != "type"}) if site.broker.major() >= 4 else arguments


def test_defaults_are_those_of_2010(site):
    """But for the type, where RabbitMQ syncs no classic queue."""
    admin_setup(site, "web01")
    answers = of_release(site, PLAIN)
    assert queues(site) == {"web01": PLAIN, "master.in": answers, "vogeler.fresh": answers, "vogeler.dead": of_release(site, DEAD)}
    # Declared as in 2010, which fails if a single argument differs.
    if answers == PLAIN:
        site.party("Server2010")
    site.party("Client2010", "web01")


@pytest.mark.parametrize("keys,arguments", EACH + ONLY_MASTER, ids=[",".join(k) for k, _ in EACH + ONLY_MASTER])
def test_fresh_master_queue(site, keys, arguments):
    admin_setup(site, "web01", options=options("master_queue", **keys))
    answers = dict(of_release(site, PLAIN), **arguments)
    assert queues(site) == {"web01": PLAIN, "master.in": answers, "vogeler.fresh": answers, "vogeler.dead": of_release(site, DEAD)}


@pytest.mark.parametrize("keys,arguments", EACH + ONLY_HOST, ids=[",".join(k) for k, _ in EACH + ONLY_HOST])
def test_fresh_host_queue(site, keys, arguments):
    admin_setup(site, "web01", options=options("host_queue", **keys))
    answers = of_release(site, PLAIN)
    assert queues(site) == {"web01": dict(PLAIN, **arguments), "master.in": answers, "vogeler.fresh": answers,
                            "vogeler.dead": of_release(site, DEAD)}


def test_daemons_make_what_setup_makes(site):
    everything = dict(type="quorum", expires="1h", max_length=10, max_length_bytes="1MiB", overflow="reject-publish",
                      message_ttl="10min")
    chosen = options("host_queue", **everything) + \
        options("master_queue", dead_letter="yes", delivery_limit=50, **everything)
    site.plugin("one", "echo 1")
    site.agent(options=chosen)
    made = queues(site)
    assert made["web01"]["x-max-length"] == 10 and made["master.in"]["x-delivery-limit"] == 50, made
    assert made["vogeler.dead"] == of_release(site, DEAD), made
    site.collector(options=chosen)
    site.ask("one")
    assert site.wait_plugin("one") == ["1"]
    again = admin_setup(site, "web01", options=chosen)
    assert "created" not in re.sub("database.*", "", again.out), again


def declare(site, name, **arguments):
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_declare(name, durable=True, arguments={k.replace("_", "-"): v for k, v in arguments.items()})
    connection.close()


def doctor(site, chosen):
    argv = ["doctor", "--option", "client.name=web01", "--option", f"client.state_dir={site.folder}"]
    for option in chosen:
        argv += ["--option", option]
    return site.admin(*argv, qhost=True, status=None).out


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


def policies(site):
    """What holds for each queue by a policy."""
    def listed(*what):
        return json.loads(site.broker.ctl(*what, "-p", site.vhost, "--formatter", "json"))
    definitions = {p["name"]: p["definition"] for p in listed("list_policies")}
    definitions = {k: json.loads(v) if isinstance(v, str) else v for k, v in definitions.items()}
    return {q["name"]: definitions.get(q["policy"], {}) for q in listed("list_queues", "name", "policy")}


def set_policies(site, said):
    """Pastes each line that sets a policy."""
    for line in re.findall(r"rabbitmqctl (set_policy .*)", said):
        site.broker.ctl(*shlex.split(line))
    named = re.findall("set_policy .*--apply-to queues '([^']*)'", said)
    wait_until(lambda: all(policies(site)[name] for name in named), "each policy holds for its queue")
    return policies(site)


# On RabbitMQ 4 a new queue of type "auto" would be a quorum queue, and that of 2010 is none.
@pytest.mark.parametrize("kind", ["classic", "auto"])
def test_setup_explains_and_the_policy_it_names_does_it(old, kind):
    chosen = options("master_queue", type=kind, dead_letter="yes", **LIMITS)
    admin_setup(old, options=options("master_queue", type=kind))
    done = admin_setup(old, options=chosen, status=1)
    for name in ("master.in", "vogeler.fresh"):
        assert f"queue {name} exists with other arguments; wanted: " in done.err, done
    assert "inequivalent arg" in done.err and "web01" not in done.err, done
    assert "take expires, max_length, max_length_bytes, overflow, message_ttl and dead_letter out of [master_queue]" in done.err, done
    assert "delete_queue" not in done.err, done  # nobody need lose anything
    assert "database" in done.out, done  # the rest was done
    told = doctor(old, chosen)
    for name in ("master.in", "vogeler.fresh"):
        assert re.search(f"FAIL.*queue {name} is there.*made without x-expires 3600000, x-max-length 1000, ", told), told
    assert "set_policy" in told and "delete_queue -p" not in told, told
    held = set_policies(old, done.err)
    kept = {"expires": 3600000, "max-length": 1000, "max-length-bytes": 1 << 30, "overflow": "reject-publish",
            "message-ttl": 1800000, "dead-letter-exchange": "", "dead-letter-routing-key": "vogeler.dead"}
    # What setup made a moment ago is of the release; what is of 2010 is classic.
    if kind == "auto" and old.broker.major() >= 4:
        assert held["vogeler.fresh"] == dict(kept, **{"dead-letter-strategy": "at-least-once"}), held
    else:
        assert held["vogeler.fresh"] == kept, held
    assert held["master.in"] == kept and not held["web01"], held
    admin_setup(old, options=options("master_queue", type=kind))  # without the keys, as it says


def test_setup_explains_and_a_policy_does_it_to_what_a_quorum_queue_lacks(site):
    """A queue of 0.1.0 has no delivery limit, and may be asked to have more by now."""
    declare(site, "master.in", x_queue_type="quorum")
    chosen = options("master_queue", type="auto", max_length=7)
    done = admin_setup(site, options=chosen, status=1)
    assert "delete_queue" not in done.err, done
    held = set_policies(site, done.err)
    assert held == {"master.in": {"delivery-limit": 2147483647, "max-length": 7}, "vogeler.dead": {}, "vogeler.fresh": {}}, held


def test_setup_names_the_loss_only_where_a_queue_has_what_no_policy_takes_away(site):
    declare(site, "master.in", x_max_length=5)
    done = admin_setup(site, options=options("master_queue", max_length=7), status=1)
    assert "set_policy" not in done.err, done
    assert "for no policy can change that" in done.err and "what waits in it is lost" in done.err, done
    assert "make [master_queue] say what is there" in done.err, done


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
    admin_setup(site)  # "auto" takes what it finds
    done = admin_setup(site, options=options("master_queue", type="classic"), status=1)
    assert "queue master.in exists with other arguments; wanted: no arguments" in done.err, done
    assert "make [master_queue] say what is there" in done.err, done


def test_a_limit_of_ours_that_an_older_queue_lacks_is_named_with_its_policy(site):
    """No option is wrong, and the status says so."""
    declare(site, "vogeler.dead")
    declare(site, "master.in", x_queue_type="quorum")
    declare(site, "web01", x_queue_type="quorum", x_single_active_consumer=True)
    chosen = options("master_queue", type="quorum") + options("host_queue", type="quorum")
    done = admin_setup(site, "web01", options=chosen)
    for name in ("master.in", "web01"):
        assert f"queue {name} was made without x-delivery-limit 2147483647: RabbitMQ 4 drops" in done.err, done
    assert "queue vogeler.dead was made without x-max-length-bytes 67108864, x-overflow drop-head: it grows" in done.err, done
    assert set_policies(site, done.err) == {
        "master.in": {"delivery-limit": 2147483647}, "web01": {"delivery-limit": 2147483647},
        # It is classic: beside a delivery limit its others would not hold.
        "vogeler.dead": {"max-length-bytes": 64 << 20, "overflow": "drop-head"}, "vogeler.fresh": {}}, done
    told = doctor(site, chosen)
    for name in ("master.in", "vogeler.dead"):
        assert re.search(f"warn.*queue {name} is there.*made without x-", told), told


# Without a leader

def has_leader(site, queue):
    name = binary(f"{site.vhost}_{queue}")
    return site.broker.eval(f"ra:members({{binary_to_atom({name}), node()}}, 1000)").startswith("{ok")


def make_leaderless(site, queue):
    """By a kill before RabbitMQ has on disk all that it notes of a new queue."""
    for _ in range(5):
        declare(site, queue, x_queue_type="quorum")
        site.broker.kill()
        site.broker.start()
        if not has_leader(site, queue):
            return
        site.broker.ctl("delete_queue", "-p", site.vhost, queue)
    raise AssertionError("RabbitMQ was five times quicker than its end")


def test_a_queue_without_a_leader_is_told_and_made_anew(own_site):
    make_leaderless(own_site, "master.in")
    chosen = ["amqp.connect_timeout=3s"] + options("master_queue", type="quorum")
    collector = own_site.collector(options=chosen, ready=False)
    collector.wait_log('starting a consumer of queue "master.in"')
    told = doctor(own_site, chosen)
    line = re.search(r"FAIL *arrival .*rabbitmqctl (delete_queue -p '[^']*' 'master.in')", told)
    assert line and line[1] in collector.log(), told
    own_site.broker.ctl(*shlex.split(line[1]))
    own_site.plugin("one", "echo 1")
    own_site.agent()
    own_site.ask("one")
    assert own_site.wait_plugin("one") == ["1"]


# Full queues

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
    assert "refused by the broker" in done.err and "full" in done.err, done


def test_what_a_limit_drops_is_dead_lettered(site):
    chosen = options("master_queue", max_length=1, dead_letter="yes")
    admin_setup(site, options=chosen)
    client = site.party("Client2010", "web01")
    client.answer("a", "1", "output")
    client.answer("b", "2", "output")
    site.wait_queue("vogeler.dead", 1)
    (_, body), = site.dead_letters()
    assert json.loads(body)["a"] == "1"


# What is given back again and again

def give_back(site, queue, n):
    """Takes what waits there, and gives it back."""
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.basic_qos(prefetch_count=n)
    got = []
    channel.basic_consume(queue, lambda _channel, method, _properties, _body: got.append(method.delivery_tag))
    wait_until(lambda: connection.process_data_events(0.05) or len(got) >= n, f"{n} messages come from {queue}")
    channel.basic_nack(got[-1], multiple=True, requeue=True)
    connection.close()


def test_25_give_backs_lose_nothing(site):
    """RabbitMQ 4 drops what is in a quorum queue at the 21st, unless it is told otherwise."""
    chosen = options("host_queue", type="quorum") + options("master_queue", type="quorum")
    admin_setup(site, "web01", options=chosen)
    client = site.party("Client2010", "web02")
    plugins = ["a", "b", "c"]
    for plugin in plugins:
        client.answer(plugin, plugin, "output")
    site.party("Runner2010").send("one", "web01")
    for _ in range(25):
        give_back(site, "master.in", len(plugins))
        give_back(site, "web01", 1)
    site.plugin("one", "echo 1")
    site.collector(options=chosen)
    site.agent(options=chosen)
    assert site.wait_plugin("one") == ["1"]
    site.wait_record(lambda r: all(r.get(p) == [p] for p in plugins), "all answers are stored", "web02")
    assert site.dead_letters() == []


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


# The store is away for longer than the broker waits for an acknowledgement

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
    for i in range(n):
        made.party("Client2010", f"web{i}").answer("p", "x" * size, "output")
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
    for i in range(n):
        made.wait_plugin("p", f"web{i}")
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
