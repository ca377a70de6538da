# SPDX-License-Identifier: Apache-2.0
"""Sending jobs: whom they go to, what is written before and after, how it ends. The hosts are queues that a test reads
and answers for; real agents are in the other tests."""
import http.server
import json
import os
import pty
import queue
import re
import signal
import sqlite3
import subprocess
import threading
import urllib.parse

import pika
import pytest

from lib.client2010 import BROADCAST, MASTER, Party2010
from lib.process import run
from lib.site import all_stores, program
from lib.waiting import wait_until

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class Fleet(Party2010):
    """Hosts without agents: a queue and a record each."""

    def __init__(self, broker, vhost, records):
        super().__init__(broker, vhost)
        self.taken = {}
        for host, plugins in records.items():
            self.queue_of(host)
            self.channel.basic_publish(MASTER, "", json.dumps(
                {"syskey": host, "format": "pydict", **plugins}).encode(), pika.BasicProperties(delivery_mode=2))

    def queue_of(self, host):
        self.channel.queue_declare(host, durable=True)
        self.channel.queue_bind(host, BROADCAST, "broadcasts.*")
        self.channel.queue_bind(host, BROADCAST, host)

    def take(self, host):
        """The next command for the host: (routing key, properties, body), or None."""
        method, properties, body = self.channel.basic_get(host, auto_ack=True)
        return method and (method.routing_key, properties, json.loads(body))

    def wait_command(self, host):
        return wait_until(lambda: self.take(host), f"a command for {host}")

    def answer(self, host, state="ok"):
        """Takes the next command and answers it."""
        _, sent, plugin = self.wait_command(host)
        body = {"syskey": host, "format": "pydict"}
        if state == "ok":
            body[plugin] = "x"
        else:
            body["last_error"] = {"timestamp": "2010-09-26 06:16:29.609000", "message": f"{state} by {host}"}
        self.channel.basic_publish(MASTER, "", json.dumps(body).encode(), pika.BasicProperties(
            message_id=f"{sent.message_id}.{host}", correlation_id=sent.message_id, reply_to=sent.reply_to,
            delivery_mode=2, headers={"plugin": plugin, "state": state, "order": 1}))
        return sent


RECORDS = {
    "db01": {"facter": {"os": "Debian"}, "packages": ["a", "b", "c"], "hello": "known"},
    "db02": {"facter": {"os": "Debian"}, "packages": ["a"]},
    "web01": {"facter": {"os": "Alpine"}, "packages": ["a", "b", "c", "d"]},
    "web02": {"facter": {"os": "Debian"}},
    "web10": {},
}


def populate(site):
    site.collector()
    site.fleet = Fleet(site.broker, site.vhost, RECORDS)
    site.parties.append(site.fleet)
    site.wait_drained("master.in")
    return site


@pytest.fixture
def fleet(site):
    return populate(site).fleet


def send(site, *args, status=0, **kw):
    return site.runner(*args, "-x", "hello", dbhost=True, status=status, **kw)


def job_of(done):
    return re.search(UUID, done.out + done.err).group()


def result(site, job):
    return json.loads(site.runner("result", job, "--json", dbhost=True, status=None).out)


def states(site, job):
    return {h["host"]: h["state"] for h in result(site, job)["hosts"]}


def job_of_log(process):
    return re.search(UUID, process.log()).group()


def follow_up(site, verb, job):
    process = site.process(verb, [program("vogeler-runner"), "--qhost", site.qhost, "--dbhost", site.dbhost, verb, job])
    process.may_fail = True
    return process.start()


def background(site, *args, name="runner"):
    process = site.process(name, [program("vogeler-runner"), "--qhost", site.qhost, "--dbhost", site.dbhost,
                                  "-x", "hello", *args])
    process.may_fail = True
    return process.start()


# Targets

def targets(site, *args, **kw):
    return site.runner(*args, "--dry-run", dbhost=True, **kw).out.split()


