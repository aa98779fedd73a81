"""Blocked seats and moved showtimes: of what excludes each other one happens, and every replica knows at once."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.catalog import Catalog, unencoded
from cinema_grpc.application.scheduling import Execution
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import SalesClosed, SeatsUnavailable, ShowtimeCancelled
from cinema_grpc.domain.errors import ShowtimeOverlap
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import STANDARD, PriceLine, PriceList
from cinema_grpc.domain.showtime import SeatStatus
from cinema_grpc.domain.showtime_changes import ShowtimeChanges
from cinema_grpc.domain.terms import SeatGapPolicy
from tests import chance
from tests.application.commands import encode
from tests.application.sales import outcomes
from tests.builders import PRICE
from tests.conftest import Lend
from tests.proofs.desk import OFFICES, SEATS, STAFF, Desk, add_showtimes, open_desks, turns

TIMES = pytest.mark.parametrize("times", [50, pytest.param(1_000, marks=pytest.mark.torture)])
MICROSECOND = timedelta(microseconds=1)


@OFFICES
async def test_a_timed_release_is_claimed_in_its_microsecond(
    kind: str, offices: int, lend: Lend, tmp_path: Path
) -> None:
    """And not in the one before, at any replica, though no task runs."""
    with lend(kind, tmp_path) as url:
        async with open_desks(url, offices, SimulatedPayments()) as desks:
            first, last, clock = desks[0], desks[-1], desks[0].app.clock
            release_time = clock.now() + timedelta(hours=1)
            assert await first.block("s1", ["A1", "A2"], release_time) == ["A1", "A2"]
            clock.advance(timedelta(hours=1) - MICROSECOND)
            for desk in desks:
                with pytest.raises(SeatsUnavailable):
                    await desk.hold("s1", "ada", ["A1"])
                assert await statuses(desk, "s1") == Counter({SeatStatus.AVAILABLE: 8, SeatStatus.BLOCKED: 2})
            clock.advance(MICROSECOND)
            assert await statuses(last, "s1") == Counter({SeatStatus.AVAILABLE: 10})
            assert (await last.hold("s1", "ada", ["A1"])).labels == ("A1",)
            assert await last.block("s1", ["A2"]) == ["A2"]
            rows = sorted((row["seat"], row["block_id"] is None) for row in await first.app.rows("seat_claim"))
            assert rows == [("A1", True), ("A2", False)]


async def statuses(desk: Desk, at: str) -> Counter[SeatStatus]:
    """Count the seats of a seat map by status."""
    return Counter((await desk.listings.seat_map(at)).seats)


@OFFICES
@TIMES
async def test_a_block_or_a_claim_gets_the_seat(
    kind: str,
    offices: int,
    times: int,
    lend: Lend,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """They race for each seat, in one batch or at two replicas: exactly one wins, and the table has its claim."""
    random, won = chance.generator(chance.seed()), Counter[str]()
    with lend(kind, tmp_path) as url:
        async with open_desks(url, offices, SimulatedPayments()) as desks:
            await add_showtimes(desks[0].app, ["one"], desks[0].app.clock.now() + timedelta(days=9))
            while won.total() < chance.count(times):
                claims, blocks = dict[str, Booking](), set[str]()

                async def claim(seat: str) -> None:
                    await turns(random)
                    desk = random.choice(desks)
                    await desk.listings.listed("one")  # as a change of blocks does, or claims would always be first
                    claims[seat] = await desk.hold("one", "ada", [seat])  # noqa: B023 (used at once)

                async def block(seat: str) -> None:
                    await turns(random)
                    await random.choice(desks).block("one", [seat])
                    blocks.add(seat)  # noqa: B023 (used at once)

                calls = [*map(claim, SEATS), *map(block, SEATS)]
                random.shuffle(calls)
                losers = [each for each in await outcomes(*calls) if each is not None]
                assert {type(each) for each in losers} == {SeatsUnavailable}
                assert sorted([*claims, *blocks]) == sorted(SEATS)
                rows = await desks[0].app.rows("seat_claim")
                assert {row["seat"]: row["booking_id"] for row in rows} == {
                    **dict.fromkeys(blocks),
                    **{seat: booking.booking_id for seat, booking in claims.items()},
                }
                for booking in claims.values():
                    await random.choice(desks).bookings.cancel(booking.user_id, booking.booking_id, None, encode)
                await random.choice(desks).release("one", sorted(blocks))
                won.update(claims=len(claims), blocks=len(blocks))
    record_property("figures", dict(won))
    assert min(won["claims"], won["blocks"]) > won.total() / 20


@pytest.mark.parametrize("times", [10, pytest.param(500, marks=pytest.mark.torture)])
async def test_replicas_know_each_others_terms_at_once(postgresql_url: str, times: int) -> None:
    """Whichever replica changes prices, blocks, start or status: the next call at the other one goes by that."""
    random = chance.generator(chance.seed())
    async with open_desks(postgresql_url, 2, SimulatedPayments()) as desks:
        start = desks[0].app.clock.now() + timedelta(days=7)
        for number in range(chance.count(times)):
            name = f"r{number}"
            await add_showtimes(desks[0].app, [name], start)
            here, there = random.sample(desks, k=2)
            for desk in desks:
                held = await desk.hold(name, "ada", ["A1"])  # both have it in their caches
                await desk.bookings.cancel("ada", held.booking_id, None, encode)
            price = Money("EUR", random.randint(1, 5_000))
            prices = PriceList([PriceLine(STANDARD, STANDARD, price)], [STANDARD])
            await here.update(name, ShowtimeChanges(prices=prices), Execution(STAFF))
            assert (await there.hold(name, "ada", ["A1"])).total_price == price
            await there.block(name, ["A2", "A3"])
            with pytest.raises(SeatsUnavailable):
                await here.hold(name, "bob", ["A2"])
            await here.release(name, ["A2"])
            assert (await there.hold(name, "bob", ["A2"])).labels == ("A2",)
            soon = desks[0].app.clock.now() + timedelta(minutes=1)
            await there.update(name, ShowtimeChanges(start_time=soon), Execution(STAFF))
            assert (await here.listings.seat_map(name)).listed.start_time == soon
            desks[0].app.clock.advance(timedelta(minutes=1))
            with pytest.raises(SalesClosed):
                await here.hold(name, "bob", ["A9"])
            await here.cancel(name, Execution(STAFF))
            with pytest.raises(ShowtimeCancelled):
                await there.hold(name, "bob", ["A9"])
            assert await statuses(there, name) == Counter({SeatStatus.AVAILABLE: 10})


@OFFICES
@pytest.mark.parametrize("times", [20, pytest.param(1_000, marks=pytest.mark.torture)])
async def test_one_showtime_gets_the_auditorium(
    kind: str, offices: int, times: int, lend: Lend, tmp_path: Path
) -> None:
    """Two are moved to overlapping times, and a third is created there: one wins, the others are SHOWTIME_OVERLAP."""
    random = chance.generator(chance.seed())
    with lend(kind, tmp_path) as url:
        async with open_desks(url, offices, SimulatedPayments()) as desks:
            app = desks[0].app
            catalog = Catalog(SqlCatalogStore(app.database))
            start = app.clock.now() + timedelta(days=10)
            await add_showtimes(app, ["one", "two"], start)
            for number in range(chance.count(times)):
                goal = start + timedelta(days=3, hours=random.randint(0, 100))
                both = random.sample(desks, k=len(desks)) * 2
                calls: list[Awaitable[Any]] = [
                    desk.update(name, ShowtimeChanges(start_time=goal + at), Execution(STAFF))
                    for name, desk, at in zip(["one", "two"], both, [timedelta(), timedelta(hours=1)], strict=False)
                ]
                if number % 2:
                    policy = SeatGapPolicy.ALLOW
                    calls.append(catalog.create_showtime("m1", "a1", goal, PRICE, policy, None, unencoded))
                    if number % 4 == 1:
                        calls.pop(0).close()  # type: ignore[attr-defined] # a coroutine
                random.shuffle(calls)
                results = await outcomes(*calls)
                (winner,) = [each for each in results if not isinstance(each, Exception)]
                assert {type(each) for each in results if isinstance(each, Exception)} == {ShowtimeOverlap}
                created = getattr(winner, "showtime_id", "")
                if created:
                    await desks[0].cancel(created, Execution(STAFF))
                for name, days in (("one", 0), ("two", 1)):
                    back = ShowtimeChanges(start_time=start + timedelta(days=days))
                    await random.choice(desks).update(name, back, Execution(STAFF))
