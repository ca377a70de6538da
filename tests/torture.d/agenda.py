# SPDX-License-Identifier: Apache-2.0
"""What is due later: who was stopped goes on, who was killed starts again."""
import heapq
import time


class Agenda:
    def __init__(self):
        self.entries = []
        self.number = 0

    def later(self, seconds, what):
        """what: is called, and what it raises ends the run."""
        self.number += 1
        heapq.heappush(self.entries, (time.monotonic() + seconds, self.number, what))

    def _due(self):
        while self.entries and self.entries[0][0] <= time.monotonic():
            heapq.heappop(self.entries)[2]()

    def pass_time(self, seconds):
        end = time.monotonic() + seconds
        self._due()
        while (rest := end - time.monotonic()) > 0:
            next_one = self.entries[0][0] - time.monotonic() if self.entries else rest
            time.sleep(max(0.0, min(rest, next_one)))
            self._due()

    def run_out(self):
        """All of it, now."""
        while self.entries:
            heapq.heappop(self.entries)[2]()
