# SPDX-License-Identifier: Apache-2.0
"""The first command of the README: from any folder, twice in a row, with or without root, and gone after Ctrl-C. With
the programs under test instead of a build of its own."""
import fcntl
import os
import pathlib
import pty
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import termios
import textwrap
import threading

import pytest
from lib.process import clean_environment, run
from lib.site import BIN, SOURCE
from lib.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.as_shipped

MARKER = ".vogeler-quickstart"  # by which it knows a folder of its own
LONG = 8 * PATIENCE  # each run starts a RabbitMQ, which a loaded machine takes minutes for


class Quickstart:
    """One folder of it, and who calls it: nobody, if we are root and nobody can read the checkout."""

    def __init__(self):
        self.around = pathlib.Path(tempfile.mkdtemp(prefix="vogeler quickstart."))
        self.folder = self.around / "the folder"  # is made by it
        self.prefix = []
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            prefix = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            if subprocess.run([*prefix, "test", "-r", SOURCE / "quickstart", "-a", "-x", BIN / "vogelerd"],
                              check=False).returncode == 0:
                self.prefix = prefix
                os.chown(self.around, nobody.pw_uid, nobody.pw_gid)
        self.env = clean_environment(self.around, VOGELER_QUICKSTART_DIR=self.folder, VOGELER_QUICKSTART_BIN=BIN)

    def argv(self, *args):
        return [*self.prefix, SOURCE / "quickstart", *args]

    def run(self, *args, cwd="/"):
        return run(self.argv(*args), self.env, cwd, LONG)

    def left(self):
        """Command lines of what it started, and its children started, and that runs: known by its environment."""
        marker = f"VOGELER_QUICKSTART_DIR={self.folder}\0".encode()
        found = []
        for proc in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if marker in (proc / "environ").read_bytes():
                    found.append(f"{proc.name} {(proc / 'cmdline').read_bytes().decode(errors='replace')}")
            except OSError:  # it has ended, or is not ours
                pass
        return found

    def wait_nothing_left(self):
        wait_until(lambda: not self.left() or None, f"nothing of it runs, as {self.left()}")

    def own(self, folder, **files):
        """A folder of the caller's with these files."""
        folder.mkdir(0o700)
        for name, text in files.items():
            (folder / name).write_text(text)
        for path in (folder, *folder.iterdir()):
            os.chown(path, self.around.stat().st_uid, self.around.stat().st_gid)
        return folder

    def finish(self):
        for line in self.left():
            try:
                os.kill(int(line.split()[0]), signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.around, ignore_errors=True)


