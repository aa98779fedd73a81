"""The server's memory over many bookings and many showtimes."""

import time

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench
from benchmarks.figures import Result, Spread, Table, at_most
from benchmarks.sample import SampleData
from benchmarks.scenarios.create_booking import bookings
from benchmarks.servers import Server

HOLD_SECONDS = 5
SOME, ALL, MANY = 20, 400, 2_000
AT_FIRST, A_STEP, STEPS = 2_000, 25_000, 8
METHOD = (
    "2,000 showtimes of 300 seats. First 2,000 bookings are made in 20 of them; then one booking is made in each of "
    "400, and each of these is read. 200,000 bookings follow in those 400, 128 in flight; holds last 5 seconds, so "
    "that the seats come free again and again. By the 60,000th each seat has been held once: from then on the server "
    "has no more to remember than before. Last all 2,000 showtimes are touched, which together have three times "
    "as many seats as the server caches. Memory is what is resident after each step."
)


def run(bench: Bench) -> Result:
    """Measure."""
    data = sample.furnish(bench.databases.make("memory"), MANY, 400)
    steps: dict[str, float] = {}
    with servers.ours(data.database.url, hold_seconds=HOLD_SECONDS) as server:
        bench.closed_loop(server, bookings(data.part(0, SOME), 0, AT_FIRST))
        steps["2,000 bookings in 20 showtimes"] = before = server.memory_mib()
        _touch(bench, server, data, ALL)
        steps["400 showtimes touched"] = touched = server.memory_mib()
        for step in range(STEPS):
            bench.closed_loop(server, bookings(data.part(0, ALL), AT_FIRST + step * A_STEP, A_STEP))
            steps[f"{(step + 1) * A_STEP:,} bookings in 400 showtimes"] = server.memory_mib()
        booked = list(steps.values())[-STEPS:]
        _touch(bench, server, data, MANY // 2)
        steps["1,000 showtimes touched"] = half = server.memory_mib()
        _touch(bench, server, data, MANY)
        steps["2,000 showtimes touched"] = everything = server.memory_mib()
    return Result(
        METHOD,
        [
            at_most("after 200,000 bookings, times after 75,000", 1.1, Spread([booked[-1] / booked[2]])),
            at_most(
                "after 200,000 bookings, times when 400 showtimes were touched", 1.3, Spread([booked[-1] / touched])
            ),
            at_most("400 showtimes touched, times 20", 1.3, Spread([touched / before])),
            at_most("2,000 showtimes touched, times 1,000", 1.1, Spread([everything / half])),
        ],
        [Table(("after", "resident"), [(name, f"{mib:,.0f} MiB") for name, mib in steps.items()])],
    )


def _touch(bench: Bench, server: Server, data: SampleData, showtimes: int) -> None:
    """Book and read in each showtime, when what was held there is over."""
    time.sleep(HOLD_SECONDS)
    part = data.part(0, showtimes)
    bench.closed_loop(server, bookings(part, showtimes * (len(data.pairs) - 1), showtimes))
    bench.closed_loop(server, [calls.get_showtime(showtime_id) for showtime_id in part.showtime_ids])
    time.sleep(HOLD_SECONDS)
