# SPDX-License-Identifier: Apache-2.0
"""The stores: how one is started, how many collectors may write to it, and what is in it, read without Vogeler."""
import sqlite3


class Store:
    collectors = 1
    server = None  # a program that can be killed

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
    def __init__(self, site):
        self.path = site.folder / "records.db"

    def _rows(self, sql):
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()

    def history(self):
        found = {}
        for host, plugin, order, digest in self._rows(
                "SELECT h.name, p.name, v.ord, lower(hex(v.hash)) FROM version v JOIN host h ON h.id = v.host"
                " JOIN plugin p ON p.id = v.plugin ORDER BY v.seq"):
            found.setdefault((host, plugin), []).append((order, digest))
        return found

    def outcomes(self):
        return self.count_outcomes(self._rows(
            "SELECT j.name, h.name, o.ord, o.state FROM outcome o JOIN job j ON j.id = o.job JOIN host h ON h.id = o.host"
            " WHERE o.state < 5"))

    def damage(self):
        return [row[0] for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]


def open_store(uri, site):
    """By its URI."""
    scheme = uri.partition("://")[0]
    if scheme == "sqlite":
        return Sqlite(site)
    raise ValueError(f"no store: {uri}")
