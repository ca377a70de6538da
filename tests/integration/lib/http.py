# SPDX-License-Identifier: Apache-2.0
"""What a daemon serves on [server] or [client] listen."""
import http.client
import re
import subprocess

from .ports import free_port

SAMPLE = re.compile(r'^(\w+)(?:\{\w+="([^"]*)"\})? (\S+)$')


class Monitor:
    def __init__(self, kind):
        self.port = free_port()
        self.option = f"{kind}.listen=127.0.0.1:{self.port}"

    def get(self, path, method="GET"):
        """(status, text)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """name or (name, value of its label) -> number."""
        status, text = self.get("/metrics")
        assert status == 200, text
        found = {}
        for line in text.splitlines():
            if not line.startswith("#"):
                name, label, value = SAMPLE.match(line).groups()
                found[name if label is None else (name, label)] = float(value)
        return found

    def metric(self, name, label=None):
        return self.metrics()[name if label is None else (name, label)]

    def health(self):
        """(status, lines)."""
        status, text = self.get("/healthz")
        return status, text.splitlines()

    def is_well(self):
        return self.health() == (200, ["ok"])

    def narrow(self, pattern):
        """The line that says so, if it is ill with that."""
        status, lines = self.health()
        found = [line for line in lines if re.search(pattern, line)]
        assert (status == 503) == (lines != ["ok"]), (status, lines)
        return found[0] if found and status == 503 else None


def promtool_check(text):
    """What promtool finds wrong with it; None when nothing."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), check=False, timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return None if done.returncode == 0 and not done.stdout else done.stdout.decode() or done.returncode
