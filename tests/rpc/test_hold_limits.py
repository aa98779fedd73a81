"""Limits on holding seats without paying, over a real channel: over all showtimes, and after unpaid holds."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_pb2, showtime_pb2

from tests.rpc.conftest import App, refusal, running

ALLOW = showtime_pb2.SEAT_GAP_POLICY_ALLOW
TEN_MINUTES = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)


async def showtimes(app: App, number: int) -> list[str]:
    return [(await app.showtime(policy=ALLOW)).showtime_id for _ in range(number)]


async def test_seats_on_hold_over_all_showtimes(database_url: str) -> None:
    """Four are fine, a fifth is not, until seats are paid for, given up or over; other customers' do not count."""
    async with running(database_url, seats_on_hold_limit=4) as app:
        one, two, three = await showtimes(app, 3)
        first = await app.book(one, "A1", "A2", "A3")
        second = await app.book(two, "A1")
        refused = await refusal(app.book(three, "A1"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "HOLD_LIMIT")
        assert refused.metadata == {"limit": "4", "held": "4", "requested": "1", "scope": "account"}
        assert "over all showtimes" in refused.details["QuotaFailure"].violations[0].subject
        await app.book(three, "B1", by="bob")
        await app.pay(second.booking_id)
        await app.book(three, "A1")
        await app.cancel(first.booking_id)
        await app.book(two, "A2", "A3", "A4")
        assert (await refusal(app.book(one, "A1"))).reason == "HOLD_LIMIT"
        await app.server.tasks.expire_holds.stop()
        app.clock.advance(TEN_MINUTES)
        await app.book(one, "A1", "A2", "A3", "A4")


async def test_it_is_exact_for_calls_that_come_at_once(database_url: str) -> None:
    """Of twelve bookings of two seats, in six showtimes, as many are made as the limit of eight seats has room for."""
    async with running(database_url, seats_on_hold_limit=8) as app:
        names = await showtimes(app, 6)
        await app.customer()
        calls = [app.book(name, *seats) for name in names for seats in (("A1", "A2"), ("A3", "A4"))]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(each, booking_pb2.Booking) for each in answers) == 4
        assert sum([len(await app.seat_states(name)) for name in names]) == 8


@pytest.mark.parametrize("limit", [0, 20])
async def test_the_default_is_twenty_and_none_is_no_limit(database_url: str, limit: int) -> None:
    settings: Mapping[str, Any] = {} if limit else {"seats_on_hold_limit": 0}
    async with running(database_url, **settings) as app:
        one, two, three = await showtimes(app, 3)
        for name in (one, two):
            await app.book(name, *(f"A{number}" for number in range(1, 11)))
        if limit:
            refused = await refusal(app.book(three, "A1"))
            assert (refused.reason, refused.metadata["limit"]) == ("HOLD_LIMIT", "20")
        else:
            await app.book(three, "A1")


async def test_after_three_unpaid_holds_the_next_waits(database_url: str) -> None:
    """In that showtime alone, also after a restart, and by the clock if a hold that is over was not written down."""
    async with running(database_url) as app:
        one, two = await showtimes(app, 2)
        for _ in range(2):
            await app.cancel((await app.book(one, "A1")).booking_id)
        await app.book(one, "A1")
        await app.server.tasks.expire_holds.stop()
        app.clock.advance(TEN_MINUTES)
        refused = await refusal(app.book(one, "A1"))
        assert (refused.code, refused.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_ATTEMPTS")
        assert refused.metadata == {"unpaid_holds": "3", "retry_after_seconds": "60"}
        assert refused.details["RetryInfo"].retry_delay.ToTimedelta() == MINUTE
        await app.book(two, "A1")
        await app.book(one, "A1", by="bob")
        clock, tokens = app.clock, app.tokens
    async with running(database_url, clock=clock) as app:
        app.tokens.update(tokens)
        clock.advance(timedelta(seconds=59))
        refused = await refusal(app.book(one, "A2"))
        assert refused.metadata == {"unpaid_holds": "3", "retry_after_seconds": "1"}
        clock.advance(timedelta(seconds=1))
        await app.book(one, "A2")


async def test_unpaid_holds_may_be_without_a_limit(database_url: str) -> None:
    async with running(database_url, unpaid_holds_per_showtime=0) as app:
        (name,) = await showtimes(app, 1)
        for _ in range(5):
            await app.cancel((await app.book(name, "A1")).booking_id)
        await app.book(name, "A1")
