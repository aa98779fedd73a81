"""The programme in the database: what fits into it, in which order it is shown, and which seats are free now."""

import asyncio
import random
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.application.ports import ShowtimeFilter
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.catalog import LONGEST_RUNTIME, ListedShowtime
from cinema_grpc.domain.errors import ShowtimeOverlap
from cinema_grpc.domain.showtime import SeatStatus
from tests.builders import NOW
from tests.database import reading, writing
from tests.store.programme import EVERYTHING, LABELS, MICROSECOND, Programme, movie

GAP = timedelta(minutes=15)


# The programme


@pytest.mark.parametrize(
    ("starts_after", "runtime", "fits"),
    [
        (timedelta(hours=2) + GAP, timedelta(hours=2), True),
        (timedelta(hours=2) + GAP - MICROSECOND, timedelta(hours=2), False),
        (-timedelta(hours=2) - GAP, timedelta(hours=2), True),
        (-timedelta(hours=2) - GAP + MICROSECOND, timedelta(hours=2), False),
        (timedelta(0), timedelta(minutes=1), False),
        (timedelta(minutes=30), timedelta(hours=1), False),
        (-timedelta(hours=3), timedelta(hours=8), False),
        (-LONGEST_RUNTIME - GAP, LONGEST_RUNTIME, True),
        (-LONGEST_RUNTIME - GAP + MICROSECOND, LONGEST_RUNTIME, False),
    ],
)
async def test_fifteen_minutes_lie_between_showtimes_of_an_auditorium(
    programme: Programme, starts_after: timedelta, runtime: timedelta, *, fits: bool
) -> None:
    """Entered in either order."""
    film = movie(3, runtime)
    await programme.store.add(film, None)
    for number, days in ((1, 10), (2, 20)):
        first = NOW + timedelta(days=days)
        pair = [(first, movie()), (first + starts_after, film)]
        (one, shown), (two, next_shown) = pair if number == 1 else pair[::-1]
        other = await programme.add(one, auditorium_number=number, film=shown)
        if fits:
            await programme.add(two, auditorium_number=number, film=next_shown)
            continue
        with pytest.raises(ShowtimeOverlap) as refusal:
            await programme.add(two, auditorium_number=number, film=next_shown)
        assert refusal.value.metadata["showtime_id"] == other.showtime_id
    assert await programme.count(schema.showtime) == (4 if fits else 2)


async def test_a_showtime_that_starts_as_the_longest_one_is_about_to_end_is_refused(programme: Programme) -> None:
    film = movie(3, LONGEST_RUNTIME)
    await programme.store.add(film, None)
    await programme.add(NOW, film=film)
    with pytest.raises(ShowtimeOverlap):
        await programme.add(NOW + LONGEST_RUNTIME + GAP - MICROSECOND)
    await programme.add(NOW + LONGEST_RUNTIME + GAP)


async def test_other_auditoriums_are_free_at_the_same_time(programme: Programme) -> None:
    for number in (1, 2, 3):
        await programme.add(NOW + timedelta(days=1), auditorium_number=number)
    assert await programme.count(schema.showtime) == 3


async def test_the_earliest_showtime_in_the_way_is_named(programme: Programme) -> None:
    film = movie(3, timedelta(hours=12))
    await programme.store.add(film, None)
    later = await programme.add(NOW + timedelta(hours=27))
    earlier = await programme.add(NOW + timedelta(hours=24))
    with pytest.raises(ShowtimeOverlap) as refusal:
        await programme.add(NOW + timedelta(hours=20), film=film)
    assert refusal.value.metadata["showtime_id"] == earlier.showtime_id
    assert await programme.page(EVERYTHING, None, 10) == [earlier, later]


async def test_of_many_showtimes_that_overlap_and_come_at_once_one_is_kept(programme: Programme) -> None:
    for day in (1, 2, 3):
        start = NOW + timedelta(days=day)
        coming = [programme.showtime(start + number * GAP) for number in range(8)]
        outcomes = await asyncio.gather(*(programme.put(each) for each in coming), return_exceptions=True)
        assert sum(isinstance(outcome, ListedShowtime) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, ShowtimeOverlap) for outcome in outcomes) == 7
        assert await programme.count(schema.showtime) == day


