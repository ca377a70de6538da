# SPDX-License-Identifier: Apache-2.0
"""Passwords that change while the daemons run: no restart, nothing lost, and SIGHUP is what it takes."""
import base64
import signal
import sys

import pytest

from conftest import open_site
from lib.client2010 import MASTER
from lib.site import SOURCE, program
from lib.waiting import wait_until

sys.path.insert(0, str(SOURCE / "tests" / "fake"))
# pylint: disable=wrong-import-position
from fake_couch import FakeCouch, says  # noqa: E402

SLOW = "[amqp]\nreconnect_max = 10min\n"  # it is not by waiting that a new password is found


class Daemons:
    """vogelerd and an agent that have their passwords from a file."""

    def __init__(self, site):
        self.site = site
        self.user = f"rot-{site.vhost}"
        self.conf = site.folder / "vogeler.conf"
        site.broker.add_user(self.user, "pw-one")
        site.broker.set_permissions(site.vhost, self.user, ".*", ".*", ".*")
        site.plugin("hello", "echo hello")

    def write(self, password, more=""):
        dsn = self.site.broker.uri(self.site.vhost, self.user, password)
        self.conf.write_text(f"{SLOW}dsn = {dsn}\n[persistence]\ndsn = {self.site.dbhost}\n{more}")

    def start(self):
        argv = self.site.agent_argv()
        at = argv.index("--qhost")
        argv[at:at + 2] = ["-c", self.conf]
        self.collector = self.site.process("vogelerd", [
            program("vogelerd"), "-c", self.conf, "--loglevel", "DEBUG", "--option", "server.listen=none"]).start()
        self.agent = self.site.process("agent.web01", argv).start()
        self.both = [self.collector, self.agent]
        self.wait_consumers()

    def wait_consumers(self):
        self.site.wait_consumer("master.in", self.collector)
        self.site.wait_consumer("web01", self.agent)

    def reload(self):
        seen = [p.log_count("reloaded") for p in self.both]
        for process in self.both:
            process.signal(signal.SIGHUP)
        for process, times in zip(self.both, seen):
            process.wait_log("reloaded", times + 1)

    def hang_up(self):
        self.site.broker.ctl("close_all_connections", "-p", self.site.vhost, "the password was changed")

    def answer(self):
        stored = (self.site.meta("hello") or {}).get("order", 0)
        self.site.ask("hello")
        self.site.wait_meta("hello", lambda m: m.get("order", 0) > stored, "a new answer")


@pytest.fixture(name="daemons")
def daemons_fixture(site):
    daemons = Daemons(site)
    daemons.write("pw-one")
    daemons.start()
    yield daemons
    site.broker.ctl("delete_user", daemons.user)


def test_broker_password_changed_before_the_file(daemons):
    """Refused, told in one line, tried slowly; the new one is tried when it is there."""
    daemons.site.broker.add_user(daemons.user, "pw-two")
    daemons.hang_up()
    for process in daemons.both:
        process.wait_log(rf'down \(auth\): .*user "{daemons.user}" was refused.*retry_in=[1-9]\d\d\.')
    daemons.site.ask("hello")  # it waits in the queue
    daemons.write("pw-bad")
    daemons.reload()
    for process in daemons.both:
        process.wait_log(r"down \(auth\)", 2)
    daemons.write("pw-two", "[server]\nprefetch = none\n")  # whole or not at all
    for process in daemons.both:
        process.signal(signal.SIGHUP)
    daemons.collector.wait_log("the options have errors")
    daemons.agent.wait_log("not reloaded")
    for process in daemons.both:
        assert not process.log_contains("-> CONNECTING, reason=retry", 6)
    daemons.write("pw-two")
    daemons.reload()
    daemons.wait_consumers()
    assert daemons.site.wait_plugin("hello") == ["hello"]
    for process in daemons.both:
        assert "pw-" not in process.log(), "a password is in the log"


