# SPDX-License-Identifier: Apache-2.0
"""What the hosts of a job answered, shown as it is stored (--show): each value once, with whose it is, and none that is not
of this job."""
import json
import re
import shlex
import signal

import pytest

from lib.schema import check_event
from lib.site import all_stores, program
from lib.waiting import wait_until

HOSTS = ("web01", "web02", "web03")


def agent(site, host, command, plugin="os", result_format="json"):
    folder = site.folder / f"plugins.{host}"
    folder.mkdir(exist_ok=True)
    (folder / f"{plugin}.cfg").write_text(
        f"[{plugin}]\nname = {plugin}\ndescription = x\ncommand = {command}\nresult_format = {result_format}\n"
        f"command_alias = get_{plugin}\n")
    return site.agent(host, plugins=folder, name=f"agent.{host}")


@pytest.fixture
def fleet(site):
    """web01 and web02 say the same, web03 another; db01 fails."""
    site.collector()
    for host, version in zip(HOSTS, (12, 12, 13)):
        agent(site, host, site.script(f"os.{host}", f'echo \'{{"id": "debian", "version": "{version}"}}\''))
    agent(site, "db01", site.script("os.db01", "echo 'no such disk' >&2; exit 3"))
    for host in HOSTS + ("db01",):
        wait_until(lambda h=host: site.record(h) is not None, f"record of {host}")
    return site


def send(site, *args, status=0):
    return site.runner("-x", "os", "--wait=60s", *args, dbhost=True, status=status)


def background(site, *args, name="runner"):
    argv = [program("vogeler-runner"), "--qhost", site.qhost, "--dbhost", site.dbhost, *args]
    process = site.process(name, argv).start()
    process.may_fail = True
    return process


def table_of(text):
    """Host: value, of the rows of the table, whose header is there once; each host is, too. How they come together depends on
    when each was stored."""
    rows, seen = text.splitlines(), {}
    assert rows[0].split() == ["HOST", "VALUE"] and text.count("VALUE") == 1, text
    for row in rows[1:]:
        names, value = row.rsplit(None, 1)
        for host in HOSTS + ("slow01",):
            if re.search(rf"(^|[ ,]){host}\b", expand(names)):
                assert seen.setdefault(host, value) is value, text
    return seen


def expand(names):
    """"2 hosts: web[01-02]" and the like, of HOSTS."""
    return re.sub(r"web\[([-0-9,]+)\]", lambda m: " ".join(
        f"web{n:02}" for part in m[1].split(",") for n in range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1)), names)


def ends(out, last):
    """The rows, without the line of counts that there is when they came in pieces."""
    lines = out.splitlines()
    assert lines[-1].endswith(last), out
    return "\n".join(line for line in lines[:-1] if "side by side" not in line)


@all_stores
def test_table_of_a_part(fleet):
    done = send(fleet, "-n", "web*", "--show=version")
    assert table_of(ends(done.out, ": 3 targeted = 3 ok")) == dict(zip(HOSTS, ("12", "12", "13"))), done
    assert done.err.startswith("vogeler-runner: sent os to 3 hosts"), done


def test_whole_answers_and_who_failed(fleet):
    done = send(fleet, "-n", "all", "--show", status=2)
    assert done.out.count('"version": "12"') == 1 and done.out.count('"version": "13"') == 1, done
    assert "web[01-02]" in done.out and "web03\n{\n" in done.out, done
    last = done.out.splitlines()[-2:]
    assert last[0].startswith("db01: failed: ") and "no such disk" in last[0], done
    assert last[1].endswith("4 targeted = 3 ok + 1 failed"), done


def test_for_programs(fleet):
    done = send(fleet, "-n", "web*,db01", "--show=version", "--json", status=2)
    summary = json.loads(done.out)
    check_event(summary)
    assert sorted(summary["answers"], key=lambda a: a["host"]) == [
        {"host": host, "plugin": "os", "value": value} for host, value in zip(HOSTS, ("12", "12", "13"))], done
    done = send(fleet, "-n", "web*,db01", "--show=.version", "--jsonl", status=2)
    events = [json.loads(line) for line in done.out.splitlines()]
    for event in events:
        check_event(event)
    assert events[0]["kind"] == "job" and events[-1]["kind"] == "summary", done
    assert {e["host"]: e["value"] for e in events if e["kind"] == "answer"} == dict(zip(HOSTS, ("12", "12", "13"))), done
    assert len([e for e in events if e["kind"] == "answer"]) == 3, done


