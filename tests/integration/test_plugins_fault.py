# SPDX-License-Identifier: Apache-2.0
"""Bad plugins and the real agent: whatever a plugin does, the agent answers
with what happened, stays small and leaves nothing behind."""
import os
import pathlib
import pwd
import re
import signal
import subprocess
import time

import pytest

from lib.process import run
from lib.waiting import wait_until

pytestmark = pytest.mark.as_shipped


def children(pid):
    """Every process below pid."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as f:
                parent = int(f.read().rsplit(b")", 1)[1].split()[1])
        except (OSError, IndexError):
            continue
        if parent == pid:
            found.append(int(entry))
            found += children(int(entry))
    return found


def running_with(marker):
    """Processes that carry the marker in their arguments, zombies excluded."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as f:
                    if marker.encode() in f.read():
                        found.append(int(entry))
            except OSError:
                pass
    return found


def peak_memory_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
        return int(re.search(r"^VmHWM:\s+(\d+) kB", f.read(), re.M).group(1))


@pytest.fixture
def answering(site):
    """A collector, and after go() an agent that has been asked for the plugin."""
    site.collector()
    site.files_before = None

    def go(plugin, wait_state, options=()):
        site.the_agent = site.agent(options=options)
        site.files_before = len(site.the_agent.open_files())
        site.ask(plugin)
        meta = site.wait_meta(plugin, lambda m: m.get("state") == wait_state, f"{plugin} ends as {wait_state}")
        return meta

    site.go = go
    return site


def assert_agent_is_well(site):
    """No child, no descriptor, no memory kept, and it still answers."""
    agent = site.the_agent
    wait_until(lambda: not children(agent.pid), "no child is left")
    wait_until(lambda: len(agent.open_files()) <= site.files_before, "no descriptor is left")
    site.plugin("well", "echo well")
    agent.signal(1)
    agent.wait_log("well")
    site.ask("well")
    assert site.wait_plugin("well") == ["well"]


def test_p1_plugin_that_hangs_is_terminated(answering):
    site = answering
    site.plugin("hang", f"sleep 9{os.getpid()}", timeout="1s")
    site.go("hang", "timeout")
    assert site.wait_last_error("hang")
    assert "hang" not in site.record()
    assert_agent_is_well(site)


def test_p1_plugin_that_ignores_term_is_killed(answering):
    site = answering
    told = site.folder / "told"
    script = site.script("stubborn", f"trap 'echo TERM >>{told}' TERM; echo partial; while :; do sleep 0.1; done")
    site.plugin("hang", str(script), timeout="1s")
    meta = site.go("hang", "timeout")
    assert told.read_text() == "TERM\n", "it had its chance before SIGKILL, once"
    assert meta["failure"]["signal"] == 9, meta
    wait_until(lambda: not running_with(str(script)), "the plugin is gone")
    assert_agent_is_well(site)


@pytest.mark.parametrize("stream", ["1", "2"])
def test_p2_flood_is_cut_at_the_cap(answering, stream, sanitized):
    site = answering
    script = site.script("flood", f"exec head -c 1G /dev/zero >&{stream}")
    site.plugin("flood", str(script), "string", max_output="1MiB", timeout="30s")
    site.the_agent = site.agent()
    site.files_before = len(site.the_agent.open_files())
    site.ask("flood")
    meta = site.wait_meta("flood", lambda m: m, "is answered")
    assert meta["state"] == "failed" and "output" in meta["failure"]["message"], meta
    if not sanitized:
        assert peak_memory_kb(site.the_agent.pid) < 20 * 1024
    assert_agent_is_well(site)


@pytest.mark.parametrize("how", ["sleep", "setsid", "double fork"])
def test_p3_child_that_holds_the_pipe_does_not_hold_the_answer(answering, how):
    site = answering
    marker = f"10{os.getpid()}.{['sleep', 'setsid', 'double fork'].index(how)}"
    line = {"sleep": f"sleep {marker} &", "setsid": f"setsid sleep {marker} &",
            "double fork": f"( ( setsid sleep {marker} ) & ) &"}[how]
    site.plugin("daemon", str(site.script("daemon", f"{line}\necho done")), timeout="20s")
    site.the_agent = site.agent()
    site.files_before = len(site.the_agent.open_files())
    began = time.monotonic()
    site.ask("daemon")
    assert site.wait_plugin("daemon") == ["done"]
    assert time.monotonic() - began < 18, "it waited for the timeout instead of the grace time"
    wait_until(lambda: not running_with(marker), "the daemon is swept")
    assert_agent_is_well(site)


