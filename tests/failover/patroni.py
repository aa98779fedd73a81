"""Patroni and etcd, from the system's packages: two PostgreSQL servers that settle by themselves who is the primary."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.failover.program import Program
from tests.postgresql import fetch, free_port, make_tables
from tests.postgresql_programs import find_binaries, unprivileged

SECONDS = 120
TTL = 20
"""How long the others wait for a sign of life of the primary's, in seconds: the least that Patroni takes."""


class Member:
    """One of Patroni's servers."""

    def __init__(self, name: str, folder: Path, etcd: str, as_user: list[str]) -> None:
        """Write down its settings; it does not run yet."""
        self.name, self.folder = name, folder
        self.port, self._rest_port = free_port(), free_port()
        self._as_user = as_user
        self._program: Program | None = None
        settings = settings_of(name, folder, etcd, self.port, self._rest_port)
        (folder / "patroni.json").write_text(json.dumps(settings))  # which is YAML

    @property
    def url(self) -> str:
        """The URL of its database."""
        return f"postgresql+asyncpg://cinema@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start Patroni, which starts PostgreSQL."""
        patroni = shutil.which("patroni")
        assert patroni is not None
        self._program = Program(self._as_user, self.folder, patroni, "patroni.json")

    def kill(self) -> None:
        """End Patroni and PostgreSQL at once, as a machine that loses its power does."""
        assert self._program is not None
        self._program.kill()
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGQUIT)
        while Path(f"/proc/{postmaster}").exists():
            os.sched_yield()
        self._program = None

    def stop(self) -> None:
        """Stop both."""
        if self._program is not None:
            self._program.stop()
            self._program = None

    def cluster(self) -> list[dict[str, Any]]:
        """Ask it for all members; nothing while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._rest_port}/cluster", timeout=2) as answer:
                members: list[dict[str, Any]] = json.load(answer)["members"]
                return members
        except OSError:
            return []


class PatroniPair:
    """Two servers under Patroni, with an etcd. Fulfils Cluster."""

    def __init__(self) -> None:
        """Write down the settings of everything; nothing runs yet."""
        if shutil.which("patroni") is None or shutil.which("etcd") is None:
            pytest.fail("Patroni and etcd are needed: apt install patroni etcd-server", pytrace=False)
        self._folder = Path(tempfile.mkdtemp(prefix="patroni"))
        self._as_user = unprivileged(self._folder)
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._etcd_arguments = [
            *(
                "--name",
                "etcd",
                "--data-dir",
                "etcd",
                "--listen-client-urls",
                client,
                "--advertise-client-urls",
                client,
            ),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"etcd={peer}"),
        ]
        self._etcd: Program | None = None
        self.members = []
        for name in ("one", "two"):
            folder = self._folder / name
            folder.mkdir()
            unprivileged(folder)
            self.members.append(Member(name, folder, client.removeprefix("http://"), self._as_user))
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.members)
        self.url = f"postgresql+asyncpg://cinema@{hosts}/postgres?target_session_attrs=read-write"

    async def start(self) -> None:
        """Start everything, and make the tables."""
        etcd = shutil.which("etcd")
        assert etcd is not None
        self._etcd = Program(self._as_user, self._folder, etcd, *self._etcd_arguments)
        for member in self.members:
            member.start()
        await self.mend()
        await make_tables(self.url)

    async def kill(self) -> None:
        """End the primary, with its Patroni."""
        await asyncio.to_thread((await self._primary()).kill)

    async def take_over(self) -> None:
        """Wait: Patroni promotes the other one."""

    async def mend(self) -> None:
        """Start what is down, and wait until one follows the other in step."""
        for member in self.members:
            if member._program is None:
                member.start()
        async with asyncio.timeout(SECONDS):
            while not await asyncio.to_thread(self._is_complete):  # noqa: ASYNC110 (of other processes)
                await asyncio.sleep(0.2)

    def _is_complete(self) -> bool:
        return any(
            sorted((each["role"], each["state"]) for each in member.cluster()) == IN_STEP for member in self.members
        )

    async def _primary(self) -> Member:
        for member in self.members:
            try:
                if await fetch(member.url, "SELECT pg_is_in_recovery()") == [(False,)]:
                    return member
            except (OSError, asyncpg.PostgresError):
                continue
        raise AssertionError("there is no primary")

    async def close(self) -> None:
        """Stop everything, and remove it."""
        for member in self.members:
            await asyncio.to_thread(member.stop)
        if self._etcd is not None:
            await asyncio.to_thread(self._etcd.stop)
        shutil.rmtree(self._folder, ignore_errors=True)


IN_STEP = [("leader", "running"), ("sync_standby", "running")]


def settings_of(name: str, folder: Path, etcd: str, port: int, rest_port: int) -> dict[str, Any]:
    """Return a member's settings, as in docs/operations.md."""
    rest, server = f"127.0.0.1:{rest_port}", f"127.0.0.1:{port}"
    return {
        "scope": "cinema",
        "name": name,
        "restapi": {"listen": rest, "connect_address": rest},
        "etcd3": {"host": etcd},
        "bootstrap": {
            "dcs": {
                "ttl": TTL,
                "loop_wait": 2,
                "retry_timeout": 3,
                "maximum_lag_on_failover": 0,
                "synchronous_mode": True,
                "primary_start_timeout": 0,
                "postgresql": {"use_pg_rewind": True, "parameters": {"synchronous_commit": "on"}},
            },
            "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}, "no-locale", "no-sync"],
            "pg_hba": ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
        },
        "postgresql": {
            "listen": server,
            "connect_address": server,
            "data_dir": str(folder / "data"),
            "bin_dir": str(find_binaries()),
            "pgpass": str(folder / "pgpass"),
            "authentication": {"superuser": {"username": "cinema"}, "replication": {"username": "cinema"}},
            "parameters": {"unix_socket_directories": str(folder), "shared_buffers": "64MB", "max_connections": 100},
        },
    }
