# SPDX-License-Identifier: Apache-2.0
"""What a CouchDB, or a proxy before it, may answer, from a fake (tests/fake/fake_couch.py, which says what it is): the real vogelerd
and a real RabbitMQ. Whatever the store does, nothing is acknowledged before its 201, nothing is lost, and nothing is
dead-lettered that is not itself refused."""
import json
import re
import signal
import sys
import time

import pika
import pytest

from conftest import open_site
from lib.client2010 import MASTER
from lib.site import SOURCE
from lib.waiting import wait_until

sys.path.insert(0, str(SOURCE / "tests" / "fake"))
# pylint: disable=wrong-import-position
from fake_couch import Act, FakeCouch, says  # noqa: E402

HTML = b"<html><body>Please sign in</body></html>"


class Bench:
    """vogelerd between RabbitMQ and the fake. Each host answers once a round, so that hosts stored and messages
    acknowledged can be compared."""

    def __init__(self, site, fake):
        self.site = site
        self.fake = fake
        self.values = {}
        self.client = None
        self.refused = 0

    def start(self, *options, **kw):
        self.collector = self.site.collector(options=options, **kw)
        return self

    def send(self, n=10, value=1, hosts=None):
        self.client = self.client or self.site.party("Client2010", "sender")
        for host in hosts or [f"h{i:03}" for i in range(n)]:
            self.values[host] = value
            # pylint: disable=protected-access
            self.client._publish(MASTER, "", {"syskey": host, "p": json.dumps(value), "format": "json"})

    def held(self):
        """Messages that the broker still answers for."""
        return self.site.broker.messages(self.site.vhost)["master.in"]

    def assert_all_held(self):
        """Of one round, of which nothing was stored."""
        assert not self.fake.stored
        assert self.held() == len(self.values)

    def wait_times(self, what, times, patience=40):
        wait_until(lambda: what() >= times, f"the fault has happened {times} times", patience)

    def is_stored(self, host, value):
        doc = self.fake.get(host)
        return doc is not None and doc.get("p") == value

    def settle(self, dead=0):
        """Until everything is stored and acknowledged."""
        self.fake.script = None
        wait_until(lambda: all(self.is_stored(h, v) for h, v in self.values.items()), "everything is stored")
        self.site.wait_drained("master.in")
        assert (self.site.ready("vogeler.dead") or 0) == dead
        assert self.collector.running and "s3cr3tword" not in self.collector.log()

    def revision(self, host):
        return int(self.fake.get(host)["_rev"].split("-")[0])


class Store:
    def __init__(self, fake):
        self.dbhost = f"couch://ann:s3cr3tword@127.0.0.1:{fake.port}/records"


@pytest.fixture
def bench(request, broker, tmp_path):
    fake = FakeCouch()
    for site in open_site(request, broker, tmp_path, Store(fake)):
        yield Bench(site, fake)
    fake.stop()


class Times:
    """A script: the first `times` requests of a kind get act, which may be a function of the request."""

    def __init__(self, act, times=3, kind=lambda r: r.is_write):
        self.act = act
        self.times = times
        self.kind = kind
        self.done = []  # the requests

    def __call__(self, request):
        if not self.kind(request) or len(self.done) >= self.times:
            return None
        self.done.append(request)
        return self.act(request) if callable(self.act) else self.act

    def happened(self):
        return len(self.done)


FOR_EVER = 10 ** 9


def test_the_fake_can_behave(bench):
    """Else what follows would prove nothing. The database is made, the design documents loaded and records listed too."""
    bench.fake.databases.clear()
    bench.site.admin("setup", qhost=True)
    assert bench.fake.revs_limit == {"records": 20, "records_jobs": 20}
    bench.start().send(20)
    bench.settle()
    bench.send(20, value=2)
    bench.settle()
    assert bench.revision("h000") == 2
    assert "h019" in bench.site.admin("hosts").out
    assert len(bench.fake.stored) == 40


