# SPDX-License-Identifier: Apache-2.0
"""What was typed and cannot have been meant is told, with what may have been; what is shorter to type is understood."""
import json
import os
import pwd
import re

import pytest

from lib.ledger import Ledger
from lib.site import all_stores


@pytest.fixture
def hosts(site):
    """h1 and db01.example.com, queues without agents, with records."""
    site.collector()
    for name in ("h1", "db01.example.com"):
        client = site.party("Client2010", name)
        client.greet()
        client.answer("packages", "[1]", "json")
        site.wait_plugin("packages", name)
    return site


def send(site, *args, status=0):
    done = site.runner("-x", "packages", *args, "--json", dbhost=True, status=status)
    return json.loads(done.out)["job"]


@all_stores
def test_names_in_other_letters(hosts):
    site = hosts
    for typed, meant in (("H1", "h1"), ("db01", "db01.example.com"), ("h1.example.com", "h1")):
        done = site.runner("-n", typed, "-x", "packages", dbhost=True, status=4)
        assert f"did you mean {meant}?" in done.err, done
    for typed in ("h1", "nowhere", "h2"):
        done = site.runner("-n", typed, "-x", "packages", "--dry-run", dbhost=True)
        assert "did you mean" not in done.err, done


def test_numbers_in_brackets_that_are_none(hosts):
    site = hosts
    for typed, hint in (("web[2-1]", "2-1 is backwards"), ("web[1-3]", "with one character")):
        for done in (site.runner("-n", typed, "-x", "packages", dbhost=True, status=4), site.admin("hosts", typed, status=4)):
            assert f"{typed}: no" in done.err and f"; {hint}" in done.err and "vogeler-admin hosts" in done.err, done


def test_all_in_other_letters(hosts):
    for typed in ("All", "ALL"):
        done = hosts.runner("-n", typed, "-x", "packages", dbhost=True, status=4)
        assert f"{typed}: there is no record of that name; did you mean all?" in done.err, done
        assert "did you mean all?" in hosts.admin("show", typed, status=4).err


def test_hosts_in_other_letters_for_vogeler_admin(hosts):
    site = hosts
    for typed, meant in (("H1", "h1"), ("db01", "db01.example.com"), ("DB1", "db01.example.com"), ("db01.exmaple.com", "db01.example.com")):
        for verb in (["show"], ["show", "packages"], ["forget-order"], ["hosts"]):
            done = site.admin(verb[0], typed, *verb[1:], status=4)
            assert f"{typed}: no such host in {site.dbhost}; did you mean {meant}?" in done.err, done
    done = site.admin("show", "H1,h1,h2", "packages", status=4)
    assert "H1: no such host in" in done.err and "did you mean h1?" in done.err and done.out.startswith("h1"), done
    assert 'h2: no such host in' in done.err and '"vogeler-admin hosts" lists them' in done.err, done
    assert "mean" not in site.admin("show", "nowhere", status=4).err


def test_a_plugin_or_a_part_that_a_host_has_not(hosts):
    site = hosts
    site.party("Client2010", "h1").answer("facter", json.dumps({"os": {"name": "Debian"}}), "json")
    site.wait_plugin("facter", "h1")
    done = site.admin("show", "h1", "pakages", status=4)
    assert 'h1 has no "pakages"; did you mean packages? It has: facter, packages' in done.err, done
    done = site.admin("show", "h1", "uptime", status=4)
    assert 'h1 has no "uptime"; it has: facter, packages' in done.err, done
    done = site.admin("show", "h*", "pakages", status=4)
    assert 'no record has "pakages"; did you mean packages? There are facter, packages' in done.err, done
    assert "no record has" not in site.admin("show", "db*", "facter", status=4).err
    for path, near in (("os.nmae", "did you mean name? os has: name"), ("oss.name", "did you mean os? It has: os"),
                       ("os.uptime.days", "os has: name")):
        assert f'h1: "facter" has no {path}; {near}' in site.admin("show", "h1", "facter", path, status=4).err


def test_a_plugin_of_a_host_that_has_many(hosts):
    client = hosts.party("Client2010", "h1")
    for i in range(60):
        client.answer(f"plugin{i:02}", "[1]", "json")
    hosts.wait_plugin("plugin59", "h1")
    done = hosts.admin("show", "h1", "nope", status=4)
    assert re.fullmatch(r'vogeler-admin: h1 has no "nope"; it has: packages, plugin00, .*, plugin\d\d and \d\d more\n', done.err), done
    assert len(re.findall(r"plugin\d\d", done.err)) + int(done.err.split()[-2]) == 60 and len(done.err) < 400, done


def test_a_plugin_that_no_record_has(hosts):
    done = hosts.runner("--where", ".pakages | length > 0", "-x", "packages", dbhost=True, status=4)
    assert 'no record has "pakages"; did you mean packages? There is packages' in done.err, done
    done = hosts.runner("--where", ".packages | length > 0", "-x", "packages", "--dry-run", dbhost=True)
    assert done.err.count("\n") == 1 and "no record" not in done.err, done


