"""Clients that open more than they use, with honest callers beside them, on a server process of its own.

The honest callers lose under 5% of their calls, and the server needs under 400 MiB more memory.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from cinema.v1 import showtime_service_pb2
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from tests.conftest import Lend
from tests.database import writing
from tests.e2e.conftest import Serving, serving
from tests.proofs.http2 import RawConnection, message
from tests.proofs.vitals import MEBIBYTE, memory
from tests.replicas.conftest import Chain, Replica

HONEST = 4
CALLS_ON_A_CONNECTION = 1_000
HONEST_ROUNDS = 10
LONGEST_SECONDS = 120
ALLOWED_LOSS = 0.05
ALLOWED_MEMORY = 400 * MEBIBYTE
GET_SHOWTIME = "/cinema.v1.ShowtimeService/GetShowtime"
LIST_SHOWTIMES = "/cinema.v1.ShowtimeService/ListShowtimes"
WATCH = "/grpc.health.v1.Health/Watch"
PAGE = showtime_service_pb2.ListShowtimesRequest(page_size=200).SerializeToString()
WANTED = showtime_service_pb2.GetShowtimeRequest(showtime_id="x" * 36).SerializeToString()


class Attack(NamedTuple):
    """What each of many calls does.

    Attributes:
        path: The method that is called.
        body: What is sent of the message.
        ends: Whether the client says that no more comes.
        window: How many bytes of each answer the client takes.
    """

    path: str
    body: bytes
    ends: bool = False
    window: int = 65_535


ATTACKS = {
    "watch": Attack(WATCH, message(b""), ends=True),
    "no message": Attack(GET_SHOWTIME, b""),
    "no last byte": Attack(GET_SHOWTIME, message(WANTED)[:-1]),
    "a large message without its end": Attack(GET_SHOWTIME, message(b"x" * 1_000_000)[:16_000]),
    "no reader": Attack(LIST_SHOWTIMES, message(PAGE), ends=True, window=0),
}


@dataclass
class Target:
    """A server process, and the honest callers' outcomes."""

    server: Serving
    address: str
    chain: Chain
    outcomes: Counter[str]

    def memory(self) -> int:
        """Return the memory of the server process in bytes."""
        return memory(self.server.process.pid)


@asynccontextmanager
async def a_target(lend: Lend, folder: Path) -> AsyncIterator[Target]:
    """Run a server whose pages are large, with customers who hold and cancel all the time."""
    with lend("sqlite", folder) as url:
        database = Database(url)
        chain = Chain(url, database)
        await chain.furnish(showtimes=200, customers=HONEST)
        async with writing(database) as connection:
            await connection.execute(update(schema.movie).values(synopsis="x" * 4_000))
        await database.close()
        limits = ("CINEMA_SEATS_ON_HOLD_LIMIT", "CINEMA_UNPAID_HOLDS_PER_SHOWTIME", "CINEMA_CHANGES_PER_MINUTE")
        with serving(folder, CINEMA_DATABASE_URL=url, **dict.fromkeys(limits, "0")) as server:
            address = await asyncio.to_thread(lambda: server.address)
            target = Target(server, address, chain, Counter())
            customers = [asyncio.create_task(be_a_customer(target, number)) for number in range(HONEST)]
            try:
                yield target
            finally:
                for customer in customers:
                    customer.cancel()
                await asyncio.gather(*customers, return_exceptions=True)
            assert server.stop() == 0


async def be_a_customer(target: Target, number: int) -> None:
    """Read the seat map, hold a seat and cancel, over and over."""
    own = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.insecure_channel(target.address, options=own) as channel:
        replica = Replica(target.server, channel)
        showtime_id, metadata = target.chain.showtimes[number], target.chain.customers[number]
        seat = 0
        while True:
            seat = seat % 50 + 1
            try:
                await replica.taken(showtime_id)
                booking = await replica.book(metadata, showtime_id, f"A{seat}")
                await replica.cancel(metadata, booking.booking_id)
                target.outcomes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                target.outcomes[error.code().name] += 1


async def attack(target: Target, kind: Attack, connections: int, calls: int) -> None:
    """Make so many calls, and hold them open until this is cancelled; each connection has as many as it may."""
    left = iter(range(calls))

    async def hold() -> None:
        connection = await RawConnection.open(target.address, kind.window)
        try:
            for _ in left:
                if connection.closed:
                    return
                await connection.call(kind.path, kind.body, end=kind.ends)
                if connection.under_way >= CALLS_ON_A_CONNECTION:
                    await connection.wait_until_ended(connection.ended + 1)
            await asyncio.Event().wait()
        finally:
            await connection.close()

    await asyncio.gather(*(hold() for _ in range(connections)))


async def withstand(
    target: Target, kind: Attack, connections: int, calls: int, seconds: float, record: Callable[[str, object], None]
) -> None:
    """Attack for so long, and until honest callers were answered; sample memory, and count the calls that they lost."""
    base, before, peak = target.memory(), target.outcomes.copy(), 0
    attackers = asyncio.create_task(attack(target, kind, connections, calls))
    for tenths in range(round(LONGEST_SECONDS * 10)):
        await asyncio.sleep(0.1)
        peak = max(peak, target.memory() - base)
        if tenths >= seconds * 10 and (target.outcomes - before).total() >= HONEST_ROUNDS:
            break
    attackers.cancel()
    await asyncio.gather(attackers, return_exceptions=True)
    outcomes = target.outcomes - before
    rounds = outcomes.total()
    record("figures", f"{kind.path}: {peak / MEBIBYTE:.0f} MiB more, honest callers: {dict(outcomes)}")
    assert rounds >= HONEST_ROUNDS, "the honest callers got nothing done"
    # A round is three calls, and one that fails ends it.
    assert rounds - outcomes["OK"] <= ALLOWED_LOSS * (3 * outcomes["OK"] + rounds - outcomes["OK"]), outcomes
    assert peak < ALLOWED_MEMORY


async def test_floods_in_short(lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Each attack, one after the other, at some tenth of its size."""
    async with a_target(lend, tmp_path) as target:
        await asyncio.sleep(0.5)
        for kind in ATTACKS.values():
            await withstand(target, kind, 4, 2_000, 1, record_property)


@pytest.mark.torture
@pytest.mark.parametrize(
    ("name", "connections", "calls"),
    [
        ("watch", 10, 10_000),
        ("no message", 100, 100_000),
        ("no last byte", 100, 100_000),
        ("a large message without its end", 100, 10_000),
        ("no reader", 1, 1_000),
        ("no reader", 8, 8_000),
    ],
)
async def test_floods(
    name: str,
    connections: int,
    calls: int,
    lend: Lend,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Each attack at its full size, for a minute and a quarter."""
    async with a_target(lend, tmp_path) as target:
        await asyncio.sleep(2)
        await withstand(target, ATTACKS[name], connections, calls, 75, record_property)
