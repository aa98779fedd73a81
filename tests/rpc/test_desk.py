"""Finding customers' bookings, and refunds that are paid by hand, over a real channel."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_pb2
from cinema.v1 import box_office_service_pb2 as pb
from structlog.testing import capture_logs

from cinema_grpc.adapters.simulated_payments import FaultProfile, SimulatedPayments
from tests.builders import NOW
from tests.rpc.conftest import App, moment, new_id, refusal, running

PENDING, COMPLETED, FAILED = (
    booking_pb2.REFUND_STATUS_PENDING,
    booking_pb2.REFUND_STATUS_COMPLETED,
    booking_pb2.REFUND_STATUS_FAILED,
)


async def find(app: App, **fields: Any) -> pb.FindBookingsResponse:
    response: pb.FindBookingsResponse = await app.box_office.FindBookings(
        pb.FindBookingsRequest(**fields), metadata=await app.staff()
    )
    return response


async def found(app: App, **fields: Any) -> list[str]:
    """Return the booking_id of each booking that is found."""
    return [each.booking.booking_id for each in (await find(app, **fields)).bookings]


async def refunds(app: App, **fields: Any) -> list[pb.ListedRefund]:
    request = pb.ListRefundsRequest(**fields)
    return list((await app.box_office.ListRefunds(request, metadata=await app.staff())).refunds)


async def settle(app: App, refund_id: str, note: str = "from the till", request_id: str = "") -> pb.ListedRefund:
    request = pb.SettleRefundRequest(refund_id=refund_id, note=note, request_id=request_id)
    settled: pb.SettleRefundResponse = await app.box_office.SettleRefund(request, metadata=await app.staff())
    return settled.refund


async def sell(app: App, showtime_id: str, *seats: str, tender: booking_pb2.Tender.ValueType) -> booking_pb2.Booking:
    request = pb.SellSeatsRequest(showtime_id=showtime_id, seats=seats, tender=tender, reason="asked for")
    sold: pb.SellSeatsResponse = await app.box_office.SellSeats(request, metadata=await app.staff())
    return sold.booking


async def void(app: App, booking_id: str, percent: int, *seats: str) -> booking_pb2.Booking:
    request = pb.VoidBookingRequest(booking_id=booking_id, seats=seats, refund_percent=percent, reason="unwell")
    voided: pb.VoidBookingResponse = await app.box_office.VoidBooking(request, metadata=await app.staff())
    return voided.booking


async def security_lines(call: Awaitable[Any]) -> list[dict[str, Any]]:
    """Make a call, and return what it wrote to the security log, but for the use of the role."""
    with capture_logs() as lines:
        await call
    return [
        dict(line)
        for line in lines
        if line.get("logger") == "cinema.security" and line["event"] != "rights of staff used"
    ]


async def test_find_bookings(app: App) -> None:
    """By each criterion; names match without regard to case, and an unknown one finds nothing."""
    showtime = await app.showtime()
    first = await app.pay((await app.book(showtime.showtime_id, "A1", "A2")).booking_id)
    second = await app.book(showtime.showtime_id, "A3", "A4")
    other = await app.book(showtime.showtime_id, "B1", "B2", by="bob")
    cases: list[tuple[dict[str, Any], list[booking_pb2.Booking]]] = [
        ({"booking_id": first.booking_id}, [first]),
        ({"ticket_code": first.tickets[1].code}, [first]),
        ({"ticket_code": f" {first.tickets[1].code}\r\n"}, [first]),  # as scanners send it
        ({"ticket_code": " \n"}, []),
        ({"username": "ADA"}, [second, first]),
        ({"email": "Ada@Example.COM"}, [second, first]),
        ({"username": "ada", "status": booking_pb2.BOOKING_STATUS_CONFIRMED}, [first]),
        ({"booking_id": first.booking_id, "status": booking_pb2.BOOKING_STATUS_RESERVED}, []),
        ({"showtime_id": showtime.showtime_id}, [other, second, first]),
        ({"showtime_id": showtime.showtime_id, "seat": "A4"}, [second]),
        ({"showtime_id": showtime.showtime_id, "status": booking_pb2.BOOKING_STATUS_RESERVED}, [other, second]),
        *(({name: "none"}, []) for name in ("booking_id", "ticket_code", "username", "email", "showtime_id")),
    ]
    for fields, expected in cases:
        assert await found(app, **fields) == [each.booking_id for each in expected], fields
    (entry,) = (await find(app, booking_id=other.booking_id)).bookings
    assert entry.booking == other
    assert entry.customer == pb.Customer(
        user_id=other.user_id, username="bob", full_name="Bob", email="bob@example.com"
    )


async def test_a_seat_finds_who_had_it(app: App) -> None:
    """Cancelled bookings, and holds that have lapsed, which read EXPIRED at once."""
    showtime_id = (await app.showtime()).showtime_id
    cancelled = await app.book(showtime_id, "A1", "A2")
    await app.cancel(cancelled.booking_id)
    lapsed = await app.book(showtime_id, "A1", "A2", by="bob")
    await app.pass_time(timedelta(minutes=10))
    page = await find(app, showtime_id=showtime_id, seat="A1")
    assert [(each.booking.booking_id, each.booking.status) for each in page.bookings] == [
        (lapsed.booking_id, booking_pb2.BOOKING_STATUS_EXPIRED),
        (cancelled.booking_id, booking_pb2.BOOKING_STATUS_CANCELLED),
    ]
    assert await found(app, showtime_id=showtime_id, status=booking_pb2.BOOKING_STATUS_RESERVED) == []


@pytest.mark.parametrize("criterion", ["username", "showtime_id"])
async def test_pages_of_bookings(app: App, criterion: str) -> None:
    """Each booking once, also one that is made meanwhile; a token is good for its own query alone."""
    showtime_id = (await app.showtime()).showtime_id
    booked = [(await app.book(showtime_id, f"A{seat}", f"A{seat + 1}")).booking_id for seat in (1, 3, 5)]
    fields = {"username": "ada"} if criterion == "username" else {"showtime_id": showtime_id}
    page = await find(app, **fields, page_size=2)
    await app.book(showtime_id, "A7", "A8")
    rest = await find(app, **fields, page_size=2, page_token=page.next_page_token)
    both = [*page.bookings, *rest.bookings]
    assert ([each.booking.booking_id for each in both], rest.next_page_token) == (booked[::-1], "")
    refused = await refusal(find(app, username="bob", page_token=page.next_page_token))
    assert refused.fields == ["page_token"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, ["booking_id", "ticket_code", "username", "email", "showtime_id"]),
        ({"username": "ada", "email": "ada@example.com"}, ["username", "email"]),
        ({"booking_id": "b", "showtime_id": "s", "seat": "A1"}, ["booking_id", "showtime_id"]),
        ({"username": "ada", "seat": "A1"}, ["seat"]),
    ],
)
async def test_searches_that_are_malformed(app: App, fields: dict[str, str], named: list[str]) -> None:
    """There must be one criterion; a seat needs a showtime."""
    assert (await refusal(find(app, **fields))).fields == named


async def test_a_refund_of_a_counter_sale(app: App) -> None:
    """It waits until staff have paid it, and is listed with the sale, who paid it, when and how."""
    showtime_id = (await app.showtime()).showtime_id
    sold = await sell(app, showtime_id, "A1", "A2", "A3", tender=booking_pb2.TENDER_CASH)
    await void(app, sold.booking_id, 50, "A1")
    (waiting,) = await refunds(app, status=PENDING)
    assert (waiting.refund.amount.minor_units, list(waiting.refund.seats)) == (625, ["A1"])
    assert (waiting.booking_id, waiting.showtime_id, waiting.user_id) == (sold.booking_id, showtime_id, sold.user_id)
    assert waiting.sale == sold.sale
    assert (waiting.sale.channel, waiting.sale.tender) == (
        booking_pb2.SALE_CHANNEL_COUNTER,
        booking_pb2.TENDER_CASH,
    )
    app.clock.advance(timedelta(minutes=1))
    request_id = new_id()
    settled = await settle(app, waiting.refund.refund_id, " from  the till ", request_id=request_id)
    assert (settled.refund.status, settled.settled_by) == (COMPLETED, sold.sale.sold_by)
    assert (settled.settle_time, settled.note) == (moment(NOW + timedelta(minutes=1)), "from the till")
    assert await settle(app, waiting.refund.refund_id, " from  the till ", request_id=request_id) == settled
    refused = await refusal(settle(app, waiting.refund.refund_id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REFUND_NOT_OPEN")
    assert refused.metadata == {"refund_id": waiting.refund.refund_id, "status": "COMPLETED"}
    assert await refunds(app) == [settled]
    (entry,) = (await find(app, booking_id=sold.booking_id)).bookings
    assert entry.booking.refunds[0] == settled.refund
    # The box office has the refund in memory as it is stored.
    voided = await void(app, sold.booking_id, 100)
    assert [each.status for each in voided.refunds] == [COMPLETED, PENDING]


async def test_a_refund_that_the_provider_did_not_pay(database_url: str) -> None:
    """While the provider may still pay it, staff may not; once it is given up, they have to."""
    provider = SimulatedPayments()
    async with running(database_url, gateway=provider) as app:
        showtime_id = (await app.showtime()).showtime_id
        booking = await app.pay((await app.book(showtime_id, "A1", "A2")).booking_id)
        provider.faults = FaultProfile(fail_before=1)
        refund_id = (await app.cancel(booking.booking_id)).refund.refund_id
        assert (await refusal(settle(app, refund_id))).metadata["status"] == "PENDING"
        async with asyncio.timeout(60):
            while not (failed := await refunds(app, status=FAILED, showtime_id=showtime_id)):
                await app.pass_time(timedelta(hours=1))
                app.server.tasks.pay_refunds.wake()
                await asyncio.sleep(0.01)
        assert [each.sale.channel for each in failed] == [booking_pb2.SALE_CHANNEL_ONLINE]
        settled = await settle(app, refund_id, "by bank transfer")
        assert (settled.refund.status, settled.note) == (COMPLETED, "by bank transfer")
        assert await refunds(app, status=FAILED) == []


async def test_pages_of_refunds(app: App) -> None:
    """Newest first, by showtime and status."""
    first, second = (await app.showtime()).showtime_id, (await app.showtime(price=800)).showtime_id
    expected: list[str] = []
    for showtime_id in (first, second, first):
        seats = ("A1", "A2") if len(expected) < 2 else ("A4", "A5")
        sold = await sell(app, showtime_id, *seats, tender=booking_pb2.TENDER_CARD_TERMINAL)
        expected.append((await void(app, sold.booking_id, 100)).refund.refund_id)
    await settle(app, expected[2])
    assert [each.refund.refund_id for each in await refunds(app)] == expected[::-1]
    assert [each.refund.refund_id for each in await refunds(app, showtime_id=first)] == [expected[2], expected[0]]
    assert [each.refund.refund_id for each in await refunds(app, status=PENDING)] == [expected[1], expected[0]]
    found = await refunds(app, showtime_id=first, status=PENDING)
    assert [each.refund.refund_id for each in found] == [expected[0]]
    request = pb.ListRefundsRequest(page_size=2)
    page = await app.box_office.ListRefunds(request, metadata=await app.staff())
    request.page_token = page.next_page_token
    rest = await app.box_office.ListRefunds(request, metadata=await app.staff())
    assert [each.refund.refund_id for each in (*page.refunds, *rest.refunds)] == expected[::-1]
    assert await refunds(app, showtime_id="none") == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_security_log(app: App) -> None:
    """Who looked for whom, and who paid which refund and why; never the code of a ticket."""
    showtime_id = (await app.showtime()).showtime_id
    booking = await app.pay((await app.book(showtime_id, "A1", "A2")).booking_id)
    sold = await sell(app, showtime_id, "A3", "A4", tender=booking_pb2.TENDER_CASH)
    refund_id = (await void(app, sold.booking_id, 100)).refund.refund_id
    code = booking.tickets[0].code
    (line,) = await security_lines(find(app, ticket_code=code))
    assert line["event"] == "bookings looked up"
    assert (line["user_id"], line["by"], line["found"]) == (sold.user_id, "ticket_code", 1)
    assert line["customer_user_id"] == booking.user_id
    assert code not in repr(line)
    (line,) = await security_lines(find(app, showtime_id=showtime_id))
    assert (line["by"], line["showtime_id"], line["found"]) == ("showtime_id", showtime_id, 2)
    (line,) = await security_lines(settle(app, refund_id))
    assert (line["event"], line["refund_id"], line["booking_id"]) == (
        "refund settled by hand",
        refund_id,
        sold.booking_id,
    )
    assert (line["user_id"], line["customer_user_id"], line["reason"]) == (sold.user_id, sold.user_id, "from the till")
    (line,) = await security_lines(refunds(app, showtime_id=showtime_id))
    assert (line["event"], line["showtime_id"], line["found"]) == ("refunds listed", showtime_id, 1)
    (line,) = await security_lines(refunds(app, status=COMPLETED))
    assert (line["status"], "showtime_id" in line, line["found"]) == ("COMPLETED", False, 1)
