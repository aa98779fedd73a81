"""A database driver that fails on request, as with a broken disk or a lost connection."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import event

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sqlite_connection import SqliteConnection, SqliteCursor


class Faults:
    """Which statements of a database fail, and which have failed or run."""

    def __init__(self) -> None:
        self.fails: Callable[[str], bool] = lambda _statement: False
        self.after = False
        self.error: type[BaseException] | None = None
        self.failed: list[str] = []
        self.commits = 0

    @contextmanager
    def around(self, statement: str, error: Callable[[str], Exception]) -> Iterator[None]:
        """Let a statement run, or fail before or after it."""
        statement = statement.rstrip(";")
        if not self.after:
            self._check(statement, error)
        yield
        self.commits += statement == "COMMIT"
        if self.after:
            self._check(statement, error)

    def _check(self, statement: str, error: Callable[[str], Exception]) -> None:
        if self.fails(statement):
            self.failed.append(statement)
            raise (self.error or error)("the disk is on fire")


_faults: WeakKeyDictionary[Database, Faults] = WeakKeyDictionary()


def make_breakable(database: Database) -> Faults:
    """Make the driver of a database that has no connection yet able to fail."""
    faults = _faults[database] = Faults()
    options = {"sqlite": sqlite_options, "postgresql": postgresql_options}[database.engine.dialect.name](faults)

    def on_connect(_dialect: object, _record: object, _arguments: object, named: dict[str, Any]) -> None:
        named.update(options)

    event.listen(database.engine.sync_engine, "do_connect", on_connect)
    return faults


def sqlite_options(faults: Faults) -> dict[str, Any]:
    """Return what an SQLite connection is opened with."""

    class Cursor(SqliteCursor):
        def execute(self, statement: str, *parameters: Any) -> "Cursor":
            with faults.around(statement, sqlite3.OperationalError):
                super().execute(statement, *parameters)
            return self

    class Connection(SqliteConnection):
        def cursor(self, *_arguments: Any) -> Any:
            return super().cursor(Cursor)

        def commit(self) -> None:
            with faults.around("COMMIT", sqlite3.OperationalError):
                super().commit()

    return {"factory": Connection}


def postgresql_options(faults: Faults) -> dict[str, Any]:
    """Return what a PostgreSQL connection is opened with."""

    class Connection(asyncpg.Connection):
        async def execute(self, query: str, *arguments: Any, **named: Any) -> str:
            if arguments:
                return await super().execute(query, *arguments, **named)
            with faults.around(query, asyncpg.DiskFullError):
                return await super().execute(query, **named)

        async def _execute(self, query: str, *arguments: Any, **named: Any) -> Any:
            with faults.around(query, asyncpg.DiskFullError):
                return await super()._execute(query, *arguments, **named)  # type: ignore[misc] # it is not in the stubs

        async def prepare(self, query: str, **named: Any) -> Any:
            with faults.around(query, asyncpg.DiskFullError):
                return await super().prepare(query, **named)

    return {"connection_class": Connection, "prepared_statement_cache_size": 0}


@contextmanager
def failing(
    database: Database,
    fails: Callable[[str], bool],
    *,
    after: bool = False,
    error: type[BaseException] | None = None,
) -> Iterator[list[str]]:
    """Make each statement for which `fails` is true fail; with `after` it is carried out, and its answer is lost.

    The error is the driver's own for a full disk, unless another one is given.

    Yields the list of those that have failed.
    """
    faults = _faults[database]
    faults.fails, faults.after, faults.failed, faults.error = fails, after, [], error
    try:
        yield faults.failed
    finally:
        faults.fails = lambda _statement: False
