# SPDX-License-Identifier: Apache-2.0
"""What fails is named in one line with the way out, by the real programs: one-shot ones end with the right status, daemons
go on trying. Repeats are not repeated."""
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest

from lib.http import Monitor
from lib.process import run
from lib.site import SOURCE, program
from lib.waiting import wait_until

sys.path.insert(0, str(SOURCE / "tests" / "fake"))
# pylint: disable=wrong-import-position
import fake_amqp as fake  # noqa: E402
from fake_couch import FakeCouch  # noqa: E402


def one_shots(site, qhost):
    """The two programs that talk to the broker once."""
    yield site.run("vogeler-runner", "--qhost", qhost, "-n", "all", "-x", "x")
    yield site.run("vogeler-admin", "--qhost", qhost, "--dbhost", site.dbhost, "setup")


def daemons(site, qhost):
    yield site.collector(ready=False, qhost=qhost, level="WARN")
    yield site.agent(ready=False, qhost=qhost, level="WARN")


def told_by_all(site, qhost, what, cure):
    pattern = what + ".*; cure: .*" + cure
    for done in one_shots(site, qhost):
        assert done.status == 1, done
        assert re.search(pattern, done.err), done
        assert len(done.err.splitlines()) == 1, done
    for process in daemons(site, qhost):
        connections = 2 if process.name == "vogelerd" else 1
        process.wait_log(pattern, connections)
        assert process.running
        told = [line for line in process.log().splitlines() if re.search(what, line)]
        assert len(told) == connections, process.log()
        assert all(re.search(r"retry_in=[\d.]+s, unlogged_before=0", line) for line in told), process.log()


def test_broker_down(site):
    told_by_all(site, "amqp://guest:guest@127.0.0.1:1/vogeler", "127.0.0.1:1/vogeler: connection refused", "start RabbitMQ")


def test_host_of_the_broker_unknown(site):
    told_by_all(site, "amqp://no.such.host.invalid/vogeler", "no.such.host.invalid.*: (no such host|the name server)",
                "check the name")


def test_wrong_password(site):
    told_by_all(site, site.broker.uri(site.vhost, password="wr0ngword"), 'user "guest" was refused',
                "check user and password")
    assert "wr0ngword" not in "".join(p.log() for p in site.processes)


def test_vhost_missing(site):
    told_by_all(site, site.broker.uri("nowhere"), 'there is no vhost "nowhere"', "rabbitmqctl add_vhost nowhere")


def test_user_without_access_to_the_vhost(site):
    site.broker.add_user(f"no{site.vhost}", "pw")
    told_by_all(site, site.broker.uri(site.vhost, f"no{site.vhost}", "pw"), "access to vhost .* refused for user",
                "rabbitmqctl set_permissions")


def test_rights_missing(site):
    user = f"poor{site.vhost}"
    site.broker.add_user(user, "pw")
    site.broker.set_permissions(site.vhost, user, "^$", "^$", "^$")
    told_by_all(site, site.broker.uri(site.vhost, user, "pw"),
                f'user "{user}" lacks rights on exchange "vogeler.broadcast.in"', "vogeler-admin setup")


def test_consumers_refused_one_after_the_other(site):
    """The second is named as soon as it is known, and nothing is up in between."""
    site.admin("setup", qhost=True)
    user = f"sender{site.vhost}"
    site.broker.add_user(user, "pw")
    site.broker.set_permissions(site.vhost, user, "^$", ".*", "^(vogeler.broadcast.in|vogeler.master.in)$")
    process = site.collector(ready=False, qhost=site.broker.uri(site.vhost, user, "pw"))
    for queue in ("vogeler.fresh", "master.in"):
        process.wait_log(rf'ERROR. .* consumer\]: down \(permission\): .*lacks rights on queue "{queue}"')
    assert process.log_count(r"consumer\]: up again") == 0, process.log()


