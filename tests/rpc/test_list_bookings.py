"""ListBookings: a customer's own bookings, newest first."""

from datetime import timedelta
from typing import Any

import grpc
from cinema.v1 import booking_pb2 as pb
from cinema.v1 import booking_service_pb2 as service
from cinema.v1 import showtime_pb2

from tests.rpc.conftest import App, refusal

TEN_MINUTES = timedelta(minutes=10)


class TestListBookings:
    async def list(self, app: App, by: str = "ada", **fields: Any) -> service.ListBookingsResponse:
        request = service.ListBookingsRequest(**fields)
        return await app.bookings.ListBookings(request, metadata=await app.customer(by))

    async def test_own_ones_newest_first_in_pages(self, app: App) -> None:
        """Bookings made while paging do not repeat or skip any; page_size may change."""
        showtime = await app.showtime(rows=[("A", (200,))], policy=showtime_pb2.SEAT_GAP_POLICY_ALLOW)
        await app.book(showtime.showtime_id, "A200", by="bob")
        made = [(await app.book(showtime.showtime_id, f"A{number}")).booking_id for number in range(1, 8)]
        first = await self.list(app, page_size=3)
        await app.book(showtime.showtime_id, "A100")
        second = await self.list(app, page_size=2, page_token=first.next_page_token)
        third = await self.list(app, page_token=second.next_page_token)
        seen = [each.booking_id for page in (first, second, third) for each in page.bookings]
        assert seen == list(reversed(made))
        assert third.next_page_token == ""

    async def test_filters(self, app: App) -> None:
        """By showtime and by status, which reads as it is now: a lapsed hold is EXPIRED."""
        await app.server.tasks.expire_holds.stop()
        one, other = await app.showtime(), await app.showtime()
        lapsed = await app.book(one.showtime_id, "A1", "A2")
        paid = await app.book(one.showtime_id, "A3", "A4")
        await app.pay(paid.booking_id)
        app.clock.advance(TEN_MINUTES)
        held = await app.book(other.showtime_id, "A1", "A2")

        async def names(**fields: Any) -> list[str]:
            return [each.booking_id for each in (await self.list(app, **fields)).bookings]

        assert await names(showtime_id=one.showtime_id) == [paid.booking_id, lapsed.booking_id]
        assert await names(status=pb.BOOKING_STATUS_EXPIRED) == [lapsed.booking_id]
        assert await names(status=pb.BOOKING_STATUS_RESERVED) == [held.booking_id]
        assert await names(status=pb.BOOKING_STATUS_CONFIRMED, showtime_id=other.showtime_id) == []

    async def test_a_token_of_another_query(self, app: App) -> None:
        """Another filter, another caller, an altered one: malformed."""
        showtime = await app.showtime()
        for number in (1, 3):
            await app.book(showtime.showtime_id, f"A{number}", f"A{number + 1}")
        token = (await self.list(app, page_size=1)).next_page_token
        for call in (
            self.list(app, page_token=token, showtime_id=showtime.showtime_id),
            self.list(app, page_token=token, by="bob"),
            self.list(app, page_token=token[:-2] + "xx"),
        ):
            refused = await refusal(call)
            assert (refused.code, refused.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
            assert refused.details["BadRequest"].field_violations[0].field == "page_token"
