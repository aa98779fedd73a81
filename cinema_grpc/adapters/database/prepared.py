"""Statements that are compiled once and run for many rows of parameters, as either database takes them in one go."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

from sqlalchemy import (
    Boolean,
    ClauseElement,
    Column,
    ColumnElement,
    Table,
    TypeDecorator,
    bindparam,
    column,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from cinema_grpc.adapters.database.schema import Instant, moment

Given = Mapping[str, ColumnElement[Any]]
"""The parameters of one row, by name, for use in a statement."""


class Prepared:
    """A statement over rows of parameters. A parameter is what the driver takes: a moment is a number of microseconds.

    SQLite runs it once for each row; PostgreSQL gets all rows as arrays, one for each parameter, and runs it once.
    """

    def __init__(self, parameters: Mapping[str, Column[Any]], statement: Callable[[Given], ClauseElement]) -> None:
        """Describe a statement.

        Args:
            parameters: The name of each parameter, and a column that has its type.
            statement: Makes the statement from the parameters of a row.
        """
        self.names = tuple(parameters)
        self._types = {name: _kept_as(column.type) for name, column in parameters.items()}
        self._statement = statement

    @cached_property
    def sqlite(self) -> tuple[str, tuple[str, ...]]:
        """The text for SQLite, and the names of its parameters in order."""
        given = {name: bindparam(name, type_=kind) for name, kind in self._types.items()}
        compiled = self._statement(given).compile(dialect=sqlite.dialect(paramstyle="qmark"))
        return str(compiled), tuple(compiled.positiontup)  # type: ignore[attr-defined] # of a compiled SQL text

    @cached_property
    def postgresql(self) -> tuple[str, tuple[str, ...]]:
        """The text for PostgreSQL, and the names of its arrays in order."""
        arrays = [bindparam(name, type_=postgresql.ARRAY(kind)) for name, kind in self._types.items()]
        columns = [column(name, kind) for name, kind in self._types.items()]
        given = func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
        parameters = {name: given.c[name] for name in self.names}
        dialect = postgresql.asyncpg.dialect()  # type: ignore[no-untyped-call]
        compiled = self._statement(parameters).compile(dialect=dialect)
        return str(compiled), tuple(compiled.positiontup)  # type: ignore[attr-defined] # of a compiled SQL text


def insertion(table: Table) -> Prepared:
    """Describe the insertion of rows into a table; the parameters are its columns."""
    names = table.columns.keys()
    return Prepared(
        dict(table.columns), lambda given: insert(table).from_select(names, select(*(given[name] for name in names)))
    )


@dataclass(frozen=True, slots=True)
class Step:
    """A statement to run for rows of parameters; `exactly` demands that each hits one row of its table."""

    statement: Prepared
    rows: Sequence[Mapping[str, Any]]
    exactly: bool = False


def reader_of(columns: Iterable[Column[Any]]) -> Callable[[Sequence[Any]], Any]:
    """Make what reads a driver's row of these columns: each value by its column's name, moments and flags as such."""
    conversions: list[tuple[str, Callable[[Any], Any] | None]] = [
        (each.name, moment if isinstance(each.type, Instant) else bool if isinstance(each.type, Boolean) else None)
        for each in columns
    ]

    def read(values: Sequence[Any]) -> Any:
        return SimpleNamespace(
            **{
                name: value if convert is None or value is None else convert(value)
                for (name, convert), value in zip(conversions, values, strict=True)
            }
        )

    return read


def _kept_as(kind: TypeEngine[Any]) -> TypeEngine[Any]:
    return kind.impl_instance if isinstance(kind, TypeDecorator) else kind
