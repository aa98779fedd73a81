"""Movies, cinemas, auditoriums and listed showtimes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cinema_grpc.domain.errors import FieldViolation, ShowtimeOverlap, rfc3339
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy

TIME_BETWEEN_SHOWTIMES = timedelta(minutes=15)
"""Minimum time between the end of a showtime and the start of the next in the same auditorium."""
YEARS_AHEAD = 5
"""Maximum years until the start of a new showtime."""
LONGEST_RUNTIME = timedelta(hours=12)
"""The maximum in the protos. The search for overlapping showtimes looks no further back."""
LARGEST_PRICE = 10**12
"""Maximum price of a seat, in minor units."""


@dataclass(frozen=True, slots=True)
class Movie:
    """A movie in the catalog."""

    movie_id: str
    title: str
    runtime: timedelta
    rating: str
    synopsis: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Cinema:
    """A cinema with auditoriums; `time_zone` is an IANA name."""

    cinema_id: str
    name: str
    time_zone: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Auditorium:
    """An auditorium with numbered seats."""

    auditorium_id: str
    cinema_id: str
    name: str
    rows: tuple[SeatRow, ...]
    create_time: datetime

    @property
    def total_seats(self) -> int:
        """The number of seats."""
        return sum(sum(row.sections) for row in self.rows)


@dataclass(frozen=True, slots=True)
class ListedShowtime:
    """A showtime in a list. `available_seats` counts seats whose hold has ended as free."""

    showtime_id: str
    movie: Movie
    cinema: Cinema
    auditorium_id: str
    auditorium_name: str
    start_time: datetime
    end_time: datetime
    seat_price: Money
    seat_gap_policy: SeatGapPolicy
    total_seats: int
    available_seats: int
    revision: int


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


def price_violations(seat_price: Money) -> list[FieldViolation]:
    """Return the rule that the price of a new showtime breaks, if any: 0 to 10^12 minor units."""
    if 0 <= seat_price.minor_units <= LARGEST_PRICE:
        return []
    return [FieldViolation("price.minor_units", f"must be 0 to {LARGEST_PRICE}, not {seat_price.minor_units}")]


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
