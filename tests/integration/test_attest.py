# SPDX-License-Identifier: Apache-2.0
"""A host writes its own record only: the broker vouches for who sent a response, and [server] attest says what follows."""
import json

import pika
import pytest

from lib.client2010 import MASTER
from lib.http import Monitor
from lib.site import program
from lib.process import run
from lib.waiting import wait_until
from test_doctor import doctor
from test_jobs_send import job_of, send, states


@pytest.fixture
def hosts(site):
    """Users web01, web02 and agents, who may send responses; say(user, host, value) does, vouched for by the broker."""
    site.admin("setup", qhost=True)
    connections = {}

    def channel_of(user):
        if user not in connections:
            site.broker.add_user(f"{user}", "pw")
            site.broker.set_permissions(site.vhost, user, "^$", "^vogeler\\.master\\.in$", "^$")
            connections[user] = site.broker.connect(site.vhost, user, "pw")
        return connections[user].channel()

    def say(user, host, value, signed=True, **headers):
        channel_of(user).basic_publish(
            MASTER, "", json.dumps({"syskey": host, "v": value, "format": "raw"}).encode(),
            pika.BasicProperties(delivery_mode=2, user_id=user if signed else None, headers=headers or None))
    site.say = say
    site.channel_of = channel_of
    yield site
    for connection in connections.values():
        connection.close()


def value(site, host):
    return (site.record(host) or {}).get("v")


def test_auto_is_the_default(hosts):
    """Who has a known host's name writes for that host; a user that hosts share writes for all, as before."""
    site = hosts
    site.say("web02", "web02", "hello")
    collector = site.collector()
    wait_until(lambda: value(site, "web02") == "hello", "web02 is known")
    site.say("web02", "web01", "forged")
    site.say("agents", "web01", "shared")
    wait_until(lambda: value(site, "web01") == "shared", "the shared user writes")
    site.wait_queue("vogeler.dead", 1)
    collector.stop()
    assert "forged" not in json.dumps(site.record("web01"))
    collector = site.collector(name="second")  # it knows web02 from the store alone, and from the first message on
    site.say("web02", "web01", "forged")
    site.wait_queue("vogeler.dead", 2)
    dead = site.dead_letters()
    assert [d[0].headers["x-sender"] for d in dead] == ["web02", "web02"]
    assert all("web02" in d[0].headers["x-reason"] for d in dead)
    assert value(site, "web01") == "shared"
    collector.stop()


def test_yes(hosts):
    site = hosts
    site.collector(options=["server.attest=yes"])
    site.say("agents", "web01", "shared")
    site.say("web01", "web01", "own")
    wait_until(lambda: value(site, "web01") == "own", "its own is stored")
    site.wait_queue("vogeler.dead", 1)
    wait_until(lambda: doctor(site)[1]["store forged"][0][0] == "warn", "doctor tells of it")
    detail = doctor(site)[1]["store forged"][0][1]
    assert "for=1," in detail and 'user "agents" wrote in the name of "web01", sender=agents' in detail, detail
    assert "jobs" not in detail  # it answered none


def test_who_does_not_say_who_he_is(hosts):
    """The broker vouches only for a user_id that is there: auto goes by it, yes demands it, and doctor says so of auto."""
    site = hosts
    collector = site.collector(options=["server.attest=yes"])
    site.say("web02", "web02", "own")
    site.say("web02", "web01", "nameless", signed=False)
    site.wait_queue("vogeler.dead", 1)
    wait_until(lambda: value(site, "web02") == "own", "web02 is known")
    assert site.record("web01") is None
    collector.stop()
    site.collector(name="second", options=["server.attest=auto"])
    site.say("web02", "web01", "nameless", signed=False)
    wait_until(lambda: value(site, "web01") == "nameless", "auto cannot tell whose it is")
    done = run([program("vogeler-admin"), "--qhost", site.qhost, "--dbhost", site.dbhost, "doctor", "--json"], site.env,
               site.folder)
    told = [line for line in json.loads(done.out) if line["check"] == "attest"]
    assert "names no user" in told[0]["detail"] and "attest = yes" in told[0]["detail"], told


VOUCHED = {  # what the host web01 may say that does not name it
    "absent": b'{"v": 1, "format": "raw"}',
    "cut short": b'{"sys',
    "large": b'{"v": "' + b"x" * 300_000,
    "case": b'{"syskey": "WEB01", "v": 1, "format": "raw"}',
    "another's": b'{"syskey": "web02", "v": 1, "format": "raw"}',
    "no text": b'{"syskey": 1, "v": 1, "format": "raw"}',
    "no JSON": b"\xff\xfe{",
    "nothing": b"",
}


