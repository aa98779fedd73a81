"""Watchers of one showtime: streams of frames that are read as they come, and one that is never read."""

import asyncio
import gc
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
from cinema.v1 import showtime_service_pb2 as pb

from benchmarks.load import OWN_CONNECTION

WATCH_SEATS = "/cinema.v1.ShowtimeService/WatchSeats"


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who watches, and for how long.

    Attributes:
        begin: When all have to have their first frame, by the machine's monotonic clock.
        until: The number of available seats at which it is over.
        seconds: When to break off, counted from `begin`.
    """

    address: str
    showtime_id: str
    watchers: int
    connections: int
    begin: float
    until: int
    seconds: float


class Seen(NamedTuple):
    """A frame that one watcher, who stands for all, got: when, and how many seats were available."""

    moment: float
    available_seats: int


class Watched(NamedTuple):
    """What all watchers got after `begin`, and one of them."""

    frames: int
    size: int
    one: list[Seen]


def watch(crowd: Crowd) -> Watched:
    """Watch from this process, to the end of the sale."""
    gc.collect()
    gc.disable()
    try:
        return asyncio.run(_watch(crowd))
    finally:
        gc.enable()


async def _watch(crowd: Crowd) -> Watched:
    request = pb.WatchSeatsRequest(showtime_id=crowd.showtime_id).SerializeToString()
    async with AsyncExitStack() as stack:
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(crowd.address, options=OWN_CONNECTION))
            for _ in range(crowd.connections)
        ]
        methods: list[Any] = [channel.unary_stream(WATCH_SEATS) for channel in channels]
        calls = [methods[number % len(methods)](request) for number in range(crowd.watchers)]
        never_read = methods[0](request)
        for call in calls:
            await call.read()
        counter = _Counter(crowd.begin)
        readers = [asyncio.create_task(counter.read(call)) for call in calls[1:]]
        await counter.read_one(calls[0], crowd)
        for each in [never_read, *calls]:
            each.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        return Watched(counter.frames, counter.size, counter.one)


class _Counter:
    def __init__(self, begin: float) -> None:
        self._begin = begin
        self.frames = 0
        self.size = 0
        self.one: list[Seen] = []

    async def read(self, call: Any) -> None:
        """Read frames and count them."""
        while (frame := await call.read()) is not grpc.aio.EOF:
            self._count(frame)

    async def read_one(self, call: Any, crowd: Crowd) -> None:
        """Read frames, and look at each, to the end."""
        deadline = crowd.begin + crowd.seconds
        while not self.one or self.one[-1].available_seats > crowd.until:
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    frame = await call.read()
            except TimeoutError:
                return
            self._count(frame)
            self.one.append(Seen(time.monotonic(), pb.WatchSeatsResponse.FromString(frame).available_seats))

    def _count(self, frame: bytes) -> None:
        if time.monotonic() >= self._begin:
            self.frames += 1
            self.size += len(frame)
