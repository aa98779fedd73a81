"""Changes of showtimes at real stores: previews that bind, blocks, and neighbours that move at the same time."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.application import scheduling
from cinema_grpc.application.box_office.preview import Preview
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.scheduling import Execution, Scheduling, WantedBlock
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import SeatsUnavailable, ShowtimeCancelled, ShowtimeChanged
from cinema_grpc.domain.errors import ShowtimeOverlap
from cinema_grpc.domain.showtime_changes import ShowtimeChanges
from cinema_grpc.domain.terms import SeatBlockKind
from tests.application.commands import TEN_MINUTES, decode, idempotent_call
from tests.application.conftest import App, open_app
from tests.application.money_server import encode_all
from tests.database import START, writing

MICROSECOND = timedelta(microseconds=1)
PREVIEW = Execution("bob", validate_only=True)


def scheduling_of(app: App) -> Scheduling:
    listings = Listings(SqlListingsReader(app.database), app.store, app.cache)
    return Scheduling(app.box_office, Preview(app.store, app.cache), listings, TEN_MINUTES)


async def cancel(app: App, execution: Execution) -> Any:
    """Cancel s1, and return its revision then and the impact."""
    response = await scheduling_of(app).cancel(
        "s1", "a power cut", execution, lambda listed, impact: encode_all(listed.revision, impact)
    )
    return decode(response)


async def block(app: App, seat: str, release_time: Any = None) -> None:
    wanted = WantedBlock((seat,), SeatBlockKind.HOUSE, "guests", release_time)
    await scheduling_of(app).set_blocks("s1", wanted, (), Execution("bob"), lambda *_: b"done")


async def move(app: App, showtime_id: str, by: timedelta, expected_revision: int = 0) -> None:
    changes = ShowtimeChanges(START + by)
    execution = Execution("bob", expected_revision=expected_revision)
    await scheduling_of(app).update(showtime_id, changes, execution, lambda *_: b"done")


async def everything(app: App) -> list[Sequence[dict[str, Any]]]:
    return [await app.rows(name) for name in schema.metadata.tables]


async def test_a_preview_changes_nothing(app: App) -> None:
    """And is not stored under the request_id: its execution may have the same."""
    await app.hold("A1", "A2")
    before = await everything(app)
    call = idempotent_call(rpc="CancelShowtime")
    revision, impact = await cancel(app, Execution("bob", call, validate_only=True))
    assert (revision, impact.reserved_bookings, impact.seats) == (1, 1, 2)
    assert await everything(app) == before
    assert await cancel(app, Execution("bob", call, expected_revision=revision)) == (2, impact)
    assert {row["status"] for row in await app.rows("booking")} == {"CANCELLED"}


async def test_what_has_changed_since_the_preview_is_not_overrun(app: App) -> None:
    await app.hold("A1")
    revision, _ = await cancel(app, PREVIEW)
    await app.hold("A2")
    with pytest.raises(ShowtimeChanged) as refused:
        await cancel(app, Execution("bob", expected_revision=revision))
    assert refused.value.metadata["revision"] == str(revision + 1)


async def test_a_hold_that_has_lapsed_since_the_preview(app: App) -> None:
    """No commit says so yet, but the impact is another one."""
    await app.hold("A1")
    revision, _ = await cancel(app, PREVIEW)
    app.clock.advance(TEN_MINUTES)
    with pytest.raises(ShowtimeChanged):
        await cancel(app, Execution("bob", expected_revision=revision))


async def test_of_two_that_expect_one_revision_one_is_done(app: App) -> None:
    """Also in one batch, in which no commit has raised the revision yet."""
    await app.hold("A1")
    revision, _ = await cancel(app, PREVIEW)
    calls = [move(app, "s1", timedelta(hours=number), revision) for number in (1, 2)]
    done, refused = await asyncio.gather(*calls, return_exceptions=True)
    assert not isinstance(done, BaseException)
    assert isinstance(refused, ShowtimeChanged)


async def test_of_two_cancellations_the_second_learns_of_the_first(app: App) -> None:
    """Though the revision is not the expected one any more."""
    revision, _ = await cancel(app, PREVIEW)
    calls = [cancel(app, Execution("bob", expected_revision=revision)) for _ in range(2)]
    done, refused = await asyncio.gather(*calls, return_exceptions=True)
    assert not isinstance(done, BaseException)
    assert isinstance(refused, ShowtimeCancelled)


async def test_a_block_is_over_at_its_end(app: App) -> None:
    """Before any task has dropped it."""
    release_time = app.clock.now() + timedelta(hours=1)
    await block(app, "A1", release_time)
    app.clock.advance(timedelta(hours=1) - MICROSECOND)
    with pytest.raises(SeatsUnavailable):
        await app.hold("A1")
    app.clock.advance(MICROSECOND)
    assert await scheduling_of(app).blocks("s1") == []
    await app.hold("A1")
    assert await app.rows("seat_block") == []


async def test_another_process_knows_at_once(app: App) -> None:
    """Though it has the showtime in its cache, and no booking has changed."""
    async with app.other_process() as other:
        await other.hold("A5")
        await block(app, "A1")
        with pytest.raises(SeatsUnavailable):
            await other.hold("A1")
        await move(app, "s1", timedelta(hours=3))
        app.clock.advance(timedelta(days=2, hours=1))
        await other.hold("A2")


async def neighbours(app: App) -> None:
    """Put s2 into the auditorium of s1, an hour after its end."""
    times = {"start_time": START + timedelta(hours=3), "end_time": START + timedelta(hours=5)}
    async with writing(app.database) as connection:
        await connection.execute(
            update(schema.showtime).where(schema.showtime.c.showtime_id == "s2").values(auditorium_id="a1", **times)
        )


async def test_neighbours_that_are_moved_in_one_batch(app: App) -> None:
    """To where they would overlap: the first is moved, and the second finds the auditorium taken."""
    await neighbours(app)
    moves = move(app, "s1", timedelta(hours=30)), move(app, "s2", timedelta(hours=31))
    assert [type(each) for each in await asyncio.gather(*moves, return_exceptions=True)].count(ShowtimeOverlap) == 1


async def test_neighbours_that_are_moved_at_two_processes_at_once(app: App) -> None:
    """As above; the slots of one transaction are those after the other's."""
    await neighbours(app)
    async with app.other_process() as other:
        for hours in range(24, 240, 24):
            moves = move(app, "s1", timedelta(hours=hours)), move(other, "s2", timedelta(hours=hours + 1))
            done = await asyncio.gather(*moves, return_exceptions=True)
            assert [type(each) for each in done].count(ShowtimeOverlap) == 1


