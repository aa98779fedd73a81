"""The catalog in the database: movies, cinemas, auditoriums, and new showtimes."""

from base64 import b64encode
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import bindparam, false, insert, select, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import catalog_changes, schema
from cinema_grpc.adapters.database.booking_rows import read_response
from cinema_grpc.adapters.database.catalog_entries import ENTRY_TYPES, EntryType
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.box_office.store import StorageConflict
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.idempotency import IdempotencyKey, ResponseSlot, StoredResponse
from cinema_grpc.application.ports import ResponseAlreadyStored
from cinema_grpc.domain.catalog import Auditorium, Cinema, E, ListedShowtime, Movie
from cinema_grpc.domain.errors import NameTaken

A = TypeVar("A")

_AUDITORIUM = schema.auditorium.c
_RESPONSE = schema.stored_response.c


def _list(stored: EntryType, *, archived: bool) -> Query:
    query = select(*stored.columns).where(stored.key > bindparam("after")).order_by(stored.key)
    if not archived:
        query = query.where(stored.key.table.c.archived == false())
    if stored.key is _AUDITORIUM.auditorium_id:
        query = query.where(_AUDITORIUM.cinema_id == bindparam("cinema_id"))
    return Query(query.limit(bindparam("limit")))


_BY_ID = {
    kind: Query(select(*stored.columns).where(stored.key == bindparam("key"))) for kind, stored in ENTRY_TYPES.items()
}
_LISTS = {
    (kind, archived): _list(stored, archived=archived)
    for kind, stored in ENTRY_TYPES.items()
    for archived in (False, True)
}
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

    async def add(self, entry: E, slot: ResponseSlot[E] | None) -> None:
        """Add an entry; an auditorium to an existing cinema.

        Raises:
            NameTaken: The cinema has another auditorium of that name.
        """

        def write(connection: Connection) -> E:
            stored = ENTRY_TYPES[type(entry)]
            connection.execute(insert(stored.key.table).values(stored.to_row(entry)))
            return entry

        try:
            await self._transact(slot, write)
        except StorageConflict:
            if isinstance(entry, Auditorium):
                await self._check_name(entry)
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

    async def update(self, kind: type[E], entry_id: str, change: Callable[[E], E], slot: ResponseSlot[E] | None) -> E:
        """Replace an entry by what `change` makes of it.

        Raises:
            MovieNotFound, CinemaNotFound, AuditoriumNotFound, NameTaken, InvalidRequest.
        """

        def replace(connection: Connection) -> E:
            now = partial(self._database.time, connection)
            return catalog_changes.update_entry(connection, now, kind, entry_id, change)

        try:
            return await self._transact(slot, replace, lambda _: self._on_update(), may_wait_for_locks=True)
        except StorageUnavailable:
            self._on_update()  # it may have been committed
            raise
        except StorageConflict:
            changed = change(await self.get(kind, entry_id))
            if isinstance(changed, Auditorium):
                await self._check_name(changed)
            raise

    async def get(self, kind: type[E], entry_id: str) -> E:
        """Return an entry.

        Raises:
            MovieNotFound, CinemaNotFound, AuditoriumNotFound.
        """
        stored = ENTRY_TYPES[kind]
        _, rows = await self._database.read(_BY_ID[kind], key=entry_id)
        if not rows:
            raise stored.not_found(entry_id)
        entry: E = stored.from_row(rows[0])
        return entry

    async def page(
        self, kind: type[E], after: str, limit: int, *, archived: bool = False, cinema_id: str | None = None
    ) -> list[E]:
        """Return at most `limit` entries; of auditoriums those of a cinema."""
        of: dict[str, Any] = {} if cinema_id is None else {"cinema_id": cinema_id}
        _, rows = await self._database.read(_LISTS[kind, archived], after=after, limit=limit, **of)
        return [ENTRY_TYPES[kind].from_row(row) for row in rows]

    async def _check_name(self, auditorium: Auditorium) -> None:
        """Check the name of an auditorium that a constraint refused.

        Raises:
            NameTaken: Its cinema has another one of that name.
        """
        _, same_name = await self._database.read(_NAMED, cinema_id=auditorium.cinema_id, name=auditorium.name)
        if any(auditorium_id != auditorium.auditorium_id for (auditorium_id,) in same_name):
            raise NameTaken(auditorium.name) from None

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
