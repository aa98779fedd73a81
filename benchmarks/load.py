"""The load on a server: calls made by another process, a number in flight or at a fixed rate, and a sample of each."""

import asyncio
import gc
import itertools
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, TypeVar

import grpc

PROCESSES = 2
"""How many loads can run at once, each in a process of its own."""
CONNECTIONS = 4
SHED = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
"""What a server, or gRPC itself within the server, answers if it has too much to do."""
# Without it, channels to one address share one connection.
OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)

A = TypeVar("A")
T = TypeVar("T")

Method: TypeAlias = "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"


@dataclass(frozen=True, slots=True)
class Call:
    """A call to make; `method` is its full name, such as "/cinema.v1.BookingService/CreateBooking"."""

    method: str
    request: bytes
    token: str = ""


@dataclass(frozen=True, slots=True)
class Load:
    """What to call, and how fast. One of `in_flight` and `rate` is set.

    Attributes:
        address: Where to call; connections are spread over several addresses with commas between them.
        calls: The calls, made in this order.
        in_flight: Closed loop: so many callers, each of which makes the next call when its last one is answered.
        rate: Open loop: so many calls a second, evenly spaced, however long the answers take.
        seconds: Go round and round the calls until so many seconds are over, instead of once.
        keep_answers: Whether samples hold the answers.
    """

    address: str
    calls: Sequence[Call]
    in_flight: int = 0
    rate: float = 0
    seconds: float = 0
    connections: int = CONNECTIONS
    keep_answers: bool = False


class Sample(NamedTuple):
    """What became of one call.

    Attributes:
        number: Which of the load's calls it was.
        start: When it was sent, or in an open loop when it was due, so a delay in sending counts as waiting. In seconds
            by the machine's monotonic clock, which all processes share.
        seconds: From `start` to the answer.
        code: The number of its gRPC status.
        answer: Empty unless it was asked for.
    """

    number: int
    start: float
    seconds: float
    code: int
    answer: bytes


class Clients:
    """The processes that make the calls."""

    def __init__(self) -> None:
        # A process that was forked from one that has used gRPC can't use it.
        self._processes = ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn"))

    def start(self, work: Callable[[A], T], what: A) -> "Future[T]":
        """Have a client do its work, such as `drive` a load, beside whatever else runs."""
        return self._processes.submit(work, what)

    def close(self) -> None:
        """End the processes; loads that have not begun are dropped."""
        self._processes.shutdown(cancel_futures=True)


def drive(load: Load) -> list[Sample]:
    """Make the calls of a load from this process; the samples come in the order of the answers."""
    # A collection in here would look like a slow server.
    gc.collect()
    gc.disable()
    try:
        return asyncio.run(_drive(load))
    finally:
        gc.enable()


def codes(samples: Sequence[Sample]) -> Counter[str]:
    """Count the answers by the name of their status."""
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    return Counter(names[sample.code] for sample in samples)


async def _drive(load: Load) -> list[Sample]:
    async with AsyncExitStack() as stack:
        addresses = itertools.islice(itertools.cycle(load.address.split(",")), load.connections)
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(address, options=OWN_CONNECTION))
            for address in addresses
        ]
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        caller = _Caller(load, channels)
        await (caller.keep_in_flight() if load.in_flight else caller.keep_the_rate())
        return caller.samples


class _Caller:
    def __init__(self, load: Load, channels: Sequence[grpc.aio.Channel]) -> None:
        names = {call.method for call in load.calls}
        self._methods: list[dict[str, Method]] = [
            {name: channel.unary_unary(name) for name in names} for channel in channels
        ]
        self._load = load
        self.samples: list[Sample] = []

    async def keep_in_flight(self) -> None:
        numbers = self._numbers()
        end = time.monotonic() + self._load.seconds if self._load.seconds else float("inf")

        async def call_on(connection: int) -> None:
            for number in numbers:
                await self._call(number, connection, time.monotonic())
                if time.monotonic() >= end:
                    return

        connections = itertools.cycle(range(self._load.connections))
        await asyncio.gather(*(call_on(next(connections)) for _ in range(self._load.in_flight)))

    async def keep_the_rate(self) -> None:
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for step, number in enumerate(self._numbers()):
                if self._load.seconds and step > self._load.seconds * self._load.rate:
                    return
                due = start + step / self._load.rate
                if (early := due - time.monotonic()) > 0:
                    await asyncio.sleep(early)
                group.create_task(self._call(number, step % self._load.connections, due))

    def _numbers(self) -> Iterator[int]:
        numbers = range(len(self._load.calls))
        return itertools.cycle(numbers) if self._load.seconds else iter(numbers)

    async def _call(self, number: int, connection: int, start: float) -> None:
        call = self._load.calls[number]
        metadata = (("authorization", f"Bearer {call.token}"),) if call.token else ()
        method: Method = self._methods[connection][call.method]
        try:
            answer = await method(call.request, metadata=metadata)
            code = 0
        except grpc.aio.AioRpcError as error:
            answer, code = b"", error.code().value[0]
        seconds = time.monotonic() - start
        self.samples.append(Sample(number, start, seconds, code, answer if self._load.keep_answers else b""))
