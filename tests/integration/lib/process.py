# SPDX-License-Identifier: Apache-2.0
"""One running program: start, signal, log, end, and what its end must look like."""
import os
import re
import subprocess
from signal import SIGCONT, SIGKILL, SIGTERM

from .orphan import die_with_parent
from .waiting import PATIENCE, wait_until

# What a sanitizer prints; any of it fails the test.
SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|DEADLYSIGNAL"
)


def clean_environment(home, **more):
    """No settings of the caller's shell leak into a test."""
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "ASAN_OPTIONS": "exitcode=97:detect_leaks=1:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=98",
    }
    env.update({k: str(v) for k, v in more.items()})
    return env


class Process:
    """Runs until stop(). Its stdout and stderr go to files of their own in folder. within(argv): the command that runs
    argv somewhere else, in its own place."""

    def __init__(self, name, argv, folder, env, cwd=None, within=None):
        self.name = name
        self.argv = [str(a) for a in argv]
        self.folder = folder
        self.env = env
        self.cwd = cwd or folder
        self.within = within or (lambda argv: argv)
        self.popen = None
        self.starts = 0
        self.may_fail = False  # the test says itself what status it expects
        self.out_path = folder / f"{name}.out"
        self.log_path = folder / f"{name}.log"

    def start(self):
        assert self.popen is None or self.popen.poll() is not None, f"{self.name} runs already"
        self.starts += 1
        with open(self.out_path, "ab") as out, open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                self.within(self.argv), stdin=subprocess.DEVNULL, stdout=out, stderr=log, cwd=self.cwd,
                env=self.env, start_new_session=True, preexec_fn=die_with_parent,
            )
        return self

    @property
    def pid(self):
        return self.popen.pid

    @property
    def running(self):
        return self.popen is not None and self.popen.poll() is None

    def signal(self, number):
        self.popen.send_signal(number)

    def wait(self, patience=PATIENCE):
        """The exit status; negative: the signal."""
        try:
            return self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} (pid {self.pid}) did not end within {patience} s") from None

    def stop(self, number=SIGTERM, patience=PATIENCE):
        """Ends it and checks that it ended well."""
        self.signal(number)
        status = self.wait(patience)
        assert status == 0, f"{self.name} ended with {status} after signal {number}"

    def kill(self):
        """As a power cut would end it."""
        self.signal(SIGKILL)
        return self.wait()

    def out(self):
        return self.out_path.read_text("utf-8", "replace") if self.out_path.exists() else ""

    def log(self):
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    def log_count(self, regex):
        return len(re.findall(regex, self.log() + self.out(), re.M))

    def log_contains(self, regex, times=1):
        return self.log_count(regex) >= times

    def wait_log(self, regex, times=1, patience=PATIENCE):
        wait_until(lambda: self.log_contains(regex, times) or not self.running,
                   f"{self.name} logs /{regex}/ {times} times", patience)
        assert self.log_contains(regex, times), f"{self.name} ended without logging /{regex}/"

    def memory_kb(self, field="Pss"):
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise AssertionError(f"no {field} in smaps_rollup")

    def open_files(self):
        return sorted(os.listdir(f"/proc/{self.pid}/fd"), key=int)

    def complaints(self):
        """What the end of a test finds wrong with it."""
        found = []
        if SANITIZER.search(self.log()) or SANITIZER.search(self.out()):
            found.append(f"{self.name}: sanitizer output")
        return found

    def finish(self):
        """At the end of a test: ends it if it runs. Returns a list of complaints."""
        found = []
        if self.running:
            try:
                self.signal(SIGCONT)
                self.stop()
            except AssertionError as e:
                found.append(str(e))
                if self.running:
                    self.kill()
        elif self.popen is not None and not self.may_fail and self.popen.returncode not in (0, -SIGKILL):
            found.append(f"{self.name} had ended by itself with {self.popen.returncode}")
        return found + self.complaints()

    def report(self):
        return (f"==== {self.name}: {' '.join(self.argv)}\n{self.out()}"
                f"---- log\n{self.log()}---- status {self.popen and self.popen.poll()}\n")


class Finished:
    """A program that was run to its end."""

    def __init__(self, argv, done):
        self.argv = [str(a) for a in argv]
        self.status = done.returncode
        self.out = done.stdout.decode("utf-8", "replace")
        self.err = done.stderr.decode("utf-8", "replace")

    def __repr__(self):
        return f"{' '.join(self.argv)}\nstatus {self.status}\nstdout: {self.out}\nstderr: {self.err}"


def run(argv, env, cwd, patience=PATIENCE, stdin=None):
    try:
        done = subprocess.run([str(a) for a in argv], env=env, cwd=cwd, timeout=patience, input=stdin,
                              stdin=subprocess.DEVNULL if stdin is None else None,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    except subprocess.TimeoutExpired as e:
        raise AssertionError(f"{argv} did not end within {patience} s: {e.stdout!r} {e.stderr!r}") from None
    finished = Finished(argv, done)
    print(finished)  # shown when the test fails: pytest cuts what an assertion says to 240 characters
    assert not SANITIZER.search(finished.err + finished.out), finished
    return finished
