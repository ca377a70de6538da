# SPDX-License-Identifier: Apache-2.0
"""What waits for a host, by its queue and by the ledger; and a queue that goes with its host."""
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import termios

from lib.ledger import Ledger
from lib.site import all_stores, program
from lib.waiting import PATIENCE, wait_until


def queue(site, host, **kw):
    return json.loads(site.admin("--json", "queue", host, qhost=True, **kw).out)


def send(site, plugin, *args):
    return site.runner("-n", "web01", "-x", plugin, "-q", *args, dbhost=True).out.strip()


@all_stores
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


def test_a_job_of_which_nobody_knows_who_sent_it(site):
    site.admin("setup", "web01", qhost=True)
    ledger = Ledger(site)
    ledger.add_job("anonymous-1", "hello", ["web01"], confirms=True)
    ledger.add_outcome("anonymous-1", "web01", "queued")
    assert re.search(r"^anonymous-1 hello .* -$", site.admin("queue", "web01", qhost=True).out, re.M)


def test_queue_of_nobody_and_of_a_broker_that_is_away(site):
    site.collector()
    assert "nohost: no such host in" in site.admin("queue", "nohost", qhost=True, status=4).err
    assert "is no host" in site.admin("queue", "master.in", qhost=True, status=1).err
    site.agent().stop()
    done = site.run("vogeler-admin", "--dbhost", site.dbhost, "--qhost", "amqp://127.0.0.1:1/x", "queue", "web01")
    assert done.status == 1 and "queue web01: not known" in done.out and "the broker cannot be asked: " in done.err, done
    assert "ledger: 0 jobs" in done.out


def result(site, job):
    return json.loads(site.runner("result", job, "--json", dbhost=True, status=None).out)


def states(site, job):
    return {h["host"]: h["state"] for h in result(site, job)["hosts"]}


def known(site):
    return {h["host"] for h in json.loads(site.admin("--json", "hosts").out)}


def test_a_host_is_forgotten_with_its_queue(site):
    collector = site.collector()
    agent = site.agent()
    wait_until(lambda: "web01" in known(site), "it is known")
    site.admin("setup", "old01", qhost=True)
    for hosts in (["web01"], ["web01", "old01"]):  # one that is there stays whole, whoever else goes
        done = site.admin("forget", *hosts, "--yes", qhost=True, status=1)
        assert "web01 stays as it is: an agent reads its queue" in done.err and "web01" not in done.out, done
    assert done.out.startswith("queue old01: deleted") and known(site) == {"web01"}, done
    agent.stop()
    send(site, "hello")
    asked = site.admin("forget", "web01", qhost=True, status=1)
    assert "and delete its queue with 1 waiting message?" in asked.err, asked
    done = site.admin("forget", "web01", "--yes", qhost=True)
    assert done.out == ("queue web01: deleted, with 1 waiting message\nweb01: forgotten\n"
                        "ledger: 1 command that nobody will answer: cancelled\n"), done
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
    job = send(site, "hello")
    site.admin("forget", "web01", "--yes", status=4)  # of no broker it is not known what waits
    assert states(site, job) == {"web01": "queued"}
    site.broker.ctl("delete_queue", "-p", site.vhost, "web01")
    assert site.broker.queue(site.vhost, "web01") is None
    # What waited there is "queued" in the ledger still: said once more it sees to that, by the same user.
    asked = site.admin("forget", "web01", qhost=True, status=1)
    assert "cancel what web01 has not answered (it has no queue)?" in asked.err, asked
    done = site.admin("forget", "web01", "--yes", qhost=True)
    assert done.out == "ledger: 1 command that nobody will answer: cancelled\n", done
    assert result(site, job)["hosts"][0]["why"] == "the host was forgotten, and its queue was gone"
    site.admin("forget", "web01", "--yes", qhost=True, status=4)


