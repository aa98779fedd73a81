"""CancelShowtime over a real channel: the preview, what becomes of the bookings, and what is refused afterwards."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import grpc
from cinema.v1 import booking_pb2 as pb
from cinema.v1 import box_office_service_pb2, showtime_pb2, showtime_service_pb2

from tests.builders import NOW
from tests.rpc.app import App, moment, new_id
from tests.rpc.conftest import running
from tests.rpc.programme import MICROSECOND, RUNTIME, TOMORROW, open_programme
from tests.rpc.providers import Provider
from tests.rpc.refusals import refusal

Code = grpc.StatusCode
HOUR = timedelta(hours=1)
REASON = "the projector is broken"


async def a_full_house(app: App) -> tuple[str, dict[str, pb.Booking]]:
    """Put a showtime on, at 999 a seat, with a booking in each state; return its identifier and the bookings."""
    await app.server.tasks.expire_holds.stop()
    showtime_id = (await app.showtime(price=999)).showtime_id
    bookings = {"expired": await app.book(showtime_id, "B7", "B8")}
    app.clock.advance(timedelta(minutes=10))
    given_up = await app.book(showtime_id, "B1", "B2")
    bookings["cancelled"] = await app.cancel(given_up.booking_id)
    bookings["paid"] = await app.pay((await app.book(showtime_id, "A1", "A2")).booking_id)
    part = await app.pay((await app.book(showtime_id, "A3", "A4", "A5", by="bob")).booking_id, by="bob")
    bookings["part"] = await app.void(part.booking_id, "A4", percent=50)
    bookings["held"] = await app.book(showtime_id, "B5", "B6", by="eve")
    bookings["sold"] = await app.sell(showtime_id, "A9", "A10")
    bookings["free"] = await app.sell(
        showtime_id, "B1", "B2", tender=pb.TENDER_COMPLIMENTARY, reason="a birthday", customer_user_id=part.user_id
    )
    return showtime_id, bookings


async def states(app: App, showtime_id: str) -> dict[str, pb.Booking]:
    """Read all bookings of a showtime, by identifier."""
    request = box_office_service_pb2.FindBookingsRequest(showtime_id=showtime_id)
    found = (await app.box_office.FindBookings(request, metadata=await app.staff())).bookings
    return {each.booking.booking_id: each.booking for each in found}


class TestPreview:
    async def test_the_impact(self, app: App) -> None:
        """Of bookings that keep seats; of those that are paid for, all that was not refunded yet."""
        showtime_id, _ = await a_full_house(app)
        answer = await app.cancel_showtime(showtime_id, validate_only=True)
        impact = answer.impact
        assert (impact.confirmed_bookings, impact.reserved_bookings, impact.payments_in_progress) == (4, 1, 0)
        assert (impact.seats, impact.redeemed_tickets) == (10, 0)
        refund_total = 2 * 999 + (3 * 999 - 500) + 2 * 999
        assert (impact.refund_total.currency_code, impact.refund_total.minor_units) == ("EUR", refund_total)
        assert answer.showtime.status == showtime_pb2.SHOWTIME_STATUS_SCHEDULED

    async def test_it_changes_nothing(self, app: App) -> None:
        """Neither the revision, nor a booking, nor what is listed; twice the same, also under one request_id."""
        showtime_id, _ = await a_full_house(app)
        before = await app.read_showtime(showtime_id), await states(app, showtime_id)
        request_id = new_id()
        previews = [await app.cancel_showtime(showtime_id, validate_only=True, request_id=request_id) for _ in range(2)]
        assert previews[0] == previews[1]
        assert previews[0].showtime == before[0]
        assert (await app.read_showtime(showtime_id), await states(app, showtime_id)) == before
        done = await app.cancel_showtime(showtime_id, request_id=request_id)
        assert done.showtime.status == showtime_pb2.SHOWTIME_STATUS_CANCELLED

    async def test_it_binds(self, app: App) -> None:
        """Executed with its revision, the cancellation has the impact that it showed."""
        showtime_id, _ = await a_full_house(app)
        await app.server.tasks.expire_holds._run_pass()  # writes down the hold that has lapsed
        preview = await app.cancel_showtime(showtime_id, validate_only=True)
        done = await app.cancel_showtime(showtime_id, expected_revision=preview.showtime.revision)
        assert done.impact == preview.impact
        assert done.showtime.revision == preview.showtime.revision + 1

    async def test_or_nothing_is_done(self, app: App) -> None:
        """After a booking, a payment, a change of blocks, or the lapse of a hold, written down or not."""
        await app.server.tasks.expire_holds.stop()
        showtime_id = (await app.showtime()).showtime_id
        booking = await app.book(showtime_id, "A1", "A2")
        other = await app.book(showtime_id, "A5", "A6", by="bob")
        for step in (
            lambda: app.book(showtime_id, "B1", "B2"),
            lambda: app.pay(booking.booking_id),
            lambda: app.block(showtime_id, "A10"),
            lambda: app.cancel(other.booking_id, "A6", by="bob"),
            lambda: app.pass_time(timedelta(minutes=10)),
        ):
            preview = await app.cancel_showtime(showtime_id, validate_only=True)
            await step()
            expected = preview.showtime.revision
            refused = await refusal(app.cancel_showtime(showtime_id, expected_revision=expected))
            assert (refused.code, refused.reason) == (Code.ABORTED, "SHOWTIME_CHANGED")
            assert refused.metadata["showtime_id"] == showtime_id
            assert int(refused.metadata["revision"]) >= expected
        assert (await app.read_showtime(showtime_id)).status == showtime_pb2.SHOWTIME_STATUS_SCHEDULED
        assert (await app.read(booking.booking_id)).status == pb.BOOKING_STATUS_CONFIRMED

    async def test_refusals(self, app: App) -> None:
        """Those of the cancellation itself."""
        refused = await refusal(app.cancel_showtime("none", validate_only=True))
        assert (refused.reason, refused.metadata) == ("SHOWTIME_NOT_FOUND", {"showtime_id": "none"})
        showtime_id = (await app.showtime()).showtime_id
        assert (await refusal(app.cancel_showtime(showtime_id, expected_revision=99, validate_only=True))).reason == (
            "SHOWTIME_CHANGED"
        )
        await app.cancel_showtime(showtime_id)
        ended = (await app.showtime(NOW + timedelta(hours=1))).showtime_id
        app.clock.advance(timedelta(hours=4))
        await app.sign_in("staff")
        assert (await refusal(app.cancel_showtime(ended, expected_revision=99))).reason == "SHOWTIME_ENDED"
        calls: list[Awaitable[Any]] = [
            app.cancel_showtime(showtime_id, validate_only=True),
            app.cancel_showtime(showtime_id),
            app.cancel_showtime(showtime_id, expected_revision=1),  # whose answer was lost, and which is repeated
            app.update_showtime(showtime_id, changes={"start_time": moment(NOW)}, expected_revision=1),
        ]
        for call in calls:
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SHOWTIME_CANCELLED")
            assert refused.metadata == {"showtime_id": showtime_id}


class TestCancelling:
    async def test_every_booking_that_keeps_seats(self, app: App) -> None:
        """Is CANCELLED because of the showtime; what was paid and not refunded yet is owed back."""
        await app.server.tasks.pay_refunds.stop()
        showtime_id, bookings = await a_full_house(app)
        app.clock.advance(timedelta(minutes=1))
        now = app.clock.now()
        await app.cancel_showtime(showtime_id, reason=" a  leak ")
        after = await states(app, showtime_id)
        owed = {"paid": 2 * 999, "part": 3 * 999 - 500, "sold": 2 * 999, "free": 0}
        for name in (*owed, "held"):
            booking = after[bookings[name].booking_id]
            assert (booking.status, booking.cancel_time) == (pb.BOOKING_STATUS_CANCELLED, moment(now)), name
            assert (booking.cancel_cause, booking.cancel_reason) == (pb.CANCEL_CAUSE_SHOWTIME, "a leak"), name
            assert {each.status for each in booking.seats} == {pb.BOOKED_SEAT_STATUS_CANCELLED}
            assert {each.status for each in booking.tickets} <= {pb.TICKET_STATUS_VOID}
        for name, amount in owed.items():
            refund = after[bookings[name].booking_id].refund
            assert (refund.amount.minor_units, refund.percent) == (amount, 100), name
            assert refund.status == (pb.REFUND_STATUS_PENDING if amount else pb.REFUND_STATUS_COMPLETED)
        part = after[bookings["part"].booking_id]
        assert [list(each.seats) for each in part.refunds] == [["A4"], ["A3", "A5"]]
        assert not after[bookings["held"].booking_id].refunds
        assert after[bookings["cancelled"].booking_id] == bookings["cancelled"]
        assert after[bookings["expired"].booking_id].status == pb.BOOKING_STATUS_EXPIRED

    async def test_what_is_paid_back(self, database_url: str) -> None:
        """By the provider what it has charged; at the counter it is for staff."""
        provider = Provider()
        async with running(database_url, gateway=provider) as app:
            showtime_id, _ = await a_full_house(app)
            await app.cancel_showtime(showtime_id)
            request = box_office_service_pb2.ListRefundsRequest(
                showtime_id=showtime_id, status=pb.REFUND_STATUS_PENDING
            )
            async with asyncio.timeout(30):
                while (
                    len(waiting := (await app.box_office.ListRefunds(request, metadata=await app.staff())).refunds) > 1
                ):
                    app.server.tasks.pay_refunds.wake()
            assert sorted(provider.refunds) == [500, 1_998, 2_497]
            assert waiting[0].sale.channel == pb.SALE_CHANNEL_COUNTER

    async def test_the_showtime(self, app: App) -> None:
        """It says when and why; its blocks are gone, and lists leave it out unless asked."""
        programme = await open_programme(app)
        showtime = await programme.create()
        other = await programme.create(TOMORROW + 2 * RUNTIME)
        await app.block(showtime.showtime_id, "A1")
        cancelled = (await app.cancel_showtime(showtime.showtime_id, reason=REASON)).showtime
        assert cancelled.status == showtime_pb2.SHOWTIME_STATUS_CANCELLED
        assert (cancelled.cancel_time, cancelled.cancel_reason) == (moment(NOW), REASON)
        assert await app.read_showtime(showtime.showtime_id) == cancelled
        assert await app.seat_states(showtime.showtime_id) == {}
        assert await programme.listed() == [other.showtime_id]
        both = [showtime.showtime_id, other.showtime_id]
        assert await programme.listed(include_cancelled=True) == both
        request = showtime_service_pb2.ListShowtimesRequest(include_cancelled=True)
        assert (await app.showtimes.ListShowtimes(request)).showtimes[0] == cancelled
        _, token = await programme.page(page_size=1, include_cancelled=True)
        assert (await refusal(programme.page(page_token=token))).fields == ["page_token"]

    async def test_the_auditorium_is_free_again(self, app: App) -> None:
        programme = await open_programme(app)
        showtime = await programme.create()
        assert (await refusal(programme.create())).reason == "SHOWTIME_OVERLAP"
        await app.cancel_showtime(showtime.showtime_id)
        assert (await programme.create()).start_time == showtime.start_time

    async def test_until_its_end(self, app: App) -> None:
        """Also while it is running, with a refund of 100%."""
        showtime = await app.showtime(start=NOW + HOUR)
        other = await app.showtime(start=NOW + HOUR)
        booking = await app.pay((await app.book(showtime.showtime_id, "A1", "A2")).booking_id)
        await app.pass_time(3 * HOUR - MICROSECOND)
        await app.cancel_showtime(showtime.showtime_id)
        refund = (await app.read(booking.booking_id)).refund
        assert (refund.percent, refund.amount.minor_units) == (100, 2_500)
        await app.pass_time(MICROSECOND)
        for validate_only in (True, False):
            refused = await refusal(app.cancel_showtime(other.showtime_id, validate_only=validate_only))
            assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SHOWTIME_ENDED")
            assert refused.metadata == {"showtime_id": other.showtime_id, "end_time": "2026-05-01T15:00:00Z"}


class TestAfterwards:
    async def test_claims_and_confirms(self, app: App) -> None:
        """Are refused, and so are changes; there is nothing left to cancel."""
        showtime_id = (await app.showtime()).showtime_id
        held = (await app.book(showtime_id, "A1", "A2")).booking_id
        await app.cancel_showtime(showtime_id)
        calls: list[Awaitable[Any]] = [
            app.book(showtime_id, "Z1"),
            app.pay(held),
            app.update_hold(held, "A3", "A4"),
            app.update_hold(held, extend=True),
            app.sell(showtime_id, "Z1"),
            app.block(showtime_id, "Z1"),
            app.update_showtime(showtime_id, changes={"seat_gap_policy": showtime_pb2.SEAT_GAP_POLICY_ALLOW}),
        ]
        for call in calls:
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SHOWTIME_CANCELLED")
            assert refused.metadata == {"showtime_id": showtime_id}
        calls = [app.cancel(held), app.quote(held), app.void(held)]
        for call in calls:
            refused = await refusal(call)
            assert (refused.reason, refused.metadata["status"]) == ("BOOKING_NOT_CANCELLABLE", "CANCELLED")

    async def test_a_charge_that_comes_too_late_after_a_move(self, database_url: str) -> None:
        """Names the end of the hold as it is after the move."""
        provider = Provider()
        async with running(database_url, gateway=provider) as app:
            showtime_id = (await app.showtime(NOW + timedelta(minutes=5))).showtime_id
            booking = await app.book(showtime_id, "A1", "A2")
            slow = asyncio.create_task(app.pay(booking.booking_id, token="tok_slow"))
            await provider.asked.wait()
            await app.update_showtime(showtime_id, changes={"start_time": moment(NOW + timedelta(hours=1))})
            app.clock.advance(timedelta(minutes=10))
            provider.answer.set()
            refused = await refusal(slow)
            assert (refused.reason, refused.metadata["charged"]) == ("HOLD_EXPIRED", "true")
            end = (await app.read(booking.booking_id)).hold_expire_time
            assert end == moment(NOW + timedelta(minutes=10))
            assert refused.metadata["hold_expire_time"] == end.ToJsonString()

    async def test_a_charge_that_comes_through_later(self, database_url: str) -> None:
        """Is refunded in full; the impact counts the payment that is under way."""
        provider = Provider()
        async with running(database_url, gateway=provider) as app:
            showtime_id = (await app.showtime()).showtime_id
            booking = await app.book(showtime_id, "A1", "A2")
            slow = asyncio.create_task(app.pay(booking.booking_id, token="tok_slow"))
            await provider.asked.wait()
            done = await app.cancel_showtime(showtime_id)
            assert (done.impact.reserved_bookings, done.impact.payments_in_progress) == (1, 1)
            assert done.impact.refund_total.minor_units == 0
            provider.answer.set()
            refused = await refusal(slow)
            assert (refused.reason, refused.metadata["charged"]) == ("SHOWTIME_CANCELLED", "true")
            read = await app.read(booking.booking_id)
            assert (read.status, read.cancel_cause) == (pb.BOOKING_STATUS_CANCELLED, pb.CANCEL_CAUSE_SHOWTIME)
            assert (read.refund.percent, read.refund.amount.minor_units) == (100, 2_500)
            async with asyncio.timeout(30):
                while provider.refunds != [2_500]:
                    app.server.tasks.pay_refunds.wake()
                    await asyncio.sleep(0.01)


async def test_claims_while_it_is_cancelled(app: App) -> None:
    """Each booking is either cancelled with the showtime, or refused: none keeps its seats."""
    showtime_id = (await app.showtime()).showtime_id
    names = [f"customer-{number}" for number in range(9)]
    for name in names:
        await app.customer(name)
    seats = [(f"A{number}", f"A{number + 1}") for number in (1, 3, 5, 7, 9)]
    seats += [(f"B{number}", f"B{number + 1}") for number in (1, 3, 5, 7)]
    calls = [app.book(showtime_id, *pair, by=name) for pair, name in zip(seats, names, strict=True)]
    outcomes = await asyncio.gather(*calls[:5], app.cancel_showtime(showtime_id), *calls[5:], return_exceptions=True)
    after = await states(app, showtime_id)
    made = [each.booking_id for each in outcomes if isinstance(each, pb.Booking)]
    assert sorted(after) == sorted(made)
    assert {each.status for each in after.values()} <= {pb.BOOKING_STATUS_CANCELLED}
    assert (await refusal(app.book(showtime_id, "A1", "A2"))).reason == "SHOWTIME_CANCELLED"
    assert await app.seat_states(showtime_id) == {}
