"""What waits in the database, for metrics: refunds, payments and events."""

from dataclasses import dataclass
from typing import Protocol

SECONDS_BETWEEN_READINGS = 10.0
MAX_COUNTED = 10_000
"""Maximum count of items of a kind, so that a reading stays cheap."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Items that wait.

    Attributes:
        count: How many; MAX_COUNTED at most.
        oldest_seconds: Age of the oldest of them in seconds; 0 if there is none.
    """

    count: int = 0
    oldest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits.

    Attributes:
        refunds: Refunds that the payment provider has not taken yet.
        refunds_at_provider: Refunds that it has taken, and not paid yet.
        failed_refunds: Refunds that have to be paid by hand.
        payments: Payment attempts that are not settled.
        commits: Commits whose events have no position yet.
        position: The position of the newest event.
    """

    refunds: Waiting = Waiting()
    refunds_at_provider: Waiting = Waiting()
    failed_refunds: Waiting = Waiting()
    payments: Waiting = Waiting()
    commits: Waiting = Waiting()
    position: int = 0


class BacklogReader(Protocol):
    """Reads the backlog."""

    async def read(self) -> Backlog:
        """Return what waits.

        Raises:
            StorageUnavailable, Overloaded.
        """
        ...


class BacklogWatch:
    """Keeps a recent reading.

    Attributes:
        latest: The latest reading; None before the first one.
    """

    def __init__(self, reader: BacklogReader) -> None:
        self._reader = reader
        self.latest: Backlog | None = None

    async def run_pass(self) -> None:
        """Read the backlog.

        Raises:
            StorageUnavailable, Overloaded.
        """
        self.latest = await self._reader.read()
