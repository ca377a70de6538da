# SPDX-License-Identifier: Apache-2.0
"""/metrics and /healthz of both daemons: what they say is true, turns within 10 s, and turns back by itself."""
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pika
import pytest
from lib.couch import Couch
from lib.http import Monitor, promtool_check
from lib.site import SOURCE, program
from lib.waiting import wait_until

sys.path.insert(0, str(SOURCE / "tests" / "fake"))

from fake_couch import FakeCouch, says  # noqa: E402

TURN = 10  # seconds until health tells of a fault


def collector(site, *options, **kw):
    monitor = Monitor("server")
    monitor.process = site.collector(options=[monitor.option, *options], **kw)
    monitor.process.wait_log("/metrics and /healthz on")
    return monitor


def agent(site, **kw):
    monitor = Monitor("client")
    monitor.process = site.agent(options=[monitor.option], **kw)
    monitor.process.wait_log("/metrics and /healthz on")
    return monitor


def publish(site, body, n=1):
    """As the agents do."""
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    for _ in range(n):
        channel.basic_publish("vogeler.master.in", "", body,
                              pika.BasicProperties(content_type="application/json"))
    connection.close()


def test_metrics_count_what_happens(site):
    site.plugin("one", "echo 1")
    site.plugin("bad", "false")
    of_agent, of_collector = None, collector(site)
    wait_until(of_collector.is_well, "the collector is well")
    of_agent = agent(site)
    wait_until(of_agent.is_well, "the agent is well")
    site.ask("one")
    site.ask("bad")
    site.ask("none")
    site.wait_plugin("one")
    publish(site, "not JSON", 2)
    wait_until(lambda: of_collector.metric("vogeler_acked_total") == 6, "all is acked")
    seen = of_collector.metrics()
    assert seen["vogeler_responses_total", "stored"] == 4  # the greeting too
    assert seen["vogeler_responses_total", "dead"] == 2
    assert seen["vogeler_dead_total", "malformed"] == 2
    assert seen["vogeler_dead_confirmed_total"] == 2
    assert seen["vogeler_store_writes_total", "OK"] >= 1
    assert abs(seen["vogeler_store_last_success_timestamp_seconds"] - time.time()) < 60
    assert seen["vogeler_inbox_deliveries"] == seen["vogeler_inbox_held_bytes"] == 0
    assert seen["vogeler_broker_connected", "consumer"] == seen["vogeler_broker_connected", "publisher"] == 1
    assert seen["vogeler_loop_pass_cpu_seconds_max"] > 0
    seen = of_agent.metrics()
    assert seen["vogeler_commands_total", "ok"] == 1
    assert seen["vogeler_commands_total", "failed"] == 1
    assert seen["vogeler_commands_total", "refused"] == 1
    assert sum(v for k, v in seen.items() if k[0] == "vogeler_plugin_runs_total") == 2
    assert seen["vogeler_outbox_confirmed_total"] == 4
    assert seen["vogeler_outbox_responses", "answer"] == 0


def documented():
    """(metric, programs) of the table in docs/metrics.md."""
    text = pathlib.Path(SOURCE, "docs", "metrics.md").read_text("utf-8")
    return re.findall(r"^\| `(vogeler_\w+)` \| (both|collector|agent) \|", text, re.M)


def test_format_and_documentation(site):
    monitors = {"collector": collector(site), "agent": agent(site)}
    for kind, monitor in monitors.items():
        _, text = monitor.get("/metrics")
        assert promtool_check(text) is None, promtool_check(text)
        exported = re.findall(r"^# TYPE (\w+) ", text, re.M)
        assert sorted(exported) == sorted(n for n, of in documented() if of in (kind, "both"))


RULES = pathlib.Path(SOURCE, "conf", "prometheus-rules.yml")

