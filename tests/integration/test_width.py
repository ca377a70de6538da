# SPDX-License-Identifier: Apache-2.0
"""A terminal of 80 columns: no line is wider, nothing is cut, no name is broken; in a pipe each row is one line."""
import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios

import pika
import pytest

from lib.client2010 import BROADCAST, MASTER
from lib.site import program

COLUMNS = 80
HOST = "application-server-01.example.com"
REASON = "the disk /dev/disk/by-id/scsi-3600508b1001c4 cannot be read: no such device, or it is locked by someone else"


def on_terminal(site, *argv):
    """What it prints on one of 80 columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    with subprocess.Popen([str(a) for a in (program(argv[0]), *argv[1:])], stdout=slave, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, env=dict(site.env, TERM="xterm"), cwd=site.folder) as runs:
        os.close(slave)
        shown = b""
        with contextlib.suppress(OSError):  # how a terminal without anybody at it ends
            while piece := os.read(master, 65536):
                shown += piece
        err = runs.stderr.read().decode()
    os.close(master)
    assert runs.returncode == 0, (argv, shown, err)
    text = shown.decode().replace("\r\n", "\n")
    assert [line for line in text.splitlines() if len(line) > COLUMNS] == [], text
    return text


def words_of(text):
    return set(text.split())


@pytest.fixture
def told(site):
    """A host with a long name, a plugin that fails with long words, and values."""
    site.collector()
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.queue_declare(HOST, durable=True)
    channel.queue_bind(HOST, BROADCAST, HOST)
    for order, (plugin, member) in enumerate([("facter", {"value": REASON, "state": None}),
                                              ("os-release", {"value": "Debian GNU/Linux 12 (bookworm)"}),
                                              ("df", {"last_error": {"timestamp": "2026-01-01 00:00:00.000000",
                                                                     "message": REASON}})]):
        headers = {"plugin": plugin, "order": str(order + 1), "state": "failed" if plugin == "df" else "ok"}
        body = {"syskey": HOST, "format": "pydict"}
        body.update({"last_error": member["last_error"]} if plugin == "df" else {plugin: member["value"]})
        channel.basic_publish(MASTER, "", json.dumps(body).encode(), pika.BasicProperties(delivery_mode=2, headers=headers))
    site.wait_record(lambda r: r.get("facter") == REASON and "os-release" in r and "last_error" in r, "all of it", host=HOST)
    yield site
    connection.close()


def test_records(told):
    store = ["vogeler-admin", "--dbhost", told.dbhost]
    for argv in (["hosts"], ["hosts", "-v"], ["query", '{a: .facter, b: .["os-release"], c: .facter, d: ._id}'],
                 ["query", ".facter"], ["show", "app*", "facter"]):
        shown = on_terminal(told, *store, *argv)
        assert HOST in words_of(shown), shown
        if "hosts" not in argv or "/dev/disk" in shown:
            assert set(REASON.split()) <= words_of(shown), shown
        piped = told.run(*store, *argv)
        assert len(piped.out.splitlines()) == (2 if argv[0] != "show" or "HOST" in piped.out else 1), piped


def test_jobs(told):
    target = f"{HOST},application-server-02.example.com,application-server-03.example.com"
    told.run("vogeler-runner", "--qhost", told.qhost, "--dbhost", told.dbhost, "-x", "os-release", "-n", target, "-y")
    listed = told.run("vogeler-runner", "--dbhost", told.dbhost, "jobs")
    head, row = listed.out.splitlines()
    shown = on_terminal(told, "vogeler-runner", "--dbhost", told.dbhost, "jobs")
    assert words_of(head) <= words_of(shown) and "os-release" in words_of(shown), shown
    assert row.split()[0] in words_of(shown), shown
    assert {f"{HOST},", "application-server-02.example.com,", "application-server-03.example.com"} <= words_of(shown), shown
    shown = on_terminal(told, "vogeler-admin", "--dbhost", told.dbhost, "--qhost", told.qhost, "queue", HOST)
    assert row.split()[0] in words_of(shown) and "EXPIRES" in shown, shown


def test_plugins(site):
    site.plugin("operating-system-release", "cat /usr/lib/os-release /etc/os-release /usr/share/base-files/motd",
                description="what the distribution tells of itself, as it is written in its file, and the motd")
    shown = on_terminal(site, "vogeler-agent", "-p", site.plugins, "list")
    assert {"operating-system-release", "/usr/lib/os-release", "/usr/share/base-files/motd", "distribution"} <= words_of(shown)
    assert len(site.run("vogeler-agent", "-p", str(site.plugins), "list").out.splitlines()) == 2


@pytest.mark.parametrize("name", ["vogeler-admin", "vogeler-agent", "vogeler-runner", "vogelerd", "vogeler-bench"])
def test_help(site, name):
    assert "Usage:" in on_terminal(site, name, "--help")
