# SPDX-License-Identifier: Apache-2.0
"""The rights of docs/running.md: what each program needs and has, and what a stolen host's password cannot do. The patterns
are read from the page, so that it is what is tested."""
import re

import pika
import pytest

from lib.client2010 import Runner2010
from lib.site import SOURCE
from lib.waiting import wait_until

PAGE = (SOURCE / "docs" / "running.md").read_text("utf-8")
BROADCAST, MASTER = "vogeler.broadcast.in", "vogeler.master.in"


def rights(who):
    """(configure, write, read) as the page gives them."""
    return re.search(rf"set_permissions -p vogeler {who} '(.*?)' '(.*?)' '(.*?)'\n", PAGE).groups()


class Users:
    def __init__(self, site):
        self.site = site
        for name in ("vogelerd", "web01", "ops"):
            site.broker.add_user(name, "pw")
            site.broker.set_permissions(site.vhost, name, *rights(name))

    def uri(self, name):
        return self.site.broker.uri(self.site.vhost, name, "pw")

    def connect(self, name):
        return pika.BlockingConnection(pika.ConnectionParameters(
            "127.0.0.1", self.site.broker.port, self.site.vhost, pika.PlainCredentials(name, "pw"), heartbeat=0))


@pytest.fixture(name="users")
def users_fixture(site):
    site.admin("setup", "web01", "web02", qhost=True)
    return Users(site)


def refused(users, attack, code=403, user="web01"):
    connection = users.connect(user)
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
            attack(channel)
        assert closed.value.reply_code == code, closed.value
    finally:
        if connection.is_open:
            connection.close()


def test_a_stolen_host_gets_nowhere(site, users):
    before = site.broker.bindings(site.vhost)
    command = b'"facter"'
    attacks = {
        "delete the exchange of commands": lambda c: c.exchange_delete(BROADCAST),
        "delete the exchange of answers": lambda c: c.exchange_delete(MASTER),
        "remake it as fanout": lambda c: c.exchange_declare(BROADCAST, "fanout", durable=True),
        "make an exchange": lambda c: c.exchange_declare("mine", "topic"),
        "bind # to its own queue": lambda c: c.queue_bind("web01", BROADCAST, "#"),
        "bind another name to it": lambda c: c.queue_bind("web01", BROADCAST, "web99"),
        "unbind": lambda c: c.queue_unbind("web01", BROADCAST, "broadcasts.*"),
        "unbind another": lambda c: c.queue_unbind("web02", BROADCAST, "web02"),
        "get answers": lambda c: c.queue_bind("web01", MASTER, ""),
        "make a queue": lambda c: c.queue_declare("mine"),
        "make a queue that the broker names": lambda c: c.queue_declare("", exclusive=True),
        "delete a queue": lambda c: c.queue_delete("web02"),
        "delete its own": lambda c: c.queue_delete("web01"),
        "empty another": lambda c: c.queue_purge("web02"),
        "read another": lambda c: c.basic_get("web02"),
        "read answers": lambda c: c.basic_get("master.in"),
        "read dead letters": lambda c: c.basic_get("vogeler.dead"),
        "send a command to all": lambda c: c.basic_publish(BROADCAST, "broadcasts.all", command),
        "send a command to one": lambda c: c.basic_publish(BROADCAST, "web02", command),
        "put it into the queue": lambda c: c.basic_publish("", "web02", command),
        "put a dead letter": lambda c: c.basic_publish("", "vogeler.dead", b"x"),
    }
    for name, attack in attacks.items():
        print(name)
        refused(users, attack)
    # The broker vouches for who it is.
    refused(users, lambda c: c.basic_publish(MASTER, "", b"{}", pika.BasicProperties(user_id="web02")), 406)
    assert site.broker.bindings(site.vhost) == before
    for queue in ("master.in", "web01", "web02", "vogeler.dead"):
        assert site.ready(queue) == 0, queue
    # "no such host" does not become "sent".
    assert site.runner("-n", "web99", "-x", "facter", status=None).status == 4


