"""`cinema serve --demo` fills an empty database once, and leaves other data alone."""

import json
import socket
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import grpc
from cinema.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
)

from tests.e2e.buy_a_seat import buy_a_seat
from tests.e2e.conftest import SECONDS, measured, run, run_here, serving
from tests.rpc.conftest import running


class TestDemo:
    async def test_a_first_and_a_second_start(self, tmp_path: Path) -> None:
        """Showtimes in each refund tier, and seats that can be bought; a second start changes nothing."""
        with serving(tmp_path, "--demo", CINEMA_JWT_SECRET="", **measured()) as server:
            await buy_a_seat(server.address)
            first = server.wait_for("customer  demo-customer")
            assert server.stop() == 0
        with closing(sqlite3.connect(tmp_path / "cinema.db")) as connection, connection:
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
        assert (counts["movie"], counts["cinema"], counts["auditorium"]) == (6, 2, 3)
        assert tiers == {0, 50, 100}
        assert largest == (300, 3)
        assert zones == 2
        assert days > 20
        with serving(tmp_path, "--demo") as server:
            assert server.wait_for("customer  demo-customer") == first
            await buy_a_seat(server.address)
        with closing(sqlite3.connect(tmp_path / "cinema.db")) as connection, connection:
            assert connection.execute("SELECT count(*) FROM showtime").fetchone()[0] == counts["showtime"]

    async def test_a_restart_keeps_passwords_and_sessions(self, demo_folder: Path) -> None:
        """They are in a file beside the database that only its owner may read. Without it there are new ones."""
        kept = demo_folder / "cinema.db-demo"
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        with serving(demo_folder, "--demo", CINEMA_JWT_SECRET="") as server:
            printed = server.wait_for("customer  demo-customer")
            token = await _sign_in(server.address, printed.split()[-1])
            assert server.stop() == 0
        with serving(demo_folder, "--demo", CINEMA_JWT_SECRET="") as server:
            assert server.wait_for("customer  demo-customer") == printed
            assert await _current_user(server.address, token) is grpc.StatusCode.OK
            assert server.stop() == 0
        kept.write_text("{}")
        with serving(demo_folder, "--demo", CINEMA_JWT_SECRET="") as server:
            renewed = server.wait_for("customer  demo-customer")
            assert renewed != printed
            assert await _current_user(server.address, token) is grpc.StatusCode.UNAUTHENTICATED
            await _sign_in(server.address, renewed.split()[-1])

    def test_a_server_that_can_not_start_changes_nothing(self, tmp_path: Path) -> None:
        """Its port is taken: there is no database, and no file with secrets."""
        with socket.create_server(("127.0.0.1", 0)) as other:
            address = f"127.0.0.1:{other.getsockname()[1]}"
            ended = run(tmp_path, "serve", "--demo", CINEMA_LISTEN_ADDRESS=address)
        assert (ended.returncode, list(tmp_path.iterdir())) == (2, [])
        assert f"CINEMA_LISTEN_ADDRESS: can't listen on {address}" in ended.stderr

    async def test_a_stranger_with_the_demos_name(self, tmp_path: Path) -> None:
        """An account named like the demo's staff, but a customer: its password stays."""
        async with running(f"sqlite+aiosqlite:///{tmp_path / 'cinema.db'}") as app:
            request = auth_service_pb2.RegisterRequest(
                username="demo-staff", password="a long and private one", full_name="X", email="x@example.com"
            )
            await app.auth.Register(request, timeout=SECONDS)
        with serving(tmp_path, "--demo") as server:
            server.wait_for("--demo leaves it alone")

    def test_a_fill_that_was_broken_off_is_completed(self, demo_folder: Path) -> None:
        with closing(sqlite3.connect(demo_folder / "cinema.db")) as connection, connection:
            for statement in (
                "DELETE FROM showtime WHERE auditorium_id <> (SELECT min(auditorium_id) FROM auditorium)",
                "DELETE FROM auditorium WHERE auditorium_id <> (SELECT min(auditorium_id) FROM auditorium)",
                "DELETE FROM cinema WHERE cinema_id <> (SELECT min(cinema_id) FROM cinema)",
                "DELETE FROM account WHERE username = 'demo-customer'",
            ):
                connection.execute(statement)
        with serving(demo_folder, "--demo") as server:
            server.wait_for("cancel them")
        with closing(sqlite3.connect(demo_folder / "cinema.db")) as connection, connection:
            counts = connection.execute(
                "SELECT (SELECT count(*) FROM cinema), (SELECT count(*) FROM auditorium),"
                " (SELECT count(*) FROM account)"
            ).fetchone()
        assert counts == (2, 3, 2)

    def test_a_demo_whose_movies_are_archived(self, demo_folder: Path) -> None:
        """Without a showtime for the printed calls the server does not start."""
        with closing(sqlite3.connect(demo_folder / "cinema.db")) as connection, connection:
            connection.execute("UPDATE movie SET archived = 1")
            connection.execute(
                "UPDATE showtime SET start_time = start_time - 40 * 86400e6, end_time = end_time - 40 * 86400e6"
            )
        ended = run_here(demo_folder, "serve", "--demo")
        assert ended.returncode == 2
        assert ended.stderr.splitlines()[-1].startswith(
            "cinema: --demo: the database has no showtime two days from now"
        )

    def test_other_data_is_left_alone(self, tmp_path: Path) -> None:
        run_here(tmp_path, "create-staff", "ada", CINEMA_STAFF_PASSWORD="a long and private one")
        with closing(sqlite3.connect(tmp_path / "cinema.db")) as connection, connection:
            connection.execute("INSERT INTO cinema VALUES ('c', 'A House', 'UTC', 0, 0)")
        with serving(tmp_path, "--demo") as server:
            line = server.wait_for("--demo leaves it alone")
            assert "name another database, as in CINEMA_DATABASE_URL=sqlite+aiosqlite:///demo.db" in line
            assert "passwords" not in line
        assert not (tmp_path / "cinema.db-demo").exists()
        with closing(sqlite3.connect(tmp_path / "cinema.db")) as connection, connection:
            assert connection.execute("SELECT count(*) FROM account").fetchone()[0] == 1

    async def test_a_demo_with_a_cinema_of_ones_own(self, demo_folder: Path) -> None:
        """It is left alone, and the log says where the passwords are, which still hold."""
        with closing(sqlite3.connect(demo_folder / "cinema.db")) as connection, connection:
            connection.execute("INSERT INTO cinema VALUES ('c', 'A House', 'UTC', 0, 0)")
        with serving(demo_folder, "--demo") as server:
            assert '"passwords_of_an_earlier_demo":"cinema.db-demo"' in server.wait_for("--demo leaves it alone")
            await _sign_in(
                server.address, json.loads((demo_folder / "cinema.db-demo").read_text())["customer_password"]
            )


async def _sign_in(address: str, password: str) -> str:
    """Sign in as the demo's customer, and return the access token."""
    async with grpc.aio.insecure_channel(address) as channel:
        login = auth_service_pb2.LoginRequest(username="demo-customer", password=password)
        return (await auth_service_pb2_grpc.AuthServiceStub(channel).Login(login, timeout=SECONDS)).tokens.access_token


async def _current_user(address: str, token: str) -> grpc.StatusCode:
    async with grpc.aio.insecure_channel(address) as channel:
        return (
            await auth_service_pb2_grpc.AuthServiceStub(channel)
            .GetCurrentUser(
                auth_service_pb2.GetCurrentUserRequest(),
                metadata=(("authorization", f"Bearer {token}"),),
                timeout=SECONDS,
            )
            .code()
        )
