"""A call that is repeated with its request_id is carried out once, and gets the answer that was given then."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import TypeVar
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import event

from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.programme_reader import SqlProgrammeReader
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.application.errors import RequestIdReused
from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.application.programme import Programme
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.errors import (
    InvalidRequest,
    ShowtimeOverlap,
)
from tests.application.catalog_house import ROWS, RUNTIME, House, open_house
from tests.builders import NOW

A = TypeVar("A")


@pytest_asyncio.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    async with open_house(database_url) as opened:
        yield opened


def once_of(answer_type: type[A], content: bytes = b"content") -> Once[A]:
    return Once(RequestKey("caller", f"Create{answer_type.__name__}", str(uuid4())), lambda: content, answer_type)


async def test_a_repeated_call_gets_the_answer_that_was_given_then(house: House) -> None:
    catalog = house.catalog
    of_movie, of_cinema, of_auditorium = once_of(Movie), once_of(Cinema), once_of(Auditorium)
    movie = await catalog.create_movie("Solaris", RUNTIME, "12", "A sea.", of_movie)
    cinema = await catalog.create_cinema("Rex", "Asia/Tokyo", of_cinema)
    auditorium = await catalog.create_auditorium(cinema.cinema_id, "Screen 1", ROWS, of_auditorium)
    house.clock.advance(timedelta(hours=1))
    assert await catalog.create_movie("Solaris", RUNTIME, "12", "A sea.", of_movie) == movie
    assert await catalog.create_cinema("Rex", "Asia/Tokyo", of_cinema) == cinema
    assert await catalog.create_auditorium(cinema.cinema_id, "Screen 1", ROWS, of_auditorium) == auditorium
    assert await catalog.list_movies("", 10) == [house.movie, movie]
    assert await catalog.list_cinemas("", 10) == [house.cinema, cinema]
    assert await catalog.list_auditoriums(cinema.cinema_id, "", 10) == [auditorium]


async def test_a_repeat_is_answered_even_when_the_showtime_has_started(house: House) -> None:
    once = once_of(ListedShowtime)
    shown = await house.show(once=once)
    house.clock.advance(timedelta(days=2))
    assert await house.show(once=once) == shown
    with pytest.raises(InvalidRequest):
        await house.show()
    assert len(await house.shown()) == 1


async def test_a_request_id_with_other_content_is_refused(house: House) -> None:
    once = once_of(Movie)
    await house.catalog.create_movie("Solaris", RUNTIME, "", "", once)
    with pytest.raises(RequestIdReused) as refusal:
        await house.catalog.create_movie("Stalker", RUNTIME, "", "", Once(once.key, lambda: b"other", Movie))
    assert refusal.value.metadata == {"request_id": once.key.request_id}
    assert len(await house.catalog.list_movies("", 10)) == 2


async def test_without_a_request_id_every_call_is_a_new_one(house: House) -> None:
    first = await house.catalog.create_movie("Solaris", RUNTIME, "", "", None)
    second = await house.catalog.create_movie("Solaris", RUNTIME, "", "", None)
    assert first.movie_id != second.movie_id


async def test_after_a_refusal_the_request_id_may_be_tried_again(house: House) -> None:
    once = once_of(ListedShowtime)
    in_the_way = await house.show()
    with pytest.raises(ShowtimeOverlap):
        await house.show(once=once)
    with pytest.raises(InvalidRequest):
        await house.show(NOW, once=Once(once.key, lambda: b"other", ListedShowtime))
    later = in_the_way.end_time + timedelta(hours=1)
    assert (await house.show(later, once=Once(once.key, lambda: b"third", ListedShowtime))).start_time == later


async def test_of_ten_calls_at_once_with_one_request_id_one_has_an_effect(house: House) -> None:
    catalog = house.catalog
    of_movie, of_auditorium, of_showtime = once_of(Movie), once_of(Auditorium), once_of(ListedShowtime)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: catalog.create_movie("Solaris", RUNTIME, "", "", of_movie),
        lambda: catalog.create_auditorium(house.cinema.cinema_id, "Screen 2", ROWS, of_auditorium),
        lambda: house.show(once=of_showtime),
    ]
    for call in calls:
        answers = await asyncio.gather(*(call() for _ in range(10)))
        assert all(answer == answers[0] for answer in answers)
    assert len(await catalog.list_movies("", 100)) == 2
    assert len(await catalog.list_auditoriums(house.cinema.cinema_id, "", 100)) == 2
    assert len(await house.shown()) == 1


async def test_of_calls_at_once_with_one_request_id_those_with_other_content_are_refused(house: House) -> None:
    once = once_of(Movie)
    answers = await asyncio.gather(
        *(
            house.catalog.create_movie(title, RUNTIME, "", "", Once(once.key, title.encode, Movie))
            for title in ("Solaris", "Stalker", "Solaris", "Stalker")
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, Movie) for answer in answers) == 2
    assert sum(isinstance(answer, RequestIdReused) for answer in answers) == 2
    assert len(await house.catalog.list_movies("", 100)) == 2


async def test_a_repeat_is_answered_after_a_restart(house: House, database_url: str) -> None:
    once = once_of(ListedShowtime)
    shown = await house.show(once=once)
    restarted = Database(database_url, house.clock)
    catalog, programme = Catalog(SqlCatalogStore(restarted)), Programme(SqlProgrammeReader(restarted))
    again = replace(house, database=restarted, catalog=catalog, programme=programme)
    assert await again.show(once=once) == shown
    assert await again.shown() == [shown]
    await restarted.close()


async def test_a_caller_who_hangs_up_may_repeat_the_call(house: House) -> None:
    """Whichever statement it is cut off at, the call was carried out or not, and a repeat sees to it that it was."""
    engine = house.database.engine.sync_engine
    uncut = False
    steps = 0
    while not uncut:
        once = once_of(Movie)
        call = asyncio.create_task(house.catalog.create_movie(f"Film {steps}", RUNTIME, "", "", once))
        ahead = count(-steps)

        def cut(*_: object, call: asyncio.Task[Movie] = call, ahead: Iterator[int] = ahead) -> None:
            if next(ahead) == 0:
                call.cancel()

        event.listen(engine, "before_cursor_execute", cut)
        event.listen(engine, "commit", cut)
        await asyncio.wait([call])
        event.remove(engine, "before_cursor_execute", cut)
        event.remove(engine, "commit", cut)
        uncut = not call.cancelled()
        steps += 1
        await house.catalog.create_movie(f"Film {steps}", RUNTIME, "", "", once)
        assert len(await house.catalog.list_movies("", 100)) == steps + 1
    assert steps > 4
