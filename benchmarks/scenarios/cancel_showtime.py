"""CancelShowtime of 2,000 sold seats, against CreateBooking."""

import uuid
from collections.abc import Sequence

from cinema.v1 import showtime_service_pb2

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench, BrokeDown
from benchmarks.figures import Measured, Result, at_most, costs, ratios, reported
from benchmarks.load import Call, Load
from benchmarks.sample import SEAT_PRICE
from benchmarks.scenarios.create_booking import CUSTOMERS, SHOWTIMES, bookings
from benchmarks.sold_out import sell_out
from cinema_grpc.domain.seating import SeatRow

ROWS = tuple(SeatRow(f"A{label}", (30, 40, 30)) for label in "ABCDEFGHIJKLMNOPQRST")
SEATS = 2_000
BOOKINGS = 300
"""How many calls of CreateBooking a cancellation may cost as much as."""
METHOD = (
    "Showtimes whose 2,000 seats are all sold, in bookings of two seats or of one, are cancelled one after the other, "
    "none of which the server has in its cache; each call makes a refund for each booking. The provider takes longer "
    "to answer than this takes, so that paying them out does not count. It is compared with CreateBooking of two "
    "seats, 128 calls in flight, as measured in between."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, showtimes, count = bench.choose((5, 12, 5_000), (2, 6, 2_000))
    original = sample.furnish(bench.databases.make("bookings"), SHOWTIMES, CUSTOMERS)
    sold = {
        name: sell_out(sample.furnish(bench.databases.make(f"sold-{size}"), showtimes, CUSTOMERS, ROWS), size)
        for name, size in (("in pairs", 2), ("one by one", 1))
    }
    measured: dict[str, list[Measured]] = {name: [] for name in (*sold, "CreateBooking")}
    for _ in range(rounds):
        for name, box_office in sold.items():
            data = box_office.data.copy()
            with servers.ours(data.database.url, simulated_payments_delay_seconds=60) as server:
                cancelling = [cancel_showtime(each, box_office.token) for each in data.showtime_ids]
                measured[name].append(cancel_all(bench, server, cancelling))
            data.database.drop()
        data = original.copy()
        with servers.ours(data.database.url) as server:
            bench.closed_loop(server, bookings(data, 0, count // 5))
            measured["CreateBooking"].append(bench.closed_loop(server, bookings(data, count // 5, count)))
        data.database.drop()
    cpu = {name: [each.cpu_microseconds for each in rounds_of] for name, rounds_of in measured.items()}
    worth = {name: ratios(cpu[name], cpu["CreateBooking"]) for name in sold}
    what = f"CPU of cancelling {SEATS:,} seats sold"
    targets = [
        at_most(f"{what} in pairs, in CreateBookings", BOOKINGS, worth["in pairs"], ",.0f"),
        reported(f"{what} one by one, in CreateBookings", worth["one by one"].text(",.0f")),
    ]
    return Result(METHOD, targets, [costs(measured, "call")])


def cancel_showtime(showtime_id: str, token: str) -> Call:
    """Cancel a showtime."""
    request = showtime_service_pb2.CancelShowtimeRequest(
        showtime_id=showtime_id, reason="a power cut", request_id=str(uuid.uuid4())
    )
    return Call(calls.CANCEL_SHOWTIME, request.SerializeToString(), token)


def cancel_all(bench: Bench, server: servers.Server, cancelling: Sequence[Call]) -> Measured:
    """Cancel showtimes one after the other, the first of which warms the server up.

    Raises:
        BrokeDown: A call failed, or did not refund every seat.
    """
    bench.answer(server, cancelling[0])
    before, before_in_database = server.cpu_seconds(), bench.databases.cpu_seconds()
    load = Load(server.address, cancelling[1:], in_flight=1, connections=1, keep_answers=True)
    samples = bench.drive(load)
    spent = server.cpu_seconds() - before
    for each in samples:
        impact = showtime_service_pb2.CancelShowtimeResponse.FromString(each.answer).impact
        if impact.refund_total.minor_units != SEATS * SEAT_PRICE:
            raise BrokeDown(f"a cancellation refunds {impact.refund_total.minor_units}")
    in_database = bench.databases.cpu_seconds() - before_in_database
    return Measured(samples, spent, server.memory_mib(), in_database)