# Each child has a child of its own; 81 processes if nobody holds them.
BOMB = """
import os, sys, time
for n in range(40):
    try:
        if os.fork() == 0:
            try:
                os.fork()
            finally:
                time.sleep(60)
    except OSError as e:
        sys.exit(f"{n} children, then {e}")
"""


def threads_of(uid):
    found = 0
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.stat(f"/proc/{entry}").st_uid == uid:
                found += len(os.listdir(f"/proc/{entry}/task"))
        except OSError:
            pass
    return found


def test_p4_fork_bomb_is_held_and_swept(answering):
    """Root is held to no number of processes: then the bomb is of a user that runs nothing else."""
    site = answering
    root = os.geteuid() == 0
    uid = pwd.getpwnam("games").pw_uid if root else os.geteuid()
    marker = f"bomb{os.getpid()}"
    site.plugin("bomb", ["/usr/bin/python3", "-c", f"exec({BOMB!r}) # {marker}"], max_processes=threads_of(uid) + 20,
                **({"user": "games"} if root else {}))
    meta = site.go("bomb", "failed")
    assert "Resource temporarily unavailable" in meta["failure"]["message"], meta
    wait_until(lambda: not running_with(marker), "all of them are gone")
    assert_agent_is_well(site)


def test_p4_cpu_spin_is_ended(answering):
    site = answering
    site.plugin("spin", str(site.script("spin", "while :; do :; done")), max_cpu="1s")
    meta = site.go("spin", "failed")
    assert "more than 1 s of CPU time, its max_cpu" in meta["failure"]["message"], meta
    assert meta["failure"]["signal"] == 24, meta
    assert_agent_is_well(site)


def test_p4_memory_hog_gets_no_more(answering):
    site = answering
    script = site.script("hog", "kept = [bytearray(1 << 24) for _ in range(100)]", "/usr/bin/python3")
    site.plugin("hog", str(script), max_memory="128MiB")
    meta = site.go("hog", "failed")
    assert meta["failure"]["exit_status"] == 1 and "MemoryError" in str(meta), meta
    assert_agent_is_well(site)


def test_p4_large_file_is_cut(answering):
    site = answering
    path = site.folder / "large"
    script = site.script("fill", f"head -c 10M /dev/zero >{path}; exit $?")
    site.plugin("fill", str(script), max_file="1MiB")
    meta = site.go("fill", "failed")
    assert "it wrote a file of more than 1MiB, its max_file" in meta["failure"]["message"], meta
    assert path.stat().st_size == 1 << 20
    assert_agent_is_well(site)


def test_p5_exit_status_is_stored_and_the_earlier_value_stays(answering):
    site = answering
    switch = site.file("switch", "good")
    script = site.script("flaky", f'[ "$(cat {switch})" = good ] && echo good && exit 0\n'
                                  "echo half; echo 'it went wrong' >&2; exit 3")
    site.plugin("flaky", str(script))
    site.the_agent = site.agent()
    site.files_before = len(site.the_agent.open_files())
    site.ask("flaky")
    assert site.wait_plugin("flaky") == ["good"]
    switch.write_text("bad")
    site.ask("flaky")
    error = site.wait_last_error("flaky")
    assert "3" in error["message"], error
    record = site.record()
    assert record["flaky"] == ["good"]
    assert "it went wrong" in str(record["vogeler"]["flaky"]) + str(error), record
    assert_agent_is_well(site)


def test_p5_exit_status_that_the_plugin_names_is_a_success(answering):
    """Facter ends with 1 where it may not read all of /proc, and has printed its facts."""
    site = answering
    site.plugin("facts", str(site.script("facts", "echo a: 1; exit 1")), "yaml", success_exit_status="1")
    site.the_agent = site.agent()
    site.ask("facts")
    assert site.wait_plugin("facts") == {"a": 1}
    assert site.meta("facts")["exit_status"] == 1


def test_p5_death_by_signal_is_told(answering):
    site = answering
    site.plugin("dies", str(site.script("dies", "kill -SEGV $$")))
    site.the_agent = site.agent()
    site.files_before = len(site.the_agent.open_files())
    site.ask("dies")
    error = site.wait_last_error("dies")
    assert "SEGV" in error["message"] or "11" in error["message"] or "Segmentation" in error["message"], error
    assert_agent_is_well(site)


