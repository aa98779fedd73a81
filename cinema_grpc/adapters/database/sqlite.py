"""SQLite: one connection to a file. Each transaction is one or two calls on the connection's thread."""

import asyncio
import errno
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import URL, Engine, StaticPool, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database.booking_detail import BOOKING_DETAIL_SQL
from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.adapters.database.driver import PROOF_BYTES, Read, Rights, RowsAt, Turn
from cinema_grpc.adapters.database.sqlite_connection import SqliteConnection, run_on_thread
from cinema_grpc.adapters.database.sqlite_file import make_private, refuse_another_programs
from cinema_grpc.adapters.database.sqlite_transaction import STATEMENTS, SqliteTransaction, run
from cinema_grpc.application.box_office.store import StorageConflict
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.database_url import sqlite_path

T = TypeVar("T")

BUSY_SECONDS = 5.0
"""How long a statement waits at most for another process that has locked the file."""
CACHE_KIB = 16 * 1024
"""The page cache. SQLite's default of 2 MiB would not hold the showtimes on sale."""
CACHED_STATEMENTS = 512
"""How many compiled statements a connection keeps: more than there are. The default is 128."""
PROOF = (
    "BEGIN IMMEDIATE",
    # If the process dies before it is deleted here, retention deletes it first, as the oldest stored response.
    f"""REPLACE INTO stored_response (caller, rpc, request_id, digest, response, create_time)
        VALUES ('', '', '', '', hex(randomblob({PROOF_BYTES // 2})), 0)""",  # noqa: S608 (a constant)
    "COMMIT",
    "DELETE FROM stored_response WHERE caller = '' AND rpc = '' AND request_id = ''",
)
"""Statements that need new pages in the file. The pages stay in it, free, so the next batch finds room."""
PRAGMAS = (
    "journal_mode = PERSIST",  # a rollback journal that is overwritten, not deleted: fewer writes to the folder
    "synchronous = FULL",  # what is acknowledged is on the disk
    "foreign_keys = ON",
    "trusted_schema = OFF",
    f"cache_size = -{CACHE_KIB}",
)