@pytest.mark.parametrize("applied", [True, False], ids=["after it was stored", "before"])
def test_an_answer_cut_after_any_byte(bench, applied):
    bench.start()
    for cut in range(0, 440, 20):
        bench.fake.script = Times(Act(apply=applied, status=None if applied else 201, body=None if applied else
                                      b'[{"ok":true,"id":"h000","rev":"1-a"}]' * 9, cut=cut), 1)
        done = bench.collector.log_count("Waiting for more messages")
        bench.send(3, value=cut)
        wait_until(lambda: all(bench.is_stored(h, v) for h, v in bench.values.items())  # pylint: disable=cell-var-from-loop
                   and bench.fake.script.happened(), "stored")
        # And known to be: else the next cut meets the same write, and all of them together are an outage.
        wait_until(lambda: bench.collector.log_count("Waiting for more messages") > done,  # pylint: disable=cell-var-from-loop
                   "nothing is in hand")
    bench.settle()
    # Nothing went back. (A response of 2010 has no number, so one that was stored unseen may be written once more.)
    for host in bench.values:
        values = [doc["p"] for doc in bench.fake.history[host]]
        assert values == sorted(values) and set(values) == set(range(0, 440, 20)), values
        assert len(values) <= 2 * len(set(values)), values


def test_a_reading_cut_after_any_byte(bench):
    bench.start()
    for cut in range(0, 440, 20):
        bench.fake.script = Times(Act(apply=True, cut=cut), 1, lambda r: r.is_read)
        bench.send(hosts=[f"c{cut}a", f"c{cut}b"], value=cut)
        wait_until(lambda: all(bench.is_stored(h, v) for h, v in bench.values.items()), "stored")
    bench.settle()


@pytest.mark.parametrize("kind", ["reads", "writes"])
def test_a_store_that_never_answers(bench, kind):
    bench.start("couch.timeout=500ms")
    script = bench.fake.script = Times(Act(stall=True), FOR_EVER, lambda r: r.is_write if kind == "writes" else r.is_read)
    memory = bench.collector.memory_kb()
    bench.send(30)
    bench.wait_times(script.happened, 4)
    bench.assert_all_held()
    assert bench.collector.memory_kb() - memory < 10 * 1024
    bench.settle()


def test_a_slow_store_is_borne(bench):
    bench.start()
    bench.fake.script = Times(lambda r: Act(apply=True, slow=0.005), FOR_EVER, lambda r: True)
    bench.send(5)
    wait_until(lambda: all(bench.is_stored(h, v) for h, v in bench.values.items()), "stored")
    written = [host for r in bench.fake.requests for host in r.ids() if "/" not in host]
    assert sorted(written) == sorted(bench.values), "each once, and no repetition"
    bench.settle()


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(bench, status):
    bench.start(level="INFO")
    script = bench.fake.script = Times(says(status, Retry_After="3"), 1, lambda r: True)
    bench.send(10)
    bench.wait_times(script.happened, 1)
    told = script.done[0]
    bench.settle()
    later = [r.at - told.at for r in bench.fake.requests if r.at > told.at]
    assert min(later) >= 2.9, later
    assert bench.collector.log_contains(r"requests at once: 16 -> 8, status=%d" % status)


@pytest.mark.parametrize("status", [429, 503])
def test_asked_for_time_without_saying_how_much(bench, status):
    bench.start()
    script = bench.fake.script = Times(says(status), FOR_EVER)
    bench.send(10)
    bench.wait_times(script.happened, 4)
    bench.assert_all_held()
    bench.settle()


def test_an_outage_is_no_flood_and_its_end_sums_up(bench):
    bench.start("server.store_patience=500ms", level="WARN")
    bench.send(3)
    bench.settle()
    script = bench.fake.script = Times(says(503), FOR_EVER, lambda r: True)
    bench.send(3, value=2)
    bench.collector.wait_log("takes nothing, .*unlogged_before=0$")
    bench.wait_times(script.happened, script.happened() + 4)  # probes, of which the first is told
    bench.settle()
    up = r"WARN. vogelerd .inbox. - store\[\S*\]: up again after (\d+) s, unlogged=(\d+)$"
    bench.collector.wait_log(up)
    (seconds, unlogged), = re.findall(up, bench.collector.log(), re.M)
    assert int(unlogged) >= 2 and int(seconds) >= 1, bench.collector.log()
    assert bench.collector.log_count(r"retry_in=\d+ms") <= 2, bench.collector.log()  # one, unless it took a minute


