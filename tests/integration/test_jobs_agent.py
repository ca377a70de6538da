# SPDX-License-Identifier: Apache-2.0
"""The agent's side of jobs: cancels, what had waited, repeats of one plugin, and which lane an answer takes."""
import json
import time
from signal import SIGTERM

import pika
import pytest

from lib.client2010 import Client2010
from lib.commands import Collector, Runner
from lib.waiting import wait_until

DAY = 86400


@pytest.fixture
def runner(site, broker):
    party = Runner(broker, site.vhost)
    site.parties.append(party)
    return party


@pytest.fixture
def collector(site, broker):
    party = Collector(broker, site.vhost)
    site.parties.append(party)
    return party


def make_queue(site, broker):
    """The host's queue, as an agent that is away has left it."""
    Client2010(broker, site.vhost, "web01").close()


def counting(site, name, **keys):
    """A plugin that prints how often it has run."""
    site.script(name, f"echo -n x >> {site.folder}/{name}.runs; stat -c %s {site.folder}/{name}.runs")
    site.plugin(name, str(site.folder / name), **keys)


def runs(site, name):
    path = site.folder / f"{name}.runs"
    return path.stat().st_size if path.exists() else 0


def gated(site, name="gated"):
    """A plugin that runs until its gate is open."""
    gate = site.folder / "gate"
    site.plugin(name, ["/bin/sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.05; done; echo through"])
    return gate


def test_cancel_before_it_began(site, runner, collector):
    gate = gated(site)
    agent = site.agent()
    runner.send("gated", "j1")
    agent.wait_log("gated: running")
    runner.send("gated", "j2", reply_to="vogeler.reply.x")
    runner.cancel("j2")
    answer = collector.answer("j2")
    assert (answer.state, answer.message) == ("cancelled", "cancelled before it began")
    assert answer.properties.headers["plugin"] == "gated"
    assert answer.properties.reply_to == "vogeler.reply.x"
    gate.touch()
    assert collector.answer("j1").state == "ok"
    assert set(collector.everything(site)) == {"j1", "j2"}
    assert agent.log_count("gated: running") == 1


def test_cancel_while_it_runs(site, runner, collector):
    site.plugin("long", ["/bin/sh", "-c", f"echo $$ > {site.folder}/pid; exec sleep 1000"])
    agent = site.agent()
    runner.send("long", "j1")
    agent.wait_log("long: running")
    runner.cancel("j1")
    answer = collector.answer("j1")
    assert (answer.state, answer.message) == ("cancelled", "cancelled while it ran")
    runner.cancel("j1")
    runner.cancel("nobody")
    agent.wait_log("cancel: answered already, job=j1")
    agent.wait_log("cancel: not here, job=nobody")
    assert set(collector.everything(site)) == {"j1"}


def test_killed_between_cancel_and_answer(site, runner, collector, broker):
    """Command and cancel are acknowledged together, with the answer: after kill -9 the cancel still holds."""
    deaf = site.folder / "deaf"
    site.plugin("stubborn", ["/bin/sh", "-c", f"trap '' TERM; : >{deaf}; while :; do sleep 0.1; done"])
    agent = site.agent()
    runner.send("stubborn", "j1")
    wait_until(deaf.exists, "the plugin does not end when it is told to")
    runner.cancel("j1")
    agent.wait_log("stubborn: cancelled, ending it")
    agent.kill()
    site.agent(name="agent.again")
    answer = collector.answer("j1")
    assert (answer.state, answer.message) == ("cancelled", "cancelled before it began")
    assert set(collector.everything(site)) == {"j1"}


def test_back_online_the_newest_runs_and_the_rest_is_answered(site, runner, collector, broker):
    counting(site, "one", command_alias="get_one")
    counting(site, "two")
    counting(site, "never")
    make_queue(site, broker)
    for n in range(1, 20):
        runner.send("one" if n % 2 else "get_one", f"one{n}", age=DAY)
    runner.send("two", "two1", age=DAY)
    runner.send("two", "two2", age=DAY)
    runner.send("never", "late", age=DAY, expires=-1)
    runner.send("never", "not", age=DAY)
    runner.cancel("two2")
    runner.cancel("not")
    site.wait_queue("web01", 25)
    site.agent()
    answers = collector.everything(site)
    assert {n: answers[f"one{n}"].message for n in range(1, 19)} == dict.fromkeys(range(1, 19), "superseded by one19")
    assert {answers[f"one{n}"].state for n in range(1, 19)} == {"superseded"}
    states = {job: a.state for job, a in answers.items() if job not in {f"one{n}" for n in range(1, 19)}}
    assert states == {"one19": "ok", "two1": "ok", "two2": "cancelled", "not": "cancelled",
                      "late": "expired"}
    assert (runs(site, "one"), runs(site, "two"), runs(site, "never")) == (1, 1, 0)
    assert len(collector.seen) == len(answers) + 1  # the greeting; nothing is answered twice


def test_superseded_answers_leave_the_record_as_it_is(site, runner, broker):
    counting(site, "one", result_format="json")
    site.collector()
    make_queue(site, broker)
    for n in range(5):
        runner.send("one", f"j{n}")
    site.agent()
    assert site.wait_plugin("one") == 1
    site.wait_drained("web01", "master.in")
    record = site.record()
    assert "last_error" not in record
    assert "failure" not in record["vogeler"]["one"]
    assert record["vogeler"]["one"]["job"] == "j4"


