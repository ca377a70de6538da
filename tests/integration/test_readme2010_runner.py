# SPDX-License-Identifier: Apache-2.0
"""README of 2010, "Issuing commands": what vogeler-runner does."""
import re

import pytest

from lib.site import program

pytestmark = pytest.mark.as_shipped


def test_all_reaches_every_host_once(site):
    site.plugin("count", ["sh", "-c", "echo x >>$HOME/count; wc -l <$HOME/count"], env=f"HOME={site.folder}")
    site.collector()
    hosts = ("web01", "web02", "db01")
    for host in hosts:
        site.agent(host)
    site.runner("-n", "all", "-x", "count")
    for host in hosts:
        site.wait_plugin("count", host)
    assert (site.folder / "count").read_text() == "x\n" * 3


def test_one_node_reaches_only_it(site):
    """Commands arrive in order: what web02 answers first would be that of web01, if it had been given it."""
    site.collector()
    for host in ("web01", "web02"):
        folder = site.folder / f"plugins.{host}"
        folder.mkdir(mode=0o755)
        runs = site.folder / f"runs.{host}"
        path = site.plugin("hello", ["sh", "-c", f"echo x >>{runs}; cat {runs}"])
        path.rename(folder / path.name)
        site.agent(host, plugins=folder)
    for host in ("web01", "web02"):
        site.runner("-x", "hello", "-n", host)
        assert site.wait_plugin("hello", host) == ["x"]
    assert [(site.folder / f"runs.{host}").read_text() for host in ("web01", "web02")] == ["x\n", "x\n"]


def test_node_that_was_never_seen_is_reported(site):
    site.collector()
    done = site.runner("-n", "nowhere", "-x", "facter", status=4)
    assert "nowhere" in done.err, done


def test_says_where_it_sends_and_that_it_was_sent(site):
    site.agent()
    done = site.runner("-n", "web01", "-x", "hello", "--loglevel", "INFO")
    text = done.out + done.err
    assert re.search(r"INFO\] vogeler-runner \([\w-]+\) - .*Using qhost from command-line options", text), done
    assert re.search(r"sending hello to web01", text, re.I), done
    assert re.search(r"\bsent\b", text), done


def test_qhost_and_level_from_the_2010_file(site):
    site.agent()
    conf = site.file("vogeler.conf", f"[global]\nlog_level = INFO\n[amqp]\ndsn = {site.qhost}\n[runner]\nlog_level = DEBUG\n")
    done = site.run("vogeler-runner", "-c", str(conf), "-n", "all", "-x", "facter")
    assert done.status == 0, done
    assert "Using qhost from configuration file" in done.err + done.out, done


def test_environment_gives_qhost(site):
    site.agent()
    done = site.run("vogeler-runner", "-n", "web01", "-x", "facter", env=dict(site.env, VOGELER_QHOST=site.qhost))
    assert done.status == 0, done


@pytest.mark.parametrize("args", [["-n", "all"], ["-x", "facter"], [], ["-n", "all", "-x", "facter", "extra"]])
def test_usage_errors_are_one(site, args):
    done = site.run("vogeler-runner", "--qhost", site.qhost, *args)
    assert done.status == 1, done
    assert done.err, done


def test_bad_node_names_are_refused(site):
    for name in ("a b", "_design/x", "broadcasts.x", "#", "x.*"):
        done = site.runner("-n", name, "-x", "facter", status=None)
        assert done.status in (1, 4), done


def test_broker_out_of_reach_is_one(site):
    done = site.run("vogeler-runner", "--qhost", "amqp://guest:guest@127.0.0.1:1/vogeler", "-n", "all", "-x", "facter")
    assert done.status == 1, done
    assert "127.0.0.1:1" in done.err and "guest:guest" not in done.err, done


def test_command_is_durable_and_the_body_is_that_of_2010(site):
    site.party("Server2010")
    client = site.party("Client2010", "web01")
    site.runner("-n", "web01", "-x", "facter")
    assert client.receive() == "facter"
    assert client.properties.delivery_mode == 2
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                        client.properties.message_id)
    assert client.properties.timestamp
    assert program("vogeler-runner").exists()
