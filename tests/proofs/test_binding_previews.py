"""Previews bind: what is executed with the revision of a preview does what that showed, or SHOWTIME_CHANGED."""

import asyncio
import random as chances
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cinema_grpc.application.scheduling import Execution
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import ShowtimeChanged
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import STANDARD, PriceLine, PriceList
from cinema_grpc.domain.sale import Tender
from cinema_grpc.domain.showtime_changes import ShowtimeChanges
from tests import chance
from tests.application.commands import TEN_MINUTES, encode
from tests.conftest import Lend
from tests.database import reading
from tests.proofs.desk import (
    OFFICES,
    PRICES,
    SEATS,
    STAFF,
    Answer,
    Desk,
    SlowProvider,
    add_showtimes,
    open_desks,
    turns,
)
from tests.proofs.desk_tables import Tables, impact_of, standing

AT_ONCE = 6
"""How many showtimes are changed at the same time."""
ACTIONS, CHANGES = 14, 6
"""How much customers and staff do at each, and how often each is changed at most."""
MOMENT = timedelta(milliseconds=5)
"""For how long the shortest holds last."""
LONG = 10_000
BY_CUSTOMERS = ("hold", "pay", "cancel")
EACH = {*BY_CUSTOMERS, "cancelled", "updated", "changed meanwhile"}
"""What a run goes on for, until each has come."""
TENDERS = [Tender.CASH, Tender.COMPLIMENTARY]
MONEY = """
    SELECT attempt.attempt_id, attempt.status, total_price,
        (SELECT coalesce(sum(amount), 0) FROM refund WHERE refund.attempt_id = attempt.attempt_id),
        (SELECT count(*) FROM refund WHERE refund.attempt_id = attempt.attempt_id AND status = 'PENDING')
    FROM payment_attempt AS attempt JOIN booking ON booking.booking_id = attempt.booking_id
    WHERE showtime_id = :showtime_id
"""


