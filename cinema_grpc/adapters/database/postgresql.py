"""PostgreSQL: its pool of connections, its clock, its checks and its errors."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
import orjson
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from cinema_grpc.adapters.database.column_types import microseconds, moment, searchable
from cinema_grpc.adapters.database.connect import connect
from cinema_grpc.adapters.database.driver import PROOF_BYTES, Read, Rights, RowsAt, Turn
from cinema_grpc.adapters.database.postgresql_fitness import check_fitness, check_locks
from cinema_grpc.adapters.database.postgresql_transaction import (
    CONSTRAINT,
    CONTENTION,
    STATEMENTS,
    PostgresqlTransaction,
    prepare,
)
from cinema_grpc.application.box_office.store import StorageConflict, StorageContention
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.database_url import parse_postgresql

T = TypeVar("T")

WAITING_TASKS = 4
"""How many transactions may wait for showtimes that other processes have locked."""
CONNECT_SECONDS = 5.0
"""How long a connection to one server may take to be made, where the URL has no `connect_timeout`."""
POOL_SECONDS = 10.0
"""How long a connection may take to come free. All but health checks wait for their turn before."""
READS_PER_BATCH = 16
"""Maximum consecutive reads on a connection, until others have their turn."""
CACHED_STATEMENTS = 256
"""Prepared statements that a connection keeps: twice as many as there are, so that none is prepared under locks."""
PARAMETERS = {
    "application_name": "cinema-grpc",
    "statement_timeout": "10s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
    # Every statement finds its rows by an index. A plan that scans a table, made while the table was small, would stay
    # in use while it grows.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",  # loses the order of the index, so a page would need a sort
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
}
"""The parameters of each connection, unless its URL sets them. statement_timeout does not apply to COMMIT: the server
stops the timer before the commit begins."""
CLOCK_BEFORE = "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint"
"""The time at which a statement arrived: before the snapshot that it reads."""
PREPARED = "cinema_prepared"
MIGRATION_LOCK = 7_209_385_611
"""The key of the advisory lock for migrations."""
NEXT_SERVER = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""Failures of one server after which the next one is tried."""
BUGS = ("0A", "22", "42")
"""Classes of errors that are bugs of our own statements: unsupported feature, bad data, bad syntax or name."""
NOT_BUGS = {"42501", "42P01"}
"""Errors of these classes that are not: a missing privilege, and a missing table, as in a schema without privileges."""

PROOF = f"""CREATE TEMPORARY TABLE cinema_proof ON COMMIT DROP AS
    SELECT repeat('-', 1900) FROM generate_series(1, {PROOF_BYTES // 1900})"""  # noqa: S608 (a text of ours)
"""Creating a table needs new pages and a commit. Texts of this length are not compressed."""


