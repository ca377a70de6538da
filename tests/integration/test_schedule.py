# SPDX-License-Identifier: Apache-2.0
"""A plugin with an interval collects by itself: nobody asks, and the record fills and stays fresh."""
from signal import SIGHUP

from lib.waiting import wait_until


def counting(site, name="tick", **keys):
    """A plugin that prints how often it has run."""
    site.script(name, f'echo -n x >> {site.folder}/{name}.runs; stat -c %s {site.folder}/{name}.runs')
    return site.plugin(name, str(site.folder / name), "json", **keys)


def runs(site, name="tick"):
    path = site.folder / f"{name}.runs"
    return path.stat().st_size if path.exists() else 0


def test_a_record_fills_itself(site):
    counting(site, interval="1s")
    site.plugin("asked", "echo 1")
    site.collector()
    site.agent()
    record = site.wait_record(lambda r: r.get("tick", 0) >= 3, "three runs were collected")
    assert "job" not in record["vogeler"]["tick"] or not record["vogeler"]["tick"]["job"]
    assert "asked" not in record


def test_the_newest_arrives_when_the_broker_is_back_and_no_answer_is_lost(site, broker):
    counting(site, interval="1s", splay="0s")
    gate = site.folder / "gate"
    site.plugin("slow", ["/bin/sh", "-c", f"while [ ! -e {gate} ]; do sleep 0.1; done; echo through"])
    collector = site.collector()
    agent = site.agent()
    site.wait_plugin("tick")
    site.runner("-n", "web01", "-x", "slow")
    agent.wait_log("slow: running")
    broker.stop()
    gate.touch()
    agent.wait_log("slow: done")
    seen = runs(site)
    wait_until(lambda: runs(site) >= seen + 4, "it goes on collecting")
    broker.start()
    site.wait_consumer("master.in", collector)
    assert site.wait_plugin("slow") == ["through"]
    site.wait_record(lambda r: r["tick"] >= seen + 4, "the newest is there")
    agent.wait_log(r"[1-9]\d* results of the schedule were replaced by newer ones")


def test_reload_brings_and_takes_intervals(site):
    counting(site)
    site.collector()
    agent = site.agent()
    counting(site, interval="1s")
    agent.signal(SIGHUP)
    site.wait_record(lambda r: r.get("tick", 0) >= 2, "it is collected")
    counting(site)
    agent.signal(SIGHUP)
    agent.wait_log("reloaded the plugins", 2)
    site.wait_drained("master.in")
    before = runs(site)
    counting(site, "other", interval="1s")
    agent.signal(SIGHUP)
    wait_until(lambda: runs(site, "other") >= 3, "the other one is collected")
    assert runs(site) <= before + 1


def test_reload_with_a_broken_plugin_changes_nothing(site):
    site.collector()
    counting(site)
    agent = site.agent()
    with open(site.plugins / "tick.cfg", "a", encoding="utf-8") as file:
        file.write("rubbish\n")
    agent.signal(SIGHUP)
    agent.wait_log("not reloaded: options and plugins stay as they were")
    agent.wait_log(r"tick\.cfg:\d+: neither")
    agent.wait_log(r"tick\.cfg: all of this file is left out until that is mended")
    site.runner("-n", "web01", "-x", "tick", "--wait=30s", dbhost=True)


def test_a_slow_plugin_is_not_doubled(site):
    site.script("slow", f'mkdir {site.folder}/lock || touch {site.folder}/twice\n'
                        f'echo -n x >> {site.folder}/slow.runs; sleep 2.5; rmdir {site.folder}/lock')
    site.plugin("slow", str(site.folder / "slow"), interval="1s", splay="0s")
    site.collector()
    site.agent(options=("client.concurrency=8",))
    site.runner("-n", "web01", "-x", "slow")
    wait_until(lambda: runs(site, "slow") >= 3, "it ran three times")
    assert not (site.folder / "twice").exists()


def test_told_to_stop_it_reports_what_runs(site):
    site.plugin("slow", ["/bin/sh", "-c", f"touch {site.folder}/began; sleep 1; echo done"], interval="1h", splay="0s")
    site.collector()
    agent = site.agent()
    wait_until((site.folder / "began").exists, "it runs")
    agent.stop()
    assert site.wait_plugin("slow") == ["done"]
