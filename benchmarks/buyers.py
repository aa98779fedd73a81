"""A rush of buyers: all begin at one moment, and each that is refused tries for other seats until it gives up."""

import asyncio
import gc
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import NamedTuple

import grpc
from google.rpc import error_details_pb2, status_pb2

from benchmarks.load import OWN_CONNECTION, SHED, Call, Method

REFUSED = grpc.StatusCode.FAILED_PRECONDITION
SECONDS_UNTIL_RETRY = 1.0
"""How long a buyer waits who was shed and not told for how long."""


@dataclass(frozen=True, slots=True)
class Rush:
    """Who buys, and when.

    Attributes:
        buyers: For each of them, what they ask for, one after the other.
        begin: The moment at which all begin, by the machine's monotonic clock.
        seconds: When to break off, counted from `begin`.
    """

    address: str
    buyers: Sequence[Sequence[Call]]
    connections: int
    begin: float
    seconds: float


class Try(NamedTuple):
    """One call of a buyer's, and what became of it.

    Attributes:
        start: By the machine's monotonic clock, in seconds.
        code: The number of the gRPC status.
    """

    buyer: int
    attempt: int
    start: float
    seconds: float
    code: int


def rush(plan: Rush) -> list[Try]:
    """Let the buyers loose, from this process; gives the tries that were answered in time."""
    gc.collect()
    gc.disable()
    try:
        return asyncio.run(_rush(plan))
    finally:
        gc.enable()


async def _rush(plan: Rush) -> list[Try]:
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(plan.address, options=OWN_CONNECTION))
            for _ in range(plan.connections)
        ]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        crowd = _Crowd(plan, channels)
        await asyncio.sleep(plan.begin - time.monotonic())
        with suppress(TimeoutError):
            async with asyncio.timeout(plan.seconds), asyncio.TaskGroup() as group:
                for buyer in range(len(plan.buyers)):
                    group.create_task(crowd.buy(buyer))
        return crowd.tries


class _Crowd:
    def __init__(self, plan: Rush, channels: Sequence[grpc.aio.Channel]) -> None:
        method = plan.buyers[0][0].method
        self._methods: list[Method] = [channel.unary_unary(method) for channel in channels]
        self._buyers = plan.buyers
        self._served: set[int] = set()
        self.tries: list[Try] = []

    async def buy(self, buyer: int) -> None:
        """Try for one pair of seats after the other, until one is had."""
        for attempt, call in enumerate(self._buyers[buyer]):
            shed_for = await self._try(buyer, attempt, call)
            while shed_for is not None:
                await asyncio.sleep(shed_for)
                shed_for = await self._try(buyer, attempt, call)
            if buyer in self._served:
                return

    async def _try(self, buyer: int, attempt: int, call: Call) -> float | None:
        """Call; give the seconds after which to make the same call again, or None if it was decided."""
        method = self._methods[buyer % len(self._methods)]
        start, pause = time.monotonic(), None
        try:
            await method(call.request, metadata=(("authorization", f"Bearer {call.token}"),))
            code = grpc.StatusCode.OK
            self._served.add(buyer)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            if code in SHED:
                pause = _seconds_until_retry(error)
            elif code is not REFUSED:
                raise
        self.tries.append(Try(buyer, attempt, start, time.monotonic() - start, code.value[0]))
        return pause


def _seconds_until_retry(error: grpc.aio.AioRpcError) -> float:
    """Read how long to wait from the error's RetryInfo; each waits a little longer or shorter."""
    seconds = SECONDS_UNTIL_RETRY
    for name, value in error.trailing_metadata() or ():
        if name == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                told = error_details_pb2.RetryInfo()
                if detail.Unpack(told):
                    seconds = told.retry_delay.ToTimedelta().total_seconds()
    return seconds * random.uniform(0.8, 1.2)
