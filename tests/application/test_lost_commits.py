"""Commits whose answer is lost, and what another process has done by the time that they are looked up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.application.box_office.store import ShowtimeUpdate
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import BookingNotCancellable
from tests.application.commands import TEN_MINUTES, cancel_command, decode, expire_command, idempotent_call
from tests.application.conftest import App
from tests.application.sales import outcomes
from tests.faults import failing


class Store(SqlBoxOfficeStore):
    """A store whose lookups of lost commits wait for what another process does, and are counted."""

    lookups = 0

    def meanwhile(self, work: Callable[[], Awaitable[object]]) -> None:
        self._work = work

    async def was_committed(self, update: ShowtimeUpdate) -> bool:
        self.lookups += 1
        await self._work()
        return await super().was_committed(update)


@asynccontextmanager
async def two_processes(app: App, meanwhile: Callable[[App], Awaitable[object]]) -> AsyncIterator[App]:
    """Open a process that looks a lost commit up only after another process has done something."""
    store = Store(app.database)
    async with app.other_process(store) as ours, app.other_process() as other:
        store.meanwhile(lambda: meanwhile(other))
        yield ours
    assert store.lookups == 1


async def test_a_commit_that_was_not_kept_is_not_mistaken_for_another_with_its_revision(app: App) -> None:
    """The other process left one of the two showtimes in the very state that the lost commit would have led to."""
    lapsed = await app.hold("A1")
    app.clock.advance(TEN_MINUTES)
    async with two_processes(app, lambda other: other.box_office.execute(expire_command())) as ours:
        with failing(app.database, lambda statement: statement == "COMMIT" and not failed) as failed:
            expired, held = await outcomes(ours.box_office.execute(expire_command()), ours.hold("A1", at="s2"))
    assert (expired, failed) == (0, ["COMMIT"])
    rows = {row["booking_id"]: row["status"] for row in await app.rows("booking")}
    assert rows == {lapsed.booking_id: "EXPIRED", held.booking_id: "RESERVED"}


async def test_what_another_process_did_in_its_place_is_seen(app: App) -> None:
    """The other process expired the same hold, and sold a seat in the same revision."""
    await app.hold("A1")
    app.clock.advance(TEN_MINUTES)

    async def sell(other: App) -> None:
        await asyncio.gather(other.box_office.execute(expire_command()), other.hold("A5"))
        await other.hold("A7")

    async with two_processes(app, sell) as ours:
        with failing(app.database, lambda statement: statement == "COMMIT" and not failed) as failed:
            assert await outcomes(ours.box_office.execute(expire_command())) == [0]
        ours.names += 10
        await ours.hold("A9")
    assert failed == ["COMMIT"]
    showtimes = {row["showtime_id"]: row["taken_seats"] for row in await app.rows("showtime")}
    assert showtimes["s1"] == len(await app.rows("seat_claim")) == 3


async def test_a_commit_with_a_request_id_is_not_mistaken_for_the_same_change_without(app: App) -> None:
    """Its caller gets what a repeat would get."""
    held = await app.hold("A1")
    async with two_processes(app, lambda other: other.box_office.execute(cancel_command(held))) as ours:
        with failing(app.database, lambda statement: statement == "COMMIT" and not failed) as failed:
            (result,) = await outcomes(ours.box_office.execute(cancel_command(held, idempotent_call())))
    assert failed == ["COMMIT"]
    assert isinstance(result, BookingNotCancellable)
    assert await app.rows("stored_response") == []


async def test_a_commit_that_was_kept_is_found_though_another_came_after_it(app: App) -> None:
    held = await app.hold("A1")
    async with two_processes(app, lambda other: other.hold("A9")) as ours:
        with failing(app.database, lambda statement: statement == "COMMIT" and not failed, after=True) as failed:
            (response,) = await outcomes(ours.box_office.execute(cancel_command(held, idempotent_call())))
        assert failed == ["COMMIT"]
        assert decode(response).status is BookingStatus.CANCELLED
        ours.names += 10
        await ours.hold("A1")  # the cached state is without the commit that came after
    assert {row["seat"] for row in await app.rows("seat_claim")} == {"A1", "A9"}