@all_stores
def test_commands_that_went_with_a_queue_are_cancelled(site):
    """What is said of a job stays true, for whom it waits and for whom not; and a host that comes back is heard."""
    site.plugin("hello", "echo hello")
    collector = site.collector()
    agents = [site.agent(host) for host in ("web01", "web02")]
    wait_until(lambda: known(site) == {"web01", "web02"}, "they are known")
    done = send(site, "hello")
    wait_until(lambda: states(site, done) == {"web01": "ok"}, "it is answered")
    for agent in agents:
        agent.stop()
    named = send(site, "hello")
    both = site.runner("-n", "web01,web02", "-x", "hello", "-q", dbhost=True).out.strip()
    all_of_them = site.runner("-n", "all", "-x", "hello", "-q", dbhost=True).out.strip()
    # web01 answers one more, which the collector takes in hand when the host was forgotten.
    collector.stop()
    agent = site.agent("web01", name="once more")
    site.wait_queue("vogeler.fresh", 3)
    agent.stop()
    under_way = send(site, "hello")
    told = site.admin("forget", "web01", "--yes", qhost=True).out
    assert told.endswith("queue web01: deleted, with 1 waiting message\nweb01: forgotten\n"
                         "ledger: 4 commands that nobody will answer: cancelled\n"), told
    assert states(site, done) == {"web01": "ok"}
    assert states(site, under_way) == states(site, named) == {"web01": "cancelled"}
    assert states(site, both) == states(site, all_of_them) == {"web01": "cancelled", "web02": "queued"}
    why = "the host was forgotten, and its queue deleted with what waited in it"
    assert result(site, both)["hosts"][0]["why"] == why
    assert why in site.runner("result", both, dbhost=True, status=None).out
    # Its own word counts more, whenever it comes.
    collector = site.collector(name="again")
    wait_until(lambda: [states(site, job)["web01"] for job in (named, both, all_of_them)] == ["superseded", "superseded", "ok"],
               "it is heard")
    assert states(site, both)["web02"] == "queued" and states(site, under_way) == {"web01": "cancelled"}
    # It comes back, and does not do what was cancelled.
    agent = site.agent("web01", name="back")
    job = send(site, "hello")
    wait_until(lambda: states(site, job) == {"web01": "ok"}, "it is answered")
    assert states(site, under_way) == {"web01": "cancelled"}
    agent.stop()


@all_stores
def test_a_command_that_its_runner_has_not_noted_yet(site):
    """It may be in the queue all the same; one that was refused is not, and stays what it is."""
    site.admin("setup", "web01", qhost=True)
    ledger = Ledger(site)
    ledger.add_job("unnoted-1", "hello", ["web01", "web02"], confirms=True)
    ledger.add_job("refused-1", "hello", ["web01"], confirms=True)
    ledger.add_outcome("refused-1", "web01", "unsent")
    ledger.add_job("over-1", "hello", ["web01"], sent=-60, expires=-30)
    done = site.admin("forget", "web01", "--yes", qhost=True)
    assert done.out == ("queue web01: deleted, with 0 waiting messages\n"
                        "ledger: 1 command that nobody will answer: cancelled\n"), done
    assert states(site, "unnoted-1") == {"web01": "cancelled", "web02": "unsent"}
    assert states(site, "refused-1") == {"web01": "unsent"} and states(site, "over-1") == {"web01": "expired"}


def test_what_an_agent_has_taken(site):
    """It is not deleted, nor said to be."""
    site.plugin("waits", "sleep 600")
    site.collector()
    agent = site.agent()
    wait_until(lambda: "web01" in known(site), "it is known")
    job = send(site, "waits")
    site.wait_queue("web01", 0)
    done = site.admin("forget", "web01", "--yes", qhost=True, status=1)
    assert done.out == "" and "web01 stays as it is: an agent reads its queue" in done.err, done
    assert states(site, job) == {"web01": "queued"} and known(site) == {"web01"}
    agent.kill()  # what it had is back in its queue
    wait_until(lambda: site.ready("web01") == 1, "it is back")
    done = site.admin("forget", "web01", "--yes", qhost=True)
    assert "ledger: 1 command" in done.out and states(site, job) == {"web01": "cancelled"}, done


