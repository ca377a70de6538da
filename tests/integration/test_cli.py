# SPDX-License-Identifier: Apache-2.0
"""Every program's command line: help, version, wrong options, configuration checks, no broker, wrong password."""
import re

import pytest

from lib.process import run
from lib.site import SOURCE, program

ALL = ("vogelerd", "vogeler-agent", "vogeler-runner", "vogeler-admin", "vogeler-convert", "vogeler-bench")


@pytest.mark.parametrize("name", ALL)
def test_help_fits_a_screen_and_has_examples(site, name):
    done = site.run(name, "--help")
    assert done.status == 0, done
    lines = done.out.splitlines()
    assert len(lines) <= 50, len(lines)
    assert all(len(line) <= 100 for line in lines), done
    assert re.search("example", done.out, re.I), done
    assert "--config" in done.out and "-c" in done.out and "--loglevel" in done.out, done


VERBS = [("vogeler-admin", "show", "HOSTS [PLUGIN [PATH]]", ["--json"], ["--design", "--config"]),
         ("vogeler-admin", "restore", "FILE", ["--yes"], ["--as"]),
         ("vogeler-agent", "exec", "PLUGIN", ["--plugin_dir"], []),
         ("vogeler-runner", "rerun", "JOB", ["--failed", "--ttl", "--json"], ["--where"]),
         ("vogeler-bench", "write", "", ["--batch", "--hosts", "--json"], ["--rate", "--silent"])]


@pytest.mark.parametrize("name, verb, words, has, lacks", VERBS)
def test_help_of_a_verb_is_of_that_verb(site, name, verb, words, has, lacks):
    for arguments in ([verb, "--help"], ["-h", verb]):
        done = site.run(name, *arguments)
        assert done.status == 0 and done.out.startswith(f"Usage: {name} [OPTION...] {verb}{' ' if words else ''}{words}\n"), done
        assert all(option in done.out for option in has) and not any(option in done.out for option in lacks), done
    assert "Commands" in site.run(name, "no-such-verb", "--help").out


def test_each_verb_of_the_bench_takes_its_own_options(site):
    for verb, option in (("hosts", "--twice=5"), ("fill", "--rate=2"), ("books", "--sweep"), ("write", "--silent=1")):
        done = site.run("vogeler-bench", verb, option)
        name = option.partition("=")[0]
        assert done.status == 1 and f'{name} does not go with "{verb}"' in done.err, done


MAN = {"vogelerd": "daemon/vogelerd.8.scd", "vogeler-agent": "agent/vogeler-agent.8.scd",
       "vogeler-runner": "runner/vogeler-runner.1.scd", "vogeler-admin": "admin/vogeler-admin.8.scd",
       "vogeler-bench": "bench/vogeler-bench.1.scd", "vogeler-convert": "daemon/vogeler-convert.8.scd"}


@pytest.mark.parametrize("name", MAN)
def test_man_page_has_what_help_has(site, name):
    """Every option, and every verb."""
    out = site.run(name, "--help").out
    page = (SOURCE / MAN[name]).read_text("utf-8").replace("\\", "")
    commands = out.partition("\nCommands")[2]
    options = [o for row in re.findall(r"^ +(-\w)?,? +(--[a-z_-]+)", out, re.M) for o in row if o]
    verbs = re.findall(r"^  ([a-z]+(?:-[a-z]+)*)\b", commands, re.M)
    assert len(verbs) == {"vogeler-agent": 3, "vogeler-runner": 5, "vogeler-admin": 11, "vogeler-bench": 8}.get(name, 0), out
    assert "-c" in options and "--loglevel" in options, out
    assert [word for word in options + verbs if f"*{word}*" not in page] == []


@pytest.mark.parametrize("name", ALL)
def test_version(site, name):
    done = site.run(name, "--version")
    assert done.status == 0 and re.search(r"\b\d+\.\d+\.\d+\b", done.out) and name in done.out, done


@pytest.mark.parametrize("name", ALL)
def test_wrong_option_is_named(site, name):
    done = site.run(name, "--no-such-option")
    assert done.status == 1 and "--no-such-option" in done.err and done.out == "", done
    assert len(done.err.splitlines()) <= 3, done


@pytest.mark.parametrize("name", ALL)
def test_wrong_level_is_named(site, name):
    done = site.run(name, "--loglevel", "LOUD")
    assert done.status == 1 and "LOUD" in done.err and "WARN" in done.err, done


