"""CancelShowtime of 2,000 sold seats, against CreateBooking."""

import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import uuid_utils
from cinema.v1 import showtime_service_pb2

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench, BrokeDown
from benchmarks.figures import Measured, Result, at_most, costs, ratios, reported
from benchmarks.load import Call, Load
from benchmarks.past import COLUMNS, Rows
from benchmarks.sample import SEAT_PRICE, SampleData, Seats, priced
from benchmarks.scenarios.create_booking import CUSTOMERS, SHOWTIMES, bookings
from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.application.box_office.store import new_commit_id
from cinema_grpc.domain.account import Role, User
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


@dataclass(frozen=True, slots=True)
class SoldOut:
    """Showtimes without a free seat, and the token of a member of staff."""

    data: SampleData
    token: str


def sell_out(data: SampleData, size: int) -> SoldOut:
    """Write sales of all seats straight into the tables, `size` seats each."""
    now = datetime.now(UTC) - timedelta(hours=1)
    labels = [label for pair in data.pairs for label in pair]
    rows: Rows = {table: [] for table in COLUMNS if table != "showtime"}
    for showtime_id in data.showtime_ids:
        for number, first in enumerate(range(0, SEATS, size)):
            buyer = data.customers[number % len(data.customers)].user_id
            _add_sale(rows, showtime_id, buyer, tuple(labels[first : first + size]), microseconds(now))
        commit_id = new_commit_id()
        rows["commit_log"].append((showtime_id, 1, commit_id, microseconds(now)))
        data.database.ask(
            f"UPDATE showtime SET taken_seats = {SEATS}, revision = 1, commit_id = '{commit_id}'"  # noqa: S608 (ours)
            f" WHERE showtime_id = '{showtime_id}' RETURNING 1"
        )
    data.database.fill({table: (COLUMNS[table].split(), some) for table, some in rows.items()})
    data.database.settle()
    first_customer = data.customers[0]
    data.database.ask(
        f"UPDATE account SET role = 'STAFF' WHERE user_id = '{first_customer.user_id}' RETURNING 1"  # noqa: S608 (ours)
    )
    staff = User(first_customer.user_id, first_customer.username, "", "", Role.STAFF, now)
    return SoldOut(data, JwtAccessTokens(sample.SECRET.encode(), SystemClock()).issue(staff).text)


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


def _add_sale(rows: Rows, showtime_id: str, buyer: str, seats: Seats, made: int) -> None:
    booking_id = str(uuid_utils.uuid7())
    what = (priced(seats), len(seats), "EUR", len(seats) * SEAT_PRICE, made, made + 600_000_000)
    rows["booking"].append((booking_id, showtime_id, buyer, "CONFIRMED", *what, True, False, False, made, 1))
    rows["seat_claim"] += [(showtime_id, seat, booking_id) for seat in seats]
    rows["payment_attempt"].append((str(uuid_utils.uuid7()), booking_id, "CHARGED", made, "", made, 0))
    rows["ticket"] += [(str(uuid_utils.uuid7()), booking_id, seat, secrets.token_hex(16)) for seat in seats]