def answer(site, user, body):
    """Sends a command to web01, and as that user this answer to it; the job."""
    job = job_of(send(site, "-n", "web01"))
    site.channel_of(user).basic_publish(MASTER, "", body, pika.BasicProperties(
        delivery_mode=2, user_id=user, correlation_id=job, headers={"plugin": "hello", "state": "ok"}))
    return job


def queue_of(site, host):
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.queue_declare(host, durable=True)
    channel.queue_bind(host, "vogeler.broadcast.in", host)
    connection.close()


@pytest.mark.parametrize("policy", ["auto", "yes", "no"])
def test_a_host_that_the_broker_vouches_for_is_told(hosts, policy):
    """Whatever its answer says of whose it is: user_id names the host, correlation_id the job."""
    site = hosts
    queue_of(site, "web01")
    for host in ("web01", "web02"):
        site.say(host, host, "hello")
    collector = site.collector()
    wait_until(lambda: value(site, "web01") and value(site, "web02"), "both are known")
    collector.stop()
    site.collector(name="second", options=[f"server.attest={policy}"])  # that knows them from the store alone
    for kind, body in VOUCHED.items():
        if policy == "no" and kind in ("case", "another's"):
            continue  # then anybody may write that
        job = answer(site, "web01", body)
        wait_until(lambda: states(site, job) == {"web01": "failed"}, kind)  # pylint: disable=cell-var-from-loop
    assert "was not stored" in site.record("web01")["last_error"]["message"]
    assert "last_error" not in site.record("web02")
    assert site.record("WEB01") is None


def test_a_shared_user_makes_no_failures(hosts):
    """Who writes in another's name fails nobody: it is counted, and said once a minute."""
    site = hosts
    queue_of(site, "web01")
    site.say("web01", "web01", "hello")
    monitor = Monitor("server")
    collector = site.collector(options=["server.attest=yes", monitor.option], level="WARN")
    wait_until(lambda: value(site, "web01"), "it is known")
    for body in (b'{"syskey": "web01", "v": 1, "format": "raw"}', b'{"v": 1, "format": "raw"}'):
        job = answer(site, "agents", body)
    wait_until(lambda: monitor.metric("vogeler_dead_untold_total") == 2, "both are counted")
    assert states(site, job) == {"web01": "queued"}
    assert "last_error" not in site.record("web01") and site.record("agents") is None
    assert collector.log_count("its job is not told") == 1, collector.log()
    collector.wait_log("agents.*wrote in the name of.*web01")
    status, detail, cure = doctor(site)[1]["dead letters"][0]
    assert status == "warn" and detail.startswith("2 in") and "its job does not know" in cure, (detail, cure)
    wait_until(lambda: "for=2," in doctor(site)[1]["store forged"][0][1], "doctor counts both", 30)
    status, detail, cure = doctor(site)[1]["store forged"][0]
    assert status == "warn" and "sender=agents; those whose jobs were not told, and wait on=2" in detail, detail
    assert "x-sender" in cure


def test_no_is_told_at_the_start_and_by_doctor(hosts):
    site = hosts
    collector = site.collector(options=["server.attest=no"], level="WARN")
    collector.wait_log("WARN.*attest = no")
    site.say("web02", "web02", "x")
    site.say("web02", "web01", "forged")
    wait_until(lambda: value(site, "web01") == "forged", "anybody writes for anybody")
    for policy, status in (("no", "warn"), ("auto", "ok"), ("yes", "ok")):
        done = run([program("vogeler-admin"), "--qhost", site.qhost, "--dbhost", site.dbhost, "-o",
                    f"server.attest={policy}", "doctor", "--json"], site.env, site.folder)
        told = [line for line in json.loads(done.out) if line["check"] == "attest"]
        assert [line["status"] for line in told] == [status], done
        assert policy in told[0]["detail"]


def test_a_dead_letter_that_is_put_back_is_its_senders(hosts):
    """By a user of retry_users: x-sender counts. By a host: it does not."""
    site = hosts
    site.collector(options=["server.attest=yes", "server.retry_users=ops"])
    site.say("ops", "web01", "put back", **{"x-sender": "web01"})
    wait_until(lambda: value(site, "web01") == "put back", "it is web01's")
    site.say("web02", "web01", "forged", **{"x-sender": "web01"})
    site.say("ops", "web01", "forged", **{"x-sender": "web02"})
    site.wait_queue("vogeler.dead", 2)
    assert sorted(d[0].headers["x-sender"] for d in site.dead_letters()) == ["web02", "web02"]
    assert value(site, "web01") == "put back"
