# SPDX-License-Identifier: Apache-2.0
"""Programs that are run to their end, and what they say in JSON."""
import json
import subprocess

from lib.site import program

END_SECONDS = 120


def call(site, name, *args, timeout=END_SECONDS):
    """(status, stdout, stderr); status None: it did not end in time."""
    try:
        done = subprocess.run([program(name), *args], env=site.env, cwd=site.folder, check=False, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    except subprocess.TimeoutExpired as e:
        return None, "", f"{name} {args} did not end within {timeout} s: {e.stderr}"
    return done.returncode, done.stdout, done.stderr


def ask_runner(site, *args):
    """What vogeler-runner --json prints; None: it could not say."""
    _, out, _ = call(site, "vogeler-runner", "--qhost", site.qhost, "--dbhost", site.dbhost, "--json", *args)
    return json.loads(out) if out else None


def read_records(site):
    """host -> record; None: the store is out of reach for now."""
    status, out, _ = call(site, "vogeler-admin", "--dbhost", site.dbhost, "query", ".", "--json")
    if status != 0:
        return None
    return {row["host"]: row["value"] for row in map(json.loads, out.splitlines())}
