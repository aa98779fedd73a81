"""Clients that buy during failovers, and how long it takes until one of them succeeds again."""

import asyncio
import random
import statistics
import time
import uuid
from collections.abc import Sequence
from typing import Protocol

import grpc

from tests.replicas.audit import Log
from tests.replicas.conftest import Chain

CLIENTS = 12
SHOWTIMES = 8
"""One more is kept for measuring how soon a booking succeeds."""
SECONDS = 120


class Cluster(Protocol):
    """PostgreSQL servers, one of which is the primary."""

    url: str

    async def kill(self) -> None:
        """Kill the primary."""

    async def take_over(self) -> None:
        """Promote a standby, unless that happens by itself."""

    async def mend(self) -> None:
        """Wait until there is a synchronous standby again."""


class Selling:
    """Clients that book, pay and cancel at all replicas until `stop`.

    Attributes:
        log: The answers that they got.
    """

    def __init__(self, chain: Chain, seed: int) -> None:
        """Start the clients."""
        self.log = Log()
        self._chain = chain
        self._probes = 0
        self._stop = asyncio.Event()
        self._clients = [asyncio.create_task(self._client(random.Random(seed + each), each)) for each in range(CLIENTS)]  # noqa: S311 (a test's)

    async def _client(self, chance: random.Random, number: int) -> None:
        chain = self._chain
        while not self._stop.is_set():
            replica = chance.choice(chain.replicas)
            await self.log.command(chance, replica, chain.customers[number], chain.showtimes[:SHOWTIMES])

    async def more(self, number: int) -> None:
        """Wait until so many more calls have succeeded."""
        goal = self.log.outcomes["OK"] + number
        async with asyncio.timeout(SECONDS):
            while self.log.outcomes["OK"] < goal:  # noqa: ASYNC110 (many clients count)
                await asyncio.sleep(0.01)

    async def first_booking(self) -> float:
        """Ask for a booking until one is acknowledged; return how many seconds that took."""
        chain, number, start = self._chain, self._probes, time.monotonic()
        self._probes += 1
        customer, request_id = chain.customers[CLIENTS + number], str(uuid.uuid4())
        while time.monotonic() < start + SECONDS:
            try:
                seat = f"{'ABCD'[number // 100 % 4]}{number % 100 + 1}"
                told = await chain.replicas[number % len(chain.replicas)].book(
                    customer, chain.showtimes[SHOWTIMES], seat, request_id=request_id
                )
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(0.02)
            else:
                self.log.bookings[told.booking_id] = told
                self.log.owners[told.booking_id] = customer
                return time.monotonic() - start
        raise AssertionError("no booking succeeds any more")

    async def stop(self) -> None:
        """Stop, and wait for the last calls."""
        self._stop.set()
        await asyncio.gather(*self._clients)


async def change_hands(cluster: Cluster, selling: Selling, times: int) -> list[float]:
    """Kill the primary under load; return the seconds from each death to the first booking after it."""
    recoveries = []
    for _ in range(times):
        await selling.more(30)
        await asyncio.sleep(random.uniform(0, 0.5))  # noqa: S311 (any moment)
        await cluster.kill()
        booked = asyncio.create_task(selling.first_booking())
        await cluster.take_over()
        recoveries.append(await booked)
        await cluster.mend()
    return recoveries


def figures(recoveries: Sequence[float], log: Log) -> str:
    """Return a summary."""
    return (
        f"{len(recoveries)} promotions, seconds until the first booking: median {statistics.median(recoveries):.2f}, "
        f"worst {max(recoveries):.2f}; {log.outcomes['OK']} calls acknowledged, none lost"
    )
