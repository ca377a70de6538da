# SPDX-License-Identifier: Apache-2.0
"""What the hosts run, and the log of it that the plugins themselves write: whatever is said of a run is held against that."""
import re

SCRIPT = """#!/bin/bash
# usage: run LOG PLUGIN
read -r id </proc/sys/kernel/random/uuid
note()
{
	echo "$1 $plugin $id $EPOCHREALTIME" >>"$log"
}
log=$1 plugin=$2
note begin
case $plugin in
work) sleep 0.$((RANDOM % 4)) ;;
slow) sleep 0.8 ;;
flaky)
	if [ $((RANDOM % 3)) = 0 ]; then
		note fail
		echo "$id" >&2
		exit 3
	fi
	;;
esac
note end
case $plugin in
wide) printf "$id %.0s" {1..100} ;;
*) printf %s "$id" ;;
esac
"""

ASKED = ["work", "work", "work", "flaky", "wide", "slow"]  # by how often
SCHEDULED = "tick"
PLUGINS = sorted({*ASKED, SCHEDULED})
LINE = re.compile(r"(begin|end|fail) (\w+) ([0-9a-f-]{36}) ([0-9.]+)\n")


def id_in(value):
    """The run that a value is of; None: no run has printed that."""
    words = value.split() if isinstance(value, str) else []
    if len(words) in (1, 100) and len(set(words)) == 1:
        return words[0]
    return None


class Run:
    def __init__(self, plugin):
        self.plugin = plugin
        self.began = self.ended = None
        self.failed = False


class Plugins:
    """The plugins of all hosts, a folder for each, and their logs."""

    def __init__(self, folder, interval="2s"):
        self.folder = folder
        self.interval = interval
        self.script = folder / "run"
        self.script.write_text(SCRIPT)
        self.script.chmod(0o755)

    def install(self, host):
        where = self.folder_of(host)
        where.mkdir(mode=0o755)
        for name in PLUGINS:
            more = f"interval = {self.interval}\nsplay = {self.interval}\n" if name == SCHEDULED else ""
            path = where / f"{name}.cfg"
            path.write_text(f"[{name}]\ncommand = {self.script} {self.log(host)} {name}\ndescription = {name}\n"
                            f"result_format = string\n{more}")
            path.chmod(0o644)

    def folder_of(self, host):
        return self.folder / f"plugins.{host}"

    def log(self, host):
        return self.folder / f"runs.{host}"

    def runs(self, host):
        """id -> Run. What a killed plugin has not written is not there."""
        found = {}
        if self.log(host).exists():
            for word, plugin, run, at in LINE.findall(self.log(host).read_text("ascii", "replace")):
                entry = found.setdefault(run, Run(plugin))
                if word == "begin":
                    entry.began = float(at)
                else:
                    entry.ended = float(at)
                    entry.failed = word == "fail"
        return found