def test_targets(site, fleet):
    every = sorted(RECORDS)
    names = site.file("hosts", "# ours\nweb02 # the second\n\ndb*\n")
    for args, hosts in (
            (["-n", "all"], every),
            (["-n", "web01"], ["web01"]),
            (["-n", "web10,db01", "-n", "nowhere"], ["db01", "nowhere", "web10"]),
            (["-n", "web*"], ["web01", "web02", "web10"]),
            (["-n", "db[0-9]1,web?0"], ["db01", "web10"]),
            (["-n", f"@{names}"], ["db01", "db02", "web02"]),
            (["-n", names, "-n", "web10"], ["db01", "db02", "web02", "web10"]),
            (["-n", "all", "--limit", "2"], ["db01", "db02"]),
            (["-n", "all", "--limit", "50%"], ["db01", "db02", "web01"]),
            (["--where", '.facter.os == "Debian" and (.packages | length) > 2'], ["db01"]),
            (["--where", ".facter.os == \"Debian\"", "-n", "web*"], ["web02"]),
            (["--where", "keys | index(\"packages\")"], ["db01", "db02", "web01"]),
            (["--where", "._id > \"db02\"", "-n", "web01,db01,nowhere"], ["web01"])):
        assert targets(site, *args) == hosts, args
    piped = site.runner("-n", "-", "--dry-run", dbhost=True, stdin=b"web02\nweb01\n")
    assert piped.out == "web01\nweb02\n" and "2 hosts; nothing was sent" in piped.err, piped
    assert json.loads(site.runner("-n", "db*", "--dry-run", "--json", dbhost=True).out)["hosts"] == ["db01", "db02"]
    assert all(fleet.take(host) is None for host in every)
    assert site.runner("jobs", dbhost=True).out.count("hello") == 0


def test_targets_that_cannot_be(site, fleet):
    for args, status, says in (
            (["-n", "mail*"], 4, "mail*"),
            (["--where", ".facter.os == \"Plan 9\""], 4, "no host"),
            (["--where", ".facter.os =="], 1, "syntax error"),
            (["--where", "last(repeat(null))", "--where-timeout=300ms"], 1, "no end after 300ms"),
            (["-n", "@/nowhere/hosts"], 1, "/nowhere/hosts"),
            (["-n", "all", "--limit", "0"], 1, "--limit"),
            (["-n", "all", "--batch", "2"], 1, "--wait"),
            (["-n", "all", "--wait", "--max-failures", "2"], 1, "--max-failures needs --batch"),
            (["-n", "all", "--wait", "--batch-timeout", "2s"], 1, "--batch-timeout needs --batch"),
            (["-n", "all", "--wait", "--batch", "2", "--max-failures", "101%"], 1, "from 0 to 100%"),
            (["-n", "all", "--wait", "--batch", "2", "--max-failures", "some"], 1, "or a share as 10%"),
            (["-n", "all", "--ttl", "soon"], 1, "soon"),
            (["-n", "all", "--json", "--jsonl"], 1, "--jsonl"),
            (["-n", "all,web01"], 1, '-n "all": is every host already: it goes alone'),
            (["-n", "web01", "-n", "all"], 1, "it goes alone")):
        done = send(site, *args, status=status)
        assert says in done.err and done.out == "", done
        assert re.match("vogeler-runner: ", done.err), done
    assert all(fleet.take(host) is None for host in RECORDS)
    out = send(site, "--where", ".packages[0] | test(\"a\")", "-n", "db*,web*")
    assert "2 of 5 hosts left out" in out.err and "to 3 hosts" in out.out, out


# The job and its messages

