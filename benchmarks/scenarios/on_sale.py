"""An on-sale: everybody wants seats of one showtime at once, until it is sold out."""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import calls, sample, servers
from benchmarks.bench import OK, Bench, BrokeDown, interleaved
from benchmarks.buyers import REFUSED, Rush, Try, rush
from benchmarks.figures import Measured, Result, Spread, Table, Target, at_least, at_most, costs, none, ratios
from benchmarks.load import PROCESSES, Call
from benchmarks.sample import SampleData, Seats
from benchmarks.servers import Server
from cinema_grpc.domain.seating import SeatRow

LABELS = [chr(65 + number) if number < 26 else f"A{chr(39 + number)}" for number in range(40)]
SECTIONS = (10, 30, 10)
TRIES = 3
DECIDED = {OK.value[0], REFUSED.value[0]}
CONNECTIONS_A_PROCESS = 4
SECONDS_FOR_TEXTBOOK = 7.0
SECONDS_AT_MOST = 120.0
METHOD = (
    "One showtime, and buyers who all begin at the same moment, on 8 connections. Each asks for a pair of seats, one "
    "nearer to the middle of the auditorium more often. A buyer who is refused asks for another pair, and gives up "
    "after the third. A buyer whose call is shed repeats it when told to, or after a second; the time to a decision "
    "counts from the first call. All have called once before. *Textbook* is stopped after a few seconds, in which "
    "nearly every try still finds its seats free: that is in its favour. *A refusal*: when all is sold, calls for "
    "seats that are gone, 128 in flight.\n\n"
    "What was sold is checked by the answers and, when the server has ended, by SQL. A buyer who was refused a pair "
    "before its later owner had even asked for it counts as overtaken."
)


