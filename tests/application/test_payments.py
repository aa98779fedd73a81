"""Paying for a booking: once, however often the call is repeated, and only by its owner."""

import asyncio

import pytest
from sqlalchemy import update

from cinema_grpc.adapters.database import price_lists, schema
from cinema_grpc.application import payments
from cinema_grpc.application.errors import PaymentUnavailable, RequestIdReused
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import NotBookingOwner, PaymentDeclined, PaymentInProgress
from cinema_grpc.domain.errors import BookingNotFound
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import single_price
from tests.application.commands import encode
from tests.application.sales import Sales, confirming, outcomes
from tests.database import writing

FREE = price_lists.to_text(single_price(Money("EUR", 0), ()))


async def test_charges_once_and_issues_tickets(sales: Sales) -> None:
    booking = await sales.pay(await sales.app.hold("A1", "A2"))
    assert booking.status is BookingStatus.CONFIRMED
    assert [ticket.seat for ticket in booking.tickets] == ["A1", "A2"]
    assert len({ticket.code for ticket in booking.tickets}) == 2
    assert all(len(ticket.code) >= 22 for ticket in booking.tickets)  # 128 bits in base64
    assert list(sales.provider.charged.values()) == [Money("EUR", 2_500)]
    assert await sales.read(booking) == booking


async def test_declined_leaves_the_hold(sales: Sales) -> None:
    held = await sales.app.hold("A1")
    with pytest.raises(PaymentDeclined):
        await sales.pay(held, "tok_declined")
    assert (await sales.read(held)).status is BookingStatus.RESERVED
    assert (await sales.pay(held)).status is BookingStatus.CONFIRMED
    statuses = sorted(row["status"] for row in await sales.app.rows("payment_attempt"))
    assert statuses == ["CHARGED", "DECLINED"]


async def test_two_at_once_charge_once(sales: Sales) -> None:
    """One is confirmed; the other gets PAYMENT_IN_PROGRESS."""
    held = await sales.app.hold("A1")
    sales.provider.open.clear()
    first = asyncio.create_task(sales.pay(held))
    await sales.provider.arrived.wait()
    with pytest.raises(PaymentInProgress):
        await sales.pay(held)
    with pytest.raises(PaymentInProgress):
        await sales.cancel(held)
    sales.provider.open.set()
    assert (await first).status is BookingStatus.CONFIRMED
    assert sales.provider.calls == 1


async def test_a_repeat_at_another_process_gets_the_same_answer(sales: Sales) -> None:
    """It waits for that answer and never charges."""
    held = await sales.app.hold("A1")
    sales.provider.open.clear()
    first = asyncio.create_task(sales.pay(held, call=confirming()))
    await sales.provider.arrived.wait()
    repeat = asyncio.create_task(sales.pay_elsewhere(held))
    await asyncio.sleep(2 * payments.POLL_SECONDS)
    sales.provider.open.set()
    assert (await first).status is BookingStatus.CONFIRMED
    assert (await repeat).tickets == (await first).tickets
    assert sales.provider.calls == 1


async def test_a_repeat_at_another_process_does_not_wait_for_ever(
    sales: Sales, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process may be dead; recovery then finds the outcome later."""
    monkeypatch.setattr(payments, "PROVIDER_SECONDS", 5 * payments.POLL_SECONDS)
    held = await sales.app.hold("A1")
    sales.provider.open.clear()
    first = asyncio.create_task(sales.pay(held, call=confirming()))
    await sales.provider.arrived.wait()
    with pytest.raises(PaymentUnavailable):
        await sales.pay_elsewhere(held)
    sales.provider.open.set()
    await asyncio.wait([first])
    assert (await sales.pay_elsewhere(held)).status is BookingStatus.CONFIRMED


async def test_twenty_repeats_at_once_get_one_answer(sales: Sales) -> None:
    held = await sales.app.hold("A1")
    results = await outcomes(*(sales.pay(held, call=confirming()) for _ in range(20)))
    assert {result.status for result in results} == {BookingStatus.CONFIRMED}
    assert len({result.tickets for result in results}) == 1
    assert sales.provider.calls == 1


async def test_a_later_repeat_gets_the_same_answer(sales: Sales) -> None:
    """Also from a server that started later."""
    held = await sales.app.hold("A1")
    first = await sales.pay(held, call=confirming())
    assert await sales.pay(held, call=confirming()) == first
    assert await sales.pay_elsewhere(held) == first
    assert sales.provider.calls == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_same_id_with_other_content(sales: Sales, at_once: bool) -> None:
    held = await sales.app.hold("A1")
    calls = [sales.pay(held, call=confirming()), sales.pay(held, call=confirming(request=b"other"))]
    results = await outcomes(*calls) if at_once else [(await outcomes(call))[0] for call in calls]
    if at_once:  # either may be the first
        results.sort(key=lambda result: isinstance(result, RequestIdReused))
    assert results[0].status is BookingStatus.CONFIRMED
    assert isinstance(results[1], RequestIdReused)
    assert sales.provider.calls == 1


async def test_a_caller_who_hangs_up_changes_nothing(sales: Sales) -> None:
    held = await sales.app.hold("A1")
    sales.provider.open.clear()
    caller = asyncio.create_task(sales.pay(held, call=confirming()))
    await sales.provider.arrived.wait()
    caller.cancel()
    await outcomes(caller)
    sales.provider.open.set()
    assert (await sales.pay(held, call=confirming())).status is BookingStatus.CONFIRMED
    assert sales.provider.calls == 1


async def test_a_free_showing_needs_no_provider(sales: Sales) -> None:
    async with writing(sales.app.database) as connection:
        await connection.execute(update(schema.showtime).values(prices=FREE))
    booking = await sales.pay(await sales.app.hold("A1"))
    assert booking.status is BookingStatus.CONFIRMED
    assert sales.provider.calls == 0


async def test_ownership_comes_before_the_state(sales: Sales) -> None:
    """The booking of another customer is NOT_BOOKING_OWNER in any state; an unknown one is not found."""
    held = await sales.app.hold("A1")
    for call in (
        sales.bookings.get("bob", held.booking_id),
        sales.bookings.confirm("bob", held.booking_id, "tok", None),
        sales.bookings.quote("bob", held.booking_id),
        sales.bookings.cancel("bob", held.booking_id, None, encode),
    ):
        with pytest.raises(NotBookingOwner) as refusal:
            await call
        assert refusal.value.metadata == {"booking_id": held.booking_id}
    with pytest.raises(BookingNotFound):
        await sales.bookings.get("ada", "nothing")
