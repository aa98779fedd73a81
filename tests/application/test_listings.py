"""Seat maps from cached showtimes: never older than what was acknowledged, and loaded only where that is needed."""

import asyncio
from datetime import timedelta

import pytest

from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.application.box_office import batch_runner
from cinema_grpc.application.box_office.store import Loaded, LoadRequest
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.listings import Listings, SeatMap
from cinema_grpc.domain.errors import ShowtimeNotFound
from cinema_grpc.domain.showtime import SeatStatus
from tests.application.commands import TEN_MINUTES, cancel_command
from tests.application.conftest import App
from tests.faults import failing

MICROSECOND = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)


class Store(SqlBoxOfficeStore):
    """A store that counts its loads, and how many showtimes were loaded completely."""

    loads = 0
    complete = 0

    async def load(self, request: LoadRequest) -> Loaded:
        self.loads += 1
        loaded = await super().load(request)
        self.complete += sum(each.complete for each in loaded.showtimes.values())
        return loaded


@pytest.fixture
def store(app: App) -> Store:
    return Store(app.database)


@pytest.fixture
def listings(app: App, store: Store) -> Listings:
    return Listings(SqlListingsReader(app.database), store, app.cache)


@pytest.fixture
def sole_listings(app: App, store: Store) -> Listings:
    """Listings of a process that sells alone."""
    return Listings(SqlListingsReader(app.database), store, app.cache, app.clock)


def taken(seat_map: SeatMap) -> list[str]:
    pairs = zip(seat_map.seat_plan.labels, seat_map.seats, strict=True)
    return [label for label, status in pairs if status is not SeatStatus.AVAILABLE]


async def test_a_seat_map_that_has_not_changed_is_the_same_object(listings: Listings, store: Store) -> None:
    first = await listings.seat_map("s1")
    assert all([await listings.seat_map("s1") is first for _ in range(3)])
    assert store.complete == 1


async def test_a_booking_is_seen_at_once_and_nothing_is_loaded_for_it(
    app: App, listings: Listings, store: Store
) -> None:
    before = await listings.seat_map("s1")
    await app.hold("A1", "A2")
    after = await listings.seat_map("s1")
    assert taken(before) == []
    assert taken(after) == ["A1", "A2"]
    assert after.listed.available_seats == before.listed.available_seats - 2
    assert after.listed.revision == before.listed.revision + 1
    assert store.complete == 1


async def test_what_another_process_did_is_seen_at_once(app: App, listings: Listings, store: Store) -> None:
    """The stored version says that the cached one is old."""
    await listings.seat_map("s1")
    async with app.other_process() as other:
        await other.hold("A1")
    assert taken(await listings.seat_map("s1")) == ["A1"]
    await app.hold("A3")
    assert taken(await listings.seat_map("s1")) == ["A1", "A3"]
    assert store.complete == (1 if app.database.driver.shared else 2)


async def test_only_what_another_process_changed_is_loaded(app: App, listings: Listings, store: Store) -> None:
    """On PostgreSQL; on SQLite, which has no replicas, the whole showtime is."""
    await app.hold("A1")
    async with app.other_process() as other:
        for number in (3, 5, 7):
            held = await other.hold(f"A{number}")
            assert taken(await listings.seat_map("s1")) == ["A1", f"A{number}"]
            await other.box_office.execute(cancel_command(held))
            assert taken(await listings.seat_map("s1")) == ["A1"]
            await app.box_office.execute(cancel_command(await app.hold(f"A{number + 1}")))
    assert store.complete == (0 if app.database.driver.shared else 6)


async def test_a_database_that_was_restored_decides(app: App, listings: Listings, store: Store) -> None:
    """As after a failover that lost commits: the cached version is ahead of it."""
    await app.hold("A1")
    await app.hold("A2", by="bob")
    assert taken(await listings.seat_map("s1")) == ["A1", "A2"]
    await app.restore()
    assert taken(await listings.seat_map("s1")) == []
    assert (await listings.seat_map("s1")).listed.revision == 0
    assert store.complete == 1


async def test_a_cached_version_that_is_no_ancestor_is_reloaded(app: App, listings: Listings, store: Store) -> None:
    """A failover lost the commit of the cached version, and another process made more revisions since."""
    await listings.seat_map("s1")
    await app.hold("A1")
    assert taken(await listings.seat_map("s1")) == ["A1"]
    await app.restore()
    async with app.other_process() as other:
        await other.hold("A5", "A6", by="bob")
        await other.hold("A7", by="bob")
    assert taken(await listings.seat_map("s1")) == ["A5", "A6", "A7"]
    assert (await listings.seat_map("s1")).listed.revision == 2
    assert store.complete == 2


