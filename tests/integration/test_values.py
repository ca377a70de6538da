# SPDX-License-Identifier: Apache-2.0
"""A value arrives as what its format says, compared with what an independent parser makes of the same bytes: python3-yaml,
Python's json, jq. The exceptions: YAML timestamps and sexagesimals stay strings, numbers have the
shortest form that round-trips, integers above 64 bits are text."""
import datetime
import json
import pathlib
import re
import subprocess

import pytest
import yaml

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"


class Loader(yaml.SafeLoader):
    """YAML 1.1 as python3-yaml has it, without what Vogeler leaves as text; keys are taken as they are written."""

    def construct_mapping(self, node, deep=False):
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


def build_loader():
    left_as_text = ("tag:yaml.org,2002:timestamp",)
    Loader.yaml_implicit_resolvers = {
        first: [(tag, regex) for tag, regex in rows if tag not in left_as_text]
        for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()}


build_loader()


def canonical(value):
    """What both sides must agree on: big integers as text."""
    if isinstance(value, dict):
        return {k: canonical(v) for k, v in value.items()}
    if isinstance(value, list):
        return [canonical(v) for v in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return value if -2 ** 63 <= value < 2 ** 63 else str(value)
    if isinstance(value, float):
        return value
    if isinstance(value, (datetime.date, datetime.datetime)):
        raise AssertionError("a timestamp was typed")
    raise AssertionError(f"unexpected {type(value)}")


def differences(path, got, want):
    """Every leaf that differs, with its path; int and float are told apart."""
    if isinstance(want, dict) and isinstance(got, dict):
        for key in want.keys() | got.keys():
            if key not in got or key not in want:
                yield f"{path}.{key}: only in {'the parser' if key in want else 'the record'}"
            else:
                yield from differences(f"{path}.{key}", got[key], want[key])
    elif isinstance(want, list) and isinstance(got, list):
        if len(want) != len(got):
            yield f"{path}: {len(got)} items, {len(want)} expected"
        for i, (g, w) in enumerate(zip(got, want)):
            yield from differences(f"{path}[{i}]", g, w)
    elif type(got) is not type(want) or got != want:
        yield f"{path}: {got!r}, expected {want!r}"


def assert_same(got, want):
    found = list(differences("", got, want))
    assert not found, "\n".join(found[:20])


def javascript(value):
    """What is left of numbers in the stand-in for CouchDB: 1.0 becomes 1, integers above 2^53 lose digits."""
    if isinstance(value, dict):
        return {k: javascript(v) for k, v in value.items()}
    if isinstance(value, list):
        return [javascript(v) for v in value]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return value


def assert_same_in(site, got, want):
    if site.dbhost.startswith("couch"):
        got, want = javascript(got), javascript(want)
    assert_same(got, want)


def yaml_value(text):
    return canonical(yaml.load(text, Loader))


def send(site, text, fmt):
    site.collector()
    site.party("Client2010", "web01").answer("value", text, fmt)
    return site.wait_plugin("value")


def test_sample_complex_on_which_the_2010_code_failed(any_site):
    text = (DATA / "sample_complex.yaml").read_text()
    got = send(any_site, text, "yaml")
    assert_same(got, yaml_value(text))
    assert got["File[/var/lib/puppet]"] == {":checked": "2010-06-11 12:37:48.046065 -04:00"}


def test_sample_complex_json(any_site):
    text = (DATA / "sample_complex.json").read_text()
    assert_same_in(any_site, send(any_site, text, "json"), json.loads(text))


REAL = [
    ("facter", "facter -y", "yaml", yaml_value),
    ("ohai", "ohai", "json", lambda t: canonical(json.loads(t))),
    ("ps", "ps -ef", "output", lambda t: [line.strip() for line in t.splitlines()]),
    ("packages", "dpkg-query -W", "output", lambda t: [line.strip() for line in t.splitlines()]),
    ("os-release", "cat /etc/os-release", "output", lambda t: [line.strip() for line in t.splitlines()]),
    ("network", "ip -json address show", "json", lambda t: canonical(json.loads(t))),
]


@pytest.mark.parametrize("name, command, fmt, parse", REAL, ids=[r[0] for r in REAL])
def test_real_output_arrives_value_by_value(any_site, name, command, fmt, parse):
    """The program runs once, into a file; the plugin prints the file, so both sides see the same bytes. (Facter ends with
    1 where it may not read all of /proc, and prints its facts nevertheless.)"""
    site = any_site
    done = subprocess.run(command.split(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False, timeout=120)
    assert done.stdout
    site.plugin(name, ["cat", site.file("captured", done.stdout)], fmt)
    site.collector()
    site.agent()
    site.ask(name)
    got = site.wait_plugin(name)
    assert got
    assert_same_in(site, got, parse(done.stdout.decode()))


def test_ps_through_the_real_plugin(site):
    site.plugin("ps", "ps -ef")
    site.collector()
    agent = site.agent()
    site.ask("ps")
    lines = site.wait_plugin("ps")
    assert re.match(r"UID\s+PID\s+PPID\s+C\s+STIME\s+TTY\s+TIME\s+CMD", lines[0])
    own = [line for line in lines if line.split()[1] == str(agent.pid)]
    assert len(own) == 1 and "vogeler-agent" in own[0]
    assert all(line == line.strip() and line for line in lines)


def test_output_is_lines_stripped_as_in_2010(site):
    assert send(site, "  a \n\n\tb\r\nlast", "output") == ["a", "", "b", "last"]


def test_output_final_newline_makes_no_line(site):
    assert send(site, "a\nb\n", "output") == ["a", "b"]


YAML = """
yes: [yes, No, on, OFF, true, False, y, n, "yes"]
ints: [0, 7, -3, +4, 0x1F, 017, 0b101, 1_000, 9223372036854775807, -9223372036854775808]
big: 18446744073709551616
floats: [1.5, -0.25, 1.0e+3, 6.02214076e+23, 0.1]
text: [1.2.3, 1e3, "12", '0x1', 08, ~tilde, "multi\\nline"]
null: [~, null, Null, ""]
sex: {t: "12:30:45"}
times: {d: 2001-12-14, t: 2001-12-14t21:59:43.10-05:00}
base: &base {a: 1, b: [x, &deep {k: v}]}
merged: {<<: *base, b: 2}
again: *deep
? :symbol
: :value
block: |
  one
   two
folded: >
  one
  two
empty: {}
none: []
"""


def test_yaml_types(site):
    got = send(site, YAML, "yaml")
    want = yaml_value(YAML)
    # python3-yaml takes neither y nor n as booleans, nor do we.
    assert_same(got, want)
    assert got["times"] == {"d": "2001-12-14", "t": "2001-12-14t21:59:43.10-05:00"}
    assert got["merged"] == {"a": 1, "b": 2}
    assert got["big"] == "18446744073709551616"


def test_yaml_sexagesimals_stay_text(site):
    assert send(site, "t: 12:30:45\nu: 190:20:30.15\nuptime: 1:02\n", "yaml") == {
        "t": "12:30:45", "u": "190:20:30.15", "uptime": "1:02"}


def test_json_numbers_keep_their_digits(site):
    text = '{"a": 0.1, "b": 1e2, "c": 12345678901234567890123, "d": 9007199254740993, "e": 1.0, "f": -0.0,' \
           ' "g": 1.7976931348623157e308, "h": 5e-324, "i": 9223372036854775807}'
    got = send(site, text, "json")
    assert (got["a"], got["b"], got["d"], got["g"], got["h"], got["i"]) == (
        0.1, 100, 9007199254740993, 1.7976931348623157e308, 5e-324, 9223372036854775807)
    assert got["c"] == "12345678901234567890123"
    raw = site.admin("show", "web01", "--json").out
    assert re.search(r'"a": ?0\.1\b', raw) and "0.1000000" not in raw, raw


def test_jq_reads_the_record_as_python_does(site):
    text = '{"a": [1, {"b": "\\u00e9\\ud83d\\ude00\\u0000x"}], "c": "\\"\\\\/\\b\\f\\n\\r\\t"}'
    send(site, text, "json")
    raw = site.admin("show", "web01", "--json").out
    done = subprocess.run(["jq", "-c", ".value"], input=raw.encode(), stdout=subprocess.PIPE, check=True)
    assert json.loads(done.stdout) == json.loads(text)


@pytest.mark.parametrize("fmt, text", [
    ("json", "{not json"), ("json", ""), ("json", "[" * 100 + "]" * 100), ("json", "{} trailing"), ("yaml", "a: [1, 2"),
    ("yaml", "[" * 20000),
], ids=str)
def test_value_that_does_not_parse_spoils_only_itself(site, fmt, text):
    site.collector()
    client = site.party("Client2010", "web01")
    client.answer("value", "1", "json")
    client.answer("other", "2", "json")
    site.wait_plugin("other")
    client.answer("value", text, fmt)
    client.answer("later", "3", "json")
    record = site.wait_record(lambda r: "later" in r and "unparsed" in r["vogeler"]["value"], "has both")
    assert record["value"] == 1, "the last good value stays"
    assert record["vogeler"]["value"]["unparsed"] == text
    assert "value" in json.dumps(record["last_error"])
    assert site.dead_letters() == []
