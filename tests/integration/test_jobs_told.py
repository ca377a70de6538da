# SPDX-License-Identifier: Apache-2.0
"""What is said of a job is true: queued is what the broker has confirmed, and what may still be answered."""
import json
import signal
import time

import pika
import pytest

from lib.client2010 import MASTER
from lib.http import Monitor
from lib.site import all_stores
from lib.waiting import wait_until
from test_doctor import doctor
from test_jobs_send import background, fleet, job_of, result, send, states  # pylint: disable=unused-import


@pytest.fixture(name="alarm")
def fixture_alarm(site):
    """The broker confirms nothing, as long as the test lasts or until it is called."""
    def over():
        site.broker.ctl("set_vm_memory_high_watermark", "absolute", "512MB")
    site.broker.ctl("set_vm_memory_high_watermark", "0.00001")
    yield over
    over()


# Before the broker's confirm

def test_what_the_broker_does_not_confirm_is_unsent(site, fleet, alarm):
    began = time.monotonic()
    done = send(site, "-n", "web01", "--confirm", "1s", status=1)
    assert time.monotonic() - began < 25, done
    assert "not confirmed within 1s" in done.err and "low on memory" in done.err and "unsent; job" in done.err, done
    assert done.out == "", done
    assert states(site, job_of(done)) == {"web01": "unsent"}
    every = send(site, "-n", "all", "--confirm", "1s", status=1)
    assert set(states(site, job_of(every)).values()) == {"unsent"}
    assert site.runner("result", job_of(every), dbhost=True, status=1).out.startswith("unsent (not confirmed")
    alarm()
    site.wait_drained("master.in")
    assert states(site, job_of(done)) == {"web01": "unsent"}


@pytest.mark.parametrize("hosts", ["web01", "all"])
def test_the_end_of_the_wait_before_the_confirm(site, fleet, alarm, hosts):
    done = send(site, "-n", hosts, "--wait=1s", status=1)
    assert "unsent" in done.out and "queued" not in done.out, done
    assert set(states(site, job_of(done)).values()) == {"unsent"}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("args", [["-n", "web01"], ["-n", "all", "--wait"]])
def test_a_runner_that_ends_before_the_confirm(site, fleet, alarm, how, args):
    runner = background(site, *args)
    runner.wait_log("takes no messages for now")
    def written():
        listed = site.runner("jobs", "--jsonl", dbhost=True).out.splitlines()
        return json.loads(listed[0])["job"] if listed else None
    job = wait_until(written, "the job is in the ledger")
    runner.signal(how)
    runner.wait()
    assert set(states(site, job).values()) == {"unsent"}
    assert site.runner("result", job, dbhost=True, status=1)


def test_without_wait_it_is_queued_when_it_says_sent(site, fleet):
    for args, n in ((["-n", "all"], 5), (["-n", "web*"], 3), (["-n", "web01"], 1)):
        done = send(site, *args)
        assert list(states(site, job_of(done)).values()) == ["queued"] * n


def test_a_job_of_a_runner_that_writes_no_notes_counts_as_confirmed(site, ledger):
    ledger.add_job("0192e4c0-0000-7000-8000-000000000001", "hello", ["web01"])
    assert states(site, "0192e4c0-0000-7000-8000-000000000001") == {"web01": "queued"}


@pytest.fixture(name="ledger")
def fixture_ledger(site):
    from lib.ledger import Ledger  # pylint: disable=import-outside-toplevel
    site.collector()
    return Ledger(site)


JSON = ["--json", "--jsonl"]


def sent_event(out):
    event = json.loads(out.splitlines()[-1])
    assert event["kind"] == "sent" and not event.get("sent") and event["targets"] == 1, out
    return event


