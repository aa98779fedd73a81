"""How long a newcomer would have to wait in a queue, and where that is too long."""

import math

from cinema_grpc.application.errors import Overloaded

WEIGHT_OF_THE_LATEST = 0.1
"""Small enough that one round which a disk holds up by chance turns away nobody in a queue that goes well."""


class Patience:
    """Turns away those who would wait longer than is of use to anybody.

    A queue is served in rounds, each of which takes about as long as the ones before it.
    """

    def __init__(self, longest_wait: float = math.inf, usual: float = 0.0) -> None:
        """Set the longest wait, and what a round takes until some were timed, in seconds."""
        self._longest_wait = longest_wait
        self._usual = usual

    def took(self, seconds: float) -> None:
        """Learn how long a round took."""
        self._usual += WEIGHT_OF_THE_LATEST * (seconds - self._usual)

    def check(self, rounds: int, under_way: float = 0.0) -> None:
        """Check that a newcomer may wait.

        Args:
            rounds: How many rounds the newcomer has to wait for; who need not wait is never turned away.
            under_way: For how many seconds the present one has been going on.

        Raises:
            Overloaded: It would take too long.
        """
        wait = rounds * max(self._usual, under_way)
        if wait > self._longest_wait:
            raise Overloaded(self._longest_wait, wait)