def test_job_is_in_the_ledger_and_all_is_one_publish(site, fleet):
    done = send(site, "-n", "all")
    assert re.fullmatch(rf"sent hello to all, job {UUID}\n", done.out) and done.err == "", done
    job = job_of(done)
    for host in RECORDS:
        key, properties, body = fleet.take(host)
        assert (key, properties.message_id, body) == ("broadcasts.all", job, "hello")
        assert properties.reply_to is None
        day = 24 * 3600 * 1000
        assert 6.9 * day < int(properties.headers["not_after"]) - properties.timestamp * 1000 < 7.1 * day
        assert fleet.take(host) is None
    report = result(site, job)
    assert report["counts"]["queued"] == len(RECORDS)
    listed = site.runner("jobs", "--jsonl", dbhost=True).out
    assert json.loads(listed.splitlines()[0])["target"] == "all", listed


def test_some_are_sent_to_one_by_one(site, fleet):
    done = send(site, "-n", "web*", "--ttl", "0")
    assert re.fullmatch(rf"sent hello to 3 hosts, job {UUID}\n", done.out), done
    assert [host for host in sorted(RECORDS) if fleet.take(host)] == ["web01", "web02", "web10"]
    assert "expire" not in site.runner("result", job_of(done), dbhost=True, status=3).out
    done = send(site, "-n", "db01", "-q")
    assert re.fullmatch(UUID + "\n", done.out), done
    done = send(site, "-n", "db0*", "--json")
    told = json.loads(done.out)
    assert told["kind"] == "sent" and told["sent"] == 2 and told["tracked"] and told["unroutable"] == [], told
    assert states(site, told["job"]) == {"db01": "queued", "db02": "queued"}


@all_stores
def test_host_without_a_queue_is_told_and_booked(site, fleet):
    done = send(site, "-n", "web01,nowhere,web99", status=4)
    assert "sent hello to 1 host, job" in done.out, done
    assert "2 of 3: no such host: nowhere, web99" in done.err, done
    assert states(site, job_of(done)) == {"nowhere": "unroutable", "web01": "queued", "web99": "unroutable"}
    done = send(site, "-n", "nowhere", status=4)
    assert done.out == "" and "nowhere: no such host" in done.err, done
    told = json.loads(send(site, "-n", "nowhere,web01", "--json", status=4).out)
    assert told["unroutable"] == ["nowhere"] and told["sent"] == 1, told


def test_no_host_at_all(site):
    site.collector()
    done = send(site, "-n", "all", status=4)
    assert done.out == "" and "no host" in done.err, done
    done = send(site, "-n", "all", "--wait", status=4)
    assert "no host is known" in done.err, done


# Without a store

def test_without_a_store_it_is_sent_and_said_so(site, fleet):
    nowhere = f"sqlite://{site.folder}/nowhere/records.db"
    for n, args in enumerate(([], ["--dbhost", "null://"], ["--dbhost", nowhere],
                              ["--dbhost", "couch://127.0.0.1:1/x"])):
        for target in ("all", "web01"):
            done = site.runner("-n", target, "-x", "hello", *args)
            assert f"sent hello to {target}" in done.out, done
            lines = done.err.splitlines()
            assert len(lines) == 1 and "outcomes are not tracked: " in lines[0], done
            assert fleet.take("web01"), n
        for more in (["-n", "web*"], ["--where", ".a"], ["-n", "web01", "--wait"], ["-n", "all", "--limit", "2"],
                     ["-n", "all", "--wait"]):
            done = site.runner("-x", "hello", *more, *args, status=1)
            assert "nothing was sent" in done.err and done.out == "", done
    fleet.take("web01")
    assert all(fleet.take(host) is None for host in ("web01",))


def test_store_that_may_not_be_written(site, fleet):
    """As any user's but the collector's; root is one who may, unless it gives that up."""
    argv = [program("vogeler-runner"), "--qhost", site.qhost, "--dbhost", site.dbhost, "-n", "web01", "-x", "hello"]
    if os.geteuid() == 0:
        argv = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *argv]
    for path in site.folder.glob("records.db*"):
        path.chmod(0o444)
    done = run(argv, site.env, site.folder)
    assert done.status == 0 and "sent hello to web01" in done.out, done
    assert "not tracked: " in done.err and "records.db" in done.err and done.err.count("\n") == 1, done
    assert "cure: " in done.err, done


