"""What is asked of the tables of the catalog and the programme, and how the answers are read."""

from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import Select, Text, func, literal, literal_column, or_, select, tuple_
from sqlalchemy.engine import RowMapping

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.seat_plans import to_rows
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.showtime import SeatGapPolicy, SeatStatus

Rows: TypeAlias = Select[*tuple[Any, ...]]

# Written into the statement, not bound to it: a plan that is kept for any value could not use the index of the holds.
RESERVED = literal_column("'RESERVED'", Text)


def listed_showtimes(now: datetime) -> Rows:
    """Select showtimes with all that `to_listed_showtime` reads; seats whose hold is over at `now` count as free."""
    booking = schema.booking.c
    lapsed = (
        select(func.coalesce(func.sum(booking.seat_count), 0))
        .where(
            booking.showtime_id == schema.showtime.c.showtime_id,
            booking.status == RESERVED,
            booking.hold_expire_time <= now,
        )
        .scalar_subquery()
    )
    free = schema.auditorium.c.total_seats - schema.showtime.c.taken_seats + lapsed
    return (
        select(
            schema.showtime,
            schema.movie,
            schema.cinema,
            schema.auditorium.c.name,
            schema.auditorium.c.total_seats,
            free.label("available_seats"),
        )
        .join_from(schema.showtime, schema.movie)
        .join(schema.auditorium, schema.auditorium.c.auditorium_id == schema.showtime.c.auditorium_id)
        .join(schema.cinema, schema.cinema.c.cinema_id == schema.auditorium.c.cinema_id)
    )


def programme_page(condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int, now: datetime) -> Rows:
    """Select the showtimes that meet a condition, by start and identifier, from the one after `after` on."""
    showtime = schema.showtime.c
    page = listed_showtimes(now)
    if after is None:
        page = page.where(showtime.start_time >= condition.start_from)
    else:
        start_time, showtime_id = after
        key = tuple_(showtime.start_time, showtime.showtime_id)
        page = page.where(
            # Implied by the key, and said so that any index with start_time in it is entered there, not at start_from.
            showtime.start_time >= max(start_time, condition.start_from),
            key > tuple_(literal(start_time, schema.Instant), literal(showtime_id)),
        )
    if condition.start_until is not None:
        page = page.where(showtime.start_time < condition.start_until)
    if condition.movie_id:
        page = page.where(showtime.movie_id == condition.movie_id)
    if condition.auditorium_id:
        page = page.where(showtime.auditorium_id == condition.auditorium_id)
    if condition.cinema_id:
        page = page.where(schema.auditorium.c.cinema_id == condition.cinema_id)
    return page.order_by(showtime.start_time, showtime.showtime_id).limit(limit)


def kept_seats(showtime_id: str, now: datetime) -> Select[str, str]:
    """Select the seats of a showtime that are not free at `now`, each with the status of its booking."""
    booking = schema.booking.c
    return (
        select(schema.seat_claim.c.seat, booking.status)
        .join(schema.booking, booking.booking_id == schema.seat_claim.c.booking_id)
        .where(
            schema.seat_claim.c.showtime_id == showtime_id,
            or_(booking.status == BookingStatus.CONFIRMED.value, booking.hold_expire_time > now),
        )
    )


def to_seat_status(booking_status: str) -> SeatStatus:
    """Tell the state of a seat that is not free from the status of its booking."""
    return SeatStatus.SOLD if booking_status == BookingStatus.CONFIRMED.value else SeatStatus.HELD


def to_movie(row: RowMapping) -> Movie:
    """Read a movie."""
    return Movie(**{column.name: row[column] for column in schema.movie.c})


def to_cinema(row: RowMapping) -> Cinema:
    """Read a cinema."""
    return Cinema(**{column.name: row[column] for column in schema.cinema.c})


def to_auditorium(row: RowMapping) -> Auditorium:
    """Read an auditorium."""
    auditorium = schema.auditorium.c
    return Auditorium(
        auditorium_id=row[auditorium.auditorium_id],
        cinema_id=row[auditorium.cinema_id],
        name=row[auditorium.name],
        rows=to_rows(row[auditorium.rows]),
        create_time=row[auditorium.create_time],
    )


def to_listed_showtime(row: RowMapping) -> ListedShowtime:
    """Read a showtime as the programme shows it."""
    showtime = schema.showtime.c
    return ListedShowtime(
        showtime_id=row[showtime.showtime_id],
        movie=to_movie(row),
        cinema=to_cinema(row),
        auditorium_id=row[showtime.auditorium_id],
        auditorium_name=row[schema.auditorium.c.name],
        start_time=row[showtime.start_time],
        end_time=row[showtime.end_time],
        seat_price=Money(row[showtime.currency_code], row[showtime.seat_price]),
        seat_gap_policy=SeatGapPolicy(row[showtime.seat_gap_policy]),
        total_seats=row[schema.auditorium.c.total_seats],
        available_seats=row["available_seats"],
        revision=row[showtime.revision],
    )
