"""Ports of bookings, the catalog and listings: protocols that the adapters implement.

Every method of a store or reader raises StorageUnavailable if the database can't be reached, and Overloaded if the call
would wait too long.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, Protocol, TypeVar

from cinema_grpc.application.idempotency import IdempotencyKey, ResponseSlot, StoredResponse
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.catalog import Auditorium, Cinema, E, ListedShowtime, Movie
from cinema_grpc.domain.terms import Move

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FoundBooking:
    """A booking as stored, the start of its showtime, the changes of that start, and the time of the read."""

    booking: Booking
    start_time: datetime
    moves: Sequence[Move]
    now: datetime


class Page(NamedTuple, Generic[T]):
    """A page of a list.

    Attributes:
        entries: At most as many as were asked for.
        end: If there may be more although fewer were found: the identifier to go on after. Else empty.
    """

    entries: Sequence[T]
    end: str = ""


class BookingReader(Protocol):
    """Reads bookings."""

    async def showtime_of(self, booking_id: str) -> str | None:
        """Return the showtime_id of a booking, or None."""
        ...

    async def find(self, booking_id: str) -> FoundBooking | None:
        """Return a booking, or None."""
        ...

    async def of_user(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> Page[Booking]:
        """Return a user's bookings as they are now, newest first.

        Args:
            user_id: The user.
            showtime_id: Of this showtime alone; "" for all.
            status: With this status alone; None for all.
            after: Begin after this booking_id; "" for the newest.
            limit: The maximum number of bookings.
        """
        ...


class ResponseAlreadyStored(Exception):
    """A call with the same idempotency key was carried out meanwhile. Nothing of this one was written."""


class CatalogStore(Protocol):
    """Stores movies, cinemas, auditoriums and new showtimes.

    An entry and its response, if one is given, are written in one transaction; every method that adds or updates may
    raise ResponseAlreadyStored. Lists are in the order of creation, from the entry after `after` on ("" for the first).
    """

    async def now(self) -> datetime:
        """Return the time by the clock that decides."""
        ...

    async def stored_response(self, key: IdempotencyKey) -> StoredResponse | None:
        """Return the response of an earlier call, or None."""
        ...

    async def add(self, entry: E, slot: ResponseSlot[E] | None) -> None:
        """Add an entry; an auditorium to an existing cinema.

        Raises:
            NameTaken: The cinema has another auditorium of that name.
        """
        ...

    async def add_showtime(
        self,
        movie_id: str,
        auditorium_id: str,
        schedule: Callable[[Movie, Cinema, Auditorium], ListedShowtime],
        slot: ResponseSlot[ListedShowtime] | None,
    ) -> ListedShowtime:
        """Add a showtime, and return it. Nothing that it is made of can change before the transaction ends.

        Args:
            movie_id: The movie.
            auditorium_id: The auditorium.
            schedule: Makes the showtime of the movie, the cinema and the auditorium; it may refuse by an error.
            slot: Where its response is stored; None for nowhere.

        Raises:
            MovieNotFound, AuditoriumNotFound: There is no such thing.
            ShowtimeOverlap: Its auditorium is not free then; the error names the earliest showtime in the way.
        """
        ...

    async def update(self, kind: type[E], entry_id: str, change: Callable[[E], E], slot: ResponseSlot[E] | None) -> E:
        """Replace an entry by what `change` makes of it, and return that.

        Raises:
            MovieNotFound, CinemaNotFound, AuditoriumNotFound: There is no such entry.
            NameTaken: The cinema has another auditorium of that name.
            InvalidRequest: The runtime would change, and the movie has showtimes that are still to start.
        """
        ...

    async def get(self, kind: type[E], entry_id: str) -> E:
        """Return an entry.

        Raises:
            MovieNotFound, CinemaNotFound, AuditoriumNotFound: There is no such entry.
        """
        ...

    async def page(
        self, kind: type[E], after: str, limit: int, *, archived: bool = False, cinema_id: str | None = None
    ) -> list[E]:
        """Return at most `limit` entries, with the archived ones if `archived`; of auditoriums those of a cinema."""
        ...


@dataclass(frozen=True, slots=True)
class ShowtimeFilter:
    """Which showtimes to list; "" sets no condition.

    Attributes:
        start_from: Inclusive; None is the present.
        start_until: Exclusive; None is no end.
        cancelled: Whether CANCELLED showtimes are listed too.
    """

    movie_id: str
    cinema_id: str
    auditorium_id: str
    start_from: datetime | None
    start_until: datetime | None
    cancelled: bool = False


class ListingsReader(Protocol):
    """Reads showtimes as they are listed."""

    async def page(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        """Return the time, and at most `limit` showtimes by start and identifier, with the seats that are free now.

        Args:
            condition: The filter.
            after: Begin after this start and showtime_id; None for the first.
            limit: The maximum number of showtimes.
        """
        ...

    async def entry(self, showtime_id: str, catalog_revision: int) -> ListedShowtime | None:
        """Return a showtime, or None. What it says of its seats and terms may be out of date.

        Args:
            showtime_id: The showtime.
            catalog_revision: The revision of the catalog. The names are those of this revision, or of a later one.
        """
        ...

    async def catalog_revision(self) -> int:
        """Return the revision of the catalog. It grows with each update of a movie, cinema or auditorium."""
        ...