# Waiting

def test_wait_until_all_have_answered(any_site):
    site = populate(any_site)
    runner = background(site, "--where", ".facter.os == \"Debian\"", "--wait")
    sent = [site.fleet.answer(host) for host in ("db01", "db02", "web02")]
    assert runner.wait() == 0, runner.report()
    job = sent[0].message_id
    assert {s.message_id for s in sent} == {job}
    assert sent[0].reply_to == f"vogeler.reply.{job}"
    assert runner.out() == f"job {job}: 3 targeted = 3 ok\n"
    assert runner.log() == f"vogeler-runner: sent hello to 3 hosts, job {job}\n"


def test_wait_ends_with_what_it_is(any_site):
    site = populate(any_site)
    runner = background(site, "-n", "web01,db01,nowhere", "--wait=4s", "--json")
    site.fleet.answer("web01", "failed")
    assert runner.wait() == 2, runner.report()
    counts = json.loads(runner.out())["counts"]
    assert {k: v for k, v in counts.items() if v and k != "targets"} == {"failed": 1, "queued": 1, "unroutable": 1}
    runner = background(site, "-n", "web01,db02,nowhere", "--wait", name="unroutable")
    site.fleet.answer("web01")
    site.fleet.answer("db02")
    assert runner.wait() == 4, runner.report()
    assert "unroutable: nowhere\n" in runner.out()
    done = send(site, "-n", "all", "--wait=300ms", status=3)
    assert "5 targeted = 5 queued" in done.out, done


@all_stores
def test_interrupted_while_waiting(site, fleet):
    runner = background(site, "-n", "all", "--wait")
    job = fleet.answer("web01").message_id
    wait_until(lambda: states(site, job)["web01"] == "ok", "web01 is ok")
    runner.signal(signal.SIGINT)
    assert runner.wait() == 130
    assert job in runner.log() and "goes on" in runner.log() and runner.out() == "", runner.report()
    assert sorted(states(site, job).values()) == ["ok"] + ["queued"] * 4


@all_stores
def test_batch_goes_on_when_a_wave_has_answered(site, fleet):
    runner = background(site, "-n", "all", "--wait", "--batch", "2")
    for wave in (["db01", "db02"], ["web01", "web02"], ["web10"]):
        later = sorted(h for h in RECORDS if h > wave[-1])
        first = fleet.answer(wave[0])
        for host in wave[1:]:
            assert all(site.ready(h) == 0 for h in later)
            fleet.answer(host)
    assert runner.wait() == 0, runner.report()
    assert runner.out() == f"job {first.message_id}: 5 targeted = 5 ok\n"


def test_batch_stops_after_a_wave_that_failed_whole(site, fleet):
    runner = background(site, "-n", "all", "--wait", "--batch", "2")
    job = fleet.answer("db01", "failed").message_id
    fleet.answer("db02", "timeout")
    assert runner.wait() == 2, runner.report()
    assert "stopped: of the last 2 hosts none is ok; 3 of 5 hosts were not sent to" in runner.log(), runner.report()
    assert states(site, job) == {"db01": "failed", "db02": "timeout", "web01": "cancelled", "web02": "cancelled",
                                 "web10": "cancelled"}
    assert all(fleet.take(host) is None for host in ("web01", "web02", "web10"))


def test_batch_goes_on_while_no_more_than_so_many_failed(site, fleet):
    runner = background(site, "-n", "all", "--wait", "--batch", "1", "--max-failures", "40%")
    for host, state in (("db01", "failed"), ("db02", "ok"), ("web01", "failed"), ("web02", "failed")):
        job = fleet.answer(host, state).message_id
    assert runner.wait() == 2, runner.report()
    assert "stopped: 3 of 5 hosts are not ok, more than --max-failures 40%; 1 of 5 hosts" in runner.log()
    assert states(site, job)["web10"] == "cancelled"


