# SPDX-License-Identifier: Apache-2.0
"""Clocks that are wrong, for real: a host's, whose state folder is lost then, and a runner's."""
import json
import pathlib
import shutil

import pytest

from lib.site import all_stores
from test_doctor import doctor
from test_jobs_send import send

LIBRARY = max(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), default=None)


def clock(site, offset):
    """The environment of one whose clock is off by that."""
    assert LIBRARY is not None, "the package faketime is missing"
    options = site.env["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
    return {**site.env, "LD_PRELOAD": str(LIBRARY), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1", "ASAN_OPTIONS": options}


@all_stores
def test_a_host_whose_clock_was_ahead_and_whose_state_is_lost(site):
    site.plugin("hello", "echo first")
    site.collector()
    agent = site.agent(env=clock(site, "+3d"))
    site.wait_record(lambda r: True, "exists")
    assert "= 1 ok" in send(site, "-n", "web01", "--wait").out
    assert site.value("hello") == ["first"]
    # Nothing is lost yet, and nothing else is said.
    status, detail, _ = doctor(site)[1]["store orders"][0]
    assert status == "warn" and "web01 is 2 d 23 h ahead of the clock" in detail, detail
    assert "its answers are stored, and would be dropped as older if its clock is set back and its state folder" in detail
    assert "newest order" not in site.admin("hosts").out
    agent.stop()
    shutil.rmtree(site.folder / "state.web01")
    site.plugin("hello", "echo second")
    site.agent(name="agent.again")
    done = send(site, "-n", "web01", "--wait")
    assert "web01: ok: not stored: the newest order of this host is 2 d 23 h ahead of the clock" in done.out, done
    assert site.value("hello") == ["first"]
    assert "newest order is 2 d 23 h ahead" in site.admin("hosts").out
    assert "1 answers dropped" in site.admin("show", "web01").out
    status, detail, cure = doctor(site)[1]["store orders"][0]
    assert status == "warn" and "answers were dropped as older, hosts=1, dropped=1" in detail, detail
    assert "web01 is 2 d 23 h ahead" in detail and "forget-order web01" in cure, (detail, cure)
    site.admin("forget-order", "web01")
    assert "not stored" not in send(site, "-n", "web01", "--wait").out
    assert site.value("hello") == ["second"]
    assert json.loads(site.admin("hosts", "--json").out)[0].get("order_ahead_ms") is None


@pytest.mark.parametrize("offset, said", [("-3h", "the clock here is 2 h 59 min behind the collector's"),
                                          ("+3h", "the clock by which this job was sent is 2 h 59 min ahead of the")])
def test_a_runner_whose_clock_is_wrong_is_told(site, offset, said):
    site.plugin("hello", "echo hello")
    site.collector()
    site.agent()
    site.wait_record(lambda r: True, "exists")
    done = send(site, "-n", "web01", "--wait", env=clock(site, offset))
    assert "= 1 ok" in done.out and done.err.count("the clock") == 1 and said in done.err, done