def test_p5_empty_output_is_a_value(answering):
    site = answering
    site.plugin("empty", "true")
    site.the_agent = site.agent()
    site.ask("empty")
    assert site.wait_plugin("empty") == []


@pytest.mark.parametrize("what", ["missing", "not executable", "directory", "no interpreter"])
def test_p6_what_cannot_be_run_is_told_as_such(answering, what):
    site = answering
    path = site.folder / "target"
    expect = {"missing": "No such file", "not executable": "ermission denied", "directory": "ermission denied",
              "no interpreter": "interpreter"}[what]
    if what == "directory":
        path.mkdir()
    elif what != "missing":
        path.write_text("#!/nowhere/at/all\n" if what == "no interpreter" else "#!/bin/sh\necho x\n")
        path.chmod(0o755 if what == "no interpreter" else 0o644)
    site.plugin("cannot", str(path))
    site.the_agent = site.agent()
    site.files_before = len(site.the_agent.open_files())
    site.ask("cannot")
    error = site.wait_last_error("cannot")
    assert expect in error["message"], error
    assert "127" not in error["message"], error
    assert_agent_is_well(site)


def test_p8_closing_stdout_early_is_not_the_end(answering):
    site = answering
    site.plugin("early", str(site.script("early", "echo value; exec >&- 2>&-; sleep 1.5; exit 0")), timeout="20s")
    site.the_agent = site.agent()
    site.ask("early")
    assert site.wait_plugin("early") == ["value"]
    assert site.meta("early")["duration_ms"] >= 1400


def test_p8_one_byte_a_second_meets_the_wall_clock(answering):
    site = answering
    site.plugin("drip", str(site.script("drip", "while :; do printf x; sleep 0.2; done")), timeout="2s")
    site.go("drip", "timeout")
    assert_agent_is_well(site)


