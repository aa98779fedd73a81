"""Servers, their background tasks and clients on a virtual clock, in random order, with crashes at any step."""

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import groupby

import pytest
import structlog

from cinema_grpc.application import expiry
from cinema_grpc.application.box_office import box_office
from cinema_grpc.domain.booking import Booking, BookingStatus
from tests.chance import count, generator, seed
from tests.proofs.simulation.world import Call, World, a_world, decode

CUSTOMERS = 6


@pytest.fixture
def quiet() -> Iterator[None]:
    """Write no log: the faults here are injected."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


async def live(world: World) -> list[str]:
    """Live through one world, and return what was wrong in it."""
    await world.live(CUSTOMERS)
    wrong = list(world.database.breaches)
    if not world.settled():
        wrong.append("something is never settled")
    for call in world.calls:
        wrong += await check_answer(world, call)
    for user_id, calls in groupby(world.calls, key=lambda call: call.user_id):
        made = [each for each in world.database.bookings.values() if each.user_id == user_id]
        if len(made) > 1:
            wrong.append(f"{len(made)} bookings came of the one call of {user_id}: {list(calls)}")
    for booking in world.database.bookings.values():
        wrong += check_booking(world, booking)
    for office in world.offices:
        await office.stop()
    return wrong


async def check_answer(world: World, call: Call) -> list[str]:
    """Check that a response is true, and that a repeat of the call gets the same response."""
    if not isinstance(call.answer, bytes):
        return []
    again = await world.try_call(call)
    if again != call.answer:
        return [f"a repeat got another answer: {call.answer!r}, then {again!r}"]
    answered = decode(call.answer)
    kept = world.database.bookings.get(answered.booking_id)
    if kept is None or kept.seats != answered.seats:
        return [f"acknowledged and lost: {answered}"]
    return []


def check_booking(world: World, booking: Booking) -> list[str]:
    """Check that a booking expired at most once, and that its money is where it belongs."""
    wrong = []
    if world.database.expired[booking.booking_id] != (booking.status is BookingStatus.EXPIRED):
        wrong.append(f"expired {world.database.expired[booking.booking_id]} times: {booking}")
    owed = sum(seat.price.minor_units for seat in booking.seats) if booking.status is BookingStatus.CONFIRMED else 0
    keys = {booking.payment.attempt_id} if booking.payment is not None else set()
    kept = sum(charge.kept for key, charge in world.provider.charges.items() if key in keys)
    if kept != owed:
        wrong.append(f"{kept} was kept instead of {owed} for {booking}, of {world.provider.charges}")
    return wrong


def run(number: int, monkeypatch: pytest.MonkeyPatch) -> tuple[World, list[str]]:
    """Run a world by its number, and return it with what was wrong in it."""
    random.seed(number)
    world = a_world(generator("simulation", number))
    for module in (box_office, expiry):
        monkeypatch.setattr(module, "time", world.loop)
    wrong = world.loop.run(live(world))
    # A process that died may leave tasks with errors that were not retrieved.
    return world, wrong + [str(fault) for fault in world.loop.faults if not world.crashed]


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("seeds", [100, pytest.param(20_000, marks=pytest.mark.torture)])
def test_many_worlds(
    seeds: int, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    """Seats are sold once, calls take effect once, holds expire once, no response is lost, and money adds up."""
    first, happened = seed(), Counter[str]()
    for number in range(first, first + count(seeds)):
        world, wrong = run(number, monkeypatch)
        assert wrong == [], f"to see it again: CINEMA_TEST_SEED={number} CINEMA_TEST_COUNT=1"
        happened["steps"] += world.loop.steps
        happened["crashes"] += world.crashed
        happened.update(line.rpartition(" ")[2] for line in world.database.log)
    record_property("figures", f"{count(seeds)} seeds from {first} on: {dict(happened)}")
    assert happened.keys() > {status.value for status in BookingStatus} or seeds > count(seeds)


@pytest.mark.usefixtures("quiet")
def test_a_world_can_be_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed leads to the same history, to the step."""
    first = seed()
    for number in range(first, first + 20):
        one, other = (run(number, monkeypatch)[0] for _ in range(2))
        assert (one.loop.steps, one.database.log) == (other.loop.steps, other.database.log), number