def test_an_outage_that_was_told_is_not_the_last_word(site):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = site.collector(ready=False, qhost=f"amqp://127.0.0.1:{port}/x", options=("amqp.reconnect_max=100ms",))
    process.wait_log(r"down \(network\)", 2)
    with fake.FakeAmqp(port):
        process.wait_log(r"WARN. .*(consumer|publisher)\]: up again", 2)


def test_repeats_are_counted_and_not_told(site):
    process = site.collector(ready=False, qhost="amqp://127.0.0.1:1/x", level="INFO",
                             options=("amqp.reconnect_max=100ms",))
    process.wait_log(r"-> BACKOFF", 8)
    assert process.log_count("down \\(network\\)") == 2, process.log()  # of the consumer and of the publisher
    for role in ("consumer", "publisher"):
        assert process.log_count(rf"#\d+ {role}\]: down \(network\)") == 1, process.log()


def test_another_failure_tells_how_many_were_not_told(site):
    """Nobody listens at first; then somebody does, and refuses the login."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = site.collector(ready=False, qhost=f"amqp://127.0.0.1:{port}/x", level="INFO",
                             options=("amqp.reconnect_max=100ms",))
    roles = ("consumer", "publisher")
    for role in roles:
        process.wait_log(rf" {role}\]: \w+ -> BACKOFF", 4)
    refusing = fake.Fault("tune", fake.send_and_close(fake.close(403, "ACCESS_REFUSED - not you")))
    with fake.FakeAmqp(port, refusing):
        for role in roles:
            process.wait_log(rf" {role}\]: down \(auth\): .*not you.*, unlogged_before=\d+$")
    for role in roles:
        told = re.findall(rf" {role}\]: down \((\w+)\): .*unlogged_before=(\d+)$", process.log(), re.M)
        assert [(kind, int(n) >= 3) for kind, n in told] == [("network", False), ("auth", True)], process.log()


def test_what_was_not_told_is_summed_up_when_it_is_up_again(site):
    """However short the outage was."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = site.collector(ready=False, qhost=f"amqp://127.0.0.1:{port}/x", level="INFO",
                             options=("amqp.reconnect_max=100ms",))
    process.wait_log(r"-> BACKOFF", 8)
    with fake.FakeAmqp(port):
        process.wait_log(r"WARN. vogelerd .broker. - .*up again after \d+ s, unlogged=\d+", 2)
    told = [int(n) for n in re.findall(r"up again after \d+ s, unlogged=(\d+)", process.log())]
    assert len(told) == 2 and sum(told) >= 6, process.log()  # of the consumer and of the publisher


def test_queue_with_other_arguments_goes_on_and_setup_says_so(site):
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_declare("master.in", durable=True, arguments={"x-max-length": 5})
    connection.close()
    site.wait_consumer("master.in", site.collector(ready=False))  # a queue that exists is not bound anew
    done = site.admin("setup", qhost=True, status=1)
    assert "queue master.in exists with other arguments" in done.err and "delete_queue" in done.err, done


def test_queue_of_the_host_exclusive_to_another_connection(site):
    """Tried again until it is free."""
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_declare("web01", exclusive=True)
    agent = site.agent(ready=False, level="WARN")
    agent.wait_log('queue "web01" is in use, the broker says "RESOURCE_LOCKED')
    assert agent.running
    connection.close()
    site.wait_consumer("web01", agent)


def test_store_down(site):
    done = site.run("vogeler-admin", "--dbhost", "couch://127.0.0.1:1/x", "hosts")
    assert done.status == 1 and len(done.err.splitlines()) == 1, done
    assert re.search("couch://127.0.0.1:1/x cannot be reached: connection refused; cure: is CouchDB running there", done.err)
    collector = site.collector(ready=False, dbhost="couch://127.0.0.1:1/x", level="WARN")
    collector.wait_log("cannot be reached: connection refused; cure: is CouchDB")
    assert collector.running


def test_database_missing(couch_site):
    site = couch_site
    gone = site.dbhost + "_gone"
    done = site.run("vogeler-admin", "--dbhost", gone, "hosts")
    assert done.status == 1 and len(done.err.splitlines()) == 1, done
    assert re.search("_gone does not exist at .*; cure: run vogeler-admin setup", done.err), done


