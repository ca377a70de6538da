# SPDX-License-Identifier: Apache-2.0
"""What Vogeler promises, kept while its processes are killed: each test is named after one. Kills are drawn from a printed seed
(VOGELER_SEED replays it)."""
import json
import os
import re
import sqlite3
import subprocess
import time

import pika
import pytest

from lib.dice import KILLS
from lib.waiting import wait_until

pytestmark = pytest.mark.as_shipped


def test_runner_says_sent_only_after_the_broker_has_it(site):
    """When the runner has ended with 0, the command is in the queue: the broker can be killed at once."""
    site.agent().stop()
    for n in range(1, 6):
        site.runner("-n", "web01", "-x", "hello")
        assert site.ready("web01") == n


def test_every_command_is_answered_though_the_agent_is_killed(site, dice):
    """A 2010 server collects the answers: one id for each of the commands, by job, however often it was rerun."""
    server = site.party("Server2010")
    site.plugin("work", ["sh", "-c", "sleep 0.03; cat /proc/sys/kernel/random/uuid"])
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
    """Every response has a key of its own, so that none is hidden by a later one."""
    site = any_site
    collector = site.collector()
    hosts = [f"h{n:02}" for n in range(10)]
    clients = {host: site.party("Client2010", host) for host in hosts}
    for kill in range(KILLS):
        for host in hosts:
            clients[host].answer(f"p{kill}", json.dumps(kill), "json")
        time.sleep(dice.uniform(0, 0.08))  # the moment of the kill, not a wait
        collector.kill()
        collector.start()
        site.wait_consumer("master.in", collector)
    site.wait_drained("master.in")
    for host in hosts:
        record = site.record(host)
        assert [k for k in range(KILLS) if record.get(f"p{k}") != k] == [], host
    assert site.dead_letters() == []


def held_by_broker(site, queue):
    """Ready and unacknowledged messages together."""
    return (site.ready(queue) or 0) + site.broker.unacked(site.vhost).get(queue, 0)


