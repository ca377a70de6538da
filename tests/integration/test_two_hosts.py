# SPDX-License-Identifier: Apache-2.0
"""docs/two-hosts.md, line by line, with TLS and without: on booted machines of each Debian, and, in seconds, in folders that
stand for the machines."""
import configparser
import os
import pathlib
import re
import shutil

import pytest

from lib import debian
from lib.process import clean_environment, run
from lib.site import SOURCE, program
from lib.waiting import wait_until

PAGE = (SOURCE / "docs" / "two-hosts.md").read_text("utf-8")


def blocks():
    """(heading, what stands before, lines) of each block of commands."""
    found = []
    heading = before = ""
    for part in re.split(r"\n\n+", PAGE):
        if part.startswith("## "):
            heading = part[3:]
        elif part.startswith("    "):
            found.append((heading, before, [line[4:] for line in part.splitlines()]))
        before = part
    return found


def without_tls(found):
    """What the page says of a network that nobody else is in."""
    rule = "leave these five lines\nout, and below each line with `ca.pem` in it, and say `amqp` for `amqps`:"
    kept = []
    for heading, before, lines in found:
        if rule in before:
            assert len(lines) == 5, lines
        else:
            kept.append((heading, before, [line.replace("amqps", "amqp") for line in lines if "ca.pem" not in line]))
    assert len(kept) == len(found) - 1
    return kept


VARIANTS = {"tls": lambda found: found, "plain": without_tls}


NAMES = ("mq", "web01", "web02")


def machine_of(heading, before):
    """Whose the lines are, and of which release if not of both."""
    release = re.search("on Debian (1[23])(, and|:)|or on Debian (1[23])", before)
    if heading == "On web01: an agent" and "On `mq`:" not in before:
        return "web01", None if release is None else "bookworm" if "12" in release[0] else "trixie"
    return "mq", None


def host_to_copy_to(heading, before):
    """Whose files have been made when the lines are through."""
    if heading == "On web01: an agent" and "On `mq`:" in before:
        return "web01"
    return "web02" if heading == "One more host" else None


@pytest.fixture(name="variant", params=VARIANTS)
def variant_fixture(request):
    return VARIANTS[request.param](blocks())


def test_the_page_names_the_packages_of_the_build():
    listed = re.search(r"^PACKAGES_BUILD=\(([^)]*)\)", (SOURCE / ".ci" / "lib.sh").read_text("utf-8"), re.M)[1].split()
    assert set(listed) <= set(PAGE.split()), set(listed) - set(PAGE.split())


def needed_packages(path):
    """The packages of the libraries that a program names itself; what those need, they bring. What every Debian has is not
    said, and a sanitizer is not what is installed."""
    named = re.findall(r"\(NEEDED\).*\[(.*)\]", run(["readelf", "--dynamic", path], clean_environment("/"), "/").out)
    files = [line.split()[2] for line in run(["ldd", path], clean_environment("/"), "/").out.splitlines()
             if line.split()[0] in named and "san.so" not in line and "=>" in line]
    searched = ["*/" + "/".join(name.split("/")[-2:]) for name in files]
    owners = run(["dpkg-query", "--search", *searched], clean_environment("/"), "/")
    assert owners.status == 0, owners
    return {line.partition(":")[0] for line in owners.out.splitlines()} - {"libc6"}


def test_the_page_names_the_libraries_of_an_agent():
    """No less for vogeler-convert, by which `exec` shows a value; and the two releases have the same but for their names."""
    lists = {release: set(lines[1].split()) for _, before, lines in blocks() for release in ("12", "13")
             if lines[0] == "apt-get update" and f"n Debian {release}" in before}
    assert {name.removesuffix("t64") for name in lists["13"]} == lists["12"]
    listed = lists[{"bookworm": "12", "trixie": "13"}[debian.this_release()]]
    for name in ("vogeler-agent", "vogeler-convert"):
        assert needed_packages(program(name)) <= listed, (name, needed_packages(program(name)) - listed)


