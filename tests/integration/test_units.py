# SPDX-License-Identifier: Apache-2.0
"""The systemd units as they are installed, run by a real systemd (lib/machine.py)."""
import json
import re
import shlex

import pytest

from lib.machine import Machine
from lib.site import BIN, SOURCE, is_sanitized
from lib.waiting import wait_until

pytestmark = pytest.mark.as_shipped

UNITS = ("vogelerd", "vogeler-agent")
# systemd-analyze counts in tenths.
EXPOSURE = {"vogelerd": 15, "vogeler-agent": 28}
# A sanitizer maps memory, reads /proc and makes system calls as no service needs to.
FOR_SANITIZERS = """[Service]
Environment=ASAN_OPTIONS=detect_leaks=0
MemoryDenyWriteExecute=no
ProcSubset=all
SystemCallFilter=
"""
# Machines share the network, so the port of /metrics.
COLLECTOR_CONF = "[global]\nlog_level = INFO\n[server]\ndrain_timeout = 5s\nlisten = none\n"
AGENT_CONF = "[global]\nlog_level = INFO\n[client]\nname = web01\n"
PASSWORD = "gu%65st"  # "guest", written so that it can be told from the user


def plugin(name, command, **more):
    lines = {"name": name, "description": "test", "command": command, "result_format": "output", **more}
    return f"[{name}]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items())


@pytest.fixture
def machine(request, tmp_path_factory):
    machine = Machine(tmp_path_factory.mktemp("machine"), BIN.parent)
    if is_sanitized():
        for unit in UNITS:
            machine.add(f"/etc/systemd/system/{unit}.service.d/sanitizers.conf", FOR_SANITIZERS)
    request.node.failed = False
    try:
        yield machine
        if request.node.failed and machine.pid is not None:
            for unit in UNITS:
                print(f"==== {unit}\n{machine.systemctl('status', unit, status=None).out}\n{machine.journal(unit)}")
    finally:
        machine.finish()


def uri(site):
    return site.qhost.replace(":guest@", f":{PASSWORD}@")


@pytest.fixture
def collector(site, machine):
    machine.add("/etc/vogeler/vogeler.conf", COLLECTOR_CONF)
    machine.add("/etc/credstore/vogelerd.qhost", uri(site) + "\n", 0o600)
    machine.add("/etc/credstore/vogelerd.dbhost", "sqlite:///var/lib/vogelerd/records.db\n", 0o600)
    return machine


@pytest.fixture
def agent(site, machine):
    machine.add("/etc/vogeler/vogeler.conf", AGENT_CONF)
    machine.add("/etc/vogeler/plugins/who.cfg", plugin("who", "id -un"))
    machine.add("/etc/credstore/vogeler-agent.qhost", uri(site) + "\n", 0o600)
    return machine


def main_pid(machine, unit):
    return machine.show(unit, "MainPID")


# What systemd-analyze thinks of them.

STORE = "sqlite:///var/lib/vogelerd/records.db"


def logged_in(machine, user, *argv):
    return machine.run("setpriv", "--reuid", user, "--regid", user, "--init-groups", *argv, status=None)


def as_user(machine, user, *argv):
    """Runs vogeler-admin as somebody who has logged in."""
    return logged_in(machine, user, "vogeler-admin", "--dbhost", STORE, *argv)


