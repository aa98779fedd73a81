"""The event feed: how far it lags behind sales, and how quickly a consumer reads it."""

import time
from collections.abc import Sequence

from cinema.v1 import booking_service_pb2

from benchmarks import sample, servers
from benchmarks.bench import Bench, shed_is_never
from benchmarks.consumers import Following, Received, follow
from benchmarks.figures import Result, Spread, Table, at_least, at_most
from benchmarks.load import Load, Sample, drive
from benchmarks.sample import SampleData
from benchmarks.scenarios.create_booking import CUSTOMERS, SHOWTIMES, bookings

SECONDS_AT_MOST = 60.0
SECONDS_TO_CONNECT = 1.0
METHOD = (
    "Pairs of seats of 400 showtimes are held, 128 calls in flight, to find the top rate; then at half of it, while a "
    "consumer watches. The lag is from a buyer's answer to the event of that booking at the consumer. Then a consumer "
    "reads all events from the beginning. Buyers and the consumer share the machine with the server."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, count = bench.choose((3, 10_000), (2, 3_000))
    original = sample.furnish(bench.databases.make("event-feed"), SHOWTIMES, CUSTOMERS + 1)
    token = sample.staff_token(original)
    measured = [_round(bench, original, token, count) for _ in range(rounds)]
    rates, lags, speeds = zip(*measured, strict=True)
    rows = [
        ("held a second, at half the top rate", Spread(rates).text(",.0f")),
        ("lag, p50", Spread([_share(each, 50) for each in lags]).text(".2f", " s")),
        ("lag, p99", Spread([_share(each, 99) for each in lags]).text(".2f", " s")),
        ("lag, the longest", Spread([each[-1] for each in lags]).text(".2f", " s")),
        ("events read a second", Spread(speeds).text(",.0f")),
    ]
    return Result(
        METHOD,
        [
            at_most(
                "an event's lag behind the answer, p99", 0.5, Spread([_share(each, 99) for each in lags]), unit=" s"
            ),
            at_least("events that a consumer reads a second", 5_000, Spread(speeds), ",.0f"),
        ],
        [Table(("figure", "of each round"), rows)],
    )


def _round(bench: Bench, original: SampleData, token: str, count: int) -> tuple[float, list[float], float]:
    """Return the rate, the lags in seconds, sorted, and how many events a second were read at the end."""
    data = original.copy()
    selling = SampleData(data.database, data.showtime_ids, data.customers[1:], data.pairs)
    with servers.ours(data.database.url) as server:
        rate = bench.closed_loop(server, bookings(selling, 0, count)).calls_a_second / 2
        following = Following(server.address, token, count, count, SECONDS_AT_MOST)
        consumer = bench.clients.start(follow, following)
        time.sleep(SECONDS_TO_CONNECT)
        load = Load(server.address, bookings(selling, count, count), rate=rate, keep_answers=True)
        samples = shed_is_never(bench.clients.start(drive, load).result())
        lags = _lags(samples, consumer.result())
        begin = time.monotonic()
        read = bench.clients.start(follow, Following(server.address, token, 0, 2 * count, SECONDS_AT_MOST)).result()
        speed = len(read) / (read[-1].moment - begin)
    data.database.drop()
    return rate, lags, speed


def _lags(samples: Sequence[Sample], received: Sequence[Received]) -> list[float]:
    came = {each.booking_id: each.moment for each in received}
    answered = {
        booking_service_pb2.CreateBookingResponse.FromString(each.answer).booking.booking_id: each.start + each.seconds
        for each in samples
        if each.code == 0
    }
    return sorted(max(came[booking_id] - moment, 0.0) for booking_id, moment in answered.items())


def _share(ordered: Sequence[float], percent: int) -> float:
    return ordered[len(ordered) * percent // 100]
