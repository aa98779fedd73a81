"""Sales reports over a real channel: they agree with the books of the audit."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from cinema.v1 import booking_pb2
from cinema.v1 import box_office_service_pb2 as pb
from structlog.testing import capture_logs

from cinema_grpc.adapters.database.audit import report_on
from tests.builders import NOW
from tests.database import reading
from tests.rpc.conftest import App, refusal, running
from tests.rpc.provoked import GATEWAY
from tests.rpc.test_desk import sell, void

GROUPS = [value for value in pb.SalesGroup.values() if value]
TODAY = {"from_date": "2026-05-01", "until_date": "2026-05-02"}
WEEK = {"from_date": "2026-05-01", "until_date": "2026-05-08"}


async def report(app: App, **fields: Any) -> pb.GetSalesReportResponse:
    request = pb.GetSalesReportRequest(**fields)
    response: pb.GetSalesReportResponse = await app.box_office.GetSalesReport(request, metadata=await app.staff())
    return response


async def test_the_books(app: App) -> None:
    """Online and at the counter, cancelled in parts by customers and staff: any group adds up to the audit's books."""
    showtime = await app.showtime(price=999)
    cinema_id, showtime_id = showtime.cinema.cinema_id, showtime.showtime_id
    online = await app.pay((await app.book(showtime_id, "A1", "A2", "A3")).booking_id)
    cash = await sell(app, showtime_id, "A4", "A5", tender=booking_pb2.TENDER_CASH)
    await sell(app, showtime_id, "B1", "B2", tender=booking_pb2.TENDER_COMPLIMENTARY)
    await app.book(showtime_id, "B3", "B4", by="bob")  # never paid for
    await void(app, cash.booking_id, 33, "A4")
    await app.pass_time(timedelta(hours=30))  # 18 hours before the start: 50%
    await app.cancel(online.booking_id)
    async with reading(app.server.database) as connection:
        (books,) = (await report_on(connection, app.clock.now())).books
    for group in GROUPS:
        found = await report(app, cinema_id=cinema_id, group_by=group, **WEEK)
        (total,) = found.totals
        assert (total.gross.currency_code, total.gross.minor_units, total.refunded.minor_units) == (
            "EUR",
            books.charged,
            books.refunded,
        )
        assert total.kept_minor_units == books.kept
        assert (books.charged, books.refunded, books.kept) == (5 * 999, 330 + 1_499, 669 + 1_498)
        assert (total.seats_sold, total.seats_cancelled, total.complimentary_seats) == (7, 4, 2)
        for name in ("seats_sold", "seats_cancelled", "kept_minor_units", "complimentary_seats"):
            assert sum(getattr(line, name) for line in found.lines) == getattr(total, name)
        for name in ("gross", "refunded"):
            assert sum(getattr(line, name).minor_units for line in found.lines) == getattr(total, name).minor_units


async def test_a_charge_that_came_too_late(database_url: str) -> None:
    """It is sold and cancelled on the day on which it is refunded, and the books have both."""
    GATEWAY.asked, GATEWAY.answer = asyncio.Event(), asyncio.Event()  # of this test's loop
    async with running(database_url, gateway=GATEWAY) as app:
        showtime = await app.showtime()
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        slow = asyncio.create_task(app.pay(booking.booking_id, token="tok_slow"))
        await GATEWAY.asked.wait()
        await app.pass_time(timedelta(days=1))
        GATEWAY.answer.set()
        assert (await refusal(slow)).reason == "HOLD_EXPIRED"
        async with reading(app.server.database) as connection:
            (books,) = (await report_on(connection, app.clock.now())).books
        found = await report(app, cinema_id=showtime.cinema.cinema_id, **WEEK)
    (line,) = found.lines
    assert (line.key, line.seats_sold, line.seats_cancelled) == ("2026-05-02", 2, 2)
    assert (line.gross.minor_units, line.refunded.minor_units, line.kept_minor_units) == (2_500, 2_500, 0)
    assert (books.charged, books.refunded, books.kept) == (2_500, 2_500, 0)


