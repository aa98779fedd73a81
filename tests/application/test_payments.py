"""Paying for a booking: once, however often the call is repeated, and only by its owner."""

import asyncio

import pytest
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.application import payments
from cinema_grpc.application.errors import PaymentUnavailable, RequestIdReused
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import NotBookingOwner, PaymentDeclined, PaymentInProgress
from cinema_grpc.domain.errors import BookingNotFound
from cinema_grpc.domain.money import Money
from tests.application.desk import Desk, outcomes, request


async def test_charges_once_and_issues_tickets(desk: Desk) -> None:
    booking = await desk.pay(await desk.house.hold("A1", "A2"))
    assert booking.status is BookingStatus.CONFIRMED
    assert [ticket.seat for ticket in booking.tickets] == ["A1", "A2"]
    assert len({ticket.code for ticket in booking.tickets}) == 2
    assert all(len(ticket.code) >= 22 for ticket in booking.tickets)  # 128 bits in base64
    assert list(desk.provider.charged.values()) == [Money("EUR", 2_500)]
    assert await desk.read(booking) == booking


async def test_declined_leaves_the_hold(desk: Desk) -> None:
    held = await desk.house.hold("A1")
    with pytest.raises(PaymentDeclined):
        await desk.pay(held, "tok_declined")
    assert (await desk.read(held)).status is BookingStatus.RESERVED
    assert (await desk.pay(held)).status is BookingStatus.CONFIRMED
    statuses = sorted(row["status"] for row in await desk.house.rows("payment_attempt"))
    assert statuses == ["CHARGED", "DECLINED"]


async def test_two_at_once_charge_once(desk: Desk) -> None:
    """One is confirmed; the other gets PAYMENT_IN_PROGRESS."""
    held = await desk.house.hold("A1")
    desk.provider.open.clear()
    first = asyncio.create_task(desk.pay(held))
    await desk.provider.arrived.wait()
    with pytest.raises(PaymentInProgress):
        await desk.pay(held)
    with pytest.raises(PaymentInProgress):
        await desk.bookings.cancel("ada", held.booking_id, None)
    desk.provider.open.set()
    assert (await first).status is BookingStatus.CONFIRMED
    assert desk.provider.calls == 1


async def test_a_repeat_at_another_process_gets_the_same_answer(desk: Desk) -> None:
    """It waits for that answer and never charges."""
    held = await desk.house.hold("A1")
    desk.provider.open.clear()
    first = asyncio.create_task(desk.pay(held, request=request()))
    await desk.provider.arrived.wait()
    repeat = asyncio.create_task(desk.pay_afresh(held))
    await asyncio.sleep(2 * payments.POLL_SECONDS)
    desk.provider.open.set()
    assert (await first).status is BookingStatus.CONFIRMED
    assert (await repeat).tickets == (await first).tickets
    assert desk.provider.calls == 1


async def test_a_repeat_at_another_process_does_not_wait_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first process may be dead; recovery then finds the outcome later."""
    monkeypatch.setattr(payments, "PROVIDER_SECONDS", 5 * payments.POLL_SECONDS)
    held = await desk.house.hold("A1")
    desk.provider.open.clear()
    first = asyncio.create_task(desk.pay(held, request=request()))
    await desk.provider.arrived.wait()
    with pytest.raises(PaymentUnavailable):
        await desk.pay_afresh(held)
    desk.provider.open.set()
    await asyncio.wait([first])
    assert (await desk.pay_afresh(held)).status is BookingStatus.CONFIRMED


async def test_twenty_repeats_at_once_get_one_answer(desk: Desk) -> None:
    held = await desk.house.hold("A1")
    results = await outcomes(*(desk.pay(held, request=request()) for _ in range(20)))
    assert {result.status for result in results} == {BookingStatus.CONFIRMED}
    assert len({result.tickets for result in results}) == 1
    assert desk.provider.calls == 1


async def test_a_later_repeat_gets_the_same_answer(desk: Desk) -> None:
    """Also from a server that started later."""
    held = await desk.house.hold("A1")
    first = await desk.pay(held, request=request())
    assert await desk.pay(held, request=request()) == first
    assert await desk.pay_afresh(held) == first
    assert desk.provider.calls == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_same_id_with_other_content(desk: Desk, at_once: bool) -> None:
    held = await desk.house.hold("A1")
    calls = [desk.pay(held, request=request()), desk.pay(held, request=request(content=b"other"))]
    results = await outcomes(*calls) if at_once else [(await outcomes(call))[0] for call in calls]
    if at_once:  # either may be the first
        results.sort(key=lambda result: isinstance(result, RequestIdReused))
    assert results[0].status is BookingStatus.CONFIRMED
    assert isinstance(results[1], RequestIdReused)
    assert desk.provider.calls == 1


async def test_a_caller_who_hangs_up_changes_nothing(desk: Desk) -> None:
    held = await desk.house.hold("A1")
    desk.provider.open.clear()
    caller = asyncio.create_task(desk.pay(held, request=request()))
    await desk.provider.arrived.wait()
    caller.cancel()
    await outcomes(caller)
    desk.provider.open.set()
    assert (await desk.pay(held, request=request())).status is BookingStatus.CONFIRMED
    assert desk.provider.calls == 1


async def test_a_free_showing_needs_no_provider(desk: Desk) -> None:
    async with desk.house.database.writing() as connection:
        await connection.execute(update(schema.showtime).values(seat_price=0))
    booking = await desk.pay(await desk.house.hold("A1"))
    assert booking.status is BookingStatus.CONFIRMED
    assert desk.provider.calls == 0


async def test_ownership_comes_before_the_state(desk: Desk) -> None:
    """The booking of another customer is NOT_BOOKING_OWNER in any state; an unknown one is not found."""
    held = await desk.house.hold("A1")
    for call in (
        desk.bookings.get("bob", held.booking_id),
        desk.bookings.confirm("bob", held.booking_id, "tok", None),
        desk.bookings.quote("bob", held.booking_id),
        desk.bookings.cancel("bob", held.booking_id, None),
    ):
        with pytest.raises(NotBookingOwner) as refusal:
            await call
        assert refusal.value.metadata == {"booking_id": held.booking_id}
    with pytest.raises(BookingNotFound):
        await desk.bookings.get("ada", "nothing")