@all_stores
def test_jobs_by_the_beginning_of_their_id(hosts):
    site = hosts
    first, last = send(site, "-n", "h1"), send(site, "-n", "h1")
    for typed, job in (("@last", last), (last, last), (first[:-2], first), (last[:-8], last)):
        done = site.runner("result", typed, "--json", dbhost=True, status=None)
        assert done.status == 3 and json.loads(done.out)["job"] == job, done
    done = site.runner("result", first[:4], dbhost=True, status=1)
    assert "2 jobs begin like that" in done.err and first in done.err and last in done.err, done
    done = site.runner("result", first[:3], dbhost=True, status=1)
    assert "too short" in done.err and "4 characters" in done.err, done
    mistyped = last[:20] + ("0" if last[20] != "0" else "1") + last[21:]
    done = site.runner("result", mistyped, dbhost=True, status=1)
    assert f"{mistyped}: no such job; did you mean {last}?" in done.err, done
    for typed in ("zzzz", ""):
        done = site.runner("result", typed, dbhost=True, status=1)
        assert "no such job" in done.err, done
    for typed in ("@lst", "@", "@lastjob"):  # no id begins like that
        done = site.runner("result", typed, dbhost=True, status=1)
        assert "no such job; did you mean @last" in done.err and done.err.count("\n") == 1, done


@all_stores
def test_a_job_that_cannot_be_read(site):
    """The store, the job, what is wrong with it and the way out are named."""
    site.admin("setup", qhost=True)
    job, ledger = "0192f0c1-damaged", Ledger(site)
    ledger.add_job(job, "packages", ["h1"], odd={"sent_at": "yesterday"})
    ledger.add_job(job + "2", "packages", ["h1"], odd={"hosts": "h1"})
    for typed, what in ((job, "sent_at is not a time"), (job + "2", "hosts is not a list")):
        for verb in ("result", "cancel"):
            done = site.runner(verb, typed, dbhost=True, status=1)
            assert f'{ledger.named}: job {typed} cannot be read: {what} (it was edited by hand, or is damaged); cure: ' in done.err, done
            assert '"vogeler-runner jobs" lists the others' in done.err and done.err.count(typed) == 1, done


@all_stores
@pytest.mark.parametrize("odd", [99, -5, 2 ** 40, "ok!"])
def test_an_outcome_that_cannot_be_read(site, odd):
    """It is left out with a word; the job's other hosts, and the other jobs, are told as they stand."""
    site.admin("setup", qhost=True)
    job, ledger = "0192f0c1-odd", Ledger(site)
    if ledger.pg and odd in (2 ** 40, "ok!"):
        pytest.skip("its column takes no such thing")
    for name in (job, job + "2"):
        ledger.add_job(name, "packages", ["h1", "h2", "h3"])
        for host, state in (("h1", "ok"), ("h2", "refused"), ("h3", "failed")):
            ledger.add_outcome(name, host, state)
    ledger.spoil_outcome(job, "h2", odd)
    said = "left out: 1 of a job's outcomes cannot be read (edited by hand, or damaged)"
    done = site.runner("result", job, dbhost=True, status=2)
    assert "3 targeted = 1 ok + 1 failed + 1 queued" in done.out and done.err.count(said) == 1 and f"job={job}" in done.err, done
    done = site.runner("jobs", dbhost=True)
    assert "1 ok + 1 failed + 1 queued" in done.out and "1 ok + 1 failed + 1 refused" in done.out, done
    assert done.err.count(said) == 1, done
    done = site.runner("watch", job, "--wait=2s", dbhost=True, status=2)  # which asks again and again
    assert done.err.count(said) == 1, done


def test_last_of_none(site):
    site.admin("setup", qhost=True)
    done = site.runner("watch", "@last", dbhost=True, status=1)
    assert "no such job" in done.err, done


@all_stores
def test_jobs_to_nobody_are_not_listed(hosts):
    site = hosts
    job = send(site, "-n", "h1")
    for typed in ("nosuch*", "nosuch", "nosuch[01-20]"):
        site.runner("-n", typed, "-x", "packages", dbhost=True, status=4)
    for limit in ((), ("--limit=1",)):
        listed = json.loads(site.runner("jobs", "--json", *limit, dbhost=True).out)["jobs"]
        assert [each["job"] for each in listed] == [job], listed
    half = send(site, "-n", "h1,nosuch", status=4)
    assert site.runner("jobs", "-q", dbhost=True).out.split() == [half, job]


def test_each_verb_takes_the_beginning_of_an_id(hosts):
    site = hosts
    job = send(site, "-n", "h1")
    for argv in (["result", job[:-3]], ["watch", "@last", "--wait=100ms"], ["cancel", job[:-3]], ["rerun", "@last", "-y"]):
        done = site.runner(*argv, "--json", dbhost=True, status=None)
        answer = json.loads(done.out)
        assert job in (answer["job"], answer.get("rerun_of")), (argv, done)