# Each alert on series that call for it, and on none that do not.
RULES_TEST = f"""
rule_files: [{json.dumps(str(RULES))}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: up{{job="vogelerd",instance="c1"}}
        values: 0x120
      - series: up{{job="vogeler-agent",instance="web01"}}
        values: 0x120
      - series: up{{job="vogeler-agent",instance="web02"}}
        values: 1x120
      - series: vogeler_contact_hosts{{job="vogelerd",instance="c1",state="offline"}}
        values: 0x9 2x110
      - series: vogeler_contact_hosts{{job="vogelerd",instance="c2",state="offline"}}
        values: 0x120
      - series: vogeler_contact_hosts{{job="vogelerd",instance="c1",state="online"}}
        values: 7x120
      - series: vogeler_queue_messages{{queue="vogeler.dead",instance="c1"}}
        values: 3x120
      - series: vogeler_queue_messages{{queue="master.in",instance="c1"}}
        values: 10x120
      - series: vogeler_broker_certificate_end_timestamp_seconds{{role="agent",instance="web02"}}
        values: 1000000x120
    alert_rule_test:
      - {{eval_time: 90m, alertname: VogelerCollectorAway, exp_alerts: [{{exp_labels: {{severity: page}}, exp_annotations: {{summary: No collector can be reached, description: 'Answers wait in the broker; none is lost. Look at "systemctl status vogelerd".'}}}}]}}
      - {{eval_time: 90m, alertname: VogelerAnswersPileUp, exp_alerts: []}}
      - {{eval_time: 60m, alertname: VogelerHostsOffline, exp_alerts: []}}
      - {{eval_time: 90m, alertname: VogelerHostsOffline, exp_alerts: [{{exp_labels: {{severity: ticket}}, exp_annotations: {{summary: 2 hosts are offline, description: 'Nobody reads their queues; commands wait there. "vogeler-admin hosts" says which, and since when.'}}}}]}}
      - {{eval_time: 30m, alertname: VogelerHostSilent, exp_alerts: []}}
      - {{eval_time: 90m, alertname: VogelerHostSilent, exp_alerts: [{{exp_labels: {{severity: ticket, job: vogeler-agent, instance: web01}}, exp_annotations: {{summary: The agent of web01 cannot be reached}}}}]}}
      - {{eval_time: 90m, alertname: VogelerDeadLetters, exp_alerts: [{{exp_labels: {{severity: ticket, queue: vogeler.dead, instance: c1}}, exp_annotations: {{summary: 3 answers could not be stored, description: 'Their headers say who sent them and why they were refused (x-sender, x-reason).'}}}}]}}
      - {{eval_time: 0m, alertname: VogelerCertificateEnds, exp_alerts: [{{exp_labels: {{severity: ticket, role: agent, instance: web02}}, exp_annotations: {{summary: A certificate of web02 ends in 11d 13h 46m 40s, description: "The broker's, or the client's own (cert_file), whichever ends first."}}}}]}}
"""


def promtool(*args):
    done = subprocess.run(["promtool", *map(str, args)], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()


def test_the_sample_of_alerts(tmp_path):
    """It is of metrics that there are, and its alerts come when they should."""
    named = set(re.findall(r"\bvogeler_\w+", RULES.read_text("utf-8")))
    assert named and named <= {name for name, _ in documented()}
    promtool("check", "rules", RULES)
    test = tmp_path / "test.yml"
    test.write_text(RULES_TEST, "utf-8")
    promtool("test", "rules", test)


def test_broker_down_and_back(own_site):
    monitors = [collector(own_site), agent(own_site)]
    for monitor in monitors:
        wait_until(monitor.is_well, "all is well")
    own_site.broker.settle()
    own_site.broker.kill()
    for monitor in monitors:
        wait_until(lambda m=monitor: m.narrow("^broker: .* is down since"), "it says so", TURN)
    own_site.broker.start()
    for monitor in monitors:
        wait_until(monitor.is_well, "all is well again")
        assert monitor.metrics()["vogeler_broker_reconnects_total",
                                 "agent" if monitor is monitors[1] else "consumer"] == 1


def test_broker_that_is_frozen(own_site):
    monitor = collector(own_site)
    wait_until(monitor.is_well, "all is well")
    own_site.broker.node.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: monitor.narrow("^broker: .* is silent since"), "it says so", TURN)
    finally:
        own_site.broker.node.send_signal(signal.SIGCONT)
    wait_until(monitor.is_well, "all is well again")


