# SPDX-License-Identifier: Apache-2.0
"""vogeler-agent list and exec: what they tell whoever writes plugins."""
import json
import shutil
import subprocess

import pytest

from lib.process import run
from lib.site import BIN, program


def listed(site):
    return site.run("vogeler-agent", "-p", str(site.plugins), "list")


@pytest.mark.parametrize("command, found", [
    ("ps -ef | wc -l", "the | in it"), ("echo a > /tmp/a", "the > in it"), ("cat < /etc/passwd", "the < in it"),
    ("true && echo a", "the && in it"), ("true; echo a", "the ; in it"), ("echo $(id)", "the $( in it"),
    ("ls $HOME", "the $HOME in it"), ("ls /etc/*.conf", "the * in it"), ("LANG=C ls", "'LANG=C' is taken for a program"),
])
def test_a_command_for_a_shell_is_warned_of(site, command, found):
    path = site.plugin("odd", command)
    done = listed(site)
    assert done.status == 0 and "odd" in done.out, done
    assert f"{path}:4: warning: plugin 'odd': no shell runs its command" in done.err and found in done.err, done
    assert "; cure: " in done.err, done


@pytest.mark.parametrize("command", ["sh -c 'ps -ef | wc -l > /dev/null; true && echo $(id)'", 'sh -c "a | b"',
                                     "echo \\| \\> a", "awk '{print $1}' /etc/passwd", "grep x$ /etc/passwd"])
def test_what_is_quoted_is_not_warned_of(site, command):
    site.plugin("good", command)
    done = listed(site)
    assert (done.status, done.err) == (0, ""), done


def test_a_user_that_does_not_exist_is_warned_of(site):
    site.plugin("good", "id", user="nobody")
    path = site.plugin("odd", "id", user="nobody-of-this-name")
    done = listed(site)
    assert done.status == 0, done
    assert f"{path}:6: warning: plugin 'odd': there is no user 'nobody-of-this-name'" in done.err, done
    assert "good" not in done.err, done


@pytest.mark.parametrize("command, told", [
    ("/usr/bin/nosuchprog -x", "there is no program '/usr/bin/nosuchprog' on this host"),
    ("/etc/passwd/prog", "there is no program '/etc/passwd/prog' on this host"),
    ("nosuchprog", "there is no program 'nosuchprog' on this host (PATH=/"),
    ("etc/nosuchprog", "there is no program '/etc/nosuchprog' on this host"),
    ("/etc/passwd", "'/etc/passwd' is no file that may be executed"),
    ("/etc", "'/etc' is no file that may be executed"),
])
def test_a_program_that_is_not_there_is_warned_of(site, command, told):
    """And each run fails, as it says."""
    path = site.plugin("odd", command)
    done = listed(site)
    assert done.status == 0 and "odd" in done.out, done
    lines = done.err.splitlines()
    assert len(lines) == 1 and f"{path}:4: warning: plugin 'odd': {told}" in lines[0] and "; cure: " in lines[0], done
    assert site.exec("odd").status != 0


def test_a_program_is_looked_for_where_the_plugin_does(site):
    own = site.folder / "own"
    own.mkdir()
    (own / "there").symlink_to("/bin/true")
    site.plugin("good", "there", env=f"PATH={own}")
    site.plugin("relative", "bin/true")
    assert listed(site).err == ""


def test_exec_tells_of_the_plugin_that_it_runs(site):
    """And of no other, unless there is none of that name: then it may be one that is broken."""
    site.plugin("good", "echo 1")
    site.plugin("odd", "nosuchprog", user="nobody-of-this-name")
    site.plugin("broken", "echo 2", "nonsense")
    site.file("plugins/good-old.cfg", (site.plugins / "good.cfg").read_text())
    done = site.exec("good")
    assert done.status == 0 and "odd" not in done.err and "nonsense" not in done.err, done
    assert "good-old.cfg:2: " in done.err, done  # which may be the one that is meant
    done = site.exec("broken")
    assert done.status != 0 and "nonsense" in done.err and "there is no plugin 'broken'" in done.err, done
    assert "nobody-of" not in done.err, done
    assert all(word in listed(site).err for word in ("nonsense", "nosuchprog", "nobody-of", "good-old"))


def test_exec_warns_and_the_service_too(site):
    site.plugin("odd", "echo a | cat", user="nobody-of-this-name")
    done = site.exec("odd")
    assert "the | in it" in done.err and "there is no user" in done.err, done
    agent = site.agent(level="WARN")
    agent.wait_log(r"WARN.*odd\.cfg:4: plugin 'odd': no shell runs its command")
    agent.wait_log(r"WARN.*odd\.cfg:6: plugin 'odd': there is no user")