def test_a_wave_has_its_time(site, fleet):
    """web01 is off: those behind it are not held up, and the wait ends with the last wave's time."""
    runner = background(site, "-n", "all", "--wait", "--batch", "2", "--batch-timeout", "3s")
    job = fleet.answer("db01").message_id
    for host in ("db02", "web02"):
        fleet.answer(host)
    fleet.wait_command("web10")
    assert runner.wait() == 3, runner.report()
    assert states(site, job) == {"db01": "ok", "db02": "ok", "web01": "queued", "web02": "ok", "web10": "queued"}


@all_stores
@pytest.mark.parametrize("end", ["interrupt", "deadline"])
def test_what_was_not_sent_is_cancelled(site, fleet, end):
    runner = background(site, "-n", "all", "--wait=3s" if end == "deadline" else "--wait", "--batch", "2")
    job = fleet.answer("db01").message_id
    if end == "interrupt":
        wait_until(lambda: states(site, job)["db01"] == "ok", "db01 is ok")
        runner.signal(signal.SIGINT)
        assert runner.wait() == 130, runner.report()
        assert "3 of 5 hosts were not sent to" in runner.log()
    else:
        assert runner.wait() == 3, runner.report()
        assert "5 targeted = 1 ok + 3 cancelled + 1 queued" in runner.out()
    assert states(site, job) == {"db01": "ok", "db02": "queued", "web01": "cancelled", "web02": "cancelled",
                                 "web10": "cancelled"}
    assert all(fleet.take(host) is None for host in ("web01", "web02", "web10"))


# When the ledger does not take it

class Lock:
    """Nobody else can write into the store's file."""

    def __init__(self, site):
        self.database = sqlite3.connect(site.folder / "records.db", timeout=30, isolation_level=None)
        self.database.execute("BEGIN IMMEDIATE")

    def release(self):
        self.database.close()


def interrupted_in_the_first_wave(site, fleet):
    """A runner with 3 of 5 hosts not sent to; the store is locked, and it waits for that."""
    runner = background(site, "-n", "all", "--wait", "--batch", "2")
    job = fleet.wait_command("db01")[1].message_id
    runner.wait_log("sent hello to 2 hosts first")
    lock = Lock(site)
    runner.signal(signal.SIGINT)
    runner.wait_log(f"waiting until the ledger has what became of job {job}")
    assert runner.running and "cancelled" not in runner.log(), runner.report()
    return runner, job, lock


def test_cancelled_is_said_when_the_ledger_has_it(site, fleet):
    runner, job, lock = interrupted_in_the_first_wave(site, fleet)
    lock.release()
    assert runner.wait() == 130, runner.report()
    assert "3 of 5 hosts were not sent to yet: cancelled\n" in runner.log()
    assert list(states(site, job).values()) == ["queued"] * 2 + ["cancelled"] * 3


def test_what_the_ledger_does_not_know_is_told(site, fleet):
    runner, job, lock = interrupted_in_the_first_wave(site, fleet)
    runner.signal(signal.SIGINT)
    assert runner.wait() == 130, runner.report()
    lock.release()
    assert f"the ledger does not have all that is known here of the hosts of job {job}" in runner.log(), runner.report()
    assert "cancelled" not in runner.log()
    assert list(states(site, job).values())[2:] == ["unsent"] * 3


@pytest.mark.parametrize("wait", [[], ["--wait=300ms"]])
def test_unroutable_that_the_ledger_refuses_is_told(site, fleet, wait):
    database = sqlite3.connect(site.folder / "records.db", timeout=30)
    with database:
        database.execute("CREATE TRIGGER full BEFORE INSERT ON outcome BEGIN SELECT RAISE(ABORT, 'no room'); END")
    database.close()
    done = send(site, "-n", "web01,nowhere", *wait, status=1)
    assert re.search("the ledger does not have all that is known here.*no room", done.err), done
    assert states(site, job_of(done)) == {"nowhere": "unsent", "web01": "unsent"}


