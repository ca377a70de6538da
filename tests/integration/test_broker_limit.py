# SPDX-License-Identifier: Apache-2.0
"""A broker that takes no message of more than so many bytes (max_message_size, which an operator may lower): it closes the
channel when one comes."""
import json
import re

import pytest

from lib.waiting import wait_until

SMALL = 65536


@pytest.fixture(name="small_broker")
def small_broker_fixture(site):
    # RabbitMQ 4 looks at its environment only when it starts.
    before = site.broker.eval("{application:get_env(rabbit, max_message_size, none), "
                              "persistent_term:get(max_message_size, none)}")
    env, term = re.fullmatch(r"\{(\w+),\s*(\w+)\}", before).groups()

    def set_both(env, term):
        site.broker.eval("application:unset_env(rabbit, max_message_size)" if env == "none" else
                         f"application:set_env(rabbit, max_message_size, {env})")
        if term != "none":
            site.broker.eval(f"persistent_term:put(max_message_size, {term})")

    set_both(SMALL, SMALL if term != "none" else term)
    yield site
    set_both(env, term)


def prints(site, name, size, **keys):
    site.plugin(name, ["cat", site.file(f"{name}.txt", "x" * size)], "string", **keys)


def test_answer_that_is_larger_than_the_broker_takes(small_broker):
    site = small_broker
    prints(site, "large", 3 * SMALL)
    prints(site, "larger", 30 * SMALL, max_output="7MiB")
    prints(site, "small", SMALL // 2)
    site.collector()
    agent = site.agent(options=["client.concurrency=4"])
    for name in ("large", "larger", "small"):
        site.ask(name)
    wait_until(lambda: site.value("small") == "x" * (SMALL // 2), "what is behind it is stored", patience=90)
    for name in ("large", "larger"):
        meta = site.wait_meta(name, lambda m: "failure" in m, f"{name} is told to be too large")
        assert re.search(r"\d+ bytes, is larger than the broker takes: raise max_message_size", meta["failure"]["message"])
        assert site.value(name) is None
    wait_until(lambda: site.ready("web01") == 0 and site.broker.queue(site.vhost, "web01")[0] == 0, "all are answered")
    assert "delete_queue" not in agent.log()
    assert re.search(r"down \(too large\).*cure: raise max_message_size in its rabbitmq.conf", agent.log()), agent.log()
    assert len(re.findall(r"down \(too large\)", agent.log())) <= 2, "it is learned once"


def test_result_of_the_schedule_that_is_larger_than_the_broker_takes(small_broker):
    site = small_broker
    prints(site, "large", 3 * SMALL, interval="1h", splay="0s")
    prints(site, "small", 100, interval="2s", splay="0s")
    site.collector()
    site.agent()
    site.wait_meta("large", lambda m: "failure" in m, "it is told to be too large")
    wait_until(lambda: site.value("small") == "x" * 100, "others are stored", patience=60)


def test_doctor_knows_what_the_agent_was_told(small_broker):
    site = small_broker
    prints(site, "large", 3 * SMALL)
    site.collector()
    agent = site.agent()

    def message_size():
        done = site.admin("doctor", "--json", "--qhost", site.qhost, "--option", "client.name=web01", "--option",
                          f"client.state_dir={site.folder}/state.web01", status=None)
        return next(line for line in json.loads(done.out) if line["check"] == "message size")

    assert message_size()["status"] == "ok"
    site.ask("large")
    agent.wait_log(r"down \(too large\)", 1)
    site.wait_consumer("web01", agent)
    said = wait_until(lambda: (s := message_size())["status"] == "warn" and s, "doctor says so", 90)
    assert "message_max_bytes = 8MiB has no effect above 64KiB" in said["detail"], said
