"""What the box office needs of its store: lock showtimes, load what is not cached, write what has changed."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from cinema_grpc.application.idempotency import IdempotencyKey, StoredResponse
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.events import NewEvent
from cinema_grpc.domain.showtime import Change
from cinema_grpc.domain.terms import Slot, Terms


class StorageConflict(Exception):
    """A constraint of the database refused a write. Nothing was written."""


class StorageContention(Exception):
    """Another transaction was in the way, as in a deadlock. Nothing was written; the same again may succeed."""


class NotLocked(NamedTuple):
    """What a transaction could not lock, since another one has.

    Attributes:
        showtimes: Showtimes that were skipped.
        auditoriums: Showtimes that are locked, but whose auditoriums are not.
    """

    showtimes: Collection[str] = ()
    auditoriums: Collection[str] = ()


class Version(NamedTuple):
    """A state of a showtime: its revision, and the commit that made it.

    A failover may lose commits that were read already. New commits then get the same revisions, and the identifier of
    the commit tells them apart.
    """

    revision: int
    commit_id: str


def new_commit_id() -> str:
    """Return an identifier that no other commit has."""
    return secrets.token_urlsafe(9)


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What a transaction or a seat map needs.

    Attributes:
        showtimes: By identifier, the cached version, or None.
        booking_ids: Bookings that are needed though they may keep no seats.
        keys: Of stored responses.
        accounts: Users whose holds in all showtimes are needed.
        slots_within: By showtime, the time in which the other slots of its auditorium are needed. A transaction has
            locked the auditorium, so no other one changes these until it ends.
    """

    showtimes: Mapping[str, Version | None]
    booking_ids: Collection[str] = ()
    keys: Collection[IdempotencyKey] = ()
    accounts: Collection[str] = ()
    slots_within: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoadedShowtime:
    """A showtime as stored.

    Attributes:
        latest_time: The time of the last decision. Time never runs back behind it.
        complete: Whether the cached version is of no use, and everything was loaded.
        terms: None if those of the cached version still hold.
        bookings: If complete, those that keep seats or ended unpaid within an hour. Else those that changed since.
            And those that were asked for.
        slots: Of other showtimes in the auditorium, except CANCELLED ones, that overlap the time that was asked for.
    """

    version: Version
    latest_time: datetime
    complete: bool
    terms: Terms | None
    bookings: Sequence[Booking]
    slots: Sequence[Slot] = ()


class Hold(NamedTuple):
    """A RESERVED booking, lapsed or not."""

    showtime_id: str
    seats: int
    hold_expire_time: datetime


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a LoadRequest found.

    Attributes:
        now: The time of the transaction, read after its locks were acquired.
        showtimes: By identifier; unknown ones are missing.
        responses: Stored responses by key.
        holds: Of the accounts, by user, as committed.
        catalog_revision: The revision of the catalog. It grows with each change of a movie, cinema or auditorium.
    """

    now: datetime
    showtimes: Mapping[str, LoadedShowtime]
    responses: Mapping[IdempotencyKey, StoredResponse] = field(default_factory=dict)
    holds: Mapping[str, Sequence[Hold]] = field(default_factory=dict)
    catalog_revision: int = 0


@dataclass(frozen=True, slots=True)
class ShowtimeUpdate:
    """What a batch did to a showtime, from one version to the next.

    Attributes:
        terms: Before and after; None if they did not change.
        events: What the feed says of it.
    """

    showtime_id: str
    before: Version
    after: Version
    latest_time: datetime
    taken_seats: int
    changes: Sequence[Change]
    terms: tuple[Terms, Terms] | None
    events: Sequence[NewEvent]


class Transaction(Protocol):
    """One transaction of the box office: lock, load, commit, in this order."""

    async def lock(
        self, showtime_ids: Collection[str], *, wait: bool, with_auditorium: Collection[str] = ()
    ) -> NotLocked:
        """Lock showtimes, and return what was skipped.

        Args:
            showtime_ids: The showtimes; some may not exist.
            wait: Wait for a lock instead of skipping the showtime. For one showtime at most, so that a transaction
                that holds a showtime never delays another.
            with_auditorium: Those of the showtimes whose auditoriums are to be locked too. It never waits for these.

        Raises:
            StorageContention.
        """
        ...

    async def load(self, request: LoadRequest) -> Loaded:
        """Load showtimes and what else a batch needs.

        Raises:
            StorageContention.
        """
        ...

    async def commit(
        self, updates: Sequence[ShowtimeUpdate], responses: Sequence[StoredResponse], now: datetime
    ) -> None:
        """Write and commit; responses are stored as of `now`. Without anything to write, make what was read durable.

        Raises:
            StorageConflict, StorageContention, CommitOutcomeUnknown.
        """
        ...


class BoxOfficeStore(Protocol):
    """Stores showtimes' seats and bookings. Every method may raise StorageUnavailable."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Begin a transaction; leaving it without a commit rolls it back."""
        ...

    async def was_committed(self, update: ShowtimeUpdate) -> bool:
        """Return whether an update whose commit got no answer is committed, durably.

        Raises:
            StorageContention: The showtime is locked; the server may still be at that commit.
            CommitOutcomeUnknown: It is committed, but not known to be durable yet.
        """
        ...

    async def load(self, request: LoadRequest) -> Loaded:
        """Load a snapshot of what is committed, without locks.

        Raises:
            Overloaded.
        """
        ...

    async def showtimes_with_lapses(self, limit: int, exclude: Collection[str]) -> list[str]:
        """Return at most `limit` showtimes, except some, with stored holds or blocks that have lapsed."""
        ...
