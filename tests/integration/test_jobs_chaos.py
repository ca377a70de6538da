# SPDX-License-Identifier: Apache-2.0
"""What the ledger says while everything happens at once: at every moment the states of a job add up to its targets, though collectors and runners are
killed, answers come twice, late and in any order, over both lanes; and in the end each target's state is what its host
did. What is drawn has a printed seed (VOGELER_SEED replays it, VOGELER_KILLS=N makes it N kills).

Most hosts are queues that the test reads and answers for, a few are real agents."""
import json
import re
import subprocess
import time

import pika
import pytest

from lib.client2010 import BROADCAST, MASTER, Party2010
from lib.dice import KILLS
from lib.site import program
from lib.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.as_shipped

PROMPT = [f"sim{n:02}" for n in range(10)]
LATE = ["late1", "late2"]  # their queues are read when all else is over
AGENTS = ["real1", "real2"]
NOWHERE = "nowhere"  # has no queue
STATES = ["ok"] * 7 + ["failed", "timeout", "refused"]
ANSWERS = {"ok", "failed", "timeout", "refused", "superseded"}
OPEN = {"queued", "unsent"}  # a runner that was killed may not have noted the broker's confirm


class Hosts(Party2010):
    """Simulated hosts. The book says what each of them did: (job, host) -> (state, order)."""

    def __init__(self, site, dice):
        super().__init__(site.broker, site.vhost)
        self.dice = dice
        self.book = {}
        self.newest = {}   # host -> (job, state) of its highest order
        self.unsent = []   # deliveries with their answers
        self.echoes = []   # answers that will come again
        self.lanes = [""]
        for host in PROMPT + LATE:
            self.channel.queue_declare(host, durable=True)
            self.channel.queue_bind(host, BROADCAST, "broadcasts.*")
            self.channel.queue_bind(host, BROADCAST, host)
            self._publish(MASTER, "", {"syskey": host, "format": "pydict"})
            if host in PROMPT:
                self.listen(host)

    def listen(self, host):
        self.channel.basic_consume(host, lambda channel, method, properties, body: self._take(
            host, method.delivery_tag, properties, json.loads(body)), consumer_tag=host)

    def _take(self, host, tag, sent, plugin):
        if plugin == "vogeler.cancel":
            self.channel.basic_ack(tag)  # too late: it has answered, or will
            return
        job = sent.message_id
        if (job, host) not in self.book:  # else it comes again, and gets the same answer
            self.book[job, host] = (self.dice.choice(STATES), len(self.book) + 1)
            self.newest[host] = (job, self.book[job, host][0])
        state, order = self.book[job, host]
        body = {"syskey": host, "format": "json"}
        if state == "ok":
            body["work"] = json.dumps(job)
        else:
            body["last_error"] = {"timestamp": "2010-09-26 06:16:29.609000", "message": f"{state} by {host}"}
        self.unsent.append((tag, json.dumps(body).encode(), pika.BasicProperties(
            message_id=f"{job}.{host}", correlation_id=job, reply_to=sent.reply_to, delivery_mode=2,
            headers={"plugin": "work", "state": state, "order": order, "machine_id": f"machine-{host}"})))

    def _send(self, body, properties):
        self.channel.basic_publish(MASTER, self.dice.choice(self.lanes), body, properties)

    def pump(self, seconds=0.0, everything=False):
        """Takes what comes; some of what is due goes out, in any order."""
        end = time.monotonic() + seconds
        while True:
            self.connection.process_data_events(max(0.0, min(0.01, end - time.monotonic())))
            self.dice.shuffle(self.unsent)
            for _ in range(len(self.unsent) if everything else self.dice.randint(0, len(self.unsent))):
                tag, body, properties = self.unsent.pop()
                self._send(body, properties)
                self.channel.basic_ack(tag)
                if self.dice.random() < 0.3:
                    self.echoes.append((body, properties))
            for _ in range(len(self.echoes) if everything else self.dice.randint(0, len(self.echoes))):
                self._send(*self.echoes.pop(self.dice.randrange(len(self.echoes))))
            if time.monotonic() >= end:
                return

    def waiting(self, host):
        return self.channel.queue_declare(host, passive=True).method.message_count

    def have_done_all(self):
        self.pump(everything=True)
        return not self.unsent and not self.echoes and not any(self.waiting(h) for h in PROMPT + LATE)


