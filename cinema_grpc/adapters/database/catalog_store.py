"""The catalog in the database: movies, cinemas, auditoriums, and new showtimes."""

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Column, bindparam, insert, select
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.booking_rows import read_response
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.seat_plans import to_rows, to_text
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.box_office.store import StorageConflict, new_commit_id
from cinema_grpc.application.idempotency import IdempotencyKey, StoredResponse
from cinema_grpc.application.ports import ResponseAlreadyStored
from cinema_grpc.domain.catalog import (
    LONGEST_RUNTIME,
    TIME_BETWEEN_SHOWTIMES,
    Auditorium,
    Cinema,
    ListedShowtime,
    Movie,
    check_overlap,
)
from cinema_grpc.domain.errors import NameTaken

_AUDITORIUM, _RESPONSE = schema.auditorium.c, schema.stored_response.c
_AUDITORIUM_COLUMNS = [
    _AUDITORIUM.auditorium_id,
    _AUDITORIUM.cinema_id,
    _AUDITORIUM.name,
    _AUDITORIUM.rows,
    _AUDITORIUM.create_time,
]


def _one(key: Column[Any], *columns: Column[Any]) -> Query:
    return Query(select(*columns).where(key == bindparam("key")))


def _list(key: Column[Any], *columns: Column[Any], by: Column[Any] | None = None) -> Query:
    query = select(*columns).where(key > bindparam("after")).order_by(key).limit(bindparam("limit"))
    return Query(query if by is None else query.where(by == bindparam(by.name)))


_MOVIE = _one(schema.movie.c.movie_id, *schema.movie.c)
_MOVIES = _list(schema.movie.c.movie_id, *schema.movie.c)
_CINEMA = _one(schema.cinema.c.cinema_id, *schema.cinema.c)
_CINEMAS = _list(schema.cinema.c.cinema_id, *schema.cinema.c)
_AUDITORIUM_BY_ID = _one(_AUDITORIUM.auditorium_id, *_AUDITORIUM_COLUMNS)
_AUDITORIUMS = _list(_AUDITORIUM.auditorium_id, *_AUDITORIUM_COLUMNS, by=_AUDITORIUM.cinema_id)
_NAMED = Query(
    select(_AUDITORIUM.auditorium_id).where(
        _AUDITORIUM.cinema_id == bindparam("cinema_id"), _AUDITORIUM.name == bindparam("name")
    )
)
_STORED_RESPONSE = Query(
    select(_RESPONSE.caller, _RESPONSE.rpc, _RESPONSE.request_id, _RESPONSE.digest, _RESPONSE.response).where(
        _RESPONSE.caller == bindparam("caller"),
        _RESPONSE.rpc == bindparam("rpc"),
        _RESPONSE.request_id == bindparam("request_id"),
    )
)


