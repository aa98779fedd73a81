"""The ledger of the simulated payment provider: what was charged, voided and refunded.

It is apart from the box office's tables, as a real provider's would be: beside an SQLite database in a file of its own,
in PostgreSQL in a table of its own that all replicas share.
"""

import sqlite3
import weakref
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sqlite_file import make_private
from cinema_grpc.application.batcher import Batcher
from cinema_grpc.domain.money import Money

ENTRIES_AT_ONCE = 100
"""How many entries a transaction of PostgreSQL has at most."""

Values = Mapping[str, str | int]

SUFFIX = "-simulated-payments"
"""Follows the name of the database's file."""

_TABLE = """CREATE TABLE IF NOT EXISTS simulated_payment (key TEXT PRIMARY KEY, charge_key TEXT NOT NULL,
    currency_code TEXT NOT NULL, amount BIGINT NOT NULL, outcome TEXT NOT NULL)"""
_RECORD = """INSERT INTO simulated_payment (key, charge_key, currency_code, amount, outcome)
    VALUES (:key, :charge_key, :currency_code, :amount, :outcome)
    ON CONFLICT (key) DO UPDATE SET outcome = simulated_payment.outcome RETURNING outcome"""
_VOID = """INSERT INTO simulated_payment (key, charge_key, currency_code, amount, outcome)
    VALUES (:key, :key, 'XXX', 0, 'FENCED')
    ON CONFLICT (key) DO UPDATE SET outcome = simulated_payment.outcome RETURNING outcome"""
_FIND = "SELECT outcome FROM simulated_payment WHERE key = :key"
_NET = """SELECT charge_key, sum(CASE outcome WHEN 'TAKEN' THEN amount WHEN 'REFUNDED' THEN -amount ELSE 0 END)
    FROM simulated_payment GROUP BY charge_key"""


class Entry(Enum):
    """TAKEN, DECLINED: a charge. FENCED: voided before the charge came. REFUNDED: a refund."""

    TAKEN = "TAKEN"
    DECLINED = "DECLINED"
    FENCED = "FENCED"
    REFUNDED = "REFUNDED"


class SimulatedLedger(ABC):
    """Charges and refunds by their keys; the first entry under a key stands."""

    async def record(self, key: str, charge_key: str, amount: Money, outcome: Entry) -> Entry:
        """Record a charge, or a refund of `charge_key`; return the outcome that stands."""
        values: Values = {
            "key": key,
            "charge_key": charge_key,
            "currency_code": amount.currency_code,
            "amount": amount.minor_units,
            "outcome": outcome.value,
        }
        ((stands,),) = await self._execute(_RECORD, values)
        return Entry(stands)

    async def find(self, key: str) -> Entry | None:
        """Return the outcome that stands."""
        found = await self._execute(_FIND, {"key": key})
        return Entry(found[0][0]) if found else None

    async def void(self, key: str) -> Entry:
        """Void a charge; return the outcome that stands."""
        ((stands,),) = await self._execute(_VOID, {"key": key})
        return Entry(stands)

    async def net(self) -> dict[str, int]:
        """Return for each charge what was taken less what was given back, in minor units."""
        return {str(charge_key): int(amount) for charge_key, amount in await self._execute(_NET, {})}

    @abstractmethod
    async def _execute(self, statement: str, values: Values) -> list[tuple[Any, ...]]: ...


class FileLedger(SimulatedLedger):
    """A ledger in an SQLite file, for one process, or in memory.

    It writes on the event loop, into the system's cache in some 15 microseconds, and never syncs the disk. So it
    survives the process, but perhaps not the machine. WAL mode is safe with a single connection.
    """

    def __init__(self, path: str = ":memory:") -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def _execute(self, statement: str, values: Values) -> list[tuple[Any, ...]]:
        if self._connection is None:
            if self._path != ":memory:":
                make_private(Path(self._path))
            self._connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._connection.close)  # by the thread that collects the garbage
            for order in ("PRAGMA synchronous = OFF", "PRAGMA journal_mode = WAL", _TABLE):
                self._connection.execute(order)
        return self._connection.execute(statement, values).fetchall()


class TableLedger(SimulatedLedger):
    """A ledger in a table of PostgreSQL, for all replicas. Simultaneous entries share a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batcher = Batcher(self._execute_all, batch_size=ENTRIES_AT_ONCE)

    async def _execute(self, statement: str, values: Values) -> list[tuple[Any, ...]]:
        return await self._batcher.ask((statement, values))

    async def _execute_all(self, asked: Sequence[tuple[str, Values]]) -> list[list[tuple[Any, ...]]]:
        # In the order of their keys, so that two replicas with the same charges do not deadlock.
        ordered = sorted(range(len(asked)), key=lambda number: str(asked[number][1].get("key")))

        def execute(connection: Connection) -> list[list[tuple[Any, ...]]]:
            rows: list[list[tuple[Any, ...]]] = [[] for _ in asked]
            for number in ordered:
                statement, values = asked[number]
                rows[number] = [tuple(row) for row in connection.execute(text(statement), values)]
            return rows

        return await self._database.transact(execute, must_run=True)


def ledger_of(database: Database) -> SimulatedLedger:
    """Return the ledger that belongs to a database."""
    url = database.engine.url
    return FileLedger(f"{url.database}{SUFFIX}") if url.get_backend_name() == "sqlite" else TableLedger(database)
