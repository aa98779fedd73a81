"""Lapsed holds are set to EXPIRED in the background, and are over without that too."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.application import expiry
from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.box_office.store import ShowtimeUpdate
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.expiry import LONGEST_PAUSE, SECONDS_BETWEEN_PASSES, HoldExpiry
from cinema_grpc.domain.booking import BookingStatus
from tests.application.sales import Sales
from tests.database import writing
from tests.faults import failing


def test_a_hold_is_stored_soon_enough() -> None:
    """Passes, with the longest pause after one that failed, each up to 10% longer, are within what is promised."""
    assert 1.1 * (SECONDS_BETWEEN_PASSES + LONGEST_PAUSE) < 4  # docs/reliability.md


async def test_lapsed_holds_are_written_down(sales: Sales) -> None:
    """Of all showtimes, in bounded steps, and not bookings that are still on hold or paid for."""
    app = sales.app
    await asyncio.gather(*(app.hold(f"A{number}", at=at) for at in ("s1", "s2") for number in range(1, 10)))
    paid = await app.hold("A10")
    await sales.pay(paid)
    app.clock.advance(timedelta(minutes=5))
    young = await app.hold("A10", at="s2")
    app.clock.advance(timedelta(minutes=5))
    await HoldExpiry(app.store, app.box_office).run_pass()
    statuses = {row["booking_id"]: row["status"] for row in await app.rows("booking")}
    assert statuses.pop(paid.booking_id) == "CONFIRMED"
    assert statuses.pop(young.booking_id) == "RESERVED"
    assert set(statuses.values()) == {"EXPIRED"}
    assert len(await app.rows("seat_claim")) == 2


async def test_many_showtimes_in_a_rush(sales: Sales) -> None:
    """Lapsed holds of a few showtimes come along with each batch of others' commands."""
    app = sales.app
    for at in ("s1", "s2", "s3"):
        await app.hold("A1", at=at)
    app.clock.advance(timedelta(minutes=10))
    commits: list[Sequence[ShowtimeUpdate]] = []
    app.box_office.on_commit(commits.append)
    expiring = asyncio.create_task(HoldExpiry(app.store, app.box_office).run_pass())
    await asyncio.gather(expiring, *(app.hold(f"A{number}") for number in range(2, 10)))
    assert len(commits) <= 3
    assert [row["status"] for row in await app.rows("booking")].count("EXPIRED") == 3


async def test_a_lapsed_hold_is_free_before_it_is_written_down(sales: Sales) -> None:
    """For claims, single reads, lists and status filters, at once."""
    held = await sales.app.hold("A1")
    sales.app.clock.advance(timedelta(minutes=10))
    assert (await sales.read(held)).status is BookingStatus.EXPIRED
    everything = await sales.bookings.list("ada", "", None, "", 10)
    assert [each.status for each in everything.entries] == [BookingStatus.EXPIRED]
    assert (await sales.bookings.list("ada", "", BookingStatus.RESERVED, "", 10)).entries == []
    (expired,) = (await sales.bookings.list("ada", "s1", BookingStatus.EXPIRED, "", 10)).entries
    assert expired.booking_id == held.booking_id
    assert (await sales.app.hold("A1", by="bob")).labels == ("A1",)


async def test_a_failing_pass_is_tried_again(sales: Sales) -> None:
    """The task counts the failure, waits, and then writes down what is over."""
    app = sales.app
    await app.hold("A1")
    app.clock.advance(timedelta(minutes=10))
    passed = asyncio.Event()
    expiry = HoldExpiry(app.store, app.box_office)

    async def run_pass() -> None:
        await expiry.run_pass()
        passed.set()

    task = BackgroundTask("hold expiry", run_pass, 0.01)
    failures = 0
    with failing(app.database, lambda statement: "SELECT booking.showtime_id" in statement) as failed:
        task.start()
        async with asyncio.timeout(30):
            while len(failed) < 2:  # noqa: ASYNC110 (a failing statement sets no event)
                await asyncio.sleep(0.01)
        failures = task.failures
    await asyncio.wait_for(passed.wait(), 30)
    await task.stop()
    assert failures >= 1
    assert task.failures == 0
    assert [row["status"] for row in await app.rows("booking")] == ["EXPIRED"]


async def test_a_showtime_that_can_not_be_loaded_delays_no_other(sales: Sales, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a row was changed by hand. The pass fails, but not before it has come to all showtimes."""
    app = sales.app
    for at in ("s1", "s2", "s3"):
        await app.hold("A1", at=at)
    damage = update(schema.booking).where(schema.booking.c.showtime_id == "s2").values(seats="[[]]")
    async with writing(app.database) as connection:
        await connection.execute(damage)
    app.box_office._runner._cache.drop(["s2"])
    app.clock.advance(timedelta(minutes=10))
    monkeypatch.setattr(expiry, "SHOWTIMES_AT_ONCE", 1)
    monkeypatch.setattr(random, "shuffle", lambda found: found.sort(key=lambda each: each != "s2"))
    with pytest.raises(ValueError, match="unpack"):
        await HoldExpiry(app.store, app.box_office).run_pass()
    statuses = {row["showtime_id"]: row["status"] for row in await app.rows("booking")}
    assert statuses == {"s1": "EXPIRED", "s2": "RESERVED", "s3": "EXPIRED"}


async def test_a_database_that_fails_ends_the_pass(sales: Sales, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every showtime is tried, as buyers wait behind each."""
    app = sales.app
    for at in ("s1", "s2", "s3"):
        await app.hold("A1", at=at)
    app.clock.advance(timedelta(minutes=10))
    monkeypatch.setattr(expiry, "SHOWTIMES_AT_ONCE", 1)
    monkeypatch.setattr(expiry, "MAX_FAILURES", 2)
    with (
        failing(app.database, lambda statement: "seat_claim" in statement),
        pytest.raises(StorageUnavailable),
    ):
        await HoldExpiry(app.store, app.box_office).run_pass()
    assert app.box_office.counts.refused == {"STORAGE_UNAVAILABLE": 2}
