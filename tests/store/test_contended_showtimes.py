"""Showtimes that another process has locked: the others are sold meanwhile, and nothing waits for too long."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from cinema_grpc.application import expiry
from cinema_grpc.application.box_office.box_office import SECONDS_BETWEEN_TRIES
from cinema_grpc.application.box_office.command import Command, Decision, Priority
from cinema_grpc.application.box_office.store import StorageContention
from cinema_grpc.application.errors import Overloaded, StorageUnavailable
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.showtime_changes import ShowtimeChanges, update_showtime
from tests.application.commands import TEN_MINUTES, expire_command
from tests.application.conftest import App, open_app
from tests.application.sales import outcomes
from tests.database import START, writing

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
HOLD_S1 = "SELECT 1 FROM showtime WHERE showtime_id = 's1' FOR NO KEY UPDATE"
HOLD_A1 = "SELECT 1 FROM auditorium WHERE auditorium_id = 'a1' FOR NO KEY UPDATE"
"""As an import does, or another showtime that is scheduled there."""
LATER = START + timedelta(hours=1)


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    """A box office that waits for a lock for a tenth of a second, and its database."""
    async with open_app(f"{database_url}&lock_timeout=100") as app:
        yield app


@pytest.fixture
async def patient_app(database_url: str) -> AsyncIterator[App]:
    """A box office that waits for a lock longer than a slow machine takes for a few bookings."""
    async with open_app(f"{database_url}&lock_timeout=5000&idle_in_transaction_session_timeout=60000") as app:
        yield app


async def test_others_are_sold_meanwhile_and_this_one_as_soon_as_it_is_unlocked(patient_app: App) -> None:
    app = patient_app
    async with writing(app.database) as connection:
        await connection.exec_driver_sql(HOLD_S1)
        waiting = [asyncio.create_task(app.hold(f"A{number}")) for number in (1, 2, 3)]
        for number in range(1, 6):
            assert (await app.hold(f"A{number}", at="s2")).labels == (f"A{number}",)
        assert not any(each.done() for each in waiting)
        assert app.box_office.contended_showtimes == 1
        assert app.box_office.counts.contended >= 3
    booked = await asyncio.gather(*waiting)
    assert [each.labels for each in booked] == [("A1",), ("A2",), ("A3",)]
    assert app.box_office.counts.done == app.box_office.counts.batch_sizes.total == 8


async def test_a_command_that_waits_too_long_fails(app: App) -> None:
    """And may repeat the call; others are served."""
    async with writing(app.database) as connection:
        await connection.exec_driver_sql(HOLD_S1)
        with pytest.raises(StorageUnavailable):
            await app.hold("A1")
        assert isinstance(await app.hold("A1", at="s2"), Booking)
    assert isinstance(await app.hold("A1"), Booking)


async def test_more_contended_showtimes_than_may_be_waited_for(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are tried again and again, and carried out in order of arrival."""
    monkeypatch.setattr(app.box_office, "_waiting_tasks", 0)
    async with writing(app.database) as connection:
        await connection.exec_driver_sql(HOLD_S1)
        waiting = [asyncio.create_task(app.hold("A1", by=name)) for name in ("ada", "bob")]
        assert isinstance(await app.hold("A1", at="s2"), Booking)
        await asyncio.sleep(10 * SECONDS_BETWEEN_TRIES)
        assert not any(each.done() for each in waiting)
    first, second = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(first, Booking)
    assert not isinstance(second, Booking)


async def test_lapsed_holds_of_a_contended_showtime_do_not_delay_others(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any number of them, and though they are found first."""
    monkeypatch.setattr(expiry, "SHOWTIMES_A_PASS", 2)
    for number in (1, 2, 3):
        await app.hold(f"A{number}")
    later = await app.hold("A1", at="s2")
    app.clock.advance(timedelta(minutes=10))
    async with writing(app.database) as connection:
        await connection.exec_driver_sql(HOLD_S1)
        await expiry.HoldExpiry(app.store, app.box_office).run_pass()
        statuses = {row["booking_id"]: row["status"] for row in await app.rows("booking")}
    assert statuses.pop(later.booking_id) == "EXPIRED"
    assert [*statuses.values()] == ["RESERVED"] * 3


async def test_a_command_that_would_wait_too_long_is_refused(patient_app: App) -> None:
    """Also while a task of its own serves it, which others do not wait for."""
    app = patient_app
    async with app.other_process(waiting_tasks=1, longest_wait=0) as impatient:
        contended = impatient.box_office._contended
        async with writing(app.database) as connection:
            await connection.exec_driver_sql(HOLD_S1)
            first = asyncio.create_task(impatient.hold("A1"))
            while not contended:  # noqa: ASYNC110 (it is about to be)
                await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await impatient.hold("A2")
            assert impatient.box_office.counts.refused == {"OVERLOADED": 1}
            assert isinstance(await impatient.hold("A1", at="s2"), Booking)
        assert isinstance(await first, Booking)
        while contended:  # noqa: ASYNC110 (as above)
            await asyncio.sleep(0)
        assert isinstance(await impatient.hold("A2"), Booking)


async def test_lapsed_holds_that_all_replicas_leave_to_each_other_are_written_down(patient_app: App) -> None:
    """After some passes in vain they get normal priority, and wait for their showtime."""
    app = patient_app
    await app.hold("A1")
    app.clock.advance(timedelta(minutes=10))
    sweep = expiry.HoldExpiry(app.store, app.box_office)
    async with writing(app.database) as connection:
        await connection.exec_driver_sql(HOLD_S1)
        for _ in range(expiry.LOW_PRIORITY_PASSES):
            await asyncio.wait_for(sweep.run_pass(), 30)
        waiting = asyncio.create_task(sweep.run_pass())
        while not app.box_office._contended:  # noqa: ASYNC110 (it is about to be served there)
            await asyncio.sleep(0)
    await waiting
    assert [row["status"] for row in await app.rows("booking")] == ["EXPIRED"]
    assert not sweep._contended


async def test_a_command_of_low_priority_is_left_to_the_process_that_has_the_lock(app: App) -> None:
    async with writing(app.database) as connection:
        await connection.exec_driver_sql(HOLD_S1)
        with pytest.raises(StorageContention):
            await app.box_office.execute(replace(expire_command(), priority=Priority.LOW))
    assert await app.box_office.execute(replace(expire_command(), priority=Priority.LOW)) == 0


async def move(app: App, showtime_id: str = "s1") -> None:
    """Have a showtime start later."""

    def change(decision: Decision) -> None:
        update_showtime(decision.showtime, ShowtimeChanges(LATER), decision.slots, TEN_MINUTES, decision.now)

    await app.box_office.execute(Command(showtime_id, change, slots_within=(START, LATER)))


async def test_a_move_whose_auditorium_is_locked_fails_alone(patient_app: App) -> None:
    """The rest of its batch is carried out, sales of its showtime too; nothing waits."""
    app = patient_app
    async with writing(app.database) as connection:
        await connection.exec_driver_sql(HOLD_A1)
        moved, *others = await outcomes(move(app), app.hold("A1"), app.hold("A1", at="s2"), move(app, "s3"))
        assert isinstance(moved, StorageContention)
        assert [type(each) for each in others] == [Booking, Booking, type(None)]
    counts = app.box_office.counts
    assert (counts.batch_sizes.total, counts.done, counts.contended, dict(counts.refused)) == (3, 3, 1, {})
    starts = {row["showtime_id"]: row["start_time"] for row in await app.rows("showtime")}
    assert starts == {"s1": START, "s2": START, "s3": LATER}
    await move(app)
