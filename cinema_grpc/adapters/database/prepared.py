"""Statements that carry many rows at once, run by SQLite's own driver.

The driver lets go of Python's lock, and queues for it again behind the event loop, at every step of a statement. A
statement for each row would do so a hundred times in a batch.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Select, Table
from sqlalchemy.dialects import sqlite

from cinema_grpc.application.ports import StorageConflict

MOST_ROWS = 64
"""How many rows one call of the driver carries at most; smaller numbers are powers of two, so that texts are few."""

Rows = Sequence[Mapping[str, Any]]


class Prepared:
    """A statement over rows of values, by their names; a moment is a number of microseconds."""

    def __init__(self, names: Sequence[str], text: Callable[[str], str]) -> None:
        """Make a statement.

        Args:
            names: What a row's values are called, in the order of its columns.
            text: Gives the SQL around the rows, which come as "VALUES (?, ?), (?, ?)".
        """
        pick = itemgetter(*names)
        self._pick = pick if len(names) > 1 else lambda row: (pick(row),)
        placeholders = f"({', '.join('?' * len(names))})"
        sizes = (1 << power for power in range(MOST_ROWS.bit_length()))
        self._texts = {size: text("VALUES " + ", ".join([placeholders] * size)) for size in sizes}

    def run(self, driver: sqlite3.Connection, rows: Rows) -> Iterator[sqlite3.Cursor]:
        """Run the statement on the connection's thread, with as few calls as its sizes allow.

        Raises:
            sqlite3.Error.
        """
        start = 0
        while start < len(rows):
            size = min(MOST_ROWS, 1 << (len(rows) - start).bit_length() - 1)
            values = [value for row in rows[start : start + size] for value in self._pick(row)]
            cursor = driver.execute(self._texts[size], values)
            try:
                yield cursor
            finally:
                cursor.close()
            start += size


def insert_into(table: Table) -> Prepared:
    """Prepare to insert whole rows."""
    names = [column.name for column in table.columns]
    return Prepared(names, lambda rows: f"INSERT INTO {table.name} ({', '.join(names)}) {rows}")


def update_by(table: Table, keys: Sequence[str], changing: Sequence[str]) -> Prepared:
    """Prepare to change some columns of the rows that have the given keys.

    A row's values are called as the columns are, a key that changes too has "known_" before its name.
    """
    given = {name: f"given.column{number}" for number, name in enumerate((*keys, *changing), 1)}
    changes = ", ".join(f"{name} = {given[name]}" for name in changing)
    found = " AND ".join(f"{table.name}.{name.removeprefix('known_')} = {given[name]}" for name in keys)
    return Prepared(
        (*keys, *changing),
        lambda rows: f"UPDATE {table.name} SET {changes} FROM ({rows}) AS given WHERE {found}",  # noqa: S608 (names of ours)
    )


def delete_by(table: Table, keys: Sequence[str]) -> Prepared:
    """Prepare to delete the rows that have the given values."""
    # SQLite looks into an index for a subquery, but not for bare rows of values.
    columns = ", ".join(f"column{number}" for number in range(1, len(keys) + 1))
    found = f"({', '.join(keys)}) IN (SELECT {columns} FROM"
    return Prepared(keys, lambda rows: f"DELETE FROM {table.name} WHERE {found} ({rows}))")  # noqa: S608 (names of ours)


def select_by(table: Table, keys: Sequence[str], wanted: Sequence[str]) -> Prepared:
    """Prepare to read some columns of the rows that have the given values, in any order."""
    columns = ", ".join(f"{table.name}.{name}" for name in wanted)
    found = " AND ".join(f"{table.name}.{name} = given.column{number}" for number, name in enumerate(keys, 1))
    return Prepared(
        keys,
        lambda rows: f"SELECT {columns} FROM ({rows}) AS given CROSS JOIN {table.name} ON {found}",  # noqa: S608 (names of ours)
    )


class Query:
    """A query of SQLAlchemy's, compiled once; its parameters are what the driver takes."""

    def __init__(self, query: Select[Any]) -> None:
        compiled = query.compile(dialect=sqlite.dialect(paramstyle="named"))
        self._text = str(compiled)
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def rows(self, driver: sqlite3.Connection, parameters: Mapping[str, Any]) -> list[Any]:
        """Run the query on the connection's thread.

        Raises:
            sqlite3.Error.
        """
        return driver.execute(self._text, {**self._constants, **parameters}).fetchall()


@dataclass(frozen=True, slots=True)
class Step:
    """A statement and the rows to write with it; `exactly` demands that each hits one row of its table."""

    statement: Prepared
    rows: Rows
    exactly: bool = False


def write(driver: sqlite3.Connection, steps: Sequence[Step]) -> None:
    """Run steps one after another, on the connection's thread.

    Raises:
        StorageConflict: A row that should be there is not: the database is not in the state that was read.
        sqlite3.Error.
    """
    for step in steps:
        hit = sum(cursor.rowcount for cursor in step.statement.run(driver, step.rows))
        if step.exactly and hit != len(step.rows):
            raise StorageConflict(f"{hit} rows instead of {len(step.rows)}")


def read(driver: sqlite3.Connection, statement: Prepared, rows: Rows) -> list[tuple[Any, ...]]:
    """Run a query for rows of values, on the connection's thread, and give all that it finds.

    Raises:
        sqlite3.Error.
    """
    return [found for cursor in statement.run(driver, rows) for found in cursor.fetchall()]
