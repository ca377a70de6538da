# SPDX-License-Identifier: Apache-2.0
"""What is measured runs here: a private broker, a store, collectors and vogeler-bench, each on the core it is to have, all
on loopback and ended by pid. The processes are those of the integration tests."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "integration"))

# pylint: disable=wrong-import-position
from lib.broker import Broker  # noqa: E402
from lib.certs import Authority  # noqa: E402,F401
from lib.couch import STANDIN, Couch, Database  # noqa: E402
from lib.orphan import die_with_parent  # noqa: E402
from lib.postgres import Postgres  # noqa: E402
from lib.process import Process, clean_environment  # noqa: E402
from lib.tlsproxy import TlsProxy  # noqa: E402,F401
from lib.waiting import wait_until  # noqa: E402

PATIENCE = 60  # seconds in which something must have moved


class Trouble(Exception):
    """The benchmark cannot go on; the text is for a person."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def session_pids(sid):
    """The processes of a session: what a program started with it."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as f:
                if int(f.read().rsplit(")", 1)[1].split()[3]) == sid:
                    found.append(int(name))
        except (OSError, IndexError):
            pass
    return found


def children(pid):
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as f:
                if int(f.read().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(name))
        except (OSError, IndexError):
            pass
    return found


def bytes_written(pids):
    """What processes have given to write(2) and its kin, with those of their children that have ended."""
    n = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/io", encoding="ascii") as f:
                n += next(int(line.split()[1]) for line in f if line.startswith("wchar:"))
        except FileNotFoundError:
            pass  # it has ended meanwhile, and counts as its parent's
    return n


def pin(pid, cores):
    """The process, what it has started, and all their threads. Whether it may be done."""
    done = False
    for each in set(session_pids(pid) or [pid]) | set(children(pid)):
        try:
            for task in os.listdir(f"/proc/{each}/task"):
                os.sched_setaffinity(int(task), cores)
            done = True
        except OSError:
            pass
    return done


def listener_pid(port):
    """The process that listens on that TCP port of this machine; None: not here, or not to be seen."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table, encoding="ascii") as f:
            for line in list(f)[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") in inodes:
                    return int(pid)
        except OSError:
            pass
    return None


def largest(pids):
    """Of the processes of a server, the one that is it."""
    sizes = {}
    for pid in pids:
        try:
            sizes[pid] = pss_kb(pid)
        except OSError:
            pass
    return max(sizes, key=sizes.get, default=None)


def pss_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def cpu_seconds(pid):
    """Of all its threads, in fractions of a second: clock_getcpuclockid(3), which Python does not have."""
    return time.clock_gettime((~pid << 3) | 2)


class RoomyBroker(Broker):
    """10,000 connections take almost two gigabytes: more than a node of the tests may have."""

    def _choose_ports(self):
        super()._choose_ports()
        path = self.folder / "rabbitmq.conf"
        kept = [line for line in path.read_text("ascii").splitlines() if not line.startswith("vm_memory_high_watermark")]
        path.write_text("\n".join(kept + ["vm_memory_high_watermark.relative = 0.5", ""]), "ascii")


def standin_trouble(progress):
    """Installs what stands in for CouchDB, where that is missing. A sentence for a person, or None."""
    if (STANDIN.parent / "node_modules" / "pouchdb-server").exists():
        return None
    by_hand = f"run: npm ci --prefix {STANDIN.parent}; or name a CouchDB: VOGELER_TEST_COUCHDB=http://user:pw@host:5984"
    if shutil.which("npm") is None or shutil.which("node") is None:
        return f"the stand-in for CouchDB needs the packages nodejs and npm; then {by_hand}"
    progress("installing the stand-in for CouchDB (npm ci)")
    done = subprocess.run(["npm", "ci", "--prefix", STANDIN.parent, "--no-audit", "--no-fund"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode == 0:
        return None
    return f"the stand-in for CouchDB cannot be installed: {done.stdout.decode()[-500:].strip()}\n{by_hand}"


class StandinOnDisk(Couch):
    """The stand-in with its databases on disk, where a database has them."""

    def start(self):
        if self.given:
            return self
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = Process("couch", [STANDIN, str(port), self.folder / "data"], self.folder,
                               clean_environment(self.folder, PATH=os.environ["PATH"])).start()
        wait_until(self._answers, "the stand-in answers", 90)
        return self


class OwnPostgres(Postgres):
    """A private server, with memory as one that others use has it; all that makes a commit safe is as it comes."""

    def __init__(self, folder):
        super().__init__(folder)
        self.given = None

    def _call(self, *args, **more):
        done = super()._call(*args, **more)
        if args == ("init",):
            with open(self.folder / "data" / "postgresql.auto.conf", "a", encoding="ascii") as f:
                f.write("shared_buffers = 256MB\n")
        return done

    def start(self):
        super().start()
        safe = self.sql("SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings"
                        " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')")
        if safe != "fsync=on full_page_writes=on synchronous_commit=on":
            raise Trouble(f"PostgreSQL would lose what it says is safe: {safe}")
        return self

    def bytes_written(self):
        """With all that is still to be written, so that each write has its share of the checkpoints."""
        self.sql("CHECKPOINT")
        return bytes_written([self.process.pid] + children(self.process.pid))


class Memory(threading.Thread):
    """Notes the PSS of processes once a second; a curve for each. Reading it holds up the process that is read."""

    def __init__(self, processes):
        super().__init__(daemon=True)
        self.processes = {name: pid for name, pid in processes.items() if pid is not None}
        self.curves = {name: [] for name in self.processes}
        self.began = time.monotonic()
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            for name, pid in self.processes.items():
                try:
                    self.curves[name].append((round(time.monotonic() - self.began, 2), pss_kb(pid)))
                except OSError:
                    pass
            self.over.wait(1)

    def stop(self):
        self.over.set()
        self.join()
        return self.curves


class Collector:
    """A vogelerd that can be held (SIGSTOP) while a backlog is laid ready, so that the clock starts with its work."""

    def __init__(self, rig, vhost, dbhost, options=(), name="vogelerd", under=()):
        self.rig = rig
        self.vhost = vhost
        self.dbhost = str(dbhost)
        self.port = free_port()
        argv = [*under, rig.bin / "vogelerd", "--qhost", rig.broker.uri(vhost), "--dbhost", dbhost, "--loglevel", "WARN",
                "-o", f"server.listen=127.0.0.1:{self.port}", "-o", "amqp.heartbeat=600s"]
        for option in options:
            argv += ["-o", option]
        self.process = Process(name, argv, rig.new_folder(name), rig.env).start()
        pin(self.process.pid, rig.cores_of("vogelerd"))
        wait_until(self._consumes, f"{name} consumes", PATIENCE)
        self.base = self.counts()
        self.curve = []
        self.cpu = 0.0
        self.memory = {}

    @property
    def pid(self):
        return self.process.pid

    def _consumes(self):
        if not self.process.running:
            raise Trouble(f"vogelerd ended: {self.process.log()}")
        try:
            return self.metric('vogeler_inbox_state{state="TAKING"}') == 1
        except OSError:
            return False

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))

    def metric(self, name):
        return float(self.metrics()[name])

    def counts(self):
        m = self.metrics()
        return {
            "stored": int(m['vogeler_responses_total{result="stored"}']),
            "dead": int(m['vogeler_responses_total{result="dead"}']),
            "given_back": int(m['vogeler_responses_total{result="given_back"}']),
            "acked": int(m["vogeler_acked_total"]),
            "batches": int(m["vogeler_store_batches_total"]),
            "writes": int(m['vogeler_store_writes_total{status="OK"}']),
            "conflicts": int(m['vogeler_store_writes_total{status="CONFLICT"}']),
            "retries": int(m["vogeler_store_retries_total"]),
            "store_seconds": float(m["vogeler_store_batch_seconds_total"]),
        }

    def slowest_batch_s(self):
        return self.metric("vogeler_store_batch_seconds_max")

    def hold(self):
        self.process.signal(signal.SIGSTOP)

    def go_on(self):
        self.process.signal(signal.SIGCONT)

    def drain(self, n):
        """Lets it take n responses that lie ready. Returns what that took."""
        processes = self.rig.memory_of(self)
        base, cpu = self.base, cpu_seconds(self.pid)
        self.go_on()
        began = time.monotonic()
        memory = Memory(processes)
        self.curve = [(0.0, 0)]
        moved = began
        try:
            while True:
                now = self.counts()
                t = time.monotonic()
                stored = now["stored"] - base["stored"]
                if stored > self.curve[-1][1]:
                    moved = t
                self.curve.append((round(t - began, 3), stored))
                if stored >= n:
                    break
                if t - moved > PATIENCE:
                    raise Trouble(f"the collector has stored nothing for {PATIENCE} s: {stored} of {n}: "
                                  + self.process.log()[-2000:])
                time.sleep(0.05)
        finally:
            self.memory = memory.stop()
        seconds = t - began
        self.base = now
        self.cpu = cpu_seconds(self.pid) - cpu
        delta = {k: now[k] - base[k] for k in now}
        return dict(delta, n=n, seconds=seconds, per_second=n / seconds, cpu_us=1e6 * self.cpu / n, curve=self.curve,
                    memory=self.memory)

    def stop(self):
        self.go_on()
        try:
            self.process.stop(patience=PATIENCE)
        except AssertionError as e:
            self.process.kill()
            raise Trouble(str(e)) from None


class Rig:
    def __init__(self, folder, binaries, progress):
        self.folder = pathlib.Path(folder)
        self.bin = pathlib.Path(binaries).resolve()
        self.progress = progress
        self.env = clean_environment(self.folder)
        self.made = 0
        self.runs = int(time.time() * 1000)
        self.broker = None
        self.couch = None
        self.pg = None
        self.store = "sqlite"  # of rows that may be on either, sqlite or pg
        self.collectors = []
        self.vhosts = []
        self.many_queues = False
        self.couch_pid = None  # of a server that is not ours
        self.not_pinned = None  # why
        cores = sorted(os.sched_getaffinity(0))
        self.two_cores = len(cores) >= 2
        self.all_cores = set(cores)
        self.measured = {cores[0]}  # what is measured against
        self.others = set(cores[1:]) or {cores[0]}
        self.against = None  # "broker", "couch" or "pg" while pinned, None: nothing is pinned
        if not self.two_cores:
            self.not_pinned = "there is one core"

    # Parts

    def new_folder(self, name):
        self.made += 1
        path = self.folder / f"{self.made:03d}.{name}"
        path.mkdir()
        return path

    def start_broker(self):
        if self.broker is None:
            self.progress("starting RabbitMQ")
            self.broker = RoomyBroker(self.new_folder("rabbitmq"))
            self.broker.start_first()
            self.apply_pins()

    def start_couch(self):
        if self.couch is None:
            self.progress("starting the store")
            self.couch = StandinOnDisk(self.new_folder("couch"))
            self.couch.start()
            if self.couch.given:
                address = urllib.parse.urlsplit(self.couch.url)
                if address.hostname in ("127.0.0.1", "::1", "localhost"):
                    self.couch_pid = listener_pid(address.port or 5984)
            else:
                self.couch_pid = self.couch.process.pid
            self.apply_pins()
        return self.couch

    def start_pg(self):
        if self.pg is None:
            self.progress("starting PostgreSQL")
            self.pg = OwnPostgres(self.new_folder("pg"))
            self.pg.start_first()
            self.apply_pins()
        return self.pg

    def new_vhost(self):
        """Removed when the row is over, with what lies in its queues."""
        vhost = self.broker.new_vhost()
        self.vhosts.append(vhost)
        return vhost

    def server_of(self, session):
        return largest(session_pids(session) or [session])

    def memory_of(self, collector):
        """The processes whose memory is of interest while a collector works."""
        of = {"vogelerd": collector.pid}
        if self.broker is not None:
            of["broker"] = self.server_of(self.broker.node.pid)
        if self.couch is not None and collector.dbhost.startswith("couch") and self.couch_pid is not None:
            of["store"] = self.server_of(self.couch_pid)
        return of

    def end_row(self):
        """Whatever came of it: nothing of it runs on, fills the broker or keeps others from a core."""
        if self.couch is not None and self.couch.process is not None:
            self.couch.process.signal(signal.SIGCONT)
        for c in self.collectors:
            if c.process.running:
                c.go_on()
                c.process.kill()
        self.collectors = []
        if self.many_queues:  # to remove them one by one takes minutes
            self.broker.finish()
            self.broker = None
        elif self.vhosts and self.broker is not None:
            listed = ",".join(f'<<"{v}">>' for v in self.vhosts)
            self.broker.ctl("eval", f'[rabbit_vhost:delete(V, <<"bench">>) || V <- [{listed}]], ok.', check=False)
        self.vhosts = []
        self.many_queues = False
        self.pin_against(None)

    @property
    def couch_name(self):
        if os.environ.get("VOGELER_TEST_COUCHDB"):
            return "CouchDB"
        return "pouchdb-server 4.2.0, a stand-in for CouchDB"

    def new_couch_uri(self):
        return self.start_couch().new_database().dbhost

    def new_couch_database(self):
        """One that a collector can use: made as an administrator would."""
        return self.set_up(self.new_couch_uri())

    def set_up(self, uri):
        done = subprocess.run([self.bin / "vogeler-admin", "--qhost", self.broker.uri(self.new_vhost()), "--dbhost",
                               uri, "setup"], env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=120)
        if done.returncode != 0:
            raise Trouble("vogeler-admin setup: " + done.stdout.decode())
        return uri

    def new_pg_uri(self):
        """Its tables are made by whoever comes first."""
        database = self.start_pg().new_database()
        database.create()
        return database.dbhost

    def new_store_uri(self):
        """Of the store that the run was told to use."""
        return self.set_up(self.new_pg_uri()) if self.store == "pg" else self.new_sqlite_uri()

    def drop(self, dbhost):
        name = dbhost.rsplit("/", 1)[1]
        for each in (name, name + "_jobs"):
            Database(self.couch, each).drop()

    def new_sqlite_uri(self):
        return f"sqlite://{self.new_folder('sqlite')}/records.db"

    # Pinning

    def pin_against(self, what):
        """'broker', 'couch' or 'pg' gets a core of its own, everything else the other; None: everybody has all."""
        self.against = what if self.two_cores else None
        self.apply_pins()

    def cores_of(self, name):
        if self.against is None:
            return self.all_cores
        return self.measured if name == self.against else self.others

    def apply_pins(self):
        if self.broker is not None and self.broker.node is not None:
            pin(self.broker.node.pid, self.cores_of("broker"))
        if self.couch is not None and (self.couch_pid is None or not pin(self.couch_pid, self.cores_of("couch"))):
            self.not_pinned = "the store does not run here, or belongs to somebody else"
        if self.pg is not None:
            pin(self.pg.process.pid, self.cores_of("pg"))
        os.sched_setaffinity(0, self.all_cores if self.against is None else self.others)

    # Programs

    def collector(self, vhost, dbhost, options=(), name="vogelerd", under=()):
        c = Collector(self, vhost, dbhost, options, name, under)
        self.collectors.append(c)
        return c

    def new_run(self):
        self.runs += 1000
        return self.runs

    def bench_argv(self, verb, vhost=None, dbhost=None, **options):
        argv = [self.bin / "vogeler-bench", "--json"]
        if vhost is not None:
            argv += ["--qhost", self.broker.uri(vhost)]
        if dbhost is not None:
            argv += ["--dbhost", dbhost]
        for key, value in options.items():
            name = "--" + key.replace("_", "-")
            if value is True:
                argv.append(name)
            elif value is not None and value is not False:
                argv += [name, value]
        return [str(a) for a in argv + [verb]]

    def bench(self, verb, vhost=None, dbhost=None, status=(0,), seconds=600, **options):
        """Runs vogeler-bench to its end; what it reports."""
        argv = self.bench_argv(verb, vhost, dbhost, **options)
        cores = self.cores_of("vogeler-bench")

        def prepare():
            die_with_parent()
            os.sched_setaffinity(0, cores)

        try:
            done = subprocess.run(argv, env=self.env, cwd=self.folder, timeout=seconds, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, preexec_fn=prepare)
        except subprocess.TimeoutExpired:
            raise Trouble(f"{verb}: not over after {seconds} s") from None
        if done.returncode not in status:
            raise Trouble(f"vogeler-bench {verb} ended with {done.returncode}: {done.stderr.decode()[-2000:]}"
                          + done.stdout.decode()[-1000:])
        return json.loads(done.stdout.decode().strip().splitlines()[-1])

    def finish(self):
        for c in self.collectors:
            if c.process.running:
                c.process.kill()
        if self.couch is not None:
            if self.couch_pid is not None:
                pin(self.couch_pid, self.all_cores)
            self.couch.finish()
        if self.pg is not None:
            self.pg.finish()
        if self.broker is not None:
            self.broker.finish()
        shutil.rmtree(self.folder, ignore_errors=True)
