# SPDX-License-Identifier: Apache-2.0
"""vogelerd takes old jobs out of the ledger, with what is known of how they ended."""
from signal import SIGHUP

from lib.ledger import DAY, Ledger
from lib.waiting import wait_until


def test_old_jobs_go_when_job_ttl_says_so(any_site):
    site = any_site
    conf = site.file("vogeler.conf", "[persistence]\njob_ttl = 0\n")
    collector = site.collector("-c", conf)
    ledger = Ledger(site)
    for job, sent, expires in (("old", -40 * DAY, -33 * DAY), ("forever", -40 * DAY, None),
                               ("open", -40 * DAY, DAY), ("young", -20 * DAY, -13 * DAY),
                               ("zz-new", 0, 7 * DAY)):  # CouchDB's newest: ids of jobs sort by time
        ledger.add_job(job, "hello", ["web01", "web02"], sent=sent, expires=expires)
        ledger.add_outcome(job, "web01", "unroutable", at=sent)
        ledger.add_outcome(job, "web02", "cancelled", at=sent)
    ledger.add_outcome("orphan", "web01", "cancelled", at=-40 * DAY)  # of a job that is gone already

    collector.signal(SIGHUP)
    collector.wait_log("options reloaded")
    assert ledger.count("old") == (1, 2)

    conf.write_text("[persistence]\njob_ttl = 30d\n")
    collector.signal(SIGHUP)
    wait_until(lambda: {ledger.count(j) for j in ("old", "forever", "orphan")} == {(0, 0)}, "the old ones are gone")
    assert ledger.count("open") == ledger.count("young") == (1, 2)
    assert "no such job" in site.runner("result", "old", dbhost=True, status=1).err
    assert "2 targeted = 1 unroutable + 1 cancelled" in site.runner("result", "young", dbhost=True, status=None).out
    collector.stop()

    conf.write_text("[persistence]\njob_ttl = 10d\n")
    site.collector("-c", conf, name="again")  # at start, too
    wait_until(lambda: ledger.count("young") == (0, 0), "the young one is gone")
    assert ledger.count("open") == (1, 2)