@OFFICES
@pytest.mark.parametrize("calls", [50, pytest.param(LONG, marks=pytest.mark.torture)])
async def test_executions_do_what_previews_showed(
    kind: str,
    offices: int,
    calls: int,
    lend: Lend,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """While customers book, pay and cancel so often, holds and blocks lapse, and staff sell, void and block."""
    seed, outcomes, wanted = chance.seed(), Counter[str](), chance.count(calls)
    with lend(kind, tmp_path) as url:
        provider, number = SlowProvider(chance.generator(seed, "provider")), 0
        async with open_desks(url, offices, provider) as desks, reading(desks[0].app.database) as connection:
            tables = Tables(connection)
            while sum(outcomes[what] for what in BY_CUSTOMERS) < wanted or not outcomes.keys() >= EACH:
                number += 1
                outcomes += await Round(desks, provider, tables, chance.generator(seed, number), number).run()
    record_property("figures", dict(outcomes))
    assert wanted < LONG or min(outcomes[what] for what in BY_CUSTOMERS) * 50 > wanted


class Round:
    """A few showtimes, each from its opening to its cancellation."""

    def __init__(
        self, desks: list[Desk], provider: SlowProvider, tables: Tables, random: chances.Random, number: int
    ) -> None:
        self._desks = desks
        self._provider = provider
        self._tables = tables
        self._random = random
        self._app = desks[0].app
        self._names = [f"{number}-{each}" for each in range(AT_ONCE)]
        self._outcomes = Counter[str]()
        self._changes = 0

    async def run(self) -> Counter[str]:
        """Open showtimes, change them until they are cancelled, and compare the tables and the provider's ledger."""
        await add_showtimes(self._app, self._names, self._app.clock.now() + timedelta(days=2))
        jobs = [self._customers(name) for name in self._names] + [self._manager(name) for name in self._names]
        await asyncio.wait_for(asyncio.gather(*jobs), 60)
        for desk in self._desks:
            await desk.refunds.run_pass()
        await self._check_money()
        return self._outcomes

    async def _customers(self, at: str) -> None:
        """Do this and that at a showtime."""
        held: list[Booking] = []
        tasks = []
        for _ in range(ACTIONS):
            tasks.append(asyncio.create_task(self._act(at, held)))
            await turns(self._random)
        for task in tasks:
            try:
                await task
            except CinemaError:
                continue  # the seat is taken, the hold has lapsed, the showtime is cancelled

    async def _act(self, at: str, held: list[Booking]) -> None:
        random, desk, clock = self._random, self._random.choice(self._desks), self._app.clock
        seats = random.sample(SEATS, random.randint(1, 3))
        booking = random.choice(held) if held else None
        what = random.choice([*BY_CUSTOMERS, *BY_CUSTOMERS, "hold", "pay", "void", "sell", "block", "time"])
        if what == "hold":
            hold_for = random.choice([MOMENT, TEN_MINUTES, TEN_MINUTES])
            types = [random.choice(list(PRICES)) for _ in seats]
            held.append(await desk.hold(at, random.choice(["ada", "bob"]), seats, types, hold_for))
        elif what == "sell":
            held.append(await desk.sell(at, seats, random.choice(TENDERS)))
        elif what == "block":
            await desk.block(at, seats, random.choice([None, clock.now() + MOMENT]))
        elif what == "time":
            clock.advance(random.choice([timedelta(microseconds=1), MOMENT / 2, MOMENT]))
            if random.random() < 0.5:
                await desk.expiry.run_pass()
        elif booking is None:
            return
        else:
            some = random.choice([(), booking.labels[:1]])
            name, user_id = booking.booking_id, booking.user_id
            if what == "pay":
                await desk.pay(booking)
            elif what == "cancel":
                await desk.bookings.cancel(user_id, name, None, encode, some)
            else:
                await desk.counter.void(STAFF, name, some, random.choice([0, 33, 100]), "sorry", None, encode)
        self._outcomes[what] += 1

    async def _manager(self, at: str) -> None:
        """Change a showtime, and at last cancel it, each time as a preview said."""
        for turn in range(CHANGES):
            await turns(self._random)
            if await self._change(at, self._random.random() < 0.2 + 0.1 * turn):
                return
        while not await self._change(at, cancel=True):
            await turns(self._random)
            if self._random.random() < 0.3:
                await self._random.choice(self._desks).expiry.run_pass()

    async def _change(self, at: str, cancel: bool) -> bool:
        """Preview a change, execute it, and return whether the showtime is cancelled now."""
        desk, changes = self._random.choice(self._desks), None if cancel else self._some_changes(at)

        async def ask(desk: Desk, execution: Execution) -> Answer:
            if changes is None:
                return await desk.cancel(at, execution)
            return await desk.update(at, changes, execution)

        time = self._app.clock.now()
        preview = await ask(desk, Execution(STAFF, validate_only=True))
        revision, before = await self._tables.look_up(at)
        if revision != preview.showtime.revision or time != self._app.clock.now():
            return False  # too late to compare the preview with the tables
        before = standing(before, time)
        assert preview.impact == impact_of(before, cancelled=cancel)
        await turns(self._random)
        try:
            executing = Execution(STAFF, expected_revision=revision)
            done = await ask(self._random.choice(self._desks), executing)
        except ShowtimeChanged:
            self._outcomes["changed meanwhile"] += 1
            return False
        assert done.impact == preview.impact
        assert done.showtime.revision == revision + 1
        self._outcomes["cancelled" if cancel else "updated"] += 1
        if cancel:
            _, after = await self._tables.look_up(at)
            ended = [each for each in after if each.cancel_cause == "SHOWTIME"]
            assert {each.booking_id for each in ended} == {each.booking_id for each in before}
            assert impact_of(ended, cancelled=True).confirmed_bookings == preview.impact.confirmed_bookings
            paid = [each for each in ended if each.confirm_time is not None]
            refunded_before = {each.booking_id: each.refunded for each in before}
            refunds = sum(each.refunded - refunded_before[each.booking_id] for each in paid)
            assert refunds == preview.impact.refund_total.minor_units
            assert [each for each in paid if each.refunded != each.total_price] == []
        return cancel

    def _some_changes(self, at: str) -> ShowtimeChanges:
        """Return changes that no other showtime is in the way of, and that no call has made before."""
        self._changes += 1
        if self._random.random() < 0.5:
            lines = [PriceLine(STANDARD, name, Money("EUR", price + self._changes)) for name, price in PRICES.items()]
            return ShowtimeChanges(prices=PriceList(lines, [STANDARD]))
        minutes = 5_000 - 100 * self._changes
        weeks = 20 + self._names.index(at)
        return ShowtimeChanges(start_time=self._app.clock.now() + timedelta(weeks=weeks, minutes=minutes))

    async def _check_money(self) -> None:
        """Compare the provider's ledger with the tables: each charge less the refunds of its booking."""
        net = await self._provider.ledger.net()
        for name in self._names:
            for attempt_id, status, price, refunded, pending in await self._tables.rows(MONEY, showtime_id=name):
                charged = price if status == "CHARGED" else 0
                assert net.get(attempt_id, 0) == charged - refunded, attempt_id
                assert pending == 0, attempt_id
