# SPDX-License-Identifier: Apache-2.0
"""Somebody who reads all records again and again while everything happens: what he has seen once, nothing may undo."""
import threading

from client import KEYS
from plugins import id_in
from tools import read_records


class Watch(threading.Thread):
    def __init__(self, site, books):
        super().__init__(daemon=True)
        self.site = site
        self.books = books
        self.over = threading.Event()
        self.seen = {}       # (host, plugin) -> (order, run)
        self.keys = {}       # (host, key) -> number
        self.looks = 0

    def run(self):
        while not self.over.is_set():
            records = self.read()
            if records is not None:
                self.compare(records)
            self.over.wait(0.3)

    def read(self):
        return read_records(self.site)

    def compare(self, records):
        self.looks += 1
        for host, record in records.items():
            for plugin, meta in record.get("vogeler", {}).items():
                if "order" in meta and plugin in record:
                    self._ordered(host, plugin, meta["order"], id_in(record[plugin]))
            for key in KEYS:
                if key in record:
                    before, self.keys[host, key] = self.keys.get((host, key), 0), record[key]
                    if record[key] < before:
                        self.books.count("unordered")

    def _ordered(self, host, plugin, order, run):
        """Of one order there is one value, and a failure changes neither."""
        known_order, known_run = self.seen.get((host, plugin), (0, None))
        if order < known_order:
            self.books.add("older_over_newer", f"the record of {host} had {plugin} of {known_order}, then of {order}")
        elif order == known_order and run != known_run:
            self.books.add("damaged", f"{plugin} of {host} was {known_run}, is {run}, order {order} both")
        self.seen[host, plugin] = (order, run)

    def end(self):
        self.over.set()
        self.join()