class SqlCatalogStore:
    """Stores the catalog. Fulfils CatalogStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """Return the time by the clock that decides."""
        return await self._database.now()

    async def stored_response(self, key: IdempotencyKey) -> StoredResponse | None:
        """Return the response of an earlier call, or None."""
        _, rows = await self._database.read(_STORED_RESPONSE, **key._asdict())
        return read_response(rows[0]) if rows else None

    async def add_movie(self, movie: Movie, response: StoredResponse | None) -> None:
        """Add a movie."""
        await self._add(response, lambda connection: connection.execute(insert(schema.movie).values(asdict(movie))))

    async def add_cinema(self, cinema: Cinema, response: StoredResponse | None) -> None:
        """Add a cinema."""
        await self._add(response, lambda connection: connection.execute(insert(schema.cinema).values(asdict(cinema))))

    async def add_auditorium(self, auditorium: Auditorium, response: StoredResponse | None) -> None:
        """Add an auditorium to an existing cinema."""
        values = asdict(auditorium) | {"rows": to_text(auditorium.rows), "total_seats": auditorium.total_seats}
        try:
            await self._add(response, lambda connection: connection.execute(insert(schema.auditorium).values(values)))
        except StorageConflict:
            _, same_name = await self._database.read(_NAMED, cinema_id=auditorium.cinema_id, name=auditorium.name)
            if same_name:
                raise NameTaken(auditorium.name) from None
            raise

    async def add_showtime(self, showtime: ListedShowtime, response: StoredResponse | None) -> None:
        """Add a showtime, and the commit that made its revision."""

        def add(connection: Connection) -> None:
            _check_overlaps(connection, showtime)
            commit_id, now = new_commit_id(), self._database.time(connection)
            connection.execute(
                insert(schema.showtime).values(
                    showtime_id=showtime.showtime_id,
                    movie_id=showtime.movie.movie_id,
                    auditorium_id=showtime.auditorium_id,
                    cinema_id=showtime.cinema.cinema_id,
                    start_time=showtime.start_time,
                    end_time=showtime.end_time,
                    currency_code=showtime.seat_price.currency_code,
                    seat_price=showtime.seat_price.minor_units,
                    seat_gap_policy=showtime.seat_gap_policy.value,
                    taken_seats=0,
                    revision=showtime.revision,
                    commit_id=commit_id,
                    terms_revision=showtime.revision,
                    latest_time=now,
                )
            )
            connection.execute(
                insert(schema.commit_log).values(
                    showtime_id=showtime.showtime_id, revision=showtime.revision, commit_id=commit_id, decide_time=now
                )
            )

        await self._add(response, add)

    async def movie(self, movie_id: str) -> Movie | None:
        """Return a movie, or None."""
        _, rows = await self._database.read(_MOVIE, key=movie_id)
        return Movie(*rows[0]) if rows else None

    async def cinema(self, cinema_id: str) -> Cinema | None:
        """Return a cinema, or None."""
        _, rows = await self._database.read(_CINEMA, key=cinema_id)
        return Cinema(*rows[0]) if rows else None

    async def auditorium(self, auditorium_id: str) -> Auditorium | None:
        """Return an auditorium, or None."""
        _, rows = await self._database.read(_AUDITORIUM_BY_ID, key=auditorium_id)
        return _to_auditorium(rows[0]) if rows else None

    async def movies(self, after: str, limit: int) -> list[Movie]:
        """Return at most `limit` movies."""
        _, rows = await self._database.read(_MOVIES, after=after, limit=limit)
        return [Movie(*row) for row in rows]

    async def cinemas(self, after: str, limit: int) -> list[Cinema]:
        """Return at most `limit` cinemas."""
        _, rows = await self._database.read(_CINEMAS, after=after, limit=limit)
        return [Cinema(*row) for row in rows]

    async def auditoriums(self, cinema_id: str, after: str, limit: int) -> list[Auditorium]:
        """Return at most `limit` auditoriums of a cinema."""
        _, rows = await self._database.read(_AUDITORIUMS, cinema_id=cinema_id, after=after, limit=limit)
        return [_to_auditorium(row) for row in rows]

    async def _add(self, response: StoredResponse | None, add: Callable[[Connection], object]) -> None:
        """Run a transaction that stores the response first, so that of two calls with one key only one goes on.

        Raises:
            ResponseAlreadyStored: The key is taken.
        """

        def work(connection: Connection) -> None:
            if response is not None:
                connection.execute(
                    insert(schema.stored_response).values(
                        **response.key._asdict(),
                        digest=response.digest,
                        response=b64encode(response.response).decode(),
                        create_time=self._database.time(connection),
                    )
                )
            add(connection)

        try:
            await self._database.transact(work)
        except StorageConflict:
            # Drivers name the constraint in different ways.
            if response is not None and await self.stored_response(response.key) is not None:
                raise ResponseAlreadyStored from None
            raise


def _check_overlaps(connection: Connection, showtime: ListedShowtime) -> None:
    """Check a new showtime against the others in its auditorium, the earliest first.

    Raises:
        ShowtimeOverlap.
    """
    # Other showtimes are added to this auditorium after this transaction. SQLite has one writer anyway.
    auditorium = select(_AUDITORIUM.auditorium_id).where(_AUDITORIUM.auditorium_id == showtime.auditorium_id)
    connection.execute(auditorium.with_for_update(key_share=True))
    other = schema.showtime.c
    nearby = connection.execute(
        select(other.showtime_id, other.start_time, other.end_time)
        .where(
            other.auditorium_id == showtime.auditorium_id,
            other.start_time > showtime.start_time - TIME_BETWEEN_SHOWTIMES - LONGEST_RUNTIME,
            other.start_time < showtime.end_time + TIME_BETWEEN_SHOWTIMES,
        )
        .order_by(other.start_time)
    )
    for showtime_id, start_time, end_time in nearby:
        check_overlap(showtime.start_time, showtime.end_time, showtime_id, start_time, end_time)


def _to_auditorium(row: Sequence[Any]) -> Auditorium:
    auditorium_id, cinema_id, name, rows, create_time = row
    return Auditorium(auditorium_id, cinema_id, name, to_rows(rows), create_time)