def at_the_question(site, *args, meanwhile):
    """forget on a terminal; meanwhile(program, terminal) ends the question. (status, stdout, what the terminal showed)"""
    master, slave = pty.openpty()
    argv = [program("vogeler-admin"), "--qhost", site.qhost, "--dbhost", site.dbhost, *args]
    with subprocess.Popen(argv, stdin=slave, stdout=subprocess.PIPE, stderr=slave, env=site.env,
                          start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) as admin:
        os.close(slave)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(master, 1024)
        meanwhile(admin, master)
        out = admin.stdout.read().decode()
        status = admin.wait(PATIENCE)
    with contextlib.suppress(OSError):  # how a terminal without anybody at it ends
        while more := os.read(master, 1024):
            shown += more
    os.close(master)
    return status, out, shown.decode()


def test_an_agent_that_comes_back_while_it_is_asked(site):
    site.collector()
    site.agent().stop()
    wait_until(lambda: "web01" in known(site), "it is known")

    def come_back(_, terminal):
        site.agent(name="back")
        wait_until(lambda: site.broker.queue(site.vhost, "web01")[1] == 1, "it reads its queue")
        os.write(terminal, b"y\n")
    status, out, shown = at_the_question(site, "forget", "web01", meanwhile=come_back)
    assert (status, out) == (1, "") and "web01 stays as it is: an agent reads its queue" in shown, shown
    assert known(site) == {"web01"}


def test_a_question_can_be_interrupted(site):
    """By Ctrl-C and by SIGTERM; and what was asked is not done."""
    site.collector().stop()
    site.admin("setup", "web01", qhost=True)
    copy = site.folder / "copy.db"
    site.admin("backup", copy)
    for verb in (["forget", "web01"], ["restore", copy]):
        for end, status in ((lambda _, terminal: os.write(terminal, b"\x03"), 130),
                            (lambda admin, _: admin.send_signal(signal.SIGINT), 130),
                            (lambda admin, _: admin.send_signal(signal.SIGTERM), 143),
                            (lambda _, terminal: os.write(terminal, b"\x04"), 1)):
            ended, out, shown = at_the_question(site, *verb, meanwhile=end)
            assert (ended, out) == (status, "") and "nothing was changed" in shown, (verb, shown)
    assert site.broker.queue(site.vhost, "web01") is not None


GROUPS = """
[group old]
hosts = web0[2-3], db*
"""


@all_stores
def test_several_hosts(site):
    site.collector()
    hosts = ["db01", "web01", "web02", "web03", "web10"]
    for host in hosts:
        site.party("Client2010", host).greet()
    wait_until(lambda: known(site) == set(hosts), "they are known")
    site.conf = site.file("vogeler.conf", GROUPS)
    site.admin("setup", "new01", qhost=True)
    job = site.runner("-n", "web*", "-x", "hello", "-q", dbhost=True).out.strip()
    table = site.admin("queue", "web*", "db01", "new01", "WEB01", qhost=True, status=4)
    lines = [line.split() for line in table.out.splitlines()]
    assert lines[0][:4] == ["HOST", "MESSAGES", "READ", "BY"] and [(line[0], line[1]) for line in lines[1:]] == [
        (host, "1" if host.startswith("web") else "0") for host in ("db01", "new01", "web01", "web02", "web03", "web10")], table
    assert re.search(r"^web10 +1 nobody +1 20\S+Z +\d+ s ago$", table.out, re.M), table
    assert "WEB01: no such host in" in table.err and "did you mean web01?" in table.err, table
    told = json.loads(site.admin("--json", "queue", "web[01-03]", qhost=True).out)
    assert [(each["host"], [j["job"] for j in each["jobs"]]) for each in told] == [(f"web0{n}", [job]) for n in (1, 2, 3)]
    # Asked once, with their number and names.
    argv = ["-c", site.conf, "forget", "web[01-02]", "@old", f"@{site.file('gone', 'new01 # never came')}", "wbe10"]
    asked = site.admin(*argv, qhost=True, status=1)
    assert ("forget 5 hosts (db01, new01, web[01-03]): all that they have answered, and delete 5 queues with 3 waiting "
            "messages?") in asked.err and "wbe10: no such host in" in asked.err and "did you mean web10?" in asked.err, asked
    assert known(site) == set(hosts)
    done = site.admin(*argv, "--yes", qhost=True, status=4)
    lines = done.out.splitlines()
    assert all(": deleted, with " in line for line in lines[:5]), done
    assert sorted(lines[5:9]) == [f"{host}: forgotten" for host in hosts[:4]], done
    assert done.out.endswith("ledger: 3 commands that nobody will answer: cancelled\n"), done
    assert known(site) == {"web10"}
    assert states(site, job) == {"web01": "cancelled", "web02": "cancelled", "web03": "cancelled", "web10": "queued"}
    # All that there are; what has the name of another queue is no host's, be it that somebody gave a record that name.
    assert site.admin("forget", "all", "--yes", qhost=True).out.startswith("queue web10: deleted, with 1 waiting message\nweb10: forgotten\n")
    assert not known(site) and site.broker.queue(site.vhost, "master.in") is not None
    for verb in (["queue", "all"], ["forget", "all", "--yes"]):
        assert site.admin(*verb, qhost=True, status=4).err == "vogeler-admin: no hosts yet: start vogeler-agent on one\n"


