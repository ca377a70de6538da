# SPDX-License-Identifier: Apache-2.0
"""A queue without its bindings looks like any other and hears nothing. So bindings are made at every connect and looked
after from then on, by whoever may: a start that was killed, an exchange that was deleted, a binding that was removed."""
import json
import urllib.error
import urllib.request

import pytest

from lib.ports import free_port
from lib.steps import StepRelay
from lib.waiting import wait_until
from test_jobs_send import job_of, send, states

BROADCAST, MASTER = "vogeler.broadcast.in", "vogeler.master.in"
OF_COLLECTOR = {(MASTER, "master.in", ""), (MASTER, "vogeler.fresh", "fresh")}


def of_host(host):
    return {(BROADCAST, host, "broadcasts.*"), (BROADCAST, host, host)}


def wait_bound(site, wanted, what="the bindings are there"):
    wait_until(lambda: wanted <= site.broker.bindings(site.vhost), what, step=0.2)


def sweep(site):
    """As on a new vhost."""
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    for queue in ("master.in", "vogeler.dead", "vogeler.fresh", "web01"):
        channel.queue_delete(queue)
    for exchange in (BROADCAST, MASTER):
        channel.exchange_delete(exchange)
    connection.close()


def begin(site, who, port, name):
    qhost = site.qhost.replace(f":{site.broker.port}/", f":{port}/")
    if who == "agent":
        return site.agent(name=name, ready=False, qhost=qhost)
    return site.collector(name=name, ready=False, qhost=qhost)


WANTED = {"agent": of_host("web01") | {(MASTER, "master.in", "")}, "collector": OF_COLLECTOR}
QUEUE = {"agent": "web01", "collector": "master.in"}


def interrupt(site, who, stop, killed):
    """A first start that ends at that step, then the next one. Returns the steps that were seen; fewer than `stop` when
    the start was over before."""
    program = []
    relay = StepRelay(site.broker.port, stop, lambda r: program[0].kill() if killed else r.cut())
    try:
        program.append(begin(site, who, relay.port, f"{who}.{stop}"))
        if killed:
            wait_until(lambda: not program[0].running or site.broker.queue(site.vhost, QUEUE[who]) not in (None, (0, 0)),
                       "it is killed, or done")
            if not program[0].running:
                program[0].start()
        site.wait_consumer(QUEUE[who], program[0])
        wait_bound(site, WANTED[who], f"all is bound after an end at step {stop}: {relay.steps[-1:]}")
        program[0].kill()
        return relay.steps
    finally:
        relay.close()


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "cut"])
@pytest.mark.parametrize("who", ["agent", "collector"])
def test_a_first_start_that_ends_at_any_step_is_made_good_by_the_next(site, who, killed):
    stop, seen = 1, []
    while len(seen) == stop - 1:
        seen = interrupt(site, who, stop, killed)
        sweep(site)
        stop += 1
        if seen[-1] == "basic.consume":
            break
    for step in ("exchange.declare", "queue.declare", "queue.bind", "confirm.select"):
        assert step in seen, seen


# Later: an exchange that was deleted and made anew, a binding that was removed.

def remake(site, exchange, kind):
    """As who follows doctor's cure for a wrong kind."""
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    channel.exchange_delete(exchange)
    channel.exchange_declare(exchange, kind, durable=True)
    connection.close()


def unbind(site, exchange, queue, key):
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_unbind(queue, exchange, key)
    connection.close()
    assert (exchange, queue, key) not in site.broker.bindings(site.vhost)


def user_of(site, name, configure, write, read):
    """The URI of a user with these rights."""
    name = f"{name}-{site.vhost}"
    site.broker.add_user(name, "pw")
    site.broker.set_permissions(site.vhost, name, configure, write, read)
    return site.broker.uri(site.vhost, name, "pw")


def minimal(site, host):
    return user_of(site, host, "^$", r"^vogeler\.master\.in$", f"^{host}$")


