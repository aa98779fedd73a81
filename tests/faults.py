"""A database driver that fails when it is told to, as a broken disk or a lost connection would make it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import event

from cinema_grpc.adapters.database.database import Database


class Faults:
    """Which statements of a database fail, and which have failed or run."""

    def __init__(self) -> None:
        self.fails: Callable[[str], bool] = lambda _statement: False
        self.after = False
        self.failed: list[str] = []
        self.commits = 0

    def around(self, statement: str, run: Callable[[], Any]) -> Any:
        """Run a statement, or fail before or after it."""
        if not self.after:
            self._check(statement)
        result = run()
        self.commits += statement == "COMMIT"
        if self.after:
            self._check(statement)
        return result

    def _check(self, statement: str) -> None:
        if self.fails(statement):
            self.failed.append(statement)
            raise sqlite3.OperationalError("the disk is on fire")


_faults: WeakKeyDictionary[Database, Faults] = WeakKeyDictionary()


def make_breakable(database: Database) -> Faults:
    """Give a database that has no connection yet a driver that can fail."""
    faults = _faults[database] = Faults()

    class Cursor(sqlite3.Cursor):
        def execute(self, statement: str, *parameters: Any) -> "Cursor":
            faults.around(statement, lambda: sqlite3.Cursor.execute(self, statement, *parameters))
            return self

        def executemany(self, statement: str, *parameters: Any) -> "Cursor":
            faults.around(statement, lambda: sqlite3.Cursor.executemany(self, statement, *parameters))
            return self

    class Connection(sqlite3.Connection):
        def cursor(self, *_arguments: Any) -> Any:
            return super().cursor(Cursor)

        def execute(self, *arguments: Any) -> Any:
            return self.cursor().execute(*arguments)

        def executemany(self, *arguments: Any) -> Any:
            return self.cursor().executemany(*arguments)

        def commit(self) -> None:
            faults.around("COMMIT", super().commit)

    def on_connect(_dialect: object, _record: object, _arguments: object, named: dict[str, Any]) -> None:
        named["factory"] = Connection

    event.listen(database.engine.sync_engine, "do_connect", on_connect)
    return faults


@contextmanager
def failing(database: Database, fails: Callable[[str], bool], *, after: bool = False) -> Iterator[list[str]]:
    """Make each statement for which `fails` is true fail; with `after` it is carried out, and its answer is lost.

    Gives the list of those that have failed.
    """
    faults = _faults[database]
    faults.fails, faults.after, faults.failed = fails, after, []
    try:
        yield faults.failed
    finally:
        faults.fails = lambda _statement: False