async def test_a_hold_that_ends_is_free_in_that_moment(app: App, listings: Listings, store: Store) -> None:
    await app.hold("A1")
    app.clock.advance(MINUTE)
    await app.hold("A5", by="bob")
    app.clock.advance(9 * MINUTE - MICROSECOND)
    held = await listings.seat_map("s1")
    assert taken(held) == ["A1", "A5"]
    app.clock.advance(MICROSECOND)
    assert taken(await listings.seat_map("s1")) == ["A5"]
    app.clock.advance(MINUTE)
    free = await listings.seat_map("s1")
    assert taken(free) == []
    assert free.listed.revision == held.listed.revision
    assert store.complete == 0


async def test_concurrent_calls_load_together(listings: Listings, store: Store) -> None:
    maps = await asyncio.gather(*(listings.seat_map(f"s{1 + number % 3}") for number in range(60)))
    assert len({id(each) for each in maps}) == 3
    assert store.complete == 3
    assert store.loads <= 2


async def test_a_caller_that_hangs_up_takes_nothing_from_the_others(listings: Listings) -> None:
    impatient, patient = (asyncio.create_task(listings.seat_map("s1")) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert taken(await patient) == []


async def test_an_unknown_showtime(listings: Listings, sole_listings: Listings) -> None:
    for each in (listings, sole_listings):
        with pytest.raises(ShowtimeNotFound):
            await each.seat_map("nothing")


async def test_a_failure_of_storage_goes_to_all_callers_and_is_forgotten(app: App, listings: Listings) -> None:
    with failing(app.database, lambda _statement: True):
        results = await asyncio.gather(*(listings.seat_map("s1") for _ in range(3)), return_exceptions=True)
        assert [type(result) for result in results] == [StorageUnavailable] * 3
    assert taken(await listings.seat_map("s1")) == []


async def test_the_cache_is_bounded_by_its_seats(
    app: App, listings: Listings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seats = len((await listings.seat_map("s1")).seats)
    monkeypatch.setattr(app.cache, "_max_seats", 2 * seats)
    await listings.seat_map("s2")
    await listings.seat_map("s1")
    assert store.complete == 2
    await listings.seat_map("s3")  # in place of s2, which was used longest ago
    await listings.seat_map("s1")
    assert store.complete == 3
    await listings.seat_map("s2")
    assert store.complete == 4


class TestASoleProcess:
    """A process that sells alone shows what is cached without a query."""

    async def test_storage_is_read_once(self, app: App, sole_listings: Listings, store: Store) -> None:
        assert taken(await sole_listings.seat_map("s1")) == []
        await app.hold("A1")
        with failing(app.database, lambda _statement: True) as failed:
            assert taken(await sole_listings.seat_map("s1")) == ["A1"]
            app.clock.advance(TEN_MINUTES)
            assert taken(await sole_listings.seat_map("s1")) == []
        assert not failed
        assert store.loads == 1

    @pytest.mark.parametrize("evicted", [False, True])
    async def test_what_is_committed_during_a_load(self, app: App, evicted: bool) -> None:
        """The load was before the commit, so it does not replace what is cached, or was since evicted."""
        loaded, committed = asyncio.Event(), asyncio.Event()

        class SlowStore(Store):
            async def load(self, request: LoadRequest) -> Loaded:
                found = await super().load(request)
                loaded.set()
                await committed.wait()
                return found

        listings = Listings(SqlListingsReader(app.database), SlowStore(app.database), app.cache, app.clock)
        looking = asyncio.create_task(listings.seat_map("s1"))
        await loaded.wait()
        await app.hold("A1")
        if evicted:
            app.cache.drop(["s1"])
        committed.set()
        await looking
        assert taken(await listings.seat_map("s1")) == ["A1"]
        await app.hold("A2")
        assert taken(await listings.seat_map("s1")) == ["A1", "A2"]

    async def test_a_batch_that_is_not_committed(self, app: App, sole_listings: Listings) -> None:
        await sole_listings.seat_map("s1")
        with (
            failing(app.database, lambda statement: "INSERT INTO booking" in statement),
            pytest.raises(StorageUnavailable),
        ):
            await app.hold("A1")
        assert taken(await sole_listings.seat_map("s1")) == []

    async def test_a_commit_whose_outcome_is_not_known(
        self, app: App, sole_listings: Listings, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The showtime leaves the cache, and is loaded again."""
        monkeypatch.setattr(batch_runner, "SECONDS_TO_FIND_OUT", 0.01)
        await sole_listings.seat_map("s1")

        def from_the_commit_on(statement: str) -> bool:
            return bool(app.faults.failed) or statement == "COMMIT"

        with failing(app.database, from_the_commit_on, after=True), pytest.raises(StorageUnavailable):
            await app.hold("A1")
        assert taken(await sole_listings.seat_map("s1")) == ["A1"]
        assert store.complete == 2
