"""Where the databases that are measured lie: in files of SQLite, or in a PostgreSQL server of their own."""

import asyncio
import os
import secrets
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import asyncpg

from cinema_grpc.adapters.database import schema
from tests.postgresql import PostgresServer, libpq_url, with_database

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
SETTINGS = ("shared_buffers=512MB", "max_wal_size=4GB", "max_connections=300", "listen_addresses=")
"""Of the PostgreSQL server; all else is as PostgreSQL's own defaults have it, so a commit is on the disk."""
FOLDER = Path("/var/tmp")  # noqa: S108 (/tmp is no disk on many machines, and not every folder lets PostgreSQL's user in)

T = TypeVar("T")
Bulk: TypeAlias = Mapping[str, tuple[Sequence[str], Sequence[tuple[Any, ...]]]]
"""For each table the names of some columns, and rows of their values as they are kept."""


class KeptDatabase(Protocol):
    """A database to measure on."""

    @property
    def url(self) -> str:
        """As the settings take it."""
        ...

    def copy(self) -> "KeptDatabase":
        """Make a copy beside it."""
        ...

    def drop(self) -> None:
        """Remove it, after its last use."""
        ...

    def size(self) -> int:
        """Tell how many bytes it takes on the disk."""
        ...

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Give the rows of a query; a statement that changes something is committed."""
        ...

    def fill(self, bulk: Bulk) -> None:
        """Write many rows quickly; no other connection may use it meanwhile."""
        ...

    def settle(self) -> None:
        """Do at once what the database would do by itself some minutes after many rows were written."""
        ...


class Databases(Protocol):
    """Makes databases of one kind.

    Attributes:
        kind: "sqlite" or "postgresql".
        version: Of what keeps them.
        folder: The disk that they are on.
    """

    kind: str
    version: str
    folder: Path

    def make(self, name: str) -> KeptDatabase:
        """Make an empty database."""
        ...

    def cpu_seconds(self) -> float:
        """Tell how long database servers, in processes of their own, have kept processors busy."""
        ...

    def close(self) -> None:
        """Remove everything."""
        ...


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A file of SQLite. Fulfils KeptDatabase."""

    path: Path

    @property
    def url(self) -> str:
        """As the settings take it."""
        return f"sqlite+aiosqlite:///{self.path}"

    def copy(self) -> "SqliteFile":
        """Copy the file."""
        path = self.path.with_name(f"{self.path.stem}-{secrets.token_hex(4)}.db")
        shutil.copy(self.path, path)
        return SqliteFile(path)

    def drop(self) -> None:
        """Remove the file."""
        self.path.unlink()

    def size(self) -> int:
        """Tell the file's size."""
        return self.path.stat().st_size

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Ask on a connection of its own."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(query).fetchall()

    def fill(self, bulk: Bulk) -> None:
        """Write without a journal: if this is interrupted, the file is made again."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
                connection.execute(f"PRAGMA {pragma}").close()
            for table, (names, rows) in bulk.items():
                marks = ", ".join("?" * len(names))
                connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)  # noqa: S608 (our names)

    def settle(self) -> None:
        """Do nothing, as SQLite does."""


class SqliteFiles:
    """Files of SQLite in a folder. Fulfils Databases."""

    kind = "sqlite"
    version = f"SQLite {sqlite3.sqlite_version}"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, name: str) -> SqliteFile:
        """Name a file, which the first connection makes."""
        return SqliteFile(self.folder / f"{name}.db")

    def cpu_seconds(self) -> float:
        """Return 0: SQLite works in the server's own process."""
        return 0.0

    def close(self) -> None:
        """Do nothing: the caller removes the folder."""


@dataclass(frozen=True, slots=True)
class PostgresqlDatabase:
    """A database of a PostgreSQL server. Fulfils KeptDatabase."""

    server_url: str
    name: str

    @property
    def url(self) -> str:
        """As the settings take it."""
        return with_database(self.server_url, self.name)

    def copy(self) -> "PostgresqlDatabase":
        """Copy it within the server, and have the server write down what it has yet to write."""
        copied = PostgresqlDatabase(self.server_url, f"{self.name.partition('__')[0]}__{secrets.token_hex(4)}")
        self._at_server(f"CREATE DATABASE {copied.name} TEMPLATE {self.name}")
        self._at_server("CHECKPOINT")
        return copied

    def drop(self) -> None:
        """Remove it, with all connections to it."""
        self._at_server(f"DROP DATABASE {self.name} WITH (FORCE)")

    def size(self) -> int:
        """Ask the server."""
        ((size,),) = self.ask("SELECT pg_database_size(current_database())")
        return int(size)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Ask on a connection of its own."""

        async def ask(connection: "asyncpg.Connection[asyncpg.Record]") -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await connection.fetch(query)]

        return _connected(self.url, ask)

    def fill(self, bulk: Bulk) -> None:
        """Copy the rows in."""

        async def copy_in(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
            for table, (names, rows) in bulk.items():
                await connection.copy_records_to_table(table, records=rows, columns=names)

        _connected(self.url, copy_in)

    def settle(self) -> None:
        """Tidy the tables and count their rows, as autovacuum would, which leaves alone what is empty."""
        for table in schema.metadata.tables:
            if self.ask(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608 (a table of ours)
                self.ask(f"VACUUM ANALYZE {table}")

    def _at_server(self, statement: str) -> None:
        async def execute(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
            await connection.execute(statement)

        _connected(self.server_url, execute)


class PostgresqlServer:
    """A PostgreSQL server that is started for the measurement. Fulfils Databases."""

    kind = "postgresql"
    folder = FOLDER

    def __init__(self) -> None:
        self._server = PostgresServer(SETTINGS, FOLDER)
        self._server.start()
        self.version = self._server.version

    def make(self, name: str) -> PostgresqlDatabase:
        """Make a database in it."""
        made = PostgresqlDatabase(self._server.url(), name.replace("-", "_"))
        PostgresqlDatabase(self._server.url(), "postgres").ask(f"CREATE DATABASE {made.name}")
        return made

    def cpu_seconds(self) -> float:
        """Add up what the server's first process, its children, and those of them that have ended have taken."""
        first = int((self._server.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        ticks = sum(_ticks(first)) + sum(sum(_ticks(int(child))[:2]) for child in children)
        return ticks / TICKS_A_SECOND

    def close(self) -> None:
        """Stop it, and remove its data."""
        self._server.close()


KEEPERS: Mapping[str, Callable[[Path], Databases]] = {"sqlite": SqliteFiles, "postgresql": lambda _: PostgresqlServer()}


def _ticks(process_id: int) -> list[int]:
    """Read the user and system time of a process, and of its children that have ended."""
    try:
        return [int(each) for each in Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[11:15]]
    except (FileNotFoundError, ProcessLookupError):
        return [0, 0, 0, 0]


def _connected(url: str, work: Callable[["asyncpg.Connection[asyncpg.Record]"], Awaitable[T]]) -> T:
    async def run() -> T:
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(libpq_url(url))
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(run())
