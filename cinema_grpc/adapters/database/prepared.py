"""Statements that carry many rows of values at once, as either database's own driver takes them.

SQLite's driver lets go of Python's lock, and queues for it again behind the event loop, at every step of a statement;
to PostgreSQL each statement is a round trip. A statement for each row would pay for that a hundred times in a batch.
"""

import re
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property
from operator import itemgetter
from typing import Any, ClassVar

import orjson
from sqlalchemy import Boolean, Column, Dialect, LargeBinary, Select, Table, TypeDecorator, func, select
from sqlalchemy.dialects import postgresql, sqlite

from cinema_grpc.adapters.database.schema import Instant, Span, microseconds, moment

CLOCK = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
"""PostgreSQL's time, as it is when a row is given, in microseconds since 1970."""
CLOCK_BEFORE = CLOCK.replace("clock_timestamp", "statement_timestamp")
"""The same, as it was when the statement came: before what the statement sees was settled."""
MOST_ROWS = 64
"""How many rows one statement of SQLite's carries at most; smaller numbers are powers of two, so that texts are few."""

Rows = Sequence[Mapping[str, Any]]
Found = Sequence[Sequence[Any]]


class Prepared:
    """A statement over rows of values, by their names; a moment is a number of microseconds.

    Attributes:
        known: All statements of this kind that there are.
        exactly: Whether each row of values has to hit one row of the table, when it writes.
    """

    known: ClassVar[list["Prepared"]] = []

    def __init__(
        self,
        table: Table,
        names: Sequence[str],
        text: Callable[[str], str],
        found: Sequence[str] = (),
        locking: str = "",
        *,
        exactly: bool = False,
    ) -> None:
        """Make a statement.

        Args:
            table: The table whose columns the values are of.
            names: What a row's values are called, in the order of its columns: as the columns of the table are, or with
                "known_" before that.
            text: Gives the SQL around a query for the rows, whose columns are column1, column2 and so on.
            found: The columns that it reads, if it reads.
            locking: What locks the rows that are read, for PostgreSQL: a transaction of SQLite's has locked everything.
            exactly: As above.
        """
        self.exactly = exactly
        pick = itemgetter(*names)
        self._pick = pick if len(names) > 1 else lambda row: (pick(row),)
        self._columns = [table.columns[name.removeprefix("known_")] for name in names]
        self._text = text
        # JSON has no word for bytes.
        self._given_as_text = [not isinstance(column.type, LargeBinary) for column in self._columns]
        self._as_json = ", ".join(
            found if not any(isinstance(table.c[name].type, LargeBinary) for name in found) else ()
        )
        self._locking = locking
        self.known.append(self)

    def in_parts(self, rows: Rows) -> Iterator[tuple[str, list[Any]]]:
        """Give texts for SQLite, each with the values of as many rows as it takes."""
        start = 0
        while start < len(rows):
            size = min(MOST_ROWS, 1 << (len(rows) - start).bit_length() - 1)
            yield self._sqlite[size], [value for row in rows[start : start + size] for value in self._pick(row)]
            start += size

    def unpack(self, found: Found) -> Found:
        """Give the rows that SQLite has found."""
        return _unpack(found) if self._as_json else found

    def at_once(self, rows: Rows) -> tuple[str, list[Any]]:
        """Give a text for PostgreSQL, and the values of all rows as arrays, one for each column."""
        return self._postgresql, self.arrays(rows)

    def arrays(self, rows: Rows) -> list[Any]:
        """Give the values of all rows as PostgreSQL takes them: an array for each column."""
        columns = zip(*map(self._pick, rows), strict=True) if rows else [()] * len(self._columns)
        return [
            array_text(values) if as_text else values
            for values, as_text in zip(columns, self._given_as_text, strict=True)
        ]

    def text(self, first: int) -> tuple[str, int]:
        """Give the text for PostgreSQL, with parameters numbered from `first` on, and the number after the last."""
        numbers = range(first, first + len(self._columns))
        kinds = zip(numbers, self._columns, self._given_as_text, strict=True)
        arrays = ", ".join(f"${number}{'::text' * as_text}::{_kept_as(column)}[]" for number, column, as_text in kinds)
        names = ", ".join(f"column{number}" for number in range(1, len(self._columns) + 1))
        rows = f"SELECT * FROM unnest({arrays}) AS given({names})"  # noqa: S608 (names of ours)
        return self._text(rows) + self._locking, numbers.stop

    @cached_property
    def _sqlite(self) -> dict[int, str]:
        row = f"({', '.join('?' * len(self._columns))})"
        sizes = (1 << power for power in range(MOST_ROWS.bit_length()))
        texts = {size: self._text("VALUES " + ", ".join([row] * size)) for size in sizes}
        if self._as_json:
            packing = f"SELECT json_group_array(json_array({self._as_json})) FROM"
            texts = {size: f"{packing} ({text})" for size, text in texts.items()}
        return texts

    @cached_property
    def _postgresql(self) -> str:
        return self.text(1)[0]


