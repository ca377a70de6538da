# SPDX-License-Identifier: Apache-2.0
"""What vogeler-admin does to a store as a whole, beside a collector that uses it: backup and restore of sqlite://, and
forgetting a host; and one that has several nodes."""
import re
import socket
import sqlite3

import pytest

from lib.relay import Relay
from lib.site import all_stores
from lib.waiting import wait_until


@pytest.fixture(name="filled")
def filled_fixture(site):
    site.plugin("one", "echo first")
    site.collector(level="WARN")
    site.agent(level="WARN")
    site.ask("one")
    site.wait_plugin("one")
    return site


def test_backup_beside_a_collector_and_restore(filled):
    site = filled
    backup = site.folder / "backup.db"
    assert f"backed up into {backup}" in site.admin("backup", str(backup)).out
    assert sqlite3.connect(f"file:{backup}?immutable=1", uri=True).execute("SELECT count(*) FROM host").fetchone() == (1,)
    site.plugin("two", "echo second")
    site.process("agent.web02", site.agent_argv("web02", level="WARN")).start()
    site.wait_consumer("web02", site.processes[-1])
    site.ask("two", "web02")
    site.wait_plugin("two", "web02")
    # Nobody can be asked here, and without a word nothing is replaced.
    refused = site.admin("restore", str(backup), status=1)
    assert "say --yes" in refused.err and site.record("web02") is not None
    assert "restored from" in site.admin("restore", str(backup), "--yes").out
    assert site.record("web02") is None and site.value("one") == ["first"]
    # The collector goes on with it.
    site.ask("two", "web02")
    site.wait_plugin("two", "web02")


def test_what_cannot_be_copied_is_said(site, filled):
    backup = site.folder / "backup.db"
    backup.write_text("notes")
    assert "File exists; cure: name a file that is not there yet" in site.admin("backup", str(backup), status=1).err
    assert backup.read_text() == "notes"
    for path, why in ((backup, "file is not a database"), (site.folder / "none.db", "No such file")):
        for yes in ([], ["--yes"]):  # nothing is asked for what cannot be done
            done = site.admin("restore", str(path), *yes, status=1)
            assert f"{path}: {why}" in done.err and "replace all" not in done.err, done
    assert filled.value("one") == ["first"]
    full = filled.admin("backup", "/nowhere/backup.db", status=1).err
    assert "/nowhere/backup.db: No such file or directory" in full
    couch = filled.run("vogeler-admin", "--dbhost", "couch://127.0.0.1:1/db", "backup", str(backup))
    assert couch.status == 1 and "is kept by a server" in couch.err


@all_stores
def test_forget(site):
    """Asked for by name; without a word nothing goes. A host that answers again is there again, whatever its order."""
    site.plugin("one", "echo first")
    site.collector(level="WARN")
    site.agent(level="WARN")
    site.ask("one")
    site.wait_plugin("one")
    assert "say --yes" in site.admin("forget", "web01", status=1).err
    assert site.value("one") == ["first"]
    assert site.admin("forget", "web01", "--yes").out == "web01: forgotten\n"
    assert site.record() is None and "web01" not in site.admin("hosts").out
    missing = site.admin("forget", "web01", "--yes", status=4)
    assert f"web01: no such host in {site.dbhost}; \"vogeler-admin hosts\" lists them" in missing.err
    site.ask("one")
    assert site.wait_plugin("one") == ["first"]


def nodes(site, *ports):
    """The URI of the stand-in by several ways, as if each were a node."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return re.sub(r"127\.0\.0\.1:\d+", hosts, site.dbhost)


@pytest.mark.parametrize("site", ["couch"], indirect=True)
def test_another_node_of_couchdb_is_asked(site):
    """The first is down from the start, the second goes down while the collector works, the third serves on."""
    port = int(re.search(r":(\d+)/", site.dbhost)[1])
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        second = Relay("127.0.0.1", 0, port)
        where = nodes(site, dead.getsockname()[1], second.port, port)
        site.plugin("one", "echo first")
        site.plugin("two", "echo second")
        collector = site.collector(dbhost=where, level="WARN")
        site.agent(level="WARN")
        site.ask("one")
        site.wait_plugin("one")
        collector.wait_log(r"the first host: connection refused; going on with 127\.0\.0\.1")
        second.close()
        site.ask("two")
        site.wait_plugin("two")
        shown = site.run("vogeler-admin", "--dbhost", where, "show", "web01", "two")
        assert shown.status == 0 and "second" in shown.out, shown
