"""A transaction of the box office on SQLite, in two calls on the connection's thread.

The first begins and loads, the second writes and commits.
"""

import re
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Any

import aiosqlite

from cinema_grpc.adapters.database.column_types import microseconds, to_json
from cinema_grpc.adapters.database.sqlite_connection import is_busy, run_on_thread
from cinema_grpc.adapters.database.statements import Row, Statement, read_statements
from cinema_grpc.application.box_office.store import NotLocked, StorageConflict
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import CommitOutcomeUnknown

STATEMENTS = read_statements("sqlite")
_PARAMETER = re.compile(r":(\w+)")
_Values = Callable[[Mapping[str, Any]], tuple[Any, ...]]


def _of_rows(statement: Statement) -> tuple[str, _Values]:
    """Return a statement that takes its rows from an array, and what gives the values of a row."""
    names = list(dict.fromkeys(_PARAMETER.findall(statement.text)))
    text = _PARAMETER.sub(lambda name: f"json_extract(new.value, '$[{names.index(name[1])}]')", statement.text)
    return text, itemgetter(*names) if len(names) > 1 else lambda row: (row[names[0]],)


WRITES = {name: _of_rows(statement) for name, statement in STATEMENTS.items() if statement.names == ("*",)}
"""The statements that write many rows, in their order: the SQL, and a function that returns the values of a row.

The values are an array, in the order that the SQL expects. SQLite takes half as long again to find each by its name.
"""


class SqliteTransaction:
    """A transaction of the box office. Fulfils RawTransaction."""

    def __init__(self, connection: aiosqlite.Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._begun = False

    async def lock(
        self,
        showtime_ids: Collection[str],  # noqa: ARG002 (see `load`)
        *,
        wait: bool,  # noqa: ARG002
        with_auditorium: Collection[str] = (),  # noqa: ARG002
    ) -> NotLocked:
        """Do nothing: a transaction locks the file as it begins."""
        return NotLocked()

    async def load(self, parameters: Mapping[str, Any]) -> Row:
        """Begin, and run the statement `load`. Another process may have the file for seconds until then."""
        (row,) = await self._begin_and_run("load", parameters)
        return row

    async def find_commit(self, showtime_id: str, revision: int) -> str | None:
        """Begin, and return which commit made a revision of a showtime; None if none did."""
        rows = await self._begin_and_run("find_commit", {"showtime_id": showtime_id, "revision": revision})
        return rows[0][0] if rows else None

    async def commit(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Write rows, by the names of WRITES, and commit."""

        def write_and_commit(driver: sqlite3.Connection) -> None:
            if not driver.in_transaction:
                # SQLite rolls back by itself on some errors, as when a read between the two calls meets a broken disk.
                raise sqlite3.OperationalError("the transaction was rolled back")
            try:
                for name in WRITES:
                    if name in rows:
                        _write(driver, name, rows[name])
                if "outbox" in rows:
                    run(driver, STATEMENTS["add_events"], {"outbox": to_json(rows["outbox"])})
                try:
                    driver.execute("COMMIT").close()
                except sqlite3.Error as error:
                    if is_busy(error):
                        raise  # another process reads, and nothing was written yet
                    raise CommitOutcomeUnknown from error
            finally:
                driver.rollback()  # without effect after a commit; nothing uncommitted stays behind for reads

        self._begun = False  # write_and_commit rolls back by itself
        await run_on_thread(self._connection, write_and_commit)

    async def _begin_and_run(self, name: str, parameters: Mapping[str, Any]) -> Sequence[Row]:
        def begin_and_run(driver: sqlite3.Connection) -> Sequence[Row]:
            driver.execute("BEGIN IMMEDIATE").close()
            return run(driver, STATEMENTS[name], {**parameters, "now": microseconds(self._clock.now())})

        self._begun = True
        return await run_on_thread(self._connection, begin_and_run)

    async def roll_back(self) -> None:
        """Roll back what was begun and not committed."""
        if self._begun:
            await run_on_thread(self._connection, lambda driver: driver.rollback())


def run(driver: sqlite3.Connection, statement: Statement, parameters: Mapping[str, Any]) -> Sequence[Row]:
    """Run a statement and return its rows."""
    cursor = driver.execute(
        statement.text, {name: parameters.get(name, statement.constants.get(name)) for name in statement.names}
    )
    rows = cursor.fetchall()
    cursor.close()
    return rows


def _write(driver: sqlite3.Connection, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    statement, values = WRITES[name]
    cursor = driver.cursor().execute(statement, (to_json([*map(values, rows)]),))
    if cursor.rowcount != len(rows):
        raise StorageConflict(f"{name}: {cursor.rowcount} rows instead of {len(rows)}")
    cursor.close()
