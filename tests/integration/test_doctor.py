# SPDX-License-Identifier: Apache-2.0
"""vogeler-admin doctor: each link that is broken is named with its cure, by the real programs on the real broker."""
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest

from lib.process import run
from lib.relay import Listener, pass_on
from lib.site import SOURCE, program
from lib.waiting import wait_until

sys.path.insert(0, str(SOURCE / "tests" / "fake"))
# pylint: disable=wrong-import-position
from fake_couch import Act, FakeCouch, says  # noqa: E402


def doctor(site, *args, qhost=None, dbhost=None, options=()):
    """The exit status, and check -> list of (status, detail, cure). dbhost: "" for none."""
    argv = [program("vogeler-admin"), "--qhost", qhost or site.qhost]
    if dbhost != "":
        argv += ["--dbhost", dbhost or site.dbhost]
    for option in (f"client.state_dir={site.folder}/state", f"global.plugin_path={site.plugins}") + tuple(options):
        argv += ["-o", option]
    done = run(argv + list(args) + ["doctor", "--json"], site.env, site.folder)
    found = {}
    for line in json.loads(done.out):
        found.setdefault(line["check"], []).append((line["status"], line["detail"], line["cure"]))
    assert "-c" in args or done.err == "", done
    return done.status, found


OPERATOR = ("^vogeler.reply..*$", "^vogeler.broadcast.in$", "^vogeler.reply..*$")


def test_each_is_asked_for_what_its_role_needs(site):
    """On a healthy site an operator has no right too few, also on the collector's machine; a host's user has none too few
    for an agent; and who has no right to send commands is no operator."""
    site.collector(level="WARN")
    site.agent(level="WARN")
    status, found = doctor(site, "--as", "operator", qhost=user_of(site, *OPERATOR))
    assert status == 0 and not bad(found), found
    assert [s[1] for s in found["permissions"]] == ["may send to vogeler.broadcast.in"], found
    assert "state folder" not in found and found["store write"][0][0] == "ok", found
    status, found = doctor(site, qhost=user_of(site, *OPERATOR))
    assert status == 1 and "permissions" in bad(found), found
    (site.folder / "state.web01").chmod(0o700)
    host = user_of(site, "^$", "^vogeler.master.in$", "^web01$")
    status, found = doctor(site, "--as", "agent", qhost=host, options=AGENT.format(site.folder).split())
    assert status == 0 and not bad(found), found
    assert found["store database"][0][:2] == ("skip", "an agent needs none"), found
    status, found = doctor(site, "--as", "operator", qhost=host)
    assert status == 1 and "vogeler.broadcast.in" in bad(found)["permissions"][0][1], found
    status, found = doctor(site, "--as", "collector")
    assert status == 0 and not bad(found) and "may read queue master.in" in str(found["permissions"]), found
    done = site.run("vogeler-admin", "--as", "king", "doctor")
    assert done.status == 1 and "--as king: there are agent, collector, operator and reader" in done.err, done


AGENT = "client.name=web01 client.state_dir={}/state.web01"


def user_of(site, *rights):
    """The URI of a user that may configure, write and read these."""
    user = f"u{site.vhost}"
    site.broker.add_user(user, "pw")
    site.broker.set_permissions(site.vhost, user, *rights)
    return site.broker.uri(site.vhost, user, "pw")


def bad(found):
    return {check: [s for s in said if s[0] == "FAIL"] for check, said in found.items()
            if any(s[0] == "FAIL" for s in said)}


def test_all_is_well(any_site):
    site = any_site
    site.plugin("one", "echo 1")
    site.collector()
    site.agent()
    (site.folder / "state.web01").chmod(0o700)
    status, found = doctor(site, options=AGENT.format(site.folder).split())
    assert status == 0 and not bad(found), found
    assert found["collector"][0][0] == "ok" and "1 reads master.in" in found["collector"][0][1], found
    assert found["plugins"][0][0] == "ok" and "1 declared" in found["plugins"][0][1], found
    for check in ("config", "clock", "state folder", "broker dns", "broker tcp", "broker login", "broker vhost",
                  "topology", "permissions", "dead letters", "agent", "store database", "store write",
                  *(("store tcp", "store login", "store clock") if site.dbhost.startswith("couch:") else ()),
                  *(("store login", "store role", "store durability", "store connections", "store clock")
                    if site.dbhost.startswith("pg:") else ())):
        assert all(s[0] == "ok" for s in found[check]), (check, found[check])
    assert len(found["topology"]) == 6, found
    assert [s[1] for s in found["permissions"][1:]] == [
        "may read queue master.in", "may read queue vogeler.fresh", "may read queue web01"], found
    assert found["agent"][0][1].startswith("1 reads web01"), found


