# SPDX-License-Identifier: Apache-2.0
"""README of 2010, "Starting the client" and "Plugins and Authorized Commands": what vogeler-agent does."""
import json
import re

import pytest

from lib.site import program
from lib.waiting import wait_until

pytestmark = pytest.mark.as_shipped


def test_run_answers_a_command_with_the_plugins_output(site):
    site.plugin("hello", "echo hello world")
    site.collector()
    site.agent()
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello world"]


def test_host_is_known_from_its_first_start(site):
    site.collector()
    site.agent("fresh01")
    record = site.wait_record(lambda r: True, "exists", "fresh01")
    assert record["system_name"] == "fresh01"
    assert "last_error" not in record or not record["last_error"]


def test_run_oneshot_ends_after_the_first_command(site):
    site.plugin("hello", "echo hello")
    site.plugin("second", "echo second")
    site.collector()
    process = site.agent(verb=("run", "--oneshot"))
    site.ask("hello")
    assert process.wait() == 0, process.report()
    assert site.wait_plugin("hello") == ["hello"]
    site.ask("second", "web01")
    site.wait_queue("web01", 1)


def test_list_shows_the_plugins(site):
    site.plugin("facter", "facter -y", "yaml", command_alias="get_facts")
    site.plugin("rpm", "rpm -qa", command_alias="get_rpms")
    done = site.run("vogeler-agent", "-p", str(site.plugins), "list")
    assert done.status == 0, done
    for word in ("facter", "facter -y", "yaml", "get_facts", "rpm", "rpm -qa", "get_rpms"):
        assert word in done.out, done


def test_list_shows_what_is_scheduled(site):
    site.plugin("facter", "facter -y", interval="30min", splay="5min")
    site.plugin("rpm", "rpm -qa", interval="2d")
    site.plugin("ps", "ps aux")
    done = site.run("vogeler-agent", "-p", str(site.plugins), "list")
    rows = {line.split()[0]: line.split()[1:5] for line in done.out.splitlines()}
    assert rows == {"NAME": ["ALIAS", "FORMAT", "INTERVAL", "SPLAY"], "facter": ["-", "output", "30min", "5min"],
                    "rpm": ["-", "output", "2d", "10min"], "ps": ["-", "output", "-", "-"]}


@pytest.mark.parametrize("option", ["-p", "--plugin_dir", "--plugin-dir"])
def test_plugin_folder_option(site, option):
    site.plugin("hello", "echo hello")
    done = site.run("vogeler-agent", option, str(site.plugins), "list")
    assert done.status == 0 and "hello" in done.out, done


def test_plugin_path_comes_from_the_file(site):
    site.plugin("hello", "echo hello")
    conf = site.file("vogeler.conf", f"[global]\nplugin_path = {site.plugins}\n[amqp]\ndsn = {site.qhost}\n")
    done = site.run("vogeler-agent", "-c", str(conf), "list")
    assert done.status == 0 and "hello" in done.out, done


def test_start_is_logged_as_in_2010(site):
    site.plugin("facter", "facter -y", "yaml")
    site.plugin("ps", "ps -ef")
    process = site.agent(level="INFO")
    for text in ("Using qhost from command-line options", "Found plugins: .*facter.*ps", "Registering plugin: .*facter",
                 "Authorizing registered plugins"):
        assert process.log_contains(r"\] vogeler-agent \([\w-]+\) - .*" + text), process.log()


def test_plugins_are_compiled_into_one_file(site):
    """Editing, breaking and deleting plugin files does not disturb a running agent."""
    path = site.plugin("hello", "echo hello")
    site.collector()
    site.agent()
    compiled = [p for p in (site.folder / "state.web01").iterdir() if p.is_file() and "echo hello" in p.read_text("utf-8", "replace")]
    assert len(compiled) == 1, compiled
    path.write_text("[broken\n")
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello"]


def test_hup_reads_the_plugins_again(site):
    site.plugin("hello", "echo hello")
    site.collector()
    process = site.agent()
    site.plugin("more", "echo more")
    process.signal(1)
    process.wait_log("more")
    site.ask("more")
    assert site.wait_plugin("more") == ["more"]


def test_broken_plugin_file_is_named_and_the_good_ones_work(site):
    site.plugin("hello", "echo hello")
    (site.plugins / "broken.cfg").write_text(
        "[broken]\nname = broken\ndescription = This plugin should not work\ncommand = broken\n"
        "result_format = broken\ncommand_alias = broken\n")
    (site.plugins / "noise.cfg").write_text("[noise\nname\n")
    (site.plugins / "quote.cfg").write_text("[quote]\nname = quote\ncommand = echo 'open\nresult_format = output\n")
    site.collector()
    process = site.agent()
    for file in ("broken.cfg", "noise.cfg", "quote.cfg"):
        assert re.search(re.escape(file) + r":\d+", process.log()), process.log()
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello"]


