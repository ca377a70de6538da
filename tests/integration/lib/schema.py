# SPDX-License-Identifier: Apache-2.0
"""What vogeler-runner prints with --json and --jsonl, held against docs/runner-output.md."""
import json
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "runner-output.md"


def read_kinds():
    """The members of each kind, as the page has them: a line "`KIND`: ..." and the table behind it."""
    kinds, kind = {}, None
    for line in PAGE.read_text("utf-8").splitlines():
        begin = re.match(r"`(\w+)`: ", line)
        row = re.match(r"\| ((?:`\w+`(?:, )?)+) \|", line)
        if begin:
            kind = begin.group(1)
            kinds[kind] = set()
        elif row and kind:
            kinds[kind] |= set(re.findall(r"`(\w+)`", row.group(1)))
    return kinds


KINDS = read_kinds()


def check_event(event):
    kind = event["kind"]
    assert kind in KINDS, f"kind {kind!r} is not in {PAGE.name}: {event}"
    assert set(event) <= KINDS[kind], f"{set(event) - KINDS[kind]} of {kind!r} is not in {PAGE.name}: {event}"
    for host in event.get("hosts", []) if kind == "summary" else []:
        assert set(host) <= KINDS["outcome"] - {"kind", "job"}, host
    for job in event.get("jobs", []) if kind == "jobs" else []:
        assert job["kind"] == "summary" and "hosts" not in job, job
        check_event(job)


def check_output(argv, out):
    """Of any run of vogeler-runner; passes over what is no JSON by its options. A last line without its end was cut off
    by who ended it."""
    if "vogeler-runner" not in str(argv[0]):
        return
    if "--json" in argv and out:
        check_event(json.loads(out))
    elif "--jsonl" in argv:
        for line in re.findall(r"[^\n]+(?=\n)", out):
            check_event(json.loads(line))