def test_text_is_one_line_a_check_without_passwords(site):
    wrong = site.broker.uri(site.vhost, password="wr0ngword")
    done = site.run("vogeler-admin", "--qhost", wrong, "--dbhost", site.dbhost, "doctor")
    assert done.status == 1 and "wr0ngword" not in done.out + done.err, done
    lines = done.out.splitlines()
    assert all(line.split()[0] in ("ok", "warn", "FAIL", "skip") for line in lines), done
    failed = [line for line in lines if line.startswith("FAIL  broker login")]
    assert len(failed) == 1 and 'user "guest" was refused' in failed[0], done
    assert "; cure: check user and password" in failed[0], done
    assert any(line.startswith("skip  permissions") for line in lines), done


@pytest.mark.parametrize("text, said, cure", [
    ("[amqp]\nheartbeat = often\n", r":2: .amqp. heartbeat: 'often' should be", "correct it"),
    ("[amqp]\nrubbish\n", ":2: neither", "correct it"),
    ("[amqp]\nheartbeat = often\nheartbeat_x\nrubbish\n", "^2 wrong: .*:3: neither", "--check-config names them all"),
    (None, "No such file", "make it, or name another"),
])
def test_configuration_that_cannot_be_used(site, text, said, cure):
    path = site.folder / "nowhere.conf" if text is None else site.file("bad.conf", text)
    done = site.run("vogeler-admin", "-c", str(path), "--json", "--qhost", site.qhost, "doctor")
    checks = json.loads(done.out)
    assert done.status == 1 and not done.err, done
    assert checks[0]["check"] == "config" and checks[0]["status"] == "FAIL", checks
    assert re.search(said, checks[0]["detail"]) and cure in checks[0]["cure"], checks[0]
    assert [(c["check"], c["status"]) for c in checks[-2:]] == [("broker", "skip"), ("store", "skip")], checks


def test_looking_makes_nothing(site):
    status, found = doctor(site)
    assert status == 1
    assert [s[0] for s in found["topology"]] == ["FAIL"] * 4 + ["warn"], found
    assert all(s[2] == "vogeler-admin setup" for s in found["topology"]), found
    assert "vogeler-admin setup" in found["store file"][0][2], found
    assert site.broker.queue(site.vhost, "master.in") is None
    assert not (site.folder / "records.db").exists()
    site.admin("setup", qhost=True)
    status, found = doctor(site)
    assert status == 0, found
    assert found["collector"][0][0] == "warn" and found["collector"][0][2].startswith("start vogelerd"), found


def test_sending_leaves_nothing_behind(site):
    site.admin("setup", qhost=True)
    client = site.party("Client2010", "web01")
    status, _ = doctor(site)
    assert status == 0
    assert [site.ready(q) for q in ("master.in", "vogeler.dead", "web01")] == [0, 0, 0]
    client.close()


def test_vhost_that_is_not_there(site):
    status, found = doctor(site, qhost=site.broker.uri("nowhere"))
    assert status == 1 and found["broker login"][0][0] == "ok", found
    assert found["broker vhost"][0][0] == "FAIL" and "rabbitmqctl add_vhost" in found["broker vhost"][0][2], found
    assert found["topology"] == [("skip", "not reached", None)], found


def test_each_broker_of_the_list_is_looked_at(site):
    site.admin("setup", qhost=True)
    status, found = doctor(site, qhost=f"amqp://127.0.0.1:1/x,{site.qhost},amqp://no.such.host.invalid/x")
    assert status == 1
    assert [s[0] for s in found["broker dns"]] == ["ok", "ok", "FAIL"], found
    assert [s[0] for s in found["broker tcp"]] == ["FAIL", "ok", "skip"], found
    assert [s[0] for s in found["broker login"]] == ["skip", "ok", "skip"], found


