# SPDX-License-Identifier: Apache-2.0
"""An installation of one test: a vhost and a store of its own, and the programs that run on them."""
import json
import os
import pathlib
import shlex
import subprocess

import pytest

from . import client2010
from .schema import check_output
from .process import Process, clean_environment, run
from .waiting import wait_until

SOURCE = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ.get("VOGELER_BIN", SOURCE / "build" / "dev" / "bin")).resolve()

all_stores = pytest.mark.parametrize("site", ["sqlite", "couch", "pg"], indirect=True)


def program(name):
    return BIN / name


def is_sanitized():
    """Whether the programs under test were built with the sanitizers: sizes and times mean nothing then."""
    symbols = subprocess.run(["grep", "-c", "__asan_init", program("vogeler-agent")], check=False,
                             stdout=subprocess.PIPE)
    return symbols.stdout.strip() not in (b"0", b"")


class Site:
    def __init__(self, broker, vhost, folder, store=None):
        self.broker = broker
        self.vhost = vhost
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self.plugins = folder / "plugins"
        self.plugins.mkdir(mode=0o755)
        self.qhost = broker.uri(vhost)
        self.dbhost = store.dbhost if store else f"sqlite://{folder}/records.db"
        self.env = clean_environment(self.home)
        self.within = None  # of daemons, see Process
        self.processes = []
        self.parties = []

    # Programs

    def process(self, name, argv, env=None):
        process = Process(name, argv, self.folder, env or self.env, within=self.within)
        self.processes.append(process)
        return process

    def collector(self, *args, ready=True, name="vogelerd", dbhost=None, qhost=None, options=(), level="DEBUG"):
        argv = [program("vogelerd"), "--qhost", qhost or self.qhost, "--dbhost", dbhost or self.dbhost,
                "--loglevel", level]
        for option in ("server.listen=none", *options):
            argv += ["--option", option]
        process = self.process(name, argv + list(args)).start()
        if ready:
            self.wait_consumer("master.in", process)
            # One of its two connections may have found the queue that the other is still to bind.
            wait_until(lambda: self.broker.is_bound(self.vhost, "vogeler.master.in", "master.in"), "master.in is bound")
        return process

    def agent_argv(self, host="web01", *args, qhost=None, options=(), level="DEBUG", plugins=None, verb=("run",)):
        state = self.folder / f"state.{host}"
        state.mkdir(exist_ok=True)
        argv = [program("vogeler-agent"), "--qhost", qhost or self.qhost, "-p", plugins or self.plugins,
                "--loglevel", level, "--option", f"client.name={host}", "--option", f"client.state_dir={state}"]
        for option in ("client.catch_up_splay=0s", *options):
            argv += ["--option", option]
        return argv + list(args) + list(verb)

    def agent(self, host="web01", *args, ready=True, name=None, env=None, **kw):
        process = self.process(name or f"agent.{host}", self.agent_argv(host, *args, **kw), env).start()
        if ready:
            self.wait_consumer(host, process)
        return process

    def wait_consumer(self, queue, process):
        """Until somebody reads the queue. Black box: whatever the program logs, this is when it is ready."""
        def consumed():
            assert process.running, f"{process.name} ended with {process.popen.returncode}: {process.log()}"
            found = self.broker.queue(self.vhost, queue)
            return found is not None and found[1] > 0
        wait_until(consumed, f"{process.name} consumes {queue}", step=0.1)

    def run(self, name, *args, env=None, **kw):
        return run([program(name), *args], env or self.env, self.folder, **kw)

    def exec(self, plugin, host="web01", **kw):
        """vogeler-agent exec: needs no broker."""
        return run(self.agent_argv(host, verb=("exec", plugin), level="WARN", **kw), self.env, self.folder)

    def runner(self, *args, dbhost=False, status=0, **kw):
        argv = ["--qhost", self.qhost] + (["--dbhost", self.dbhost] if dbhost else []) + list(args)
        done = self.run("vogeler-runner", *argv, **kw)
        check_output(["vogeler-runner", *argv], done.out)
        assert status is None or done.status == status, done
        return done

    def ask(self, command, node="all"):
        return self.runner("-n", node, "-x", command)

    def admin(self, *args, status=0, qhost=False):
        argv = ["--dbhost", self.dbhost] + (["--qhost", self.qhost] if qhost else []) + list(args)
        done = self.run("vogeler-admin", *argv)
        assert status is None or done.status == status, done
        return done

    # Plugins

    def plugin(self, name, command, result_format="output", **keys):
        """Writes plugins/NAME.cfg. command: a string as in the file, or a list of words."""
        if not isinstance(command, str):
            command = shlex.join(str(w) for w in command)
        keys = dict({"name": name, "description": f"test plugin {name}", "command": command,
                     "result_format": result_format}, **keys)
        path = self.plugins / f"{name}.cfg"
        path.write_text(f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()))
        path.chmod(0o644)
        return path

    def script(self, name, text, interpreter="/bin/bash"):
        """An executable file for plugins to run; returns its path."""
        path = self.folder / name
        path.write_text(f"#!{interpreter}\n{text}\n")
        path.chmod(0o755)
        return path

    def file(self, name, content):
        path = self.folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, "utf-8")
        return path

    # What is stored

    def record(self, host="web01"):
        """The record as stored, or None."""
        done = self.admin("show", host, "--json", status=None)
        if done.status != 0:
            return None
        return json.loads(done.out)

    def value(self, plugin, host="web01"):
        return (self.record(host) or {}).get(plugin)

    def meta(self, plugin, host="web01"):
        return ((self.record(host) or {}).get("vogeler") or {}).get(plugin)

    def wait_record(self, fact, what, host="web01"):
        """Until fact(record) is true of the host's record; returns the record."""
        def seen():
            record = self.record(host)
            return record if record is not None and fact(record) else None
        return wait_until(seen, f"the record of {host}: {what}", step=0.15)

    def wait_plugin(self, plugin, host="web01"):
        return self.wait_record(lambda r: plugin in r, f"has {plugin}", host)[plugin]

    def wait_meta(self, plugin, fact, what, host="web01"):
        record = self.wait_record(lambda r: fact(r.get("vogeler", {}).get(plugin, {})), what, host)
        return record["vogeler"][plugin]

    def wait_last_error(self, text, host="web01"):
        return self.wait_record(lambda r: text in json.dumps(r.get("last_error", "")), f"last_error with {text!r}",
                                host)["last_error"]

    # The broker's side

    def ready(self, queue):
        found = self.broker.queue(self.vhost, queue)
        return found and found[0]

    def wait_queue(self, queue, messages):
        wait_until(lambda: self.ready(queue) == messages, f"{queue} holds {messages} messages", step=0.1)

    def wait_drained(self, *queues):
        """Until nothing waits and nothing is unacknowledged in these; master.in stands for both queues of answers."""
        def empty():
            all_queues = queues + (("vogeler.fresh",) if "master.in" in queues and self.ready("vogeler.fresh") is not None
                                   else ())
            if any(self.ready(q) != 0 for q in all_queues):
                return False
            held = self.broker.unacked(self.vhost)  # by rabbitmqctl, which takes its time
            return all(self.ready(q) == 0 and held.get(q, 0) == 0 for q in all_queues)
        wait_until(empty, f"{queues} are empty", step=0.2)

    def party(self, kind, *args, vhost=None):
        party = getattr(client2010, kind)(self.broker, vhost or self.vhost, *args)
        self.parties.append(party)
        return party

    def dead_letters(self):
        """Takes what is in vogeler.dead: a list of (properties, body)."""
        connection = self.broker.connect(self.vhost)
        channel = connection.channel()
        found = []
        while True:
            method, properties, body = channel.basic_get("vogeler.dead", auto_ack=True)
            if method is None:
                connection.close()
                return found
            found.append((properties, body))

    def finish(self):
        for party in self.parties:
            try:
                party.close()
            except Exception:  # pylint: disable=broad-except  # the broker may have been killed in the test
                pass
        complaints = []
        for process in reversed(self.processes):
            complaints += process.finish()
            check_output(process.argv, process.out())
        return complaints

    def report(self):
        return "\n".join(p.report() for p in self.processes)


def in_use(request, site):
    """What a fixture yields: the site, and at its end what was said of it if the test failed or the programs complained."""
    request.node.failed = False
    yield site
    complaints = site.finish()
    if complaints or request.node.failed:
        print(site.report())
    assert not complaints, complaints
