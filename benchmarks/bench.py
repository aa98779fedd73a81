"""What every scenario works with: a folder, clients, and how much there is time for."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from grpc import StatusCode

from benchmarks.databases import Databases
from benchmarks.figures import Measured
from benchmarks.load import SHED, Call, Clients, Load, Sample, codes, drive
from benchmarks.servers import Server

IN_FLIGHT = 128
OK = StatusCode.OK
SECONDS_BETWEEN_LOOKS = 0.1

T = TypeVar("T")


class BrokeDown(Exception):
    """A scenario did not go as it must, so its figures mean nothing."""


class Look(NamedTuple):
    """How much memory a server had resident at a moment of the machine's monotonic clock."""

    moment: float
    memory_mib: float


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how to measure.

    Attributes:
        databases: Where databases go, on a real disk.
        report_folder: Where pictures go.
        quick: Whether to do with fewer calls and rounds.
    """

    databases: Databases
    report_folder: Path
    clients: Clients
    quick: bool

    def choose(self, full: T, quick: T) -> T:
        """Choose a size by how much time there is."""
        return quick if self.quick else full

    def closed_loop(self, server: Server, calls: Sequence[Call], seconds: float = 0, code: StatusCode = OK) -> Measured:
        """Make calls, 128 in flight, and measure the server meanwhile.

        Raises:
            BrokeDown: A call was answered by another code.
        """
        load = Load(server.address, calls, in_flight=IN_FLIGHT, seconds=seconds)
        return self.measure(server, lambda: self.drive(load, code))

    def measure(self, server: Server, make_calls: Callable[[], list[Sample]]) -> Measured:
        """Measure the server while calls are made."""
        before, before_in_database = server.cpu_seconds(), self.databases.cpu_seconds()
        samples = make_calls()
        in_database = self.databases.cpu_seconds() - before_in_database
        return Measured(samples, server.cpu_seconds() - before, server.memory_mib(), in_database)

    def at_rate(self, server: Server, calls: Sequence[Call], rate: float, seconds: float = 0) -> list[Sample]:
        """Make calls at a fixed rate; one that was shed counts as never answered.

        Raises:
            BrokeDown: A call failed.
        """
        return shed_is_never(
            self.clients.start(drive, Load(server.address, calls, rate=rate, seconds=seconds)).result()
        )

    def answer(self, server: Server, call: Call) -> bytes:
        """Make one call and give its answer.

        Raises:
            BrokeDown: It failed.
        """
        return self.drive(Load(server.address, [call], in_flight=1, connections=1, keep_answers=True))[0].answer

    def drive(self, load: Load, code: StatusCode = OK) -> list[Sample]:
        """Make the calls of a load and wait for their answers.

        Raises:
            BrokeDown: A call was answered by another code.
        """
        return must_answer(self.clients.start(drive, load).result(), code)

    def watch(self, server: Server, work: "Future[T]") -> tuple[T, list[Look]]:
        """Look at the server's memory until a client's work is done."""
        looks: list[Look] = []
        while not work.done():
            looks.append(Look(time.monotonic(), server.memory_mib()))
            wait([work], SECONDS_BETWEEN_LOOKS)
        return work.result(), looks


def must_answer(samples: list[Sample], code: StatusCode = OK) -> list[Sample]:
    """Give the samples back if all calls were answered by the code.

    Raises:
        BrokeDown: One was not.
    """
    if any(sample.code != code.value[0] for sample in samples):
        raise BrokeDown(f"calls must get {code.name}, and got {dict(codes(samples))}")
    return samples


def shed_is_never(samples: list[Sample]) -> list[Sample]:
    """Return the samples, those of shed calls with an infinite time; all others must have succeeded.

    Raises:
        BrokeDown: One failed otherwise.
    """
    shed = {code.value[0] for code in SHED}
    must_answer([sample for sample in samples if sample.code not in shed])
    return [sample._replace(seconds=math.inf) if sample.code in shed else sample for sample in samples]


def interleaved(kinds: Sequence[str], rounds: int) -> Iterator[str]:
    """Give each kind its turn in every round, in an order that changes from round to round."""
    for number in range(rounds):
        yield from kinds if number % 2 == 0 else reversed(kinds)
