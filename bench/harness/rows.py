"""The rows: what must be true, and how it is measured. Each is a function from the rig and its settings to a dictionary
with "figure", "goal", "ok" and whatever explains them."""
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import time

from .rig import PATIENCE, Memory, Process, Trouble, cpu_seconds, pin, pss_kb, wait_until  # noqa: F401


def spread(values):
    """Median and range."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def round3(value):
    return float(f"{value:.3g}")


def part(name, figure, low=None, high=None, unit="ratio", **more):
    """One figure and its goal: at least low, at most high; without either it is for information."""
    goal = " and ".join(([f">= {low}"] if low is not None else []) + ([f"<= {high}"] if high is not None else []))
    ok = (low is None or figure >= low) and (high is None or figure <= high)
    return dict({"name": name, "figure": round3(figure), "unit": unit, "goal": goal or "for information", "ok": ok}, **more)


def row(title, parts, **more):
    """The first part's figure stands for the row; all parts must be ok."""
    return dict({"title": title, "figure": parts[0]["figure"], "unit": parts[0]["unit"], "goal": parts[0]["goal"],
                 "ok": all(p["ok"] for p in parts), "parts": parts}, **more)


class Books:
    """Whatever was sent is looked up afterwards; one that does not close fails its row."""

    def __init__(self, rig):
        self.rig = rig
        self.checked = 0
        self.failures = []

    def check(self, dbhost, **plan):
        report = self.rig.bench("books", dbhost=dbhost, status=(0, 2), **plan)["books"]
        self.checked += report["expected"]
        if not report["closed"]:
            self.failures.append(report)

    def part(self):
        return part("answers lost, doubled or stale",
                    sum(f["expected"] - f["ok"] + f["doubled"] + f["missing"] + f["stale"] for f in self.failures),
                    high=0, unit="answers", expected=self.checked, failures=self.failures)


def drain_half(rig, collector, vhost, plan):
    """The backlog lies ready in the broker, then the clock starts."""
    collector.hold()
    n = rig.bench("fill", vhost=vhost, **plan)["responses"]
    return collector.drain(n)


def warm(rig, collector, vhost, plan):
    n = rig.bench("fill", vhost=vhost, **plan)["responses"]
    collector.drain(n)


def clean(collector):
    """Counts that say that something was not as it should be in a row of speed."""
    now = collector.counts()
    return part("answers given back or dead-lettered", now["given_back"] + now["dead"], high=0, unit="answers")


def median_by(halves, key="per_second"):
    return statistics.median(h[key] for h in halves)


# Row 1

