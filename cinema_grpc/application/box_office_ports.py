"""What the box office asks of its store: to lock showtimes, read what is not at hand, and write what has changed."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cinema_grpc.application.once import Recorded, RequestKey
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.showtime import Change, Terms

STAMP_LENGTH = 8
"""How many characters of a version's stamp are its own; those of the versions before it come after them."""
GENERATIONS = 16
"""How many versions a stamp tells of, at most; a replica that is further behind reads a showtime anew."""


@dataclass(frozen=True, slots=True)
class Version:
    """A state of a showtime's seats: its number, and a stamp that no other state of it has.

    A failover may lose commits that somebody has read already, and what is committed instead has the same numbers. So
    a stamp tells where its version came from: it begins with characters drawn at random, and those of the versions
    before it follow, the latest first.
    """

    revision: int
    stamp: str

    def next(self, drawn: str) -> "Version":
        """Give the version that follows, by what `draw_stamp` gave."""
        return Version(self.revision + 1, drawn + self.stamp[: STAMP_LENGTH * (GENERATIONS - 1)])

    def came_from(self, other: "Version") -> bool:
        """Tell whether it is known that this version came from an earlier one, by changes and nothing else."""
        place = STAMP_LENGTH * (self.revision - other.revision)
        return place > 0 and self.stamp[place : place + STAMP_LENGTH] == other.stamp[:STAMP_LENGTH]


def draw_stamp() -> str:
    """Draw a stamp for a version that came from no other."""
    return secrets.token_urlsafe(STAMP_LENGTH * 6 // 8)  # six bits a character


@dataclass(frozen=True, slots=True)
class Wanted:
    """A showtime that a batch works on.

    Attributes:
        known: The version that is at hand, or None for none.
        booking_ids: Bookings that commands speak of and that are not at hand.
    """

    showtime_id: str
    known: Version | None
    booking_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Opened:
    """A showtime as the transaction sees it.

    Attributes:
        latest_time: The moment of the last decision: time never runs back behind it.
        terms: None if what is at hand has only to be brought up to date; else everything is given anew.
        bookings: With terms, every booking that keeps seats; without, those that changed since; with the wanted ones.
    """

    version: Version
    latest_time: datetime
    terms: Terms | None
    bookings: Sequence[Booking]


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch did to a showtime: from one version to the next."""

    showtime_id: str
    known: Version
    version: Version
    latest_time: datetime
    taken: int
    changes: Sequence[Change]


@dataclass(frozen=True, slots=True)
class OnHold:
    """A booking that is RESERVED, perhaps over: how many seats it holds, where, and until when."""

    showtime_id: str
    seats: int
    hold_expire_time: datetime


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """What a transaction begins with.

    Attributes:
        now: The moment at which it decides, read after its locks were had.
        showtimes: By identifier; one that does not exist is missing.
        recorded: The outcomes that are stored already.
        skipped: The showtimes that another process is busy with.
        on_hold: What the accounts that were asked for have on hold in any showtime, by user.
    """

    now: datetime
    showtimes: dict[str, Opened]
    recorded: dict[RequestKey, Recorded]
    skipped: frozenset[str]
    on_hold: Mapping[str, Sequence[OnHold]] = field(default_factory=dict)


class Batch(Protocol):
    """One transaction of the box office: lock, open, commit."""

    async def lock(self, showtime_ids: Collection[str], *, patient: bool = False) -> None:
        """Keep other processes from these showtimes from now on, or from `open` on where that locks everything.

        Showtimes that another process is busy with are skipped, unless this is `patient`: then they are waited for,
        which is for one showtime alone, so that nobody who keeps others waiting waits.

        Raises:
            StorageContention.
        """
        ...

    async def open(
        self, wanted: Collection[Wanted], requests: Collection[RequestKey], holders: Collection[str]
    ) -> OpenedBatch:
        """Read what is not at hand of the showtimes that were asked to be locked, all of which are wanted.

        And what some accounts, the `holders`, have on hold: as it is committed. Another process may be about to commit
        more for them in showtimes that are not locked here.

        Raises:
            StorageContention.
        """
        ...

    async def commit(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> None:
        """Write everything, once and for all; with nothing to write, wait until what was read is there for good.

        Raises:
            StorageConflict, StorageContention, CommitUnknown.
        """
        ...


class BoxOfficeStore(Protocol):
    """Keeps who has which seat."""

    def batch(self) -> AbstractAsyncContextManager[Batch]:
        """Begin a transaction; leaving it without a commit undoes it."""
        ...

    async def is_committed(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> bool:
        """Tell whether a commit of something, whose answer was lost, was kept, and will be.

        Raises:
            StorageContention: The showtime is locked; the server may be at that very commit.
            CommitUnknown: It was, but whether it will be can't be told yet.
        """
        ...

    async def showtimes_with_lapsed_holds(self, limit: int, but_for: Collection[str]) -> list[str]:
        """Give at most `limit` showtimes, other than some, that have holds to be written down as over."""
        ...
