"""Refunds are paid, also after a crash. One that fails does not stop the others; one that always fails is given up."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.application import refunds
from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.application.retry_policy import LONGEST_PAUSE, MAXIMUM_TRIES
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import RefundStatus
from tests.application.desk import Desk
from tests.application.paying import GRACE


async def test_a_cancelled_booking_is_paid_back(desk: Desk) -> None:
    """PENDING when it is written down, COMPLETED when the provider has paid it; a lost answer is asked for again."""
    booking = await desk.pay(await desk.house.hold("A1", "A2"))
    cancelled = await desk.bookings.cancel("ada", booking.booking_id, None)
    assert cancelled.refund is not None
    assert cancelled.refund.status is RefundStatus.PENDING
    desk.provider.lost_answers = 1
    for expected in (RefundStatus.PENDING, RefundStatus.COMPLETED):
        await desk.refunds.run_pass()
        desk.house.clock.advance(GRACE)
        refund = (await desk.read(booking)).refund
        assert refund is not None
        assert refund.status is expected
    assert list(desk.provider.refunded.values()) == [Money("EUR", 2_500)]


async def test_one_that_hangs_does_not_hold_up_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one that fails in an unexpected way."""
    monkeypatch.setattr(refunds, "PROVIDER_SECONDS", 0.05)
    answers = iter([asyncio.sleep(3600), asyncio.to_thread(lambda: 1 / 0), asyncio.sleep(0)])
    monkeypatch.setattr(desk.provider, "refund", lambda *_: next(answers))
    for seat in ("A1", "A2", "A3"):
        booking = await desk.pay(await desk.house.hold(seat))
        await desk.bookings.cancel("ada", booking.booking_id, None)
    await desk.refunds.run_pass()
    statuses = sorted(row["status"] for row in await desk.house.rows("refund"))
    assert statuses == ["COMPLETED", "PENDING", "PENDING"]


async def test_one_that_fails_does_not_hold_up_the_others(desk: Desk) -> None:
    for seat in ("A1", "A2"):
        booking = await desk.pay(await desk.house.hold(seat))
        await desk.bookings.cancel("ada", booking.booking_id, None)
    desk.provider.lost_answers = 1
    await desk.refunds.run_pass()
    statuses = sorted(row["status"] for row in await desk.house.rows("refund"))
    assert statuses == ["COMPLETED", "PENDING"]


async def test_one_that_a_crash_left_owed_is_taken_up(desk: Desk) -> None:
    """By another process, after the grace; of two processes one takes it."""
    booking = await desk.pay(await desk.house.hold("A1"))
    await desk.bookings.cancel("ada", booking.booking_id, None)
    store = SqlPaymentStore(desk.house.database)
    others = [Refunds(store, desk.house.box_office, desk.provider, GRACE) for _ in range(2)]
    await asyncio.gather(*(each.run_pass() for each in others))
    assert desk.provider.refunded == {}
    desk.house.clock.advance(GRACE)
    desk.provider.lost_answers = 1
    await asyncio.gather(*(each.run_pass() for each in others))
    (row,) = await desk.house.rows("refund")
    assert (row["status"], row["tries"]) == ("PENDING", 1)
    desk.house.clock.advance(GRACE)
    await asyncio.gather(*(each.run_pass() for each in others))
    (row,) = await desk.house.rows("refund")
    assert (row["status"], row["tries"]) == ("COMPLETED", 2)
    assert list(desk.provider.refunded.values()) == [Money("EUR", 1_250)]


async def test_one_that_is_hopeless_is_given_up_loudly(desk: Desk) -> None:
    """After a day of growing pauses it is FAILED, and the log has what is needed to pay it by hand."""
    booking = await desk.pay(await desk.house.hold("A1"))
    await desk.bookings.cancel("ada", booking.booking_id, None)
    desk.provider.lost_answers = 10_000
    start = desk.house.clock.now()
    with capture_logs() as logged:
        while (await desk.read(booking)).refund.status is RefundStatus.PENDING:  # type: ignore[union-attr] # it has one
            await desk.refunds.run_pass()
            desk.house.clock.advance(timedelta(minutes=10))
    assert timedelta(hours=20) < desk.house.clock.now() - start < timedelta(hours=30)
    (row,) = await desk.house.rows("refund")
    assert (row["status"], row["tries"]) == ("FAILED", MAXIMUM_TRIES + 1)
    (error,) = (line for line in logged if line["log_level"] == "error")
    assert (error["refund_id"], error["amount"], error["booking_id"]) == (
        row["refund_id"],
        1_250,
        booking.booking_id,
    )
    desk.house.clock.advance(LONGEST_PAUSE * 10)
    calls = desk.provider.lost_answers
    await desk.refunds.run_pass()
    assert desk.provider.lost_answers == calls


async def test_a_repeat_of_the_call_does_not_ask_the_provider_again(desk: Desk) -> None:
    """The first call paid the refund; one that was given up is paid by hand, and not twice."""
    booking = await desk.pay(await desk.house.hold("A1"))
    owed: list[Booking] = []
    desk.bookings._refund_owed = owed.append
    once = Once(RequestKey("ada", "CancelBooking", "r9"), lambda: b"content", Booking)
    cancelled = await desk.bookings.cancel("ada", booking.booking_id, once)
    assert owed == [cancelled]
    assert await desk.bookings.cancel("ada", booking.booking_id, once) == cancelled
    assert owed == [cancelled]
