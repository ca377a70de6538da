# SPDX-License-Identifier: Apache-2.0
"""Messages of 2010, in both directions: no headers, no properties, several results in one response."""
import gzip
import pathlib

import pika
from lib.waiting import wait_until


def test_2010_client_is_served_by_the_new_collector(any_site):
    site = any_site
    site.collector()
    client = site.party("Client2010", "old01")
    client.greet()
    site.wait_record(lambda r: r["system_name"] == "old01", "exists", "old01")
    client.answer("facter", "--- \n  uptime: 3 days\n  cpus: 4\n  virtual: false\n", "yaml")
    client.answer("rpm", "bash-4\ncurl-7\n", "output")
    client.answer("ohai", '{"a": [1, 2.5, null, true]}', "json")
    client.answer("note", "as is\n", "string")
    record = site.wait_record(lambda r: "note" in r, "has note", "old01")
    assert record["facter"] == {"uptime": "3 days", "cpus": 4, "virtual": False}
    assert record["rpm"] == ["bash-4", "curl-7"]
    assert record["ohai"] == {"a": [1, 2.5, None, True]}
    assert record["note"] == "as is\n"


def test_several_results_in_one_response(site):
    site.collector()
    site.party("Client2010", "old01").answer_several({"one": "1", "two": "[2]"}, "json")
    record = site.wait_record(lambda r: "two" in r, "has two", "old01")
    assert (record["one"], record["two"]) == (1, [2])


def test_what_is_not_plain_json_is_never_guessed_at(site):
    """Dead-lettered as it came, with the reason; what follows is not held up."""
    site.collector()
    client = site.party("Client2010", "old01")
    body = b'{"syskey":"old01","format":"raw","wrong":1}'
    bomb = gzip.compress(body + b" " * 10_000_000)
    for content, properties in [(bomb, {"content_encoding": "gzip"}), (body, {"content_encoding": "zstd"}),
                                (body, {"content_type": "application/x-python-serialize"})]:
        client.channel.basic_publish("vogeler.master.in", "", content, pika.BasicProperties(**properties))
    client.channel.basic_publish("vogeler.master.in", "", body.replace(b"wrong", b"right"),
                                 pika.BasicProperties(content_type="text/plain; charset=utf-8",
                                                      content_encoding="utf-8"))
    site.wait_plugin("right", "old01")
    site.wait_drained("master.in")
    letters = site.dead_letters()
    assert [(p.content_encoding, p.content_type) for p, _ in letters] == [
        ("gzip", None), ("zstd", None), (None, "application/x-python-serialize")]
    assert [b for _, b in letters] == [bomb, body, body]
    for properties, _ in letters:
        said = properties.content_encoding or properties.content_type
        assert said in properties.headers["x-reason"]
    assert "wrong" not in site.record("old01")


def test_failure_of_a_2010_client_becomes_last_error(site):
    site.collector()
    client = site.party("Client2010", "old01")
    client.answer("ps", "a\n", "output")
    client.fail("Plugin x is not authorized for this host. Ignoring")
    error = site.wait_last_error("not authorized", "old01")
    assert error["timestamp"] == "2010-09-26 06:16:29.609000"
    assert site.record("old01")["ps"] == ["a"]


def test_without_order_arrival_counts(site):
    site.collector()
    client = site.party("Client2010", "old01")
    for n in range(50):
        client.answer("n", str(n), "json")
    site.wait_record(lambda r: r.get("n") == 49, "n is 49", "old01")
    site.wait_drained("master.in")
    assert site.value("n", "old01") == 49


def test_2010_runner_commands_a_new_agent(site):
    site.plugin("hello", "echo hello")
    site.collector()
    site.agent()
    runner = site.party("Runner2010")
    runner.send("hello")
    assert site.wait_plugin("hello") == ["hello"]
    before = site.meta("hello")["order"]
    runner.send("hello", "web01")
    site.wait_meta("hello", lambda m: m.get("order", 0) > before, "answers again")


def test_new_runner_commands_a_2010_client(site):
    site.party("Server2010")
    client = site.party("Client2010", "old01")
    site.runner("-n", "all", "-x", "facter")
    assert client.receive() == "facter"
    site.runner("-n", "old01", "-x", "get_rpms")
    assert client.receive() == "get_rpms"


def test_new_agent_answers_a_2010_server(site):
    server = site.party("Server2010")
    site.plugin("hello", "echo hello", command_alias="get_hello")
    site.agent()
    assert server.receive() == {"syskey": "web01", "format": "pydict"}
    site.party("Runner2010").send("get_hello")
    assert server.receive() == {"syskey": "web01", "hello": "hello\n", "format": "output"}
    site.party("Runner2010").send("unknown")
    failure = server.receive()
    assert set(failure) == {"syskey", "last_error", "format"}
    assert failure["format"] == "pydict"
    assert "unknown" in failure["last_error"]["message"]
    assert failure["last_error"]["timestamp"][:2] == "20"


def test_response_headers_are_those_of_the_contract(site):
    server = site.party("Server2010")
    site.plugin("hello", "echo hello")
    site.agent()
    server.receive()
    site.runner("-n", "web01", "-x", "hello")
    server.receive()
    headers = server.properties.headers
    assert headers["plugin"] == "hello" and headers["state"] == "ok" and headers["exit_status"] == "0"
    assert int(headers["order"]) > 1.6e12 and int(headers["duration_ms"]) >= 0
    assert int(headers["collected_at"]) > 1.6e12
    assert headers["boot_id"]
    assert headers["version"] == site.run("vogeler-agent", "--version").out.split()[-1]
    # machine-id(5): a system that was never booted may have none, or an empty one; then the agent makes one.
    machine = pathlib.Path("/etc/machine-id")
    if not machine.exists() or machine.read_text("ascii").strip() in ("", "uninitialized"):
        machine = site.folder / "state.web01" / "machine-id"
    assert headers["machine_id"] == machine.read_text("ascii").strip()
    assert server.properties.correlation_id and server.properties.message_id
    assert server.properties.delivery_mode == 2


def test_agent_keeps_the_2010_bindings(site):
    site.agent()
    def bound():
        text = site.broker.ctl("list_bindings", "-p", site.vhost, "source_name", "destination_name", "routing_key")
        return {tuple(line.split("\t")) for line in text.splitlines()}
    bindings = wait_until(bound, "bindings are there")
    assert ("vogeler.broadcast.in", "web01", "broadcasts.*") in bindings
    assert ("vogeler.broadcast.in", "web01", "web01") in bindings
