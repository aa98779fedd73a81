"""TLS and mTLS with real handshakes: which clients are served, and how certificates are reloaded."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema.v1 import auth_service_pb2, auth_service_pb2_grpc, showtime_service_pb2, showtime_service_pb2_grpc
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from cinema_grpc.config import BadSettings, Settings
from cinema_grpc.transport import certificates
from tests.certificates import Authority, write
from tests.conftest import Lend
from tests.observability.scraping import scrape
from tests.rpc.conftest import App, running

SERVING = health_pb2.HealthCheckResponse.SERVING
SECONDS = 20


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


async def ask(address: str, credentials: grpc.ChannelCredentials | None) -> Any:
    """Return the code of a ListShowtimes call on its own connection."""
    if credentials is None:
        channel = grpc.aio.insecure_channel(address)
    else:
        # Else the channel would share a connection with others of the same credentials.
        channel = grpc.aio.secure_channel(address, credentials, (("grpc.use_local_subchannel_pool", 1),))
    async with channel:
        call = showtime_service_pb2_grpc.ShowtimeServiceStub(channel).ListShowtimes(
            showtime_service_pb2.ListShowtimesRequest(), timeout=SECONDS
        )
        return await call.code()


OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


class TestTls:
    async def test_a_client_that_trusts_its_authority_is_served(self, url: str, tmp_path: Path) -> None:
        """No other client is, and none without TLS."""
        authority = Authority()
        async with running(url, **write(tmp_path, *authority.issue())) as app:
            assert await ask(app.server.address, authority.client()) is OK
            assert await ask(app.server.address, Authority().client()) is UNAVAILABLE
            assert await ask(app.server.address, None) is UNAVAILABLE

    async def test_a_name_that_is_not_in_the_certificate(self, url: str, tmp_path: Path) -> None:
        authority = Authority()
        async with running(url, **write(tmp_path, *authority.issue("tickets.example"))) as app:
            assert await ask(app.server.address, authority.client()) is UNAVAILABLE


class TestClientCertificates:
    async def test_a_client_with_a_certificate_of_the_authority_is_served(self, url: str, tmp_path: Path) -> None:
        """No other client is. The security log has the names in the certificate."""
        ours, clients = Authority(), Authority()
        async with running(url, **write(tmp_path, *ours.issue(), clients.certificate)) as app:
            address = app.server.address
            good = clients.client("box-office.example", trust=ours.certificate)
            assert await ask(address, good) is OK
            assert await ask(address, ours.client()) is UNAVAILABLE
            assert await ask(address, ours.client("box-office.example")) is UNAVAILABLE
            async with grpc.aio.secure_channel(address, good) as channel:
                auth = auth_service_pb2_grpc.AuthServiceStub(channel)
                with capture_logs() as logs, pytest.raises(grpc.aio.AioRpcError):
                    await auth.GetCurrentUser(auth_service_pb2.GetCurrentUserRequest(), timeout=SECONDS)
        (line,) = (line for line in logs if line.get("logger") == "cinema.security")
        assert (line["reason"], line["peer_identities"]) == ("TOKEN_MISSING", ["box-office.example"])


@asynccontextmanager
async def calling(app: App, credentials: grpc.ChannelCredentials) -> AsyncIterator[list[Any]]:
    """Make one call after the other on one connection, and yield the list of their codes."""
    codes: list[Any] = []
    going = True
    async with grpc.aio.secure_channel(app.server.address, credentials) as channel:
        showtimes = showtime_service_pb2_grpc.ShowtimeServiceStub(channel)

        async def call_on() -> None:
            while going:
                request = showtime_service_pb2.ListShowtimesRequest()
                codes.append(await showtimes.ListShowtimes(request, timeout=SECONDS).code())

        task = asyncio.create_task(call_on())
        async with asyncio.timeout(SECONDS):
            while not codes:  # noqa: ASYNC110 (until it has its connection)
                await asyncio.sleep(0.01)
        yield codes
        going = False
        await task


class TestRenewal:
    async def test_new_connections_get_the_new_certificate(self, url: str, tmp_path: Path) -> None:
        """Without a restart; calls on existing connections do not fail."""
        before, after = Authority(), Authority()
        async with running(url, **write(tmp_path, *before.issue())) as app:
            async with calling(app, before.client()) as codes:
                assert await ask(app.server.address, before.client()) is OK
                with capture_logs() as logs:
                    write(tmp_path, *after.issue())
                    assert await ask(app.server.address, after.client()) is OK
                assert await ask(app.server.address, before.client()) is UNAVAILABLE
                before_last = len(codes)
                async with asyncio.timeout(SECONDS):
                    while len(codes) < before_last + 10:  # noqa: ASYNC110 (of another task)
                        await asyncio.sleep(0.01)
            assert set(codes) == {OK}
        assert "certificate reloaded" in [line["event"] for line in logs]

    async def test_files_that_are_replaced_one_after_the_other(self, url: str, tmp_path: Path) -> None:
        """The old certificate stays in use until the new files are complete, valid and belong together."""
        before, after = Authority(), Authority()
        key, certificate = after.issue()
        async with running(url, **write(tmp_path, *before.issue())) as app:
            address = app.server.address
            certificate_file, key_file = app.server._settings.tls_certificate, app.server._settings.tls_key
            assert certificate_file is not None
            assert key_file is not None
            steps = (
                lambda: certificate_file.write_bytes(certificate[:200]),
                lambda: certificate_file.write_bytes(certificate),
                lambda: key_file.write_bytes(key[:100]),
                lambda: certificate_file.write_bytes(after.issue(days=-1)[1]),
                certificate_file.unlink,
            )
            for step in steps:
                step()
                with capture_logs() as logs:
                    assert await ask(address, before.client()) is OK
                    assert await ask(address, after.client()) is UNAVAILABLE
                assert "stays as it was" in str(logs)
            write(tmp_path, key, certificate)
            assert await ask(address, after.client()) is OK
            assert await ask(address, before.client()) is UNAVAILABLE

    async def test_one_that_becomes_valid_later_is_used_then(
        self, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As if this machine's clock were behind: unchanged files are read again after a while."""
        monkeypatch.setattr(certificates, "SECONDS_BETWEEN_RETRIES", 0.1)
        before, after = Authority(), Authority()
        async with running(url, **write(tmp_path, *before.issue())) as app:
            write(tmp_path, *after.issue(begins=timedelta(seconds=5)))
            with capture_logs() as logs:
                assert await ask(app.server.address, before.client()) is OK
            assert "stays as it was" in str(logs)
            async with asyncio.timeout(SECONDS):
                while await ask(app.server.address, after.client()) is not OK:
                    pass
            assert await ask(app.server.address, before.client()) is UNAVAILABLE

    async def test_unusable_files_are_not_read_at_every_handshake(self, tmp_path: Path) -> None:
        """Until they change, be it only their permissions."""
        authority = Authority()
        files = write(tmp_path, *authority.issue())
        read = certificates.Certificates(
            certificates.CertificateFiles(files["tls_certificate"], files["tls_key"])
        )._read_if_changed
        write(tmp_path, *Authority().issue(days=-1))
        with capture_logs() as logs:
            assert [read() for _ in range(5)] == [None] * 5
            assert len(logs) == 1
            files["tls_key"].chmod(0o600)
            assert [read() for _ in range(5)] == [None] * 5
            assert len(logs) == 2
        write(tmp_path, *authority.issue())
        assert read() is not None
        assert read() is None

    async def test_the_end_of_the_certificate_in_use_is_a_metric(self, url: str, tmp_path: Path) -> None:
        name, day = "cinema_tls_certificate_expiry_timestamp_seconds", timedelta(days=1).total_seconds()
        before, after = Authority(), Authority()
        async with running(url, **write(tmp_path, *before.issue(days=1)), metrics_address="127.0.0.1:0") as app:
            now = time.time()
            assert (await scrape(app.server.metrics_address)).value(name) == pytest.approx(now + day, abs=60)
            write(tmp_path, *after.issue(days=30))
            assert await ask(app.server.address, after.client()) is OK
            assert (await scrape(app.server.metrics_address)).value(name) == pytest.approx(now + 30 * day, abs=60)

    async def test_the_authority_of_clients_is_reloaded_too(self, url: str, tmp_path: Path) -> None:
        ours, before, after = Authority(), Authority(), Authority()
        key, certificate = ours.issue()
        async with running(url, **write(tmp_path, key, certificate, before.certificate)) as app:
            clients = [each.client("a.example", trust=ours.certificate) for each in (before, after)]
            assert [await ask(app.server.address, each) for each in clients] == [OK, UNAVAILABLE]
            write(tmp_path, key, certificate, after.certificate)
            assert [await ask(app.server.address, each) for each in clients] == [UNAVAILABLE, OK]


