# SPDX-License-Identifier: Apache-2.0
"""vogeler-bench in small: what it sends is stored, its books close, and do not when something is missing; and bench/run,
in a scenario that is too small to say anything about speed."""
import json
import pathlib
import re
import subprocess
import sys

import pika
import pytest
from lib.commands import Collector, Runner
from lib.site import program
from lib.waiting import wait_until

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

# pylint: disable=wrong-import-position
from harness.rows import wakes_of  # noqa: E402
from harness.table import markdown  # noqa: E402

PLAN = ("-n", "20", "-j", "5", "-p", "mix", "--run", "1795374000000")


def bench(site, *args, status=0):
    done = site.run("vogeler-bench", "--qhost", site.qhost, "--dbhost", site.dbhost, "--json", *args)
    assert status is None or done.status == status, done
    return json.loads(done.out.splitlines()[-1]) if done.out else None


@pytest.fixture(name="filled")
def filled_fixture(site):
    """100 answers of 20 hosts, stored: the books close then."""
    site.collector(level="WARN")
    assert bench(site, *PLAN, "fill")["responses"] == 100
    wait_until(lambda: bench(site, *PLAN, "books", status=None)["books"]["closed"], "the books close")
    return site


def test_books_close(filled):
    books = bench(filled, *PLAN, "books")["books"]
    assert books["closed"] and books["expected"] == books["ok"] == books["values"] == 100


def test_books_find_what_is_lost_and_what_is_stale(filled):
    """A job that was never answered; a record that is not there; an old value where a newer one is expected."""
    books = bench(filled, *PLAN, "--expect-more", "1", "books", status=2)["books"]
    assert books["lost"] == 20 and books["ok"] == 100
    books = bench(filled, "-n", "21", *PLAN[2:], "books", status=2)["books"]
    assert books["lost"] == 5 and books["missing"] == 5
    books = bench(filled, *PLAN, "--unchanged", "100", "-j", "10", "books", status=2)["books"]
    assert books["lost"] == 100 and books["stale"] == 0  # the same values again
    books = bench(filled, *PLAN, "-j", "10", "books", status=2)["books"]
    assert books["stale"] == 100


def test_hosts_that_misbehave(site):
    """20 hosts: 2 off, 2 slow, 4 that answer twice, 2 with rubbish; three jobs."""
    site.collector(level="ERROR")
    report = bench(site, "-n", "20", "-j", "3", "--rate", "20", "--offline", "10", "--slow", "10", "--slow-by", "100ms",
                   "--twice", "20", "--poison", "10", "--patience", "40s", "load")
    assert report["books"]["closed"] and report["books"]["expected"] == 54
    assert [j["ok"] for j in report["jobs"]] == [18] * 3
    assert report["latency"]["n"] == 54
    assert report["hosts"]["again"] == 12 and report["hosts"]["poison"] == 6
    wait_until(lambda: site.ready("vogeler.dead") == 6, "the rubbish is in vogeler.dead")


def fleet_of(site, hosts, *args):
    """A fleet that is there: each of its hosts reads its queue."""
    fleet = site.process("fleet", [program("vogeler-bench"), "--qhost", site.qhost, "--json", "-n", str(hosts), *args, "hosts"])
    fleet.start()
    wait_until(lambda: f'{{"ready":{hosts}}}' in fleet.out(), "the fleet is ready")
    return fleet


def states_of(site, *args, status):
    done = site.runner(*args, "--wait", "60s", "--json", dbhost=True, status=status)
    return json.loads(done.out)["counts"]


def test_a_fleet_answers_whoever_asks(site):
    """Jobs are the runner's, not of the bench: each host answers under the job that it was asked with, by a plugin's
    name or its alias, and refuses what it does not have."""
    site.collector(level="WARN")
    fleet_of(site, 20, "--interval", "0")
    assert states_of(site, "-n", ",".join(["web01", "web02", "db01"]), "-x", "os-release", status=0)["ok"] == 3
    assert states_of(site, "-n", "all", "-x", "get_packages", status=0)["ok"] >= 3
    assert states_of(site, "-n", "web01", "-x", "nosuch", status=2)["refused"] == 1
    assert any(line.startswith("openssl ") for line in site.value("packages", "web01"))


@pytest.fixture(name="asking")
def asking_fixture(site, broker):
    """A runner, and a collector that reads both lanes."""
    site.parties += [Runner(broker, site.vhost), Collector(broker, site.vhost, fresh=True)]
    return site.parties[-2:]


def start_agent(site):
    site.plugin("os-release", ["/bin/echo", "x"], command_alias="get_os_release")
    site.plugin("facter", ["/bin/sleep", "60"], timeout="60s")
    site.agent("web01").wait_log("waiting for commands")


