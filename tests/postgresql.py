"""PostgreSQL for tests: a server of their own, and databases in it that are empty whenever a test begins."""

import asyncio
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.migrate import migrate
from cinema_grpc.database_url import parse_postgresql
from tests.postgresql_programs import find_binaries, unprivileged

T = TypeVar("T")

SECONDS = 60
LOWEST_PORT, LOWEST_PORT_GIVEN_OUT = 10_000, 32_768
"""The latter is Linux's default; elsewhere it is higher."""
TEMPLATE = "cinema_test_template"
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
"""Finds connections that wait for a lock."""
SPEED = ("fsync=off", "full_page_writes=off", "shared_buffers=64MB", "max_connections=300", "listen_addresses=")
"""Settings of a server whose machine never loses its power."""

TABLES = ["simulated_payment", *(table.name for table in reversed(schema.metadata.sorted_tables))]
# A test that has leaked a connection with an open transaction fails here: the lock times out. TRUNCATE would make new
# files for each table and its indexes, which takes thirty times as long as deleting a few rows.
EMPTY = f"SET lock_timeout = '10s'; LOCK {', '.join(TABLES)}; " + "; ".join(f"DELETE FROM {name}" for name in TABLES)  # noqa: S608 (our names)
EMPTY += "; INSERT INTO catalog_revision VALUES (1); INSERT INTO event_feed VALUES (1, 0)"  # as in a new database

# Ends the server when the pipe on its standard input is closed, as it is when the tests end in any way at all. A word
# on the pipe keeps the data for the next start.
SUPERVISOR = """
trap '' INT TERM
"$1/postgres" -D "$2/data" -k "$2" $3 >>"$2/log" 2>&1 &
word=
read -r word
kill -QUIT $!
wait $!
test -n "$word" || rm -rf "$2"
"""


# Sets how large files may grow that processes of a user write to. Only that user may.
LIMIT_FILES = """
import os, resource, sys
user, group, size, *processes = map(int, sys.argv[1:])
if os.geteuid() == 0:
    os.setgroups([]), os.setgid(group), os.setuid(user)
for process in processes:
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, resource.prlimit(process, resource.RLIMIT_FSIZE)[1]))
"""


def free_port(number: int = 1) -> int:
    """Return a port that is free, as are the next ones.

    It is not one of those that the system gives out by itself, to connections for example: until a server listens on
    it, or while one is started again, it could be given away.

    Args:
        number: How many have to be free.
    """
    while True:
        port = LOWEST_PORT + secrets.randbelow(LOWEST_PORT_GIVEN_OUT - LOWEST_PORT - number)
        with ExitStack() as stack, suppress(OSError):
            for each in range(port, port + number):
                stack.enter_context(socket.create_server(("127.0.0.1", each)))
            return port


