# SPDX-License-Identifier: Apache-2.0
"""Following a job that was sent: watch, result, jobs. Their exit statuses, what they print for people and for programs,
and who is told of what."""
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
import uuid

import pika
import pytest

from lib.client2010 import BROADCAST, MASTER
from lib.ledger import STATES, Ledger
from lib.schema import KINDS, check_event
from lib.site import all_stores, program
from lib.waiting import wait_until


class Job:
    """A job in the ledger as the runner writes it, and its command. What sends it is tested elsewhere."""

    def __init__(self, site, plugin, hosts, target="all", lifetime=3600):
        self.site = site
        self.id = str(uuid.uuid4())
        self.plugin = plugin
        self.hosts = sorted(hosts)
        self.ledger = Ledger(site)
        self.ledger.add_job(self.id, plugin, self.hosts, target, expires=lifetime)

    def publish(self, keys=("broadcasts.all",), reply_to=True):
        connection = self.site.broker.connect(self.site.vhost)
        channel = connection.channel()
        properties = pika.BasicProperties(
            message_id=self.id, delivery_mode=2, timestamp=int(time.time()),
            reply_to=f"vogeler.reply.{self.id}" if reply_to else None)
        for key in keys:
            channel.basic_publish(BROADCAST, key, json.dumps(self.plugin).encode(), properties)
        connection.close()
        return self

    def answer(self, host, state="ok", reply_to=None, order=1):
        """As an agent would, without one."""
        connection = self.site.broker.connect(self.site.vhost)
        body = {"syskey": host, "format": "pydict"}
        if state == "ok":
            body[self.plugin] = "x"
        else:
            body["last_error"] = {"timestamp": "2010-09-26 06:16:29.609000", "message": f"{state} by {host}"}
        connection.channel().basic_publish(MASTER, "", json.dumps(body).encode(), pika.BasicProperties(
            message_id=f"{self.id}.{host}.{order}", correlation_id=self.id, reply_to=reply_to, delivery_mode=2,
            headers={"plugin": self.plugin, "state": state, "order": order}))
        connection.close()

    def outcome(self, host, state):
        """Of the runner."""
        self.ledger.add_outcome(self.id, host, state)

    def result(self, *args, **kw):
        return self.site.runner("result", self.id, *args, dbhost=True, status=None, **kw)

    def watch(self, *args, name="watch", qhost=None):
        """In the background."""
        argv = [program("vogeler-runner"), "--qhost", qhost or self.site.qhost, "--dbhost", self.site.dbhost, "watch", self.id]
        process = self.site.process(name, argv + list(args)).start()
        process.may_fail = True
        return process

    def wait_state(self, host, state):
        wait_until(lambda: state_of(self, host) == state, f"{host} is {state}")


def report(job):
    return json.loads(job.result("--json").out)


def state_of(job, host):
    return {h["host"]: h["state"] for h in report(job)["hosts"]}[host]


def counts(**of):
    return dict({s: 0 for s in STATES}, **of)


def test_whole_job_told_exceptions_first(site):
    """ok, failing, timing out, and off."""
    site.script("by_host", 'case $1 in web02) echo "no such disk" >&2; exit 3;; web03) sleep 60;; esac; echo fine')
    site.collector()
    for host in ("web01", "web02", "web03"):
        plugins = site.folder / f"plugins.{host}"
        plugins.mkdir()
        (plugins / "check.cfg").write_text(
            f"[check]\nname = check\ndescription = x\ncommand = {site.folder}/by_host {host}\n"
            "result_format = output\ntimeout = 1s\n")
        site.agent(host, plugins=plugins)
    job = Job(site, "check", ["web01", "web02", "web03", "web04"])
    watch = job.watch("--wait=30s")
    job.publish()
    job.wait_state("web03", "timeout")
    watch.signal(signal.SIGINT)
    assert watch.wait() == 130
    assert job.id in watch.log() and "goes on" in watch.log(), watch.log()
    done = job.result()
    lines = done.out.splitlines()
    assert len(lines) == 4, done
    assert re.match(r"web02: failed: .*(no such disk|3)", lines[0]), done
    assert lines[1].startswith("web03: timeout"), done
    assert lines[2] == "queued: web04", done
    assert re.fullmatch(rf"job {job.id}: 4 targeted = 1 ok \+ 1 failed \+ 1 timeout \+ 1 queued "
                        r"\(expire in 59 min( \d+ s)?\)", lines[3]), done
    assert done.status == 2 and done.err == "", done
    assert job.result("--ok").out.splitlines()[0] == "web01: ok"
    assert len(job.result("--failed").out.splitlines()) == 3
    assert job.result("--missing").out.splitlines()[0] == "web04: queued"
    assert re.fullmatch(rf"job {job.id}: 4 targeted = [^\n]*\n", job.result("-q").out)


