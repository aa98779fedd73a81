"""More calls than the server can answer: twice as many, and ten times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grpc import StatusCode

from benchmarks import sample, servers
from benchmarks.bench import Bench, Look
from benchmarks.figures import Result, Spread, Table, Target, at_least, at_most, milliseconds, ratios
from benchmarks.flood import Flood, pour
from benchmarks.load import Sample, codes
from benchmarks.sample import SampleData
from benchmarks.scenarios.create_booking import bookings
from benchmarks.servers import Server
from cinema_grpc.config import Settings

FACTORS = (2, 10)
LONGEST_WAIT = float(Settings.model_fields["longest_wait_seconds"].default)
TIMES_NORMAL = 3
DECIDED = {StatusCode.OK.value[0], StatusCode.FAILED_PRECONDITION.value[0]}
HOLD_SECONDS = 3
MAX_CALLS = 30_000
"""More than a server takes in the seconds that a part of the measurement lasts."""
METHOD = (
    "CreateBooking of two seats in 400 showtimes. Holds last 3 seconds, so that there are always pairs to be had, and "
    "memory has come to rest. The top rate is what the server reached just before with 128 calls in flight, and "
    "normal is its p99 at half of that. Then calls come at a fixed rate for some seconds, whether or not they are "
    "answered; none is retried. *Admitted* are those that were decided: booked, or refused because the pair was held "
    "just then. Goodput is how many of them were answered a second while calls came in. All others were shed, by the "
    "program (RESOURCE_EXHAUSTED) or within gRPC (CANCELLED). Memory is flat if its peak in the second half of the "
    "flood is no more than 1.1 times that in the first."
)


@dataclass(frozen=True, slots=True)
class Overload:
    """What one flood came to."""

    samples: Sequence[Sample]
    seconds: float
    top_rate: float
    normal_p99: float
    looks: Sequence[Look]

    @property
    def admitted(self) -> list[Sample]:
        """The calls that were decided."""
        return [each for each in self.samples if each.code in DECIDED]

    @property
    def goodput(self) -> float:
        """Calls decided a second while calls came in, as a share of the top rate."""
        end = self._start + self.seconds
        return sum(each.start + each.seconds <= end for each in self.admitted) / self.seconds / self.top_rate

    @property
    def growth(self) -> float:
        """The peak of memory in the second half of the flood, by that in the first half."""
        start, half = self._start, self.seconds / 2
        return self._peak(start + half, start + 2 * half) / self._peak(start, start + half)

    def _peak(self, start: float, end: float) -> float:
        return max(look.memory_mib for look in self.looks if start <= look.moment < end)

    @property
    def _start(self) -> float:
        return min(each.start for each in self.samples)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, seconds = bench.choose((2, 6.0), (1, 3.0))
    original = sample.furnish(bench.databases.make("overload"), 400, 400)
    overloads: dict[int, list[Overload]] = {factor: [] for factor in FACTORS}
    for _ in range(rounds):
        for factor, done in overloads.items():
            data = original.copy()
            with servers.ours(data.database.url, hold_seconds=HOLD_SECONDS) as server:
                done.append(_overload(bench, server, data, factor, seconds))
            data.database.drop()
    return Result(METHOD, _targets(overloads), [_table(overloads)])


def _overload(bench: Bench, server: Server, data: SampleData, factor: int, seconds: float) -> Overload:
    """Find the top rate and what is normal, then flood the server."""
    warm_up, closed, timed = (bookings(data, part * MAX_CALLS, MAX_CALLS) for part in range(3))
    bench.closed_loop(server, warm_up, HOLD_SECONDS + 1)
    top_rate = bench.closed_loop(server, closed, HOLD_SECONDS).calls_a_second
    normal_p99 = milliseconds(bench.at_rate(server, timed, top_rate / 2, HOLD_SECONDS), 0.99)
    made = bookings(data, 3 * MAX_CALLS, int(factor * top_rate * seconds))
    flood = Flood(server.address, made, factor * top_rate, seconds)
    samples, looks = bench.watch(server, bench.clients.start(pour, flood))
    return Overload(samples, seconds, top_rate, normal_p99, looks)


def _targets(overloads: Mapping[int, Sequence[Overload]]) -> list[Target]:
    twice, tenfold = overloads[2], overloads[10]
    return [
        _p99_target(twice),
        at_least("goodput at twice the top rate, as a share of it", 0.8, Spread([each.goodput for each in twice])),
        at_least(
            "goodput at ten times the top rate, as a share of it", 0.5, Spread([each.goodput for each in tenfold])
        ),
        *(
            at_most(f"memory at {factor} times, second half by first", 1.1, Spread([each.growth for each in done]))
            for factor, done in overloads.items()
        ),
    ]


def _p99_target(twice: Sequence[Overload]) -> Target:
    limits = [1e3 * LONGEST_WAIT + TIMES_NORMAL * each.normal_p99 for each in twice]
    return at_most(
        f"p99 of admitted calls, by the longest wait ({LONGEST_WAIT} s) and {TIMES_NORMAL} times normal",
        1.0,
        ratios([milliseconds(each.admitted, 0.99) for each in twice], limits),
    )


def _table(overloads: Mapping[int, Sequence[Overload]]) -> Table:
    def row(factor: int, done: Sequence[Overload]) -> list[str]:
        return [
            f"{factor} times the top rate",
            Spread([each.top_rate for each in done]).text(",.0f"),
            Spread([len(each.samples) / each.seconds for each in done]).text(",.0f"),
            Spread([each.goodput * each.top_rate for each in done]).text(",.0f"),
            Spread([each.normal_p99 for each in done]).text(",.0f", " ms"),
            Spread([milliseconds(each.admitted, 0.99) for each in done]).text(",.0f", " ms"),
            ", ".join(f"{name} {number:,}" for name, number in codes(done[-1].samples).most_common()),
            Spread([max(look.memory_mib for look in each.looks) for each in done]).text(",.0f", " MiB"),
        ]

    columns = (
        "offered",
        "top rate",
        "offered a second",
        "goodput",
        "normal p99",
        "admitted p99",
        "answers, last round",
        "memory",
    )
    return Table(columns, [row(factor, done) for factor, done in overloads.items()])
