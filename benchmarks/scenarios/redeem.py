"""RedeemTicket, against the empty handler."""

import random
from datetime import UTC, datetime, timedelta

from benchmarks import calls, sample, servers
from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Measured, Result, at_most, costs, ratios
from benchmarks.load import Call
from benchmarks.sample import RUNTIME, SampleData
from benchmarks.scenarios.create_booking import CUSTOMERS
from benchmarks.sold_out import sell_out
from cinema_grpc.adapters.database.column_types import microseconds

SHOWTIMES = 20
STARTS_IN = timedelta(minutes=30)
METHOD = (
    f"The 300 seats of {SHOWTIMES} showtimes that start in half an hour are sold in pairs. Their tickets are redeemed "
    "by their codes in random order, each once, with a `request_id`; 128 calls in flight. *Empty* gives the same "
    "message."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, count = bench.choose((5, 5_000), (2, 2_000))
    sold = sell_out(sample.furnish(bench.databases.make("redeem-ticket"), SHOWTIMES, CUSTOMERS), 2)
    open_gates(sold.data)
    redeeming = redemptions(sold.data, sold.token)
    measured: dict[str, list[Measured]] = {"ours": [], "empty": []}
    answers: dict[str, bytes] = {}
    for kind in interleaved(list(measured), rounds):
        data = sold.data.copy()
        with servers.of_kind(kind, data.database.url, answers) as server:
            if not answers:
                answers[calls.REDEEM_TICKET] = bench.answer(server, redeeming[0])
            bench.closed_loop(server, redeeming[1 : count // 5])
            measured[kind].append(bench.closed_loop(server, redeeming[count // 5 :][:count]))
        data.database.drop()
    cpu = {kind: [each.cpu_microseconds for each in rounds_of] for kind, rounds_of in measured.items()}
    return Result(
        METHOD, [at_most("CPU a call, times *empty*", 2.3, ratios(cpu["ours"], cpu["empty"]))], [costs(measured)]
    )


def open_gates(data: SampleData) -> None:
    """Have all showtimes start soon."""
    start = datetime.now(UTC) + STARTS_IN
    times = f"start_time = {microseconds(start)}, end_time = {microseconds(start + RUNTIME)}"
    data.database.ask(f"UPDATE showtime SET {times} RETURNING 1")  # noqa: S608 (ours)


def redemptions(data: SampleData, token: str) -> list[Call]:
    """Make a call for each ticket."""
    tickets = data.database.ask(
        "SELECT booking.showtime_id, ticket.code FROM ticket JOIN booking ON booking.booking_id = ticket.booking_id"
        " ORDER BY ticket.ticket_id"
    )
    random.Random(3).shuffle(tickets)
    return [calls.redeem_ticket(showtime_id, code, token) for showtime_id, code in tickets]