def test_one_record_that_is_refused_holds_nobody_up(bench):
    """Of a quiet site: its answer is at the head of the queue, alone, each time the collector tries."""
    def refuse(document):
        return "internal_server_error" if document["_id"] == "bad" else None
    bench.fake.script = lambda request: Act(apply=True, refuse=refuse)
    bench.start("server.store_patience=500ms", level="INFO")
    bench.send(hosts=["bad"])
    bench.collector.wait_log("PROBING -> TRYING")
    bench.send(20)
    wait_until(lambda: all(bench.is_stored(h, 1) for h in bench.values if h != "bad"), "the others are stored", 60)
    bench.collector.wait_log("TRYING -> TAKING, reason=the store has taken a write")
    bench.send(20, value=2)
    wait_until(lambda: all(bench.is_stored(h, 2) for h in bench.values if h != "bad"), "and go on to be")
    wait_until(lambda: bench.held() == 1, "all but that one is acknowledged")
    assert not bench.is_stored("bad", 1)
    bench.settle()


def test_fewer_requests_at_once_when_asked_for_less(bench):
    """A limiter that bears two at once."""
    def limiter(request):
        time.sleep(0.05)
        return says(429) if request.in_flight > 2 else None
    bench.start("server.batch_max_count=1", level="INFO")
    bench.fake.script = limiter
    bench.send(100)
    wait_until(lambda: all(bench.is_stored(h, v) for h, v in bench.values.items()), "everything is stored")
    refused = [r for r in bench.fake.requests if r.in_flight > 2]
    assert refused, "it never came with more than two"
    assert len(refused) < len(bench.fake.requests) / 4, (len(refused), len(bench.fake.requests))
    assert bench.collector.log_contains(r"requests at once: \d+ -> [12],")
    bench.settle()


def test_items_are_answered_one_by_one(bench):
    seen = {}

    def refuse(doc):
        seen[doc["_id"]] = seen.get(doc["_id"], 0) + 1
        first = seen[doc["_id"]] == 1
        return {"h001": "conflict" if first else None, "h002": "internal_server_error" if first else None,
                "h003": "forbidden", "h004": "document_too_large"}.get(doc["_id"])
    bench.start()
    bench.fake.script = lambda r: Act(apply=True, refuse=refuse) if r.is_write else None
    bench.send(10)
    bench.site.wait_queue("vogeler.dead", 2)
    for host in ("h003", "h004"):
        del bench.values[host]
    wait_until(lambda: all(bench.is_stored(h, v) for h, v in bench.values.items()), "the others are stored")
    bench.settle(dead=2)
    reasons = {json.loads(body)["syskey"]: properties.headers["x-reason"]
               for properties, body in bench.site.dead_letters()}
    assert "forbidden" in reasons["h003"] and "too_large" in reasons["h004"], reasons
    assert bench.fake.get("h003") is None and bench.fake.get("h004") is None
    assert seen["h001"] >= 2 and seen["h002"] >= 2 and seen["h000"] == 1


def test_one_poisoned_document_is_found_by_halving(bench):
    def poisoned(request):
        if request.is_write and "h005" in request.ids():
            return says(400, b'{"error":"illegal_docid","reason":"as the test says"}')
        return None
    bench.start("server.batch_max_age=1s")
    bench.fake.script = poisoned
    bench.send(16)
    bench.site.wait_queue("vogeler.dead", 1)
    del bench.values["h005"]
    bad = [r for r in bench.fake.requests if r.is_write and "h005" in r.ids()]
    assert len(bad[0].ids()) == 16, "all in one batch, else it proves little"
    assert len(bad) <= 6, "log2 of 16, once whole, once alone"
    bench.settle(dead=1)
    (properties, body), = bench.site.dead_letters()
    assert json.loads(body)["syskey"] == "h005" and "illegal_docid" in properties.headers["x-reason"]


