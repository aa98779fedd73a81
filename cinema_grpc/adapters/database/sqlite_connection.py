"""Connections to an SQLite file."""

import sqlite3
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import aiosqlite

T = TypeVar("T")


async def run_on_thread(connection: aiosqlite.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
    """Run several statements in one go on the thread of a connection that was opened with SqliteConnection.

    Each statement that goes through aiosqlite crosses to its thread and back several times, which costs more than the
    statement itself.
    """
    result: Any = await connection.execute_fetchall(cast("str", work))  # runs SqliteConnection.execute(work)
    return cast("T", result)


class _Result(Generic[T]):
    """What `execute_fetchall` takes for a cursor."""

    def __init__(self, result: T) -> None:
        self._result = result

    def fetchall(self) -> T:
        return self._result


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether a statement failed because another process has locked the file."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY


class SqliteConnection(sqlite3.Connection):
    """A connection that runs functions, and that waits for a lock of another process once, not for each statement.

    It waits for at most `timeout` seconds, and not again until a transaction is committed. Statements queue for the one
    connection. If each of them waited for the lock, the last would wait for as long as all of them together.
    """

    def __init__(self, database: str, timeout: float = 5.0, **options: Any) -> None:
        super().__init__(database, timeout=timeout, **options)
        self._milliseconds = round(timeout * 1000)
        self._waits = True

    def cursor(self, factory: Any = None) -> Any:
        """Make a cursor."""
        return super().cursor(factory or SqliteCursor)

    def execute(self, statement: Any, *parameters: Any) -> Any:
        """Run a statement, or call a function with this connection; see `run_on_thread`."""
        if callable(statement):
            return _Result(statement(self))
        return self.cursor().execute(statement, *parameters)

    def commit(self) -> None:
        """Commit."""
        try:
            super().commit()
        except sqlite3.OperationalError as error:
            self.note_failure(error)
            raise
        self.note_commit()

    def note_failure(self, error: sqlite3.OperationalError) -> None:
        """Stop waiting for locks if a statement has failed to get one."""
        if is_busy(error):
            self._set_waiting(waits=False)

    def note_commit(self) -> None:
        """Wait for locks again, since a transaction has got all that it needs."""
        if not self._waits:
            self._set_waiting(waits=True)

    def _set_waiting(self, *, waits: bool) -> None:
        self._waits = waits
        super().cursor().execute(f"PRAGMA busy_timeout = {self._milliseconds if waits else 0}").close()


class SqliteCursor(sqlite3.Cursor):
    """A cursor of an SqliteConnection."""

    connection: SqliteConnection

    def execute(self, statement: str, *parameters: Any) -> "SqliteCursor":
        """Run a statement."""
        try:
            super().execute(statement, *parameters)
        except sqlite3.OperationalError as error:
            self.connection.note_failure(error)
            raise
        if statement == "COMMIT":
            self.connection.note_commit()
        return self
