# SPDX-License-Identifier: Apache-2.0
"""What is counted, and what was wrong. Closing the books compares everything that is said (by records, history and ledger)
with everything that was done (by the plugins' own logs, and by clients of 2010 whom the broker confirmed it)."""
import hashlib
import json
import sys
import threading

from lib.waiting import PATIENCE, wait_until
from client import KEYS
from fleet import left_over
from orders import NOWHERE, WAIT
from plugins import SCHEDULED, id_in

FAULTS = ["lost", "doubled", "older_over_newer", "damaged", "dead", "leftover"]
COUNTED = ["kills", "commands", "answers", *FAULTS, "rerun", "unordered"]
SHOWN = 12
TTL_MAX = 3600 * 1000  # of the orders that expire; the others have days


class Books:
    def __init__(self):
        self.counts = dict.fromkeys(COUNTED, 0)
        self.texts = []
        self.lock = threading.Lock()

    def count(self, kind, n=1):
        with self.lock:
            self.counts[kind] += n

    def add(self, kind, text):
        """Something that must not be."""
        self.count(kind)
        with self.lock:
            self.texts.append((kind, text))
            if sum(k == kind for k, _ in self.texts) <= SHOWN:
                print(f"torture: {kind}: {text}", file=sys.stderr, flush=True)

    def are_clean(self):
        return not any(self.counts[kind] for kind in FAULTS)


def hash_of(value):
    """As the store has it: of the canonical text, which JSON of a string or a number without blanks is."""
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=32).hexdigest()