@pytest.mark.parametrize("form", JSON)
def test_json_has_an_object_also_when_nothing_is_confirmed(site, fleet, alarm, form):
    event = sent_event(send(site, "-n", "web01", "--confirm", "1s", form, status=1).out)
    assert "not confirmed within 1s" in event["unsent"] and event["tracked"], event
    for args in ([], ["--wait"]):
        n_jobs = len(site.runner("jobs", "--jsonl", dbhost=True).out.splitlines())
        runner = background(site, "-n", "web01", form, *args, name="runner" + "".join(args))
        runner.wait_log("takes no messages for now")
        wait_until(lambda: len(site.runner("jobs", "--jsonl", dbhost=True).out.splitlines()) > n_jobs, "it is in the ledger")
        runner.signal(signal.SIGINT)
        runner.wait()
        assert "interrupted" in sent_event(runner.out())["unsent"]


@pytest.mark.parametrize("form", JSON)
@pytest.mark.parametrize("args", [[], ["--wait"]])
def test_json_has_an_object_also_when_the_broker_lets_nobody_in(site, fleet, form, args):
    qhost = site.broker.uri(site.vhost, password="wrong")
    done = site.run("vogeler-runner", "--qhost", qhost, "--dbhost", site.dbhost, "-n", "web01", "-x", "hello", form, *args)
    event = sent_event(done.out)
    assert done.status == 1 and event["unsent"] and not event["tracked"], done


# Hosts that no queue takes commands for

def delete_queue(site, host):
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_delete(host)
    connection.close()


@all_stores
def test_a_command_to_all_tells_who_has_no_queue(site, fleet):
    """With the rights that docs/running.md gives to who sends commands."""
    delete_queue(site, "web02")
    site.broker.add_user("ops", "pw")
    site.broker.set_permissions(site.vhost, "ops", r"^vogeler\.reply\..*$", r"^vogeler\.broadcast\.in$",
                                r"^vogeler\.reply\..*$")
    qhost = site.broker.uri(site.vhost, "ops", "pw")
    argv = ["vogeler-runner", "--qhost", qhost, "--dbhost", site.dbhost, "-n", "all", "-x", "hello"]
    done = site.run(*argv)
    assert done.status == 4 and "sent hello to all" in done.out, done
    assert "1 of 5: no queue at the broker takes its commands, though it has a record: web02;" in done.err, done
    assert states(site, job_of(done)) == {"db01": "queued", "db02": "queued", "web01": "queued", "web02": "unroutable",
                                          "web10": "queued"}
    assert "though it has a record" in [h["why"] for h in result(site, job_of(done))["hosts"] if "why" in h][0]
    done = site.run(*argv, "--wait=1s")
    assert done.status == 4 and "1 unroutable + 4 queued" in done.out, done
    done = site.run(*argv, "--json")
    assert json.loads(done.out)["unroutable"] == ["web02"], done


def test_a_command_to_all_that_many_have_no_queue_for(site, fleet):
    hosts = [f"off{i:03}" for i in range(200)]
    for host in hosts:
        fleet.channel.basic_publish(MASTER, "", json.dumps({"syskey": host, "format": "pydict"}).encode(),
                                    pika.BasicProperties(delivery_mode=2))
    site.wait_drained("master.in")
    done = send(site, "-n", "all", status=4)
    assert "200 of 205: no queue" in done.err, done
    told = states(site, job_of(done))
    assert sorted(h for h in told if told[h] == "unroutable") == hosts
    assert list(told.values()).count("queued") == 5


def test_a_known_host_without_a_queue_is_no_stranger(site, fleet):
    delete_queue(site, "web01")
    fleet.channel.queue_unbind("web02", "vogeler.broadcast.in", "web02")
    for host in ("web01", "web02"):
        done = send(site, "-n", host, status=4)
        assert f"{host}: no queue at the broker takes its commands, though it has a record" in done.err, done
        assert "never seen" not in done.err and "no such host" not in done.err, done
        fleet.channel.queue_unbind("web02", "vogeler.broadcast.in", "web02")
    done = send(site, "-n", "nowhere", status=4)
    assert "nowhere: no such host: it was never seen" in done.err, done
    delete_queue(site, "web02")
    done = send(site, "-n", "web01,web02,nowhere,db01", status=4)
    assert "2 of 4: no queue at the broker" in done.err and ": web01, web02;" in done.err, done
    assert "1 of 4: no such host: nowhere;" in done.err, done
    whys = {h["host"]: h.get("why", "") for h in result(site, job_of(done))["hosts"]}
    assert "never seen" in whys["nowhere"] and "though it has a record" in whys["web01"], whys


