# SPDX-License-Identifier: Apache-2.0
"""conf/plugins: ten samples that register without a word and, where their program is, answer with something sensible."""
import json
import shutil

import pytest

from lib.site import SOURCE

SAMPLES = {"disks", "facter", "network", "ohai", "os-release", "packages", "ps", "rpm", "sockets", "units"}


@pytest.fixture
def samples(site):
    for path in (SOURCE / "conf" / "plugins").glob("*.cfg"):
        shutil.copy(path, site.plugins)
        (site.plugins / path.name).chmod(0o644)
    return site


def test_all_ten_register(samples):
    done = samples.run("vogeler-agent", "-p", str(samples.plugins), "--loglevel", "INFO", "list")
    assert done.status == 0, done
    assert "ERROR" not in done.err and "WARN" not in done.err, done
    assert {path.stem for path in samples.plugins.iterdir()} == SAMPLES
    for name in SAMPLES:
        assert name in done.out, done


def test_samples_collect_by_themselves(samples):
    """Nobody asks. (The samples spread hosts over ten minutes: here they begin at once.)"""
    by_itself = {"os-release", "packages", "units", "network", "disks", "sockets"}
    for path in samples.plugins.glob("*.cfg"):
        text = path.read_text()
        assert ("\ninterval = " in text) == ("\nsplay = 10min\n" in text) == (path.stem in by_itself), path
        path.write_text(text.replace("splay = 10min", "splay = 0s"))
    samples.collector()
    samples.agent()
    record = samples.wait_record(lambda r: {"os-release", "packages", "network", "sockets"} <= set(r), "has what is due")
    assert not {"facter", "ohai", "ps", "rpm"} & set(record)


@pytest.mark.parametrize("name, sensible", [
    ("disks", lambda v: v["blockdevices"][0]["name"]),
    ("facter", lambda v: v["os"]["family"] == "Debian"),
    ("network", lambda v: "lo" in [i["ifname"] for i in v]),
    ("os-release", lambda v: any(line.startswith("ID=") for line in v)),
    ("packages", lambda v: [line for line in v if line.startswith("dpkg ")][0].split()[3] == "ii"),
    ("ps", lambda v: any("vogeler-agent" in line for line in v)),
    ("units", lambda v: all("unit_file" in unit for unit in v)),
])
def test_sample_answers(samples, name, sensible):
    samples.collector()
    samples.agent()
    samples.ask(name)
    value = samples.wait_plugin(name)
    assert value and sensible(value), json.dumps(value)[:2000]


def test_sample_sockets_sees_who_listens(samples):
    samples.collector()
    samples.agent()
    samples.ask("sockets")
    assert any(f":{samples.broker.port} " in line for line in samples.wait_plugin("sockets"))
