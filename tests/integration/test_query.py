# SPDX-License-Identifier: Apache-2.0
"""vogeler-admin query: what jq makes of the records of all hosts, for people and for programs; and --where, which asks in the
same way."""
import csv
import fcntl
import io
import json
import os
import pty
import signal
import struct
import subprocess
import termios

import pytest

from lib.site import all_stores, program
from lib.waiting import PATIENCE, wait_until

OPENSSL = '.packages[]? | select(startswith("openssl 3.0."))'
PACKAGES = {"db01": ["adduser 3.134 all ii", "openssl 3.0.11-1~deb12u2 amd64 ii"],
            "web01": ["openssl 3.0.17-1~deb12u1 amd64 ii"], "web02": ["openssl 3.5.1-1 amd64 ii"]}


@pytest.fixture
def fleet(site):
    """web03 has no packages."""
    site.collector()
    for n, name in enumerate((*PACKAGES, "web03")):
        client = site.party("Client2010", name)
        client.greet()
        client.answer("facts", json.dumps({"os": "debian", "n": n + 1, "load": 0.1, "x": None, "net": {"mtu": 1500}}), "json")
        if name in PACKAGES:
            client.answer("packages", PACKAGES[name], "output")
            site.wait_plugin("packages", name)
        site.wait_plugin("facts", name)
    return site


def query(site, *args, status=0):
    return site.admin("query", *args, status=status)


def rows(text):
    return [line.split(None, 1) for line in text.splitlines()]


@all_stores
def test_which_hosts_have_openssl_30(fleet):
    done = query(fleet, OPENSSL)
    assert rows(done.out) == [["HOST", "VALUE"], ["db01", "openssl 3.0.11-1~deb12u2 amd64 ii"],
                              ["web01", "openssl 3.0.17-1~deb12u1 amd64 ii"]], done
    assert done.err == "", done
    done = fleet.runner("--where", 'any(.packages[]?; startswith("openssl 3.0."))', "-x", "packages", "--dry-run", dbhost=True)
    assert done.out == "db01\nweb01\n", done


@all_stores
def test_objects_are_columns(fleet):
    done = query(fleet, "{os: .facts.os, n: .facts.n, none: .nothing}")
    assert [line.split() for line in done.out.splitlines()] == [["HOST", "os", "n", "none"]] + [
        [host, "debian", str(n + 1), "-"] for n, host in enumerate((*PACKAGES, "web03"))], done
    assert 'no record has "nothing"' in done.err, done
    done = query(fleet, "if .facts.n < 3 then .facts.load else {n: .facts.n} end")
    assert [line.split() for line in done.out.splitlines()] == [
        ["HOST", "VALUE", "n"], ["db01", "0.1", "-"], ["web01", "0.1", "-"], ["web02", "-", "3"], ["web03", "-", "4"]], done
    done = query(fleet, ".facts.net, .facts.os, [1]", "db*")  # not all of it fits into rows
    assert done.out.startswith("db01\n") and '"mtu": 1500\n' in done.out, done


@all_stores
def test_for_programs(fleet):
    done = query(fleet, "._id, .facts.n", "web*", "--json")
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"host": host, "value": value} for n, host in enumerate(("web01", "web02", "web03")) for value in (host, n + 2)], done
    done = query(fleet, '{"a,b": .facts.os, q: "say \\"x\\"\\n", net: .facts.net, none: null}', "web01,db01", "--csv")
    assert list(csv.reader(io.StringIO(done.out))) == [
        ["host", "a,b", "q", "net", "none"]] + [
            [host, "debian", 'say "x"\n', '{"mtu":1500}', ""] for host in ("db01", "web01")], done
    done = query(fleet, "select(.facts.n == 2)", "--json")  # the record, not only what it was chosen by
    assert [json.loads(line)["value"]["packages"] for line in done.out.splitlines()] == [PACKAGES["web01"]], done
    done = query(fleet, ".facts.n", "db01", "--csv")
    assert done.out == "host,value\ndb01,1\n", done
    assert "not both" in query(fleet, ".", "--csv", "--json", status=1).err
    assert "--csv does not go with" in fleet.admin("hosts", "--csv", status=1).err


