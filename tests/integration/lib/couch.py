# SPDX-License-Identifier: Apache-2.0
"""The database behind couch:// in tests: any CouchDB that VOGELER_TEST_COUCHDB names, else the stand-in (pouchdb-server,
tests/standin)."""
import base64
import json
import os
import pathlib
import urllib.error
import urllib.parse
import urllib.request

from .ports import free_port
from .process import Process, clean_environment
from .waiting import wait_until

STANDIN = pathlib.Path(__file__).resolve().parents[2] / "standin" / "start"


class Couch:
    def __init__(self, folder):
        self.folder = folder
        self.process = None
        self.given = os.environ.get("VOGELER_TEST_COUCHDB")
        self.url = self.given
        self.made = 0
        self.in_memory = True  # and gone when it is ended

    def start(self):
        if self.given:
            return self
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = Process("couch", [STANDIN, str(port), self.folder / "data", *(["--in-memory"] if self.in_memory else [])], self.folder,
                               clean_environment(self.folder, PATH=os.environ["PATH"])).start()
        wait_until(self.answers, "the stand-in answers")
        return self

    def answers(self):
        assert self.process.running, self.process.report()
        try:
            return self.request("GET", "/")[0] == 200
        except OSError:
            return False

    def request(self, method, path, body=None):
        """(status, decoded answer)."""
        parts = urllib.parse.urlsplit(self.url)
        url = f"{parts.scheme}://{parts.hostname}:{parts.port}{path}"
        request = urllib.request.Request(url, method=method,
                                         data=None if body is None else json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        if parts.username:
            secret = f"{parts.username}:{parts.password}".encode()
            request.add_header("Authorization", "Basic " + base64.b64encode(secret).decode())
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as e:
            return e.code, json.loads(e.read() or b"null")

    def new_database(self):
        self.made += 1
        return Database(self, f"records_{os.getpid()}_{self.made}")

    def finish(self):
        if self.process is not None and self.process.running:
            self.process.signal(15)
            try:
                self.process.wait(10)
            except AssertionError:
                self.process.kill()


class Database:
    def __init__(self, couch, name):
        self.couch = couch
        self.name = name
        self.dbhost = couch.url.replace("http://", "couch://", 1).rstrip("/") + "/" + name

    def create(self):
        """It and the ledger's."""
        for name in (self.name, self.name + "_jobs"):
            status, answer = self.couch.request("PUT", "/" + name)
            assert status in (201, 202), answer

    def get(self, key, **query):
        path = f"/{self.name}/{urllib.parse.quote(key, safe='')}?{urllib.parse.urlencode(query)}"
        status, answer = self.couch.request("GET", path)
        return answer if status == 200 else None

    def exists(self):
        return self.couch.request("GET", "/" + self.name)[0] == 200

    def drop(self):
        for name in (self.name, self.name + "_jobs"):
            self.couch.request("DELETE", "/" + name)

