"""SQL as the drivers run it: named statements from the files in `sql/`, and queries of SQLAlchemy's, compiled once."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from importlib.resources import files
from typing import Any

import orjson
from sqlalchemy import Boolean, Dialect, LargeBinary, Select, func, select
from sqlalchemy.dialects import postgresql, sqlite

from cinema_grpc.adapters.database.column_types import Duration, Instant, moment

Row = Sequence[Any]
"""A row that was read."""
Rows = Sequence[Row]
NewRow = dict[str, Any]
"""A row to write: values by column."""

_NAME = re.compile(r"^-- name: (\w+)\((.*)\)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement in one dialect.

    Attributes:
        text: The SQL. Parameters are $1, $2, ... for PostgreSQL, and :name for SQLite.
        names: Of the parameters, in the order of their numbers; "*" for a statement that takes all rows of a kind.
        constants: Parameters with a fixed value.
    """

    text: str
    names: tuple[str, ...]
    constants: Mapping[str, Any]

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Return the parameters in the order of their numbers."""
        return [parameters[name] if name in parameters else self.constants[name] for name in self.names]


def read_statements(dialect: str) -> dict[str, Statement]:
    """Read the statements for "sqlite" or "postgresql" by their names."""
    text = files("cinema_grpc.adapters.database").joinpath("sql", f"{dialect}.sql").read_text()
    _, *parts = _NAME.split(text)
    named = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {
        name: Statement(sql.strip().removesuffix(";"), tuple(filter(None, names.split(", "))), {})
        for name, names, sql in named
    }


class Query:
    """A SELECT of SQLAlchemy's, compiled once for each dialect.

    Its parameters are `bindparam`s in stored form: a moment is a number of microseconds. One named "now" is the time at
    which the query runs; the database supplies it.

    Attributes:
        timed: Whether it has a parameter "now".
    """

    def __init__(self, query: Select[Any]) -> None:
        self._query = query
        types = [column.type for column in query.selected_columns]
        self._moments = [number for number, each in enumerate(types) if isinstance(each, Instant)]
        self._durations = [number for number, each in enumerate(types) if isinstance(each, Duration)]
        self._booleans = [number for number, each in enumerate(types) if isinstance(each, Boolean)]
        self._has_bytes = any(isinstance(each, LargeBinary) for each in types)
        self.timed = "now" in query.compile().params

    @cached_property
    def postgresql(self) -> Statement:
        """The statement for PostgreSQL."""
        return _compile(self._query, postgresql.asyncpg.dialect())  # type: ignore[no-untyped-call]

    @cached_property
    def sqlite(self) -> Statement:
        """The statement for SQLite.

        It returns all rows in one text of JSON, since each step of a statement waits for Python's global interpreter
        lock. JSON has no bytes.
        """
        query = self._query
        if not self._has_bytes:
            rows = query.subquery("found")
            query = select(func.json_group_array(func.json_array(*rows.c)))
        return _compile(query, sqlite.dialect(paramstyle="named"))

    def unpack(self, rows: Rows) -> Rows:
        """Return the rows that `sqlite` has found."""
        return rows if self._has_bytes else orjson.loads(rows[0][0])

    def convert(self, rows: Rows) -> list[tuple[Any, ...]]:
        """Return rows with moments, durations and booleans in place of the stored numbers."""
        return [self._convert(row) for row in rows]

    def _convert(self, row: Row) -> tuple[Any, ...]:
        values = list(row)
        for number in self._moments:
            if values[number] is not None:
                values[number] = moment(values[number])
        for number in self._durations:
            values[number] = timedelta(microseconds=values[number])
        for number in self._booleans:
            values[number] = bool(values[number])
        return tuple(values)


def _compile(query: Select[Any], dialect: Dialect) -> Statement:
    compiled: Any = query.compile(dialect=dialect)
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return Statement(str(compiled), tuple(compiled.positiontup or compiled.params), constants)
