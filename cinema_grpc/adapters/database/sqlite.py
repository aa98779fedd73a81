"""SQLite: one connection to a file, its clock, its errors, and a batch in one go on the connection's own thread."""

import asyncio
import errno
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
from sqlalchemy import URL, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database.driver import PROOF_BYTES, Answer, Peeks, Rights
from cinema_grpc.adapters.database.prepared import Ask, Found, Go, Prepared, Query, Question, Rows, Step, questions_of
from cinema_grpc.adapters.database.sqlite_connection import BoundedWaitConnection, is_busy
from cinema_grpc.adapters.database.sqlite_file import make_private, refuse_another_programs
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.ports import Clock, CommitUnknown, StorageConflict
from cinema_grpc.database_url import sqlite_path

T = TypeVar("T")

BUSY_SECONDS = 5.0
"""How long a statement waits at most for another process that has locked the file."""
CACHE_KIB = 16 * 1024
"""How much of the file is kept in memory; the default of 2 MiB would not hold the showtimes on sale."""
STATEMENTS_AT_HAND = 512
"""How many statements are kept compiled: more than there are; the default of 128 would not hold all sizes of each."""
PROOF = (
    "BEGIN IMMEDIATE",
    # The earliest of all requests is the first to be forgotten, should the process die before it is deleted here.
    f"""REPLACE INTO request (caller, rpc, request_id, content, outcome, create_time)
        VALUES ('', '', '', x'', randomblob({PROOF_BYTES}), 0)""",  # noqa: S608 (a text of ours)
    "COMMIT",
    "DELETE FROM request WHERE caller = '' AND rpc = '' AND request_id = ''",
)
"""Statements that need new pages in the file. These stay in it, free, so that the next batch is sure to find room."""
WRITES = "cinema_writes"
BEGUN = "cinema_begun"
"""Options of a connection: its transactions write; they are begun by whoever uses it."""


