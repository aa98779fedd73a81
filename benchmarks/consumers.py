"""A consumer of the event feed: a stream of events that are read as they come."""

import asyncio
import gc
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import grpc
from cinema.v1 import event_service_pb2 as pb

from benchmarks.load import OWN_CONNECTION

WATCH_EVENTS = "/cinema.v1.EventService/WatchEvents"


@dataclass(frozen=True, slots=True)
class Following:
    """What to read: events after a position, until so many have come or, if none comes, for `seconds`."""

    address: str
    token: str
    after_position: int
    events: int
    seconds: float


class Received(NamedTuple):
    """An event: when it came, by the machine's monotonic clock, and its booking."""

    moment: float
    booking_id: str


def follow(following: Following) -> list[Received]:
    """Read from this process."""
    gc.collect()
    gc.disable()
    try:
        return asyncio.run(_follow(following))
    finally:
        gc.enable()


async def _follow(following: Following) -> list[Received]:
    received: list[Received] = []
    async with grpc.aio.insecure_channel(following.address, options=OWN_CONNECTION) as channel:
        watch: Any = channel.unary_stream(WATCH_EVENTS, response_deserializer=pb.WatchEventsResponse.FromString)
        request = pb.WatchEventsRequest(after_position=following.after_position)
        metadata = (("authorization", f"Bearer {following.token}"),)
        stream = watch(request.SerializeToString(), metadata=metadata)
        while len(received) < following.events:
            response = await asyncio.wait_for(stream.read(), following.seconds)
            moment = time.monotonic()
            received += [Received(moment, event.booking_id) for event in response.events]
        stream.cancel()
    return received
