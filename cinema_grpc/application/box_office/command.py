"""Commands: what callers want done to a showtime."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar

from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.domain.booking_errors import ShowtimeChanged
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.terms import Slot

A = TypeVar("A")


class Priority(Enum):
    """How a command waits.

    NORMAL: refused with OVERLOADED if it would wait too long.
    MUST_RUN: never refused, since money has moved.
    LOW: behind all others, and given up if another process has locked the showtime.
    """

    NORMAL = "NORMAL"
    MUST_RUN = "MUST_RUN"
    LOW = "LOW"


class Decision:
    """What a change decides on: a locked showtime, with what earlier commands of the batch have done to it.

    Attributes:
        showtime: The showtime; the change may alter it.
        now: The time of the decision: read after the lock, and never before the showtime's last decision.
        slots: Of other showtimes in the auditorium, in the time that the command asked for.
    """

    __slots__ = ("_held_elsewhere", "_revision", "now", "showtime", "slots")

    def __init__(
        self,
        showtime: Showtime,
        revision: int,
        now: datetime,
        held_elsewhere: Callable[[str, str, datetime], int],
        slots: Sequence[Slot] = (),
    ) -> None:
        self.showtime = showtime
        self.now = now
        self.slots = slots
        self._revision = revision
        self._held_elsewhere = held_elsewhere

    @property
    def revision(self) -> int:
        """The revision after the commit: the next one if this command or an earlier one has changed the showtime."""
        changed = self.showtime.terms_before is not None or bool(self.showtime.changes())
        return self._revision + changed

    def check_revision(self, expected: int) -> None:
        """Check that the showtime is as a caller has seen it; 0 expects nothing.

        When a hold lapses, its seats are free at once, but the revision rises only when it is stored as EXPIRED, a few
        seconds later. Until then no revision says whether the caller has seen the hold.

        Raises:
            ShowtimeChanged: It has another revision, a hold has lapsed, or the batch has changed it.
        """
        if not expected:
            return
        lapsed = any(booking.lapsed(self.now) for booking in self.showtime.bookings())
        if lapsed or expected != self._revision or self.revision != self._revision:
            raise ShowtimeChanged(self.showtime.terms.showtime_id, self.revision)

    def seats_held_elsewhere(self, user_id: str) -> int:
        """Return how many seats the command's account has on hold in other showtimes."""
        return self._held_elsewhere(user_id, self.showtime.terms.showtime_id, self.now)


@dataclass(frozen=True, slots=True, eq=False)
class Command(Generic[A]):
    """What a caller wants done to a showtime.

    Attributes:
        showtime_id: The showtime.
        change: Decides and changes, or raises a CinemaError and changes nothing. It is called again, on a fresh copy,
            if its transaction has to be repeated. A result in bytes is a final response.
        caller: The user, for the limit of places in the queue; "" for the server itself.
        booking_id: A booking that the change needs and that may keep no seats.
        account: A user whose holds in other showtimes the change asks for.
        slots_within: The time, from start to end, in which the change needs the other slots of the auditorium.
        idempotency: If set, a stored response is returned instead, and a response is stored.
        priority: How it waits.
    """

    showtime_id: str
    change: Callable[[Decision], A]
    caller: str = ""
    booking_id: str = ""
    account: str = ""
    slots_within: tuple[datetime, datetime] | None = None
    idempotency: IdempotentCall | None = None
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, slots=True, eq=False)
class QueuedCommand:
    """A command that waits.

    Attributes:
        command: The command.
        future: What its caller waits for; done early if the caller has gone.
        trace: The trace that it belongs to, for the tracer; None for none.
        arrival: When it came, on the clock of `time.monotonic`.
    """

    command: Command[Any]
    future: "asyncio.Future[Any]"
    trace: object = None
    arrival: float = field(default_factory=time.monotonic)

    def settle(self, outcome: "Outcome") -> None:
        """Pass the outcome to the caller."""
        if self.future.done():
            return
        if isinstance(outcome, Done):
            self.future.set_result(outcome.result)
        else:
            self.future.set_exception(outcome.error)


@dataclass(frozen=True, slots=True)
class Done:
    """A command was carried out and committed, or its stored response was found."""

    result: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """A command was refused or failed, and changed nothing."""

    error: BaseException


Outcome = Done | Failed
Batch = dict[str, Sequence[QueuedCommand]]
"""Commands by showtime, each in order of arrival."""
