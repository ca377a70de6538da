# SPDX-License-Identifier: Apache-2.0
"""A fake of CouchDB over HTTP, by script, for what a real one does not do on demand. Without a script it is a tiny and
correct subset in memory: databases, documents with revisions, _all_docs with keys and include_docs, _bulk_docs, _local.
It remembers when each revision of a document was answered to be stored (`stored`, but for the notes of collectors), and
every request (`requests`).

A script is a function of the Request that returns what to do in place of the answer: None (nothing special) or an Act.
"""
import hashlib
import json
import socket
import threading
import time
import urllib.parse

REASONS = {200: "OK", 201: "Created", 202: "Accepted", 301: "Moved Permanently", 400: "Bad Request",
           401: "Unauthorized", 403: "Forbidden", 404: "Object Not Found", 409: "Conflict", 412: "Precondition Failed",
           413: "Request Entity Too Large", 429: "Too Many Requests", 500: "Internal Server Error",
           503: "Service Unavailable"}


class Act:
    """What is done with a request. apply: whether it takes effect in the database, whatever is said of it."""

    def __init__(self, apply=False, status=None, body=None, headers=None, cut=None, stall=False, change=None,
                 slow=0, close=False, length=None, refuse=None):
        self.apply = apply
        self.status = status    # in place of the proper one
        self.body = body        # bytes, in place of the proper one
        self.headers = headers or {}
        self.cut = cut          # the connection ends after so many bytes of the answer
        self.stall = stall      # no answer, and the connection stays open
        self.change = change    # function of the proper answer, decoded: returns what is said instead
        self.slow = slow        # seconds between two bytes of the head
        self.close = close      # the connection ends after the answer, without its having said so
        self.length = length    # a false content-length
        self.refuse = refuse    # function of a document of _bulk_docs: None, or why it is not stored, as an item says it


