"""PgBouncer in transaction mode between the replicas and their database, set up as docs/operations.md has it."""

import asyncio
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cinema_grpc.adapters.database.postgresql import PARAMETERS
from tests.chance import count, seed
from tests.e2e.conftest import run
from tests.failover.pair import DURABLE
from tests.failover.program import Program
from tests.failover.test_promotion import wrong
from tests.postgresql import PostgresServer, execute, fetch, free_port
from tests.postgresql_programs import unprivileged
from tests.replicas.audit import Log
from tests.replicas.conftest import a_chain

pytestmark = pytest.mark.failover

OLDEST = (1, 21)
"""Since this version PgBouncer knows prepared statements in transaction mode."""
CONNECTIONS = 6
"""To the database: fewer than the replicas have to PgBouncer, so that one serves many in turn."""
CLIENTS = 12


@contextmanager
def pgbouncer(server: PostgresServer) -> Iterator[str]:
    """Run it before a server, all of whose parameters are set in the database; return the URL through it."""
    program = shutil.which("pgbouncer")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout if program else ""  # noqa: S603
    version = re.search(r"PgBouncer (\d+)\.(\d+)", told)
    if program is None or version is None or tuple(map(int, version.groups())) < OLDEST:
        found = version[0] if version else "none"
        pytest.fail(f"PgBouncer 1.21 or newer is needed, and there is {found}: apt install pgbouncer", pytrace=False)
    folder = server.folder / "pgbouncer"
    folder.mkdir()
    port = free_port()
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "max_prepared_statements": 200,
        "ignore_startup_parameters": ",".join(sorted(PARAMETERS.keys() - {"application_name"})),
        "default_pool_size": CONNECTIONS,
    }
    lines = [f"{name} = {value}" for name, value in settings.items()]
    database = f"postgres = host={server.folder} user=cinema"
    (folder / "pgbouncer.ini").write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines, ""]))
    running = Program(unprivileged(folder), folder, program, "pgbouncer.ini")
    try:
        yield f"postgresql+asyncpg://cinema@127.0.0.1:{port}/postgres"
    finally:
        running.stop()


async def listening(url: str) -> None:
    """Wait until connections are taken."""
    async with asyncio.timeout(30):
        while True:
            try:
                await fetch(url, "SELECT 1")
            except OSError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_selling_through_pgbouncer(tmp_path: Path) -> None:
    """Migrate from three processes at once; then two replicas book, pay and cancel over a handful of connections."""
    chosen = seed()
    with closing(PostgresServer((*DURABLE, "listen_addresses="))) as server:
        await asyncio.to_thread(server.start)
        for name in PARAMETERS.keys() - {"application_name"}:
            await execute(server.url(), f"ALTER ROLE cinema SET {name} = '{PARAMETERS[name]}'")
        with pgbouncer(server) as url:
            await listening(url)
            migrations = await asyncio.gather(
                *(asyncio.to_thread(run, tmp_path, "migrate", CINEMA_DATABASE_URL=url) for _ in range(3))
            )
            assert all(each.stdout.startswith("the schema is up to date in ") for each in migrations)
            for name in PARAMETERS.keys() - {"application_name"}:
                assert await fetch(url, f"SHOW {name}") == [(PARAMETERS[name],)]
            async with a_chain(tmp_path, url, 2, 5, CLIENTS) as chain:
                log = Log()

                async def client(number: int) -> None:
                    chance = random.Random(chosen + number)  # noqa: S311 (a test's)
                    for _ in range(count(100)):
                        replica = chance.choice(chain.replicas)
                        await log.command(chance, replica, chain.customers[number], chain.showtimes)

                await asyncio.gather(*map(client, range(CLIENTS)))
                assert log.outcomes["OK"] > CLIENTS
                assert log.outcomes["UNAVAILABLE"] == 0
                (backends,) = await fetch(server.url(), "SELECT count(*) FROM pg_stat_activity WHERE backend_type ="
                                          " 'client backend' AND pid <> pg_backend_pid()")  # fmt: skip
                assert backends <= (CONNECTIONS,)
                assert await wrong(chain, log, tmp_path) == []