def several_with_commands(site):
    """Three hosts with a record, a queue, and a command that waits; the job."""
    collector = site.collector()
    hosts = {"web01", "web02", "web03"}
    for host in sorted(hosts):
        site.party("Client2010", host).greet()
    wait_until(lambda: known(site) == hosts, "they are known")
    collector.stop()
    return site.runner("-n", "web*", "-x", "hello", "-q", dbhost=True).out.strip()


def test_one_of_several_records_cannot_be_removed(site):
    job = several_with_commands(site)
    database = sqlite3.connect(site.folder / "records.db", timeout=30)
    with database:
        database.execute("CREATE TRIGGER stays BEFORE UPDATE ON host WHEN OLD.name = 'web02' "
                         "BEGIN SELECT RAISE(ABORT, 'it is held'); END")
    done = site.admin("forget", "web*", "--yes", qhost=True, status=1)
    assert done.out == ("".join(f"queue web0{n}: deleted, with 1 waiting message\n" for n in (1, 2, 3)) +
                        "web01: forgotten\nweb03: forgotten\n"
                        "ledger: 3 commands that nobody will answer: cancelled\n"), done
    assert done.err.count("\n") == 1 and "web02: " in done.err and "it is held" in done.err, done
    assert known(site) == {"web02"} and set(states(site, job).values()) == {"cancelled"}
    with database:
        database.execute("DROP TRIGGER stays")
    database.close()
    assert site.admin("forget", "web*", "--yes", qhost=True).out == "web02: forgotten\n"


def test_an_interruption_leaves_what_the_same_words_find(site):
    """The queues are gone, and the first record waits for who writes to the store."""
    job = several_with_commands(site)
    database = sqlite3.connect(site.folder / "records.db", timeout=30, isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    argv = [program("vogeler-admin"), "--qhost", site.qhost, "--dbhost", site.dbhost, "forget", "web*", "--yes"]
    with subprocess.Popen(argv, env=site.env) as admin:
        wait_until(lambda: all(site.broker.queue(site.vhost, f"web0{n}") is None for n in (1, 2, 3)), "the queues are gone")
        admin.kill()
    database.execute("ROLLBACK")
    database.close()
    assert known(site) == {"web01", "web02", "web03"} and set(states(site, job).values()) == {"queued"}
    done = site.admin("forget", "web*", "--yes", qhost=True)
    assert done.out == ("web01: forgotten\nweb02: forgotten\nweb03: forgotten\n"
                        "ledger: 3 commands that nobody will answer: cancelled\n"), done
    assert not known(site) and set(states(site, job).values()) == {"cancelled"}


def test_several_queues_that_this_user_may_not_delete(site):
    site.collector()
    site.admin("setup", "web01", "web02", qhost=True)
    name = f"operator-{site.vhost.strip('/')}"
    site.broker.add_user(name, "pw")
    site.broker.set_permissions(site.vhost, name, "^$", ".*", ".*")
    done = site.run("vogeler-admin", "--dbhost", site.dbhost, "--qhost", site.broker.uri(site.vhost, name, "pw"),
                    "forget", "web[01-02]", "--yes")
    assert done.status == 1 and not done.out, done
    for host in ("web01", "web02"):
        assert re.search(rf"queue {host} stays: .*rabbitmqctl delete_queue -p '\S+' {host}$", done.err, re.M), done
