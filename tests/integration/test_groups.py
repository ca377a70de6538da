# SPDX-License-Identifier: Apache-2.0
"""[group NAME] of the configuration: hosts under one name, wherever hosts are named."""
import json

import pytest

from lib.site import all_stores

GROUPS = """
[group web]
hosts = web*
[group db]
hosts = db[01-02]
[group front]
hosts = @web, @more.hosts
[group old]
where = .os.version == "12"
[group oldweb]
hosts = @front
where = .os.version == "12"
[group nobody]
hosts = mail*
"""


@pytest.fixture
def fleet(site):
    site.collector()
    for name, version in (("web01", "12"), ("web02", "13"), ("db01", "12"), ("edge1", "12")):
        client = site.party("Client2010", name)
        client.greet()
        client.answer("os", json.dumps({"id": "debian", "version": version}), "json")
        site.wait_plugin("os", name)
    site.conf = site.file("vogeler.conf", GROUPS)
    site.file("more.hosts", "edge1 # beside the configuration\n")
    return site


def targets(site, *args, status=0):
    args = [word for node in args for word in ("-n", node)]
    done = site.runner("-c", site.conf, *args, "--dry-run", dbhost=True, status=status)
    return done.out.split() if status == 0 else done


@all_stores
def test_targets_of_groups(fleet):
    site = fleet
    assert targets(site, "@web") == ["web01", "web02"]
    assert targets(site, "@db") == ["db01", "db02"]  # named: one may have a queue and no record
    assert targets(site, "@front") == ["edge1", "web01", "web02"]
    assert targets(site, "@old") == ["db01", "edge1", "web01"]
    assert targets(site, "@oldweb") == ["edge1", "web01"]
    assert targets(site, "@oldweb,db01", "@db") == ["db01", "db02", "edge1", "web01"]
    done = targets(site, "@nobody", status=4)
    assert "@nobody: no host is in this group" in done.err, done
    done = site.runner("-c", site.conf, "-n", "@front", "--where", '.os.version == "13"', "--dry-run", dbhost=True)
    assert done.out.split() == ["web02"], done


def test_a_command_to_a_group(fleet):
    site = fleet
    done = site.runner("-c", site.conf, "-n", "@oldweb,db01", "-x", "os", "--json", dbhost=True)
    job = json.loads(done.out)["job"]
    result = json.loads(site.runner("result", job, "--json", dbhost=True, status=3).out)
    assert sorted(host["host"] for host in result["hosts"]) == ["db01", "edge1", "web01"], result
    jobs = site.runner("jobs", dbhost=True).out
    assert "@oldweb,db01" in jobs, jobs


@all_stores
def test_groups_of_admin(fleet):
    site = fleet
    done = site.admin("-c", site.conf, "show", "@oldweb,db01", "os", "version")
    assert done.out.splitlines()[1].split() == "3 hosts: db01, edge1, web01 12".split(), done
    done = site.admin("-c", site.conf, "show", "@db", "os", "version", status=4)
    assert "db02: no such host" in done.err and done.out.split()[-1] == "12", done
    hosts = json.loads(site.admin("-c", site.conf, "hosts", "@web", "edge*", "--json").out)
    assert [host["host"] for host in hosts] == ["edge1", "web01", "web02"]
    done = site.admin("-c", site.conf, "hosts", "@old", "web02,nowhere", "@nobody", status=4)
    assert [line.split()[0] for line in done.out.splitlines()[1:]] == ["db01", "edge1", "web01", "web02"], done
    assert "nowhere: no such host" in done.err and "@nobody: no host is in this group" in done.err, done


def test_queues_of_groups(fleet):
    site = fleet
    done = site.admin("-c", site.conf, "setup", "@db", "new[01-02],edge1", qhost=True)
    for host in ("db01", "db02", "new01", "new02"):
        assert f"queue {host}: " in done.out, done
    for group, why in (("@old", "has a where"), ("@web", "for hosts that are named"), ("web*", "setup web*: ")):
        done = site.admin("-c", site.conf, "setup", group, qhost=True, status=1)
        assert why in done.err, done


def test_a_group_or_a_file(fleet):
    site = fleet
    site.file("hosts", "db01\n")
    assert targets(site, "@hosts") == ["db01"]
    assert targets(site, f"@{site.folder}/hosts,@web") == ["db01", "web01", "web02"]
    site.file("web", "db02\n")
    done = targets(site, "@web", status=1)
    assert "is a group" in done.err and "@group:web for the group" in done.err, done
    assert targets(site, "@group:web") == ["web01", "web02"]
    assert targets(site, "@./web") == ["db02"]
    for typed, why in (("@wbe", "did you mean web?"), ("@mailserver", "there are the groups web, db, front"),
                       ("@group:hosts", "no group is named hosts")):
        done = targets(site, typed, status=1)
        assert why in done.err, done
    done = site.runner("-n", "@wbe", "--dry-run", dbhost=True, status=1)
    assert "no file wbe is there; the configuration has no groups" in done.err, done


def test_groups_on_the_command_line(fleet):
    site = fleet
    done = site.runner("-c", site.conf, "-o", "group db.hosts=@eu.db,edge1", "-o", "group eu.db.hosts=db07",
                       "-n", "@db", "--dry-run", dbhost=True)
    assert done.out.split() == ["db07", "edge1"], done


@pytest.mark.parametrize("name", ["vogeler-runner", "vogeler-admin", "vogelerd", "vogeler-agent"])
def test_groups_that_cannot_be(site, name):
    wrong = site.file("wrong.conf", "[group web]\nhosts = a,@front\n[group front]\nhosts = @web\n"
                                    "[group bad]\nhosts = web_1\n[group all]\nhosts = x\n[group x]\nhost = y\n")
    done = site.run(name, "-c", wrong, "--check-config")
    assert done.status == 1, done
    for line, why in ((8, "every host already"), (10, "keys hosts and where")):
        assert f"wrong.conf:{line}: error: " in done.out and why in done.out, done
    wrong = site.file("wrong.conf", "[group web]\nhosts = a,@front\n[group front]\nhosts = @web\n"
                                    "[group bad]\nhosts = web_1\n[group far]\nhosts = @nothere\n")
    done = site.run(name, "-c", wrong, "--check-config")
    assert done.status == 1, done
    for line, why in ((2, "error: [group web] hosts go round: web is in front, front is in web"),
                      (6, 'error: [group bad] hosts "web_1": '), (8, "warning: [group far] no group is named nothere")):
        assert f"wrong.conf:{line}: {why}" in done.out, done


def test_where_with_a_mistake(fleet):
    site = fleet
    done = site.runner("-c", site.conf, "-o", "group old.where=.os |", "-n", "@old", "--dry-run", dbhost=True, status=1)
    assert "@old, where: " in done.err and "syntax error" in done.err, done
    done = site.admin("-c", site.conf, "-o", "group old.where=.so.version", "show", "@old", "os", status=4)
    assert '@old, where: no record has "so"; did you mean os? There is os' in done.err, done
