"""Tables that a newer version has widened under a running server: every call goes on as before."""

import asyncio
import sqlite3
from contextlib import closing

from cinema_grpc.adapters.database.audit import audit
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.schema import metadata
from cinema_grpc.adapters.simulated_ledger import ledger_of
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from tests.postgresql import execute
from tests.rpc.conftest import METHODS, running
from tests.rpc.round_of_calls import Round

COLUMNS = {table.name: {column.name for column in table.columns} for table in metadata.sorted_tables} | {
    "simulated_payment": {"key", "charge_key", "currency_code", "amount", "outcome"}
}


def widening(kind: str) -> list[str]:
    """Add a column to every table, and then each column that another table has.

    The former moves what is read by position; the latter makes a name ambiguous that stands without its table.
    """
    names = {"added"}.union(*COLUMNS.values())
    return [
        f'ALTER TABLE {table} ADD COLUMN "{name}" TEXT'
        for table, own in COLUMNS.items()
        if kind == "postgresql" or table != "simulated_payment"  # which is in a file of its own
        for name in ["added", *sorted(names - own - {"added"})]
    ]


async def widen(url: str) -> None:
    """Change the tables, as a migration that another process runs."""
    kind, _, path = url.partition("+aiosqlite:///")
    if kind == "sqlite":
        await asyncio.to_thread(widen_file, path)
    else:
        # Each in a transaction of its own: in one they would lock the tables in another order than the server does.
        await execute(url, "; ".join(f"BEGIN; {statement}; COMMIT" for statement in widening("postgresql")))


def widen_file(path: str) -> None:
    """Change the tables in an SQLite file."""
    with closing(sqlite3.connect(path)) as file, file:
        for statement in widening("sqlite"):
            file.execute(statement)


async def test_columns_that_are_added_to_every_table_change_nothing(empty_url: str) -> None:
    """A running server goes on with every call and every task, and so does a look by `cinema audit`."""
    beside = Database(empty_url)
    async with running(empty_url, gateway=SimulatedPayments(ledger_of(beside))) as app:
        for number in (1, 2):
            calls = Round(app, number)
            await calls.run()
            assert calls.called == set(METHODS)
            if number == 1:
                await widen(empty_url)
        report = await audit(app.server.database)
        assert report.breaches == 0
    await beside.close()