def bad_files(folder: Path) -> dict[str, tuple[dict[str, Any], str, str]]:
    """Return unusable settings, the setting that is named in the error, and part of its message."""
    authority = Authority()
    good = write(folder, *authority.issue())
    encrypted = folder / "encrypted.pem"
    encrypted.write_bytes(
        load_pem_private_key(authority.issue()[0], None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a passphrase")
        )
    )
    expired, other, garbage = folder / "expired.pem", folder / "other.pem", folder / "garbage.pem"
    expired.write_bytes(authority.issue(days=-1)[1])
    other.write_bytes(authority.issue()[0])
    garbage.write_bytes(b"-----BEGIN CERTIFICATE-----\nnothing\n")
    missing = folder / "missing.pem"
    public = {"listen_address": "0.0.0.0:0"}
    certificate, key, client_ca = "TLS_CERTIFICATE", "TLS_KEY", "TLS_CLIENT_CA"
    return {
        "no TLS for other machines": (public, "LISTEN_ADDRESS", "or CINEMA_PLAINTEXT=yes"),
        "TLS and none": ({**good, "plaintext": True}, "PLAINTEXT", "must not be set"),
        "no key": ({"tls_certificate": good["tls_certificate"]}, key, "must be set too"),
        "no certificate": ({"tls_key": good["tls_key"]}, key, "has no effect without CINEMA_TLS_CERTIFICATE"),
        "an authority alone": ({"tls_client_ca": garbage}, client_ca, "has no effect without"),
        "a missing certificate": ({**good, "tls_certificate": missing}, certificate, "can't read"),
        "a missing key": ({**good, "tls_key": missing}, key, "can't read"),
        "a missing authority": ({**good, "tls_client_ca": missing}, client_ca, "can't read"),
        "a folder": ({**good, "tls_key": folder}, key, "can't read"),
        "no certificate in it": ({**good, "tls_certificate": garbage}, certificate, "holds no certificate in PEM"),
        "an expired certificate": ({**good, "tls_certificate": expired}, certificate, "but not now; renew it"),
        "no key in it": ({**good, "tls_key": garbage}, key, "holds no private key in PEM"),
        "another's key": ({**good, "tls_key": other}, key, "does not belong to the certificate"),
        "an encrypted key": ({**good, "tls_key": encrypted}, key, "encrypted"),
        "no authority in it": ({**good, "tls_client_ca": garbage}, client_ca, "holds no certificate in PEM"),
        "a taken health address": ({"health_address": "192.0.2.1:1"}, "HEALTH_ADDRESS", "can't listen on 192.0.2.1:1"),
    }