def test_who_may_use_the_store(site, collector):
    """Set up by root before the first start; then a member of vogeler-read looks, running collector or not, a member of
    vogeler writes as well, and others are told which group they lack."""
    collector.start()
    for user, group in (("reader", "vogeler-read"), ("writer", "vogeler"), ("other", "nogroup")):
        collector.run("useradd", "--no-create-home", "--groups", group, user)
    collector.run("vogeler-admin", "--qhost", uri(site), "--dbhost", STORE, "setup")
    collector.systemctl("start", "vogelerd")
    collector.wait_status("vogelerd", "store: writable")
    site.plugin("hello", "echo hello")
    site.agent()
    wait_until(lambda: "web01" in as_user(collector, "reader", "hosts").out, "a reader sees the host")
    collector.systemctl("stop", "vogelerd")
    for user in ("reader", "writer"):
        assert "web01" in as_user(collector, user, "hosts").out, user
    done = as_user(collector, "other", "hosts")
    assert done.status == 1 and "vogeler-read" in done.err, done
    looked = as_user(collector, "reader", "--qhost", "amqp://127.0.0.1:1/v", "doctor")
    assert "ok    store write       this user may read it" in looked.out, looked
    wrote = as_user(collector, "writer", "--qhost", "amqp://127.0.0.1:1/v", "doctor")
    assert "ok    store write       a probe was written and removed" in wrote.out, wrote
    # What others wrote is the collector's still.
    collector.systemctl("start", "vogelerd")
    collector.wait_status("vogelerd", "store: writable")


def test_who_looks_needs_no_password(site, collector):
    """The configuration is for all, and names the file with the password, which is for those who send commands."""
    conf, file = "/etc/vogeler/vogeler.conf", "/etc/vogeler/ops.qhost"
    collector.start()
    for user, group in (("reader", "vogeler-read"), ("writer", "vogeler")):
        collector.run("useradd", "--no-create-home", "--groups", group, user)
    collector.add(conf, COLLECTOR_CONF + f"[persistence]\ndsn = {STORE}\n[amqp]\ndsn_file = {file}\n")
    collector.add(file, uri(site) + "\n", 0o640)
    collector.run("chgrp", "vogeler", file)
    collector.run("vogeler-admin", "setup", "web01")
    collector.systemctl("start", "vogelerd")
    collector.wait_status("vogelerd", "store: writable")
    site.plugin("hello", "echo hello")
    site.agent()
    wait_until(lambda: "web01" in logged_in(collector, "reader", "vogeler-admin", "hosts").out, "a reader sees the host")
    done = logged_in(collector, "reader", "vogeler-runner", "-n", "web01", "-x", "hello")
    assert done.status == 1 and done.err == (
        f"vogeler-runner: no broker is named: {file}: Permission denied; "
        "cure: who is to send commands becomes a member of the group that may read it\n"), done
    done = logged_in(collector, "writer", "vogeler-runner", "-n", "web01", "-x", "hello", "--wait")
    assert done.status == 0 and "1 ok" in done.out, done
    for user, role in (("reader", "reader"), ("writer", "operator")):
        done = logged_in(collector, user, "vogeler-admin", "doctor")
        assert re.search(rf"^ok +role +{role}: ", done.out, re.M), done
        assert ("skip  broker dns " in done.out) == (user == "reader"), done
        assert done.status == 0 or user == "writer", done
    for mode, found in (("0644", True), ("0640", False)):
        collector.run("chmod", mode, file)
        assert (f"{file}: holds a password that everyone may read" in collector.run(
            "vogeler-admin", "doctor", status=None).out) == found, mode
    # One that is closed: whoever opened it would give away what is in it.
    collector.run("chmod", "0640", conf)
    done = logged_in(collector, "reader", "vogeler-admin", "hosts")
    assert done.status == 1 and done.err.startswith(
        f"vogeler-admin: {conf}: Permission denied; cure: let an administrator move the broker's URI to a file of its own"), done


@pytest.mark.parametrize("unit", UNITS)
def test_verify(machine, unit):
    machine.start()
    done = machine.run("systemd-analyze", "verify", f"{unit}.service")
    assert done.err == "", done
    # It does look: a page that is not there is found.
    page = machine.run("man", "-w", unit).out.strip()
    machine.run("rm", page)
    assert machine.run("systemd-analyze", "verify", f"{unit}.service", status=None).status != 0


