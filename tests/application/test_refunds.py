"""Refunds are paid, also after a crash. One that fails does not stop the others; one that always fails is given up."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.application import refunds
from cinema_grpc.application.payment_ports import RefundState
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.application.retry_policy import LONGEST_PAUSE, MAX_TRIES
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import RefundStatus
from tests.application.commands import idempotent_call
from tests.application.paying import GRACE
from tests.application.sales import Sales

PAID = RefundState(RefundStatus.COMPLETED)


async def test_a_cancelled_booking_is_paid_back(sales: Sales) -> None:
    """PENDING when it is written down, COMPLETED when the provider has paid it; a lost answer is asked for again."""
    booking = await sales.pay(await sales.app.hold("A1", "A2"))
    cancelled = await sales.cancel(booking)
    assert cancelled.refund is not None
    assert cancelled.refund.status is RefundStatus.PENDING
    sales.provider.lost_answers = 1
    for expected in (RefundStatus.PENDING, RefundStatus.COMPLETED):
        await sales.refunds.run_pass()
        sales.app.clock.advance(GRACE)
        refund = (await sales.read(booking)).refund
        assert refund is not None
        assert refund.status is expected
    assert list(sales.provider.refunded.values()) == [Money("EUR", 2_500)]


async def test_a_refund_that_hangs_does_not_hold_up_the_others(sales: Sales, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one that fails in an unexpected way."""
    monkeypatch.setattr(refunds, "PROVIDER_SECONDS", 1)
    answers: Iterator[Any] = iter([asyncio.sleep(3600), asyncio.to_thread(lambda: 1 / 0), asyncio.sleep(0, PAID)])
    monkeypatch.setattr(sales.provider, "refund", lambda *_: next(answers))
    for seat in ("A1", "A2", "A3"):
        booking = await sales.pay(await sales.app.hold(seat))
        await sales.cancel(booking)
    await sales.refunds.run_pass()
    statuses = sorted(row["status"] for row in await sales.app.rows("refund"))
    assert statuses == ["COMPLETED", "PENDING", "PENDING"]


async def test_a_refund_that_fails_does_not_hold_up_the_others(sales: Sales) -> None:
    for seat in ("A1", "A2"):
        booking = await sales.pay(await sales.app.hold(seat))
        await sales.cancel(booking)
    sales.provider.lost_answers = 1
    await sales.refunds.run_pass()
    statuses = sorted(row["status"] for row in await sales.app.rows("refund"))
    assert statuses == ["COMPLETED", "PENDING"]


async def test_a_refund_that_a_crash_left_owed_is_paid(sales: Sales) -> None:
    """By another process, after the grace; only one of two processes takes it."""
    booking = await sales.pay(await sales.app.hold("A1"))
    await sales.cancel(booking)
    store = SqlPaymentStore(sales.app.database)
    others = [Refunds(store, sales.app.box_office, sales.provider, GRACE) for _ in range(2)]
    await asyncio.gather(*(each.run_pass() for each in others))
    assert sales.provider.refunded == {}
    sales.app.clock.advance(GRACE)
    sales.provider.lost_answers = 1
    await asyncio.gather(*(each.run_pass() for each in others))
    (row,) = await sales.app.rows("refund")
    assert (row["status"], row["tries"]) == ("PENDING", 1)
    sales.app.clock.advance(GRACE)
    await asyncio.gather(*(each.run_pass() for each in others))
    (row,) = await sales.app.rows("refund")
    assert (row["status"], row["tries"]) == ("COMPLETED", 2)
    assert list(sales.provider.refunded.values()) == [Money("EUR", 1_250)]


async def test_a_refund_that_always_fails_is_given_up_with_an_error(sales: Sales) -> None:
    """After a day of growing pauses it is FAILED, and the log names all that is needed to pay it by hand."""
    booking = await sales.pay(await sales.app.hold("A1"))
    await sales.cancel(booking)
    sales.provider.lost_answers = 10_000
    start = sales.app.clock.now()
    with capture_logs() as logged:
        while (await sales.read(booking)).refund.status is RefundStatus.PENDING:  # type: ignore[union-attr] # it has one
            await sales.refunds.run_pass()
            sales.app.clock.advance(timedelta(minutes=10))
    assert timedelta(hours=20) < sales.app.clock.now() - start < timedelta(hours=30)
    (row,) = await sales.app.rows("refund")
    assert (row["status"], row["tries"]) == ("FAILED", MAX_TRIES + 1)
    (error,) = (line for line in logged if line["log_level"] == "error")
    assert (error["refund_id"], error["amount"], error["booking_id"]) == (
        row["refund_id"],
        1_250,
        booking.booking_id,
    )
    sales.app.clock.advance(LONGEST_PAUSE * 10)
    calls = sales.provider.lost_answers
    await sales.refunds.run_pass()
    assert sales.provider.lost_answers == calls


async def test_a_repeat_of_the_call_does_not_ask_the_provider_again(sales: Sales) -> None:
    """The first call paid the refund; one that was given up is paid by hand, and not twice."""
    booking = await sales.pay(await sales.app.hold("A1"))
    call = idempotent_call(rpc="CancelBooking")
    cancelled = await sales.cancel(booking, call)
    assert len(sales.refunds._queue) == 1
    await sales.refunds.run_pass()
    assert await sales.cancel(booking, call) == cancelled
    assert not sales.refunds._queue