class SqliteDriver:
    """A file of SQLite, on a rollback journal. Fulfils Driver.

    Not in WAL mode: SQLite before 3.51.3 can lose a commit in it when two connections write or checkpoint at once
    (https://www.sqlite.org/wal.html#walresetbug), and the command line writes beside a running server.
    """

    shared = False
    lanes = 1
    apart = 0
    conversations = 1
    peeking = 1
    peeks_a_turn = sys.maxsize
    reading: Mapping[str, Any] = {}
    writing: Mapping[str, Any] = {WRITES: True}
    deciding: Mapping[str, Any] = {BEGUN: True}

    def __init__(self, url: str, longest_wait: float) -> None:
        """Prepare the pool.

        Args:
            url: Names the file.
            longest_wait: How long a caller may wait, in seconds. A statement waits half as long for a locked file,
                since its caller may have waited for others before.
        """
        # One connection is enough, and more would only wait for each other's locks.
        self.engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=sqlite_path(url)),
            pool_size=1,
            max_overflow=0,
            pool_timeout=30,
            hide_parameters=True,
            connect_args={
                "cached_statements": STATEMENTS_AT_HAND,
                "timeout": min(BUSY_SECONDS, longest_wait / 2),
                "factory": BoundedWaitConnection,
                "async_creator_fn": open_file,
            },
        )
        event.listen(self.engine.sync_engine, "begin", _begin)
        event.listen(self.engine.sync_engine, "connect", self._remember)
        event.listen(self.engine.sync_engine, "close", self._forget)
        self.clock: Clock | None = SystemClock()
        self._connection: aiosqlite.Connection | None = None
        self._nothing_pending = asyncio.Event()
        self._nothing_pending.set()
        self._file: tuple[int, int] | None = None

    async def now(self, connection: AsyncConnection) -> datetime:  # noqa: ARG002 (SQLite has no clock of its own)
        """Tell the time of this machine."""
        return SystemClock().now()

    async def lock(self, connection: AsyncConnection, lock: Step) -> None:  # noqa: ARG002 (see `look`)
        """Leave it to `look`: a transaction locks the whole file as it begins."""
        return

    async def look(
        self,
        connection: AsyncConnection,
        lock: Step,
        locked: Found | None,  # noqa: ARG002 (it is None)
        ask: Callable[[Found], Go],
    ) -> tuple[Found, datetime, list[Found]]:
        """Begin a transaction, which locks the whole file, and read."""

        def begin_and_read(driver: sqlite3.Connection) -> tuple[Found, datetime, list[Found]]:
            driver.execute("BEGIN IMMEDIATE").close()
            found = _read(driver, *lock)
            answers = [_read(driver, statement, rows) for statement, rows in ask(found).steps]
            return found, SystemClock().now(), answers

        return await self._in_one_go(connection, begin_and_read)

    async def read(self, connection: AsyncConnection, questions: Sequence[Step]) -> list[Found]:
        """Ask many questions in one go."""
        return await self._in_one_go(
            connection, lambda driver: [_read(driver, statement, rows) for statement, rows in questions]
        )

    async def peek(
        self,
        line: Peeks,
        clock: Clock | None,
        its_turn: Callable[[], AbstractAsyncContextManager[None]],  # noqa: ARG002 (for those who take a connection)
    ) -> None:
        """Answer all who wait, in one go.

        They do not wait until the connection is free, but go between the box office's own: its transactions write and
        commit in one go too, so what is seen here is always committed.
        """
        connection = await self._undisturbed()

        async def look(asks: list[Ask]) -> Sequence[Answer | Exception]:
            now = (clock or SystemClock()).now()
            answers = await _on_its_thread(connection, partial(_look, [_asked(ask, now) for ask in asks]))
            return [answer if isinstance(answer, Exception) else (now, answer) for answer in answers]

        await line.answer_all(look)

    async def _undisturbed(self) -> aiosqlite.Connection:
        """Wait until nothing is written but not committed on the connection, and give it."""
        while self._connection is None or not self._nothing_pending.is_set():
            await self._nothing_pending.wait()
            if self._connection is None:
                async with self.engine.connect():
                    pass
        return self._connection

    @contextmanager
    def while_pending(self) -> Iterator[None]:
        """Enclose a transaction that writes in several goes, so that nobody peeks at what is not committed."""
        self._nothing_pending.clear()
        try:
            yield
        finally:
            self._nothing_pending.set()

    async def write_and_commit(self, connection: AsyncConnection, goes: Sequence[Go]) -> None:
        """Run statement after statement, and commit.

        Raises:
            StorageConflict, CommitUnknown.
        """

        def write_and_commit(driver: sqlite3.Connection) -> None:
            try:
                for go in goes:
                    _write(driver, go.steps)
                try:
                    driver.execute("COMMIT").close()
                except sqlite3.Error as error:
                    if is_busy(error):
                        raise  # another process reads, and nothing was written yet
                    raise CommitUnknown from error
            finally:
                driver.rollback()  # nothing, after a commit; else nobody who peeks may see what was not committed

        await self._in_one_go(connection, write_and_commit)

    async def undo(self, connection: AsyncConnection) -> None:
        """Leave it to the pool, which rolls back whatever comes back to it."""

    async def prepare_to_migrate(self, connection: AsyncConnection) -> None:
        """Do nothing: a transaction that writes has the file for itself."""

    async def check(self, connection: AsyncConnection, *, by_writing: bool) -> None:
        """Check that the file can be written to, and that it is still the one that was first seen.

        Raises:
            OSError: It is not.
        """

        def write(driver: sqlite3.Connection) -> tuple[int, int]:
            try:
                driver.execute("BEGIN IMMEDIATE").close()
                driver.execute("UPDATE alembic_version SET version_num = version_num").close()
                status = Path(str(self.engine.url.database)).stat()
            finally:
                driver.rollback()
            if by_writing:
                for statement in PROOF:
                    driver.execute(statement).close()
            return status.st_dev, status.st_ino

        file = await self._in_one_go(connection, write)
        self._file = self._file or file
        if file != self._file:
            raise FileNotFoundError("the database's file was replaced; what is written now can't be read again")

    async def check_fitness(self, connection: AsyncConnection, rights: Rights) -> None:
        """Do nothing: a file keeps any text, and has no rights of its own."""

    def translate(self, error: Exception) -> Exception | None:
        """Give what an error of the driver's is to the stores, or None for a fault of our own statements."""
        match error:
            case IntegrityError() | sqlite3.IntegrityError():
                return StorageConflict(str(getattr(error, "orig", error)))
            case DataError() | NotSupportedError() | ProgrammingError() | sqlite3.ProgrammingError():
                return None
            case DBAPIError() | PoolTimeout() | sqlite3.Error() | OSError():
                return StorageUnavailable()
        return None

    async def _in_one_go(self, connection: AsyncConnection, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run many statements on the connection's own thread, without coming back to the event loop between them.

        Each statement that goes through SQLAlchemy crosses to that thread and back four times, which costs more than
        the statement itself.
        """
        driver = (await connection.get_raw_connection()).driver_connection
        assert isinstance(driver, aiosqlite.Connection)  # noqa: S101 (for mypy: the engine is made above)
        return await _on_its_thread(driver, work)

    def _remember(self, connection: Any, _record: object) -> None:
        self._connection = connection.driver_connection

    def _forget(self, *_: object) -> None:
        self._connection = None


async def open_file(path: str, **options: Any) -> aiosqlite.Connection:
    """Open an SQLite file and set the connection up; a file that is not there is made, for its owner alone.

    Raises:
        OSError: The file can't be opened, or is another program's.
        sqlite3.Error: It is no database, or is damaged or locked.
    """
    await asyncio.to_thread(make_private, Path(path))
    connection = aiosqlite.connect(path, **options)
    thread = connection._thread  # noqa: SLF001 (aiosqlite shows it in no other way)
    thread.daemon = True
    try:
        await connection
        await _on_its_thread(connection, partial(refuse_another_programs, Path(path)))
        await _on_its_thread(connection, _prepare)
    except BaseException as error:
        await connection.close()
        # Without this its thread could outlive the event loop, which it has something to tell, and fail.
        await asyncio.to_thread(thread.join)
        if isinstance(error, sqlite3.OperationalError) and "unable to open" in str(error):
            raise PermissionError(errno.EACCES, "Can't open the file or write beside it", path) from error
        raise
    return connection


async def _on_its_thread(driver: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    # aiosqlite lends its thread to its own methods only; a test holds that this way in is there.
    result: T = await driver._execute(work, driver._conn)  # type: ignore[no-untyped-call] # noqa: SLF001
    return result


def _asked(ask: Ask, now: datetime) -> Sequence[Question] | Exception:
    try:
        return questions_of(ask, now)
    except Exception as error:  # noqa: BLE001 (it is theirs who asks)
        return error


def _look(asked: Sequence[Sequence[Question] | Exception], driver: sqlite3.Connection) -> list[list[Found] | Exception]:
    """Answer several callers from one state of the database; a question that can't be asked is its caller's fault."""
    answers: list[list[Found] | Exception] = []
    begun = driver.in_transaction
    if not begun:
        driver.execute("BEGIN").close()
    try:
        for questions in asked:
            if isinstance(questions, Exception):
                answers.append(questions)
                continue
            try:
                answers.append([_read(driver, query, rows) for query, rows in questions])
            except Exception as error:  # noqa: BLE001
                answers.append(error)
    finally:
        if not begun:
            driver.rollback()
    return answers


def _read(driver: sqlite3.Connection, statement: Prepared | Query, rows: Rows) -> Found:
    found: list[tuple[Any, ...]] = []
    for text, values in statement.in_parts(rows):
        cursor = driver.execute(text, values)
        found += cursor.fetchall()
        cursor.close()
    return statement.unpack(found)


def _write(driver: sqlite3.Connection, steps: Iterable[tuple[Prepared, Rows]]) -> None:
    for statement, rows in steps:
        hit = 0
        for text, values in statement.in_parts(rows):
            cursor = driver.execute(text, values)
            hit += cursor.rowcount
            cursor.close()
        if statement.exactly and hit != len(rows):
            raise StorageConflict(f"{hit} rows instead of {len(rows)}")


def _prepare(connection: sqlite3.Connection) -> None:
    # Transactions are begun by _begin, not by the driver's guess.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode = PERSIST",  # a rollback journal that is overwritten, not deleted: fewer writes to the folder
        "synchronous = FULL",  # what is acknowledged is on the disk
        "foreign_keys = ON",
        "trusted_schema = OFF",
        f"cache_size = -{CACHE_KIB}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # A transaction that starts by reading and then writes could fail at once, without waiting, if another process wrote
    # in between.
    options = connection.get_execution_options()
    if not options.get(BEGUN, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(WRITES, False) else "BEGIN")
