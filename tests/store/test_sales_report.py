"""Sales reports from the rows of bookings and refunds: whole, however the events lie in time."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta

import pytest

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sales_reader import SqlSalesReader
from cinema_grpc.adapters.database.sales_titles import KEYS_A_QUERY, movie_titles, showtime_titles
from cinema_grpc.application import sales_report
from cinema_grpc.application.sales_report import SalesFilter, SalesReport, SalesReports
from cinema_grpc.domain.errors import CinemaNotFound, InvalidRequest
from cinema_grpc.domain.sales import SalesGroup, SalesLine, ShowtimeTitle
from tests.store.desk_rows import START, Rows, booking, furnished, refund, seats, write

FIRST, UNTIL = date(2026, 3, 27), date(2026, 3, 31)
OPENING = datetime(2026, 3, 28, 4, tzinfo=UTC)
"""When the business day of 28 March begins in Berlin. It has 23 hours."""
CLOSING = OPENING + timedelta(hours=23)
MICROSECOND = timedelta(microseconds=1)
IN_C1 = SalesFilter("c1")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with furnished(database_url) as database:
        yield database


async def sell(database: Database, bookings: Rows, refunds: Rows = ()) -> None:
    await write(database, schema.booking, bookings)
    await write(database, schema.refund, refunds)


async def report(
    database: Database, group: SalesGroup = SalesGroup.DAY, sales: SalesFilter = IN_C1, window: int = 1_000
) -> SalesReport:
    return await SalesReports(SqlSalesReader(database, window)).report(sales, FIRST, UNTIL, group)


def shown(lines: Sequence[SalesLine]) -> dict[str, tuple[int, ...]]:
    """Return sold, cancelled, gross, refunded and kept by key."""
    return {each.key: (each.seats_sold, each.seats_cancelled, each.gross, each.refunded, each.kept) for each in lines}


async def test_days_of_23_hours(database: Database) -> None:
    """An event belongs to the day that it begins; the next day begins at 05:00 of the new time."""
    times = [OPENING - MICROSECOND, OPENING, CLOSING - MICROSECOND, CLOSING]
    await sell(
        database,
        [booking(number, confirm_time=time, seats=seats(10**number)) for number, time in enumerate(times)],
        [refund(number, number, 0, "A1", time=time) for number, time in enumerate(times)],
    )
    assert shown((await report(database)).lines) == {
        "2026-03-27": (1, 1, 1, 0, 1),
        "2026-03-28": (2, 2, 110, 0, 110),
        "2026-03-29": (1, 1, 1_000, 0, 1_000),
    }


async def test_events_before_and_after_the_period(database: Database) -> None:
    """Sold before and cancelled within, and the other way round."""
    before, after = datetime(2026, 3, 27, 4, tzinfo=UTC) - MICROSECOND, datetime(2026, 3, 31, 3, tzinfo=UTC)
    await sell(
        database,
        [
            booking(1, "CANCELLED", confirm_time=before, seats=seats(1_000, 500)),
            booking(2, "CANCELLED", confirm_time=after - MICROSECOND, seats=seats(250)),
            booking(3, "CONFIRMED", confirm_time=after, seats=seats(9)),
        ],
        [refund(1, 1, 750, "A1", "A2", time=OPENING), refund(2, 2, 250, "A1", time=after)],
    )
    assert shown((await report(database)).totals) == {"": (1, 2, 250, 750, 750)}


async def test_charges_that_came_too_late(database: Database) -> None:
    """Of a hold that lapsed, and of a showtime that was cancelled meanwhile: sold and cancelled when refunded."""
    await sell(
        database,
        [
            booking(1, "EXPIRED", seats=seats(1_000, 500)),
            booking(2, "CANCELLED", seats=seats(200)),
            booking(3, "EXPIRED", seats=seats(7)),  # never charged
            booking(4, "CANCELLED", seats=seats(7)),  # given up unpaid
        ],
        [refund(1, 1, 1_500, "A1", "A2", time=OPENING), refund(2, 2, 200, "A1", time=CLOSING)],
    )
    found = await report(database)
    assert shown(found.lines) == {"2026-03-28": (2, 2, 1_500, 1_500, 0), "2026-03-29": (1, 1, 200, 200, 0)}


async def test_a_cancelled_showtime_pays_back_what_was_kept(database: Database) -> None:
    """First one seat at 0%, then the other with all that was paid."""
    await sell(
        database,
        [booking(1, "CANCELLED", confirm_time=OPENING, seats=seats(1_000, 500))],
        [refund(1, 1, 0, "A1", time=OPENING), refund(2, 1, 1_500, "A2", time=CLOSING)],
    )
    found = await report(database)
    assert shown(found.lines) == {"2026-03-28": (2, 1, 1_500, 0, 1_000), "2026-03-29": (0, 1, 0, 1_500, -1_000)}
    assert shown(found.totals) == {"": (2, 2, 1_500, 1_500, 0)}


async def test_what_a_cancelled_showtime_pays_back_counts_with_its_seats(database: Database) -> None:
    """Two adults at 0% and 50%, then a free child with the rest: 12.51 and half of 10.01."""
    booked = [*seats(1_251, 1_001), *seats(0, ticket_type="child", category="lap", first=3)]
    await sell(
        database,
        [booking(1, "CANCELLED", confirm_time=OPENING, seats=booked)],
        [
            refund(1, 1, 0, "A1", time=OPENING),
            refund(2, 1, 501, "A2", time=OPENING + MICROSECOND),
            refund(3, 1, 1_751, "A3", time=OPENING + 2 * MICROSECOND),
        ],
    )
    for group, names in ((SalesGroup.TICKET_TYPE, ("adult", "child")), (SalesGroup.CATEGORY, ("standard", "lap"))):
        found = await report(database, group)
        assert shown(found.lines) == dict(zip(names, [(2, 2, 2_252, 2_252, 0), (1, 1, 0, 0, 0)], strict=True))
        assert shown(found.totals) == {"": (3, 3, 2_252, 2_252, 0)}


async def test_groups(database: Database) -> None:
    booked = [
        *seats(1_000, category="vip"),
        *seats(500, ticket_type="child", first=2),
        *seats(1_001, category="vip", first=3),
    ]
    await sell(
        database,
        [
            booking(1, "CANCELLED", confirm_time=OPENING, seats=booked),
            booking(2, confirm_time=OPENING, seats=seats(0), tender="COMPLIMENTARY", showtime_id="s2"),
            booking(3, confirm_time=OPENING, seats=seats(80), tender="CASH", currency_code="JPY", showtime_id="s2"),
            booking(4, confirm_time=OPENING, seats=seats(9_999), showtime_id="s3"),  # of the other cinema
        ],
        [refund(1, 1, 1_251, "A1", "A2", "A3", time=OPENING)],
    )
    expected = {
        SalesGroup.CATEGORY: {"standard": (1, 1, 500, 250, 250), "vip": (2, 2, 2_001, 1_001, 1_000)},
        SalesGroup.TICKET_TYPE: {"adult": (2, 2, 2_001, 1_001, 1_000), "child": (1, 1, 500, 250, 250)},
        SalesGroup.MOVIE: {"m1": (3, 3, 2_501, 1_251, 1_250)},
        SalesGroup.SHOWTIME: {"s1": (3, 3, 2_501, 1_251, 1_250)},
        SalesGroup.TENDER: {"ONLINE": (3, 3, 2_501, 1_251, 1_250)},
        SalesGroup.DAY: {"2026-03-28": (3, 3, 2_501, 1_251, 1_250)},
    }
    for group, lines in expected.items():
        found = await report(database, group, SalesFilter("c1", "s1"))
        assert shown(found.lines) == lines, group
        assert shown(found.totals) == {"": (3, 3, 2_501, 1_251, 1_250)}
    found = await report(database, SalesGroup.TENDER)
    assert [(each.key, each.currency_code, each.complimentary_seats) for each in found.lines] == [
        ("CASH", "JPY", 0),
        ("COMPLIMENTARY", "EUR", 1),
        ("ONLINE", "EUR", 0),
    ]
    assert [each.currency_code for each in found.totals] == ["EUR", "JPY"]
    found = await report(database, SalesGroup.SHOWTIME, SalesFilter("c2"))
    assert [(each.key, each.gross, each.seats_on_offer) for each in found.lines] == [("s3", 9_999, 20)]


@pytest.mark.parametrize(
    ("sales", "gross"),
    [
        (SalesFilter("c1"), 11),
        (SalesFilter("c2"), 100),
        (SalesFilter("c1", "s2"), 10),
        (SalesFilter("c1", "s3"), 0),
        (SalesFilter("c1", movie_id="m1"), 1),
        (SalesFilter("c1", "s1", "m2"), 0),
        (SalesFilter("c2", movie_id="m1"), 100),
        (SalesFilter("c1", "none"), 0),
        (SalesFilter("c1", "nul\0"), 0),
    ],
)
async def test_filters(database: Database, sales: SalesFilter, gross: int) -> None:
    showtimes = {"s1": 1, "s2": 10, "s3": 100}
    rows = [
        booking(number, "CANCELLED", confirm_time=OPENING, seats=seats(price), showtime_id=showtime_id)
        for number, (showtime_id, price) in enumerate(showtimes.items())
    ]
    refunds = [
        refund(number, number, price, "A1", time=OPENING, showtime_id=showtime_id)
        for number, (showtime_id, price) in enumerate(showtimes.items())
    ]
    await sell(database, rows, refunds)
    found = await report(database, sales=sales)
    assert sum(each.gross for each in found.totals) == sum(each.refunded for each in found.totals) == gross


@pytest.mark.parametrize("window", [1, 3, 1_000])
async def test_windows_of_time(database: Database, window: int) -> None:
    """Every event counts once, whatever the size of the windows, also where many are at one moment."""
    chance = random.Random(5)  # noqa: S311 (no secret)
    moments = [OPENING + timedelta(hours=chance.randrange(60)) for _ in range(12)]
    times = [chance.choice(moments) for _ in range(120)]
    rows = [
        booking(number, confirm_time=time, seats=seats(number), showtime_id=chance.choice(["s1", "s3"]))
        for number, time in enumerate(times)
    ]
    refunds = [
        refund(number, number, number // 2, "A1", time=time, showtime_id=rows[number]["showtime_id"])
        for number, time in enumerate(times)
    ]
    await sell(database, rows, refunds)
    mine = [number for number, row in enumerate(rows) if row["showtime_id"] == "s1"]
    (total,) = (await report(database, window=window)).totals
    assert (total.seats_sold, total.seats_cancelled) == (len(mine), len(mine))
    assert (total.gross, total.refunded) == (sum(mine), sum(number // 2 for number in mine))


async def test_other_calls_get_their_turn(database: Database) -> None:
    """Though all sales are of one moment: the seats of 500 large bookings take a second to read."""
    await sell(database, [booking(number, confirm_time=OPENING) for number in range(120)])
    turns, done = [0], asyncio.Event()

    async def others() -> None:
        while not done.is_set():
            turns[-1] += 1
            await asyncio.sleep(0)

    going_on = asyncio.create_task(others())
    sizes = []
    async for part in SqlSalesReader(database).events(IN_C1, OPENING, CLOSING):
        sizes.append(len(part))
        turns.append(0)
    done.set()
    await going_on
    assert [size for size in sizes if size] == [50, 50, 20]
    assert all(turns[1:3])


async def test_more_lines_than_a_response_has_room_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sales_report, "MAX_LINES", 1)
    await sell(database, [booking(1, confirm_time=OPENING)])
    assert len((await report(database)).lines) == 1
    await sell(database, [booking(2, confirm_time=CLOSING)])
    with pytest.raises(InvalidRequest) as raised:
        await report(database)
    assert raised.value.metadata["fields"] == "until_date"


async def test_nothing_sold(database: Database) -> None:
    assert await report(database) == SalesReport([], [])
    with pytest.raises(CinemaNotFound):
        await report(database, sales=SalesFilter("none"))


async def test_titles(database: Database) -> None:
    """In parts, of those that there are."""
    others = [f"other{number}" for number in range(KEYS_A_QUERY)]
    about = ShowtimeTitle(START, "One", "A Film")
    assert await showtime_titles(database, ["s1", *others, "s3"]) == {"s1": about, "s3": about}
    assert await movie_titles(database, ["m2"]) == {"m2": "A Film"}
    assert await movie_titles(database, []) == {}
