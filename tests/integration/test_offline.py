# SPDX-License-Identifier: Apache-2.0
"""README of 2010: "offline clients will get messages when they come back online" and "even if vogeler-server is offline,
any client messages will be parsed when it comes back online". Here also over a restart of the broker in between."""
import pytest


@pytest.fixture(params=["broker stays", "broker restarted", "broker killed"])
def trouble(request, broker):
    """What happens to the broker while somebody is away."""
    def happen():
        if request.param == "broker restarted":
            broker.restart()
        elif request.param == "broker killed":
            broker.settle()  # docs/durability.md says what is otherwise lost
            broker.kill()
            broker.start()
    return happen


def test_host_that_is_off_gets_its_commands_when_it_is_back(site, trouble):
    site.plugin("one", "echo 1")
    site.plugin("two", "echo 2")
    agent = site.agent()
    agent.stop()
    site.collector()
    site.runner("-n", "web01", "-x", "one")
    site.runner("-n", "all", "-x", "two")
    site.wait_queue("web01", 2)
    trouble()
    site.wait_queue("web01", 2)
    site.agent()
    assert site.wait_plugin("one") == ["1"]
    assert site.wait_plugin("two") == ["2"]


def test_responses_wait_while_the_collector_is_off(site, trouble):
    site.plugin("one", "echo 1")
    site.collector().stop()
    site.agent()
    site.runner("-n", "web01", "-x", "one")
    site.wait_queue("master.in", 1)  # the greeting
    site.wait_queue("vogeler.fresh", 1)
    trouble()
    site.collector(name="vogelerd2")
    assert site.wait_plugin("one") == ["1"]


def test_everybody_heals_after_a_broker_restart(site, trouble):
    site.plugin("one", "echo 1")
    collector = site.collector()
    agent = site.agent()
    trouble()
    site.wait_consumer("master.in", collector)
    site.wait_consumer("web01", agent)
    site.runner("-n", "all", "-x", "one")
    assert site.wait_plugin("one") == ["1"]


def test_programs_start_while_the_broker_is_away(site, broker):
    site.plugin("one", "echo 1")
    broker.stop()
    collector = site.collector(ready=False)
    agent = site.agent(ready=False)
    collector.wait_log("retry|reconnect|refused", 2)
    agent.wait_log("retry|reconnect|refused", 2)
    broker.start()
    site.wait_consumer("master.in", collector)
    site.wait_consumer("web01", agent)
    site.runner("-n", "all", "-x", "one")
    assert site.wait_plugin("one") == ["1"]
