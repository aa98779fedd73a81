"""Changes of the catalog within a transaction: locked rows, updates, and new showtimes.

Whatever a new showtime is made of is locked until it is committed: the movie, the auditorium, then its cinema, each
before it is read. An update locks one of these rows, then the row of `catalog_revision`. So neither can wait for the
other in a circle. SQLite has one writer, and needs no locks.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from time import time_ns
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Column, Select, bindparam, case, insert, select, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import price_lists, schema
from cinema_grpc.adapters.database.event_rows import add_events
from cinema_grpc.adapters.database.seat_plans import (
    areas_to_text,
    spaces_to_text,
    to_areas,
    to_rows,
    to_spaces,
    to_text,
)
from cinema_grpc.application.box_office.store import new_commit_id
from cinema_grpc.domain.catalog import (
    LONGEST_RUNTIME,
    TIME_BETWEEN_SHOWTIMES,
    Auditorium,
    Cinema,
    ListedShowtime,
    Movie,
    check_overlap,
    check_runtime,
)
from cinema_grpc.domain.errors import AuditoriumNotFound, CinemaNotFound, MovieNotFound
from cinema_grpc.domain.events import EventType, NewEvent
from cinema_grpc.domain.terms import ShowtimeStatus

A = TypeVar("A")

_MOVIE, _CINEMA, _AUDITORIUM, _SHOWTIME = (
    table.c for table in (schema.movie, schema.cinema, schema.auditorium, schema.showtime)
)
AUDITORIUM_COLUMNS = [
    _AUDITORIUM.auditorium_id,
    _AUDITORIUM.cinema_id,
    _AUDITORIUM.name,
    _AUDITORIUM.rows,
    _AUDITORIUM.create_time,
    _AUDITORIUM.areas,
    _AUDITORIUM.wheelchair_spaces,
    _AUDITORIUM.archived,
]


def to_auditorium(row: Any) -> Auditorium:
    """Return the auditorium of a row of AUDITORIUM_COLUMNS."""
    auditorium_id, cinema_id, name, rows, create_time, areas, spaces, archived = row
    return Auditorium(
        auditorium_id, cinema_id, name, to_rows(rows), create_time, to_areas(areas), to_spaces(spaces), archived
    )


def add_showtime(
    connection: Connection,
    now: Callable[[], datetime],
    movie_id: str,
    auditorium_id: str,
    schedule: Callable[[Movie, Cinema, Auditorium], ListedShowtime],
) -> ListedShowtime:
    """Add the showtime that `schedule` makes, and the commit that made its revision.

    Args:
        connection: The transaction.
        now: Returns the time by the clock that decides.
        movie_id: The movie.
        auditorium_id: The auditorium.
        schedule: Makes the showtime; it may refuse by an error.

    Raises:
        MovieNotFound, AuditoriumNotFound: There is no such thing.
        ShowtimeOverlap: The auditorium is not free then.
    """
    movie = _locked_movie(connection, movie_id, shared=True)
    auditorium = _locked_auditorium(connection, auditorium_id)  # so that no other showtime is added to it meanwhile
    cinema = _locked_cinema(connection, auditorium.cinema_id, shared=True)
    showtime = schedule(movie, cinema, auditorium)
    _check_overlaps(connection, showtime)
    decide_time = now()
    row = showtime_row(showtime, new_commit_id(), decide_time)
    connection.execute(insert(schema.showtime).values(row))
    connection.execute(insert(schema.commit_log).values(commit_row(row)))
    created = NewEvent(EventType.SHOWTIME_CREATED)
    add_events(connection, [(showtime.showtime_id, showtime.revision)], decide_time, [created])
    return showtime


def showtime_row(showtime: ListedShowtime, commit_id: str, decide_time: datetime) -> dict[str, Any]:
    """Return a new showtime as a row."""
    return {
        "showtime_id": showtime.showtime_id,
        "revision": showtime.revision,
        "commit_id": commit_id,
        "movie_id": showtime.movie.movie_id,
        "auditorium_id": showtime.auditorium_id,
        "cinema_id": showtime.cinema.cinema_id,
        "start_time": showtime.start_time,
        "end_time": showtime.end_time,
        "status": showtime.status.value,
        "currency_code": showtime.prices.currency_code,
        "prices": price_lists.to_text(showtime.prices),
        "seat_gap_policy": showtime.seat_gap_policy.value,
        "taken_seats": 0,
        "terms_revision": showtime.terms_revision,
        "latest_time": decide_time,
    }


def commit_row(showtime: Mapping[str, Any]) -> dict[str, Any]:
    """Return the commit that made a new showtime as a row, by the row of the showtime."""
    commit = {name: showtime[name] for name in ("showtime_id", "revision", "commit_id")}
    return {**commit, "decide_time": showtime["latest_time"]}


def auditorium_row(auditorium: Auditorium) -> dict[str, Any]:
    """Return a new auditorium as a row."""
    return asdict(auditorium) | {
        "rows": to_text(auditorium.rows),
        "areas": areas_to_text(auditorium.areas),
        "wheelchair_spaces": spaces_to_text(auditorium.wheelchair_spaces),
        "total_seats": auditorium.total_seats,
    }


def update_movie(
    connection: Connection, now: Callable[[], datetime], movie_id: str, change: Callable[[Movie], Movie]
) -> Movie:
    """Replace a movie by what `change` makes of it, and return that.

    Raises:
        MovieNotFound: There is no such movie.
        InvalidRequest: The runtime would change, and the movie has showtimes that are still to start.
    """
    before = _locked_movie(connection, movie_id)
    after = change(before)
    next_start = connection.execute(
        select(_SHOWTIME.start_time)
        .where(
            _SHOWTIME.movie_id == movie_id,
            _SHOWTIME.start_time > now(),
            _SHOWTIME.status == ShowtimeStatus.SCHEDULED.value,
        )
        .order_by(_SHOWTIME.start_time)
        .limit(1)
    )
    check_runtime(before, after.runtime, next_start.scalar_one_or_none())
    return _replace(connection, _MOVIE.movie_id, before, after, asdict(after))


def update_cinema(connection: Connection, cinema_id: str, change: Callable[[Cinema], Cinema]) -> Cinema:
    """Replace a cinema by what `change` makes of it, and return that.

    Raises:
        CinemaNotFound: There is no such cinema.
    """
    before = _locked_cinema(connection, cinema_id)
    after = change(before)
    return _replace(connection, _CINEMA.cinema_id, before, after, asdict(after))


def update_auditorium(
    connection: Connection, auditorium_id: str, change: Callable[[Auditorium], Auditorium]
) -> Auditorium:
    """Replace name and `archived` of an auditorium by what `change` makes of them, and return it.

    Raises:
        AuditoriumNotFound: There is no such auditorium.
    """
    before = _locked_auditorium(connection, auditorium_id)
    after = change(before)
    values = {"auditorium_id": auditorium_id, "name": after.name, "archived": after.archived}
    return _replace(connection, _AUDITORIUM.auditorium_id, before, after, values)


def _replace(connection: Connection, key: Column[str], before: A, after: A, values: Mapping[str, Any]) -> A:
    """Write an entry and raise the revision of the catalog, unless they are equal."""
    if after != before:
        connection.execute(update(key.table).where(key == values[key.name]).values(values))
        # A time in microseconds, so that after a failover that lost commits no revision that was seen comes again.
        revision, now = schema.catalog_revision.c.revision, time_ns() // 1000
        later = case((revision < now, bindparam(None, now, BigInteger)), else_=revision + 1)
        connection.execute(update(schema.catalog_revision).values(revision=later))
    return after


def _locked_movie(connection: Connection, movie_id: str, *, shared: bool = False) -> Movie:
    query = select(*_MOVIE).where(_MOVIE.movie_id == movie_id)
    row = connection.execute(locking(query, shared=shared)).one_or_none()
    if row is None:
        raise MovieNotFound(movie_id)
    return Movie(*row)


def _locked_cinema(connection: Connection, cinema_id: str, *, shared: bool = False) -> Cinema:
    query = select(*_CINEMA).where(_CINEMA.cinema_id == cinema_id)
    row = connection.execute(locking(query, shared=shared)).one_or_none()
    if row is None:
        raise CinemaNotFound(cinema_id)
    return Cinema(*row)


def _locked_auditorium(connection: Connection, auditorium_id: str) -> Auditorium:
    query = select(*AUDITORIUM_COLUMNS).where(_AUDITORIUM.auditorium_id == auditorium_id)
    row = connection.execute(locking(query)).one_or_none()
    if row is None:
        raise AuditoriumNotFound(auditorium_id)
    return to_auditorium(row)


def locking(query: Select[Any], *, shared: bool = False) -> Select[Any]:
    """Lock the rows of a query against changes: for others that only read (FOR SHARE), or FOR NO KEY UPDATE."""
    return query.with_for_update(read=shared, key_share=not shared)


def _check_overlaps(connection: Connection, showtime: ListedShowtime) -> None:
    """Check a new showtime against the others in its auditorium that take place, the earliest first.

    Raises:
        ShowtimeOverlap.
    """
    nearby = connection.execute(
        select(_SHOWTIME.showtime_id, _SHOWTIME.start_time, _SHOWTIME.end_time)
        .where(
            _SHOWTIME.auditorium_id == showtime.auditorium_id,
            _SHOWTIME.start_time > showtime.start_time - TIME_BETWEEN_SHOWTIMES - LONGEST_RUNTIME,
            _SHOWTIME.start_time < showtime.end_time + TIME_BETWEEN_SHOWTIMES,
            _SHOWTIME.status == ShowtimeStatus.SCHEDULED.value,
        )
        .order_by(_SHOWTIME.start_time)
    )
    for showtime_id, start_time, end_time in nearby:
        check_overlap(showtime.start_time, showtime.end_time, showtime_id, start_time, end_time)