def test_an_agent_that_may_bind_heals_itself(site):
    site.plugin("hello", "echo hello")
    agent = site.agent()
    wait_bound(site, WANTED["agent"])
    for key in ("broadcasts.*", "web01"):
        unbind(site, BROADCAST, "web01", key)
    unbind(site, MASTER, "master.in", "")
    wait_bound(site, WANTED["agent"], "removed bindings are there again")
    remake(site, BROADCAST, "topic")
    remake(site, MASTER, "direct")
    wait_bound(site, WANTED["agent"], "the bindings of exchanges that were made anew are there again")
    connection = site.broker.connect(site.vhost)
    connection.channel().exchange_delete(BROADCAST)
    connection.close()
    wait_bound(site, WANTED["agent"], "the exchange that was deleted is there again, and bound")
    assert agent.running


def test_a_host_with_minimal_rights_is_bound_by_the_collector(site):
    site.plugin("hello", "echo hello")
    site.admin("setup", "web01", qhost=True)
    collector = site.collector()
    agent = site.agent(qhost=minimal(site, "web01"))
    site.wait_record(lambda r: True, "the host is known")
    collector.stop()
    remake(site, BROADCAST, "topic")
    assert not of_host("web01") & site.broker.bindings(site.vhost)
    collector.start()
    wait_bound(site, of_host("web01") | OF_COLLECTOR, "the collector binds at its start")
    remake(site, BROADCAST, "topic")
    remake(site, MASTER, "direct")
    wait_bound(site, of_host("web01") | OF_COLLECTOR, "the collector binds what lost its exchange")
    connection = site.broker.connect(site.vhost)
    connection.channel().exchange_delete(BROADCAST)
    connection.close()
    wait_bound(site, of_host("web01"), "the collector makes the exchange and binds the hosts")
    unbind(site, BROADCAST, "web01", "broadcasts.*")
    wait_bound(site, of_host("web01"), "a binding that was removed is there again")
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello"]
    # Refused once a connection, and never down for it.
    assert agent.log_count("may not make the binding") == agent.log_count("-> READY"), agent.log()
    assert agent.log_count("READY -> ") == 0, agent.log()


def test_a_command_to_all_passes_by_who_is_not_bound_and_a_rerun_does_not(site):
    """As docs/runner-output.md has it: nobody can see that it does not get it, and by its name it does."""
    collector = site.collector()
    hosts = ["web01", "web02"]
    site.admin("setup", *hosts, qhost=True)
    connection = site.broker.connect(site.vhost)
    for host in hosts:
        connection.channel().basic_publish(MASTER, "", json.dumps({"syskey": host, "format": "pydict"}).encode())
    connection.close()
    wait_until(lambda: all(site.record(host) for host in hosts), "both are known")
    collector.stop()  # who binds again
    unbind(site, BROADCAST, "web01", "broadcasts.*")
    job = job_of(send(site, "-n", "all"))
    assert states(site, job) == {host: "queued" for host in hosts}
    assert [site.ready(host) for host in hosts] == [0, 1]
    site.runner("rerun", "--missing", job, dbhost=True)
    assert [site.ready(host) for host in hosts] == [1, 2]


# Doctor proves that messages arrive

def arrivals(site, *args, qhost=None, status=None):
    argv = ["doctor", "--qhost", qhost or site.qhost, "--option", "client.name=web01", "--option",
            f"client.state_dir={site.folder}/state.web01", *args]
    done = site.admin(*argv, status=status)
    return [line for line in done.out.splitlines() if "arrival" in line], done


ALL_ARRIVE = ["answers arrive in master.in", "answers arrive in vogeler.fresh", "a command to web01 arrives in its queue",
              "a command to all arrives at web01"]


