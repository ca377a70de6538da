# SPDX-License-Identifier: Apache-2.0
"""A machine with a real systemd as process 1, for tests of units: namespaces of its own (mounts, processes, cgroups,
host name) on a copy-on-write view of this system, which it cannot change. The network is shared, so that it reaches the
broker of the tests. Needs root and /lib/systemd/systemd; needs no package that a Debian does not have anyway."""
import os
import pathlib
import shutil
import signal
import subprocess

from .orphan import die_with_parent
from .process import Finished, clean_environment
from .waiting import PATIENCE, wait_until

# Before the namespaces. A cgroup of its own, since systemd takes over the one that it starts in.
OUTER = r"""
set -eu
mkdir -p "$1/cgroup" "$1/over" "$1/root"
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$1/cgroup"
mkdir "$1/cgroup/$2"
echo 0 > "$1/cgroup/$2/cgroup.procs"
exec unshare --pid --fork --kill-child --mount --cgroup --uts --ipc --propagation private \
	/bin/bash -c "$3" machine "$1"
"""

# Process 1 of the machine. What the units of this system want is left out: only the units under test are to run, and
# the journal; so is /bin/kill, which is of procps: a machine need not have it. /dev has no disks, no kernel log and no
# consoles; /proc/sys is read-only.
INNER = r"""
set -eu
root=$1/root
mount -t tmpfs -o mode=755 tmpfs "$1/over"
mkdir "$1/over/upper" "$1/over/work"
mount -t overlay -o "lowerdir=/,upperdir=$1/over/upper,workdir=$1/over/work" overlay "$root"
rm -rf "$root"/{etc,lib}/systemd/system/*.{wants,requires} "$root/lib/systemd/system-generators" "$root/usr/bin/kill" \
	"$root/etc/fstab" "$root/etc/credstore" "$root/etc/vogeler" "$root/var/lib/"{,private/}vogeler*
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,ro,bind "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
	touch "$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/shm" "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for folder in run tmp; do
	mount -t tmpfs tmpfs "$root/$folder"
done
cp -a --no-preserve=ownership "$1/stage/." "$root"
hostname machine
echo machine > "$root/etc/hostname"
cat > "$root/etc/systemd/system/machine.target" <<-END
	[Unit]
	Wants=systemd-journald.service
END
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nAudit=no\nReadKMsg=no\nRateLimitBurst=0\n' > "$root/etc/systemd/journald.conf.d/machine.conf"
export container=vogeler-tests
cd "$root"
exec switch-to /lib/systemd/systemd --system --unit=machine.target --log-target=journal --show-status=no
""".replace("exec switch-to", "pivot_root . mnt\numount -l /mnt\nmount --make-rshared /\nexec")


class Machine:
    def __init__(self, folder, build):
        """Installs the build into the machine. files() may add to it before start()."""
        self.folder = pathlib.Path(folder)
        self.stage = self.folder / "stage"
        self.cgroup = f"vogeler-tests-{os.getpid()}-{self.folder.name}"
        self.log_path = self.folder / "systemd.log"
        self.popen = None
        self.pid = None
        assert os.getuid() == 0, "tests of the units start a systemd of their own, and need root for that"
        subprocess.run(["cmake", "--install", str(build)], check=True, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, DESTDIR=str(self.stage)))

    def add(self, path, text, mode=0o644):
        """A file of the machine; before start() or after."""
        if self.pid is None:
            target = self.stage / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            target.chmod(mode)
        else:
            self.run("install", "-D", "-m", f"{mode:o}", "/dev/stdin", path, stdin=text)

    def start(self):
        env = clean_environment("/root")
        with open(self.log_path, "ab") as log:
            self.popen = subprocess.Popen(
                ["unshare", "--mount", "/bin/bash", "-c", OUTER, "machine", str(self.folder), self.cgroup, INNER],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, preexec_fn=die_with_parent)
        wait_until(self._is_up, "systemd runs")
        # As docs/running.md has it after the installation.
        self.run("systemd-sysusers", "vogeler.conf")
        self.run("systemd-tmpfiles", "--create", "vogeler.conf")
        return self

    def _is_up(self):
        assert self.popen.poll() is None, "the machine did not start: " + self.log_path.read_text()
        children = pathlib.Path(f"/proc/{self.popen.pid}/task/{self.popen.pid}/children").read_text().split()
        if not children:
            return False
        self.pid = int(children[0])
        done = self.run("systemctl", "is-active", "machine.target", status=None)
        return done.out.strip() == "active"

    def finish(self):
        if self.popen is not None and self.popen.poll() is None:
            if self.pid is not None:
                os.kill(self.pid, signal.SIGKILL)  # all of the machine ends with its process 1
            else:
                self.popen.kill()
            self.popen.wait(PATIENCE)
        subprocess.run(["unshare", "--mount", "/bin/bash", "-c", r"""
            mount --make-rprivate / && mount -t cgroup2 cgroup2 "$1" || exit 0
            for try in {1..50}; do
                [ -d "$1/$2" ] || exit 0
                find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null
                sleep 0.1
            done""", "clean", str(self.folder / "cgroup"), self.cgroup], check=False)
        shutil.rmtree(self.stage, ignore_errors=True)

    def run(self, *argv, status=0, stdin=None, env=()):
        argv = [str(a) for a in argv]
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-m", "-p", "-C", "-u", "-i", "-r", "-w", *argv],
            env=clean_environment("/root", **dict(env)), timeout=PATIENCE, check=False, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, **({"input": stdin.encode()} if stdin else {"stdin": subprocess.DEVNULL}))
        done = Finished(argv, done)
        assert status is None or done.status == status, done
        return done

    def systemctl(self, *argv, status=0):
        return self.run("systemctl", "--no-pager", *argv, status=status)

    def show(self, unit, prop):
        return self.systemctl("show", "--value", "-p", prop, unit).out.strip()

    def journal(self, unit):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, status=None).out

    def wait_status(self, unit, text):
        wait_until(lambda: text in self.show(unit, "StatusText"), f"{unit} says {text!r}")
