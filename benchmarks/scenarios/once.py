"""CreateBooking with a request_id, against the same without."""

from dataclasses import replace

from cinema.v1 import booking_service_pb2

from benchmarks import sample, servers
from benchmarks.bench import Bench, interleaved
from benchmarks.figures import Measured, Result, at_most, costs, ratios
from benchmarks.load import Call
from benchmarks.scenarios.create_booking import CUSTOMERS, SHOWTIMES, bookings

METHOD = (
    "Pairs of seats of 400 showtimes are held, each once, 128 calls in flight: with a `request_id`, whose outcome is "
    "kept for 24 hours, and without."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, count = bench.choose((5, 5_000), (4, 3_000))
    original = sample.furnish(bench.databases.make("once"), SHOWTIMES, CUSTOMERS)
    measured: dict[str, list[Measured]] = {"with": [], "without": []}
    for kind in interleaved(list(measured), rounds):
        data = original.copy()
        calls = bookings(data, 0, count + count // 5)
        if kind == "without":
            calls = [without_request_id(each) for each in calls]
        with servers.ours(data.database.url) as server:
            bench.closed_loop(server, calls[count:])
            measured[kind].append(bench.closed_loop(server, calls[:count]))
        data.database.drop()
    cpu = {kind: [each.cpu_microseconds for each in rounds] for kind, rounds in measured.items()}
    target = at_most("CPU a call, times *without*", 1.1, ratios(cpu["with"], cpu["without"]))
    return Result(METHOD, [target], [costs(measured)])


def without_request_id(call: Call) -> Call:
    """Make a call of CreateBooking one that can't be repeated."""
    request = booking_service_pb2.CreateBookingRequest.FromString(call.request)
    request.ClearField("request_id")
    return replace(call, request=request.SerializeToString())