# Ctrl-C before anything has an end

def test_interrupted_while_the_broker_takes_nothing(site, fleet):
    old = job_of(send(site, "-n", "web01"))
    fleet.take("web01")
    site.broker.ctl("set_vm_memory_high_watermark", "0.00001")
    try:
        runner = background(site, "-n", "web01", name="send")
        runner.wait_log("takes no messages for now")
        runner.signal(signal.SIGINT)
        assert runner.wait() == 130, runner.report()
        assert re.search(f"interrupted before the broker's confirm: unsent; job {UUID}\n", runner.log()), runner.report()
        assert runner.out() == "" and states(site, job_of_log(runner)) == {"web01": "unsent"}
        for verb, says in (("rerun", f"interrupted before the broker's confirm: unsent; job {UUID}"),
                           ("cancel", f"interrupted; whether job {old} is cancelled is not known")):
            runner = follow_up(site, verb, old)
            runner.wait_log("takes no messages for now")
            runner.signal(signal.SIGINT)
            assert runner.wait() == 130, runner.report()
            assert re.search(says, runner.log()) and runner.out() == "", runner.report()
    finally:
        site.broker.ctl("set_vm_memory_high_watermark", "absolute", "512MB")
    assert states(site, old) == {"web01": "queued"}


JOB = {"doc_type": "Job", "id": "0192e4c0-0000-7000-8000-000000000001", "plugin": "hello", "target": "all",
       "sent_at": "2026-01-01T00:00:00.000Z", "hosts": ["web01"]}


class SilentStore(http.server.ThreadingHTTPServer):
    """A couch:// store that knows a job, and says nothing else."""
    daemon_threads = True

    def __init__(self, job):
        self.asked = queue.Queue()
        super().__init__(("127.0.0.1", 0), lambda *args: SilentStore.Answer(self, job, *args))
        threading.Thread(target=self.serve_forever, daemon=True).start()

    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, store, job, *args):
            self.store = store
            self.job = job
            super().__init__(*args)

        def do_GET(self):
            if self.job is None or f"job/{self.job['id']}" not in urllib.parse.unquote(self.path):
                self.store.asked.put(self.path)
                threading.Event().wait(600)
            body = json.dumps(dict(self.job, _id=f"job/{self.job['id']}", _rev="1-a")).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *args):
            pass


@pytest.mark.parametrize("verb, known, says", [
    *((verb, False, "interrupted") for verb in ("cancel", "rerun", "result", "watch")),
    *((verb, True, "interrupted; nothing was sent") for verb in ("cancel", "rerun")),
    ("result", True, f"interrupted; job {JOB['id']} goes on: \"vogeler-runner watch {JOB['id']}\" follows it again")])
def test_interrupted_while_the_store_says_nothing(site, verb, known, says):
    store = SilentStore(JOB if known else None)
    runner = site.process("runner", [program("vogeler-runner"), "--qhost", site.qhost, "--dbhost",
                                     f"couch://127.0.0.1:{store.server_port}/x", verb, JOB["id"]]).start()
    runner.may_fail = True
    store.asked.get(timeout=40)
    runner.signal(signal.SIGINT)
    assert runner.wait() == 130, runner.report()
    assert runner.log() == f"vogeler-runner: {says}\n" and runner.out() == "", runner.report()
    store.shutdown()


# Again, and no more