TEXTS = {
    "output": "  one \n\ntwo\xe9\n", "string": " as it is\n", "raw": "x",
    "yaml": "a: yes\nb: 017\nc: 12:30:00\nd: !ruby/sym no\ne: 99999999999999999999\nf: &x [1]\ng: *x\na: no\n",
    "json": '\ufeff{"b": 1.10, "a": [1e999, 99999999999999999999, "\\ud800"], "b": 2}\n',
}


@pytest.mark.parametrize("result_format", TEXTS)
def test_exec_shows_what_the_collector_stores(site, result_format):
    text = site.file("text", "")
    text.write_bytes(TEXTS[result_format].encode("utf-8" if result_format == "json" else "latin-1"))
    site.plugin("it", ["cat", text], result_format)
    done = site.exec("it")
    assert done.status == 0, done
    answer = json.loads(done.out)
    assert list(answer) == ["body", "value"] and answer["body"]["format"] == result_format
    site.collector()
    site.agent()
    site.ask("it")
    assert site.wait_plugin("it") == answer["value"]
    notes = site.record()["vogeler"]["it"].get("notes", [])
    for note in notes:
        assert note in done.err or "U+FFFD" in note and "replaced: " in done.err, (note, done)


@pytest.mark.parametrize("result_format, text, reason", [
    ("yaml", "a: 1\nb: [1, 2\nc: 3\n", "cannot be read as YAML: line 3, column 2: "),
    ("yaml", "a: 1\nb: 2\n a: 3\n", "cannot be read as YAML: line 3, column 3: "),
    ("json", '{"a": 1,\n "é": [1 2]}\n', "cannot be read as JSON: line 2, column 10: "),
    ("json", "Warning: x\n{}\n", "cannot be read as JSON: line 1, column 1: \"Warning: x\" is no JSON"),
    ("json", "{}\nDone.\n", "cannot be read as JSON: line 2, column 1: \"Done.\" stands behind the JSON"),
    ("json", "", "printed nothing where JSON is due"),
])
def test_exec_says_where_output_cannot_be_read(site, result_format, text, reason):
    site.plugin("it", ["cat", site.file("text", text)], result_format)
    done = site.exec("it")
    assert done.status == 2, done
    assert reason in done.err.splitlines()[-1] and "it: " in done.err.splitlines()[-1], done
    assert list(json.loads(done.out)) == ["body"], done


def test_exec_keeps_to_the_limits_of_the_configuration(site):
    conf = site.file("vogeler.conf", "[limits]\nyaml_nodes = 3\n")
    site.plugin("it", "echo '[1, 2, 3, 4]'", "yaml")
    done = site.exec("it", options=())
    assert done.status == 0, done
    argv = site.agent_argv(verb=("exec", "it"), level="WARN")
    done = run([argv[0], "-c", conf, *argv[1:]], site.env, site.folder)
    assert done.status == 2 and "[limits] yaml_nodes" in done.err, done


def test_exec_of_a_large_value(site):
    """More than a pipe holds, both ways."""
    site.plugin("it", ["seq", "1", "150000"], "output", max_output="2MiB")
    done = site.exec("it")
    assert done.status == 0 and json.loads(done.out)["value"][-1] == "150000"


def test_exec_without_the_reader_says_so(site):
    alone = site.folder / "vogeler-agent"
    shutil.copy(program("vogeler-agent"), alone)
    site.plugin("it", "echo 1", "json")
    argv = site.agent_argv(verb=("exec", "it"), level="WARN")
    done = run([alone, *argv[1:]], site.env, site.folder)
    assert done.status == 1 and "was not read as the collector will read it" in done.err, done
    assert list(json.loads(done.out)) == ["body"], done


def test_the_agent_does_not_carry_the_readers():
    def libraries(name):
        return subprocess.run(["ldd", BIN / name], check=True, stdout=subprocess.PIPE, text=True).stdout
    for library in ("libyaml", "libcurl", "libsqlite3"):
        assert library not in libraries("vogeler-agent")
    assert "libyaml" in libraries("vogeler-convert") and "libcurl" not in libraries("vogeler-convert")


def test_convert_alone(site):
    def convert(text, *argv):
        return run([program("vogeler-convert"), *argv], site.env, site.folder, stdin=text.encode())
    done = convert("a: [1, no]\n", "yaml")
    assert (done.status, json.loads(done.out), done.err) == (0, {"a": [1, False]}, ""), done
    assert convert("[", "json").status == 2
    for argv, told in ((["xml"], "there is no format 'xml'"), ([], "which FORMAT?"), (["json", "x"], "one argument too many")):
        done = convert("", *argv)
        assert done.status == 1 and told in done.err and done.out == "", done
