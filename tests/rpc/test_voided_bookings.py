"""VoidBooking over a real channel: any customer's seats, at the percent that staff decide."""

from datetime import timedelta

import grpc
import pytest
from cinema.v1 import booking_pb2 as pb

from tests.builders import NOW
from tests.rpc.app import App, moment
from tests.rpc.conftest import running
from tests.rpc.programme import MICROSECOND, RUNTIME
from tests.rpc.providers import Provider
from tests.rpc.refusals import refusal

Code = grpc.StatusCode
ACTIVE, CANCELLED = pb.BOOKED_SEAT_STATUS_ACTIVE, pb.BOOKED_SEAT_STATUS_CANCELLED
HOUR = timedelta(hours=1)


async def bought(app: App, *seats: str, price: int = 333) -> pb.Booking:
    """Buy seats of a new showtime, two days ahead."""
    return await app.pay((await app.book((await app.showtime(price=price)).showtime_id, *seats)).booking_id)


class TestPaidBookings:
    async def test_a_part_and_the_rest(self, app: App) -> None:
        """Each part at a percent of its own; the last one cancels the booking, with its reason."""
        await app.server.tasks.pay_refunds.stop()
        booking = await bought(app, "A1", "A2", "A3", price=1_000)
        kept = await app.void(booking.booking_id, "A3", "A2", percent=30, reason="spilled")
        assert kept.status == pb.BOOKING_STATUS_CONFIRMED
        assert [each.status for each in kept.seats] == [ACTIVE, CANCELLED, CANCELLED]
        assert [each.status for each in kept.tickets] == [
            pb.TICKET_STATUS_VALID,
            pb.TICKET_STATUS_VOID,
            pb.TICKET_STATUS_VOID,
        ]
        assert (kept.cancel_cause, kept.cancel_reason) == (pb.CANCEL_CAUSE_UNSPECIFIED, "")
        assert (kept.refund.amount.minor_units, kept.refund.percent, list(kept.refund.seats)) == (600, 30, ["A2", "A3"])
        assert await app.read(booking.booking_id) == kept
        assert await app.seat_states(booking.showtime_id) == {"A1": "SOLD"}
        await app.pass_time(HOUR)
        ended = await app.void(booking.booking_id, percent=100, reason=" a  leak ")
        assert (ended.status, ended.cancel_time) == (pb.BOOKING_STATUS_CANCELLED, moment(NOW + HOUR))
        assert (ended.cancel_cause, ended.cancel_reason) == (pb.CANCEL_CAUSE_STAFF, "a leak")
        assert [each.amount.minor_units for each in ended.refunds] == [600, 1_000]
        assert ended.total_price.minor_units == 3_000
        assert await app.read(booking.booking_id) == ended
        assert await app.seat_states(booking.showtime_id) == {}

    @pytest.mark.parametrize(("percent", "sums"), [(50, [167, 333, 500]), (33, [110, 220, 330]), (0, [0, 0, 0])])
    async def test_parts_pay_what_the_whole_would(self, app: App, percent: int, sums: list[int]) -> None:
        """A refund of nothing is COMPLETED."""
        booking = await bought(app, "A1", "A2", "A3")
        refunded = []
        for seat in ("A2", "A1", "A3"):
            voided = await app.void(booking.booking_id, seat, percent=percent)
            refunded.append(sum(each.amount.minor_units for each in voided.refunds))
            assert voided.refund.percent == percent
        assert refunded == sums
        if not percent:
            assert {each.status for each in voided.refunds} == {pb.REFUND_STATUS_COMPLETED}

    async def test_by_the_provider_or_by_hand(self, database_url: str) -> None:
        """What was charged online goes back the way it came; what was paid at the counter waits for staff."""
        provider = Provider()
        async with running(database_url, gateway=provider) as app:
            online = await bought(app, "A1", "A2")
            counter = await app.sell(online.showtime_id, "A3", "A4")
            for booking in (online, counter):
                await app.void(booking.booking_id, percent=50)
            while (await app.read(online.booking_id)).refund.status != pb.REFUND_STATUS_COMPLETED:
                app.server.tasks.pay_refunds.wake()
            assert provider.refunds == [333]
            assert (await app.read(counter.booking_id, by="staff")).refund.status == pb.REFUND_STATUS_PENDING

    async def test_until_the_end(self, app: App) -> None:
        """Also once the showtime has started, when a customer no longer can."""
        showtime_id = (await app.showtime(start=NOW + HOUR)).showtime_id
        booking = await app.pay((await app.book(showtime_id, "A1", "A2")).booking_id)
        await app.pass_time(HOUR + RUNTIME - MICROSECOND)
        assert (await refusal(app.cancel(booking.booking_id, "A1"))).reason == "BOOKING_NOT_CANCELLABLE"
        await app.void(booking.booking_id, "A1", percent=100)
        await app.pass_time(MICROSECOND)
        refused = await refusal(app.void(booking.booking_id, "A2", "Z9", percent=100))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SHOWTIME_ENDED")
        assert refused.metadata == {"showtime_id": showtime_id, "end_time": "2026-05-01T15:00:00Z"}