def test_queue_with_other_arguments_and_user_without_rights(site):
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.queue_declare("master.in", durable=True, arguments={"x-max-length": 5})
    channel.exchange_declare("vogeler.broadcast.in", "fanout", durable=True)
    connection.close()
    site.admin("setup", qhost=True, status=1)  # it tells of the same
    status, found = doctor(site)
    assert status == 1
    said = {s[1].split()[1]: s for s in found["topology"]}
    assert said["master.in"][0] == "FAIL" and "x-max-length" in said["master.in"][1], found
    assert "no policy can change that" in said["master.in"][2], found
    assert said["vogeler.broadcast.in"][0] == "FAIL" and "type" in said["vogeler.broadcast.in"][1], found
    assert said["vogeler.dead"][0] == "ok", found
    user = f"poor{site.vhost}"
    site.broker.add_user(user, "pw")
    site.broker.set_permissions(site.vhost, user, "^$", "^vogeler.broadcast.in$", "^$")
    status, found = doctor(site, qhost=site.broker.uri(site.vhost, user, "pw"))
    assert status == 1
    # Without the right to configure nobody is told of kinds; what is there is there.
    assert all(s[0] == "ok" for s in found["topology"]), found
    said = found["permissions"][0]
    assert said[0] == "FAIL" and "vogeler.master.in" in said[1] and "set_permissions" in said[2], found
    # What was looked at before is told all the same.
    assert found["collector"][0][:2] == ("warn", "nobody reads master.in, messages waiting=0"), found
    assert found["dead letters"] == [("ok", "none", None)], found
    assert "may read" not in str(found) and "queue \"master.in\"" in found["permissions"][1][1], found
    assert "not reached" not in str(found), found


QUORUM = {"x-queue-type": "quorum"}


@pytest.mark.parametrize("wanted, arguments, limited, sayable", [
    ("classic", QUORUM, False, True),
    ("quorum", QUORUM, False, True),
    ("quorum", dict(QUORUM, **{"x-single-active-consumer": True, "x-delivery-limit": 5}), True, False),
    ("quorum", dict(QUORUM, **{"x-single-active-consumer": True, "x-delivery-limit": -1}), True, False),
    ("quorum", dict(QUORUM, **{"x-single-active-consumer": True, "x-delivery-limit": 30}), True, True),
], ids=["options say classic", "no single active consumer", "limit below what an option takes", "none by -1", "limit that an option takes"])
def test_quorum_queue_without_a_delivery_limit_of_ours(site, wanted, arguments, limited, sayable):
    """It is used as it is, and RabbitMQ 4 drops from it: the policy is told, whatever else differs."""
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_declare("web01", durable=True, arguments=arguments)
    connection.close()
    option = ("--option", f"host_queue.type={wanted}")
    told = site.admin(*option, "setup", "web01", qhost=True, status=1).err
    status, found = doctor(site, "--as", "agent", options=[*AGENT.format(site.folder).split(), option[1]])
    (_, said, cure), = [s for s in found["topology"] if s[0] == "FAIL" and "queue web01" in s[1]]
    assert status == 1, found
    for text in (told, cure):
        assert ('\'{"delivery-limit":2147483647}\'' in text and "at the 21st time" in text) != limited, (told, cure)
    assert ("make [host_queue] say" in told) == sayable == ("set the options to what is there" in cure), (told, cure, said)


def test_host_with_an_agent_alone(site):
    """Its user may send answers and read its own queue: all that is looked for, and no store."""
    site.admin("setup", "web01", qhost=True)
    qhost = user_of(site, "^$", "^vogeler.master.in$", "^web01$")
    site.agent(qhost=qhost)
    (site.folder / "state.web01").chmod(0o700)
    status, found = doctor(site, qhost=qhost, dbhost="", options=AGENT.format(site.folder).split())
    assert status == 0, found
    assert [s[1] for s in found["permissions"]] == ["may send to vogeler.master.in", "may read queue web01"], found
    assert found["agent"] == [("ok", "1 reads web01, commands waiting=0", None)], found
    assert "queue web01 is there" in str(found["topology"]), found
    assert found["store write"][0][0] == "skip", found


def test_agent_that_does_not_run_or_may_not_read(site):
    (site.folder / "state.web01").mkdir(mode=0o700)
    options = AGENT.format(site.folder).split()
    site.admin("setup", qhost=True)
    status, found = doctor(site, options=options)
    assert status == 1 and "web01" in str(bad(found)) and found["agent"][0][0] == "skip", found
    assert "vogeler-admin setup, with the name of the host" in bad(found)["topology"][0][2], found
    site.admin("setup", "web01", qhost=True)
    site.ask("hello", "web01")
    status, found = doctor(site, options=options)
    assert status == 0, found
    assert found["agent"] == [("warn", "nobody reads web01, commands waiting=1", "start vogeler-agent")], found
    qhost = user_of(site, "^$", "^vogeler.master.in$", "^web02$")
    status, found = doctor(site, qhost=qhost, dbhost="", options=options)
    assert status == 1 and list(bad(found)) == ["permissions"], found
    said = bad(found)["permissions"][0]
    assert "web01" in said[1] and "refused" in said[1] and "set_permissions" in said[2], said
    # What waits was not touched: not even marked as delivered once.
    connection = site.broker.connect(site.vhost)
    method, _, _ = connection.channel().basic_get("web01")
    assert method.message_count == 0 and not method.redelivered, method
    connection.close()


