"""Commits whose answer is lost, and what another process has done by the time that they are looked up."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.box_office_ports import Written
from cinema_grpc.application.once import Recorded
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import BookingNotCancellable
from cinema_grpc.domain.showtime import Showtime
from tests.application.conftest import House, once
from tests.application.desk import outcomes
from tests.faults import failing

TEN_MINUTES = timedelta(minutes=10)


@asynccontextmanager
async def two_processes(house: House, meanwhile: Callable[[BoxOffice], Awaitable[object]]) -> AsyncIterator[BoxOffice]:
    """Give a box office that looks lost commits up only when another one at the database has done something."""

    class Store(SqlBoxOfficeStore):
        async def is_committed(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> bool:
            await meanwhile(other)
            return await super().is_committed(written, recorded)

    ours, other = BoxOffice(Store(house.database), lambda _: None), BoxOffice(house.store, lambda _: None)
    ours.start()
    other.start()
    yield ours
    await ours.stop()
    await other.stop()


async def hold(box_office: BoxOffice, name: str, at: str, seat: str) -> Booking:
    """Hold a seat for Bob."""
    return await box_office.execute(at, lambda showtime, now: showtime.hold(name, "bob", [seat], TEN_MINUTES, now))


def expire(showtime: Showtime, now: datetime) -> int:
    return showtime.expire(9, now)


def cancelling(booking: Booking) -> Callable[[Showtime, datetime], Booking]:
    return lambda showtime, now: showtime.cancel(booking.booking_id, booking.user_id, "r", now)


async def test_one_that_was_not_kept_is_not_taken_for_what_another_process_did(house: House) -> None:
    """Of its two showtimes the other process left one in the very state that it would have led to."""
    lapsed = await house.hold("A1")
    house.clock.advance(TEN_MINUTES)
    async with two_processes(house, lambda other: other.execute("s1", expire)) as ours:
        with failing(house.database, lambda statement: statement == "COMMIT" and not failed) as failed:
            expired, held = await outcomes(ours.execute("s1", expire), hold(ours, "b2", at="s2", seat="A1"))
    assert (expired, failed) == (0, ["COMMIT"])
    assert isinstance(held, Booking)
    rows = {row["booking_id"]: row["status"] for row in await house.rows("booking")}
    assert rows == {lapsed.booking_id: "EXPIRED", "b2": "RESERVED"}


async def test_what_another_process_did_in_its_place_is_seen(house: House) -> None:
    """The other one wrote the same down, and sold a seat in the same revision."""
    await house.hold("A1")
    house.clock.advance(TEN_MINUTES)

    async def sell(other: BoxOffice) -> None:
        await asyncio.gather(other.execute("s1", expire), hold(other, "b5", at="s1", seat="A5"))
        await hold(other, "b7", at="s1", seat="A7")

    async with two_processes(house, sell) as ours:
        with failing(house.database, lambda statement: statement == "COMMIT" and not failed) as failed:
            assert await outcomes(ours.execute("s1", expire)) == [1]
        await hold(ours, "b9", at="s1", seat="A9")
    assert failed == ["COMMIT"]
    showtimes = {row["showtime_id"]: row["taken_seats"] for row in await house.rows("showtime")}
    assert showtimes["s1"] == len(await house.rows("seat_claim")) == 3


async def test_one_with_a_request_is_not_taken_for_the_same_change_without(house: House) -> None:
    """Its caller is told what a repeat would be told."""
    held = await house.hold("A1")
    cancel, name = cancelling(held), held.booking_id
    async with two_processes(house, lambda other: other.execute("s1", cancel, booking_id=name)) as ours:
        with failing(house.database, lambda statement: statement == "COMMIT" and not failed) as failed:
            (result,) = await outcomes(ours.execute("s1", cancel, booking_id=name, once=once("r1")))
    assert failed == ["COMMIT"]
    assert isinstance(result, BookingNotCancellable)
    assert await house.rows("request") == []


async def test_one_that_made_a_row_is_found_by_it(house: House) -> None:
    async with two_processes(house, lambda other: hold(other, "b9", at="s1", seat="A9")) as ours:
        with failing(house.database, lambda statement: statement == "COMMIT" and not failed, after=True) as failed:
            (held,) = await outcomes(hold(ours, "b1", at="s1", seat="A1"))
    assert failed == ["COMMIT"]
    assert held.status is BookingStatus.RESERVED
    assert {row["booking_id"] for row in await house.rows("booking")} == {"b1", "b9"}


async def test_one_that_made_no_row_is_found_as_all_that_it_wrote_is_there(house: House) -> None:
    held = await house.hold("A1")
    cancel, name = cancelling(held), held.booking_id
    async with two_processes(house, lambda other: hold(other, "b9", at="s1", seat="A9")) as ours:
        with failing(house.database, lambda statement: statement == "COMMIT" and not failed, after=True) as failed:
            (cancelled,) = await outcomes(ours.execute("s1", cancel, booking_id=name, once=once("r1")))
    assert failed == ["COMMIT"]
    assert cancelled.status is BookingStatus.CANCELLED
