# SPDX-License-Identifier: Apache-2.0
"""vogeler-admin sql: questions to the views of pg://, on a real server."""
import csv
import io
import json
import signal

import pytest
from lib.site import program
from lib.waiting import wait_until


@pytest.fixture(name="filled")
def filled_fixture(pg_site):
    pg_site.collector(options=["pg.sql_values=facter"])
    for host, cores in (("web01", 4), ("web02", 8)):
        client = pg_site.party("Client2010", host)
        client.answer("facter", json.dumps({"cores": cores, "note": 'a "b", c\nd', "big": 12345678901234567890}), "json")
        client.answer("packages", '["a 1"]', "json")
        pg_site.wait_plugin("packages", host)
    return pg_site


def ask(site, *args, status=0):
    return site.admin("sql", *args, status=status)


def test_a_table_csv_and_json(filled):
    question = "SELECT host, value->'cores' AS cores, value->>'note' AS note, NULL AS none, changed_at > '2020-01-01' AS t," \
               " 1.50 AS n, 'NaN'::float8 AS nan FROM v_result WHERE plugin = 'facter' ORDER BY host"
    lines = ask(filled, "SELECT host, plugin, bytes FROM v_result WHERE plugin = 'facter' ORDER BY host").out.splitlines()
    assert lines[0].split() == ["host", "plugin", "bytes"] and [line.split()[0] for line in lines[1:]] == ["web01", "web02"]
    rows = list(csv.reader(io.StringIO(ask(filled, question, "--csv").out)))
    assert rows[0] == ["host", "cores", "note", "none", "t", "n", "nan"]
    assert rows[1] == ["web01", "4", 'a "b", c\nd', "", "t", "1.50", "NaN"]
    rows = [json.loads(line) for line in ask(filled, question, "--json").out.splitlines()]
    assert rows[1] == {"host": "web02", "cores": 8, "note": 'a "b", c\nd', "none": None, "t": True, "n": 1.5, "nan": "NaN"}
    whole = ask(filled, "SELECT value FROM v_result WHERE plugin = 'facter' AND host = 'web01'", "--json").out
    assert "12345678901234567890" in whole
    twice = ask(filled, "SELECT 1 AS a, 2 AS a", "--json", status=1)
    assert "two columns are named a" in twice.err and twice.out == ""


def test_nothing_but_the_views_is_read(filled):
    for question in ("SELECT * FROM vogeler.version", "SELECT * FROM host", "SELECT nextval('vogeler.version_seq')"):
        done = ask(filled, question, status=1)
        assert "permission denied" in done.err and "v_result" in done.err and done.err.count("\n") == 1, done
    for question in ("WITH x AS (DELETE FROM v_host RETURNING host) SELECT * FROM x", "SELECT 1 AS a INTO b",
                     "SELECT set_config('transaction_read_only', 'off', true)", "SELECT 1; SELECT 2"):
        assert ask(filled, question, status=1).out == ""
    for word in ("DELETE FROM v_host", "COPY v_host TO STDOUT", "SELECTED", "COMMIT", ""):
        assert "a question begins with SELECT" in ask(filled, word, status=1).err
    assert filled.database.sql("SELECT count(*) FROM vogeler.v_host") == "2"


def test_who_finds_nothing_is_told_what_sql_cannot_see(filled):
    done = ask(filled, "SELECT host FROM v_result WHERE plugin = 'packages' AND value @> '[\"a 1\"]'", status=4)
    assert "nothing comes out" in done.err and "values of packages" in done.err and "sql_values" in done.err
    done = ask(filled, "SELECT host, value FROM v_result WHERE plugin IN ('facter', 'packages') AND host = 'web01'")
    assert "sql_values" not in done.err
    done = ask(filled, "SELECT host, value FROM v_result WHERE plugin = 'packages'")
    assert "values of packages" in done.err and "web02" in done.out
    done = ask(filled, "SELECT packages FROM v_result WHERE plugin = 'packages'", status=1)
    assert "42703" in done.err and "values of packages" in done.err
    done = ask(filled, "SELECT 1 FROM v_host WHERE host = 'facter'", status=4)
    assert done.err.count("\n") == 1


def test_one_that_takes_long_is_ended(filled):
    done = ask(filled, "SELECT pg_sleep(60)", "--timeout=200ms", status=1)
    assert "57014" in done.err and "--timeout" in done.err


def test_ctrl_c_ends_it_on_the_server(filled):
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND state = 'active'" \
              " AND pid <> pg_backend_pid()"
    asking = filled.process("asking", [program("vogeler-admin"), "--dbhost", filled.dbhost, "sql", "SELECT pg_sleep(600)",
                                        "--timeout=20min"]).start()
    asking.may_fail = True
    wait_until(lambda: filled.database.sql(running) == "1", "the server is at it")
    asking.signal(signal.SIGINT)
    assert asking.wait() == 130
    wait_until(lambda: filled.database.sql(running) == "0", "the server has stopped")


def test_another_store_says_what_does(sqlite_site):
    done = sqlite_site.admin("sql", "SELECT 1", status=1)
    assert "not PostgreSQL" in done.err and "vogeler-admin query" in done.err