@all_stores
def test_watch_ends_when_the_last_has_answered(site):
    site.plugin("hello", "echo hello")
    site.collector()
    for host in ("web01", "web02"):
        site.agent(host)
    job = Job(site, "hello", ["web01", "web02"])
    watch = job.watch()
    job.publish()
    assert watch.wait() == 0, watch.log()
    assert watch.out() == f"job {job.id}: 2 targeted = 2 ok\n"
    assert watch.log() == ""  # nothing for people in a pipe


STATUS = {"ok": 0, "failed": 2, "timeout": 2, "refused": 2, "superseded": 3, "cancelled": 3, "unroutable": 4, "queued": 3}


@all_stores
def test_exit_statuses(site):
    """The table of vogeler-runner(1), each with one host that is ok and one that is not."""
    site.collector()
    jobs = {state: Job(site, "hello", ["web01", "web02"]) for state in STATUS}
    for state, job in jobs.items():
        job.answer("web01")
        if state == "unroutable":
            job.outcome("web02", state)
        elif state != "queued":
            job.answer("web02", state)
    site.wait_drained("master.in")
    for state, job in jobs.items():
        done = job.result()
        assert done.status == STATUS[state], done
        assert f"2 targeted = {'2 ok' if state == 'ok' else '1 ok + 1 ' + state}" in done.out
        watched = site.runner("watch", job.id, "--wait=100ms", dbhost=True, status=STATUS[state])
        assert watched.out.splitlines()[-1].startswith(f"job {job.id}: 2 targeted = "), watched


def test_exit_status_of_what_expired(site):
    site.collector()
    job = Job(site, "hello", ["web01"], lifetime=-5)
    done = job.result()
    assert (done.status, done.out.splitlines()[-1]) == (3, f"job {job.id}: 1 targeted = 1 expired")
    assert site.runner("watch", job.id, dbhost=True, status=3).out == done.out  # there is nothing to wait for


@all_stores
def test_unknown_job(site):
    site.collector()
    for verb in ("watch", "result"):
        done = site.runner(verb, "0192e4c0-0000-7000-8000-000000000001", dbhost=True, status=1)
        assert "no such job" in done.err and done.out == "" and done.err.count("\n") == 1, done


def test_store_out_of_reach(site):
    """Neither a job nor a host is to blame."""
    for verb in (["result", "x1"], ["watch", "x1"], ["jobs"]):
        done = site.run("vogeler-runner", "--qhost", site.qhost, "--dbhost", "sqlite:///not/there.db", *verb)
        assert done.status == 1 and done.out == "" and "/not/there.db" in done.err, done


@all_stores
def test_notices_make_it_quick_and_are_not_needed(site):
    """One watcher hears; a second finds the queue taken; both learn it."""
    collector = site.collector()
    job = Job(site, "hello", ["web01"])
    queue = f"vogeler.reply.{job.id}"
    hears = job.watch("--loglevel", "INFO", name="hears")
    hears.wait_log("listening for notices")
    polls = job.watch("--loglevel", "INFO", name="polls")
    polls.wait_log("no notices")
    job.answer("web01", reply_to=queue)
    assert hears.wait() == 0 and polls.wait() == 0
    assert collector.log_count(rf"{queue}: 1 outcomes told") == 1
    wait_until(lambda: queue not in site.broker.unacked(site.vhost), "the queue is gone with its connection")


def test_without_the_right_to_a_queue(site):
    """The store alone is asked."""
    user = f"watcher{site.vhost}"
    site.broker.add_user(user, "pw")
    site.broker.set_permissions(site.vhost, user, configure="^$")
    site.collector()
    job = Job(site, "hello", ["web01"])
    watch = job.watch("--loglevel", "INFO", qhost=site.broker.uri(site.vhost, user, "pw"))
    watch.wait_log("no notices.*lacks rights")
    job.answer("web01", reply_to=f"vogeler.reply.{job.id}")
    assert watch.wait() == 0, watch.log()