def test_a_quorum_queue_is_read_before_the_first_run_too(site, runner, collector):
    counting(site, "one")
    site.agent(options=("host_queue.type=quorum",)).stop()
    for n in range(10):
        runner.send("one", f"j{n}", age=DAY)
    runner.cancel("j9")
    site.wait_queue("web01", 11)
    site.agent(options=("host_queue.type=quorum",), name="agent.again")
    answers = collector.everything(site)
    assert {job for job, a in answers.items() if a.message == "superseded by j8"} == {f"j{n}" for n in range(8)}
    assert (answers["j8"].state, answers["j9"].state) == ("ok", "cancelled")
    assert runs(site, "one") == 1


def test_commands_of_2010_that_waited_are_one_run(site, collector, broker):
    counting(site, "one")
    make_queue(site, broker)
    old = site.party("Runner2010")
    for _ in range(5):
        old.send("one")
    site.wait_queue("web01", 5)
    site.agent()
    collector.everything(site)
    assert runs(site, "one") == 1
    assert [a.body.get("one") for a in collector.seen if a.body.get("one")] == ["1\n"]


@pytest.mark.parametrize("splay", ["0s", "1s"])
def test_more_waits_than_the_broker_delivers_at_once(site, runner, collector, broker, splay):
    """All of it is read before the first run, of which there is one."""
    counting(site, "one")
    make_queue(site, broker)
    for n in range(1200):
        runner.send("one", f"j{n}", age=DAY)
    site.wait_queue("web01", 1200)
    agent = site.agent(level="INFO", options=(f"client.catch_up_splay={splay}",))
    answers = collector.everything(site)
    assert len(answers) == 1200
    assert {answers[f"j{n}"].state for n in range(1199)} == {"superseded"}
    assert answers["j1199"].state == "ok"
    assert runs(site, "one") == 1
    agent.wait_log("took what had waited, messages=1200 ")


def test_cancel_behind_what_the_broker_delivers_at_once(site, runner, collector, broker):
    counting(site, "one")
    counting(site, "never")
    make_queue(site, broker)
    runner.send("never", "not", age=DAY)
    for n in range(1100):
        runner.send("one", f"j{n}", age=DAY)
    runner.cancel("not")
    runner.cancel("j1099")
    site.wait_queue("web01", 1103)
    site.agent(level="WARN")
    answers = collector.everything(site)
    assert {answers[f"j{n}"].state for n in range(1098)} == {"superseded"}
    assert [answers[job].state for job in ("j1098", "j1099", "not")] == ["ok", "cancelled", "cancelled"]
    assert (runs(site, "one"), runs(site, "never")) == (1, 0)


def test_what_waited_runs_with_splay_and_live_commands_do_not_wait(site, runner, collector, broker):
    counting(site, "one")
    counting(site, "two")
    make_queue(site, broker)
    runner.send("one", "old", age=DAY)
    site.wait_queue("web01", 1)
    agent = site.agent(options=("client.catch_up_splay=1h",))
    agent.wait_log("took what had waited, messages=1 commands=1")
    runner.send("two", "live")
    assert collector.answer("live").state == "ok"
    assert runs(site, "one") == 0
    runner.send("one", "now")
    assert collector.answer("now").state == "ok"
    assert collector.answer("old").message == "superseded by now"
    site.wait_drained("web01")


def test_fresh_answers_have_a_lane_of_their_own(site, runner, broker):
    counting(site, "one")
    counting(site, "two")
    collector = Collector(broker, site.vhost, fresh=True)
    site.parties.append(collector)
    make_queue(site, broker)
    runner.send("one", "old", age=DAY)
    runner.send("two", "young", age=5)
    site.wait_queue("web01", 2)
    agent = site.agent()
    assert collector.answer("old").queue == "master.in"
    assert collector.answer("young").queue == "vogeler.fresh"
    runner.send("one", "live", age=DAY)
    assert collector.answer("live").queue == "vogeler.fresh"
    greeting = next(a for a in collector.seen if not a.job)
    assert greeting.queue == "master.in"
    assert not agent.log_contains("no queue is bound")


def test_without_that_lane_all_answers_come_as_in_2010(site, runner, collector):
    counting(site, "one")
    agent = site.agent()
    for job in ("j1", "j2"):
        runner.send("one", job)
        assert collector.answer(job).queue == "master.in"
    assert agent.log_count("no queue is bound to exchange vogeler.master.in with key fresh") == 1
    assert not agent.log_contains("the broker does not take responses")


def test_told_to_stop_while_the_broker_blocks(site, runner, broker):
    """Neither the answer nor a goodbye gets through: the agent gives them a moment, not its 15 s."""
    gate = gated(site)
    Collector(broker, site.vhost).close()
    agent = site.agent()
    runner.send("gated", "j1")
    agent.wait_log("gated: running")
    broker.ctl("set_vm_memory_high_watermark", "0.00001")
    try:
        gate.touch()
        agent.wait_log("gated: done")
        agent.wait_log("blocked")
        agent.signal(SIGTERM)
        assert agent.wait() == 0
    finally:
        broker.ctl("set_vm_memory_high_watermark", "absolute", "512MB")
    assert agent.log_count("the broker blocks us: giving it 1500 ms") == 2
