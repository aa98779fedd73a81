"""Holds that are over are written down in the background, and are over without that too."""

import asyncio
from datetime import timedelta

from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.domain.booking import BookingStatus
from tests.application.desk import Desk
from tests.faults import failing


async def test_writes_down_what_is_over(desk: Desk) -> None:
    """In bounded steps, all showtimes, and not what is still on hold or paid for."""
    house = desk.house
    await asyncio.gather(*(house.hold(f"A{number}", at=at) for at in ("s1", "s2") for number in range(1, 10)))
    paid = await house.hold("A10")
    await desk.pay(paid)
    house.clock.advance(timedelta(minutes=5))
    young = await house.hold("A10", at="s2")
    house.clock.advance(timedelta(minutes=5))
    await HoldExpiry(house.store, house.box_office).run_pass()
    statuses = {row["booking_id"]: row["status"] for row in await house.rows("booking")}
    assert statuses.pop(paid.booking_id) == "CONFIRMED"
    assert statuses.pop(young.booking_id) == "RESERVED"
    assert set(statuses.values()) == {"EXPIRED"}
    assert len(await house.rows("seat_claim")) == 2


async def test_many_showtimes_in_a_rush(desk: Desk) -> None:
    """Tidying goes on behind those who are buying, a few showtimes to a batch."""
    house = desk.house
    for at in ("s1", "s2", "s3"):
        await house.hold("A1", at=at)
    house.clock.advance(timedelta(minutes=10))
    commits = house.faults.commits
    tidying = asyncio.create_task(HoldExpiry(house.store, house.box_office).run_pass())
    await asyncio.gather(tidying, *(house.hold(f"A{number}") for number in range(2, 10)))
    assert house.faults.commits <= commits + 3
    assert [row["status"] for row in await house.rows("booking")].count("EXPIRED") == 3


async def test_without_it_a_lapsed_hold_is_free_all_the_same(desk: Desk) -> None:
    """For claims, single reads, lists and status filters, at once."""
    held = await desk.house.hold("A1")
    desk.house.clock.advance(timedelta(minutes=10))
    assert (await desk.read(held)).status is BookingStatus.EXPIRED
    everything = await desk.bookings.list("ada", "", None, "", 10)
    assert [each.status for each in everything.bookings] == [BookingStatus.EXPIRED]
    assert (await desk.bookings.list("ada", "", BookingStatus.RESERVED, "", 10)).bookings == []
    (expired,) = (await desk.bookings.list("ada", "s1", BookingStatus.EXPIRED, "", 10)).bookings
    assert expired.booking_id == held.booking_id
    assert (await desk.house.hold("A1", by="bob")).seats == ("A1",)


async def test_a_failing_pass_is_tried_again(desk: Desk) -> None:
    """The task outlives it: it counts the failure, waits, and writes down what is over."""
    house = desk.house
    await house.hold("A1")
    house.clock.advance(timedelta(minutes=10))
    passed = asyncio.Event()
    expiry = HoldExpiry(house.store, house.box_office)

    async def run_pass() -> None:
        await expiry.run_pass()
        passed.set()

    task = BackgroundTask("hold expiry", run_pass, 0.01)
    failures = 0
    with failing(house.database, lambda statement: "hold_expire_time <=" in statement) as failed:
        task.start()
        async with asyncio.timeout(30):
            while len(failed) < 2:  # noqa: ASYNC110 (a failing statement sets no event)
                await asyncio.sleep(0.01)
        failures = task.failures
    await asyncio.wait_for(passed.wait(), 10)
    await task.stop()
    assert failures >= 1
    assert task.failures == 0
    assert [row["status"] for row in await house.rows("booking")] == ["EXPIRED"]
