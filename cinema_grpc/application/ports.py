"""What the application asks of the outside world, as protocols that the adapters fulfil.

Any method of a store may raise StorageUnavailable.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cinema_grpc.application.box_office_ports import Version
from cinema_grpc.application.once import Recorded, RequestKey
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.showtime import Terms


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Give the present moment, in UTC."""
        ...


class OldRecords(Protocol):
    """What is kept for a time only."""

    async def forget_requests(self, age: timedelta, limit: int) -> int:
        """Forget at most `limit` requests that are `age` old, the oldest first; tell how many."""
        ...

    async def forget_sessions(self, limit: int) -> int:
        """Forget at most `limit` sessions that are over; tell how many."""
        ...

    async def forget_sign_ins(self, limit: int) -> int:
        """Forget at most `limit` records of sign-ins in which nothing counts any more; tell how many."""
        ...


# Selling seats


class StorageConflict(Exception):
    """A constraint of the database refused a write; nothing of its transaction was kept."""


class StorageContention(Exception):
    """Another transaction got in the way (a deadlock, say); nothing was kept, and the same again may work."""


class CommitUnknown(Exception):
    """The answer to a COMMIT was lost: the transaction was kept whole or not at all."""


@dataclass(frozen=True, slots=True)
class FoundBooking:
    """A booking as written down, with the start of its showtime and the moment of the reading."""

    booking: Booking
    start_time: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class FoundBookings:
    """Bookings of a user, newest first.

    Attributes:
        bookings: As many as were asked for, or fewer.
        end: Where they are fewer than asked for though there may be more: after which one to go on. Else empty.
    """

    bookings: list[Booking]
    end: str


class BookingReader(Protocol):
    """Reads bookings."""

    async def showtime_of(self, booking_id: str) -> str | None:
        """Tell to which showtime a booking belongs, or None."""
        ...

    async def find(self, booking_id: str) -> FoundBooking | None:
        """Read a booking, or None if there is none of that name."""
        ...

    async def of_user(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> FoundBookings:
        """Read a user's bookings as they are now, newest first, from the one after `after` on ("" for the first)."""
        ...


# The catalog and the programme


class RequestAlreadyRecorded(Exception):
    """A call with the same key was carried out in the meantime; nothing of this one was kept."""


@dataclass(frozen=True, slots=True)
class ShowtimeFilter:
    """Which showtimes to list; "" sets no condition.

    Attributes:
        start_from: Inclusive; None is the present moment.
        start_until: Exclusive; None is no end.
    """

    movie_id: str
    cinema_id: str
    auditorium_id: str
    start_from: datetime | None
    start_until: datetime | None


class CatalogStore(Protocol):
    """Keeps movies, cinemas, auditoriums and the programme.

    What is added is kept together with the record of its request, if one is given; every method that adds may raise
    RequestAlreadyRecorded. Lists run in the order of creation, from the entry after `after` on ("" for the first).
    """

    async def now(self) -> datetime:
        """Tell the time by the clock that decides."""
        ...

    async def recorded(self, key: RequestKey) -> Recorded | None:
        """Read the outcome of an earlier call."""
        ...

    async def add_movie(self, movie: Movie, recorded: Recorded | None) -> None:
        """Add a movie."""
        ...

    async def add_cinema(self, cinema: Cinema, recorded: Recorded | None) -> None:
        """Add a cinema."""
        ...

    async def add_auditorium(self, auditorium: Auditorium, recorded: Recorded | None) -> None:
        """Add an auditorium to an existing cinema.

        Raises:
            NameTaken: The cinema has one of that name.
        """
        ...

    async def add_showtime(self, showtime: ListedShowtime, recorded: Recorded | None) -> None:
        """Put a showtime on the programme, if its auditorium is free then.

        Raises:
            ShowtimeOverlap: It is not.
        """
        ...

    async def movie(self, movie_id: str) -> Movie | None:
        """Read a movie, or None."""
        ...

    async def cinema(self, cinema_id: str) -> Cinema | None:
        """Read a cinema, or None."""
        ...

    async def auditorium(self, auditorium_id: str) -> Auditorium | None:
        """Read an auditorium, or None."""
        ...

    async def movies(self, after: str, limit: int) -> list[Movie]:
        """List movies."""
        ...

    async def cinemas(self, after: str, limit: int) -> list[Cinema]:
        """List cinemas."""
        ...

    async def auditoriums(self, cinema_id: str, after: str, limit: int) -> list[Auditorium]:
        """List the auditoriums of a cinema."""
        ...


@dataclass(frozen=True, slots=True)
class FoundShowtime:
    """A showtime as written down, with every booking that keeps seats."""

    listed: ListedShowtime
    version: Version
    terms: Terms
    bookings: Sequence[Booking]


@dataclass(frozen=True, slots=True)
class FoundChanges:
    """The bookings of a showtime that have changed up to a version, whether or not they keep seats now."""

    version: Version
    bookings: Sequence[Booking]


class ProgrammeReader(Protocol):
    """Reads the programme."""

    async def changes(self, showtime_id: str, since: Version) -> FoundChanges | None:
        """Read what other processes have changed; None if all of the showtime has to be read for that."""
        ...

    async def page(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        """List showtimes by start and identifier, from the one after `after` on, with the seats that are free now."""
        ...

    async def versions(self, showtime_ids: Collection[str]) -> tuple[datetime, dict[str, Version]]:
        """Tell at which version showtimes are, and what time it is; unknown ones are missing."""
        ...

    async def showtime(self, showtime_id: str) -> FoundShowtime | None:
        """Read a showtime, or None."""
        ...


# Accounts
