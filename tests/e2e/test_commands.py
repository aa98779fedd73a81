"""The commands for accounts, and `cinema health`."""

import asyncio
import re
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    user_pb2,
)

from cinema_grpc.config import Settings, variable
from tests.certificates import Authority, write
from tests.e2e.conftest import SECONDS, run, run_here, serving
from tests.e2e.importing import database_in


class TestStaff:
    async def test_before_the_first_start_and_beside_a_running_server(self, tmp_path: Path) -> None:
        """Both accounts can sign in, and are staff."""
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
        [("x", "a long and private one", "username"), ("ada", "short", "8 to 256"), ("ada", "password", "most common")],
    )
    def test_refusals(self, tmp_path: Path, name: str, password: str, hint: str) -> None:
        """One line without the password."""
        ended = run_here(tmp_path, "create-staff", name, CINEMA_STAFF_PASSWORD=password)
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert hint in line

    def test_an_unusable_database(self, tmp_path: Path) -> None:
        (tmp_path / "cinema.db").write_bytes(b"this is no database at all" * 100)
        ended = run_here(tmp_path, "create-staff", "ada", CINEMA_STAFF_PASSWORD="a long and private one")
        assert ended.returncode == 2
        (line,) = ended.stderr.splitlines()
        assert "not a database" in line

    def test_a_name_that_is_taken(self, tmp_path: Path) -> None:
        secret = "a long and private one"
        assert run_here(tmp_path, "create-staff", "ada", CINEMA_STAFF_PASSWORD=secret).returncode == 0
        ended = run_here(tmp_path, "create-staff", "ADA", CINEMA_STAFF_PASSWORD=secret)
        assert ended.returncode == 2
        assert "'ADA' is taken" in ended.stderr


class TestServices:
    async def test_one_signs_in_and_reads_events(self, tmp_path: Path) -> None:
        secret = "a long and private one"
        made = run(tmp_path, "create-service", "billing", CINEMA_SERVICE_PASSWORD=secret)
        assert made.returncode == 0, made.stderr
        assert "billing is a service now" in made.stdout
        with serving(tmp_path) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                auth = auth_service_pb2_grpc.AuthServiceStub(channel)
                request = auth_service_pb2.LoginRequest(username="billing", password=secret)
                answer = await auth.Login(request, timeout=SECONDS)
                assert (answer.user.role, answer.user.email) == (user_pb2.ROLE_SERVICE, "")
                events = event_service_pb2_grpc.EventServiceStub(channel)
                metadata = (("authorization", f"Bearer {answer.tokens.access_token}"),)
                page = await events.ListEvents(event_service_pb2.ListEventsRequest(), metadata=metadata)
                assert (page.next_position, page.earliest_position) == (0, 1)

    def test_refusals(self, tmp_path: Path) -> None:
        """As for staff."""
        for password, hint in (("short", "8 to 256"), ("password", "most common")):
            ended = run_here(tmp_path, "create-service", "billing", CINEMA_SERVICE_PASSWORD=password)
            assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
            assert hint in ended.stderr