def start_simulated(site):
    fleet_of(site, 1, "--hanging", "100", "--failing", "0", "--silent", "0", "--interval", "0")


@pytest.mark.parametrize("start", [start_agent, start_simulated], ids=["agent", "simulated"])
def test_a_simulated_host_is_as_an_agent_on_the_wire(site, asking, start):
    """Whatever a command carries: one test, and it cannot tell which of the two has answered."""
    runner, collector = asking
    start(site)

    def told(job):
        answer = collector.answer(job)
        return answer.state, answer.message
    runner.send("os-release", "late", age=60, expires=-5)
    state, message = told("late")
    assert state == "expired" and re.match(r"expired \d+ s ago, not run", message), message
    runner.send("os-release", None, expires=-5)  # of 2010: there is nobody to tell
    runner.send("get_os_release", "alias", reply_to="watcher")
    answer = collector.answer("alias")
    assert (answer.state, answer.queue, answer.properties.reply_to) == ("ok", "vogeler.fresh", "watcher")
    assert answer.body["syskey"] == "web01" and "os-release" in answer.body, answer.body
    assert set(answer.properties.headers) == {"plugin", "state", "order", "machine_id", "boot_id", "version", "collected_at",
                                              "duration_ms", "exit_status"}, answer.properties.headers
    runner.send("nosuch", "refused")
    state, message = told("refused")
    assert state == "refused" and message.startswith("Plugin nosuch is not authorized for this host. Ignoring. Registered here: ")
    for job in ("runs", "older", "newest"):
        runner.send("facter", job)
    runner.cancel("runs")
    assert told("runs") == ("cancelled", "cancelled while it ran")
    assert told("older") == ("superseded", "superseded by newest")
    runner.cancel("newest")
    assert told("newest") == ("cancelled", "cancelled while it ran")
    runner.cancel("early")
    runner.send("os-release", "early")
    assert told("early") == ("cancelled", "cancelled before it began")
    runner.send("get_os_release", "alias")  # has been answered
    runner.channel.basic_publish("", "web01", b'"os-release"', pika.BasicProperties(message_id="past-the-exchange"))
    runner.channel.basic_publish("vogeler.broadcast.in", "web01", b"x" * 5000, pika.BasicProperties(message_id="oversize"))
    runner.send("os-release", "last")
    assert told("last") == ("ok", None)
    answers = [a.job for a in collector.everything(site).values()]
    assert sorted(answers) == sorted(["late", "alias", "refused", "runs", "older", "newest", "early", "last"])
    assert [a.job for a in collector.seen].count("alias") == 1


def test_a_fleet_collects_by_itself_and_is_in_trouble(site):
    """Nobody asks: each host has all plugins, but those that fail or hang."""
    site.collector(level="WARN")
    fleet_of(site, 10, "--failing", "100", "--silent", "0", "--hanging", "0")
    site.wait_record(lambda r: {"os-release", "facter", "disks", "network", "sockets", "units", "ps"} <= set(r),
                     "has what does not fail")
    site.wait_last_error("packages: exit status 2")
    assert site.value("facter")["hostname"] == "web01"


def test_fewer_connections_than_hosts(site):
    site.collector(level="WARN")
    report = bench(site, "-n", "20", "-j", "2", "--connections", "3", "--one-by-one", "--patience", "40s", "load")
    assert report["books"]["closed"] and [j["ok"] for j in report["jobs"]] == [20, 20]


def test_an_answer_that_never_comes_counts_in_the_latency(site):
    """No collector: each of the answers took at least as long as was waited for it."""
    site.collector(level="WARN").stop()  # it has made what it needs
    report = bench(site, "-n", "4", "-j", "1", "--patience", "1500ms", "load", status=2)
    assert report["unanswered"] == report["latency"]["n"] == 4
    assert report["latency"]["p50_us"] >= 1_000_000


def test_hosts_without_connections_only_answer(site):
    for conduct in ("--slow", "--twice", "--poison"):
        done = site.run("vogeler-bench", "--qhost", site.qhost, "--connections", "3", conduct, "10", "load")
        assert done.status == 1 and "only answer" in done.err, done


def test_a_report_for_people(filled):
    done = filled.run("vogeler-bench", "--dbhost", filled.dbhost, *PLAN, "books")
    assert done.status == 0 and "closed yes" in done.out and "expected 100" in done.out, done


def test_null_store_and_raw_rate(site):
    """Nothing can be looked up, but everything is taken."""
    site.collector(level="WARN", dbhost="null://")
    bench(site, *PLAN, "fill")
    wait_until(lambda: site.ready("master.in") == 0, "all is taken")
    done = site.run("vogeler-bench", "--dbhost", "null://", *PLAN, "books")
    assert done.status == 1 and "null://" in done.err


