# SPDX-License-Identifier: Apache-2.0
"""README of 2010, "Starting the server" and "How it works": what vogelerd does with its options and with a response."""
import json
import pathlib
import re

import pytest

from lib.waiting import wait_until

pytestmark = pytest.mark.as_shipped

CONF_2010 = """[global]
plugin_path = {plugins}
log_level = INFO
# log_handler = stream_handler ; currently unused

[persistence]
backend = couch
# backend = mongo

[messaging]
backend = amqp
# backend = stomp ; (probably never)

[couch]
dsn = {dbhost}
design_docs_path = etc/vogeler/_design

[amqp]
dsn = {qhost}
# The following 2 settings are NYI
master_exchange = 'vogeler.master.in'
broadcast_exchange = 'vogeler.broadcast.in'

# Stuff below here isn't implemented yet
[server]
log_level = DEBUG

[client]
log_level = DEBUG

[runner]
log_level = DEBUG

[syslog_handler]
log_facility = local7
address = /dev/log
# address = ('localhost', 514)

[file_handler]
filename = '/tmp/vogeler.log'
"""

LINE = re.compile(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}: (DEBUG|INFO|WARN|ERROR|CRITICAL)\] "
                  r"vogelerd \([\w-]+\) - \S.*$")


def conf_2010(site):
    return site.file("vogeler.conf", CONF_2010.format(plugins=site.plugins, dbhost=site.dbhost, qhost=site.qhost))


def test_response_becomes_the_hosts_record(any_site):
    site = any_site
    site.collector()
    client = site.party("Client2010", "web01")
    client.answer("ps", "one\n two \n", "output")
    record = site.wait_record(lambda r: "ps" in r, "has ps")
    assert record["_id"] == "web01"
    assert record["system_name"] == "web01"
    assert record["doc_type"] == "SystemRecord"
    assert record["created_at"] and record["updated_at"]
    assert record["ps"] == ["one", "two"]
    assert record["vogeler"]["ps"]["format"] == "output"


def test_record_is_a_document_named_after_the_host(couch_site):
    couch_site.collector()
    couch_site.party("Client2010", "web01.example.com").answer("facter", "a: 1\n", "yaml")
    document = wait_until(lambda: couch_site.database.get("web01.example.com"), "the document is there")
    assert document["facter"] == {"a": 1}
    assert document["_rev"].startswith("1-")


def test_default_database_is_system_records(site, couch):
    """--dbhost couch://HOST:PORT without a path, as README 2010's default."""
    site.dbhost = couch.url.replace("http://", "couch://", 1).rstrip("/")
    status, _ = couch.request("GET", "/system_records")
    site.admin("setup", qhost=True)
    assert couch.request("GET", "/system_records")[0] == 200
    if status == 404:
        couch.request("DELETE", "/system_records")


def test_2010_configuration_file_works_unchanged(couch_site):
    conf = conf_2010(couch_site)
    process = couch_site.process("vogelerd", [conf_program(), "-c", conf]).start()
    couch_site.wait_consumer("master.in", process)
    process.wait_log(r"INFO\] vogelerd .*Using qhost from configuration file")
    process.wait_log(r"INFO\] vogelerd .*Using dbhost from configuration file")
    # Its port is the default's, which another collector of this machine may have.
    told = [line for line in process.log().splitlines() if "cannot listen on 127.0.0.1:22010" not in line]
    assert not re.search(r": (WARN|ERROR|CRITICAL)\]", "\n".join(told)), process.log()
    couch_site.party("Client2010", "web01").answer("x", "1", "json")
    assert couch_site.wait_plugin("x") == 1


def conf_program():
    from lib.site import program  # pylint: disable=import-outside-toplevel
    return program("vogelerd")


def test_command_line_beats_the_file(site):
    conf = site.file("vogeler.conf", CONF_2010.format(
        plugins=site.plugins, dbhost="couch://127.0.0.1:1/nowhere", qhost="amqp://guest:guest@127.0.0.1:1/nowhere"))
    process = site.collector("-c", str(conf))
    process.wait_log("Using qhost from command-line options")
    process.wait_log("Using dbhost from command-line options")


def test_log_lines_have_the_2010_format(site):
    process = site.collector(level="INFO")
    site.party("Client2010", "web01").answer("ps", "x\n", "output")
    site.wait_plugin("ps")
    process.stop()
    lines = process.log().splitlines()
    assert lines
    for line in lines:
        assert LINE.match(line), line
    assert process.log_contains("Using qhost from command-line options")
    assert process.log_contains("Incoming message from: web01")
    assert process.log_contains("Got response for: ps")


def test_default_level_shows_only_warnings(site):
    process = site.process("vogelerd", [conf_program(), "--qhost", site.qhost, "--dbhost", site.dbhost,
                                        "--option", "server.listen=none"]).start()
    site.wait_consumer("master.in", process)
    process.stop()
    assert process.log() == ""


@pytest.mark.parametrize("given, missing", [
    (["--qhost", "amqp://guest:guest@127.0.0.1:1/x"], "dbhost"),
    (["--dbhost", "null://"], "qhost"),
    ([], r"qhost.*\n.*dbhost"),
])
def test_missing_qhost_or_dbhost_is_a_clear_error(site, given, missing):
    done = site.run("vogelerd", *given)
    assert done.status == 1, done
    assert re.search(missing, done.err), done
    assert "--" in done.err, done
    assert len(done.err.splitlines()) <= 3, done


