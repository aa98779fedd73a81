"""The books of the simulated payment provider: what was charged, called off and given back, kept across crashes.

They lie apart from the box office's tables, as those of a real provider would: beside an SQLite database in a file of
their own, in PostgreSQL in a table of their own, which all replicas share.
"""

import sqlite3
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import text

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sqlite_file import make_private
from cinema_grpc.application.line import Line
from cinema_grpc.domain.money import Money

Entry = Mapping[str, str | int]

MOST_AT_ONCE = 256
"""How many charges and refunds are written to a table in one go."""
SUFFIX = "-simulated-payments"
"""What the file's name has after that of the database."""


class Outcome(Enum):
    """What became of a key: money taken, declined, called off before it came or after; a refund paid."""

    TAKEN = "TAKEN"
    DECLINED = "DECLINED"
    FENCED = "FENCED"
    GIVEN_BACK = "GIVEN_BACK"
    REFUNDED = "REFUNDED"


_TABLE = """CREATE TABLE IF NOT EXISTS simulated_payment (key TEXT PRIMARY KEY, charge_key TEXT NOT NULL,
    currency_code TEXT NOT NULL, amount BIGINT NOT NULL, outcome TEXT NOT NULL)"""
_COLUMNS = {"key": "text", "charge_key": "text", "currency_code": "text", "amount": "bigint", "outcome": "text"}
_ENTRY = "(:key, :charge_key, :currency_code, :amount, :outcome)"
_INSERT = f"INSERT INTO simulated_payment ({', '.join(_COLUMNS)}) VALUES {_ENTRY} ON CONFLICT (key) "  # noqa: S608 (ours)
_WRITE = _INSERT + "DO UPDATE SET key = excluded.key RETURNING outcome"
_ROWS = f"SELECT * FROM unnest({', '.join(f'CAST(:{name} AS {kind}[])' for name, kind in _COLUMNS.items())})"  # noqa: S608 (ours)
_WRITE_MANY = _WRITE.replace(f"VALUES {_ENTRY}", _ROWS).replace("RETURNING", "RETURNING key,")
_VOID = _INSERT + (
    "DO UPDATE SET outcome = CASE simulated_payment.outcome WHEN 'TAKEN' THEN 'GIVEN_BACK'"
    " ELSE simulated_payment.outcome END RETURNING outcome"
)
_FIND = "SELECT outcome FROM simulated_payment WHERE key = :key"
_NET = """SELECT charge_key, sum(CASE outcome WHEN 'TAKEN' THEN amount WHEN 'REFUNDED' THEN -amount ELSE 0 END)
    FROM simulated_payment GROUP BY charge_key"""


class Books(ABC):
    """Charges, by their keys, and refunds, by theirs; what was written first stands."""

    async def charge(self, key: str, amount: Money, wanted: Outcome) -> Outcome:
        """Write a charge down; give what stands."""
        return await self._write(_entry(key, key, amount, wanted))

    async def find(self, key: str) -> Outcome | None:
        """Look a charge up."""
        found = await self._ask(_FIND, {"key": key})
        return Outcome(found[0][0]) if found else None

    async def void(self, key: str) -> Outcome:
        """Call a charge off; give what stands."""
        return Outcome((await self._ask(_VOID, _entry(key, key, Money("XXX", 0), Outcome.FENCED)))[0][0])

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        """Write a refund down."""
        await self._write(_entry(key, charge_key, amount, Outcome.REFUNDED))

    async def net(self) -> dict[str, int]:
        """Tell what each charge came to: taken, less what was given back, in minor units."""
        return {str(charge_key): int(amount) for charge_key, amount in await self._ask(_NET, {})}

    async def _write(self, entry: Entry) -> Outcome:
        return Outcome((await self._ask(_WRITE, entry))[0][0])

    @abstractmethod
    async def _ask(self, statement: str, values: Mapping[str, str | int]) -> list[tuple[Any, ...]]: ...


class BooksInFile(Books):
    """Books in an SQLite file, for one process.

    They are written on the event loop: into the system's cache in some 15 microseconds, and never to the disk by force.
    So they outlive the process, but perhaps not the machine. WAL mode is safe with a single connection.
    """

    def __init__(self, path: str) -> None:
        """Name the file, or ":memory:"; it is made when it is first needed."""
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def _ask(self, statement: str, values: Mapping[str, str | int]) -> list[tuple[Any, ...]]:
        if self._connection is None:
            if self._path != ":memory:":
                make_private(Path(self._path))
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._connection.close)  # by whatever thread collects the garbage
            for order in ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = WAL", _TABLE):
                self._connection.execute(order)
        return self._connection.execute(statement, values).fetchall()


class BooksInTable(Books):
    """Books in a table of PostgreSQL, for all replicas. What many want to write at once is written in one go."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._line: Line[Entry, Outcome] = Line(self._write_some, most_each=MOST_AT_ONCE)

    async def _write(self, entry: Entry) -> Outcome:
        return await self._line.ask(entry)

    async def _write_some(self) -> None:
        await self._line.answer_all(self._write_many)

    async def _write_many(self, asked: Sequence[Entry]) -> list[Outcome]:
        # A statement may touch a key once. In the same order everywhere, no two replicas wait for each other.
        entries = {str(entry["key"]): entry for entry in reversed(asked)}
        columns = {name: [entries[key][name] for key in sorted(entries)] for name in _COLUMNS}
        stands = dict(await self._ask(_WRITE_MANY, columns))
        return [Outcome(stands[entry["key"]]) for entry in asked]

    async def _ask(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        return await self._database.to_its_end(self._carry_out(statement, values))

    async def _carry_out(self, statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        async with self._database.writing(owed=True) as connection:
            return [tuple(row) for row in await connection.execute(text(statement), values)]


def books_beside(database: Database) -> Books:
    """Give the books that belong to a database."""
    url = database.engine.url
    if url.get_backend_name() == "sqlite":
        return BooksInFile(f"{url.database}{SUFFIX}")
    return BooksInTable(database)


def _entry(key: str, charge_key: str, amount: Money, outcome: Outcome) -> dict[str, str | int]:
    return {
        "key": key,
        "charge_key": charge_key,
        "currency_code": amount.currency_code,
        "amount": amount.minor_units,
        "outcome": outcome.value,
    }
