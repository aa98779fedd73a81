"""The queue is fair over callers: one with very many commands waits behind its own commands, and others do not."""

import asyncio
import time

import pytest

from cinema_grpc.application.admission_control import AdmissionControl
from cinema_grpc.application.box_office import box_office as module
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.box_office.queue import PLACES_PER_CALLER
from cinema_grpc.application.errors import Overloaded
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.holds import hold
from tests.application.commands import TEN_MINUTES
from tests.application.conftest import App

MANY = 2_000
LARGEST_BATCH = module.LARGEST_BATCH


class Order:
    """The order in which commands were carried out."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.names: list[str] = []

    def ask(self, name: str, caller: str, at: str = "s1") -> "asyncio.Task[None]":
        command = Command(at, lambda _: self.names.append(name), caller=caller)
        return asyncio.create_task(self.app.box_office.execute(command))


async def test_a_flood_of_one_caller_lets_others_have_their_turn(app: App) -> None:
    """For one showtime: after the batch under way and those commands of the flood that have a place."""
    order = Order(app)
    flood = [order.ask(f"ada {number}", "ada") for number in range(MANY)]
    await asyncio.sleep(0)  # all are queued
    others = [order.ask(name, name) for name in ("bob", "cyd")]
    await asyncio.gather(*flood, *others)
    assert order.names.index("bob") == LARGEST_BATCH + PLACES_PER_CALLER
    assert order.names.index("cyd") == LARGEST_BATCH + PLACES_PER_CALLER + 1
    assert [name for name in order.names if name.startswith("ada")] == [f"ada {number}" for number in range(MANY)]


async def test_a_flood_over_many_showtimes(app: App) -> None:
    order = Order(app)
    flood = [order.ask(f"ada {number}", "ada", f"s{number % 3 + 1}") for number in range(MANY)]
    await asyncio.sleep(0)
    await asyncio.gather(*flood, order.ask("bob", "bob", "s2"))
    assert order.names.index("bob") <= LARGEST_BATCH + PLACES_PER_CALLER


async def test_first_come_first_served_among_callers_with_few_commands(app: App) -> None:
    order = Order(app)
    callers = [f"caller {number % 20}" for number in range(20 * PLACES_PER_CALLER)]
    names = [f"{number} of {caller}" for number, caller in enumerate(callers)]
    await asyncio.gather(*(order.ask(name, caller) for name, caller in zip(names, callers, strict=True)))
    assert order.names == names


async def test_a_caller_alone_fills_batches(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands without a place use the room that others leave: 100 bookings take two commits of 50."""
    monkeypatch.setattr(module, "LARGEST_BATCH", 50)
    before = app.faults.commits

    def hold_and_cancel(number: int) -> Command[None]:
        def change(decision: Decision) -> None:
            hold(decision.showtime, f"b{number}", "ada", Selection(["A1"]), TEN_MINUTES, decision.now)
            decision.showtime.cancel(f"b{number}", "ada", "refund", decision.now)

        return Command(f"s{number % 3 + 1}", change, caller="ada")

    calls = [asyncio.create_task(app.box_office.execute(hold_and_cancel(number))) for number in range(100)]
    await asyncio.gather(*calls)
    assert app.faults.commits == before + 2


async def test_commands_of_the_server_itself_are_not_limited(app: App) -> None:
    """Refunds, recovery and expiry have no caller."""
    order = Order(app)
    own = [order.ask(str(number), "") for number in range(100)]
    await asyncio.sleep(0)
    await asyncio.gather(*own, order.ask("bob", "bob"))
    assert order.names.index("bob") == 100


async def test_commands_whose_callers_have_gone_free_their_places(app: App) -> None:
    """A flood that hangs up takes no room in a batch, and later commands are carried out."""
    order = Order(app)
    flood = [order.ask(f"ada {number}", "ada") for number in range(MANY)]
    await asyncio.sleep(0)
    for each in flood:
        each.cancel()
    await asyncio.gather(*(order.ask(f"again {number}", "ada") for number in range(3 * PLACES_PER_CALLER)))
    assert order.names == [f"again {number}" for number in range(3 * PLACES_PER_CALLER)]
    queue = app.box_office._queue
    assert (queue._placed, queue._places, queue._overflow) == (0, {}, {})


async def test_a_flood_is_refused_and_others_are_not(app: App) -> None:
    """Commands without a place count for their own caller alone."""
    app.box_office._admission = AdmissionControl(longest_wait=2.5, typical=1.0)
    order = Order(app)
    flood = [order.ask(f"ada {number}", "ada") for number in range(MANY)]
    await asyncio.sleep(0)
    app.box_office._batch_start = time.monotonic() + 1  # a batch is under way
    flood.append(order.ask("one more", "ada"))
    bob = order.ask("bob", "bob")
    results = await asyncio.gather(*flood, bob, return_exceptions=True)
    assert isinstance(results[MANY], Overloaded)
    assert results[-1] is None
