"""GetShowtime while bookings run, and ListShowtimes, each against a handler that has the message ready."""

import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from benchmarks import calls, sample, servers
from benchmarks.bench import IN_FLIGHT, Bench, interleaved, must_answer
from benchmarks.figures import Measured, Result, at_most, costs, ratios
from benchmarks.load import Call, Load, drive
from benchmarks.sample import SampleData
from benchmarks.scenarios.create_booking import bookings
from benchmarks.servers import Server

BOOKINGS_A_SECOND = 100
GET_METHOD = (
    "400 showtimes of 300 seats are read at random, 128 calls in flight, while 100 bookings a second are made in "
    "them, evenly spread. What the bookings cost the server was measured by themselves just before, at the same rate, "
    "and is taken off. *Empty* holds the message that ours gave and gets the reads alone."
)
LIST_METHOD = (
    "The programme has 10,000 showtimes. *First page* asks for the first 50 from now on, over and over. *From any "
    "moment* asks for the 50 that follow one of 5,000 moments, so hardly a question is asked twice. 128 calls in "
    "flight. *Empty* holds the message that ours gave to the first page."
)


def get_showtime(bench: Bench) -> Result:
    """Measure GetShowtime."""
    rounds, seconds = bench.choose((3, 5.0), (1, 3.0))
    original = sample.furnish(bench.databases.make("get-showtime"), 400, 400)
    chance = random.Random(1)
    reads = [calls.get_showtime(chance.choice(original.showtime_ids)) for _ in range(5_000)]
    measured: dict[str, list[Measured]] = {"ours": [], "empty": []}
    answers: dict[str, bytes] = {}
    for kind in interleaved(["ours", "empty"], rounds):
        data = original.copy()
        with servers.of_kind(kind, data.database.url, answers) as server:
            if not answers:
                answers[calls.GET_SHOWTIME] = bench.answer(server, reads[0])
            bench.closed_loop(server, reads, 1)
            if kind == "ours":
                measured[kind].append(_while_booking(bench, server, data, reads, seconds))
            else:
                measured[kind].append(bench.closed_loop(server, reads, seconds))
        data.database.drop()
    cpu = {kind: [each.cpu_microseconds for each in rounds_of] for kind, rounds_of in measured.items()}
    return Result(
        GET_METHOD,
        [at_most("CPU a call, times *empty* with the same message", 1.5, ratios(cpu["ours"], cpu["empty"]))],
        [costs(measured)],
    )


def _while_booking(bench: Bench, server: Server, data: SampleData, reads: Sequence[Call], seconds: float) -> Measured:
    """Read while bookings are made, and take off what those cost alone."""
    warm_up, alone, beside = 500, int(BOOKINGS_A_SECOND * seconds), int(BOOKINGS_A_SECOND * (seconds + 2))
    bench.closed_loop(server, bookings(data, 0, warm_up))
    before = server.cpu_seconds()
    bench.at_rate(server, bookings(data, warm_up, alone), BOOKINGS_A_SECOND)
    cost_a_second = (server.cpu_seconds() - before) / seconds
    made = bookings(data, warm_up + alone, beside)
    booking = bench.clients.start(drive, Load(server.address, made, rate=BOOKINGS_A_SECOND))
    time.sleep(0.5)  # so that the bookings have begun
    before, start = server.cpu_seconds(), time.monotonic()
    samples = bench.drive(Load(server.address, reads, in_flight=IN_FLIGHT, seconds=seconds))
    cpu_seconds = server.cpu_seconds() - before - cost_a_second * (time.monotonic() - start)
    must_answer(booking.result())
    return Measured(samples, cpu_seconds, server.memory_mib())


def list_showtimes(bench: Bench) -> Result:
    """Measure ListShowtimes."""
    rounds, seconds = bench.choose((3, 3.0), (1, 2.0))
    original = sample.furnish(bench.databases.make("list-showtimes"), 10_000, 10)
    chance = random.Random(2)
    first = datetime.now(UTC) + timedelta(days=2)
    moments = [
        first + chance.random() * 0.9 * sample.SHOWTIMES_AN_AUDITORIUM * sample.BETWEEN_STARTS for _ in range(5_000)
    ]
    asked = {
        "first page": [calls.list_showtimes()],
        "from any moment": [calls.list_showtimes(each) for each in moments],
    }
    measured: dict[str, list[Measured]] = {**{f"ours, {name}": [] for name in asked}, "empty": []}
    answers: dict[str, bytes] = {}
    for kind in interleaved(["ours", "empty"], rounds):
        with servers.of_kind(kind, original.database.url, answers) as server:
            if not answers:
                answers[calls.LIST_SHOWTIMES] = bench.answer(server, calls.list_showtimes())
            for name, made in asked.items() if kind == "ours" else [("", asked["first page"])]:
                bench.closed_loop(server, made, 1)
                measured["empty" if kind == "empty" else f"ours, {name}"].append(
                    bench.closed_loop(server, made, seconds)
                )
    cpu = {name: [each.cpu_microseconds for each in rounds_of] for name, rounds_of in measured.items()}
    return Result(
        LIST_METHOD,
        [
            at_most(
                f"{name}, CPU a call, times *empty* with the same message",
                3.0,
                ratios(cpu[f"ours, {name}"], cpu["empty"]),
            )
            for name in asked
        ],
        [costs(measured)],
    )
