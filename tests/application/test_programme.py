"""Seat maps that are kept in memory: never older than what was acknowledged, and read anew only where they must be."""

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.programme_reader import SqlProgrammeReader
from cinema_grpc.application import programme as module
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.box_office_ports import Version
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.ports import FoundShowtime
from cinema_grpc.application.programme import Programme, SeatMap
from cinema_grpc.domain.errors import ShowtimeNotFound
from cinema_grpc.domain.showtime import SeatStatus
from tests.application.conftest import House
from tests.faults import failing


class CountingReader(SqlProgrammeReader):
    """Counts what it is asked."""

    versions_asked = 0
    showtimes_read = 0

    async def versions(self, showtime_ids: Collection[str]) -> tuple[datetime, dict[str, Version]]:
        self.versions_asked += 1
        return await super().versions(showtime_ids)

    async def showtime(self, showtime_id: str) -> FoundShowtime | None:
        self.showtimes_read += 1
        return await super().showtime(showtime_id)


@pytest.fixture
def reader(house: House) -> CountingReader:
    return CountingReader(house.database)


@pytest.fixture
async def shown(house: House, reader: CountingReader) -> AsyncIterator[tuple[House, Programme]]:
    """A box office whose commits a programme follows."""
    programme = Programme(reader)
    box_office = BoxOffice(house.store, programme.follow)
    box_office.start()
    yield replace(house, box_office=box_office), programme
    await box_office.stop()


def taken(seat_map: SeatMap) -> list[str]:
    pairs = zip(seat_map.seat_plan.labels, seat_map.seats, strict=True)
    return [label for label, status in pairs if status is not SeatStatus.AVAILABLE]


async def test_a_map_that_has_not_changed_is_the_same_object(
    shown: tuple[House, Programme], reader: CountingReader
) -> None:
    _, programme = shown
    first = await programme.seat_map("s1")
    assert all([await programme.seat_map("s1") is first for _ in range(3)])
    assert reader.showtimes_read == 1


async def test_of_what_another_process_sold_only_that_is_read(
    house: House, shown: tuple[House, Programme], reader: CountingReader
) -> None:
    """With PostgreSQL: all seats of the showtime are read once, and then what has changed since."""
    selling, programme = shown
    elsewhere = replace(house, names=100)  # its commits are not followed
    await selling.hold("A1")
    assert taken(await programme.seat_map("s1")) == ["A1"]
    for number in (3, 5, 7):
        held = await elsewhere.hold(f"A{number}")
        assert taken(await programme.seat_map("s1")) == ["A1", f"A{number}"]
        await house.box_office.execute("s1", lambda showtime, now: showtime.cancel(held.booking_id, "ada", "r", now))  # noqa: B023 (at once)
        assert taken(await programme.seat_map("s1")) == ["A1"]
        await selling.hold(f"A{number + 1}")
        await selling.box_office.execute(
            "s1", lambda showtime, now: showtime.cancel(f"b{selling.names:04}", "ada", "r", now)
        )
    assert reader.showtimes_read == (1 if house.database.driver.shared else 7)


async def test_a_booking_is_seen_at_once_and_nothing_is_read_for_it(
    shown: tuple[House, Programme], reader: CountingReader
) -> None:
    house, programme = shown
    before = await programme.seat_map("s1")
    await house.hold("A1", "A2")
    after = await programme.seat_map("s1")
    assert taken(after) == ["A1", "A2"]
    assert after.listed.available_seats == before.listed.available_seats - 2
    assert after.listed.revision == before.listed.revision + 1
    assert reader.showtimes_read == 1


async def test_what_another_process_did_is_seen_at_once(
    house: House, shown: tuple[House, Programme], reader: CountingReader
) -> None:
    """Its commits are not followed here: the version that storage names tells that the map is old."""
    ours, programme = shown
    await programme.seat_map("s1")
    await replace(house, names=50).hold("A1")
    assert taken(await programme.seat_map("s1")) == ["A1"]
    assert reader.showtimes_read == (1 if house.database.driver.shared else 2)
    await replace(ours, names=90).hold("A3")
    assert taken(await programme.seat_map("s1")) == ["A1", "A3"]
    assert reader.showtimes_read == (1 if house.database.driver.shared else 2)


async def test_a_database_put_back_to_an_older_state_is_believed(
    shown: tuple[House, Programme], reader: CountingReader
) -> None:
    """As after a failover that lost commits: what is at hand is ahead of it."""
    house, programme = shown
    await house.hold("A1")
    await house.hold("A2", by="bob")
    assert taken(await programme.seat_map("s1")) == ["A1", "A2"]
    async with house.database.writing() as connection:
        await connection.execute(schema.seat_claim.delete())
        await connection.execute(schema.booking.delete())
        await connection.execute(update(schema.showtime).values(revision=0, stamp="restored"))
    assert taken(await programme.seat_map("s1")) == []
    assert (await programme.seat_map("s1")).listed.revision == 0
    assert reader.showtimes_read == 2


async def test_a_history_without_what_is_at_hand_is_believed(
    house: House, shown: tuple[House, Programme], reader: CountingReader
) -> None:
    """A failover lost a commit that is at hand here, and another replica has gone on from there: it is ahead."""
    ours, programme = shown
    await programme.seat_map("s1")
    await ours.hold("A1")
    assert taken(await programme.seat_map("s1")) == ["A1"]
    async with house.database.writing() as connection:
        await connection.execute(schema.seat_claim.delete())
        await connection.execute(schema.booking.delete())
        await connection.execute(update(schema.showtime).values(revision=0, stamp="restored"))
    elsewhere = replace(house, names=50)
    await elsewhere.hold("A5", "A6", by="bob")
    await elsewhere.hold("A7", by="bob")
    assert taken(await programme.seat_map("s1")) == ["A5", "A6", "A7"]
    assert (await programme.seat_map("s1")).listed.revision == 2
    assert reader.showtimes_read == 2