# What would change this machine instead of the folder says that it was called; the rest is real.
STAND_INS = """
for name in apt-get cmake systemctl systemd-sysusers systemd-tmpfiles rabbitmqctl vogeler-admin useradd su; do
    eval "$name() { echo \\"$name: \\$*\\"; }"
done
install() {  # users that there are only on the machine
    local kept=()
    while [ $# -gt 0 ]; do
        case $1 in -o | -g) shift ;; *) kept+=("$1") ;; esac
        shift
    done
    command install "${kept[@]}"
}
"""


class Folder:
    """Stands for a machine: its root, and where its lines are given."""

    def __init__(self, path):
        self.path = path
        self.work = path / "work"
        for made in ("work", "etc/rabbitmq", "usr/local/sbin", "usr/local/lib/systemd/system"):
            (path / made).mkdir(parents=True)

    def install_programs(self):
        shutil.copytree(SOURCE / "conf" / "plugins", self.path / "usr/local/share/vogeler/plugins")
        shutil.copy2(SOURCE / "conf" / "make-certificates", self.path / "usr/local/share/vogeler")
        for name in ("sbin/vogeler-agent", "sbin/vogeler-convert", "lib/systemd/system/vogeler-agent.service"):
            (self.path / "usr/local" / name).touch()

    def do(self, line):
        line = re.sub(r"(?<![\w*])/(etc|usr/local)/", rf"{self.path}/\1/", line).replace("tar -C / ", f"tar -C {self.path} ")
        done = run(["bash", "-c", STAND_INS + line], clean_environment(self.work), self.work)
        assert done.status == 0 and done.err == "", (line, done)

    def credential(self, name):
        return (self.path / "etc/credstore" / name).read_text()

    def check(self, daemon, *args):
        """The daemon takes the configuration, and finds the files that it names."""
        conf = self.path / "etc/vogeler/vogeler.conf"
        if not conf.exists():  # it need not be there; this machine's own is not meant
            conf = self.work / "none.conf"
            conf.touch()
        done = run([program(daemon), "-c", conf, "--check-config", *args], clean_environment(self.work), self.work)
        assert done.status == 0, done
        read = configparser.ConfigParser(interpolation=None)
        read.read(conf)
        return dict(read["amqp"]) if "amqp" in read else {}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_line_in_folders(tmp_path, variant, request):
    mq, web01, web02 = (Folder(tmp_path / name) for name in NAMES)
    mq.install_programs()
    (mq.path / "etc/rabbitmq/rabbitmq.conf").touch()
    keys = {}
    of_web01 = []
    for heading, before, lines in variant:
        name, _ = machine_of(heading, before)
        of_web01 += lines if name == "web01" else []
        for line in lines:
            (web01 if name == "web01" else mq).do(line)
        host = host_to_copy_to(heading, before)
        for copied in () if host is None else ("agent.tgz", "ca.pem", f"{host}.qhost"):
            if (mq.work / "keys" / copied).exists():
                shutil.copy2(mq.work / "keys" / copied, {"web01": web01, "web02": web02}[host].work)
        had, keys = keys, contents(mq.work / "keys") if (mq.work / "keys").exists() else {}
        assert had.items() <= keys.items(), f"{heading}: what was there is as it was"
    for line in of_web01:
        web02.do(line.replace("web01", "web02"))
    tls = "tls" in request.node.callspec.id
    scheme = "amqps" if tls else "amqp"
    options = mq.check("vogelerd")
    for_all, for_ann = mq.path / "etc/vogeler/vogeler.conf", pathlib.Path(options["dsn_file"])
    assert (for_all.stat().st_mode & 0o777, for_ann.stat().st_mode & 0o777) == (0o644, 0o640)
    assert f"{scheme}://ops:" in for_ann.read_text() and "://ops:" not in for_all.read_text()
    for folder in (mq, web01, web02):
        found = options if folder is mq else folder.check("vogeler-agent", "list")
        assert ("ca_file" in found) == tls, (folder.path, found)
        assert not tls or pathlib.Path(found["ca_file"]).is_relative_to(folder.path) and os.path.exists(found["ca_file"])
        assert folder.credential("vogeler-agent.qhost").startswith(f"{scheme}://{folder.path.name}:")
        assert len(list((folder.path / "etc/vogeler/plugins").glob("*.cfg"))) == 6


