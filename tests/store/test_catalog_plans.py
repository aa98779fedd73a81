"""How the database finds what is asked of the catalog and the programme: by indexes, page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.ports import ShowtimeFilter
from tests.builders import NOW
from tests.store.programme import EVERYTHING, Programme, record


@asynccontextmanager
async def questions(database: Database) -> AsyncIterator[list[str]]:
    """Collect what the database is asked, with all values filled in."""
    sent: list[str] = []

    def remember(statement: str) -> None:
        if statement.startswith("SELECT"):
            sent.append(statement)

    await database.peek(lambda driver: driver.set_trace_callback(remember))
    try:
        yield sent
    finally:
        await database.peek(lambda driver: driver.set_trace_callback(None))


async def plan(programme: Programme, call: Callable[[], Awaitable[object]]) -> list[str]:
    """Tell how the database goes about every SELECT that a call makes."""
    async with questions(programme.database) as sent:
        await call()
    steps: list[str] = []
    async with programme.database.reading() as connection:
        for question in sent:
            explained = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {question}")
            steps += [row.detail for row in explained]
    return steps


GIVEN = {"SCAN CONSTANT ROW", "SCAN given"}
"""Walks over the values of the question itself."""
FILTERS = [
    ("", "", "", "showtime_start_time_showtime_id_index"),
    ("movie-0001", "", "", "showtime_movie_id_start_time_index"),
    ("", "cinema-0001", "", "showtime_auditorium_id_start_time_index"),
    ("", "", "auditorium-0001", "showtime_auditorium_id_start_time_index"),
]


@pytest.mark.parametrize("until", [None, NOW + timedelta(days=9)])
@pytest.mark.parametrize("after", [None, (NOW + timedelta(days=1), "showtime-0001")])
@pytest.mark.parametrize(("movie_id", "cinema_id", "auditorium_id", "index"), FILTERS)
async def test_a_page_of_the_programme_is_found_by_indexes(
    programme: Programme,
    movie_id: str,
    cinema_id: str,
    auditorium_id: str,
    index: str,
    after: tuple[datetime, str] | None,
    until: datetime | None,
) -> None:
    condition = ShowtimeFilter(movie_id, cinema_id, auditorium_id, NOW, until)
    steps = await plan(programme, lambda: programme.page(condition, after, 50))
    assert [step for step in steps if step.startswith("SCAN") and step != "SCAN page"] == []
    (walk,) = [step for step in steps if step.startswith("SEARCH showtime")]
    assert f"USING INDEX {index} " in walk
    assert "start_time>" in walk
    assert "SEARCH booking USING COVERING INDEX booking_lapse_index (hold_expire_time<?)" in steps
    if not (movie_id or cinema_id or auditorium_id):
        assert [step for step in steps if "TEMP B-TREE" in step] == ["USE TEMP B-TREE FOR GROUP BY"]


async def test_a_page_of_the_programme_is_two_questions_once_its_showtimes_are_known(programme: Programme) -> None:
    for day in range(5):
        await programme.add(NOW + timedelta(days=day))
    first = await programme.page(EVERYTHING, None, 10)
    async with questions(programme.database) as sent:
        again = await programme.page(EVERYTHING, None, 10)
    assert len(sent) == 2
    assert [id(each) for each in again] == [id(each) for each in first]


async def test_everything_else_is_found_by_indexes(programme: Programme) -> None:
    store = programme.store
    shown = await programme.add(NOW + timedelta(days=1))
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: programme.reader.showtime(shown.showtime_id),
        lambda: programme.reader.versions([shown.showtime_id]),
        lambda: store.movie("movie-0001"),
        lambda: store.cinema("cinema-0001"),
        lambda: store.auditorium("auditorium-0001"),
        lambda: store.movies("movie-0001", 50),
        lambda: store.cinemas("cinema-0001", 50),
        lambda: store.auditoriums("cinema-0001", "auditorium-0001", 50),
        lambda: store.recorded(record("request-1").key),
        lambda: store.add_showtime(programme.showtime(NOW + timedelta(days=2)), None),
    ]
    for call in calls:
        steps = await plan(programme, call)
        assert steps
        assert [step for step in steps if step.startswith("SCAN") and step not in GIVEN] == []
