# SPDX-License-Identifier: Apache-2.0
"""The programs that are tortured: collectors, and an agent for each host. Who is killed is started again, who has ended by
itself is counted."""
import http.client
import os
import pathlib
import re
import signal
import statistics

from lib.http import Monitor
from lib.process import SANITIZER
from lib.waiting import wait_until

OPTIONS = ["amqp.heartbeat=2s", "amqp.reconnect_max=2s"]
GAUGE = re.compile(r"^vogeler_inbox_deliveries (\d+)$", re.M)


class Member:
    """One program, as it lives and dies."""

    def __init__(self, process, role):
        self.process = process
        self.role = role
        self.way = None      # to the broker
        self.monitor = None
        self.down = False    # we have ended it
        self.stopped = False

    @property
    def name(self):
        return self.process.name

    def kill(self):
        self.down = True
        self.process.kill()

    def stop(self):
        self.stopped = True
        self.process.signal(signal.SIGSTOP)

    def go_on(self):
        if self.stopped:
            self.stopped = False
            if self.process.running:
                self.process.signal(signal.SIGCONT)

    def start(self):
        if self.process.running:
            return
        self.process.start()
        self.down = self.stopped = False

    def has_died(self):
        """By itself."""
        return not self.down and not self.process.running

    def gauge(self):
        """How many responses it has in hand; 0 as well of who does not answer."""
        if self.process.running and not self.stopped:
            connection = http.client.HTTPConnection("127.0.0.1", self.monitor.port, timeout=0.3)
            try:
                connection.request("GET", "/metrics")
                found = GAUGE.search(connection.getresponse().read().decode())
                return int(found[1]) if found else 0
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
        return 0

    def size(self):
        """(descriptors, kB)"""
        return len(self.process.open_files()), self.process.memory_kb()


class Fleet:
    """Each of them goes a way of its own to the broker."""

    def __init__(self, site, ways, store, plugins):
        self.site = site
        self.ways = ways
        self.store = store
        self.plugins = plugins
        self.hosts = []
        self.agents = {}
        self.collectors = []
        self.dead = []      # what has ended by itself
        self.sizes = {}     # role -> (descriptors, kB), before

    def start(self, hosts):
        for n, dbhost in enumerate(self.store.dbhosts, 1):
            self.add_collector(f"collector{n}", dbhost)
        for host in hosts:
            self.add_agent(host)
        for host in hosts:
            self.site.wait_consumer(host, self.agents[host].process)

    def _way(self):
        way = self.ways.to(self.site.broker.port)
        return way, self.through(way)

    def through(self, way):
        """The broker's URI that goes this way."""
        return self.site.qhost.replace(f":{self.site.broker.port}/", f":{way.port}/")

    def add_collector(self, name, dbhost):
        monitor = Monitor("server")
        way, qhost = self._way()
        options = [*OPTIONS, monitor.option, "server.store_patience=1s", "history.keep=all, all"]
        process = self.site.collector(name=name, level="INFO", options=options, qhost=qhost, dbhost=dbhost)
        member = Member(process, "collector")
        member.monitor, member.way = monitor, way
        self.collectors.append(member)

    def agent_argv(self, host, qhost):
        return self.site.agent_argv(host, qhost=qhost, level="INFO", options=OPTIONS, plugins=self.plugins.folder_of(host))

    def add_agent(self, host, first_way=None):
        """first_way: that its first start goes; later ones go its own."""
        self.plugins.install(host)
        way, qhost = self._way()
        process = self.site.process(f"agent.{host}", self.agent_argv(host, self.through(first_way) if first_way else qhost))
        process.start()
        process.argv = [str(a) for a in self.agent_argv(host, qhost)]
        member = Member(process, "agent")
        member.way = way
        self.agents[host] = member
        self.hosts.append(host)
        return member

    def members(self):
        return [*self.collectors, *self.agents.values()]

    def in_hand(self):
        return sum(c.gauge() for c in self.collectors)

    def look(self):
        """Who has ended by itself is told of, and started again, for the rest of the run to mean something."""
        for member in self.members():
            if member.has_died():
                self.dead.append(f"{member.name} ended by itself with {member.process.popen.returncode}: "
                                 f"{member.process.log()[-400:]}")
                member.start()

    def measure(self):
        """Role -> (descriptors, kB) of the largest."""
        found = {}
        for member in self.members():
            found.setdefault(member.role, []).append(member.size())
        return {role: tuple(max(column) for column in zip(*sizes)) for role, sizes in found.items()}

    def are_well(self):
        try:
            return all(m.process.running for m in self.members()) and all(c.monitor.is_well() for c in self.collectors)
        except (OSError, http.client.HTTPException):
            return False  # one that has just started listens a little later

    def end(self):
        """All of them in order. Returns what was wrong with how they ended."""
        found = []
        for group in (self.agents.values(), self.collectors):
            for member in group:
                if member.process.running:
                    member.process.signal(signal.SIGTERM)
            for member in group:
                try:
                    status = member.process.wait()
                except AssertionError as e:
                    found.append(str(e))
                    member.process.kill()
                    continue
                if status != 0:
                    found.append(f"{member.name} ended with {status} after SIGTERM")
        for member in self.members():
            if SANITIZER.search(member.process.log()):
                found.append(f"{member.name}: sanitizer output, {member.process.log_path}")
        return found


def left_over(folder):
    """Processes that have to do with the folder, other than those named: command lines of what nobody should have left."""
    found = []
    word = os.fsencode(folder)
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            if word in line or word in (entry / "environ").read_bytes():
                found.append((int(entry.name), line.replace(b"\0", b" ").decode("utf-8", "replace").strip()))
        except OSError:
            pass  # it has ended, or is somebody else's
    return found
