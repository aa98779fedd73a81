"""Watched seats, apart from the transport: what is queried and loaded for them, and when frames come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.application import seat_watch
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.seat_watch import SeatWatch
from cinema_grpc.application.watched_showtime import WakePace
from cinema_grpc.domain.errors import ShowtimeNotFound
from cinema_grpc.transport.seat_maps import encode_frame
from tests.application.commands import TEN_MINUTES, cancel_command
from tests.application.conftest import App
from tests.database import writing
from tests.faults import failing

Frames = Any
Open = Callable[..., Awaitable[Frames]]


class Store(SqlBoxOfficeStore):
    """A store that counts what it is asked for."""

    queries = 0
    loads = 0
    meanwhile: Callable[[], Awaitable[None]] | None = None
    """Runs once, after a load and before its answer."""

    async def versions(self, showtime_ids: Any) -> Any:
        self.queries += 1
        return await super().versions(showtime_ids)

    async def load(self, request: Any) -> Any:
        self.loads += 1
        loaded = await super().load(request)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return loaded


@pytest.fixture
def store(app: App) -> Store:
    return Store(app.database)


@pytest.fixture
def watch(app: App, store: Store) -> SeatWatch:
    """The watch of a process beside which others sell; none of its tasks runs by itself."""
    listings = Listings(SqlListingsReader(app.database), store, app.cache)
    watch = SeatWatch(listings, app.cache, encode_frame, app.clock, store.versions)
    app.box_office.on_commit(watch.note_commit)
    return watch


@pytest_asyncio.fixture
async def watched(watch: SeatWatch) -> AsyncIterator[Open]:
    """Opens streams whose first frame was read; they are closed at the end."""
    streams: list[Frames] = []

    async def start(showtime_id: str = "s1") -> Frames:
        streams.append(watch.frames(showtime_id, 0))
        assert pb.WatchSeatsResponse.FromString(await anext(streams[-1])).snapshot
        return streams[-1]

    yield start
    for each in streams:
        await each.aclose()


async def frame(stream: Frames) -> tuple[int, list[str]]:
    """Return the revision and the seats of the next frame."""
    async with asyncio.timeout(30):
        found = pb.WatchSeatsResponse.FromString(await anext(stream))
    return found.revision, [each.seat for each in found.seats]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a change of state that sets no event."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def waits(stream: Frames) -> "asyncio.Task[tuple[int, list[str]]]":
    """Return a task that waits for the next frame already."""
    task = asyncio.create_task(frame(stream))
    await asyncio.sleep(0)
    return task


async def test_one_query_finds_what_others_committed_to_all_watched_showtimes(
    app: App, watch: SeatWatch, watched: Open, store: Store
) -> None:
    """What has changed is loaded, nothing else."""
    tasks = [await waits(await watched(each)) for each in ("s1", "s2", "s3")]
    async with app.other_process() as other:
        await other.hold("A1", "A2", at="s2")
    store.queries = store.loads = 0
    await watch.look_for_commits()
    assert await tasks[1] == (1, ["A1", "A2"])
    assert (store.queries, store.loads) == (1, 1)
    await watch.look_for_commits()
    assert (store.queries, store.loads) == (2, 1)
    assert not tasks[0].done()
    assert not tasks[2].done()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_nothing_is_queried_while_nobody_watches(watch: SeatWatch, store: Store) -> None:
    await watch.look_for_commits()
    await watch.run_pass()
    assert (store.queries, store.loads) == (0, 0)


async def test_a_commit_of_this_process_needs_no_query(app: App, watched: Open, store: Store) -> None:
    stream = await watched()
    store.loads = 0
    await app.hold("A1", "A2")
    assert await frame(stream) == (1, ["A1", "A2"])
    assert (store.queries, store.loads) == (0, 0)


async def test_a_client_that_does_not_read_gets_all_it_has_missed_in_one_frame(app: App, watched: Open) -> None:
    slow, quick = await watched(), await watched()
    for number in range(3):
        await app.hold(f"A{2 * number + 1}", f"A{2 * number + 2}")
        while (await frame(quick))[0] <= number:
            pass
    assert await frame(slow) == (3, ["A1", "A2", "A3", "A4", "A5", "A6"])


async def test_watchers_at_the_same_step_share_a_frame(app: App, watched: Open) -> None:
    streams = [await watched() for _ in range(3)]
    await app.hold("A1", "A2")
    first, *others = [await anext(each) for each in streams]
    assert all(each is first for each in others)


async def test_a_showtime_that_was_evicted_from_the_cache(app: App, watch: SeatWatch, watched: Open) -> None:
    task = await waits(await watched())
    await app.hold("A1", "A2")
    app.cache.drop(["s1"])
    await until(lambda: bool(watch._outdated))
    await watch.reload()
    assert await task == (1, ["A1", "A2"])


async def test_one_that_is_evicted_again_while_it_is_loaded(
    app: App, watch: SeatWatch, watched: Open, store: Store
) -> None:
    stream = await watched()
    await app.hold("A1", "A2")
    app.cache.drop(["s1"])
    await until(lambda: bool(watch._outdated))

    async def commit_and_evict() -> None:
        await app.hold("A3", "A4")
        app.cache.drop(["s1"])
        await until(lambda: not watch._watched["s1"].is_due)

    store.meanwhile = commit_and_evict
    await watch.reload()
    while (await frame(stream))[0] < 2:
        pass


async def test_a_load_that_a_commit_overtakes(app: App, watch: SeatWatch, watched: Open, store: Store) -> None:
    """And whose showtime is evicted then: watchers are not taken back to what was loaded."""
    stream = await watched()
    watch._outdated.add("s1")

    async def commit_and_evict() -> None:
        await app.hold("A1", "A2")
        await until(lambda: watch._watched["s1"].version.revision == 1)
        app.cache.drop(["s1"])

    store.meanwhile = commit_and_evict
    await watch.reload()
    assert await frame(stream) == (1, ["A1", "A2"])


async def test_what_was_loaded_is_newer_than_what_is_cached(
    app: App, watch: SeatWatch, watched: Open, store: Store
) -> None:
    """It is not cached if a showtime was evicted meanwhile. The older state in the cache counts for nothing."""

    async def evict() -> None:
        app.cache.drop(["s3"])

    async with app.other_process() as other:
        task = await waits(await watched())
        await other.hold("A1", "A2")
        store.meanwhile = evict
        await watch.look_for_commits()
        assert await task == (1, ["A1", "A2"])
        store.meanwhile = evict
        task = await waits(await watched())
        await other.hold("A5", "A6")
        store.meanwhile = evict
        await watch.look_for_commits()
        assert await task == (2, ["A5", "A6"])


async def test_before_a_hold_ends_others_are_asked(app: App, watch: SeatWatch, watched: Open) -> None:
    """One of them may have given its seats to somebody else within the last fifth of a second."""
    held = await app.hold("A1", "A2")
    task = await waits(await watched())
    async with app.other_process() as other:
        await other.box_office.execute(cancel_command(held))
        await other.hold("A1", by="bob")
        app.clock.advance(TEN_MINUTES - timedelta(microseconds=1))
        await other.hold("A2", by="bob")
    app.clock.advance(timedelta(microseconds=1))
    await watch.run_pass()
    await until(lambda: bool(watch._outdated))
    assert not task.done()
    await watch.reload()
    revision, seats = await task
    assert revision == 4
    assert set(seats) == {"A1", "A2"}


async def test_a_hold_that_was_cancelled_a_moment_before_its_end_frees_no_seats_of_the_next_one(
    app: App, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process that sells alone, before the step that shows the watchers the last commits."""
    listings = Listings(SqlListingsReader(app.database), store, app.cache)
    watch = SeatWatch(listings, app.cache, encode_frame, app.clock)
    app.box_office.on_commit(watch.note_commit)
    held = await app.hold("A1", "A2")
    async with aclosing(watch.frames("s1", 0)) as stream:
        await anext(stream)
        await app.hold("A3", "A4")
        assert await frame(stream) == (2, ["A3", "A4"])
        task = asyncio.create_task(anext(stream))
        monkeypatch.setattr(seat_watch, "SECONDS_BETWEEN_STEPS", 3_600)  # the next step is taken here
        app.clock.advance(TEN_MINUTES - timedelta(microseconds=1))
        await app.box_office.execute(cancel_command(held))
        await app.hold("A1", "A2", by="bob")
        app.clock.advance(timedelta(microseconds=1))
        watched = watch._watched["s1"]
        await watch.run_pass()
        assert watched.has_timer
        await until(lambda: not watched.has_timer)
        watch._step(watched)
        found = pb.WatchSeatsResponse.FromString(await asyncio.wait_for(task, 30))
    assert found.revision == 4
    statuses = {each.seat: each.status for each in found.seats}
    assert (statuses["A1"], statuses["A2"]) == (showtime_pb2.SEAT_STATUS_HELD, showtime_pb2.SEAT_STATUS_HELD)