def test_rights_of_who_sends_commands(site):
    """Those of docs/running.md: enough to send, to listen for notices, and for nothing else."""
    page = open(os.path.join(os.path.dirname(__file__), "../../docs/running.md"), encoding="utf-8").read()
    rights = re.search(r"set_permissions -p vogeler ops '(\S+)' '(\S+)' '(\S+)'\n", page).groups()
    site.collector()
    site.party("Client2010", "web01")  # has a queue
    user = f"ops{site.vhost}"
    site.broker.add_user(user, "pw")
    site.broker.set_permissions(site.vhost, user, *rights)
    qhost = site.broker.uri(site.vhost, user, "pw")
    runner = site.process("runner", [program("vogeler-runner"), "--qhost", qhost, "--dbhost", site.dbhost, "--loglevel",
                                     "INFO", "-n", "web01", "-x", "hello", "--wait"]).start()
    runner.may_fail = True
    runner.wait_log("listening for notices")
    runner.wait_log("sent hello to web01")
    assert "no notices" not in runner.log()
    sent = site.broker.connect(site.vhost).channel().basic_get("web01", auto_ack=True)[1]
    job = Job.__new__(Job)
    job.site, job.id, job.plugin = site, sent.message_id, "hello"
    job.answer("web01", reply_to=sent.reply_to)
    assert runner.wait() == 0, runner.report()
    assert "ACCESS_REFUSED" not in runner.log()


def test_nobody_reads_the_events(site):
    """A closed pipe ends it, not the job."""
    site.collector()
    job = Job(site, "hello", ["web01", "web02"])
    read, write = os.pipe()
    with os.fdopen(write, "wb") as out:
        watch = subprocess.Popen(
            [program("vogeler-runner"), "--dbhost", site.dbhost, "watch", job.id, "--jsonl"], env=site.env,
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, cwd=site.folder)
    os.close(read)
    job.answer("web01")
    try:
        assert watch.wait(30) == 1, watch.stderr.read()
    finally:
        watch.kill()
        watch.stderr.close()


def test_no_host_makes_the_collector_write_elsewhere(site):
    collector = site.collector()
    site.party("Client2010", "web02")  # has a queue
    job, other = Job(site, "hello", ["web01"]), Job(site, "hello", ["web01"])
    watch = other.watch("--loglevel", "INFO")
    watch.wait_log("listening for notices")
    for order, queue in enumerate(("web02", "master.in", "vogeler.dead", f"vogeler.reply.{other.id}"), 1):
        job.answer("web01", reply_to=queue, order=order)
    site.wait_drained("master.in")
    assert report(job)["counts"]["ok"] == 1
    assert watch.running
    other.answer("web01", reply_to=f"vogeler.reply.{other.id}")  # whatever was told is told before this
    assert watch.wait() == 0, watch.log()
    collector.wait_log("outcomes told")
    assert collector.log_count("outcomes told") == 1
    assert site.ready("web02") == site.ready("master.in") == site.ready("vogeler.dead") == 0


def test_collector_away_while_watching(site):
    """Killed, and its answers wait: the watch goes on."""
    collector = site.collector()
    job = Job(site, "hello", ["web01"])
    watch = job.watch("--loglevel", "INFO")
    watch.wait_log("listening for notices")
    collector.may_fail = True
    collector.kill()
    job.answer("web01", reply_to=f"vogeler.reply.{job.id}")
    site.collector(name="second")
    assert watch.wait() == 0, watch.log()


@all_stores
def test_events_are_as_documented(site):
    site.plugin("hello", "echo hello")
    site.collector()
    site.agent("web01")
    job = Job(site, "hello", ["web01", "web02", "web03"])
    watch = job.watch("--jsonl", "--wait=60s")
    job.publish()
    wait_until(lambda: '"outcome"' in watch.out(), "an event comes as it happens")
    assert watch.running
    job.outcome("web02", "unroutable")
    job.answer("web03", "failed")
    assert watch.wait() == 2, watch.log()
    events = [json.loads(line) for line in watch.out().splitlines()]
    assert [e["kind"] for e in events] == ["job"] + ["outcome"] * 3 + ["summary"]
    assert all(e["job"] == job.id for e in events)
    for event in events:
        check_event(event)
    assert events[0]["targets"] == 3 and events[0]["plugin"] == "hello"
    assert {e["host"]: e["state"] for e in events[1:4]} == {"web01": "ok", "web02": "unroutable", "web03": "failed"}
    assert events[-1]["counts"] == counts(ok=1, unroutable=1, failed=1)
    assert events[-1]["exit_status"] == 2 and events[-1]["complete"] is True and "hosts" not in events[-1]
    again = [json.loads(line) for line in job.result("--jsonl").out.splitlines()]
    assert again[0] == events[0] and again[-1] == events[-1]
    whole = report(job)
    check_event(whole)
    assert sum(whole["counts"].values()) == whole["targets"] == len(whole["hosts"])


