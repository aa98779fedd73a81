"""Overload, cancelled calls, and hours of selling. Afterwards the server holds no more resources than before."""

import asyncio
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_service_pb2, showtime_service_pb2

from tests.chance import count, generator, seed
from tests.conftest import KINDS, Lend
from tests.proofs.customers import Customer
from tests.proofs.endurance import SECONDS_TO_REST, Endurance, endurance
from tests.proofs.vitals import MEBIBYTE, memory
from tests.replicas.conftest import Metadata
from tests.rpc.conftest import read_refusal

MINUTES_VARIABLE = "CINEMA_TEST_MINUTES"
SEATS = [f"{row}{number}" for row in "ABCD" for number in range(1, 101)]
LONG_SECONDS = 120
ALLOWED_GROWTH = 8 * MEBIBYTE
"""How much memory may grow over the second half of a run; what is sold is remembered, within bounds."""
MAX_MEMORY = 512 * MEBIBYTE
"""What a server may have in use while it is overloaded."""
FEWEST_BUYERS = 1_500
"""More than a server can serve at once, even on a machine that measures slow."""
EXPECTED = {"OK", "OVERLOADED", "SEATS_UNAVAILABLE", "HOLD_LIMIT", "BOOKING_NOT_CANCELLABLE"}


def a_booking_of(chance: random.Random, showtime_id: str) -> booking_service_pb2.CreateBookingRequest:
    """Ask for one or two seats side by side."""
    first = chance.randrange(len(SEATS) - 1)
    return booking_service_pb2.CreateBookingRequest(
        showtime_id=showtime_id, seats=SEATS[first : first + chance.randint(1, 2)], request_id=str(uuid.uuid4())
    )


@dataclass
class Buyer:
    """A client that holds seats and cancels, over and over, and repeats a refused call at once."""

    number: int
    watched: Endurance
    chance: random.Random
    outcomes: Counter[str]
    waits: list[float]

    async def buy_until(self, end: float) -> None:
        me = self.watched.chain.customers[self.number % len(self.watched.chain.customers)]
        while time.monotonic() < end:
            asked = a_booking_of(self.chance, self.chance.choice(self.watched.chain.showtimes))
            raw = await self._try("CreateBooking", asked, me)
            if raw is None:
                continue
            held = booking_service_pb2.CreateBookingResponse.FromString(raw).booking
            given_back = booking_service_pb2.CancelBookingRequest(booking_id=held.booking_id)
            while time.monotonic() < end and await self._try("CancelBooking", given_back, me) is None:
                pass

    async def _try(self, name: str, request: Any, me: Metadata) -> bytes | None:
        start = time.monotonic()
        try:
            answer = await self.watched.call(self.number, f"/cinema.v1.BookingService/{name}", request, me)
        except grpc.aio.AioRpcError as error:
            refused = read_refusal(error)
            self.outcomes[refused.reason] += 1
            assert refused.reason != "OVERLOADED" or "RetryInfo" in refused.details
            return None
        self.outcomes["OK"] += 1
        self.waits.append(time.monotonic() - start)
        return bytes(answer)


async def sell(watched: Endurance, chosen: int, buyers: int, seconds: float) -> tuple[Counter[str], list[float]]:
    """Run concurrent buyers; return how often each outcome was, and the seconds that successful calls took."""
    outcomes: Counter[str] = Counter()
    waits: list[float] = []
    end = time.monotonic() + seconds
    everyone = [Buyer(number, watched, generator(chosen, number), outcomes, waits) for number in range(buyers)]
    await asyncio.gather(*(each.buy_until(end) for each in everyone))
    return outcomes, sorted(waits)