class SqliteDriver:
    """A file of SQLite with a rollback journal. Fulfils Driver.

    Not in WAL mode: SQLite before 3.51.3 can lose a commit in it when two connections write or checkpoint at once
    (https://www.sqlite.org/wal.html#walresetbug), and the command line writes beside a running server.
    """

    shared = False
    waiting_tasks = 0
    connections = 1
    readers = 1
    reads_per_batch = sys.maxsize

    def __init__(self, url: str, clock: Clock | None, longest_wait: float) -> None:
        """Prepare the connection.

        Args:
            url: Names the file.
            clock: Decides instead of the machine's, if given.
            longest_wait: How long a caller may wait, in seconds. A statement waits half as long for a locked file,
                since its caller may have waited for others before.
        """
        # More connections would only wait for each other's locks.
        self.engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=sqlite_path(url)),
            pool_size=1,
            max_overflow=0,
            pool_timeout=30,
            hide_parameters=True,
            connect_args={
                "async_creator_fn": _open,
                "cached_statements": CACHED_STATEMENTS,
                "timeout": min(BUSY_SECONDS, longest_wait / 2),
                "factory": SqliteConnection,
            },
        )
        event.listen(self.engine.sync_engine, "connect", self._remember)
        event.listen(self.engine.sync_engine, "close", self._forget)
        self.clock: Clock = clock or SystemClock()
        self._connection: aiosqlite.Connection | None = None
        self._core: Engine | None = None
        self._file: tuple[int, int] | None = None

    async def read(self, reads: Sequence[Read], turn: Turn) -> Sequence[RowsAt | Exception]:
        """Run all queries in one call on the connection's thread.

        They do not wait for the connection, but run between the calls of the box office, none of which ends with
        uncommitted writes.
        """
        if self._connection is None:
            async with turn(), self.engine.connect():
                pass
        assert self._connection is not None  # noqa: S101 (for mypy)
        now = self.clock.now()

        def read_all(driver: sqlite3.Connection) -> list[RowsAt | Exception]:
            return [_read(driver, each, now) for each in reads]

        return await run_on_thread(self._connection, read_all)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction that writes, in one go."""

        def run(driver: sqlite3.Connection) -> T:
            try:
                with self._core_of(driver).begin() as connection:
                    return work(connection)
            finally:
                driver.rollback()  # without effect after a commit

        return await self._on_thread(run)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["SqliteTransaction"]:
        """Open a transaction of the box office."""
        async with self.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, aiosqlite.Connection)  # noqa: S101 (for mypy)
            transaction = SqliteTransaction(driver, self.clock)
            try:
                yield transaction
            finally:
                await transaction.roll_back()

    async def begin_migration(self, connection: AsyncConnection) -> None:
        """Lock the file."""
        await connection.exec_driver_sql("BEGIN IMMEDIATE")

    async def check(self, *, by_writing: bool) -> None:
        """Check that the file can be written to, and that it is still the one that was first opened.

        Raises:
            OSError: It is not.
        """

        def write(driver: sqlite3.Connection) -> None:
            # Before the statements: SQLite reports a file that is gone as a disk error, or as one it may not write to.
            if self._stored_file() != self._file:
                raise FileNotFoundError("the database file was replaced; what is written now would be lost")
            try:
                driver.execute("BEGIN IMMEDIATE").close()
                driver.execute("UPDATE alembic_version SET version_num = version_num").close()
            finally:
                driver.rollback()
            if by_writing:
                for statement in PROOF:
                    driver.execute(statement).close()

        await self._on_thread(write)

    async def check_fitness(self, rights: Rights) -> None:
        """Do nothing: a file stores any text, and has no users."""

    def translate(self, error: Exception) -> Exception | None:
        """Return the error that stores raise for a driver's error, or None for a bug in our own statements."""
        match error:
            case IntegrityError() | sqlite3.IntegrityError():
                return StorageConflict(str(getattr(error, "orig", error)))
            case DataError() | NotSupportedError() | ProgrammingError() | sqlite3.ProgrammingError():
                return None
            case DBAPIError() | PoolTimeout() | sqlite3.Error() | OSError():
                return StorageUnavailable()
        return None

    def time(self, connection: Connection) -> datetime:  # noqa: ARG002 (SQLite has no clock of its own)
        """Return the time by the clock that decides."""
        return self.clock.now()

    async def _on_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, aiosqlite.Connection)  # noqa: S101 (for mypy)
            return await run_on_thread(driver, work)

    def _core_of(self, driver: sqlite3.Connection) -> Engine:
        """Return SQLAlchemy's synchronous engine on the connection; it is used on the connection's thread alone."""
        if self._core is None:
            self._core = create_engine("sqlite://", creator=lambda: driver, poolclass=StaticPool, hide_parameters=True)
            event.listen(self._core, "begin", lambda each: each.exec_driver_sql("BEGIN IMMEDIATE"))
        return self._core

    def _remember(self, connection: Any, _record: object) -> None:
        self._connection, self._core = connection.driver_connection, None
        self._file = self._file or self._stored_file()

    def _stored_file(self) -> tuple[int, int]:
        """Return what identifies the file that has the name now."""
        status = Path(str(self.engine.url.database)).stat()
        return status.st_dev, status.st_ino

    def _forget(self, *_: object) -> None:
        self._connection = self._core = None


async def _open(path: str, **options: Any) -> aiosqlite.Connection:
    """Open the file and set the connection up; a file that is not there is made, for its owner alone.

    Raises:
        OSError: The file can't be opened, or is another program's.
        sqlite3.Error: It is no database, or is damaged or locked.
    """
    make_private(Path(path))
    connection = aiosqlite.connect(path, **options)
    thread = connection._thread  # noqa: SLF001 (aiosqlite shows it in no other way)
    thread.daemon = True

    def set_up(driver: sqlite3.Connection) -> None:
        refuse_another_programs(Path(path), driver)
        driver.isolation_level = None  # transactions begin where the code begins them
        for pragma in PRAGMAS:
            driver.execute(f"PRAGMA {pragma}").close()
        # A temporary view, since views of the file may not call json_array while the schema is not trusted.
        driver.execute(BOOKING_DETAIL_SQL["sqlite"]).close()

    try:
        await connection
        await run_on_thread(connection, set_up)
    except BaseException as error:
        await connection.close()
        await asyncio.to_thread(thread.join)  # it still answers the event loop, which may be closed next
        if isinstance(error, sqlite3.OperationalError) and "unable to open" in str(error):
            raise PermissionError(errno.EACCES, "Can't open the file or write beside it", path) from error
        raise
    return connection


def _read(driver: sqlite3.Connection, read: Read, now: datetime) -> RowsAt | Exception:
    parameters = {**read.parameters, "now": microseconds(now)}
    try:
        if isinstance(read.query, str):
            return RowsAt(None, run(driver, STATEMENTS[read.query], parameters))
        rows = run(driver, read.query.sqlite, parameters)
        return RowsAt(now, read.query.convert(read.query.unpack(rows)))
    except Exception as error:  # noqa: BLE001 (it is one caller's, and the others get their answers)
        return error
