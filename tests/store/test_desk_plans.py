"""What staff look for costs the same however much else there is, and is found by indexes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, timedelta

import pytest

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.desk_reader import SqlDeskReader
from cinema_grpc.adapters.database.refund_reader import SqlRefundReader
from cinema_grpc.adapters.database.sales_reader import SqlSalesReader
from cinema_grpc.application.sales_report import SalesFilter, SalesReports
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.sales import SalesGroup
from tests.builders import NOW
from tests.store.desk_rows import booking, claims, furnished, refund, seats, write
from tests.store.test_bounded_lists import Call, costs, too_much
from tests.store.work import Meter

FEW, MANY = 150, 1_500
PAGE = 11
DAY = timedelta(days=1)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with furnished(database_url) as database:
        yield database


@pytest.fixture
def meter(database: Database) -> Meter:
    return Meter(database)


async def fill(database: Database, first: int, last: int) -> None:
    """Sell, cancel and refund in s1, long before NOW; each refund is of a booking."""
    before = NOW - 500 * DAY
    rows = [
        booking(number, "CANCELLED", confirm_time=before, seats=seats(1_250, first=3 + number % 5))
        for number in range(first, last)
    ]
    await write(database, schema.booking, rows)
    await write(
        database, schema.refund, [refund(number, number, 1, "A3", time=before) for number in range(first, last)]
    )


async def test_lists(database: Database, meter: Meter) -> None:
    """All bookings but a few are of one showtime, cancelled and refunded."""
    few = [
        booking(1, "CONFIRMED", showtime_id="s2"),
        booking(2, "RESERVED", showtime_id="s2", seats=seats(1, first=2)),
        booking(3, "RESERVED", seats=seats(1, first=9)),
        booking(4, "EXPIRED", seats=seats(1)),
    ]
    await write(database, schema.booking, few)
    await write(database, schema.seat_claim, claims(few))
    await write(database, schema.refund, [refund(4, 4, 1, "A1", status="FAILED")])
    await fill(database, 10, FEW)
    bookings, refunds = SqlDeskReader(database, examined=100), SqlRefundReader(database, examined=100)
    calls: dict[str, Call] = {
        f"bookings {of} {seat} {status} {after}": lambda of=of, seat=seat, status=status, after=after: (  # type: ignore[misc]
            bookings.of_showtime(of, seat, status, after, PAGE)
        )
        for of in ("s1", "s2", "s3")
        for seat in ("", "A1", "A3", "A9")
        for status in (None, *BookingStatus)
        for after in ("", "b000120")
    }
    calls |= {
        f"refunds {of} {status} {after}": lambda of=of, status=status, after=after: (  # type: ignore[misc]
            refunds.page(of, status, after, PAGE)
        )
        for of in ("", "s1", "s2")
        for status in (None, *RefundStatus)
        for after in ("", "r000120")
    }
    calls |= {"booking": lambda: bookings.by_id("b000001"), "refund": lambda: refunds.booking_of("r000004")}
    before = await costs(meter, calls)
    await fill(database, FEW, MANY)
    assert too_much(before, await costs(meter, calls)) == {}


async def test_reports(database: Database, meter: Meter) -> None:
    """A report reads no sales of other days, and each part of it no more than a window."""
    await write(database, schema.booking, [booking(1, confirm_time=NOW), booking(2, "EXPIRED", seats=seats(5))])
    await write(database, schema.refund, [refund(2, 2, 5, "A1", time=NOW)])
    await fill(database, 10, FEW)
    reader = SqlSalesReader(database, window=20)
    reports = SalesReports(reader)
    today = NOW.date()

    def of_day(sales: SalesFilter) -> Callable[[], Awaitable[object]]:
        return lambda: reports.report(sales, today, today + DAY, SalesGroup.DAY)

    async def first_window() -> None:
        async for _ in reader.events(SalesFilter("c2"), NOW - 600 * DAY, NOW, by_seat=True):
            return

    filters = (SalesFilter("c1"), SalesFilter("c1", "s1"), SalesFilter("c1", movie_id="m1"), SalesFilter("c2"))
    calls: dict[str, Call] = {str(sales): of_day(sales) for sales in filters}
    calls["a part"] = first_window
    report = await reports.report(SalesFilter("c1"), today, today + DAY, SalesGroup.DAY)
    assert [(each.seats_sold, each.gross) for each in report.totals] == [(2, 1_255)]
    before = await costs(meter, calls)
    await fill(database, FEW, MANY)
    assert too_much(before, await costs(meter, calls)) == {}
    assert date.fromisoformat(report.lines[0].key) == today
