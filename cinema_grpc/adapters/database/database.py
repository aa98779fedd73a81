"""The database: reads, transactions and checks, each run to completion and with its errors translated."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

import structlog
from sqlalchemy import literal_column, select
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from cinema_grpc.adapters.database.driver import Driver, RawTransaction, Read, Rights, RowsAt, Turn
from cinema_grpc.adapters.database.sqlite import SqliteDriver
from cinema_grpc.adapters.database.statements import Query, Rows
from cinema_grpc.adapters.database.turns import Turns
from cinema_grpc.application.batcher import Batcher
from cinema_grpc.application.box_office.store import StorageConflict, StorageContention
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import CommitOutcomeUnknown, StorageUnavailable
from cinema_grpc.application.task_cancellation import is_cancelled

logger = structlog.get_logger()

T = TypeVar("T")

_NOTHING = Query(select(literal_column("1")))
POOL_SIZE = 10
TRIES = 5
"""How often a transaction is tried when others are in its way."""
SECONDS_TO_CLOSE = 10.0
"""How long transactions may take to end when the database is closed."""


class Database:
    """A database, reached through one pool of connections.

    Attributes:
        driver: What depends on the kind of database.
        clock: The clock that decides, if it is not the database server's.
    """

    def __init__(
        self, url: str, clock: Clock | None = None, pool_size: int = POOL_SIZE, longest_wait: float = math.inf
    ) -> None:
        """Prepare the pool; nothing is connected yet.

        Args:
            url: Such as "sqlite+aiosqlite:///cinema.db" or "postgresql+asyncpg://cinema@localhost/cinema".
            clock: The clock that decides. The default is the database server's, or the machine's for SQLite.
            pool_size: The number of connections; SQLite has one.
            longest_wait: How long a read or transaction may be expected to wait for its turn, in seconds.
        """
        self.driver = _driver(url, clock, pool_size, longest_wait)
        self.clock = self.driver.clock
        self._tasks: set[asyncio.Task[Any]] = set()
        self._not_begun: set[asyncio.Task[Any] | None] = set()
        self._abandoned: set[asyncio.Task[Any] | None] = set()
        # All but the box office take turns here, so it never waits behind them for a connection.
        self._turns = Turns(self.driver.connections, longest_wait)
        # A transaction that waits for a lock keeps its connection, so half of the connections are left to others.
        self._turns_to_lock = Turns(max(self.driver.connections // 2, 1), longest_wait)
        self._has_failed = False
        self._reads: Batcher[Read, RowsAt] = Batcher(self._read, self.driver.readers, self.driver.reads_per_batch)

    @property
    def engine(self) -> AsyncEngine:
        """SQLAlchemy's engine, for migrations and audits."""
        return self.driver.engine

    @property
    def waiting(self) -> int:
        """How many reads and transactions wait for their turn; those of the box office have their own queue."""
        return self._reads.waiting + self._turns.waiting + self._turns_to_lock.waiting

    async def read(
        self, query: Query, *, must_run: bool = False, **parameters: Any
    ) -> tuple[datetime, list[tuple[Any, ...]]]:
        """Run a query on a committed snapshot, together with others that wait; return the time and the rows.

        Args:
            query: The query.
            must_run: Run it however long it has to wait.
            parameters: Its parameters, in stored form.

        Raises:
            StorageUnavailable, Overloaded.
        """
        now, rows = await self._ask(Read(query, parameters), must_run=must_run)
        assert now is not None  # noqa: S101 (for mypy: a query has its time)
        return now, [tuple(row) for row in rows]

    async def read_named(self, name: str, *, must_run: bool = False, **parameters: Any) -> Rows:
        """Run a statement of `sql/` by its name in the same way, and return its rows.

        Raises:
            StorageUnavailable, Overloaded.
        """
        return (await self._ask(Read(name, parameters), must_run=must_run)).rows

    async def now(self) -> datetime:
        """Return the time by the clock that decides.

        Raises:
            StorageUnavailable, Overloaded.
        """
        return self.clock.now() if self.clock else (await self.read(_NOTHING))[0]

    def time(self, connection: Connection) -> datetime:
        """Return the time by the clock that decides, within a transaction."""
        return self.driver.time(connection)

    async def transact(
        self,
        work: Callable[[Connection], T],
        *,
        must_run: bool = False,
        retry_conflicts: bool = False,
        may_wait_for_locks: bool = False,
        on_commit: Callable[[T], None] | None = None,
    ) -> T:
        """Run a transaction to completion, even if the caller is cancelled meanwhile, and return its result.

        It is READ COMMITTED on PostgreSQL, and has the file for itself on SQLite. While it waits for its turn, also for
        another try, a caller that is cancelled drops it.

        Args:
            work: What to do; it blocks. It is repeated where another transaction was in the way.
            must_run: Run it however long it has to wait, and although the caller is cancelled, who waits for it.
            retry_conflicts: Also repeat it after a conflict, as where another transaction inserts the same row.
            may_wait_for_locks: Whether it may wait long for its locks, as for an import's. Half of the connections at
                most run such transactions.
            on_commit: Called with the result after the commit, even if the caller was cancelled meanwhile.

        Raises:
            StorageUnavailable, Overloaded.
            StorageConflict: A constraint refused it.
        """

        async def transact() -> T:
            turn = partial(self._turn, must_run=must_run, may_wait_for_locks=may_wait_for_locks)
            result = await self._transact(work, turn, must_run=must_run, retry_conflicts=retry_conflicts)
            if on_commit is not None:
                on_commit(result)
            return result

        return await self.run_to_completion(transact(), must_run=must_run)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[RawTransaction]:
        """Open a transaction of the box office; what is not committed is rolled back.

        Raises:
            StorageUnavailable, StorageConflict, StorageContention, CommitOutcomeUnknown.
        """
        with self.translated(contention=True):
            async with self.driver.transaction() as transaction:
                yield transaction

    async def run_to_completion(self, work: Coroutine[Any, Any, T], *, must_run: bool = False) -> T:
        """Run work on the database to completion, even if the caller is cancelled meanwhile.

        A connection that is left in the middle is in an unknown state. Work that still waits for its turn is dropped
        then, unless it `must_run`: in that case the caller is cancelled only after it.
        """
        task = asyncio.create_task(work)
        self._tasks.add(task)
        if not must_run:
            self._not_begun.add(task)
        task.add_done_callback(self._end)
        try:
            await asyncio.wait([task])  # which, unlike a shield, is silent about an error that comes later
            return task.result()
        except asyncio.CancelledError:
            if task.cancelled() and not is_cancelled():
                raise StorageUnavailable from None  # the database is being closed
            if task in self._not_begun:
                task.cancel()
            elif not task.done():
                self._abandoned.add(task)
            if must_run:
                await asyncio.wait([task])
            raise

    async def check(self, rights: Rights = MappingProxyType({})) -> None:
        """Check that the database takes writes, and that its user has rights.

        If storage has failed since the last check that passed, this writes and commits new data. A transaction that is
        rolled back would not notice a full disk.

        Raises:
            StorageUnavailable.
        """
        by_writing, self._has_failed = self._has_failed, False
        try:
            await self.run_to_completion(self._check(rights, by_writing=by_writing))
        except BaseException:
            self._has_failed = True
            raise

    async def close(self) -> None:
        """Close all connections, when the transactions on them have ended."""
        if under_way := self._tasks | self._reads.tasks:
            _, unfinished = await asyncio.wait(under_way, timeout=SECONDS_TO_CLOSE)
            for task in unfinished:
                task.cancel()
            if unfinished:
                await asyncio.wait(unfinished, timeout=SECONDS_TO_CLOSE)  # they return their connections
        await self.engine.dispose()

    async def _ask(self, read: Read, *, must_run: bool) -> RowsAt:
        if not must_run:
            self._turns.admission.check(*self._reads.rounds_ahead())
        with self.translated():
            return await self._reads.ask(read)

    async def _read(self, reads: list[Read]) -> Sequence[RowsAt | Exception]:
        # A read that was admitted is not refused later.
        return await self.driver.read(reads, partial(self._turn, must_run=True))

    async def _transact(
        self, work: Callable[[Connection], T], turn: Turn, *, must_run: bool, retry_conflicts: bool
    ) -> T:
        repeated = (StorageContention, StorageConflict) if retry_conflicts else StorageContention
        failure, task = None, asyncio.current_task()
        for _ in range(TRIES):
            try:
                with self.translated(contention=True):
                    async with turn():
                        return await self.driver.transact(work)
            except repeated as error:
                failure = error
            if not must_run:
                self._not_begun.add(task)  # its caller may drop it again, until the next try begins
                if task in self._abandoned:
                    raise asyncio.CancelledError
        logger.error("storage failed", error=str(failure))
        raise StorageUnavailable from failure

    @asynccontextmanager
    async def _turn(self, *, must_run: bool = False, may_wait_for_locks: bool = False) -> AsyncIterator[None]:
        to_lock = self._turns_to_lock.take(must_run=must_run) if may_wait_for_locks else nullcontext()
        async with to_lock, self._turns.take(must_run=must_run, timed=not may_wait_for_locks):
            self._not_begun.discard(asyncio.current_task())
            yield

    async def _check(self, rights: Rights, *, by_writing: bool) -> None:
        self._not_begun.discard(asyncio.current_task())
        with self.translated():
            await self.driver.check_fitness(rights)
            await self.driver.check(by_writing=by_writing)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        self._not_begun.discard(task)
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as retrieved: the caller may have gone

    @contextmanager
    def translated(self, *, contention: bool = False) -> Iterator[None]:
        """Replace the driver's errors by those that stores raise; bugs in our own statements pass unchanged.

        Args:
            contention: Whether the body is repeated after StorageContention, which else is StorageUnavailable.
        """
        try:
            yield
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            # Something that the driver waited for was cancelled. The caller was not, and needs an answer.
            self._has_failed = True
            logger.error("storage failed", error=repr(error))
            raise StorageUnavailable from error
        except Exception as error:
            translation = self.driver.translate(error)
            if translation is None:
                self._has_failed |= isinstance(error, CommitOutcomeUnknown)
                raise
            if isinstance(translation, StorageContention) and not contention:
                translation = StorageUnavailable()
            if isinstance(translation, StorageUnavailable):
                self._has_failed = True
                logger.error("storage failed", error=str(getattr(error, "orig", None) or error))
            raise translation from error


def _driver(url: str, clock: Clock | None, pool_size: int, longest_wait: float) -> Driver:
    if url.startswith("postgresql"):
        # asyncpg comes with an extra, which SQLite does not need.
        from cinema_grpc.adapters.database.postgresql import PostgresqlDriver  # noqa: PLC0415

        return PostgresqlDriver(url, clock, pool_size)
    return SqliteDriver(url, clock, longest_wait)
