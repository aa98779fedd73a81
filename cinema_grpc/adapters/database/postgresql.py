"""PostgreSQL: its connections, its clock, its errors, and a batch in a few round trips."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from itertools import chain
from typing import Any

import asyncpg
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from cinema_grpc.adapters.database.connect import connect
from cinema_grpc.adapters.database.driver import PROOF_BYTES, Answer, Peeks, Rights
from cinema_grpc.adapters.database.prepared import (
    CLOCK,
    CLOCK_BEFORE,
    Ask,
    Found,
    Go,
    Prepared,
    Rows,
    Step,
    Together,
    in_one_answer,
)
from cinema_grpc.adapters.database.schema import moment
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.ports import Clock, CommitUnknown, StorageConflict, StorageContention
from cinema_grpc.database_url import parse_postgresql

LANES = 1
"""Measured: two made twice as many batches, half as large, and cost a third more CPU time a booking."""
APART = 4
CONNECT_SECONDS = 5.0
"""How long a connection to one server may take to be made, where the URL has no `connect_timeout`."""
POOL_SECONDS = 10.0
"""How long one may take to come free: all wait for their turn before, but for the looks at the server's health."""
PEEKS_A_TURN = 16
"""How many who only peek may use a connection one after the other, until others have their turn."""
STATEMENTS_AT_HAND = 256
"""How many statements a connection keeps prepared: twice as many as there are. None may be given up for another, and be
prepared anew while locks are held."""
SECONDS_UNTIL_DEAD = 10
"""How long a server may leave the network's own packets unanswered before the connection counts as lost."""

PARAMETERS = {
    "application_name": "cinema-grpc",
    "statement_timeout": "10s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "5s",
    # All that is asked here is found by an index. A plan made while a table was small, which reads all of it,
    # would stay in use while the table grows.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",  # gives rows in no order: for a page all that might be on it would be sorted
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
}
"""What each connection is set to where its URL says nothing else. The server counts no COMMIT as a statement here: it
stops the clock before the commit begins."""

PREPARED = "cinema_prepared"
MIGRATION_LOCK = 7_209_385_611
"""A number that is this program's own among the advisory locks of a database."""

CONTENTION = {"40001", "40P01", "55P03"}
"""Serialization failure, deadlock, lock not available."""
NEXT_SERVER = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TargetServerAttributeNotMatched,
)
"""What one server answers, or leaves unanswered, that the next one may not."""
OURS = ("0A", "22", "42")
"""Classes of errors that our own statements are at fault for: what is not supported, bad data, bad syntax or names."""
TAKEN_AWAY = {"42501", "42P01"}
"""Errors of these classes that they are not at fault for: a right is missing, or a table, as for who may not use its
schema."""

ENCODINGS = """SELECT name, upper(current_setting(name))
    FROM unnest('{server_encoding,client_encoding}'::text[]) AS settings(name)"""
LACKING = """SELECT wanted.name, wanted.privilege FROM unnest($1::text[], $2::text[]) AS wanted(name, privilege)
    WHERE NOT CASE wanted.name WHEN '' THEN has_database_privilege(current_database(), wanted.privilege)
        ELSE coalesce(has_table_privilege(to_regclass(wanted.name)::oid, wanted.privilege), false) END"""
PROOF = f"""CREATE TEMPORARY TABLE cinema_proof ON COMMIT DROP AS
    SELECT repeat('-', 1900) FROM generate_series(1, {PROOF_BYTES // 1900})"""  # noqa: S608 (a text of ours)
"""A table of its own always needs new pages, and its creation a commit. Texts of this length are not compressed."""


