"""DESIGN 6, the promises that are in reach: each test is named after one. Kills are drawn from a printed seed
(VOGELER_SEED replays it)."""
import json
import os
import random
import re
import time

import pika
import pytest

from lib.waiting import wait_until

KILLS = int(os.environ.get("VOGELER_KILLS", "12"))


@pytest.fixture
def dice():
    seed = int(os.environ.get("VOGELER_SEED", random.SystemRandom().randrange(10 ** 6)))
    print(f"VOGELER_SEED={seed}")
    return random.Random(seed)


def test_runner_says_sent_only_after_the_broker_has_it(site):
    """When the runner has ended with 0, the command is in the queue: the broker can be killed at once."""
    site.agent().stop()
    for n in range(1, 6):
        site.runner("-n", "web01", "-x", "hello")
        assert site.ready("web01") == n


def test_agent_killed_at_any_moment_loses_no_command(site, dice):
    site.plugin("work", ["sh", "-c", "sleep 0.05; cat /proc/sys/kernel/random/uuid"])
    site.collector()
    agent = site.agent()
    for kill in range(KILLS):
        site.runner("-n", "web01", "-x", "work")
        time.sleep(dice.uniform(0, 0.15))  # the moment of the kill, not a wait
        agent.kill()
        before = (site.meta("work") or {}).get("order", 0) if site.ready("web01") else 0
        agent.start()
        site.wait_drained("web01")
        assert site.ready("web01") == 0, kill
        del before
    jobs = wait_until(lambda: site.meta("work"), "there is an answer")
    assert jobs["order"]
    assert site.dead_letters() == []


