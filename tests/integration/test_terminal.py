# SPDX-License-Identifier: Apache-2.0
"""What a person's terminal gets: no host, store or file writes to it what it obeys, whatever verb prints; programs get
what is stored, exactly."""
import contextlib
import json
import os
import re
import subprocess

import pika
import pytest

from lib.client2010 import BROADCAST, MASTER
from lib.site import program
from lib.process import run

# ESC, C1 (CSI as U+009B), DEL, bidi controls, a line's end, a carriage return, a line separator.
HOSTILE = "\x1b]0;owned\x07\x1b[2J \x9b31m \x85 \x7f \u202egpj.exe\u2066 \u200f\u061c \u2028 x\ny\rz"
# Nothing of C0 but the line's end, no DEL, no C1, no bidi control.
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def check_shown(done):
    for text in (done.out, done.err):
        assert not OBEYED.search(text), (OBEYED.search(text), done)
    return done.out + done.err


@pytest.fixture
def hostile(site):
    """A host whose record holds it in every place: values, error, time, failure, format's neighbours, version."""
    site.collector()
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.queue_declare("web01", durable=True)
    channel.queue_bind("web01", BROADCAST, "web01")
    channel.queue_bind("web01", BROADCAST, "broadcasts.*")
    site.channel = channel

    def say(body, job=None, **headers):
        channel.basic_publish(MASTER, "", json.dumps(dict({"syskey": "web01", "format": "pydict"}, **body)).encode(),
                              pika.BasicProperties(delivery_mode=2, headers=headers or None, correlation_id=job,
                                                   app_id=HOSTILE, message_id=f"m.{job}" if job else None))
    site.say = say
    say({"value": {HOSTILE: [HOSTILE, {"deep": HOSTILE}]}}, plugin="value", state="ok", order="1", version=HOSTILE)
    say({"last_error": {"timestamp": HOSTILE, "message": HOSTILE}}, plugin="broken", state="failed", order="2",
        version=HOSTILE, stderr=HOSTILE, machine_id=HOSTILE, boot_id=HOSTILE)
    say({"last_error": {"timestamp": HOSTILE, "message": HOSTILE}})
    site.wait_record(lambda r: "value" in r and "broken" in r.get("vogeler", {}), "all of it")
    yield site
    connection.close()


def test_admin(hostile):
    for argv in (["show", "web01"], ["show", "web01", "value"], ["show", "web01", "value", f"[{json.dumps(HOSTILE)}][0]"],
                 ["show", "web*", "value", f"[{json.dumps(HOSTILE)}][0]"], ["show", "web01", "broken"], ["show", "web01", HOSTILE],
                 ["show", HOSTILE], ["hosts"], ["hosts", "-v"], ["setup", HOSTILE], ["doctor", HOSTILE], [HOSTILE],
                 ["query", ".value"], ["query", ".value | keys[]"], ["query", ".value | {(keys[0]): keys[0]}"],
                 ["query", ".value | keys[0] | error"], ["query", HOSTILE], ["query", ".", HOSTILE], ["query", ".last_error.message"],
                 ["--timeout", HOSTILE, "doctor"], ["--design", HOSTILE, "setup"]):
        done = hostile.admin(*argv, qhost=True, status=None)
        assert check_shown(done) != ""
    shown = hostile.admin("show", "web01").out
    assert "\\x1b]0;owned\\x07" in shown and "\\u202egpj.exe" in shown, shown
    check_shown(hostile.admin("doctor", qhost=True, status=None))


def test_what_is_shown_of_a_value_is_json(hostile):
    """For people: it is escaped, and still means the same."""
    assert json.loads(hostile.admin("show", "web01", "value").out) == {HOSTILE: [HOSTILE, {"deep": HOSTILE}]}


def test_programs_get_it_exactly(hostile):
    assert hostile.record()["value"] == {HOSTILE: [HOSTILE, {"deep": HOSTILE}]}
    assert hostile.record()["last_error"]["message"] == HOSTILE
    assert "\u202e" in hostile.admin("show", "web01", "--json").out
    listed = json.loads(hostile.admin("hosts", "--json").out)
    assert listed[0]["last_error"]["message"] == HOSTILE


