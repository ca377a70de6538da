# SPDX-License-Identifier: Apache-2.0
"""The commands of docs/postgresql.md, in their order, on a private server and another database."""
import re

import pytest
from lib.site import SOURCE
from lib.waiting import wait_until

PAGE = (SOURCE / "docs" / "postgresql.md").read_text(encoding="utf-8")


def commands(section, form):
    """Of a section: what is indented and looks like that."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    found = [line.strip() for line in text.splitlines() if line.startswith("    ") and re.match(form, line.strip())]
    assert found, section
    return found


@pytest.fixture(name="as_said")
def as_said_fixture(pg_site):
    """Runs a command of the page."""
    server, database = pg_site.database.server, pg_site.database
    if server.given:
        pytest.skip("the server is somebody else's")

    def run(line):
        words = re.sub(r"^sudo (-u \w+ )?", "", line).replace("'", "'\\''")
        words = re.sub(r"\bvogeler(\.dump)?$", lambda m: str(pg_site.folder / "v.dump") if m[1] else database.name, words)
        words = re.sub(r"(--dbname|--file) vogeler(\.dump)?\b",
                       lambda m: f"{m[1]} {pg_site.folder / 'v.dump' if m[2] else database.name}", words)
        return server._call("run", *words.replace("'\\''", "'").split())  # pylint: disable=protected-access
    return run


def test_a_backup_is_restored(pg_site, as_said):
    """What was stored is there again, and more is taken."""
    server = pg_site.database.server
    server.sql("DO $$ BEGIN CREATE ROLE vogelerd; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    collector = pg_site.collector()
    done = pg_site.run("vogeler-bench", "--qhost", pg_site.qhost, "-n", "20", "-j", "2", "-p", "lines", "fill")
    assert done.status == 0, done
    wait_until(lambda: pg_site.database.sql("SELECT count(*) FROM vogeler.v_history") == "40", "all is stored")
    before = pg_site.admin("show", "bench-00001", "--json").out
    ran = []
    for line in commands("Backup, failover, upgrade", r"(sudo|pg_dump)"):
        if "systemctl stop" in line:
            collector.stop()
        elif "systemctl start" in line:
            collector = pg_site.collector()
        elif "vogeler-admin" in line:
            pg_site.admin(*line.partition("vogeler-admin ")[2].split(), qhost=True)
        else:
            as_said(line)
        ran.append(line)
    assert len(ran) == 7, ran
    assert pg_site.admin("show", "bench-00001", "--json").out == before
    done = pg_site.run("vogeler-bench", "--qhost", pg_site.qhost, "-n", "20", "-j", "3", "-p", "lines", "fill")
    wait_until(lambda: int(pg_site.database.sql("SELECT count(*) FROM vogeler.v_history")) > 40, "more is stored")


def test_the_views_are_those_of_the_page(pg_site):
    told = dict(re.findall(r"^\| `vogeler\.(v_\w+)` \| (.*) \|$", PAGE, re.M))
    there = pg_site.database.sql("SELECT viewname FROM pg_views WHERE schemaname = 'vogeler'").split()
    assert sorted(told) == sorted(there)
    for view in there:
        pg_site.database.sql(f"SET ROLE vogeler_read; SELECT * FROM vogeler.{view}")
