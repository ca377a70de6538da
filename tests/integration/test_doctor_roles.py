# SPDX-License-Identifier: Apache-2.0
"""vogeler-admin doctor finds out for whom to look: by the credentials of services on this machine, and by who runs it."""
import json
import os
import shutil
from pathlib import Path

import pytest

from lib.process import run
from lib.site import program

PERSON = 4711
OF_ETC = ("passwd", "group", "hosts", "nsswitch.conf", "resolv.conf", "machine-id", "ld.so.cache")
SECRET = "s3cr3tword"
# A machine of its own, as far as doctor can see: its /etc, and its things where everybody reaches them.
MOUNTS = 'mount --bind "$1" /etc && mount --bind "$2" /mnt && shift 2 && exec "$@"'
RIGHTS = {  # those of docs/two-hosts.md
    "ops": (r"^vogeler\.reply\..*$", r"^vogeler\.broadcast\.in$", r"^vogeler\.reply\..*$"),
    "vogelerd": (r"^(vogeler\..*|master\.in)$", r"^(?!vogeler\.broadcast\.in$).*$", r"^(vogeler\..*|master\.in)$"),
    "web01": ("^$", r"^vogeler\.master\.in$", "^web01$"),
}


class Centre:
    """A healthy machine with a collector and an agent, as the page makes it."""

    def __init__(self, site):
        self.site = site
        self.etc = site.folder / "etc"
        (self.etc / "vogeler").mkdir(parents=True)
        (self.etc / "credstore").mkdir(mode=0o700)
        self.etc.chmod(0o755)
        for name in OF_ETC:
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), self.etc / name)
        shutil.copy(program("vogeler-admin"), site.folder / "vogeler-admin")
        self.uris = {}
        for user, rights in RIGHTS.items():
            name = f"{user}.{site.vhost}"
            site.broker.add_user(name, SECRET)
            site.broker.set_permissions(site.vhost, name, *rights)
            self.uris[user] = site.broker.uri(site.vhost, name, SECRET)
        site.admin("setup", "web01", qhost=True)
        for file in site.folder.glob("records.db*"):
            os.chown(file, 0, PERSON)
            file.chmod(0o660)
        os.chown(site.folder, 0, PERSON)
        site.folder.chmod(0o770)
        site.plugin("one", "echo 1")
        site.collector(qhost=self.uris["vogelerd"], level="WARN")
        site.agent(qhost=self.uris["web01"], level="WARN")
        (site.folder / "state.web01").chmod(0o700)
        self.configure(self.uris["ops"])
        self.put("vogelerd.qhost", self.uris["vogelerd"] + "\n")
        self.put("vogeler-agent.qhost", self.uris["web01"] + "\n")

    def configure(self, qhost):
        conf = self.etc / "vogeler" / "vogeler.conf"
        conf.write_text("[client]\nname = web01\nstate_dir = /mnt/state.web01\n[global]\nplugin_path = /mnt/plugins\n"
                        "[server]\nattest = yes\n[persistence]\ndsn = sqlite:///mnt/records.db\n"
                        + (f"[amqp]\ndsn = {qhost}\n" if qhost else ""))
        os.chown(conf, 0, PERSON)
        conf.chmod(0o640)

    def put(self, name, text):
        path = self.etc / "credstore" / name
        path.write_text(text)
        path.chmod(0o600)

    def doctor(self, *args, person=False):
        """The exit status, what is said of roles, and the lines that fail or warn."""
        argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNTS, "sh", self.etc, self.site.folder]
        if person:
            argv += ["setpriv", "--reuid", str(PERSON), "--regid", str(PERSON), "--clear-groups"]
        env = {k: v for k, v in self.site.env.items() if not k.startswith("VOGELER_")}
        done = run([*argv, "/mnt/vogeler-admin", *args, "doctor", "--json"], env, "/")
        assert SECRET not in done.out + done.err, done
        lines = json.loads(done.out)
        assert lines[0]["check"] == "role", lines
        return (done.status, [(line["status"], line["detail"]) for line in lines if line["check"] == "role"],
                [line for line in lines if line["status"] == "FAIL"], lines)


@pytest.fixture(name="centre")
def centre_fixture(site):
    return Centre(site)