def test_p9_plugin_sees_no_descriptors_and_no_secrets(answering):
    site = answering
    text = ("import os, json\n"
            "fds = sorted(int(f) for f in os.listdir('/proc/self/fd'))\n"
            "links = {}\n"
            "for f in fds:\n"
            "    try: links[f] = os.readlink(f'/proc/self/fd/{f}')\n"
            "    except OSError: pass\n"
            "parent = open(f'/proc/{os.getppid()}/cmdline').read()\n"
            "print(json.dumps({'fds': links, 'env': dict(os.environ), 'parent': parent, 'cwd': os.getcwd(),\n"
            "  'umask': os.umask(0)}))")
    site.plugin("status", "cat /proc/self/status")  # Python ignores signals of its own
    site.plugin("leaks", str(site.script("leaks", text, "/usr/bin/python3")), "json", env="EXTRA=1")
    env = dict(site.env, VOGELER_QHOST=site.qhost, SECRET="hunter2", NOTIFY_SOCKET="/nowhere")
    site.the_agent = site.agent(env=env)
    site.ask("leaks")
    seen = site.wait_plugin("leaks")
    assert set(seen["fds"]) == {"0", "1", "2"}, seen["fds"]
    assert seen["fds"]["0"] == "/dev/null"
    assert "guest:guest" not in str(seen) and "hunter2" not in str(seen), seen
    assert seen["env"]["EXTRA"] == "1" and seen["env"]["LANG"] == "C.UTF-8" and seen["env"]["PATH"]
    assert not [k for k in seen["env"] if k.startswith("VOGELER") or k in ("SECRET", "NOTIFY_SOCKET")], seen["env"]
    assert seen["cwd"] == "/"
    site.ask("status")
    status = dict(line.split(":\t", 1) for line in site.wait_plugin("status") if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0
    assert int(status["SigIgn"], 16) == 0


def test_p9_plugin_of_the_same_user_sees_no_secrets(site):
    """Neither in the environment of the agent, which names the broker there, nor in its memory. Without these capabilities,
    and without any to inherit, as a container's root has them, root is a user as any other."""
    site.plugin("spy", str(site.script("spy", (
        'agent=$(cut -d " " -f 4 /proc/$PPID/stat)\n'
        'for pid in $PPID $agent; do for file in environ mem maps; do\n'
        'head -c 1 /proc/$pid/$file >/dev/null 2>&1 && echo $pid/$file\n'
        'done; done\necho "looked at $agent"\n'), "/bin/sh")))
    argv = [a for a in site.agent_argv(level="WARN", verb=("exec", "spy")) if a not in ("--qhost", site.qhost)]
    drop = ["setpriv", "--inh-caps=-all", "--bounding-set", "-sys_ptrace,-perfmon,-sys_admin"] if os.geteuid() == 0 else []
    done = run([*drop, *argv], dict(site.env, VOGELER_QHOST=site.qhost), site.folder)
    assert done.status == 0 and re.search(r"looked at \d+", done.out), done
    assert not re.search(r"\d+/(environ|mem|maps)", done.out), done


def test_secrets_leave_the_environment(site):
    proxy = "http://user:hunter2@127.0.0.1:9"
    env = dict(site.env, VOGELER_QHOST=site.qhost, VOGELER_DBHOST=site.dbhost, http_proxy=proxy)
    argv = [a for a in site.agent_argv() if a not in ("--qhost", site.qhost)]
    agent = site.process("agent.web01", argv, env).start()
    site.wait_consumer("web01", agent)
    shown = pathlib.Path(f"/proc/{agent.pid}/environ").read_bytes()
    assert b"LANG=C.UTF-8" in shown
    assert b"amqp://" not in shown and b"hunter2" not in shown, shown
    assert "Max core file size        0                    0" in pathlib.Path(f"/proc/{agent.pid}/limits").read_text()
    agent.signal(signal.SIGHUP)  # it knows them still
    agent.wait_log("reloaded the plugins")
    agent.stop()


# What plugins start.

ORPHANS = """
import os, sys, time
for n in range(700):
    pid = os.fork()
    if pid == 0:
        if os.fork() == 0:
            time.sleep(0.01)
        os._exit(0)
    os.waitpid(pid, 0)
    time.sleep(0.002)
print("all of them")
"""


def test_orphans_of_a_running_plugin_do_not_add_up(answering):
    site = answering
    root = os.geteuid() == 0
    uid = pwd.getpwnam("games").pw_uid if root else os.geteuid()
    site.plugin("orphans", ["/usr/bin/python3", "-c", f"exec({ORPHANS!r})"], max_processes=threads_of(uid) + 200,
                **({"user": "games"} if root else {}))
    site.the_agent = site.agent()
    site.files_before = len(site.the_agent.open_files())
    site.ask("orphans")
    site.wait_meta("orphans", lambda m: m.get("exit_status") == 0, "all of them are made")
    assert site.value("orphans") == ["all of them"]
    assert_agent_is_well(site)


LEAVES = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]], start_new_session=True)
print("one of", sys.argv[1], flush=True)
time.sleep(600)
"""


def test_what_a_plugin_started_ends_with_a_killed_agent(site):
    """No service manager is there to do it; and when the command is run again it is alone."""
    marker = f"left{os.getpid()}"
    site.plugin("leaves", ["/usr/bin/python3", "-c", f"exec({LEAVES!r})", marker])
    site.collector()
    agent = site.agent()
    site.ask("leaves")
    wait_until(lambda: len(running_with(marker)) >= 2, "the plugin and its daemon run")
    first = set(running_with(marker))
    agent.kill()
    wait_until(lambda: not first & set(running_with(marker)), "both are gone")
    agent = site.agent(name="again")
    wait_until(lambda: len(running_with(marker)) == 2, "it is run again, and alone")
    agent.signal(signal.SIGTERM)
    agent.signal(signal.SIGTERM)
    agent.wait()
    wait_until(lambda: not running_with(marker), "a second signal leaves nothing either")


@pytest.fixture(name="marker")
def marker_fixture():
    """In the arguments of what a test starts, so that nothing of it is left whatever happens."""
    marker = f"marker{os.getpid()}"
    yield marker
    for pid in running_with(marker):
        os.kill(pid, signal.SIGKILL)


LINGERS = """
import os, subprocess, sys, time
sleeper = [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)", sys.argv[1]]
subprocess.Popen(sleeper)
subprocess.Popen(sleeper, start_new_session=True)
subprocess.Popen(["env", "-i", *sleeper])
subprocess.Popen(["setsid", "env", "-i", "sh", "-c", "sleep 600 & wait", sys.argv[1]])
print("one of", sys.argv[1], flush=True)
time.sleep(600)
"""


def keepers_of(agent):
    return [int(pid) for pid in pathlib.Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()]


def kill_with_keepers(agent):
    """Nobody is left to end what its plugins started."""
    keepers = keepers_of(agent)
    for pid in keepers:
        os.kill(pid, signal.SIGSTOP)
    agent.kill()
    for pid in keepers:
        os.kill(pid, signal.SIGKILL)


def noted(site, pids):
    """Whether the agent has written down all of these."""
    lines = next(site.folder.rglob("running")).read_text().splitlines()[1:]
    return {str(pid) for pid in pids} <= {line.split()[0] for line in lines}


def test_what_a_plugin_started_outlives_nobody(site, marker):
    """Agent and keeper are killed both: the next agent ends it, in whatever session and environment, before it runs the
    command again."""
    site.plugin("lingers", ["/usr/bin/python3", "-c", f"exec({LINGERS!r})", marker])
    site.collector()
    agent = site.agent()
    site.ask("lingers")
    wait_until(lambda: len(running_with(marker)) == 5, "the plugin and what it started run")
    first = set(running_with(marker))
    wait_until(lambda: noted(site, first), "they are written down")
    kill_with_keepers(agent)
    wait_until(lambda: len(running_with(marker)) == 4, "the plugin alone dies with its keeper")
    agent = site.agent(name="again")
    agent.wait_log(r"ended what plugins of an agent before this one, which was killed, left running: processes=5, pid")
    wait_until(lambda: len(running_with(marker)) == 5, "it is run again")
    assert not first & set(running_with(marker)), "and alone"
    agent.stop()
    wait_until(lambda: not running_with(marker), "nothing is left")


def test_a_process_that_only_has_the_number_is_left_alone(site):
    """The record names it, with the start time of another; and beside it runs an agent with another state folder."""
    site.plugin("waits", "sleep 600")
    site.collector()
    other = site.agent("web02")
    site.ask("waits", "web02")
    wait_until(lambda: keepers_of(other), "a plugin of the other agent runs")
    agent = site.agent()
    kill_with_keepers(agent)
    innocent = subprocess.Popen(["sleep", "600"], start_new_session=True)
    record = [path for path in site.folder.rglob("running") if "web01" in str(path)]
    assert len(record) == 1, record
    with record[0].open("a") as file:
        file.write(f"{innocent.pid} 1\n{keepers_of(other)[0]} 1\n")
    agent = site.agent(name="again")
    assert not agent.log_contains("ended what plugins")
    assert innocent.poll() is None and keepers_of(other)
    innocent.kill()
    innocent.wait()
    agent.stop()
    other.stop()


def test_what_a_killed_keeper_leaves_is_ended_by_its_agent(site, marker):
    """In a session of its own, too."""
    site.plugin("leaves", ["/usr/bin/python3", "-c", f"exec({LEAVES!r})", marker])
    site.collector()
    agent = site.agent()
    site.ask("leaves")
    wait_until(lambda: len(running_with(marker)) == 2, "the plugin and its daemon run")
    os.kill(keepers_of(agent)[0], signal.SIGKILL)
    wait_until(lambda: not running_with(marker), "both are gone")
    agent.stop()


def test_children_that_no_plugin_started_are_left_alone(site):
    """What a start script left running becomes a child of the agent, or, once its own parent is gone, later."""
    marker = f"600.{os.getpid()}"
    site.plugin("hello", ["sh", "-c", f"setsid sleep 1{marker} >/dev/null 2>&1 & echo hello"])
    site.collector()
    agent = site.process("agent.web01", site.agent_argv())
    agent.within = lambda argv: ["sh", "-c", f'sleep {marker} & (setsid sh -c "sleep 0{marker} & sleep 3") & exec "$@"',
                                 "sh", *argv]
    agent.start()
    site.wait_consumer("web01", agent)
    for n in range(3):
        site.ask("hello")
        time.sleep(0.7 * n)
        site.wait_meta("hello", lambda m: m.get("exit_status") == 0, "hello has run")
    wait_until(lambda: not running_with("1" + marker), "what the plugin left is gone")
    time.sleep(1.5)
    found = [pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1].decode() for pid in running_with(marker)
             if pid != agent.pid]
    for pid in running_with(marker):
        if pid != agent.pid:
            os.kill(pid, signal.SIGKILL)
    assert {f"0{marker}", marker} <= set(found), found
    agent.stop()
