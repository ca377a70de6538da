# SPDX-License-Identifier: Apache-2.0
"""A page of the SQLite file is damaged: the hosts whose rows are on it wait, named, and everybody else goes on."""
import json
import os
import re
import sqlite3

import pika
import pytest
from lib.http import Monitor
from lib.ledger import Ledger
from lib.waiting import wait_until

HOSTS = [f"host{n:04}" for n in range(800)]
PAGE = 4096


def publish(site, hosts, value):
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    for host in hosts:
        body = json.dumps({"syskey": host, "ps": value, "format": "raw"})
        channel.basic_publish("vogeler.master.in", "", body.encode(), pika.BasicProperties(delivery_mode=2))
    connection.close()


def select(site, sql, *values):
    database = sqlite3.connect(site.folder / "records.db", timeout=30)
    try:
        return database.execute(sql, values).fetchall()
    finally:
        database.close()


def damage(site, name, place):
    """Overwrites a leaf of the table or index."""
    select(site, "PRAGMA wal_checkpoint(TRUNCATE)")
    pages = select(site, "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path", name)
    with open(site.folder / "records.db", "r+b") as file:
        file.seek((pages[place][0] - 1) * PAGE)
        file.write(b"\xa5" * (PAGE // 2) + os.urandom(PAGE // 2))


def with_value(site, value):
    """Hosts that have it. The names are read by their index, which is whole."""
    have = select(site, "SELECT f.host FROM fresh f JOIN version v ON v.seq = f.version WHERE CAST(v.v AS TEXT) = ?",
                  json.dumps(value))
    names = dict(select(site, "SELECT id, name FROM host WHERE name > ''"))  # those that have it are there
    return {names[host] for host, in have}


def hosts_on(site, place):
    """On that leaf of the table of hosts, by their numbers."""
    cells = select(site, "SELECT ncell FROM dbstat WHERE name = 'host' AND pagetype = 'leaf' ORDER BY path")
    first = sum(n for n, in cells[:place]) + 1
    rows = (first, first + cells[place][0] - 1)
    return {host for host, in select(site, "SELECT name FROM host WHERE id BETWEEN ? AND ?", *rows)}


@pytest.fixture(name="damaged")
def damaged_fixture(site):
    """A collector that was stopped, the second leaf of its hosts damaged; the hosts whose it is."""
    monitor = Monitor("server")
    site.monitor = monitor
    site.vogelerd = site.collector(options=[monitor.option], level="INFO")
    publish(site, HOSTS, "before")
    wait_until(lambda: len(with_value(site, "before")) == len(HOSTS), "all are stored")
    site.vogelerd.stop()
    culprits = hosts_on(site, 1)
    assert 20 < len(culprits) < 200
    damage(site, "host", 1)
    return culprits


def named(site):
    try:
        return site.monitor.metric("vogeler_store_damaged_hosts")
    except ConnectionRefusedError:  # it has just been started
        return None


def expect_named(site, culprits):
    """Once in the log, and in health."""
    line = site.monitor.narrow(r"^store: takes nothing of \d+ hosts \(host\d+, host\d+, host\d+ and \d+ more\) since .*malformed.*recover")
    assert line and f" {len(culprits)} hosts " in line and any(f"({host}," in line for host in culprits), line
    assert site.vogelerd.log_count(r"WARN.*takes nothing of \d+ host.*malformed.*recover") == 1
    assert named(site) == len(culprits)


@pytest.mark.parametrize("order", ["by name", "culprits last", "mixed"])
def test_the_others_are_stored(site, damaged, order):
    mixed = HOSTS[::3] + HOSTS[1::3] + HOSTS[2::3]
    last = [host for host in HOSTS if host not in damaged] + sorted(damaged)
    publish(site, {"by name": HOSTS, "culprits last": last, "mixed": mixed}[order], "after")
    site.vogelerd.start()
    good = set(HOSTS) - damaged
    wait_until(lambda: good <= with_value(site, "after"), "all others are stored")
    wait_until(lambda: named(site) == len(damaged), "all culprits are known")
    expect_named(site, damaged)
    assert site.vogelerd.log_count("-> PROBING") == 0
    assert site.ready("vogeler.dead") == 0


def test_culprits_first_then_others(site, damaged):
    """The store answers for its damaged hosts alone, and nothing was stored since the start."""
    publish(site, sorted(damaged), "after")
    site.vogelerd.start()
    wait_until(lambda: named(site) == len(damaged), "all culprits are known")
    new = [f"new{n:04}" for n in range(300)]
    publish(site, new, "after")
    wait_until(lambda: set(new) <= with_value(site, "after"), "all new ones are stored")
    expect_named(site, damaged)


def test_more_culprits_than_the_prefetch(site, damaged):
    """They take the places in the prefetch of nobody."""
    publish(site, sorted(damaged), "after")
    publish(site, ["good"], "after")
    site.vogelerd.argv += ["--option", "server.prefetch=10"]
    site.vogelerd.start()
    wait_until(lambda: "good" in with_value(site, "after"), "what is behind them is stored")


def test_doctor_names_them(site, damaged):
    done = site.admin("doctor", "--as", "collector", status=1, qhost=True)
    line, = [line for line in done.out.splitlines() if "store content" in line]
    assert line.startswith("FAIL") and "table host;" in line, done
    assert re.search(rf"; {len(damaged)} hosts cannot be read: {min(damaged)}, host\d+, host\d+ and \d+ more", line), done
    assert "backup" in done.out and "host0000" not in done.out, done


@pytest.mark.parametrize("index", ["sqlite_autoindex_plugin_1", "fresh_by_host", "outcome_stray", "job_by_time"])
def test_doctor_tells_of_an_index(site, index):
    """As its only page, it is the trouble of all, though no data is lost."""
    site.vogelerd = site.collector()
    site.plugin("one", "echo 1")
    site.agent()
    site.runner("-n", "web01", "-x", "one", dbhost=True)
    job, = [i for i, in select(site, "SELECT name FROM job")]
    wait_until(lambda: select(site, "SELECT * FROM outcome JOIN job j ON j.id = outcome.job WHERE j.name = ?", job), "its outcome is stored")
    assert "ok    store content     all of it can be read" in site.admin("doctor", status=None, qhost=True).out
    site.vogelerd.stop()
    damage(site, index, 0)
    done = site.admin("doctor", status=1, qhost=True)
    line, = [line for line in done.out.splitlines() if "store content" in line]
    assert line.startswith("FAIL") and f"damaged: index {index}" in line, done
    assert "no data" in line and "cure:" in done.out and ".recover" in done.out, done


def test_a_name_that_has_become_a_blob(site):
    """One bit of a row says so. Whoever reads on behind it must not meet it again for ever."""
    site.vogelerd = site.collector()
    publish(site, HOSTS[:3], "before")
    wait_until(lambda: len(with_value(site, "before")) == 3, "all are stored")
    site.vogelerd.stop()
    database = sqlite3.connect(site.folder / "records.db")
    with database:
        database.execute("UPDATE host SET name = CAST(name AS BLOB) WHERE name = ?", (HOSTS[1],))
        database.execute("INSERT INTO host (name) VALUES (CAST('another' AS BLOB))")
    database.close()
    for args in (["hosts"], ["query", ".ps"]):
        done = site.admin(*args)
        assert HOSTS[0] in done.out and HOSTS[2] in done.out, done
    done = site.admin("doctor", status=1, qhost=True)
    line, = [line for line in done.out.splitlines() if "store content" in line]
    assert line.startswith("FAIL") and "2 rows whose name is no text any more" in line and "in table host" in line, done
    site.vogelerd = site.collector()
    publish(site, HOSTS[:3], "after")
    wait_until(lambda: with_value(site, "after") >= {HOSTS[0], HOSTS[2]}, "the others are stored")


def test_jobs_of_which_the_outcomes_cannot_be_read(site):
    """The newest are on that page: those before are listed with how they stand, and these are named."""
    site.vogelerd = site.collector()
    site.plugin("one", "echo 1")
    site.agent()
    for _ in range(80):
        site.runner("-n", "web01", "-x", "one", dbhost=True)
    wait_until(lambda: select(site, "SELECT count(DISTINCT job) FROM outcome") == [(80,)], "all outcomes are stored")
    site.vogelerd.stop()
    damage(site, "outcome", -1)
    done = site.run("vogeler-runner", "--dbhost", site.dbhost, "--qhost", site.qhost, "jobs", "--limit", "80")
    rows = [line for line in done.out.splitlines() if " one " in line]
    assert done.status == 0 and len(rows) == 80, done
    unknown = [row for row in rows if "unknown" in row]
    assert 0 < len(unknown) < 80 and "unknown" in rows[0] and "unknown" not in rows[-1], done
    assert f"how {len(unknown)} job" in done.err and "malformed" in done.err and rows[0].split()[0] in done.err, done


def test_queue_and_forget_where_the_outcomes_of_one_job_cannot_be_read(site):
    """They go on with the other jobs, and say which is not known."""
    site.collector().stop()
    site.admin("setup", "web01", qhost=True)
    ledger = Ledger(site)
    jobs = [f"job-{n:03}" for n in range(200)]
    for n, job in enumerate(jobs):
        ledger.add_job(job, "one", ["web01"], sent=n - len(jobs), confirms=True)
        ledger.add_outcome(job, "web01", "queued")
    damage(site, "outcome", -1)
    told = site.admin("queue", "web01", qhost=True)
    left = re.findall(r"^(job-\d+) one ", told.out, re.M)
    unread = len(jobs) - len(left)
    said = f"how {unread} jobs stand is not known, the outcomes cannot be read: job-199: "
    assert 0 < unread < len(jobs) and told.err.count(said) == 1 and "malformed" in told.err, told
    done = site.admin("forget", "web01", "--yes", qhost=True, status=1)
    assert done.out.startswith("queue web01: deleted, with 0 waiting messages\n") and done.err.count(said) == 1, done
    # A leaf that is full is split, for which its neighbour is read: not all that can be read can be written.
    cancelled = int(re.search(r"^ledger: (\d+) commands that nobody will answer: cancelled$", done.out, re.M)[1])
    kept = re.search(r"what waited for them of (\d+) jobs? is \"queued\" in the ledger still: job-\d+: ", done.err)
    assert 0 < cancelled == len(left) - (int(kept[1]) if kept else 0), done
