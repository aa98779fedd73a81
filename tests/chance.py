"""The seed and the size of random runs: printed, so that a failing test shows them, and settable, to run it again."""

import os
import random

SEED_VARIABLE = "CINEMA_TEST_SEED"
COUNT_VARIABLE = "CINEMA_TEST_COUNT"


def seed() -> int:
    """Choose a seed, or take the one of CINEMA_TEST_SEED."""
    given = os.environ.get(SEED_VARIABLE)
    chosen = random.randrange(1_000_000_000) if given is None else int(given)  # noqa: S311 (a test's)
    print(f"{SEED_VARIABLE}={chosen}")  # noqa: T201
    return chosen


def count(usual: int) -> int:
    """Return how often something is done: as usual, or as CINEMA_TEST_COUNT says."""
    return int(os.environ.get(COUNT_VARIABLE, usual))


def generator(*seeds: object) -> random.Random:
    """Make a source of chance that gives the same for the same seeds."""
    return random.Random("/".join(map(str, seeds)))  # noqa: S311 (a test's)
