"""The catalog in the database: kept as it is, in order, and together with the stored response."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.application.box_office.store import StorageConflict
from cinema_grpc.application.errors import Overloaded, StorageUnavailable
from cinema_grpc.application.idempotency import IdempotencyKey
from cinema_grpc.application.ports import ResponseAlreadyStored
from cinema_grpc.config import SMALLEST_POOL
from cinema_grpc.domain.catalog import Auditorium, Cinema, Movie
from cinema_grpc.domain.errors import AuditoriumNotFound, CinemaNotFound, MovieNotFound, NameTaken, ShowtimeOverlap
from cinema_grpc.domain.showtime import SeatStatus
from tests.builders import NOW
from tests.database import furnish, reading, writing
from tests.store.programme import EVERYTHING, Programme, auditorium, cinema, movie, slot_of, stored_response

# Entering and reading


async def test_entries_are_read_as_they_were_entered(programme: Programme) -> None:
    store = programme.store
    assert await store.get(Movie, "movie-0002") == movie(2)
    assert await store.get(Cinema, "cinema-0002") == cinema(2)
    assert await store.get(Auditorium, "auditorium-0003") == auditorium(3, of=2)
    shown = await programme.add(NOW + timedelta(days=1, microseconds=1))
    found, seats = await programme.seats(shown)
    assert found == shown
    assert set(seats.values()) == {SeatStatus.AVAILABLE}


async def test_what_is_not_there_is_not_found(programme: Programme) -> None:
    store = programme.store
    with pytest.raises(MovieNotFound):
        await store.get(Movie, "cinema-0001")
    with pytest.raises(CinemaNotFound):
        await store.get(Cinema, "movie-0001")
    with pytest.raises(AuditoriumNotFound):
        await store.get(Auditorium, "cinema-0001")
    assert await programme.reader.entry("movie-0001", 1) is None
    assert await store.stored_response(IdempotencyKey("caller", "RPC", "request-1")) is None


async def test_the_time_is_that_of_the_clock(programme: Programme) -> None:
    programme.clock.advance(timedelta(hours=3))
    assert await programme.store.now() == NOW + timedelta(hours=3)


async def test_what_was_entered_is_there_for_another_store_on_the_same_file(
    programme: Programme, database_url: str
) -> None:
    shown = await programme.add(NOW + timedelta(days=1))
    await programme.store.add(movie(3), slot_of(stored_response("request-1")))
    await programme.database.close()
    again = Database(database_url, programme.clock)
    store = SqlCatalogStore(again)
    assert await store.stored_response(stored_response("request-1").key) == stored_response("request-1")
    assert (await SqlListingsReader(again).page(EVERYTHING, None, 10))[1] == [shown]
    assert await store.page(Movie, "", 10) == [movie(1), movie(2), movie(3)]
    await again.close()


async def test_a_name_is_taken_in_its_own_cinema_alone(programme: Programme) -> None:
    other = replace(auditorium(9, of=1), name="Screen 1")
    with pytest.raises(NameTaken) as refusal:
        await programme.store.add(other, None)
    assert refusal.value.metadata == {"name": "Screen 1"}
    await programme.store.add(replace(other, cinema_id="cinema-0002"), None)
    await programme.store.add(replace(auditorium(10, of=1), name="screen 1"), None)
    auditoriums = await programme.store.page(Auditorium, "", 10, cinema_id="cinema-0002")
    assert [each.name for each in auditoriums] == ["Screen 3", "Screen 1"]


async def test_another_fault_is_not_taken_for_a_taken_name(programme: Programme) -> None:
    with pytest.raises(StorageConflict):
        await programme.store.add(auditorium(9, of=7), None)


# Once


async def test_a_response_is_stored_with_its_entry(programme: Programme) -> None:
    programme.clock.advance(timedelta(hours=1))
    await programme.store.add(cinema(3), slot_of(stored_response("request-1")))
    assert await programme.store.stored_response(stored_response("request-1").key) == stored_response("request-1")
    async with reading(programme.database) as connection:
        kept = await connection.execute(select(schema.stored_response.c.create_time))
        assert kept.scalar_one() == NOW + timedelta(hours=1)


async def test_nothing_is_written_if_the_key_has_a_stored_response(programme: Programme) -> None:
    store = programme.store
    await store.add(movie(3), slot_of(stored_response("request-1")))
    second = stored_response("request-1")._replace(response=b"another")
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: store.add(movie(4), slot_of(second)),
        lambda: store.add(cinema(4), slot_of(second)),
        lambda: store.add(auditorium(4), slot_of(second)),
        lambda: store.add(auditorium(1), slot_of(second)),
        lambda: programme.put(programme.showtime(NOW + timedelta(days=1)), second),
    ]
    for call in calls:
        with pytest.raises(ResponseAlreadyStored):
            await call()
    assert await store.stored_response(stored_response("request-1").key) == stored_response("request-1")
    assert len(await store.page(Movie, "", 10)) == 3
    assert len(await store.page(Cinema, "", 10)) == 2
    assert len(await store.page(Auditorium, "", 10, cinema_id="cinema-0001")) == 2
    assert await programme.page(EVERYTHING, None, 10) == []


async def test_no_response_is_stored_for_a_refused_call(programme: Programme) -> None:
    await programme.add(NOW + timedelta(days=1))
    with pytest.raises(NameTaken):
        await programme.store.add(replace(auditorium(9), name="Screen 1"), slot_of(stored_response("request-1")))
    with pytest.raises(ShowtimeOverlap):
        await programme.put(programme.showtime(NOW + timedelta(days=1)), stored_response("request-1"))
    assert await programme.store.stored_response(stored_response("request-1").key) is None
    await programme.store.add(movie(3), slot_of(stored_response("request-1")))


async def test_the_same_request_id_of_another_caller_or_call_is_another_request(programme: Programme) -> None:
    one = stored_response("request-1")
    await programme.store.add(movie(3), slot_of(one))
    await programme.store.add(movie(4), slot_of(one._replace(key=one.key._replace(caller="other"))))
    await programme.store.add(movie(5), slot_of(one._replace(key=one.key._replace(rpc="Other"))))
    assert len(await programme.store.page(Movie, "", 10)) == 5


# Lists


async def test_lists_run_in_the_order_of_their_identifiers_from_the_one_after(programme: Programme) -> None:
    store = programme.store
    for number in (5, 3, 4):
        await store.add(movie(number), None)
        await store.add(cinema(number), None)
        await store.add(auditorium(number + 10, of=2), None)
    assert await store.page(Movie, "", 3) == [movie(1), movie(2), movie(3)]
    assert await store.page(Movie, "movie-0003", 3) == [movie(4), movie(5)]
    assert await store.page(Cinema, "cinema-0001", 2) == [cinema(2), cinema(3)]
    assert [each.auditorium_id[-2:] for each in await store.page(Auditorium, "", 10, cinema_id="cinema-0002")] == [
        "03",
        "13",
        "14",
        "15",
    ]
    assert await store.page(Auditorium, "auditorium-0013", 1, cinema_id="cinema-0002") == [auditorium(14, of=2)]
    assert await store.page(Auditorium, "", 10, cinema_id="cinema-0009") == []


# Beside an import

LOCK_A1 = "SELECT 1 FROM auditorium WHERE auditorium_id = 'a1' FOR NO KEY UPDATE"


@asynccontextmanager
async def beside_an_import(
    database_url: str, lock_timeout: int, longest_wait: float = math.inf
) -> AsyncIterator[tuple[Database, SqlCatalogStore]]:
    """Open a database with few connections, whose first auditorium is locked."""
    limits = f"&lock_timeout={lock_timeout}&statement_timeout=0&idle_in_transaction_session_timeout=0"
    database = Database(f"{database_url}{limits}", pool_size=SMALLEST_POOL, longest_wait=longest_wait)
    await furnish(database)
    async with writing(database) as connection:
        await connection.exec_driver_sql(LOCK_A1)
        yield database, SqlCatalogStore(database)
    await database.close()


def change(store: SqlCatalogStore, auditorium_id: str) -> "asyncio.Task[Auditorium]":
    return asyncio.create_task(store.update(Auditorium, auditorium_id, lambda each: each, None))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_changes_that_wait_for_a_lock_leave_connections_to_others(database_url: str) -> None:
    """Any number of changes may wait; reads and sign-ins do not, nor do entries that need no lock."""
    async with beside_an_import(database_url, 60_000) as (database, store), asyncio.timeout(30):
        changes = [change(store, "a1") for _ in range(9)]
        await store.get(Movie, "m1")
        await SqlAccountStore(database).enable("ada")
        await store.add(movie(9), None)
        assert database.waiting == 8
        assert not any(each.done() for each in changes)
        for each in changes:
            each.cancel()
        await asyncio.gather(*changes, return_exceptions=True)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_changes_that_wait_for_a_lock_let_others_try(database_url: str) -> None:
    """Between their tries: a change of another auditorium is made before any of them has given up."""
    async with beside_an_import(database_url, 100) as (_, store):
        changes = [change(store, "a1") for _ in range(4)]
        await asyncio.sleep(0)
        assert (await change(store, "a2")).auditorium_id == "a2"
        assert not any(each.done() for each in changes)
        failures = await asyncio.gather(*changes, return_exceptions=True)
        assert [type(each) for each in failures] == [StorageUnavailable] * 4


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_changes_whose_callers_have_gone_are_not_tried_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that waits for its next try, nor one whose try is under way."""
    async with beside_an_import(database_url, 100) as (database, store):
        transact, tries = database.driver.transact, list[object]()

        async def count(work: Callable[[Connection], object]) -> object:
            tries.append(work)
            return await transact(work)

        monkeypatch.setattr(database.driver, "transact", count)
        changes = [change(store, "a1") for _ in range(3)]
        while len(tries) < 5:  # noqa: ASYNC110 (each has been tried, and two for the second time)
            await asyncio.sleep(0.001)
        for each in changes:
            each.cancel()
        await asyncio.gather(*changes, *database._tasks, return_exceptions=True)
        assert len(tries) == 5


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_changes_that_would_wait_too_long_for_others_are_refused(database_url: str) -> None:
    """Others that an import blocks: how long these take is known from their tries."""
    async with beside_an_import(database_url, 100, longest_wait=0.05) as (_, store):
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await change(store, "a1")
        refused = await asyncio.gather(*(change(store, "a1") for _ in range(9)), return_exceptions=True)
        assert Overloaded in {type(each) for each in refused}
        await store.get(Movie, "m1")