def test_who_has_no_such_part_is_told(fleet):
    done = send(fleet, "-n", "web*", "--show=.versoin", status=4)
    assert 'vogeler-runner: 3 hosts: web[01-03]: "os" has no .versoin' in done.err, done
    assert done.err.endswith("vogeler-runner: --show=.versoin: did you mean version? It has: version, id\n"), done
    done = send(fleet, "-n", "web*", "--show=versoin", "--jsonl", status=4)
    assert "--show=versoin: did you mean version? It has: version, id" in done.err, done
    done = send(fleet, "-n", "web01", "--show=disks[", status=1)
    assert "--show=disks[" in done.err and "bracket" in done.err, done
    done = fleet.runner("-x", "os", "-n", "web01", "--show", dbhost=True, status=1)
    assert "--show needs --wait" in done.err, done


def test_alias_and_scalars_and_texts(fleet):
    done = fleet.runner("-x", "get_os", "-n", "web03", "--wait=60s", "--show=id", dbhost=True)
    assert done.out.splitlines()[:2] == ["HOST  VALUE", "web03 debian"], done


def test_printed_as_stored(fleet, tmp_path):
    """One answers, another cannot: what is there is printed while the job goes on, and at Ctrl-C."""
    go = tmp_path / "go"
    agent(fleet, "slow01", fleet.script("os.slow", f"while [ ! -e {go} ]; do sleep 0.05; done; echo '{{\"version\": \"12\"}}'"))
    wait_until(lambda: fleet.record("slow01") is not None, "record of slow01")
    runner = background(fleet, "-n", "web0[12],slow01,db01", "-x", "os", "--wait", "--show=version")
    wait_until(lambda: len(re.findall(r"web.*12\n", runner.out())) >= 1 and "02" in runner.out(), "answers")
    wait_until(lambda: "db01: failed: " in runner.out(), "a failure")
    assert "targeted" not in runner.out(), runner.out()
    go.touch()
    assert runner.wait() == 2, runner.log()
    lines = runner.out().splitlines()
    assert sum(line.startswith("db01: failed: ") for line in lines) == 1, runner.out()
    answers = [line for line in lines[:-2] if not line.startswith("db01")]
    assert table_of("\n".join(answers)) == dict.fromkeys(("web01", "web02", "slow01"), "12"), runner.out()
    assert re.fullmatch("slow01 +12", answers[-1]), runner.out()
    assert lines[-1].endswith("4 targeted = 3 ok + 1 failed"), runner.out()
    assert lines[-2].startswith("3 answers, 1 different; side by side: vogeler-runner result "), runner.out()
    shown = fleet.runner(*shlex.split(lines[-2].split("vogeler-runner ")[1]), dbhost=True, status=2)
    assert "3 hosts: slow01, web[01-02] 12" in shown.out, shown

    go.unlink()
    runner = background(fleet, "-n", "web03,slow01", "-x", "os", "--wait", "--show", name="runner2")
    wait_until(lambda: runner.out().startswith("web03\n{\n") and runner.out().endswith("}\n"), "answers")
    runner.signal(signal.SIGINT)
    assert runner.wait() == 130 and "goes on" in runner.log(), runner.log()
    assert runner.out().count("web03") == 1, runner.out()
    go.touch()


@all_stores
def test_result_shows_what_is_still_of_the_job(fleet):
    job = fleet.runner("-n", "web*", "-x", "os", "--wait=60s", "--json", dbhost=True)
    job = json.loads(job.out)["job"]
    done = fleet.runner("result", job, "--show=version", dbhost=True)
    assert "2 hosts: web[01-02] 12" in done.out and "web03               13" in done.out, done
    later = json.loads(fleet.runner("-n", "web03", "-x", "os", "--wait=60s", "--json", dbhost=True).out)["job"]
    done = fleet.runner("result", job, "--show=version", dbhost=True)
    assert "2 hosts: web[01-02] 12" in done.out and " 13" not in done.out, done
    assert f'web03: answered, and a later answer of "os" has taken the place of this one (job {later})' in done.err, done
    fleet.admin("forget", "web02", "--yes")
    done = fleet.runner("watch", job, "--show=version", "--jsonl", dbhost=True)
    answers = {e["host"]: e for e in map(json.loads, done.out.splitlines()) if e["kind"] == "answer"}
    assert answers["web01"]["value"] == "12" and "forgotten" in answers["web02"]["error"], done
    assert "later answer" in answers["web03"]["error"], done


def test_waves(fleet):
    done = send(fleet, "-n", "web*", "--batch", "1", "--show=version")
    assert table_of(ends(done.out, ": 3 targeted = 3 ok")) == dict(zip(HOSTS, ("12", "12", "13"))), done
