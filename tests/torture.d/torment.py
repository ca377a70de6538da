# SPDX-License-Identifier: Apache-2.0
"""What is done to the programs, a round at a time: something is ordered, and then somebody is killed while a collector has
something in hand."""
import signal
import time

HOLD_SECONDS = 4  # as long is waited for a collector to have something in hand


class Torment:
    """Each method that is named in KILLS or NUISANCES does something to somebody, and says what."""

    KILLS = {"kill_agents": 4, "kill_collector": 5, "kill_runner": 2, "kill_all_agents": 1}
    NUISANCES = {"nothing": 4, "stop": 3, "restart": 2, "reload": 1, "swallow": 2, "reset": 2, "cut": 4, "slow_down": 2, "shut": 1}

    def __init__(self, torture):
        self.t = torture
        self.dice = torture.dice
        self.fleet = torture.fleet
        self.orders = torture.orders
        self.agenda = torture.agenda

    def choose(self, weights):
        return self.dice.choices(list(weights), list(weights.values()))[0]

    def round(self):
        for _ in range(self.dice.randint(1, 2)):
            self.order()
        nuisance = getattr(self, self.choose(self.NUISANCES))()
        self.agenda.pass_time(self.dice.uniform(0, 0.4))
        kill = self.choose(self.KILLS)
        held = self.wait_in_hand()
        done = getattr(self, kill)()
        if held and done:
            self.t.books.count("kills")
        self.t.say(f"round {self.t.round}: {', '.join(filter(None, [nuisance, done]))}, {held} in hand")
        self.agenda.pass_time(self.dice.uniform(0, 0.6))
        self.fleet.look()

    def order(self):
        order = self.orders.send()
        if order.to_cancel:
            self.agenda.later(self.dice.uniform(0.1, 1), lambda: self.cancel(order))

    def cancel(self, order):
        job = order.job()
        if job:
            self.orders.cancel(job)

    def wait_in_hand(self):
        """Looks at random moments until a collector has something in hand; how much that is, or 0."""
        end = time.monotonic() + HOLD_SECONDS
        while time.monotonic() < end:
            self.agenda.pass_time(self.dice.uniform(0, 0.06))
            held = self.fleet.in_hand()
            if held:
                return held
        return 0

    # Kills

    def _kill(self, members):
        victims = [m for m in members if m.process.running]
        for member in victims:
            member.process.popen.kill()
            member.down = True
        for member in victims:
            member.process.wait()
            member.stopped = False
            self.agenda.later(self.dice.choice([0, 0, self.dice.uniform(0, 1.5)]), member.start)
        return "kill " + ", ".join(m.name for m in victims) if victims else None

    def kill_agents(self):
        return self._kill(self.dice.sample(list(self.fleet.agents.values()), self.dice.randint(1, 5)))

    def kill_all_agents(self):
        return self._kill(self.fleet.agents.values()) and "kill all agents"

    def kill_collector(self):
        return self._kill([self.dice.choice(self.fleet.collectors)])

    def kill_runner(self):
        running = self.orders.running()
        order = self.dice.choice(running) if running else self.orders.send()
        self.agenda.pass_time(self.dice.uniform(0, 0.05) if not running else 0)
        order.kill()
        return f"kill {order.process.name}"

    # Nuisances

    def nothing(self):
        return None

    def one(self):
        """Who runs: a collector as often as any agent."""
        group = self.dice.choice([self.fleet.collectors, list(self.fleet.agents.values())])
        running = [m for m in group if m.process.running and not m.stopped]
        return self.dice.choice(running) if running else None

    def stop(self):
        """For less, or for longer than heartbeats are waited for."""
        member, seconds = self.one(), self.dice.choice([0.3, 1, 6])
        if member is None:
            return None
        member.stop()
        self.agenda.later(seconds, member.go_on)
        return f"stop {member.name} for {seconds} s"

    def restart(self):
        member = self.one()
        if member is None:
            return None
        member.down = True
        member.process.signal(signal.SIGTERM)
        self.agenda.later(self.dice.uniform(0, 1), lambda: self._start_again(member))
        return f"restart {member.name}"

    def _start_again(self, member):
        if member.process.popen.returncode != -signal.SIGKILL and member.process.wait() != 0:
            self.t.books.add("dead", f"{member.name} ended with {member.process.popen.returncode} after SIGTERM")
        member.start()

    def reload(self):
        member = self.one()
        if member is None:
            return None
        member.process.signal(signal.SIGHUP)
        return f"reload {member.name}"

    # On the way to the broker, or from the last collector to its store

    def a_way(self):
        """(its name, itself)"""
        member = self.one()
        others = [("the runners' way", self.orders.way)]
        if self.t.store.way is not None:
            others.append(("the way to the store", self.t.store.way))
        if member is None or self.dice.random() < 0.3:
            return self.dice.choice(others)
        return f"the way of {member.name}", member.way

    def swallow(self):
        """A line that is half open: heartbeats have to find it."""
        name, way = self.a_way()
        directions = self.dice.choice([("to",), ("from",), ("to", "from")])
        way.swallow(directions)
        return f"swallow what goes {' and '.join(directions)} on {name}"

    def reset(self):
        name, way = self.a_way()
        way.reset()
        return f"reset {name}"

    def cut(self):
        """Inside of a frame as often as not."""
        name, way = self.a_way()
        direction, size = self.dice.choice(["to", "from"]), self.dice.randint(1, 3000)
        way.cut_after(direction, size)
        return f"cut {name} after {size} bytes {direction}"

    def slow_down(self):
        name, way = self.a_way()
        way.slow_down(self.dice.uniform(0.01, 0.3))
        self.agenda.later(self.dice.uniform(1, 3), way.open)
        return f"slow down {name}"

    def shut(self):
        name, way = self.a_way()
        way.shut()
        self.agenda.later(self.dice.uniform(0.5, 4), way.open)
        return f"shut {name}"