async def test_a_new_showtime_begins_with_revision_0_and_a_commit_of_its_own(programme: Programme) -> None:
    programme.clock.advance(timedelta(minutes=5))
    for days in (1, 2):
        await programme.add(NOW + timedelta(days=days))
    column = schema.showtime.c
    async with reading(programme.database) as connection:
        found = await connection.execute(select(column.taken_seats, column.terms_revision))
        assert [tuple(row) for row in found] == [(0, 0)] * 2
        columns = (column.showtime_id, column.revision, column.commit_id, column.latest_time)
        made = {tuple(row) for row in await connection.execute(select(*columns))}
        logged = {tuple(row) for row in await connection.execute(select(schema.commit_log))}
    assert made == logged
    assert {(revision, time) for _, revision, _, time in made} == {(0, NOW + timedelta(minutes=5))}
    assert len({commit_id for _, _, commit_id, _ in made}) == 2


# Seats that are free now


async def test_what_is_not_committed_is_not_read(programme: Programme) -> None:
    """A read during a transaction that is rolled back, and one after it, return what was there before."""
    showtime = await programme.add(NOW + timedelta(days=10))
    with suppress(ZeroDivisionError):
        async with writing(programme.database) as connection:
            await connection.execute(update(schema.showtime).values(revision=7))
            assert await programme.page(EVERYTHING, None, 1) == [showtime]
            raise ZeroDivisionError

    def update_and_fail(connection: Connection) -> None:
        connection.execute(update(schema.showtime).values(revision=7))
        raise ZeroDivisionError

    transaction = asyncio.create_task(programme.database.transact(update_and_fail))
    pages = await asyncio.gather(*(programme.page(EVERYTHING, None, limit) for limit in range(1, 20)))
    assert pages == [[showtime]] * 19
    with pytest.raises(ZeroDivisionError):
        await transaction
    assert await programme.page(EVERYTHING, None, 1) == [showtime]


async def test_seats_on_hold_and_sold_ones_are_not_free(programme: Programme) -> None:
    shown = await programme.add(NOW + timedelta(days=1))
    await programme.book(shown, "B2,A1", BookingStatus.RESERVED, NOW + timedelta(minutes=10))
    await programme.book(shown, "AA1", BookingStatus.CONFIRMED, NOW + timedelta(minutes=10))
    await programme.book(shown, "B1", BookingStatus.CANCELLED, NOW + timedelta(minutes=10))
    await programme.book(shown, "A2", BookingStatus.EXPIRED, NOW - timedelta(minutes=10))
    found, seats = await programme.seats(shown)
    assert [label for label, status in seats.items() if status is SeatStatus.HELD] == ["B2", "A1"]
    assert [label for label, status in seats.items() if status is SeatStatus.SOLD] == ["AA1"]
    assert found == replace(shown, available_seats=3, revision=2)
    assert await programme.page(EVERYTHING, None, 10) == [found]


async def test_a_hold_is_over_at_its_very_end_whether_or_not_that_is_written_down(programme: Programme) -> None:
    shown, other = await programme.add(NOW + timedelta(days=1)), await programme.add(NOW + timedelta(days=2))
    await programme.book(shown, "B1,B2", BookingStatus.RESERVED, NOW + timedelta(minutes=10))
    await programme.book(shown, "B3", BookingStatus.RESERVED, NOW + timedelta(minutes=10, microseconds=1))
    await programme.book(shown, "A1,A2", BookingStatus.CONFIRMED, NOW + timedelta(minutes=1))
    await programme.book(other, "A1", BookingStatus.RESERVED, NOW + timedelta(minutes=1))

    programme.clock.advance(timedelta(minutes=10) - MICROSECOND)
    before, seats = await programme.seats(shown)
    assert {label for label in LABELS if seats[label] is SeatStatus.HELD} == {"B1", "B2", "B3"}
    assert before.available_seats == 1
    assert [each.available_seats for each in await programme.page(EVERYTHING, None, 10)] == [1, 6]

    programme.clock.advance(MICROSECOND)
    after, seats = await programme.seats(shown)
    assert {label for label in LABELS if seats[label] is SeatStatus.HELD} == {"B3"}
    assert {label for label in LABELS if seats[label] is SeatStatus.SOLD} == {"A1", "A2"}
    assert after == replace(before, available_seats=3)
    assert await programme.page(EVERYTHING, None, 1) == [after]


# Pages


@pytest.mark.parametrize("movie_id", ["", "movie-0001"])
async def test_showtimes_run_by_start_and_those_that_start_together_by_identifier(
    programme: Programme, movie_id: str
) -> None:
    """Whatever the order in which they were entered, and with whatever filter."""
    soon = programme.showtime(NOW + timedelta(days=1))
    same = [programme.showtime(NOW + timedelta(days=2), auditorium_number=number) for number in (3, 1, 2)]
    late = programme.showtime(NOW + timedelta(days=3))
    everything = [soon, *same, late]
    for each in reversed(everything):
        await programme.put(each)
    condition = ShowtimeFilter(movie_id, "", "", NOW, None)
    assert await programme.page(condition, None, 10) == everything
    for position, each in enumerate(everything):
        after = (each.start_time, each.showtime_id)
        assert await programme.page(condition, after, 10) == everything[position + 1 :]


