"""Changes of the catalog within a transaction: locked rows, updates, and new showtimes.

Whatever a new showtime is made of is locked until it is committed: the movie, the auditorium, then its cinema, each
before it is read. An update locks one of these rows, then the row of `catalog_revision`. So neither can wait for the
other in a circle. SQLite has one writer, and needs no locks.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from time import time_ns
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, case, insert, select, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import price_lists, schema
from cinema_grpc.adapters.database.catalog_entries import ENTRY_TYPES
from cinema_grpc.adapters.database.event_rows import add_events
from cinema_grpc.application.box_office.store import new_commit_id
from cinema_grpc.domain.catalog import (
    LONGEST_RUNTIME,
    TIME_BETWEEN_SHOWTIMES,
    Auditorium,
    Cinema,
    E,
    ListedShowtime,
    Movie,
    check_overlap,
    check_runtime,
)
from cinema_grpc.domain.events import EventType, NewEvent
from cinema_grpc.domain.terms import ShowtimeStatus

_SHOWTIME = schema.showtime.c


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
    movie = _locked(connection, Movie, movie_id, shared=True)
    auditorium = _locked(connection, Auditorium, auditorium_id)  # so that no other showtime is added to it meanwhile
    cinema = _locked(connection, Cinema, auditorium.cinema_id, shared=True)
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


def update_entry(
    connection: Connection, now: Callable[[], datetime], kind: type[E], entry_id: str, change: Callable[[E], E]
) -> E:
    """Replace an entry by what `change` makes of it, and return that. Raise the revision of the catalog if they differ.

    Raises:
        MovieNotFound, CinemaNotFound, AuditoriumNotFound: There is no such entry.
        InvalidRequest: The runtime would change, and the movie has showtimes that are still to start.
    """
    before = _locked(connection, kind, entry_id)
    after = change(before)
    if isinstance(before, Movie):
        check_runtime(before, after.runtime, _next_start(connection, entry_id, now()))
    if after != before:
        stored = ENTRY_TYPES[kind]
        old, new = stored.to_row(before), stored.to_row(after)
        differing = {name: value for name, value in new.items() if value != old[name]}
        connection.execute(update(stored.key.table).where(stored.key == entry_id).values(differing))
        # A time in microseconds, so that after a failover that lost commits no revision that was seen comes again.
        revision, microseconds = schema.catalog_revision.c.revision, time_ns() // 1000
        later = case((revision < microseconds, bindparam(None, microseconds, BigInteger)), else_=revision + 1)
        connection.execute(update(schema.catalog_revision).values(revision=later))
    return after


def _next_start(connection: Connection, movie_id: str, now: datetime) -> datetime | None:
    """Return the start of the next showtime of a movie, or None."""
    start = connection.execute(
        select(_SHOWTIME.start_time)
        .where(
            _SHOWTIME.movie_id == movie_id,
            _SHOWTIME.start_time > now,
            _SHOWTIME.status == ShowtimeStatus.SCHEDULED.value,
        )
        .order_by(_SHOWTIME.start_time)
        .limit(1)
    )
    return start.scalar_one_or_none()


def _locked(connection: Connection, kind: type[E], entry_id: str, *, shared: bool = False) -> E:
    stored = ENTRY_TYPES[kind]
    query = select(*stored.columns).where(stored.key == entry_id)
    row = connection.execute(locking(query, shared=shared)).one_or_none()
    if row is None:
        raise stored.not_found(entry_id)
    entry: E = stored.from_row(row)
    return entry


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
