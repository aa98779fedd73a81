"""A call to the catalog that is repeated with its request_id is carried out once, and gets the first response."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from uuid import uuid4

import pytest
import pytest_asyncio

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.catalog import unencoded
from cinema_grpc.application.errors import RequestIdReused
from cinema_grpc.application.idempotency import IdempotencyKey, IdempotentCall
from cinema_grpc.domain.catalog import Cinema, Movie
from cinema_grpc.domain.errors import InvalidRequest, ShowtimeOverlap
from tests.application.catalog_app import ROWS, RUNTIME, CatalogApp, encoded, open_app
from tests.builders import NOW


@pytest_asyncio.fixture
async def app(database_url: str) -> AsyncIterator[CatalogApp]:
    async with open_app(database_url) as opened:
        yield opened


def new_call(rpc: str) -> IdempotentCall:
    return IdempotentCall(IdempotencyKey("caller", rpc, str(uuid4())), lambda: "digest")


def with_other_request(call: IdempotentCall, digest: str = "other") -> IdempotentCall:
    return replace(call, digest=lambda: digest)


async def test_a_repeated_call_gets_the_response_of_the_first(app: CatalogApp) -> None:
    catalog = app.catalog
    of_movie, of_cinema, of_auditorium = map(new_call, ("CreateMovie", "CreateCinema", "CreateAuditorium"))
    movie = await catalog.create_movie("Solaris", RUNTIME, "12", "A sea.", of_movie, encoded)
    cinema = await catalog.create_cinema("Rex", "Asia/Tokyo", of_cinema, encoded)
    cinema_id = (await catalog.page(Cinema, "", 10))[-1].cinema_id
    auditorium = await catalog.create_auditorium(cinema_id, "Screen 1", ROWS, of_auditorium, encoded)
    app.clock.advance(timedelta(hours=1))
    assert await catalog.create_movie("Solaris", RUNTIME, "12", "A sea.", of_movie, encoded) == movie
    assert await catalog.create_cinema("Rex", "Asia/Tokyo", of_cinema, encoded) == cinema
    assert await catalog.create_auditorium(cinema_id, "Screen 1", ROWS, of_auditorium, encoded) == auditorium
    assert [encoded(each) for each in await catalog.page(Movie, "", 10)] == [encoded(app.movie), movie]
    assert [encoded(each) for each in await catalog.page(Cinema, "", 10)] == [encoded(app.cinema), cinema]
    assert [encoded(each) for each in await catalog.auditoriums(cinema_id, "", 10)] == [auditorium]


async def test_a_repeat_is_answered_even_when_the_showtime_has_started(app: CatalogApp) -> None:
    call = new_call("CreateShowtime")
    response = await app.show_once(call)
    app.clock.advance(timedelta(days=2))
    assert await app.show_once(call) == response
    with pytest.raises(InvalidRequest):
        await app.show()
    assert len(await app.shown()) == 1


async def test_a_request_id_with_another_request_is_refused(app: CatalogApp) -> None:
    call = new_call("CreateMovie")
    await app.catalog.create_movie("Solaris", RUNTIME, "", "", call, encoded)
    with pytest.raises(RequestIdReused) as refusal:
        await app.catalog.create_movie("Stalker", RUNTIME, "", "", with_other_request(call), encoded)
    assert refusal.value.metadata == {"request_id": call.key.request_id}
    assert len(await app.catalog.page(Movie, "", 10)) == 2


async def test_without_a_request_id_every_call_is_a_new_one(app: CatalogApp) -> None:
    first = await app.catalog.create_movie("Solaris", RUNTIME, "", "", None, unencoded)
    second = await app.catalog.create_movie("Solaris", RUNTIME, "", "", None, unencoded)
    assert first.movie_id != second.movie_id


async def test_after_a_refusal_the_request_id_may_be_tried_again(app: CatalogApp) -> None:
    call = new_call("CreateShowtime")
    in_the_way = await app.show()
    with pytest.raises(ShowtimeOverlap):
        await app.show_once(call)
    with pytest.raises(InvalidRequest):
        await app.show_once(with_other_request(call), NOW)
    later = in_the_way.end_time + timedelta(hours=1)
    response = await app.show_once(with_other_request(call, "third"), later)
    assert response == encoded((await app.shown())[-1])


async def test_of_ten_calls_at_once_with_one_request_id_one_has_an_effect(app: CatalogApp) -> None:
    catalog, cinema_id = app.catalog, app.cinema.cinema_id
    of_movie, of_auditorium, of_showtime = map(new_call, ("CreateMovie", "CreateAuditorium", "CreateShowtime"))
    calls: list[Callable[[], Awaitable[bytes]]] = [
        lambda: catalog.create_movie("Solaris", RUNTIME, "", "", of_movie, encoded),
        lambda: catalog.create_auditorium(cinema_id, "Screen 2", ROWS, of_auditorium, encoded),
        lambda: app.show_once(of_showtime),
    ]
    for call in calls:
        assert len(set(await asyncio.gather(*(call() for _ in range(10))))) == 1
    assert len(await catalog.page(Movie, "", 100)) == 2
    assert len(await catalog.auditoriums(cinema_id, "", 100)) == 2
    assert len(await app.shown()) == 1


async def test_of_calls_at_once_with_one_request_id_those_with_another_request_are_refused(app: CatalogApp) -> None:
    call = new_call("CreateMovie")
    answers = await asyncio.gather(
        *(
            app.catalog.create_movie(title, RUNTIME, "", "", with_other_request(call, title), encoded)
            for title in ("Solaris", "Stalker", "Solaris", "Stalker")
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, bytes) for answer in answers) == 2
    assert sum(isinstance(answer, RequestIdReused) for answer in answers) == 2
    assert len(await app.catalog.page(Movie, "", 100)) == 2


async def test_a_repeat_is_answered_after_a_restart(app: CatalogApp, database_url: str) -> None:
    call = new_call("CreateShowtime")
    response = await app.show_once(call)
    again = replace(app, database=Database(database_url, app.clock))
    assert await again.show_once(call) == response
    assert [encoded(each) for each in await again.shown()] == [response]
    await again.database.close()


async def test_a_caller_who_hangs_up_may_repeat_the_call(app: CatalogApp) -> None:
    """A call that is cut off at any statement was carried out or not. A repeat sees to it that it was."""
    loop = asyncio.get_running_loop()
    uncut = False
    steps = 0
    while not uncut:
        once = new_call("CreateMovie")
        call = asyncio.create_task(app.catalog.create_movie(f"Film {steps}", RUNTIME, "", "", once, encoded))
        ahead = count(-steps)

        def cut(_: str, call: asyncio.Task[bytes] = call, ahead: Iterator[int] = ahead) -> bool:
            if next(ahead) == 0:
                loop.call_soon_threadsafe(call.cancel)
            return False

        app.faults.fails = cut
        await asyncio.wait([call])
        uncut = not call.cancelled()
        steps += 1
        await app.catalog.create_movie(f"Film {steps}", RUNTIME, "", "", once, encoded)
        assert len(await app.catalog.page(Movie, "", 100)) == steps + 1
    assert steps > 4
