"""Imports movies, cinemas, auditoriums and showtimes in one transaction."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Select, insert, or_, select, text
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import price_lists, schema
from cinema_grpc.adapters.database.catalog_changes import commit_row, locking, showtime_row
from cinema_grpc.adapters.database.catalog_entries import ENTRY_TYPES
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.event_rows import add_events
from cinema_grpc.adapters.database.terms_rows import read_moves
from cinema_grpc.application.box_office.store import new_commit_id
from cinema_grpc.application.catalog_import import Existing, ExistingShowtime, Plan, Wanted
from cinema_grpc.domain.catalog import LONGEST_RUNTIME, TIME_BETWEEN_SHOWTIMES, Auditorium, Cinema, E, Movie
from cinema_grpc.domain.events import EventType, NewEvent
from cinema_grpc.domain.terms import SeatGapPolicy, ShowtimeStatus
from cinema_grpc.domain.text import clean

IMPORT_LOCK = 7_110_024
"""The key of PostgreSQL's advisory lock for imports: two at once could both create a movie of the same title."""
LONGEST_OFFSET = timedelta(days=1) + LONGEST_RUNTIME + TIME_BETWEEN_SHOWTIMES
"""How much earlier a showtime may start that overlaps another one, whose start is in an unknown time zone."""
LONGEST_MOVE = timedelta(days=31)
"""How much earlier a showtime may start now that is recognized by the start that it had before it was moved."""
MAX_PARAMETERS = 500
"""How many values a condition has at most."""
_MOVIE, _CINEMA, _AUDITORIUM, _SHOWTIME = (
    table.c for table in (schema.movie, schema.cinema, schema.auditorium, schema.showtime)
)


class SqlImportStore:
    """Carries out imports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def carry_out(self, wanted: Wanted, decide: Callable[[Existing, datetime], Plan], *, write: bool) -> Plan:
        """Plan an import and create its entries, in one transaction.

        Args:
            wanted: The entries of the files, which say what to read.
            decide: Returns the plan, by what is there and the time by the clock that decides.
            write: Whether to create the entries, if the plan has no problems.

        Raises:
            StorageUnavailable: Nothing was created, or everything: repeat it.
        """

        def work(connection: Connection) -> Plan:
            if connection.dialect.name == "postgresql":
                # The server waits while the plan is made, on a slow machine for longer than it does otherwise. Not for
                # long, since a process that is frozen then keeps its locks.
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '20s'"))
                _wait_for_other_imports(connection)
            existing = _existing(connection, wanted)
            now = self._database.time(connection)
            plan = decide(existing, now)
            if write and not plan.problems:
                _create(connection, plan, now)
            return plan

        return await self._database.transact(work)


def _wait_for_other_imports(connection: Connection) -> None:
    """Wait until no other import is under way, without a time limit: one that is frozen is ended."""
    limits = ("lock_timeout", "statement_timeout")
    for each in limits:
        connection.execute(text(f"SET LOCAL {each} = 0"))
    connection.execute(text(f"SELECT pg_advisory_xact_lock({IMPORT_LOCK})"))
    for each in limits:
        connection.execute(text(f"SET LOCAL {each} TO DEFAULT"))


def _existing(connection: Connection, wanted: Wanted) -> Existing:
    """Read and lock what the entries are about, in the order of the other changes of the catalog."""
    titles = {clean(each) for each in (*(row.title for row in wanted.movies), *(row.movie for row in wanted.showtimes))}
    named = (wanted.showtimes, wanted.auditoriums)
    names = {clean(row.name) for row in wanted.cinemas} | {clean(row.cinema) for rows in named for row in rows}
    movies = _locked(connection, Movie, _MOVIE.title, titles, shared=True)
    ids = [row[0] for row in _found(connection, select(_CINEMA.cinema_id), _CINEMA.name, names)]
    auditoriums = _locked(connection, Auditorium, _AUDITORIUM.cinema_id, ids, shared=False)
    cinemas = _locked(connection, Cinema, _CINEMA.cinema_id, ids, shared=True)
    showtimes = _showtimes(connection, wanted, [each.auditorium_id for each in auditoriums])
    return Existing(movies, cinemas, auditoriums, showtimes)


def _showtimes(connection: Connection, wanted: Wanted, auditorium_ids: Sequence[str]) -> list[ExistingShowtime]:
    """Read the showtimes that may be those of the files, or overlap them."""
    if not wanted.showtimes:
        return []
    earliest = min(each.start_time.replace(tzinfo=each.start_time.tzinfo or UTC) for each in wanted.showtimes)
    query = select(
        _SHOWTIME.showtime_id,
        _SHOWTIME.movie_id,
        _SHOWTIME.auditorium_id,
        _SHOWTIME.start_time,
        _SHOWTIME.end_time,
        _SHOWTIME.currency_code,
        _SHOWTIME.prices,
        _SHOWTIME.seat_gap_policy,
        _SHOWTIME.status,
        _SHOWTIME.moves,
    ).where(
        _SHOWTIME.start_time > earliest - LONGEST_MOVE,
        or_(_SHOWTIME.start_time > earliest - LONGEST_OFFSET, _SHOWTIME.moves.is_not(None)),
    )
    rows = _found(connection, query, _SHOWTIME.auditorium_id, auditorium_ids)
    return [
        ExistingShowtime(
            row.showtime_id,
            row.movie_id,
            row.auditorium_id,
            row.start_time,
            row.end_time,
            price_lists.price_list(row.currency_code, row.prices),
            SeatGapPolicy(row.seat_gap_policy),
            ShowtimeStatus(row.status),
            [move.start_time for move in read_moves(row.moves)],
        )
        for row in rows
    ]


def _locked(
    connection: Connection, kind: type[E], column: Column[Any], values: Collection[str], *, shared: bool
) -> list[E]:
    """Return the entries with one of some values in a column, and lock them."""
    stored = ENTRY_TYPES[kind]
    rows = _found(connection, locking(select(*stored.columns), shared=shared), column, values)
    return [stored.from_row(row) for row in rows]


def _found(connection: Connection, query: Select[Any], column: Column[Any], values: Collection[str]) -> list[Any]:
    """Return the rows of a query with one of some values in a column."""
    ordered = sorted(values)
    rows: list[Any] = []
    query = query.order_by(*column.table.primary_key)
    for first in range(0, len(ordered), MAX_PARAMETERS):
        rows += connection.execute(query.where(column.in_(ordered[first : first + MAX_PARAMETERS]))).all()
    return rows


def _create(connection: Connection, plan: Plan, now: datetime) -> None:
    """Write the entries of a plan; the showtimes have one commit."""
    commit_id = new_commit_id()
    showtimes = [showtime_row(each, commit_id, now) for each in plan.showtimes]
    for entries in (plan.movies, plan.cinemas, plan.auditoriums):
        if entries:
            stored = ENTRY_TYPES[type(entries[0])]
            connection.execute(insert(stored.key.table), [stored.to_row(each) for each in entries])
    if showtimes:
        connection.execute(insert(schema.showtime), showtimes)
        connection.execute(insert(schema.commit_log), [commit_row(row) for row in showtimes])
        versions = [(each.showtime_id, each.revision) for each in plan.showtimes]
        add_events(connection, versions, now, [NewEvent(EventType.SHOWTIME_CREATED)])