def test_memory_alarm(own_site):
    """The collector has nothing to publish, and sees it all the same."""
    monitors = [collector(own_site)]
    wait_until(monitors[0].is_well, "all is well")
    own_site.broker.ctl("set_vm_memory_high_watermark", "0.0001")
    monitors.append(agent(own_site, ready=False))  # it has its greeting to send
    for monitor in monitors:
        wait_until(lambda m=monitor: m.narrow("^broker: .* is blocked since .*memory"), "it says so", TURN)
        assert 1 in [v for k, v in monitor.metrics().items() if k[0] == "vogeler_broker_blocked"]
    own_site.broker.ctl("set_vm_memory_high_watermark", "0.4")
    for monitor in monitors:
        wait_until(monitor.is_well, "all is well again")


def test_queue_that_another_consumer_holds(site):
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.queue_declare("master.in", durable=True)
    channel.basic_consume("master.in", lambda *_: None, exclusive=True)
    monitor = collector(site, ready=False)
    line = r"^consumer: none on queue master\.in since (\d+) s: .*is in use"
    wait_until(lambda: monitor.narrow(line), "it says so", TURN)
    last = 0

    def still():
        """It connects anew each time; the line and its time stay."""
        nonlocal last
        told = monitor.narrow(line)
        assert told, monitor.health()
        since = int(re.search(line, told).group(1))
        assert since >= last, told
        last = since
        return last >= 5 and monitor.metric("vogeler_broker_failures_total", "consumer") >= 3
    wait_until(still, "it has tried a few times")
    connection.close()
    wait_until(monitor.is_well, "all is well again")


def test_queue_deleted(site):
    monitor = collector(site)
    wait_until(monitor.is_well, "all is well")
    seen = []

    def reconnects():
        return monitor.metric("vogeler_broker_reconnects_total", "consumer")

    def is_back(before):
        status, lines = monitor.health()
        seen.extend(lines)
        return status == 200 and reconnects() > before

    def told_when_deleted():
        """It takes half a second to heal, which is not always seen."""
        before = reconnects()
        connection = site.broker.connect(site.vhost)
        connection.channel().queue_delete("master.in")
        connection.close()
        wait_until(lambda: is_back(before), "it consumes again", step=0.01)
        return [line for line in seen if line.startswith("consumer: none on queue master.in since")]
    wait_until(told_when_deleted, "it says so")
    assert not [line for line in seen if line.startswith("broker: consumer is down")], seen


class Load:
    """Publishes responses, n at a time and some seconds apart, until it is told to end."""

    def __init__(self, site, n, seconds):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(site, n, seconds))

    def _run(self, site, n, seconds):
        connection = site.broker.connect(site.vhost)
        channel = connection.channel()
        made = 0
        while not self.over.wait(seconds):
            for _ in range(n):
                made += 1
                channel.basic_publish("vogeler.master.in", "",
                                      json.dumps({"syskey": f"h{made}", "format": "output", "p": "1"}))
        connection.close()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


GROWS = r"^backlog: master\.in grows, \d+ responses wait, since"


def depth(monitor, queue):
    """None while the collector does not know."""
    return monitor.metrics().get(("vogeler_queue_messages", queue))


def purged(site, monitor):
    """It need not write all of it here."""
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_purge("master.in")
    connection.close()
    wait_until(lambda: depth(monitor, "master.in") == 0, "it sees the queue empty")


def test_backlog(site):
    """More comes than is written: one response at a time, each with a commit of its own."""
    monitor = collector(site, "server.prefetch=1")
    wait_until(monitor.is_well, "all is well")
    with Load(site, 50, 0.1):
        told = wait_until(lambda: monitor.narrow(GROWS), "it says so")
        # By the collector's own clock, from the reading before the first rise: the load is ours, and may pause.
        assert int(re.search(r"since (\d+) s", told).group(1)) <= TURN, told
    wait_until(monitor.is_well, "it catches up, and all is well", TURN)
    purged(site, monitor)


def test_backlog_of_bursts(site):
    """The queue falls between them, but never as far as before. What one burst adds is never worked off in the 4 s to the
    next: at most 20 commits are made in a second."""
    monitor = collector(site, "server.prefetch=1")
    wait_until(monitor.is_well, "all is well")
    with Load(site, 200, 4):
        wait_until(lambda: monitor.narrow(GROWS), "it says so", 120)
    purged(site, monitor)
    wait_until(monitor.is_well, "all is well again", 120)


