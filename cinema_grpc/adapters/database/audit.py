"""The audit of a database: checks every invariant, and that the books balance."""

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncConnection

from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.invariants import books_query, invariants
from cinema_grpc.domain.errors import rfc3339

EXAMPLES = 5
"""How many breaches of a rule a report shows."""
FAULTS_OF_SOURCE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""Errors of SQLite that concern the file that is read, not the copy."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule, the number of its breaches, and the first few of them by column name."""

    rule: str
    breaches: int
    examples: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Books:
    """The books of one currency, in minor units: charged - refunded = sold + kept, if they balance."""

    currency_code: str
    charged: int
    refunded: int
    sold: int
    kept: int

    @property
    def balance(self) -> int:
        """Zero, if they balance."""
        return self.charged - self.refunded - self.sold - self.kept


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit found in a snapshot of the database."""

    time: datetime
    findings: list[Finding]
    books: list[Books]

    @property
    def breaches(self) -> int:
        """The number of breaches of all rules."""
        return sum(finding.breaches for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values, with times in RFC 3339 and money in minor units."""
        return {
            "time": rfc3339(self.time),
            "breaches": self.breaches,
            "findings": [asdict(each) for each in self.findings],
            "books": [{**asdict(each), "balance": each.balance} for each in self.books],
        }

    def describe(self) -> str:
        """Return the report as a table for people."""
        lines = [f"The database as of {rfc3339(self.time)}", "", "breaches  rule"]
        for finding in self.findings:
            lines.append(f"{finding.breaches:8}  {finding.rule}")
            for example in finding.examples:
                shown = ", ".join(f"{name}={value}" for name, value in example.items())
                lines.append(f"{'':8}    {shown}")
            if finding.breaches > len(finding.examples):
                lines.append(f"{'':8}    and {finding.breaches - len(finding.examples)} more")
        lines += ["", f"{'currency':8}{'charged':>16}{'refunded':>16}{'sold':>16}{'kept':>16}{'balance':>16}"]
        for each in self.books:
            amounts = (each.charged, each.refunded, each.sold, each.kept, each.balance)
            lines.append(f"{each.currency_code:8}" + "".join(f"{amount:16}" for amount in amounts))
        lines += ["", f"{self.breaches} breaches" if self.breaches else "No breaches."]
        return "\n".join(lines)


class CannotCopy(Exception):
    """An SQLite file can't be copied for the audit.

    Attributes:
        of_source: Whether the file itself is the cause, rather than the place for the copy.
    """

    def __init__(self, message: str, cause: OSError | sqlite3.Error) -> None:
        super().__init__(message)
        code: int = getattr(cause, "sqlite_errorcode", None) or sqlite3.SQLITE_OK
        self.of_source = code & 0xFF in FAULTS_OF_SOURCE


async def audit(database: Database) -> Report:
    """Audit a snapshot of a database, which may be in use.

    An SQLite file is copied first, since a reader blocks writers, and the copy is checked for damage too.

    Raises:
        StorageUnavailable: The database can't be read.
        CannotCopy: The file can't be copied to the folder for temporary files.
    """
    now = await database.now()
    async with _snapshot(database) as connection:
        later = await database.now()
        damage = await _damage(connection)
        try:
            damage += await _orphans(connection)
            report = await report_on(connection, now, later)
        except (DatabaseError, UnicodeDecodeError):
            if not any(each.breaches for each in damage):
                raise
            report = Report(now, [], [])  # no other rule can be checked
    return replace(report, findings=damage + report.findings)


async def report_on(connection: AsyncConnection, now: datetime, later: datetime | None = None) -> Report:
    """Return a report on the rows that a transaction sees.

    Args:
        connection: Its connection.
        now: A time before the rows were read; no later one is right for what must be done within seconds.
        later: A time after that, for what ends by itself; `now` if left out.
    """
    times = {"now": microseconds(now), "later": microseconds(later or now)}
    findings, dialect = [], connection.dialect.name
    for each in invariants(dialect):
        query = text(f"SELECT *, count(*) OVER () AS breaches FROM ({each.breaches}) AS broken LIMIT {EXAMPLES}")  # noqa: S608 (texts of ours)
        values = {name: time for name, time in times.items() if f":{name}" in each.breaches}
        rows = [dict(row._mapping) for row in await connection.execute(query, values)]  # noqa: SLF001 (SQLAlchemy's way)
        breaches = rows[0]["breaches"] if rows else 0
        examples = [{name: value for name, value in row.items() if name != "breaches"} for row in rows]
        findings.append(Finding(each.rule, breaches, examples))
    books = [Books(row[0], *map(int, row[1:])) for row in await connection.execute(text(books_query(dialect)))]
    unbalanced = [each for each in books if each.balance]
    examples = [{"currency_code": each.currency_code, "balance": each.balance} for each in unbalanced]
    findings.append(Finding("charges less refunds are what is sold and kept", len(unbalanced), examples))
    return Report(now, findings, books)


@asynccontextmanager
async def _snapshot(database: Database) -> AsyncIterator[AsyncConnection]:
    if database.driver.shared:
        with database.translated():
            async with database.engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                await connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                # The connections of the server have these off, for queries that read little; this reads everything.
                for plan in ("seqscan", "bitmapscan", "hashjoin", "mergejoin"):
                    await connection.exec_driver_sql(f"SET LOCAL enable_{plan} = on")
                # Tables without statistics, as after pg_restore, look small to PostgreSQL. It would go through one for
                # each row of another.
                await connection.exec_driver_sql("SET LOCAL enable_nestloop = off")
                await connection.exec_driver_sql("SELECT 1")  # takes the snapshot
                yield connection
        return
    with ExitStack() as temporary:
        try:
            folder = temporary.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
            copy = Path(folder) / "cinema.db"
            await asyncio.to_thread(_copy, str(database.engine.url.database), copy)
        except (OSError, sqlite3.Error) as error:
            where = f" to {tempfile.tempdir}" if tempfile.tempdir else ""
            raise CannotCopy(f"can't copy the database{where} for the audit: {error}", error) from error
        copied = Database(f"sqlite+aiosqlite:///{copy}")
        try:
            with copied.translated():
                async with copied.engine.connect() as connection:
                    yield connection
        finally:
            await copied.close()


def _copy(original: str, copy: Path) -> None:
    with closing(sqlite3.connect(original)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


async def _damage(connection: AsyncConnection) -> list[Finding]:
    """Have SQLite check its file. PostgreSQL does so by itself, with checksums."""
    if connection.dialect.name != "sqlite":
        return []
    try:
        found = [str(row[0]) for row in await connection.exec_driver_sql("PRAGMA integrity_check")]
    except DatabaseError as error:
        if getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        found = [str(error.orig)]
    damage = [] if found == ["ok"] else found
    return [Finding("the file is sound", len(damage), [{"damage": each} for each in damage[:EXAMPLES]])]


async def _orphans(connection: AsyncConnection) -> list[Finding]:
    """Have SQLite check all references. PostgreSQL does so with each change."""
    if connection.dialect.name != "sqlite":
        return []
    orphans = [list(row) for row in await connection.exec_driver_sql("PRAGMA foreign_key_check")]
    examples = [{"table": table, "refers_to": parent} for table, _, parent, _ in orphans[:EXAMPLES]]
    return [Finding("what a row refers to is there", len(orphans), examples)]
