# SPDX-License-Identifier: Apache-2.0
"""Odd output of real programs, printed by a plugin of the real agent: what is read of it, and what the record says of it."""
import pytest

CASES = {
    "YAML with a byte order mark": ("yaml", b"\xef\xbb\xbfa: 1\nb: 2\n", {"a": 1, "b": 2}, None),
    "YAML with a byte order mark and dashes": ("yaml", b"\xef\xbb\xbf---\na: 1\n", {"a": 1}, None),
    "tags of Ruby": ("yaml", b"e: !ruby/sym no\nm: !ruby/sym 0644\nn: !ruby/sym null\n",
                     {"e": "no", "m": "0644", "n": "null"}, None),
    "a merge key as a key": ("yaml", b'"<<": plain\n<<: {m: 1}\na: 1\n', {"<<": "plain", "m": 1, "a": 1}, None),
    "a merge key without a map": ("yaml", b"a: 1\n<<: text\n", {"a": 1, "<<": "text"}, None),
    "YAML beyond a double": ("yaml", b"a: 1.0e+400\n", {"a": "1.0e+400"}, "beyond the range of a double"),
    "YAML in Latin-1": ("yaml", b"m: Acme\xae Inc\nn: \xff\xff\n", {"m": "Acme\ufffd Inc", "n": "\ufffd\ufffd"},
                        "3 bytes that are not UTF-8"),
    "JSON in Latin-1": ("json", b'{"m":"\xae"}', {"m": "\ufffd"}, "1 bytes that are not UTF-8"),
    "lines in Latin-1": ("output", b"caf\xe9\nb\n", ["caf\ufffd", "b"], "1 bytes that are not UTF-8"),
    "text in Latin-1": ("string", b"\xe9", "\ufffd", "1 bytes that are not UTF-8"),
    "JSON with a byte order mark": ("json", b'\xef\xbb\xbf{"a":1}', {"a": 1}, None),
    "JSON beyond a double": ("json", b'{"counter":1e400,"ok":1}', {"counter": "1e400", "ok": 1}, "beyond the range of a double"),
    "lines with a byte order mark": ("output", b"\xef\xbb\xbfa\nb\n", ["a", "b"], None),
    "a key twice in JSON": ("json", b'{"a":1,\n"b":{"c":2},"a":3}', {"a": 3, "b": {"c": 2}},
                            '1 repeated keys have the last of their values (first: "a", line 2, column 13)'),
    "a key twice in YAML": ("yaml", b"a: 1\nb: {c: 2}\na: 3\n", {"a": 3, "b": {"c": 2}},
                            '1 repeated keys have the last of their values (first: "a", line 3, column 1)'),
    "a NUL in a key of JSON": ("json", b'{"a\\u0000b":1,"ok":"x\\u0000y"}', {"a\u2400b": 1, "ok": "x\0y"},
                               "1 keys hold a NUL, shown as U+2400 (first: line 1, column 2)"),
    "a NUL in a key of YAML": ("yaml", b'"a\\0b": 1\nok: "x\\0y"\n', {"a\u2400b": 1, "ok": "x\0y"},
                               "1 keys hold a NUL, shown as U+2400 (first: line 1, column 1)"),
    "a NUL in lines": ("output", b"a\0b\nok\n", ["a\0b", "ok"], None),
    "NaN, as Python's json prints it": ("json", b'{"load":NaN,"ok":1}', {"load": "NaN", "ok": 1}, "NaN"),
    "NaN in YAML": ("yaml", b"load: .nan\nok: 1\n", {"load": ".nan", "ok": 1}, "NaN"),
    "a list as a key": ("yaml", b"? [eth0, up]\n: 1\nok: 1\n", {'["eth0","up"]': 1, "ok": 1}, "keys are a list or a map"),
    "an alias of nothing": ("yaml", b"a: *default\nok: 1\n", {"a": "*default", "ok": 1}, "aliases name nothing"),
    "an alias within what it is of": ("yaml", b"&a [*a]\n", ["*a"], "aliases name nothing"),
    "an empty key and noncharacters": ("json", '{"":"\ufdd0\uffff\u2028\ufeff"}'.encode(), {"": "\ufdd0\uffff\u2028\ufeff"}, None),
    "integers beyond a double": ("json", b"[9007199254740993,-0,9223372036854775807]", [9007199254740993, 0, 9223372036854775807],
                                 None),
    "half a surrogate pair": ("json", b'{"files":["ok.txt","caf\\udce9.txt"]}', {"files": ["ok.txt", "caf\ufffd.txt"]},
                              "surrogate"),
}