class TestHolds:
    async def test_they_lose_seats_without_a_refund(self, app: App) -> None:
        """Whatever the percent; never refused for the gap rule."""
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2", "A3")
        kept = await app.void(booking.booking_id, "A2", percent=100)
        assert (kept.status, kept.hold_expire_time) == (pb.BOOKING_STATUS_RESERVED, booking.hold_expire_time)
        assert await app.seat_states(booking.showtime_id) == {"A1": "HELD", "A3": "HELD"}
        ended = await app.void(booking.booking_id, percent=100, reason="a school class")
        assert (ended.status, ended.cancel_cause) == (pb.BOOKING_STATUS_CANCELLED, pb.CANCEL_CAUSE_STAFF)
        assert (ended.cancel_reason, len(ended.refunds)) == ("a school class", 0)
        assert await app.seat_states(booking.showtime_id) == {}

    async def test_while_it_is_being_paid(self, database_url: str) -> None:
        async with running(database_url, gateway=Provider(), shutdown_seconds=0) as app:
            booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
            assert (await refusal(app.pay(booking.booking_id, token="tok_lost"))).reason == "PAYMENT_UNAVAILABLE"
            for seats in ((), ("A2",)):
                refused = await refusal(app.void(booking.booking_id, *seats))
                assert (refused.code, refused.reason) == (Code.ABORTED, "PAYMENT_IN_PROGRESS")


class TestRefusals:
    async def test_seats_that_the_booking_does_not_keep(self, app: App) -> None:
        """All of them are named, and nothing is cancelled."""
        booking = await bought(app, "A1", "A2", "A3")
        voided = await app.void(booking.booking_id, "A2")
        refused = await refusal(app.void(booking.booking_id, "A1", "Z9", "A2", "B1"))
        assert (refused.code, refused.reason) == (Code.NOT_FOUND, "SEAT_NOT_FOUND")
        assert refused.metadata == {"booking_id": booking.booking_id, "seats": "A2,B1,Z9"}
        assert len((await app.read(booking.booking_id)).refunds) == len(voided.refunds)

    async def test_bookings_that_keep_no_seats(self, app: App) -> None:
        booking = await bought(app, "A1", "A2")
        await app.cancel(booking.booking_id)
        lapsed = await app.book(booking.showtime_id, "B1", "B2")
        app.clock.advance(timedelta(minutes=10))
        for each, status in ((booking, "CANCELLED"), (lapsed, "EXPIRED")):
            refused = await refusal(app.void(each.booking_id, "A1"))
            assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "BOOKING_NOT_CANCELLABLE")
            assert refused.metadata == {"booking_id": each.booking_id, "status": status}
        refused = await refusal(app.void("none"))
        assert (refused.reason, refused.metadata) == ("BOOKING_NOT_FOUND", {"booking_id": "none"})
