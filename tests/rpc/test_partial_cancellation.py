"""Cancelling some seats of a booking over a real channel: quotes, refunds that add up, and what is left."""

from datetime import timedelta

import grpc
import pytest
from cinema.v1 import booking_pb2 as pb

from tests.builders import NOW
from tests.rpc.app import App, moment, new_id
from tests.rpc.conftest import running
from tests.rpc.providers import Provider
from tests.rpc.refusals import refusal

Code = grpc.StatusCode
ACTIVE, CANCELLED = pb.BOOKED_SEAT_STATUS_ACTIVE, pb.BOOKED_SEAT_STATUS_CANCELLED
DAY = timedelta(days=1)


async def bought(app: App, *seats: str, price: int = 333) -> pb.Booking:
    """Buy seats of a new showtime, two days ahead."""
    booking = await app.book((await app.showtime(price=price)).showtime_id, *seats)
    return await app.pay(booking.booking_id)


def seats_of(booking: pb.Booking) -> dict[str, int]:
    return {each.seat: each.status for each in booking.seats}


class TestPaidBookings:
    async def test_a_part_leaves_the_rest_as_it_is(self, app: App) -> None:
        """Its ticket is void and the seat is free; the total stays, and a later refund has only the rest."""
        await app.server.tasks.pay_refunds.stop()
        booking = await bought(app, "A1", "A2", "A3")
        app.clock.advance(timedelta(minutes=1))
        kept = await app.cancel(booking.booking_id, "A2")
        assert kept.status == pb.BOOKING_STATUS_CONFIRMED
        assert seats_of(kept) == {"A1": ACTIVE, "A2": CANCELLED, "A3": ACTIVE}
        assert kept.total_price.minor_units == 999
        assert {ticket.seat: ticket.status for ticket in kept.tickets} == {
            "A1": pb.TICKET_STATUS_VALID,
            "A2": pb.TICKET_STATUS_VOID,
            "A3": pb.TICKET_STATUS_VALID,
        }
        assert (kept.cancel_cause, kept.HasField("cancel_time")) == (pb.CANCEL_CAUSE_UNSPECIFIED, False)
        (refund,) = kept.refunds
        assert refund == kept.refund
        assert (refund.amount.minor_units, refund.percent, list(refund.seats)) == (333, 100, ["A2"])
        assert (refund.status, refund.create_time) == (pb.REFUND_STATUS_PENDING, moment(NOW + timedelta(minutes=1)))
        assert await app.read(booking.booking_id) == kept
        assert await app.seat_states(booking.showtime_id) == {"A1": "SOLD", "A3": "SOLD"}

        ended = await app.cancel(booking.booking_id)
        assert ended.status == pb.BOOKING_STATUS_CANCELLED
        assert (ended.cancel_cause, ended.cancel_reason) == (pb.CANCEL_CAUSE_CUSTOMER, "")
        assert set(seats_of(ended).values()) == {CANCELLED}
        assert [list(each.seats) for each in ended.refunds] == [["A2"], ["A1", "A3"]]
        assert ended.refunds[0] == refund
        assert ended.refund == ended.refunds[1]
        assert len({each.refund_id for each in ended.refunds}) == 2
        assert ended.refund.amount.minor_units == 666
        assert {ticket.status for ticket in ended.tickets} == {pb.TICKET_STATUS_VOID}

    async def test_the_last_seat_ends_it(self, app: App) -> None:
        booking = await bought(app, "A1", "A2")
        await app.cancel(booking.booking_id, "A1")
        ended = await app.cancel(booking.booking_id, "A2")
        assert (ended.status, ended.cancel_time) == (pb.BOOKING_STATUS_CANCELLED, moment(NOW))
        assert await app.seat_states(booking.showtime_id) == {}

    @pytest.mark.parametrize("order", [("A1", "A2", "A3"), ("A3", "A1", "A2")])
    async def test_parts_pay_what_the_whole_would(self, app: App, order: tuple[str, ...]) -> None:
        """Half of 333 is 166.5: after k seats, the refunds are half of k times 333, rounded once. Quotes agree."""
        booking = await bought(app, *sorted(order))
        await app.pass_time(DAY + timedelta(hours=1))
        assert (await app.quote(booking.booking_id)).refund_amount.minor_units == 500
        assert (await app.quote(booking.booking_id, "A1", "A2")).refund_amount.minor_units == 333
        sums = []
        for seat in order:
            quoted = await app.quote(booking.booking_id, seat)
            cancelled = await app.cancel(booking.booking_id, seat)
            assert (quoted.refund_percent, quoted.refund_amount) == (50, cancelled.refund.amount)
            sums.append(sum(each.amount.minor_units for each in cancelled.refunds))
        assert sums == [167, 333, 500]

    async def test_each_refund_is_carried_out(self, database_url: str) -> None:
        provider = Provider()
        async with running(database_url, gateway=provider) as app:
            booking = await bought(app, "A1", "A2", "A3")
            for seat in ("A1", "A2"):
                await app.cancel(booking.booking_id, seat)
            while {each.status for each in (await app.read(booking.booking_id)).refunds} != {
                pb.REFUND_STATUS_COMPLETED
            }:
                app.server.tasks.pay_refunds.wake()
        assert (provider.charges, provider.refunds) == ([999], [333, 333])

    async def test_a_freed_seat_can_be_sold_again(self, app: App) -> None:
        """To another, and even to the same customer; the first booking does not come back to it."""
        booking = await bought(app, "A1", "A2", "A3", "A4")
        await app.cancel(booking.booking_id, "A3", "A4")
        again = await app.book(booking.showtime_id, "A3", "A4", by="bob")
        refused = await refusal(app.cancel(booking.booking_id, "A3"))
        assert refused.reason == "SEAT_NOT_FOUND"
        await app.cancel(booking.booking_id)
        assert (await app.read(again.booking_id, by="bob")).status == pb.BOOKING_STATUS_RESERVED
        assert await app.seat_states(booking.showtime_id) == {"A3": "HELD", "A4": "HELD"}

    async def test_never_refused_for_the_gap_rule(self, app: App) -> None:
        booking = await bought(app, "A1", "A2", "A3")
        assert (await app.cancel(booking.booking_id, "A2")).status == pb.BOOKING_STATUS_CONFIRMED


