"""Databases of PostgreSQL that are lent to one test after the other."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import asyncpg

from tests.postgresql import EMPTY, TEMPLATE, execute, in_thread, libpq_url, with_database

T = TypeVar("T")


class Databases:
    """Databases for the tests of one process, each lent to one test at a time."""

    def __init__(self, server_url: str, name: str) -> None:
        """Prepare.

        Args:
            server_url: The URL of a database whose user may make others; with a server's template in place.
            name: What the names of the databases begin with.
        """
        self._server_url = server_url
        self._name = name
        self._made = 0
        self._free: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connections: dict[str, asyncpg.Connection[asyncpg.Record]] = {}

    @contextmanager
    def lend(self) -> Iterator[str]:
        """Lend a database with empty tables; yield its URL."""
        if not self._free:
            self._made += 1
            name = f"{self._name}_{self._made}"
            in_thread(execute(self._server_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
            self._free.append(name)
        name = self._free.pop()
        url = with_database(self._server_url, name)
        yield url
        self._run(self._empty(name))
        self._free.append(name)

    async def _empty(self, name: str) -> None:
        """Empty the tables, over a connection that is kept, unless the test has ended it."""
        connection = self._connections.get(name)
        if connection is not None and not connection.is_closed():
            try:
                await connection.execute(EMPTY)
            except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.AdminShutdownError):
                connection.terminate()
            else:
                return
        url = with_database(self._server_url, name)
        connection = self._connections[name] = await asyncpg.connect(libpq_url(url))
        await connection.execute(EMPTY)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _disconnect(self) -> None:
        for connection in self._connections.values():
            connection.terminate()

    def close(self) -> None:
        """Remove them."""
        self._run(self._disconnect())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for number in range(1, self._made + 1):
            in_thread(execute(self._server_url, f"DROP DATABASE IF EXISTS {self._name}_{number} WITH (FORCE)"))
