# SPDX-License-Identifier: Apache-2.0
"""Waiting for a fact instead of sleeping for a time."""
import os
import time

# Seconds; a limit for what is broken, not a time that anything is expected to take.
PATIENCE = float(os.environ.get("VOGELER_PATIENCE", "40"))


def wait_until(fact, what, patience=PATIENCE, step=0.03):
    """Calls fact() until it returns something true, and returns that. However long a look takes, the last begins when
    the time is over."""
    end = time.monotonic() + patience
    while True:
        over = time.monotonic() > end
        result = fact()
        if result:
            return result
        if over:
            raise AssertionError(f"waited {patience} s in vain until {what}; last seen: {result!r}")
        time.sleep(step)
