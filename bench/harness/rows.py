# SPDX-License-Identifier: Apache-2.0
"""The rows: what must be true, and how it is measured. Each is a function from the rig and its settings to a dictionary
with "figure", "goal", "ok" and whatever explains them."""
import os
import random
import re
import resource
import signal
import socket
import statistics
import subprocess
import time

from .rig import (PATIENCE, Authority, Memory, Process, TlsProxy, Trouble, cpu_seconds, die_with_parent, pin, pss_kb,
                  wait_until)


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
    collector.go_on()
    now = collector.counts()
    return part("answers given back or dead-lettered", now["given_back"] + now["dead"], high=0, unit="answers")


def median_by(halves, key="per_second"):
    return statistics.median(h[key] for h in halves)


def rates(halves):
    return spread([h["per_second"] for h in halves])


def ratio(name, a, b, low=None, high=None):
    """Of what alternated: of the medians, and beside it that of each pair."""
    return part(name, median_by(a) / median_by(b), low=low, high=high,
                runs=[round3(x["per_second"] / y["per_second"]) for x, y in zip(a, b)])


# Row 1

def best_of(slices):
    """Single settings differ by chance as much as by what they are: the size that was best over all numbers of requests, and
    the number that was best with it."""
    sizes = {}
    for each in slices:
        sizes.setdefault(each["batch_bytes"], []).append(each)
    same = max(sizes.values(), key=lambda size: statistics.mean(each["per_second"] for each in size))
    best = max(same, key=lambda each: each["per_second"])
    return {"batch": best["batch_bytes"], "requests": best["requests"]}


