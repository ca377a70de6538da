# SPDX-License-Identifier: Apache-2.0
"""The stores: how one is started and killed, how many collectors may write to it, and what is in it, read without Vogeler."""
import os
import signal
import sqlite3
import subprocess

from lib.couch import Couch
from lib.postgres import Postgres
from lib.waiting import wait_until

LOGIN = "torture"


class Store:
    collectors = 1
    has_server = False  # of ours, which may be killed and stopped

    def __init__(self, folder, ways):
        self.folder = folder
        self.ways = ways
        self.dbhost = None    # of those who read
        self.dbhosts = []     # of each collector
        self.way = None       # of the last of them, if it is one that can be cut

    def history(self):
        """(host, plugin) -> [(order, hash)] in the order in which it was written; None: it keeps none."""
        return None

    def outcomes(self):
        """(what is there twice, how many answers came of a run that was repeated)"""
        return [], 0

    def damage(self):
        return []

    def finish(self):
        pass

    def pids(self):
        return set()

    @staticmethod
    def history_of(rows):
        found = {}
        for host, plugin, order, digest in rows:
            found.setdefault((host, plugin), []).append((int(order) if order not in (None, "") else None, digest))
        return found

    @staticmethod
    def count_outcomes(rows):
        """rows: (job, host, order, state) of answers. Two of one order are one answer twice; of several orders the agent
        has run the command again, as it ended before its answer was safe."""
        orders = {}
        for job, host, order, state in rows:
            orders.setdefault((job, host), {}).setdefault(order, []).append(state)
        doubled = [f"outcome of job {job} at {host}, order {order}: {states}" for (job, host), found in orders.items()
                   for order, states in found.items() if len(states) > 1]
        return doubled, sum(len(found) - 1 for found in orders.values())


class Sqlite(Store):
    def __init__(self, folder, ways):
        super().__init__(folder, ways)
        self.path = folder / "records.db"
        self.dbhost = f"sqlite://{self.path}"
        self.dbhosts = [self.dbhost]

    def _rows(self, sql):
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def history(self):
        return self.history_of(self._rows(
            "SELECT h.name, p.name, v.ord, lower(hex(v.hash)) FROM version v JOIN host h ON h.id = v.host"
            " JOIN plugin p ON p.id = v.plugin ORDER BY v.seq"))

    def outcomes(self):
        return self.count_outcomes(self._rows(
            "SELECT j.name, h.name, o.ord, o.state FROM outcome o JOIN job j ON j.id = o.job JOIN host h ON h.id = o.host"
            " WHERE o.state < 5"))

    def damage(self):
        return [row[0] for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]


class Pg(Store):
    """Two collectors: one over the server's socket, the other on a way of its own over TCP."""
    collectors = 2

    def __init__(self, folder, ways):
        super().__init__(folder, ways)
        self.server = Postgres(folder).start_first()
        self.has_server = not self.server.given
        self.database = self.server.new_database()
        self.database.create()
        self.dbhost = self.database.dbhost
        self.dbhosts = [self.dbhost, self.dbhost]
        if self.has_server:
            self.server.sql(f"CREATE ROLE {LOGIN} LOGIN SUPERUSER PASSWORD 'net'")
            self.way = ways.to(self.server.port)
            self.dbhosts[1] = self.server.uri(self.database.name, f"{LOGIN}:net", "127.0.0.1", self.way.port)

    def kill(self):
        self.server.kill()

    def start(self):
        self.server.start()

    def stop(self):
        """All of it, for its children are who answers."""
        self._signal(signal.SIGSTOP)

    def go_on(self):
        if self.server.running:
            self._signal(signal.SIGCONT)

    def _signal(self, number):
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def pids(self):
        """The server and its children."""
        if not self.has_server or self.server.process is None or not self.server.process.running:
            return set()
        main = self.server.process.pid
        said = subprocess.run(["ps", "-o", "pid=", "--ppid", str(main)], check=False, stdout=subprocess.PIPE, encoding="ascii").stdout
        return {main, *map(int, said.split())}

    def _rows(self, sql):
        return [line.split("|") for line in self.database.sql(sql).splitlines()]

    def history(self):
        return self.history_of(self._rows('SELECT host, plugin, "order", hash FROM vogeler.v_history ORDER BY seq'))

    def outcomes(self):
        return self.count_outcomes(self._rows("SELECT job, host, ord, state FROM vogeler.outcome WHERE state < 5"))

    def damage(self):
        """By what PostgreSQL itself has for it."""
        self.database.sql("CREATE EXTENSION IF NOT EXISTS amcheck")
        try:
            self.database.sql("SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                              " JOIN pg_am a ON a.oid = c.relam WHERE n.nspname = 'vogeler' AND c.relkind = 'i' AND a.amname = 'btree'")
        except AssertionError as e:
            return [str(e)[:500]]
        return []

    def finish(self):
        self.go_on()
        if self.server.given:
            self.database.drop()
        self.server.finish()


class CouchDb(Store):
    """Two collectors, of which one leads. The history is not kept there."""
    collectors = 2

    def __init__(self, folder, ways):
        super().__init__(folder, ways)
        self.couch = Couch(folder)
        self.couch.in_memory = False
        self.couch.start()
        self.has_server = not self.couch.given
        self.database = self.couch.new_database()
        self.database.create()
        self.dbhost = self.database.dbhost
        self.dbhosts = [self.dbhost, self.dbhost]
        if self.has_server:
            port = int(self.couch.url.rpartition(":")[2])
            self.way = ways.to(port)
            self.dbhosts[1] = self.dbhost.replace(f":{port}/", f":{self.way.port}/")

    def kill(self):
        self.couch.process.kill()

    def start(self):
        if not self.couch.process.running:
            self.couch.process.start()
            wait_until(self.couch.answers, "the stand-in answers")

    def stop(self):
        self.couch.process.signal(signal.SIGSTOP)

    def go_on(self):
        if self.couch.process is not None and self.couch.process.running:
            self.couch.process.signal(signal.SIGCONT)

    def pids(self):
        return {self.couch.process.pid} if self.couch.process is not None else set()

    def finish(self):
        self.go_on()
        if self.couch.given:
            self.database.drop()
        self.couch.finish()


def open_store(uri, folder, ways):
    """By its URI: the scheme alone is one of its own, more names one that is there."""
    scheme, _, rest = uri.partition("://")
    if rest and scheme in ("pg", "couch"):
        os.environ[{"pg": "VOGELER_TEST_PG", "couch": "VOGELER_TEST_COUCHDB"}[scheme]] = (
            uri if scheme == "pg" else f"http://{rest}")
    return {"sqlite": Sqlite, "pg": Pg, "couch": CouchDb}[scheme](folder, ways)