class PostgresqlDriver:
    """A database of PostgreSQL. Fulfils Driver."""

    shared = True
    waiting_tasks = WAITING_TASKS
    reads_per_batch = READS_PER_BATCH

    def __init__(self, url: str, clock: Clock | None, pool_size: int) -> None:
        """Prepare the pool.

        Args:
            url: As the settings have it.
            clock: Decides instead of the server's, if given.
            pool_size: How many connections there may be, of which the box office takes 1 + WAITING_TASKS.
        """
        self.clock = clock
        parsed = parse_postgresql(url)
        parameters = dict(parsed.parameters)
        self._connect_seconds = float(parameters.pop("connect_timeout", CONNECT_SECONDS))
        self._urls = replace(parsed, parameters=tuple(parameters.items())).one_by_one()
        self._parameters = {name: value for name, value in PARAMETERS.items() if name not in parameters}
        self.connections = self.readers = pool_size - (1 + WAITING_TASKS)
        self.engine = create_async_engine(
            "postgresql+asyncpg://",
            connect_args={"async_creator_fn": self._connect},
            isolation_level="AUTOCOMMIT",  # where no transaction is asked for, none has to be begun and ended
            pool_pre_ping=True,  # replaces connections that were lost, as by a restart of the server
            pool_use_lifo=True,  # those used last have their statements prepared
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_SECONDS,
            hide_parameters=True,
            json_deserializer=orjson.loads,
        )

    async def read(self, reads: Sequence[Read], turn: Turn) -> Sequence[RowsAt | Exception]:
        """Run queries one after another on one connection, each in one round trip, or two if it depends on the time.

        Returning the connection, taking it again and checking it would cost more than a query.
        """
        answers: list[RowsAt | Exception] = []
        async with turn():
            while len(answers) < len(reads):  # a connection that is lost fails one read, not those after it
                try:
                    async with self.engine.connect() as connection:
                        answers += await _read_on(_asyncpg_of(connection), reads[len(answers) :], self.clock)
                except Exception as error:  # noqa: BLE001 (as in `_read_on`)
                    answers += [error] * (len(reads) - len(answers))
        return answers

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction that writes."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="READ COMMITTED")
            try:
                async with connection.begin():
                    return await connection.run_sync(work)
            finally:
                await _roll_back(connection)  # where SQLAlchemy's own rollback failed, and the connection is not lost

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["PostgresqlTransaction"]:
        """Open a transaction of the box office."""
        async with self.engine.connect() as connection:
            raw, info = _asyncpg_of(connection), _checked_out(connection).info
            try:
                if PREPARED not in info:
                    await prepare(raw)
                    info[PREPARED] = True
                yield PostgresqlTransaction(raw, self.clock)
            except asyncio.CancelledError:
                await connection.invalidate()  # asyncpg can't tell whether the server has begun a transaction
                raise
            finally:
                await _roll_back(connection)

    async def begin_migration(self, connection: AsyncConnection) -> None:
        """Wait until no other process migrates this database, without a time limit; the migrations have none either."""
        await connection.execution_options(isolation_level="READ COMMITTED")
        for timeout in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            await connection.exec_driver_sql(f"SET LOCAL {timeout} = 0")
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")

    async def check(self, *, by_writing: bool) -> None:
        """Check that the server takes writes; all connections to one that has become a standby are closed.

        Raises:
            OSError: It does not.
        """
        async with self.engine.connect() as connection:
            raw = _asyncpg_of(connection)
            if await raw.fetchval("SHOW transaction_read_only") == "on":
                await connection.invalidate()  # `dispose` closes only those that are not in use
                await self.engine.dispose()
                raise ConnectionError("the database server is read-only, as a standby is")
            await check_locks(raw)
        if by_writing:
            await self.transact(_write)

    async def check_fitness(self, rights: Rights) -> None:
        """Check that the database can store any text, and that the user has rights.

        Raises:
            OSError: It can't, or the user lacks some; the message names what is missing.
        """
        async with self.engine.connect() as connection:
            await check_fitness(_asyncpg_of(connection), rights)

    def time(self, connection: Connection) -> datetime:
        """Return the time by the clock that decides."""
        server_time = STATEMENTS["clock"].text
        return self.clock.now() if self.clock else moment(connection.exec_driver_sql(server_time).scalar_one())

    def translate(self, error: Exception) -> Exception | None:
        """Return the error that stores raise for a driver's error, or None for a bug in our own statements."""
        if isinstance(error, DBAPIError):
            error = error.driver_exception
        sqlstate = str(getattr(error, "sqlstate", None) or "")
        # After a migration by a newer replica a plan may be outdated; the driver makes it again the next time.
        outdated = isinstance(error, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError)
        if outdated or sqlstate in CONTENTION:
            return StorageContention(str(error))
        if sqlstate.startswith(CONSTRAINT):
            return StorageConflict(str(error))
        if sqlstate not in NOT_BUGS and (sqlstate.startswith(BUGS) or isinstance(error, asyncpg.DataError)):
            return None
        lost = asyncpg.InterfaceError | asyncpg.InternalClientError
        if sqlstate or isinstance(error, lost | PoolTimeout | OSError):
            return StorageUnavailable()
        return None

    async def _connect(self, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect to the first server that accepts, beginning with the one that accepted last.

        Each server has its own time limit. With several servers asyncpg has one, which a silent server would use up.
        """
        failure: Exception | None = None
        for url in self._urls:
            try:
                connection = await connect(
                    url,
                    timeout=self._connect_seconds,
                    server_settings=self._parameters,
                    statement_cache_size=CACHED_STATEMENTS,
                    max_cached_statement_lifetime=0,  # what is prepared stays so
                    **options,
                )
            except NEXT_SERVER as error:
                failure = error
            else:
                self._urls = [url, *(each for each in self._urls if each != url)]
                return connection
        raise failure or OSError("the URL names no server")


def _asyncpg_of(connection: AsyncConnection) -> "asyncpg.Connection[asyncpg.Record]":
    raw = _checked_out(connection).driver_connection
    assert isinstance(raw, asyncpg.Connection)  # noqa: S101 (for mypy: the engine is made above)
    return raw


def _checked_out(connection: AsyncConnection) -> PoolProxiedConnection:
    # AsyncConnection itself would fetch it through a greenlet, at the price of a statement.
    assert connection.sync_connection is not None  # noqa: S101 (for mypy: it is open)
    if connection.invalidated:
        raise asyncpg.InterfaceError("the connection is lost")
    return connection.sync_connection.connection


async def _roll_back(connection: AsyncConnection) -> None:
    """Roll back what was begun and not committed; a connection on which that fails is closed."""
    if connection.invalidated:
        return  # SQLAlchemy has noticed that it is lost
    try:
        raw = _asyncpg_of(connection)
        if raw.is_in_transaction() or raw.is_closed():
            await raw.execute("ROLLBACK")
    except BaseException as error:
        await connection.invalidate()  # whatever it was
        if not isinstance(error, Exception):
            raise


def _write(connection: Connection) -> None:
    connection.exec_driver_sql("SET LOCAL temp_tablespaces = ''")  # the disk that bookings are written to
    connection.exec_driver_sql(PROOF)


async def _read_on(
    raw: "asyncpg.Connection[asyncpg.Record]", reads: Sequence[Read], clock: Clock | None
) -> list[RowsAt | Exception]:
    """Run queries on a connection until it is lost; at least one."""
    answers: list[RowsAt | Exception] = []
    for each in reads:
        try:
            answers.append(await _read(raw, each, clock.now() if clock else None))
        except Exception as error:  # noqa: BLE001 (it is one caller's, and the others get their answers)
            answers.append(error)
            if raw.is_closed():
                break
    return answers


async def _read(raw: "asyncpg.Connection[asyncpg.Record]", read: Read, now: datetime | None) -> RowsAt:
    query = read.query
    if isinstance(query, str):
        parameters = {"now": None if now is None else microseconds(now), **read.parameters}
        statement = STATEMENTS[query]
        return RowsAt(None, [tuple(row) for row in await raw.fetch(statement.text, *statement.values(parameters))])
    if query.timed and now is None:
        now = moment(await raw.fetchval(STATEMENTS["clock"].text))
    values = query.postgresql.values({**read.parameters, "now": None if now is None else microseconds(now)})
    found = f"SELECT {CLOCK_BEFORE}, ARRAY(SELECT found FROM ({query.postgresql.text}) AS found)"  # noqa: S608 (ours)
    (record,) = await raw.fetch(found, *(searchable(each) if isinstance(each, str) else each for each in values))
    server_time, rows = record
    return RowsAt(now or moment(server_time), query.convert(rows))