@pytest.mark.parametrize("running", [True, False], ids=["agent runs", "agent is off"])
def test_doctor_says_what_does_not_arrive(site, running):
    """With a second host, whose bindings hide the lack from whoever publishes."""
    site.admin("setup", "web01", "web02", qhost=True)
    rights = minimal(site, "web01")  # nobody mends it while doctor looks
    agent = site.agent(qhost=rights)
    if not running:
        agent.stop()
        wait_until(lambda: site.broker.queue(site.vhost, "web01")[1] == 0, "the agent is gone")
    lines, done = arrivals(site)
    assert len(lines) == 4 and all(what in line and "ok" in line for what, line in zip(ALL_ARRIVE, lines)), done
    for exchange, queue, key, words in (
            (BROADCAST, "web01", "broadcasts.*", "a command to all does not arrive at web01"),
            (BROADCAST, "web01", "web01", f'exchange {BROADCAST} with key "web01" reaches no queue: web01 is not bound'),
            (MASTER, "master.in", "", f'exchange {MASTER} with key "" reaches no queue: master.in is not bound'),
            (MASTER, "vogeler.fresh", "fresh", 'with key "fresh" reaches no queue: vogeler.fresh is not bound')):
        unbind(site, exchange, queue, key)
        lines, done = arrivals(site, status=1)
        assert [line for line in lines if "FAIL" in line and words in line], (key, done)
        connection = site.broker.connect(site.vhost)
        connection.channel().queue_bind(queue, exchange, key)
        connection.close()
    # Nothing of it stays, or is taken for something else.
    if running:
        assert agent.log_count("dropped a message|refused a message|Message recieved") == 0, agent.log()
    collector = site.collector()
    site.wait_drained("master.in", "web02")
    assert site.dead_letters() == [], collector.log()


def test_doctor_without_the_right_to_send_commands_says_so(site):
    site.admin("setup", "web01", qhost=True)
    site.agent()
    rights = user_of(site, "collector", r"^(vogeler\..*|master\.in)$", r"^(?!vogeler\.broadcast\.in$).*$",
                     r"^(vogeler\..*|master\.in)$")
    lines, done = arrivals(site, qhost=rights)
    assert [line for line in lines if "whether commands arrive" in line] == [] or "skip" in lines[-1], done
    assert not [line for line in lines if "FAIL" in line], done
    assert "commands it may not send" in done.out, done


def commands(site, qhost, status=0):
    """What doctor says of them on a machine without an agent."""
    done = site.admin("--as", "operator", "--qhost", qhost, "doctor", status=status)
    wait_until(lambda: site.ready("web03") == 0, "what was sent to a host that is off has expired")
    assert "nothing can be sent" not in done.out and "not tried for an operator, who sends none" in done.out, done
    return [line for line in done.out.splitlines() if line.split()[1] == "commands"], done


def test_doctor_of_an_operator_proves_that_commands_arrive_at_hosts_of_the_store(site):
    """It has no queue of its own to look at, and may hear no echo."""
    operator = user_of(site, "ops", r"^vogeler\.reply\..*$", r"^vogeler\.broadcast\.in$", r"^vogeler\.reply\..*$")
    site.plugin("hello", "echo hello")
    site.admin("setup", "web01", "web02", "web03", qhost=True)
    collector = site.collector()
    agents = [site.agent(host, qhost=minimal(site, host)) for host in ("web01", "web02", "web03")]
    for host in ("web01", "web02", "web03"):
        site.wait_record(lambda r: True, "is known", host)
    agents[2].stop()
    wait_until(lambda: site.broker.queue(site.vhost, "web03")[1] == 0, "the agent is gone")
    lines, done = commands(site, operator)
    assert "arrive in the queues of hosts=3, of the 3 that" in lines[0] and "to all reach queues" in lines[1], done
    collector.stop()  # who binds again
    unbind(site, BROADCAST, "web02", "web02")
    lines, done = commands(site, operator, status=1)
    assert lines[0].startswith("FAIL") and "by name reach no queue, they are not bound: web02; cure" in lines[0], done
    assert "hosts=2, of the 3" in lines[1], done
    remake(site, BROADCAST, "topic")
    lines, done = commands(site, operator, status=1)
    assert "not bound: web01, web02, web03; cure: vogeler-admin setup --all" in lines[0], done
    assert lines[1].startswith("FAIL") and "commands to all" in lines[1] and "reach no queue" in lines[1], done
    site.admin("setup", "--all", qhost=True)
    assert len(commands(site, operator)[0]) == 2
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_delete("web01")
    connection.close()
    lines, done = commands(site, operator, status=1)
    assert lines[0].startswith("FAIL") and "there is no queue of these hosts" in lines[0] and "nowhere: web01;" in lines[0]
    # Nothing of it stays, or is taken for something else.
    assert agents[1].log_count("dropped a message|refused a message|Message recieved") == 0, agents[1].log()