class Together:
    """Statements that PostgreSQL carries out in one round trip, on one state of the database; SQLite one by one.

    Those that write may not touch a row twice between them, nor a key that another one gives up.

    Attributes:
        known: All that there are.
    """

    known: ClassVar[list["Together"]] = []

    def __init__(self, *statements: Prepared, reading: bool = False) -> None:
        """Put statements together, all of which read, or all of which write."""
        self.statements = statements
        self._reading = reading
        self.known.append(self)

    def of(self, rows: Mapping[Prepared, Rows]) -> "Go":
        """Give them their rows; statements that are not named get none.

        Raises:
            ValueError: There are rows for a statement that is not among these.
        """
        if any(rows[statement] for statement in rows.keys() - set(self.statements)):
            raise ValueError("there are rows for a statement that is not among these")
        return Go(self, [rows.get(statement, ()) for statement in self.statements])

    @cached_property
    def text(self) -> str:
        """The text for PostgreSQL: gives the server's time, and for each statement its rows or how many it has hit."""
        if self._reading:
            return in_one_answer(CLOCK, self.statements)
        number, parts, answers = 1, [], [CLOCK]
        for place, statement in enumerate(self.statements, 1):
            text, number = statement.text(number)
            parts.append(f"part{place} AS ({text}{' RETURNING 1' if statement.exactly else ''})")
            answers.append(f"(SELECT count(*) FROM part{place})" if statement.exactly else "0")  # noqa: S608
        return f"{'WITH ' if parts else ''}{', '.join(parts)} SELECT {', '.join(answers)}"


@dataclass(frozen=True, slots=True)
class Go:
    """Statements to carry out together, and the rows for each of them."""

    together: Together
    rows: Sequence[Rows]

    @property
    def arrays(self) -> list[Any]:
        """All values as PostgreSQL takes them."""
        return [
            array
            for statement, rows in zip(self.together.statements, self.rows, strict=True)
            for array in statement.arrays(rows)
        ]

    @property
    def steps(self) -> Iterator[tuple[Prepared, Rows]]:
        """Each statement with its rows."""
        return zip(self.together.statements, self.rows, strict=True)


def columns_of(table: Table) -> str:
    """List the columns of a table that this version knows, for a SELECT, in the order in which `reader_of` reads them.

    Not "*", which would also give columns that a newer version has added to the table since.
    """
    return ", ".join(f"{table.name}.{column.name}" for column in table.columns)


def insert_into(table: Table) -> Prepared:
    """Prepare to insert whole rows."""
    names = [column.name for column in table.columns]
    return Prepared(table, names, lambda rows: f"INSERT INTO {table.name} ({', '.join(names)}) {rows}")


def update_by(table: Table, keys: Sequence[str], changing: Sequence[str]) -> Prepared:
    """Prepare to change some columns of the rows that have the given keys.

    A row's values are called as the columns are, a key that changes too has "known_" before its name.
    """
    given = {name: f"given.column{number}" for number, name in enumerate((*keys, *changing), 1)}
    changes = ", ".join(f"{name} = {given[name]}" for name in changing)
    found = " AND ".join(f"{table.name}.{name.removeprefix('known_')} = {given[name]}" for name in keys)
    return Prepared(
        table,
        (*keys, *changing),
        lambda rows: f"UPDATE {table.name} SET {changes} FROM ({rows}) AS given WHERE {found}",  # noqa: S608 (names of ours)
        exactly=True,
    )


def delete_by(table: Table, keys: Sequence[str], *, exactly: bool = True) -> Prepared:
    """Prepare to delete the rows that have the given values; `exactly` is as in Prepared."""
    # SQLite looks into an index for a subquery, but not for bare rows of values.
    columns = ", ".join(f"column{number}" for number in range(1, len(keys) + 1))
    found = f"({', '.join(keys)}) IN (SELECT {columns} FROM"
    return Prepared(
        table,
        keys,
        lambda rows: f"DELETE FROM {table.name} WHERE {found} ({rows}) AS given)",  # noqa: S608 (names of ours)
        exactly=exactly,
    )


def select_by(table: Table, keys: Sequence[str], wanted: str = "", also: str = "", locking: str = "") -> Prepared:
    """Prepare to read some columns of the rows that have the given values, in any order.

    Args:
        table: The table.
        keys: The columns that have the given values; one with "known_" before its name has a larger value.
        wanted: The columns to read, separated by commas; if left out, all that this version knows.
        also: Another condition.
        locking: As in Prepared.
    """
    names = wanted.split(", ") if wanted else [column.name for column in table.columns]
    columns = ", ".join(f"{table.name}.{name}" for name in names)
    found = " AND ".join(
        f"{table.name}.{name.removeprefix('known_')} {'>' if name.startswith('known_') else '='} given.column{number}"
        for number, name in enumerate(keys, 1)
    )
    return Prepared(
        table,
        keys,
        # CROSS JOIN has SQLite go from the given rows to the table, through its index.
        lambda rows: f"SELECT {columns} FROM ({rows}) AS given CROSS JOIN {table.name} WHERE {found}{also}",  # noqa: S608 (names of ours)
        names,
        locking,
    )


