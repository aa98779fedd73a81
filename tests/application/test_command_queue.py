"""The box office is fair over callers: one with very many commands under way waits for itself, and others don't."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from cinema_grpc.application import lane as module
from cinema_grpc.application.command_queue import PLACES_A_CALLER
from cinema_grpc.application.errors import Overloaded
from cinema_grpc.application.patience import Patience
from cinema_grpc.domain.showtime import Showtime
from tests.application.conftest import House

MANY = 2_000
LARGEST_BATCH = module.LARGEST_BATCH
TEN_MINUTES = timedelta(minutes=10)


class Order:
    """The order in which commands were carried out."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.names: list[str] = []

    def note(self, name: str) -> Callable[[Showtime, datetime], None]:
        return lambda _showtime, _now: self.names.append(name)

    def ask(self, name: str, caller: str, at: str = "s1") -> "asyncio.Task[None]":
        return asyncio.create_task(self.house.box_office.execute(at, self.note(name), caller=caller))


async def test_a_flood_of_one_caller_lets_others_have_their_turn(house: House) -> None:
    """Of one showtime: behind the batch under way and those of the flood that have a place. All are served at last."""
    order = Order(house)
    flood = [order.ask(f"ada {number}", "ada") for number in range(MANY)]
    await asyncio.sleep(0)  # all are in line
    others = [order.ask(name, name) for name in ("bob", "cyd")]
    await asyncio.gather(*flood, *others)
    assert order.names.index("bob") == LARGEST_BATCH + PLACES_A_CALLER
    assert order.names.index("cyd") == LARGEST_BATCH + PLACES_A_CALLER + 1
    assert [name for name in order.names if name.startswith("ada")] == [f"ada {number}" for number in range(MANY)]


async def test_a_flood_over_many_showtimes(house: House) -> None:
    order = Order(house)
    flood = [order.ask(f"ada {number}", "ada", f"s{number % 3 + 1}") for number in range(MANY)]
    await asyncio.sleep(0)
    await asyncio.gather(*flood, order.ask("bob", "bob", "s2"))
    assert order.names.index("bob") <= LARGEST_BATCH + PLACES_A_CALLER


async def test_first_come_first_served_among_callers_who_do_not_flood(house: House) -> None:
    order = Order(house)
    callers = [f"caller {number % 20}" for number in range(20 * PLACES_A_CALLER)]
    names = [f"{number} of {caller}" for number, caller in enumerate(callers)]
    await asyncio.gather(*(order.ask(name, caller) for name, caller in zip(names, callers, strict=True)))
    assert order.names == names


async def test_a_caller_alone_fills_batches(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no place in the queue uses the room that others leave: 100 bookings take two commits of 50."""
    monkeypatch.setattr(module, "LARGEST_BATCH", 50)
    before = house.faults.commits
    order = Order(house)

    def hold(number: int) -> Any:
        def change(showtime: Showtime, now: datetime) -> None:
            order.note(str(number))(showtime, now)
            booking = f"b{number}"
            showtime.hold(booking, "ada", ["A1"], TEN_MINUTES, now)
            showtime.cancel(booking, "ada", "refund", now)

        return change

    calls = [
        asyncio.create_task(house.box_office.execute(f"s{number % 3 + 1}", hold(number), caller="ada"))
        for number in range(100)
    ]
    await asyncio.gather(*calls)
    assert house.faults.commits == before + 2


async def test_what_the_server_does_by_itself_is_not_limited(house: House) -> None:
    """Refunds, recovery and expiry have no caller."""
    order = Order(house)
    own = [order.ask(str(number), "") for number in range(100)]
    await asyncio.sleep(0)
    await asyncio.gather(*own, order.ask("bob", "bob"))
    assert order.names.index("bob") == 100


async def test_callers_who_are_gone_give_their_places_up(house: House) -> None:
    """A flood that hangs up takes no room in a batch, and what comes after it is served."""
    order = Order(house)
    flood = [order.ask(f"ada {number}", "ada") for number in range(MANY)]
    await asyncio.sleep(0)
    for each in flood:
        each.cancel()
    await asyncio.gather(*(order.ask(f"again {number}", "ada") for number in range(3 * PLACES_A_CALLER)))
    assert order.names == [f"again {number}" for number in range(3 * PLACES_A_CALLER)]
    (lane,) = house.box_office._lanes
    assert (lane._waiting.behind, lane._waiting._places, lane._waiting._behind) == (0, {}, {})


async def test_a_flood_is_turned_away_and_others_are_not(house: House) -> None:
    """What has no place in the queue counts for its own caller alone."""
    (lane,) = house.box_office._lanes
    lane._patience = Patience(longest_wait=2.5)
    lane._patience._usual = 1.0  # a round takes a second
    order = Order(house)
    flood = [order.ask(f"ada {number}", "ada") for number in range(MANY)]
    await asyncio.sleep(0)
    lane._began = asyncio.get_running_loop().time() + 1  # a round is under way
    flood.append(order.ask("one more", "ada"))
    bob = order.ask("bob", "bob")
    results = await asyncio.gather(*flood, bob, return_exceptions=True)
    assert isinstance(results[MANY], Overloaded)
    assert results[-1] is None