@pytest.mark.parametrize("unit", UNITS)
def test_exposure(machine, unit, record_property):
    machine.start()
    # As installed, whatever the sanitizers are allowed.
    machine.run("rm", "-rf", f"/etc/systemd/system/{unit}.service.d")
    path = machine.show(unit, "FragmentPath")
    done = machine.run("systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE[unit]}", path,
                       status=None)
    level = done.out.strip().splitlines()[-1]
    record_property("figure", f"systemd-analyze security: {level.split('for ')[-1]}")
    assert done.status == 0, done


# The collector.

def test_collector_is_active_when_it_runs_and_says_how(site, collector):
    collector.start()
    collector.systemctl("start", "vogelerd")
    assert collector.show("vogelerd", "ActiveState") == "active"
    collector.wait_status("vogelerd", "broker: connected to amqp://127.0.0.1")
    collector.wait_status("vogelerd", "store: writable")
    site.broker.stop()
    collector.wait_status("vogelerd", "broker: away")
    assert collector.show("vogelerd", "ActiveState") == "active"
    site.broker.start()
    collector.wait_status("vogelerd", "broker: connected")


def test_collector_collects_in_its_sandbox(site, collector):
    collector.start()
    collector.systemctl("start", "vogelerd")
    site.plugin("hello", "echo hello")
    site.agent()
    site.ask("hello")

    def stored():
        done = collector.run("vogeler-admin", "--dbhost", "sqlite:///var/lib/vogelerd/records.db", "show", "web01",
                             "--json", status=None)
        return done.status == 0 and "hello" in json.loads(done.out)
    wait_until(stored, "the record is in the store")
    pid = main_pid(collector, "vogelerd")
    status = collector.run("cat", f"/proc/{pid}/status").out
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split()[0] != "0", status
    assert fields["CapEff"] == fields["CapBnd"] == "0" * 16, status
    assert fields["NoNewPrivs"] == "1", status
    limits = collector.run("cat", f"/proc/{pid}/limits").out
    assert "Max core file size        0                    0" in limits, limits
    mode = collector.run("stat", "-L", "-c", "%a %U", "/var/lib/vogelerd/records.db").out.split()
    assert mode == ["660", "vogelerd"], mode
    # Nobody else sees the passwords.
    for name in ("environ", "cmdline"):
        assert PASSWORD not in collector.run("cat", f"/proc/{pid}/{name}").out
    assert PASSWORD not in collector.journal("vogelerd")
    assert PASSWORD not in collector.systemctl("show", "vogelerd").out


def not_reloaded(machine, unit, reason):
    """A reload that fails, says so and why, and disturbs nothing, until the next good one."""
    pid = main_pid(machine, unit)
    done = machine.systemctl("reload", unit, status=None)
    assert done.status != 0, done
    machine.wait_status(unit, "not reloaded: ")
    status = machine.show(unit, "StatusText")
    assert reason in status and "connected" in status, status
    assert reason in machine.journal(unit)
    wait_until(lambda: machine.show(unit, "ActiveState") == "active", f"{unit} is active")
    assert main_pid(machine, unit) == pid
    assert machine.show(unit, "NRestarts") == "0"


def reloaded(machine, unit):
    machine.systemctl("reload", unit)
    wait_until(lambda: "not reloaded" not in machine.show(unit, "StatusText"), "the options are reloaded")
    machine.wait_status(unit, "connected")
    # Back from "reloading".
    wait_until(lambda: machine.show(unit, "ActiveState") == "active", f"{unit} is active")


@pytest.mark.parametrize("unit", UNITS)
def test_reload_is_whole_or_not_at_all(site, machine, request, unit):
    request.getfixturevalue("collector" if unit == "vogelerd" else "agent")
    machine.start()
    machine.systemctl("start", unit)
    machine.wait_status(unit, "connected")
    pid = main_pid(machine, unit)
    reloaded(machine, unit)
    path = "/etc/vogeler/vogeler.conf"
    machine.add(path, machine.run("cat", path).out.replace("INFO", "DEBUG") + "[amqp]\nheartbeat = soon\n")
    not_reloaded(machine, unit, f"{path}:{len(machine.run('cat', path).out.splitlines())}: [amqp] heartbeat: 'soon'")
    machine.add(path, machine.run("cat", path).out.replace("soon", "10s"))
    reloaded(machine, unit)
    assert main_pid(machine, unit) == pid


