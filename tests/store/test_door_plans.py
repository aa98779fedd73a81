"""What doors ask for costs the same however much else there is, and is found by indexes."""

from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sales_reader import SqlSalesReader
from cinema_grpc.adapters.database.ticket_reader import SqlTicketReader
from cinema_grpc.application.door_ports import Place
from cinema_grpc.application.sales_report import SalesFilter, SalesReports
from cinema_grpc.domain.sales import SalesGroup
from tests.builders import NOW
from tests.store.desk_rows import booking, furnished, write
from tests.store.test_bounded_lists import Call, costs, too_much
from tests.store.work import Meter

FEW, MANY = 150, 1_500
PAGE = 11
DAY = timedelta(days=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with furnished(database_url) as database:
        yield database


async def let_in(database: Database, first: int, last: int, showtime_id: str = "s1") -> None:
    """Sell tickets, and let someone in with each; with one in ten, twice."""
    numbers = range(first, last)
    sold = [booking(number, showtime_id=showtime_id, confirm_time=NOW - 500 * DAY) for number in numbers]
    tickets = [
        {"ticket_id": f"t{number:06}", "booking_id": f"b{number:06}", "seat": "A1", "code": f"code {number}"}
        for number in numbers
    ]
    redemptions = [
        {
            "redemption_id": f"{kind} {number}",
            "ticket_id": f"t{number:06}",
            "booking_id": f"b{number:06}",
            "gate": "north",
            "redeem_time": NOW if number == 1 else NOW - 400 * DAY,
            "redeemed_by": "staff",
            "record_time": NOW,
            "kind": kind,
        }
        for number in numbers
        for kind in ("ADMITTED", "CONFLICT")
        if kind == "ADMITTED" or number % 10 == 1
    ]
    await write(database, schema.booking, sold)
    await write(database, schema.ticket, tickets)
    await write(database, schema.redemption, redemptions)


async def test_tickets_and_lists(database: Database) -> None:
    meter, reader = Meter(database), SqlTicketReader(database)
    await let_in(database, 1, 10, "s2")
    await let_in(database, 10, FEW)
    calls: dict[str, Call] = {
        "a code": lambda: reader.by_code("code 7"),
        "a ticket": lambda: reader.by_id("t000007"),
        "no code": lambda: reader.by_code("none"),
        "all of a small showtime": lambda: reader.changed("s2", Place(1), PAGE),
        "the first page": lambda: reader.changed("s1", Place(1), PAGE),
        "a page of a difference": lambda: reader.changed("s1", Place(101), PAGE),
        "a later page": lambda: reader.changed("s1", Place(120, "b000120", 0), PAGE),
        "nothing new": lambda: reader.changed("s1", Place(MANY + 1), PAGE),
    }
    listed = await reader.changed("s2", Place(1), PAGE)
    assert listed is not None
    assert [place for place, _ in listed.entries] == [(number, f"b{number:06}", 0) for number in range(1, 10)]
    before = await costs(meter, calls)
    await let_in(database, FEW, MANY)
    assert too_much(before, await costs(meter, calls)) == {}


async def test_conflicts_of_a_day(database: Database) -> None:
    """A report reads neither redemptions nor conflicts of other days."""
    meter, reports, today = Meter(database), SalesReports(SqlSalesReader(database, window=20)), NOW.date()
    await let_in(database, 1, FEW)

    async def of_day(day: date = today) -> int:
        report = await reports.report(SalesFilter("c1"), day, day + DAY, SalesGroup.DAY)
        return sum(each.entry_conflicts for each in report.totals)

    assert await of_day() == 1
    assert await of_day(today - 400 * DAY) == 14
    before = await costs(meter, {"a day": of_day})
    await let_in(database, FEW, MANY)
    assert too_much(before, await costs(meter, {"a day": of_day})) == {}
