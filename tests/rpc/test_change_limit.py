"""The limit on a customer's changes, over a real channel."""

import grpc
from cinema.v1 import auth_service_pb2, booking_service_pb2

from cinema_grpc.transport.contract import CHANGING
from tests.rpc.conftest import METHODS, new_id, refusal, running


def test_what_counts_as_a_change() -> None:
    """All methods that may change something, except those of the AuthService, which have limits of their own."""
    changing = {name for name, method in METHODS.items() if method.GetOptions().idempotency_level != 1}
    assert {name for name in changing if "AuthService" not in name} == CHANGING


async def test_a_customer_who_changes_too_much_waits(database_url: str) -> None:
    """Every change counts, repeats too; reads do not, other customers are not affected, and staff have no limit."""
    async with running(database_url, changes_per_minute=3) as app:
        showtime = await app.showtime()  # four changes, by staff
        request_id = new_id()
        held = await app.book(showtime.showtime_id, "A1", "A2", request_id=request_id)
        await app.pay(held.booking_id)
        await app.cancel(held.booking_id)
        for change in (
            app.book(showtime.showtime_id, "B1", "B2"),
            app.book(showtime.showtime_id, "A1", "A2", request_id=request_id),
            app.pay(held.booking_id),
            app.cancel(held.booking_id),
        ):
            refused = await refusal(change)
            assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_ATTEMPTS")
            assert refused.metadata["changes_per_minute"] == "3"
            seconds = int(refused.metadata["retry_after_seconds"])
            assert 1 <= seconds <= 20
            assert refused.details["RetryInfo"].retry_delay.seconds == seconds
            assert refused.details["QuotaFailure"].violations[0].quota_value == 3
        assert (await app.read(held.booking_id)).booking_id == held.booking_id
        listing = booking_service_pb2.ListBookingsRequest()
        assert (await app.bookings.ListBookings(listing, metadata=await app.customer())).bookings
        await app.auth.GetCurrentUser(auth_service_pb2.GetCurrentUserRequest(), metadata=await app.customer())
        await app.book(showtime.showtime_id, "B1", "B2", by="bob")
        await app.showtime()


async def test_without_a_limit_none_waits(database_url: str) -> None:
    async with running(database_url, changes_per_minute=0) as app:
        showtime = await app.showtime()
        held = await app.book(showtime.showtime_id, "A1", "A2")
        for _ in range(130):
            assert (await refusal(app.pay(held.booking_id, token="tok_declined"))).reason == "PAYMENT_DECLINED"
