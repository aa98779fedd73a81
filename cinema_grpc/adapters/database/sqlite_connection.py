"""Connections to an SQLite file that bound how long callers wait for another process to unlock it."""

import sqlite3
from typing import Any


def is_busy(error: sqlite3.Error) -> bool:
    """Return whether a statement failed since another process has locked the file."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_BUSY


class BoundedWaitConnection(sqlite3.Connection):
    """A connection that waits for a lock once, for `timeout` seconds, and not again until a transaction is committed.

    Statements queue for the one connection. If each of them waited for the lock, the last would wait for as long as all
    of them together.
    """

    def __init__(self, database: str, timeout: float = 5.0, **options: Any) -> None:
        super().__init__(database, timeout=timeout, **options)
        self._milliseconds = round(timeout * 1000)
        self._waits = True

    def cursor(self, factory: Any = None) -> Any:
        """Make a cursor."""
        return super().cursor(factory or BoundedWaitCursor)

    def execute(self, statement: str, *parameters: Any) -> Any:
        """Run a statement."""
        try:
            cursor = super().execute(statement, *parameters)
        except sqlite3.OperationalError as error:
            self.note_failure(error)
            raise
        if statement in {"COMMIT", "BEGIN IMMEDIATE"}:
            self.note_commit()
        return cursor

    def commit(self) -> None:
        """Commit."""
        try:
            super().commit()
        except sqlite3.OperationalError as error:
            self.note_failure(error)
            raise
        self.note_commit()

    def note_failure(self, error: sqlite3.OperationalError) -> None:
        """Stop waiting for locks if a statement waited for one and did not get it."""
        if is_busy(error):
            self._set_waiting(waits=False)

    def note_commit(self) -> None:
        """Wait for locks again, since one was got."""
        if not self._waits:
            self._set_waiting(waits=True)

    def _set_waiting(self, *, waits: bool) -> None:
        self._waits = waits
        super().cursor().execute(f"PRAGMA busy_timeout = {self._milliseconds if waits else 0}").close()


class BoundedWaitCursor(sqlite3.Cursor):
    """A cursor of a BoundedWaitConnection."""

    connection: BoundedWaitConnection

    def execute(self, statement: str, *parameters: Any) -> "BoundedWaitCursor":
        """Run a statement."""
        try:
            super().execute(statement, *parameters)
        except sqlite3.OperationalError as error:
            self.connection.note_failure(error)
            raise
        if statement == "COMMIT":
            self.connection.note_commit()
        return self

    def executemany(self, statement: str, *parameters: Any) -> "BoundedWaitCursor":
        """Run a statement for many rows."""
        try:
            super().executemany(statement, *parameters)
        except sqlite3.OperationalError as error:
            self.connection.note_failure(error)
            raise
        return self