@pytest.mark.parametrize("name", ALL)
def test_check_config_names_file_and_line(site, name):
    good = site.file("good.conf", f"[amqp]\ndsn = {site.qhost}\n[couch]\ndsn = couch://127.0.0.1:5984/x\n")
    done = site.run(name, "-c", str(good), "--check-config")
    assert done.status == 0, done
    bad = site.file("bad.conf", "[global]\nlog_level = WARN\n[amqp]\nheartbeat = soon\n\n[server]\nprefetch = 0\n")
    done = site.run(name, "-c", str(bad), "--check-config")
    assert done.status == 1, done
    assert "bad.conf:4" in done.out and "bad.conf:7" in done.out, done


def test_check_config_of_the_agent_covers_plugins(site):
    def check(*verb):
        return site.run("vogeler-agent", "-p", str(site.plugins), "--check-config", *verb)
    site.plugin("good", "id")
    done = check("run")
    assert done.status == 0 and f"{site.plugins}: ok, plugins: 1" in done.out, done
    odd = site.plugin("odd", "ps | wc")
    done = check("run")
    assert done.status == 0 and f"{odd}:4: warning: plugin 'odd'" in done.out, done
    bad = site.plugin("bad", "id", "nonsense")
    for verb in ((), ("run",)):
        done = check(*verb)
        assert done.status == 1 and f"{bad}:5: error: result_format 'nonsense'" in done.out, done
        assert ": ok" not in done.out, done
    site.plugins.rename(site.folder / "elsewhere")
    done = check()
    assert done.status == 0 and f"note: {site.plugins} is not there" in done.out, done
    done = check("run")
    assert done.status == 1 and f"{site.plugins}: error: cannot read the plugin directory" in done.out, done


@pytest.mark.parametrize("name", ALL)
def test_unknown_key_is_a_warning_with_file_and_line(site, name):
    conf = site.file("odd.conf", f"[amqp]\ndsn = {site.qhost}\nhartbeat = 3s\n[couch]\ndsn = couch://127.0.0.1:5984/x\n")
    done = site.run(name, "-c", str(conf), "--check-config")
    assert done.status == 0, done
    assert "odd.conf:3" in done.out and "hartbeat" in done.out, done


@pytest.mark.parametrize("name", ALL)
def test_dump_config_is_masked_and_can_be_read_again(site, name):
    conf = site.file("a.conf", "[amqp]\ndsn = amqp://me:pa55word@127.0.0.1:5672/vogeler\nheartbeat = 7s\n"
                               "[couch]\ndsn = couch://you:pa55word@127.0.0.1:5984/x\n")
    done = site.run(name, "-c", str(conf), "--dump-config")
    assert done.status == 0, done
    assert "pa55word" not in done.out + done.err, done
    assert re.search(r"heartbeat\s*=\s*7", done.out), done
    again = site.run(name, "-c", str(site.file("b.conf", done.out)), "--check-config")
    assert again.status == 0 and again.err == "", again


@pytest.mark.parametrize("name", ALL)
def test_config_file_that_is_not_there(site, name):
    done = site.run(name, "-c", str(site.folder / "nowhere.conf"), "--check-config")
    assert done.status == 1 and "nowhere.conf" in done.out + done.err, done


SECRET = "amqp://me:pa55word@127.0.0.1:1/v"

# What each program is told with a URI that has lost its option, or stands where something else belongs.
MISPLACED = {
    "vogelerd": [[SECRET], ["-l", SECRET, "--dbhost", "null://"]],
    "vogeler-agent": [[SECRET], ["run", SECRET], ["list", SECRET], ["exec", SECRET], ["-p", SECRET, "list"],
                      ["-p", SECRET, "exec", "x"], ["--qhost", "h", "-o", "client.state_dir=" + SECRET, "run"],
                      ["--qhost", "h", "--option", "client.state_dir=" + SECRET, "run"]],
    "vogeler-runner": [[SECRET], ["result", SECRET], ["watch", SECRET], ["cancel", SECRET], ["rerun", SECRET],
                       ["jobs", SECRET], ["-n", SECRET, "-x", "x"], ["-n", "@" + SECRET, "-x", "x"],
                       ["-n", "all", "-x", SECRET], ["--where", SECRET, "-x", "x"], ["--limit", SECRET, "jobs"],
                       *[[o, SECRET, "-n", "a", "-x", "x"] for o in ("--ttl", "--batch", "--color", "--where-timeout")],
                       ["--wait=" + SECRET, "-n", "a", "-x", "x"]],
    "vogeler-admin": [[SECRET], ["show", SECRET], ["show", "a", SECRET], ["show", "a", "b", SECRET],
                      ["setup", SECRET], ["hosts", SECRET], ["--design", SECRET, "setup"],
                      ["--timeout", SECRET, "doctor"], ["-o", "global.plugin_path=" + SECRET, "doctor"]],
    "vogeler-bench": [[SECRET], ["load", SECRET], ["-p", SECRET, "load"], ["--batch", SECRET, "write"],
                      ["--slow-by", SECRET, "load"], ["--patience", SECRET, "load"], ["--hosts", SECRET, "load"]],
    "vogeler-convert": [[SECRET], ["json", SECRET], ["-p", SECRET, "json"], ["-p", SECRET, SECRET]],
}
ANYWHERE = [["-c", SECRET], ["-c", SECRET, "--check-config"], ["--loglevel", SECRET], ["--debug=" + SECRET],
            ["--option", SECRET], ["--option", SECRET + ".x=1"], ["--option", "amqp.heartbeat=" + SECRET],
            ["--qhost", "amqps://h", "--option", "amqp.ca_file=" + SECRET], ["--" + SECRET], ["-" + SECRET], ["--qhost", SECRET + "?"]]