async def test_an_idle_stream_gets_empty_frames(
    watch: SeatWatch, watched: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await waits(await watched())
    await watch.run_pass()
    await asyncio.sleep(0)
    assert not task.done()
    monkeypatch.setattr(seat_watch, "SECONDS_BETWEEN_FRAMES", 0.0)
    await watch.run_pass()
    assert await task == (0, [])


async def test_a_stream_does_not_go_on_without_news_of_the_database(
    app: App, watch: SeatWatch, watched: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client would take old frames for true; at another server they may be."""
    task = await waits(await watched())
    monkeypatch.setattr(seat_watch, "SECONDS_BETWEEN_FRAMES", 0.0)
    monkeypatch.setattr(seat_watch, "LONGEST_SILENCE", 0.0)
    await watch.look_for_commits()
    with failing(app.database, lambda _statement: True), pytest.raises(StorageUnavailable):
        await watch.look_for_commits()
    await watch.run_pass()
    with pytest.raises(StorageUnavailable):
        await task


async def test_showtimes_that_nobody_watches_any_more_are_forgotten(
    app: App, watch: SeatWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at once, so that who comes back gets a difference; and only so many are kept."""
    monkeypatch.setattr(seat_watch, "MAX_UNWATCHED", 2)
    for showtime_id in ("s1", "s2", "s3"):
        async with aclosing(watch.frames(showtime_id, 0)) as stream:
            await anext(stream)
    assert [*watch._watched] == ["s2", "s3"]
    await app.hold("A1", "A2", at="s2")
    monkeypatch.setattr(seat_watch, "SECONDS_UNWATCHED", 0.0)
    await watch.run_pass()
    assert not watch._watched


async def test_a_failover_that_undid_commits(app: App, watch: SeatWatch, watched: Open) -> None:
    """The frame goes back to the revision that is left."""
    stream = await watched()
    await app.hold("A1", "A2")
    assert await frame(stream) == (1, ["A1", "A2"])
    await app.restore()
    task = await waits(stream)
    await watch.look_for_commits()
    assert await task == (0, ["A1", "A2"])


async def test_a_showtime_that_a_failover_has_lost(app: App, watch: SeatWatch, watched: Open) -> None:
    """Its streams end, and those of others go on."""
    lost, left = await waits(await watched("s3")), await waits(await watched("s1"))
    app.cache.drop(["s3"])
    async with writing(app.database) as connection:
        for table in (schema.event_outbox, schema.event, schema.commit_log, schema.showtime):
            await connection.execute(table.delete().where(table.c.showtime_id == "s3"))
    await watch.look_for_commits()
    with pytest.raises(ShowtimeNotFound):
        await lost
    watch._outdated.add("s3")  # as when a hold ends
    await watch.reload()
    assert not watch._outdated
    await app.hold("A1", "A2")
    assert await left == (1, ["A1", "A2"])


async def test_streams_that_are_behind_take_turns(app: App, watch: SeatWatch, watched: Open) -> None:
    """Else, in a rush, each of them would send a frame for each step, and leave no time to sell."""
    watch._pace = WakePace(a_second=2)
    first, *others = [await watched() for _ in range(5)]
    await app.hold("A1", "A2")
    assert await frame(first) == (1, ["A1", "A2"])
    tasks = [await waits(each) for each in others]
    assert not any(each.done() for each in tasks)
    assert await asyncio.gather(*tasks) == [(1, ["A1", "A2"])] * len(others)