async def test_a_hold_that_ends_is_free_in_that_moment(shown: tuple[House, Programme], reader: CountingReader) -> None:
    house, programme = shown
    await house.hold("A1")
    house.clock.advance(timedelta(minutes=1))
    await house.hold("A5", by="bob")
    house.clock.advance(timedelta(minutes=9) - timedelta(microseconds=1))
    held = await programme.seat_map("s1")
    assert taken(held) == ["A1", "A5"]
    house.clock.advance(timedelta(microseconds=1))
    assert taken(await programme.seat_map("s1")) == ["A5"]
    house.clock.advance(timedelta(minutes=1))
    free = await programme.seat_map("s1")
    assert taken(free) == []
    assert free.listed.revision == held.listed.revision
    assert reader.showtimes_read == 1


async def test_many_who_look_at_once_ask_once(shown: tuple[House, Programme], reader: CountingReader) -> None:
    _, programme = shown
    maps = await asyncio.gather(*(programme.seat_map(f"s{1 + number % 3}") for number in range(60)))
    assert len({id(each) for each in maps}) == 3
    assert reader.showtimes_read == 3
    assert reader.versions_asked <= 2


async def test_one_who_gives_up_takes_nothing_from_the_others(shown: tuple[House, Programme]) -> None:
    _, programme = shown
    impatient, patient = (asyncio.create_task(programme.seat_map("s1")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert taken(await patient) == []


async def test_an_unknown_showtime(shown: tuple[House, Programme]) -> None:
    _, programme = shown
    with pytest.raises(ShowtimeNotFound):
        await programme.seat_map("nothing")


async def test_storage_that_fails_is_told_to_all_who_ask_and_forgotten(shown: tuple[House, Programme]) -> None:
    house, programme = shown
    with failing(house.database, lambda _statement: True):
        results = await asyncio.gather(*(programme.seat_map("s1") for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [StorageUnavailable] * 3
    assert taken(await programme.seat_map("s1")) == []


async def test_what_is_kept_is_bounded_by_its_seats(
    shown: tuple[House, Programme], reader: CountingReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, programme = shown
    seats = len((await programme.seat_map("s1")).seats)
    monkeypatch.setattr(module, "SEATS_AT_HAND", 2 * seats)
    await programme.seat_map("s2")
    await programme.seat_map("s1")
    assert reader.showtimes_read == 2
    await programme.seat_map("s3")  # in place of s2, which was looked at longest ago
    await programme.seat_map("s1")
    assert reader.showtimes_read == 3
    await programme.seat_map("s2")
    assert reader.showtimes_read == 4


class TestAlone:
    """Of a process that sells alone: what follows each commit is believed without a question."""

    @pytest.fixture
    async def shown(self, house: House, reader: CountingReader) -> AsyncIterator[tuple[House, Programme]]:
        programme = Programme(reader, house.clock)
        box_office = BoxOffice(house.store, programme.follow, doubt=programme.doubt)
        box_office.start()
        yield replace(house, box_office=box_office), programme
        await box_office.stop()

    async def test_storage_is_read_once(self, shown: tuple[House, Programme], reader: CountingReader) -> None:
        house, programme = shown
        assert taken(await programme.seat_map("s1")) == []
        await house.hold("A1")
        with failing(house.database, lambda _statement: True) as failed:
            assert taken(await programme.seat_map("s1")) == ["A1"]
            house.clock.advance(timedelta(minutes=10))
            assert taken(await programme.seat_map("s1")) == []
        assert not failed
        assert (reader.showtimes_read, reader.versions_asked) == (1, 0)

    async def test_what_is_committed_while_it_is_read(self, house: House) -> None:
        """Storage was read before the commit; what it gave comes after it."""
        read, committed = asyncio.Event(), asyncio.Event()

        class SlowReader(CountingReader):
            async def showtime(self, showtime_id: str) -> FoundShowtime | None:
                found = await super().showtime(showtime_id)
                read.set()
                await committed.wait()
                return found

        programme = Programme(SlowReader(house.database), house.clock)
        box_office = BoxOffice(house.store, programme.follow)
        box_office.start()
        looking = asyncio.create_task(programme.seat_map("s1"))
        await read.wait()
        selling = replace(house, box_office=box_office)
        await selling.hold("A1")
        committed.set()
        assert taken(await looking) == ["A1"]
        await selling.hold("A2")
        assert taken(await programme.seat_map("s1")) == ["A1", "A2"]
        await box_office.stop()

    async def test_a_commit_whose_fate_is_not_known(
        self, shown: tuple[House, Programme], reader: CountingReader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house, programme = shown
        monkeypatch.setattr("cinema_grpc.application.lane.SECONDS_TO_FIND_OUT", 0.01)
        await programme.seat_map("s1")

        def from_the_commit_on(statement: str) -> bool:
            return bool(house.faults.failed) or statement == "COMMIT"

        with failing(house.database, from_the_commit_on, after=True), pytest.raises(StorageUnavailable):
            await house.hold("A1")
        assert taken(await programme.seat_map("s1")) == ["A1"]
        assert reader.showtimes_read == 2

    async def test_an_unknown_showtime(self, shown: tuple[House, Programme]) -> None:
        with pytest.raises(ShowtimeNotFound):
            await shown[1].seat_map("nothing")
