"""What the box office has done so far, for metrics."""

import time
from collections import Counter
from collections.abc import Sequence

from cinema_grpc.application.box_office.command import Failed, Outcome, Priority, QueuedCommand
from cinema_grpc.application.distribution import SECONDS, SIZES, Distribution
from cinema_grpc.domain.errors import CinemaError

FAULT = "INTERNAL_ERROR"
"""The reason under which commands are counted that failed by a fault of the server."""


class BoxOfficeCounts:
    """Counts of the box office.

    Attributes:
        batch_sizes: Commands of each batch.
        batch_seconds: How long each batch took, from its first statement to the commit.
        wait_seconds: How long each command waited for its batch, those of low priority not counted.
        done: Commands that were carried out, or whose stored response was found.
        refused: Commands that were refused or failed, by reason.
        contended: How often a command found its showtime, or the auditorium of a move, locked.
    """

    def __init__(self) -> None:
        self.batch_sizes = Distribution(SIZES)
        self.batch_seconds = Distribution(SECONDS)
        self.wait_seconds = Distribution(SECONDS)
        self.done = 0
        self.refused: Counter[str] = Counter()
        self.contended = 0

    def note_batch(self, start: float, settled: Sequence[tuple[QueuedCommand, Outcome]], contended: int) -> None:
        """Count a batch.

        Args:
            start: When it began, on the clock of `time.monotonic`.
            settled: Its commands and what they came to.
            contended: How many commands were not tried.
        """
        self.contended += contended
        if not settled:
            return
        self.batch_sizes.add(len(settled))
        self.batch_seconds.add(time.monotonic() - start)
        add_wait = self.wait_seconds.add
        for queued, outcome in settled:
            if queued.command.priority is not Priority.LOW:
                add_wait(start - queued.arrival)
            if isinstance(outcome, Failed):
                self.note_refusal(outcome.error)
            else:
                self.done += 1

    def note_refusal(self, error: BaseException) -> None:
        """Count a command that was refused or failed."""
        self.refused[error.reason if isinstance(error, CinemaError) else FAULT] += 1