@all_stores
def test_cancel_of_some(site, fleet):
    job = job_of(send(site, "-n", "web*,db01,nowhere", status=4))
    fleet.answer("web01")
    wait_until(lambda: states(site, job)["web01"] == "ok", "web01 is ok")
    done = site.runner("cancel", job, dbhost=True)
    assert done.out == f"cancelled job {job}: 3 of 5 hosts had not answered\n" and done.err == "", done
    assert states(site, job) == {"db01": "cancelled", "nowhere": "unroutable", "web01": "ok", "web02": "cancelled",
                                 "web10": "cancelled"}
    assert fleet.take("web02")[1].message_id == job
    key, properties, body = fleet.take("web02")
    assert (key, body, properties.headers["job"]) == ("web02", "vogeler.cancel", job)
    assert properties.message_id != job
    assert fleet.take("web01") is None and fleet.take("db02") is None
    fleet.answer("db01")  # it had begun
    wait_until(lambda: states(site, job)["db01"] == "ok", "an answer counts more")
    again = site.runner("cancel", job, "--json", dbhost=True)
    assert json.loads(again.out) == {"kind": "cancel", "job": job, "targets": 5, "cancelled": 0}


def test_cancel_of_all_reaches_all(any_site):
    site = populate(any_site)
    site.fleet.queue_of("unknown")
    job = job_of(send(site, "-n", "all"))
    site.runner("cancel", job, dbhost=True)
    for host in (*RECORDS, "unknown"):
        assert site.fleet.take(host)[1].message_id == job
        key, properties, body = site.fleet.take(host)
        assert (key, body, properties.headers["job"]) == ("broadcasts.all", "vogeler.cancel", job)
    assert set(states(site, job).values()) == {"cancelled"}


