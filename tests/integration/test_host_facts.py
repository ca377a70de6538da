# SPDX-License-Identifier: Apache-2.0
"""Which version of the agent a host has, and what its values say of it: hosts -v, hosts --json, show."""
import json
import re

import pika

from lib.site import all_stores
from lib.waiting import wait_until

LINKS = [{"ifname": "lo", "addr_info": [{"family": "inet", "scope": "host", "local": "127.0.0.1"}]},
         {"ifname": "eth0", "addr_info": [{"family": "inet", "scope": "global", "local": "192.0.2.7"}]}]


def versions(site):
    return {h["host"]: h["version"] for h in json.loads(site.admin("--json", "hosts").out)}


def row(site, *args):
    lines = [line for line in site.admin("hosts", *args, "web01").out.splitlines() if line.startswith("web01 ")]
    assert len(lines) == 1, lines
    return lines[0]


def answer_of_2010(site):
    """It has no headers."""
    connection = site.broker.connect(site.vhost)
    body = json.dumps({"syskey": "web01", "hello": "of old", "format": "string"})
    connection.channel().basic_publish("vogeler.master.in", "", body.encode(), pika.BasicProperties(delivery_mode=2))
    connection.close()


@all_stores
def test_a_host_says_which_agent_it_has(site):
    agent_version = site.run("vogeler-agent", "--version").out.split()[-1]
    site.plugin("os-release", ["printf", "NAME=Some\\nPRETTY_NAME=\"Some Linux 12\"\\n"])
    site.plugin("network", ["echo", json.dumps(LINKS)], "json")
    site.plugin("broken", "false")
    site.collector()
    site.agent()
    wait_until(lambda: versions(site) == {"web01": None}, "it is known, and has answered nothing")
    assert "\nos " not in site.admin("show", "web01").out
    site.ask("broken")
    wait_until(lambda: versions(site) == {"web01": agent_version}, "a failure says it, too")
    for name in ("os-release", "network"):
        site.ask(name)
    site.wait_record(lambda r: "os-release" in r and "network" in r, "both are there")
    assert versions(site) == {"web01": agent_version}
    assert re.search(rf" {re.escape(agent_version)} +broken network os-release ", row(site, "-v")), row(site, "-v")
    assert agent_version not in row(site)
    shown = site.admin("show", "web01").out
    assert re.search(rf"\nagent       {re.escape(agent_version)}\nos          Some Linux 12\naddress     192\.0\.2\.7\n"
                     r"machine id  [0-9a-f]{32}\nfirst seen ", shown), shown
    # One of 2010 came in its place.
    answer_of_2010(site)
    wait_until(lambda: versions(site) == {"web01": None}, "the last answer does not say")
    assert "\nagent " not in site.admin("show", "web01").out
