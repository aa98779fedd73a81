"""CreateBooking on PostgreSQL, against the textbook transaction written in Go."""

from collections.abc import Mapping, Sequence

from benchmarks import golang, sample, servers
from benchmarks.bench import IN_FLIGHT, Bench, interleaved, must_answer
from benchmarks.figures import Measured, Result, Target, at_least, costs, ratios
from benchmarks.load import Call, Load
from benchmarks.scenarios.create_booking import bookings
from benchmarks.scenarios.replicas import HOT, LARGEST, SPREAD, audit, one_by_one
from benchmarks.servers import Server

KINDS = ("ours", "Go")
WARM_UP = 2_000
METHOD = (
    "CreateBooking of two seats, 128 calls in flight on 4 connections from a client in Go, which sends and reads "
    "messages as bytes: in 400 showtimes at once, and in one showtime of 2,000 seats, where the next one follows when "
    "all its seats have been asked for. *Go* is the textbook transaction with grpc-go and pgx, 20 connections, in "
    "`benchmarks/go/textbook`: it locks the showtime, looks for claims of the seats, inserts booking, claims and "
    "`request_id`, counts the taken seats, and commits, one statement after the other. It asks for no token and does "
    "not apply the gap rule, and has neither prices nor a log of commits, which is in its favour. Server, PostgreSQL "
    "and client share all processors. Each booking that was acknowledged is counted by SQL."
)


def run(bench: Bench) -> Result:
    """Measure."""
    golang.build()
    rounds, spread, hot = bench.choose((7, 12_000, 8), (2, 3_000, 2))
    pairs = sum(sum(row.sections) for row in LARGEST) // 2
    originals = {
        SPREAD: sample.furnish(bench.databases.make("spread"), 400, 400),
        HOT: sample.furnish(bench.databases.make("hot"), WARM_UP // pairs + hot, 2 * pairs, LARGEST),
    }
    measured: dict[str, dict[str, list[Measured]]] = {what: {kind: [] for kind in KINDS} for what in originals}
    for kind in interleaved(KINDS, rounds):
        for what, original in originals.items():
            data = original.copy()
            calls = bookings(data, 0, WARM_UP + spread) if what == SPREAD else one_by_one(data, pairs)
            serve = servers.ours if kind == "ours" else golang.textbook
            with serve(data.database.url) as server:
                _pour(bench, server, calls[:WARM_UP])
                measured[what][kind].append(_pour(bench, server, calls[WARM_UP:]))
            audit(data.database, len(calls))
            data.database.drop()
    table = costs({f"{what}, {kind}": measured[what][kind] for what in measured for kind in KINDS}, "bookings")
    return Result(METHOD, _targets(measured), [table])


def _pour(bench: Bench, server: Server, calls: Sequence[Call]) -> Measured:
    load = Load(server.address, calls, in_flight=IN_FLIGHT)
    return bench.measure(server, lambda: must_answer(golang.drive(load)))


def _targets(measured: Mapping[str, Mapping[str, Sequence[Measured]]]) -> list[Target]:
    ours, textbook = KINDS
    targets = []
    for what, least in ((SPREAD, 1.0), (HOT, 3.0)):
        rate = {kind: [each.calls_a_second for each in measured[what][kind]] for kind in KINDS}
        targets.append(
            at_least(
                f"{what}: bookings a second, times the textbook's in Go", least, ratios(rate[ours], rate[textbook])
            )
        )
    return targets
