"""docs/two-hosts.md, line by line, with TLS and without: on two booted machines of each Debian, and, in seconds, in two
folders that stand for the machines."""
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


def machine_of(heading, before):
    """Whose the lines are, and of which release if not of both."""
    release = re.search("on Debian (1[23])(, and|:)|or on Debian (1[23])", before)
    if heading == "On web01: an agent" and "On `mq`:" not in before:
        return "web01", None if release is None else "bookworm" if "12" in release[0] else "trixie"
    return "mq", None


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

    def dsn_scheme(self, name):
        return (self.path / "etc/credstore" / name).read_text().partition(":")[0]

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


def test_each_line_in_folders(tmp_path, variant, request):
    mq, web01 = folders = [Folder(tmp_path / name) for name in ("mq", "web01")]
    mq.install_programs()
    (mq.path / "etc/rabbitmq/rabbitmq.conf").touch()
    for heading, before, lines in variant:
        name, _ = machine_of(heading, before)
        for line in lines:
            folders[name == "web01"].do(line)
        if "agent.tgz usr/local" in lines[0]:
            for copied in ("agent.tgz", "ca.pem", "web01.qhost"):
                if (mq.work / "keys" / copied).exists():
                    shutil.copy2(mq.work / "keys" / copied, web01.work)
    tls = "tls" in request.node.callspec.id
    options = mq.check("vogelerd")
    assert options["dsn"].startswith("amqps://ops:" if tls else "amqp://ops:"), options
    for folder, found in ((mq, options), (web01, web01.check("vogeler-agent", "list"))):
        assert ("ca_file" in found) == tls, (folder.path, found)
        assert not tls or pathlib.Path(found["ca_file"]).is_relative_to(folder.path) and os.path.exists(found["ca_file"])
        assert folder.dsn_scheme("vogeler-agent.qhost") == ("amqps" if tls else "amqp")
        assert len(list((folder.path / "etc/vogeler/plugins").glob("*.cfg"))) == 6


@pytest.fixture(name="machines", params=debian.RELEASES)
def machines_fixture(request, tmp_path):
    made = [debian.Machine(tmp_path, request.param, name) for name in ("mq", "web01")]
    try:
        for machine in made:
            machine.boot(["mq", "web01"])
        yield made
    finally:
        for machine in made:
            machine.finish()


@pytest.mark.root
@pytest.mark.release
def test_from_nothing_to_two_hosts(machines, variant):
    mq, web01 = machines
    mq.put_source()
    said = {}
    for heading, before, lines in variant:
        name, release = machine_of(heading, before)
        machine, folder = (mq, "/vogeler") if name == "mq" else (web01, "/root")
        if release not in (None, machine.release):
            continue
        if "--wait" in lines[min(1, len(lines) - 1)]:  # who types takes longer
            wait_until(lambda: "web01" in mq.do("vogeler-admin hosts"), "web01 is known")
        for line in lines:
            said[line] = machine.do(f"export DEBIAN_FRONTEND=noninteractive; {line}", folder)
        if "agent.tgz usr/local" in lines[0]:  # the copying
            for name in ("agent.tgz", "ca.pem", "web01.qhost"):
                if (mq.path / "vogeler" / "keys" / name).exists():
                    (web01.path / "root" / name).write_bytes((mq.path / "vogeler" / "keys" / name).read_bytes())
    answered = next(text for line, text in said.items() if "--wait" in line)
    assert "2 targeted = 2 ok" in answered, answered
    hosts = next(text for line, text in said.items() if "vogeler-admin hosts" in line)
    assert "web01" in hosts and re.search("^mq", hosts, re.M), hosts
    shown = next(text for line, text in said.items() if "show web01" in line)
    assert f"VERSION_CODENAME={web01.release}" in shown, shown
    looked = {line: text for line, text in said.items() if "doctor" in line}
    assert [re.findall("^ok +role +([a-z]+): ", text, re.M) for text in looked.values()] == [
        ["operator"], ["collector", "agent"]], looked
    assert "FAIL" not in str(looked), looked
