"""vogeler-bench in small: what it sends is stored, its books close, and do not when something is missing."""
import json

import pytest
from lib.waiting import wait_until

PLAN = ("-n", "20", "-j", "5", "-p", "mix", "--run", "1795374000000")


def bench(site, *args, status=0):
    done = site.run("vogeler-bench", "--qhost", site.qhost, "--dbhost", site.dbhost, "--json", *args)
    assert status is None or done.status == status, done
    return json.loads(done.out.splitlines()[-1]) if done.out else None


@pytest.fixture(name="filled")
def filled_fixture(site):
    """100 answers of 20 hosts, stored: the books close then."""
    site.collector(level="WARN")
    assert bench(site, *PLAN, "fill")["responses"] == 100
    wait_until(lambda: bench(site, *PLAN, "books", status=None)["books"]["closed"], "the books close")
    return site


def test_books_close(filled):
    books = bench(filled, *PLAN, "books")["books"]
    assert books["closed"] and books["expected"] == books["ok"] == books["values"] == 100


def test_books_find_what_is_lost_and_what_is_stale(filled):
    """A job that was never answered; a record that is not there; an old value where a newer one is expected."""
    books = bench(filled, *PLAN, "--expect-more", "1", "books", status=2)["books"]
    assert books["lost"] == 20 and books["ok"] == 100
    books = bench(filled, "-n", "21", *PLAN[2:], "books", status=2)["books"]
    assert books["lost"] == 5 and books["missing"] == 5
    books = bench(filled, *PLAN, "--unchanged", "100", "-j", "10", "books", status=2)["books"]
    assert books["lost"] == 100 and books["stale"] == 0  # the same values again
    books = bench(filled, *PLAN, "-j", "10", "books", status=2)["books"]
    assert books["stale"] == 100


def test_hosts_that_misbehave(site):
    """20 hosts: 2 off, 2 slow, 4 that answer twice, 2 with rubbish; three jobs."""
    site.collector(level="ERROR")
    report = bench(site, "-n", "20", "-j", "3", "--rate", "20", "--offline", "10", "--slow", "10", "--slow-by", "100ms",
                   "--twice", "20", "--poison", "10", "--patience", "40s", "load")
    assert report["books"]["closed"] and report["books"]["expected"] == 54
    assert [j["ok"] for j in report["jobs"]] == [18] * 3
    assert report["latency"]["n"] == 54
    assert report["hosts"]["again"] == 12 and report["hosts"]["poison"] == 6
    wait_until(lambda: site.ready("vogeler.dead") == 6, "the rubbish is in vogeler.dead")


def test_fewer_connections_than_hosts(site):
    site.collector(level="WARN")
    report = bench(site, "-n", "20", "-j", "2", "--connections", "3", "--one-by-one", "--patience", "40s", "load")
    assert report["books"]["closed"] and [j["ok"] for j in report["jobs"]] == [20, 20]


def test_null_store_and_raw_rate(site):
    """Nothing can be looked up, but everything is taken."""
    site.collector(level="WARN", dbhost="null://")
    bench(site, *PLAN, "fill")
    wait_until(lambda: site.ready("master.in") == 0, "all is taken")
    done = site.run("vogeler-bench", "--dbhost", "null://", *PLAN, "books")
    assert done.status == 1 and "null://" in done.err


def test_consume(site):
    bench(site, *PLAN, "fill")
    assert bench(site, *PLAN, "consume")["responses"] == 100
    assert site.broker.queue(site.vhost, "master.in")[0] == 0
    done = site.run("vogeler-bench", "--qhost", site.qhost, *PLAN, "--patience", "300ms", "consume")
    assert done.status == 1 and "the queue is empty" in done.err
