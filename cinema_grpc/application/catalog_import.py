"""An import of movies, cinemas, auditoriums and showtimes: what the files want, what is there, and what to create."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceLine, PriceList
from cinema_grpc.domain.seating import SeatArea, SeatRow, WheelchairSpace
from cinema_grpc.domain.terms import SeatGapPolicy, ShowtimeStatus


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row: where it is, such as "movies.csv row 2", the field, and what would be right."""

    place: str
    field: str
    description: str


@dataclass(frozen=True, slots=True)
class WantedMovie:
    """A movie of a file."""

    place: str
    title: str
    runtime: timedelta
    rating: str
    synopsis: str


@dataclass(frozen=True, slots=True)
class WantedCinema:
    """A cinema of a file."""

    place: str
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class WantedAuditorium:
    """An auditorium of a file, in the cinema of a name."""

    place: str
    cinema: str
    name: str
    rows: tuple[SeatRow, ...]
    areas: tuple[SeatArea, ...]
    wheelchair_spaces: tuple[WheelchairSpace, ...]


@dataclass(frozen=True, slots=True)
class WantedShowtime:
    """A showtime of a file.

    Attributes:
        start_time: The start; without a time zone it is in that of the cinema.
        prices: The price of every seat, or the price list: one object for all showtimes with the same lines.
    """

    place: str
    movie: str
    cinema: str
    auditorium: str
    start_time: datetime
    prices: Money | PriceList
    seat_gap_policy: SeatGapPolicy


@dataclass(slots=True)
class Wanted:
    """The entries of the files.

    Attributes:
        movies, cinemas, auditoriums, showtimes: The entries, each right by itself.
        price_lists: The price lists of the showtimes, by their lines as the files have them.
    """

    movies: list[WantedMovie] = field(default_factory=list)
    cinemas: list[WantedCinema] = field(default_factory=list)
    auditoriums: list[WantedAuditorium] = field(default_factory=list)
    showtimes: list[WantedShowtime] = field(default_factory=list)
    price_lists: dict[tuple[PriceLine, ...], PriceList] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExistingShowtime:
    """A showtime that is there.

    Attributes:
        status: Whether it takes place.
        former_starts: The starts that it had before it was moved.
    """

    showtime_id: str
    movie_id: str
    auditorium_id: str
    start_time: datetime
    end_time: datetime
    prices: PriceList
    seat_gap_policy: SeatGapPolicy
    status: ShowtimeStatus
    former_starts: Sequence[datetime]


@dataclass(frozen=True, slots=True)
class Existing:
    """What is there of what the files name: movies, cinemas, and all auditoriums of these; also if they are archived.

    Of the auditoriums' showtimes it has those that the files may mean or overlap.
    """

    movies: Sequence[Movie]
    cinemas: Sequence[Cinema]
    auditoriums: Sequence[Auditorium]
    showtimes: Sequence[ExistingShowtime]


@dataclass(slots=True)
class Plan:
    """What an import comes to.

    Attributes:
        problems: What is wrong; if there is anything, nothing is to be created.
        notes: Which showtimes are not created, since they were cancelled or moved, and where the files have them.
        movies, cinemas, auditoriums, showtimes: The entries to create.
        unchanged: How many entries are there already.
    """

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    movies: list[Movie] = field(default_factory=list)
    cinemas: list[Cinema] = field(default_factory=list)
    auditoriums: list[Auditorium] = field(default_factory=list)
    showtimes: list[ListedShowtime] = field(default_factory=list)
    unchanged: int = 0
