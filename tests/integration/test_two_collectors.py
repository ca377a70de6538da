# SPDX-License-Identifier: Apache-2.0
"""Two collectors on one CouchDB: where they get in each other's way one goes on and the other stands by, until the first
is gone. Nothing is lost, and nobody has to say which of them it is to be."""
import json
import signal

import pytest
from lib.http import Monitor
from lib.relay import Relay
from lib.waiting import wait_until

HOSTS = 97  # odd: the broker deals answers in turn, and each is to get some of every host


class Pair:
    """Each reaches the database on a way of its own."""

    def __init__(self, site, queue):
        self.site = site
        self.queue = queue
        self.run, self.jobs, self.rounds = 1795374000000, 0, 0
        self.ways, self.collectors, self.monitors = {}, {}, {}
        host, _, database = site.dbhost.removeprefix("couch://").rpartition("/")
        login, _, address = host.rpartition("@")
        port = int(address.rpartition(":")[2])
        for name in ("first", "second"):
            self.ways[name] = Relay("127.0.0.1", 0, port)
            self._start(name, f"couch://{login}{'@' if login else ''}127.0.0.1:{self.ways[name].port}/{database}")

    def _start(self, name, dbhost):
        self.monitors[name] = Monitor("server")
        self.collectors[name] = self.site.collector(
            name=name, level="INFO", dbhost=dbhost,
            options=[self.monitors[name].option, "server.prefetch=50", "server.store_patience=1s",
                     f"master_queue.type={self.queue}"])
        self.collectors[name].wait_log("PROBING -> TAKING")

    def state(self, name):
        metrics = self.monitors[name].metrics()
        return next(label for (key, label) in (k for k in metrics if isinstance(k, tuple))
                    if key == "vogeler_inbox_state" and metrics[key, label] == 1)

    def states(self):
        return sorted(self.state(name) for name, process in self.collectors.items() if process.running)

    def plan(self):
        return ("-n", str(HOSTS), "-j", str(self.jobs), "-p", "lines", "--run", str(self.run))

    def answer(self, jobs):
        """Answers of each host to so many jobs lie ready, and both collectors begin with them at the same time."""
        living = [c for c in self.collectors.values() if c.running]
        for process in living:
            process.signal(signal.SIGSTOP)
        self.run, self.jobs, self.rounds = self.run + 3600000, jobs, self.rounds + 1
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

    def elect(self):
        """(the leader, the other). How many conflicts they run into is chance."""
        for _ in range(10):
            self.answer(5)
            self.site.wait_drained("master.in", "vogeler.fresh")
            if self.states() == ["STANDBY", "TAKING"]:
                break
        wait_until(lambda: self.states() == ["STANDBY", "TAKING"], "one goes on, the other stands by")
        return sorted(self.collectors, key=self.state, reverse=True)


@pytest.fixture(name="pair", params=["classic", "quorum"])
def pair_fixture(couch_site, request):
    """On queues of either type: what one gives back is delivered to the other."""
    pair = Pair(couch_site, request.param)
    yield pair
    for way in pair.ways.values():
        way.close()


@pytest.mark.parametrize("end", ["killed", "stopped", "without a store"])
def test_one_goes_on_until_it_is_gone(pair, end):
    leader, other = pair.elect()
    pair.close_books()
    for name in (leader, other):
        wait_until(pair.monitors[name].is_well, f"{name} is well")
    pair.answer(1)
    pair.close_books()
    assert pair.monitors[other].metric("vogeler_inbox_deliveries") == 0
    if end == "killed":
        pair.collectors[leader].kill()
    elif end == "stopped":
        pair.collectors[leader].stop()
    else:
        pair.ways[leader].close()
    wait_until(lambda: pair.state(other) == "TAKING", "the other goes on")
    pair.answer(1)
    pair.close_books()
    if end == "without a store":
        assert pair.monitors[leader].narrow("store")


def test_without_the_right_to_the_queue_both_go_on(pair):
    """As without it; and it is said once."""
    site = pair.site
    site.broker.set_permissions(site.vhost, "guest", r"^(vogeler\.([^l].*)|master\.in|h.*)$")
    said = []
    while not said and pair.rounds < 10:
        pair.answer(5)
        pair.close_books()
        said = [c for c in pair.collectors.values() if c.log_contains("WARN.*vogeler.leader")]
    pair.answer(5)
    pair.close_books()
    assert pair.states() == ["TAKING", "TAKING"]
    assert said and all(c.log_count("WARN.*vogeler.leader") == 1 for c in said)