def test_cancel_ends_what_an_agent_runs(site):
    pid_file = site.folder / "pid"
    script = site.script("hello", f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 300")
    site.plugin("hello", [script])
    site.collector()
    site.agent("web01")
    site.wait_drained("master.in")
    job = job_of(send(site, "-n", "all"))
    wait_until(pid_file.exists, "the plugin runs")
    site.runner("cancel", job, dbhost=True)
    wait_until(lambda: "response_id" in result(site, job)["hosts"][0], "the host's own answer counts")
    host = result(site, job)["hosts"][0]
    assert (host["state"], host["why"]) == ("cancelled", "cancelled while it ran"), host
    assert host["response_id"] and host["order"] > 0, host
    wait_until(lambda: not os.path.exists(f"/proc/{pid_file.read_text().strip()}"), "the plugin is ended")
    text = site.runner("result", job, dbhost=True, status=None).out
    assert text.splitlines()[0] == "cancelled (cancelled while it ran): web01", text


def test_cancel_ends_what_outlives_its_time(site):
    """By then the host counts as expired, and still it is told: what runs is ended."""
    pid_file = site.folder / "pid"
    script = site.script("hello", f"echo $$ > {pid_file}.new; mv {pid_file}.new {pid_file}; exec sleep 300")
    site.plugin("hello", [script])
    site.collector()
    site.agent("web01")
    site.wait_drained("master.in")
    job = job_of(send(site, "-n", "web01", "--ttl", "3s"))
    wait_until(pid_file.exists, "the plugin runs")
    wait_until(lambda: states(site, job) == {"web01": "expired"}, "its time is over")
    done = site.runner("cancel", job, dbhost=True)
    assert "1 of 1 hosts had not answered" in done.out, done
    wait_until(lambda: not os.path.exists(f"/proc/{pid_file.read_text().strip()}"), "the plugin is ended")
    wait_until(lambda: "response_id" in result(site, job)["hosts"][0], "the host says so")
    assert states(site, job) == {"web01": "cancelled"}


def test_options_that_a_verb_does_not_have(site):
    job = "0192e4c0-0000-7000-8000-000000000001"
    sending = ["-n all", "-x hello", "-y", "--ttl 1h", "--batch 2", "--batch-timeout 9s",
               "--max-failures 1", "--dry-run", "--where .a", "--where-timeout 1s"]
    for verb, options in {
            "watch": sending + ["--limit 2"],
            "result": sending + ["--limit 2", "--wait"],
            "cancel": sending + ["--limit 2", "--wait", "--failed", "--missing", "--ok"],
            "rerun": ["-n all", "-x hello", "--where .a", "--where-timeout 1s"],
            "jobs": sending + ["--wait", "--failed"]}.items():
        for option in options:
            done = site.runner(verb, *([] if verb == "jobs" else [job]), *option.split(), dbhost=True, status=1)
            name = option.split()[0]
            assert done.err.splitlines()[0] == f'vogeler-runner: {name} does not go with "{verb}"', done


def test_verbose_lists_and_does_not_log(site, fleet):
    runner = background(site, "-n", "web01,web02", "--wait", "-v")
    job = fleet.answer("web01").message_id
    fleet.answer("web02")
    assert runner.wait() == 0, runner.report()
    assert runner.out() == f"web01: ok\nweb02: ok\njob {job}: 2 targeted = 2 ok\n"
    assert runner.log() == f"vogeler-runner: sent hello to 2 hosts, job {job}\n"


@all_stores
def test_rerun(site, fleet):
    first = job_of(send(site, "-n", "web*,db01,nowhere", "--ttl", "1h", status=4))
    for host, state in (("web01", "ok"), ("web02", "failed"), ("db01", "timeout")):
        fleet.answer(host, state)
    wait_until(lambda: sorted(states(site, first).values()) ==
               ["failed", "ok", "queued", "timeout", "unroutable"], "three have answered")
    for args, hosts in (([], "db01 nowhere web02 web10"), (["--failed"], "db01 web02"),
                        (["--missing"], "nowhere web10"), (["--ok"], "web01"),
                        (["--ok", "--failed", "--limit", "2"], "db01 web01")):
        done = site.runner("rerun", first, "--dry-run", *args, dbhost=True)
        assert done.out.split() == hosts.split(), done
    done = site.runner("rerun", first, "--failed", dbhost=True)
    second = job_of(done)
    assert done.out == f"sent hello to 2 hosts, job {second}\n" and second != first, done
    report = result(site, second)
    assert report["rerun_of"] == first and report["plugin"] == "hello", report
    assert fleet.answer("db01").message_id == second and fleet.answer("web02").message_id == second
    site.runner("watch", second, dbhost=True)
    done = site.runner("rerun", second, dbhost=True)
    assert done.out == "" and "nothing was sent" in done.err, done
    for args in (["-n", "all"], ["-x", "hello"]):
        site.runner("rerun", first, *args, dbhost=True, status=1)


# On a terminal

def on_terminal(site, answer, *args):
    """Exit status, stdout, and what the terminal showed."""
    master, slave = pty.openpty()
    with subprocess.Popen([program("vogeler-runner"), "--qhost", site.qhost, "--dbhost", site.dbhost, "-x", "hello",
                           *args], stdin=slave, stdout=subprocess.PIPE, stderr=slave, env=site.env) as runner:
        os.close(slave)
        if answer:
            shown = b""
            while b"[y/N]" not in shown:
                shown += os.read(master, 1024)
            os.write(master, answer)
        out = runner.stdout.read().decode()
        status = runner.wait(40)
    shown = b""
    try:
        while True:
            more = os.read(master, 4096)
            shown += more
            if not more:
                break
    except OSError:
        pass  # that is how a terminal ends
    os.close(master)
    return status, out, shown.decode()


def test_terminal_is_asked_when_more_may_be_meant(site, fleet):
    status, out, _ = on_terminal(site, b"n\n", "-n", "web*")
    assert (status, out) == (1, "")
    assert fleet.take("web01") is None
    status, out, _ = on_terminal(site, b"y\n", "-n", "web*")
    assert status == 0 and "sent hello to 3 hosts" in out
    for args in (["-n", "all"], ["-n", "web01,web02"], ["-n", "web01*"], ["-n", "web*", "-y"]):
        status, out, shown = on_terminal(site, b"", *args)
        assert status == 0 and "sent hello" in out and "y/N" not in shown, (out, shown)
