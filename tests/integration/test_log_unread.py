# SPDX-License-Identifier: Apache-2.0
"""A log that nobody reads holds up no program: what waits for a reader is bounded, what was dropped is counted and said."""
import os
import re
import subprocess

import pytest

from lib.client2010 import Client2010
from lib.http import Monitor
from lib.orphan import die_with_parent
from lib.site import program
from lib.waiting import wait_until


class Unread:
    """A program whose standard error is a pipe that nobody reads, or a terminal that is stopped."""

    def __init__(self, kind, process):
        self.reader, self.writer = os.pipe() if kind == "pipe" else os.openpty()
        self.text = b""
        os.set_blocking(self.reader, False)
        process.popen = subprocess.Popen(process.argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=self.writer, cwd=process.cwd, env=process.env,
                                         start_new_session=True, preexec_fn=die_with_parent)

    def read(self):
        while True:
            try:
                self.text += os.read(self.reader, 65536)
            except BlockingIOError:
                return self.text.decode()

    def close(self):
        os.close(self.reader)
        os.close(self.writer)


def dropped(monitor):
    return monitor.metric("vogeler_log_lines_dropped_total")


@pytest.mark.parametrize("kind", ["pipe", "terminal"])
def test_nobody_reads_the_log_of_an_agent(site, kind):
    site.plugin("hello", "echo hello")
    site.admin("setup", "web01", qhost=True)
    monitor = Monitor("client")
    process = site.process("agent.web01", site.agent_argv("web01", options=[monitor.option]))
    unread = Unread(kind, process)
    site.wait_consumer("web01", process)

    def asked():
        site.ask("hello")
        return dropped(monitor) > 0
    wait_until(asked, "lines are dropped, and the loop turns", patience=120)
    wait_until(lambda: site.ready("web01") == 0, "it takes commands")
    wait_until(lambda: re.search(r"(\d+) lines were dropped here: nobody read the log", unread.read()), "it is said")
    told = sum(int(n) for n in re.findall(r"(\d+) lines were dropped here", unread.read()))
    assert told == dropped(monitor)
    assert os.get_blocking(unread.writer), "who shares the open file with it finds it as it was"
    process.stop()
    unread.close()


def test_nobody_reads_the_log_of_a_collector(site):
    site.admin("setup", qhost=True)
    monitor = Monitor("server")
    process = site.process("vogelerd", [program("vogelerd"), "--qhost", site.qhost, "--dbhost", site.dbhost,
                                        "--loglevel", "DEBUG", "--option", monitor.option])
    unread = Unread("pipe", process)
    site.wait_consumer("master.in", process)
    party = Client2010(site.broker, site.vhost, "web01")
    sent = 0
    while dropped(monitor) == 0:
        party.answer("p", f"{sent}" * 50, "string")
        sent += 1
        assert sent < 10000
    site.wait_drained("master.in")
    wait_until(lambda: "lines were dropped here" in unread.read(), "it is said")
    party.close()
    process.stop()
    unread.close()