def test_collector_goes_on_once_the_database_is_made(site):
    couch = FakeCouch(databases=())
    dbhost = f"couch://127.0.0.1:{couch.port}/records"
    collector = site.collector(ready=False, dbhost=dbhost, level="WARN")
    collector.wait_log(r"database records does not exist at .*; cure: run vogeler-admin setup, retry_in=")
    assert collector.running
    site.dbhost = dbhost
    site.admin("setup", qhost=True)
    site.wait_consumer("master.in", collector)
    site.party("Client2010", "web01").answer("a", "1", "output")
    wait_until(lambda: couch.get("web01"), "the record is stored")
    couch.stop()


def test_folder_of_the_database_missing(site):
    """Who only reads makes no database, and says that instead (test_cli.py)."""
    for name, rest in (("vogeler-admin", ["--qhost", site.qhost, "setup"]), ("vogelerd", ["--qhost", site.qhost])):
        done = site.run(name, "--dbhost", f"sqlite://{site.folder}/none/x.db", *rest)
        assert done.status == 1 and len(done.err.splitlines()) == 1, done
        assert re.search(f"there is no folder {site.folder}/none; cure: make it", done.err), done


def test_disk_full(site):
    """A small file system of the collector's own: in a mount namespace, so that only it sees it. It has room for a probe
    and not for what waits, which must not look as if all were well."""
    small = site.folder / "small"
    small.mkdir()
    script = f"mount -t tmpfs -o size=400k none {small} && exec \"$@\""
    monitor = Monitor("server")
    collector = site.process("vogelerd", ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh",
                                          program("vogelerd"), "--qhost", site.qhost, "--dbhost",
                                          f"sqlite://{small}/r.db", "--loglevel", "WARN", "--option", monitor.option,
                                          "--option", "server.store_patience=2s"]).start()
    site.wait_consumer("master.in", collector)
    wait_until(monitor.is_well, "all is well")
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.confirm_delivery()
    # What compresses would find room.
    body = json.dumps({"syskey": "web01", "big": os.urandom(450000).hex(), "format": "string"})
    for _ in range(5):
        channel.basic_publish("vogeler.master.in", "", body)
    connection.close()
    collector.wait_log(r"r\.db: (database or disk is full|No space left on device); cure: make room")
    full = r"^store: takes nothing since (\d+) s: .*(database or disk is full|No space left on device)"
    wait_until(lambda: monitor.narrow(full), "it says so")
    last, end = 0, time.monotonic() + 30
    while time.monotonic() < end:
        line = monitor.narrow(full)
        assert line, monitor.health()
        since = int(re.search(full, line).group(1))
        assert since >= last, line
        last = since
        time.sleep(0.1)
    # Given back once, but for those that were on their way then.
    assert 5 <= monitor.metric("vogeler_responses_total", "given_back") <= 10
    assert monitor.metric("vogeler_inbox_state", "TRYING") == 1
    assert 1 <= monitor.metric("vogeler_inbox_deliveries") <= 5  # one at first, then a few more
    assert collector.running and monitor.metric("vogeler_acked_total") == 0
    # Not acknowledged, so not lost.
    messages = site.broker.messages(site.vhost)["master.in"]
    assert messages == 5, messages
    subprocess.run(["nsenter", "--user", "--mount", "--preserve-credentials", "--target", str(collector.pid), "mount",
                    "-o", "remount,size=64m", str(small)], check=True)
    site.wait_drained("master.in")
    wait_until(monitor.is_well, "all is well again")
    assert monitor.metric("vogeler_responses_total", "stored") == 5