def test_all_works_with_these_rights(site, users):
    site.plugin("hello", "echo hello")
    collector = site.collector(qhost=users.uri("vogelerd"), options=("server.attest=yes",))
    agent = site.agent(qhost=users.uri("web01"))
    site.wait_record(lambda r: True, "the host is known")
    done = site.run("vogeler-runner", "--qhost", users.uri("ops"), "--dbhost", site.dbhost, "-n", "all", "-x", "hello",
                    "--wait")
    assert done.status == 0, done
    assert site.value("hello") == ["hello"]
    done = site.run("vogeler-runner", "--qhost", users.uri("ops"), "--dbhost", site.dbhost, "-n", "web01", "-x", "hello",
                    "--wait")
    assert done.status == 0, done
    for process in (collector, agent):
        assert process.log_count("ERROR|WARN") == 0, process.log()
    # Poison goes where it belongs, by the collector's rights.
    connection = users.connect("web01")
    connection.channel().basic_publish(MASTER, "", b"rubbish")
    connection.close()
    wait_until(lambda: site.ready("vogeler.dead") == 1, "the dead letter is there")


def test_the_collector_may_bind_hosts_and_send_no_commands(site, users):
    refused(users, lambda c: c.basic_publish(BROADCAST, "broadcasts.all", b"x"), user="vogelerd")
    connection = users.connect("vogelerd")
    channel = connection.channel()
    channel.queue_bind("web02", BROADCAST, "web02")
    connection.close()


def test_an_agent_refuses_what_was_not_sent_to_it(site):
    """Who may bind its queue, or make the exchange a fanout, has it get what others are sent."""
    site.plugin("hello", "echo hello")
    agent = site.agent()
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.queue_bind("web01", BROADCAST, "#")
    for key in ("web02", "broadcasts.all.more", "", "x"):
        channel.basic_publish(BROADCAST, key, b'"hello"')
    connection.close()
    agent.wait_log("refused a message that was not sent to this host", 3)
    assert "key=web02" in agent.log() and "see who has bound queue web01" in agent.log()
    site.wait_drained("web01")
    assert site.ready("master.in") == 1, agent.log()  # the greeting
    site.collector()
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello"]


def test_an_agent_refuses_what_did_not_come_through_the_exchange_of_commands(site, users):
    """The collector writes to queues, since that is what binding them takes: with its password a message can be put into
    the queue of a host, by the default exchange or by one of its own."""
    site.plugin("hello", "echo hello")
    agent = site.agent(qhost=users.uri("web01"))
    site.wait_consumer("web01", agent)
    connection = users.connect("vogelerd")
    channel = connection.channel()
    channel.basic_publish("", "web01", b'"hello"', pika.BasicProperties(message_id="by-the-default-exchange"))
    channel.exchange_declare("vogeler.mine", "topic")
    for key in ("web01", "broadcasts.all"):
        channel.queue_bind("web01", "vogeler.mine", key)
        channel.basic_publish("vogeler.mine", key, b'"hello"')
    connection.close()
    agent.wait_log("refused a message that did not come through exchange vogeler.broadcast.in: exchange=.the default one.", 1)
    agent.wait_log("exchange=vogeler.mine, key=web01", 1)
    agent.wait_log("exchange=vogeler.mine, key=broadcasts.all", 1)
    site.wait_drained("web01")
    assert site.ready("master.in") == 1, agent.log()  # the greeting
    # Of 2010, by name and to all: no headers, the same exchange.
    runner = Runner2010(site.broker, site.vhost)
    for node in ("web01", "all"):
        runner.send("hello", node)
    runner.close()
    site.collector()
    assert site.wait_plugin("hello") == ["hello"]
    assert agent.log_count("refused a message") == 3, agent.log()
