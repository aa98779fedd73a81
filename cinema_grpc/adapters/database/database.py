"""The connection to the database, and everything in which SQLite and PostgreSQL differ."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.ports import Clock, StorageConflict

logger = structlog.get_logger()

BUSY_SECONDS = 5
"""How long a statement waits for another process that is writing to the same SQLite file."""
WRITES = "cinema_writes"


class Database:
    """A database, reached through one pool of connections.

    SQLite runs on a rollback journal, not in WAL mode: SQLite before 3.51.3 can lose a commit in WAL mode when two connections write
    or checkpoint at once (https://www.sqlite.org/wal.html#walresetbug), and the command line writes beside a running server.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        """Prepare the pool; nothing is connected yet.

        Args:
            url: An SQLAlchemy URL, such as "sqlite+aiosqlite:///cinema.db".
            clock: The clock that decides where the database has none of its own, as SQLite.
        """
        self._clock = clock
        self.engine = _sqlite_engine(make_url(url))

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
            async with self.engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes; it is committed at the end, or undone if anything is raised.

        Raises:
            StorageUnavailable.
            StorageConflict: A constraint refused it.
        """
        with _translated():
            async with self.engine.connect() as connection:
                await connection.execution_options(**{WRITES: True})
                async with connection.begin():
                    yield connection

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that writes and that the body commits itself; left without a commit, it is undone.

        Raises:
            StorageUnavailable.
            StorageConflict: A constraint refused it.
        """
        with _translated():
            async with self.engine.connect() as connection:
                await connection.execution_options(**{WRITES: True})
                yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


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
        "journal_mode = PERSIST",  # a rollback journal that is overwritten rather than deleted: fewer writes to the folder
        "synchronous = FULL",  # what is acknowledged is on the disk
        "foreign_keys = ON",
        "trusted_schema = OFF",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that starts by reading and then writes could fail at once, without waiting, if another process wrote in between.
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's errors into those of the ports; faults of our own statements pass as they are."""
    try:
        yield
    except IntegrityError as error:
        raise StorageConflict(str(error.orig)) from error
    except (DataError, NotSupportedError, ProgrammingError):
        raise
    except (DBAPIError, PoolTimeout, sqlite3.Error, OSError) as error:
        logger.error("storage failed", error=str(getattr(error, "orig", None) or error))
        raise StorageUnavailable from error