@all_stores
def test_hosts_whose_value_breaks_it_are_named(fleet):
    done = query(fleet, ".packages | length / (if . == null then 0 else 1 end)", status=2)
    assert [row[0] for row in rows(done.out)] == ["HOST", "db01", "web01", "web02"], done
    assert done.err.startswith("vogeler-admin: web03: ") and "zero" in done.err, done
    done = query(fleet, ".facts.n | test(\"x\")", "web*", status=2)
    assert done.out == "" and done.err.count("\n") == 3, done
    done = query(fleet, "if .facts.n == 2 then error(\"no\\u001b[1m\") else 1 end", "--json", status=2)
    assert json.loads(done.out.splitlines()[1]) == {"host": "web01", "error": "no [1m"}, done
    done = query(fleet, "if .facts.n == 2 then last(repeat(null)) else .facts.n end", "--timeout=10s", status=2)
    assert len(done.out.splitlines()) == 4 and "web01: no end after 1s" in done.err and "--timeout" in done.err, done


@all_stores
def test_a_program_that_halts_is_told(fleet):
    """What it ends it says nothing of, and the next record is asked all the same."""
    done = query(fleet, "if .facts.n == 2 then halt else .facts.n end", status=2)
    assert [row[0] for row in rows(done.out)] == ["HOST", "db01", "web02", "web03"], done
    assert done.err == "vogeler-admin: web01: the program halted\n", done
    done = fleet.runner("--where", 'if .facts.n == 2 then "no \\(._id)" | halt_error else true end', "-x", "facts",
                        "--dry-run", dbhost=True)
    assert done.out == "db01\nweb02\nweb03\n" and "1 of 4 hosts left out" in done.err and "no web01" in done.err, done


@all_stores
def test_a_part_that_no_record_has_is_told(fleet):
    """With what there is in its place; where nothing else came out, as a name that there is not."""
    told = "vogeler-admin: no record has .facts.net.mut; did you mean mtu? .facts.net has: mtu\n"
    for program in (".facts.net.mut", '.facts["net"].mut', ".facts | .net.mut"):
        done = query(fleet, program, status=4)
        assert done.err.replace('["net"]', ".net") == told, done
    done = query(fleet, "{n: .facts.n, mtu: .facts.net.mut}")  # not all of it is in vain
    assert done.err == told and len(done.out.splitlines()) == 5, done
    done = query(fleet, "select(.facts.oss == \"debian\") | ._id", status=4)
    assert "no record has .facts.oss; did you mean os? .facts has: os, " in done.err, done
    done = fleet.runner("--where", '.facts.oss == "debian"', "-x", "facts", "--dry-run", dbhost=True, status=None)
    assert "no record has .facts.oss; did you mean os? .facts has: os, " in done.err, done
    assert "no record has .facts.os.name; .facts.os has no parts" in query(fleet, ".facts.os.name", status=2).err
    done = query(fleet, ".facts.mtu.net", "db*", status=4)
    assert "no record has .facts.mtu.net; .facts has: " in done.err, done


def test_who_has_not_what_others_have_is_counted(fleet):
    done = query(fleet, ".packages | length")
    assert done.err == "vogeler-admin: 1 of 4 hosts has no .packages\n", done
    for program in (".facts.x", ".packages[]?", '.packages // "none"', "select(.packages) | ._id", '.packages?.y // 1',
                    '.facts.oss // "x"', ".facts.net.mut?", 'select(.facts | has("oss")), 1', ".facts.new = 1 | keys | length",
                    '.packages[]? | select(.size? == 1)', ".packages[]? | .size?"):
        done = query(fleet, program, status=None)
        assert "no record" not in done.err and "hosts ha" not in done.err, done