def test_every_command_is_answered_though_the_agent_is_killed(site, dice):
    """A 2010 server counts answers: one for each of the commands, by job."""
    server = site.party("Server2010")
    site.plugin("work", "cat /proc/sys/kernel/random/uuid")
    agent = site.agent()
    jobs = set()
    for _ in range(KILLS):
        done = site.runner("-n", "web01", "-x", "work", "--loglevel", "INFO")
        jobs.add(re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", done.out + done.err)[0])
        time.sleep(dice.uniform(0, 0.1))
        agent.kill()
        agent.start()
        site.wait_consumer("web01", agent)
    answered = {}
    while set(answered) < jobs:
        server.receive()
        if server.properties.correlation_id:
            answered.setdefault(server.properties.correlation_id, set()).add(server.properties.message_id)
    assert set(answered) == jobs
    assert all(len(ids) == 1 for ids in answered.values()), "a rerun must carry the same response id"


def test_collector_killed_at_any_moment_loses_no_response(any_site, dice):
    site = any_site
    collector = site.collector()
    hosts = [f"h{n:02}" for n in range(10)]
    clients = {host: site.party("Client2010", host) for host in hosts}
    last = {}
    for kill in range(KILLS):
        for host in hosts:
            for plugin in ("a", "b"):
                last[host, plugin] = f"{kill}.{dice.random()}"
                clients[host].answer(plugin, json.dumps(last[host, plugin]), "json")
        time.sleep(dice.uniform(0, 0.1))
        collector.kill()
        collector.start()
    site.wait_consumer("master.in", collector)
    site.wait_drained("master.in")
    for host in hosts:
        record = site.record(host)
        for plugin in ("a", "b"):
            assert record[plugin] == last[host, plugin], (host, plugin)
    assert site.dead_letters() == []


def test_responses_are_acked_only_after_they_are_stored(couch_site):
    """While the database is away, everything stays with the broker."""
    site = couch_site
    site.database.drop()
    site.collector(ready=False, options=["server.store_patience=1s"])
    client = site.party("Client2010", "web01") if site.ready("master.in") is not None else None
    if client is None:
        wait_until(lambda: site.ready("master.in") is not None, "the topology is there")
        client = site.party("Client2010", "web01")
    client.answer("x", "1", "json")
    wait_until(lambda: (site.ready("master.in") or 0) + site.broker.unacked(site.vhost).get("master.in", 0) == 1,
               "the broker keeps it")
    site.database.create()
    assert site.wait_plugin("x") == 1


POISON = [
    (b"not json at all", "json"), (b"[]", "object"), (b'{"format": "json"}', "syskey"),
    (b'{"syskey": "web01", "vogeler": "1", "format": "json"}', "vogeler"),
    (b'{"syskey": "web01", "_id": "1", "format": "json"}', "_id"),
    (b'{"syskey": "_design/evil", "x": "1", "format": "json"}', "host name"),
    (b'{"syskey": "broadcasts.x", "x": "1", "format": "json"}', "broadcasts"),
    (b'{"syskey": "web01", "x": "1", "format": "nonsense"}', "nonsense"),
    (b"\xff\xfe\x00", ""), (b"", ""),
]


def test_poison_is_dead_lettered_with_its_reason_and_holds_nobody_up(site):
    site.collector()
    client = site.party("Client2010", "web01")
    for n, (body, _) in enumerate(POISON):
        client.channel.basic_publish("vogeler.master.in", "", body)
        client.answer("n", str(n), "json")
    site.wait_record(lambda r: r.get("n") == len(POISON) - 1, "what is behind the poison is stored")
    site.wait_queue("vogeler.dead", len(POISON))
    dead = site.dead_letters()
    for (body, word), (properties, found) in zip(POISON, dead):
        assert found == body
        assert word.lower() in properties.headers["x-reason"].lower(), (body, properties.headers)
    site.wait_drained("master.in")


def test_poison_keeps_its_senders_name(site):
    """The user that the broker has checked; without one (2010) nobody is named."""
    site.collector()
    client = site.party("Client2010", "web01")
    client.channel.basic_publish("vogeler.master.in", "", b"poison", pika.BasicProperties(user_id="guest"))
    client.channel.basic_publish("vogeler.master.in", "", b"poison")
    site.wait_queue("vogeler.dead", 2)
    senders = [properties.headers.get("x-sender") for properties, _ in site.dead_letters()]
    assert senders == ["guest", None]


def test_too_large_a_message_is_dead_lettered(site):
    site.collector(options=["server.message_max_bytes=100KiB"])
    client = site.party("Client2010", "web01")
    client.answer("big", "x" * 200000, "string")
    client.answer("small", "1", "json")
    assert site.wait_plugin("small") == 1
    site.wait_queue("vogeler.dead", 1)
    (properties, _), = site.dead_letters()
    assert re.search("large|big|bytes", properties.headers["x-reason"])


def test_a_response_that_would_make_the_record_too_large_is_dead_lettered(site):
    site.collector(options=["server.record_max_bytes=100KiB"])
    client = site.party("Client2010", "web01")
    client.answer("first", "x" * 60000, "string")
    client.answer("second", "y" * 60000, "string")
    client.answer("small", "1", "json")
    record = site.wait_record(lambda r: "small" in r, "has small")
    assert len(record["first"]) == 60000 and "second" not in record
    site.wait_queue("vogeler.dead", 1)


def test_passwords_do_not_show_in_ps(site):
    site.broker.ctl("add_user", "u" + site.vhost, "s3cr3tword", check=False)
    site.broker.ctl("set_permissions", "-p", site.vhost, "u" + site.vhost, ".*", ".*", ".*")
    qhost = site.broker.uri(site.vhost, "u" + site.vhost, "s3cr3tword")
    collector = site.collector(qhost=qhost)
    agent = site.agent(qhost=qhost)
    for process in (collector, agent):
        with open(f"/proc/{process.pid}/cmdline", "rb") as f:
            line = f.read()
        assert b"s3cr3tword" not in line and b"127.0.0.1" in line, line
        assert "s3cr3tword" not in process.log()
    for name in ("vogelerd", "vogeler-agent", "vogeler-runner", "vogeler-admin"):
        done = site.run(name, "--qhost", qhost, *([] if name in ("vogeler-agent", "vogeler-runner") else ["--dbhost", "null://"]),
                        "--dump-config")
        assert "s3cr3tword" not in done.out + done.err, done


def test_duplicates_change_nothing(site):
    """The same response twice, byte by byte with its headers: the second leaves the record as it is."""
    server = site.party("Server2010")
    site.plugin("hello", "echo hello")
    site.agent()
    server.receive()
    site.runner("-n", "web01", "-x", "hello")
    body = server.receive()
    properties = server.properties
    site.collector()
    for _ in range(2):
        server.channel.basic_publish("vogeler.master.in", "", json.dumps(body).encode(), properties)
        site.wait_plugin("hello")
        site.wait_drained("master.in")
    first = site.record()
    server.channel.basic_publish("vogeler.master.in", "", json.dumps(body).encode(), properties)
    site.wait_drained("master.in")
    assert site.record() == first


def test_an_older_result_never_overwrites_a_newer_one(site):
    server = site.party("Server2010")
    site.plugin("n", "cat /proc/sys/kernel/random/uuid")
    site.agent()
    server.receive()
    answers = []
    for _ in range(2):
        site.runner("-n", "web01", "-x", "n")
        answers.append((server.receive(), server.properties))
    site.collector()
    for body, properties in reversed(answers):
        server.channel.basic_publish("vogeler.master.in", "", json.dumps(body).encode(), properties)
    site.wait_plugin("n")
    site.wait_drained("master.in")
    assert site.value("n") == [answers[1][0]["n"].strip()]


def test_loop_survives_a_broker_that_freezes(site, broker):
    """SIGSTOP of the broker: heartbeats find it, and everything heals after SIGCONT."""
    site.plugin("hello", "echo hello")
    collector = site.collector(options=["amqp.heartbeat=1s"])
    agent = site.agent(options=["amqp.heartbeat=1s"])
    broker.node.send_signal(19)
    try:
        collector.wait_log("heartbeat")
        agent.wait_log("heartbeat")
    finally:
        broker.node.send_signal(18)
    site.wait_consumer("master.in", collector)
    site.wait_consumer("web01", agent)
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello"]