BROKEN = {
    "section": "[who]\ncommand = id -u\nresult_format = nonsense\n",
    "file": "rubbish\n",
    "name taken": "[x]\nname = who\ncommand = id\nresult_format = output\n",
}


@pytest.mark.parametrize("broken", BROKEN)
def test_broken_plugin_at_reload_and_at_start(site, agent, broken):
    """The same lines say what is wrong at a reload, which then changes nothing, and at a start, which goes on without."""
    agent.start()
    site.collector()
    agent.systemctl("start", "vogeler-agent")
    agent.wait_status("vogeler-agent", "waiting for commands")
    agent.add("/etc/vogeler/plugins/x.cfg", BROKEN[broken])
    agent.add("/etc/vogeler/plugins/later.cfg", plugin("later", "echo later"))
    not_reloaded(agent, "vogeler-agent", "/etc/vogeler/plugins/x.cfg:")
    reason = agent.show("vogeler-agent", "StatusText").split("not reloaded: ")[1].split("; broker: ")[0]
    site.runner("-n", "web01", "-x", "who", "--wait=60s", dbhost=True)
    site.runner("-n", "web01", "-x", "later", "--wait=60s", dbhost=True, status=2)
    agent.systemctl("restart", "vogeler-agent")
    agent.wait_status("vogeler-agent", "waiting for commands")
    assert f"plugins left out: {reason}; " in agent.show("vogeler-agent", "StatusText")
    site.runner("-n", "web01", "-x", "later", "--wait=60s", dbhost=True)
    agent.run("rm", "/etc/vogeler/plugins/x.cfg")
    agent.systemctl("reload", "vogeler-agent")
    wait_until(lambda: "left out" not in agent.show("vogeler-agent", "StatusText"), "all is well")


def test_reload_without_the_plugin_folder_fails(site, agent):
    agent.start()
    agent.systemctl("start", "vogeler-agent")
    agent.wait_status("vogeler-agent", "connected")
    agent.run("mv", "/etc/vogeler/plugins", "/etc/vogeler/elsewhere")
    not_reloaded(agent, "vogeler-agent", "/etc/vogeler/plugins: cannot read the plugin directory")
    agent.run("mv", "/etc/vogeler/elsewhere", "/etc/vogeler/plugins")
    reloaded(agent, "vogeler-agent")


@pytest.mark.parametrize("unit", UNITS)
def test_stop_is_clean(site, machine, request, unit):
    request.getfixturevalue("collector" if unit == "vogelerd" else "agent")
    machine.start()
    machine.systemctl("start", unit)
    machine.wait_status(unit, "connected")
    machine.systemctl("stop", unit)
    assert machine.show(unit, "Result") == "success"
    assert machine.show(unit, "ExecMainStatus") == "0"
    assert "SIGKILL" not in machine.journal(unit)


@pytest.mark.parametrize("unit", UNITS)
def test_watchdog(site, machine, request, unit):
    request.getfixturevalue("collector" if unit == "vogelerd" else "agent")
    machine.add(f"/etc/systemd/system/{unit}.service.d/quick.conf", "[Service]\nWatchdogSec=2\nRestartSec=100ms\n")
    machine.start()
    machine.systemctl("start", unit)
    machine.wait_status(unit, "connected")
    pid = main_pid(machine, unit)
    first = int(machine.show(unit, "WatchdogTimestampMonotonic"))
    # It lives for longer than it would without pings.
    wait_until(lambda: int(machine.show(unit, "WatchdogTimestampMonotonic")) > first + 3000000, "it pings")
    assert main_pid(machine, unit) == pid
    machine.run("sh", "-c", f"kill -STOP {pid}")
    wait_until(lambda: machine.show(unit, "NRestarts") == "1", "systemd restarts it")
    machine.wait_status(unit, "connected")
    assert main_pid(machine, unit) != pid
    assert "watchdog" in machine.journal(unit).lower()


