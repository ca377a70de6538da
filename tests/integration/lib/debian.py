# SPDX-License-Identifier: Apache-2.0
"""Roots of Debian, made by debootstrap as small as it makes them (with git and ca-certificates) and kept between runs, in
which a test runs commands under systemd-nspawn. They share this machine's network."""
import hashlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

from .orphan import die_with_parent
from .site import SOURCE
from .waiting import PATIENCE, wait_until

RELEASES = ["bookworm", "trixie"]  # 12 and 13
ROOTS = pathlib.Path(os.environ.get("VOGELER_TEST_ROOTS", pathlib.Path.home() / ".cache" / "vogeler-roots"))
LOCAL_AUTHORITIES = pathlib.Path("/usr/local/share/ca-certificates")
LONG = 60 * PATIENCE  # packages come over the network, and are built


def this_release():
    lines = pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line).get("VERSION_CODENAME", "").strip('"')


def other_release():
    return "bookworm" if this_release() == "trixie" else "trixie"


def cannot():
    """Why there can be no root here; None where there can."""
    if os.getuid() != 0:
        return "debootstrap and systemd-nspawn need root"
    for program in ("debootstrap", "systemd-nspawn"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


def archive():
    """Where apt gets its packages from here."""
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian"],
                          check=True, stdout=subprocess.PIPE).stdout.decode().split()
    assert said, "apt names no archive of Debian; see apt-get update"
    return said[0]


def call(argv, log, patience=LONG):
    """The exit status; what is printed goes to log."""
    with open(log, "ab") as out:
        return subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=patience,
                              check=False, preexec_fn=die_with_parent).returncode


def packages(*lists):
    """The packages of .ci/lib.sh, as they are for this root: a word for the shell."""
    return ". .ci/lib.sh; install_packages " + " ".join(f'"${{{name}[@]}}"' for name in lists)


