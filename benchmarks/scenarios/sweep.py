"""Unpaid holds end all at once and are stored as EXPIRED: while others buy, and by themselves."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from benchmarks import sample, servers
from benchmarks.bench import Bench, BrokeDown, shed_is_never
from benchmarks.figures import Result, Spread, Table, at_least, at_most, latencies, ratios, usual_milliseconds
from benchmarks.load import Call, Load, Sample, drive
from benchmarks.sample import SampleData
from benchmarks.scenarios.create_booking import bookings
from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.domain.seating import SeatRow

SHOWTIMES = 400
SECTIONS = (4, 6)
SEATS_A_ROW = sum(SECTIONS)
ROWS = [SeatRow(chr(65 + number % 26) * (1 + number // 26), SECTIONS) for number in range(50)]
SEATS_OF_HOLDS = 250
"""Of the 500 seats of a showtime; the others are sold."""
SPREAD = timedelta(seconds=1)
FAR = timedelta(days=1)
SECONDS_TO_BE_READY = 12.0
SECONDS_TO_SWEEP = 150.0
SECONDS_BETWEEN_LOOKS = 0.1
METHOD = (
    "400 showtimes of 500 seats, with holds of one seat each that lapse within one second. *While selling*: bookings "
    "of two other seats come at half the top rate (measured before, 128 in flight), for some seconds until the holds "
    "lapse, and on while they are swept. A call's time counts from when it was due, and the target is for the p99 of a "
    "second: the middle one of all. What was swept is counted when the selling ends. *By itself*: without calls, "
    "the server's CPU time is divided by the number of holds. When all are written down is seen in the database."
)


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one sweep came to, from when the first hold lapsed."""

    holds: int
    start: float
    end: float
    cpu_seconds: float

    @property
    def holds_a_second(self) -> float:
        """How quick it was."""
        return self.holds / (self.end - self.start)

    @property
    def cpu_microseconds(self) -> float:
        """The server's CPU time for each hold."""
        return self.cpu_seconds / max(1, self.holds) * 1e6