@pytest.mark.parametrize(
    ("kind", "seconds"),
    [("sqlite", 2), *(pytest.param(kind, LONG_SECONDS, marks=pytest.mark.torture) for kind in KINDS)],
)
async def test_overload(
    kind: str, seconds: float, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Ten times as many buyers as can be served in time: some calls get OVERLOADED, and the others succeed."""
    chosen, longest_wait = seed(), 0.005  # less than a batch takes on any machine
    async with endurance(lend, kind, tmp_path, CINEMA_LONGEST_WAIT_SECONDS=str(longest_wait)) as watched:
        calm, _ = await sell(watched, chosen, 8, 1)
        rate = calm["OK"]
        buyers = max(FEWEST_BUYERS, round(10 * rate * longest_wait))
        async with watched.watched(seconds / 60):
            outcomes, waits = await sell(watched, chosen, buyers, seconds)
        served = outcomes["OK"] / seconds
        p99 = waits[round(0.99 * (len(waits) - 1))]
        figures = (
            f"{buyers} buyers: {served:.0f} calls served a second, {rate:.0f} when calm; p99 {p99:.2f} s; {outcomes}"
        )
        grown = watched.grown(figures, record_property)
        assert seconds < LONG_SECONDS or grown < ALLOWED_GROWTH
        assert set(outcomes) <= EXPECTED
        assert outcomes["OVERLOADED"] > 0
        assert outcomes["OK"] > 0
        assert seconds < LONG_SECONDS or served > rate / 4  # two seconds of a busy machine say little about rates
        assert max(watched.samples) < MAX_MEMORY
        afterwards: Counter[str] = Counter()
        async with asyncio.timeout(SECONDS_TO_REST):  # a slow machine may still turn some away, and not all for long
            while not afterwards["OK"]:
                afterwards, _ = await sell(watched, chosen, 2, 0.5)
                assert set(afterwards) <= EXPECTED


@pytest.mark.parametrize(
    ("kind", "number"),
    [("postgresql", 500), *(pytest.param(kind, 100_000, marks=pytest.mark.torture) for kind in KINDS)],
)
async def test_calls_that_are_given_up(
    kind: str, number: int, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """By clients, at any moment: no task, file or memory is left of them."""
    chosen, number = seed(), count(number)
    async with endurance(lend, kind, tmp_path) as watched:
        left = iter(range(number))
        codes: Counter[str] = Counter()

        async def give_up() -> None:
            for each in left:
                chance = generator(chosen, each)
                call = asyncio.ensure_future(a_call(watched, chance, each))
                await asyncio.wait([call], timeout=chance.choice((0, chance.uniform(0, 0.1))))
                codes["given up" if call.cancel() else "ended"] += 1
                with suppress(asyncio.CancelledError):
                    await call
                if each % max(1, number // 60) == 0:
                    watched.samples.append(memory(watched.process_id))

        await asyncio.gather(*(give_up() for _ in range(32)))
        grown = watched.grown(str(codes), record_property)
        assert codes["given up"] > number / 10
        assert number < 100_000 or grown < ALLOWED_GROWTH


async def a_call(watched: Endurance, chance: random.Random, number: int) -> None:
    """Make a call of some kind; any expected outcome will do."""
    me = chance.choice(watched.chain.customers)
    showtime_id = chance.choice(watched.chain.showtimes)
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: watched.call(number, "/cinema.v1.BookingService/CreateBooking", a_booking_of(chance, showtime_id), me),
        lambda: watched.call(
            number,
            "/cinema.v1.ShowtimeService/GetShowtime",
            showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime_id),
            (),
        ),
        lambda: watched.call(
            number, "/cinema.v1.BookingService/ListBookings", booking_service_pb2.ListBookingsRequest(), me
        ),
    ]
    outcome = "OK"
    try:
        await chance.choice(calls)()
    except grpc.aio.AioRpcError as error:
        outcome = read_refusal(error).reason
    assert outcome in EXPECTED


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
async def test_soak(kind: str, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Customers who buy, pay, cancel, look and lose patience for as long as is asked for: memory stays flat."""
    minutes = float(os.environ.get(MINUTES_VARIABLE, "1"))
    chosen, made = seed(), 0
    async with endurance(lend, kind, tmp_path, CINEMA_HOLD_SECONDS="5") as watched:
        end = time.monotonic() + 60 * minutes
        chain = watched.chain

        async def act(number: int) -> None:
            nonlocal made
            channel = watched.channels[number % len(watched.channels)]
            chance = generator(chosen, number)
            customer = Customer(number, chain.customers[number], chance, channel, chain.showtimes, SEATS)
            while time.monotonic() < end:
                await customer.act()
                customer.diary.clear()
                made += 1
                await asyncio.sleep(chance.uniform(0, 0.05))

        async with watched.watched(minutes / 2):
            await asyncio.gather(*(act(number) for number in range(40)))
        grown = watched.grown(f"{made} calls in {minutes:g} minutes", record_property)
        assert made > 100 * minutes
        assert grown < ALLOWED_GROWTH