class Root:
    """A copy of a cached root, gone at finish()."""

    def __init__(self, folder, release):
        reason = cannot()
        assert reason is None, f"no root of Debian can be made here: {reason}"
        self.path = folder / release
        self.log = folder / f"{release}.log"
        self.release = release

    def made(self, name, make):
        """The cached folder NAME, which make(folder) fills once."""
        kept = ROOTS / name
        if not kept.exists():
            ROOTS.mkdir(parents=True, exist_ok=True)
            half = ROOTS / f"{name}.{os.getpid()}"
            shutil.rmtree(half, ignore_errors=True)
            make(half)
            half.rename(kept)
        return kept

    def debootstrap(self, folder):
        status = call(["debootstrap", "--variant=minbase", "--include=git,ca-certificates", self.release, folder, archive()], self.log)
        assert status == 0, self.said()

    def fresh(self):
        """As debootstrap leaves it, but for whom it trusts."""
        self.copy(self.made(self.release, self.debootstrap))
        self.trust(self.path)
        return self

    def trust(self, folder):
        """Whom the administrator of this machine trusts: on a network with a proxy in it npm would else refuse the registry."""
        own = list(LOCAL_AUTHORITIES.glob("*.crt"))
        for path in own:
            shutil.copy2(path, folder / LOCAL_AUTHORITIES.relative_to("/"))
        if own:
            assert call(["chroot", folder, "update-ca-certificates"], self.log) == 0, self.said()

    def furnished(self):
        """With the packages that .ci/lib.sh lists there."""
        lists = (SOURCE / ".ci" / "lib.sh").read_bytes()

        def furnish(folder):
            self.copy(self.made(self.release, self.debootstrap), folder)
            self.know_localhost(folder)
            self.put_source(folder)
            self.run(packages("PACKAGES_BUILD", "PACKAGES_RUN", "PACKAGES_TEST"), folder)
            shutil.rmtree(folder / "vogeler")

        self.copy(self.made(f"{self.release}.{hashlib.sha256(lists).hexdigest()[:16]}", furnish))
        return self

    def copy(self, kept, target=None):
        assert call(["cp", "-a", "--reflink=auto", kept, target or self.path], self.log) == 0, self.said()

    def know_localhost(self, folder=None):
        with open((folder or self.path) / "etc" / "hosts", "a", encoding="ascii") as f:
            f.write("127.0.0.1 localhost\n")

    def put_source(self, folder=None):
        """A clone of the checkout at /vogeler, with what is not committed yet."""
        clone = (folder or self.path) / "vogeler"
        assert call(["git", "clone", "-q", SOURCE, clone], self.log) == 0, self.said()
        changed = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z", "-m", "-o", "--exclude-standard"], check=True,
                                 stdout=subprocess.PIPE).stdout.decode().split("\0")
        for name in filter(None, changed):
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            if (SOURCE / name).exists():
                shutil.copy2(SOURCE / name, clone / name)

    def run(self, command, folder=None, status=0, patience=LONG):
        """In /vogeler of the root; what it printed. It is a user's machine: nothing of this one's environment is there."""
        before = self.log.stat().st_size if self.log.exists() else 0
        ended = call(["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "-D", folder or self.path,
                      "--chdir=/vogeler", "/bin/bash", "-c", command], self.log, patience)
        said = self.log.read_bytes()[before:].decode("utf-8", "replace")
        said = re.sub(r"^Attempted to remove disk file system under .*\n", "", said, flags=re.M)  # systemd-nspawn's own, of 252
        assert ended == status, f"{command} in {self.release} ended with {ended}, not {status}:\n{said[-6000:]}"
        return said

    def said(self):
        return self.log.read_text("utf-8", "replace")[-3000:]

    def finish(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Machine(Root):
    """A root that is booted: its systemd is process 1 of it, and its name is known to it and to the others."""

    def __init__(self, folder, release, name):
        super().__init__(folder / name, release)
        (folder / name).mkdir()
        self.name = name
        self.popen = None
        self.pid = None

    def boot(self, names):
        """With what a machine has beside the least that debootstrap makes."""
        def furnish(folder):
            self.copy(self.made(self.release, self.debootstrap), folder)
            (folder / "vogeler").mkdir()
            self.run("apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "
                     "systemd systemd-sysv dbus iproute2", folder)

        self.copy(self.made(f"{self.release}.booted", furnish))
        (self.path / "etc" / "hostname").write_text(self.name + "\n")
        (self.path / "etc" / "hosts").write_text(f"127.0.0.1 localhost {' '.join(names)}\n")
        with open(self.log, "ab") as log:
            self.popen = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--console=read-only", "-D", self.path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=die_with_parent)
        wait_until(self._is_up, f"{self.name} is up")
        return self

    def _is_up(self):
        assert self.popen.poll() is None, self.said()
        children = pathlib.Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text(encoding="ascii").split()
        if not children:
            return False
        self.pid = children[0]
        return subprocess.run(self._inside("systemctl", "is-active", "multi-user.target"), check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout == b"active\n"

    def _inside(self, *argv):
        return ["nsenter", "-t", self.pid, "-m", "-u", "-i", "-p", "-C", "-r", "-w", "env", "-i", "HOME=/root", "TERM=dumb",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", *argv]

    def do(self, command, folder="/root", patience=LONG):
        """What root types there; what it printed. It must succeed."""
        done = subprocess.run(self._inside("/bin/bash", "-c", f"cd {folder} && {command}"), check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=patience)
        said = done.stdout.decode("utf-8", "replace")
        assert done.returncode == 0, f"{command} on {self.name} ended with {done.returncode}:\n{said[-6000:]}"
        return said

    def finish(self):
        if self.popen is not None and self.popen.poll() is None:
            if self.pid is not None:
                os.kill(int(self.pid), signal.SIGKILL)  # all of the machine ends with its process 1
            else:
                self.popen.terminate()
            self.popen.wait(PATIENCE)
        super().finish()