def test_the_lines_of_passwords_once_more_change_none(tmp_path):
    """Whoever adds a host may begin above."""
    lines = [line for _, _, block in blocks() for line in block if "openssl rand" in line]
    (tmp_path / "keys").mkdir()
    for _ in range(2):
        for line in lines:
            run(["bash", "-c", line], clean_environment(tmp_path), tmp_path)
        had = contents(tmp_path / "keys")
        assert sorted(had) == ["admin", "mq", "ops", "vogelerd", "web01", "web02"] and len(set(had.values())) == 6
        for line in lines:
            assert run(["bash", "-c", line], clean_environment(tmp_path), tmp_path).status != 0, line
        assert contents(tmp_path / "keys") == had


@pytest.fixture(name="machines", params=debian.RELEASES)
def machines_fixture(request, tmp_path):
    made = {name: debian.Machine(tmp_path, request.param, name) for name in NAMES}
    try:
        for machine in made.values():
            machine.boot(NAMES)
        yield made
    finally:
        for machine in made.values():
            machine.finish()


def all_libraries_are_there(machine):
    """Of each program that is installed, by hand, on the machine."""
    machine.do("cd /usr/local/sbin; for name in vogeler-*; do ldd $name >/tmp/ldd; ! grep -H 'not found' /tmp/ldd || exit 1; done")


@pytest.mark.root
@pytest.mark.release
def test_from_nothing_to_two_hosts(machines, variant):
    """And to a third, as the page has it."""
    mq = machines["mq"]
    mq.put_source()
    said = {}

    def do(name, line):
        said[line] = machines[name].do(f"export DEBIAN_FRONTEND=noninteractive; {line}", "/vogeler" if name == "mq" else "/root")

    of_web01 = []
    for heading, before, lines in variant:
        name, release = machine_of(heading, before)
        if release not in (None, mq.release):
            continue
        of_web01 += lines if name == "web01" else []
        for line in lines:
            if "--wait" in line:  # who types takes longer
                wait_until(lambda: "web02" in mq.do("vogeler-admin hosts"), "web02 is known")
            do(name, line)
        host = host_to_copy_to(heading, before)
        for copied in () if host is None else ("agent.tgz", "ca.pem", f"{host}.qhost"):
            if (mq.path / "vogeler" / "keys" / copied).exists():
                (machines[host].path / "root" / copied).write_bytes((mq.path / "vogeler" / "keys" / copied).read_bytes())
        if host == "web02":
            for line in of_web01:
                do(host, line.replace("web01", "web02"))
    answered = next(text for line, text in said.items() if "--wait" in line)
    assert "3 targeted = 3 ok" in answered, answered
    for user in ("ann", "bob"):
        hosts = said[f"su - {user} -c 'vogeler-admin hosts'"]
        assert all(re.search(f"^{name}", hosts, re.M) for name in NAMES), hosts
        shown = said[f"su - {user} -c 'vogeler-admin show web01 os-release'"]
        assert f"VERSION_CODENAME={mq.release}" in shown, shown
    looked = {line: text for line, text in said.items() if "doctor" in line}
    assert [re.findall("^ok +role +([a-z]+): ", text, re.M) for text in looked.values()] == [
        ["operator"], ["reader"], ["collector", "agent"]], looked
    assert "FAIL" not in str(looked), looked
    for machine in machines.values():
        all_libraries_are_there(machine)
        assert f"VERSION_CODENAME={mq.release}" in machine.do("vogeler-agent exec os-release")
        machine.do("systemctl reload vogeler-agent")
    mq.do("systemctl reload vogelerd")
