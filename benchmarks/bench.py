"""What every scenario works with: a folder, clients, and how much there is time for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from benchmarks.figures import Measured
from benchmarks.load import Call, Clients, Load, Sample, codes
from benchmarks.servers import Server

IN_FLIGHT = 128

T = TypeVar("T")


class BrokeDown(Exception):
    """A scenario did not go as it must, so its figures mean nothing."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and how to measure.

    Attributes:
        folder: Where databases go, on a real disk.
        report_folder: Where pictures go.
        quick: Whether to do with fewer calls and rounds.
    """

    folder: Path
    report_folder: Path
    clients: Clients
    quick: bool

    def choose(self, full: T, quick: T) -> T:
        """Choose a size by how much time there is."""
        return quick if self.quick else full

    def closed_loop(self, server: Server, calls: Sequence[Call], seconds: float = 0) -> Measured:
        """Make calls, 128 in flight, and measure the server meanwhile.

        Raises:
            BrokeDown: A call failed.
        """
        load = Load(server.address, calls, in_flight=IN_FLIGHT, seconds=seconds)
        before = server.cpu_seconds()
        samples = self.clients.drive(load)
        cpu_seconds = server.cpu_seconds() - before
        return Measured(must_succeed(samples), cpu_seconds, server.memory_mib())

    def at_rate(self, server: Server, calls: Sequence[Call], rate: float, seconds: float = 0) -> list[Sample]:
        """Make calls at a fixed rate.

        Raises:
            BrokeDown: A call failed.
        """
        return must_succeed(self.clients.drive(Load(server.address, calls, rate=rate, seconds=seconds)))

    def answer(self, server: Server, call: Call) -> bytes:
        """Make one call and give its answer.

        Raises:
            BrokeDown: It failed.
        """
        samples = self.clients.drive(Load(server.address, [call], in_flight=1, connections=1, keep_answers=True))
        return must_succeed(samples)[0].answer


def must_succeed(samples: list[Sample]) -> list[Sample]:
    """Give the samples back if all calls succeeded.

    Raises:
        BrokeDown: One failed.
    """
    if any(sample.code for sample in samples):
        raise BrokeDown(f"calls failed that must not: {dict(codes(samples))}")
    return samples


def interleaved(kinds: Sequence[str], rounds: int) -> Iterator[str]:
    """Give each kind its turn in every round, in an order that changes from round to round."""
    for number in range(rounds):
        yield from kinds if number % 2 == 0 else reversed(kinds)