def test_consume(site):
    bench(site, *PLAN, "fill")
    assert bench(site, *PLAN, "consume")["responses"] == 100
    assert site.broker.queue(site.vhost, "master.in")[0] == 0
    done = site.run("vogeler-bench", "--qhost", site.qhost, *PLAN, "--patience", "300ms", "consume")
    assert done.status == 1 and "the queue is empty" in done.err


def test_the_ceiling_of_the_store(couch_site):
    """The records of a run before are gone on with."""
    plan = ("-n", "10", "-j", "7", "-p", "mix", "write")
    first = bench(couch_site, *plan)
    assert first["slices"][0]["responses"] == 20
    again = bench(couch_site, "--resume", *plan)
    assert again["slices"][0]["responses"] == 20
    sweep = bench(couch_site, "--resume", "--sweep", "--duration", "1ms", *plan)
    assert len(sweep["slices"]) == 12 and all(s["responses"] > 0 for s in sweep["slices"])
    writes = [int(couch_site.database.get(f"bench-{i:05}")["_rev"].split("-")[0]) for i in range(10)]
    assert sum(writes) == 10 * (7 + 2) + sum(s["responses"] for s in sweep["slices"])
    done = couch_site.run("vogeler-bench", "--dbhost", couch_site.dbhost, "--resume", "-n", "11", *plan[2:])
    assert done.status == 1 and "of 11 records 10 are there" in done.err, done


def test_what_a_store_takes_alone(site):
    """Answers are in records and ledger as if they had come by a broker, and the bytes that were written are counted."""
    report = bench(site, *PLAN, "-j", "8", "write")  # 20 hosts; the first five jobs are not timed
    assert report["responses"] == 60 and report["per_second"] > 0 and report["bytes_written"] > 60 * report["mean_bytes"] / 4
    assert bench(site, *PLAN, "-j", "8", "books")["books"]["expected"] == 160
    again = ("-n", "20", "-j", "8", "-p", "mix", "--run", "1795374100000", "--unchanged", "100")
    assert bench(site, *again, "--resume", "--unasked", "--commit", "7", "write")["batches"] == 9
    assert bench(site, *again, "books", status=2)["books"]["ok"] == 0  # of no job
    done = site.run("vogeler-bench", "--dbhost", site.dbhost, *PLAN, "-j", "8", "--sweep", "write")
    assert done.status == 1 and "--sweep is for couch:// alone" in done.err


def test_a_backlog_of_jobs_that_are_in_the_ledger(site):
    assert bench(site, *PLAN, "fill")["responses"] == 100
    jobs = json.loads(site.runner("jobs", "--json", dbhost=True).out)["jobs"]
    assert len(jobs) == 5, jobs


# bench/run

def bench_run(folder, *args, scenario="tiny"):
    argv = [BENCH / "run", "--scenario", scenario, "--bin", pathlib.Path(program("vogelerd")).parent, "--folder", folder, *args]
    return subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=600, check=False)


def test_bench_run(tmp_path):
    """A row that cannot be measured says so, and takes none of the others with it; the report is told as JSON, as a page
    and as a table."""
    text = (BENCH / "scenarios" / "tiny.ini").read_text("utf-8").replace("[row2]\nhosts = 20", "[row2]\nhosts = many")
    scenario = tmp_path / "odd.ini"
    scenario.write_text(text)
    page = tmp_path / "page.html"
    done = bench_run(tmp_path, "--json", "--html", page, "--rows", "3,2,6", scenario=str(scenario))
    report = json.loads(done.stdout)
    assert done.returncode == 2, done.stderr.decode()  # for row 2 is not ok
    assert report["store"] is None  # no couch:// was needed
    assert [r["row"] for r in report["rows"]] == [3, 2, 6]
    for r in report["rows"]:
        assert {"row", "title", "figure", "goal", "ok", "took_s"} <= r.keys()
    three, two, six = report["rows"]
    assert not two["ok"] and "many" in two["why"]
    for r in (three, six):
        assert "why" not in r and r["ok"] == all(p["ok"] for p in r["parts"]), r
        assert {"name", "figure", "unit", "goal", "ok"} <= r["parts"][0].keys()
    books = [p for p in three["parts"] if p["name"].startswith("answers lost")]
    assert [(p["figure"], p["expected"]) for p in books] == [(0, 120)]  # 20 hosts, 4 jobs of lines and 2 of facter
    assert three["memory"] and three["curves"]["lines"]
    assert [t["counts"] for t in six["table"]] == [[5, 5], [10, 10]]
    assert six["latency"]["n"] == 200
    assert [p["sent"] for p in six["parts"] if "vogeler.dead" in p["name"]] == [20]  # 4 of 40 hosts, 5 jobs
    html = page.read_text("utf-8")
    assert html.count("<h2>") == 3 and "<svg" in html and "many" in html and "http" not in html.replace("http-equiv", "")
    table = markdown(report)
    assert "| 3 | lines, committed with full synchronous |" in table and "many" in table
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith("vogeler-bench-")]  # nothing stays