def test_reserved_plugin_names_are_refused(site):
    for name in ("_id", "last_error", "vogeler", "updated_at"):
        site.plugin(name, "echo x")
    done = site.run("vogeler-agent", "-p", str(site.plugins), "list")
    for name in ("_id", "last_error", "vogeler", "updated_at"):
        assert f"{name}.cfg" in done.err, done
    assert "echo x" not in done.out, done


def test_unknown_command_gives_last_error(site):
    site.plugin("hello", "echo hello")
    site.collector()
    site.agent()
    site.ask("hello")
    site.wait_plugin("hello")
    site.ask("rm_rf")
    error = site.wait_last_error("rm_rf")
    assert re.match(r"\d{4}-\d\d-\d\d", error["timestamp"])
    assert "authorized" in error["message"]
    record = site.record()
    assert record["hello"] == ["hello"]
    assert "rm_rf" not in record


def test_name_and_alias_both_call_a_plugin(site):
    site.plugin("facts", ["sh", "-c", "date +%N"], command_alias="get_facts")
    site.collector()
    site.agent()
    site.ask("facts")
    first = site.wait_plugin("facts")
    site.ask("get_facts")
    record = site.wait_record(lambda r: r["facts"] != first, "changes")
    assert "get_facts" not in record


def test_command_is_split_as_shell_words_without_a_shell(site):
    show = site.script("show", 'printf "%s\\n" "$@"')
    site.plugin("words", f"""{show} one 'two words' "three 'quoted' words" four\\ x $(id) ';' | * $HOME `id`""")
    site.collector()
    site.agent()
    site.ask("words")
    assert site.wait_plugin("words") == [
        "one", "two words", "three 'quoted' words", "four x", "$(id)", ";", "|", "*", "$HOME", "`id`"]


def test_exec_prints_what_would_be_sent(site):
    site.plugin("facts", ["printf", "a: 1\\n"], "yaml")
    done = site.exec("facts")
    assert done.status == 0, done
    body = json.loads(done.out)["body"]
    assert body["syskey"] == "web01"
    assert body["facts"] == "a: 1\n"
    assert body["format"] == "yaml"


def test_exec_of_an_unknown_plugin_is_an_error(site):
    site.plugin("facts", "true")
    done = site.exec("nothing")
    assert done.status != 0
    assert "nothing" in done.err, done


def test_2010_configuration_file_works_unchanged(site):
    site.plugin("hello", "echo hello")
    conf = site.file("vogeler.conf", (
        "[global]\nplugin_path = {0}\nlog_level = INFO\n[persistence]\nbackend = couch\n[messaging]\nbackend = amqp\n"
        "[couch]\ndsn = couch://127.0.0.1:5984/system_records\ndesign_docs_path = etc/vogeler/_design\n"
        "[amqp]\ndsn = {1}\nmaster_exchange = 'vogeler.master.in'\nbroadcast_exchange = 'vogeler.broadcast.in'\n"
        "[server]\nlog_level = DEBUG \n[client]\nlog_level = DEBUG\n[syslog_handler]\naddress = /dev/log\n"
        "[file_handler]\nfilename = '/tmp/vogeler.log'\n").format(site.plugins, site.qhost))
    site.collector()
    state = site.folder / "state"
    state.mkdir()
    process = site.process("agent", [program("vogeler-agent"), "-c", conf, "--option", "client.name=web01",
                                     "--option", f"client.state_dir={state}", "run"]).start()
    site.wait_consumer("web01", process)
    site.ask("hello")
    assert site.wait_plugin("hello") == ["hello"]
    assert process.log_contains("Using qhost from configuration file")
    assert not re.search(r": (WARN|ERROR|CRITICAL)\]", process.log()), process.log()


def test_bad_host_names_are_refused_at_start(site):
    for name in ("all", "master.in", "vogeler.x", "broadcasts.x", "amq.x", "_design/x", "a" * 300):
        argv = [str(a) for a in site.agent_argv("web01")][1:]
        argv[argv.index("client.name=web01")] = f"client.name={name}"
        done = site.run("vogeler-agent", *argv)
        assert done.status == 1, done
        assert name[:20] in done.err, done


def test_second_agent_of_a_host_says_so(site):
    """Two agents with one state folder: the second ends at once."""
    site.agent()
    done = site.run("vogeler-agent", *[str(a) for a in site.agent_argv()][1:])
    assert done.status not in (0, 97, 98), done
    assert re.search("already|another|in use|locked", done.err), done


def test_term_ends_it_cleanly(site):
    process = site.agent()
    process.stop()
    wait_until(lambda: site.broker.queue(site.vhost, "web01")[1] == 0, "nobody consumes")
