"""How the database finds what is asked of the catalog and the programme: by indexes, page by page."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.ports import ShowtimeFilter
from tests.builders import NOW
from tests.store.programme import EVERYTHING, Programme, record


@contextmanager
def statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collect what is sent to the database."""
    sent: list[tuple[str, Any]] = []

    def remember(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", remember)
    try:
        yield sent
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", remember)


async def plan(programme: Programme, call: Callable[[], Awaitable[object]]) -> list[str]:
    """Tell how the database goes about every SELECT that a call makes."""
    with statements(programme.database) as sent:
        await call()
    steps: list[str] = []
    async with programme.database.reading() as connection:
        on_sqlite = connection.dialect.name == "sqlite"
        if not on_sqlite:
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # so that small tables are no exception
        for statement, parameters in [each for each in sent if each[0].startswith("SELECT")]:
            explain = "EXPLAIN QUERY PLAN" if on_sqlite else "EXPLAIN"
            explained = (await connection.exec_driver_sql(f"{explain} {statement}", parameters)).all()
            steps += [row[-1] for row in explained]
    return steps


ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


FILTERS = [
    ("", "", "", "showtime_start_time_showtime_id_index"),
    ("movie-0001", "", "", "showtime_movie_id_start_time_index"),
    ("", "cinema-0001", "", "showtime_auditorium_id_start_time_index"),
    ("", "", "auditorium-0001", "showtime_auditorium_id_start_time_index"),
]


@ON_SQLITE
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
    steps = await plan(programme, lambda: programme.store.showtimes(condition, after, 50))
    assert [step for step in steps if step.startswith("SCAN")] == []
    (walk,) = [step for step in steps if step.startswith("SEARCH showtime")]
    assert f"USING INDEX {index} " in walk
    assert "start_time>" in walk
    assert "SEARCH booking USING INDEX booking_showtime_lapse_index (showtime_id=? AND hold_expire_time<?)" in steps
    if not (movie_id or cinema_id or auditorium_id):
        assert [step for step in steps if "TEMP B-TREE" in step] == []


@ON_POSTGRESQL
@pytest.mark.parametrize(("movie_id", "cinema_id", "auditorium_id", "_index"), FILTERS)
async def test_a_page_of_the_programme_on_postgresql(
    programme: Programme, movie_id: str, cinema_id: str, auditorium_id: str, _index: str
) -> None:
    """No table is read from end to end, and lapsed holds are found by their own index."""
    condition = ShowtimeFilter(movie_id, cinema_id, auditorium_id, NOW, None)
    steps = await plan(programme, lambda: programme.store.showtimes(condition, None, 50))
    assert [step for step in steps if "Seq Scan" in step] == []
    assert any("booking_showtime_lapse_index" in step for step in steps)


async def test_a_page_of_the_programme_is_one_question(programme: Programme) -> None:
    for day in range(5):
        await programme.add(NOW + timedelta(days=day))
    with statements(programme.database) as sent:
        assert len(await programme.store.showtimes(EVERYTHING, None, 10)) == 5
    assert len([statement for statement, _ in sent if statement.startswith("SELECT")]) == 1


async def test_everything_else_is_found_by_indexes(programme: Programme) -> None:
    store = programme.store
    shown = await programme.add(NOW + timedelta(days=1))
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.showtime(shown.showtime_id),
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
        assert [step for step in steps if step.startswith("SCAN") or "Seq Scan" in step] == []