def test_look_lists_what_it_filled(site):
    report = bench(site, *PLAN, "look")
    assert report["hosts"] == 20 and all(report[what] > 0 for what in ("fill", "names", "heads", "records"))
    assert len(json.loads(site.admin("hosts", "--json").out)) == 20
    assert "fill" not in bench(site, *PLAN, "--resume", "look")
    done = site.run("vogeler-bench", "--dbhost", site.dbhost, *PLAN, "-n", "21", "--resume", "look")
    assert done.status == 1 and "names: 20 of 21 hosts" in done.err


def test_row_10(tmp_path):
    done = bench_run(tmp_path, "--json", "--rows", "10")
    ten = json.loads(done.stdout)["rows"][0]
    assert "why" not in ten and ten["hosts"] == 30 and len(ten["parts"]) == 4, done.stderr.decode()


def test_pg(tmp_path):
    """Rows of pg:// alone, and one that may be on either store. How fast it is does not matter here. The name is short for
    the path of a socket."""
    done = bench_run(tmp_path, "--json", "--rows", "12,13,10,6", "--store", "pg")
    report = json.loads(done.stdout)
    twelve, thirteen, ten, six = report["rows"]
    assert not any("why" in r for r in report["rows"]), done.stdout.decode()
    part = {p["name"]: p for p in twelve["parts"]}
    assert part["answers lost, doubled or stale"]["figure"] == 0
    assert part["answers lost, doubled or stale"]["expected"] == 20 * (5 * 4 + 5 * 2 + 2 * (1 + 4))
    assert part["lines: given back or dead-lettered"]["ok"] and part["packages: given back or dead-lettered"]["ok"]
    assert 0 < part["PSS of the idle collector"]["figure"] < 50
    figures = {p["name"]: p["figure"] for p in thirteen["parts"]}
    for store in ("sqlite", "pg"):
        assert figures[f"{store}://, changed: bytes written an answer"] > figures[f"{store}://, unchanged: bytes written an answer"] > 0
    assert ten["title"].startswith("pg://")
    assert [t["counts"] for t in six["table"]] == [[5, 5], [10, 10]]
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith("vogeler-bench-")]


def test_bench_run_says_what_it_cannot_do(tmp_path):
    done = bench_run(tmp_path, "--rows", "14")
    assert done.returncode == 1 and b"has no row 14" in done.stderr
    done = bench_run(tmp_path, scenario="none")
    assert done.returncode == 1 and b"there is no scenario" in done.stderr


def test_wake_ups_are_told_apart():
    """What strace -f -yy says of an agent."""
    tcp, manager = "8<TCP:[127.0.0.1:1->127.0.0.1:2]>", "5<UNIX-DGRAM:[7]>"
    wait = "9 epoll_wait(3<anon_inode:[eventpoll]>, "
    lines = [
        wait + "[{events=EPOLLIN, data={u32=8, u64=8}}], 32, 4000) = 1",
        f'9 readv({tcp}, [{{iov_base="\\10\\0", iov_len=4096}}], 1) = 8',
        f'9 writev({tcp}, [{{iov_base="\\10\\0", iov_len=8}}], 1) = 8',
        f'9 sendto({manager}, "WATCHDOG=1", 10, 0, NULL, 0) = 10',
        wait + "[], 32, 5000) = 0",
        f"9 epoll_ctl(3<anon_inode:[eventpoll]>, EPOLL_CTL_MOD, {tcp}, {{events=EPOLLIN|EPOLLOUT, data={{u32=8, u64=8}}}}) = 0",
        wait + "[{events=EPOLLOUT, data={u32=8, u64=8}}], 32, 4999) = 1",
        f'9 writev({tcp}, [{{iov_base="\\10\\0", iov_len=8}}], 1) = 8',
        wait + "[], 32, 0) = 0",  # did not wait
        wait + "[], 32, 5000) = 0",
        f'9 sendto({manager}, "WATCHDOG=1", 10, 0, NULL, 0) = 10',
        wait + "[{events=EPOLLIN, data={u32=4, u64=4}}], 32, 4000) = 1",
        "9 read(4<anon_inode:[eventfd]>, 1, 8) = 8",
        wait + "0x5, 32, 4000) = -1 EINTR (Interrupted system call)",
        wait + "<unfinished ...>",
    ]
    wakes, others = wakes_of(lines)
    assert wakes == {"heartbeat of the broker": 1, "timer": 1, "timer, for the watchdog alone": 1, "anything else": 1}
    assert len(others) == 1 and "u32=4" in others[0]
