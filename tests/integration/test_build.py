# SPDX-License-Identifier: Apache-2.0
"""The scripts around the programs: the build in a folder whose name a shell reads otherwise, and what run-tests does with
its words and with a build that fails."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from lib.process import clean_environment, run
from lib.site import SOURCE
from lib.waiting import PATIENCE

ODD = "a b'c$d"
LONG = 20 * PATIENCE  # it builds all of it


def copy_of_the_source(folder):
    """What is in the checkout, without what was made in it."""
    made = {"build", "run", "node_modules", ".git"}
    shutil.copytree(SOURCE, folder, symlinks=True,
                    ignore=lambda _, names: [n for n in names if n in made or n.startswith(".pytest")])


def everything(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if ODD not in path.parts}


def test_a_folder_whose_name_a_shell_would_read_otherwise(tmp_path):
    """It builds, quickstart runs there, and it installs below a prefix with such a name; nothing beside the folder changes,
    where words of its name would be names of files."""
    top = tmp_path / ODD
    copy_of_the_source(top)
    (tmp_path / "a").write_text("a file beside it\n")
    before = everything(tmp_path)
    ccache = {"CMAKE_C_COMPILER_LAUNCHER": "ccache", "CCACHE_DIR": os.environ.get("CCACHE_DIR", pathlib.Path.home() / ".cache/ccache")}
    env = clean_environment(pathlib.Path.home(), **(ccache if shutil.which("ccache") else {}))
    try:
        done = run([top / "quickstart"], env, tmp_path, LONG)
        assert done.status == 0 and done.out.startswith("The record of "), done
    finally:
        stopped = run([top / "quickstart", "stop"], env, tmp_path, LONG)
    assert stopped.status == 0, stopped
    prefix = top / "in%st"
    for argv in (["cmake", "--preset", "release", "-D", f"CMAKE_INSTALL_PREFIX={prefix}"],
                 ["cmake", "--build", "--preset", "release"], ["cmake", "--install", "build/release"]):
        done = run(argv, env, top, LONG)
        assert done.status == 0, done
    done = run([prefix / "bin" / "vogeler-admin", "--version"], env, tmp_path)
    assert done.status == 0 and done.out.startswith("vogeler-admin "), done
    for page in ("man8/vogelerd.8", "man5/vogeler.conf.5", "man1/vogeler-runner.1"):
        assert ".TH" in (prefix / "share/man" / page).read_text(), page
    assert f"{prefix}/share/vogeler" in (prefix / "share/man/man8/vogelerd.8").read_text().replace("\\&", "")
    for unit in ("vogelerd", "vogeler-agent"):
        path = prefix / "lib/systemd/system" / f"{unit}.service"
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", path], check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        assert str(path) not in done.stdout.decode(), done  # what it says of other units of this machine is not ours
    assert (tmp_path / "a").read_text() == "a file beside it\n"
    assert everything(tmp_path) == before


@pytest.fixture(name="scripts")
def scripts_fixture(tmp_path):
    """A checkout of nothing but run-tests, whose configuration fails."""
    for name in ("run-tests", ".ci/lib.sh", "CMakePresets.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(SOURCE / name, tmp_path / name)
    (tmp_path / "CMakeLists.txt").write_text('message(FATAL_ERROR "there is no library of that name")\n')
    return tmp_path


def test_run_tests_reads_its_words_before_it_does_anything(scripts):
    def call(*args):
        return run([scripts / "run-tests", *args], clean_environment(scripts), scripts)
    for args in (["--help"], ["-h"], ["--all", "--help"]):
        done = call(*args)
        assert done.status == 0 and "--quick" in done.out and "--release" in done.out and done.err == "", done
    for args, word in ((["--fast"], "--fast"), (["test_cli.py"], "test_cli.py"), (["--quick", "--all"], "not two")):
        done = call(*args)
        assert done.status == 1 and done.out == "" and word in done.err and len(done.err.splitlines()) == 1, done
    assert not (scripts / "build").exists()


def test_run_tests_shows_why_a_configuration_fails(scripts):
    done = run([scripts / "run-tests", "--quick", "--no-install"], clean_environment(scripts), scripts)
    assert done.status == 1 and "there is no library of that name" in done.out, done
    assert re.search(r"^FAILED +build dev +\d+ s", done.out, re.M), done
    assert re.search(r"^run-tests: FAILED after \d+ s; .*run-tests.log$", done.out.strip().splitlines()[-1]), done


def test_one_test_of_each_kind_as_CONTRIBUTING_says(tmp_path):
    """Each line runs in the checkout, on the build that is there, and finds a test."""
    text = (SOURCE / "CONTRIBUTING.md").read_text().partition("## Run one test\n")[2].partition("\n## ")[0]
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert len(lines) == 4 and lines[3].startswith("cmake --preset fuzz"), lines  # fuzzing is run by run-tests --all
    for line in lines[:3]:
        done = run(["/bin/bash", "-c", line.replace("pytest ", f"pytest -p no:cacheprovider --basetemp={tmp_path}/one ")],
                   clean_environment(pathlib.Path.home()), SOURCE, LONG)
        assert done.status == 0 and re.search(r"[1-9]\d* passed|tests passed, 0 tests failed out of 1\b", done.out), done