def test_host_with_a_collector_alone(site):
    site.admin("setup", qhost=True)
    site.collector()
    status, found = doctor(site)
    assert status == 0, found
    assert [s[1] for s in found["permissions"][1:]] == [
        "may read queue master.in", "may read queue vogeler.fresh"], found
    assert found["agent"] == [("skip", "there is none on this machine", None)], found
    assert found["state folder"][0][0] == "skip", found
    qhost = user_of(site, "^$", ".*", "^$")
    status, found = doctor(site, qhost=qhost)
    assert status == 1, found
    for said, queue in zip(bad(found)["permissions"], ("master.in", "vogeler.fresh"), strict=True):
        assert queue in said[1], found


def test_answers_that_nobody_reads_are_told(site):
    """The collector there is of an older version: it knows one of the two queues."""
    site.admin("setup", qhost=True)
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("vogeler.master.in", "fresh", b"x")
    channel.basic_consume("master.in", lambda *_: None)
    _, found = doctor(site)
    said, = found["collector"]
    assert said[0] == "warn" and "nobody reads vogeler.fresh, messages waiting=1" in said[1], found
    assert "upgrade vogelerd" in said[2], found
    connection.close()


def test_waiting_and_dead_letters_are_counted(site):
    site.admin("setup", qhost=True)
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.confirm_delivery()
    channel.basic_publish("", "vogeler.dead", b"x")
    for _ in range(3):
        channel.basic_publish("", "master.in", b"x")
    connection.close()
    status, found = doctor(site)
    assert status == 0
    assert found["dead letters"][0][0] == "warn" and found["dead letters"][0][1].startswith("1 in"), found
    assert "waiting=3" in found["collector"][0][1], found


def test_messages_larger_than_the_broker_takes(site):
    """By its release, since AMQP does not tell."""
    site.admin("setup", qhost=True)
    limit = {3: "128MiB", 4: "16MiB"}[site.broker.major()]
    for ours in ("8MiB", "16MiB", "17MiB", "128MiB"):
        status, found = doctor(site, options=(f"server.message_max_bytes={ours}",))
        said, = found["message size"]
        if int(ours[:-3]) > int(limit[:-3]):
            assert said[0] == "warn" and f"message_max_bytes = {ours} has no effect above {limit}" in said[1], found
            assert "raise max_message_size" in said[2], found
        else:
            assert said[0] == "ok" and f"takes messages of {limit}" in said[1], found
        assert status == 0, found


def test_files_that_others_may_read_or_write(site):
    conf = site.file("v.conf", f"[amqp]\ndsn = {site.qhost}\nhartbeat = 3s\n")
    conf.chmod(0o644)
    (site.folder / "state").mkdir(mode=0o700)
    (site.folder / "state").chmod(0o777)
    site.plugin("good", "echo 1")
    site.plugin("bad", "echo 1").chmod(0o666)
    status, found = doctor(site, "-c", str(conf))
    assert status == 1
    assert found["config"][0][0] == "warn" and "v.conf:3" in found["config"][0][1], found
    assert found["config modes"][0][0] == "FAIL" and "chmod o-r" in found["config modes"][0][2], found
    assert found["state folder"][0][0] == "FAIL" and "chmod go-w" in found["state folder"][0][2], found
    assert found["plugins"][0][0] == "FAIL" and "bad.cfg" in found["plugins"][0][1], found
    conf.chmod(0o640)
    assert doctor(site, "-c", str(conf))[1]["config modes"][0][0] == "ok"
    assert doctor(site, "-c", "/dev/null")[1]["config modes"][0][0] == "ok"  # which all have to be able to write


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_state_folder_of_somebody_else(site):
    """The agent refuses it; an agent that runs as its owner does not, and is known by its lock."""
    state = site.folder / "state"
    state.mkdir(mode=0o700)
    os.chown(state, 1, 1)
    status, detail, cure = doctor(site)[1]["state folder"][0]
    assert status == "warn" and "owned by neither root nor the user this runs as (owner 1)" in detail, detail
    assert cure == "chown it to the user the agent runs as"
    conf = site.file("v.conf", f"[amqp]\ndsn = {site.qhost}\n[client]\nname = web01\nstate_dir = {state}\n")
    agent = run([program("vogeler-agent"), "-c", str(conf), "-p", str(site.plugins), "run"], site.env, site.folder)
    assert agent.status == 1 and "owned by neither root nor the user this runs as (owner 1); cure: chown it" in agent.err
    (state / "lock").touch()
    os.chown(state / "lock", 1, 1)
    assert doctor(site)[1]["state folder"][0][0] == "ok"


