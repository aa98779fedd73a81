"""Admission control: refuses work that would wait too long."""

import math

from cinema_grpc.application.errors import Overloaded

WEIGHT_OF_LATEST = 0.1
"""Small, so that one slow round, such as during a stall of the disk, does not make a fast queue refuse work."""


class AdmissionControl:
    """Estimates waiting times in a queue that is served in rounds, each about as long as the ones before."""

    def __init__(self, longest_wait: float = math.inf, typical: float = 0.0) -> None:
        """Set up.

        Args:
            longest_wait: The longest wait, in seconds.
            typical: How long a round takes until some were timed, in seconds.
        """
        self._longest_wait = longest_wait
        self._typical = typical

    def record(self, seconds: float) -> None:
        """Record how long a round took."""
        self._typical += WEIGHT_OF_LATEST * (seconds - self._typical)

    def check(self, rounds: int, under_way: float = 0.0) -> None:
        """Check that new work may wait.

        Args:
            rounds: How many rounds come first. Work that need not wait is never refused.
            under_way: For how many seconds the present round has been going on.

        Raises:
            Overloaded: It would wait too long.
        """
        wait = rounds * max(self._typical, under_way)
        if wait > self._longest_wait:
            raise Overloaded(self._longest_wait, wait)