@pytest.mark.parametrize("unit", UNITS)
def test_what_dies_again_and_again_is_started_again_and_again(site, machine, request, unit):
    """Until the reason is gone, and then by itself. The pace apart, which is the unit's."""
    request.getfixturevalue("collector" if unit == "vogelerd" else "agent")
    folder = f"/etc/systemd/system/{unit}.service.d"
    machine.add(f"{folder}/quick.conf", "[Service]\nRestartSec=50ms\n")
    machine.add(f"{folder}/dies.conf", "[Service]\nExecStart=\nExecStart=/bin/false\n")
    machine.start()
    machine.systemctl("start", unit, status=None)
    wait_until(lambda: int(machine.show(unit, "NRestarts")) > 30, "it is started more than 30 times")
    machine.run("rm", f"{folder}/dies.conf")
    machine.systemctl("daemon-reload")
    machine.wait_status(unit, "connected")


def test_wrong_option_fails_the_start(collector):
    collector.add("/etc/vogeler/vogeler.conf", "[amqp]\nheartbeat = soon\n")
    collector.start()
    done = collector.systemctl("start", "vogelerd", status=None)
    assert done.status != 0, done
    wait_until(lambda: "vogeler.conf:2" in collector.journal("vogelerd"), "the journal names the line")


def test_missing_credentials_are_no_error_of_the_unit(site, machine):
    machine.add("/etc/vogeler/vogeler.conf", f"[amqp]\ndsn = {site.qhost}\n[sqlite]\n"
                                             "dsn = sqlite:///var/lib/vogelerd/records.db\n[server]\nlisten = none\n")
    machine.start()
    machine.systemctl("start", "vogelerd")
    machine.wait_status("vogelerd", "store: writable")


def test_local_only(collector):
    source = "/usr/local/share/vogeler/systemd/vogelerd-local.conf"
    collector.start()
    collector.run("install", "-D", source, "/etc/systemd/system/vogelerd.service.d/local.conf")
    collector.systemctl("daemon-reload")
    collector.systemctl("start", "vogelerd")
    collector.wait_status("vogelerd", "broker: connected")


# The agent.

LISTENER = '''[Service]
User=nobody
ExecStart=/usr/bin/python3 -c "import signal, socket; s = socket.create_server(('127.0.0.1', 0)); signal.pause()"
'''
SHIPPED = ("disks", "facter", "network", "ohai", "os-release", "packages", "ps", "sockets", "units")


def test_agent_runs_what_is_shipped(site, agent):
    """rpm apart: a Debian has no database for it."""
    agent.add("/etc/systemd/system/listener.service", LISTENER)
    agent.start()
    agent.systemctl("start", "listener")
    for name in SHIPPED:
        agent.run("cp", f"/usr/local/share/vogeler/plugins/{name}.cfg", "/etc/vogeler/plugins/")
    agent.add("/etc/vogeler/plugins/nobody.cfg", plugin("other", "id -un", user="nobody"))
    agent.add("/etc/vogeler/plugins/writable.cfg", plugin(
        "writable", "sh -c 'for d in / /etc /etc/vogeler /usr /var /root; do test -w $d && echo $d; done; echo end'"))
    site.collector()
    agent.systemctl("start", "vogeler-agent")
    agent.wait_status("vogeler-agent", "waiting for commands in queue web01")
    names = SHIPPED + ("who", "other", "writable")
    for name in names:
        site.ask(name)
    for name in names:
        site.wait_plugin(name)
    record = site.record()
    assert "last_error" not in record or not record["last_error"], record["last_error"]
    assert record["who"] == ["root"]
    assert record["writable"] == ["end"]
    assert record["other"] == ["nobody"]
    assert len(record["ps"]) > 3
    # The owner of a socket of another user.
    assert any('users:(("python3"' in line for line in record["sockets"]), record["sockets"]
    assert record["disks"]["blockdevices"]