def test_plugin_directory_that_is_not_there_or_not_safe(site):
    argv = site.agent_argv(level="WARN", plugins=site.folder / "none")
    done = run(argv, site.env, site.folder)
    assert done.status == 1 and len(done.err.splitlines()) == 1, done
    assert re.search(r"none: cannot read the plugin directory: No such file or directory; cure: .*plugin_path", done.err), done
    site.plugins.chmod(0o777)
    done = run(site.agent_argv(level="WARN"), site.env, site.folder)
    assert done.status == 1 and len(done.err.splitlines()) == 1, done
    assert re.search(r"plugins: refused: everyone may write it; cure: chmod o-w", done.err), done
    done = run(site.agent_argv(level="WARN", plugins=site.file("no.folder", "")), site.env, site.folder)
    assert done.status == 1 and len(done.err.splitlines()) == 1, done
    assert re.search(r"no.folder: cannot read the plugin directory: Not a directory; cure: .*plugin_path", done.err), done


def powerless(argv):
    """As somebody whom permissions stop; root is, without these capabilities. (What is inheritable, as under systemd-nspawn,
    would be root's again.)"""
    lost = "-dac_override,-dac_read_search"
    return (["setpriv", "--bounding-set", lost, "--inh-caps", lost] if os.geteuid() == 0 else []) + argv


def test_plugins_that_cannot_be_read(site):
    """The folder; and one file, without which the others work."""
    bad = site.plugin("bad", "echo 1")
    site.plugin("good", "echo 1")
    bad.chmod(0)
    argv = powerless(site.agent_argv(level="WARN", verb=("list",)))
    done = run(argv, site.env, site.folder)
    assert re.search(r"bad.cfg: Permission denied; cure: give this user the right to read it", done.err), done
    assert "good" in done.out, done
    site.plugins.chmod(0o300)
    try:
        done = run(powerless(site.agent_argv(level="WARN")), site.env, site.folder)
    finally:
        site.plugins.chmod(0o755)
    assert done.status == 1 and len(done.err.splitlines()) == 1, done
    assert re.search(r"plugins: cannot read the plugin directory: Permission denied; cure: .*so that this user can",
                     done.err), done


@pytest.mark.parametrize("full", ["blocks", "inodes"])
def test_state_folder_on_a_full_disk(site, full):
    """A host whose disk is full is one to be asked questions."""
    small = site.folder / "state.web01"
    site.plugin("one", "echo 1")
    site.collector()
    process = site.process("agent.web01", site.agent_argv(level="WARN"))
    fill = {"blocks": f"mount -t tmpfs -o size=64k,mode=0700 none {small} && head -c 65536 /dev/zero >{small}/full",
            "inodes": f"mount -t tmpfs -o nr_inodes=1,mode=0700 none {small}"}[full]
    process.within = lambda argv: ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
                                   f'{fill} && exec "$@"', "sh", *argv]
    process.start()
    site.wait_consumer("web01", process)
    site.ask("one")
    wait_until(lambda: site.value("one") == ["1"], "it answers")
    assert re.search(r"ERROR\].*state.web01/order: No space left on device; .*cure: make room there", process.log())
    assert re.search(r"ERROR\].*compiled plugins: .*No space left on device; cure: make room there", process.log())
    process.stop()


@pytest.mark.parametrize("name, rest", [("vogelerd", []), ("vogeler-agent", ["run"]), ("vogeler-admin", ["hosts"]),
                                        ("vogeler-runner", ["-n", "all", "-x", "x"])])
def test_bad_line_in_the_configuration(site, name, rest):
    conf = site.file("v.conf", f"[amqp]\ndsn = {site.qhost}\nheartbeat = soon\n[couch]\ndsn = couch://127.0.0.1/x\n")
    done = site.run(name, "-c", str(conf), *rest)
    assert done.status == 1 and len(done.err.splitlines()) == 1, done
    assert re.search(f"^{name}: .*v.conf:3: .*'soon' should be a duration", done.err), done


def test_second_agent_on_the_same_state_folder(site):
    first = site.agent()
    done = run(site.agent_argv(level="WARN"), site.env, site.folder)
    assert done.status == 75 and len(done.err.splitlines()) == 1, done
    assert re.search(rf"in use by another agent, pid {first.pid}; cure: end that one", done.err), done
    assert first.running
