"""The gap rule at payment over a real channel: what is told, that it outlives a restart, and how a customer goes on."""

import grpc

from tests.rpc.conftest import new_id, refusal, running


async def test_a_hold_that_was_given_up_does_not_help_to_strand_a_seat(database_url: str) -> None:
    """A1, A2 and A3 in three bookings, and A2 given up: A3 can't be paid for, until A2 is taken again and paid for."""
    async with running(database_url) as app:
        showtime_id = (await app.showtime()).showtime_id
        first, middle, last = [await app.book(showtime_id, seat) for seat in ("A1", "A2", "A3")]
        await app.cancel(middle.booking_id)
        await app.pay(first.booking_id)
        clock, tokens = app.clock, app.tokens
    async with running(database_url, clock=clock) as app:  # what a booking relied on is in the database
        app.tokens.update(tokens)
        request_id = new_id()
        refused = await refusal(app.pay(last.booking_id, request_id=request_id))
        assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SINGLE_SEAT_GAP")
        assert refused.metadata == {"booking_id": last.booking_id, "stranded_seats": "A2"}
        assert "pay for A2 first, or cancel this booking" in refused.message
        assert refused.details["PreconditionFailure"].violations[0].subject == "A2"
        assert await app.read(last.booking_id) == last
        again = await app.book(showtime_id, "A2")
        await app.pay(again.booking_id)
        await app.pay(last.booking_id, request_id=request_id)  # the same call: refusals are not stored
        assert await app.seat_states(showtime_id) == dict.fromkeys(("A1", "A2", "A3"), "SOLD")