@all_stores
def test_jobs_say_who_sent_them(hosts):
    """By their own word, beside the user whom the broker vouches for; of root by sudo, that of who called it."""
    site = hosts
    me = pwd.getpwuid(os.getuid()).pw_name
    sender = "ann" if os.getuid() == 0 else me
    done = site.run("vogeler-runner", "--qhost", site.qhost, "--dbhost", site.dbhost, "-n", "h1", "-x", "packages", "--json",
                    env=dict(site.env, SUDO_USER="ann", USER="eve", LOGNAME="eve"))
    job = json.loads(done.out)["job"]
    send(site, "-n", "h1")
    listed = json.loads(site.runner("jobs", "--json", dbhost=True).out)["jobs"]
    assert [(each["login"], each["login_host"], each["user"]) for each in listed] == [
        (me, os.uname().nodename, "guest"), (sender, os.uname().nodename, "guest")], listed
    table = site.runner("jobs", dbhost=True).out
    assert f"{sender}@{os.uname().nodename}" in table and re.search(r"Z +\d+ s ago ", table), table
    for verb in (["result", job], ["watch", job, "--wait=100ms"]):
        err = site.runner(*verb, "-v", dbhost=True, status=3).err
        assert re.search(rf"^job {job}: packages to h1, sent \S+Z \(\d+ s ago\) by {sender}@\S+, at the broker guest$", err,
                         re.M), err
        assert site.runner(*verb, dbhost=True, status=3).err == ""


def test_one_form_of_time(hosts):
    """Seconds are enough for people, and how long ago it was stands beside it; JSON has all of it."""
    site = hosts
    when = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    text = site.admin("show", "h1").out
    assert re.search(rf"^first seen  {when} \(\d+ s ago\)\nlast seen   {when} \(\d+ s ago\)$", text, re.M), text
    assert re.search(rf"^packages  \(json, collected {when} \(\d+ s ago\)\)$", text, re.M) or "collected -" in text, text
    assert re.search(rf"^h1 +\S+ +{when} +\d+ s ago ", site.admin("hosts").out, re.M)
    assert not re.search(r":\d\d\.\d\d\dZ", text)


def test_a_verb_with_a_slip(site):
    assert 'no such verb: "hsots"; did you mean hosts? There are: backup, ' in site.run("vogeler-admin", "hsots").err
    assert 'no such verb: "frobnicate"; there are: backup, ' in site.run("vogeler-admin", "frobnicate").err
    assert 'no such verb: "job"; did you mean jobs?' in site.run("vogeler-runner", "job").err
    assert 'what is "web01"? A host goes with -n' in site.run("vogeler-runner", "web01").err


def test_a_finished_job_is_not_cancelled(hosts):
    site = hosts
    job = send(site, "-n", "h1")
    assert "1 of 1 hosts" in site.runner("cancel", job, dbhost=True).out
    done = site.runner("cancel", "@last", dbhost=True)
    assert "is finished" in done.out and "nothing to cancel" in done.out, done
    assert json.loads(site.runner("cancel", job, "--json", dbhost=True).out)["cancelled"] == 0


def test_a_duration_without_a_unit(site):
    for option in ("--ttl=5", "--wait=30", "--where-timeout=10"):
        done = site.runner(option, "-n", "h1", "-x", "packages", status=1)
        assert re.search(rf"{option}: \d+ what\? Write \d+s", done.err), done
    for verb in (["doctor"], ["query", "."]):
        assert "--timeout=5: 5 what? Write 5s" in site.admin(*verb, "--timeout", "5", status=1).err
    done = site.run("vogeler-bench", "--interval", "20", "hosts")
    assert done.status == 1 and "--interval=20: 20 what? Write 20s" in done.err, done
    done = site.run("vogelerd", "-o", "amqp.heartbeat=10", "--check-config")
    assert done.status == 1 and "10 what? Write 10s" in done.out + done.err, done
    for key in ("interval", "splay", "timeout", "max_cpu"):
        site.plugin("p", "/bin/true", **{key: "60"})
        done = site.run("vogeler-agent", "-p", site.plugins, "--check-config")
        assert done.status == 1 and f"{key} '60': 60 what? Write 60s" in done.out + done.err, done


@pytest.mark.parametrize("name", ["vogeler-runner", "vogeler-admin", "vogeler-agent", "vogeler-bench"])
def test_help_says_what_each_verb_does(site, name):
    out = site.run(name, "--help").out
    usage, rest = out[:out.index("\n  ")], out[out.index("\nCommands"):]
    verbs = {"vogeler-bench": "baseline books consume fill hosts load look write", "vogeler-runner": "cancel jobs rerun result watch", "vogeler-agent": "run list exec",
             "vogeler-admin": "backup doctor forget forget-order hosts query queue restore setup show"}[name].split()
    for verb in verbs:
        assert re.search(rf"^  {verb}\b.* {{2,}}\w.*\w", rest, re.M), (verb, rest)
        assert verb in usage or verb in out, usage


@all_stores
def test_a_dry_run_says_who_is_not_known(hosts):
    done = hosts.runner("-n", "h1,nosuch[90-95],@" + str(hosts.file("more", "other01")), "--dry-run", dbhost=True)
    assert len(done.out.split()) == 8 and "no record is known of 7 of them: nosuch[90-95], other01" in done.err, done
    assert "no record" not in hosts.runner("-n", "h1", "--dry-run", dbhost=True).err
