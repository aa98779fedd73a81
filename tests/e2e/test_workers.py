"""`cinema serve --workers`: several processes on one port, replaced when they die, stopped together."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.cli import workers
from cinema_grpc.config import Settings
from tests.certificates import Authority, write
from tests.e2e.conftest import SECRET, Serving, measured, run, run_here, serving
from tests.observability.scraping import scrape
from tests.postgresql import execute, free_port, in_thread, with_database
from tests.replicas.conftest import Chain, Replica


def worker_ids(server: Serving) -> set[int]:
    """Return the process ids of the living workers of a supervisor."""
    number = server.process.pid
    return {int(each) for each in Path(f"/proc/{number}/task/{number}/children").read_text().split()}


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 (of another process)
            await asyncio.sleep(0.02)


def serving_lines(server: Serving) -> int:
    return sum('"serving"' in line for line in server.lines)


async def test_a_port_with_three_processes(postgresql_url: str, tmp_path: Path) -> None:
    """Each sells, whatever the working folder has. A killed one is replaced meanwhile. SIGTERM ends all with 0."""
    database = Database(postgresql_url)
    chain = Chain(postgresql_url, database)
    await chain.furnish(showtimes=1, customers=1)
    await database.close()
    (tmp_path / "cinema_grpc.py").write_text("raise SystemExit('a module of the working folder')")
    with serving(tmp_path, "--workers", "3", CINEMA_DATABASE_URL=postgresql_url, **measured()) as server:
        await until(lambda: serving_lines(server) == 3)
        workers = worker_ids(server)
        assert len(workers) == 3
        for number in range(10):  # each over a connection of its own, which any worker may get
            async with grpc.aio.insecure_channel(server.address) as channel:
                replica = Replica(server, channel)
                await replica.book(chain.customers[0], chain.showtimes[0], f"A{number + 1}")
                assert len(await replica.taken(chain.showtimes[0])) == number + 1
        os.kill(min(workers), signal.SIGKILL)
        await until(lambda: serving_lines(server) == 4)
        assert len(worker_ids(server)) == 3
        assert any("a worker died and is replaced" in line for line in server.lines)
        assert (await asyncio.to_thread(run_here, tmp_path, "health", server.address)).returncode == 0
        assert server.stop() == 0
        assert sum('"stopped"' in line for line in server.lines) == 3


HANG_AT_SIGNAL = """
import signal, time
from cinema_grpc.cli import hang_watch
hang_watch.SECONDS_UNTIL_HUNG = 8.0
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(60))
"""
"""Python runs a file of this name in each process."""


async def test_a_worker_that_hangs_is_replaced(postgresql_url: str, tmp_path: Path) -> None:
    """Its event loop, here in a signal handler. The log says where."""
    (tmp_path / "sitecustomize.py").write_text(HANG_AT_SIGNAL)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    settings = {"CINEMA_DATABASE_URL": postgresql_url, "PYTHONPATH": path}
    with serving(tmp_path, "--workers", "2", **settings) as server:
        await until(lambda: serving_lines(server) >= 2)
        hanging = min(worker_ids(server))
        os.kill(hanging, signal.SIGUSR1)
        await until(lambda: serving_lines(server) >= 3)
        assert hanging not in worker_ids(server)
        assert any('"exit_code":1' in line for line in server.lines)
        assert any("in <lambda>" in line for line in server.lines)
        assert server.stop() == 0


async def test_workers_that_speak_tls(postgresql_url: str, tmp_path: Path) -> None:
    """They also share a health address without TLS.

    A replacement that can't read its key is started again, and the other workers go on.
    """
    authority = Authority()
    files = write(tmp_path, *authority.issue())
    settings = {f"CINEMA_{name.upper()}": str(path) for name, path in files.items()}
    settings |= {"CINEMA_DATABASE_URL": postgresql_url, "CINEMA_HEALTH_ADDRESS": "127.0.0.1:0"}
    with serving(tmp_path, "--workers", "2", **settings) as server:
        await until(lambda: serving_lines(server) == 2)
        lines = [json.loads(line) for line in server.lines if '"serving"' in line]
        (health_address,) = {line["health_address"] for line in lines}
        assert run(tmp_path, "health", CINEMA_HEALTH_ADDRESS=health_address).returncode == 0
        assert (await asyncio.to_thread(run_here, tmp_path, "health", server.address)).returncode == 1
        async with grpc.aio.secure_channel(server.address, authority.client()) as channel:
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        key = files["tls_key"]
        hidden = key.rename(tmp_path / "hidden")
        killed, survivor = worker_ids(server)
        os.kill(killed, signal.SIGKILL)
        await until(lambda: any('"exit_code":2' in line for line in server.lines))
        assert survivor in worker_ids(server)
        hidden.rename(key)
        await until(lambda: serving_lines(server) == 3)
        assert server.stop() == 0


async def test_metrics_of_each_worker(postgresql_url: str, tmp_path: Path) -> None:
    """The first has the port of the setting, the second the next one, also after it was replaced."""
    port = free_port(2)
    settings = {"CINEMA_DATABASE_URL": postgresql_url, "CINEMA_METRICS_ADDRESS": f"127.0.0.1:{port}"}
    check = {"grpc_service": "grpc.health.v1.Health", "grpc_method": "Check"}
    with serving(tmp_path, "--workers", "2", **settings) as server:
        await until(lambda: serving_lines(server) == 2)
        for _ in range(10):  # each over a connection of its own, which any worker may get
            assert (await asyncio.to_thread(run_here, tmp_path, "health", server.address)).returncode == 0
        found = [await scrape(f"127.0.0.1:{each}") for each in (port, port + 1)]
        assert sum(each.value("grpc_server_handled_total", **check) for each in found) == 10
        assert all(each.value("cinema_database_connections_limit") == 10 for each in found)
        before = Counter(each.value("process_start_time_seconds") for each in found)  # equal if they started at once
        os.kill(min(worker_ids(server)), signal.SIGKILL)
        await until(lambda: serving_lines(server) == 3)
        found = [await scrape(f"127.0.0.1:{each}") for each in (port, port + 1)]
        after = Counter(each.value("process_start_time_seconds") for each in found)
        assert (before & after).total() == 1
        assert server.stop() == 0


async def test_workers_end_with_their_supervisor(postgresql_url: str, tmp_path: Path) -> None:
    """Here it is killed."""
    with serving(tmp_path, "--workers", "2", CINEMA_DATABASE_URL=postgresql_url) as server:
        await until(lambda: serving_lines(server) == 2)
        workers = worker_ids(server)
        server.stop(signal.SIGKILL)
        await until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


async def test_a_worker_that_can_not_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have too little memory for a moment: the supervisor goes on."""
    monkeypatch.setattr(workers, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(sys, "executable", "/there/is/no/such/python")
    supervisor = workers.Workers(Settings(listen_address="127.0.0.1:0"), 2)
    with capture_logs() as logs:
        running = asyncio.create_task(supervisor.run())
        await until(lambda: sum(line["event"] == "a worker can't be started" for line in logs) >= 6)
        assert not running.done()
        supervisor._stopping.set()
        assert await running == 0


class TestRefusals:
    """Each is one line."""

    def test_metrics(self, postgresql_url: str, tmp_path: Path) -> None:
        """There is no port for the second worker."""
        settings = {"CINEMA_JWT_SECRET": SECRET, "CINEMA_METRICS_ADDRESS": "127.0.0.1:65535"}
        ended = run_here(tmp_path, "serve", "--workers", "2", CINEMA_DATABASE_URL=postgresql_url, **settings)
        assert ended.returncode == 2
        assert "CINEMA_METRICS_ADDRESS: worker 2 would need port 65536" in ended.stderr.splitlines()[-1]

    @pytest.mark.parametrize(
        ("arguments", "hint"),
        [
            (("--workers", "2"), "a file of SQLite has one writer"),
            (("--workers", "2", "--demo"), "--demo runs in one process"),
            (("--no-migrate",), "run `cinema migrate` first"),
        ],
    )
    def test_on_sqlite(self, tmp_path: Path, arguments: tuple[str, ...], hint: str) -> None:
        ended = run_here(tmp_path, "serve", *arguments, CINEMA_JWT_SECRET=SECRET)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert hint in line

    def test_an_address_that_is_taken(self, postgresql_url: str, tmp_path: Path) -> None:
        """Also if the other program would share it."""
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            settings = {"CINEMA_JWT_SECRET": SECRET, "CINEMA_LISTEN_ADDRESS": address}
            ended = run_here(tmp_path, "serve", "--workers", "2", CINEMA_DATABASE_URL=postgresql_url, **settings)
        assert ended.returncode == 2
        assert f"CINEMA_LISTEN_ADDRESS: can't listen on {address}" in ended.stderr.splitlines()[-1]

    @pytest.mark.parametrize(
        ("url", "hint"),
        [
            ("postgresql+asyncpg://cinema@127.0.0.1:1/cinema", "[Errno 111]"),
            ("postgresql+asyncpg://cinema@/no_such_database?{socket}", "does not exist"),
            ("postgresql+asyncpg://cinema@/postgres?{socket}&no_such_parameter=1", "no_such_parameter"),
            ("postgresql+asyncpg://cinema@/postgres?{socket}&target_session_attrs=standby", "standby"),
            ("postgresql+asyncpg://cinema@localhost", "must name a database"),
            ("postgresql://cinema@localhost/cinema", "postgresql+asyncpg://"),
        ],
    )
    def test_a_server_that_cannot_be_used(self, postgresql_url: str, tmp_path: Path, url: str, hint: str) -> None:
        url = url.replace("{socket}", postgresql_url.partition("?")[2])
        ended = run_here(tmp_path, "serve", CINEMA_JWT_SECRET=SECRET, CINEMA_DATABASE_URL=url)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert line.startswith("cinema: CINEMA_DATABASE_URL: ")
        assert hint in line


def test_migrating_apart(postgresql_url: str, tmp_path: Path) -> None:
    """An empty database is refused until it is migrated."""
    name = "cinema_test_migrated_apart"
    in_thread(execute(postgresql_url, f"DROP DATABASE IF EXISTS {name}"))
    in_thread(execute(postgresql_url, f"CREATE DATABASE {name}"))
    settings = {"CINEMA_JWT_SECRET": SECRET, "CINEMA_DATABASE_URL": with_database(postgresql_url, name)}
    ended = run_here(tmp_path, "serve", "--no-migrate", **settings)
    assert (ended.returncode, "schema is empty" in ended.stderr) == (2, True)
    assert run_here(tmp_path, "migrate", **settings).stdout.startswith("the schema is up to date in postgresql")
    with serving(tmp_path, "--no-migrate", **settings) as server:
        assert run_here(tmp_path, "health", server.address).returncode == 0
        assert server.stop() == 0
    in_thread(execute(postgresql_url, f"DROP DATABASE {name} WITH (FORCE)"))
