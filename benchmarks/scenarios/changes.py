"""ConfirmPayment and CancelBooking, against the empty handler."""

from cinema.v1 import booking_service_pb2

from benchmarks import calls, sample, servers
from benchmarks.bench import IN_FLIGHT, Bench, interleaved
from benchmarks.figures import Measured, Result, at_most, costs, ratios, reported
from benchmarks.load import Call, Load
from benchmarks.sample import SampleData
from benchmarks.scenarios.create_booking import bookings
from benchmarks.servers import Server

SHOWTIMES = 400
CUSTOMERS = 400
CONFIRM, CANCEL, CANCEL_PAID = "ConfirmPayment", "CancelBooking", "CancelBooking, paid for"
METHOD = (
    "Bookings of two seats in 400 showtimes have just been made. Some are paid for (two transactions, with the "
    "simulated provider between them), others are cancelled; then some of those that were paid for are cancelled too, "
    "which makes refunds that are paid in the background while the calls run. 128 calls in flight. *Empty* gives the "
    "same messages."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, count = bench.choose((3, 2_500), (1, 800))
    original = sample.furnish(bench.databases.make("changes"), SHOWTIMES, CUSTOMERS)
    to_make: dict[str, list[Call]] = {}
    warm_up = count // 5
    measured: dict[str, dict[str, list[Measured]]] = {"ours": {}, "empty": {}}
    answers: dict[str, bytes] = {}
    for kind in interleaved(["ours", "empty"], rounds):
        data = original.copy()
        with servers.of_kind(kind, data.database.url, answers) as server:
            if kind == "ours":
                to_make = _hold(bench, server, data, count)
            for name, made in to_make.items():
                method = made[0].method
                if method not in answers:
                    answers[method] = bench.answer(server, made[0])
                bench.closed_loop(server, made[1:warm_up])
                measured[kind].setdefault(name, []).append(bench.closed_loop(server, made[warm_up : warm_up + count]))
                if name == CONFIRM:  # all of what is cancelled later was paid for
                    bench.closed_loop(server, made[warm_up + count :])
        data.database.drop()
    cpu = {
        (kind, name): [each.cpu_microseconds for each in rounds_of]
        for kind, by_name in measured.items()
        for name, rounds_of in by_name.items()
    }
    ratio = {name: ratios(cpu["ours", name], cpu["empty", name]) for name in to_make}
    return Result(
        METHOD,
        [
            at_most("ConfirmPayment, CPU a call, times *empty*", 3.0, ratio[CONFIRM]),
            at_most("CancelBooking, CPU a call, times *empty*", 2.3, ratio[CANCEL]),
            reported(
                "CancelBooking of a paid one and its refund, CPU a call, times *empty*", ratio[CANCEL_PAID].text(".2f")
            ),
        ],
        [
            costs({f"{name}, {kind}": measured[kind][name] for name in to_make for kind in ("ours", "empty")}, "call"),
        ],
    )


def _hold(bench: Bench, server: Server, data: SampleData, count: int) -> dict[str, list[Call]]:
    """Make bookings, and plan what becomes of them; *empty* is called with the same."""
    holding = bookings(data, 0, 3 * count)
    samples = bench.drive(Load(server.address, holding, in_flight=IN_FLIGHT, keep_answers=True))
    answered = {each.number: booking_service_pb2.CreateBookingResponse.FromString(each.answer) for each in samples}
    held = [(answered[number].booking.booking_id, call.token) for number, call in enumerate(holding)]
    paid, cancelled = held[: 2 * count], held[2 * count :]
    return {
        CONFIRM: [calls.confirm_payment(*each) for each in paid],
        CANCEL: [calls.cancel_booking(*each) for each in cancelled],
        CANCEL_PAID: [calls.cancel_booking(*each) for each in paid],
    }