def run(bench: Bench) -> Result:
    """Measure."""
    most = bench.choose(SEATS_OF_HOLDS, SEATS_OF_HOLDS // 5)
    a_few, some = most // 4, SHOWTIMES // 10
    empty = sample.furnish(bench.databases.make("sweep"), SHOWTIMES, 400, ROWS)
    rate = _top_rate(bench, empty) / 2
    most_lapse = _with_holds(empty, most, SHOWTIMES, SHOWTIMES)
    selling, while_selling = _sell_and_sweep(bench, most_lapse, SHOWTIMES * most, rate)
    alone = {
        "few": (_with_holds(empty, a_few, some, some), some * a_few),
        "many": (_with_holds(empty, a_few, SHOWTIMES, SHOWTIMES), SHOWTIMES * a_few),
        "few of many": (_with_holds(empty, a_few, some, SHOWTIMES), some * a_few),
    }
    sweeps: dict[str, list[Sweep]] = {name: [] for name in alone}
    for name in bench.choose(("few", "few of many", "many", "few of many", "few"), ("few", "few of many", "many")):
        sweeps[name].append(_sweep_by_itself(*alone[name]))
    before, meanwhile = (usual_milliseconds(each, 0.99) for each in selling.values())
    labels = {
        f"{while_selling.holds:,} of {SHOWTIMES * most:,}, while selling": [while_selling],
        f"{some * a_few:,} lapse": sweeps["few"],
        f"{SHOWTIMES * a_few:,} lapse": sweeps["many"],
        f"{some * a_few:,} of {SHOWTIMES * a_few:,} lapse": sweeps["few of many"],
    }
    rows = [
        (
            name,
            Spread([each.end - each.start for each in measured]).text(".1f", " s"),
            Spread([each.holds_a_second for each in measured]).text(",.0f"),
            Spread([each.cpu_microseconds for each in measured]).text(",.0f", " µs"),
        )
        for name, measured in labels.items()
    ]
    cost = {name: [each.cpu_microseconds for each in measured] for name, measured in sweeps.items()}
    few = Spread(cost["few"]).median
    return Result(
        METHOD,
        [
            at_most("CreateBooking's p99 while holds are swept, times before", 1.5, Spread([meanwhile / before])),
            at_least("holds swept a second, while selling", 1_000, Spread([while_selling.holds_a_second]), ",.0f"),
            at_most(
                "CPU a hold with ten times as many lapsed, times with few",
                1.3,
                Spread([each / few for each in cost["many"]]),
            ),
            at_most(
                "CPU a hold with ten times as many in the table, times with few",
                1.3,
                ratios(cost["few of many"], cost["few"]),
            ),
        ],
        [
            latencies({name: [each] for name, each in selling.items()}, "CreateBooking"),
            Table(("holds", "swept in", "holds a second", "CPU a hold, with all else"), rows),
        ],
    )


def _with_holds(data: SampleData, in_each: int, lapsing: int, in_all: int) -> SampleData:
    """Make a copy with so many holds in each of some showtimes; in the first of them they can be made to lapse."""
    now = datetime.now(UTC)
    made = data.copy()
    seats = [(f"{row.label}{number}",) for row in ROWS for number in range(1, SEATS_A_ROW + 1)][:in_each]
    sample.add_holds(made.database, sample.plan_holds(made.part(0, lapsing), seats, now + FAR, SPREAD), now)
    sample.add_holds(made.database, sample.plan_holds(made.part(lapsing, in_all), seats, now + 2 * FAR), now)
    return made


def _lapsing(data: SampleData, seconds: float) -> tuple[SampleData, datetime]:
    """Make a copy whose holds begin to lapse so many seconds from now, and tell when."""
    made = data.copy()
    ((first,),) = made.database.ask("SELECT min(hold_expire_time) FROM booking")
    lapse_time = datetime.now(UTC) + timedelta(seconds=seconds)
    made.database.ask(
        f"UPDATE booking SET hold_expire_time = hold_expire_time + {microseconds(lapse_time) - first}"  # noqa: S608 (numbers)
        f" WHERE hold_expire_time <= {first + SPREAD // timedelta(microseconds=1)}"
    )
    return made, lapse_time


def _top_rate(bench: Bench, empty: SampleData) -> float:
    data = empty.copy()
    with servers.ours(data.database.url) as server:
        bench.closed_loop(server, _bookings(data, 0, 1_500))
        rate = bench.closed_loop(server, _bookings(data, 1_500, 4_000)).calls_a_second
    data.database.drop()
    return rate


def _bookings(data: SampleData, first: int, count: int) -> list[Call]:
    """Make bookings in the rows that have no holds."""
    return bookings(data, SHOWTIMES * SEATS_OF_HOLDS // 2 + first, count)


def _sell_and_sweep(
    bench: Bench, original: SampleData, holds: int, rate: float
) -> tuple[dict[str, Sequence[Sample]], Sweep]:
    """Sell until holds lapse, and on; give the samples of either time, and what was swept while selling."""
    before, meanwhile = bench.choose((12.0, 24.0), (4.0, 6.0))
    data, lapse_time = _lapsing(original, SECONDS_TO_BE_READY + before)
    with servers.ours(data.database.url) as server:
        warm_up = 1_000
        bench.closed_loop(server, _bookings(data, 0, warm_up))
        _wait_until(lapse_time - timedelta(seconds=before))
        made = _bookings(data, warm_up, int(rate * (before + meanwhile)))
        selling = bench.clients.start(drive, Load(server.address, made, rate=rate))
        start, cpu = _wait_until(lapse_time), server.cpu_seconds()
        samples = shed_is_never(selling.result())
        # Not before: the query would slow down the bookings.
        ((left,),) = data.database.ask(f"SELECT count(*) FROM booking WHERE {_lapsed(lapse_time)}")  # noqa: S608 (ours)
        sweep = Sweep(holds - left, start, time.monotonic(), server.cpu_seconds() - cpu)
        _wait_for_all(data, lapse_time, holds)
    data.database.drop()
    return {
        "before": [each for each in samples if each.start < start],
        "while holds are swept": [each for each in samples if each.start >= start],
    }, sweep


def _sweep_by_itself(original: SampleData, holds: int) -> Sweep:
    data, lapse_time = _lapsing(original, SECONDS_TO_BE_READY)
    with servers.ours(data.database.url) as server:
        start, cpu = _wait_until(lapse_time), server.cpu_seconds()
        end = _wait_for_all(data, lapse_time, holds)
        sweep = Sweep(holds, start, end, server.cpu_seconds() - cpu)
    data.database.drop()
    return sweep


def _lapsed(lapse_time: datetime) -> str:
    """Make the condition of a hold that has lapsed and is not written down as over."""
    return f"status = 'RESERVED' AND hold_expire_time <= {microseconds(lapse_time + SPREAD)}"


def _wait_for_all(data: SampleData, lapse_time: datetime, holds: int) -> float:
    """Wait until holds that have lapsed are all written down as over, and tell when that was.

    Raises:
        BrokeDown: They were not in time.
    """
    end = time.monotonic() + SECONDS_TO_SWEEP
    while data.database.ask(f"SELECT 1 FROM booking WHERE {_lapsed(lapse_time)} LIMIT 1"):  # noqa: S608 (ours)
        if time.monotonic() > end:
            raise BrokeDown(f"{holds:,} holds were not written down as over within {SECONDS_TO_SWEEP:.0f} s")
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return time.monotonic()


def _wait_until(moment: datetime) -> float:
    """Wait for a moment, and give it by the machine's monotonic clock.

    Raises:
        BrokeDown: It is over.
    """
    seconds = (moment - datetime.now(UTC)).total_seconds()
    if seconds < 0:
        raise BrokeDown("this machine is too slow: holds lapsed before the server was ready")
    time.sleep(seconds)
    return time.monotonic()