class Audit:
    """The end of a run: nobody is tortured any more."""

    def __init__(self, torture):
        self.t = torture
        self.site = torture.site
        self.books = torture.books
        self.fleet = torture.fleet
        self.orders = torture.orders
        self.watch = torture.watch
        self.runs = {}       # host -> id -> Run
        self.digests = {}    # (host, id) -> hash of what it printed
        self.by_digest = {}  # (host, plugin, hash) -> id
        self.history = None

    def close(self):
        self.settle()
        self.mend_unfinished()
        self.call_the_roll()
        self.check_sizes()
        self.end_programs()
        self.read_runs()
        self.history = self.t.store.history()
        self.check_history()
        self.check_records()
        self.check_jobs()
        self.check_clients()
        self.check_dead_letters()
        for text in self.t.store.damage():
            self.books.add("damaged", text)
        self.check_left_over()

    # Until nothing is on its way

    def wait(self, fact, what, kind="lost", patience=2 * PATIENCE):
        """What does not come to pass is a fault of that kind, and not the end of the audit."""
        try:
            return wait_until(fact, what, patience, 0.2)
        except AssertionError as e:
            self.books.add(kind, str(e)[:600])
            return None

    def is_quiet(self):
        queues = [*self.fleet.hosts, "master.in", "vogeler.fresh"]
        held = self.site.broker.messages(self.site.vhost)
        return all(held.get(queue, 0) == 0 for queue in queues) and self.fleet.in_hand() == 0

    def settle(self):
        self.fleet.look()
        self.wait(lambda: not self.orders.running(), "the runners have ended", "dead", 3 * PATIENCE)
        for order in self.orders.running():
            order.kill()
        self.wait(self.fleet.are_well, "collectors say that all is well", "dead")
        self.wait(self.is_quiet, "nothing waits in the broker, or is in hand")

    def jobs(self):
        return [job["job"] for job in (self.orders.ask("jobs", "--limit", "100000") or {"jobs": []})["jobs"]]

    def open_hosts(self, job, states=("queued", "unsent")):
        told = self.orders.ask("result", job)
        return [h["host"] for h in told["hosts"] if h["state"] in states and h["host"] in self.fleet.agents]

    def mend_unfinished(self):
        """What a runner was killed over may never have been sent: so the ledger says, and that it can be sent again."""
        begun = {o.job(): o for o in self.orders.orders if o.verb in ("send", "rerun") and o.job()}
        for job in self.jobs():
            hosts = self.open_hosts(job, ("unsent",))
            if not hosts:
                continue
            order = begun.get(job)
            if order is not None and not order.killed and order.process.popen.returncode == 0:
                self.books.add("lost", f"{order.process.name} ended with 0, and of job {job} are unsent: {hosts}")
            self.orders.cancelled.add(job)
            self.orders.ask("cancel", job)
            again = self.orders.ask("rerun", job, "--missing", WAIT)
            if not again or not again.get("complete"):
                self.books.add("lost", f"what was unsent of {job} was sent again, and has not ended: {str(again)[:300]}")

    def call_the_roll(self):
        """Each host answers all that it is asked by name and by the message to all, and tells of its schedule anew; each
        client of 2010 says one last word."""
        every = self.orders.ask("-n", "all", "-x", "work")
        self.orders.ask("-n", ",".join(self.fleet.hosts), "-x", "work", WAIT)
        self.wait(lambda: not self.open_hosts(every["job"]), "every host has answered what all were asked")
        before = {host: set(self.t.plugins.runs(host)) for host in self.fleet.hosts}

        def told_anew():
            records = self.watch.read() or {}
            return all(id_in(records.get(host, {}).get(SCHEDULED)) not in before[host] for host in self.fleet.hosts)
        self.wait(told_anew, "each host's newest result of its schedule is in its record")
        for client in self.t.clients:
            client.end()
        for client in self.t.clients:
            client.last_words()
        self.wait(self.is_quiet, "nothing waits in the broker, or is in hand, at the end")
        self.wait(self.fleet.are_well, "collectors say that all is well, at the end", "dead")

    def check_sizes(self):
        for role, (files, memory) in self.fleet.measure().items():
            files_before, memory_before = self.fleet.sizes[role]
            room_files, room_kb = {"agent": (2, 3000), "collector": (12, 40000)}[role]
            if files > files_before + room_files:
                self.books.add("leftover", f"{role}: {files} descriptors, {files_before} before")
            if memory > memory_before + room_kb:
                self.books.add("leftover", f"{role}: {memory} kB, {memory_before} kB before")

    def end_programs(self):
        for member in self.fleet.members():
            if not member.process.running:
                self.books.add("dead", f"{member.name} does not live")
        self.watch.end()
        for text in [*self.fleet.end(), *self.fleet.dead]:
            self.books.add("dead", text)

    # What is said against what was done

    def read_runs(self):
        """What the plugins have logged, and by the hashes of what they have printed."""
        for host in self.fleet.hosts:
            self.runs[host] = self.t.plugins.runs(host)
            for run, entry in self.runs[host].items():
                digest = hash_of(f"{run} " * 100 if entry.plugin == "wide" else run)
                self.digests[host, run] = digest
                self.by_digest[host, entry.plugin, digest] = run

    def run_of(self, host, plugin, digest):
        """The run whose value has that hash."""
        return self.by_digest.get((host, plugin, digest))

    def is_true(self, host, plugin, run):
        entry = self.runs[host].get(run)
        return entry is not None and entry.plugin == plugin and entry.ended is not None and not entry.failed

    def check_history(self):
        """Of each plugin of each host: orders go up, no value is twice, and each is what a run of it has printed."""
        if self.history is None:
            return
        for (host, plugin), rows in self.history.items():
            if host not in self.fleet.agents:
                continue
            self.books.count("answers", len(rows))
            orders = [order for order, _ in rows]
            for a, b in zip(orders, orders[1:]):
                if a == b:
                    self.books.add("doubled", f"history of {plugin} of {host} has order {a} twice")
                elif a > b:
                    self.books.add("older_over_newer", f"history of {plugin} of {host} has {b} behind {a}")
            known = {}
            for order, digest in rows:
                run = self.run_of(host, plugin, digest)
                if run is None or not self.is_true(host, plugin, run):
                    self.books.add("damaged", f"history of {plugin} of {host}, order {order}: no run has printed that")
                elif run in known:
                    self.books.add("doubled", f"history of {plugin} of {host} has run {run} at {known[run]} and {order}")
                known[run] = order

    def check_records(self):
        records = self.watch.read() or {}
        self.watch.compare(records)
        for host in self.fleet.hosts:
            record = records.get(host)
            if record is None:
                self.books.add("lost", f"there is no record of {host}")
                continue
            for plugin, meta in record["vogeler"].items():
                if plugin not in record:
                    continue
                if not self.is_true(host, plugin, id_in(record[plugin])):
                    self.books.add("damaged", f"the record of {host} has {plugin} that no run has printed: "
                                              f"{str(record[plugin])[:80]}")
                self.check_newest(host, plugin, meta, id_in(record[plugin]))

    def check_newest(self, host, plugin, meta, run):
        """Of a failure the record has the order, too, and the value of the last success."""
        order, digest = (self.history or {}).get((host, plugin), [(None, None)])[-1]
        if order is None:
            return
        if meta["order"] < order or run != self.run_of(host, plugin, digest) or (meta["order"] > order and "failure" not in meta):
            self.books.add("older_over_newer", f"the record of {host} has {plugin} of {meta['order']}, {run}; the newest in "
                                               f"history is {order}, {self.run_of(host, plugin, digest)}")

    def check_jobs(self):
        orders_of = {key: {order for order, _ in rows} for key, rows in (self.history or {}).items()}
        for job in self.jobs():
            told = self.orders.ask("result", job)
            hosts = [h for h in told["hosts"] if h.get("target", True)]
            names = [h["host"] for h in hosts]
            if len(names) != len(set(names)):
                self.books.add("doubled", f"job {job} has a host twice: {sorted(names)}")
            if sum(told["counts"].values()) != told["targets"] or len(names) != told["targets"]:
                self.books.add("damaged", f"the states of job {job} do not add up: {told['counts']}, {told['targets']} targets")
            for host in hosts:
                if host["host"] in self.fleet.agents:
                    self.books.count("commands")
                    self.check_outcome(told, host, orders_of.get((host["host"], told["plugin"])))
                elif host["host"] == NOWHERE and host["state"] not in ("unroutable", "unsent", "cancelled"):
                    self.books.add("damaged", f"job {job}: {NOWHERE} is {host['state']}")
        doubled, again = self.t.store.outcomes()
        for text in doubled:
            self.books.add("doubled", text)
        self.books.count("rerun", again + self.untold_runs())

    def untold_runs(self):
        """How many runs began, and nobody was told how they ended: their agent did before their answer was safe, and ran the
        command again. Those of slow may have been cancelled."""
        told = {(host, digest) for (host, _), rows in (self.history or {}).items() for _, digest in rows}
        return sum(self.history is not None and not entry.failed and entry.plugin in ("work", "wide", "flaky") and (host, self.digests[host, run]) not in told
                   for host, runs in self.runs.items() for run, entry in runs.items())

    def check_outcome(self, job, told, orders):
        host, state, why, plugin = told["host"], told["state"], told.get("why", ""), job["plugin"]
        what = f"job {job['job']} ({plugin}) at {host} is {state} ({why})"
        if self.history is None and state in ("ok", "failed"):
            self.books.count("answers")
        if state == "ok":
            if orders is not None and told["order"] not in orders and not why:
                self.books.add("lost", f"{what} with order {told['order']}, which history does not have")
        elif state == "failed":
            run = self.runs[host].get((why.split() or [""])[-1])
            if plugin != "flaky" or run is None or not run.failed:
                self.books.add("damaged", f"{what}: no run has failed so")
        elif state == "superseded":
            sent = self.t.milliseconds(job["sent_at"]) / 1000
            if plugin != "slow" and not any(r.plugin == plugin and r.ended and r.ended >= sent for r in self.runs[host].values()):
                self.books.add("damaged", f"{what}, and no run has followed")
        elif state == "cancelled":
            if job["job"] not in self.orders.cancelled:
                self.books.add("damaged", f"{what}, which nobody has asked for")
        elif state == "expired":
            if "not_after" not in job or self.t.milliseconds(job["not_after"]) - self.t.milliseconds(job["sent_at"]) > TTL_MAX:
                self.books.add("lost", what)
        elif state == "unsent":
            self.books.add("lost", what)
        elif state in ("queued", "unroutable"):
            self.books.add("lost", what)
        else:
            self.books.add("damaged", what)

    def check_clients(self):
        """What the broker has confirmed to a client of 2010 was stored, and what it said last is there."""
        records = self.watch.read() or {}
        for client in self.t.clients:
            self.books.count("answers", len(client.confirmed))
            record = records.get(client.host, {})
            for key in KEYS:
                if record.get(key) != client.last[key]:
                    self.books.add("lost", f"{client.host} said {client.last[key]} under {key} in the end, stored is {record.get(key)}")
                if self.history is None:
                    continue
                stored = {digest for _, digest in self.history.get((client.host, key), [])}
                told = {hash_of(number): number for number in client.sent[key]}
                for digest, number in told.items():
                    if number in client.confirmed and digest not in stored:
                        self.books.add("lost", f"{client.host} said {number} under {key}, and the broker confirmed it")
                if stored - set(told):
                    self.books.add("damaged", f"history of {key} of {client.host} has what it has never said")

    def check_dead_letters(self):
        for properties, body in self.site.dead_letters():
            self.books.add("damaged", f"a dead letter: {properties.headers.get('x-reason')}: {body[:100]!r}")

    def check_left_over(self):
        mine = self.t.servers()

        def gone():
            return not [pid for pid, line in left_over(self.site.folder) if pid not in mine]
        try:
            wait_until(gone, "all children have ended", 10, 0.2)
        except AssertionError:
            for pid, line in left_over(self.site.folder):
                if pid not in mine:
                    self.books.add("leftover", f"process {pid}: {line[:200]}")
