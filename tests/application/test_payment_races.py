"""Charges that succeed just as their holds end: each booking is CONFIRMED, or EXPIRED and refunded."""

import asyncio
import random as chances
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from cinema_grpc.application.errors import PaymentUnavailable, StorageUnavailable
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.application.payment_ports import Charge, ChargeOutcome
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import PaymentInProgress
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.payment import AttemptStatus, RefundStatus
from tests import chance
from tests.adapters import gateways
from tests.adapters.gateways import Bench
from tests.application.commands import cancel_command, decode, hold_command
from tests.application.conftest import App
from tests.application.fickle_provider import ForwardingProvider
from tests.application.paying import Replica
from tests.database import SHOWTIMES, audited
from tests.postgresql import libpq_url

HOLD = timedelta(seconds=150)
"""Longer than a charge makes a hold last, so that all holds of a round end at once."""
AROUND = 50_000
"""Microseconds on either side of the end, within which everything happens."""
LONG = 10_000
SEATS = [(at, f"A{number}") for at in SHOWTIMES for number in range(1, 11)]
PRICE = 1_250
Action = Callable[[], Coroutine[Any, Any, object]]


class GatedProvider(ForwardingProvider):
    """Makes each charge only when its gate opens."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.gates: list[asyncio.Event] = []
        self.all_here = asyncio.Event()

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        gate = asyncio.Event()
        self.gates.append(gate)
        if len(self.gates) == len(SEATS):
            self.all_here.set()
        await gate.wait()
        return await super().charge(charge, payment_token)

    async def open(self, number: int) -> None:
        """Let a charge go."""
        self.gates[number].set()


@pytest.mark.no_cover
@pytest.mark.parametrize("gateway", ["simulated", "stripe"])
@pytest.mark.parametrize("races", [60, pytest.param(LONG, marks=pytest.mark.torture)])
async def test_payment_against_expiry(
    app: App, database_url: str, gateway: str, races: int, record_property: Callable[[str, object], None]
) -> None:
    """Never both and never neither, while others lock the database, claim the seat, expire holds or recover."""
    seed, outcomes = chance.seed(), Counter[str]()
    async with getattr(gateways, gateway)(app.clock) as bench:
        for number in range(-(-chance.count(races) // len(SEATS))):
            outcomes += await one_round(app, database_url, bench, chance.generator(seed, number))
    record_property("figures", dict(outcomes))
    # On a slow machine each of a few payments may come too late.
    assert chance.count(races) < LONG or {"CONFIRMED", "EXPIRED and refunded"} <= outcomes.keys()


async def one_round(app: App, url: str, bench: Bench, random: chances.Random) -> Counter[str]:
    """Pay for all seats; the charges succeed around the end of the holds."""
    provider = GatedProvider(bench)
    async with app.other_process() as first, app.other_process() as second:
        live, other = (Replica(app.database, each.box_office, provider) for each in (first, second))
        held = [await hold(app, "ada", at, seat) for at, seat in SEATS]
        end = max(booking.hold_expire_time for booking in held)
        payments = [live.pay(booking) for booking in held]
        await asyncio.wait_for(provider.all_here.wait(), 30)

        actions: list[Action] = [lambda number=number: provider.open(number) for number in range(len(held))]  # type: ignore[misc]
        actions += [lambda at=at, seat=seat: hold(app, "bob", at, seat) for at, seat in random.sample(SEATS, 15)]  # type: ignore[misc]
        actions += [HoldExpiry(app.store, app.box_office).run_pass] * 3
        actions += [lambda: lock(url, random.choice(SHOWTIMES))] * 2
        actions += [other.payments.recover] * random.choice([0, 0, 1])
        tasks = []
        for offset, action in sorted(
            ((random.randint(-AROUND, AROUND), each) for each in actions), key=lambda each: each[0]
        ):
            app.clock.advance(end + timedelta(microseconds=offset) - app.clock.now())
            tasks.append(asyncio.create_task(action()))
            for _ in range(random.choice([0, 1, 3, 10, 30])):
                await asyncio.sleep(0)
            if random.random() < 0.1:
                await asyncio.sleep(0.001)
        answers = await asyncio.wait_for(asyncio.gather(*payments, return_exceptions=True), 30)
        rivals = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        assert not [each for each in rivals if isinstance(each, Exception) and not isinstance(each, CinemaError)]

        await live.payments.stop(30)  # what was answered early goes on in the background
        for _ in range(3):  # on a slow machine the database may have been unavailable to a first try
            app.clock.advance(timedelta(minutes=1))
            await HoldExpiry(app.store, app.box_office).run_pass()
            for replica in (live, other):
                await replica.recover()
        outcomes = Counter([await check(app, bench, *each) for each in zip(held, answers, strict=True)])
        await empty(app)
        return outcomes


async def hold(app: App, user: str, at: str, seat: str) -> Booking:
    app.names += 1
    name = f"b{app.names:06}"
    return decode(await app.box_office.execute(hold_command(name, seat, at=at, by=user, hold_for=HOLD)))


async def lock(url: str, showtime_id: str) -> None:
    """Keep the box office waiting for some milliseconds, as another process might."""
    if url.startswith("sqlite"):
        await asyncio.to_thread(lock_file, url.partition("///")[2])
        return
    connection = await asyncpg.connect(libpq_url(url))
    try:
        async with connection.transaction():
            await connection.execute("SELECT FROM showtime WHERE showtime_id = $1 FOR UPDATE", showtime_id)
            await asyncio.sleep(0.005)
    finally:
        await connection.close()


def lock_file(path: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(0.005)
        connection.execute("ROLLBACK")


async def check(app: App, bench: Bench, held: Booking, answer: Booking | BaseException) -> str:
    """Compare a booking with the provider's ledger and with the answer that its caller got; return its end."""
    found = await app.reader.find(held.booking_id)
    assert found is not None
    booking, payment = found.booking, found.booking.payment
    assert payment is not None
    money = (await bench.net()).get(payment.attempt_id, 0)
    if booking.status is BookingStatus.CONFIRMED:
        # Or the caller did not learn the outcome: the other process had begun to call the attempt off, too late.
        assert isinstance(answer, Booking | PaymentInProgress | PaymentUnavailable | StorageUnavailable)
    else:
        assert isinstance(answer, CinemaError)
    if booking.status is BookingStatus.CONFIRMED:
        assert (money, len(booking.tickets), booking.refund) == (PRICE, 1, None)
        assert booking.confirm_time is not None
        assert booking.confirm_time < booking.hold_expire_time
        return "CONFIRMED"
    assert (booking.status, money, booking.tickets) == (BookingStatus.EXPIRED, 0, ())
    if payment.status is AttemptStatus.CHARGED:
        assert booking.refund is not None
        assert (booking.refund.percent, booking.refund.status) == (100, RefundStatus.COMPLETED)
        return "EXPIRED and refunded"
    assert (payment.status, booking.refund) == (AttemptStatus.VOIDED, None)
    return "EXPIRED and voided"


async def empty(app: App) -> None:
    """Audit, and set all seats free again."""
    report = await audited(app.database, app.clock.now())
    assert report.breaches == 0, report.describe()
    for row in await app.rows("booking"):
        if row["status"] in {"RESERVED", "CONFIRMED"}:
            found = await app.reader.find(row["booking_id"])
            assert found is not None
            await app.box_office.execute(cancel_command(found.booking))
