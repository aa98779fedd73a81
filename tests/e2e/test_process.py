"""The server process: its start and stop, its log, and its limit on open files."""

import asyncio
import json
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from cinema.v1 import (
    booking_service_pb2,
    booking_service_pb2_grpc,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cinema_grpc import __version__
from cinema_grpc.cli.settings_help import describe_settings
from tests.adapters.forgeries import P256, pem
from tests.e2e.conftest import CINEMA, SECONDS, SECRET, Serving, book, environment, run, run_here, serving


class TestStarting:
    def test_several_bad_settings_are_all_named(self, tmp_path: Path) -> None:
        ended = run_here(tmp_path, "serve", CINEMA_HOLD_SECONDS="-1", CINEMA_LOG_FORMAT="xml")
        assert "CINEMA_HOLD_SECONDS" in ended.stderr
        assert "CINEMA_LOG_FORMAT" in ended.stderr

    def test_a_port_that_is_taken(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            ended = run(tmp_path, "serve", CINEMA_JWT_SECRET=SECRET, CINEMA_LISTEN_ADDRESS=address)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert line.startswith(f"cinema: CINEMA_LISTEN_ADDRESS: can't listen on {address}")

    def test_a_second_server_on_a_file(self, tmp_path: Path) -> None:
        with serving(tmp_path) as first:
            assert f'"version":"{__version__}"' in first.wait_for('"serving"')
            ended = run_here(tmp_path, "serve", CINEMA_JWT_SECRET=SECRET)
            assert ended.returncode == 2
            (line,) = ended.stderr.splitlines()
            assert line.startswith("cinema: CINEMA_DATABASE_URL: another server uses cinema.db: stop that one first")
            first.stop(signal.SIGKILL)
        with serving(tmp_path) as second:
            assert second.address

    @pytest.mark.parametrize(
        ("content", "hint"),
        [(b"this is no database at all" * 100, "not a database"), (None, "later than this program")],
    )
    def test_a_database_of_something_else(self, tmp_path: Path, content: bytes | None, hint: str) -> None:
        """A file that is not a database, and one of a later version, are refused and not changed."""
        path = tmp_path / "cinema.db"
        if content is None:
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
                connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        ended = run_here(tmp_path, "serve", CINEMA_JWT_SECRET=SECRET)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert line.startswith("cinema: CINEMA_DATABASE_URL: ")
        assert hint in line
        assert content is None or path.read_bytes() == before

    def test_help_lists_the_settings(self, tmp_path: Path) -> None:
        shown = "".join(run_here(tmp_path, "serve", "--help").stdout.split())  # lines break at hyphens too
        for each in describe_settings():
            assert "".join(f"{each.variable} [{each.default}] {each.meaning}".split()) in shown

    def test_as_a_module(self, tmp_path: Path) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "cinema_grpc", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert ended.stdout.startswith("cinema, version ")


class TestOpenFiles:
    async def test_more_connections_than_the_soft_limit_on_open_files(self, demo_folder: Path) -> None:
        """The server raises its limit to the hard limit, and goes on selling."""
        with serving(demo_folder, "--demo", limits="ulimit -Sn 200") as server:
            host, _, port = server.address.rpartition(":")
            idle = [socket.create_connection((host, int(port)), SECONDS) for _ in range(400)]
            for each in idle:
                each.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                assert each.recv(9)
            assert await book(server)
            for each in idle:
                each.close()
            assert server.stop() == 0


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_a_signal_ends_it_in_good_order(self, tmp_path: Path, number: signal.Signals) -> None:
        """It exits with 0 while a client watches its health, and reports NOT_SERVING to the client first."""
        with serving(tmp_path) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
                assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
                news = asyncio.ensure_future(watch.read())
                await asyncio.sleep(0)
                server.process.send_signal(number)
                assert (await news).status == health_pb2.HealthCheckResponse.NOT_SERVING
                assert await watch.code() == grpc.StatusCode.UNAVAILABLE
            assert server.process.wait(timeout=SECONDS) == 0
        assert "stopped" in server.lines[-1]

    def test_a_method_name_that_is_not_text(self, tmp_path: Path) -> None:
        """Such a call fails, and the server goes on (in grpcio 1.84 to 1.85.3 it ended)."""

        def header(name: bytes, value: bytes) -> bytes:
            return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value

        def frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
            return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body

        fields = (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/\xff"),
            (b":authority", b"x"),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
        )
        headers = b"".join(header(*field) for field in fields)
        with serving(tmp_path) as server:
            host, _, port = server.address.rpartition(":")
            for _ in range(3):
                with socket.create_connection((host, int(port)), SECONDS) as connection:
                    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
                    connection.sendall(frame(1, 4, 1, headers) + frame(0, 1, 1, b"\0" * 5))
                    connection.recv(999)
            assert run_here(tmp_path, "health", server.address).returncode == 0
            assert server.stop() == 0

    async def test_an_acknowledged_booking_survives_a_kill(self, demo_folder: Path) -> None:
        """SIGKILL right after the response: the booking exists after a restart."""
        with serving(demo_folder, "--demo") as server:
            token, booking = await book(server)
            server.stop(signal.SIGKILL)
        with serving(demo_folder) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                found = await booking_service_pb2_grpc.BookingServiceStub(channel).GetBooking(
                    booking_service_pb2.GetBookingRequest(booking_id=booking.booking_id),
                    metadata=(("authorization", f"Bearer {token}"),),
                    timeout=SECONDS,
                )
        assert found.booking == booking


class TestLog:
    async def test_a_line_a_call_in_json(self, demo_folder: Path) -> None:
        """It has method, code, duration, user and request id, and neither passwords nor tokens."""
        with serving(demo_folder, "--demo") as server:
            token, booking = await book(server)
            server.stop()
            lines = [json.loads(line) for line in server.lines if line.startswith("{")]
        calls = {line["method"].rpartition("/")[2]: line for line in lines if line["event"] == "call"}
        assert set(calls) == {"Register", "ListShowtimes", "CreateBooking"}
        line = calls["CreateBooking"]
        assert (line["code"], line["user_id"]) == ("OK", booking.user_id)
        assert line["milliseconds"] > 0
        assert line["request_id"]
        written = "\n".join(server.lines)
        assert "a long and private one" not in written
        assert token not in written

    def test_a_log_that_cannot_be_written_stops_nothing(self, tmp_path: Path) -> None:
        """The reader closes standard error: the server answers, and exits with 0."""
        process = subprocess.Popen(  # noqa: S603 (our own program)
            [CINEMA, "serve"],
            cwd=tmp_path,
            env=environment(CINEMA_JWT_SECRET=SECRET),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        server = Serving(process)
        while not any('"serving"' in line for line in server.lines):
            server.lines.append(process.stderr.readline())
        process.stderr.close()
        for _ in range(5):
            assert run_here(tmp_path, "health", server.address).returncode == 0
        assert server.stop() == 0


def test_codes_that_doors_can_not_check(tmp_path: Path) -> None:
    """Only a key of tokens is named: one line says so, and which setting mends it."""
    for name, key in (("tokens", P256), ("tickets", Ed25519PrivateKey.generate())):
        (tmp_path / name).write_bytes(pem(key))
        (tmp_path / name).chmod(0o600)
    keys = {"CINEMA_JWT_SECRET": "", "CINEMA_SIGNING_KEYS": "tokens"}
    for changed, expected in ((keys, 1), (keys | {"CINEMA_TICKET_KEYS": "tickets"}, 0), ({}, 0)):
        with serving(tmp_path, **changed) as server:
            server.wait_for('"serving"')
        warnings = [line for line in server.lines if "doors can't check them offline; set CINEMA_TICKET_KEYS" in line]
        assert len(warnings) == expected, changed
