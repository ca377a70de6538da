# SPDX-License-Identifier: Apache-2.0
"""What tests of the promises draw: VOGELER_SEED replays it, VOGELER_KILLS says how often something is killed."""
import os
import random

KILLS = int(os.environ.get("VOGELER_KILLS", "12"))


def new_dice():
    """Its seed is printed, and so is in the report of a test that fails."""
    seed = int(os.environ.get("VOGELER_SEED", random.SystemRandom().randrange(10 ** 6)))
    print(f"VOGELER_SEED={seed}")
    return random.Random(seed)
