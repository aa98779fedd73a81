"""Watchers of one showtime at several replicas, which hang up, resume elsewhere, and compare what they have folded."""

import asyncio
import random
import time
from dataclasses import dataclass, field

import grpc
from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb

from tests.replicas.conftest import Replica

PASSING = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}
"""What a watcher resumes after."""
SECONDS_TO_CATCH_UP = 60


@dataclass
class Truth:
    """What was seen of a showtime at each revision, by whomever: all have to agree.

    It has no holds that end, so a revision has one state.

    Attributes:
        states: The status of each seat, by revision.
        wrong: The first disagreements.
        final: The revision at which watchers end, once it is known.
    """

    states: dict[int, dict[str, int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    final: int | None = None

    def compare(self, revision: int, seats: dict[str, int], who: str) -> None:
        """Compare a state with what others saw at its revision, and check that it splits no pair of seats."""
        known = self.states.setdefault(revision, seats)
        if known != seats and len(self.wrong) < 10:
            differing = {seat: (known.get(seat), seats.get(seat)) for seat in known.keys() | seats.keys()}
            self.wrong.append(f"{who} at {revision}: { {s: p for s, p in differing.items() if p[0] != p[1]} }")
        split = [seat for seat in seats if seats[seat] != seats[partner(seat)]]
        if split and len(self.wrong) < 10:
            self.wrong.append(f"{who} at {revision} has half of a booking: {split}")


def partner(seat: str) -> str:
    """Return the seat that is booked together with one: A1 and A2, A3 and A4, and so on."""
    number = int(seat[1:])
    return f"{seat[0]}{number + 1 if number % 2 else number - 1}"


@dataclass
class Watcher:
    """A client that watches at one replica after the other.

    Attributes:
        patience: How many frames it reads from one stream, at most.
        longest_rest: How long it may rest between two frames, in seconds.
        snapshots, frames: How many it got.
    """

    name: str
    replicas: list[Replica]
    truth: Truth
    patience: int
    longest_rest: float = 0.0
    snapshots: int = 0
    frames: int = 0
    revision: int = 0
    seats: dict[str, int] = field(default_factory=dict)

    async def watch(self, showtime_id: str) -> None:
        """Watch until the final revision was seen."""
        deadline = None  # from when it has learned of the final revision, which may be in the middle of a stream
        while self.truth.final is None or self.revision < self.truth.final:
            if self.truth.final is not None:
                deadline = deadline or time.monotonic() + SECONDS_TO_CATCH_UP
                assert time.monotonic() < deadline, f"{self.name} is at {self.revision}, not at {self.truth.final}"
            replica = random.choice(self.replicas)  # noqa: S311 (any)
            request = pb.WatchSeatsRequest(showtime_id=showtime_id, after_revision=self.revision)
            call = replica.showtimes.WatchSeats(request)
            try:
                await self._read_some(call)
            except grpc.aio.AioRpcError as error:
                if error.code() not in PASSING:
                    raise
                await asyncio.sleep(0.05)
            finally:
                call.cancel()

    async def _read_some(self, call: "grpc.aio.UnaryStreamCall[pb.WatchSeatsRequest, pb.WatchSeatsResponse]") -> None:
        for _ in range(random.randint(1, self.patience)):  # noqa: S311
            try:
                async with asyncio.timeout(2):
                    frame = await call.read()
            except TimeoutError:
                return  # nothing has changed, or the replica is frozen
            assert isinstance(frame, pb.WatchSeatsResponse), "the showtime has not ended"
            self.fold(frame)
            if self.truth.final is not None and self.revision >= self.truth.final:
                return
            if self.longest_rest and self.truth.final is None:  # then it reads what its connection holds
                await asyncio.sleep(random.uniform(0, self.longest_rest))  # noqa: S311

    def fold(self, frame: pb.WatchSeatsResponse) -> None:
        """Take a frame over, and compare what it makes."""
        self.frames += 1
        self.snapshots += frame.snapshot
        changed = {each.seat: int(each.status) for each in frame.seats}
        self.seats = changed if frame.snapshot else {**self.seats, **changed}
        self.revision = frame.revision
        self.truth.compare(frame.revision, self.seats, self.name)
        free = [*self.seats.values()].count(showtime_pb2.SEAT_STATUS_AVAILABLE)
        if free != frame.available_seats:
            self.truth.wrong.append(f"{self.name} at {frame.revision}: {free} are free, not {frame.available_seats}")


async def look(replica: Replica, showtime_id: str, truth: Truth) -> int:
    """Compare what GetShowtime says, and return its revision."""
    answer = await replica.showtimes.GetShowtime(pb.GetShowtimeRequest(showtime_id=showtime_id), timeout=30)
    seats = {each.seat: int(each.status) for each in answer.seats}
    truth.compare(answer.showtime.revision, seats, "GetShowtime")
    return answer.showtime.revision
