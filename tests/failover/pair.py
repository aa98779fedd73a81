"""Two PostgreSQL servers, of which one follows the other in step, and takes its place when that is gone."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.postgresql import PostgresServer, execute, fetch, free_port, make_tables
from tests.postgresql_programs import find_binaries

DURABLE = ("shared_buffers=64MB", "max_connections=100", "synchronous_commit=on", "wal_receiver_status_interval=1")
SECONDS = 60


class Pair:
    """A primary, and a standby without which it acknowledges nothing.

    Attributes:
        primary, standby: Which server is which, at present.
        url: The URL of a database at whichever of them takes writes.
    """

    def __init__(self, within: Path) -> None:
        """Make both; nothing runs yet."""
        if not (find_binaries() / "pg_basebackup").exists():
            pytest.fail("PostgreSQL's own programs are needed: apt install postgresql", pytrace=False)
        within.chmod(0o755)
        self.primary = PostgresServer(DURABLE, port=free_port())
        self.standby = PostgresServer(DURABLE, port=free_port())
        # In this order to the end, as in a setting: clients have to find out by themselves which one it is.
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"
        self.url = f"postgresql+asyncpg://cinema@{hosts}/postgres?target_session_attrs=read-write"

    async def start(self) -> None:
        """Start the primary, with tables, and have the standby follow."""
        await asyncio.to_thread(self.primary.start)
        await make_tables(self.primary.url())
        await self.mend()

    async def cut_off(self) -> None:
        """Have the standby hear nothing of the primary any more."""
        await execute(self.standby.url(), "ALTER SYSTEM SET primary_conninfo = ''")
        await execute(self.standby.url(), "SELECT pg_reload_conf()")
        async with asyncio.timeout(SECONDS):
            while await fetch(self.primary.url(), "SELECT 1 FROM pg_stat_replication"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """End the primary at once."""
        await asyncio.to_thread(self.primary.kill)

    async def take_over(self) -> None:
        """Make the standby the primary, which sells alone until it has a standby of its own."""
        await asyncio.to_thread(self.standby.run, "pg_ctl", "promote", "--wait")
        self.primary, self.standby = self.standby, self.primary

    async def mend(self) -> None:
        """Make the other server, which is down, the standby; from then on nothing is acknowledged without it."""
        await asyncio.to_thread(self._copy)
        await asyncio.to_thread(self.standby.start)
        await execute(self.primary.url(), "ALTER SYSTEM SET synchronous_standby_names = '*'")
        await execute(self.primary.url(), "SELECT pg_reload_conf()")
        async with asyncio.timeout(SECONDS):
            while await fetch(self.primary.url(), "SELECT sync_state FROM pg_stat_replication") != [("sync",)]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    def _copy(self) -> None:
        shutil.rmtree(self.standby.data)
        primary = f"host=127.0.0.1 port={self.primary.port} user=cinema"
        self.standby.run("pg_basebackup", "-R", "-d", primary, "--checkpoint=fast", "--wal-method=stream", "--no-sync")
        with (self.standby.data / "postgresql.auto.conf").open("a") as settings:
            settings.write("synchronous_standby_names = ''\n")

    async def close(self) -> None:
        """Stop both."""
        for server in (self.primary, self.standby):
            await asyncio.to_thread(server.close)
