"""Distributions of values, counted as a histogram of Prometheus: cheap enough for every call."""

from bisect import bisect_left

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for times, in seconds."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Bounds for numbers of things."""


class Distribution:
    """How many values were at most as large as each bound.

    Attributes:
        bounds: The upper bounds of the buckets, in order.
        counts: The values in each bucket, and last those above all bounds.
        total: The sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
