# SPDX-License-Identifier: Apache-2.0
"""The answers of many hosts, side by side."""
import json

import pytest

from lib.site import all_stores


@pytest.fixture
def fleet(site):
    site.collector()
    for name, version in (("web01", "12"), ("web02", "12"), ("web10", "13"), ("db01", "12")):
        client = site.party("Client2010", name)
        client.greet()
        client.answer("os", json.dumps({"id": "debian", "version": version, "disks": [{"size": 7}]}), "json")
        site.wait_plugin("os", name)
    return site


def show(site, *args, status=0):
    return site.admin("show", *args, status=status)


@all_stores
def test_a_part_of_many(fleet):
    done = show(fleet, "web*", "os", ".version")
    rows = [line.rsplit(None, 1) for line in done.out.splitlines()]
    assert rows == [["HOST", "VALUE"], ["2 hosts: web[01-02]", "12"], ["web10", "13"]], done
    for hosts in ("web[01-02],web10", "web01,web02,web10", "w*,web01", "web[01-02],web1*"):
        assert show(fleet, hosts, "os", "version").out == done.out, hosts
    assert "3 hosts: db01, web[01-02]" in show(fleet, "all", "os", "version").out


@all_stores
def test_whole_values_of_many(fleet):
    done = show(fleet, "*", "os")
    assert done.out.startswith("3 hosts: db01, web[01-02]\n{\n") and "\n\nweb10\n{\n" in done.out, done
    assert done.out.count('"debian"') == 2, done


@all_stores
def test_json_is_an_object_a_host(fleet):
    done = show(fleet, "web*", "os", "version", "--json")
    assert [json.loads(line) for line in done.out.splitlines()] == [
        {"host": "web01", "value": "12"}, {"host": "web02", "value": "12"}, {"host": "web10", "value": "13"}]
    done = show(fleet, "web01,db01", "--json")
    assert [json.loads(line)["_id"] for line in done.out.splitlines()] == ["db01", "web01"]


@all_stores
def test_who_has_none_is_told(fleet):
    done = show(fleet, "web*", "os", "release", status=4)
    assert done.out == "" and '3 hosts: web[01-02,10]: "os" has no release' in done.err, done
    assert done.err.endswith('vogeler-admin: "os": it has: disks, version, id\n'), done
    done = show(fleet, "web01,nowhere", "os", "version", status=4)
    assert "nowhere: no such host" in done.err and done.out.splitlines()[1].split() == ["web01", "12"], done
    done = show(fleet, "mail*", "os", status=4)
    assert "mail*: no such host" in done.err, done
    done = show(fleet, "web*", "nosuch", status=4)
    assert '3 hosts: web[01-02,10]: no value of "nosuch"' in done.err, done


def test_a_part_of_one(fleet):
    assert show(fleet, "web01", "os", ".version").out == "12\n"
    assert show(fleet, "web01", "os", "disks[0]", "--json").out == '{"size":7}\n'
    done = show(fleet, "web01", "os", "disks.size", status=4)
    assert "disks is a list of 1" in done.err, done
    done = show(fleet, "web01", "os", ".versio", status=4)
    assert done.err == 'vogeler-admin: web01: "os" has no .versio; did you mean version? It has: version, disks, id\n', done
    done = show(fleet, "web01", "os", "disks[", status=1)
    assert "bracket" in done.err, done
    done = show(fleet, "web[01", "os", status=1)
    assert '"["' in done.err and "-n" not in done.err, done


def test_records_of_many(fleet):
    done = show(fleet, "web*")
    assert done.out.count("host        web") == 3, done
