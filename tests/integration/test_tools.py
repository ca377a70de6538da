# SPDX-License-Identifier: Apache-2.0
"""The tools of these tests themselves: the broker comes back with what it had, a 2010 command finds its host."""
from lib.client2010 import Runner2010


def test_2010_parties_understand_each_other(site):
    server = site.party("Server2010")
    client = site.party("Client2010", "web01")
    site.party("Runner2010").send("facter")
    assert client.receive() == "facter"
    site.party("Runner2010").send("ps", "web01")
    assert client.receive() == "ps"
    client.answer("ps", "a\nb\n", "output")
    assert server.receive() == {"syskey": "web01", "ps": "a\nb\n", "format": "output"}


def test_broker_keeps_durable_things_over_restart_and_kill(site, broker):
    site.party("Server2010").close()
    site.party("Client2010", "web02").close()
    for end in (broker.stop, broker.kill):
        runner = Runner2010(broker, site.vhost)
        runner.channel.confirm_delivery()  # a queue may hold in memory what it has not confirmed
        runner.send("facter", "web02")
        site.wait_queue("web02", 1)
        end()
        broker.start()
        site.wait_queue("web02", 1)
        again = site.party("Client2010", "web02")
        assert again.receive() == "facter"
        again.close()


def test_database_of_the_couch_tests_answers(couch):
    database = couch.new_database()
    database.create()
    assert database.exists() and database.get("nothing") is None
    database.drop()
    assert not database.exists()
