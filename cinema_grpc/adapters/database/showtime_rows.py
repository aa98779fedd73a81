"""A showtime as rows: what the programme shows of it, what its seats are sold by, and the bookings that keep them."""

from collections.abc import Sequence
from typing import Any

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.prepared import Prepared, columns_of, reader_of, select_by
from cinema_grpc.adapters.database.schema import moment
from cinema_grpc.adapters.database.seat_plans import seat_plan
from cinema_grpc.domain.catalog import Cinema, ListedShowtime, Movie
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.showtime import SeatGapPolicy, Terms

# Every column is named, with its table: a newer version may add columns to any table while this one runs.
TERMS = Prepared(
    schema.showtime,
    ("showtime_id",),
    lambda rows: (
        "SELECT showtime.showtime_id, showtime.start_time, showtime.currency_code, showtime.seat_price,"  # noqa: S608 (ours)
        f" showtime.seat_gap_policy, auditorium.rows FROM ({rows}) AS given CROSS JOIN showtime"
        " JOIN auditorium ON auditorium.auditorium_id = showtime.auditorium_id"
        " WHERE showtime.showtime_id = given.column1"
    ),
)
KEEPING_SEATS = Prepared(
    schema.showtime,
    ("showtime_id",),
    lambda rows: (
        f"SELECT {columns_of(schema.booking)} FROM booking WHERE booking.booking_id IN ("  # noqa: S608 (names of ours)
        f"SELECT seat_claim.booking_id FROM ({rows}) AS given CROSS JOIN seat_claim"
        " WHERE seat_claim.showtime_id = given.column1)"
    ),
)
CHANGED = select_by(schema.booking, ("showtime_id", "known_revision"))
LISTED = Prepared(
    schema.showtime,
    ("showtime_id",),
    lambda rows: (
        f"SELECT {columns_of(schema.showtime)}, {columns_of(schema.movie)}, {columns_of(schema.cinema)},"  # noqa: S608 (ours)
        f" auditorium.name, auditorium.total_seats FROM ({rows}) AS given CROSS JOIN showtime"
        " JOIN movie ON movie.movie_id = showtime.movie_id"
        " JOIN auditorium ON auditorium.auditorium_id = showtime.auditorium_id"
        " JOIN cinema ON cinema.cinema_id = auditorium.cinema_id"
        " WHERE showtime.showtime_id = given.column1"
    ),
)
read_booking = reader_of(schema.booking)
_read_showtime, _read_movie, _read_cinema = map(reader_of, (schema.showtime, schema.movie, schema.cinema))


def to_terms(
    showtime_id: str, start_time: int, currency_code: str, seat_price: int, seat_gap_policy: str, rows: str
) -> Terms:
    """Read what is fixed about a showtime for those who sell its seats, from what TERMS has found."""
    price = Money(currency_code, seat_price)
    return Terms(showtime_id, moment(start_time), price, SeatGapPolicy(seat_gap_policy), seat_plan(rows))


def to_listed_showtime(row: Sequence[Any]) -> ListedShowtime:
    """Read a showtime as the programme shows it, from what LISTED has found; holds that are over count as taken."""
    rest = iter(row)
    showtime, movie, cinema = (
        read([next(rest) for _ in table.columns])
        for read, table in (
            (_read_showtime, schema.showtime),
            (_read_movie, schema.movie),
            (_read_cinema, schema.cinema),
        )
    )
    auditorium_name, total_seats = rest
    return ListedShowtime(
        showtime_id=showtime.showtime_id,
        movie=Movie(**movie._asdict()),
        cinema=Cinema(**cinema._asdict()),
        auditorium_id=showtime.auditorium_id,
        auditorium_name=auditorium_name,
        start_time=showtime.start_time,
        end_time=showtime.end_time,
        seat_price=Money(showtime.currency_code, showtime.seat_price),
        seat_gap_policy=SeatGapPolicy(showtime.seat_gap_policy),
        total_seats=total_seats,
        available_seats=total_seats - showtime.taken_seats,
        revision=showtime.revision,
    )