def test_each_who_is_on_a_healthy_machine_is_well(centre):
    """The file names an operator's broker: root is told of the services with their own, and nobody lacks the rights of
    another."""
    status, roles, failed, lines = centre.doctor()
    assert status == 0 and not failed, failed
    assert roles == [("ok", "collector: /etc/credstore/vogelerd.qhost is there; then agent, whose credential is there, too"),
                     ("ok", "agent: /etc/credstore/vogeler-agent.qhost is there, too")], roles
    said = [line["detail"] for line in lines if line["check"] in ("permissions", "agent")]
    assert "may read queue master.in" in said and "may read queue web01" in said, said
    assert any(text.startswith("1 reads web01") for text in said), said
    assert [line["check"] for line in lines].count("clock") == 1, lines
    status, roles, failed, lines = centre.doctor(person=True)
    assert status == 0 and not failed, failed
    assert roles == [("ok", "operator: /etc/vogeler/vogeler.conf names a broker, and this user runs no service")], roles
    assert "may send to vogeler.broadcast.in" in str(lines) and "set_permissions" not in str(lines), lines
    # Whoever says a role is given its credential, too.
    for role, file in (("collector", "vogelerd.qhost"), ("agent", "vogeler-agent.qhost")):
        status, roles, failed, _ = centre.doctor("--as", role)
        assert status == 0 and not failed and roles == [("ok", f"{role}: --as, with /etc/credstore/{file}")], (roles, failed)
    status, roles, failed, _ = centre.doctor("--as", "operator")
    assert status == 0 and not failed and roles == [("ok", "operator: --as")], (roles, failed)


def test_one_of_them_alone(centre):
    """A host with an agent, whose file names no broker; a collector that has its store as a credential."""
    (centre.etc / "credstore" / "vogelerd.qhost").unlink()
    centre.configure(None)
    status, roles, failed, lines = centre.doctor()
    assert status == 0 and not failed, failed
    assert roles == [("ok", "agent: /etc/credstore/vogeler-agent.qhost is there")], roles
    assert ("skip", "an agent needs none") in [(line["status"], line["detail"]) for line in lines], lines
    # Who cannot read it looks at the store, and is told who can.
    status, roles, failed, lines = centre.doctor(person=True)
    assert status == 0 and not failed and roles[0][1].startswith("reader: ") and "run this as root" in roles[0][1], roles
    assert ("broker dns", "skip") in [(line["check"], line["status"]) for line in lines], lines
    status, _, failed, _ = centre.doctor("--as", "operator", person=True)
    assert status == 1 and [line["check"] for line in failed] == ["broker dns"], failed
    (centre.etc / "credstore" / "vogeler-agent.qhost").unlink()
    centre.put("vogelerd.qhost", centre.uris["vogelerd"])
    centre.put("vogelerd.dbhost", "sqlite:///mnt/none.db\n")
    status, roles, failed, lines = centre.doctor()
    assert roles == [("ok", "collector: /etc/credstore/vogelerd.qhost is there")], roles
    assert [line["check"] for line in failed] == ["store file"] and "none.db" in failed[0]["detail"], failed


def test_what_was_given_comes_first(centre):
    """Then it is as given, whatever credentials there are; and none is looked at for it."""
    status, roles, failed, _ = centre.doctor("--qhost", centre.site.qhost)
    assert status == 0 and not failed, failed
    assert roles == [("ok", "whoever is on this machine: it was said which broker or store")], roles
    for name in ("vogelerd.qhost", "vogeler-agent.qhost"):
        (centre.etc / "credstore" / name).unlink()
    centre.configure(centre.site.qhost)
    status, roles, failed, _ = centre.doctor()
    assert status == 0 and not failed, failed
    assert "no credential of a service can be read in /etc/credstore/" in roles[0][1], roles


@pytest.mark.parametrize("text, said", [("", "no URI in its first line"), (f"\namqp://a:{SECRET}@b/c\n", "no URI"),
                                        (f"couch://a:{SECRET}@127.0.0.1/c\n", "couch")])
def test_credential_that_cannot_be_used(centre, text, said):
    """The service could not use it either; the other one is looked at all the same."""
    centre.put("vogelerd.qhost", text)
    status, roles, failed, lines = centre.doctor()
    assert status == 1 and [line["check"] for line in failed] == ["role"], failed
    assert "/etc/credstore/vogelerd.qhost" in roles[0][1] and said in roles[0][1], roles
    assert "one line" in failed[0]["cure"], failed
    assert roles[1] == ("ok", "agent: /etc/credstore/vogeler-agent.qhost is there, too"), roles
    assert any(line["detail"].startswith("1 reads web01") for line in lines), lines