class Query:
    """A query of SQLAlchemy's, compiled once; its parameters are what the driver takes."""

    def __init__(self, query: Select[Any]) -> None:
        self._query = query

    def in_parts(self, rows: Rows) -> Iterator[tuple[str, dict[str, Any]]]:
        """Give the text for SQLite, with its values by name, for each row of parameters."""
        text, constants, _ = self._sqlite
        for row in rows:
            yield text, {**constants, **row}

    def unpack(self, found: Found) -> Found:
        """Give the rows that SQLite has found."""
        return _unpack(found)

    def arrays(self, rows: Rows) -> list[Any]:
        """Give the values of one row of parameters as PostgreSQL takes them."""
        (row,) = rows
        _, constants, names = self._postgresql
        values = {**constants, **row}
        return [values[name] for name in names]

    def text(self, first: int) -> tuple[str, int]:
        """Give the text for PostgreSQL, with parameters numbered from `first` on, and the number after the last."""
        text, _, names = self._postgresql
        return re.sub(r"\$(\d+)", lambda found: f"${int(found[1]) - 1 + first}", text), first + len(names)

    @cached_property
    def _sqlite(self) -> tuple[str, dict[str, Any], Sequence[str]]:
        rows = self._query.subquery("found")
        as_json = select(func.json_group_array(func.json_array(*rows.c)))
        return self._compiled(as_json, sqlite.dialect(paramstyle="named"))

    @cached_property
    def _postgresql(self) -> tuple[str, dict[str, Any], Sequence[str]]:
        return self._compiled(self._query, postgresql.asyncpg.dialect())  # type: ignore[no-untyped-call]

    def _compiled(self, query: Select[Any], dialect: Dialect) -> tuple[str, dict[str, Any], Sequence[str]]:
        compiled: Any = query.compile(dialect=dialect)
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        return str(compiled), constants, compiled.positiontup or ()


NOTHING = Together(reading=True)
"""Asks for nothing but the time."""
Step = tuple[Prepared, Rows]
"""A statement, and the rows of values that it is carried out for."""
Question = Step | tuple[Query, Rows]
"""What is asked, and the rows of values that it is asked for; a Query takes one."""
Ask = Sequence[Question] | Callable[[datetime], Sequence[Question]]
"""Questions, or what gives them when it is told the time."""


def questions_of(ask: Ask, now: datetime) -> Sequence[Question]:
    """Give the questions."""
    return ask(now) if callable(ask) else ask


@cache
def in_one_answer(clock: str, statements: tuple[Prepared | Query, ...]) -> str:
    """Make PostgreSQL's text that gives the time by a clock of its, and the rows that each statement finds."""
    number, answers = 1, [clock]
    for statement in statements:
        text, number = statement.text(number)
        answers.append(f"ARRAY(SELECT found FROM ({text}) AS found)")  # noqa: S608 (our statements)
    return f"SELECT {', '.join(answers)}"


def reader_of(table: Table) -> Callable[[Sequence[Any]], Any]:
    """Make what reads a driver's whole row: each value by its column's name, moments, spans and flags as such."""
    make: Any = namedtuple(table.name, [each.name for each in table.columns])  # type: ignore[misc] # no literal
    moments = [number for number, each in enumerate(table.columns) if isinstance(each.type, Instant)]
    spans = [number for number, each in enumerate(table.columns) if isinstance(each.type, Span)]
    flags = [number for number, each in enumerate(table.columns) if isinstance(each.type, Boolean)]

    def read(row: Sequence[Any]) -> Any:
        values = list(row)
        for number in moments:
            if values[number] is not None:
                values[number] = moment(values[number])
        for number in spans:
            values[number] = timedelta(microseconds=values[number])
        for number in flags:
            values[number] = bool(values[number])
        return make(*values)

    return read


def row_of(values: Any) -> dict[str, Any]:
    """Write the fields of a dataclass as drivers take them: moments as numbers."""
    return {
        name: microseconds(value) if isinstance(value, datetime) else value for name, value in asdict(values).items()
    }


def _unpack(found: Found) -> Found:
    """Read rows that come in one text, as each by itself would cost a turn at Python's lock."""
    return [row for (rows,) in found for row in orjson.loads(rows)]


def array_text(values: Sequence[Any]) -> str:
    """Write strings, integers, truth values or None as the text of an array of PostgreSQL's.

    That takes asyncpg half the time that an array does. JSON looks the same but for its brackets, and but for control
    characters, for which PostgreSQL has no escapes.
    """
    text = orjson.dumps(values).decode()
    if "\\" in text:
        text = f"[{','.join(map(_quoted, values))}]"
    return f"{{{text[1:-1]}}}"


def _quoted(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
    return orjson.dumps(value).decode()


def _kept_as(column: Column[Any]) -> str:
    kind = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    return str(kind.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
