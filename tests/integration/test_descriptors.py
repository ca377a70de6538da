# SPDX-License-Identifier: Apache-2.0
"""Both daemons when descriptors are short, or those of every program missing: they say so, go on, and are whole again as soon as there are some."""
import os
import resource
import socket
import time

import pytest
from lib.http import Monitor
from lib.site import program


class Short:
    """Whoever runs has no descriptor left for anything new."""

    def __init__(self, process):
        self.pid = process.pid

    def __enter__(self):
        self.before = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (0, self.before[1]))

    def __exit__(self, *_):
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, self.before)


def by_name(site):
    """The broker's URI with a host name, which takes a thread to resolve."""
    return site.qhost.replace("127.0.0.1", "localhost")


def cpu_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(name="start")
def start_fixture(site):
    """A collector, or an agent, with /metrics."""
    def start(what):
        monitor = Monitor("server" if what == "collector" else "client")
        monitor.process = getattr(site, what)(qhost=by_name(site), options=[
            monitor.option, "amqp.reconnect_max=500ms"])
        monitor.process.wait_log("/metrics and /healthz on")
        return monitor
    return start


@pytest.mark.parametrize("what, queue", [("collector", "master.in"), ("agent", "web01")])
def test_reconnecting_without_descriptors(site, start, what, queue):
    monitor = start(what)
    process = monitor.process
    with Short(process):
        site.broker.ctl("close_all_connections", "-p", site.vhost, "to have them made anew")
        process.wait_log(r"down \(.*too many open files", 1)
        time.sleep(1)
        assert process.running
    site.wait_consumer(queue, process)
    process.stop()


@pytest.mark.parametrize("what", ["collector", "agent"])
def test_a_scrape_without_descriptors(start, what):
    """It waits in the kernel's queue, and is answered later. Meanwhile the loop does not turn for it."""
    monitor = start(what)
    process = monitor.process
    with socket.socket() as scrape:
        scrape.settimeout(10)
        with Short(process):
            scrape.connect(("127.0.0.1", monitor.port))
            scrape.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            process.wait_log("cannot accept a connection: too many open files")
            used = cpu_seconds(process)
            time.sleep(2.5)
            assert cpu_seconds(process) - used < 0.5
            assert process.log_count("cannot accept a connection") == 1
        assert scrape.recv(12) == b"HTTP/1.0 200"
    process.wait_log("connections are accepted again, unlogged=[1-9]")
    process.stop()


def test_a_plugin_without_descriptors_has_failed(site):
    """Its answer says why; the agent stays."""
    site.plugin("hello", "echo hello")
    collector, agent = site.collector(), site.agent(qhost=by_name(site))
    with Short(agent):
        site.ask("hello")
        assert "Too many open files" in site.wait_last_error("cannot start a process")["message"]
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello"]
    for process in (collector, agent):
        process.stop()


@pytest.mark.parametrize("what", ["collector", "agent"])
def test_started_without_standard_descriptors(site, what):
    """A log line must not go into whatever was opened first."""
    shell = ["/bin/sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"]
    process = site.process(what, [])
    process.argv = shell + [str(a) for a in (
        site.agent_argv() if what == "agent" else [
            program("vogelerd"), "--qhost", site.qhost, "--dbhost", site.dbhost, "--loglevel", "DEBUG",
            "--option", "server.listen=none"])]
    process.start()
    site.wait_consumer("web01" if what == "agent" else "master.in", process)
    assert [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    process.stop()
