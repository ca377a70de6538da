# SPDX-License-Identifier: Apache-2.0
"""The broker by name: several addresses of which some are dead, IPv6 alone, a name server that
does not answer. The programs ask a name server of the tests' own, see lib/names.py."""
import contextlib
import subprocess

import pytest

from lib.http import Monitor
from lib.names import NameServer, SilentAddress
from lib.relay import Relay
from lib.waiting import PATIENCE, wait_until

# The order is the system's (RFC 6724): what is nearer comes first, and of these 127.0.0.1 is the nearest.
SILENT, REFUSING, GOOD = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@pytest.fixture(name="closing")
def closing_fixture():
    with contextlib.ExitStack() as stack:
        yield lambda thing: stack.enter_context(contextlib.closing(thing))


@pytest.fixture(name="names")
def names_fixture(site, closing):
    """A name server that the daemons of the site ask, as nobody else does."""
    server = closing(NameServer(site.folder))
    site.within = server.command
    return server


def broker_at(site, port):
    return f"amqp://guest:guest@broker.test:{port}/{site.vhost}"


def resolved(names):
    """The addresses in the order in which programs try them."""
    done = subprocess.run(names.command(["getent", "ahosts", "broker.test"]), check=True, stdout=subprocess.PIPE)
    return [line.split()[0] for line in done.stdout.decode().splitlines() if "STREAM" in line]


def assert_works(site, qhost, *options):
    site.plugin("one", "echo 1")
    site.collector(qhost=qhost, options=options)
    site.agent(qhost=qhost, options=options)
    site.ask("one")
    assert site.wait_plugin("one") == ["1"]


def test_dead_addresses_of_a_name_are_passed_by(site, names, closing):
    """The first is silent, the second refuses."""
    names.speak({"broker.test": [SILENT, REFUSING, GOOD]})
    assert resolved(names) == [SILENT, REFUSING, GOOD]
    silent = closing(SilentAddress(SILENT))
    relay = closing(Relay(GOOD, silent.port, site.broker.port))
    assert_works(site, broker_at(site, relay.port), "amqp.connect_timeout=500ms")
    assert relay.taken >= 3  # of the collector two


def test_name_with_ipv6_alone(site, names, closing):
    names.speak({"broker.test": ["::1"]})
    assert resolved(names) == ["::1"]
    relay = closing(Relay("::1", 0, site.broker.port))
    assert_works(site, broker_at(site, relay.port))
    assert relay.taken >= 3


def assert_answers(monitor):
    """The loop runs, though there is no connection."""
    for _ in range(3):
        assert monitor.metric("vogeler_broker_connected", "consumer") == 0


def test_loop_runs_while_the_name_server_is_silent(site, names, closing):
    relay = closing(Relay(GOOD, 0, site.broker.port))
    monitor = Monitor("server")
    site.collector(ready=False, qhost=broker_at(site, relay.port), options=[monitor.option])
    assert names.asked.wait(PATIENCE), "nobody asks the name server"
    assert_answers(monitor)
    assert relay.taken == 0
    names.speak({"broker.test": [GOOD]})
    wait_until(lambda: monitor.metric("vogeler_broker_connected", "consumer") == 1, "it has found the broker")


def test_loop_runs_while_an_address_is_silent(site, names, closing):
    names.speak({"broker.test": [SILENT, GOOD]})
    silent = closing(SilentAddress(SILENT))
    relay = closing(Relay(GOOD, silent.port, site.broker.port))
    monitor = Monitor("server")
    collector = site.collector(ready=False, qhost=broker_at(site, relay.port),
                               options=[monitor.option, "amqp.connect_timeout=10min"])
    wait_until(lambda: silent.callers() >= 2, "both of its connections wait for the silent address")
    assert_answers(monitor)
    collector.stop()
    assert relay.taken == 0
