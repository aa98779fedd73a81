"""Two replicas at one database, against one: bookings of 400 showtimes, and of one that everybody wants."""

from collections.abc import Mapping, Sequence

from benchmarks import sample, servers
from benchmarks.bench import IN_FLIGHT, Bench, BrokeDown, interleaved, must_answer
from benchmarks.calls import get_current_user
from benchmarks.databases import KeptDatabase
from benchmarks.figures import Measured, Result, Target, at_least, at_most, costs, ratios
from benchmarks.flood import Flood, pour
from benchmarks.load import Call
from benchmarks.sample import SampleData
from benchmarks.scenarios.create_booking import bookings
from benchmarks.servers import Server
from cinema_grpc.domain.seating import SeatRow

SPREAD, HOT = "400 showtimes", "one hot showtime"
KINDS = ("one replica", "two replicas")
LARGEST = [SeatRow(chr(65 + number % 26) * (1 + number // 26), (10, 30, 10)) for number in range(40)]
"""2,000 seats, as many as an auditorium may have."""
METHOD = (
    "CreateBooking of two seats, 128 calls in flight on 4 connections, evenly spread over the replicas: in 400 "
    "showtimes at once, and in one showtime of 2,000 seats, where the next one follows when all its seats have been "
    "asked for. The client writes the frames of HTTP/2 itself, so that two cores have room for two replicas. Replicas "
    "share one PostgreSQL server on the same machine; each of them is kept to a processor of its own, while PostgreSQL "
    "and the client run wherever there is room."
)


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, spread, hot = bench.choose((8, 8_000, 8), (2, 4_000, 4))
    pairs = sum(sum(row.sections) for row in LARGEST) // 2
    houses = {
        SPREAD: sample.furnish(bench.databases.make("spread"), 400, 400),
        HOT: sample.furnish(bench.databases.make("hot"), 1 + hot, 2 * pairs, LARGEST),
    }
    measured: dict[str, dict[str, list[Measured]]] = {what: {kind: [] for kind in KINDS} for what in houses}
    for what, original in houses.items():
        for kind in interleaved(KINDS, rounds):
            data = original.copy()
            made = bookings(data, 0, spread + 2_000) if what == SPREAD else one_by_one(data, pairs)
            warm_up = 2_000 if what == SPREAD else pairs
            with servers.replicas(1 + KINDS.index(kind), data.database.url) as running:
                for address in running.address.split(","):  # each has met all customers
                    met = [get_current_user(customer.token) for customer in data.customers]
                    must_answer(bench.clients.start(pour, Flood(address, met, in_flight=IN_FLIGHT)).result())
                _pour(bench, running, made[:warm_up])
                measured[what][kind].append(_pour(bench, running, made[warm_up:]))
            audit(data.database, len(made))
            data.database.drop()
    tables = [costs({f"{what}, {kind}": measured[what][kind] for what in measured for kind in KINDS}, "bookings")]
    return Result(METHOD, _targets(measured), tables)


def one_by_one(data: SampleData, pairs: int) -> list[Call]:
    """Book all pairs of one showtime after the other, each pair once, near ones at about the same time."""
    return [
        call for number in range(len(data.showtime_ids)) for call in bookings(data.part(number, number + 1), 0, pairs)
    ]


def _pour(bench: Bench, server: Server, calls: Sequence[Call]) -> Measured:
    flood = Flood(server.address, calls, in_flight=IN_FLIGHT)
    return bench.measure(server, lambda: must_answer(bench.clients.start(pour, flood).result()))


def audit(database: KeptDatabase, bookings_made: int) -> None:
    """Check that the database has each booking that was acknowledged, and each of its seats once.

    Raises:
        BrokeDown: It has not.
    """
    tables = ("count(*) FROM booking", "count(*) FROM seat_claim", "sum(taken_seats)::bigint FROM showtime")
    ((counted,),) = database.ask(f"SELECT ARRAY[{', '.join(f'(SELECT {table})' for table in tables)}]")
    if counted != [bookings_made, 2 * bookings_made, 2 * bookings_made]:
        raise BrokeDown(f"{bookings_made:,} bookings of two seats were acknowledged, and {counted} are in the database")


def _targets(measured: Mapping[str, Mapping[str, Sequence[Measured]]]) -> list[Target]:
    one, two = KINDS
    targets = []
    for what, least in ((HOT, 1.0), (SPREAD, 1.3)):
        rate = {kind: [each.calls_a_second for each in measured[what][kind]] for kind in KINDS}
        cpu = {kind: [each.cpu_microseconds for each in measured[what][kind]] for kind in KINDS}
        targets += [
            at_least(f"{what}: two replicas' bookings a second, times one's", least, ratios(rate[two], rate[one])),
            at_most(f"{what}: two replicas' CPU a booking, times one's", 1.15, ratios(cpu[two], cpu[one])),
        ]
    return targets