def test_what_is_no_question(fleet):
    for nothing in ("", " \n"):
        assert "it is empty" in query(fleet, nothing, status=1).err
        done = fleet.runner("--where", nothing, "-x", "facts", "--dry-run", dbhost=True, status=None)
        assert done.status == 1 and "it is empty" in done.err and done.out == "", done
    done = query(fleet, ".facts.os ==", status=1)
    assert "vogeler-admin: query: " in done.err and "syntax error" in done.err and done.out == "", done
    done = query(fleet, ".os-release[0]", status=1)
    assert done.err == ('vogeler-admin: query: jq: there is no function "release"; cure: a name with "-" in it stands in quotes, '
                        '."os-release"\n'), done
    assert query(fleet, "$ENV | tojson", "db01").out == "HOST VALUE\ndb01 {}\n"
    done = query(fleet, "input", status=2)
    assert done.err == ("vogeler-admin: 4 hosts: db01, web[01-03]: it asks for one more input, and there is none: each record is "
                        'asked by itself, as "."\n'), done
    for done in (query(fleet, 'select(.facts.os = "x")', status=1),
                 fleet.runner("--where", '.facts.os = "x"', "-x", "facts", dbhost=True, status=1)):
        assert '".facts.os =" sets it, which is true of every record; cure: "==" compares' in done.err, done
    assert query(fleet, '.facts.os = "x" | .facts.os', "db01").out == "HOST VALUE\ndb01 x\n"
    assert "modules" in query(fleet, 'import "a" as a; .', status=1).err
    assert "an expression of jq is missing" in query(fleet, status=1).err
    assert "no end after 300ms" in query(fleet, "last(repeat(null))", "--timeout=300ms", status=1).err
    done = query(fleet, "empty", status=4)
    assert done.out == "" and "nothing comes out for any of 4 hosts" in done.err, done
    done = query(fleet, "._id", "web01,nowhere,mail*", status=4)
    assert rows(done.out) == [["HOST", "VALUE"], ["web01", "web01"]], done
    assert "nowhere: no such host" in done.err and "mail*: no such host" in done.err, done
    done = query(fleet, "[range(101)] | map({key: \"c\\(.)\", value: 1}) | from_entries", "db01", "--csv", status=1)
    assert "more than 100 columns; cure: " in done.err, done
    done = query(fleet, ".facts.n + 9007199254740993", "db01")
    assert "jq rounds integers above 2^53" in done.err, done
    assert "doctor" in fleet.run("vogeler-admin", "--help").out
    argv = ["--dbhost", f"sqlite://{fleet.folder}/nowhere.db", "query", "."]
    done = fleet.run("vogeler-admin", *argv)
    assert done.status == 1 and "nowhere.db" in done.err, done


def children_of(pid):
    return [line.split()[0] for line in subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], stdout=subprocess.PIPE,
                                                       check=False, text=True).stdout.splitlines() if "vogeler-jq" in line]


def test_interrupted(fleet):
    """Ctrl-C goes to all that run in the terminal: it is no failure of jq, and nothing of it is left."""
    for argv in (["vogeler-admin", "query"], ["vogeler-runner", "--qhost", fleet.qhost, "-x", "packages", "--where"]):
        line = [str(program(argv[0])), "--dbhost", fleet.dbhost, *argv[1:], "last(repeat(null))"]
        with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=fleet.env, start_new_session=True) as runs:
            wait_until(lambda pid=runs.pid: children_of(pid), "jq")
            children = children_of(runs.pid)
            os.killpg(runs.pid, signal.SIGINT)
            out, err = runs.communicate(timeout=PATIENCE)
        assert runs.returncode == 130 and out == b"" and b"jq" not in err, (runs.returncode, out, err)
        wait_until(lambda pids=children: not [p for p in pids if os.path.exists(f"/proc/{p}")], "its children are gone")


def test_how_far_it_is_is_told_on_a_terminal(fleet):
    """And cleaned away: a record that jq thinks about for a while."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    argv = [program("vogeler-admin"), "--dbhost", fleet.dbhost, "query", "--timeout=15s",
            "if .facts.n == 1 then last(repeat(null)) else 1 end"]
    runs = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=slave, env=dict(fleet.env, TERM="xterm"))
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    out = runs.stdout.read().decode()
    assert runs.wait() == 2 and len(out.splitlines()) == 4, out
    assert b"4 records read, jq is through with 0" in shown, shown
    assert shown.index(b"\r\x1b[Kvogeler-admin: db01: no end") > 0, shown
    os.close(master)