def test_store_that_is_down_or_without_the_database(couch_site):
    site = couch_site
    site.admin("setup", qhost=True)
    status, found = doctor(site, dbhost="couch://127.0.0.1:1/x")
    assert status == 1 and found["store tcp"][0][0] == "FAIL" and found["store write"][0][0] == "skip", found
    status, found = doctor(site, dbhost=site.dbhost + "_gone")
    assert status == 1 and found["store database"][0][0] == "FAIL", found
    assert "vogeler-admin setup" in found["store database"][0][2], found
    status, found = doctor(site)
    assert status == 0 and found["store clock"][0] == ("ok", "agrees with ours", None), found


class OtherHead(Listener):
    """Answers "HEAD /" with what it is given, and passes everything else on to a store's port."""

    def __init__(self, port, answer):
        self.to, self.answer = port, answer
        super().__init__()

    def _serve(self, peer):
        first = peer.recv(65536)
        if first.startswith(b"HEAD / ") and self.answer is None:
            peer.recv(1)  # until it gives up
        elif not first or first.startswith(b"HEAD / "):
            peer.sendall(self.answer or b"")
            peer.close()
            return
        server = socket.create_connection(("127.0.0.1", self.to))
        server.sendall(first)
        threading.Thread(target=pass_on, args=(peer, server), daemon=True).start()
        pass_on(server, peer)


def through(dbhost, port):
    """The store's URI by way of a port of ours, with its user and password; and the port that it names."""
    parts = urllib.parse.urlsplit(dbhost)
    login = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login[0]}{login[1]}127.0.0.1:{port}").geturl(), parts.port


def test_views_that_somebody_edited(couch_site):
    """As with Fauxton: the list of hosts is empty, and nothing else is wrong."""
    site = couch_site
    site.admin("setup", qhost=True)
    assert doctor(site)[1]["store content"] == [("ok", "_design/vogeler is as it should be", None)]
    path = f"/{site.database.name}/_design/vogeler"
    design = site.database.couch.request("GET", path)[1]
    for view in design["views"].values():
        view["map"] = "function (doc) { if (doc.type === 'host') emit(doc._id, null); }"
    assert site.database.couch.request("PUT", path, design)[0] == 201
    status, found = doctor(site)
    assert status == 1 and bad(found).keys() == {"store content"}, found
    _, said, cure = found["store content"][0]
    assert "_design/vogeler is not as it should be" in said and "vogeler-admin setup" in cure, found
    assert "was there; _design/vogeler was not as it should be, and is again" in site.admin("setup", qhost=True).out
    assert doctor(site)[1]["store content"][0][0] == "ok"
    assert "is again" not in site.admin("setup", qhost=True).out