def says(status, body=b"", **headers):
    return Act(status=status, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Request:
    def __init__(self, method, target, headers, body):
        self.method = method
        self.target = target
        parts = urllib.parse.urlsplit(target)
        self.path = [urllib.parse.unquote(p) for p in parts.path.strip("/").split("/") if p]
        self.query = dict(urllib.parse.parse_qsl(parts.query))
        self.headers = headers
        self.body = body
        self.at = time.monotonic()
        self.number = 0  # on its connection, from 1
        self.in_flight = 0  # requests at once, itself included, when it came

    @property
    def is_write(self):
        """Of records."""
        return self.path[1:] == ["_bulk_docs"] and not self.path[0].endswith("_jobs")

    @property
    def is_read(self):
        return self.path[1:] == ["_all_docs"]

    def json(self):
        return json.loads(self.body or b"null")

    def ids(self):
        """Of the documents it writes."""
        return [doc["_id"] for doc in self.json()["docs"]] if self.is_write else []


class FakeCouch:
    """Listens on 127.0.0.1 from birth to stop()."""

    def __init__(self, databases=("records", "records_jobs"), port=0):
        self.lock = threading.Lock()
        self.databases = {name: {} for name in databases}  # name -> id -> document
        self.revs_limit = {}  # by name of the database
        self.script = None
        self.requests = []
        self.history = {}  # id -> every version of it
        self.stored = []  # (time, id) of each write that was answered with ok
        self.in_flight = 0
        self.listener = socket.create_server(("127.0.0.1", port), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.sockets = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets.add(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def stop(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.hang_up()

    def hang_up(self):
        for sock in list(self.sockets):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def get(self, key, database="records"):
        with self.lock:
            return self.databases[database].get(key)

    # One connection

    def _serve(self, sock):
        stream = sock.makefile("rb")
        number = 0
        try:
            while True:
                request = self._read(stream)
                if request is None:
                    return
                number += 1
                request.number = number
                with self.lock:
                    self.requests.append(request)
                    self.in_flight += 1
                    request.in_flight = self.in_flight
                try:
                    if not self._answer(sock, stream, request):
                        return
                finally:
                    with self.lock:
                        self.in_flight -= 1
        except OSError:
            pass
        finally:
            self.sockets.discard(sock)
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            stream.close()
            sock.close()

    @staticmethod
    def _read(stream):
        line = stream.readline().decode("latin-1").split()
        if len(line) != 3:
            return None
        headers = {}
        while True:
            header = stream.readline().decode("latin-1").strip()
            if not header:
                break
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        return Request(line[0], line[1], headers, body)

    def _answer(self, sock, stream, request):
        """False: the connection is over."""
        act = (self.script(request) if self.script else None) or Act(apply=True)
        status, value = self._handle(request, act.refuse) if act.apply else (None, None)
        if act.stall:
            stream.read()  # until it gives up
            return False
        if act.change:
            value = act.change(value)
        body = act.body if act.body is not None else json.dumps(value).encode()
        data = self._message(act.status or status, body, act)
        whole = act.cut is None or act.cut >= len(data)
        sock_data = data if whole else data[:act.cut]
        if request.is_write and act.apply and whole and (act.status or status) == 201:
            self._note(value)
        self._send(sock, sock_data, act)
        return whole and not act.close and act.length is None

    def _note(self, items):
        """Before it is sent: nobody can have acknowledged it yet."""
        with self.lock:
            for item in items if isinstance(items, list) else []:
                if item.get("ok") and not item["id"].startswith("note/"):  # of a collector, and of no host
                    self.stored.append((time.monotonic(), item["id"]))

    @staticmethod
    def _message(status, body, act):
        headers = {"Server": "FakeCouch", "Content-Type": "application/json",
                   "Content-Length": str(len(body) if act.length is None else act.length)}
        headers.update(act.headers)
        head = f"HTTP/1.1 {status} {REASONS.get(status, 'Unknown')}\r\n"
        return (head + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n").encode() + body

    @staticmethod
    def _send(sock, data, act):
        if not act.slow:
            sock.sendall(data)
            return
        for i in range(len(data)):
            sock.sendall(data[i:i + 1])
            time.sleep(act.slow)

    # The subset

    def _handle(self, request, refuse=None):
        with self.lock:
            if not request.path:
                return 200, {"couchdb": "Welcome", "vendor": {"name": "FakeCouch"}, "version": "3.5.0"}
            name, rest = request.path[0], request.path[1:]
            if not rest and request.method == "PUT":
                if name in self.databases:
                    return 412, {"error": "file_exists", "reason": "The database could not be created."}
                self.databases[name] = {}
                return 201, {"ok": True}
            if name not in self.databases:
                return 404, {"error": "not_found", "reason": "Database does not exist."}
            docs = self.databases[name]
            if not rest:
                return 200, {"db_name": name, "doc_count": len(docs)}
            if rest == ["_revs_limit"]:
                self.revs_limit[name] = request.json() if request.method == "PUT" else self.revs_limit.get(name, 1000)
                return 200, {"ok": True} if request.method == "PUT" else self.revs_limit[name]
            if rest == ["_find"]:
                return 200, {"docs": self._found(docs, request.json())}
            if rest == ["_all_docs"]:
                return 200, {"rows": self._rows(docs, request)}
            if rest == ["_bulk_docs"]:
                return 201, [self._refused(doc, refuse) or self._put(docs, doc) for doc in request.json()["docs"]]
            return self._document(docs, "/".join(rest), request)

    def _document(self, docs, key, request):
        if request.method == "PUT":
            item = self._put(docs, dict(request.json(), _id=key))
            return (201 if item.get("ok") else 409), item
        if key not in docs:
            return 404, {"error": "not_found", "reason": "missing"}
        if request.method == "DELETE":
            return 200, {"ok": True, "id": key, "rev": docs.pop(key)["_rev"]}
        return 200, docs[key]

    @staticmethod
    def _refused(doc, refuse):
        error = refuse(doc) if refuse else None
        return error and {"id": doc["_id"], "error": error, "reason": "as the test says"}

    def _put(self, docs, doc):
        key = doc["_id"]
        old = docs.get(key)
        if (old or {}).get("_rev") != doc.get("_rev"):
            return {"id": key, "error": "conflict", "reason": "Document update conflict."}
        number = int(old["_rev"].split("-")[0]) + 1 if old else 1
        digest = hashlib.md5(json.dumps(doc, sort_keys=True).encode()).hexdigest()
        docs[key] = dict(doc, _rev=f"{number}-{digest}")
        self.history.setdefault(key, []).append(docs[key])
        return {"ok": True, "id": key, "rev": docs[key]["_rev"]}

    @staticmethod
    def _found(docs, query):
        """Of records, by name; of jobs nothing is old."""
        if query["selector"].get("doc_type") is None:
            return []
        start = query["selector"]["_id"].get("$gte", "")
        keys = sorted(k for k in docs if k >= start and docs[k].get("doc_type") == query["selector"]["doc_type"])
        return [{f: docs[k][f] for f in query["fields"] if f in docs[k]} for k in keys[:query["limit"]]]

    @staticmethod
    def _rows(docs, request):
        keys = request.json()["keys"] if request.method == "POST" else sorted(k for k in docs if k[0] != "_")
        start = json.loads(request.query.get("startkey", '""'))
        if request.method != "POST":
            keys = [k for k in keys if k >= start][:int(request.query.get("limit", 1 << 30))]
        return [{"id": k, "key": k, "value": {"rev": docs[k]["_rev"]}, "doc": docs[k]} if k in docs else
                {"key": k, "error": "not_found"} for k in keys]
