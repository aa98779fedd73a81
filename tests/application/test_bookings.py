"""What customers do with bookings whose showtimes are no longer cached."""

import pytest

from cinema_grpc.application import bookings
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.claims import Selection
from tests.application.commands import decode, encode
from tests.application.sales import Sales


async def test_the_showtime_of_a_booking_that_is_not_cached_is_looked_up(
    sales: Sales, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bookings, "CACHED_SHOWTIME_IDS", 2)
    places = [(at, seat) for at in ("s1", "s2") for seat in ("A1", "A3", "A5")]
    held = [decode(await sales.bookings.create("ada", at, Selection([seat]), None, encode)) for at, seat in places]
    assert len(sales.bookings._showtime_ids | sales.bookings._older_showtime_ids) == 2
    cancelled = [await sales.cancel(each) for each in held]
    assert [each.showtime_id for each in cancelled] == ["s1"] * 3 + ["s2"] * 3
    assert {each.status for each in cancelled} == {BookingStatus.CANCELLED}