class Reader:
    """Somebody else who looks, while things happen."""

    def __init__(self, chaos, *args):
        self.chaos = chaos
        self.known = dict(chaos.answered)  # what this one must not see undone
        self.process = subprocess.Popen(
            [str(a) for a in chaos.runner_argv(*args)], env=chaos.site.env, cwd=chaos.site.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def check(self):
        out, err = self.process.communicate(timeout=PATIENCE)
        assert out, f"{self.process.args}: {self.process.returncode}: {err.decode()}"
        told = json.loads(out)
        for job in told["jobs"] if told["kind"] == "jobs" else [told]:
            self.chaos.check_sum(job)
            for host in job.get("hosts", ()):
                key = (job["job"], host["host"])
                assert self.known.get(key, host["state"]) == host["state"], f"{key} was {self.known[key]}, is {host}"
                if host["state"] in ANSWERS:
                    self.chaos.answered[key] = host["state"]
        return told


class Chaos:
    def __init__(self, site, dice):
        self.site = site
        self.dice = dice
        self.answered = {}    # (job, host) -> an answer that was seen
        self.readers = []
        self.readings = 0
        self.runners = []
        self.killed = []      # runners
        self.collectors = []
        self.jobs = []        # ids that readers look at

    def start(self):
        site = self.site
        # Several may write to CouchDB side by side; sqlite:// has one collector.
        names = ["collector1", "collector2"] if site.dbhost.startswith("couch") else ["collector1"]
        self.collectors = [site.collector(name=name, level="INFO") for name in names]
        for host in AGENTS:
            plugins = site.folder / f"plugins.{host}"
            plugins.mkdir()
            script = site.script(f"work.{host}", f"echo run >> {site.folder}/runs.{host}; sleep 0.02; echo done")
            (plugins / "work.cfg").write_text(
                f"[work]\nname = work\ndescription = x\ncommand = {script}\nresult_format = output\n")
            site.agent(host, plugins=plugins, level="INFO")
        self.hosts = Hosts(site, self.dice)
        site.parties.append(self.hosts)
        if site.ready("vogeler.fresh") is not None:
            self.hosts.lanes.append("fresh")
        self.wait_drained()

    def wait_drained(self):
        fresh = ["vogeler.fresh"] if len(self.hosts.lanes) > 1 else []
        self.site.wait_drained("master.in", *fresh, *AGENTS)

    def runner_argv(self, *args):
        return [program("vogeler-runner"), "--qhost", self.site.qhost, "--dbhost", self.site.dbhost, *args]

    # What others see

    def check_sum(self, job):
        counts = job["counts"]
        assert sum(counts.values()) == job["targets"], job
        if "hosts" in job:
            targets = [h["host"] for h in job["hosts"] if h.get("target", True)]
            assert len(targets) == len(set(targets)) == len(job["hosts"]) == job["targets"], job
            states = [h["state"] for h in job["hosts"]]
            assert {s: n for s, n in counts.items() if n} == {s: states.count(s) for s in states}, job
        assert job["others"] == 0, job

    def look(self):
        """Takes in what readers that have ended saw; two others are under way all the time."""
        for reader in [r for r in self.readers if r.process.poll() is not None]:
            self.readers.remove(reader)
            told = reader.check()
            if told["kind"] == "jobs":
                self.jobs = [j["job"] for j in told["jobs"]]
            self.readings += 1
        while len(self.readers) < 2:
            if self.jobs and self.dice.random() < 0.7:
                self.readers.append(Reader(self, "result", self.dice.choice(self.jobs), "--json"))
            else:
                self.readers.append(Reader(self, "jobs", "--json", "--limit", "1000"))

    def end_readers(self):
        while self.readers:
            self.readers.pop().check()

    def read(self, job):
        """host -> state, by now."""
        told = Reader(self, "result", job, "--json").check()
        return {h["host"]: h["state"] for h in told["hosts"]}

    def read_all(self):
        told = Reader(self, "jobs", "--json", "--limit", "1000").check()
        return {j["job"]: self.read(j["job"]) for j in told["jobs"]}

    # What happens

    def send(self):
        """A runner in the background, one of each kind."""
        wait = [f"--wait={PATIENCE:.0f}s", "--json"]
        some = self.dice.sample(PROMPT + AGENTS, self.dice.randint(4, len(PROMPT + AGENTS)))
        args = self.dice.choice([
            ["-n", "all"],
            ["-n", ",".join([*some, NOWHERE, *LATE])],
            ["-n", ",".join(some), *wait],
            ["-n", ",".join([*some, NOWHERE]), *wait, "--max-failures", "100%", "--batch", str(self.dice.randint(1, 4))],
        ])
        runner = self.site.process(f"runner{len(self.runners)}", self.runner_argv("-x", "work", *args))
        runner.may_fail = True
        self.runners.append(runner.start())
        return runner

    def kill_one(self, runner):
        victim = self.dice.choice([*self.collectors, runner])
        if victim is not runner:
            victim.kill()
            victim.start()
        elif runner.running:
            runner.kill()
            self.killed.append(runner)

    def round(self):
        runner = self.send()
        self.look()
        self.hosts.pump(self.dice.uniform(0, 0.25))  # the moment of the kill, not a wait
        self.kill_one(runner)
        self.look()
        self.hosts.pump(self.dice.uniform(0, 0.1))

    def runners_have_ended(self):
        self.hosts.pump()
        self.look()
        return not any(r.running for r in self.runners)

    def settle(self):
        """Nobody is killed any more: what is on its way arrives."""
        wait_until(self.runners_have_ended, "the runners have ended", 3 * PATIENCE)
        wait_until(self.hosts.have_done_all, "the hosts have answered")
        self.wait_drained()
        self.end_readers()

    # What is left

    def expect(self, job, host, state, may_be_unsent):
        """The state of a target when nothing is on its way."""
        if (job, host) in self.hosts.book:
            return state == self.hosts.book[job, host][0]
        if state in ("queued", "unsent", "cancelled"):
            return may_be_unsent
        if host == NOWHERE:
            return state == "unroutable"
        return host in AGENTS and state in ("ok", "superseded")

    def check_jobs(self, jobs, unfinished):
        for job, states in jobs.items():
            for host, state in states.items():
                assert self.expect(job, host, state, job in unfinished), (job, host, state)
        assert all(host in jobs[job] for job, host in self.hosts.book)

    def check_runners(self, jobs):
        """Returns the jobs of those that were not killed. What they said at the end holds."""
        sent = set()
        for runner in self.runners:
            if runner in self.killed:
                continue
            assert runner.popen.returncode in (0, 2, 3, 4), runner.report()
            job = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", runner.out() + runner.log())[0]
            assert job not in sent, f"{job} was sent twice"
            sent.add(job)
            if "--json" not in runner.argv:
                continue
            told = json.loads(runner.out())
            self.check_sum(told)
            assert told["complete"] and {h["host"]: h["state"] for h in told["hosts"]} == jobs[job], runner.report()
        return sent

    def check_records(self):
        """The record has what the host said last; an answer that came again has changed nothing."""
        for host, (job, state) in self.hosts.newest.items():
            record = self.site.record(host)
            if state == "ok":
                assert record["work"] == job, (host, record)
                assert record["vogeler"]["work"]["order"] == self.hosts.book[job, host][1]

    def check_agents(self, jobs):
        """A run for each ok, and no other."""
        for host in AGENTS:
            path = self.site.folder / f"runs.{host}"
            runs = len(path.read_text().splitlines()) if path.exists() else 0
            assert runs == [s.get(host) for s in jobs.values()].count("ok"), host

    def do(self, *args):
        """Runs a runner to its end, with hosts that answer."""
        runner = self.site.process(f"runner{len(self.runners)}", self.runner_argv(*args))
        runner.may_fail = True
        self.runners.append(runner.start())
        wait_until(self.runners_have_ended, f"{args} ends", 3 * PATIENCE)
        return runner


@pytest.fixture
def chaos(any_site, dice):
    chaos = Chaos(any_site, dice)
    yield chaos
    for reader in chaos.readers:
        reader.process.kill()
        reader.process.communicate()


def test_states_add_up_whatever_is_killed(chaos, record_property):
    chaos.start()
    began = time.monotonic()
    for _ in range(KILLS):
        chaos.round()
    for host in LATE:
        chaos.hosts.listen(host)
    chaos.settle()
    jobs = chaos.read_all()
    whole = chaos.check_runners(jobs)
    assert whole <= set(jobs) and len(jobs) <= len(chaos.runners)
    unfinished = set(jobs) - whole  # a killed runner's: some of its hosts may never be sent to
    chaos.check_jobs(jobs, unfinished)

    for job in [j for j in unfinished if OPEN & set(jobs[j].values())]:
        chaos.do("cancel", job)
        states = chaos.read(job)
        assert {h: s if s not in OPEN else "cancelled" for h, s in jobs[job].items()} == states
        again = chaos.do("rerun", job, "--missing", f"--wait={PATIENCE:.0f}s", "--json")
        told = json.loads(again.out())
        assert told["complete"] and {h["host"] for h in told["hosts"]} == {h for h, s in states.items() if s not in ANSWERS}
    chaos.settle()
    jobs = chaos.read_all()
    assert not any(OPEN & set(states.values()) for states in jobs.values())
    chaos.check_jobs(jobs, unfinished)
    chaos.check_agents(jobs)
    chaos.check_records()
    assert chaos.site.dead_letters() == []
    assert all(chaos.answered[job, host] == state for (job, host), (state, _) in chaos.hosts.book.items())
    record_property("figure", f"{chaos.site.dbhost.split(':')[0]}: {len(jobs)} jobs, {KILLS} kills ({len(chaos.killed)} "
                    f"of runners), {chaos.readings} readings, {time.monotonic() - began:.0f} s")