def test_setup_with_the_2010_file_loads_no_design_documents_of_a_folder_that_is_not_there(couch_site):
    site = couch_site
    done = site.run("vogeler-admin", "-c", str(conf_2010(site)), "setup")
    assert done.status == 0 and "database couch://" in done.out, done
    assert "etc/vogeler/_design" in done.err and "no effect" not in done.err, done
    done = site.run("vogeler-admin", "-c", str(conf_2010(site)), "--design", "nowhere", "setup")
    assert done.status == 1 and "nowhere" in done.err, done


def test_only_a_service_tells_what_of_the_2010_file_has_no_effect(couch_site):
    site = couch_site
    text = conf_2010(site).read_text()
    conf = site.file("info.conf", re.sub("^log_level = .*", "log_level = INFO", text, count=1, flags=re.M))
    for name, *args in (("vogeler-agent", "list"), ("vogeler-agent", "--dump-config"), ("vogelerd", "--dump-config"),
                        ("vogeler-admin", "setup")):
        done = site.run(name, "-c", str(conf), *args)
        assert done.status == 0 and "no effect" not in done.err, done
    process = site.process("vogelerd", [conf_program(), "-c", conf]).start()
    process.wait_log("has no effect")
    process.wait_log("has started")


DESIGN = {
    "_design/system_records/views/all/map.js": "function(doc) { emit(doc._id, null); }",
    "_design/system_records/views/count/map.js": "function(doc) { emit(doc.doc_type, 1); }",
    "_design/system_records/views/count/reduce.js": "_sum",
}


def write_design(site, changes=None):
    for path, text in dict(DESIGN, **(changes or {})).items():
        file = site.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return site.folder / "_design"


def load(site, folder):
    return site.run("vogelerd", "-l", str(folder), "--dbhost", site.dbhost, "--qhost", site.qhost)


def test_design_documents_are_loaded_only_if_different(couch_site):
    folder = write_design(couch_site)
    done = load(couch_site, folder)
    assert done.status == 0, done
    assert "Design docs loaded" in done.out + done.err, done
    first = couch_site.database.get("_design/system_records")
    assert first["views"]["count"] == {"map": DESIGN["_design/system_records/views/count/map.js"], "reduce": "_sum"}
    assert first["language"] == "javascript"

    assert load(couch_site, folder).status == 0
    assert couch_site.database.get("_design/system_records")["_rev"] == first["_rev"]

    write_design(couch_site, {"_design/system_records/views/all/map.js": "function(doc) { emit(doc._id, 2); }"})
    assert load(couch_site, folder).status == 0
    third = couch_site.database.get("_design/system_records")
    assert third["_rev"].startswith("2-")
    assert "2" in third["views"]["all"]["map"]


def test_design_views_see_the_records(couch_site):
    load(couch_site, write_design(couch_site))
    couch_site.collector()
    couch_site.party("Client2010", "web01").greet()
    couch_site.party("Client2010", "web02").greet()
    wait_until(lambda: couch_site.database.get("web01") and couch_site.database.get("web02"), "both are stored")
    status, answer = couch_site.database.couch.request(
        "GET", f"/{couch_site.database.name}/_design/system_records/_view/all")
    ids = [r["id"] for r in answer["rows"] if "/" not in r["id"]]  # beside records there are a collector's notes
    assert status == 200 and ids == ["web01", "web02"], answer


def test_design_documents_that_come_with_vogeler(couch_site):
    """CouchDB 3 compiles a view as an expression: nothing may stand before the function, not even a comment (the
    stand-in would not say so)."""
    folder = pathlib.Path(__file__).resolve().parents[2] / "conf" / "_design"
    for script in folder.rglob("map.js"):
        assert script.read_text().startswith("function"), script
    done = load(couch_site, folder)
    assert done.status == 0, done
    couch_site.collector()
    couch_site.party("Client2010", "web01").greet()
    wait_until(lambda: couch_site.database.get("web01"), "it is stored")
    for view in ("all", "by_name"):
        status, answer = couch_site.database.couch.request(
            "GET", f"/{couch_site.database.name}/_design/system_records/_view/{view}")
        assert status == 200 and [r["id"] for r in answer["rows"]] == ["web01"], answer


def test_design_folder_that_is_not_there_is_an_error(couch_site):
    done = load(couch_site, couch_site.folder / "nowhere")
    assert done.status == 1, done
    assert "nowhere" in done.err, done


def test_works_with_start_in_any_order(site):
    """2010 wanted the server first; here nobody needs another to have been there."""
    site.plugin("hello", "echo hello")
    site.agent()
    site.ask("hello")
    site.collector()
    assert site.wait_plugin("hello") == ["hello"]


def test_2010_vhost_with_a_slash_is_found(site, broker):
    """amqp://.../vogeler of 2010 meant vhost "/vogeler"."""
    broker.add_vhost("/old" + site.vhost)
    process = site.collector(ready=False, qhost=broker.uri("old" + site.vhost))
    wait_until(lambda: (broker.queue("/old" + site.vhost, "master.in") or (0, 0))[1] > 0, "the collector consumes")
    assert process.log_contains("/old" + site.vhost), process.log()


def test_term_ends_it_cleanly_and_gives_nothing_up(site):
    process = site.collector()
    client = site.party("Client2010", "web01")
    for n in range(200):
        client.answer("n", json.dumps(n), "json")
    process.stop()
    again = site.collector(name="vogelerd2")
    assert again.running
    site.wait_record(lambda r: r.get("n") == 199, "has the last")
    site.wait_drained("master.in")
    assert site.dead_letters() == []
