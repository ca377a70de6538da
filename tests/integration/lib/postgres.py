# SPDX-License-Identifier: Apache-2.0
"""The PostgreSQL behind pg:// in tests: a private one (tests/private-postgres), or that of VOGELER_TEST_PG
(pg://user@host/database), where its user may make databases."""
import os
import pathlib
import signal
import subprocess

from .process import Process, clean_environment
from .waiting import wait_until

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "private-postgres"


class Postgres:
    def __init__(self, folder):
        self.folder = folder
        self.process = None
        self.port = None
        self.given = os.environ.get("VOGELER_TEST_PG")
        self.made = 0

    def _call(self, *args, env=None):
        done = subprocess.run([SCRIPT, self.folder, *args], check=False, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=120, encoding="utf-8")
        assert done.returncode == 0, f"{args}: {done.stderr}"
        return done.stdout

    def start_first(self):
        """Other tests look for free ports at the same time: whoever finds one taken chooses again."""
        if self.given:
            return self
        for _ in range(5):
            self._call("init")
            self.port = int((self.folder / "node.env").read_text().strip().partition("=")[2])
            try:
                return self.start()
            except AssertionError as e:
                failure = e
        raise failure

    def start(self):
        """The memory of one that was killed may still be in use by its children, which are about to notice."""
        def up():
            if self.process is None or not self.process.running:
                self.process = Process("postgres", [SCRIPT, self.folder, "server", "tied"], self.folder,
                                       clean_environment(self.folder)).start()
            return self.is_ready()
        wait_until(up, "PostgreSQL answers", step=0.1)
        return self

    def is_ready(self):
        return subprocess.run([SCRIPT, self.folder, "run", "pg_isready", "-q"], check=False).returncode == 0

    @property
    def running(self):
        return self.given or (self.process is not None and self.process.running)

    def stop(self):
        """At once, but in order."""
        self.process.signal(signal.SIGINT)
        self.process.wait()

    def kill(self):
        """As a power cut would: nothing is flushed, and its children end when they see it."""
        self.process.kill()

    def finish(self):
        if self.process is not None and self.process.running:
            self.process.signal(signal.SIGCONT)
            self.stop()

    def sql(self, text, database="postgres", writes=False):
        """What psql prints of it: a line a row, with '|' between columns. writes: even where sessions are told not to."""
        if self.given:
            head, _, _ = self.given.partition("?")
            where = [head.replace("pg://", "postgresql://", 1).rpartition("/")[0] + "/" + database]
            argv = ["psql", *where]
            done = subprocess.run([*argv, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", text], check=True, stdout=subprocess.PIPE,
                                  encoding="utf-8", timeout=120)
            return done.stdout.strip()
        env = dict(os.environ, PGOPTIONS="-c default_transaction_read_only=off") if writes else None
        return self._call("run", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text, env=env).strip()

    def uri(self, database, user=None, host=None, port=None):
        """Over its socket, unless a host is given."""
        login = f"{user}@" if user else ""
        if self.given:
            head, mark, tail = self.given.partition("?")
            return head.rpartition("/")[0] + "/" + database + mark + tail
        if host:
            return f"pg://{login}{host}:{port or self.port}/{database}"
        return f"pg://{login}:{self.port}/{database}?host={self.folder}/socket"

    def new_database(self):
        self.made += 1
        return PgDatabase(self, f"vogeler_{os.getpid()}_{self.made}")


class PgDatabase:
    def __init__(self, server, name):
        self.server = server
        self.name = name
        self.dbhost = server.uri(name)

    def create(self):
        self.server.sql(f"CREATE DATABASE {self.name}")

    def sql(self, text):
        return self.server.sql(text, self.name)

    def drop(self):
        self.server.sql(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
