# SPDX-License-Identifier: Apache-2.0
"""What is kept of values before, as docs/history.md and the sample dashboard let people ask for it."""
import json
import re
import sqlite3

from lib.site import SOURCE

QUESTIONS = re.findall(r"^    (SELECT [^;]*);$", (SOURCE / "docs" / "history.md").read_text("utf-8"), re.M)


def ask_sqlite(site, question):
    database = sqlite3.connect(f"file:{site.folder}/records.db?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    rows = [dict(row) for row in database.execute(question)]
    database.close()
    return rows


def ask_pg(site, question):
    """As the role that people have."""
    text = site.database.sql(f"SET ROLE vogeler_read; SELECT json_agg(q) FROM ({question}) q")
    return json.loads(text or "null") or []


def store_three(site):
    """Two values, a failure that is none, and the second one once more."""
    site.collector()
    client = site.party("Client2010", "web01")
    client.answer("packages", '["a 1"]', "json")
    client.answer("packages", '["a 2"]', "json")
    client.answer("packages", '["a 2"', "json")
    client.answer("packages", '[ "a 2" ]', "json")
    client.answer("units", "{}", "json")
    site.wait_plugin("units")
    site.wait_meta("packages", lambda meta: "failure" not in meta, "the last answer is stored")


def test_questions_on_sqlite(sqlite_site):
    store_three(sqlite_site)
    rows = ask_sqlite(sqlite_site, QUESTIONS[-1])
    assert [(row["host"], row["plugin"], row["bytes"]) for row in rows] == [
        ("web01", "units", 2), ("web01", "packages", 7), ("web01", "packages", 7)], rows
    assert rows[1]["hash"] == sqlite_site.meta("packages")["hash"] != rows[2]["hash"]


def test_questions_on_pg(pg_site):
    store_three(pg_site)
    last, most, day, feed = (ask_pg(pg_site, question) for question in QUESTIONS[:-1])
    assert [(row["plugin"], row["bytes"]) for row in last] == [("units", 2), ("packages", 7), ("packages", 7)], last
    assert last[1]["hash"] == pg_site.meta("packages")["hash"] != last[2]["hash"]
    assert most == [{"plugin": "packages", "values": 2, "hosts": 1}, {"plugin": "units", "values": 1, "hosts": 1}]
    assert [row["host"] for row in day] == ["web01"]
    assert sorted((row["plugin"], row["hash"]) for row in feed) == sorted((row["plugin"], row["hash"]) for row in last)


def test_who_asks_by_time_does_not_read_all(pg_site):
    """The index is of the very expression that the view has."""
    plan = pg_site.database.sql(f"SET enable_seqscan = off; EXPLAIN {QUESTIONS[0]}")
    assert "version_by_time" in plan, plan


def test_the_feed_goes_on_behind_what_was_seen(pg_site):
    store_three(pg_site)
    question = QUESTIONS[-2]
    seen = ask_pg(pg_site, question)[-1]
    behind = question.replace("('0', 0)", f"('{seen['xid']}', {seen['seq']})")
    assert behind != question and ask_pg(pg_site, behind) == []
    pg_site.party("Client2010", "web02").answer("units", "{}", "json")
    pg_site.wait_plugin("units", "web02")
    assert [(row["host"], row["plugin"]) for row in ask_pg(pg_site, behind)] == [("web02", "units")]


def test_people_may_read_the_views_alone(pg_site):
    readable = pg_site.database.sql("SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class c WHERE relkind IN"
                                    " ('r', 'v', 'S') AND relnamespace = 'vogeler'::regnamespace AND"
                                    " has_table_privilege('vogeler_read', c.oid, 'SELECT')")
    assert readable == "v_change v_history v_host v_job v_result"


# What Grafana makes of its macros and of the dashboard's variable, with all of it chosen.
MACROS = [(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '1 day' AND now() + interval '1 day'"),
          (r"\$__timeGroupAlias\((\w+), \$__interval, 0\)", r'floor(extract(epoch from \1)/3600)*3600 AS "time"'),
          (r"\$plugin\b", "'os-release','packages','units'")]


def expanded(question):
    for macro, sql in MACROS:
        question = re.sub(macro, sql, question)
    assert "$" not in question, question
    return question


def test_the_sample_dashboard(pg_site):
    """Each of its panels has something to show."""
    dashboard = json.loads((SOURCE / "conf" / "grafana-postgresql.json").read_text("utf-8"))
    pg_site.collector(options=["pg.sql_values=os-release"])
    client = pg_site.party("Client2010", "web01")
    client.answer("os-release", 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', "output")
    client.answer("packages", '["a 1"]', "json")
    client.answer("packages", '["a 2"]', "json")
    client.answer("units", "[", "json")
    pg_site.wait_meta("units", lambda meta: "failure" in meta, "the last answer is stored")
    pg_site.runner("-n", "web01", "-x", "packages", dbhost=True, status=None)
    variables = {v["name"]: v["query"] for v in dashboard["templating"]["list"]}
    assert [row["plugin"] for row in ask_pg(pg_site, variables["plugin"])] == ["os-release", "packages", "units"]
    shown = {}
    for panel in dashboard["panels"]:
        target, = panel["targets"]
        assert {panel["datasource"]["uid"], target["datasource"]["uid"]} == {"${datasource}"}, panel["title"]
        shown[panel["title"]] = ask_pg(pg_site, expanded(target["rawSql"]))
    figures = {title: list(rows[0].values()) for title, rows in shown.items() if len(rows) == 1 and len(rows[0]) == 1}
    assert figures == {"Hosts": [1], "Not heard of for a day": [0], "Plugins that fail": [1], "Changes": [3],
                       "Hosts that changed": [1], "Jobs": [1]}
    assert {(row["metric"], row["changes"]) for row in shown["Changes by plugin"]} == {("os-release", 1), ("packages", 2)}
    assert [(row["host"], row["plugin"], row["state"]) for row in shown["What fails"]] == [("web01", "units", "unparsed")]
    assert shown["Releases"] == [{"release": "Debian GNU/Linux 12 (bookworm)", "hosts": 1}]
    assert not [title for title, rows in shown.items() if not rows]
    columns = {title: set(rows[0]) for title, rows in shown.items()}
    for panel in dashboard["panels"]:
        named = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
        assert named <= columns[panel["title"]], panel["title"]