async def test_lines(app: App) -> None:
    """By day unless asked otherwise; filters leave out other showtimes, movies and cinemas."""
    showtime, other = await app.showtime(), await app.showtime(price=700)
    cinema_id, showtime_id = showtime.cinema.cinema_id, showtime.showtime_id
    await sell(app, showtime_id, "A1", "A2", tender=booking_pb2.TENDER_CASH)
    await sell(app, other.showtime_id, "A1", "A2", tender=booking_pb2.TENDER_CASH)
    by_day = await report(app, cinema_id=cinema_id, **TODAY)
    assert [(line.key, line.seats_sold, line.gross.minor_units) for line in by_day.lines] == [("2026-05-01", 2, 2_500)]
    by_showtime = await report(app, cinema_id=cinema_id, group_by=pb.SALES_GROUP_SHOWTIME, **TODAY)
    assert [(line.key, line.seats_on_offer) for line in by_showtime.lines] == [(showtime_id, 18)]
    by_movie = await report(
        app, cinema_id=cinema_id, movie_id=showtime.movie.movie_id, group_by=pb.SALES_GROUP_MOVIE, **TODAY
    )
    assert [(line.key, line.gross.minor_units) for line in by_movie.lines] == [(showtime.movie.movie_id, 2_500)]
    for filters in ({"movie_id": other.movie.movie_id}, {"showtime_id": other.showtime_id}, {"movie_id": "none"}):
        assert await report(app, cinema_id=cinema_id, **filters, **TODAY) == pb.GetSalesReportResponse()
    tomorrow = {"from_date": "2026-05-02", "until_date": "2026-05-03"}
    assert await report(app, cinema_id=cinema_id, **tomorrow) == pb.GetSalesReportResponse()


async def test_business_days(app: App) -> None:
    """From 05:00 to 05:00 in the zone of the cinema, which is two hours ahead of UTC."""
    showtime = await app.showtime(start=NOW + timedelta(days=9))
    cinema_id, showtime_id = showtime.cinema.cinema_id, showtime.showtime_id
    await app.pass_time(timedelta(hours=15) - timedelta(microseconds=1))
    sold = await sell(app, showtime_id, "A1", "A2", tender=booking_pb2.TENDER_CASH)
    await app.pass_time(timedelta(microseconds=1))
    await void(app, sold.booking_id, 100, "A1")
    lines = (await report(app, cinema_id=cinema_id, **WEEK)).lines
    assert [(line.key, line.seats_sold, line.seats_cancelled, line.refunded.minor_units) for line in lines] == [
        ("2026-05-01", 2, 0, 0),
        ("2026-05-02", 0, 1, 1_250),
    ]


@pytest.mark.parametrize(
    ("from_date", "until_date", "fields"),
    [
        ("2026-02-30", "2026-05-01", ["from_date"]),
        ("2026-05-01", "2026-05-01", ["until_date"]),
        ("2026-01-01", "2027-02-06", ["until_date"]),
        ("2026-02-30", "x", ["from_date", "until_date"]),
    ],
)
async def test_periods_that_are_malformed(app: App, from_date: str, until_date: str, fields: list[str]) -> None:
    """Dates are checked before the cinema is looked for."""
    refused = await refusal(report(app, cinema_id="none", from_date=from_date, until_date=until_date))
    assert sorted(refused.fields) == fields


async def test_a_cinema_that_does_not_exist(app: App) -> None:
    refused = await refusal(report(app, cinema_id="none", **TODAY))
    assert (refused.reason, refused.metadata) == ("CINEMA_NOT_FOUND", {"cinema_id": "none"})


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_security_log(app: App) -> None:
    cinema_id = (await app.cinema()).cinema_id
    with capture_logs() as lines:
        await report(app, cinema_id=cinema_id, **TODAY)
        await report(app, cinema_id=cinema_id, movie_id="m1", group_by=pb.SALES_GROUP_TENDER, **TODAY)
    line, filtered = (line for line in lines if line["event"] == "sales report read")
    assert (filtered["movie_id"], filtered["by"]) == ("m1", "TENDER")
    assert line.keys().isdisjoint({"movie_id", "showtime_id"})
    assert (line["logger"], line["by"]) == ("cinema.security", "DAY")
    assert (line["cinema_id"], line["from_date"], line["until_date"]) == (cinema_id, *TODAY.values())
    assert line["user_id"]
    assert app.clock.now() == NOW