@pytest.mark.parametrize("name", MISPLACED)
def test_no_program_prints_a_password(site, name):
    """Under systemd it would be in the journal, for all to read."""
    stores = [] if name == "vogeler-agent" else ["--dbhost", f"sqlite://{site.folder}/none.db"]
    for argv in MISPLACED[name] + ANYWHERE:
        qhost = [] if "--qhost" in argv else ["--qhost", "127.0.0.1:1"]
        store = [] if "--dbhost" in argv else stores
        done = site.run(name, *qhost, *store, *argv)
        assert "pa55word" not in done.out + done.err, done
        assert done.status != 0 and done.out + done.err != "", done


def test_bad_uri_says_what_would_be_right(site):
    done = site.run("vogelerd", "--qhost", "http://x", "--dbhost", "null://")
    assert done.status == 1 and "amqp" in done.err, done
    done = site.run("vogelerd", "--qhost", site.qhost, "--dbhost", "mongo://x")
    assert done.status == 1 and "couch" in done.err and "sqlite" in done.err, done


@pytest.mark.parametrize("uri", ["amqp://me:pa55word/@h:1/v", "amqp://me:pa55word@h:70000/v", "amqp://me:pa55word@[::1/v",
                                 "amqp://me:pa55word@", "couch://me:pa55word@h:1/d", "me:pa55word@h"])
def test_bad_uri_hides_the_password_and_not_the_hint(site, uri):
    """What would be right looks like a URI with a password itself."""
    conf = site.file("bad.conf", f"[amqp]\ndsn = {uri}\n")
    for argv in (["--qhost", uri], ["-c", conf]):
        done = site.run("vogelerd", *argv, "--dbhost", "null://")
        assert done.status == 1 and "pa55word" not in done.err, done
        assert "amqp://user:password@host" in done.err, done
    done = site.run("vogelerd", "--qhost", uri.replace("@h", "@@h"), "--dbhost", "null://")
    assert "pa55word" not in done.err, done


@pytest.mark.parametrize("old, new", [("vogeler-server", "vogelerd"), ("vogeler-client", "vogeler-agent")])
def test_2010_names_work(site, old, new):
    """As the build made them, and the installation has them."""
    done = run([program(old), "--version"], site.env, site.folder)
    assert done.status == 0 and new in done.out, done


@pytest.mark.parametrize("what", ["collector", "agent"])
def test_no_broker_is_retried_and_told_once_a_period(site, what):
    nowhere = "amqp://guest:guest@127.0.0.1:1/vogeler"
    process = getattr(site, what)(ready=False, qhost=nowhere, level="INFO", options=["amqp.reconnect_max=100ms"])
    roles = ("consumer", "publisher") if what == "collector" else ("agent",)
    for role in roles:
        process.wait_log(rf" {role}\]: \w+ -> BACKOFF", 5)
        # Five times it was not there; the wait for that is shorter than the period.
        assert process.log_count(rf" {role}\]: down \(") == 1, process.log()
    assert process.log_count(r"\]: down \(.*127\.0\.0\.1:1/vogeler") == len(roles), process.log()
    assert process.running
    assert "guest:guest" not in process.log()
    process.stop()


@pytest.mark.parametrize("what", ["collector", "agent", "runner"])
def test_wrong_password_is_told_as_such(site, what):
    wrong = site.broker.uri(site.vhost, password="wr0ngword")
    if what == "runner":
        done = site.run("vogeler-runner", "--qhost", wrong, "-n", "all", "-x", "x")
        assert done.status == 1, done
        text = done.err
    else:
        process = getattr(site, what)(ready=False, qhost=wrong, level="WARN")
        process.wait_log("ACCESS_REFUSED|password|login")
        process.stop()
        text = process.log()
    assert re.search("ACCESS_REFUSED|password|login", text), text
    assert "wr0ngword" not in text