class TestDisabling:
    async def test_beside_a_running_server(self, tmp_path: Path) -> None:
        """The server refuses the account's tokens within 5 seconds. Once enabled, the account can sign in again."""
        secret = "a long and private one"
        assert run(tmp_path, "create-staff", "ada", CINEMA_STAFF_PASSWORD=secret).returncode == 0
        with serving(tmp_path) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                auth = auth_service_pb2_grpc.AuthServiceStub(channel)
                login = auth_service_pb2.LoginRequest(username="ada", password=secret)
                token = (await auth.Login(login, timeout=SECONDS)).tokens.access_token
                metadata = (("authorization", f"Bearer {token}"),)

                async def call() -> grpc.StatusCode:
                    whoami = auth.GetCurrentUser(auth_service_pb2.GetCurrentUserRequest(), metadata=metadata)
                    return await whoami.code()

                assert await call() is grpc.StatusCode.OK
                ended = run(tmp_path, "disable-account", "ADA")
                assert ended.returncode == 0, ended.stderr
                assert ended.stdout.splitlines()[-1].startswith("ada is disabled, with the user_id ")
                async with asyncio.timeout(60):  # 5 are promised, and the machine may be busy
                    while await call() is grpc.StatusCode.OK:  # noqa: ASYNC110 (the server says nothing)
                        await asyncio.sleep(0.1)
                assert await call() is grpc.StatusCode.UNAUTHENTICATED
                assert await auth.Login(login, timeout=SECONDS).code() is grpc.StatusCode.UNAUTHENTICATED
                ended = run(tmp_path, "enable-account", "ada")
                assert ended.returncode == 0, ended.stderr
                assert "ada is enabled" in ended.stdout
                assert await auth.Login(login, timeout=SECONDS).code() is grpc.StatusCode.OK
                assert await call() is grpc.StatusCode.UNAUTHENTICATED

    async def test_a_new_password(self, tmp_path: Path) -> None:
        """Ends sessions and access tokens, and the old password is wrong. A disabled account stays disabled."""
        old, new = "a long and private one", "a new and private one"
        assert run(tmp_path, "create-staff", "ada", CINEMA_STAFF_PASSWORD=old).returncode == 0
        with serving(tmp_path) as server:
            async with grpc.aio.insecure_channel(server.address) as channel:
                auth = auth_service_pb2_grpc.AuthServiceStub(channel)

                def log_in(password: str) -> Any:
                    return auth.Login(auth_service_pb2.LoginRequest(username="ada", password=password), timeout=SECONDS)

                tokens = (await log_in(old)).tokens
                metadata = (("authorization", f"Bearer {tokens.access_token}"),)
                ended = run(tmp_path, "set-password", "ADA", CINEMA_NEW_PASSWORD=new)
                assert (ended.returncode, "ada has a new password, with the user_id " in ended.stdout) == (0, True)
                async with asyncio.timeout(60):  # 5 are promised, and the machine may be busy
                    whoami = auth_service_pb2.GetCurrentUserRequest()
                    while await auth.GetCurrentUser(whoami, metadata=metadata).code() is grpc.StatusCode.OK:  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
                refresh = auth_service_pb2.RefreshTokensRequest(refresh_token=tokens.refresh_token)
                assert await auth.RefreshTokens(refresh).code() is grpc.StatusCode.UNAUTHENTICATED
                assert await log_in(old).code() is grpc.StatusCode.UNAUTHENTICATED
                await asyncio.sleep(1)  # the times of tokens are whole seconds
                metadata = (("authorization", f"Bearer {(await log_in(new)).tokens.access_token}"),)
                assert await auth.GetCurrentUser(whoami, metadata=metadata).code() is grpc.StatusCode.OK
                assert run(tmp_path, "disable-account", "ada").returncode == 0
                ended = run(tmp_path, "set-password", "ada", CINEMA_NEW_PASSWORD=old)
                assert "and is still disabled: see `cinema enable-account`" in ended.stdout
                assert await log_in(old).code() is grpc.StatusCode.UNAUTHENTICATED

    def test_a_new_password_that_is_refused(self, tmp_path: Path) -> None:
        assert run(tmp_path, "create-staff", "ada", CINEMA_STAFF_PASSWORD="a long one").returncode == 0
        ended = run_here(tmp_path, "set-password", "ada", CINEMA_NEW_PASSWORD="password")
        assert (ended.returncode, "most common" in ended.stderr) == (2, True)

    @pytest.mark.parametrize("command", ["set-password", "disable-account", "enable-account"])
    def test_refusals(self, tmp_path: Path, command: str) -> None:
        """One line, and no database file."""
        ended = run_here(tmp_path, command, "ada", CINEMA_NEW_PASSWORD="a long one")
        assert (ended.returncode, list(tmp_path.glob("*.db"))) == (2, [])
        assert "there is no file" in ended.stderr
        assert run_here(tmp_path, "migrate").returncode == 0
        ended = run_here(tmp_path, command, "ada", CINEMA_NEW_PASSWORD="a long one")
        assert (ended.returncode, ended.stderr) == (2, "cinema: there is no account named 'ada'\n")