async def test_unusable_files(url: str, tmp_path: Path) -> None:
    """They stop the server at the start, with one line that names the setting, the file and the problem."""
    for name, (settings, setting, hint) in bad_files(tmp_path).items():
        with pytest.raises(BadSettings) as refused:
            async with running(url, **settings):
                pass
        message = str(refused.value)
        assert message.startswith(f"CINEMA_{setting}: "), name
        assert hint in message, name
        assert "\n" not in message


@pytest.mark.parametrize(
    ("address", "given", "expected"),
    [
        ("127.0.0.1:0", None, True),
        ("127.9.9.9:0", None, True),
        ("localhost:0", None, True),
        ("[::1]:0", None, True),
        ("0.0.0.0:0", None, False),
        ("[::]:0", None, False),
        ("cinema.example:0", None, False),
        ("127.0.0.1:0", False, False),
        ("0.0.0.0:0", True, True),
    ],
)
def test_reflection_is_off_by_default_where_other_machines_can_call(
    address: str, given: bool | None, expected: bool
) -> None:
    assert Settings(listen_address=address, reflection=given).with_reflection is expected


async def test_reflection_where_other_machines_can_call(url: str) -> None:
    """It is off by default, and can be turned on."""
    for given, code in ((None, grpc.StatusCode.UNIMPLEMENTED), (True, OK)):
        async with running(url, listen_address="0.0.0.0:0", plaintext=True, reflection=given) as app:
            port = app.server.address.rpartition(":")[2]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                call: Any = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")()
                await call.done_writing()
                assert await call.code() is code


class TestHealthAddress:
    async def test_it_serves_health_checks_only(self, url: str, tmp_path: Path) -> None:
        """In plaintext, with the same status, also of the shutdown; no other method is served."""
        authority = Authority()
        settings = write(tmp_path, *authority.issue(), authority.certificate)
        async with running(url, health_address="127.0.0.1:0", **settings) as app:
            assert app.server.health_address is not None
            async with grpc.aio.insecure_channel(app.server.health_address) as channel:
                health = health_pb2_grpc.HealthStub(channel)
                watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=SECONDS)
                assert (await watch.read()).status == SERVING
                assert (await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)).status == SERVING
                assert await ask(app.server.health_address, None) is grpc.StatusCode.UNIMPLEMENTED
                assert await ask(app.server.address, authority.client("a.example")) is OK
                await app.server.announce_stop()
                assert (await watch.read()).status != SERVING
                watch.cancel()
