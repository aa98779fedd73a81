"""The way to the database: conversations that read, write or decide, each carried to its end."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial, wraps
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cinema_grpc.adapters.database.driver import Answer, Driver, Peeks, Rights
from cinema_grpc.adapters.database.prepared import NOTHING, Ask, Found, Go, Step
from cinema_grpc.adapters.database.sqlite import SqliteDriver
from cinema_grpc.application.cancellation import is_cancelled
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.line import Line
from cinema_grpc.application.patience import Patience
from cinema_grpc.application.ports import Clock, CommitUnknown, StorageConflict, StorageContention
from cinema_grpc.database_url import POSTGRESQL, parse_postgresql

logger = structlog.get_logger()

T = TypeVar("T")
P = ParamSpec("P")
S = TypeVar("S", bound="_Store")

POOL_SIZE = 10
TRIES = 5
"""How often a decision is tried when other transactions get in its way."""
SECONDS_TO_CLOSE = 10.0
"""How long a conversation may take to end when the database is closed."""


class _Store(Protocol):
    _database: "Database"


def uninterrupted(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make a store's method go on when its caller is cancelled, as every client that hangs up cancels its call.

    A conversation that is broken off in the middle leaves its connection in a state that nobody knows. One that has not
    begun yet is dropped.
    """

    @wraps(method)
    async def carried_out(store: S, /, *args: P.args, **named: P.kwargs) -> T:
        return await store._database.to_its_end(method(store, *args, **named))  # noqa: SLF001 (the stores' own part)

    return carried_out


