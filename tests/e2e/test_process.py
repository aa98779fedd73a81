"""The program as its operators know it: settings, start, signals, the command line, and what the README says."""

import asyncio
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from cinema.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    booking_pb2,
    booking_service_pb2,
    booking_service_pb2_grpc,
    error_reason_pb2,
    showtime_service_pb2,
    showtime_service_pb2_grpc,
    user_pb2,
)
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc

from cinema_grpc.cli import main
from cinema_grpc.config import describe_settings
from tests.certificates import Authority, write
from tests.e2e.buy_a_seat import buy_a_seat
from tests.e2e.conftest import CINEMA, SECONDS, SECRET, Serving, environment, run, serving

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()


class TestStarting:
    def test_several_bad_settings_are_all_named(self, tmp_path: Path) -> None:
        ended = run(tmp_path, "serve", CINEMA_HOLD_SECONDS="-1", CINEMA_LOG_FORMAT="xml")
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
            first.wait_for('"serving"')
            ended = run(tmp_path, "serve", CINEMA_JWT_SECRET=SECRET)
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
        """A file that is none, and one of a later version, are left as they are."""
        path = tmp_path / "cinema.db"
        if content is None:
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
                connection.execute("INSERT INTO alembic_version VALUES ('9999')")
            connection.close()
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        ended = run(tmp_path, "serve", CINEMA_JWT_SECRET=SECRET)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert line.startswith("cinema: CINEMA_DATABASE_URL: ")
        assert hint in line
        assert content is None or path.read_bytes() == before

    def test_help_lists_the_settings(self, tmp_path: Path) -> None:
        shown = " ".join(run(tmp_path, "serve", "--help").stdout.split())
        for name, text in describe_settings():
            assert name.split()[0] in shown
            assert text in shown

    def test_as_a_module(self, tmp_path: Path) -> None:
        ended = subprocess.run(
            [sys.executable, "-m", "cinema_grpc", "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert ended.stdout.startswith("cinema, version ")


class TestOpenFiles:
    async def test_more_connections_than_the_soft_limit_on_open_files(self, tmp_path: Path) -> None:
        """It takes as many as the hard one allows, and sells on."""
        with serving(tmp_path, "--demo", limits="ulimit -Sn 200") as server:
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
        """It exits with 0, also while somebody watches its health, and tells that watcher first."""
        with serving(tmp_path) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
                assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
                news = asyncio.ensure_future(watch.read())  # a call that has ended gives nothing to who reads then
                await asyncio.sleep(0)
                server.process.send_signal(number)
                assert (await news).status == health_pb2.HealthCheckResponse.NOT_SERVING
                with pytest.raises(grpc.aio.AioRpcError) as ended:
                    await watch.read()
            assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
            assert server.process.wait(timeout=SECONDS) == 0
        assert "stopped" in server.lines[-1]

    def test_a_method_name_that_is_no_text(self, tmp_path: Path) -> None:
        """One call with such a name is that call's trouble alone (grpcio 1.84 to 1.85.1 end the server)."""

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
            assert run(tmp_path, "health", server.address).returncode == 0
            assert server.stop() == 0

    async def test_what_was_acknowledged_outlives_a_kill(self, tmp_path: Path) -> None:
        """SIGKILL right after the answer: the booking is there when the server is back."""
        with serving(tmp_path, "--demo") as server:
            token, booking = await book(server)
            server.stop(signal.SIGKILL)
        with serving(tmp_path) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                found = await booking_service_pb2_grpc.BookingServiceStub(channel).GetBooking(
                    booking_service_pb2.GetBookingRequest(booking_id=booking.booking_id),
                    metadata=(("authorization", f"Bearer {token}"),),
                    timeout=SECONDS,
                )
        assert found.booking == booking


async def book(server: Serving) -> tuple[str, booking_pb2.Booking]:
    """Register, hold two seats, and give the access token and the booking."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        registered = await auth_service_pb2_grpc.AuthServiceStub(channel).Register(
            auth_service_pb2.RegisterRequest(
                username="ada", password="a long and private one", full_name="Ada", email="ada@example.com"
            ),
            timeout=SECONDS,
        )
        showtimes = showtime_service_pb2_grpc.ShowtimeServiceStub(channel)
        listed = await showtimes.ListShowtimes(showtime_service_pb2.ListShowtimesRequest(page_size=1), timeout=SECONDS)
        booked = await booking_service_pb2_grpc.BookingServiceStub(channel).CreateBooking(
            booking_service_pb2.CreateBookingRequest(showtime_id=listed.showtimes[0].showtime_id, seats=["A1", "A2"]),
            metadata=(("authorization", f"Bearer {registered.tokens.access_token}"),),
            timeout=SECONDS,
        )
        return registered.tokens.access_token, booked.booking


class TestStaff:
    async def test_before_the_first_start_and_beside_a_running_server(self, tmp_path: Path) -> None:
        """Both can sign in, and are staff."""
        secret = "a long and private one"
        made = run(tmp_path, "create-staff", "early", CINEMA_STAFF_PASSWORD=secret)
        assert made.returncode == 0, made.stderr
        assert "early is staff now" in made.stdout
        with serving(tmp_path) as server:
            options = ("--full-name", "Late Riser", "--email", "late@example.com")
            made = run(tmp_path, "create-staff", "late", *options, CINEMA_STAFF_PASSWORD=secret)
            assert made.returncode == 0, made.stderr
            async with grpc.aio.insecure_channel(server.address) as channel:
                auth = auth_service_pb2_grpc.AuthServiceStub(channel)
                for name, full_name in (("early", "early"), ("late", "Late Riser")):
                    request = auth_service_pb2.LoginRequest(username=name, password=secret)
                    user = (await auth.Login(request, timeout=SECONDS)).user
                    assert (user.full_name, user.role) == (full_name, user_pb2.ROLE_STAFF)

    @pytest.mark.parametrize(
        ("name", "password", "hint"),
        [("x", "a long and private one", "username"), ("ada", "short", "8 to 256"), ("ada", "password", "commonest")],
    )
    def test_refusals(self, tmp_path: Path, name: str, password: str, hint: str) -> None:
        """One line, without the password."""
        ended = run(tmp_path, "create-staff", name, CINEMA_STAFF_PASSWORD=password)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert hint in line

    def test_an_unusable_database(self, tmp_path: Path) -> None:
        (tmp_path / "cinema.db").write_bytes(b"this is no database at all" * 100)
        ended = run(tmp_path, "create-staff", "ada", CINEMA_STAFF_PASSWORD="a long and private one")
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert "not a database" in line

    def test_a_name_that_is_taken(self, tmp_path: Path) -> None:
        secret = "a long and private one"
        assert run(tmp_path, "create-staff", "ada", CINEMA_STAFF_PASSWORD=secret).returncode == 0
        ended = run(tmp_path, "create-staff", "ADA", CINEMA_STAFF_PASSWORD=secret)
        assert ended.returncode == 2
        assert "'ADA' is taken" in ended.stderr


class TestHealth:
    def test_of_a_server(self, tmp_path: Path) -> None:
        """By its address, or by the one that the settings say, also if that is every address of the machine."""
        with serving(tmp_path, CINEMA_LISTEN_ADDRESS="0.0.0.0:0", CINEMA_PLAINTEXT="yes") as server:
            port = server.address.rpartition(":")[2]
            assert run(tmp_path, "health", f"127.0.0.1:{port}").returncode == 0
            asked = run(tmp_path, "health", CINEMA_LISTEN_ADDRESS=f"0.0.0.0:{port}")
            assert asked.stdout == f"127.0.0.1:{port} is SERVING\n"
        asked = run(tmp_path, "health", f"127.0.0.1:{port}")
        assert asked.returncode == 1
        assert "not answering (UNAVAILABLE)" in asked.stdout

    def test_where_there_is_tls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It needs an address without."""
        monkeypatch.setenv("CINEMA_TLS_CERTIFICATE", "tls.crt")
        asked = CliRunner().invoke(main, ["health"])
        assert (asked.exit_code, asked.stderr.startswith("cinema: CINEMA_HEALTH_ADDRESS: must be set")) == (2, True)


class TestDemo:
    async def test_a_first_and_a_second_start(self, tmp_path: Path) -> None:
        """Full of showtimes in each refund tier; seats can be bought; the passwords are made anew, the data is not."""
        with serving(tmp_path, "--demo", CINEMA_JWT_SECRET="") as server:
            await buy_a_seat(server.address)
            first = server.wait_for("customer  demo-customer")
            assert server.stop() == 0
        with sqlite3.connect(tmp_path / "cinema.db") as connection:
            counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 (our names)
                      for name in ("movie", "cinema", "auditorium", "showtime")}  # fmt: skip
            tiers = {
                row[0]
                for row in connection.execute(
                    "SELECT CASE WHEN ahead >= 24 THEN 100 WHEN ahead >= 12 THEN 50 ELSE 0 END FROM (SELECT"
                    " (start_time - (SELECT max(create_time) FROM booking)) / 3600e6 AS ahead FROM showtime)"
                )
            }
            largest = connection.execute("SELECT max(total_seats), count(DISTINCT rows) FROM auditorium").fetchone()
            zones = connection.execute("SELECT count(DISTINCT time_zone) FROM cinema").fetchone()[0]
            days = connection.execute("SELECT (max(start_time) - min(start_time)) / 86400e6 FROM showtime").fetchone()[
                0
            ]
        connection.close()
        assert (counts["movie"], counts["cinema"], counts["auditorium"]) == (6, 2, 3)
        assert tiers == {0, 50, 100}
        assert largest == (300, 3)
        assert zones == 2
        assert days > 20
        with serving(tmp_path, "--demo") as server:
            assert server.wait_for("customer  demo-customer") != first
            await buy_a_seat(server.address)
        with sqlite3.connect(tmp_path / "cinema.db") as connection:
            assert connection.execute("SELECT count(*) FROM showtime").fetchone()[0] == counts["showtime"]
        connection.close()

    async def test_a_stranger_with_the_demos_name(self, tmp_path: Path) -> None:
        """Is no demo: nobody's password is made anew."""
        with serving(tmp_path) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                await auth_service_pb2_grpc.AuthServiceStub(channel).Register(
                    auth_service_pb2.RegisterRequest(
                        username="demo-staff", password="a long and private one", full_name="X", email="x@example.com"
                    ),
                    timeout=SECONDS,
                )
            assert server.stop() == 0
        with serving(tmp_path, "--demo") as server:
            server.wait_for("--demo leaves it alone")

    def test_a_fill_that_was_broken_off_is_completed(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--demo") as server:
            server.wait_for("give them back")
        with sqlite3.connect(tmp_path / "cinema.db") as connection:
            for statement in (
                "DELETE FROM showtime WHERE auditorium_id <> (SELECT min(auditorium_id) FROM auditorium)",
                "DELETE FROM auditorium WHERE auditorium_id <> (SELECT min(auditorium_id) FROM auditorium)",
                "DELETE FROM cinema WHERE cinema_id <> (SELECT min(cinema_id) FROM cinema)",
                "DELETE FROM account WHERE username = 'demo-customer'",
            ):
                connection.execute(statement)
        connection.close()
        with serving(tmp_path, "--demo") as server:
            server.wait_for("give them back")
        with sqlite3.connect(tmp_path / "cinema.db") as connection:
            counts = connection.execute(
                "SELECT (SELECT count(*) FROM cinema), (SELECT count(*) FROM auditorium),"
                " (SELECT count(*) FROM account)"
            ).fetchone()
        connection.close()
        assert counts == (2, 3, 2)

    def test_other_data_is_left_alone(self, tmp_path: Path) -> None:
        run(tmp_path, "create-staff", "ada", CINEMA_STAFF_PASSWORD="a long and private one")
        with sqlite3.connect(tmp_path / "cinema.db") as connection:
            connection.execute("INSERT INTO cinema VALUES ('c', 'A House', 'UTC', 0)")
        connection.close()
        with serving(tmp_path, "--demo") as server:
            server.wait_for("--demo leaves it alone")
        with sqlite3.connect(tmp_path / "cinema.db") as connection:
            assert connection.execute("SELECT count(*) FROM account").fetchone()[0] == 1
        connection.close()


class TestLog:
    async def test_a_line_a_call_in_json(self, tmp_path: Path) -> None:
        """With method, code, duration, user and request id, and never a password or a token."""
        with serving(tmp_path, "--demo") as server:
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
        """Standard error is closed behind the server's back: it answers, and ends in good order."""
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
            assert run(tmp_path, "health", server.address).returncode == 0
        assert server.stop() == 0


def paste(folder: Path, lines: str) -> subprocess.CompletedProcess[str]:
    """Paste lines into a shell, in a folder with the environment in .venv."""
    (folder / ".venv").symlink_to(sys.prefix)
    return subprocess.run(
        ["/bin/sh"],
        input=f"set -eu\n{lines}",
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class TestReadme:
    def test_the_six_calls_work_as_pasted(self, tmp_path: Path) -> None:
        """In a shell, in a folder with the environment in .venv, against the demo."""
        script = re.search(r"<!-- six calls -->\n```sh\n(.*?)```", README, re.DOTALL)
        assert script is not None
        with serving(tmp_path, "--demo") as server:
            pasted = script[1].replace("127.0.0.1:50051", server.address)
            ended = paste(tmp_path, pasted)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "SEAT_STATUS_AVAILABLE" in ended.stdout
        assert "BOOKING_STATUS_CONFIRMED" in ended.stdout
        assert "TICKET_STATUS_VALID" in ended.stdout
        assert "BOOKING_STATUS_CANCELLED" in ended.stdout
        assert '"percent": 100' in ended.stdout

    @pytest.mark.parametrize("tls", [False, True])
    def test_the_printed_calls_work_as_pasted(self, tmp_path: Path, tls: bool) -> None:
        """Those that the demo prints at its start, with TLS and without."""
        files = write(tmp_path, *Authority().issue()) if tls else {}
        settings = {f"CINEMA_{name.upper()}": str(path) for name, path in files.items()}
        with serving(tmp_path, "--demo", **settings) as server:
            server.wait_for("BookingService/CancelBooking")
            printed = "\n".join(server.lines)
            with_buf = printed.split("environment...\n")[1].split("...or,")[0]
            calls = printed.split("give them back:\n")[1]
            ended = paste(tmp_path, with_buf + calls)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.count("BOOKING_STATUS_") == 3
        assert "BOOKING_STATUS_CANCELLED" in ended.stdout

    def test_settings_are_all_there(self) -> None:
        """With their defaults."""
        table = re.search(r"<!-- settings -->\n(.*?)\n\n", README, re.DOTALL)
        assert table is not None
        told = {row.split("`")[1]: row.split("|")[2].strip(" `") for row in table[1].splitlines()[2:]}
        known = dict(name.rstrip("]").split(" [") for name, _ in describe_settings())
        assert {name: value.lower().removesuffix(".0") for name, value in known.items()} == {
            name: {"none": "not set"}.get(value, value.lower()) for name, value in told.items()
        }

    def test_reasons_are_all_there(self) -> None:
        told = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", README.split("## Errors")[1].split("## Settings")[0]))
        reasons = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118 (an enum)
        assert reasons - {"UNSPECIFIED"} <= told
