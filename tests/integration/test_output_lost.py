# SPDX-License-Identifier: Apache-2.0
"""An output that could not be written is no success, whoever writes it, at once or late: a word, and a status."""
import json
import os
import subprocess

import pika
import pytest

from lib.client2010 import MASTER
from lib.ledger import Ledger
from lib.site import program
from lib.waiting import PATIENCE

ALL = ("vogelerd", "vogeler-agent", "vogeler-runner", "vogeler-admin", "vogeler-bench", "vogeler-convert")
JOB = "01890a5d-ac96-774b-bcce-b302099a8057"


def into(site, how, argv):
    """Runs argv with that stdout: (status, stderr)."""
    argv = [str(a) for a in argv]
    if how == "full":
        with open("/dev/full", "wb") as full:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, env=site.env,
                                  cwd=site.folder, check=False, timeout=PATIENCE)
    elif how == "closed":
        done = subprocess.run(["/bin/sh", "-c", 'exec "$@" >&-', "sh", *argv], stdin=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, env=site.env, cwd=site.folder, check=False, timeout=PATIENCE)
    else:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=writer, stderr=subprocess.PIPE, env=site.env,
                              cwd=site.folder, check=False, timeout=PATIENCE)
        os.close(writer)
    return done.returncode, done.stderr.decode()


def check_told(site, how, argv, usual=0):
    """usual: the status with a stdout that takes it; one that is not 0 stays."""
    status, err = into(site, how, argv)
    assert status == (usual or 1), (argv, status, err)
    assert "cannot write the output" in err, (argv, err)
    why = {"full": "No space left on device", "pipe": "whoever read it has closed the pipe",
           "closed": "standard output is closed"}[how]  # one wording, whenever it was noticed
    assert f"cannot write the output: {why}" in err, (argv, err)


@pytest.mark.parametrize("how", ["full", "pipe", "closed"])
@pytest.mark.parametrize("name", ALL)
def test_what_every_program_prints(site, name, how):
    conf = site.file("good.conf", f"[amqp]\ndsn = {site.qhost}\n")
    for argv in (["--help"], ["--version"], ["-c", conf, "--check-config"], ["-c", conf, "--dump-config"]):
        check_told(site, how, [program(name), *argv])


@pytest.mark.parametrize("how", ["full", "pipe", "closed"])
def test_verbs(site, how):
    site.collector()
    site.plugin("hello", "/bin/echo hi")
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.basic_publish(MASTER, "", json.dumps({"syskey": "web01", "v": 1, "format": "pydict"}).encode(),
                          pika.BasicProperties(delivery_mode=2))
    site.wait_plugin("v")
    channel.queue_declare("web01", durable=True)
    channel.queue_bind("web01", "vogeler.broadcast.in", "web01")
    ledger = Ledger(site)
    ledger.add_job(JOB, "v", ["web01"])
    ledger.add_outcome(JOB, "web01", "ok")
    admin = [program("vogeler-admin"), "--qhost", site.qhost, "--dbhost", site.dbhost]
    for argv in (["show", "web01"], ["show", "web01", "v"], ["show", "web01", "--json"], ["hosts"], ["hosts", "--json"],
                 ["query", ".v"], ["query", "{v}", "--csv"], ["query", ".v", "--json"], ["setup"], ["setup", "web02"]):
        check_told(site, how, admin + argv)
    for argv in (["doctor"], ["doctor", "--json"]):
        check_told(site, how, admin + argv, site.run("vogeler-admin", *admin[1:], *argv).status)
    runner = [program("vogeler-runner"), "--qhost", site.qhost, "--dbhost", site.dbhost]
    for argv in (["-n", "web01", "-x", "v"], ["-n", "web01", "-x", "v", "--json"], ["-n", "web*", "-x", "v", "--dry-run"],
                 ["-n", "web01", "-x", "v", "-q"], ["jobs"], ["jobs", "--json"], ["jobs", "--jsonl"], ["result", JOB],
                 ["result", JOB, "--json"], ["watch", JOB], ["watch", JOB, "--jsonl"], ["result", JOB, "--show"],
                 ["result", JOB, "--show", "--json"]):
        check_told(site, how, runner + argv)
    _, err = into(site, how, runner + ["-n", "web01", "-x", "v"])
    job = site.runner("jobs", "--json", "--limit", "1", dbhost=True)
    assert f"sent v to web01 all the same, job {json.loads(job.out)['jobs'][0]['job']}" in err, (err, job)
    for verb in (["list"], ["exec", "hello"]):
        check_told(site, how, site.agent_argv("web01", verb=verb, level="WARN"))
    designs = site.folder / "_design"
    (designs / "mine").mkdir(parents=True)
    check_told(site, how, [program("vogelerd"), "--qhost", site.qhost, "--dbhost", site.dbhost, "-l", designs])
    connection.close()


def test_late(site, tmp_path):
    """A file system that is full after some of it: the first blocks are there, the status is not 0."""
    value = ["x" * 70] * 100_000
    site.collector()
    connection = site.broker.connect(site.vhost)
    connection.channel().basic_publish(MASTER, "", json.dumps(
        {"syskey": "web01", "v": value, "format": "pydict"}).encode(), pika.BasicProperties(delivery_mode=2))
    site.wait_plugin("v")
    connection.close()
    for argv in (["show", "web01", "v"], ["show", "web01", "--json"]):
        shown = tmp_path / "shown"
        line = [str(a) for a in (program("vogeler-admin"), "--dbhost", site.dbhost, *argv)]
        limited = ["/bin/bash", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "bash", *line]  # EFBIG behind 64 KiB
        with open(shown, "wb") as out:
            done = subprocess.run(limited, stdout=out, stderr=subprocess.PIPE, env=site.env, check=False,
                                  timeout=PATIENCE)
        assert shown.stat().st_size == 65536
        assert done.returncode == 1 and b"cannot write the output" in done.stderr, done


def test_a_reader_that_has_enough(site):
    """The same word, whether it left before the first write or between two."""
    site.plugin("hello", "/bin/echo hi", description="x" * 5000)
    for i in range(40):
        site.plugin(f"hello{i}", "/bin/echo hi", description="x" * 5000)
    line = [str(a) for a in (program("vogeler-agent"), "-p", site.plugins, "list")]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=site.env) as runs:
        runs.stdout.read(1)
        runs.stdout.close()
        err = runs.stderr.read().decode()
    assert runs.returncode == 1, err
    assert "cannot write the output: whoever read it has closed the pipe" in err, err