def row1(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    plan = {"hosts": hosts, "profile": "mix"}
    rig.start_broker()
    rig.start_couch()
    books = Books(rig)
    rig.pin_against("couch")
    rig.progress("row 1: looking for the store's best requests")
    dbhost = rig.new_couch_uri()
    sweep = rig.bench("write", dbhost=dbhost, jobs=s.getint("sweep_jobs"), seed=99, sweep=True, **plan)
    rig.drop(dbhost)
    best = {"batch": sweep["batch_bytes"], "requests": sweep["requests"]}

    vhost, dbhost = rig.broker.new_vhost(), rig.new_couch_database()
    collector = rig.collector(vhost, dbhost)
    warm(rig, collector, vhost, dict(plan, jobs=5, run=rig.new_run()))

    def ours(seed, **more):
        this = dict(plan, jobs=jobs, seed=seed, run=rig.new_run())
        half = drain_half(rig, collector, vhost, dict(this, **more))
        books.check(dbhost, **this)
        collector.hold()
        return half

    def ceiling(seed):
        raw = rig.new_couch_uri()
        half = rig.bench("write", dbhost=raw, jobs=5 + jobs, seed=seed, **best, **plan)
        rig.drop(raw)
        return half

    def alternate(count, first_seed, **more):
        a, b = [], []
        for i in range(count):
            rig.progress(f"row 1: {'pinned' if rig.against else 'unpinned'}, {'together, ' if more else ''}"
                         f"halves {i + 1} of {count}")
            b.append(ceiling(first_seed + i))
            a.append(ours(first_seed + i, **more))
        return a, b

    a, b = alternate(runs, 100)
    together, b2 = alternate(max(1, runs // 2), 200, together=True)
    rig.pin_against(None)
    pin(collector.pid, rig.all_cores)
    free, b3 = alternate(max(1, runs // 2), 300)
    final = clean(collector)
    collector.stop()
    rig.drop(dbhost)
    parts = [
        part("pinned, against one write per response", median_by(a) / median_by(b), low=0.9, high=1.05,
             runs=[round3(x["per_second"] / y["per_second"]) for x, y in zip(a, b)]),
        part("five plugins of a host together", median_by(together) / median_by(b2), low=1.5,
             runs=[round3(x["per_second"] / y["per_second"]) for x, y in zip(together, b2)]),
        part("two cores shared by all, unpinned", median_by(free) / median_by(b3), low=0.6,
             runs=[round3(x["per_second"] / y["per_second"]) for x, y in zip(free, b3)]),
        books.part(), final,
    ]
    return row("couch://, mix: responses committed against the store's ceiling", parts,
               hosts=hosts, store=rig.couch_name, ceiling=spread([h["per_second"] for h in b]),
               collector=spread([h["per_second"] for h in a]), cpu_us=round3(median_by(a, "cpu_us")),
               writes=[h["writes"] for h in a], best=best, sweep=sweep["slices"], mean_bytes=sweep["mean_bytes"],
               curves={"responses committed": [h["curve"] for h in a]})


# Row 2

def row2(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    plan = {"hosts": hosts, "jobs": jobs, "profile": "lines"}
    rig.start_broker()
    rig.pin_against("broker")
    vhost, raw_vhost = rig.broker.new_vhost(), rig.broker.new_vhost()
    collector = rig.collector(vhost, "null://")
    a, b = [], []
    for i in range(runs):
        rig.progress(f"row 2: halves {i + 1} of {runs}")
        rig.bench("fill", vhost=raw_vhost, seed=i, **plan)
        b.append(rig.bench("consume", vhost=raw_vhost, seed=i, **plan))
        a.append(drain_half(rig, collector, vhost, dict(plan, seed=i)))
        collector.hold()
    collector.go_on()
    cpu = {"lines": round3(median_by(a, "cpu_us"))}
    for profile, n in (("small", jobs), ("facter", max(2, jobs // 2)), ("ohai", 1)):
        rig.progress(f"row 2: CPU time for {profile}")
        few = dict(plan, profile=profile, jobs=n)
        if profile == "ohai":
            few["hosts"] = min(hosts, 300)
        cpu[profile] = round3(drain_half(rig, collector, vhost, few)["cpu_us"])
    final = clean(collector)
    collector.stop()
    rig.pin_against(None)
    parts = [part("null://, lines, against the broker's raw rate", median_by(a) / median_by(b), low=0.5, high=1.05,
                  runs=[round3(x["per_second"] / y["per_second"]) for x, y in zip(a, b)]), final]
    return row("null://, lines: against the raw consume rate of the broker", parts, hosts=hosts,
               ceiling=spread([h["per_second"] for h in b]), collector=spread([h["per_second"] for h in a]),
               cpu_us_per_response=cpu, curves={"responses taken": [h["curve"] for h in a]})


# Row 3

def fsync_ms(folder, n=50):
    """What a write of 4 KB and fdatasync take where the database is."""
    times = []
    path = os.path.join(folder, "fsync.probe")
    fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for i in range(n):
            os.pwrite(fd, os.urandom(4096), 4096 * i)
            began = time.monotonic()
            os.fdatasync(fd)
            times.append(1000 * (time.monotonic() - began))
    finally:
        os.close(fd)
        os.unlink(path)
    return times


def row3(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    rig.start_broker()
    rig.pin_against("broker")
    books = Books(rig)
    sync = fsync_ms(rig.folder)
    parts, figures, commits, curves = [], {}, 0.0, {}
    for profile, goal, share in (("lines", 5000, 1), ("facter", 2500, 2)):
        vhost, dbhost = rig.broker.new_vhost(), rig.new_sqlite_uri()
        collector = rig.collector(vhost, dbhost)
        warm(rig, collector, vhost, {"hosts": hosts, "jobs": 1, "profile": profile, "run": rig.new_run()})
        halves = []
        for i in range(runs):
            rig.progress(f"row 3: {profile}, {i + 1} of {runs}")
            plan = {"hosts": hosts, "jobs": max(1, jobs // share), "profile": profile, "seed": i + 1,
                    "run": rig.new_run()}
            halves.append(drain_half(rig, collector, vhost, plan))
            books.check(dbhost, **plan)
        parts.append(part(f"{profile}, committed with full synchronous", median_by(halves), low=goal,
                          unit="responses/s", runs=[round3(h["per_second"]) for h in halves]))
        figures[profile] = {"per_second": spread([h["per_second"] for h in halves]),
                            "cpu_us": round3(median_by(halves, "cpu_us"))}
        commits = max([commits] + [h["batches"] / h["seconds"] for h in halves])
        curves[profile] = [h["curve"] for h in halves]
        parts.append(dict(clean(collector), name=f"{profile}: given back or dead-lettered"))
        collector.stop()
    rig.pin_against(None)
    parts.append(part("commits a second, at most", commits, high=20, unit="commits/s"))
    parts.append(part("fdatasync of 4 KB, median", statistics.median(sync), unit="ms"))
    parts.append(books.part())
    return row("sqlite://: responses committed per second", parts, hosts=hosts, figures=figures,
               fsync_ms={"median": round3(statistics.median(sync)), "min": round3(min(sync)), "max": round3(max(sync))},
               curves=curves)


# Row 4

def row4(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    plan = {"hosts": hosts, "profile": "lines"}
    rig.start_broker()
    rig.start_couch()
    rig.pin_against("couch")
    books = Books(rig)
    vhost, dbhost = rig.broker.new_vhost(), rig.new_couch_database()
    collector = rig.collector(vhost, dbhost)
    warm(rig, collector, vhost, dict(plan, jobs=1, run=rig.new_run()))
    collector.hold()
    a, b = [], []
    for i in range(runs):
        rig.progress(f"row 4: halves {i + 1} of {runs}")
        old = rig.new_couch_uri()
        b.append(rig.bench("baseline", dbhost=old, seed=i + 1, **dict(plan, jobs=s.getint("baseline_jobs"))))
        rig.drop(old)
        this = dict(plan, jobs=jobs, seed=i + 1, run=rig.new_run())
        a.append(drain_half(rig, collector, vhost, this))
        books.check(dbhost, **this)
        collector.hold()
    final = clean(collector)
    collector.stop()
    rig.drop(dbhost)
    rig.pin_against(None)
    parts = [part("times as fast as the baseline", median_by(a) / median_by(b), low=20, unit="times",
                  runs=[round3(x["per_second"] / y["per_second"]) for x, y in zip(a, b)]), books.part(), final]
    return row("against the algorithm of 2010 (baseline: GET, PUT, GET, PUT, one connection), lines, couch://", parts,
               hosts=hosts, store=rig.couch_name, baseline=spread([h["per_second"] for h in b]),
               collector=spread([h["per_second"] for h in a]))


# Row 5

class Peak:
    """The highest memory of a collector while something is done."""

    def __init__(self, collector, curves, name):
        self.collector = collector
        self.curves = curves
        self.name = name

    def __enter__(self):
        self.memory = Memory({"vogelerd": self.collector.pid})
        return self

    def __exit__(self, *_):
        self.curves[self.name] = [self.memory.stop()["vogelerd"]]

    @property
    def mb(self):
        return max(kb for _, kb in self.curves[self.name][0]) / 1024


def row5(rig, s):
    hosts = s.getint("hosts")
    limit = 64
    curves, parts = {}, []
    rig.start_broker()

    def measure(name, dbhost, plan, store_stops=False):
        rig.progress(f"row 5: {name}")
        vhost = rig.broker.new_vhost()
        # The broker takes what is published before there is a collector: its queue must be there.
        collector = rig.collector(vhost, dbhost)
        collector.hold()
        n = rig.bench("fill", vhost=vhost, **plan)["responses"]
        with Peak(collector, curves, name) as peak:
            if store_stops:
                rig.couch.process.signal(signal.SIGSTOP)
                collector.go_on()
                time.sleep(20)
                rig.couch.process.signal(signal.SIGCONT)
            collector.drain(n)
        collector.stop()
        parts.append(part(name, peak.mb, high=limit, unit="MB PSS"))

    measure(f"{hosts * s.getint('jobs')} responses waiting, sqlite://", rig.new_sqlite_uri(),
            {"hosts": hosts, "jobs": s.getint("jobs"), "profile": "lines", "run": rig.new_run()})
    measure("answers of 130 KB, sqlite://", rig.new_sqlite_uri(),
            {"hosts": hosts, "jobs": s.getint("ohai_jobs"), "profile": "ohai", "run": rig.new_run()})
    measure(f"{s.getint('many_hosts')} hosts, sqlite://", rig.new_sqlite_uri(),
            {"hosts": s.getint("many_hosts"), "jobs": 5, "profile": "lines", "run": rig.new_run()})
    if not os.environ.get("VOGELER_TEST_COUCHDB"):
        rig.start_couch()
        limit += s.getint("cache_mb", 256)
        measure("the store stopped for 20 s, couch://, its cache included", rig.new_couch_database(),
                {"hosts": hosts, "jobs": 10, "profile": "lines", "run": rig.new_run()}, True)
    parts.sort(key=lambda p: -p["figure"] / float(p["goal"].split()[1]))
    return row("memory of vogelerd at its highest", parts, curves=curves, curve_unit="kB")


# Row 6

def row6(rig, s):
    table, parts = [], []
    rig.start_broker()
    rig.pin_against(None)
    for hosts in map(int, s["hosts"].split()):
        rig.progress(f"row 6: {hosts} hosts")
        vhost, dbhost = rig.broker.new_vhost(), rig.new_sqlite_uri()
        collector = rig.collector(vhost, dbhost)
        memory = Memory({"vogelerd": collector.pid, "broker": max(session_beams(rig), default=collector.pid)})
        cpu = cpu_seconds(collector.pid)
        broadcasts = s.getint("broadcasts")
        report = rig.bench("load", vhost=vhost, dbhost=dbhost, hosts=hosts, jobs=broadcasts, profile="lines",
                           one_by_one=True, run=rig.new_run(), status=(0, 2))
        cpu = cpu_seconds(collector.pid) - cpu
        curves = memory.stop()
        collector.stop()
        seconds = [j["seconds"] for j in report["jobs"]]
        table.append({"hosts": hosts, "seconds_to_last": spread(seconds), "per_host_ms": round3(1000 * min(seconds) / hosts),
                      "cpu_us": round3(1e6 * cpu / (hosts * broadcasts)),
                      "collector_mb": round3(max(k for _, k in curves["vogelerd"]) / 1024),
                      "broker_mb": round3(max(k for _, k in curves["broker"]) / 1024),
                      "counts": [j["ok"] for j in report["jobs"]], "closed": report["books"]["closed"]})
    base = next((t for t in table if t["hosts"] >= 1000), table[0])
    parts.append(part("CPU per response, most hosts against 1,000", table[-1]["cpu_us"] / base["cpu_us"], high=1.5))
    parts.append(part("time per host, most hosts against 1,000", table[-1]["per_host_ms"] / base["per_host_ms"], high=1.5))
    wrong = sum(c != t["hosts"] for t in table for c in t["counts"]) + sum(not t["closed"] for t in table)
    parts.append(part("broadcasts whose count is not complete", wrong, high=0, unit="broadcasts"))
    return row("cost against the number of hosts", parts, table=table)


def session_beams(rig):
    from .rig import session_pids
    found = []
    for pid in session_pids(rig.broker.node.pid):
        try:
            if "beam" in pathlib.Path(f"/proc/{pid}/comm").read_text("ascii"):
                found.append(pid)
        except OSError:
            pass
    return found


# Row 7

def agent_argv(rig, vhost, folder, name):
    plugins = folder / "plugins"
    plugins.mkdir(mode=0o755, exist_ok=True)
    path = plugins / "hello.cfg"
    path.write_text("[hello]\nname = hello\ndescription = says hello\ncommand = echo hello\nresult_format = output\n")
    path.chmod(0o644)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    return [str(rig.bin / "vogeler-agent"), "--qhost", rig.broker.uri(vhost), "-p", str(plugins), "--loglevel", "WARN",
            "--option", f"client.name={name}", "--option", f"client.state_dir={state}", "run"]


def cpu_to_ready_ms(rig, vhost):
    """Starts an agent, ends it when it says READY, and asks the kernel what it had used."""
    folder = rig.new_folder("agent")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        path = folder / "notify"
        s.bind(str(path))
        s.settimeout(PATIENCE)
        child = os.fork()
        if child == 0:
            argv = agent_argv(rig, vhost, folder, "bench-agent")
            os.dup2(os.open(os.devnull, os.O_RDWR), 1)
            os.execve(argv[0], argv, dict(rig.env, NOTIFY_SOCKET=str(path)))
        try:
            while b"READY=1" not in s.recv(4096):
                pass
        finally:
            os.kill(child, signal.SIGKILL)
            usage = os.wait4(child, 0)[2]
    return 1000 * (usage.ru_utime + usage.ru_stime)


def idle_calls(rig, pid, seconds):
    """What strace sees of an idle agent: system calls a second, and how often it woke."""
    out = rig.new_folder("strace") / "calls"
    try:
        tracer = subprocess.Popen(["strace", "-f", "-tt", "-o", str(out), "-p", str(pid)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    time.sleep(seconds)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(30)
    lines = [line for line in out.read_text("utf-8", "replace").splitlines() if "(" in line or "resumed" in line]
    return {"seconds": seconds, "wakes": sum("epoll_wait" in line and "resumed" not in line for line in lines),
            "calls": len(lines)}


def row7(rig, s):
    rig.start_broker()
    rig.pin_against(None)
    rig.progress("row 7: starting the agent")
    vhost = rig.broker.new_vhost()
    starts = [cpu_to_ready_ms(rig, vhost) for _ in range(5)]
    folder = rig.new_folder("agent")
    agent = Process("agent", agent_argv(rig, vhost, folder, "bench-idle"), folder, rig.env).start()
    wait_until(lambda: (rig.broker.queue(vhost, "bench-idle") or (0, 0))[1] > 0, "the agent consumes", PATIENCE)
    time.sleep(2)
    pss = pss_kb(agent.pid) / 1024
    rig.progress(f"row 7: {s.getint('idle_seconds')} s of idleness")
    idle = idle_calls(rig, agent.pid, s.getint("idle_seconds"))
    agent.stop()
    parts = [part("PSS of the idle agent", pss, high=6, unit="MB"),
             part("CPU from start to READY, median", statistics.median(starts), high=50, unit="ms",
                  runs=[round3(v) for v in starts])]
    if idle is None:
        parts.append(dict(part("wake-ups when idle", 0, unit="per 10 s"), ok=False, why="strace is not installed"))
    else:
        # The heartbeat interval is 10 s: in it the broker's heartbeats, and a timer for ours and for its silence.
        parts.append(part("wake-ups when idle", 10 * idle["wakes"] / idle["seconds"], high=6, unit="per 10 s", **idle))
    return row("the agent: memory, start, idleness", parts)


# Row 8

def row8(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    rig.start_broker()
    rig.start_couch()
    rig.pin_against("couch")
    books = Books(rig)
    plan = {"hosts": hosts, "profile": "lines"}
    vhost, dbhost = rig.broker.new_vhost(), rig.new_couch_database()
    first = rig.collector(vhost, dbhost, name="first")
    warm(rig, first, vhost, dict(plan, jobs=1, run=rig.new_run()))
    one, two, conflicts, given_back = [], [], 0, 0
    for i in range(runs):
        rig.progress(f"row 8: halves {i + 1} of {runs}")
        this = dict(plan, jobs=jobs, seed=i + 1, run=rig.new_run())
        one.append(drain_half(rig, first, vhost, this))
        books.check(dbhost, **this)
        first.stop()
        first, second = (rig.collector(vhost, dbhost, name=n) for n in ("first", "second"))
        this = dict(plan, jobs=jobs, seed=i + 101, run=rig.new_run())
        for c in (first, second):
            c.hold()
        n = rig.bench("fill", vhost=vhost, **this)["responses"]
        began = time.monotonic()
        for c in (first, second):
            c.go_on()
        wait_until(lambda: sum(c.counts()["stored"] for c in (first, second)) >= n, "both have stored all", 600, 0.05)
        two.append({"per_second": n / (time.monotonic() - began)})
        conflicts += sum(c.counts()["conflicts"] for c in (first, second))
        given_back += sum(c.counts()["given_back"] for c in (first, second))
        books.check(dbhost, **this)
        second.stop()
        first.base = first.counts()
    first.stop()
    rig.drop(dbhost)
    rig.pin_against(None)
    parts = [part("two collectors against one", median_by(two) / median_by(one), low=0.95,
                  runs=[round3(x["per_second"] / y["per_second"]) for x, y in zip(two, one)]), books.part()]
    return row("two collectors on one couch://", parts, hosts=hosts, store=rig.couch_name, conflicts=conflicts,
               given_back=given_back, one=spread([h["per_second"] for h in one]), two=spread([h["per_second"] for h in two]))


# Row 9

def row9(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    rig.start_broker()
    rig.start_couch()
    rig.pin_against("couch")
    books = Books(rig)
    plan = {"hosts": hosts, "profile": "mix"}
    vhost, dbhost = rig.broker.new_vhost(), rig.new_couch_database()
    collector = rig.collector(vhost, dbhost)
    changed, same = [], []
    for i in range(runs):
        rig.progress(f"row 9: halves {i + 1} of {runs}")
        # Versions come from the first five jobs; with another seed all of them are new.
        this = dict(plan, jobs=jobs, seed=i + 1, unchanged=100, run=rig.new_run())
        changed.append(drain_half(rig, collector, vhost, this))
        books.check(dbhost, **this)
        this = dict(this, run=rig.new_run())
        same.append(drain_half(rig, collector, vhost, this))
        books.check(dbhost, **this)
    final = clean(collector)
    collector.stop()
    rig.drop(dbhost)
    rig.pin_against(None)
    parts = [part("unchanged against changed", median_by(same) / median_by(changed), low=1.0, unit="times",
                  runs=[round3(x["per_second"] / y["per_second"]) for x, y in zip(same, changed)]), books.part(), final]
    return row("unchanged values, mix, couch://", parts, hosts=hosts, store=rig.couch_name,
               changed=spread([h["per_second"] for h in changed]), same=spread([h["per_second"] for h in same]))


ROWS = {1: row1, 2: row2, 3: row3, 4: row4, 5: row5, 6: row6, 7: row7, 8: row8, 9: row9}
