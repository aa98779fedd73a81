"""What one client network asks of sign-in and Register, and what the others notice of it."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from cinema.v1 import auth_service_pb2 as pb
from cinema.v1 import auth_service_pb2_grpc

from cinema_grpc.adapters.passwords import Argon2Passwords
from tests.conftest import Lend
from tests.relay import channel_from
from tests.rpc.conftest import PASSWORD, House, read_refusal, running

T = TypeVar("T")

Auth = auth_service_pb2_grpc.AuthServiceStub
ELSEWHERE = "127.0.0.2"
FLOOD = 800
SECONDS = 30


@pytest.fixture
def url(lend: Lend, tmp_path: Path) -> Iterator[str]:
    with lend("sqlite", tmp_path) as url:
        yield url


def person(name: str) -> pb.RegisterRequest:
    """Make the request that registers somebody."""
    return pb.RegisterRequest(
        username=name, password=PASSWORD, full_name="Somebody", email=f"{name}@example.com".lower()
    )


async def signed_in(auth: Auth, name: str) -> str:
    """Sign somebody in; give the name of the account."""
    answer = await auth.Login(pb.LoginRequest(username=name, password=PASSWORD))
    return answer.user.username


class GatedPasswords(Argon2Passwords):
    """Real hashes, which wait for a gate; a queue that takes 22 of one network while nobody else waits.

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
            self._patience.took(1.0)

    async def _in_thread(self, network: str, work: Callable[[], T], *, whole: bool = False) -> T:
        def gated() -> T:
            assert self.gate.wait(SECONDS)
            self.networks.append(network)
            return work()

        return await super()._in_thread(network, gated, whole=whole)

    def close(self) -> None:
        self.gate.set()
        super().close()


async def test_registers_of_one_network_do_not_starve_the_sign_ins_of_others(url: str) -> None:
    """The network that asks for too many hashes gets OVERLOADED with RetryInfo; others have their turns as before."""
    passwords, admitted = GatedPasswords(), 22
    overloaded = asyncio.Semaphore(0)

    async def register(house: House, name: str) -> str:
        try:
            await house.auth.Register(person(name))
        except grpc.aio.AioRpcError as error:
            refused = read_refusal(error)
            assert refused.details["RetryInfo"].retry_delay.seconds >= 10
            overloaded.release()
            return refused.reason
        return "OK"

    async with (
        running(url, passwords=passwords) as house,
        channel_from(ELSEWHERE, house.server.address) as channel,
        asyncio.timeout(SECONDS),
    ):
        auth = Auth(channel)
        await auth.Register(person("grace"))
        passwords.hold()
        flood = [asyncio.create_task(register(house, f"flood{number}")) for number in range(FLOOD)]
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