def test_clock_of_the_store(couch_site):
    site = couch_site
    _, port = through(site.dbhost, 0)
    for head, expect in ((b"Date: Sat, 01 Jan 2000 00:00:00 GMT\r\n", ("warn", " s before the store's", "timedatectl")),
                         (b"Server: x\r\n", ("skip", "no Date", ""))):
        proxy = OtherHead(port, b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
        _, found = doctor(site, dbhost=through(site.dbhost, proxy.port)[0])
        status, detail, cure = found["store clock"][0]
        assert status == expect[0] and expect[1] in detail and expect[2] in (cure or ""), found
        proxy.listener.close()


def test_store_that_is_silent_about_its_clock(couch_site):
    site = couch_site
    site.admin("setup", qhost=True)
    proxy = OtherHead(through(site.dbhost, 0)[1], None)
    status, found = doctor(site, dbhost=through(site.dbhost, proxy.port)[0], options=["couch.timeout=2s"])
    assert status == 0 and found["store write"][0][0] == "ok", found
    assert found["store clock"] == [("skip", "no answer to HEAD / within 2s", None)], found
    proxy.listener.close()


@pytest.fixture(name="silent")
def silent_fixture():
    """The port of who accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_silent_store_and_silent_broker(site, silent):
    status, found = doctor(site, qhost=f"amqp://127.0.0.1:{silent}/x", dbhost=f"couch://127.0.0.1:{silent}/x",
                           options=["amqp.connect_timeout=300ms", "couch.timeout=1s"])
    assert status == 1, found
    (_, said, _), = bad(found)["broker login"]
    assert "no answer within 300 ms" in said, found
    (_, said, _), = bad(found)["store login"]
    assert "gave no whole answer" in said, found
    for check in ("broker vhost", "topology", "permissions", "store database", "store write", "store clock"):
        assert found[check] == [("skip", "not reached", None)], (check, found)


def test_the_whole_ends_in_time(site, silent):
    """Whatever is being waited for; and on Ctrl-C."""
    argv = ("--qhost", f"amqp://127.0.0.1:{silent}/x", "-o", "amqp.connect_timeout=5min", "doctor")
    done = site.run("vogeler-admin", *argv, "--timeout", "1s")
    assert done.status == 1 and done.err == "", done
    assert re.search(r"^FAIL  doctor            not done within 1s; cure: .*--timeout$", done.out, re.M), done
    assert json.loads(site.run("vogeler-admin", *argv, "--timeout", "1s", "--json").out)[-1]["check"] == "doctor"
    done = site.run("vogeler-admin", *argv, "--timeout", "soon")
    assert done.status == 1 and "--timeout: \"soon\" should be a duration" in done.err, done
    asked = site.process("doctor", [program("vogeler-admin"), *argv])
    asked.may_fail = True
    asked.start()
    wait_until(lambda: "broker tcp" in asked.out(), "it waits for the broker")
    asked.signal(signal.SIGINT)
    assert asked.wait() == 130 and asked.log() == "", asked.report()


def test_blocked_broker(site):
    """It takes no messages; what is only looked at is told."""
    site.admin("setup", qhost=True)
    site.broker.ctl("set_vm_memory_high_watermark", "0.00001")
    try:
        wait_until(lambda: "memory" in site.broker.eval("rabbit_alarm:get_alarms()"), "the alarm is raised")
        status, found = doctor(site)
    finally:
        site.broker.ctl("set_vm_memory_high_watermark", "0.4")
    wait_until(lambda: "memory" not in site.broker.eval("rabbit_alarm:get_alarms()"), "the alarm is over")
    assert status == 1 and list(bad(found)) == ["permissions"], found
    (_, said, cure), = bad(found)["permissions"]
    assert "the broker takes no messages" in said and "memory" in said + cure, found
    assert found["collector"][0][0] == "warn" and found["permissions"][-1][1] == "may read queue vogeler.fresh", found


@pytest.fixture(name="fake")
def fake_fixture():
    fake = FakeCouch()
    yield fake
    fake.stop()


def test_probe_of_the_store_comes_and_goes(site, fake):
    site.admin("setup", qhost=True)
    dbhost = f"couch://127.0.0.1:{fake.port}/records"
    status, found = doctor(site, dbhost=dbhost)
    assert status == 0, found
    assert found["store login"] == [("ok", "without a user: the URI names none", None)], found
    assert found["store write"] == [("ok", "a probe was written and removed", None)], found
    assert fake.databases == {"records": {}, "records_jobs": {}}
    asked = [r.method for r in fake.requests if "_local" in r.target]
    assert asked == ["GET", "PUT", "DELETE"] * 2, asked
    for name in ("records", "records_jobs"):
        fake.script = lambda r, name=name: says(500) if r.method == "DELETE" and r.path[0] == name else None
        status, found = doctor(site, dbhost=dbhost)
        assert status == 1 and list(bad(found)) == ["store write"], found
        assert "is in trouble (500" in found["store write"][0][1] and "its log" in found["store write"][0][2], found
        fake.script = None
        assert doctor(site, dbhost=dbhost)[0] == 0  # what is left from then is in nobody's way
    # Another probe was quicker; or the cluster has not told all its nodes yet.
    for act in (says(409, b'{"error": "conflict"}'), says(404, b'{"error": "not_found", "reason": "deleted"}'),
                Act(apply=True, status=202)):
        fake.script = lambda r, act=act: act if r.method == "DELETE" else None
        assert doctor(site, dbhost=dbhost)[0] == 0


def test_revisions_that_the_store_remembers(site, fake):
    site.admin("setup", qhost=True)
    dbhost = f"couch://ann:s3cr3tword@127.0.0.1:{fake.port}/records"
    for limit, status in ((1000, "warn"), (20, "ok")):
        fake.script = lambda r, limit=limit: says(200, b"%d\n" % limit) if r.path[-1:] == ["_revs_limit"] else None
        _, found = doctor(site, dbhost=dbhost)
        (said, detail, cure), = found["store revisions"]
        assert said == status and f"_revs_limit is {limit}" in detail, found
        assert "s3cr3tword" not in str(found)
        if said == "warn":
            assert f"curl -X PUT http://127.0.0.1:{fake.port}/records/_revs_limit -d 20" in cure


def test_store_that_does_not_let_us_in(site, fake):
    site.admin("setup", qhost=True)
    dbhost = f"couch://ann:s3cr3tword@127.0.0.1:{fake.port}/records"
    fake.script = lambda r: says(401, b'{"error": "unauthorized", "reason": "Name or password is incorrect."}') \
        if r.method != "HEAD" else None
    status, found = doctor(site, dbhost=dbhost)
    assert status == 1 and list(bad(found)) == ["store login"], found
    (_, said, cure), = found["store login"]
    assert "Name or password is incorrect" in said and "password" in cure and "s3cr3tword" not in str(found), found
    assert found["store write"] == [("skip", "not reached", None)], found
    fake.script = lambda r: says(403, b'{"error": "forbidden", "reason": "Account is temporarily locked due to multiple '
                                 b'authentication failures"}') if r.method != "HEAD" else None
    status, found = doctor(site, dbhost=dbhost)
    assert status == 1 and list(bad(found)) == ["store login"], found
    assert "has locked user" in found["store login"][0][1] and "5 minutes" in found["store login"][0][2], found
    # Who he is is known; he is no member of the database.
    fake.script = lambda r: says(403, b'{"error": "forbidden", "reason": "You are not allowed to access this db."}') \
        if r.method != "HEAD" else None
    status, found = doctor(site, dbhost=dbhost)
    assert status == 1 and list(bad(found)) == ["store database"] and found["store login"][0][1] == "as ann", found


def test_probe_of_sqlite_comes_and_goes(site):
    site.admin("setup", qhost=True)
    path = site.folder / "records.db"
    status, found = doctor(site)
    assert status == 0 and found["store write"] == [("ok", "a probe was written and removed", None)], found
    db = sqlite3.connect(path)
    assert db.execute("SELECT * FROM host").fetchall() == []
    db.execute("CREATE TRIGGER kept BEFORE DELETE ON host BEGIN SELECT RAISE(ABORT, 'none may go'); END")
    db.commit()
    status, found = doctor(site)
    assert status == 1 and list(bad(found)) == ["store write"] and "none may go" in found["store write"][0][1], found
    assert db.execute("SELECT * FROM host").fetchall() == []
    db.close()


def test_state_folder_without_a_plugin_folder(site):
    (site.folder / "state").mkdir(mode=0o700)
    site.admin("setup", qhost=True)
    status, found = doctor(site, options=[f"global.plugin_path={site.folder}/nowhere", "client.name=web01"])
    assert found["plugins"][0][0] == "warn" and "No such file" in found["plugins"][0][1], found
    assert "plugin_path" in found["plugins"][0][2], found


def test_what_cannot_be_looked_at(site):
    """Nothing is named, or it is not what it should be."""
    state = site.file("state.file", "")
    conf = site.file("v.conf", "[client]\nname = web01\n")
    conf.chmod(0o646)
    argv = [program("vogeler-admin"), "--dbhost", "null://", "-c", conf, "-o", f"client.state_dir={state}",
            "-o", f"global.plugin_path={site.folder}/nowhere", "doctor"]
    done = run(argv, site.env, site.folder)
    assert done.status == 1, done
    for line in (r"FAIL  config modes      \S*v.conf: everyone may write it \(mode 0646\); cure: chmod o-w the file",
                 r"FAIL  state folder      \S*state.file is not a folder; cure: move it away",
                 r"warn  plugins           \S*nowhere: No such file or directory; cure: ",
                 r"FAIL  broker dns        no broker is named; cure: give --qhost URI",
                 r"warn  store database    null:// keeps nothing"):
        assert re.search("^" + line, done.out, re.M), (line, done.out)


@pytest.mark.parametrize("who", ["everyone", "owner", "folder", "script", "link", "group", "sha256", "user", "shell",
                                 "second", "xargs", "interpreter", "shell with sha256"])
def test_plugin_command_that_others_may_write(site, who):
    """It would run as root, or whom else the agent runs as, in spite of a definition that is guarded well."""
    folder = site.folder / "programs"
    folder.mkdir(mode=0o755)
    program = folder / "collect"
    program.write_text("#!/bin/sh\necho 1\n")
    program.chmod(0o755)
    command, keys = str(program), {}
    if who not in ("owner", "folder", "group"):
        program.chmod(0o777)
    if "shell" in who:
        command = f"/bin/sh -c \"cd / && exec {program}\""
    if who == "shell with sha256":
        keys["sha256"] = hashlib.sha256(Path("/bin/sh").read_bytes()).hexdigest()
    if who == "second":
        command = f"/bin/sh -c \"/bin/true;{program}|cat\""
    if who == "xargs":
        command = f"/usr/bin/xargs {program}"
    if who == "interpreter":
        script = folder / "script"
        script.write_text(f"#!{program} -x\n")
        script.chmod(0o755)
        command = f"/usr/bin/nice {script}"
    if who == "script":
        command = f"/bin/sh {program}"
    if who == "link":
        (site.folder / "linked").symlink_to(program)
        command = str(site.folder / "linked")
    if who == "folder":
        folder.chmod(0o777)
    if who == "owner":
        if os.geteuid() != 0:
            pytest.skip("needs root to give a file away")
        os.chown(program, 65534, 65534)
    if who == "group":
        program.chmod(0o775)
        if os.geteuid() == 0:
            os.chown(program, 0, 50)
    if who == "sha256":
        keys["sha256"] = hashlib.sha256(program.read_bytes()).hexdigest()
    if who == "user":
        keys["user"] = "nobody"
    site.plugin("good", "echo 1")
    site.plugin("bad", command, **keys)
    status, text, cure = doctor(site)[1]["plugin commands"][0]
    if who in ("sha256", "user"):
        assert status == "ok", text
        return
    assert status == ("warn" if who == "group" else "FAIL"), text
    assert re.search(r"bad runs /\S+: .*(write|owner)", text) and "1 of 2" in text and "chmod go-w" in cure, (text, cure)
    site.plugin("worse", command, **keys)
    text = doctor(site)[1]["plugin commands"][0][1]
    assert "2 of 3" in text and "bad runs /" in text and "worse runs /" in text, text


def test_a_postgresql_that_is_not_as_it_should_be(own_pg_site):
    """Each has its line, with the way out; what hosts answer is asked of none that is not reached."""
    site = own_pg_site
    server = site.database.server
    server.sql("ALTER SYSTEM SET full_page_writes = off")
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on")
    server.sql("SELECT pg_reload_conf()")
    status, found = doctor(site, options=["pg.connections=32"])
    assert status == 1, found  # it takes no write
    (state, said, cure), = found["store durability"]
    assert state == "warn" and "full_page_writes is off" in said and "ALTER SYSTEM SET full_page_writes = on" in cure, found
    (state, said, cure), = found["store role"]
    assert state == "warn" and "takes no writes" in said and "pg://user@db1,db2/database" in cure, found
    assert found["store write"][0][0] == "FAIL" and "25006" in found["store write"][0][1], found
    server.sql("ALTER SYSTEM RESET default_transaction_read_only", writes=True)
    server.sql("ALTER SYSTEM SET max_connections = 20", writes=True)
    server.sql("CREATE ROLE cmdb LOGIN PASSWORD 'secret'", writes=True)
    server.stop()
    server.start()
    status, found = doctor(site, options=["pg.connections=32"])
    (state, said, cure), = found["store connections"]
    assert state == "warn" and "a collector wants 32" in said and "max_connections" in cure, found
    site.dbhost = server.uri(site.database.name, "cmdb:wrong", "127.0.0.1")
    status, found = doctor(site)
    (state, said, cure), = found["store login"]
    assert status == 1 and state == "FAIL" and "28P01" in said and "PGPASSFILE" in cure and "wrong" not in str(found), found
    assert found["store tcp"][0][0] == "ok" and found["store database"][0][0] == "skip", found