@dataclass(frozen=True, slots=True)
class Sale:
    """What a sale came to; `wanted` has the pair that each buyer asked for, try by try."""

    tries: Sequence[Try]
    wanted: Sequence[Sequence[Seats]]
    begin: float

    @property
    def sold(self) -> list[Try]:
        """The tries that were answered with a booking."""
        return [each for each in self.tries if each.code == 0]

    @property
    def moments(self) -> list[float]:
        """When each pair was sold, in seconds since the beginning, in order."""
        return sorted(each.start + each.seconds - self.begin for each in self.sold)

    @property
    def seconds(self) -> float:
        """From the beginning to the last pair sold."""
        return self.moments[-1]

    @property
    def seats_a_second(self) -> float:
        """How quickly nine tenths were sold; when somebody happens to ask for the last pairs is a matter of luck."""
        most = max(len(self.sold) * 9 // 10, 1)
        return 2 * most / self.moments[most - 1]

    def waits(self) -> list[float]:
        """Tell how long buyers waited for each decision, from when they first asked for it, in seconds, sorted."""
        first = {(each.buyer, each.attempt): each.start for each in reversed(self.tries)}
        decided = [each for each in self.tries if each.code in DECIDED]
        return sorted(each.start + each.seconds - first[each.buyer, each.attempt] for each in decided)

    def pair(self, each: Try) -> Seats:
        """Tell what a try was for."""
        return self.wanted[each.buyer][each.attempt]


def run(bench: Bench) -> Result:
    """Measure."""
    rounds, rows, buyers, refusals = bench.choose((2, 40, 10_000, 5_000), (1, 6, 1_500, 1_500))
    plan = [SeatRow(label, SECTIONS) for label in LABELS[:rows]]
    original = sample.furnish(bench.databases.make("on-sale"), 2, buyers, plan)
    sales: dict[str, list[Sale]] = {"ours": [], "textbook": []}
    refused: dict[str, list[Measured]] = {"ours": [], "empty": []}
    answers: dict[str, bytes] = {}
    chance = random.Random(3)
    for kind in interleaved(["ours", "empty", "textbook"], rounds):
        data = original.copy()
        wanted = _wanted(data.pairs, buyers, chance)
        asked = _asked(data, wanted)
        with servers.of_kind(kind, data.database.url, answers) as server:
            if kind == "ours":
                bench.closed_loop(server, [calls.get_current_user(each.token) for each in data.customers])
                elsewhere = calls.create_booking(data.showtime_ids[1], data.pairs[0], data.customers[0].token)
                answers[calls.CREATE_BOOKING] = bench.answer(server, elsewhere)
            if kind == "empty":
                bench.closed_loop(server, _again(data, data.pairs, refusals, chance))
                refused[kind].append(bench.closed_loop(server, _again(data, data.pairs, refusals, chance)))
            else:
                seconds = (
                    bench.choose(SECONDS_FOR_TEXTBOOK, SECONDS_FOR_TEXTBOOK / 2)
                    if kind == "textbook"
                    else SECONDS_AT_MOST
                )
                sales[kind].append(_sell(bench, server, asked, wanted, seconds))
            if kind == "ours":
                gone = [sales[kind][-1].pair(each) for each in sales[kind][-1].sold]
                refused[kind].append(bench.closed_loop(server, _again(data, gone, refusals, chance), code=REFUSED))
        if kind == "ours":
            _audit(data, sales[kind][-1])
        data.database.drop()
    pictures = _draw(bench.report_folder, {kind: rounds[-1] for kind, rounds in sales.items()})
    targets = _targets(sales, refused, 6.0 if bench.databases.kind == "sqlite" else 3.0)
    return Result(METHOD, targets, [_table(sales), costs(refused, "a refusal")], pictures)


def _draw(folder: Path, sales: Mapping[str, Sale]) -> list[Path]:
    from benchmarks.picture import draw_sale, draw_seats_sold  # noqa: PLC0415 (needs what only `make bench` installs)

    details, seats_sold = folder / "on-sale.svg", folder / "seats-sold.svg"
    draw_sale(details, sales["ours"].tries, sales["ours"].begin)
    names = {"ours": "Cinema gRPC", "textbook": "textbook: one transaction per request"}
    draw_seats_sold(seats_sold, {names[kind]: sale.moments for kind, sale in sales.items()})
    return [details, seats_sold]


def _wanted(pairs: Sequence[Seats], buyers: int, chance: random.Random) -> list[list[Seats]]:
    """Choose what each buyer asks for: one of the better half more than twice as often as one of the worse half."""
    across, along = sum(SECTIONS), len(pairs) * 2 // sum(SECTIONS)

    def distance(number: int) -> float:
        row, seat = divmod(2 * number, across)
        return abs(row - along / 2) / along + abs(seat - across / 2) / across

    best_first = [pairs[number] for number in sorted(range(len(pairs)), key=distance)]
    return [[best_first[int(len(pairs) * chance.random() ** 2)] for _ in range(TRIES)] for _ in range(buyers)]


def _asked(data: SampleData, wanted: Sequence[Sequence[Seats]]) -> list[list[Call]]:
    return [
        [calls.create_booking(data.showtime_ids[0], pair, customer.token) for pair in pairs]
        for customer, pairs in zip(data.customers, wanted, strict=True)
    ]


def _again(data: SampleData, pairs: Sequence[Seats], count: int, chance: random.Random) -> list[Call]:
    return [
        calls.create_booking(data.showtime_ids[0], chance.choice(pairs), chance.choice(data.customers).token)
        for _ in range(count)
    ]


def _sell(
    bench: Bench, server: Server, asked: Sequence[Sequence[Call]], wanted: Sequence[Sequence[Seats]], seconds: float
) -> Sale:
    begin = time.monotonic() + 2  # by then the clients have their plans and their connections
    parts = [
        bench.clients.start(rush, Rush(server.address, asked[part::PROCESSES], CONNECTIONS_A_PROCESS, begin, seconds))
        for part in range(PROCESSES)
    ]
    tries = [
        each._replace(buyer=each.buyer * PROCESSES + part) for part, done in enumerate(parts) for each in done.result()
    ]
    return Sale(tries, wanted, begin)


def _audit(data: SampleData, sale: Sale) -> None:
    """Check that no seat was sold twice, by the answers and by the database.

    Raises:
        BrokeDown: One was, or the two don't agree.
    """
    showtime_id = data.showtime_ids[0]
    answered = Counter(seat for each in sale.sold for seat in sale.pair(each))
    of_showtime = f"WHERE showtime_id = '{showtime_id}'"
    rows = data.database.ask(f"SELECT seats FROM booking {of_showtime}")  # noqa: S608 (an identifier of ours)
    booked = Counter(seat for (seats,) in rows for seat, *_ in json.loads(seats))
    claimed = Counter(seat for (seat,) in data.database.ask(f"SELECT seat FROM seat_claim {of_showtime}"))  # noqa: S608
    ((taken,),) = data.database.ask(f"SELECT taken_seats FROM showtime {of_showtime}")  # noqa: S608
    if not (answered == booked == claimed and taken == claimed.total() and max(answered.values()) == 1):
        raise BrokeDown(
            f"{answered.total()} seats were sold by the answers, {booked.total()} by the bookings, {claimed.total()} "
            f"by the claims and {taken} by the showtime; the most often sold one {max(answered.values())} times"
        )


def _overtaken(sale: Sale) -> int:
    """Count the refusals of a pair that came before its later owner had asked for it."""
    refused: dict[Seats, list[Try]] = defaultdict(list)
    for each in sale.tries:
        if each.code == REFUSED.value[0]:
            refused[sale.pair(each)].append(each)
    return sum(
        loser.start + loser.seconds < winner.start for winner in sale.sold for loser in refused[sale.pair(winner)]
    )


def _targets(
    sales: Mapping[str, Sequence[Sale]], refused: Mapping[str, Sequence[Measured]], least_speed: float
) -> list[Target]:
    cpu = {kind: [each.cpu_microseconds for each in rounds] for kind, rounds in refused.items()}
    speed = {kind: [each.seats_a_second for each in rounds] for kind, rounds in sales.items()}
    return [
        at_least(
            "seats sold a second, up to nine tenths, times *textbook*",
            least_speed,
            ratios(speed["ours"], speed["textbook"]),
            ".1f",
        ),
        at_most("a refusal's CPU, times *empty*", 1.5, ratios(cpu["ours"], cpu["empty"])),
        none("buyers who came earlier and lost to a later one, in all rounds", sum(map(_overtaken, sales["ours"]))),
    ]


def _table(sales: Mapping[str, Sequence[Sale]]) -> Table:
    def row(kind: str, rounds: Sequence[Sale]) -> list[str]:
        waits = [sale.waits() for sale in rounds]
        return [
            kind,
            Spread([2 * len(sale.sold) for sale in rounds]).text(",.0f"),
            Spread([sale.seconds for sale in rounds]).text(".1f", " s"),
            Spread([sale.seats_a_second for sale in rounds]).text(",.0f"),
            Spread([len(each) for each in waits]).text(",.0f"),
            Spread([len(sale.tries) - len(each) for sale, each in zip(rounds, waits, strict=True)]).text(",.0f"),
            Spread([each[len(each) // 2] for each in waits]).text(".2f", " s"),
            Spread([each[len(each) * 99 // 100] for each in waits]).text(".2f", " s"),
        ]

    columns = ("server", "seats sold", "the last after", "seats a second", "decided", "shed", "p50", "p99")
    return Table(columns, [row(kind, rounds) for kind, rounds in sales.items()])
