"""The catalog in the database: movies, cinemas, auditoriums, and new showtimes."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Column, Insert, bindparam, false, insert, select, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import catalog_changes, schema
from cinema_grpc.adapters.database.booking_rows import read_response
from cinema_grpc.adapters.database.catalog_changes import AUDITORIUM_COLUMNS, auditorium_row, to_auditorium
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.box_office.store import StorageConflict
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.idempotency import IdempotencyKey, ResponseSlot, StoredResponse
from cinema_grpc.application.ports import ResponseAlreadyStored
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.errors import NameTaken

A = TypeVar("A")

_MOVIE, _CINEMA, _AUDITORIUM = schema.movie.c, schema.cinema.c, schema.auditorium.c
_RESPONSE = schema.stored_response.c


def _one(key: Column[Any], *columns: Column[Any]) -> Query:
    return Query(select(*columns).where(key == bindparam("key")))


def _lists(key: Column[Any], *columns: Column[Any], by: Column[Any] | None = None) -> dict[bool, Query]:
    """Return the query for a list, by whether it has the archived entries too."""
    query = select(*columns).where(key > bindparam("after")).order_by(key).limit(bindparam("limit"))
    if by is not None:
        query = query.where(by == bindparam(by.name))
    return {True: Query(query), False: Query(query.where(key.table.c.archived == false()))}


_MOVIE_BY_ID = _one(_MOVIE.movie_id, *_MOVIE)
_MOVIES = _lists(_MOVIE.movie_id, *_MOVIE)
_CINEMA_BY_ID = _one(_CINEMA.cinema_id, *_CINEMA)
_CINEMAS = _lists(_CINEMA.cinema_id, *_CINEMA)
_AUDITORIUM_BY_ID = _one(_AUDITORIUM.auditorium_id, *AUDITORIUM_COLUMNS)
_AUDITORIUMS = _lists(_AUDITORIUM.auditorium_id, *AUDITORIUM_COLUMNS, by=_AUDITORIUM.cinema_id)
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

    def __init__(self, database: Database, on_update: Callable[[], None] = lambda: None) -> None:
        """Set up.

        Args:
            database: The database.
            on_update: Called after each update of a movie, cinema or auditorium that was committed, or may have been.
        """
        self._database = database
        self._on_update = on_update

    async def now(self) -> datetime:
        """Return the time by the clock that decides."""
        return await self._database.now()

    async def stored_response(self, key: IdempotencyKey) -> StoredResponse | None:
        """Return the response of an earlier call, or None."""
        _, rows = await self._database.read(_STORED_RESPONSE, **key._asdict())
        return read_response(rows[0]) if rows else None

    async def add_movie(self, movie: Movie, slot: ResponseSlot[Movie] | None) -> None:
        """Add a movie."""
        await self._add(slot, movie, insert(schema.movie).values(asdict(movie)))

    async def add_cinema(self, cinema: Cinema, slot: ResponseSlot[Cinema] | None) -> None:
        """Add a cinema."""
        await self._add(slot, cinema, insert(schema.cinema).values(asdict(cinema)))

    async def add_auditorium(self, auditorium: Auditorium, slot: ResponseSlot[Auditorium] | None) -> None:
        """Add an auditorium to an existing cinema.

        Raises:
            NameTaken: The cinema has another one of that name.
        """
        try:
            await self._add(slot, auditorium, insert(schema.auditorium).values(auditorium_row(auditorium)))
        except StorageConflict:
            await self._check_name(auditorium)
            raise

    async def add_showtime(
        self,
        movie_id: str,
        auditorium_id: str,
        schedule: Callable[[Movie, Cinema, Auditorium], ListedShowtime],
        slot: ResponseSlot[ListedShowtime] | None,
    ) -> ListedShowtime:
        """Add the showtime that `schedule` makes, and the commit that made its revision.

        Raises:
            MovieNotFound, AuditoriumNotFound, ShowtimeOverlap.
        """

        def add(connection: Connection) -> ListedShowtime:
            now = partial(self._database.time, connection)
            return catalog_changes.add_showtime(connection, now, movie_id, auditorium_id, schedule)

        return await self._transact(slot, add, may_wait_for_locks=True)

    async def update_movie(
        self, movie_id: str, change: Callable[[Movie], Movie], slot: ResponseSlot[Movie] | None
    ) -> Movie:
        """Replace a movie.

        Raises:
            MovieNotFound, InvalidRequest.
        """

        def replace(connection: Connection) -> Movie:
            return catalog_changes.update_movie(connection, partial(self._database.time, connection), movie_id, change)

        return await self._update(slot, replace)

    async def update_cinema(
        self, cinema_id: str, change: Callable[[Cinema], Cinema], slot: ResponseSlot[Cinema] | None
    ) -> Cinema:
        """Replace a cinema.

        Raises:
            CinemaNotFound.
        """
        return await self._update(slot, lambda connection: catalog_changes.update_cinema(connection, cinema_id, change))

    async def update_auditorium(
        self, auditorium_id: str, change: Callable[[Auditorium], Auditorium], slot: ResponseSlot[Auditorium] | None
    ) -> Auditorium:
        """Replace name and `archived` of an auditorium.

        Raises:
            AuditoriumNotFound, NameTaken.
        """
        try:
            return await self._update(
                slot, lambda connection: catalog_changes.update_auditorium(connection, auditorium_id, change)
            )
        except StorageConflict:
            before = await self.auditorium(auditorium_id)
            if before is not None:
                await self._check_name(change(before))
            raise

    async def movie(self, movie_id: str) -> Movie | None:
        """Return a movie, or None."""
        _, rows = await self._database.read(_MOVIE_BY_ID, key=movie_id)
        return Movie(*rows[0]) if rows else None

    async def cinema(self, cinema_id: str) -> Cinema | None:
        """Return a cinema, or None."""
        _, rows = await self._database.read(_CINEMA_BY_ID, key=cinema_id)
        return Cinema(*rows[0]) if rows else None

    async def auditorium(self, auditorium_id: str) -> Auditorium | None:
        """Return an auditorium, or None."""
        _, rows = await self._database.read(_AUDITORIUM_BY_ID, key=auditorium_id)
        return to_auditorium(rows[0]) if rows else None

    async def movies(self, after: str, limit: int, *, archived: bool = False) -> list[Movie]:
        """Return at most `limit` movies."""
        _, rows = await self._database.read(_MOVIES[archived], after=after, limit=limit)
        return [Movie(*row) for row in rows]

    async def cinemas(self, after: str, limit: int, *, archived: bool = False) -> list[Cinema]:
        """Return at most `limit` cinemas."""
        _, rows = await self._database.read(_CINEMAS[archived], after=after, limit=limit)
        return [Cinema(*row) for row in rows]

    async def auditoriums(self, cinema_id: str, after: str, limit: int, *, archived: bool = False) -> list[Auditorium]:
        """Return at most `limit` auditoriums of a cinema."""
        _, rows = await self._database.read(_AUDITORIUMS[archived], cinema_id=cinema_id, after=after, limit=limit)
        return [to_auditorium(row) for row in rows]

    async def _check_name(self, auditorium: Auditorium) -> None:
        """Check the name of an auditorium that a constraint refused.

        Raises:
            NameTaken: Its cinema has another one of that name.
        """
        _, same_name = await self._database.read(_NAMED, cinema_id=auditorium.cinema_id, name=auditorium.name)
        if any(auditorium_id != auditorium.auditorium_id for (auditorium_id,) in same_name):
            raise NameTaken(auditorium.name) from None

    async def _add(self, slot: ResponseSlot[A] | None, entry: A, statement: Insert) -> None:
        """Run a transaction that adds an entry."""

        def add(connection: Connection) -> A:
            connection.execute(statement)
            return entry

        await self._transact(slot, add)

    async def _update(self, slot: ResponseSlot[A] | None, replace: Callable[[Connection], A]) -> A:
        """Run a transaction that updates an entry."""
        try:
            return await self._transact(slot, replace, lambda _: self._on_update(), may_wait_for_locks=True)
        except StorageUnavailable:
            self._on_update()  # it may have been committed
            raise

    async def _transact(
        self,
        slot: ResponseSlot[A] | None,
        change: Callable[[Connection], A],
        on_commit: Callable[[A], None] | None = None,
        *,
        may_wait_for_locks: bool = False,
    ) -> A:
        """Run a transaction that takes the slot first, so that of two calls with one key only one goes on.

        Raises:
            ResponseAlreadyStored: The key is taken.
        """

        def work(connection: Connection) -> A:
            if slot is not None:
                taken = {"digest": slot.digest, "response": "", "create_time": self._database.time(connection)}
                connection.execute(insert(schema.stored_response).values(**slot.key._asdict(), **taken))
            entry = change(connection)
            if slot is not None:
                own = [_RESPONSE[name] == value for name, value in slot.key._asdict().items()]
                response = b64encode(slot.fill(entry).response).decode()
                connection.execute(update(schema.stored_response).where(*own).values(response=response))
            return entry

        try:
            return await self._database.transact(work, may_wait_for_locks=may_wait_for_locks, on_commit=on_commit)
        except StorageConflict:
            # Drivers name the constraint in different ways.
            if slot is not None and await self.stored_response(slot.key) is not None:
                raise ResponseAlreadyStored from None
            raise
