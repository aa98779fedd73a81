"""The cache: bounded by seats, never changed by a batch, and brought up to date from what was loaded beside it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, update

from cinema_grpc.adapters.database import price_lists, schema
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.application.box_office.cache import CachedShowtime, ShowtimeCache, catch_up
from cinema_grpc.application.box_office.store import LoadedShowtime, LoadRequest, Version
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.listings import Listings
from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.holds import hold
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import single_price
from cinema_grpc.domain.seating import SeatPlan, SeatRow
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.application.conftest import App
from tests.builders import NOW, a_showtime
from tests.database import writing
from tests.faults import failing

VERSION = Version(1, "the first commit")
DEARER = single_price(Money("EUR", 2_000), ())


def cached_showtime(showtime_id: str, seats: int) -> CachedShowtime:
    terms = replace(a_showtime().terms, showtime_id=showtime_id, seat_plan=SeatPlan([SeatRow("A", (seats,))]))
    return CachedShowtime(Showtime(terms), VERSION)


def test_the_showtimes_used_longest_ago_are_evicted() -> None:
    """As soon as all of them together have more seats than the limit."""
    cache = ShowtimeCache(max_seats=30)
    for showtime_id in ("s1", "s2", "s3"):
        cache.put(cached_showtime(showtime_id, 10))
    assert cache.get("s1") is not None  # and it is the one used last
    cache.put(cached_showtime("s4", 15))
    assert [cache.get(each) is not None for each in ("s1", "s2", "s3", "s4")] == [True, False, False, True]
    assert cache.evictions == 2


def test_a_showtime_that_is_put_again_counts_once() -> None:
    cache = ShowtimeCache(max_seats=20)
    for _ in range(5):
        cache.put(cached_showtime("s1", 10))
    latest = cached_showtime("s2", 10)
    cache.put(latest)
    assert cache.get("s1") is not None
    assert cache.get("s2") is latest
    assert cache.evictions == 0


def test_a_dropped_showtime_frees_its_seats() -> None:
    cache = ShowtimeCache(max_seats=20)
    cache.put(cached_showtime("s1", 20))
    cache.drop(["s1", "unknown"])
    cache.put(cached_showtime("s2", 20))
    assert cache.get("s1") is None
    assert cache.get("s2") is not None


@pytest.mark.parametrize("rolled_back", [False, True])
async def test_a_batch_that_fails_leaves_the_entry_as_it_is(app: App, rolled_back: bool) -> None:
    """The same object, with the same bookings and the same seat map."""
    listings = Listings(SqlListingsReader(app.database), app.store, app.cache)
    held = await app.hold("A1")
    seat_map, entry = await listings.seat_map("s1"), app.cache.get("s1")
    assert entry is not None
    if rolled_back:
        with failing(app.database, lambda statement: statement == "COMMIT"), pytest.raises(StorageUnavailable):
            await app.hold("A2")
    else:
        with pytest.raises(SeatsUnavailable):
            await app.hold("A1", "A2")
    assert app.cache.get("s1") is entry
    assert entry.showtime.booking(held.booking_id, "ada") == held
    assert (entry.showtime.taken, entry.showtime.changes()) == (1, [])
    assert await listings.seat_map("s1") is seat_map


async def test_a_commit_puts_a_new_entry(app: App) -> None:
    await app.hold("A1")
    before = app.cache.get("s1")
    await app.hold("A2")
    after = app.cache.get("s1")
    assert before is not None
    assert after is not None
    assert (before.showtime.taken, after.showtime.taken) == (1, 2)
    assert after.version.revision == before.version.revision + 1


def test_terms_alone_are_replaced_if_they_alone_have_changed() -> None:
    """The bookings of the cached state stay, with the prices that they were made at."""
    showtime = a_showtime(policy=SeatGapPolicy.ALLOW)
    held = hold(showtime, "b1", "ada", Selection(["A1"]), timedelta(minutes=10), NOW)
    showtime.mark_stored()
    terms = replace(showtime.terms, prices=DEARER)
    current = catch_up(CachedShowtime(showtime, VERSION), LoadedShowtime(Version(2, "c2"), NOW, False, terms, ()))
    assert current.booking("b1", "ada") is held
    later = hold(current, "b2", "ada", Selection(["A2"]), timedelta(minutes=10), NOW)
    assert (held.total_price.minor_units, later.total_price.minor_units) == (1_250, 2_000)
    assert showtime.terms.prices.lowest == Money("EUR", 1_250)


def test_a_showtime_that_is_not_cached_needs_terms() -> None:
    with pytest.raises(ValueError, match="loaded completely"):
        catch_up(None, LoadedShowtime(VERSION, NOW, False, None, ()))


async def test_changed_terms_are_loaded_by_their_revision(app: App) -> None:
    """On PostgreSQL without the bookings; SQLite, which has no replicas, loads the whole showtime."""
    held = await app.hold("A1")
    entry = app.cache.get("s1")
    assert entry is not None
    current = (await app.store.load(LoadRequest({"s1": entry.version}))).showtimes["s1"]
    assert (current.complete, current.terms, current.bookings) == (False, None, ())
    revision = entry.version.revision + 1
    prices = price_lists.to_text(DEARER)
    terms = {"prices": prices, "revision": revision, "terms_revision": revision, "commit_id": "of a new price"}
    async with writing(app.database) as connection:
        await connection.execute(update(schema.showtime).where(schema.showtime.c.showtime_id == "s1").values(terms))
        log = {"showtime_id": "s1", "revision": revision, "commit_id": "of a new price", "decide_time": NOW}
        await connection.execute(insert(schema.commit_log).values(log))

    changed = (await app.store.load(LoadRequest({"s1": entry.version}))).showtimes["s1"]
    assert changed.terms == replace(entry.showtime.terms, prices=DEARER)
    shared = app.database.driver.shared
    assert (changed.complete, [*changed.bookings]) == ((False, []) if shared else (True, [held]))
    assert (await app.hold("A2")).total_price == Money("EUR", 2_000)
    after = app.cache.get("s1")
    assert after is not None
    assert after.showtime.booking(held.booking_id, "ada").total_price == Money("EUR", 1_250)

    known = (await app.store.load(LoadRequest({"s1": after.version}))).showtimes["s1"]
    assert (known.complete, known.terms) == (False, None)