UNREADABLE = {
    "nothing": ("json", b"", "printed nothing where JSON is due", None),
    "a blank line": ("json", b"\n", "printed nothing where JSON is due", None),
    "a warning before the JSON": ("json", b"WARNING: no dmidecode\n{}\n", 'line 1, column 1: "WARNING: no dmidecode" is no JSON', None),
    "a word behind the JSON": ("json", b'{"a":1}\nDone.\n', 'line 2, column 1: "Done." stands behind the JSON', None),
    "a trailing comma": ("json", b'{\n "a":1,\n}\n', 'line 3, column 1: a key in double quotes is due, there is "}"', None),
    "one document after another": ("json", b'{"a":1}\n{"b":2}\n', 'line 2, column 1: "{"b":2}" stands behind the JSON', None),
    "JSON that was cut": ("json", b'{"a":[1,2', "line 1, column 10: it ends too early", None),
    "Python's repr": ("json", b"{'a':1}", "line 1, column 2: a key in double quotes is due, there is \"'a':1}\"", None),
    "a comment": ("json", b'{"a":1, // x\n"b":2}', 'line 1, column 9: a key in double quotes is due, there is "// x"', None),
    "a colour before the JSON": ("json", b'\x1b[0m{"a":1}', "line 1, column 1: a value is due, there is a control character", None),
    "a NUL in YAML": ("yaml", b"nullfact: foo\0bar\nother: 1\n", "cannot be read as YAML: line 1, column 14: control characters",
                      "each NUL in unparsed is shown as U+2400"),
}


def ask(site, fmt, printed):
    site.plugin("odd", ["cat", site.file("printed", printed)], fmt)
    site.collector()
    site.agent()
    site.ask("odd")


@pytest.mark.parametrize("what", CASES)
def test_what_is_odd_is_read(site, what):
    fmt, printed, want, note = CASES[what]
    ask(site, fmt, printed)
    assert site.wait_plugin("odd") == want
    notes = site.wait_record(lambda r: "odd" in r, "has it")["vogeler"]["odd"].get("notes", [])
    assert [n for n in notes if note in n] == notes and len(notes) == 1 if note else notes == []
    assert [line for line in site.admin("show", "web01").out.splitlines() if line.startswith("note: ")] == [f"note: {n}" for n in notes]


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_says_why(site, what):
    fmt, printed, why, note = UNREADABLE[what]
    ask(site, fmt, printed)
    meta = site.wait_record(lambda r: "failure" in r.get("vogeler", {}).get("odd", {}), "has a failure")["vogeler"]["odd"]
    assert why in meta["failure"]["message"] and meta["failure"]["message"].startswith("odd: ")
    assert meta["unparsed"].replace("\u2400", "\0") == printed.decode()
    assert meta["failure"].get("notes") == ([note] if note else None)


def test_what_a_failure_prints_is_counted(site):
    site.plugin("odd", ["sh", "-c", "printf 'n\\344h\\n' >&2; exit 3"], "output")
    site.collector()
    site.agent()
    site.ask("odd")
    meta = site.wait_record(lambda r: "failure" in r.get("vogeler", {}).get("odd", {}), "has a failure")["vogeler"]["odd"]
    assert meta["failure"]["message"] == "odd: exit status 3: n\ufffdh"
    assert meta["failure"]["notes"] == ["1 bytes that are not UTF-8 are shown as U+FFFD"]
