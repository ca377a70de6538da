# SPDX-License-Identifier: Apache-2.0
"""Two machines under one name: a clone that nobody has renamed."""
import json
import re

import pika
from lib.waiting import wait_until

MASTER = "vogeler.master.in"


def test_the_second_agent_says_that_another_machine_has_its_name(site):
    """After four heartbeats: until then it may be a lost connection of its own."""
    site.agent()
    state = site.folder / "state.elsewhere"
    state.mkdir()
    second = site.agent(name="second", ready=False, level="WARN",
                        options=(f"client.state_dir={state}", "amqp.heartbeat=1s"))
    second.wait_log(r"perhaps by our own connection that was lost")
    second.wait_log(r"in use by another client, .*: another machine has this name .* the machine id here is [0-9a-f]{32}; "
                    r"cure: give one of them another \[client\] name; vogeler-admin show web01 has the machine id that answers")


def test_the_second_agent_says_so_to_all_while_it_waits(site):
    """The queue is the first one's, so nobody can ask the second: it speaks by itself, and not at each attempt."""
    site.plugin("hello", ["date", "+%s.%N"])
    site.collector()
    site.agent()
    site.runner("-n", "web01", "-x", "hello", "--wait", dbhost=True)
    out = site.admin("show", "web01").out
    machine = next(line.split()[2] for line in out.splitlines() if line.startswith("machine id  "))
    assert re.fullmatch("[0-9a-f]{32}", machine), out
    assert "machines" not in out and "another machine" not in site.admin("hosts").out
    state = site.folder / "state.elsewhere"
    state.mkdir()
    site.agent(name="second", ready=False, options=(f"client.state_dir={state}", "amqp.heartbeat=1s"))
    told = f"another machine has this name: {machine} waits for its queue"
    wait_until(lambda: told.replace(" ", "") in "".join(site.admin("hosts").out.split()), "hosts says it", patience=60)
    assert f"the agent with the machine id {machine} waits for the queue" in site.admin("show", "web01").out
    out = site.admin("doctor", qhost=True, status=None).out
    assert f"web01: another machine has this name: the agent with the machine id {machine} waits" in out, out
    host = json.loads(site.admin("--json", "hosts").out)[0]
    assert host["machines"] == [machine] and host["failing"] == [], host
    # An answer of the first does not hide it.
    site.runner("-n", "web01", "-x", "hello", "--wait", dbhost=True)
    assert told.replace(" ", "") in "".join(site.admin("hosts").out.split())


def test_hosts_show_and_doctor_name_them(site):
    site.collector()
    channel = site.broker.connect(site.vhost).channel()

    def answer(machine, order, host="web01"):
        channel.basic_publish(MASTER, "", json.dumps({"syskey": host, "p": order, "format": "pydict"}).encode(),
                              pika.BasicProperties(delivery_mode=2, headers={
                                  "plugin": "p", "state": "ok", "order": str(order), "machine_id": machine}))
        wait_until(lambda: site.value("p", host) == order, "it is stored")
    answer("a" * 32, 1000, "web02")
    answer("a" * 32, 1000)
    answer("b" * 32, 1001)
    assert "b" * 32 not in site.admin("hosts").out
    out = site.admin("show", "web01").out
    assert f"machine id  {'b' * 32}\n" in out and "a" * 32 not in out and "machines" not in out, out
    assert "store hosts" not in site.admin("doctor", qhost=True, status=None).out
    answer("a" * 32, 1002)
    for argv in (["hosts"], ["show", "web01"]):
        out = "".join(site.admin(*argv).out.split())
        assert "a" * 32 in out and "b" * 32 in out, out
    assert "machines    two answer under this name since " in site.admin("show", "web01").out
    out = site.admin("doctor", qhost=True, status=None).out
    line = next(line for line in out.splitlines() if "store hosts" in line)
    assert "web01: another machine has this name" in line and "a" * 32 in line and "b" * 32 in line, out
    hosts = {h["host"]: h for h in json.loads(site.admin("--json", "hosts").out)}
    assert sorted(hosts["web01"]["machines"]) == ["a" * 32, "b" * 32] and "machines" not in hosts["web02"]
