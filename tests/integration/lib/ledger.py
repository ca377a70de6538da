# SPDX-License-Identifier: Apache-2.0
"""The ledger's documents, written and counted without the programs under test (docs/protocol.md has them)."""
import json
import sqlite3
import time
import urllib.parse

from .postgres import PgDatabase

STATES = ["ok", "failed", "timeout", "refused", "superseded", "unroutable", "cancelled", "expired", "queued",
          "unsent"]
DAY = 86400
# On sqlite:// a name has a number.
JOB, HOST = "(SELECT id FROM job WHERE name = ?)", "(SELECT id FROM host WHERE name = ?)"


def timestamp(seconds):
    """So many seconds from now: (as text, in ms)."""
    at = int(time.time() + seconds)
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at)), at * 1000


class Ledger:
    def __init__(self, site):
        self.site = site
        self.pages = 0
        self.database = getattr(site, "database", None)  # a couch.Database; None: on sqlite://
        self.pg = None
        if isinstance(self.database, PgDatabase):
            self.pg, self.database = self.database, None

    @property
    def named(self):
        """By what programs call it, before what they say of a job."""
        if self.pg:
            return "/" + self.pg.dbhost.rpartition("/")[2]
        return f"/{self.database.name}_jobs" if self.database else "/records.db"

    def _sql(self, sql, values):
        database = sqlite3.connect(self.site.folder / "records.db", timeout=30)
        with database:
            rows = database.execute(sql, values).fetchall()
        database.close()
        return rows

    def _couch(self, method, path, body=None):
        status, answer = self.database.couch.request(method, f"/{self.database.name}_jobs/{path}", body)
        assert status in (200, 201), answer
        return answer

    def _put(self, key, body):
        self._couch("PUT", urllib.parse.quote(key, safe=""), body)

    def add_job(self, job, plugin, hosts, target="all", sent=0, expires=3600, confirms=False, odd=None):
        """sent: seconds from now. expires: so too; None = never. confirms: its runner notes what the broker confirms. odd:
        members that somebody edited."""
        sent_at, sent_ms = timestamp(sent)
        row = {"doc_type": "Job", "id": job, "plugin": plugin, "user": "ops", "target": target, "sent_at": sent_at,
               "hosts": sorted(hosts)}
        if confirms:
            row["confirms"] = True
        not_after = 0
        if expires is not None:
            row["not_after"], not_after = timestamp(expires)
        row.update(odd or {})
        if self.pg:
            self.pg.sql("INSERT INTO vogeler.job (id, sent_at, not_after, job) "
                        f"VALUES ('{job}', {sent_ms}, {not_after}, $job${json.dumps(row)}$job$)")
            return
        if self.database:
            self._put(f"job/{job}", row)
        else:
            self._sql("INSERT INTO job (name, sent_at, not_after, job) VALUES (?, ?, ?, ?)",
                      (job, sent_ms, not_after, json.dumps(row)))

    def add_outcome(self, job, host, state, at=0):
        """As the runner's."""
        text, ms = timestamp(at)
        self.pages += 1
        if self.pg:
            self.pg.sql("INSERT INTO vogeler.outcome (job, host, state, ord, response_id, at, duration_ms, exit_status, stray) "
                        f"VALUES ('{job}', '{host}', {STATES.index(state)}, 0, '', {ms}, -1, -1, false)")
            return
        if self.database:
            self._put(f"out/{job}/0123456789abcdef/{self.pages}", {
                "doc_type": "Outcomes", "job": job, "at": text,
                "outcomes": [{"host": host, "state": state, "at": text}]})
        else:
            self._sql("INSERT INTO host (name) VALUES (?) ON CONFLICT DO NOTHING", (host,))
            self._sql("INSERT INTO job (name) VALUES (?) ON CONFLICT DO NOTHING", (job,))
            self._sql("INSERT INTO outcome (job, host, ord, state, response_id, at, why, duration_ms, exit_status) "
                      f"VALUES ({JOB}, {HOST}, 0, ?, '', ?, NULL, -1, -1)", (job, host, STATES.index(state), ms))

    def spoil_outcome(self, job, host, state):
        """Gives an outcome of add_outcome a state that there is not."""
        if self.pg:
            self.pg.sql(f"UPDATE vogeler.outcome SET state = {state} WHERE job = '{job}' AND host = '{host}'")
            return
        if not self.database:
            self._sql(f"UPDATE outcome SET state = ? WHERE job = {JOB} AND host = {HOST}", (state, job, host))
            return
        pages = self._couch("GET", "_all_docs?include_docs=true")["rows"]
        page, = (row["doc"] for row in pages if row["id"].startswith(f"out/{job}/")
                 and row["doc"]["outcomes"][0]["host"] == host)
        page["outcomes"][0]["state"] = state
        self._put(page["_id"], page)

    def count(self, job):
        """(jobs, pages or rows of outcomes) of this id."""
        if self.pg:
            return tuple(int(self.pg.sql(f"SELECT count(*) FROM vogeler.{table} WHERE {column} = '{job}'"))
                         for table, column in (("job", "id"), ("outcome", "job")))
        if not self.database:
            return (self._sql("SELECT count(*) FROM job WHERE name = ? AND job IS NOT NULL", (job,))[0][0],
                    self._sql(f"SELECT count(*) FROM outcome WHERE job = {JOB}", (job,))[0][0])
        ids = [row["id"] for row in self._couch("GET", "_all_docs")["rows"]]
        return ids.count(f"job/{job}"), sum(i.startswith(f"out/{job}/") for i in ids)
