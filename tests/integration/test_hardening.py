# SPDX-License-Identifier: Apache-2.0
"""What the compiler and the linker were told shows in the programs."""
import re
import subprocess

import pytest

from lib.site import is_sanitized, program

pytestmark = pytest.mark.as_shipped

ALL = ("vogelerd", "vogeler-agent", "vogeler-runner", "vogeler-admin", "vogeler-bench")


def readelf(what, name):
    return subprocess.run(["readelf", "--wide", what, str(program(name))], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"}).stdout.decode()


@pytest.mark.parametrize("name", ALL)
def test_position_independent(name):
    assert re.search(r"Type:\s+DYN \(Position-Independent Executable", readelf("--file-header", name))


@pytest.mark.parametrize("name", ALL)
def test_relocations_are_read_only(name):
    assert "GNU_RELRO" in readelf("--program-headers", name)
    dynamic = readelf("--dynamic", name)
    assert "BIND_NOW" in dynamic or re.search(r"FLAGS_1\b.*\bNOW\b", dynamic)
    assert "TEXTREL" not in dynamic and "RPATH" not in dynamic


@pytest.mark.parametrize("name", ALL)
def test_no_segment_is_writable_and_executable(name):
    headers = readelf("--program-headers", name)
    assert re.search(r"GNU_STACK .* RW +0x", headers), headers
    assert not re.search(r"^ .* RWE ", headers, re.M), headers


@pytest.mark.parametrize("name", ALL)
def test_stack_is_guarded(name):
    assert "__stack_chk_fail" in readelf("--dyn-syms", name)


@pytest.mark.parametrize("name", ALL)
def test_library_calls_are_checked(name):
    """Not in the builds with sanitizers, which are not optimised and check more."""
    checked = re.findall(r"__(?:v?snprintf|memcpy|read|v?fprintf)_chk\b", readelf("--dyn-syms", name))
    assert bool(checked) != is_sanitized(), checked


def disassembled(name):
    return subprocess.run(["objdump", "--disassemble", "--no-show-raw-insn", str(program(name))], check=True,
                          stdout=subprocess.PIPE).stdout.decode()


@pytest.mark.parametrize("name", ALL)
def test_jumps_are_guarded(name):
    """-fcf-protection: in each function that others can call. (The note that says so of a whole program is not there, since
    Debian's C library has none.)"""
    if "X86-64" not in readelf("--file-header", name):
        return
    symbols = readelf("--symbols", name)
    ours = set(re.findall(r" FUNC +GLOBAL +\w+ +\d+ ([a-z]\w+)$", symbols, re.M))
    assert len(ours) > 100 and "main" in ours, symbols
    # By name: that of a static function, which needs no guard, may be in use twice.
    guarded = set(re.findall(r"^[0-9a-f]+ <(\w+)>:\n[^\t]+\tendbr64", disassembled(name), re.M))
    assert ours <= guarded, ours - guarded


@pytest.mark.parametrize("name", ALL)
def test_large_frames_touch_each_page_of_the_stack(name, sanitized):
    """-fstack-clash-protection. (The sanitizers move what is large elsewhere.)"""
    if "X86-64" in readelf("--file-header", name) and not sanitized:
        assert re.search(r"sub +\$0x1000,%rsp\n.*or[lq]? +\$0x0,", disassembled(name))