@pytest.mark.parametrize("how", ["each", "whole"])
def test_a_database_that_refuses_every_document_is_away(bench, how):
    """unauthorized for each item, as by a validation that knows no such user; or 400 for any write of records, as a
    partitioned database says it. Nothing of that is a host's fault."""
    def refuse(request):
        if not request.is_write:
            return None
        if how == "each":
            return Act(apply=True, refuse=lambda doc: "unauthorized")
        return says(400, b'{"error":"illegal_docid","reason":"Doc id must be of form partition:id"}')
    bench.start("server.store_patience=2s", level="INFO")
    bench.fake.script = refuse
    bench.send(200)
    bench.collector.wait_log("inbox: PROBING -> TRYING")
    wait_until(lambda: len([r for r in bench.fake.requests if r.is_write]) > 15, "it tries")
    assert bench.site.broker.messages(bench.site.vhost)["vogeler.dead"] == 0
    assert bench.collector.log_contains("takes nothing, .*(unauthorized|partition:id)")
    bench.fake.script = None
    wait_until(lambda: all(bench.is_stored(h, v) for h, v in bench.values.items()), "everything is stored")
    bench.settle()


WRONG = b'{"error":"unauthorized","reason":"Name or password is incorrect."}'
NO_MEMBER = b'{"error":"forbidden","reason":"You are not allowed to access this db."}'
LOCKED = (b'{"error":"forbidden","reason":"Account is temporarily locked due to multiple authentication failures"}')


@pytest.mark.parametrize("status, says_so, tries", [(401, WRONG, 1), (403, LOCKED, 1), (403, NO_MEMBER, 3)])
def test_denied_from_the_beginning(bench, status, says_so, tries):
    """What is refused for its login is asked again on a reload alone: five failures within five minutes lock a user."""
    script = bench.fake.script = Times(says(status, says_so), FOR_EVER, lambda r: True)
    bench.start(ready=False, level="WARN")
    bench.wait_times(script.happened, tries)
    wait_until(lambda: bench.collector.log_count("retry_in=") >= 1, "it has asked")
    line, = [line for line in bench.collector.log().splitlines() if "retry_in=" in line and "store" in line]
    verb = "has locked" if says_so == LOCKED else "denies access to"
    assert f'couch://ann:***@127.0.0.1:{bench.fake.port}/records {verb} user "ann"' in line and f"({status}" in line
    assert ("what else logs in" if says_so == LOCKED else "check user and password") in line
    assert len(bench.fake.requests) == 1 or says_so == NO_MEMBER
    bench.fake.script = None
    bench.collector.signal(signal.SIGHUP)
    bench.site.wait_consumer("master.in", bench.collector)
    bench.send(3)
    bench.settle()


def test_password_changed_while_it_runs(bench):
    bench.start("server.store_patience=500ms", level="WARN")
    script = bench.fake.script = Times(says(401), FOR_EVER, lambda r: True)
    bench.send(10)
    wait_until(lambda: bench.collector.log_contains("retry_in="), "it has asked in vain")
    assert script.happened() < 5, "that many lock the user"
    bench.assert_all_held()
    log = bench.collector.log()
    assert 1 <= log.count('denies access to user "ann"') <= 2, log  # one that it gives back, one of the probe
    bench.fake.script = None
    bench.collector.signal(signal.SIGHUP)
    bench.settle()


def test_a_store_that_comes_and_goes_is_a_line_a_minute(bench):
    """Probes are taken, records are not: every half second the store is given up, and found again."""
    bench.start("server.store_patience=100ms", level="WARN")
    script = bench.fake.script = Times(says(500, b'{"error":"internal_server_error","reason":"enospc"}'), FOR_EVER)
    bench.send(10)
    bench.wait_times(script.happened, 6)
    bench.assert_all_held()
    log = bench.collector.log()
    assert log.count("enospc") == 1 and log.count("deliveries are given back") == 1, log
    bench.settle()


