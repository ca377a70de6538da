# SPDX-License-Identifier: Apache-2.0
"""One answer kills whoever reads it, each time: the others behind it and before it are stored all the same, and the log
says which it was."""
import json
import subprocess
from signal import SIGKILL

import pika
import pytest

from lib.site import program
from lib.waiting import wait_until

HOSTS = 60
LIVES = HOSTS // 2
PATIENCE = 60

# The collector is killed by the kernel in the moment in which it has read that answer: it says so in its log, and comes no
# further.
KILLER = """
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

ssize_t
write(int fd, const void *data, size_t len)
{
	static const char line[] = "Incoming message from: killer";

	if (memmem(data, len, line, sizeof(line) - 1) != NULL)
		kill(getpid(), SIGKILL);
	return syscall(SYS_write, fd, data, len);
}
"""


@pytest.fixture(name="deadly")
def deadly_fixture(site):
    """Makes the site's daemons die of the answer."""
    source = site.file("killer.c", KILLER)
    library = source.with_suffix(".so")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, source], check=True)
    linked = subprocess.run(["ldd", program("vogelerd")], check=True, stdout=subprocess.PIPE).stdout.decode()
    first = [word for word in linked.split() if "libasan.so" in word and word.startswith("/")]
    site.within = lambda argv: ["env", "LD_PRELOAD=" + ":".join(first + [str(library)]), *argv]


def publish(site, *hosts):
    connection = site.broker.connect(site.vhost)
    channel = connection.channel()
    for host in hosts:
        body = json.dumps({"syskey": host, "ps": "a", "format": "raw"})
        channel.basic_publish("vogeler.master.in", "", body.encode(), pika.BasicProperties(delivery_mode=2))
    connection.close()


def stored(site, hosts):
    known = site.admin("hosts").out.split()
    return [host for host in hosts if host in known]


def live(collector):
    """Until it dies."""
    collector.start()
    assert collector.wait(PATIENCE) == -SIGKILL


@pytest.mark.parametrize("place", [0, HOSTS // 2, HOSTS])
def test_a_crash_loop_gets_on(site, deadly, place):
    collector = site.collector(level="INFO")
    collector.stop()
    hosts = [f"host{n:02}" for n in range(HOSTS)]
    publish(site, *hosts[:place], "killer", *hosts[place:])
    for life in range(LIVES):
        live(collector)
        if len(stored(site, hosts)) == HOSTS:
            break
    assert stored(site, hosts) == hosts, f"after {life + 1} lives"
    # The next one has it alone, and its last line says whose it was.
    live(collector)
    assert "slow start: reads what came back, host=killer" in collector.log().splitlines()[-1]
    # What was stored in the moment before a death had no acknowledgement yet, and came back for that once more.
    for _ in range(LIVES):
        wait_until(lambda: site.broker.queue(site.vhost, "master.in")[1] == 0, "the dead one holds nothing", PATIENCE)
        if site.broker.queue(site.vhost, "master.in")[0] == 1:
            break
        live(collector)
    site.wait_queue("master.in", 1)
    assert not site.dead_letters()
    # What comes meanwhile is stored in the next life.
    publish(site, "late")
    live(collector)
    assert stored(site, ["late"])
    # With the fault mended it is an answer as any.
    site.within = None
    collector.within = lambda argv: argv
    collector.start()
    wait_until(lambda: stored(site, ["killer"]), "the killer is stored", PATIENCE)
    site.wait_drained("master.in")