# setup

def test_setup_binds_what_was_there_and_with_all_the_hosts_of_the_store(site):
    site.plugin("hello", "echo hello")
    site.admin("setup", "web01", "web02", qhost=True)
    collector = site.collector()
    for host in ("web01", "web02"):
        site.agent(host, qhost=minimal(site, host)).stop()
        site.wait_record(lambda r: True, "is known", host)
    collector.stop()
    connection = site.broker.connect(site.vhost)
    connection.channel().queue_delete("web02")
    connection.close()
    remake(site, BROADCAST, "topic")
    remake(site, MASTER, "direct")
    site.admin("setup", "web01", qhost=True)
    assert site.broker.bindings(site.vhost) == of_host("web01") | OF_COLLECTOR
    remake(site, BROADCAST, "topic")
    done = site.admin("setup", qhost=True)
    assert "bindings" not in done.out, done
    done = site.admin("setup", "--all", qhost=True)
    assert "1 queues bound, 1 hosts have no queue, 0 refused" in done.out, done
    assert of_host("web01") <= site.broker.bindings(site.vhost)
    connection = site.broker.connect(site.vhost)
    connection.channel().exchange_delete(BROADCAST)
    connection.close()
    done = site.admin("setup", qhost=True)  # it makes the exchange: that has no bindings
    assert "created" in done.out and "1 queues bound" in done.out, done
    assert of_host("web01") <= site.broker.bindings(site.vhost)


# What is told where nothing can be mended

def test_health_and_log_know_of_a_queue_that_may_not_be_bound(site):
    """The collector may not bind its queues, the agent neither: both say so, and when it is over."""
    site.plugin("hello", "echo hello")
    site.admin("setup", "web01", qhost=True)
    qhost = user_of(site, "collector", r"^vogeler\.leader$", r"^(vogeler\.master\.in|vogeler\.leader|amq\.default)$",
                    r"^(vogeler\..*|master\.in)$")
    port = free_port()
    collector = site.collector(qhost=qhost, options=(f"server.listen=127.0.0.1:{port}",))
    agent = site.agent(qhost=minimal(site, "web01"))
    site.wait_record(lambda r: True, "the host is known")

    def health():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.read().decode()

    wait_until(lambda: health() == "ok\n", "all is well")
    unbind(site, MASTER, "master.in", "")
    unbind(site, MASTER, "vogeler.fresh", "fresh")
    wait_until(lambda: f'bindings: no queue is bound to {MASTER} with key ""' in health(), "health knows", 60)
    site.ask("hello")
    agent.wait_log("no queue is bound to exchange", 1)
    agent.wait_log("the broker still does not take responses", 2)
    site.admin("setup", qhost=True)
    assert site.wait_plugin("hello") == ["hello"]
    agent.wait_log("the broker takes responses again, after", 1)
    assert agent.log_count("ERROR.*no queue is bound") == 1, agent.log()
    wait_until(lambda: health() == "ok\n", "all is well again", 60)
    for what in ("ERROR.*no queue is bound", "WARN.*is bound to exchange .* again"):
        assert collector.log_count(what) == 2, collector.log()  # one for each of the two queues
