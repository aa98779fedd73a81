"""Movies, cinemas, auditoriums and listed showtimes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from cinema_grpc.domain.errors import Archived, FieldViolation, InvalidRequest, ShowtimeOverlap, rfc3339
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import LARGEST_PRICE, PriceList
from cinema_grpc.domain.seating import SeatArea, SeatPlan, SeatRow, WheelchairSpace
from cinema_grpc.domain.terms import SeatGapPolicy, ShowtimeStatus

FIRST_REVISION = 1
"""Revision of a new showtime. Callers send a revision to expect it, and 0 to expect none."""
TIME_BETWEEN_SHOWTIMES = timedelta(minutes=15)
"""Minimum time between the end of a showtime and the start of the next in the same auditorium."""
YEARS_AHEAD = 5
"""Maximum years until the start of a new showtime."""
LONGEST_RUNTIME = timedelta(hours=12)
"""The maximum in the protos. The search for overlapping showtimes looks no further back."""


@dataclass(frozen=True, slots=True)
class Movie:
    """A movie in the catalog. An archived one takes no new showtimes."""

    movie_id: str
    title: str
    runtime: timedelta
    rating: str
    synopsis: str
    create_time: datetime
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Cinema:
    """A cinema with auditoriums; `time_zone` is an IANA name. An archived one takes no new showtimes."""

    cinema_id: str
    name: str
    time_zone: str
    create_time: datetime
    archived: bool = False


@dataclass(frozen=True, slots=True)
class Auditorium:
    """An auditorium with numbered seats. An archived one takes no new showtimes."""

    auditorium_id: str
    cinema_id: str
    name: str
    rows: tuple[SeatRow, ...]
    create_time: datetime
    areas: tuple[SeatArea, ...] = ()
    wheelchair_spaces: tuple[WheelchairSpace, ...] = ()
    archived: bool = False

    @property
    def total_seats(self) -> int:
        """The number of seats."""
        return sum(sum(row.sections) for row in self.rows)

    @property
    def categories(self) -> frozenset[str]:
        """The categories of its seats."""
        return frozenset(SeatPlan(self.rows, self.areas, self.wheelchair_spaces).categories)


Entry = Movie | Cinema | Auditorium
E = TypeVar("E", Movie, Cinema, Auditorium)


@dataclass(frozen=True, slots=True)
class ListedShowtime:
    """A showtime in a list.

    Attributes:
        available_seats: The free seats; those whose hold has ended count as free.
        revision: The revision of its seats and terms.
        terms_revision: The revision that last changed its terms: start, prices, gap policy, blocks or status.
        cancel_time, cancel_reason: None and "" unless it is CANCELLED.
    """

    showtime_id: str
    movie: Movie
    cinema: Cinema
    auditorium_id: str
    auditorium_name: str
    start_time: datetime
    end_time: datetime
    prices: PriceList
    seat_gap_policy: SeatGapPolicy
    total_seats: int
    available_seats: int
    revision: int
    terms_revision: int = 0
    status: ShowtimeStatus = ShowtimeStatus.SCHEDULED
    cancel_time: datetime | None = None
    cancel_reason: str = ""


def new_showtime(
    showtime_id: str,
    movie: Movie,
    cinema: Cinema,
    auditorium: Auditorium,
    start_time: datetime,
    prices: PriceList,
    seat_gap_policy: SeatGapPolicy,
) -> ListedShowtime:
    """Return a new showtime, which ends after the runtime of its movie.

    Args:
        showtime_id: Its identifier.
        movie: What is shown.
        cinema: The cinema of the auditorium.
        auditorium: Where it is shown.
        start_time: Its start.
        prices: The prices of its seats.
        seat_gap_policy: Whether a booking may strand a single seat.
    """
    seats = auditorium.total_seats
    return ListedShowtime(
        showtime_id=showtime_id,
        movie=movie,
        cinema=cinema,
        auditorium_id=auditorium.auditorium_id,
        auditorium_name=auditorium.name,
        start_time=start_time,
        end_time=start_time + movie.runtime,
        prices=prices,
        seat_gap_policy=seat_gap_policy,
        total_seats=seats,
        available_seats=seats,
        revision=FIRST_REVISION,
    )


def start_time_violations(start_time: datetime, now: datetime) -> list[FieldViolation]:
    """Return the rule that the start of a new showtime breaks, if any: in the future, at most 5 years ahead.

    Five years from 29 February end on 28 February.
    """
    if start_time <= now:
        return [FieldViolation("start_time", f"must be in the future; it is {rfc3339(now)} now")]
    leap_day = now.month == 2 and now.day == 29
    latest = now.replace(year=now.year + YEARS_AHEAD, day=28 if leap_day else now.day)
    if start_time > latest:
        return [FieldViolation("start_time", f"must be at most {YEARS_AHEAD} years ahead, up to {rfc3339(latest)}")]
    return []


def single_price_violations(price: Money) -> list[FieldViolation]:
    """Return the rule that the single price of a new showtime breaks, if any: 0 to 10^12 minor units."""
    if 0 <= price.minor_units <= LARGEST_PRICE:
        return []
    return [FieldViolation("price.minor_units", f"must be 0 to {LARGEST_PRICE}, not {price.minor_units}")]


def check_not_archived(movie: Movie, cinema: Cinema, auditorium: Auditorium) -> None:
    """Check that a movie can get a new showtime in an auditorium of a cinema.

    Raises:
        Archived: One of them is archived.
    """
    for resource, identifier, archived in (
        ("Movie", movie.movie_id, movie.archived),
        ("Cinema", cinema.cinema_id, cinema.archived),
        ("Auditorium", auditorium.auditorium_id, auditorium.archived),
    ):
        if archived:
            raise Archived(resource, identifier)


def check_runtime(movie: Movie, runtime: timedelta, next_start: datetime | None) -> None:
    """Check a new runtime of a movie. It would not fit the showtimes to come, whose end is fixed.

    Args:
        movie: The movie as it is.
        runtime: The new runtime.
        next_start: The earliest start of its showtimes that are still to start; None if there are none.

    Raises:
        InvalidRequest: The runtime would change, and there are such showtimes.
    """
    if runtime != movie.runtime and next_start is not None:
        problem = "can't change while the movie has showtimes that are still to start; the next is at "
        raise InvalidRequest(FieldViolation("runtime", problem + rfc3339(next_start)))


def check_overlap(
    start_time: datetime, end_time: datetime, showtime_id: str, other_start: datetime, other_end: datetime
) -> None:
    """Check a new showtime against another one, `showtime_id`, in the same auditorium.

    Raises:
        ShowtimeOverlap: The later one starts less than 15 minutes after the earlier one ends.
    """
    if start_time < other_end + TIME_BETWEEN_SHOWTIMES and other_start < end_time + TIME_BETWEEN_SHOWTIMES:
        minutes = TIME_BETWEEN_SHOWTIMES // timedelta(minutes=1)
        raise ShowtimeOverlap(showtime_id, other_start, other_end, minutes)
