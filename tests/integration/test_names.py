# SPDX-License-Identifier: Apache-2.0
"""Names that are easily given twice: a copy of a plugin's file, a host called localhost."""
from lib.process import run


def test_a_copy_of_a_plugins_file_changes_nothing(site):
    site.plugin("facter", "/bin/echo original")
    text = (site.plugins / "facter.cfg").read_text().replace("original", "copy")
    for name in ("facter (copy).cfg", "facter-old.cfg", "facter.bak.cfg", "Copy of facter.cfg", "facter copy.cfg"):
        (site.plugins / name).write_text(text)
        (site.plugins / name).chmod(0o644)
    done = run(site.agent_argv("web01", verb=("list",), level="WARN"), site.env, site.folder)
    assert "original" in done.out and "echo copy" not in done.out, done
    assert done.err.count("facter.cfg") >= 5, done


def test_localhost_is_warned_of(site):
    agent = site.agent("localhost", level="WARN")
    agent.wait_log("WARN.*localhost.*one record")
    agent.stop()