# Refused by the broker

def fill_queue(site, host):
    """A queue of that host that takes nothing more, and refuses what comes."""
    channel = site.broker.connect(site.vhost).channel()
    channel.queue_delete(host)
    channel.queue_declare(host, durable=True, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.queue_bind(host, "vogeler.broadcast.in", "broadcasts.*")
    channel.queue_bind(host, "vogeler.broadcast.in", host)
    channel.basic_publish("", host, b'"before"', pika.BasicProperties(delivery_mode=2))
    site.wait_queue(host, 1)


@all_stores
def test_a_full_queue_is_named_and_the_others_have_it(site, fleet):
    fill_queue(site, "web02")
    done = send(site, "-n", "all", status=1)
    assert "sent hello to 4 hosts" in done.out, done
    assert "1 of 5 unsent, refused by the broker: the host's queue may be full: web02" in done.err, done
    job = job_of(done)
    assert states(site, job) == {"db01": "queued", "db02": "queued", "web01": "queued", "web02": "unsent",
                                 "web10": "queued"}
    assert {fleet.take("web01")[1].message_id for _ in range(2)} == {job}  # an agent knows the second one
    text = site.runner("result", job, dbhost=True, status=1).out
    assert "unsent (refused by the broker: the host's queue may be full): web02" in text, text
    waited = send(site, "-n", "web01,web02", "--wait=1s", status=1)
    assert "1 unsent + 1 queued" in waited.out, waited


def test_what_is_sent_again_by_name_runs_once(site, fleet):
    site.plugin("hello", ["sh", "-c", f"echo x >> {site.folder}/runs; sleep 1; cat {site.folder}/runs"])
    site.agent("web01")
    fill_queue(site, "web02")
    job = job_of(send(site, "-n", "all", status=1))
    wait_until(lambda: states(site, job)["web01"] == "ok", "web01 has answered")
    site.wait_drained("web01", "master.in")
    assert (site.folder / "runs").read_text() == "x\n"


def test_a_cancel_that_one_queue_refuses_reaches_the_others(site, fleet):
    job = job_of(send(site, "-n", "all"))
    fill_queue(site, "web02")
    done = site.runner("cancel", job, dbhost=True, status=1)
    assert "refused the cancel to 1 of 5 hosts" in done.err, done
    assert states(site, job) == {"db01": "cancelled", "db02": "cancelled", "web01": "cancelled", "web02": "queued",
                                 "web10": "cancelled"}


# Answers that are not taken

@all_stores
@pytest.mark.parametrize("watching", [False, True])
def test_an_answer_too_large_for_the_record_is_a_failure(site, watching):
    site.plugin("hello", ["sh", "-c", "head -c 300000 /dev/zero | tr '\\\\0' x"], "string")
    site.plugin("small", "echo small")
    site.collector(options=["server.record_max_bytes=200KiB"])
    site.agent()
    site.wait_record(lambda r: True, "exists")
    if watching:
        done = send(site, "-n", "web01", "--wait", status=2)
        assert "failed" in done.out and "was not stored: record" in done.out, done
        job = job_of(done)
    else:
        job = job_of(send(site, "-n", "web01"))
        wait_until(lambda: states(site, job) == {"web01": "failed"}, "the job knows")
    assert "was not stored: record" in result(site, job)["hosts"][0]["why"]
    assert "was not stored: record" in site.wait_last_error("was not stored")["message"]
    site.wait_drained("master.in")
    assert len(site.dead_letters()) == 1
    site.ask("small")
    site.wait_plugin("small")


def test_poison_that_answers_a_job_is_a_failure(site, fleet):
    """Too large to be taken, and no JSON further on: the host is the one that the beginning names."""
    job = job_of(send(site, "-n", "web01,web02"))
    properties = {host: pika.BasicProperties(delivery_mode=2, message_id=f"r.{host}", correlation_id=job, headers={
        "plugin": "hello", "state": "ok", "order": "5"}) for host in ("web01", "web02")}
    fleet.channel.basic_publish(MASTER, "", b'{"syskey": "web01", "hello": "' + b"x" * 9_000_000 + b'", "format": "raw"}',
                                properties["web01"])
    fleet.channel.basic_publish(MASTER, "", b'{"syskey": "web02", "hello": oops, "format": "raw"}', properties["web02"])
    wait_until(lambda: set(states(site, job).values()) == {"failed"}, "the job knows")
    whys = {h["host"]: h["why"] for h in result(site, job)["hosts"]}
    assert "message_max_bytes" in whys["web01"] and "not JSON" in whys["web02"], whys
    assert "was not stored" in site.record("web02")["last_error"]["message"]
    assert len(site.dead_letters()) == 2


LARGE = b"x" * 300_000  # held packed as soon as it is read
POISON = {
    "cut short": (b'{"syskey": "web01", "hello": "' + LARGE, {}),
    "key": (b'{"syskey": "web01", "_id": 1, "hello": "' + LARGE + b'", "format": "string"}', {}),
    "type": (b'{"syskey": "web01", "hello": "' + LARGE + b'", "format": "string"}', {"content_type": "image/png"}),
    "format": (b'{"syskey": "web01", "hello": "' + LARGE + b'", "format": "xml"}', {}),
    "UTF-8": (b'{"syskey": "web01", "hello": "' + LARGE + b'\xff", "format": "string"}', {}),
    "depth": (b'{"syskey": "web01", "format": "json", "hello": ' + b"[" * 70 + LARGE.replace(b"x", b" ") + b"]" * 70 + b"}", {}),
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_is_a_failure_however_large(site, fleet, kind):
    job = job_of(send(site, "-n", "web01"))
    body, properties = POISON[kind]
    fleet.channel.basic_publish(MASTER, "", body, pika.BasicProperties(
        delivery_mode=2, correlation_id=job, headers={"plugin": "hello", "state": "ok"}, **properties))
    wait_until(lambda: states(site, job) == {"web01": "failed"}, "the job knows")
    assert "was not stored" in result(site, job)["hosts"][0]["why"]
    assert "was not stored" in site.record()["last_error"]["message"]
    assert len(site.dead_letters()) == 1


@pytest.mark.parametrize("body", [{}, {"last_error": {"timestamp": "x", "message": ""}}])
@pytest.mark.parametrize("headers", [{"plugin": "hello", "state": "ok"}, {"plugin": "hello"}, {}])
def test_an_answer_that_says_nothing_is_a_failure_with_a_reason(site, fleet, body, headers):
    job = job_of(send(site, "-n", "web01"))
    fleet.channel.basic_publish(MASTER, "", json.dumps({"syskey": "web01", "format": "output", **body}).encode(),
                                pika.BasicProperties(delivery_mode=2, correlation_id=job, headers=headers))
    wait_until(lambda: states(site, job) == {"web01": "failed"}, "the job knows")
    why = result(site, job)["hosts"][0]["why"]
    assert ("no reason" if body else "has no result") in why
    assert site.record()["last_error"]["message"] == why


# Answers that are older than the record

@all_stores
def test_an_order_ahead_of_the_clock_is_told_and_can_be_forgotten(site):
    """A message of a stolen host; the same comes of a wrong clock and a lost state folder."""
    site.plugin("hello", "echo hello")
    monitor = Monitor("server")
    site.collector(options=[monitor.option])
    site.agent()
    site.ask("hello")
    machine = site.wait_meta("hello", lambda m: "order" in m, "has an order")["machine_id"]
    order = 2 ** 53 - 1 if hasattr(site, "database") else 2 ** 63 - 1  # the stand-in of CouchDB keeps no larger one
    connection = site.broker.connect(site.vhost)
    connection.channel().basic_publish(MASTER, "", b'{"syskey":"web01","hello":"frozen","format":"output"}',
                                       pika.BasicProperties(delivery_mode=2, headers={
                                           "plugin": "hello", "state": "ok", "order": str(order),
                                           "machine_id": machine}))
    site.wait_record(lambda r: r["hello"] == ["frozen"], "is frozen")
    done = send(site, "-n", "web01", "--wait")
    assert "web01: ok: not stored: the newest order of this host is" in done.out, done
    assert '"vogeler-admin forget-order web01" mends it' in done.out, done
    assert site.value("hello") == ["frozen"]
    assert "newest order is" in site.admin("hosts").out and "1 answers dropped" in site.admin("show", "web01").out
    assert "forget-order web01" in site.admin("show", "web01").out
    listed = json.loads(site.admin("hosts", "--json").out)[0]
    assert listed["order_ahead_ms"] > 0 and listed["dropped_as_older"] == 1, listed
    assert monitor.metric("vogeler_results_older_total") == 1
    status, detail, cure = doctor(site)[1]["store orders"][0]
    assert status == "warn" and "hosts=1, dropped=1" in detail and "forget-order web01" in cure, (detail, cure)
    assert "are forgotten" in site.admin("forget-order", "web01").out
    done = send(site, "-n", "web01", "--wait")
    assert "not stored" not in done.out, done
    assert doctor(site)[1]["store orders"][0][0] == "ok"
    assert site.value("hello") == ["hello"]
    assert "newest order" not in site.admin("hosts").out
    site.admin("forget-order", "nowhere", status=4)
    connection.close()


# Too late for the host

@all_stores
def test_an_expired_command_is_answered(site):
    site.plugin("hello", "echo hello")
    site.collector()
    site.agent()
    site.wait_record(lambda r: True, "exists")
    assert "= 1 expired" in send(site, "-n", "web01", "--ttl", "1ms", "--wait", status=3).out
    job = job_of(send(site, "-n", "web01", "--ttl", "1ms"))
    wait_until(lambda: "response_id" in result(site, job)["hosts"][0], "the host says so")
    host = result(site, job)["hosts"][0]
    assert host["state"] == "expired" and host["why"].startswith("expired 0 s ago, not run"), host
    text = site.runner("result", job, dbhost=True, status=3).out
    assert "expired (expired 0 s ago, not run): web01" in text, text
    record = site.record()
    assert "last_error" not in record and "hello" not in record


def test_a_clock_that_is_wrong_is_named(site, fleet):
    """The host's clock is a year ahead, as the collector sees it."""
    job = job_of(send(site, "-n", "web01"))
    sent = fleet.take("web01")[1]
    year = 365 * 86400
    fleet.channel.basic_publish(MASTER, "", json.dumps(
        {"syskey": "web01", "format": "pydict", "last_error": {"timestamp": "x", "message": "expired 358 d ago, not run"}}
    ).encode(), pika.BasicProperties(delivery_mode=2, message_id="r1", correlation_id=sent.message_id, headers={
        "plugin": "hello", "state": "expired", "order": "1", "collected_at": str(int((time.time() + year) * 1000))}))
    wait_until(lambda: states(site, job) == {"web01": "expired"}, "the host has said so")
    assert result(site, job)["hosts"][0]["why"].startswith(
        "expired 358 d ago, not run; the host's clock is 36"), result(site, job)
    assert "last_error" not in site.record("web01")


def test_an_answer_counts_more_than_that_it_came_again_too_late(site, fleet):
    job = job_of(send(site, "-n", "web01"))
    for order, state in ((5, "ok"), (9, "expired")):
        body = {"syskey": "web01", "format": "pydict"}
        body["hello" if state == "ok" else "last_error"] = "x" if state == "ok" else {"timestamp": "x", "message": "late"}
        fleet.channel.basic_publish(MASTER, "", json.dumps(body).encode(), pika.BasicProperties(
            delivery_mode=2, message_id="r1", correlation_id=job, headers={
                "plugin": "hello", "state": state, "order": str(order), "machine_id": "m"}))
    site.wait_drained("master.in")
    assert states(site, job) == {"web01": "ok"}