def test_admin_without_a_verb_says_which_there_are(site):
    done = site.admin(status=None)
    assert done.status == 1, done
    for verb in ("setup", "hosts", "show"):
        assert verb in done.err + done.out, done


def test_admin_setup_says_what_it_did_and_what_was_there(any_site):
    site = any_site
    first = site.admin("setup", qhost=True)
    for thing in ("vogeler.broadcast.in", "vogeler.master.in", "master.in", "vogeler.dead"):
        assert thing in first.out, first
    assert "created" in first.out or site.dbhost.startswith("pg://"), first  # which the fixture has set up
    second = site.admin("setup", qhost=True)
    assert "was there" in second.out and "created" not in second.out, second


def test_who_only_reads_makes_no_store(site):
    path = site.folder / "typo" / "none.db"
    path.parent.mkdir()
    for argv in (["vogeler-admin", "hosts"], ["vogeler-admin", "show", "web01"], ["vogeler-runner", "jobs"]):
        done = site.run(argv[0], "--dbhost", f"sqlite://{path}", "--qhost", site.qhost, *argv[1:])
        assert done.status == 1 and "none.db: no such file" in done.out + done.err, done
        assert list(path.parent.iterdir()) == [], done


def test_agent_list_names_itself_in_errors(site):
    done = site.run("vogeler-agent", "-p", "/nowhere", "list")
    assert done.status == 1 and done.err.startswith("vogeler-agent: /nowhere: "), done


@pytest.mark.parametrize("within", [[], ["unshare", "--user", "--map-root-user", "--net"]], ids=["here", "without a name server"])
def test_name_that_nobody_has_is_not_for_rabbitmq_to_cure(site, within):
    done = run([*within, program("vogeler-runner"), "--qhost", "amqp://guest:guest@nobody.invalid/x", "-n", "all", "-x", "x"],
               site.env, site.folder)
    assert done.status == 1 and "check the name" in done.err and "start RabbitMQ" not in done.err, done


def test_admin_hosts_and_show(any_site):
    import json  # pylint: disable=import-outside-toplevel
    site = any_site
    site.collector()
    site.party("Client2010", "web02").answer("b", "[1, 2]", "json")
    client = site.party("Client2010", "web01")
    client.answer("a", "x\ny\n", "output")
    client.fail("something broke")
    site.wait_plugin("b", "web02")
    site.wait_last_error("something broke", "web01")
    table = site.admin("hosts").out
    assert table.index("web01") < table.index("web02")
    assert "something broke" in table
    hosts = {h["host"]: h for h in json.loads(site.admin("hosts", "--json").out)}
    assert set(hosts) == {"web01", "web02"}
    assert "something broke" in json.dumps(hosts["web01"])
    assert re.search(r"\b\d+ s ago: something broke", table)  # by the time of the collector: the client says 2010
    assert hosts["web01"]["failing"][0]["message"] == "something broke"
    assert hosts["web02"]["failing"] == [] and "CLOCK" not in table
    assert "web02" in table and not re.search(r" b( |$)", table, re.M)
    assert re.search(r" b( |$)", site.admin("hosts", "-v").out, re.M)
    shown = site.admin("show", "web01").out
    assert "web01" in shown and "something broke" in shown
    assert json.loads(site.admin("show", "web02", "b", "--json").out) == [1, 2]
    missing = site.admin("show", "web09", status=None)
    assert missing.status == 4 and "web09" in missing.err, missing


TAKEN = {"--json": {"doctor", "hosts", "query", "queue", "show", "sql"}, "--csv": {"query", "sql"}, "--yes": {"forget", "restore"},
         "--all": {"setup"}, "-v": {"hosts"}, "--design=x": {"setup"}, "--timeout=5s": {"doctor", "query", "sql"},
         "--as=agent": {"doctor"}}
VERBS = {"backup": ["x"], "doctor": [], "forget": ["web01"], "forget-order": ["web01"], "hosts": [], "query": ["."],
         "queue": ["web01"], "restore": ["x"], "setup": [], "show": ["web01"], "sql": ["SELECT 1"]}


def test_an_option_of_another_verb_is_refused(site):
    """One that does nothing would be taken for one that did."""
    for option, verbs in TAKEN.items():
        for verb in VERBS.keys() - verbs:
            done = site.run("vogeler-admin", "--dbhost", f"sqlite://{site.folder}/none.db", verb, *VERBS[verb], option)
            name = {"-v": "--verbose"}.get(option, option.split("=")[0])
            assert done.status == 1 and f'{name} does not go with "{verb}"' in done.err, done