ODD = {
    "202": Act(apply=True, status=202),
    "201 with broken JSON": says(201, b'[{"ok":true,"id":"h000","rev":"1-a"},{"ok":tr'),
    "201 with HTML": says(201, HTML, Content_Type="text/html"),
    "201 with nothing": says(201),
    "201 about somebody else": says(201, b'[{"ok":true,"id":"stranger","rev":"1-a"}]'),
    "201 with an object": says(201, b'{"ok":true}'),
    "201 without a revision": says(201, b'[{"ok":true,"id":"h000"}]'),
    "200 with HTML": says(200, HTML, Content_Type="text/html"),
    "200 with what a 201 says": Act(apply=True, status=200),
    "301": says(301, HTML, Location="http://127.0.0.1:1/elsewhere"),
    "404 of a proxy": says(404, HTML, Content_Type="text/html"),
    "500 of a proxy": says(502, HTML, Content_Type="text/html"),
    "content-length too long": Act(apply=True, length=100000),
    "content-length too short": Act(apply=True, length=20),
    "reset at once": Act(cut=0),
    "no HTTP": Act(cut=20, status=200, body=b"", headers={"Server": "\r\n\r\n\0\1\2"}),
}


@pytest.mark.parametrize("name", ODD)
def test_only_a_whole_201_counts(bench, name):
    bench.start()
    script = bench.fake.script = Times(ODD[name], FOR_EVER)
    bench.send(10)
    bench.wait_times(script.happened, 3)
    if ODD[name].apply:
        assert bench.held() >= 10 - len(bench.fake.stored)
    else:
        bench.assert_all_held()
    bench.settle()


# T9


def send_order(bench, host, value, order):
    """As an agent of today does: the same number means the same answer."""
    bench.values[host] = value
    bench.client = bench.client or bench.site.party("Client2010", "sender")
    bench.client.channel.basic_publish(
        MASTER, "", json.dumps({"syskey": host, "p": json.dumps(value), "format": "json"}).encode(),
        pika.BasicProperties(delivery_mode=2, message_id=f"{host}.{order}",
                             headers={"plugin": "p", "order": order, "machine_id": "m"}))


@pytest.mark.parametrize("killed", [False, True], ids=["", "by another collector"])
@pytest.mark.parametrize("what", ["record", "mark"])
def test_what_a_202_took_is_written_until_201(bench, what, killed):
    """One node of three has taken it, and is read from; with it the answer would go. Nothing but its 201 may lead to
    the ack, though what is read is what is to be written."""
    value = ["x" * 20000]
    bench.start()
    if what == "mark":
        send_order(bench, "h000", value, 1)
        bench.settle()
    taken = []

    def script(request):
        """Of the writes of this order: two are taken by the one node alone."""
        if not request.is_write or '"order":2' not in request.body.decode() or len(taken) == 2:
            return None
        taken.append(request)
        return Act(apply=True, status=202)
    bench.fake.script = script
    send_order(bench, "h000", value, 2)
    wait_until(lambda: taken, "a 202")
    if killed:
        bench.collector.kill()
        bench.start()
    wait_until(lambda: len(taken) == 2, "a second 202")
    bench.settle()
    # The write that was acknowledged came after them, and has all of it.
    written = [r for r in bench.fake.requests if r.is_write and '"order":2' in r.body.decode()]
    assert len(written) >= 3
    last = [doc for r in written if r not in taken for doc in r.json()["docs"] if not doc.get("sealed")]
    assert any(doc["vogeler"]["p"]["order"] == 2 and doc.get("p", value) == value for doc in last), last


def test_a_captive_portal_answers_everything(bench):
    script = bench.fake.script = Times(says(200, HTML, Content_Type="text/html"), FOR_EVER, lambda r: True)
    bench.start(ready=False, level="WARN")
    bench.wait_times(script.happened, 2)
    wait_until(lambda: bench.collector.log_contains("proxy"), "it says so")
    bench.fake.script = None
    bench.site.wait_consumer("master.in", bench.collector)
    bench.send(3)
    bench.settle()


def test_kept_connections_are_closed_after_each_tenth_answer(bench):
    bench.start("server.batch_max_count=2", level="INFO")
    bench.fake.script = lambda r: Act(apply=True, close=r.number % 10 == 0)
    for value in range(3):
        bench.send(60, value)
        wait_until(lambda: all(bench.is_stored(h, v) for h, v in bench.values.items()), "stored")
    assert any(r.number == 10 for r in bench.fake.requests)
    assert not bench.collector.log_contains("-> WAITING"), "each was tried again at once"
    bench.settle()
    assert bench.revision("h000") == 3
