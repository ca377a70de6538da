# SPDX-License-Identifier: Apache-2.0
"""-x with a name that no record ever had: told with the names that there are, asked on a terminal, and sent."""
import os
import pty
import subprocess

import pytest

from lib.site import all_stores, program

WARNED = "no record ever had"


@pytest.fixture
def hosts(site):
    """h1 and h2, queues without agents; each has a plugin of its own besides packages."""
    site.collector()
    for name, own in (("h1", "facter"), ("h2", "units")):
        client = site.party("Client2010", name)
        client.greet()
        for plugin in ("packages", own):
            client.answer(plugin, "[1]", "json")
            site.wait_plugin(plugin, name)
    return site


def sent(site, *args, **kw):
    """What it said beside the job that was sent."""
    done = site.runner(*args, **dict({"dbhost": True}, **kw))
    assert done.out != "", done
    return done.err


@all_stores
def test_a_name_that_no_record_has(hosts):
    said = sent(hosts, "-n", "h1", "-x", "pakages")
    assert said.endswith("no record ever had pakages, nor did a job of that name end well; did you mean packages? "
                         "There are facter, packages, units\n"), said
    assert said.count("\n") == 1, said
    for args in (["-n", "h1", "-x", "packages"], ["-n", "h1", "-x", "units"], ["-n", "all", "-x", "facter"]):
        assert sent(hosts, *args) == "", args
    assert WARNED not in sent(hosts, "-n", "h1", "-x", "pakages", "-q")
    assert WARNED not in sent(hosts, "-n", "h1", "-x", "pakages", dbhost=False)
    # Who has no record may be mistyped: that is told, and no more; another target has one.
    done = hosts.runner("-n", "h0", "-x", "pakages", dbhost=True, status=4)
    assert "h0: no such host" in done.err and WARNED not in done.err, done
    assert WARNED in hosts.runner("-n", "h0,h1", "-x", "pakages", dbhost=True, status=None).err
    done = hosts.runner("-n", "h1", "-x", "pakages", "--dry-run", dbhost=True)
    assert done.out == "h1\n" and WARNED in done.err, done


def test_nothing_is_told_where_no_record_has_any(site):
    site.collector()
    site.party("Client2010", "h1").greet()
    site.wait_record(lambda r: True, "is there", "h1")
    assert sent(site, "-n", "h1", "-x", "packages") == ""


@all_stores
def test_an_alias_is_known_once_it_ended_well(site):
    """Records have the plugin's own name."""
    site.plugin("facts", "echo 1", command_alias="get_facts")
    site.plugin("broken", "false", command_alias="get_broken")
    site.collector()
    site.agent()
    assert sent(site, "-n", "web01", "-x", "facts") == ""
    site.wait_plugin("facts")
    for alias, again in (("get_facts", False), ("get_broken", True)):
        done = site.runner("-n", "web01", "-x", alias, "--wait=60s", dbhost=True, status=None)
        assert f"{WARNED} {alias}" in done.err, done
        assert (WARNED in sent(site, "-n", "web01", "-x", alias)) == again, alias


def test_on_a_terminal_one_is_asked(hosts):
    def terminal(answer, *args):
        master, slave = pty.openpty()
        with subprocess.Popen([program("vogeler-runner"), "--qhost", hosts.qhost, "--dbhost", hosts.dbhost, *args],
                              stdin=slave, stdout=subprocess.PIPE, stderr=slave, env=hosts.env) as runner:
            os.close(slave)
            shown = b""
            while answer and b"[y/N]" not in shown:
                shown += os.read(master, 1024)
            os.write(master, answer)
            out = runner.stdout.read().decode()
        os.close(master)
        return runner.returncode, out, shown.decode()

    status, out, shown = terminal(b"n\n", "-n", "h1", "-x", "pakages")
    assert (status, out) == (1, "") and hosts.ready("h1") == 0, shown
    assert "did you mean packages?" in shown and "send pakages to 1 host? [y/N]" in shown, shown
    status, out, _ = terminal(b"y\n", "-n", "h1", "-x", "pakages")
    assert status == 0 and "sent pakages to h1" in out, out
    for args in (["-x", "packages"], ["-x", "pakages", "-y"]):
        status, out, _ = terminal(b"", "-n", "h1", *args)
        assert status == 0 and "sent " in out, out