def test_runner(hostile):
    """Its answer to a job: failed for such a reason; and a question that fails on such a value."""
    site = hostile
    sent = site.runner("-n", "web01", "-x", "value", "--jsonl", dbhost=True)
    job = json.loads(sent.out.split("\n")[0])["job"]
    site.say({"last_error": {"timestamp": HOSTILE, "message": HOSTILE}}, job=job, plugin="value", state="failed",
             order="7")
    done = site.runner("watch", job, "--wait", dbhost=True, status=2)
    assert "failed" in check_shown(done)
    for argv in (["result", job], ["result", job, "-v"], ["result", job, "--failed"], ["jobs"], ["cancel", job],
                 ["rerun", job, "--failed", "-y"], ["rerun", job, "--ok"], ["result", HOSTILE], ["watch", HOSTILE],
                 ["cancel", HOSTILE], [HOSTILE], ["-n", HOSTILE, "-x", "value"], ["-n", "@" + HOSTILE, "-x", "value"],
                 ["-n", "web01", "-x", HOSTILE], ["--ttl", HOSTILE, "-n", "web01", "-x", "value"],
                 ["--where", ".value | error", "-x", "value", "--dry-run"],
                 ["--where", ".value | keys[0] | error", "-x", "value", "--dry-run"],
                 ["--where", HOSTILE, "-x", "value", "--dry-run"]):
        check_shown(site.runner(*argv, dbhost=True, status=None))
    sent = site.runner("-n", "web01", "-x", "value", "--jsonl", dbhost=True)
    shown = json.loads(sent.out.split("\n")[0])["job"]
    site.say({"value": {HOSTILE: HOSTILE}}, job=shown, plugin="value", state="ok", order="8")
    site.runner("watch", shown, "--wait", dbhost=True)
    assert "owned" in check_shown(site.runner("result", shown, "--show", dbhost=True))
    for argv in (["--show=" + HOSTILE], [f"--show=[{json.dumps(HOSTILE)}]"], ["--show=["]):
        check_shown(site.runner("result", shown, *argv, dbhost=True, status=None))
    lines = site.runner("result", job, "--jsonl", dbhost=True, status=None).out.split("\n")  # not at U+2028
    whys = [json.loads(line)["why"] for line in lines if '"outcome"' in line]
    assert len(whys) == 1 and "\u202egpj.exe\u2066" in whys[0] and "\x9b31m" in whys[0], whys


def test_agent(site):
    """Its own plugins: what they print, how they are declared, what is typed."""
    site.plugin("value", str(site.script("value", f"printf '%s\\n' '{HOSTILE}'; printf '\\377\\233'")), "string")
    site.plugin("broken", str(site.script("broken", f"printf '%s' '{HOSTILE}' >&2; printf '\\377\\233' >&2; exit 3")))
    (site.plugins / "value.cfg").write_text((site.plugins / "value.cfg").read_text().replace(
        "test plugin", "\x1b[31m\x9b \u202e"), "utf-8")
    for verb in (["list"], ["exec", "value"], ["exec", "broken"], ["exec", HOSTILE], [HOSTILE], ["list", HOSTILE]):
        done = run(site.agent_argv("web01", verb=verb, level="WARN"), site.env, site.folder)
        assert check_shown(done) != ""
    done = run([program("vogeler-agent"), "-p", site.folder / HOSTILE.replace("\n", ""), "list"], site.env, site.folder)
    check_shown(done)


@pytest.mark.parametrize("name", ["vogelerd", "vogeler-agent", "vogeler-runner", "vogeler-admin", "vogeler-bench",
                                  "vogeler-convert"])
def test_configuration(site, name):
    conf = site.file("odd.conf", f"[amqp]\ndsn = {site.qhost}\n{HOSTILE[:20]} = 3\nheartbeat = \x1b[2J\x9b\u202e\n")
    for argv in (["-c", conf, "--check-config"], ["-c", conf], ["-o", f"amqp.heartbeat={HOSTILE}"],
                 ["--loglevel", HOSTILE], ["--" + HOSTILE], ["-c", site.folder / HOSTILE]):
        check_shown(site.run(name, *argv))


def test_a_dumped_configuration(site):
    """A file has it exactly; a terminal does not obey it."""
    folder = "/tmp/\x1b[2J\x9b\u202e"
    argv = [program("vogeler-agent"), "--option", f"global.plugin_path={folder}", "--dump-config"]
    assert folder in run(argv, site.env, site.folder).out
    master, slave = os.openpty()
    subprocess.run(argv, env=site.env, cwd=site.folder, stdout=slave, check=True)
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal without anybody at it ends
        while piece := os.read(master, 65536):
            shown += piece
    os.close(master)
    shown = shown.decode().replace("\r\n", "\n")
    assert "plugin_path" in shown and not OBEYED.search(shown.replace("\t", " ")), shown


def test_logs(hostile):
    """Of the collector, which has read all of it, forged names too."""
    hostile.channel.basic_publish(MASTER, "", json.dumps({"syskey": HOSTILE, "value": 1, "format": "pydict"}).encode())
    hostile.channel.basic_publish(MASTER, "", b"\x1b[2J\x9b\xff not JSON")
    hostile.channel.basic_publish(MASTER, "", json.dumps({"syskey": "web01", "format": HOSTILE, HOSTILE: 1}).encode())
    hostile.wait_queue("vogeler.dead", 3)
    log = [p for p in hostile.processes if p.name == "vogelerd"][0].log()
    assert not OBEYED.search(log), OBEYED.search(log)
    assert "\\u202e" in log or "\\x1b" in log