def test_collector_acks_only_after_the_commit(site):
    """Another process holds the database's write lock: what was delivered stays the broker's until it lets go."""
    collector = site.collector(options=["server.store_patience=60s"])
    client = site.party("Client2010", "web01")
    client.answer("first", "1", "json")
    site.wait_plugin("first")
    lock = sqlite3.connect(site.folder / "records.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    client.answer("second", "2", "json")
    collector.wait_log("Got response for: second")
    assert held_by_broker(site, "master.in") == 1
    assert "second" not in site.record()
    lock.execute("ROLLBACK")
    lock.close()
    assert site.wait_plugin("second") == 2
    site.wait_drained("master.in")


def test_collector_gives_back_what_the_store_does_not_take(couch_site):
    """The database goes away while the collector consumes: nothing is acknowledged, nothing dead-lettered, and all of it
    is stored when the database is back."""
    site = couch_site
    collector = site.collector(options=["server.store_patience=1s"])
    client = site.party("Client2010", "web01")
    client.answer("first", "1", "json")
    site.wait_plugin("first")
    site.database.drop()
    for n in range(5):
        client.answer(f"p{n}", str(n), "json")
    collector.wait_log("Got response for: p4")
    wait_until(lambda: site.broker.queue(site.vhost, "master.in") == (5, 0), "they are given back, the consumer cancelled")
    site.database.create()
    record = site.wait_record(lambda r: "p4" in r, "has the last")
    assert [record[f"p{n}"] for n in range(5)] == list(range(5))
    site.wait_drained("master.in")
    assert site.dead_letters() == []


def test_agent_acks_only_after_the_plugin_has_run(site):
    """A command whose plugin runs is still the broker's: the killed agent's host gets it again."""
    gate = site.folder / "gate"
    os.mkfifo(gate)
    site.plugin("waits", ["cat", gate])
    site.collector()
    agent = site.agent()
    site.runner("-n", "web01", "-x", "waits")
    wait_until(lambda: running(str(gate)), "the plugin runs")
    assert held_by_broker(site, "web01") == 1
    agent.kill()
    wait_until(lambda: site.broker.queue(site.vhost, "web01") == (1, 0), "the command is back")
    wait_until(lambda: not running(str(gate)), "the plugin went with its agent")
    agent.start()
    with open(gate, "w", encoding="ascii") as f:  # blocks until the plugin of the second run reads
        f.write("let through\n")
    assert site.wait_plugin("waits") == ["let through"]
    site.wait_drained("web01")


def running(word):
    done = subprocess.run(["pgrep", "-f", f"^cat {re.escape(word)}"], check=False, stdout=subprocess.PIPE)
    return done.stdout.split()


def test_agent_acks_only_after_the_response_is_confirmed(site, broker):
    """Under a memory alarm the broker takes no response: the command stays unacknowledged until it does."""
    site.plugin("hello", "echo hello")
    site.collector()
    agent = site.agent()
    site.runner("-n", "web01", "-x", "hello")
    first = site.wait_meta("hello", lambda m: m.get("order"), "has an order")["order"]
    site.wait_drained("web01")
    agent.stop()
    site.runner("-n", "web01", "-x", "hello")
    broker.ctl("set_vm_memory_high_watermark", "0.00001")
    try:
        agent.start()
        agent.wait_log("blocked")
        assert held_by_broker(site, "web01") == 1
        assert site.meta("hello")["order"] == first
    finally:
        broker.ctl("set_vm_memory_high_watermark", "absolute", "512MB")
    site.wait_meta("hello", lambda m: m.get("order", 0) > first, "is answered again")
    site.wait_drained("web01")


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


def test_a_routing_key_that_is_no_text(site):
    """RabbitMQ routes by the key in CC, and delivers the message with the other one, a NUL in it."""
    collector = site.collector()
    agent = site.agent()
    client = site.party("Client2010", "web02")
    for exchange, key, body in (("vogeler.master.in", "", b'{"syskey": "web02", "a": "1", "format": "json"}'),
                                ("", "web01", b"poison")):
        client.channel.basic_publish(exchange, "x\0y", body, pika.BasicProperties(headers={"CC": [key]}))
    client.answer("b", "2", "json")
    record = site.wait_record(lambda r: "b" in r, "what comes after it is stored", host="web02")
    assert record["a"] == 1
    site.wait_drained("web01")
    assert collector.running and agent.running


def test_poison_keeps_its_senders_name(site):
    """The user that the broker has checked; without one (2010) nobody is named."""
    site.collector()
    client = site.party("Client2010", "web01")
    client.channel.basic_publish("vogeler.master.in", "", b"poison", pika.BasicProperties(user_id="guest"))
    client.channel.basic_publish("vogeler.master.in", "", b"poison")
    site.wait_queue("vogeler.dead", 2)
    senders = [properties.headers.get("x-sender") for properties, _ in site.dead_letters()]
    assert senders == ["guest", None]


def test_dead_letters_that_wait_for_an_alarm_to_end_are_whole(site, broker):
    """The broker takes the first and then reads no more: the second fills half of what the collector may hold for it, and
    the third has no room beside that. It has when the alarm is over."""
    site.admin("setup", qhost=True)
    client = site.party("Client2010", "web01")
    poison = [b"x" * size for size in (1000, 4 << 20, 6 << 20)]
    for body in poison:
        client.channel.basic_publish("vogeler.master.in", "", body)
    site.wait_queue("master.in", 3)
    broker.ctl("set_vm_memory_high_watermark", "0.00001")
    try:
        collector = site.collector(ready=False)
        collector.wait_log("refused: .*bytes=6291456")
        collector.wait_log("blocked")
    finally:
        broker.ctl("set_vm_memory_high_watermark", "absolute", "512MB")
    site.wait_queue("vogeler.dead", 3)
    dead = site.dead_letters()
    assert [len(body) for _, body in dead] == [len(body) for body in poison]
    assert not any("x-oversize" in properties.headers for properties, _ in dead)
    site.wait_drained("master.in")


@pytest.fixture
def small_frames(broker):
    """The smallest that AMQP has, for connections from now on."""
    before = broker.eval("application:get_env(rabbit, frame_max)")
    assert before.startswith("{ok,"), before
    assert broker.eval("application:set_env(rabbit, frame_max, 4096)") == "ok"
    yield
    broker.eval(f"application:set_env(rabbit, frame_max, element(2, {before}))")


def test_answers_fit_the_smallest_frames(site, small_frames):
    """What a failed plugin printed is left out where it does not fit; so is the name of a command that is none."""
    del small_frames
    half = "head -c 3000 /dev/zero | tr '\\0'"
    site.plugin("prints", str(site.script("prints", f"{half} o; {half} e >&2; exit 3")))
    site.plugin("rubbish", str(site.script("rubbish", f"{half} '\\377' >&2; exit 4")))
    site.plugin("well", "echo well")
    site.collector()
    agent = site.agent()
    runner = site.party("Client2010", "web01")
    runner.channel.basic_publish("vogeler.broadcast.in", "web01", json.dumps("x" * 4000).encode(),
                                 pika.BasicProperties(message_id="longname"))
    for plugin, status in (("prints", 3), ("rubbish", 4)):
        site.ask(plugin)
        failure = site.wait_meta(plugin, lambda m: m.get("failure"), "has failed")["failure"]
        assert failure["exit_status"] == status and "stdout_tail" not in failure, failure
        assert ("stderr_tail" in failure) == (plugin == "prints"), failure
    site.ask("well")
    assert site.wait_plugin("well") == ["well"]
    site.wait_drained("web01", "master.in")
    agent.wait_log("sent without plugin,")
    agent.wait_log("sent without stdout_tail,")
    agent.wait_log("sent without stderr_tail,")
    assert site.dead_letters() == []


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
    site.broker.add_user("u" + site.vhost, "s3cr3tword")
    site.broker.set_permissions(site.vhost, "u" + site.vhost, ".*", ".*", ".*")
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
