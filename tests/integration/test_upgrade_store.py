# SPDX-License-Identifier: Apache-2.0
"""A file that an older Vogeler made: the collector brings it up to date at its start, and tells the service manager."""
import json
import os
import signal
import socket
import sqlite3

import pytest
from lib.waiting import wait_until

DATA = os.path.join(os.path.dirname(__file__), "..", "data")
HOSTS = 30000


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, site):
        path = str(site.folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(path)
        self.all = []
        site.env["NOTIFY_SOCKET"] = path

    def said(self):
        while True:
            try:
                self.all.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return self.all


def connect(site):
    return sqlite3.connect(site.folder / "records.db", timeout=30)


@pytest.fixture(name="old")
def old_fixture(site):
    """What a collector stored, and many hosts more, so that it takes a while."""
    database = connect(site)
    with open(os.path.join(DATA, "schema4.sql"), encoding="utf-8") as sql:
        database.executescript(sql.read())
    meta = json.dumps({"received_at": "2026-11-30T18:47:06.000Z", "changed_at": "2026-11-30T18:47:06.000Z", "hash": "a" * 64})
    value = json.dumps("x" * 500)
    with database:
        for n in range(HOSTS):
            host = f"host{n:05}"
            database.execute("INSERT INTO hosts VALUES (?, 1, 2, NULL)", (host,))
            for plugin in ("facter", "ps", "units"):
                database.execute("INSERT INTO facts VALUES (?, ?, 5, ?)", (host, plugin, meta))
                database.execute("INSERT INTO fact_values VALUES (?, ?, ?)", (host, plugin, value))
    database.close()
    with open(os.path.join(DATA, "schema4.json"), encoding="utf-8") as records:
        return json.load(records)


def schema(site):
    database = connect(site)
    version, = database.execute("PRAGMA user_version").fetchone()
    database.close()
    return version


def expect_records(site, records):
    for record in records:
        shown = json.loads(site.admin("show", "--json", record["_id"]).out)
        assert shown == record


def test_it_is_brought_up_to_date(site, old):
    """Nothing is answered before that is done, and the manager is asked for time until then."""
    done = site.admin("hosts", status=1)
    assert "made by an older Vogeler" in done.err and "start vogelerd" in done.err, done
    manager = Manager(site)
    site.vogelerd = site.collector(level="INFO", ready=False)
    wait_until(lambda: any("READY=1" in said for said in manager.said()), "it is ready")
    before = [said for said in manager.said() if "READY=1" not in said]
    assert any("EXTEND_TIMEOUT_USEC=" in said and "being brought up to date, " in said for said in before), before
    assert schema(site) == 5
    assert site.vogelerd.log_contains("made by an older Vogeler, bringing it up to date")
    wait_until(lambda: site.vogelerd.log_contains("brought up to date"), "it is said")
    expect_records(site, old)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_stopped_in_the_middle(site, old, how):
    log = site.folder / "records.db-wal"
    site.vogelerd = site.collector(level="INFO", ready=False)
    wait_until(lambda: log.exists() and log.stat().st_size > 2 ** 20, "it is under way")
    if how == signal.SIGKILL:
        site.vogelerd.kill()
    else:
        site.vogelerd.stop(how)
    assert schema(site) == 4
    site.vogelerd = site.collector(level="INFO")
    wait_until(lambda: schema(site) == 5, "it is brought up to date")
    expect_records(site, old)