HOLD_A1 = "SELECT 1 FROM auditorium WHERE auditorium_id = 'a1' FOR NO KEY UPDATE"
"""As an import does."""


@pytest.fixture
async def app_beside_imports(postgresql_url: str) -> AsyncIterator[App]:
    """An app whose database lets an import think for longer than a slow machine pauses."""
    async with open_app(f"{postgresql_url}&idle_in_transaction_session_timeout=60000") as app:
        yield app


async def test_a_showtime_is_sold_while_its_move_waits_for_the_auditorium(
    app_beside_imports: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By other processes, too: nothing keeps the showtime locked."""
    monkeypatch.setattr(scheduling, "LONGEST_WAIT_FOR_AUDITORIUM", 60.0)
    app = app_beside_imports
    async with writing(app.database) as connection, app.other_process() as other:
        await connection.exec_driver_sql(HOLD_A1)
        moving = asyncio.create_task(move(app, "s1", MICROSECOND))
        for number in range(1, 4):
            assert isinstance(await app.hold(f"A{number}"), Booking)
            assert isinstance(await other.hold(f"A{number + 3}"), Booking)
        assert not moving.done()
    await moving
    starts = {row["showtime_id"]: row["start_time"] for row in await app.rows("showtime")}
    assert starts["s1"] == START + MICROSECOND


async def test_a_move_that_waits_too_long_for_the_auditorium_fails(
    app_beside_imports: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be repeated when the import has ended."""
    monkeypatch.setattr(scheduling, "LONGEST_WAIT_FOR_AUDITORIUM", 0.2)
    app = app_beside_imports
    async with writing(app.database) as connection:
        await connection.exec_driver_sql(HOLD_A1)
        with pytest.raises(StorageUnavailable):
            await move(app, "s1", MICROSECOND)
        assert isinstance(await app.hold("A1"), Booking)
    await move(app, "s1", MICROSECOND)
