"""The BookingService over a real channel: holding, paying, quoting, cancelling and listing, by every rule."""

import asyncio
import gc
from datetime import timedelta

import grpc
import pytest
from cinema.v1 import booking_pb2 as pb
from cinema.v1 import booking_service_pb2 as service
from cinema.v1 import showtime_pb2, showtime_service_pb2

from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.transport.call import Call
from tests.builders import NOW
from tests.rpc.conftest import DEADLINE, App, moment, refusal

START = NOW + timedelta(days=2)
TEN_MINUTES = timedelta(minutes=10)
MICROSECOND = timedelta(microseconds=1)


async def quote(app: App, booking_id: str) -> service.GetCancellationQuoteResponse:
    request = service.GetCancellationQuoteRequest(booking_id=booking_id)
    return await app.bookings.GetCancellationQuote(request, metadata=await app.customer())


class TestCreateBooking:
    async def test_a_hold(self, app: App) -> None:
        showtime = await app.showtime()
        booking = await app.book(showtime.showtime_id, "A2", "A1")
        assert booking.status == pb.BOOKING_STATUS_RESERVED
        assert [(each.seat, each.price.minor_units) for each in booking.seats] == [("A1", 1_250), ("A2", 1_250)]
        assert (booking.total_price.currency_code, booking.total_price.minor_units) == ("EUR", 2_500)
        assert booking.create_time == moment(NOW)
        assert booking.hold_expire_time == moment(NOW + TEN_MINUTES)
        assert not booking.HasField("confirm_time")
        assert not booking.HasField("refund")
        assert not booking.tickets
        assert await app.read(booking.booking_id) == booking
        assert await app.seat_states(showtime.showtime_id) == {"A1": "HELD", "A2": "HELD"}

    async def test_until_the_start_if_that_is_sooner(self, app: App) -> None:
        showtime = await app.showtime(start=NOW + timedelta(minutes=5))
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        assert booking.hold_expire_time == showtime.start_time

    async def test_taken_seats_are_all_named(self, app: App) -> None:
        showtime = await app.showtime()
        await app.book(showtime.showtime_id, "A1", "A2", "B1", "B2")
        refused = await refusal(app.book(showtime.showtime_id, "B2", "A3", "A2", "A4", by="bob"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SEATS_UNAVAILABLE")
        assert refused.metadata == {"seats": "A2,B2"}
        assert "A2, B2" in refused.message
        assert refused.details["PreconditionFailure"].violations[0].type == "SEATS_UNAVAILABLE"

    async def test_gap(self, app: App) -> None:
        """REFUSE is the policy of a showtime that was made without one."""
        showtime = await app.showtime()
        assert showtime.seat_gap_policy == showtime_pb2.SEAT_GAP_POLICY_REFUSE
        refused = await refusal(app.book(showtime.showtime_id, "A1", "A3", "B3", "B5"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SINGLE_SEAT_GAP")
        assert refused.metadata == {"stranded_seats": "A2,B4"}

    async def test_gap_allowed(self, app: App) -> None:
        showtime = await app.showtime(policy=showtime_pb2.SEAT_GAP_POLICY_ALLOW)
        assert len((await app.book(showtime.showtime_id, "A1", "A3")).seats) == 2

    async def test_hold_limit(self, app: App) -> None:
        showtime = await app.showtime()
        await app.book(showtime.showtime_id, *(f"B{number}" for number in range(1, 9)))
        refused = await refusal(app.book(showtime.showtime_id, "A1", "A2", "A3"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "HOLD_LIMIT")
        assert refused.metadata == {"limit": "10", "held": "8", "requested": "3"}
        assert refused.details["QuotaFailure"].violations

    async def test_sales_close_at_the_start(self, app: App) -> None:
        showtime = await app.showtime(start=NOW + timedelta(minutes=30))
        app.clock.advance(timedelta(minutes=30) - MICROSECOND)
        await app.book(showtime.showtime_id, "A1", "A2")
        app.clock.advance(MICROSECOND)
        refused = await refusal(app.book(showtime.showtime_id, "A5", "A6"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SALES_CLOSED")

    async def test_order_of_checks(self, app: App) -> None:
        """Existence, then sales, then unknown seats, then taken ones, then the limit, then the gap."""
        showtime = await app.showtime(start=NOW + timedelta(minutes=30))
        await app.book(showtime.showtime_id, "A1", "A2", by="bob")
        await app.book(showtime.showtime_id, *(f"B{number}" for number in range(1, 9)))
        seats = ["Z9", "A1", "A4", "A7"]
        reasons = []
        for seat in ("Z9", "A1", "A7", None):
            reasons.append((await refusal(app.book(showtime.showtime_id, *seats))).reason)
            if seat is not None:
                seats.remove(seat)
                seats += ["A9"] if seat == "A1" else []
            if seat == "A7":
                seats.remove("A9")
        assert reasons == ["SEAT_NOT_FOUND", "SEATS_UNAVAILABLE", "HOLD_LIMIT", "SINGLE_SEAT_GAP"]
        assert (await refusal(app.book("nowhere", "Z9"))).reason == "SHOWTIME_NOT_FOUND"
        app.clock.advance(timedelta(minutes=30))
        assert (await refusal(app.book(showtime.showtime_id, "Z9", "A1"))).reason == "SALES_CLOSED"


def objects_of_refusals() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, SeatsUnavailable | grpc.aio.AbortError | Call)]


async def test_a_refusal_leaves_nothing_for_the_garbage_collector(app: App) -> None:
    """In a rush most are refused; what each of them left behind would stay in memory, and cost more than the answer."""
    showtime = await app.showtime()
    await app.book(showtime.showtime_id, "A1", "A2")
    gc.collect()
    gc.disable()
    try:
        before = len(objects_of_refusals())  # other tests keep the errors that they had raised
        for _ in range(20):
            await refusal(app.book(showtime.showtime_id, "A1", "A2", by="bob"))
        kept = len(objects_of_refusals()) - before
    finally:
        gc.enable()
    assert kept < 10  # of the last call or two, which may not be quite over on the server's side


class TestLapsing:
    async def test_a_lapsed_hold_reads_expired_and_is_free(self, app: App) -> None:
        """At its end, to the microsecond, with the task that writes it down stopped."""
        await app.server.tasks.expire_holds.stop()
        showtime = await app.showtime()
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        app.clock.advance(TEN_MINUTES - MICROSECOND)
        assert (await app.read(booking.booking_id)).status == pb.BOOKING_STATUS_RESERVED
        assert (await refusal(app.book(showtime.showtime_id, "A1", "A2", by="bob"))).reason == "SEATS_UNAVAILABLE"
        app.clock.advance(MICROSECOND)
        assert (await app.read(booking.booking_id)).status == pb.BOOKING_STATUS_EXPIRED
        assert await app.seat_states(showtime.showtime_id) == {}
        refused = await refusal(app.pay(booking.booking_id))
        assert refused.reason == "HOLD_EXPIRED"
        assert refused.metadata["hold_expire_time"] == "2026-05-01T12:10:00Z"
        await app.book(showtime.showtime_id, "A1", "A2", by="bob")
        assert (await app.read(booking.booking_id)).status == pb.BOOKING_STATUS_EXPIRED

    async def test_the_task_writes_it_down(self, app: App) -> None:
        """The revision shows it."""
        showtime = await app.showtime()
        await app.book(showtime.showtime_id, "A1", "A2")
        app.clock.advance(TEN_MINUTES)
        app.server.tasks.expire_holds.wake()
        request = showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime.showtime_id)
        async with asyncio.timeout(DEADLINE):
            while (await app.showtimes.GetShowtime(request)).showtime.revision < 3:
                app.server.tasks.expire_holds.wake()


class TestConfirmPayment:
    async def test_tickets(self, app: App) -> None:
        showtime = await app.showtime()
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        app.clock.advance(timedelta(minutes=1))
        paid = await app.pay(booking.booking_id)
        assert paid.status == pb.BOOKING_STATUS_CONFIRMED
        assert paid.confirm_time == moment(NOW + timedelta(minutes=1))
        assert [(ticket.seat, ticket.status) for ticket in paid.tickets] == [
            ("A1", pb.TICKET_STATUS_VALID),
            ("A2", pb.TICKET_STATUS_VALID),
        ]
        assert {ticket.issue_time.ToDatetime() for ticket in paid.tickets} == {paid.confirm_time.ToDatetime()}
        assert await app.read(booking.booking_id) == paid
        assert await app.seat_states(showtime.showtime_id) == {"A1": "SOLD", "A2": "SOLD"}

    async def test_declined(self, app: App) -> None:
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        refused = await refusal(app.pay(booking.booking_id, token="tok_declined"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PAYMENT_DECLINED")
        assert (await app.pay(booking.booking_id)).status == pb.BOOKING_STATUS_CONFIRMED

    async def test_what_is_not_reserved(self, app: App) -> None:
        showtime = await app.showtime()
        paid = await app.book(showtime.showtime_id, "A1", "A2")
        await app.pay(paid.booking_id)
        refused = await refusal(app.pay(paid.booking_id))
        assert (refused.reason, refused.metadata["status"]) == ("BOOKING_NOT_RESERVED", "CONFIRMED")
        await app.cancel(paid.booking_id)
        refused = await refusal(app.pay(paid.booking_id))
        assert (refused.reason, refused.metadata["status"]) == ("BOOKING_NOT_RESERVED", "CANCELLED")


class TestCancelling:
    @pytest.mark.parametrize(
        ("before_start", "percent", "amount"),
        [
            (timedelta(hours=24), 100, 999),
            (timedelta(hours=24) - MICROSECOND, 50, 500),
            (timedelta(hours=12), 50, 500),
            (timedelta(hours=12) - MICROSECOND, 0, 0),
            (MICROSECOND, 0, 0),
        ],
    )
    async def test_refund_policy(self, app: App, before_start: timedelta, percent: int, amount: int) -> None:
        """The quote and the refund agree, at every boundary, and half a cent rounds up."""
        showtime = await app.showtime(price=333)
        booking = await app.book(showtime.showtime_id, "A1", "A2", "A3")
        await app.pay(booking.booking_id)
        await app.pass_time(timedelta(days=2) - before_start)
        quoted = await quote(app, booking.booking_id)
        assert (quoted.refund_percent, quoted.refund_amount.minor_units) == (percent, amount)
        cancelled = await app.cancel(booking.booking_id)
        assert cancelled.status == pb.BOOKING_STATUS_CANCELLED
        assert cancelled.cancel_time == moment(START - before_start)
        assert (cancelled.refund.percent, cancelled.refund.amount.minor_units) == (percent, amount)
        assert cancelled.refund.status == (pb.REFUND_STATUS_PENDING if amount else pb.REFUND_STATUS_COMPLETED)
        assert {ticket.status for ticket in cancelled.tickets} == {pb.TICKET_STATUS_VOID}
        assert await app.seat_states(showtime.showtime_id) == {}

    async def test_the_refund_is_carried_out(self, app: App) -> None:
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        await app.pay(booking.booking_id)
        await app.cancel(booking.booking_id)
        while (await app.read(booking.booking_id)).refund.status != pb.REFUND_STATUS_COMPLETED:
            app.server.tasks.pay_refunds.wake()

    async def test_a_hold_costs_nothing(self, app: App) -> None:
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        quoted = await quote(app, booking.booking_id)
        assert (quoted.refund_percent, quoted.refund_amount.minor_units) == (0, 0)
        assert quoted.refund_amount.currency_code == "EUR"
        assert quoted.valid_until_time == moment(NOW + TEN_MINUTES - MICROSECOND)
        cancelled = await app.cancel(booking.booking_id)
        assert cancelled.status == pb.BOOKING_STATUS_CANCELLED
        assert not cancelled.HasField("refund")

    async def test_what_is_not_cancellable(self, app: App) -> None:
        """Cancelled, expired, or from the start on: neither quoted nor cancelled."""
        showtime = await app.showtime(start=NOW + timedelta(minutes=30))
        cancelled = await app.book(showtime.showtime_id, "A1", "A2")
        await app.cancel(cancelled.booking_id)
        expired = await app.book(showtime.showtime_id, "A1", "A2")
        paid = await app.book(showtime.showtime_id, "B1", "B2")
        await app.pay(paid.booking_id)
        app.clock.advance(timedelta(minutes=30))
        for booking, status in ((cancelled, "CANCELLED"), (expired, "EXPIRED"), (paid, "CONFIRMED")):
            for call in (quote(app, booking.booking_id), app.cancel(booking.booking_id)):
                refused = await refusal(call)
                assert (refused.code, refused.reason) == (
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "BOOKING_NOT_CANCELLABLE",
                )
                assert refused.metadata["status"] == status


class TestOwnership:
    async def test_another_customers_booking(self, app: App) -> None:
        """Refused before its state is looked at, to staff too."""
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        for by in ("bob", "staff"):
            for call in (
                app.read(booking.booking_id, by=by),
                app.pay(booking.booking_id, by=by),
                app.cancel(booking.booking_id, by=by),
            ):
                refused = await refusal(call)
                assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_BOOKING_OWNER")
                assert refused.metadata == {"booking_id": booking.booking_id}
        app.clock.advance(timedelta(minutes=10))
        assert (await refusal(app.pay(booking.booking_id, by="bob"))).reason == "NOT_BOOKING_OWNER"

    async def test_an_unknown_booking(self, app: App) -> None:
        refused = await refusal(app.read("nothing"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "BOOKING_NOT_FOUND")
        assert refused.metadata == {"booking_id": "nothing"}
        assert refused.details["ResourceInfo"].resource_name == "nothing"
