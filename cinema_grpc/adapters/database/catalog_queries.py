"""What is asked of the tables of the catalog and the programme, and how the answers are read."""

from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import BigInteger, Select, Text, bindparam, func, literal_column, select, tuple_
from sqlalchemy.engine import RowMapping

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.prepared import Query
from cinema_grpc.adapters.database.seat_plans import to_rows
from cinema_grpc.domain.catalog import Auditorium, Cinema, Movie

Rows: TypeAlias = Select[*tuple[Any, ...]]

# Written into the statement, not bound to it: a plan that is kept for any value could not use the index of the holds.
RESERVED = literal_column("'RESERVED'", Text)


@cache
def programme_page(places: frozenset[str], *, until: bool) -> Query:
    """Make the query for a page of the programme: identifier, revision and taken seats, by start and identifier.

    It goes on after a start and an identifier, `after_start` and `after_id`. Each combination of filters has an index
    with the columns that they fix, then start and identifier: so it reads no showtime that is not on the page. The
    filters are written as a range of that index, in its order. With "=", PostgreSQL may take the index of starts alone,
    which has the showtimes of everybody in the order that is asked for, and look through all of them.

    Args:
        places: By which of movie_id, cinema_id and auditorium_id it is filtered.
        until: Whether it ends before `until`.
    """
    showtime, auditorium = schema.showtime.c, schema.auditorium.c
    fixed: dict[str, Any] = {place: bindparam(place, type_=showtime[place].type) for place in sorted(places)}
    if {"auditorium_id", "cinema_id"} <= places:
        # An auditorium is in one cinema. Of another's there is none, and the index has nothing under that.
        named = auditorium.auditorium_id == bindparam("auditorium_id")
        of_cinema = select(auditorium.auditorium_id).where(named, auditorium.cinema_id == bindparam("cinema_id"))
        fixed = {**fixed, "auditorium_id": of_cinema.scalar_subquery()}
        del fixed["cinema_id"]
    columns, values = [showtime[place] for place in fixed], list(fixed.values())
    order = [*columns, showtime.start_time, showtime.showtime_id]
    after = [*values, bindparam("after_start", type_=BigInteger), bindparam("after_id")]
    page = select(showtime.showtime_id, showtime.revision, showtime.taken_seats).where(tuple_(*order) > tuple_(*after))
    if until:
        last = tuple_(*columns, showtime.start_time) < tuple_(*values, bindparam("until", type_=BigInteger))
        page = page.where(last)
    elif columns:
        page = page.where(tuple_(*columns) <= tuple_(*values))
    return Query(page.order_by(*order).limit(bindparam("limit")))


LAPSED_SEATS = Query(
    select(schema.booking.c.showtime_id, func.sum(schema.booking.c.seat_count))
    .where(schema.booking.c.status == RESERVED, schema.booking.c.hold_expire_time <= bindparam("now", type_=BigInteger))
    .group_by(schema.booking.c.showtime_id)
)
"""The seats of holds that are over and not written down so, by showtime: few, since somebody sees to that."""


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