@pytest.mark.parametrize("seed", range(5))
async def test_a_walk_through_the_pages_meets_everything_that_was_there_once(programme: Programme, seed: int) -> None:
    """Whatever is put on the programme meanwhile, and however large each page is."""
    chance = random.Random(seed)  # noqa: S311 (a walk, not a secret)
    slots = [(hour, number) for hour in range(0, 150, 3) for number in (1, 2, 3)]
    chance.shuffle(slots)

    async def enter(amount: int) -> list[str]:
        return [
            (await programme.add(NOW + timedelta(hours=hour), auditorium_number=number)).showtime_id
            for hour, number in (slots.pop() for _ in range(amount))
        ]

    was_there = await enter(40)
    met: list[ListedShowtime] = []
    after = None
    while page := await programme.page(EVERYTHING, after, chance.randint(1, 7)):
        met += page
        after = (page[-1].start_time, page[-1].showtime_id)
        await enter(min(2, len(slots)))
    keys = [(each.start_time, each.showtime_id) for each in met]
    assert keys == sorted(set(keys))
    assert set(was_there) <= {each.showtime_id for each in met}


async def test_a_showtime_that_is_moved_while_its_page_is_read(
    programme: Programme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not on the page any more: the next one would begin at its new start, and leave out what is between."""
    moved, stays = [await programme.add(NOW + timedelta(days=day)) for day in (1, 2)]
    read = programme.reader._read_entry

    async def move_and_read(showtime_id: str) -> Any:
        monkeypatch.undo()
        start = NOW + timedelta(days=9)
        change = update(schema.showtime).where(schema.showtime.c.showtime_id == moved.showtime_id)
        async with writing(programme.database) as connection:
            await connection.execute(
                change.values(start_time=start, end_time=start + timedelta(hours=2), terms_revision=1)
            )
        return await read(showtime_id)

    monkeypatch.setattr(programme.reader, "_read_entry", move_and_read)
    page = await programme.page(EVERYTHING, None, 1)
    assert [each.showtime_id for each in page] == [stays.showtime_id]


async def test_each_filter_leaves_what_meets_it(programme: Programme) -> None:
    def start(day: int) -> datetime:
        return NOW + timedelta(days=day)

    one = await programme.add(start(1), auditorium_number=1, film=movie(1))
    two = await programme.add(start(2), auditorium_number=2, film=movie(2))
    three = await programme.add(start(3), auditorium_number=3, film=movie(1))
    four = await programme.add(start(4), auditorium_number=1, film=movie(2))
    cases = [
        (ShowtimeFilter("", "", "", start(0), None), [one, two, three, four]),
        (ShowtimeFilter("movie-0001", "", "", start(0), None), [one, three]),
        (ShowtimeFilter("", "cinema-0001", "", start(0), None), [one, two, four]),
        (ShowtimeFilter("", "", "auditorium-0001", start(0), None), [one, four]),
        (ShowtimeFilter("movie-0002", "cinema-0001", "auditorium-0001", start(0), None), [four]),
        (ShowtimeFilter("movie-0001", "cinema-0002", "auditorium-0001", start(0), None), []),
        (ShowtimeFilter("", "", "", start(2), None), [two, three, four]),
        (ShowtimeFilter("", "", "", start(2) + MICROSECOND, None), [three, four]),
        (ShowtimeFilter("", "", "", start(0), start(3)), [one, two]),
        (ShowtimeFilter("", "", "", start(0), start(3) + MICROSECOND), [one, two, three]),
        (ShowtimeFilter("", "", "", start(3), start(2)), []),
        (ShowtimeFilter("movie-0002", "cinema-0001", "", start(2), start(4)), [two]),
        (ShowtimeFilter("movie-0009", "", "", start(0), None), []),
        (ShowtimeFilter("", "cinema-0009", "", start(0), None), []),
        (ShowtimeFilter("", "", "auditorium-0009", start(0), None), []),
    ]
    for condition, expected in cases:
        assert await programme.page(condition, None, 10) == expected, condition
        if expected:
            after = (expected[0].start_time, expected[0].showtime_id)
            assert await programme.page(condition, after, 10) == expected[1:], condition
    before_everything = (start(0), "")
    assert await programme.page(ShowtimeFilter("", "", "", start(3), None), before_everything, 10) == [
        three,
        four,
    ]
