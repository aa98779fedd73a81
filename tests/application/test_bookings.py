"""What customers do with bookings of which the server remembers less than it made."""

import pytest

from cinema_grpc.application import bookings
from cinema_grpc.domain.booking import BookingStatus
from tests.application.desk import Desk


async def test_a_booking_that_is_not_at_hand_is_looked_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookings, "BOOKINGS_AT_HAND", 2)
    held = [await desk.bookings.create("ada", at, [seat], None) for at in ("s1", "s2") for seat in ("A1", "A3", "A5")]
    assert len(desk.bookings._showtime_ids | desk.bookings._older_showtime_ids) == 2
    cancelled = [await desk.bookings.cancel("ada", each.booking_id, None) for each in held]
    assert [each.showtime_id for each in cancelled] == ["s1"] * 3 + ["s2"] * 3
    assert {each.status for each in cancelled} == {BookingStatus.CANCELLED}