class TestHolds:
    async def test_a_part_of_a_hold(self, app: App) -> None:
        """Nothing was paid, so nothing is refunded; the hold goes on with the rest, at its price."""
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2", "A3")
        kept = await app.cancel(booking.booking_id, "A2")
        assert (kept.status, kept.hold_expire_time) == (pb.BOOKING_STATUS_RESERVED, booking.hold_expire_time)
        assert [each.seat for each in kept.seats if each.status == ACTIVE] == ["A1", "A3"]
        assert not kept.refunds
        assert not kept.HasField("refund")
        assert await app.seat_states(booking.showtime_id) == {"A1": "HELD", "A3": "HELD"}
        quoted = await app.quote(booking.booking_id, "A1")
        assert (quoted.refund_percent, quoted.refund_amount.minor_units) == (0, 0)
        ended = await app.cancel(booking.booking_id, "A1", "A3")
        assert ended.status == pb.BOOKING_STATUS_CANCELLED
        assert await app.seat_states(booking.showtime_id) == {}

    async def test_only_the_rest_is_charged(self, database_url: str) -> None:
        provider = Provider()
        async with running(database_url, gateway=provider) as app:
            booking = await app.book((await app.showtime(price=1_000)).showtime_id, "A1", "A2", "A3")
            await app.cancel(booking.booking_id, "A3")
            paid = await app.pay(booking.booking_id)
            assert [ticket.seat for ticket in paid.tickets] == ["A1", "A2"]
        assert provider.charges == [2_000]


class TestRefusals:
    async def test_seats_that_the_booking_does_not_keep(self, app: App) -> None:
        """All of them are named, and nothing is cancelled."""
        booking = await bought(app, "A1", "A2", "A3")
        await app.cancel(booking.booking_id, "A2")
        for call in (
            app.cancel(booking.booking_id, "A1", "A2", "B1", "Z9"),
            app.quote(booking.booking_id, "A1", "A2", "B1", "Z9"),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (Code.NOT_FOUND, "SEAT_NOT_FOUND")
            assert refused.metadata == {"booking_id": booking.booking_id, "seats": "A2,B1,Z9"}
            assert "does not keep these seats: A2, B1, Z9" in refused.message
        assert len((await app.read(booking.booking_id)).refunds) == 1

    async def test_ownership_and_state_come_first(self, app: App) -> None:
        booking = await bought(app, "A1", "A2")
        for by in ("bob", "staff"):
            for call in (app.cancel(booking.booking_id, "Z9", by=by), app.quote(booking.booking_id, "Z9", by=by)):
                assert (await refusal(call)).reason == "NOT_BOOKING_OWNER"
        await app.cancel(booking.booking_id)
        for call in (app.cancel(booking.booking_id, "A1"), app.quote(booking.booking_id, "A1")):
            refused = await refusal(call)
            assert (refused.reason, refused.metadata["status"]) == ("BOOKING_NOT_CANCELLABLE", "CANCELLED")

    async def test_while_it_is_being_paid(self, database_url: str) -> None:
        provider = Provider()
        async with running(database_url, gateway=provider, shutdown_seconds=0) as app:
            booking = await app.book((await app.showtime()).showtime_id, "A1", "A2", "A3")
            paying = app.pay(booking.booking_id, token="tok_lost")
            assert (await refusal(paying)).reason == "PAYMENT_UNAVAILABLE"
            assert (await refusal(app.cancel(booking.booking_id, "A3"))).reason == "PAYMENT_IN_PROGRESS"

    async def test_from_the_start_on(self, app: App) -> None:
        booking = await bought(app, "A1", "A2")
        await app.pass_time(2 * DAY)
        refused = await refusal(app.cancel(booking.booking_id, "A1"))
        assert refused.reason == "BOOKING_NOT_CANCELLABLE"
        assert refused.metadata["start_time"] == "2026-05-03T12:00:00Z"


class TestRepeats:
    async def test_with_the_same_request_id(self, database_url: str) -> None:
        """The stored answer, also after a restart; other seats are another request."""
        request_id = new_id()
        async with running(database_url) as app:
            booking = await bought(app, "A1", "A2", "A3")
            first = await app.cancel(booking.booking_id, "A1", request_id=request_id)
            tokens = app.tokens
        async with running(database_url) as app:
            app.tokens |= tokens
            assert await app.cancel(booking.booking_id, "A1", request_id=request_id) == first
            for seats in (("A2",), ("A1", "A2"), ()):
                call = app.cancel(booking.booking_id, *seats, request_id=request_id)
                assert (await refusal(call)).reason == "REQUEST_ID_REUSED"
            read = await app.read(booking.booking_id)
            assert seats_of(read) == {"A1": CANCELLED, "A2": ACTIVE, "A3": ACTIVE}