@pytest.fixture(name="own_couch")
def own_couch_fixture(tmp_path):
    """One that may be stopped."""
    (tmp_path / "couch").mkdir()
    couch = Couch(tmp_path / "couch")
    couch.given = None
    couch.start()
    try:
        yield couch
    finally:
        if couch.process.running:
            couch.process.signal(signal.SIGCONT)
        couch.finish()


RESPONSE = '{"syskey": "web01", "format": "output", "one": "1"}'


@pytest.mark.parametrize("traffic", [True, False])
def test_store_frozen(site, own_couch, traffic):
    store = own_couch.new_database()
    store.create()
    site.dbhost = store.dbhost
    monitor = collector(site)
    wait_until(monitor.is_well, "all is well")
    own_couch.process.signal(signal.SIGSTOP)
    if traffic:
        publish(site, RESPONSE)
        line = r"^store: (has written nothing of what waits|does not answer) since \d+ s$"
    else:
        line = r"^store: does not answer since \d+ s$"
    wait_until(lambda: monitor.narrow(line), "it says so", TURN)
    own_couch.process.signal(signal.SIGCONT)
    wait_until(monitor.is_well, "all is well again", 60)
    if traffic:
        wait_until(lambda: monitor.metric("vogeler_responses_total", "stored") >= 1, "it is stored")


@pytest.mark.parametrize("traffic", [True, False])
def test_store_gone_and_back(site, traffic):
    """Back on the same port."""
    store = FakeCouch()
    site.dbhost = f"couch://127.0.0.1:{store.port}/records"
    monitor = collector(site)
    wait_until(monitor.is_well, "all is well")
    store.stop()
    if traffic:
        publish(site, RESPONSE)
    wait_until(lambda: monitor.narrow(r"^store: takes nothing since \d+ s: .*cannot be reached: connection refused"),
               "it says so", TURN)
    store = FakeCouch(port=store.port)
    try:
        wait_until(monitor.is_well, "all is well again")
        if traffic:
            wait_until(lambda: monitor.metric("vogeler_responses_total", "stored") == 1, "it is stored")
            assert store.get("web01")["one"] == ["1"]
    finally:
        store.stop()


@pytest.fixture(name="fake")
def fake_fixture(site):
    fake = FakeCouch()
    site.dbhost = f"couch://127.0.0.1:{fake.port}/records"
    yield fake
    fake.stop()


def test_store_that_answers_and_takes_no_writes(site, fake):
    """Reads, /_up and the small document of a probe are well; records are not taken."""
    def writes():
        return sum(r.is_write for r in list(fake.requests))
    fake.script = lambda r: says(500, b'{"error": "unknown_error", "reason": "enospc"}') if r.is_write else None
    monitor = collector(site, "server.store_patience=1s")
    wait_until(monitor.is_well, "all is well")
    publish(site, RESPONSE, 3)
    line = r"^store: takes nothing since (\d+) s: .*500"
    wait_until(lambda: monitor.narrow(line), "it says so", TURN)
    wait_until(lambda: monitor.metric("vogeler_inbox_state", "TRYING") == 1, "a probe has passed")
    last, tries = 0, writes()

    def tried_again():
        nonlocal last
        told = monitor.narrow(line)
        assert told, monitor.health()
        since = int(re.search(line, told).group(1))
        assert since >= last, told
        last = since
        return writes() >= tries + 5
    wait_until(tried_again, "it has tried again a few times")
    assert 3 <= monitor.metric("vogeler_responses_total", "given_back") <= 6
    fake.script = None
    wait_until(monitor.is_well, "all is well again")
    site.wait_drained("master.in")
    assert monitor.metric("vogeler_responses_total", "stored") == 3


def test_taken_port(site):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = site.collector(ready=False, options=[f"server.listen={address}"])
        process.may_fail = True
        assert process.wait() == 1
        assert process.log_contains(re.escape(f"cannot listen on {address}: Address already in use") +
                                    r".*\[server\] listen")
        process = site.agent(ready=False, options=[f"client.listen={address}"])
        process.may_fail = True
        assert process.wait() == 1
        assert process.log_contains(re.escape(f"cannot listen on {address}: Address already in use") +
                                    r".*\[client\] listen")


