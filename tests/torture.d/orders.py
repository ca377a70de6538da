# SPDX-License-Identifier: Apache-2.0
"""What operators do meanwhile: runners of every kind, in the background, which may be killed as well."""
import re

from lib.site import program
from lib.waiting import PATIENCE
from plugins import ASKED
from tools import ask_runner

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NOWHERE = "nowhere"  # has no queue
WAIT = f"--wait={PATIENCE:.0f}s"


class Order:
    """A runner, with what it was told."""

    def __init__(self, process, verb, plugin=None):
        self.process = process
        self.verb = verb
        self.plugin = plugin
        self.killed = False
        self.to_cancel = False

    def job(self):
        found = UUID.search(self.process.out() + self.process.log())
        return found[0] if found else None

    def kill(self):
        if self.process.running:
            self.killed = True
            self.process.kill()


class Orders:
    def __init__(self, site, dice, way, qhost):
        self.site = site
        self.way = way
        self.qhost = qhost
        self.dice = dice
        self.hosts = []         # who can be asked by name
        self.orders = []
        self.cancelled = set()  # jobs that somebody was told to cancel, whatever became of that
        self.failures = []

    def running(self):
        return [o for o in self.orders if o.process.running]

    def start(self, *args, verb="send", plugin=None):
        name = f"runner{len(self.orders)}"
        process = self.site.process(name, [program("vogeler-runner"), "--qhost", self.qhost, "--dbhost", self.site.dbhost,
                                           "--loglevel", "INFO", "--option", "amqp.heartbeat=2s", "--json", *args])
        process.may_fail = True
        order = Order(process.start(), verb, plugin)
        self.orders.append(order)
        return order

    def some(self):
        return self.dice.sample(self.hosts, self.dice.randint(3, len(self.hosts) * 2 // 3))

    def send(self):
        """One of each kind, by chance."""
        dice, plugin = self.dice, self.dice.choice(ASKED)
        some = self.some()
        names = ",".join(some)
        kind = dice.choice(["all", "all", "some", "some", "wait", "batch", "nowhere", "ttl", "cancel", "cancel", "rerun"])
        if kind == "rerun":
            return self.rerun() or self.start("-n", "all", "-x", plugin, plugin=plugin)
        if kind in ("ttl", "cancel"):
            plugin = "slow"
            names = ",".join(some[:8])
        args = {"all": ["-n", "all"],
                "some": ["-n", names],
                "wait": ["-n", names, WAIT],
                "batch": ["-n", names, WAIT, "--max-failures", "100%", "--batch", str(dice.randint(2, 6))],
                "nowhere": ["-n", f"{names},{NOWHERE}"],
                "ttl": ["-n", names, "--ttl", dice.choice(["1s", "2s"])],
                "cancel": ["-n", names]}[kind]
        order = self.start(*args, "-x", plugin, plugin=plugin)
        order.to_cancel = kind == "cancel"
        return order

    def done_jobs(self):
        """Of those that were sent and not cancelled, the last few."""
        found = [o.job() for o in self.orders[-12:] if o.verb == "send" and not o.process.running]
        return [job for job in found if job and job not in self.cancelled]

    def rerun(self):
        jobs = self.done_jobs()
        if not jobs:
            return None
        which = self.dice.choice(["--missing", "--failed", "--ok"])
        return self.start("rerun", self.dice.choice(jobs), which, verb="rerun")

    def cancel(self, job):
        self.cancelled.add(job)
        return self.start("cancel", job, verb="cancel")

    def ask(self, *args):
        """What a runner that is not tortured says, as JSON; None: it could not."""
        return ask_runner(self.site, *args)
