"""The connection to the database, and everything in which SQLite and PostgreSQL differ."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import aiosqlite
import structlog
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.ports import Clock, StorageConflict

logger = structlog.get_logger()

T = TypeVar("T")
P = ParamSpec("P")
S = TypeVar("S", bound="_Store")

BUSY_SECONDS = 5
"""How long a statement waits for another process that is writing to the same SQLite file."""
CACHE_KIB = 64 * 1024
"""How much of an SQLite file is kept in memory; the default of 2 MiB would not hold the showtimes on sale."""
SECONDS_TO_CLOSE = 10.0
"""How long a conversation may take to end when the database is closed."""
WRITES = "cinema_writes"
BEGUN = "cinema_begun"
"""Options of a connection: its transactions write; they are begun by whoever uses it."""


class _Store(Protocol):
    _database: "Database"


def uninterrupted(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make a store's method go on when its caller is cancelled, as every client that hangs up cancels its call.

    A conversation that is broken off in the middle leaves its connection in a state that nobody knows.
    """

    @wraps(method)
    async def carried_out(store: S, /, *args: P.args, **named: P.kwargs) -> T:
        return await store._database.to_its_end(method(store, *args, **named))  # noqa: SLF001 (the stores' own part)

    return carried_out


class Database:
    """A database, reached through one pool of connections.

    SQLite runs on a rollback journal, not in WAL mode: SQLite before 3.51.3 can lose a commit in WAL mode when two
    connections write or checkpoint at once (https://www.sqlite.org/wal.html#walresetbug), and the command line writes
    beside a running server.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        """Prepare the pool; nothing is connected yet.

        Args:
            url: An SQLAlchemy URL, such as "sqlite+aiosqlite:///cinema.db".
            clock: The clock that decides where the database has none of its own, as SQLite.
        """
        self._clock = clock
        self._conversations: set[asyncio.Task[Any]] = set()
        # All but the box office wait for their turn here, so that it never stands behind more than one of them.
        self._turn = asyncio.Semaphore(1)
        self._nothing_pending = asyncio.Event()
        self._nothing_pending.set()
        self._driver: aiosqlite.Connection | None = None
        self._looks: dict[Hashable, tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._file: tuple[int, int] | None = None
        self.engine = _sqlite_engine(make_url(url))
        event.listen(self.engine.sync_engine, "connect", self._remember)
        event.listen(self.engine.sync_engine, "close", self._forget)

    async def now(self, connection: AsyncConnection) -> datetime:  # noqa: ARG002 (a database server tells its own time)
        """Tell the time by the clock that decides."""
        return self._clock.now()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that only reads, from one state of the database.

        Raises:
            StorageUnavailable.
        """
        with _translated():
            async with self._turn, self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes; it is committed at the end, or undone if anything is raised.

        Raises:
            StorageUnavailable.
            StorageConflict: A constraint refused it.
        """
        with _translated():
            async with self._turn, self.engine.connect() as connection:
                await connection.execution_options(**{WRITES: True})
                self._nothing_pending.clear()
                try:
                    async with connection.begin():
                        yield connection
                finally:
                    self._nothing_pending.set()

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[AsyncConnection]:
        """Take a connection whose transaction the body begins and commits itself; what it leaves undone is undone.

        Raises:
            StorageUnavailable.
            StorageConflict: A constraint refused it.
        """
        with _translated():
            async with self.engine.connect() as connection:
                await connection.execution_options(**{BEGUN: True})
                yield connection

    async def in_one_go(self, connection: AsyncConnection, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run many statements on the connection's own thread, without coming back to the event loop between them.

        Each statement that goes through SQLAlchemy crosses to that thread and back four times, which costs more than
        the statement itself.
        """
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, aiosqlite.Connection)  # noqa: S101 (for mypy: the engine is made below)
        return await _on_its_thread(driver, work)

    def time(self) -> datetime:
        """Tell the time by the clock that decides, where that needs no connection."""
        return self._clock.now()

    async def peek(self, look: Callable[[sqlite3.Connection], T], key: Hashable = None) -> T:
        """Run queries in one go, from one state of the database, together with all that wait to be run meanwhile.

        They do not wait until the connection is free, but go between the box office's own: its transactions write and
        commit in one go too, so what is seen here is always committed.

        Args:
            look: Runs the queries, on the connection's thread.
            key: What is asked. Of those who wait with the same question one is asked for all.

        Raises:
            StorageUnavailable.
        """
        key = look if key is None else key
        if key in self._looks:
            _, future = self._looks[key]
        else:
            future = asyncio.get_running_loop().create_future()
            self._looks[key] = look, future
            if self._looking is None:
                self._looking = asyncio.create_task(self._look_for_all(), name="reads")
        found: T = await asyncio.shield(future)
        return found

    async def _look_for_all(self) -> None:
        while self._looks:
            looks: list[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = []
            try:
                with _translated():
                    while self._driver is None:
                        async with self.engine.connect():
                            pass
                    while not self._nothing_pending.is_set():
                        await self._nothing_pending.wait()
                    looks, self._looks = [*self._looks.values()], {}
                    found = await _on_its_thread(self._driver, partial(_look, [look for look, _ in looks]))
            except Exception as error:  # noqa: BLE001 (it is theirs who asked)
                looks = looks or [self._looks.popitem()[1]]
                found = [error] * len(looks)
            for (_, future), answer in zip(looks, found, strict=True):
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                    future.exception()  # marks it as seen: perhaps nobody waits any more
                else:
                    future.set_result(answer)
        self._looking = None

    def _remember(self, connection: Any, _record: object) -> None:
        self._driver = connection.driver_connection

    def _forget(self, *_: object) -> None:
        self._driver = None

    async def to_its_end(self, conversation: Coroutine[Any, Any, T]) -> T:
        """Carry a conversation with the database to its end, even if whoever waits for it is cancelled meanwhile."""
        task = asyncio.create_task(conversation)
        self._conversations.add(task)
        task.add_done_callback(self._end)
        return await asyncio.shield(task)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._conversations.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as seen: perhaps nobody waits any more

    async def check(self) -> None:
        """Check that the database can be written to, and that its file is still the one that was first seen.

        Raises:
            StorageUnavailable.
        """
        await self.to_its_end(self._check())

    async def _check(self) -> None:
        async with self.deciding() as connection:
            if await self.in_one_go(connection, self._write_and_undo) != self._file:
                raise FileNotFoundError("the database's file was replaced; what is written now can't be read again")

    def _write_and_undo(self, driver: sqlite3.Connection) -> tuple[int, int]:
        driver.execute("BEGIN IMMEDIATE").close()
        driver.execute("UPDATE alembic_version SET version_num = version_num").close()
        status = Path(str(self.engine.url.database)).stat()
        driver.rollback()
        file = status.st_dev, status.st_ino
        self._file = self._file or file
        return file

    async def close(self) -> None:
        """Close all connections, when the conversations on them have ended."""
        if self._conversations:
            _, unfinished = await asyncio.wait(self._conversations, timeout=SECONDS_TO_CLOSE)
            for conversation in unfinished:
                conversation.cancel()
        await self.engine.dispose()


async def _on_its_thread(driver: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    # aiosqlite lends its thread to its own methods only; a test holds that this way in is there.
    result: T = await driver._execute(work, driver._conn)  # type: ignore[no-untyped-call] # noqa: SLF001
    return result


def _look(looks: Sequence[Callable[[sqlite3.Connection], Any]], driver: sqlite3.Connection) -> list[Any]:
    """Run several reads on the connection's thread, from one state of the database; one that fails gives its error."""
    found: list[Any] = []
    begun = driver.in_transaction
    if not begun:
        driver.execute("BEGIN").close()
    try:
        for look in looks:
            try:
                found.append(look(driver))
            except sqlite3.Error as error:
                found.append(error)
    finally:
        if not begun:
            driver.rollback()
    return found


def _sqlite_engine(url: URL) -> AsyncEngine:
    # One connection is enough, and more would only wait for each other's locks.
    engine = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=30, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # Transactions are begun by _begin_sqlite, not by the driver's guess.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {BUSY_SECONDS * 1000}",
        "journal_mode = PERSIST",  # a rollback journal that is overwritten, not deleted: fewer writes to the folder
        "synchronous = FULL",  # what is acknowledged is on the disk
        "foreign_keys = ON",
        "trusted_schema = OFF",
        f"cache_size = -{CACHE_KIB}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that starts by reading and then writes could fail at once, without waiting, if another process wrote
    # in between.
    options = connection.get_execution_options()
    if not options.get(BEGUN, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES, False) else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into those of the ports; faults of our own statements pass as they are."""
    try:
        yield
    except (IntegrityError, sqlite3.IntegrityError) as error:
        raise StorageConflict(str(getattr(error, "orig", error))) from error
    except (DataError, NotSupportedError, ProgrammingError, sqlite3.ProgrammingError):
        raise
    except (DBAPIError, PoolTimeout, sqlite3.Error, OSError) as error:
        logger.error("storage failed", error=str(getattr(error, "orig", None) or error))
        raise StorageUnavailable from error
