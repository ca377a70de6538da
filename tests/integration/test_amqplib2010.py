# SPDX-License-Identifier: Apache-2.0
"""Each program of 2010, with the library that it was made of, beside today's programs: in both directions."""
import json
import os
import pathlib
import sys

import pytest

from lib import amqplib2010
from lib.waiting import wait_until


@pytest.fixture(name="old")
def fixture_old(site):
    """Makes a party on amqplib: old("Server"), old("Client", "old01")."""
    parties = []

    def make(kind, *args):
        party = getattr(amqplib2010, kind)(site.broker.port, site.vhost, *args)
        parties.append(party)
        return party
    yield make
    for party in parties:
        try:
            party.close()
        except Exception:  # pylint: disable=broad-except  # what it could not read ended it: the test has said so
            pass


def agent_2010(site, host, **plugins):
    process = site.process(f"agent2010.{host}", [
        sys.executable, pathlib.Path(amqplib2010.__file__), str(site.broker.port), site.vhost, host,
        *(f"{name}={command}" for name, command in plugins.items())], env=dict(os.environ)).start()
    site.wait_consumer(host, process)
    return process


def test_agent_of_2010_takes_every_command_of_todays_runner(site):
    """To all and by name, with a job, a watcher and a limit, and cancels: none of it ends the agent."""
    site.collector()
    process = agent_2010(site, "old01", facter="echo kernel: Linux")
    site.wait_record(lambda r: True, "exists", "old01")
    site.ask("facter")
    assert site.wait_plugin("facter", "old01") == ["kernel: Linux"]
    site.runner("-n", "old01", "-x", "facter", "--ttl", "0")
    waited = site.runner("-n", "old01", "-x", "facter", "--wait=1s", "--json", dbhost=True, status=3)
    site.runner("cancel", json.loads(waited.out)["job"], dbhost=True)
    site.runner("-n", "all", "-x", "last")
    site.wait_last_error("Plugin last is not authorized", "old01")
    assert process.running, process.report()


def test_collector_of_2010_reads_every_answer_of_todays_agent(site, old):
    """A value, a failure with its tails, output that was cut, bytes that are no UTF-8, a refusal, what was superseded."""
    server = old("Server")
    gate = site.folder / "gate"
    site.plugin("hello", "echo hello", command_alias="get_hello")
    site.plugin("fails", [site.script("fails", "printf 'out \\377'; printf 'err \\377' >&2; exit 3")])
    site.plugin("flood", "yes", max_output="1KiB")
    site.plugin("bytes", ["printf", "a\\377b\\n"])
    site.plugin("gated", [site.script("gated", f"while [ ! -e {gate} ]; do sleep 0.05; done; echo done")])
    site.agent()
    assert server.receive() == {"syskey": "web01", "format": "pydict"}
    runner = old("Runner")
    runner.send("get_hello")
    assert server.receive() == {"syskey": "web01", "hello": "hello\n", "format": "output"}
    for plugin, text in (("fails", "exit status 3"), ("flood", "max_output"), ("unknown", "not authorized")):
        runner.send(plugin, "web01")
        assert text in server.receive()["last_error"]["message"]
        assert all(isinstance(value, str) for value in server.headers.values()), server.headers
    runner.send("bytes")
    assert server.receive()["bytes"] == "a\ufffdb\n"
    for _ in range(3):
        site.ask("gated", "web01")
    site.wait_queue("web01", 0)
    gate.touch()
    states = [(server.receive(), server.headers["state"])[1] for _ in range(3)]
    assert sorted(states) == ["ok", "ok", "superseded"], states


def test_numbers_and_booleans_are_text(site, old):
    server = old("Server")
    site.plugin("flood", "yes", max_output="1KiB")
    site.agent()
    server.receive()
    old("Runner").send("flood")
    server.receive()
    assert server.headers["state"] == "failed" and server.headers["truncated"] == "true"
    assert int(server.headers["order"]) > 1.6e12 and int(server.headers["duration_ms"]) >= 0


def test_2010_on_both_ends_of_todays_programs(site, old):
    """Runner and agent of 2010, today's collector; then runner of 2010 and today's agent beside it."""
    site.plugin("hello", "echo new")
    site.collector()
    agent_2010(site, "old01", hello="echo old")
    site.agent("web01")
    old("Runner").send("hello")
    assert site.wait_plugin("hello", "old01") == ["old"]
    assert site.wait_plugin("hello", "web01") == ["new"]


def test_headers_of_the_version_before_are_read(site):
    """0.1.0 sent integers and booleans: its answers have their order, its commands their limit."""
    import pika  # pylint: disable=import-outside-toplevel
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    site.collector()
    for order, value in ((20, 2), (10, 1)):
        channel.basic_publish("vogeler.master.in", "", json.dumps(
            {"syskey": "web01", "n": str(value), "format": "json"}).encode(), pika.BasicProperties(
                delivery_mode=2, message_id=f"r{order}", headers={
                    "plugin": "n", "state": "ok", "order": order, "machine_id": "m", "exit_status": 0}))
    site.wait_meta("n", lambda m: m.get("older"), "has dropped the older one")
    site.wait_drained("master.in")
    assert site.value("n") == 2 and site.meta("n")["exit_status"] == 0
    site.plugin("hello", "echo hello")
    agent = site.agent(level="INFO")
    channel.basic_publish("vogeler.broadcast.in", "web01", json.dumps("hello").encode(), pika.BasicProperties(
        headers={"not_after": 1}))
    wait_until(lambda: agent.log_contains("hello: expired"), "it is too late")
    connection.close()