def row1(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    plan = {"hosts": hosts, "profile": "mix"}
    rig.start_broker()
    rig.start_couch()
    books = Books(rig)
    rig.pin_against("couch")
    rig.progress("row 1: looking for the store's best requests")
    tried = rig.new_couch_uri()
    sweep = rig.bench("write", dbhost=tried, jobs=6, seed=99, sweep=True, duration=s["sweep_each"],
                      **dict(plan, hosts=max(hosts // 2, 1)))
    best = best_of(sweep["slices"])
    rig.drop(tried)
    # A database that was written as often as the collector's. The first half makes the records, and does not count.
    raw = rig.new_couch_uri()
    rig.bench("write", dbhost=raw, jobs=6, seed=99, **best, **plan)

    vhost, dbhost = rig.new_vhost(), rig.new_couch_database()
    # As an operator would set it who has measured this server.
    collector = rig.collector(vhost, dbhost, [f"server.batch_max_bytes={best['batch']}"])
    warm(rig, collector, vhost, dict(plan, jobs=5, run=rig.new_run()))

    def ours(seed, **more):
        this = dict(plan, jobs=jobs, seed=seed, run=rig.new_run())
        this.update(more)
        half = drain_half(rig, collector, vhost, this)
        books.check(dbhost, **this)
        collector.hold()
        return half

    def ceiling(seed):
        return rig.bench("write", dbhost=raw, jobs=5 + jobs, seed=seed, resume=True, **best, **plan)

    a, together, b = [], [], []
    for i in range(runs):
        rig.progress(f"row 1: pinned, {i + 1} of {runs}")
        # In turn, and so that each comes first: the store tidies up after what was written before.
        for half in (a, b) if i % 2 else (b, a):
            half.append(ours(100 + i) if half is a else ceiling(100 + i))
        together.append(ours(200 + i, jobs=5, together=True))
    rig.pin_against(None)
    pin(collector.pid, rig.all_cores)
    free, b2 = [], []
    for i in range(runs):
        rig.progress(f"row 1: unpinned, {i + 1} of {runs}")
        b2.append(ceiling(300 + i))
        free.append(ours(300 + i))
    final = clean(collector)
    collector.stop()
    rig.drop(dbhost)
    rig.drop(raw)
    # Answers of a host that meet in the collector are one write: then the ceiling is another one.
    single = statistics.median(h["writes"] / h["n"] for h in a)
    parts = [
        ratio("pinned, against one write per response", a, b, low=0.9, high=1.05 if single >= 0.98 else None),
        part("writes for each response, pinned", single, low=0.98, unit="writes",
             runs=[round3(h["writes"] / h["n"]) for h in a]),
        ratio("five plugins of a host together", together, b, low=1.5),
        part("writes for each response, together", statistics.median(h["writes"] / h["n"] for h in together),
             unit="writes"),
        ratio("two cores shared by all, unpinned", free, b2, low=0.6),
        books.part(), final,
    ]
    return row(TITLES[1], parts,
               hosts=hosts, store=rig.couch_name, ceiling=rates(b), collector=rates(a), cpu_us=round3(median_by(a, "cpu_us")),
               best=best, sweep=sweep["slices"], mean_bytes=sweep["mean_bytes"],
               curves={"responses committed": [h["curve"] for h in a]}, memory=together[-1]["memory"])


# Row 2

def row2(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    plan = {"hosts": hosts, "jobs": jobs, "profile": "lines"}
    rig.start_broker()
    rig.pin_against("broker")
    vhost, raw_vhost = rig.new_vhost(), rig.new_vhost()
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
    for profile, share in (("small", 1), ("facter", 2), ("ohai", 20)):
        rig.progress(f"row 2: CPU time for {profile}")
        few = dict(plan, profile=profile, jobs=max(1, jobs // share))
        cpu[profile] = round3(drain_half(rig, collector, vhost, few)["cpu_us"])
    final = clean(collector)
    collector.stop()
    rig.pin_against(None)
    parts = [ratio("null://, lines, against the broker's raw rate", a, b, low=0.5, high=1.05)]
    parts += [part(f"CPU time of vogelerd for a response, {profile}", us, unit="us") for profile, us in cpu.items()]
    parts.append(final)
    return row(TITLES[2], parts, hosts=hosts,
               ceiling=rates(b), collector=rates(a), curves={"responses taken": [h["curve"] for h in a]},
               memory=a[-1]["memory"])


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
    rig.pin_against(None)  # a rate, and no ratio: as it would run
    books = Books(rig)
    sync = fsync_ms(rig.folder)
    parts, figures, curves, memory = [], {}, {}, {}
    for profile, goal, share in (("lines", 5000, 1), ("facter", 2500, 2)):
        vhost, dbhost = rig.new_vhost(), rig.new_store_uri()
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
        parts.append(part(f"{profile}: commits a second, the most of a run",
                          max(h["batches"] / h["seconds"] for h in halves), high=20 if rig.store == "sqlite" else None,
                          unit="commits/s"))
        parts.append(part(f"{profile}: a commit takes, mean", 1000 * sum(h["store_seconds"] for h in halves)
                          / sum(h["batches"] for h in halves), unit="ms",
                          slowest_ms=round3(1000 * collector.slowest_batch_s())))
        parts.append(part(f"{profile}: responses in a commit, mean", sum(h["n"] for h in halves)
                          / sum(h["batches"] for h in halves), unit="responses"))
        parts.append(part(f"{profile}: CPU time for a response", median_by(halves, "cpu_us"), unit="us"))
        figures[profile] = rates(halves)
        curves[profile] = [h["curve"] for h in halves]
        memory.update({f"{name}, {profile}": curve for name, curve in halves[-1]["memory"].items()})
        parts.append(dict(clean(collector), name=f"{profile}: given back or dead-lettered"))
        collector.stop()
    rig.pin_against(None)
    parts.append(part("fdatasync of 4 KB, median", statistics.median(sync), unit="ms", slowest_ms=round3(max(sync))))
    parts.append(books.part())
    return row(TITLES[3].format(rig.store), parts, hosts=hosts, figures=figures, curves=curves,
               memory=memory)


# Row 4

def row4(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    plan = {"hosts": hosts, "profile": "lines"}
    rig.start_broker()
    rig.start_couch()
    rig.pin_against("couch")
    books = Books(rig)
    vhost, dbhost = rig.new_vhost(), rig.new_couch_database()
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
    parts = [dict(ratio("times as fast as the baseline", a, b, low=20), unit="times"), books.part(), final]
    return row(TITLES[4], parts,
               hosts=hosts, store=rig.couch_name, baseline=rates(b), collector=rates(a), memory=a[-1]["memory"])


# Row 5

CACHE_MB = 64  # what the collectors of this row may keep of records


def cache_option(rig):
    """The collector's cache, as small as this row wants it."""
    done = subprocess.run([rig.bin / "vogelerd", "--dump-config"], env=rig.env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=30)
    return "cache_bytes" in done.stdout.decode()


def drift(curve):
    """The last quarter of a run against its second one: the first fills what there is to fill."""
    values = [kb for _, kb in curve]
    quarter = len(values) // 4
    if quarter < 3:
        return None
    return statistics.median(values[-quarter:]) / statistics.median(values[quarter:2 * quarter])


def row5(rig, s):
    hosts, many = s.getint("hosts"), s.getint("many_hosts")
    limit, cache, curves, peaks, others = 64, CACHE_MB, {}, [], []
    rig.start_broker()
    books = Books(rig)
    if cache_option(rig):
        couch_options = [f"couch.cache_bytes={CACHE_MB}MiB"]
    else:
        couch_options, cache = [], s.getint("cache_mb", 256)

    def measure(name, dbhost, plan, options=(), stop_store=False):
        rig.progress(f"row 5: {name}")
        plan = dict(plan, run=rig.new_run())
        couch = dbhost.startswith("couch")
        vhost = rig.new_vhost()
        collector = rig.collector(vhost, dbhost, list(options) + (couch_options if couch else []))
        collector.hold()
        n = rig.bench("fill", vhost=vhost, **plan)["responses"]
        memory = Memory(rig.memory_of(collector))
        try:
            if stop_store:
                others.append(stay_away(rig, collector, n))
            collector.drain(n)
        finally:
            curves[name] = memory.stop()
        books.check(dbhost, **plan)
        collector.stop()
        if couch:
            rig.drop(dbhost)
        peak = max(kb for _, kb in curves[name]["vogelerd"]) / 1024
        peaks.append(part(name, peak, high=limit + (cache if couch else 0), unit="MB PSS"))
        return curves[name]["vogelerd"]

    backlog = {"hosts": hosts, "jobs": s.getint("jobs"), "profile": "lines"}
    ohai = {"hosts": hosts, "jobs": s.getint("ohai_jobs"), "profile": "ohai"}
    crowd = {"hosts": many, "jobs": 5, "profile": "lines"}
    flat = drift(measure(f"{hosts * backlog['jobs']} responses waiting, {rig.store}://", rig.new_store_uri(), backlog))
    measure(f"answers of 130 KB, {rig.store}://", rig.new_store_uri(), ohai)
    measure(f"{many} hosts, {rig.store}://", rig.new_store_uri(), crowd)
    if rig.store == "sqlite":
        couch_memory(rig, measure, s, ohai, crowd, backlog)
    peaks.sort(key=lambda p: -p["figure"] / float(p["goal"].split()[1]))
    if flat is None:
        others.append(dict(part("the long backlog: memory at its end against its first half", 0), ok=False,
                           why="it was over too soon to say"))
    else:
        others.append(part("the long backlog: memory at its end against its first half", flat, high=1.1))
    return row(TITLES[5], peaks + others + [books.part()], curve_unit="kB",
               curves={n: list(c.items()) for n, c in curves.items()}, cache_mb=cache)


def couch_memory(rig, measure, s, ohai, crowd, backlog):
    many = s.getint("many_hosts")
    rig.start_couch()
    measure("answers of 130 KB, couch://, its cache included", rig.new_couch_database(), ohai)
    measure(f"{many} hosts, couch://, its cache included", rig.new_couch_database(), crowd)
    if rig.couch.process is not None:
        measure("the store stopped, couch://, its cache included", rig.new_couch_database(), dict(backlog, jobs=10),
                ["couch.timeout=3s", "server.store_patience=3s"], True)


def stay_away(rig, collector, n):
    """Stops the store until the collector has given back what it held, and for a while after that."""
    rig.couch.process.signal(signal.SIGSTOP)
    try:
        collector.go_on()
        wait_until(lambda: collector.counts()["given_back"] > 0, "the collector gives back", 2 * PATIENCE, 0.5)
        time.sleep(10)  # it is to be seen that it holds still
        given_back = collector.counts()["given_back"]
    finally:
        rig.couch.process.signal(signal.SIGCONT)
    return part("given back while the store was stopped", given_back, low=1, high=n, unit="answers")


# Row 6

BROKER_FILES = 500  # descriptors of a broker beside those for hosts
SHARED_CONNECTIONS = 1000
OWN = "own"  # one for each host


def broadcast(rig, s, hosts):
    """Broadcasts one after the other, each awaited. The broker needs a descriptor for the connection of each host, and one
    for its queue while something waits in it: where that is more than it may have, the hosts share connections, and what
    each of them would answer is sent without a queue and a command of its own."""
    rig.progress(f"row 6: {hosts} hosts")
    own = 2 * hosts + BROKER_FILES <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # which the broker inherits
    shared = {} if own else {"connections": SHARED_CONNECTIONS}
    rig.many_queues = rig.many_queues or (own and hosts > 1000)
    vhost, dbhost = rig.new_vhost(), rig.new_store_uri()
    collector = rig.collector(vhost, dbhost)
    memory = Memory(rig.memory_of(collector))
    cpu = cpu_seconds(collector.pid)
    broadcasts = s.getint("broadcasts")
    report = rig.bench("load", vhost=vhost, dbhost=dbhost, hosts=hosts, jobs=broadcasts, profile="lines",
                       one_by_one=True, run=rig.new_run(), patience=f"{PATIENCE}s", status=(0, 2), **shared)
    cpu = cpu_seconds(collector.pid) - cpu
    curves = memory.stop()
    collector.stop()
    seconds = [j["seconds"] for j in report["jobs"]]
    return {"hosts": hosts, "connections": shared.get("connections", OWN), "seconds_to_last": spread(seconds),
            "per_host_ms": round3(1000 * statistics.median(seconds) / hosts), "cpu_us": round3(1e6 * cpu / (hosts * broadcasts)),
            "collector_mb": round3(max(k for _, k in curves["vogelerd"]) / 1024),
            "broker_mb": round3(max(k for _, k in curves["broker"]) / 1024),
            "counts": [j["ok"] for j in report["jobs"]], "closed": report["books"]["closed"]}, curves


def steady(rig, s, **conduct):
    """Commands at a fixed rate, below what is possible."""
    vhost, dbhost = rig.new_vhost(), rig.new_store_uri()
    collector = rig.collector(vhost, dbhost)
    report = rig.bench("load", vhost=vhost, dbhost=dbhost, hosts=s.getint("rate_hosts"), jobs=s.getint("rate_jobs"),
                       rate=s["rate"], profile="lines", run=rig.new_run(), patience=f"{PATIENCE}s", status=(0, 2), **conduct)
    poison = report["hosts"]["poison"]
    if poison > 0:  # the last of it may still be on its way
        wait_until(lambda: collector.counts()["dead"] >= poison, "the rubbish is dead-lettered", PATIENCE, 0.2)
    report["dead"] = (rig.broker.queue(vhost, "vogeler.dead") or (0, 0))[0]
    collector.stop()
    return report


def latency_parts(report, what):
    h = report["latency"]
    return [part(f"{what}: {name} of the time to the outcome on disk", h[key] / 1000, unit="ms")
            for name, key in (("p50", "p50_us"), ("p90", "p90_us"), ("p99", "p99_us"), ("p99.9", "p999_us"), ("max", "max_us"))]


def row6(rig, s):
    table, parts, curves = [], [], {}
    rig.start_broker()
    rig.pin_against(None)
    for hosts in map(int, s["hosts"].split()):
        line, memory = broadcast(rig, s, hosts)
        table.append(line)
        curves.update({f"{name}, {hosts} hosts": curve for name, curve in memory.items()})
    if len(table) > 1:
        base = next((t for t in table if t["hosts"] >= 1000), table[0])
        most = table[-1]
        parts.append(part(f"CPU per response, {most['hosts']:,} hosts against {base['hosts']:,}",
                          most["cpu_us"] / base["cpu_us"], high=1.5))
        most = [t for t in table if t["connections"] == base["connections"]][-1]
        parts.append(part(f"time per host, {most['hosts']:,} hosts against {base['hosts']:,}, connections: {base['connections']}",
                          most["per_host_ms"] / base["per_host_ms"], high=1.5))
    wrong = sum(c != t["hosts"] for t in table for c in t["counts"]) + sum(not t["closed"] for t in table)
    parts.append(part("broadcasts whose count is not complete", wrong, high=0, unit="broadcasts",
                      expected=sum(len(t["counts"]) for t in table)))
    load = f"{s.getint('rate_hosts')} hosts, {s['rate']} jobs/s"
    rig.progress(f"row 6: {load}")
    report = steady(rig, s)
    parts += latency_parts(report, load)
    parts.append(closed_part(report, load))
    shares = {k: s.getint(k) for k in ("offline", "slow", "twice", "poison") if s.getint(k, 0) > 0}
    if shares:
        rig.progress("row 6: hosts that misbehave")
        bad = steady(rig, s, slow_by="500ms", **shares)
        named = "misbehaving: " + ", ".join(f"{v} % {k}" for k, v in shares.items())
        parts.append(closed_part(bad, named))
        parts.append(part(f"{named}: rubbish in vogeler.dead, less what was sent", bad["dead"] - bad["hosts"]["poison"],
                          low=0, high=0, unit="messages", sent=bad["hosts"]["poison"]))
    return row(TITLES[6], parts, table=table, latency=report["latency"], memory=curves)


def closed_part(report, what):
    b = report["books"]
    off = b["expected"] - b["ok"] + b["doubled"] + b["missing"] + b["stale"] + (0 if b["closed"] else 1)
    return part(f"{what}: answers lost, doubled or stale", off if not b["closed"] else 0, high=0, unit="answers",
                expected=b["expected"])


# Row 7

HEARTBEAT_S = 10  # what the agent asks for unless it is told otherwise
WATCHDOG_S = 30  # as in vogeler-agent.service


def agent_argv(rig, qhost, folder, name, options=()):
    plugins = folder / "plugins"
    plugins.mkdir(mode=0o755, exist_ok=True)
    path = plugins / "hello.cfg"
    path.write_text("[hello]\nname = hello\ndescription = says hello\ncommand = echo hello\nresult_format = output\n")
    path.chmod(0o644)
    state = folder / "state"
    state.mkdir(exist_ok=True)
    argv = [str(rig.bin / "vogeler-agent"), "--qhost", qhost, "-p", str(plugins), "--loglevel", "WARN",
            "--option", f"client.name={name}", "--option", f"client.state_dir={state}"]
    for option in options:
        argv += ["--option", option]
    return argv + ["run"]


class Manager:
    """What a service manager is to an agent: a socket that is told READY=1 and the watchdog's pings."""

    def __init__(self, folder):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.path = folder / "notify"
        self.socket.bind(str(self.path))

    def environment(self, rig):
        return dict(rig.env, NOTIFY_SOCKET=str(self.path), WATCHDOG_USEC=str(WATCHDOG_S * 1000000))

    def wait_ready(self):
        self.socket.settimeout(PATIENCE)
        while b"READY=1" not in self.socket.recv(4096):
            pass

    def pings(self):
        """So many since the last time."""
        self.socket.settimeout(0)
        n = 0
        while True:
            try:
                n += b"WATCHDOG=1" in self.socket.recv(4096)
            except BlockingIOError:
                return n

    def close(self):
        self.socket.close()


def cpu_to_ready_ms(rig, qhost, options=()):
    """Starts an agent, ends it when it says READY, and asks the kernel what it had used."""
    folder = rig.new_folder("agent")
    manager = Manager(folder)
    argv = agent_argv(rig, qhost, folder, "bench-agent", options)
    with open(folder / "log", "wb") as log:
        child = subprocess.Popen(argv, env=manager.environment(rig), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                 preexec_fn=die_with_parent)
    try:
        manager.wait_ready()
    except TimeoutError:
        raise Trouble("the agent does not get ready: " + (folder / "log").read_text("utf-8", "replace")[-2000:]) from None
    finally:
        child.kill()
        usage = os.wait4(child.pid, 0)[2]
        child.returncode = -signal.SIGKILL  # it has been waited for
        manager.close()
    return 1000 * (usage.ru_utime + usage.ru_stime)


def wakes_of(lines):
    """What woke a process, from "strace -f -yy": each return of epoll_wait that had to wait, by what was done next."""
    n = {"heartbeat of the broker": 0, "timer": 0, "timer, for the watchdog alone": 0, "anything else": 0}
    others, calls = [], None

    def judge(wake):
        said = "\n".join(wake[1:])
        read = any(("recv" in c or "read" in c) and "<TCP" in c for c in wake[1:])
        wrote = any(("send" in c or "write" in c) and "<TCP" in c for c in wake[1:])
        if read:
            kind = "heartbeat of the broker"
        elif "EPOLLOUT" in wake[0] and wrote:
            return  # what has just been handed to the socket goes out: it has not slept between
        elif wake[0].endswith("= 0") and (wrote or ("epoll_ctl" in said and "EPOLLOUT" in said)):
            kind = "timer"
        elif wake[0].endswith("= 0") and "WATCHDOG=1" in said:
            kind = "timer, for the watchdog alone"
        else:
            kind = "anything else"
            others.append(wake[0][-200:])
        n[kind] += 1

    for line in lines:
        call = line.split(None, 1)[1] if " " in line else line  # without the thread
        if call.startswith(("epoll_wait(", "epoll_pwait", "<... epoll_wait resumed", "<... epoll_pwait")) and "EINTR" not in call:
            if calls is not None:
                judge(calls)
            waited = not re.search(r", 0(, NULL, 8)?\) += ", call)
            calls = [call.rstrip()] if waited and "unfinished" not in call else None
        elif calls is not None and "+++" not in call and "strace:" not in call:
            calls.append(call)
    return n, others


def idle_wakes(rig, pid, seconds):
    """What wakes an idle agent."""
    out = rig.new_folder("strace") / "calls"
    try:
        tracer = subprocess.Popen(["strace", "-f", "-yy", "-s", "64", "-o", str(out), "-p", str(pid)], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except OSError:
        return None
    time.sleep(seconds)
    tracer.send_signal(signal.SIGINT)
    tracer.wait(30)
    lines = out.read_text("utf-8", "replace").splitlines()
    if not lines:
        raise Trouble("strace saw nothing: " + tracer.stderr.read().decode()[-500:])
    return wakes_of(lines)


def start_parts(rig, vhost, s):
    folder = rig.new_folder("certificates")
    ca = Authority(folder)
    proxy = TlsProxy(ca.sign("broker"), rig.broker.port)
    plain = rig.broker.uri(vhost)
    tls = plain.replace("amqp://", "amqps://").replace(f":{rig.broker.port}/", f":{proxy.port}/")
    trust = [f"amqp.ca_file={ca.cert}"]
    starts, over_tls = [], []
    for _ in range(s.getint("starts")):
        starts.append(cpu_to_ready_ms(rig, plain))
        over_tls.append(cpu_to_ready_ms(rig, tls, trust))
    proxy.listener.close()
    return [part("CPU from start to READY, median", statistics.median(starts), high=50, unit="ms",
                 runs=[round3(v) for v in starts]),
            part("the same with TLS", statistics.median(over_tls), high=100, unit="ms", runs=[round3(v) for v in over_tls])]


def row7(rig, s):
    seconds = s.getint("idle_seconds")
    rig.start_broker()
    rig.pin_against(None)
    rig.progress("row 7: starting the agent")
    vhost = rig.new_vhost()
    starts = start_parts(rig, vhost, s)
    folder = rig.new_folder("agent")
    manager = Manager(folder)
    agent = Process("agent", agent_argv(rig, rig.broker.uri(vhost), folder, "bench-idle"), folder,
                    manager.environment(rig)).start()
    manager.wait_ready()
    wait_until(lambda: (rig.broker.queue(vhost, "bench-idle") or (0, 0))[1] > 0, "the agent consumes", PATIENCE)
    time.sleep(HEARTBEAT_S)  # what follows a start is over
    manager.pings()
    rig.progress(f"row 7: {seconds} s of idleness")
    idle = idle_wakes(rig, agent.pid, seconds)
    pings = manager.pings()
    pss = pss_kb(agent.pid) / 1024
    agent.stop()
    manager.close()
    parts = [part("PSS of the idle agent", pss, high=6, unit="MB")] + starts
    if idle is None:
        parts.append(dict(part("wake-ups when idle", 0, unit="wake-ups"), ok=False, why="strace is not installed"))
    else:
        wakes, others = idle
        # Heartbeats go twice in an interval, in both directions.
        most = 4 * (seconds / HEARTBEAT_S + 1)
        parts += [
            part(f"wake-ups in {seconds} s, idle", sum(wakes.values()), low=1, high=most, unit="wake-ups", **wakes),
            part("of them for neither a heartbeat nor our one timer",
                 wakes["anything else"] + wakes["timer, for the watchdog alone"], high=0, unit="wake-ups", others=others),
            part("pings of the watchdog meanwhile", pings, low=max(1, seconds // WATCHDOG_S), unit="pings"),
        ]
    return row(TITLES[7], parts)


# Row 8

def noise(halves):
    """How far halves of the same kind are from their median, half of them at least."""
    middle = median_by(halves)
    return statistics.median(abs(h["per_second"] - middle) / middle for h in halves)


def row8(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    rig.start_broker()
    rig.start_couch()
    rig.pin_against("couch")
    books = Books(rig)
    plan = {"hosts": hosts, "profile": "lines"}

    def half(names, seed):
        """Fresh collectors, which before the clock starts have seen the hosts, and who of them goes on. The database is a
        fresh one: the more is in it, the slower it becomes."""
        vhost, dbhost = rig.new_vhost(), rig.new_couch_database()
        these = [rig.collector(vhost, dbhost, name=n) for n in names]

        def work(**more):
            this = dict(plan, run=rig.new_run(), **more)
            before = [c.counts() for c in these]
            for c in these:
                c.hold()
            n = rig.bench("fill", vhost=vhost, **this)["responses"]
            began = time.monotonic()
            for c in these:
                c.go_on()
            wait_until(lambda: sum(c.counts()["stored"] - b["stored"] for c, b in zip(these, before)) >= n,
                       "all is stored", 600, 0.05)
            seconds = time.monotonic() - began
            books.check(dbhost, **this)
            after = [c.counts() for c in these]
            done = {k: sum(a[k] - b[k] for a, b in zip(after, before)) for k in after[0]}
            return dict(done, n=n, per_second=n / seconds)

        settled = [work(jobs=2, seed=seed + 1000 * i)["conflicts"] for i in range(1, 4)]
        done = work(jobs=jobs, seed=seed)
        for c in these:
            c.stop()
        rig.drop(dbhost)
        return dict(done, settling=sum(settled))

    one, two = [], []
    for i in range(runs):
        rig.progress(f"row 8: halves {i + 1} of {runs}")
        one.append(half(["first"], i + 1))
        two.append(half(["first", "second"], i + 101))
    rig.pin_against(None)
    # Not slower than one, as far as this machine can tell: halves of one collector differ among themselves. But what is
    # slower by a lot is slower, however much they differ.
    tolerance = min(noise(one) + noise(two), 0.1)
    parts = [ratio("two collectors against one", two, one, low=round3(1.0 - tolerance)),
             part("tolerated below 1: how far halves of a kind differ", tolerance), books.part(),
             part("conflicts, all resolved", sum(h["conflicts"] for h in two), unit="writes"),
             part("conflicts before, until one goes on", sum(h["settling"] for h in two), unit="writes"),
             part("given back or dead-lettered", sum(h["given_back"] + h["dead"] for h in one + two), high=0, unit="answers")]
    return row(TITLES[8], parts, hosts=hosts, store=rig.couch_name, one=rates(one), two=rates(two))


# Row 9

def row9(rig, s):
    hosts, jobs, runs = s.getint("hosts"), s.getint("jobs"), s.getint("runs")
    rig.start_broker()
    rig.start_couch()
    rig.pin_against("couch")
    books = Books(rig)
    plan = {"hosts": hosts, "profile": "mix"}
    vhost, dbhost = rig.new_vhost(), rig.new_couch_database()
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
    parts = [dict(ratio("unchanged against changed", same, changed, low=1.0), unit="times"), books.part(), final]
    return row(TITLES[9], parts, hosts=hosts, store=rig.couch_name, changed=rates(changed),
               same=rates(same), memory=same[-1]["memory"])


# Row 10

def row10(rig, s):
    hosts, runs = s.getint("hosts"), s.getint("runs")
    if rig.store == "pg":
        rig.start_broker()  # setup asks for it
    rig.pin_against(None)
    dbhost = rig.new_store_uri()
    plan = {"hosts": hosts, "jobs": 5, "profile": "mix", "run": rig.new_run()}
    rig.progress("row 10: filling the store")
    looks = [rig.bench("look", dbhost=dbhost, **plan)]
    size = looks[0]["value_bytes_per_host"]
    for i in range(1, runs):
        rig.progress(f"row 10: {i + 1} of {runs}")
        looks.append(rig.bench("look", dbhost=dbhost, resume=True, **plan))
    seconds = {what: [look[what] for look in looks] for what in ("heads", "names", "records")}
    middle = {what: statistics.median(values) for what, values in seconds.items()}
    parts = [part("the heads of all records", middle["heads"], high=0.3, unit="s", runs=seconds["heads"]),
             part("heads against whole records", middle["heads"] / middle["records"], high=0.1),
             part("the names", middle["names"], unit="s", runs=seconds["names"]),
             part("the records", middle["records"], unit="s", runs=seconds["records"])]
    return row(TITLES[10].format(rig.store), parts, hosts=hosts, value_bytes_per_host=size)


# Row 11

BROADCAST = "vogeler.broadcast.in"


def make_queues(rig, vhost, dbhost, hosts):
    """As an administrator does for hosts that may make nothing."""
    names = [f"bench-{i:05}" for i in range(hosts)]
    for first in range(0, hosts, 1000):
        done = subprocess.run([rig.bin / "vogeler-admin", "--qhost", rig.broker.uri(vhost), "--dbhost", dbhost, "setup",
                               *names[first:first + 1000]],
                              env=rig.env, cwd=rig.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, timeout=600)
        if done.returncode != 0:
            raise Trouble("vogeler-admin setup: " + done.stdout.decode()[-2000:])


def remake_exchange(rig, vhost):
    """As somebody who follows a hint for an exchange of the wrong kind: all bindings to it are gone."""
    connection = rig.broker.connect(vhost)
    channel = connection.channel()
    channel.exchange_delete(BROADCAST)
    channel.exchange_declare(BROADCAST, "topic", durable=True)
    connection.close()


def bindings_of_commands(rig, vhost):
    return int(rig.broker.eval(f"""length(rabbit_binding:list_for_source(
        rabbit_misc:r(<<"{vhost}">>, exchange, <<"{BROADCAST}">>)))"""))


def heal(rig, vhost, hosts):
    """How long commands do not arrive, at most, when the exchange was made anew; the moment is any of the collector's
    rounds."""
    time.sleep(random.uniform(0, 30))
    remake_exchange(rig, vhost)
    began = time.monotonic()
    wait_until(lambda: bindings_of_commands(rig, vhost) == 2 * hosts, "all hosts are bound", 600, 0.5)
    return time.monotonic() - began


def cost_of_rounds(rig, collector, rounds):
    """CPU time of the broker and of the collector for a round, idle otherwise, and how long a round is."""
    def ended():
        return collector.metric("vogeler_bindings_rounds_total")

    def next_end(n):
        wait_until(lambda: ended() >= n, "a round is over", 600, 0.2)

    broker = rig.server_of(rig.broker.node.pid)
    first = ended() + 1
    next_end(first)
    before = cpu_seconds(broker), cpu_seconds(collector.pid), time.monotonic()
    next_end(first + rounds)
    after = cpu_seconds(broker), cpu_seconds(collector.pid), time.monotonic()
    return [(b - a) / rounds for a, b in zip(before, after)]


def row11(rig, s):
    hosts, runs = s.getint("hosts"), s.getint("runs")
    rig.start_broker()
    rig.pin_against(None)
    rig.many_queues = hosts > 1000
    vhost, dbhost = rig.new_vhost(), rig.new_store_uri()
    collector = rig.collector(vhost, dbhost)
    rig.progress(f"row 11: records and queues of {hosts} hosts")
    collector.hold()
    collector.drain(rig.bench("fill", vhost=vhost, hosts=hosts, jobs=1, profile="small", run=rig.new_run())["responses"])
    collector.stop()
    make_queues(rig, vhost, dbhost, hosts)
    collector = rig.collector(vhost, dbhost)
    broker_s, collector_s, period_s = cost_of_rounds(rig, collector, s.getint("rounds"))
    # Rounds go on, and hold up no answer. Without commands: each would go to the queues of all hosts, where nobody reads it,
    # and RabbitMQ confirms it when each of these has synced it, which takes it seconds with 10,000.
    rig.progress(f"row 11: answers of {s['rate_hosts']} hosts to {s['rate']} jobs/s")
    report = rig.bench("load", vhost=vhost, dbhost=dbhost, hosts=s.getint("rate_hosts"), jobs=s.getint("rate_jobs"),
                       rate=s["rate"], profile="lines", connections=s.getint("rate_hosts"), run=rig.new_run(),
                       patience=f"{PATIENCE}s", status=(0, 2))
    healed = []
    for i in range(runs):
        rig.progress(f"row 11: the exchange is made anew, {i + 1} of {runs}")
        healed.append(heal(rig, vhost, hosts))
    pass_ms = 1000 * collector.metric("vogeler_loop_pass_cpu_seconds_max")
    collector.stop()
    parts = [part("until all are bound again, the longest", max(healed), high=60, unit="s", runs=[round3(h) for h in healed]),
             part("from one round's end to the next's", period_s, high=60, unit="s"),
             part("CPU of the broker for a round", broker_s, unit="s"),
             part("CPU of the collector for a round", collector_s, unit="s"),
             part("the longest pass of the collector's loop", pass_ms, high=100, unit="ms of CPU")]
    load = f"meanwhile answers of {s['rate_hosts']} hosts to {s['rate']} jobs/s"
    parts += latency_parts(report, load) + [closed_part(report, load)]
    return row(TITLES[11], parts, hosts=hosts, healed=spread(healed))


# Row 12

PG_SETTINGS = [{}, {"batch": "256KiB"}, {"requests": 4}, {"batch": "256KiB", "requests": 4}]


def pg_ceiling(rig, plan, dbhost):
    """A writer of the same statements to a database of its own: of several sizes and numbers of requests, the best."""
    tried = [(rig.bench("write", dbhost=dbhost, seed=900 + i, run=rig.new_run(), **dict(plan, jobs=3), **how)["per_second"], i)
             for i, how in enumerate(PG_SETTINGS)]
    best = PG_SETTINGS[max(tried)[1]]

    def ceiling(seed):
        return rig.bench("write", dbhost=dbhost, seed=seed, run=rig.new_run(), **plan, **best)
    return ceiling, best


def pg_profile(rig, s, profile, goal, books):
    """One profile's parts: pinned against the ceiling, changed and unchanged by turns on two cores."""
    hosts, jobs, runs = s.getint("hosts"), s.getint(f"jobs_{profile}"), s.getint("runs")
    plan = {"hosts": hosts, "profile": profile}
    vhost, dbhost = rig.new_vhost(), rig.set_up(rig.new_pg_uri())
    rig.pin_against("pg")
    ceiling, best = pg_ceiling(rig, dict(plan, jobs=jobs + 1), rig.new_pg_uri())
    collector = rig.collector(vhost, dbhost)
    idle = pss_kb(collector.pid) / 1024
    collector.hold()

    def ours(seed, **more):
        this = dict(plan, jobs=jobs, seed=seed, run=rig.new_run(), **more)
        n = rig.bench("fill", vhost=vhost, dbhost=dbhost, **this)["responses"]
        half = collector.drain(n)
        books.check(dbhost, **this)
        collector.hold()
        return half

    ours(1)
    a, b, changed, same, alone = [], [], [], [], []
    for i in range(runs):
        rig.progress(f"row 12: {profile}, pinned, {i + 1} of {runs}")
        for half in (a, b) if i % 2 else (b, a):
            half.append(ours(100 + i) if half is a else ceiling(100 + i))
    rig.pin_against(None)
    pin(collector.pid, rig.all_cores)
    for i in range(runs):
        rig.progress(f"row 12: {profile}, two cores shared by all, {i + 1} of {runs}")
        # Versions come from the first job: with a new seed all of that are new, and those that follow are not.
        changed.append(ours(300 + i))
        ours(400 + i, unchanged=100)
        same.append(ours(400 + i, unchanged=100))
        alone.append(ceiling(300 + i))
    final = clean(collector)
    collector.stop()
    parts = [ratio(f"{profile}, pinned, against a writer of the same statements", a, b, low=0.9, high=1.05),
             part(f"{profile}, two cores shared by all", median_by(changed), low=goal, unit="responses/s",
                  runs=[round3(h["per_second"]) for h in changed]),
             dict(ratio(f"{profile}: unchanged against changed", same, changed, low=1.5), unit="times"),
             part(f"{profile}: the store alone", median_by(alone), unit="responses/s",
                  runs=[round3(h["per_second"]) for h in alone]),
             part(f"{profile}: CPU time of vogelerd for a response", median_by(changed, "cpu_us"), unit="us"),
             dict(final, name=f"{profile}: given back or dead-lettered")]
    return parts, {"collector": rates(a), "ceiling": rates(b), "best": best, "idle": idle,
                   "curve": [h["curve"] for h in a], "memory": a[-1]["memory"]}


def pg_collectors(rig, s, books):
    """One collector, and two, by turns, each time on a database and a vhost of their own."""
    plan = {"hosts": s.getint("hosts"), "profile": "lines"}

    def half(names, seed):
        vhost, dbhost = rig.new_vhost(), rig.set_up(rig.new_pg_uri())
        these = [rig.collector(vhost, dbhost, name=n) for n in names]

        def work(jobs, seed):
            this = dict(plan, jobs=jobs, seed=seed, run=rig.new_run())
            before = [c.counts() for c in these]
            for c in these:
                c.hold()
            n = rig.bench("fill", vhost=vhost, dbhost=dbhost, **this)["responses"]
            began = time.monotonic()
            for c in these:
                c.go_on()
            wait_until(lambda: sum(c.counts()["stored"] - b["stored"] for c, b in zip(these, before)) >= n,
                       "all is stored", 600, 0.05)
            seconds = time.monotonic() - began
            books.check(dbhost, **this)
            return {"per_second": n / seconds, "conflicts": sum(c.counts()["conflicts"] for c in these)}
        work(1, seed)
        done = work(s.getint("jobs_lines"), seed + 50)
        for c in these:
            c.stop()
        return done

    one, two = [], []
    for i in range(s.getint("runs")):
        rig.progress(f"row 12: one collector and two, {i + 1} of {s.getint('runs')}")
        one.append(half(["first"], i + 1))
        two.append(half(["first", "second"], i + 101))
    tolerance = min(noise(one) + noise(two), 0.1)
    return [ratio("two collectors against one", two, one, low=round3(1.0 - tolerance)),
            part("tolerated below 1: how far halves of a kind differ", tolerance)]


def row12(rig, s):
    rig.start_broker()
    rig.start_pg()
    books = Books(rig)
    parts, figures, idle = [], {}, []
    for profile, goal in (("lines", 5000), ("packages", 500)):
        more, figures[profile] = pg_profile(rig, s, profile, goal, books)
        parts += more
        idle.append(figures[profile].pop("idle"))
    parts += pg_collectors(rig, s, books)
    parts += [part("PSS of the idle collector", max(idle), high=14, unit="MB"), books.part()]
    return row(TITLES[12], parts, hosts=s.getint("hosts"), figures=figures,
               curves={f"responses committed, {p}": f.pop("curve") for p, f in figures.items()},
               memory={f"{name}, {p}": c for p, f in figures.items() for name, c in f.pop("memory").items()})


# Row 13

def row13(rig, s):
    """Answers of five facts of 600 bytes, of no job, each job asking all hosts at a stride for one of them, 200 in a commit.
    The records are there; then each of the five has another value, and then the same again."""
    plan = {"hosts": s.getint("hosts"), "profile": "facts", "unasked": True, "commit": 200}
    parts = []
    for store, goals in (("sqlite", (12000, 6000)), ("pg", (None, None))):
        if store == "pg":
            rig.start_pg()
        dbhost = rig.new_pg_uri() if store == "pg" else rig.new_sqlite_uri()
        rig.progress(f"row 13: {store}://, making the records")
        rig.bench("write", dbhost=dbhost, seed=1, run=rig.new_run(), seconds=3000, **dict(plan, jobs=6))
        for what, goal in zip(("changed", "unchanged"), goals):
            rig.progress(f"row 13: {store}://, {what}")
            before = rig.pg.bytes_written() if store == "pg" else 0
            # Versions come from the first five jobs, which are not written.
            done = rig.bench("write", dbhost=dbhost, seed=2, run=rig.new_run(), unchanged=100, resume=True, seconds=3000,
                             **dict(plan, jobs=10))
            written = rig.pg.bytes_written() - before if store == "pg" else done["bytes_written"]
            parts.append(part(f"{store}://, {what}: bytes written an answer", written / done["responses"], high=goal, unit="bytes",
                              value_bytes=done["mean_bytes"]))
            parts.append(part(f"{store}://, {what}: answers a second, the store alone", done["per_second"], unit="answers/s",
                              cpu_us=round3(done["cpu_us"])))
    return row(TITLES[13], parts, hosts=plan["hosts"])


ROWS = {1: row1, 2: row2, 3: row3, 4: row4, 5: row5, 6: row6, 7: row7, 8: row8, 9: row9,
        10: row10, 11: row11, 12: row12, 13: row13}
TITLES = {
    1: "couch://, mix: responses committed against the store's ceiling",
    2: "null://, lines: against the raw consume rate of the broker",
    3: "{}://: responses committed per second",
    4: "against the algorithm of 2010 (baseline: GET, PUT, GET, PUT, one connection), lines, couch://",
    5: "memory of vogelerd at its highest",
    6: "cost against the number of hosts",
    7: "the agent: memory, start, idleness",
    8: "two collectors on one couch://",
    9: "unchanged values, mix, couch://",
    10: "{}://, mix: listing the hosts (vogeler-admin hosts, -n all)",
    11: "bindings: the exchange of commands is made anew, and no host may bind its queue",
    12: "pg://: responses committed against a writer of the same statements; memory; two collectors",
    13: "bytes written an answer, in the store alone: sqlite:// and pg://",
}
