"""CreateBooking of two seats, against both yardsticks."""

from collections.abc import Sequence

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Measured, Result, Target, at_least, at_most, costs, latencies, ratios
from benchmarks.load import Call, Sample
from benchmarks.sample import SampleData

SHOWTIMES = 400
CUSTOMERS = 400
METHOD = (
    "Pairs of seats of 400 showtimes are held, each once, for 400 customers, with a `request_id`; every showtime "
    "refuses single-seat gaps. The upper table has 128 calls in flight. The lower one has a fixed rate, half of what "
    "the server reached above; *empty* gets the same as ours. With PostgreSQL each of the three servers is kept to one "
    "processor."
)


def bookings(data: SampleData, first: int, count: int) -> list[Call]:
    """Make calls that hold pairs, round the showtimes and the customers; after the last pair the first comes again."""
    showtimes, customers = data.showtime_ids, data.customers
    return [
        calls.create_booking(
            showtimes[number % len(showtimes)],
            data.pairs[number // len(showtimes) % len(data.pairs)],
            # Each round of the showtimes begins with another customer, or each showtime would have few.
            customers[(number + number // len(showtimes)) % len(customers)].token,
        )
        for number in range(first, first + count)
    ]


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, count = bench.choose((9, 5_000), (2, 2_000))
    original = sample.furnish(bench.databases.make("create-booking"), SHOWTIMES, CUSTOMERS)
    measured: dict[str, list[Measured]] = {"ours": [], "empty": [], "textbook": []}
    timed: dict[str, list[Sequence[Sample]]] = {"ours": [], "empty": [], "textbook": []}
    rates: dict[str, float] = {}
    answers: dict[str, bytes] = {}
    for kind in interleaved(list(measured), rounds):
        data = original.copy()
        few = count // 8 if kind == "textbook" else count
        with servers.of_kind(kind, data.database.url, answers) as server:
            if bench.databases.kind == "postgresql":  # with SQLite a server writes by a thread of its own
                server.keep_to(0)
            if not answers:
                answers[calls.CREATE_BOOKING] = bench.answer(server, bookings(data, 0, 1)[0])
            bench.closed_loop(server, bookings(data, 1, few // 5))
            measured[kind].append(bench.closed_loop(server, bookings(data, few // 4, few)))
            rates.setdefault(kind, measured["ours" if kind == "empty" else kind][0].calls_a_second / 2)
            timed[kind].append(bench.at_rate(server, bookings(data, few // 4 + few, few // 2), rates[kind]))
        data.database.drop()
    tables = [costs(measured), latencies(timed)]
    limits = (2.0, 6.0) if bench.databases.kind == "sqlite" else (1.8, 2.5)
    return Result(METHOD, _targets(measured, *limits), tables)


def _targets(measured: dict[str, list[Measured]], most_cpu: float, least_rate: float) -> list[Target]:
    cpu = {kind: [each.cpu_microseconds for each in rounds] for kind, rounds in measured.items()}
    rate = {kind: [each.calls_a_second for each in rounds] for kind, rounds in measured.items()}
    return [
        at_most("CPU a call, times *empty*", most_cpu, ratios(cpu["ours"], cpu["empty"])),
        at_least("calls a second, times *textbook*", least_rate, ratios(rate["ours"], rate["textbook"]), ".1f"),
    ]
