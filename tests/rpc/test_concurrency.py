"""Many callers at once, repeated calls, restarts, and callers who hang up: one truth, and nothing lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_pb2 as pb
from cinema.v1 import booking_service_pb2, showtime_pb2

from tests.builders import FakeClock
from tests.rpc.conftest import UNLIMITED, App, new_id, refusal, running

LONG_ROW = [(label, (100, 100)) for label in ("A", "B")]
ALLOW = showtime_pb2.SEAT_GAP_POLICY_ALLOW


@pytest.fixture
async def crowded(database_url: str) -> AsyncIterator[App]:
    """A running server on an empty database, without limits on holds."""
    async with running(database_url, **UNLIMITED) as app:
        yield app


@pytest.mark.no_cover
@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.torture)])
async def test_a_hundred_clients_on_one_seat(crowded: App, rounds: int) -> None:
    """One winner and 99 SEATS_UNAVAILABLE, time and again, with holds and sales of others in between."""
    app = crowded
    showtime = await app.showtime(rows=LONG_ROW, policy=ALLOW)
    clients = [f"client-{number}" for number in range(100)]
    for client in clients:
        await app.customer(client)
    for number in range(rounds):
        seat = f"A{number + 1}"
        results = await asyncio.gather(
            *(app.book(showtime.showtime_id, seat, by=client) for client in clients), return_exceptions=True
        )
        winners = [result for result in results if isinstance(result, pb.Booking)]
        losers = Counter(str(result.details()) for result in results if isinstance(result, grpc.aio.AioRpcError))
        assert len(winners) == 1
        assert losers == {f"these seats are taken: {seat}; choose others": 99}
        by = clients[results.index(winners[0])]
        if number % 2:
            await app.pay(winners[0].booking_id, by=by)
        else:
            await app.cancel(winners[0].booking_id, by=by)
    states = Counter((await app.seat_states(showtime.showtime_id)).values())
    assert states == {"SOLD": rounds // 2}


async def test_twenty_calls_with_one_request_id(database_url: str) -> None:
    """One effect and one answer for each changing RPC, also after a restart."""
    request_id, clock = new_id(), FakeClock()
    async with running(database_url, clock) as app:
        showtime = await app.showtime()
        await app.customer()

        async def twenty(*call: Any) -> Any:
            answers = await asyncio.gather(*(call[0](*call[1:], request_id=request_id) for _ in range(20)))
            assert all(answer == answers[0] for answer in answers)
            return answers[0]

        held = await twenty(app.book, showtime.showtime_id, "A1", "A2")
        paid = await twenty(app.pay, held.booking_id)
        cancelled = await twenty(app.cancel, held.booking_id)
        tokens = app.tokens
    async with running(database_url, clock) as app:
        app.tokens = tokens
        clock.advance(timedelta(minutes=30))
        assert await app.book(showtime.showtime_id, "A1", "A2", request_id=request_id) == held
        assert await app.pay(held.booking_id, request_id=request_id) == paid
        assert await app.cancel(held.booking_id, request_id=request_id) == cancelled
        assert await app.book(showtime.showtime_id, "A1", "A2", request_id=request_id.upper()) == held
        listed = await app.bookings.ListBookings(
            booking_service_pb2.ListBookingsRequest(), metadata=await app.customer()
        )
        assert [booking.booking_id for booking in listed.bookings] == [held.booking_id]


async def test_a_request_id_with_other_content(app: App) -> None:
    """Refused, whatever field differs; the order of seats counts. Another caller may have the same id."""
    showtime = await app.showtime()
    request_id = new_id()
    held = await app.book(showtime.showtime_id, "A1", "A2", request_id=request_id)
    refused = await refusal(app.book(showtime.showtime_id, "A2", "A1", request_id=request_id))
    assert (refused.code, refused.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_ID_REUSED")
    assert refused.metadata == {"request_id": request_id}
    await app.book(showtime.showtime_id, "A3", "A4", by="bob", request_id=request_id)
    assert (await app.pay(held.booking_id, request_id=request_id)).status == pb.BOOKING_STATUS_CONFIRMED


async def test_a_refused_request_id_may_be_tried_again(app: App) -> None:
    showtime = await app.showtime()
    request_id = new_id()
    rival = await app.book(showtime.showtime_id, "A1", "A2", by="bob")
    assert (await refusal(app.book(showtime.showtime_id, "A1", "A2", request_id=request_id))).reason == (
        "SEATS_UNAVAILABLE"
    )
    await app.cancel(rival.booking_id, by="bob")
    held = await app.book(showtime.showtime_id, "A1", "A2", request_id=request_id)
    declined = app.pay(held.booking_id, token="tok_declined", request_id=request_id)
    assert (await refusal(declined)).reason == "PAYMENT_DECLINED"
    assert (await app.pay(held.booking_id, request_id=request_id)).status == pb.BOOKING_STATUS_CONFIRMED


async def test_two_payments_at_once(app: App) -> None:
    """One is charged; the others learn that it is under way, or done."""
    booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
    results = await asyncio.gather(*(app.pay(booking.booking_id) for _ in range(10)), return_exceptions=True)
    winners = [result for result in results if isinstance(result, pb.Booking)]
    assert len(winners) == 1
    codes = {result.code() for result in results if isinstance(result, grpc.aio.AioRpcError)}
    assert codes <= {grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION}


async def test_a_restart_loses_nothing(database_url: str) -> None:
    """Holds, tickets and users are there again, to the last byte."""
    clock = FakeClock()
    async with running(database_url, clock) as app:
        showtime = await app.showtime()
        held = await app.book(showtime.showtime_id, "A1", "A2")
        paid = await app.book(showtime.showtime_id, "B1", "B2")
        paid = await app.pay(paid.booking_id)
        states = await app.seat_states(showtime.showtime_id)
        tokens = app.tokens
    async with running(database_url, clock) as app:
        app.tokens = tokens
        assert await app.read(held.booking_id) == held
        assert await app.read(paid.booking_id) == paid
        assert await app.seat_states(showtime.showtime_id) == states
        await app.sign_in("ada")
        assert (await app.pay(held.booking_id)).status == pb.BOOKING_STATUS_CONFIRMED


async def test_a_client_that_hangs_up(crowded: App) -> None:
    """At any moment of a booking: all of it or nothing, never a seat without a booking; the retry tells the truth."""
    app = crowded
    showtime = await app.showtime(rows=[("A", (200,))], policy=ALLOW)
    metadata = await app.customer()
    for number in range(1, 101):
        seats = (f"A{2 * number - 1}", f"A{2 * number}")
        request_id = new_id()
        request = booking_service_pb2.CreateBookingRequest(
            showtime_id=showtime.showtime_id, seats=seats, request_id=request_id
        )
        call = app.bookings.CreateBooking(request, metadata=metadata)
        for _ in range(number % 25):
            await asyncio.sleep(0)  # another turn of the loop: another moment to hang up at
        call.cancel()
        held = await app.book(showtime.showtime_id, *seats, request_id=request_id)
        assert [seat.seat for seat in held.seats] == list(seats)
        states = await app.seat_states(showtime.showtime_id)
        assert states == dict.fromkeys(seats, "HELD")
        await app.cancel(held.booking_id)


async def test_a_payment_whose_client_hangs_up(app: App) -> None:
    showtime = await app.showtime(rows=[("A", (200,))], policy=ALLOW)
    metadata = await app.customer()
    for number in range(1, 26):
        held = await app.book(showtime.showtime_id, f"A{number}")
        request_id = new_id()
        request = booking_service_pb2.ConfirmPaymentRequest(
            booking_id=held.booking_id, payment_token="tok_visa", request_id=request_id
        )
        call = app.bookings.ConfirmPayment(request, metadata=metadata)
        for _ in range(number):
            await asyncio.sleep(0)
        call.cancel()
        paid = await app.pay(held.booking_id, request_id=request_id)
        assert paid.status == pb.BOOKING_STATUS_CONFIRMED


async def test_hold_seconds_is_a_setting(database_url: str) -> None:
    """A hold of one second is free after it."""
    async with running(database_url, hold_seconds=1) as app:
        showtime = await app.showtime()
        held = await app.book(showtime.showtime_id, "A1", "A2")
        assert held.hold_expire_time.ToDatetime() - held.create_time.ToDatetime() == timedelta(seconds=1)
        app.clock.advance(timedelta(seconds=1))
        await app.book(showtime.showtime_id, "A1", "A2", by="bob")