def owed(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """Make a store's method be carried out whatever becomes of its caller; one who is cancelled stays until it is."""

    @wraps(method)
    async def carried_out(store: S, /, *args: P.args, **named: P.kwargs) -> T:
        return await store._database.to_its_end(method(store, *args, **named), owed=True)  # noqa: SLF001 (as above)

    return carried_out


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
            clock: The clock that decides; if left out the database server's own, or the machine's for SQLite.
            pool_size: How many connections there may be; SQLite has one.
            longest_wait: How long a conversation may be expected to wait for its turn, in seconds.
        """
        self.driver = _driver(url, pool_size, longest_wait)
        self.clock = clock or self.driver.clock
        self._conversations: set[asyncio.Task[Any]] = set()
        self._not_begun: set[asyncio.Task[Any] | None] = set()
        # All but the box office wait for their turn here, so that it never stands behind them for a connection.
        self._turn = asyncio.Semaphore(self.driver.conversations)
        self._in_line = 0
        self._has_failed = False
        self._patience = Patience(longest_wait)
        self._peeks: Peeks = Line(self._peek, self.driver.peeking)

    @property
    def engine(self) -> AsyncEngine:
        """What gives connections."""
        return self.driver.engine

    async def now(self, connection: AsyncConnection) -> datetime:
        """Tell the time by the clock that decides."""
        return self.clock.now() if self.clock else await self.driver.now(connection)

    @asynccontextmanager
    async def reading(self, *, owed: bool = False) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that only reads, from one state of the database.

        Args:
            owed: Whether it has to be done however long it has to wait.

        Raises:
            StorageUnavailable, Overloaded.
        """
        with self._translated():
            async with self._its_turn(owed=owed), self.engine.connect() as connection:
                await connection.execution_options(**self.driver.reading)
                yield connection

    @asynccontextmanager
    async def writing(self, *, owed: bool = False) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes; it is committed at the end, or undone if anything is raised.

        Args:
            owed: Whether it has to be done however long it has to wait.

        Raises:
            StorageUnavailable, Overloaded.
            StorageConflict: A constraint refused it.
        """
        with self._translated():
            async with self._its_turn(owed=owed), self.engine.connect() as connection:
                await connection.execution_options(**self.driver.writing)
                with self.driver.while_pending():
                    async with connection.begin():
                        yield connection

    @asynccontextmanager
    async def _its_turn(self, *, owed: bool = False) -> AsyncIterator[None]:
        if not owed:
            self._patience.check(self._in_line // self.driver.conversations)
        self._in_line += 1
        try:
            async with self._turn:
                self._not_begun.discard(asyncio.current_task())
                start = time.monotonic()
                yield
                self._patience.took(time.monotonic() - start)
        finally:
            self._in_line -= 1

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[AsyncConnection]:
        """Take a connection whose transaction the body begins and commits itself; what it leaves undone is undone.

        Raises:
            StorageUnavailable.
            StorageConflict: A constraint refused it.
            StorageContention: Another transaction got in the way.
        """
        self._not_begun.discard(asyncio.current_task())
        with self._translated(contention=True):
            async with self.engine.connect() as connection:
                if self.driver.deciding:
                    await connection.execution_options(**self.driver.deciding)
                try:
                    yield connection
                finally:
                    await self.driver.undo(connection)

    async def decide(
        self,
        lock: Step,
        decision: Callable[[Found, datetime, list[Found]], tuple[T, Go | None]],
        ask: Callable[[Found], Go] = lambda _: NOTHING.of({}),
        *,
        racing: bool = False,
        owed: bool = False,
    ) -> T:
        """Lock rows, decide by what they are, and write what follows, in a few goes.

        Where another transaction gets in the way, all of it is tried anew. With SQLite nothing is written before the
        last go, so unlike in `writing` whoever peeks waits for that alone.

        Args:
            lock: Gives the rows.
            decision: Gives the answer, and what is to be written, by the rows, the time, and what was asked. It may be
                called again with other rows.
            ask: Gives by the rows what else is to be read; another thread may call it.
            racing: Whether another transaction may make the rows that this one makes; then it is tried anew, too.
            owed: Whether it has to be done however long it has to wait.

        Raises:
            StorageUnavailable, Overloaded.
            StorageConflict: A constraint refused it.
        """
        failure: Exception | None = None
        for _ in range(TRIES):
            try:
                async with self._its_turn(owed=owed), self.deciding() as connection:
                    locked = await self.driver.lock(connection, lock)
                    found, told, answers = await self.driver.look(connection, lock, locked, ask)
                    answer, go = decision(found, self.clock.now() if self.clock else told, answers)
                    if go is not None:
                        await self.driver.write_and_commit(connection, [go])
                    return answer
            except StorageContention as contention:
                failure = contention
            except StorageConflict as conflict:
                if not racing:
                    raise
                failure = conflict
            except CommitUnknown as unknown:
                failure = unknown
                break
        logger.error("storage failed", error=str(failure.__cause__ or failure) if failure else None)
        raise StorageUnavailable from failure

    async def peek(self, ask: Ask) -> Answer:
        """Tell the time, and ask questions of one state of the database, in the quickest way there is.

        Args:
            ask: Questions, or what gives them by the time, which is called when the reading begins.

        Raises:
            StorageUnavailable, Overloaded.
        """
        self._patience.check(*self._peeks.ahead())
        with self._translated():
            return await self._peeks.ask(ask)

    async def _peek(self) -> None:
        # Whoever is in line was let in at the door, and is not turned away later.
        await self.driver.peek(self._peeks, self.clock, partial(self._its_turn, owed=True))

    async def to_its_end(self, conversation: Coroutine[Any, Any, T], *, owed: bool = False) -> T:
        """Carry a conversation with the database to its end, even if whoever waits for it is cancelled meanwhile.

        One that still waits for its turn is dropped then, so that what nobody waits for holds up nobody, and is not
        done long after its caller has gone on to something else.

        Args:
            conversation: What is carried out.
            owed: Whether it is not dropped either; whoever is cancelled stays until it is done.
        """
        task = asyncio.create_task(conversation)
        self._conversations.add(task)
        if not owed:
            self._not_begun.add(task)
        task.add_done_callback(self._end)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled() and not is_cancelled():
                raise StorageUnavailable from None  # the database is being closed
            if task in self._not_begun:
                task.cancel()
            elif owed:
                await asyncio.wait([task])
            raise

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._conversations.discard(task)
        self._not_begun.discard(task)
        if not task.cancelled():
            task.exception()  # marks it as seen: perhaps nobody waits any more

    async def check(self, rights: Rights = MappingProxyType({})) -> None:
        """Check that the database takes writes, and that its user has rights.

        If storage has failed since the last check that passed, this writes and commits new data. A transaction that is
        rolled back would not notice a full disk.

        Raises:
            StorageUnavailable.
        """
        by_writing, self._has_failed = self._has_failed, False
        try:
            await self.to_its_end(self._check(rights, by_writing=by_writing))
        except BaseException:
            self._has_failed = True
            raise

    async def _check(self, rights: Rights, *, by_writing: bool) -> None:
        async with self.deciding() as connection:
            await self.driver.check_fitness(connection, rights)
            await self.driver.check(connection, by_writing=by_writing)

    async def close(self) -> None:
        """Close all connections, when the conversations on them have ended."""
        if under_way := self._conversations | self._peeks.tasks:
            _, unfinished = await asyncio.wait(under_way, timeout=SECONDS_TO_CLOSE)
            for conversation in unfinished:
                conversation.cancel()
            if unfinished:
                await asyncio.wait(unfinished, timeout=SECONDS_TO_CLOSE)  # they give back their connections
        await self.engine.dispose()

    @contextmanager
    def _translated(self, *, contention: bool = False) -> Iterator[None]:
        """Turn the driver's errors into those of the ports; faults of our own statements pass as they are."""
        try:
            yield
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            # Something that the driver waited for was cancelled. The caller was not, and has to get an answer.
            self._has_failed = True
            logger.error("storage failed", error=repr(error))
            raise StorageUnavailable from error
        except Exception as error:
            translation = self.driver.translate(error)
            if translation is None:
                self._has_failed |= isinstance(error, CommitUnknown)
                raise
            if isinstance(translation, StorageContention) and not contention:
                translation = StorageUnavailable()
            if isinstance(translation, StorageUnavailable):
                self._has_failed = True
                logger.error("storage failed", error=str(getattr(error, "orig", None) or error))
            raise translation from error


def without_secrets(url: str) -> str:
    """Return a URL for a log: without its password, and without parameters, which may hold another one."""
    return parse_postgresql(url).without_secrets() if url.startswith(POSTGRESQL) else url


def _driver(url: str, pool_size: int, longest_wait: float) -> Driver:
    if url.startswith("postgresql"):
        # asyncpg comes with an extra, and those who run on SQLite need not have it.
        from cinema_grpc.adapters.database.postgresql import PostgresqlDriver  # noqa: PLC0415

        return PostgresqlDriver(url, pool_size)
    return SqliteDriver(url, longest_wait)
