"""Refunds of a booking's parts: their order, and those of counter sales, which are paid by hand."""

from functools import partial

from cinema_grpc.application.box_office.command import Decision
from cinema_grpc.domain.cancellation import void
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.sale import Tender
from tests.application.audited import SOLD, change, sell_at_counter
from tests.application.conftest import App
from tests.application.paying import GRACE
from tests.application.sales import Sales


def cancel_seat(booking_id: str, seat: str, refund_id: str, decision: Decision) -> None:
    decision.showtime.cancel(booking_id, "ada", refund_id, decision.now, [seat])


async def test_refunds_of_one_moment_stay_in_their_order(app: App, sales: Sales) -> None:
    """Whatever their identifiers are: the last one is the latest, and rounding depends on those before it."""
    booking = await sales.pay(await app.hold("A1", "A2", "A3"))
    name = booking.booking_id
    for seat, refund_id in (("A1", "c"), ("A2", "b"), ("A3", "a")):
        cancel = partial(cancel_seat, name, seat, refund_id)
        await change(app, "s1", cancel, name)
    found = await sales.read(booking)
    assert [each.refund_id for each in found.refunds] == ["c", "b", "a"]
    assert found.refund is not None
    assert found.refund.seats == ("A3",)


async def test_the_provider_is_not_asked_for_refunds_of_counter_sales(app: App, sales: Sales) -> None:
    """At once, or after a restart."""
    await sell_at_counter(app, SOLD, Tender.CARD_TERMINAL, "A1")
    await change(
        app,
        "s1",
        lambda decision: decision.showtime.update(
            SOLD, void, decision.showtime.terms, (), 100, "a complaint", "of A1", decision.now
        ),
        SOLD,
    )
    await sales.refunds.run_pass()
    app.clock.advance(2 * GRACE)
    await sales.refunds.run_pass()
    (refund,) = await app.rows("refund")
    assert (refund["status"], refund["tries"]) == (RefundStatus.PENDING.value, 0)
    assert sales.provider.refunded == {}