class Terminal:
    """quickstart on a terminal, where Ctrl-C reaches whatever is in the foreground."""

    def __init__(self, quickstart):
        self.master, slave = pty.openpty()
        self.text = ""
        self.popen = subprocess.Popen(
            quickstart.argv(), env=quickstart.env, cwd="/", stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                got = os.read(self.master, 65536)
            except OSError:  # the other end is closed
                return
            if not got:
                return
            self.text += got.decode("utf-8", "replace")

    def interrupt_at(self, words):
        """Ctrl-C as soon as it says so; its exit status."""
        wait_until(lambda: words in self.text or self.popen.poll() is not None, f"it says {words!r}", LONG)
        assert self.popen.poll() is None, self.text
        os.write(self.master, b"\x03")
        return self.wait()

    def wait(self):
        try:
            return self.popen.wait(LONG)
        except subprocess.TimeoutExpired:
            raise AssertionError("it goes on after Ctrl-C: " + self.text) from None

    def close(self):
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()
        self.reader.join(PATIENCE)
        os.close(self.master)


@pytest.fixture(name="quickstart")
def quickstart_fixture():
    quickstart = Quickstart()
    yield quickstart
    quickstart.finish()


def pids(quickstart):
    return {path.stem: path.read_text().split()[0] for path in quickstart.folder.glob("*.pid")}


def test_twice_from_any_folder_then_stop(quickstart, record_property):
    host = os.uname().nodename
    first = quickstart.run()
    assert first.status == 0, first
    before = pids(quickstart)
    assert sorted(before) == ["epmd", "rabbitmq", "vogeler-agent", "vogelerd"]
    again = quickstart.run(cwd=quickstart.folder)
    assert again.status == 0, again
    after = pids(quickstart)
    assert all(after[name] != before[name] for name in before), (before, after)
    for done in (first, again):
        # The result is alone on stdout; its first line says what it is. What was done is on stderr, a line a step.
        assert done.out.startswith(f"The record of {host} in sqlite://"), done
        steps = done.err.splitlines()
        assert all(step.startswith("==> ") for step in steps), done
        assert [s for s in steps if "starting" in s] == ["==> starting a private RabbitMQ",
                                                         "==> starting vogelerd and vogeler-agent"], done
        assert re.search(r"^  os-release\n    \[\n", done.out, re.M), done
    # What it says about going on works as it stands there.
    stop = re.search(r"^Stop: +(.*)$", again.out, re.M).group(1)
    show = re.search(r"^All of it: (.*)$", again.out, re.M).group(1)
    shown = run([*quickstart.prefix, "sh", "-c", show], clean_environment("/"), "/")
    assert shown.status == 0 and re.search("^packages ", shown.out, re.M), shown
    assert re.search(r"^With CouchDB: .*VOGELER_QUICKSTART_DIR=", again.out, re.M), again
    stopped = run([*quickstart.prefix, "sh", "-c", stop], clean_environment("/"), "/", LONG)
    assert stopped.status == 0 and stopped.out == "" and stopped.err.count("==> stopping ") == 4, stopped
    quickstart.wait_nothing_left()
    assert "does not run" in quickstart.run("status").out
    record_property("figure", f"quickstart ran as {'nobody' if quickstart.prefix else 'the caller'}")


def test_records_in_a_private_postgresql(quickstart):
    """There is no password: the login is that of whoever runs it. What was stored is there at the next start."""
    done = quickstart.run("--store", "pg")
    assert done.status == 0 and "==> starting a private PostgreSQL" in done.err.splitlines(), done
    assert done.out.startswith(f"The record of {os.uname().nodename} in pg://:"), done
    assert sorted(pids(quickstart)) == ["epmd", "postgres", "rabbitmq", "vogeler-agent", "vogelerd"]
    assert re.search(r"^dsn = pg://:\d+/vogeler\?host=/", (quickstart.folder / "vogeler.conf").read_text(), re.M)
    assert quickstart.run("stop").err.count("==> stopping ") == 5
    quickstart.wait_nothing_left()
    done = quickstart.run("--store=pg")
    assert done.status == 0, done
    done = quickstart.run("clean")
    assert done.status == 0 and not list(quickstart.folder.iterdir()), done
    quickstart.wait_nothing_left()


def test_ctrl_c_ends_it_and_what_it_started(quickstart):
    for moment in ("starting a private RabbitMQ", "starting vogelerd", "vogeler-runner -n all -x packages"):
        terminal = Terminal(quickstart)
        assert terminal.interrupt_at("==> " + moment) == 130, (moment, terminal.text)
        terminal.close()
        quickstart.wait_nothing_left()
    # While it stops what an earlier run started.
    done = quickstart.run()
    assert done.status == 0, done
    terminal = Terminal(quickstart)
    assert terminal.interrupt_at("==> stopping") == 130, terminal.text
    terminal.close()
    quickstart.wait_nothing_left()


def test_a_ctrl_c_that_bash_loses_is_taken(quickstart):
    """As it does with one that comes at the end of a command substitution: here it does not get it at all."""
    terminal = Terminal(quickstart)
    wait_until(lambda: "==> starting vogelerd" in terminal.text, "it has started a broker", LONG)
    watcher = [line.split()[0] for line in quickstart.left() if line.split()[1] == "cat\0"]
    assert len(watcher) == 1, quickstart.left()
    os.kill(int(watcher[0]), signal.SIGINT)
    assert terminal.wait() == 130, terminal.text
    terminal.close()
    quickstart.wait_nothing_left()


def test_a_host_name_that_cannot_be_used_is_one_sentence(quickstart):
    name_it = ("import os, socket, sys; socket.sethostname('my_host'); os.execv(sys.argv[1], sys.argv[1:])")
    own = ["unshare", "--uts"] + ([] if os.getuid() == 0 else ["--map-root-user"])
    done = run([*own, "/usr/bin/python3", "-c", name_it, *map(shutil.which, quickstart.prefix[:1]),
                *quickstart.prefix[1:], SOURCE / "quickstart"], quickstart.env, "/", LONG)
    assert done.status == 1 and done.out == "", done
    said = [line for line in done.err.splitlines() if not line.startswith("==> ")]
    assert len(said) == 1 and "cannot use 'my_host'" in said[0], done
    quickstart.wait_nothing_left()


def test_one_that_does_not_end_does_not_keep_the_others(quickstart):
    """A process of another user behind one of the pid files."""
    other = subprocess.Popen(["sleep", "infinity"], stdin=subprocess.DEVNULL)
    mine = subprocess.Popen([*quickstart.prefix, "sleep", "infinity"], stdin=subprocess.DEVNULL)
    try:
        quickstart.own(quickstart.folder, **{MARKER: ""})
        for name, process in (("vogeler-agent", other), ("epmd", mine)):
            stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
            (quickstart.folder / f"{name}.pid").write_text(f"{process.pid} {stat[19]}\n")
        # Ended before anybody could ask when it had begun.
        (quickstart.folder / "vogelerd.pid").write_text(f"{os.getpid()} \n")
        done = quickstart.run("stop")
        mine.wait(PATIENCE)
        if quickstart.prefix:
            assert done.status == 1 and f"vogeler-agent (pid {other.pid})" in done.err, done
            assert other.poll() is None
        else:
            assert done.status == 0, done
    finally:
        for process in (other, mine):
            process.kill()
            process.wait()


def readme_commands():
    """The commands of the README's "A first look", each with what is printed there."""
    text = (SOURCE / "README.md").read_text().partition("## A first look")[2].partition("\n## ")[0]
    blocks = re.findall(r"^    \$ (.*)\n((?:    .*\n)*)", text, re.M)
    assert len(blocks) >= 4, blocks
    return [(command, textwrap.dedent(shown)) for command, shown in blocks]


def alike(line):
    """A line without what differs from machine to machine."""
    return re.sub(r" +", " ", re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d+( \([a-z]+\))?", "N", line.strip()))


def test_every_command_of_the_readme_after_the_two_lines(quickstart):
    """Beside a fleet, which some of them are about."""
    refused = quickstart.run("--hosts", "many")
    assert refused.status == 1 and "how many simulated hosts" in refused.err, refused
    done = quickstart.run("--hosts", "20")
    assert done.status == 0, done
    assert re.search(r"^ +fleet +pid \d+", done.out, re.M), done
    pasted = re.findall(r"^export (?:PATH|VOGELER_CONFIG)=.*$", done.out, re.M)
    assert len(pasted) == 2, done
    for command, shown in readme_commands():
        ran = run([*quickstart.prefix, "bash", "-c", "\n".join([*pasted, command])], clean_environment("/"), "/")
        told = "no such host" in shown
        assert ran.status == (4 if told else 0), ran
        assert alike((ran.err if told else ran.out).split("\n")[0])[:60] == alike(shown.split("\n")[0])[:60], (ran, shown)


def pasted_into_a_shell(quickstart, done, *commands):
    pasted = re.findall(r"^export (?:PATH|VOGELER_CONFIG)=.*$", done.out, re.M)
    return run([*quickstart.prefix, "bash", "-c", "\n".join(["set -e", *pasted, *commands])], clean_environment("/"), "/")


def test_a_fleet_that_was_is_told_of(quickstart):
    """Its hosts are known still, and a command to all would wait for them: whoever starts without one learns how many, and
    how they are forgotten."""
    done = quickstart.run("--hosts", "5")
    assert done.status == 0 and "of an earlier start" not in done.out, done
    done = quickstart.run()
    host = os.uname().nodename
    assert done.status == 0 and re.search(r"^Fleet: +5 simulated hosts of an earlier start", done.out, re.M), done
    assert re.search(rf"^Ask: +vogeler-runner -n {host} -x ps --wait$", done.out, re.M), done
    assert "-n all" not in done.err, done
    assert re.search(r"^  start them: .* --hosts 5$", done.out, re.M), done
    forget = re.search(r"^  forget them: (.*)$", done.out, re.M)[1]
    done = pasted_into_a_shell(quickstart, done, f"{forget} --yes", "vogeler-runner -n all -x os-release --wait")
    assert done.status == 0 and "1 targeted = 1 ok" in done.out, done
    done = quickstart.run()
    assert done.status == 0 and "of an earlier start" not in done.out and "-n all -x ps" in done.out, done


@pytest.mark.parametrize("into, ended", [("| true", 1), (">/dev/full", 1), ("2>&1 | head -1", 1), ("| cat", 0)])
def test_who_reads_no_further_ends_nothing(quickstart, into, ended):
    """What runs then is as if all had been read; one sentence says where all of it is."""
    call = " ".join(map(shlex.quote, map(str, quickstart.argv())))
    done = run(["bash", "-c", f"{call} {into}; exit ${{PIPESTATUS[0]}}"], quickstart.env, "/", LONG)
    assert done.status == ended, done
    said = [line for line in done.err.splitlines() if not line.startswith("==> ")]
    assert len(said) == (0 if ended == 0 or "2>&1" in into else 1), done
    assert not said or "standard output did not take all" in said[0] and str(quickstart.folder / "report") in said[0], done
    status = quickstart.run("status").out
    assert status.count(" pid ") == 4, status
    assert "Stop: " in (quickstart.folder / "report").read_text()


def test_services_of_the_caller_are_not_told(quickstart):
    """Started from a unit: nothing that it starts tells that unit's systemd that it is ready, or takes its sockets."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(quickstart.around / "notify"))
        os.chmod(quickstart.around / "notify", 0o777)
        quickstart.env.update(NOTIFY_SOCKET=str(quickstart.around / "notify"), WATCHDOG_USEC="1000000", LISTEN_FDS="1",
                              VOGELER_QHOST="amqp://guest:guest@127.0.0.1:1/elsewhere")
        done = quickstart.run()
        assert done.status == 0, done
        for line in quickstart.left():
            environ = pathlib.Path(f"/proc/{line.split()[0]}/environ").read_bytes()
            for name in (b"NOTIFY_SOCKET", b"WATCHDOG_", b"LISTEN_", b"VOGELER_QHOST"):
                assert name not in environ.split(b"PATH=")[0] and b"\0" + name not in environ, (line, environ)
        notify.setblocking(False)
        with pytest.raises(BlockingIOError):
            raise AssertionError(f"somebody was told: {notify.recv(4096)}")


def hosts_without_localhost(quickstart):
    """How to run quickstart where nothing knows that name."""
    hosts = quickstart.around / "hosts"
    hosts.write_text(f"127.0.0.1 {os.uname().nodename}\n")
    return ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"]), "sh", "-c",
            f"mount --bind '{hosts}' /etc/hosts && exec \"$@\"", "sh"]


def test_a_machine_without_localhost_is_told_at_once(quickstart):
    done = run([*hosts_without_localhost(quickstart), *quickstart.argv()], quickstart.env, "/")
    assert done.status == 1 and done.out == "", done
    assert len(done.err.splitlines()) == 1 and "'localhost'" in done.err and ">>/etc/hosts" in done.err, done


def test_why_rabbitmq_did_not_start_is_said(quickstart):
    """With what it calls the error, which is not its last line."""
    done = quickstart.run()
    assert done.status == 0, done
    assert quickstart.run("stop").status == 0
    conf = quickstart.folder / "rabbitmq" / "rabbitmq.conf"
    conf.write_text(conf.read_text() + "no.such.setting = 1\n")
    done = quickstart.run()
    said = [line for line in done.err.splitlines() if not line.startswith("==> ")]
    assert done.status == 1 and len(said) == 1, done
    assert "crash dump" not in said[0].lower() and "no.such.setting" in said[0], done


def test_status_makes_no_folder(quickstart):
    quickstart.env["VOGELER_QUICKSTART_DIR"] = str(quickstart.folder / "none")
    done = quickstart.run("status")
    assert done.status == 0 and "does not run" in done.out, done
    done = quickstart.run("stop")
    assert done.status == 0 and done.err.startswith("==> nothing of it runs"), done
    assert not (quickstart.folder / "none").exists()


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_a_folder_of_others_is_left_alone(quickstart):
    """By each verb: neither filled, nor closed, nor emptied."""
    folder = quickstart.own(quickstart.around / "mine", file="mine\n", **{"rabbitmq.log": "mine, too\n"})
    folder.chmod(0o755)
    quickstart.env["VOGELER_QUICKSTART_DIR"] = str(folder)
    for verb in ("start", "status", "stop", "clean"):
        done = quickstart.run(verb)
        assert done.status == 1 and done.out == "" and len(done.err.splitlines()) == 1, done
        assert f"{folder} has files that are not quickstart's" in done.err, done
        assert contents(folder) == {"file": "mine\n", "rabbitmq.log": "mine, too\n"}, verb
        assert folder.stat().st_mode & 0o777 == 0o755, verb
    quickstart.wait_nothing_left()


def test_an_empty_folder_that_others_may_read_is_not_closed(quickstart):
    folder = quickstart.own(quickstart.around / "open")
    folder.chmod(0o755)
    quickstart.env["VOGELER_QUICKSTART_DIR"] = str(folder)
    done = quickstart.run()
    assert done.status == 1 and len(done.err.splitlines()) == 1 and "chmod 700" in done.err, done
    assert folder.stat().st_mode & 0o777 == 0o755 and not contents(folder)


def test_clean_removes_what_it_made_and_that_alone(quickstart):
    """An empty folder of the caller's is taken."""
    quickstart.own(quickstart.folder)
    done = quickstart.run("--hosts=020")
    assert done.status == 0 and "a fleet of 20 simulated" in done.err, done
    note = quickstart.folder / "note.log"
    note.write_text("mine\n")
    for _ in range(2):  # what was left does not make the folder another's
        done = quickstart.run("clean")
        assert done.status == 0 and "quickstart did not make it: note.log" in done.err, done
        assert sorted(path.name for path in quickstart.folder.iterdir()) == [MARKER, "note.log"]
    note.unlink()
    assert quickstart.run("clean").status == 0
    assert list(quickstart.folder.iterdir()) == []
    quickstart.wait_nothing_left()


def test_a_folder_of_a_version_without_the_marker_is_known(quickstart):
    quickstart.own(quickstart.folder, **{"vogeler.conf": "# Written by quickstart, again at each start.\n[global]\n"})
    done = quickstart.run("clean")
    assert done.status == 0 and list(quickstart.folder.iterdir()) == [], done


@pytest.mark.parametrize("args, said", [
    (["--hosts", "40", "stop"], "--hosts does not go with stop"),
    (["stop", "foo"], "unknown: 'foo'"),
    (["status", "foo"], "unknown: 'foo'"),
    (["strat"], "unknown: 'strat'"),
    (["stop", "clean"], "'clean' is one too many"),
    (["--hosts"], "how many simulated hosts"),
    (["--hosts="], "how many simulated hosts"),
    (["--hosts", "0"], "how many simulated hosts"),
    (["--host=20"], "unknown: '--host=20'"),
    ([""], "unknown: ''"),
    (["--store", "couch"], "there are sqlite and pg"),
    (["--store=pg", "stop"], "--store does not go with stop"),
])
def test_what_it_does_not_know_is_refused_before_anything_is_done(quickstart, args, said):
    done = quickstart.run(*args)
    assert done.status == 1 and done.out == "" and len(done.err.splitlines()) == 1 and said in done.err, done
    assert not quickstart.folder.exists()


def test_programs_that_are_not_there_are_missed_at_once(quickstart):
    quickstart.env["VOGELER_QUICKSTART_BIN"] = str(quickstart.around / "none")
    done = quickstart.run()
    assert done.status == 1 and done.out == "" and len(done.err.splitlines()) == 1, done
    assert "VOGELER_QUICKSTART_BIN: there is no program" in done.err, done
    assert not quickstart.folder.exists()
