"""SuggestSeats in houses of 2,000 seats, and CreateBooking with `best` against CreateBooking of named seats."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Measured, Result, Spread, at_most, costs, ratios
from benchmarks.load import Call
from benchmarks.sample import SampleData
from cinema_grpc.domain.seating import SeatRow

ROWS = tuple(SeatRow(f"A{label}", (30, 40, 30)) for label in "ABCDEFGHIJKLMNOPQRST")
SHOWTIMES = 80
CUSTOMERS = 400
SHARE_TAKEN = 0.6
LARGEST_PARTY = 10
NAMED, BEST = "CreateBooking of 2 seats", "CreateBooking of the best 2"
UNCACHED, CACHED, EMPTY = "SuggestSeats, not cached", "SuggestSeats, cached", "empty"
METHOD = (
    f"{SHOWTIMES} showtimes of 2,000 seats, {SHARE_TAKEN:.0%} of which are on hold in pairs chosen at random. *Not "
    "cached* asks for five options for parties of 1 to 10 in every showtime in turn, more than the cache holds; "
    "*cached* asks for one party in one showtime. *Empty* holds the message that ours gave to that. Pairs are then "
    "booked in the same showtimes: by name, and as the best ones. 128 calls in flight."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, seconds, count = bench.choose((3, 4.0, 4_000), (1, 2.0, 1_500))
    furnished = sample.furnish(bench.databases.make("suggest-seats"), SHOWTIMES, 2 * CUSTOMERS, ROWS)
    others, customers = furnished.customers[:CUSTOMERS], furnished.customers[CUSTOMERS:]
    free = take_seats(replace(furnished, customers=others), random.Random(3))
    original = replace(furnished, customers=customers)
    parties = [(each, size) for size in range(1, LARGEST_PARTY + 1) for each in original.showtime_ids]
    requests = [calls.suggest_seats(showtime_id, size) for showtime_id, size in parties]
    measured: dict[str, list[Measured]] = {name: [] for name in (UNCACHED, CACHED, NAMED, BEST, EMPTY)}
    answers: dict[str, bytes] = {}
    for kind in interleaved(["ours", "empty"], rounds):
        data = original.copy()
        with servers.of_kind(kind, data.database.url, answers) as server:
            if kind == "empty":
                bench.closed_loop(server, requests[:1], 1)
                measured[EMPTY].append(bench.closed_loop(server, requests[:1], seconds))
            else:
                answers.setdefault(calls.SUGGEST_SEATS, bench.answer(server, requests[0]))
                bench.closed_loop(server, requests)
                measured[UNCACHED].append(bench.closed_loop(server, requests, seconds))
                measured[CACHED].append(bench.closed_loop(server, requests[:1], seconds))
                bench.closed_loop(server, named(data, free, 0, count // 4))
                measured[NAMED].append(bench.closed_loop(server, named(data, free, count // 4, count)))
                measured[BEST].append(bench.closed_loop(server, best(data, count)))
        data.database.drop()
    cpu = {name: [each.cpu_microseconds for each in rounds_of] for name, rounds_of in measured.items()}
    return Result(
        METHOD,
        [
            at_most(
                "SuggestSeats not cached, CPU a call", 4.0, Spread([each / 1e3 for each in cpu[UNCACHED]]), unit=" ms"
            ),
            at_most("SuggestSeats cached, CPU a call, times *empty*", 2.0, ratios(cpu[CACHED], cpu[EMPTY])),
            at_most("CreateBooking of the best 2, CPU a call, times named ones", 5.0, ratios(cpu[BEST], cpu[NAMED])),
        ],
        [costs(measured, "call")],
    )


def take_seats(data: SampleData, chance: random.Random) -> list[sample.Seats]:
    """Hold pairs for a day, the same in every showtime, and return those that stay free."""
    shuffled = chance.sample(data.pairs, k=len(data.pairs))
    taken = int(len(shuffled) * SHARE_TAKEN)
    now = datetime.now(UTC)
    holds = sample.plan_holds(data, shuffled[:taken], now + timedelta(days=1))
    sample.add_holds(data.database, holds, now)
    return shuffled[taken:]


def named(data: SampleData, free: list[sample.Seats], first: int, count: int) -> list[Call]:
    """Make calls that hold free pairs, round the showtimes and the customers."""
    showtimes, customers = data.showtime_ids, data.customers
    return [
        calls.create_booking(
            showtimes[number % len(showtimes)],
            free[number // len(showtimes)],
            customers[(number + number // len(showtimes)) % len(customers)].token,
        )
        for number in range(first, first + count)
    ]


def best(data: SampleData, count: int) -> list[Call]:
    """Make calls that hold the best pair, round the showtimes and the customers."""
    showtimes, customers = data.showtime_ids, data.customers
    return [
        calls.book_best(
            showtimes[number % len(showtimes)], customers[(number + number // len(showtimes)) % len(customers)].token
        )
        for number in range(count)
    ]