def test_schema_is_whole():
    """What is printed elsewhere in these tests is held against it too, by lib/site.py."""
    assert set(KINDS) == {"sent", "job", "outcome", "answer", "summary", "targets", "cancel", "jobs"}
    assert all("kind" in members for members in KINDS.values())
    with pytest.raises(AssertionError):
        check_event({"kind": "sent", "job": "x", "undocumented": 1})
    with pytest.raises(AssertionError):
        check_event({"kind": "undocumented"})


@all_stores
def test_open_targets_are_events_too(site):
    site.collector()
    job = Job(site, "hello", ["web01", "web02"])
    job.answer("web01")
    job.answer("stranger")
    job.wait_state("web01", "ok")
    wait_until(lambda: report(job)["others"] == 1, "the stranger's is stored")
    events = [json.loads(line) for line in job.result("--jsonl").out.splitlines()]
    assert {(e["host"], e["state"], e["target"]) for e in events[1:-1]} == {
        ("web01", "ok", True), ("web02", "queued", True), ("stranger", "ok", False)}
    assert "stranger: ok, though it was no target\n" in job.result().out


@all_stores
def test_jobs_newest_first(site):
    site.collector()
    jobs = [Job(site, "hello", ["web01", "web02"], target="web*"), Job(site, "other", ["db01"], lifetime=None)]
    jobs[0].answer("web01")
    jobs[0].wait_state("web01", "ok")
    done = site.runner("jobs", dbhost=True)
    lines = done.out.splitlines()
    assert lines[0].split() == ["JOB", "SENT", "AGE", "BY", "PLUGIN", "TARGET", "HOSTS", "STATES"], done
    rows = {line.split()[0]: line.split(None, 9)[1:] for line in lines[1:]}
    when = rows[jobs[0].id][0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", when), done
    assert rows[jobs[0].id][2:] == ["s", "ago", "-", "hello", "web*", "2", "1 ok + 1 queued"], done  # a row of 0.1.0
    assert rows[jobs[1].id][5:] == ["other", "all", "1", "1 queued"], done
    listed = json.loads(site.runner("jobs", "--json", dbhost=True).out)
    assert listed["kind"] == "jobs"
    assert {j["job"]: j["counts"]["queued"] for j in listed["jobs"]} == {jobs[0].id: 1, jobs[1].id: 1}
    assert site.runner("jobs", "--limit", "1", "-q", dbhost=True).out.split() == [listed["jobs"][0]["job"]]
    assert len(site.runner("jobs", "--jsonl", dbhost=True).out.splitlines()) == 2


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, site, argv, columns, **env):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.master = master
        self.process = subprocess.Popen([str(a) for a in argv], stdin=slave, stdout=slave, stderr=slave,
                                        env=dict(site.env, TERM="xterm", **env), start_new_session=True)
        os.close(slave)
        os.set_blocking(master, False)
        self.text = ""

    def read(self):
        try:
            self.text += os.read(self.master, 65536).decode()
        except (BlockingIOError, OSError):
            pass
        return self.text

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.mark.parametrize("no_color", [False, True])
def test_progress_on_a_terminal(site, no_color):
    site.collector()
    job = Job(site, "hello", ["web01", "web02"])
    argv = [program("vogeler-runner"), "--qhost", site.qhost, "--dbhost", site.dbhost, "watch", job.id]
    terminal = Terminal(site, argv, 50, **({"NO_COLOR": "1"} if no_color else {}))
    try:
        wait_until(lambda: "] 0/2" in terminal.read(), "the bar shows")
        job.answer("web01", "failed")
        wait_until(lambda: "] 1/2" in terminal.read(), "the bar moves")
        job.answer("web02")
        wait_until(lambda: "targeted" in terminal.read() and terminal.process.poll() is not None, "it ends")
    finally:
        terminal.close()
    assert terminal.process.returncode == 2
    end = terminal.text.rindex("\r\x1b[K")
    drawn, summary = terminal.text[:end], terminal.text[end + 4:]
    assert summary.splitlines()[-1] == f"job {job.id}: 2 targeted = 1 ok + 1 failed"
    assert "/2" not in summary  # the bar is gone
    for line in re.split(r"\r\x1b\[K", drawn):
        assert len(re.sub(r"\x1b\[\d*m", "", line)) < 50, line
    assert ("\x1b[31mfailed\x1b[0m" in summary) != no_color
    assert ("\x1b[31m" in terminal.text) != no_color
