"""Two servers over one database, with a provider that fails, beside the naive model; and what is true of both."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, time, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.audit import Books, Report, report_on
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.sales_report import SalesFilter
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.payment import UNSETTLED
from cinema_grpc.domain.sales import SalesGroup, SalesLine
from tests.adapters import gateways
from tests.application.actions import act
from tests.application.commands import decode, idempotent_call
from tests.application.fickle_provider import FickleProvider
from tests.application.money_server import Server, start_server, stop_server
from tests.application.naive_bookings import (
    PRICES,
    RUNTIME,
    ZONE,
    Attempt,
    Entry,
    Held,
    Show,
    business_day,
    share,
    sold_and_kept,
)
from tests.builders import FakeClock
from tests.database import furnish, writing

HOLD = timedelta(minutes=10)
SEATS = [f"A{number}" for number in range(1, 8)]
FIRST = st.integers(0, len(SEATS) - 1)
TIME_RULES = (
    "a lapsed hold is EXPIRED within",
    "a lapsed block is gone within",
    "a payment attempt is settled within",
    "a refund is paid within",
)
"""What only holds while the background tasks run all the time."""
REPLICAS = st.integers(0, 1)
NUMBERS = st.integers(0, 3)
"""How many seats of a booking: that many of its first ones, or all for 0."""
DAY = timedelta(days=1)
STEPS_BETWEEN_AUDITS = 3
BEGINNINGS = st.sampled_from([datetime(2026, 10, 24, 17, tzinfo=UTC), datetime(2027, 3, 27, 17, tzinfo=UTC)])
"""Evenings of business days of 25 and 23 hours."""


class World(RuleBasedStateMachine):
    """Servers that customers and staff use and which crash, and the model."""

    url = ""
    gateway = "simulated"

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.held: list[Held] = []
        self.begun: list[Attempt] = []
        self.calls = self.steps = 0

    @initialize(beginning=BEGINNINGS)
    def open(self, beginning: datetime) -> None:
        self.beginning, self.clock = beginning, FakeClock(beginning)
        self.shows = [Show(name, beginning + 3 * DAY) for name in ("s1", "s2")]
        self.runner.run(self._open())

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        act(self, data)

    async def _open(self) -> None:
        bench = await self.stack.enter_async_context(getattr(gateways, self.gateway)(self.clock))
        self.provider = FickleProvider(bench)
        self.database = Database(self.url, self.clock)
        async with writing(self.database) as connection:
            for table in reversed(schema.metadata.sorted_tables):
                if table not in (schema.catalog_revision, schema.event_feed):
                    await connection.execute(table.delete())
        await furnish(self.database)
        prices = [[category, type_, amount, ""] for (category, type_), amount in PRICES.items()]
        async with writing(self.database) as connection:
            await connection.execute(update(schema.cinema).values(time_zone=ZONE.key))
            await connection.execute(update(schema.auditorium).values(areas='[["odd", [], ["A2", "A4"]]]'))
            start = self.shows[0].start
            times = {"start_time": start, "end_time": start + RUNTIME}
            await connection.execute(update(schema.showtime).values(prices=json.dumps(prices), **times))
        self.servers = [await self._restart() for _ in range(2)]

    async def _restart(self) -> Server:
        return start_server(self.url, self.clock, self.provider, HOLD)

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def within_a_minute() -> Any:
            return await asyncio.wait_for(work, 60)

        return self.runner.run(within_a_minute())

    def _answer(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what the response encodes, or the reason of the refusal."""
        try:
            return decode(self._do(work))
        except CinemaError as refusal:
            return refusal.reason

    def _twice(self, at: int, rpc: str, call: Callable[[Server, IdempotentCall], Coroutine[Any, Any, bytes]]) -> Any:
        """Make a call, repeat it at the other server as if the answer was lost, and return the answer to both."""
        self.calls += 1
        key = idempotent_call(f"r{self.calls}", rpc=rpc)
        first, again = (self._answer(call(self.servers[each], key)) for each in (at, 1 - at))
        assert first == again
        return first

    def taken(self, show: Show, now: datetime) -> set[str]:
        """Return the seats that can't be claimed."""
        keeping = [each for each in self.held if each.show is show and each.now(now) in {"RESERVED", "CONFIRMED"}]
        return {seat for each in keeping for seat in each.active} | show.blocked_at(now)

    def claim(self, show: Show, seats: tuple[str, ...], now: datetime) -> None:
        """Note that seats have a new owner: lapsed holds and blocks give way."""
        for seat in seats:
            show.blocked.pop(seat, None)
        for each in self.held:
            if each.show is show and set(each.active) & set(seats):
                each.status = each.now(now)

    @invariant()
    def what_there_is_is_what_the_model_knows(self) -> None:
        now = self.clock.now()
        for held in self.held:
            found = self._do(self.servers[0].bookings.get(held.user, held.name))
            assert found.status.value == held.now(now), held
            assert [(each.amount.minor_units, each.percent) for each in found.refunds] == held.refunds, held
            assert {seat.label: seat.price.minor_units for seat in found.seats} == held.prices, held
            if held.status != "CANCELLED":
                assert list(found.labels) == held.active or found.confirm_time is None, held
            assert len(found.tickets) == (len(held.prices) if found.confirm_time else 0)
            unsettled = found.payment is not None and found.payment.status in UNSETTLED
            assert unsettled == (held.attempt is not None), held

    @invariant()
    def the_books_balance(self) -> None:
        """They take longer than all else together, so they are not checked at each step."""
        self.steps += 1
        if self.steps % STEPS_BETWEEN_AUDITS == 0:
            self.check_books()

    def check_books(self) -> None:
        """The audit finds nothing, and its books are the model's, the provider's ledger, and the sales report."""
        report = self._do(self.report_on())
        wrong = [each for each in report.findings if each.breaches and not each.rule.startswith(TIME_RULES)]
        assert wrong == []
        sold, kept = sold_and_kept(self.held)
        assert [(each.sold, each.kept) for each in report.books] == ([(sold, kept)] if self.held else [])
        online = [each for each in self.held if not each.counter]
        sold, kept = sold_and_kept(online)
        at_the_provider = sum(self._do(self.provider.bench.net()).values())
        owed = sum(each.refunded for each in online)
        held_up = sum(each.price for each in online if each.attempt is not None and each.attempt.made)
        assert sold + kept <= at_the_provider <= sold + kept + owed + held_up
        self._check_sales_report(report.books)

    @invariant()
    def parts_pay_back_as_much_as_the_whole(self) -> None:
        for held in self.held:
            percents = {percent for _, percent in held.refunds}
            if len(percents) == 1:
                whole = share(sum(held.prices[seat] for seat in held.gone), *percents)
                assert held.refunded == whole, held

    def _check_sales_report(self, books: Sequence[Books]) -> None:
        """On each business day it is the model's ledger, and in all the books."""
        days: defaultdict[str, Entry] = defaultdict(lambda: Entry(self.beginning))
        for held in self.held:
            for entry in held.ledger:
                day = days[business_day(entry.time)]
                day.sold += entry.sold
                day.gross += entry.gross
                day.given_up += entry.given_up
                day.refunded += entry.refunded
        first, until = (self.beginning - DAY).date(), (self.clock.now() + DAY).date()
        report = self._do(self.servers[1].reports.report(SalesFilter("c1"), first, until, SalesGroup.DAY))
        assert {line.key: shown(line) for line in report.lines} == {
            key: (day.sold, day.given_up, day.gross, day.refunded) for key, day in days.items()
        }
        for each in books:
            (total,) = report.totals or [SalesLine("", each.currency_code)]
            assert (total.gross, total.refunded, total.kept) == (each.charged, each.refunded, each.kept)

    async def report_on(self) -> Report:
        """Audit the rows, on a connection that keeps its prepared statements."""
        await SqlEventStore(self.database).assign_positions(1_000)
        async with self.database.engine.connect() as connection:
            return await report_on(connection, self.clock.now())

    def moment_before_a_day_begins(self, short_by: timedelta) -> datetime:
        """Return the next moment that comes `short_by` before a business day begins."""
        moment = self.clock.now()
        while moment <= self.clock.now():
            moment = datetime.combine(moment.astimezone(ZONE).date() + DAY, time(5), ZONE).astimezone(UTC) - short_by
        return moment

    async def stop(self) -> None:
        """Stop the servers."""
        for server in self.servers:
            await stop_server(server)
        await self.database.close()
        await self.stack.aclose()


def any_booking(world: World) -> st.SearchStrategy[Held]:
    """Choose a booking, more often one that keeps its seats."""
    keeping = [each for each in world.held if each.now(world.clock.now()) in {"RESERVED", "CONFIRMED"}]
    return st.sampled_from(3 * keeping + world.held)


def has_bookings(world: World) -> bool:
    """Return whether there are bookings to choose from."""
    return bool(world.held)


def parts(seats: Sequence[str], *, singly: bool) -> list[tuple[str, ...]]:
    """Return what to give up: all seats at once, or one after another, the last one first."""
    return [(seat,) for seat in reversed(seats)] if singly else [tuple(seats)]


def shown(line: SalesLine) -> tuple[int, int, int, int]:
    """Return what the model knows of a line."""
    return line.seats_sold, line.seats_cancelled, line.gross, line.refunded
