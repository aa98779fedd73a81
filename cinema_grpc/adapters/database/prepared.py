"""Statements of SQLAlchemy that are compiled once and run by SQLite's driver itself, many in one go."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import ClauseElement
from sqlalchemy.dialects import sqlite

from cinema_grpc.application.ports import StorageConflict


class Prepared:
    """A statement, compiled. Its parameters are what the driver takes: a moment is a number of microseconds."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        self.text = str(compiled)
        names: Sequence[str] = compiled.positiontup  # type: ignore[attr-defined] # of a compiled SQL text
        pick = itemgetter(*names)
        self._pick = pick if len(names) > 1 else lambda parameters: (pick(parameters),)

    def values(self, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        """Put named parameters into the order of the text."""
        values: tuple[Any, ...] = self._pick(parameters)
        return values


@dataclass(frozen=True, slots=True)
class Step:
    """A statement to run once for each row of parameters; `exactly` demands that each hits one row of its table."""

    statement: Prepared
    rows: Sequence[Mapping[str, Any]]
    exactly: bool = False


def write(driver: sqlite3.Connection, steps: Iterable[Step]) -> None:
    """Run steps one after another, on the connection's thread.

    Raises:
        StorageConflict: A row that should be there is not: the database is not in the state that was read.
        sqlite3.Error.
    """
    for step in steps:
        if not step.rows:
            continue
        cursor = driver.executemany(step.statement.text, [step.statement.values(row) for row in step.rows])
        hit = cursor.rowcount
        cursor.close()
        if step.exactly and hit != len(step.rows):
            raise StorageConflict(f"{hit} rows instead of {len(step.rows)}")


def read(driver: sqlite3.Connection, statement: Prepared, rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Run a query once for each row of parameters, on the connection's thread, and give all that it finds.

    Raises:
        sqlite3.Error.
    """
    return [found for row in rows for found in driver.execute(statement.text, statement.values(row))]
