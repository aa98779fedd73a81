"""The BookingService over a real channel: holding, paying, quoting, cancelling and listing, by every rule."""

import gc
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_pb2 as pb
from cinema.v1 import booking_service_pb2 as service
from cinema.v1 import showtime_pb2, showtime_service_pb2

from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.transport.call import Call
from tests.builders import NOW
from tests.rpc.conftest import House, moment, refusal

START = NOW + timedelta(days=2)
TEN_MINUTES = timedelta(minutes=10)
MICROSECOND = timedelta(microseconds=1)


async def quote(house: House, booking_id: str) -> service.GetCancellationQuoteResponse:
    request = service.GetCancellationQuoteRequest(booking_id=booking_id)
    return await house.bookings.GetCancellationQuote(request, metadata=await house.customer())


class TestCreateBooking:
    async def test_a_hold(self, house: House) -> None:
        showtime = await house.showtime()
        booking = await house.book(showtime.showtime_id, "A2", "A1")
        assert booking.status == pb.BOOKING_STATUS_RESERVED
        assert [(each.seat, each.price.minor_units) for each in booking.seats] == [("A1", 1_250), ("A2", 1_250)]
        assert (booking.total_price.currency_code, booking.total_price.minor_units) == ("EUR", 2_500)
        assert booking.create_time == moment(NOW)
        assert booking.hold_expire_time == moment(NOW + TEN_MINUTES)
        assert not booking.HasField("confirm_time")
        assert not booking.HasField("refund")
        assert not booking.tickets
        assert await house.read(booking.booking_id) == booking
        assert await house.seat_states(showtime.showtime_id) == {"A1": "HELD", "A2": "HELD"}

    async def test_until_the_start_if_that_is_sooner(self, house: House) -> None:
        showtime = await house.showtime(start=NOW + timedelta(minutes=5))
        booking = await house.book(showtime.showtime_id, "A1", "A2")
        assert booking.hold_expire_time == showtime.start_time

    async def test_taken_seats_are_all_named(self, house: House) -> None:
        showtime = await house.showtime()
        await house.book(showtime.showtime_id, "A1", "A2", "B1", "B2")
        refused = await refusal(house.book(showtime.showtime_id, "B2", "A3", "A2", "A4", by="bob"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SEATS_UNAVAILABLE")
        assert refused.metadata == {"seats": "A2,B2"}
        assert "A2, B2" in refused.message
        assert refused.details["PreconditionFailure"].violations[0].type == "SEATS_UNAVAILABLE"

    async def test_gap(self, house: House) -> None:
        """REFUSE is the policy of a showtime that was made without one."""
        showtime = await house.showtime()
        assert showtime.seat_gap_policy == showtime_pb2.SEAT_GAP_POLICY_REFUSE
        refused = await refusal(house.book(showtime.showtime_id, "A1", "A3", "B3", "B5"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SINGLE_SEAT_GAP")
        assert refused.metadata == {"stranded_seats": "A2,B4"}

    async def test_gap_allowed(self, house: House) -> None:
        showtime = await house.showtime(policy=showtime_pb2.SEAT_GAP_POLICY_ALLOW)
        assert len((await house.book(showtime.showtime_id, "A1", "A3")).seats) == 2

    async def test_hold_limit(self, house: House) -> None:
        showtime = await house.showtime()
        await house.book(showtime.showtime_id, *(f"B{number}" for number in range(1, 9)))
        refused = await refusal(house.book(showtime.showtime_id, "A1", "A2", "A3"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "HOLD_LIMIT")
        assert refused.metadata == {"limit": "10", "held": "8", "requested": "3"}
        assert refused.details["QuotaFailure"].violations

    async def test_sales_close_at_the_start(self, house: House) -> None:
        showtime = await house.showtime(start=NOW + timedelta(minutes=30))
        house.clock.advance(timedelta(minutes=30) - MICROSECOND)
        await house.book(showtime.showtime_id, "A1", "A2")
        house.clock.advance(MICROSECOND)
        refused = await refusal(house.book(showtime.showtime_id, "A5", "A6"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SALES_CLOSED")

    async def test_order_of_checks(self, house: House) -> None:
        """Existence, then sales, then unknown seats, then taken ones, then the limit, then the gap."""
        showtime = await house.showtime(start=NOW + timedelta(minutes=30))
        await house.book(showtime.showtime_id, "A1", "A2", by="bob")
        await house.book(showtime.showtime_id, *(f"B{number}" for number in range(1, 9)))
        seats = ["Z9", "A1", "A4", "A7"]
        reasons = []
        for seat in ("Z9", "A1", "A7", None):
            reasons.append((await refusal(house.book(showtime.showtime_id, *seats))).reason)
            if seat is not None:
                seats.remove(seat)
                seats += ["A9"] if seat == "A1" else []
            if seat == "A7":
                seats.remove("A9")
        assert reasons == ["SEAT_NOT_FOUND", "SEATS_UNAVAILABLE", "HOLD_LIMIT", "SINGLE_SEAT_GAP"]
        assert (await refusal(house.book("nowhere", "Z9"))).reason == "SHOWTIME_NOT_FOUND"
        house.clock.advance(timedelta(minutes=30))
        assert (await refusal(house.book(showtime.showtime_id, "Z9", "A1"))).reason == "SALES_CLOSED"


def objects_of_refusals() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, SeatsUnavailable | grpc.aio.AbortError | Call)]


async def test_a_refusal_leaves_nothing_for_the_garbage_collector(house: House) -> None:
    """In a rush most are refused; what each of them left behind would stay in memory, and cost more than the answer."""
    showtime = await house.showtime()
    await house.book(showtime.showtime_id, "A1", "A2")
    gc.collect()
    gc.disable()
    try:
        before = len(objects_of_refusals())  # other tests keep the errors that they had raised
        for _ in range(20):
            await refusal(house.book(showtime.showtime_id, "A1", "A2", by="bob"))
        kept = len(objects_of_refusals()) - before
    finally:
        gc.enable()
    assert kept <= 3  # of the last call, which may not be quite over on the server's side


class TestLapsing:
    async def test_a_lapsed_hold_reads_expired_and_is_free(self, house: House) -> None:
        """At its end, to the microsecond, with the task that writes it down stopped."""
        await house.server.expire_holds.stop()
        showtime = await house.showtime()
        booking = await house.book(showtime.showtime_id, "A1", "A2")
        house.clock.advance(TEN_MINUTES - MICROSECOND)
        assert (await house.read(booking.booking_id)).status == pb.BOOKING_STATUS_RESERVED
        assert (await refusal(house.book(showtime.showtime_id, "A1", "A2", by="bob"))).reason == "SEATS_UNAVAILABLE"
        house.clock.advance(MICROSECOND)
        assert (await house.read(booking.booking_id)).status == pb.BOOKING_STATUS_EXPIRED
        assert await house.seat_states(showtime.showtime_id) == {}
        refused = await refusal(house.pay(booking.booking_id))
        assert refused.reason == "HOLD_EXPIRED"
        assert refused.metadata["hold_expire_time"] == "2026-05-01T12:10:00Z"
        await house.book(showtime.showtime_id, "A1", "A2", by="bob")
        assert (await house.read(booking.booking_id)).status == pb.BOOKING_STATUS_EXPIRED

    async def test_the_task_writes_it_down(self, house: House) -> None:
        """The revision shows it."""
        showtime = await house.showtime()
        await house.book(showtime.showtime_id, "A1", "A2")
        house.clock.advance(TEN_MINUTES)
        house.server.expire_holds.wake()
        request = showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime.showtime_id)
        while (await house.showtimes.GetShowtime(request)).showtime.revision < 2:
            house.server.expire_holds.wake()


class TestConfirmPayment:
    async def test_tickets(self, house: House) -> None:
        showtime = await house.showtime()
        booking = await house.book(showtime.showtime_id, "A1", "A2")
        house.clock.advance(timedelta(minutes=1))
        paid = await house.pay(booking.booking_id)
        assert paid.status == pb.BOOKING_STATUS_CONFIRMED
        assert paid.confirm_time == moment(NOW + timedelta(minutes=1))
        assert [(ticket.seat, ticket.status) for ticket in paid.tickets] == [
            ("A1", pb.TICKET_STATUS_VALID),
            ("A2", pb.TICKET_STATUS_VALID),
        ]
        assert {ticket.issue_time.ToDatetime() for ticket in paid.tickets} == {paid.confirm_time.ToDatetime()}
        assert await house.read(booking.booking_id) == paid
        assert await house.seat_states(showtime.showtime_id) == {"A1": "SOLD", "A2": "SOLD"}

    async def test_declined(self, house: House) -> None:
        booking = await house.book((await house.showtime()).showtime_id, "A1", "A2")
        refused = await refusal(house.pay(booking.booking_id, token="tok_declined"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PAYMENT_DECLINED")
        assert (await house.pay(booking.booking_id)).status == pb.BOOKING_STATUS_CONFIRMED

    async def test_what_is_not_reserved(self, house: House) -> None:
        showtime = await house.showtime()
        paid = await house.book(showtime.showtime_id, "A1", "A2")
        await house.pay(paid.booking_id)
        refused = await refusal(house.pay(paid.booking_id))
        assert (refused.reason, refused.metadata["status"]) == ("BOOKING_NOT_RESERVED", "CONFIRMED")
        await house.cancel(paid.booking_id)
        refused = await refusal(house.pay(paid.booking_id))
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
    async def test_refund_policy(self, house: House, before_start: timedelta, percent: int, amount: int) -> None:
        """The quote and the refund agree, at every boundary, and half a cent rounds up."""
        showtime = await house.showtime(price=333)
        booking = await house.book(showtime.showtime_id, "A1", "A2", "A3")
        await house.pay(booking.booking_id)
        await house.pass_time(timedelta(days=2) - before_start)
        quoted = await quote(house, booking.booking_id)
        assert (quoted.refund_percent, quoted.refund_amount.minor_units) == (percent, amount)
        cancelled = await house.cancel(booking.booking_id)
        assert cancelled.status == pb.BOOKING_STATUS_CANCELLED
        assert cancelled.cancel_time == moment(START - before_start)
        assert (cancelled.refund.percent, cancelled.refund.amount.minor_units) == (percent, amount)
        assert cancelled.refund.status == (pb.REFUND_STATUS_PENDING if amount else pb.REFUND_STATUS_COMPLETED)
        assert {ticket.status for ticket in cancelled.tickets} == {pb.TICKET_STATUS_VOID}
        assert await house.seat_states(showtime.showtime_id) == {}

    async def test_the_refund_is_carried_out(self, house: House) -> None:
        booking = await house.book((await house.showtime()).showtime_id, "A1", "A2")
        await house.pay(booking.booking_id)
        await house.cancel(booking.booking_id)
        while (await house.read(booking.booking_id)).refund.status != pb.REFUND_STATUS_COMPLETED:
            house.server.pay_refunds.wake()

    async def test_a_hold_costs_nothing(self, house: House) -> None:
        booking = await house.book((await house.showtime()).showtime_id, "A1", "A2")
        quoted = await quote(house, booking.booking_id)
        assert (quoted.refund_percent, quoted.refund_amount.minor_units) == (0, 0)
        assert quoted.refund_amount.currency_code == "EUR"
        assert quoted.valid_until_time == moment(NOW + TEN_MINUTES - MICROSECOND)
        cancelled = await house.cancel(booking.booking_id)
        assert cancelled.status == pb.BOOKING_STATUS_CANCELLED
        assert not cancelled.HasField("refund")

    async def test_what_is_not_cancellable(self, house: House) -> None:
        """Cancelled, expired, or from the start on: neither quoted nor cancelled."""
        showtime = await house.showtime(start=NOW + timedelta(minutes=30))
        cancelled = await house.book(showtime.showtime_id, "A1", "A2")
        await house.cancel(cancelled.booking_id)
        expired = await house.book(showtime.showtime_id, "A1", "A2")
        paid = await house.book(showtime.showtime_id, "B1", "B2")
        await house.pay(paid.booking_id)
        house.clock.advance(timedelta(minutes=30))
        for booking, status in ((cancelled, "CANCELLED"), (expired, "EXPIRED"), (paid, "CONFIRMED")):
            for call in (quote(house, booking.booking_id), house.cancel(booking.booking_id)):
                refused = await refusal(call)
                assert (refused.code, refused.reason) == (
                    grpc.StatusCode.FAILED_PRECONDITION,
                    "BOOKING_NOT_CANCELLABLE",
                )
                assert refused.metadata["status"] == status


class TestOwnership:
    async def test_another_customers_booking(self, house: House) -> None:
        """Refused before any look at its state; staff are nobody special here."""
        booking = await house.book((await house.showtime()).showtime_id, "A1", "A2")
        for by in ("bob", "staff"):
            for call in (
                house.read(booking.booking_id, by=by),
                house.pay(booking.booking_id, by=by),
                house.cancel(booking.booking_id, by=by),
            ):
                refused = await refusal(call)
                assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_BOOKING_OWNER")
                assert refused.metadata == {"booking_id": booking.booking_id}
        house.clock.advance(timedelta(minutes=10))
        assert (await refusal(house.pay(booking.booking_id, by="bob"))).reason == "NOT_BOOKING_OWNER"

    async def test_nobodys_booking(self, house: House) -> None:
        refused = await refusal(house.read("nothing"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "BOOKING_NOT_FOUND")
        assert refused.metadata == {"booking_id": "nothing"}
        assert refused.details["ResourceInfo"].resource_name == "nothing"


class TestListBookings:
    async def list(self, house: House, by: str = "ada", **fields: Any) -> service.ListBookingsResponse:
        request = service.ListBookingsRequest(**fields)
        return await house.bookings.ListBookings(request, metadata=await house.customer(by))

    async def test_own_ones_newest_first_in_pages(self, house: House) -> None:
        """Bookings made while paging do not repeat or skip any; page_size may change."""
        showtime = await house.showtime(rows=[("A", (200,))], policy=showtime_pb2.SEAT_GAP_POLICY_ALLOW)
        await house.book(showtime.showtime_id, "A200", by="bob")
        made = [(await house.book(showtime.showtime_id, f"A{number}")).booking_id for number in range(1, 8)]
        first = await self.list(house, page_size=3)
        await house.book(showtime.showtime_id, "A100")
        second = await self.list(house, page_size=2, page_token=first.next_page_token)
        third = await self.list(house, page_token=second.next_page_token)
        seen = [each.booking_id for page in (first, second, third) for each in page.bookings]
        assert seen == list(reversed(made))
        assert third.next_page_token == ""

    async def test_filters(self, house: House) -> None:
        """By showtime and by status, which reads as it is now: a lapsed hold is EXPIRED."""
        await house.server.expire_holds.stop()
        one, other = await house.showtime(), await house.showtime()
        lapsed = await house.book(one.showtime_id, "A1", "A2")
        paid = await house.book(one.showtime_id, "A3", "A4")
        await house.pay(paid.booking_id)
        house.clock.advance(TEN_MINUTES)
        held = await house.book(other.showtime_id, "A1", "A2")

        async def names(**fields: Any) -> list[str]:
            return [each.booking_id for each in (await self.list(house, **fields)).bookings]

        assert await names(showtime_id=one.showtime_id) == [paid.booking_id, lapsed.booking_id]
        assert await names(status=pb.BOOKING_STATUS_EXPIRED) == [lapsed.booking_id]
        assert await names(status=pb.BOOKING_STATUS_RESERVED) == [held.booking_id]
        assert await names(status=pb.BOOKING_STATUS_CONFIRMED, showtime_id=other.showtime_id) == []

    async def test_a_token_of_another_query(self, house: House) -> None:
        """Another filter, another caller, an altered one: malformed."""
        showtime = await house.showtime()
        for number in (1, 3):
            await house.book(showtime.showtime_id, f"A{number}", f"A{number + 1}")
        token = (await self.list(house, page_size=1)).next_page_token
        for call in (
            self.list(house, page_token=token, showtime_id=showtime.showtime_id),
            self.list(house, page_token=token, by="bob"),
            self.list(house, page_token=token[:-2] + "xx"),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
            assert refused.details["BadRequest"].field_violations[0].field == "page_token"