class TestHealth:
    def test_of_a_server(self, tmp_path: Path) -> None:
        """By its address or by the settings, also if it listens on all addresses of the machine."""
        with serving(tmp_path, CINEMA_LISTEN_ADDRESS="0.0.0.0:0", CINEMA_PLAINTEXT="yes") as server:
            port = server.address.rpartition(":")[2]
            assert run_here(tmp_path, "health", f"127.0.0.1:{port}").returncode == 0
            proxies = dict.fromkeys(("grpc_proxy", "http_proxy"), "http://127.0.0.1:9")  # it is asked without them
            asked = run(tmp_path, "health", CINEMA_LISTEN_ADDRESS=f"0.0.0.0:{port}", no_proxy="", **proxies)
            assert asked.stdout == f"127.0.0.1:{port} is SERVING\n"
        asked = run_here(tmp_path, "health", f"127.0.0.1:{port}")
        assert asked.returncode == 1
        assert "not answering (UNAVAILABLE)" in asked.stdout

    def test_where_there_is_tls(self, tmp_path: Path) -> None:
        """By the server's own settings or the certificates that are named; without them it says what is missing."""
        authority = Authority()
        files = write(tmp_path, *authority.issue("cinema.example"), authority.certificate)
        server_files = {f"CINEMA_{name.upper()}": str(files[name]) for name in ("tls_certificate", "tls_key")}
        ca = str(files["tls_client_ca"])
        with serving(tmp_path, **server_files) as server:
            address = server.address
            for arguments, settings, code, answer in (
                ((), {**server_files, "CINEMA_LISTEN_ADDRESS": address}, 0, "is SERVING"),
                ((address, "--ca", ca, "--server-name", "cinema.example"), {}, 0, "is SERVING"),
                ((address, "--ca", ca), {}, 1, "not answering ("),
                ((address,), {}, 1, "is speaking TLS: name the file with its certificate authority by --ca"),
            ):
                asked = run(tmp_path, "health", *arguments, **settings)
                assert (asked.returncode, answer in asked.stdout) == (code, True), (asked.stdout, asked.stderr)

    def test_where_clients_need_certificates(self, tmp_path: Path) -> None:
        authority = Authority()
        files = write(tmp_path, *authority.issue(), authority.certificate)
        settings = {f"CINEMA_{name.upper()}": str(path) for name, path in files.items()}
        certificates = (str(files["tls_client_ca"]), str(files["tls_certificate"]), str(files["tls_key"]))
        with serving(tmp_path, **settings) as server:
            options = [part for pair in zip(("--ca", "--cert", "--key"), certificates, strict=True) for part in pair]
            assert run(tmp_path, "health", server.address, *options).returncode == 0
            assert run(tmp_path, "health", server.address, *options[:2]).returncode == 1
        asked = run_here(tmp_path, "health", **settings)
        assert (asked.returncode, asked.stderr.startswith("cinema: CINEMA_HEALTH_ADDRESS: must be set")) == (2, True)

    def test_options_that_need_each_other(self, tmp_path: Path) -> None:
        for options, hint in ((("--server-name", "x"), "need --ca"), (("--ca", "x", "--cert", "y"), "each other")):
            asked = run_here(tmp_path, "health", "127.0.0.1:1", *options)
            assert (asked.returncode, hint in asked.stderr) == (2, True)


class TestTheDatabase:
    @pytest.mark.parametrize(
        ("command", "start"),
        [
            (("migrate",), "the schema is up to date"),
            (("create-staff", "ada"), "ada is staff now"),
            (("create-service", "billing"), "billing is a service now"),
        ],
    )
    def test_commands_that_may_create_it_name_it(self, tmp_path: Path, command: tuple[str, ...], start: str) -> None:
        """In the last line, with its folder, so that a new file in the wrong one is noticed."""
        secret = "a long and private one"
        passwords = {"CINEMA_STAFF_PASSWORD": secret, "CINEMA_SERVICE_PASSWORD": secret}
        last = run_here(tmp_path, *command, **passwords).stdout.splitlines()[-1]
        assert (last.startswith(start), last.endswith(f" in {database_in(tmp_path)}")) == (True, True), last


class TestHelp:
    def test_a_command_lists_the_settings_that_it_reads(self, tmp_path: Path) -> None:
        """`serve` lists all; the others those alone that they read."""
        listed = {
            name: set(re.findall(r"^  (CINEMA_\w+) \[", run_here(tmp_path, name, "--help").stdout, re.MULTILINE))
            for name in ("serve", "audit", "health", "reconcile", "import")
        }
        assert listed["serve"] == {variable(field) for field in Settings.model_fields}
        assert listed["audit"] == {"CINEMA_DATABASE_URL"}
        assert "CINEMA_TLS_CERTIFICATE" in listed["health"]
        assert "CINEMA_DATABASE_URL" not in listed["health"]
        assert "CINEMA_STRIPE_API_BASE" in listed["reconcile"] & listed["import"]