def test_values_that_are_refused(site):
    monitor = collector(site, "limits.json_depth=3", "limits.object_keys=2", "limits.yaml_nodes=5", "limits.yaml_bytes=1KiB")
    for fmt, value in (("json", "[[[[1]]]]"), ("json", '{"a": 1, "b": 2, "c": 3}'), ("json", "[1,"), ("json", "[1]"),
                       ("yaml", "[1, 2, 3, 4, 5, 6]"), ("yaml", "a" * 2000)):
        publish(site, json.dumps({"syskey": "web01", "format": fmt, "p": value}))
    publish(site, "no JSON")
    wait_until(lambda: monitor.metric("vogeler_acked_total") == 7, "all is acked")
    wait_until(lambda: depth(monitor, "vogeler.dead") == 1, "it sees the dead letter")
    seen = monitor.metrics()
    assert {k[1]: v for k, v in seen.items() if k[0] == "vogeler_values_refused_total"} == \
        {"syntax": 1, "depth": 1, "keys": 1, "values": 1, "bytes": 1}


def test_store_that_asks_for_less(site, fake):
    fake.script = lambda r: says(429) if r.is_write and sum(r.is_write for r in list(fake.requests)) < 4 else None
    monitor = collector(site, "couch.requests=8")
    publish(site, RESPONSE)
    wait_until(lambda: monitor.metric("vogeler_responses_total", "stored") == 1, "it is stored")
    seen = monitor.metrics()
    assert seen["vogeler_store_slowdowns_total"] == 3
    assert seen["vogeler_store_requests_limit"] == 8
    wait_until(lambda: monitor.metric("vogeler_store_requests_allowed") < 8, "fewer are allowed")


def test_address_that_others_reach_is_told(site):
    """In a network of its own, which nobody reaches."""
    argv = ["unshare", "--user", "--map-root-user", "--net", program("vogelerd"), "--qhost", site.qhost, "--dbhost", "null://",
            "--loglevel", "INFO", "--option"]
    told = r"is open to the network.*set \[server\] listen to an address like 127\.0\.0\.1:22010"
    process = site.process("open", [*argv, "server.listen=0.0.0.0:22010"]).start()
    process.wait_log(r"WARN.*0\.0\.0\.0:22010 " + told)
    process = site.process("closed", [*argv, "server.listen=127.0.0.1:22010"]).start()
    process.wait_log("has started")
    assert process.log_contains("/metrics and /healthz on") and not process.log_contains("open to the network")


def test_nothing_listens_unless_told_to(site):
    """The agent's is off; two collectors on a machine do not quarrel about the one of theirs."""
    def listens(process):
        inodes = {line.split()[9] for name in ("tcp", "tcp6")
                  for line in pathlib.Path(f"/proc/{process.pid}/net/{name}").read_text("ascii").splitlines()
                  if line.split()[3] == "0A"}
        links = [str(link.readlink()) for link in pathlib.Path(f"/proc/{process.pid}/fd").iterdir()]
        return any(f"socket:[{inode}]" in links for inode in inodes)
    first = site.collector(options=["server.listen=auto"])
    second = site.collector(options=["server.listen=auto"], name="second", dbhost="null://")
    assert first.running and second.running
    assert not (listens(first) and listens(second))
    assert not listens(site.agent())


def test_slow_and_large_requests(site):
    """One byte now and then does not keep a connection, nor others out."""
    monitor = collector(site)
    slow = [socket.create_connection(("127.0.0.1", monitor.port)) for _ in range(20)]
    dripping = slow[-1]
    dripping.settimeout(0.5)
    end = time.monotonic() + 30
    dripping.sendall(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
    while True:
        assert time.monotonic() < end, "a slow request is still let in"
        try:
            dripping.sendall(b"a")
            if dripping.recv(1000) == b"":
                break
        except socket.timeout:
            assert monitor.is_well()
        except OSError:
            break
    for s in slow:
        s.close()
    for path in ("/../../etc/passwd", "/metrics/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/"):
        assert monitor.get(path)[0] == 404
    assert monitor.get("/metrics", "POST")[0] == 405
    with socket.create_connection(("127.0.0.1", monitor.port), 20) as s:
        try:
            s.sendall(b"GET /metrics HTTP/1.1\r\nX-Large: " + b"a" * 1024 * 1024 + b"\r\n\r\n")
            assert b"200 OK" not in s.recv(1000)
        except OSError:
            pass
    assert monitor.is_well()
