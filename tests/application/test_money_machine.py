"""Bookings and money, at random, with crashes and a provider that fails: what there is agrees with a naive model."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.audit import look_over
from cinema_grpc.adapters.database.booking_reader import SqlBookingReader
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.application.retry_policy import backoff
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.payment import UNSETTLED
from tests import chance
from tests.application.commands import decode, encode
from tests.application.fickle_provider import FickleProvider
from tests.application.naive_bookings import REFUSALS, Attempt, Held, sold_and_kept
from tests.application.paying import GRACE, Replica
from tests.builders import FakeClock
from tests.database import CUSTOMERS, START, furnish, reading, writing

HOLD = timedelta(minutes=10)
SEATS = [f"A{number}" for number in range(1, 6)]
TIME_RULES = ("a lapsed hold is EXPIRED within", "a payment attempt is settled within", "a refund is paid within")
"""What only holds while the background tasks run all the time."""
STAGES = st.sampled_from(["through", "before", "after"])
REPLICAS = st.integers(0, 1)


class Machine(RuleBasedStateMachine):
    """Two replicas over one database, which customers use and which crash, beside the naive model."""

    url = ""
    bookings = Bundle("bookings")
    attempts = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.held: list[Held] = []
        self.begun: list[Attempt] = []
        self.clock = FakeClock()
        self.runner.run(self._open())

    # The real thing

    async def _open(self) -> None:
        self.provider = FickleProvider()
        self.database = Database(self.url, self.clock)
        async with writing(self.database) as connection:
            for table in reversed(schema.metadata.sorted_tables):
                await connection.execute(table.delete())
        await furnish(self.database)
        self.replicas = [await self._start() for _ in range(2)]

    async def _start(self) -> tuple[Replica, Bookings]:
        database = Database(self.url, self.clock)
        box_office = BoxOffice(SqlBoxOfficeStore(database), waiting_tasks=database.driver.waiting_tasks)
        box_office.start()
        replica = Replica(database, box_office, self.provider)
        reader = SqlBookingReader(database)
        bookings = Bookings(box_office, reader, replica.payments, HOLD)
        box_office.on_commit(bookings.note_commit)
        return replica, bookings

    async def _end(self, replica: Replica) -> None:
        await replica.die()
        await replica.box_office.stop()
        await replica.database.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def within_a_minute() -> Any:
            return await asyncio.wait_for(work, 60)

        return self.runner.run(within_a_minute())

    def _answer(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return the booking of the response, or the reason of the refusal."""
        try:
            return decode(self._do(work))
        except CinemaError as refusal:
            return refusal.reason

    # What customers do

    @rule(
        target=bookings, user=st.sampled_from(CUSTOMERS), first=st.integers(0, 4), number=st.integers(1, 2), at=REPLICAS
    )
    def hold(self, user: str, first: int, number: int, at: int) -> Any:
        seats, now = tuple(SEATS[first : first + number]), self.clock.now()
        taken = {seat for each in self.held if each.now(now) in {"RESERVED", "CONFIRMED"} for seat in each.seats}
        on_hold = sum(len(each.seats) for each in self.held if each.user == user and each.now(now) == "RESERVED")
        answer = self._answer(self.replicas[at][1].create(user, "s1", seats, None, encode))
        if now >= START:
            assert answer == "SALES_CLOSED"
        elif taken & set(seats):
            assert answer == "SEATS_UNAVAILABLE"
        elif on_hold + len(seats) > 10:
            assert answer == "HOLD_LIMIT"
        else:
            for each in self.held:
                if set(each.seats) & set(seats):
                    each.status = each.now(now)  # the new hold takes the place of one that is over
            self.held.append(Held(answer.booking_id, user, seats, min(now + HOLD, START)))
            return self.held[-1]
        return multiple()

    @rule(target=attempts, held=bookings, at=REPLICAS, stage=STAGES, declined=st.booleans())
    def pay(self, held: Held, at: int, stage: str, declined: bool) -> Any:
        now, status = self.clock.now(), held.now(self.clock.now())
        self.provider.stage = stage
        paying = self.replicas[at][1].confirm(held.user, held.name, "tok_declined" if declined else "tok_visa", None)
        refusal = REFUSALS.get(status)
        refusal = refusal or ("PAYMENT_IN_PROGRESS" if held.attempt else "SALES_CLOSED" if now >= START else None)
        if refusal is not None:
            assert self._answer(paying) == refusal
            return multiple()
        held.until = held.until if held.extended else max(held.until, now + timedelta(minutes=2))
        held.extended = True
        if stage == "through":
            answer = self._answer(paying)
            assert answer == "PAYMENT_DECLINED" if declined else answer.status.value == "CONFIRMED"
            held.status = held.status if declined else "CONFIRMED"
            return multiple()
        task = self._do(self._begin(paying))
        held.attempt = Attempt(held, self.provider.latest, declined, stage == "after", now, now, at, task)
        self.begun.append(held.attempt)
        return held.attempt

    async def _begin(self, paying: Coroutine[Any, Any, bytes]) -> "asyncio.Task[bytes]":
        self.provider.here.clear()
        task = asyncio.create_task(paying)
        task.add_done_callback(lambda answer: answer.cancelled() or answer.exception())  # a crash leaves it unretrieved
        await self.provider.here.wait()
        return task

    @rule(attempt=consumes(attempts))
    def let_go(self, attempt: Attempt) -> None:
        """The provider goes on with a charge that it has held up."""
        if attempt.replica is None:
            return
        held = attempt.booking
        answer = self._answer(self._finish(attempt))
        attempt.replica = None
        if not attempt.made and attempt.fenced:
            assert answer == "PAYMENT_UNAVAILABLE"
        elif attempt.declined:
            assert answer == "PAYMENT_DECLINED"
            if not (attempt.settled or attempt.called_off):
                held.attempt = None
            attempt.made = True
        else:
            attempt.made = True
            if not attempt.settled and not attempt.called_off:
                attempt.settle_charge(self.clock.now())
            if attempt.called_off:
                assert isinstance(answer, str)
            else:
                assert answer == "HOLD_EXPIRED" if held.status == "EXPIRED" else answer.status.value == "CONFIRMED"

    async def _finish(self, attempt: Attempt) -> bytes:
        self.provider.gates[attempt.attempt_id].set()
        return await attempt.task

    @rule(held=bookings, at=REPLICAS)
    def cancel(self, held: Held, at: int) -> None:
        now, status = self.clock.now(), held.now(self.clock.now())
        answer = self._answer(self.replicas[at][1].cancel(held.user, held.name, None, encode))
        if status in {"EXPIRED", "CANCELLED"} or now >= START:
            assert answer == "BOOKING_NOT_CANCELLABLE"
        elif held.attempt is not None:
            assert answer == "PAYMENT_IN_PROGRESS"
        else:
            hours = (START - now) / timedelta(hours=1)
            if status == "CONFIRMED":
                held.refund = held.price if hours >= 24 else -(-held.price // 2) if hours >= 12 else 0
            held.status = "CANCELLED"

    # What happens to all

    @rule(at=REPLICAS)
    def crash(self, at: int) -> None:
        """A process is gone with all that it had in memory, and another one is started."""
        self._do(self._end(self.replicas[at][0]))
        self.replicas[at] = self._do(self._start())
        for attempt in self.begun:
            if attempt.replica == at:
                attempt.replica = None

    @rule(seconds=st.sampled_from([1, 31, 61, 125, 601, 3_600, 13 * 3_600, 20 * 3_600]))
    def pass_time(self, seconds: int) -> None:
        self.clock.advance(timedelta(seconds=seconds))

    @rule(at=REPLICAS)
    def sweep(self, at: int) -> None:
        replica = self.replicas[at][0]
        self._do(HoldExpiry(SqlBoxOfficeStore(replica.database), replica.box_office).run_pass())

    @rule(at=REPLICAS, fails_at=st.sampled_from(["", "", "find before", "find after", "void before", "void after"]))
    def recover(self, at: int, fails_at: str) -> None:
        self.provider.fails_at = fails_at
        self._do(self.replicas[at][0].payments.recover())
        self.provider.fails_at = ""
        now = self.clock.now()
        for attempt in [each.attempt for each in self.held if each.attempt is not None]:
            if now - attempt.created >= GRACE and now >= attempt.due:
                attempt.due = now + backoff(attempt.tries)
                attempt.tries += 1
                if attempt.replica != at:
                    attempt.recover(fails_at, now)

    @rule(at=REPLICAS, fails_at=st.sampled_from(["", "refund before", "refund after"]))
    def pay_refunds(self, at: int, fails_at: str) -> None:
        self.provider.fails_at = fails_at
        self._do(self.replicas[at][0].refunds.run_pass())
        self.provider.fails_at = ""

    # What has to be true after each step

    @invariant()
    def what_there_is_is_what_the_model_knows(self) -> None:
        now = self.clock.now()
        for held in self.held:
            found = self._do(self.replicas[0][1].get(held.user, held.name))
            assert found.status.value == held.now(now), held
            assert (found.refund.amount.minor_units if found.refund else None) == held.refund, held
            assert len(found.tickets) == (len(held.seats) if found.confirm_time else 0)
            unsettled = found.payment is not None and found.payment.status in UNSETTLED
            assert unsettled == (held.attempt is not None), held

    @invariant()
    def the_books_balance(self) -> None:
        report = self._do(self._look_over())
        wrong = [each for each in report.findings if each.breaches and not each.rule.startswith(TIME_RULES)]
        assert wrong == []
        sold, kept = sold_and_kept(self.held)
        assert [(each.sold, each.kept) for each in report.books] == ([(sold, kept)] if self.held else [])
        at_the_provider = sum(self._do(self.provider.ledger.net()).values())
        owed = sum(each.refund or 0 for each in self.held)
        held_up = sum(each.price for each in self.held if each.attempt is not None and each.attempt.made)
        assert sold + kept <= at_the_provider <= sold + kept + owed + held_up

    async def _look_over(self) -> Any:
        async with reading(self.database) as connection:
            return await look_over(connection, self.clock.now())

    def teardown(self) -> None:
        """Let the background tasks do their work: then all is settled, and the provider has what it should have."""
        try:
            for at in range(2):
                self.crash(at)
            for _ in range(6):
                self.pass_time(2 * 3_600)
                self.sweep(0)
                self.recover(1, "")
                self.pay_refunds(0, "")
            self.what_there_is_is_what_the_model_knows()
            assert self._do(self._look_over()).breaches == 0
            assert sum(self._do(self.provider.ledger.net()).values()) == sum(sold_and_kept(self.held))
        finally:
            for replica, _ in self.replicas:
                self._do(self._end(replica))
            self._do(self.database.close())
            self.runner.close()


@pytest.mark.no_cover
@pytest.mark.parametrize(("examples", "steps"), [(8, 25), pytest.param(500, 60, marks=pytest.mark.torture)])
def test_bookings_and_money(database_url: str, examples: int, steps: int) -> None:
    """After any history no customer is charged twice or without seats, and all money is accounted for."""
    run_state_machine_as_test(
        seed(chance.seed())(type("Machine", (Machine,), {"url": database_url})),
        settings=settings(
            max_examples=chance.count(examples),
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
