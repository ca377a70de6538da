"""What waits for a host, by its queue and by the ledger; and a queue that goes with its host."""
import json
import re

from lib.site import both_stores
from lib.waiting import wait_until


def queue(site, host, **kw):
    return json.loads(site.admin("--json", "queue", host, qhost=True, **kw).out)


def send(site, plugin, *args):
    return site.runner("-n", "web01", "-x", plugin, "-q", *args, dbhost=True).out.strip()


@both_stores
def test_what_waits_for_a_host(site):
    site.plugin("hello", "echo hello")
    site.plugin("waits", "sleep 600")
    site.collector()
    agent = site.agent()
    done = send(site, "hello")
    wait_until(lambda: site.value("hello"), "it is answered")
    agent.stop()
    site.wait_queue("web01", 0)
    first, second = send(site, "hello"), send(site, "waits", "--ttl", "1h")
    told = queue(site, "web01")
    assert told["queue"] == {"there": True, "messages": 2, "consumers": 0}, told
    assert [(j["job"], j["plugin"]) for j in told["jobs"]] == [(second, "waits"), (first, "hello")], told
    text = site.admin("queue", "web01", qhost=True).out
    assert "queue web01: 2 messages wait, nobody reads it\nledger: 2 jobs that web01 has not answered:\n" in text, text
    assert done not in text and re.search(rf"^{first} hello +20\S+Z \d+ s ago +20\S+Z ", text, re.M), text
    assert "of them" not in text and "more in the queue" not in text
    # Sent by who has no store: the ledger does not know of it.
    site.runner("-n", "web01", "-x", "hello")
    text = site.admin("queue", "web01", qhost=True).out
    assert "queue web01: 3 messages wait" in text and "1 more in the queue than the ledger knows of" in text, text
    # With the agent it is not in the queue any more, and not answered.
    agent = site.agent()
    wait_until(lambda: [j["job"] for j in queue(site, "web01")["jobs"]] == [second], "the other is answered")
    text = site.admin("queue", "web01", qhost=True).out
    assert "queue web01: 0 messages wait, an agent reads it" in text and "1 of them with the agent" in text, text
    agent.stop()


def test_queue_of_nobody_and_of_a_broker_that_is_away(site):
    site.collector()
    assert "nohost: no such host: it has no queue" in site.admin("queue", "nohost", qhost=True, status=4).err
    assert "is no host" in site.admin("queue", "master.in", qhost=True, status=1).err
    site.agent().stop()
    done = site.run("vogeler-admin", "--dbhost", site.dbhost, "--qhost", "amqp://127.0.0.1:1/x", "queue", "web01")
    assert done.status == 1 and "queue web01: not known" in done.out and "the broker cannot be asked: " in done.err, done
    assert "ledger: 0 jobs" in done.out


def known(site):
    return {h["host"] for h in json.loads(site.admin("--json", "hosts").out)}


def test_a_host_is_forgotten_with_its_queue(site):
    collector = site.collector()
    agent = site.agent()
    wait_until(lambda: "web01" in known(site), "it is known")
    done = site.admin("forget", "web01", "--yes", qhost=True)
    assert done.out == "web01: forgotten\n" and "queue web01 stays: an agent reads it" in done.err, done
    agent.stop()
    agent = site.agent(name="again")
    wait_until(lambda: "web01" in known(site), "it is known again")
    agent.stop()
    send(site, "hello")
    asked = site.admin("forget", "web01", qhost=True, status=1)
    assert "and delete its queue with 1 waiting message?" in asked.err, asked
    done = site.admin("forget", "web01", "--yes", qhost=True)
    assert done.out == "web01: forgotten\nqueue web01: deleted, with 1 waiting message\n", done
    assert site.broker.queue(site.vhost, "web01") is None and not known(site)
    site.admin("forget", "web01", "--yes", qhost=True, status=4)
    # One that never answered has a queue alone.
    site.admin("setup", "web02", qhost=True)
    assert site.admin("forget", "web02", "--yes", qhost=True).out.startswith("queue web02: deleted")
    # What has the name of another queue is no host's.
    assert "no such host" in site.admin("forget", "master.in", "--yes", qhost=True, status=4).err
    assert site.broker.queue(site.vhost, "master.in") is not None
    collector.stop()


def test_who_may_not_delete_a_queue_is_told_who_may(site):
    site.collector()
    site.agent().stop()
    wait_until(lambda: "web01" in known(site), "it is known")
    name = f"operator-{site.vhost.strip('/')}"
    site.broker.add_user(name, "pw")
    site.broker.set_permissions(site.vhost, name, "^$", ".*", ".*")
    done = site.run("vogeler-admin", "--dbhost", site.dbhost, "--qhost", site.broker.uri(site.vhost, name, "pw"),
                    "forget", "web01", "--yes")
    assert done.status == 1 and done.out == "web01: forgotten\n", done
    assert "queue web01 stays: this user may not delete queues" in done.err, done
    cure = re.search(r"rabbitmqctl (delete_queue -p '([^']+)' web01)", done.err)
    assert cure and cure.group(2) == site.vhost, done
    site.broker.ctl("delete_queue", "-p", site.vhost, "web01")
    assert site.broker.queue(site.vhost, "web01") is None