def test_file_of_the_broker_that_is_gone(daemons):
    """[amqp] dsn_file, gone at a reload: that is said, and not that the broker is another one."""
    file = daemons.site.folder / "file.qhost"
    file.write_text(daemons.site.broker.uri(daemons.site.vhost, daemons.user, "pw-one") + "\n")
    daemons.conf.write_text(f"{SLOW}dsn_file = {file}\n[persistence]\ndsn = {daemons.site.dbhost}\n")
    daemons.reload()
    file.rename(f"{file}.away")
    for process in daemons.both:
        process.signal(signal.SIGHUP)
        process.wait_log("not reloaded: ")
        assert process.log_contains(rf"\[amqp\] dsn_file: {file}: No such file or directory")
    file.with_name("file.qhost.away").rename(file)
    daemons.reload()
    daemons.answer()
    for process in daemons.both:
        assert not process.log_contains("need a restart")


def test_broker_password_changed_after_the_file(daemons):
    """Whoever reloads first sees no failure at all; the user may be another one, too."""
    daemons.site.broker.add_user(daemons.user, "pw-two")
    daemons.write("pw-two")
    daemons.reload()
    daemons.answer()  # on the connections that are up
    daemons.hang_up()
    for process in daemons.both:
        process.wait_log("-> READY", 2)
    daemons.wait_consumers()
    daemons.answer()
    for process in daemons.both:
        assert not process.log_contains("was refused")


def test_another_place_needs_a_restart(daemons):
    """Each option that has changed and does not take effect is named, and no other."""
    daemons.conf.write_text(f"{SLOW}ca_file = /ca.pem\ndsn = amqp://guest:guest@127.0.0.1:1/other\n"
                            "[persistence]\ndsn = sqlite:///x.db\n[client]\nlisten = 127.0.0.1:1\n"
                            "[host_queue]\ntype = quorum\n[couch]\nca_file = /ca.pem\n[server]\nprefetch = 7\n")
    daemons.reload()
    uri = r"the {} \(but for user and password\)".format
    daemons.collector.wait_log(rf"changes of \[amqp\] ca_file, {uri('broker')}, \[couch\] ca_file, {uri('store')} "
                               "need a restart$")
    daemons.agent.wait_log(rf"changes of \[amqp\] ca_file, {uri('broker')}, \[client\] listen, \[host_queue\] type "
                           "need a restart$")
    daemons.answer()


class Guarded(FakeCouch):
    """It lets one password in."""

    def __init__(self):
        super().__init__()
        self.password = "pw-one"
        self.refused = 0
        self.script = self.guard

    def guard(self, request):
        wanted = base64.b64encode(f"ann:{self.password}".encode()).decode()
        if request.headers.get("authorization") == f"Basic {wanted}":
            return None
        self.refused += 1
        return says(401, b'{"error":"unauthorized","reason":"Name or password is incorrect."}')


class Store:
    def __init__(self, fake):
        self.dbhost = f"couch://ann:pw-one@127.0.0.1:{fake.port}/records"


def test_store_password_changed(request, broker, tmp_path):
    """What comes meanwhile waits in the broker."""
    fake = Guarded()
    for site in open_site(request, broker, tmp_path, Store(fake)):
        conf = site.file("vogeler.conf", f"[amqp]\ndsn = {site.qhost}\n[couch]\ndsn = {site.dbhost}\n"
                                         "[server]\nstore_patience = 1s\n")
        process = site.process("vogelerd", [program("vogelerd"), "-c", conf, "--loglevel", "DEBUG", "--option",
                                            "server.listen=none"]).start()
        site.wait_consumer("master.in", process)
        client = site.party("Client2010", "sender")

        def send(host):
            client._publish(MASTER, "", {"syskey": host, "p": "1", "format": "json"})  # pylint: disable=protected-access
        send("h1")
        wait_until(lambda: fake.get("h1"), "h1 is stored")
        fake.password = "pw-two"
        send("h2")
        process.wait_log(r'denies access to user "ann" \(401: unauthorized, Name or password is incorrect.*cure: ')
        process.wait_log("TAKING -> PROBING")
        site.wait_queue("master.in", 1)
        refused = fake.refused
        conf.write_text(conf.read_text().replace("ann:pw-one", "ann:pw-two"))
        process.signal(signal.SIGHUP)
        wait_until(lambda: fake.get("h2"), "h2 is stored")
        site.wait_drained("master.in")
        assert fake.refused <= refused + 1, "an old password was used after the reload"
        assert not site.ready("vogeler.dead")
        assert process.log_contains("options reloaded$") and "ann:pw-two" not in process.log()
    fake.stop()
