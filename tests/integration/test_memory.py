# SPDX-License-Identifier: Apache-2.0
"""What the programs need when idle, by /proc/PID/smaps_rollup. Printed always; judged only without sanitizers."""
import pytest

pytestmark = pytest.mark.as_shipped


@pytest.mark.parametrize("what, limit_kb", [("agent", 6 * 1024), ("collector", 12 * 1024)])
def test_idle_memory(site, what, limit_kb, sanitized, record_property):
    site.plugin("hello", "echo hello")
    collector = site.collector(level="WARN")
    agent = site.agent(level="WARN")
    site.ask("hello")
    site.wait_plugin("hello")
    site.wait_drained("web01", "master.in")
    pss = {"agent": agent, "collector": collector}[what].memory_kb()
    record_property("figure", f"idle {what}: PSS {pss} kB, "
                    + ("with sanitizers, not judged" if sanitized else f"limit {limit_kb} kB"))
    if not sanitized:
        assert pss < limit_kb