def test_agent_lets_plugins_end_when_it_stops(site, agent):
    agent.add("/etc/vogeler/plugins/slow.cfg",
              plugin("slow", "sh -c 'touch /tmp/began; until [ -e /tmp/go ]; do sleep 0.1; done; echo done'"))
    site.collector()
    agent.start()
    agent.systemctl("start", "vogeler-agent")
    agent.wait_status("vogeler-agent", "waiting for commands")
    site.ask("slow")
    pid = main_pid(agent, "vogeler-agent")
    # /tmp is the service's own.
    inside = f"/proc/{pid}/root/tmp"
    wait_until(lambda: agent.run("test", "-e", f"{inside}/began", status=None).status == 0, "the plugin runs")
    agent.systemctl("stop", "--no-block", "vogeler-agent")
    wait_until(lambda: agent.show("vogeler-agent", "SubState") == "stop-sigterm", "it is stopping")
    agent.run("touch", f"{inside}/go")
    wait_until(lambda: agent.show("vogeler-agent", "ActiveState") == "inactive", "it has stopped")
    assert site.wait_plugin("slow") == ["done"]
    assert agent.show("vogeler-agent", "Result") == "success"


def test_agent_without_root(site, agent):
    source = "/usr/local/share/vogeler/systemd/vogeler-agent-unprivileged.conf"
    agent.start()
    agent.run("install", "-D", source, "/etc/systemd/system/vogeler-agent.service.d/unprivileged.conf")
    agent.systemctl("daemon-reload")
    site.collector()
    agent.systemctl("start", "vogeler-agent")
    agent.wait_status("vogeler-agent", "waiting for commands")
    site.ask("who")
    assert site.wait_plugin("who") == ["vogeler-agent"]


# docs/running.md

def test_permissions_of_the_documentation(site, machine):
    """The broker's users as docs/running.md makes them are enough for both, once the host's queue is made for it."""
    text = (SOURCE / "docs" / "running.md").read_text()
    lines = [line.split("set_permissions -p vogeler ", 1)[1] for line in text.splitlines() if "set_permissions" in line]
    lines = [line for line in lines if not line.startswith(("admin ", "ops "))]  # these are people
    machine.add("/etc/vogeler/vogeler.conf", AGENT_CONF + "[server]\nlisten = none\n")
    machine.add("/etc/vogeler/plugins/who.cfg", plugin("who", "id -un"))
    for line, service in zip(lines, UNITS, strict=True):
        user, *permissions = shlex.split(line)
        site.broker.add_user(user, "secret")
        site.broker.set_permissions(site.vhost, user, *permissions)
        machine.add(f"/etc/credstore/{service}.qhost", site.broker.uri(site.vhost, user, "secret") + "\n", 0o600)
    machine.add("/etc/credstore/vogelerd.dbhost", "sqlite:///var/lib/vogelerd/records.db\n", 0o600)
    site.admin("setup", "web01", qhost=True)
    machine.start()
    for unit in UNITS:
        machine.systemctl("start", unit)
        machine.wait_status(unit, "connected")
    site.wait_queue("web01", 0)
    site.ask("who")
    site.wait_drained("web01", "master.in")
    show = ("vogeler-admin", "--dbhost", "sqlite:///var/lib/vogelerd/records.db", "show", "web01", "--json")
    wait_until(lambda: '"who"' in machine.run(*show, status=None).out, "the record is in the store")
    connection = site.broker.connect(site.vhost)
    connection.channel().basic_publish("vogeler.master.in", "", b"not JSON")
    connection.close()
    site.wait_queue("vogeler.dead", 1)
