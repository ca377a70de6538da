# SPDX-License-Identifier: Apache-2.0
"""Several collectors on one PostgreSQL: all of them work, on the same hosts and at the same time. Nobody waits for a leader, nobody
is in conflict, and when one is killed, stopped or cut off the others store what it had."""
import json
import signal

import pytest
from lib.http import Monitor
from lib.relay import Relay
from lib.waiting import wait_until

HOSTS = 97  # odd: the broker deals answers in turn, and each is to get some of every host
LOGIN = "vogeler_net"


class Collectors:
    """The last of them reaches the server on a way of its own."""

    def __init__(self, site, n):
        self.site = site
        self.run, self.jobs = 1795374000000, 0
        self.collectors, self.monitors = [], []
        server = site.database.server
        server.sql(f"DO $$ BEGIN CREATE ROLE {LOGIN} LOGIN SUPERUSER PASSWORD 'net'; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        self.way = Relay("127.0.0.1", 0, server.port)
        for i in range(n):
            last = i == n - 1
            dbhost = f"pg://{LOGIN}:net@127.0.0.1:{self.way.port}/{site.database.name}" if last else site.dbhost
            self.monitors.append(Monitor("server"))
            self.collectors.append(site.collector(
                name=f"collector{i}", level="INFO", dbhost=dbhost,
                options=[self.monitors[i].option, "server.prefetch=50", "server.store_patience=1s"]))
            self.collectors[i].wait_log("PROBING -> TAKING")

    def stored(self, i):
        return self.monitors[i].metric("vogeler_store_writes_total", "OK")

    def plan(self):
        return ("-n", str(HOSTS), "-j", str(self.jobs), "-p", "lines", "--run", str(self.run))

    def answer(self, jobs):
        """Answers of each host to so many jobs lie ready, and all that live begin with them at the same time."""
        living = [c for c in self.collectors if c.running]
        for process in living:
            process.signal(signal.SIGSTOP)
        self.run, self.jobs = self.run + 3600000, jobs
        done = self.site.run("vogeler-bench", "--qhost", self.site.qhost, "--json", *self.plan(), "fill")
        for process in living:
            process.signal(signal.SIGCONT)
        assert done.status == 0, done

    def close_books(self):
        self.site.wait_drained("master.in", "vogeler.fresh")

        def closed():
            done = self.site.run("vogeler-bench", "--dbhost", self.site.dbhost, "--json", *self.plan(), "books")
            return done.status in (0, 2) and json.loads(done.out.splitlines()[-1])["books"]["closed"]
        wait_until(closed, "every answer is found in record and ledger")
        # And the newest is the one in hand, nothing of it twice.
        assert self.site.database.sql(
            "SELECT count(*) FROM (SELECT ord, lag(ord) OVER (PARTITION BY host, plugin ORDER BY seq) AS before"
            " FROM vogeler.version) v WHERE ord <= before") == "0"


@pytest.fixture(name="two")
def two_fixture(pg_site):
    two = Collectors(pg_site, 2)
    yield two
    two.way.close()


def test_all_of_them_work(two):
    before = [two.stored(i) for i in (0, 1)]
    for _ in range(3):
        two.answer(20)
        two.close_books()
    for i in (0, 1):
        assert two.stored(i) > before[i], (i, before)
        assert not two.collectors[i].log_contains("STANDBY|vogeler.leader|deadlock")


@pytest.mark.parametrize("end", ["killed", "stopped", "cut off"])
def test_one_goes_in_the_middle_of_it(two, end):
    two.answer(30)
    wait_until(lambda: int(two.site.database.sql("SELECT count(*) FROM vogeler.version")) > HOSTS, "they are at it")
    if end == "killed":
        two.collectors[1].kill()
    elif end == "stopped":
        two.collectors[1].signal(signal.SIGSTOP)
    else:
        two.way.close()
    two.close_books()
    if end == "stopped":
        two.collectors[1].signal(signal.SIGCONT)
        two.answer(2)
        two.close_books()
