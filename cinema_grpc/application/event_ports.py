"""What the event feed needs of its store."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from cinema_grpc.domain.events import EventType
from cinema_grpc.domain.money import Money


@dataclass(frozen=True, slots=True)
class Event:
    """An event with its position. Identifiers are "" where the type has none."""

    position: int
    event_id: str
    type: EventType
    time: datetime
    showtime_id: str
    cinema_id: str
    revision: int
    booking_id: str
    user_id: str
    seats: Sequence[str]
    amount: Money | None
    refund_id: str
    ticket_id: str
    last_of_change: bool


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to read; empty fields do not restrict."""

    types: Collection[EventType] = ()
    showtime_id: str = ""
    cinema_id: str = ""
    booking_id: str = ""


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events after a position.

    Attributes:
        next_position: The position to go on after; it passes over events that the filter left out.
        earliest_position: Of the oldest event that is kept, or of the next one if there is none.
        latest_position: Of the newest event; 0 if there never was one.
    """

    events: Sequence[Event]
    next_position: int
    earliest_position: int
    latest_position: int

    def after(self, position: int) -> "EventPage":
        """Return the rest of it after a position."""
        return replace(self, events=[event for event in self.events if event.position > position])


class EventStore(Protocol):
    """Stores the event feed. Every method may raise StorageUnavailable."""

    async def assign_positions(self, limit: int) -> int | None:
        """Assign positions to the events of at most `limit` commits that have none; return how many commits.

        Returns None if another process is doing so.
        """
        ...

    async def read(self, wanted: EventFilter, after: int, limit: int) -> EventPage:
        """Return at most `limit` events after a position. It examines a bounded number of events.

        Raises:
            Overloaded.
        """
        ...

    async def latest_position(self) -> int:
        """Return the position of the newest event; 0 if there never was one."""
        ...

    async def trim(self, age: timedelta, limit: int) -> int:
        """Delete at most `limit` of the oldest events that are at least `age` old; return how many."""
        ...
