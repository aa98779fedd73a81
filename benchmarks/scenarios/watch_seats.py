"""An on-sale of one showtime with 1,000 watchers, against one without."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench, BrokeDown, interleaved
from benchmarks.buyers import Rush, Try, rush
from benchmarks.figures import Result, Spread, Table, at_least, at_most, ratios
from benchmarks.sample import SampleData
from benchmarks.servers import Server
from benchmarks.watchers import Crowd, Watched, watch
from cinema_grpc.domain.seating import SeatRow

ROWS = tuple(SeatRow(f"A{label}", (30, 40, 30)) for label in "ABCDEFGHIJKLMNOPQRST")
SEATS = 2_000
CONNECTIONS = 4
SECONDS_TO_OPEN = 5.0
SECONDS_AT_MOST = 120.0
METHOD = (
    "One showtime of 2,000 seats, and 1,000 buyers who all begin at the same moment; each holds a pair that no "
    "other asks for, on 4 connections. Watchers have their first frame before that, on 4 other connections; one more "
    "never reads. The lag is from a buyer's answer to the frame with as few available seats as then, at one of the "
    "watchers. Buyers and watchers share the machine with the server."
)


@dataclass(frozen=True, slots=True)
class Sale:
    """What a sale came to, and its watchers; the server's CPU time and memory."""

    tries: Sequence[Try]
    watched: Watched | None
    cpu_seconds: float
    memory_mib: float

    @property
    def answers(self) -> list[float]:
        """The moments at which buyers got their seats."""
        return sorted(each.start + each.seconds for each in self.tries if each.code == 0)

    @property
    def seats_a_second(self) -> float:
        """How quickly they were sold."""
        return 2 * len(self.answers) / (self.answers[-1] - min(each.start for each in self.tries))

    def lags(self) -> list[float]:
        """Return how long after each answer the watcher had it, in seconds, sorted."""
        seen, lags = iter(self.watched.one if self.watched else ()), []
        frame = next(seen, None)
        for number, answer in enumerate(self.answers, 1):
            while frame is not None and frame.available_seats > SEATS - 2 * number:
                frame = next(seen, None)
            if frame is None:
                raise BrokeDown("the watcher was never told of the last seats")
            lags.append(max(frame.moment - answer, 0))
        return sorted(lags)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, watchers = bench.choose((4, 1_000), (2, 1_000))
    original = sample.furnish(bench.databases.make("watch-seats"), 2, SEATS // 2, ROWS)
    kinds = ["not watched", f"{watchers:,} watchers"]
    sales: dict[str, list[Sale]] = {kind: [] for kind in kinds}
    for kind in interleaved(kinds, rounds):
        data = original.copy()
        with servers.ours(data.database.url) as server:
            bench.closed_loop(server, [calls.get_current_user(each.token) for each in data.customers])
            sales[kind].append(_sell(bench, server, data, watchers if kind == kinds[1] else 0))
        data.database.drop()
    speeds = {kind: [each.seats_a_second for each in done] for kind, done in sales.items()}
    memory = {kind: [each.memory_mib for each in done] for kind, done in sales.items()}
    more = [after - before for before, after in zip(*memory.values(), strict=True)]
    return Result(
        METHOD,
        [
            at_least("seats sold a second, times *not watched*", 0.5, ratios(speeds[kinds[1]], speeds[kinds[0]])),
            at_most("a frame's lag behind the answer, p99", 0.5, _lag(sales[kinds[1]], 99), unit=" s"),
            at_most("more memory than *not watched*", 100, Spread(more), ".0f", " MiB"),
        ],
        [_table(sales)],
    )


def _sell(bench: Bench, server: Server, data: SampleData, watchers: int) -> Sale:
    begin = time.monotonic() + (SECONDS_TO_OPEN if watchers else 1.0)
    showtime_id = data.showtime_ids[0]
    pairs = random.Random(3).sample(data.pairs, k=len(data.pairs))
    asked = [
        [calls.create_booking(showtime_id, pair, customer.token)]
        for pair, customer in zip(pairs, data.customers, strict=True)
    ]
    watching = None
    if watchers:
        crowd = Crowd(server.address, showtime_id, watchers, CONNECTIONS, begin, 0, SECONDS_AT_MOST)
        watching = bench.clients.start(watch, crowd)
    buying = bench.clients.start(rush, Rush(server.address, asked, CONNECTIONS, begin, SECONDS_AT_MOST))
    time.sleep(begin - time.monotonic())
    before = server.cpu_seconds()
    tries = buying.result()
    watched = None if watching is None else watching.result()
    return Sale(tries, watched, server.cpu_seconds() - before, server.memory_mib())


def _lag(sales: Sequence[Sale], percent: int) -> Spread:
    lags = [sale.lags() for sale in sales]
    return Spread([each[len(each) * percent // 100] for each in lags])


def _table(sales: Mapping[str, Sequence[Sale]]) -> Table:
    rows = []
    for kind, done in sales.items():
        watched = [each.watched for each in done if each.watched is not None]
        rows.append(
            [
                kind,
                Spread([2 * len(each.answers) for each in done]).text(",.0f"),
                Spread([each.seats_a_second for each in done]).text(",.0f"),
                Spread([each.cpu_seconds for each in done]).text(".2f", " s"),
                Spread([each.memory_mib for each in done]).text(".0f", " MiB"),
                Spread([each.frames for each in watched]).text(",.0f") if watched else "",
                Spread([each.size / max(each.frames, 1) for each in watched]).text(",.0f", " B") if watched else "",
                _lag(done, 50).text(".2f", " s") if watched else "",
            ]
        )
    columns = ("sale", "seats sold", "seats a second", "CPU", "memory", "frames", "a frame", "lag, p50")
    return Table(columns, rows)
