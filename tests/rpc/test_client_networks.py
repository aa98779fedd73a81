"""What one client network asks of sign-in and Register, and what the others notice of it."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from cinema.v1 import auth_service_pb2 as pb
from cinema.v1 import auth_service_pb2_grpc
from structlog.testing import capture_logs

from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.config import Settings
from tests.builders import FakeClock
from tests.conftest import Lend
from tests.relay import channel_from
from tests.rpc.conftest import PASSWORD, App, read_refusal, refusal, running

T = TypeVar("T")

Auth = auth_service_pb2_grpc.AuthServiceStub
ELSEWHERE = "127.0.0.2"
FLOOD = 800
SECONDS = 30
MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


def person(name: str) -> pb.RegisterRequest:
    """Make the request that registers a user."""
    return pb.RegisterRequest(
        username=name, password=PASSWORD, full_name="Somebody", email=f"{name}@example.com".lower()
    )


async def signed_in(auth: Auth, name: str) -> str:
    """Sign a new customer in; return the username."""
    answer = await auth.Login(pb.LoginRequest(username=name, password=PASSWORD))
    return answer.user.username


class GatedPasswords(Argon2Passwords):
    """Real hashes, which wait for a gate; a queue that takes 22 of one network while no other network waits.

    Attributes:
        gate: Lets hashes be made while it is set.
        networks: Whose turns it has been, in order.
    """

    def __init__(self) -> None:
        super().__init__(memory_kib=64, rounds=1, workers=2, longest_wait=10)
        self.gate = threading.Event()
        self.gate.set()
        self.networks: list[str] = []

    def hold(self) -> None:
        """Close the gate, and take a hash for the work of a second."""
        self.gate.clear()
        self.networks.clear()
        for _ in range(200):
            self._admission.record(1.0)

    async def _in_thread(self, network: str, work: Callable[[], T], *, shielded: bool = False) -> T:
        def gated() -> T:
            assert self.gate.wait(SECONDS)
            self.networks.append(network)
            return work()

        return await super()._in_thread(network, gated, shielded=shielded)

    def close(self) -> None:
        self.gate.set()
        super().close()


async def test_registers_of_one_network_do_not_starve_the_sign_ins_of_others(url: str) -> None:
    """The network that asks for too many hashes gets OVERLOADED with RetryInfo; others have their turns as before."""
    passwords, admitted = GatedPasswords(), 22
    overloaded = asyncio.Semaphore(0)

    async def register(app: App, name: str) -> str:
        try:
            await app.auth.Register(person(name))
        except grpc.aio.AioRpcError as error:
            refused = read_refusal(error)
            assert refused.details["RetryInfo"].retry_delay.seconds >= 10
            overloaded.release()
            return refused.reason
        return "OK"

    async with (
        running(url, passwords=passwords) as app,
        channel_from(ELSEWHERE, app.server.address) as channel,
        asyncio.timeout(SECONDS),
    ):
        auth = Auth(channel)
        await auth.Register(person("grace"))
        passwords.hold()
        flood = [asyncio.create_task(register(app, f"flood{number}")) for number in range(FLOOD)]
        for _ in range(FLOOD - admitted):
            await overloaded.acquire()
        login = asyncio.create_task(signed_in(auth, "grace"))
        while not login.done() and len(passwords._waiting) <= admitted - 2:  # noqa: ASYNC110 (it is in the queue then)
            await asyncio.sleep(0.001)
        passwords.gate.set()
        assert await login == "grace"
        outcomes = await asyncio.gather(*flood)
    assert Counter(outcomes) == {"OK": admitted, "OVERLOADED": FLOOD - admitted}
    assert passwords.networks.index(ELSEWHERE) <= 3


async def registers(auth: Auth, name: str) -> str:
    """Try to register a customer; return "OK", or the reason of the refusal."""
    try:
        await auth.Register(person(name))
    except grpc.aio.AioRpcError as error:
        return read_refusal(error).reason
    return "OK"


class TestRegistrations:
    async def test_a_network_makes_so_many_accounts_an_hour(self, database_url: str) -> None:
        """RetryInfo says when the next hour begins; other networks are free; customers with accounts sign in."""
        async with (
            running(database_url, registrations_of_address=3) as app,
            channel_from(ELSEWHERE, app.server.address) as channel,
        ):
            assert await registers(app.auth, "first") == "OK"
            app.clock.advance(timedelta(minutes=50))
            outcomes = await asyncio.gather(*(registers(app.auth, f"user{number}") for number in range(20)))
            assert Counter(outcomes) == {"OK": 2, "TOO_MANY_ATTEMPTS": 18}
            refused = await refusal(app.auth.Register(person("late")))
            assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.metadata == {"retry_after_seconds": "600"}
            assert refused.details["RetryInfo"].retry_delay.seconds == 600
            assert await registers(Auth(channel), "elsewhere") == "OK"
            assert await signed_in(app.auth, "first") == "first"
            app.clock.advance(timedelta(minutes=10) - MICROSECOND)
            assert await registers(app.auth, "late") == "TOO_MANY_ATTEMPTS"
            app.clock.advance(MICROSECOND)
            assert await registers(app.auth, "late") == "OK"

    async def test_asking_for_names_counts_and_what_is_malformed_does_not(self, url: str) -> None:
        """And a network that has to wait learns nothing: a name that is taken gets the answer of one that is free."""
        async with running(url, registrations_of_address=3) as app:
            assert await registers(app.auth, "taken") == "OK"
            for _ in range(5):
                assert await registers(app.auth, "no name") == "INVALID_REQUEST"
            assert await registers(app.auth, "TAKEN") == "USERNAME_TAKEN"
            by_email = person("other")
            by_email.email = "Taken@example.com"
            assert (await refusal(app.auth.Register(by_email))).reason == "EMAIL_TAKEN"
            answers = [await refusal(app.auth.Register(person(name))) for name in ("taken", "free")]
            assert {each.reason for each in answers} == {"TOO_MANY_ATTEMPTS"}
            assert answers[0].message == answers[1].message
            assert answers[0].metadata == answers[1].metadata

    async def test_the_count_outlives_a_restart(self, database_url: str) -> None:
        """It is in the database, so another replica knows it, too."""
        clock = FakeClock()
        async with running(database_url, clock, registrations_of_address=1) as app:
            assert await registers(app.auth, "first") == "OK"
        async with running(database_url, clock, registrations_of_address=1) as app:
            assert await registers(app.auth, "second") == "TOO_MANY_ATTEMPTS"

    async def test_zero_is_no_limit(self, url: str) -> None:
        async with running(url, registrations_of_address=0) as app:
            outcomes = await asyncio.gather(*(registers(app.auth, f"user{number}") for number in range(105)))
            assert set(outcomes) == {"OK"}
        assert Settings().registrations_of_address == 100

    async def test_a_clock_that_is_set_back_makes_nobody_wait_beyond_an_hour(self, url: str) -> None:
        """A new hour begins then."""
        async with running(url, registrations_of_address=1) as app:
            assert await registers(app.auth, "first") == "OK"
            app.clock.advance(timedelta(hours=-2))
            assert await registers(app.auth, "second") == "OK"
            assert (await refusal(app.auth.Register(person("third")))).metadata == {"retry_after_seconds": "3600"}
            app.clock.advance(timedelta(hours=1))
            assert await registers(app.auth, "third") == "OK"

    async def test_a_refusal_is_in_the_security_log(self, url: str) -> None:
        async with running(url, registrations_of_address=1) as app:
            assert await registers(app.auth, "first") == "OK"
            with capture_logs() as logs:
                assert await registers(app.auth, "second") == "TOO_MANY_ATTEMPTS"
        (line,) = [line for line in logs if line.get("logger") == "cinema.security"]
        assert (line["event"], line["reason"], line["log_level"]) == (
            "registration refused",
            "TOO_MANY_ATTEMPTS",
            "warning",
        )
