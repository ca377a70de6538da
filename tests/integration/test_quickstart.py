"""The first command of the README: from any folder, twice in a row, with or without root, and gone after Ctrl-C. With
the programs under test instead of a build of its own."""
import fcntl
import os
import pathlib
import pty
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import termios
import threading

import pytest
from lib.process import clean_environment, run
from lib.site import BIN, SOURCE
from lib.waiting import PATIENCE, wait_until

pytestmark = pytest.mark.as_shipped

LONG = 4 * PATIENCE  # each run starts a RabbitMQ


class Quickstart:
    """One folder of it, and who calls it: nobody, if we are root and nobody can read the checkout."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="vogeler quickstart."))
        self.prefix = []
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            prefix = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            if subprocess.run([*prefix, "test", "-r", SOURCE / "quickstart", "-a", "-x", BIN / "vogelerd"],
                              check=False).returncode == 0:
                self.prefix = prefix
                os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        self.env = clean_environment(self.folder, VOGELER_QUICKSTART_DIR=self.folder, VOGELER_QUICKSTART_BIN=BIN)

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

    def finish(self):
        for line in self.left():
            try:
                os.kill(int(line.split()[0]), signal.SIGKILL)
            except ProcessLookupError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)


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
        # Silent in a pipe but for the result; the first line says what it is, and how to see the rest.
        assert done.out.startswith(f"The record of {host} in sqlite://") and done.err == "", done
        assert re.search(r"^  os-release\n    \[\n", done.out, re.M), done
    # What it says about going on works as it stands there.
    stop = re.search(r"^Stop: +(.*)$", again.out, re.M).group(1)
    show = re.search(r"^All of it: (.*)$", again.out, re.M).group(1)
    shown = run([*quickstart.prefix, "sh", "-c", show], clean_environment("/"), "/")
    assert shown.status == 0 and re.search("^packages ", shown.out, re.M), shown
    assert re.search(r"^With CouchDB: .*VOGELER_QUICKSTART_DIR=", again.out, re.M), again
    stopped = run([*quickstart.prefix, "sh", "-c", stop], clean_environment("/"), "/", LONG)
    assert stopped.status == 0 and stopped.out + stopped.err == "", stopped
    quickstart.wait_nothing_left()
    assert "does not run" in quickstart.run("status").out
    record_property("figure", f"quickstart ran as {'nobody' if quickstart.prefix else 'the caller'}")


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


def test_a_host_name_that_cannot_be_used_is_one_sentence(quickstart):
    name_it = ("import os, socket, sys; socket.sethostname('my_host'); os.execv(sys.argv[1], sys.argv[1:])")
    own = ["unshare", "--uts"] + ([] if os.getuid() == 0 else ["--map-root-user"])
    done = run([*own, "/usr/bin/python3", "-c", name_it, *map(shutil.which, quickstart.prefix[:1]),
                *quickstart.prefix[1:], SOURCE / "quickstart"], quickstart.env, "/", LONG)
    assert done.status == 1 and done.out == "", done
    assert len(done.err.splitlines()) == 1 and "cannot use 'my_host'" in done.err, done
    quickstart.wait_nothing_left()


def test_one_that_does_not_end_does_not_keep_the_others(quickstart):
    """A process of another user behind one of the pid files."""
    other = subprocess.Popen(["sleep", "infinity"], stdin=subprocess.DEVNULL)
    mine = subprocess.Popen([*quickstart.prefix, "sleep", "infinity"], stdin=subprocess.DEVNULL)
    try:
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
