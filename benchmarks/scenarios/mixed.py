"""A day's mix of calls at half the rate that the server can take."""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Result, Spread, at_most, latencies, milliseconds, ratios, reported, usual_milliseconds
from benchmarks.load import Call, Sample
from benchmarks.sample import SampleData
from benchmarks.scenarios.create_booking import bookings

SHARES = {calls.GET_SHOWTIME: 70, calls.LIST_SHOWTIMES: 20, calls.CREATE_BOOKING: 8, calls.CONFIRM_PAYMENT: 2}
GROUPS = {
    "reads": {calls.GET_SHOWTIME, calls.LIST_SHOWTIMES},
    "writes": {calls.CREATE_BOOKING, calls.CONFIRM_PAYMENT},
    **{method.rpartition("/")[2]: {method} for method in SHARES},
}
PAIRS_TO_PAY_FOR = 4
"""In each showtime; more than there are confirmations in a run."""
METHOD = (
    "Of 100 calls 70 are GetShowtime, 20 ListShowtimes (50 from now on), 8 CreateBooking and 2 ConfirmPayment, over "
    "400 showtimes of 300 seats. The top rate is what the first round reached with 128 calls in flight. Then calls "
    "come at half of it to ours and to *empty*, evenly spaced; a call's time counts from when it was due. "
    "The target is for the p99 of a second: the middle one of all."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, count, seconds = bench.choose((3, 60_000, 6.0), (1, 40_000, 4.0))
    original = sample.furnish(bench.databases.make("mixed"), 400, 400)
    now = datetime.now(UTC)
    holds = sample.plan_holds(original, original.pairs[:PAIRS_TO_PAY_FOR], now + timedelta(hours=4))
    sample.add_holds(original.database, holds, now)
    paying = [calls.confirm_payment(each.booking_id, each.customer.token) for each in holds]
    mix = _mix(original, paying, count)
    timed: dict[str, dict[str, list[Sequence[Sample]]]] = {"ours": {}, "empty": {}}
    answers: dict[str, bytes] = {}
    top_rate = 0.0
    for kind in interleaved(["ours", "empty"], rounds):
        data = original.copy()
        with servers.of_kind(kind, data.database.url, answers) as server:
            if not answers:
                first = {call.method: call for call in reversed(mix)}
                answers |= {method: bench.answer(server, call) for method, call in first.items()}
            bench.closed_loop(server, mix[: count // 20])
            if not top_rate:
                top_rate = bench.closed_loop(server, mix[count // 20 : count // 2], seconds / 2).calls_a_second
            made = mix[count // 2 :]
            samples = bench.at_rate(server, made, top_rate / 2, seconds)
            for name, methods in GROUPS.items():
                of_them = [sample for sample in samples if made[sample.number].method in methods]
                timed[kind].setdefault(name, []).append(of_them)
        data.database.drop()
    return _result(timed, top_rate / 2)


def _mix(data: SampleData, paying: Sequence[Call], count: int) -> list[Call]:
    chance = random.Random(4)
    booking = iter(bookings(data, PAIRS_TO_PAY_FOR * len(data.showtime_ids), count // 10))
    confirming = iter(paying)
    makers: dict[str, Callable[[], Call]] = {
        calls.GET_SHOWTIME: lambda: calls.get_showtime(chance.choice(data.showtime_ids)),
        calls.LIST_SHOWTIMES: calls.list_showtimes,
        calls.CREATE_BOOKING: lambda: next(booking),
        calls.CONFIRM_PAYMENT: lambda: next(confirming),
    }
    return [makers[method]() for method in chance.choices(list(SHARES), list(SHARES.values()), k=count)]


def _result(timed: Mapping[str, Mapping[str, Sequence[Sequence[Sample]]]], rate: float) -> Result:
    reads = {kind: [usual_milliseconds(samples, 0.99) for samples in timed[kind]["reads"]] for kind in timed}
    writes = [milliseconds(samples, 0.99) for samples in timed["ours"]["writes"]]
    rows = {f"{name}, {kind}": timed[kind][name] for name in timed["ours"] for kind in timed}
    return Result(
        METHOD,
        [
            at_most("reads' p99, times *empty* at the same rate", 3.0, ratios(reads["ours"], reads["empty"])),
            reported("writes' p99 (aim: 40 ms)", Spread(writes).text(",.1f", " ms")),
            reported("the rate of all calls together", f"{rate:,.0f} a second"),
        ],
        [latencies(rows, "calls")],
    )
