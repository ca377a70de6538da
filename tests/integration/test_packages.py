# SPDX-License-Identifier: Apache-2.0
"""The lists of packages in .ci/lib.sh against what is used: what tests import and call, what scripts and samples run, what the
build links. On a machine that has all of it a package that is on no list is not missed."""
import ast
import functools
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from lib.site import SOURCE

SHELL = ["quickstart", "run-tests", "tests/private-rabbitmq", "tests/fuzz/run", "tests/standin/start", ".ci/lib.sh", ".ci/run"]
# npm and Node.js may come from elsewhere: any will do. The rpm sample is for hosts that have it.
FOREIGN = {"npm", "node", "rpm"}
BRINGS = {"rabbitmq-server": "erlang-base", "pkg-config": "pkgconf", "postgresql": "postgresql-client-common"}


def git_ls(*patterns):
    return subprocess.run(["git", "-C", SOURCE, "ls-files", *patterns], check=True, stdout=subprocess.PIPE).stdout.decode().split()


@functools.lru_cache(maxsize=None)
def listed():
    names = ["PACKAGES_BUILD", "PACKAGES_RUN", "PACKAGES_TEST", "PACKAGES_ROOTS"]
    script = f"top={shlex.quote(str(SOURCE))}; . .ci/lib.sh; echo " + " ".join(f'"${{{name}[@]}}"' for name in names)
    said = subprocess.run(["bash", "-c", script], cwd=SOURCE, check=True, stdout=subprocess.PIPE).stdout.decode().split()
    return set(said)


@functools.lru_cache(maxsize=None)
def always_there():
    """What debootstrap --variant=minbase installs: essential, required, or apt."""
    said = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Essential} ${Priority}\n"], check=True,
                          stdout=subprocess.PIPE).stdout.decode().splitlines()
    return {line.split()[0] for line in said if " yes " in line or line.endswith(" required")} | {"apt"}


@functools.lru_cache(maxsize=None)
def packages_of(path):
    """The packages that own a file; of a link through alternatives, the one of what it leads to."""
    for candidate in (path, re.sub("^/usr/(s?bin|lib)/", r"/\1/", path), subprocess.run(
            ["readlink", "-f", path], check=True, stdout=subprocess.PIPE).stdout.decode().strip()):
        done = subprocess.run(["dpkg-query", "-S", candidate], check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        owners = [line.partition(": ")[0] for line in done.stdout.decode().splitlines() if not line.startswith("diversion")]
        if owners:
            return {name.partition(":")[0] for owner in owners for name in owner.split(", ")}
    return set()


@functools.lru_cache(maxsize=None)
def depended_on(package):
    """What the package cannot be installed without: python3 is python3.11, clang is clang-14."""
    said = subprocess.run(["dpkg-query", "-W", "-f", "${Depends}, ${Pre-Depends}", package], check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout.decode()
    return {re.split(r"[ (:|]", name.strip())[0] for name in said.split(",")} - {""}


def brought():
    """By the lists: what is on them, and of a package that has only a version of its name to bring, that one, which may
    be another such package: gcc brings gcc-14, and that gcc-14-x86-64-linux-gnu."""
    found = new = listed()
    while new:
        new = {d for p in new for d in depended_on(p)
               if d.startswith(re.sub(r"-(dev|base)$", "", p)) or d.rstrip("0123456789.-") == p} - found
        found = found | new
    return found | always_there() | {BRINGS[p] for p in listed() & set(BRINGS)}


def missing(uses):
    """use -> file of it; those whose package is on no list."""
    return {use: sorted(packages_of(path)) for use, path in uses.items()
            if packages_of(path) and not packages_of(path) & brought()}


def python_files():
    return git_ls("tests/*.py", "tests/standin/with-couch", "bench/*.py")


def test_what_tests_import():
    uses = {}
    for name in python_files():
        for node in ast.walk(ast.parse((SOURCE / name).read_text())):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module else []
            for module in {m.partition(".")[0] for m in modules} - set(sys.stdlib_module_names) - {"lib", "conftest"}:
                spec = importlib.util.find_spec(module)
                if spec is not None and spec.origin and spec.origin.startswith("/usr/lib/python3"):
                    uses[module] = spec.origin
    assert "pika" in uses and missing(uses) == {}, missing(uses)


def words_of_python(text):
    """What may be the name of a program: the first of a list of words, or of a line for a shell."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.List, ast.Tuple)) and node.elts and isinstance(node.elts[0], ast.Constant):
            yield from [node.elts[0].value] if isinstance(node.elts[0].value, str) else []
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant) \
                and isinstance(node.args[0].value, str):
            yield node.args[0].value
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value:
            yield from words_of_shell(node.value)


def words_of_shell(text):
    """The first word of each command, as far as a pattern can tell."""
    text = re.sub(r"(^|\s)#.*", "", text)
    for word in re.findall(r"(?:^|[|;&({`]|\bif|\bthen|\bdo|\belse|\buntil|\bwhile|!|\bas_root|\bexec|\bsudo|\benv)\s*([A-Za-z0-9_.+-]+)",
                           text, re.M):
        yield word


def programs(words):
    found = {}
    for word in words:
        if re.fullmatch(r"[a-z][a-z0-9_.+-]+", word) and word not in FOREIGN:
            path = shutil.which(word, path="/usr/sbin:/usr/bin:/sbin:/bin")
            if path is not None:
                found[word] = path
    return found


# Words that are also names of programs on some machines, and are not meant as such.
NOT_CALLED = {"agent", "as", "init", "ps", "test", "ask", "stop", "install", "look", "import", "write", "from", "file", "host", "at", "last", "who",
              "id", "split", "link", "select", "config", "message", "name", "time", "zstd", "more", "less", "users", "login", "top", "script", "ruby"}


@pytest.mark.parametrize("kind", ["tests", "scripts", "plugins"])
def test_what_is_called(kind):
    if kind == "tests":
        words = {w for name in python_files() for w in words_of_python((SOURCE / name).read_text())} - NOT_CALLED
    elif kind == "scripts":
        words = {w for name in SHELL for w in words_of_shell((SOURCE / name).read_text())} - NOT_CALLED
    else:
        words = {line.partition("=")[2].split()[0] for name in git_ls("conf/plugins/*.cfg")
                 for line in (SOURCE / name).read_text().splitlines() if re.match(r"command *=", line)}
    uses = programs(words)
    assert len(uses) > 5 and missing(uses) == {}, missing(uses)


def test_what_the_build_links():
    text = (SOURCE / "CMakeLists.txt").read_text() + (SOURCE / "tests" / "unit" / "CMakeLists.txt").read_text()
    modules = re.findall(r"pkg_check_modules\(\S+ REQUIRED IMPORTED_TARGET ([a-z0-9_.-]+)", text)
    uses = {}
    for module in modules:
        folder = subprocess.run(["pkg-config", "--variable=pcfiledir", module], check=True, stdout=subprocess.PIPE).stdout
        uses[module] = f"{folder.decode().strip()}/{module}.pc"
    assert len(uses) > 10 and missing(uses) == {}, missing(uses)


def test_a_package_that_is_on_no_list_is_noticed(monkeypatch):
    less = listed() - {"python3-pika", "libjansson-dev"}
    monkeypatch.setattr(sys.modules[__name__], "listed", lambda: less)
    for test in (test_what_tests_import, test_what_the_build_links):
        with pytest.raises(AssertionError):
            test()
