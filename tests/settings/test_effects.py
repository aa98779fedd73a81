"""Settings whose effect no other test shows: each is set to two values that differ in effect."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema.v1 import auth_service_pb2, auth_service_pb2_grpc, booking_service_pb2

from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.config import Settings
from cinema_grpc.server import CinemaServer
from tests.builders import FakeClock
from tests.conftest import Lend
from tests.relay import channel_from
from tests.rpc.conftest import SECRET, App, refusal, running

FEW, MANY = 2, 1_000


async def sign_in(app: App, name: str, password: str = "a wrong password", host: str = "127.0.0.1") -> Any:
    """Try to sign in from an address; return the refusal."""
    request = auth_service_pb2.LoginRequest(username=name, password=password)
    async with channel_from(host, app.server.address) as channel:
        return await refusal(auth_service_pb2_grpc.AuthServiceStub(channel).Login(request, timeout=30))


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Any:
    with lend("sqlite", tmp_path) as url:
        yield url


@pytest.mark.parametrize("limit", [FEW, MANY])
async def test_sign_in_failures(url: str, limit: int) -> None:
    """Wrong passwords for an account from one address until sign-ins are delayed."""
    async with running(url, sign_in_failures=limit) as app:
        await app.customer("ada")
        reasons = [(await sign_in(app, "ada")).reason for _ in range(FEW + 2)]
    assert reasons[:FEW] == ["BAD_CREDENTIALS"] * FEW
    assert ("TOO_MANY_ATTEMPTS" in reasons) == (limit == FEW)


@pytest.mark.parametrize("limit", [FEW, MANY])
async def test_sign_in_failures_of_account(url: str, limit: int) -> None:
    """The same from all addresses; two addresses take turns here."""
    async with running(url, sign_in_failures=MANY, sign_in_failures_of_account=limit) as app:
        await app.customer("ada")
        hosts = [f"127.0.0.{number}" for number in (2, 3, 2, 3, 2, 3)]
        reasons = [(await sign_in(app, "ada", host=host)).reason for host in hosts]
    assert ("TOO_MANY_ATTEMPTS" in reasons) == (limit == FEW)


@pytest.mark.parametrize("limit", [FEW, 0])
async def test_sign_in_failures_of_address(url: str, limit: int) -> None:
    """The same from one address for all accounts; 0 is no limit."""
    async with running(url, sign_in_failures_of_address=limit) as app:
        reasons = [(await sign_in(app, f"stranger{number}", host="127.0.0.2")).reason for number in range(FEW + 2)]
    assert ("TOO_MANY_ATTEMPTS" in reasons) == (limit == FEW)


@pytest.mark.parametrize("longest", [1, 300])
async def test_sign_in_longest_delay_seconds(url: str, longest: int) -> None:
    """The maximum delay."""
    async with running(url, sign_in_failures=1, sign_in_longest_delay_seconds=longest) as app:
        await app.customer("ada")
        delays = []
        for _ in range(8):
            refused = await sign_in(app, "ada")
            if refused.reason == "TOO_MANY_ATTEMPTS":
                delays.append(refused.details["RetryInfo"].retry_delay.seconds)
                app.clock.advance(refused.details["RetryInfo"].retry_delay.ToTimedelta())
    assert max(delays) <= longest
    assert (max(delays) > 1) == (longest > 1)


@pytest.mark.parametrize("size", [8, 10])
async def test_database_pool_size(lend: Lend, tmp_path: Path, size: int) -> None:
    """Maximum connections to PostgreSQL."""
    with lend("postgresql", tmp_path) as url:
        database = CinemaServer(Settings(database_url=url, database_pool_size=size), SECRET).database
        async with AsyncExitStack() as stack:
            for _ in range(size):
                await stack.enter_async_context(database.engine.connect())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), database.engine.connect():
                    pass
        await database.close()


@pytest.mark.parametrize("share", [0, 1])
async def test_simulated_payments_lose_answer(url: str, share: float) -> None:
    """Share of the charges that never return: the caller runs into its deadline."""
    settings = Settings(
        listen_address="127.0.0.1:0",
        database_url=url,
        simulated_payments_lose_answer=share,
        payment_grace_seconds=0.01,
        shutdown_seconds=0,
    )
    clock = FakeClock()
    server = CinemaServer(settings, SECRET, clock, passwords=Argon2Passwords(memory_kib=64, rounds=1))
    try:
        await server.open()
        await server.listen()
        async with grpc.aio.insecure_channel(server.address) as channel:
            app = App(server, clock, channel)
            showtime = await app.showtime()
            booking = await app.book(showtime.showtime_id, "A1", "A2")
            request = booking_service_pb2.ConfirmPaymentRequest(booking_id=booking.booking_id, payment_token="tok_visa")
            call = app.bookings.ConfirmPayment(request, metadata=await app.customer(), timeout=1 if share else 60)
            assert await call.code() is (grpc.StatusCode.DEADLINE_EXCEEDED if share else grpc.StatusCode.OK)
    finally:
        await server.close()
