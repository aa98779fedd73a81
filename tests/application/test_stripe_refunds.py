"""Refunds that Stripe settles later, or refuses."""

from datetime import timedelta

import pytest

from cinema_grpc.adapters.database.backlog_reader import SqlBacklogReader
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.application.backlog import Backlog, Waiting
from cinema_grpc.application.box_office.command import Decision
from cinema_grpc.domain.payment import RefundStatus, Settlement
from cinema_grpc.domain.settlement import with_refund_settled_by_hand
from tests.application.audited import change
from tests.application.commands import cancel_command
from tests.application.paying import GRACE, Replica
from tests.application.stripe_shop import VISA, Shop

DAY = timedelta(days=1)


async def backlog(shop: Shop) -> Backlog:
    return await SqlBacklogReader(shop.app.database, SqlEventStore(shop.app.database)).read()


async def status(shop: Shop, replica: Replica) -> RefundStatus:
    await replica.refunds.run_pass()
    refund = (await shop.read()).refund
    assert refund is not None
    return refund.status


async def cancel(shop: Shop, token: str) -> str:
    """Pay, cancel, and return the identifier of the refund at Stripe."""
    await shop.first.pay(shop.booking, token)
    await shop.app.box_office.execute(cancel_command(shop.booking))
    await shop.first.refunds.run_pass()
    return list(shop.stripe.account.refunds)[-1]


async def test_a_refund_that_is_pending_for_days(shop: Shop) -> None:
    """It is asked for by its identifier, and never given up."""
    name = await cancel(shop, "pm_card_pendingRefund")
    for _ in range(60):
        shop.app.clock.advance(timedelta(hours=2))
        assert await status(shop, shop.second) is RefundStatus.PENDING
    found = await backlog(shop)
    assert found.refunds == found.failed_refunds == Waiting()  # it is not late: Stripe has it
    assert found.refunds_at_provider == Waiting(1, timedelta(hours=120).total_seconds())
    shop.stripe.account.settle_refund(name, "succeeded")
    shop.app.clock.advance(timedelta(hours=2))
    assert await status(shop, shop.second) is RefundStatus.COMPLETED
    assert (await backlog(shop)).refunds_at_provider == Waiting()
    assert len(shop.stripe.account.refunds) == 1


async def test_a_refund_that_fails(shop: Shop) -> None:
    name = await cancel(shop, "pm_card_pendingRefund")
    shop.stripe.account.settle_refund(name, "failed")
    shop.app.clock.advance(GRACE)
    assert await status(shop, shop.second) is RefundStatus.FAILED
    found = await backlog(shop)
    assert found.failed_refunds == Waiting(1, GRACE.total_seconds())
    assert found.refunds == found.refunds_at_provider == Waiting()


@pytest.mark.parametrize("days", [1, 29])
async def test_a_refund_that_fails_after_it_was_paid(shop: Shop, days: int) -> None:
    """As that of a closed card. It is asked about once a day, for a month."""
    name = await cancel(shop, "pm_card_refundFail")
    asked = len(shop.stripe.requests)
    for _ in range(days):
        assert await status(shop, shop.second) is RefundStatus.COMPLETED
        shop.app.clock.advance(DAY)
    assert len(shop.stripe.requests) - asked == days - 1
    shop.stripe.account.settle_refund(name, "failed")
    assert await status(shop, shop.second) is RefundStatus.FAILED
    shop.app.clock.advance(60 * DAY)
    asked = len(shop.stripe.requests)
    await shop.second.refunds.run_pass()
    assert len(shop.stripe.requests) == asked


async def test_a_refund_that_failed_and_was_paid_by_hand_is_left_alone(shop: Shop) -> None:
    name = await cancel(shop, "pm_card_pendingRefund")
    shop.stripe.account.settle_refund(name, "failed")
    shop.app.clock.advance(GRACE)
    assert await status(shop, shop.second) is RefundStatus.FAILED
    (row,) = await shop.app.rows("refund")
    settlement = Settlement("bob", shop.app.clock.now(), "by bank transfer")

    def settle(decision: Decision) -> None:
        booking_id, refund_id = shop.booking.booking_id, row["refund_id"]
        decision.showtime.update(booking_id, with_refund_settled_by_hand, refund_id, settlement)

    await change(shop.app, "s1", settle, shop.booking.booking_id)
    asked = len(shop.stripe.requests)
    shop.app.clock.advance(2 * DAY)
    assert await status(shop, shop.second) is RefundStatus.COMPLETED
    assert len(shop.stripe.requests) == asked


async def test_a_refund_that_stands_is_not_asked_about_for_ever(shop: Shop) -> None:
    await cancel(shop, VISA)
    for _ in range(40):
        shop.app.clock.advance(DAY)
        await shop.second.refunds.run_pass()
    assert len(shop.stripe.sent("GET", r"/v1/refunds/\w+")) == 30
    assert [row["watched"] for row in await shop.app.rows("refund")] == [False]


async def test_a_refund_of_what_was_refunded_in_the_dashboard_already(shop: Shop) -> None:
    """Stripe refuses it for good, so it is FAILED at once, for an operator to look at."""
    await shop.first.pay(shop.booking, VISA)
    shop.stripe.account.create_refund({"payment_intent": shop.intent})
    await shop.app.box_office.execute(cancel_command(shop.booking))
    assert await status(shop, shop.first) is RefundStatus.FAILED