class PostgresServer:
    """A server on a Unix socket, which ends when these tests do."""

    def __init__(
        self,
        settings: tuple[str, ...] = SPEED,
        within: Path | None = None,
        port: int | None = None,
        initdb: tuple[str, ...] = (),
    ) -> None:
        """Make its data, in a folder of its own `within` another; it does not run yet. With a port it takes TCP."""
        self.binaries = find_binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="pg", dir=within))
        self.port = port
        if port is not None:
            settings = (*settings, f"port={port}", "listen_addresses=127.0.0.1")
        self._settings = " ".join(f"-c {setting}" for setting in settings)
        self.as_user: list[str] = []
        self._supervisor: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            self._leave_root()
        self.run("initdb", "-U", "cinema", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", *initdb)

    @property
    def data(self) -> Path:
        """Where its data is."""
        return self.folder / "data"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs on the data."""
        subprocess.run(  # noqa: S603 (PostgreSQL's program)
            [*self.as_user, self.binaries / program, "-D", self.data, *arguments],
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            check=True,
            timeout=SECONDS,
        )

    def _leave_root(self) -> None:
        """Become another user, as the server refuses to run as root, and put its programs where that one finds them."""
        self.as_user = unprivileged(self.folder)
        if not all(parent.stat().st_mode & 0o001 for parent in self.binaries.parents):
            installed = self.folder / "installed"  # out of a home that only root may enter
            shutil.copytree(self.binaries.parent, installed)
            self.binaries = installed / "bin"

    @property
    def version(self) -> str:
        """What the server says it is."""
        told = subprocess.run([self.binaries / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
        return told.stdout.strip().replace("postgres (PostgreSQL)", "PostgreSQL")

    @property
    def speaks_tls(self) -> bool:
        """Whether it was built to."""
        told = subprocess.run(  # noqa: S603 (PostgreSQL's program)
            [*self.as_user, self.binaries / "postgres", "-D", self.data, "-C", "ssl_library"],
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=True,
        )
        return bool(told.stdout.strip())

    def url(self, name: str = "postgres") -> str:
        """Return the URL of a database, as the settings take it."""
        if self.port is not None:
            return f"postgresql+asyncpg://cinema@127.0.0.1:{self.port}/{name}"
        return f"postgresql+asyncpg://cinema@/{name}?host={self.folder}"

    def start(self) -> None:
        """Run the server, and return when it answers."""
        arguments = ["/bin/sh", "-c", SUPERVISOR, "sh", str(self.binaries), str(self.folder), self._settings]
        self._supervisor = subprocess.Popen(  # noqa: S603 (ours)
            [*self.as_user, *arguments], stdin=subprocess.PIPE, cwd=self.folder, start_new_session=True
        )
        in_thread(self._answering())

    async def _answering(self) -> None:
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    connection = await asyncpg.connect(libpq_url(self.url()))
                except (OSError, asyncpg.CannotConnectNowError) as error:
                    if self._supervisor is None or self._supervisor.poll() is not None:
                        raise RuntimeError((self.folder / "log").read_text()[-2_000:]) from error
                    await asyncio.sleep(0.02)
                else:
                    await connection.close()
                    return

    def send(self, number: signal.Signals) -> None:
        """Send a signal to all of its processes, such as SIGSTOP, which freezes it."""
        for process in self.processes():
            os.kill(process, number)

    def limit_files(self, size: int) -> None:
        """Keep files that it writes to from growing beyond a size, as a full disk does; -1 is no limit."""
        owner = self.data.stat()
        numbers = map(str, (owner.st_uid, owner.st_gid, size, *self.processes()))
        subprocess.run([sys.executable, "-ISc", LIMIT_FILES, *numbers], check=True, timeout=SECONDS)  # noqa: S603 (ours)

    def processes(self) -> Iterator[int]:
        """Yield the identifiers of its processes, the one that starts the others first."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        yield postmaster
        yield from map(int, Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split())

    def kill(self, *, keep: bool = True) -> None:
        """Stop at once, as `pg_ctl stop -m immediate` does: without a word to anyone, and with recovery to come."""
        if self._supervisor is not None and self._supervisor.stdin is not None:
            if keep:
                self._supervisor.stdin.write(b"keep\n")
            self._supervisor.stdin.close()
            self._supervisor.wait(SECONDS)
            self._supervisor = None

    def close(self) -> None:
        """Stop, and remove everything."""
        self.kill(keep=False)
        shutil.rmtree(self.folder, ignore_errors=True)


async def make_template(server_url: str) -> None:
    """Make the database that others are copies of."""
    await execute(server_url, f"DROP DATABASE IF EXISTS {TEMPLATE}")
    await execute(server_url, f"CREATE DATABASE {TEMPLATE}")
    await make_tables(with_database(server_url, TEMPLATE))


async def make_tables(url: str) -> None:
    """Make all tables in a database."""
    database = Database(url)
    await migrate(database)
    await database.close()


def with_database(url: str, name: str) -> str:
    """Return the URL of another database of the same server."""
    return re.sub(r"(?<=[^/:]/)[^/?]*(?=\?|$)|(?<=:///)[^/?]*(?=\?|$)", name, url, count=1)


def libpq_url(url: str) -> str:
    """Return a database URL of the settings as PostgreSQL's own programs take it."""
    return parse_postgresql(url).libpq_url()


async def execute(url: str, statements: str) -> None:
    """Run statements."""
    connection = await asyncpg.connect(libpq_url(url))
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def fetch(url: str, query: str, *arguments: Any) -> list[Any]:
    """Return the rows of a query."""
    connection = await asyncpg.connect(libpq_url(url))
    try:
        return [tuple(row) for row in await connection.fetch(query, *arguments)]
    finally:
        await connection.close()


def in_thread(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end where no event loop may be disturbed."""
    outcome: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 (raised again below)
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
