"""Connections: several addresses, and those that are lost without a word."""

import asyncio
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from cinema_client import AsyncClient, Client, _channel
from cinema_client._watching import LONGEST_SILENCE_SECONDS
from cinema_client.cinema.v1 import catalog_service_pb2

from cinema_grpc.config import Settings
from tests.client.conftest import Either
from tests.client.proxy import proxying
from tests.rpc.conftest import App

KINDS = pytest.mark.parametrize("kind", [Client, AsyncClient])


@dataclass
class Cable:
    """TCP connections to a server. Those that are cut swallow all that is sent, as behind a router that has failed."""

    target: str
    address: str = ""
    cuts: int = 0
    connections: list[asyncio.Task[None]] = field(default_factory=list)

    def cut(self) -> None:
        """Cut what is connected now. Later connections work."""
        self.cuts += 1

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry a connection, in both directions."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.append(task)
        host, port = self.target.split(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        cuts = self.cuts
        with suppress(asyncio.CancelledError):  # asyncio complains of tasks of a server that are cancelled
            await asyncio.gather(self._carry(reader, far_writer, cuts), self._carry(far_reader, writer, cuts))

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cuts: int) -> None:
        try:
            while data := await source.read(65_536):
                if self.cuts == cuts:
                    sink.write(data)
        except ConnectionError:
            pass
        finally:
            sink.transport.abort()


@asynccontextmanager
async def cable(target: str) -> AsyncIterator[Cable]:
    """Lay a cable to a server."""
    laid = Cable(target)
    server = await asyncio.start_server(laid.accept, "127.0.0.1", 0)
    laid.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield laid
    finally:
        server.close()
        for connection in laid.connections:
            connection.cancel()
        await asyncio.wait(laid.connections)


@KINDS
async def test_a_connection_that_is_lost_without_a_word(
    kind: type[Client | AsyncClient], app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pings find it, and the stream goes on over another one. Here they come sooner than the client's."""
    shorter = {"grpc.keepalive_time_ms": 1_000, "grpc.http2.ping_timeout_ms": 2_000}
    options = tuple((name, shorter.get(name, value)) for name, value in _channel.OPTIONS)
    monkeypatch.setattr(_channel, "OPTIONS", options)
    showtime = await app.showtime()
    async with cable(app.server.address) as laid:
        either = Either(kind(laid.address), [])
        frames = either.client.watch_seats(showtime.showtime_id)
        (first,) = await either.take(frames, 1)
        laid.cut()
        await app.book(showtime.showtime_id, "A1", "A2")
        began = time.monotonic()
        (second,) = await either.take(frames, 1)
        assert second.revision > first.revision
        assert time.monotonic() - began < LONGEST_SILENCE_SECONDS
        assert len(laid.connections) > 1
        await either.stop(frames)
        await either.close()


def test_a_lost_connection_is_given_up_within_the_grace_of_a_refresh() -> None:
    """Otherwise a RefreshTokens whose answer was lost with it is repeated too late, and ends the session."""
    options = dict(_channel.OPTIONS)
    milliseconds = options["grpc.keepalive_time_ms"] + options["grpc.http2.ping_timeout_ms"]
    assert milliseconds / 1000 + 3 < Settings.model_fields["refresh_grace_seconds"].default


@KINDS
async def test_calls_go_to_all_addresses_of_a_name(kind: type[Client | AsyncClient], app: App) -> None:
    async with proxying(app.server.address) as one, proxying(app.server.address) as other:
        either = Either(kind(f"ipv4:{one.address},{other.address}", plaintext=True), [])
        while not (one.calls and other.calls):
            await either.call(either.client.catalog.ListMovies, catalog_service_pb2.ListMoviesRequest())
            assert len(one.calls) + len(other.calls) < 1_000
        await either.close()


@KINDS
async def test_no_proxy_between_programs_of_one_machine(
    kind: type[Client | AsyncClient], app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent without TLS stays on it, although a proxy is set up for all else, and there is nothing at it."""
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("grpc_proxy", "https_proxy", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    port = app.server.address.rpartition(":")[2]
    for target in (app.server.address, f"localhost:{port}", f"dns:///127.0.0.1:{port}"):
        either = Either(kind(target, timeout=10), [])
        await either.call(either.client.catalog.ListMovies, catalog_service_pb2.ListMoviesRequest())
        await either.close()


def test_a_client_that_is_used_after_it_was_closed() -> None:
    """Also by methods that it has never called: gRPC would crash there."""
    program = """
        from cinema_client import Client
        with Client("127.0.0.1:9") as client:
            pass
        for use in (lambda: client.login("ada", "a password"), lambda: next(client.watch_seats("s"))):
            try:
                use()
            except ValueError as error:
                print("closed" in str(error))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 (ours)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\nTrue\n", "")