class PostgresqlDriver:
    """A database of PostgreSQL. Fulfils Driver."""

    shared = True
    lanes = LANES
    apart = APART
    peeks_a_turn = PEEKS_A_TURN
    clock: Clock | None = None
    reading: Mapping[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    writing: Mapping[str, Any] = {"isolation_level": "READ COMMITTED"}
    deciding: Mapping[str, Any] = {}

    def __init__(self, url: str, pool_size: int) -> None:
        """Prepare the pool.

        Args:
            url: As the settings have it.
            pool_size: How many connections there may be, of which the box office takes LANES * (1 + APART).
        """
        parsed = parse_postgresql(url)
        parameters = dict(parsed.parameters)
        self._connect_seconds = float(parameters.pop("connect_timeout", CONNECT_SECONDS))
        self._urls = replace(parsed, parameters=tuple(parameters.items())).one_by_one()
        self._parameters = {name: value for name, value in PARAMETERS.items() if name not in parameters}
        self.conversations = pool_size - LANES * (1 + APART)
        self.peeking = self.conversations
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
        )

    async def now(self, connection: AsyncConnection) -> datetime:
        """Tell the server's time."""
        return moment((await connection.exec_driver_sql(f"SELECT {CLOCK}")).scalar_one())

    async def lock(self, connection: AsyncConnection, lock: Step) -> Found:
        """Begin a transaction, and lock rows."""
        driver, remembered = _raw(connection), _checked_out(connection).info
        if PREPARED not in remembered:
            await _prepare(driver)
            remembered[PREPARED] = True
        await driver.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        return await _read(driver, *lock)

    async def look(
        self,
        connection: AsyncConnection,
        lock: Step,  # noqa: ARG002 (it was asked before)
        locked: Found | None,
        ask: Callable[[Found], Go],
    ) -> tuple[Found, datetime, list[Found]]:
        """Read the clock, and what is asked, as it is once the locks are had, in one round trip."""
        driver = _raw(connection)
        now, *answers = await _carry_out(driver, ask(locked or ()))
        return locked or (), moment(now), answers

    async def read(self, connection: AsyncConnection, questions: Sequence[Step]) -> list[Found]:
        """Ask questions, each in a round trip."""
        driver = _raw(connection)
        return [await _read(driver, statement, rows) for statement, rows in questions]

    async def peek(
        self, line: Peeks, clock: Clock | None, its_turn: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        """Answer some who wait: each in one round trip, and one more before for what depends on the time.

        They take over the connection from each other: to give it back, take it and see whether it still works costs
        more than to ask.
        """
        async with its_turn(), self.engine.connect() as connection:
            driver = _raw(connection)
            try:
                for _ in range(PEEKS_A_TURN):
                    if (peek := line.take()) is None:
                        return
                    try:
                        peek.answer(await _look(driver, peek.question, clock))
                    except Exception as error:  # noqa: BLE001 (it is theirs who asked)
                        peek.answer(error)
                        return
                    except asyncio.CancelledError:
                        peek.future.cancel()
                        raise
            finally:
                await self.undo(connection)

    def while_pending(self) -> AbstractContextManager[None]:
        """Enclose nothing: nobody sees what is not committed."""
        return nullcontext()

    async def write_and_commit(self, connection: AsyncConnection, goes: Sequence[Go]) -> None:
        """Write, and commit, for as long as that takes.

        Raises:
            StorageConflict, CommitUnknown.
        """
        driver = _raw(connection)
        for go in goes:
            _, *hits = await _carry_out(driver, go)
            for (statement, rows), hit in zip(go.steps, hits, strict=True):
                if statement.exactly and hit != len(rows):
                    raise StorageConflict(f"{hit} rows instead of {len(rows)}")
        try:
            ended = await driver.execute("COMMIT")
        except Exception as error:
            if getattr(error, "sqlstate", "")[:2] == "23" or getattr(error, "sqlstate", "") in CONTENTION:
                raise
            raise CommitUnknown from error
        if ended != "COMMIT":
            raise StorageContention(f"the transaction ended with {ended}")

    async def undo(self, connection: AsyncConnection) -> None:
        """Roll back what was begun and not committed; a connection on which that fails is given up."""
        if connection.invalidated:
            return  # SQLAlchemy has noticed that it is lost
        try:
            driver = _raw(connection)
            if driver.is_in_transaction() or driver.is_closed():
                await driver.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 (whatever it was, nobody else may get this connection)
            await connection.invalidate()

    async def prepare_to_migrate(self, connection: AsyncConnection) -> None:
        """Wait until no other process migrates this database, however long that takes; so may the migrations."""
        for timeout in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            await connection.exec_driver_sql(f"SET LOCAL {timeout} = 0")
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")

    async def check(self, connection: AsyncConnection, *, by_writing: bool) -> None:
        """Check that the server takes writes; one that has become a standby is left.

        Raises:
            OSError: It does not.
        """
        driver = _raw(connection)
        if await driver.fetchval("SHOW transaction_read_only") == "on":
            await connection.invalidate()  # which the next line would leave open
            await self.engine.dispose()
            raise ConnectionError("the database server is read-only, as a standby is")
        if by_writing:
            async with driver.transaction():
                await driver.execute("SET LOCAL temp_tablespaces = ''")  # the disk that bookings are written to
                await driver.execute(PROOF)

    async def check_fitness(self, connection: AsyncConnection, rights: Rights) -> None:
        """Check that the database can keep any text, and that the user has rights.

        Raises:
            OSError: It can't, or the user has not; the message names what is missing.
        """
        driver = _raw(connection)
        for name, encoding in await driver.fetch(ENCODINGS):
            if encoding != "UTF8":
                raise OSError(f"the database's {name} is {encoding} and has to be UTF8")
        wanted = [(name, privilege) for name, privileges in rights.items() for privilege in privileges]
        lacking: dict[str, list[str]] = {}
        for name, privilege in await driver.fetch(LACKING, *map(list, zip(*wanted, strict=True))) if wanted else ():
            lacking.setdefault(name or "the database", []).append(privilege)
        if lacking:
            what = "; ".join(f"{', '.join(privileges)} on {name}" for name, privileges in lacking.items())
            raise PermissionError(f"the role {await driver.fetchval('SELECT current_user')} lacks {what}")

    def translate(self, error: Exception) -> Exception | None:
        """Give what an error of the driver's is to the stores, or None for a fault of our own statements."""
        if isinstance(error, DBAPIError):
            error = error.driver_exception
        sqlstate = str(getattr(error, "sqlstate", None) or "")
        # After a migration by a newer replica a plan may have to be made anew, which the driver does the next time.
        outdated = isinstance(error, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError)
        if outdated or sqlstate in CONTENTION:
            return StorageContention(str(error))
        if sqlstate.startswith("23"):
            return StorageConflict(str(error))
        if sqlstate not in TAKEN_AWAY and (sqlstate.startswith(OURS) or isinstance(error, asyncpg.DataError)):
            return None
        lost = asyncpg.InterfaceError | asyncpg.InternalClientError
        if sqlstate or isinstance(error, lost | PoolTimeout | OSError):
            return StorageUnavailable()
        return None

    async def _connect(self, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect to the first server that takes us, beginning with the one that did the last time.

        Each has its own time: asyncpg, given several, would let one that says nothing use up that of all.
        """
        failure: Exception | None = None
        for url in self._urls:
            try:
                connection = await connect(
                    url,
                    timeout=self._connect_seconds,
                    server_settings=self._parameters,
                    statement_cache_size=STATEMENTS_AT_HAND,
                    max_cached_statement_lifetime=0,  # what is prepared stays so
                    **options,
                )
            except NEXT_SERVER as error:
                failure = error
            else:
                self._urls = [url, *(each for each in self._urls if each != url)]
                _notice_death(connection)
                return connection
        raise failure or OSError("the URL names no server")


def _raw(connection: AsyncConnection) -> "asyncpg.Connection[asyncpg.Record]":
    driver = _checked_out(connection).driver_connection
    assert isinstance(driver, asyncpg.Connection)  # noqa: S101 (for mypy: the engine is made above)
    return driver


def _checked_out(connection: AsyncConnection) -> PoolProxiedConnection:
    # AsyncConnection itself would fetch it through a greenlet, at the price of a statement.
    assert connection.sync_connection is not None  # noqa: S101 (for mypy: it is open)
    if connection.invalidated:
        raise asyncpg.InterfaceError("the connection is lost")
    return connection.sync_connection.connection


async def _read(driver: "asyncpg.Connection[asyncpg.Record]", statement: Prepared, rows: Rows) -> Found:
    if not rows:
        return []
    text, values = statement.at_once([_askable(row) for row in rows])
    return [tuple(record) for record in await driver.fetch(text, *values)]


async def _look(driver: "asyncpg.Connection[asyncpg.Record]", ask: Ask, clock: Clock | None) -> Answer:
    now = clock.now() if clock else None
    if callable(ask):
        now = now or moment(await driver.fetchval(f"SELECT {CLOCK}"))
        ask = ask(now)
    text = in_one_answer(CLOCK_BEFORE, tuple(statement for statement, _ in ask))
    arrays = [statement.arrays([_askable(row) for row in rows]) for statement, rows in ask]
    server_time, *found = await _ask(driver, text, chain.from_iterable(arrays))
    return now or moment(server_time), [[tuple(record) for record in rows] for rows in found]


async def _carry_out(driver: "asyncpg.Connection[asyncpg.Record]", go: Go) -> list[Any]:
    """Carry statements out in one round trip; give what Together's text gives."""
    return await _ask(driver, go.together.text, go.arrays)


async def _ask(driver: "asyncpg.Connection[asyncpg.Record]", text: str, values: Iterable[Any]) -> list[Any]:
    """Ask what has one row for an answer."""
    (record,) = await driver.fetch(text, *values)
    return list(record)


async def _prepare(driver: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Run each statement of the box office on no rows, so that none has to be prepared while locks are held.

    A process that freezes between the preparation of a statement and its execution is not idle in the server's eyes, so
    no timeout would end its transaction.
    """
    for statement in Prepared.known:
        text, nothing = statement.at_once([])
        await driver.fetch(text, *nothing)
    for together in Together.known:
        await _carry_out(driver, together.of({}))


def _askable(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Put what is nowhere in the place of text with a NUL, which PostgreSQL has none of; as ExactText does."""
    if any(isinstance(value, str) and "\0" in value for value in row.values()):
        return {name: "" if isinstance(value, str) and "\0" in value else value for name, value in row.items()}
    return row


def _notice_death(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Have the kernel end the connection when the server's machine is gone, which closes nothing as it dies.

    A timeout for statements would not do: it could cut short a COMMIT that is only slow.
    """
    # asyncpg shows it in no other way.
    link: socket.socket = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined] # noqa: SLF001
    if link.family == socket.AF_UNIX or not hasattr(socket, "TCP_USER_TIMEOUT"):
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SECONDS_UNTIL_DEAD // 2)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, SECONDS_UNTIL_DEAD // 2)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SECONDS_UNTIL_DEAD * 1000)
