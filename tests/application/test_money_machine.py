"""Bookings and money, at random, with crashes and a provider that fails: what there is agrees with a naive model."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.application.retry_policy import backoff
from cinema_grpc.domain.claims import Selection
from tests import chance
from tests.application.actions import action
from tests.application.commands import encode
from tests.application.money_server import stop_server
from tests.application.money_staff import SHOWS, Staff
from tests.application.money_world import FIRST, HOLD, NUMBERS, REPLICAS, SEATS, any_booking, has_bookings, parts
from tests.application.naive_bookings import Attempt, Held, sold_and_kept
from tests.application.paying import GRACE
from tests.database import CUSTOMERS

STAGES = st.sampled_from(["through", "through", "before", "after"])
DECLINED = st.sampled_from([False, False, True])
TYPES = st.sampled_from(["adult", "child", "baby"])
UNTIL = st.sampled_from([None, None, None, timedelta(), timedelta(microseconds=1), timedelta(minutes=30)])
FAILURES = ["", "", *(f"{what} {when}" for what in ("find", "void", "refund") for when in ("before", "after"))]


class Machine(Staff):
    """What customers do, and what happens to all."""

    @action(
        6,
        user=st.sampled_from(CUSTOMERS),
        number=SHOWS,
        first=FIRST,
        types=st.lists(TYPES, min_size=1, max_size=3),
        at=REPLICAS,
    )
    def hold(self, user: str, number: int, first: int, types: list[str], at: int) -> None:
        show, seats, now = self.shows[number], tuple(SEATS[first : first + len(types)]), self.clock.now()
        types = types[: len(seats)]
        refusal = "SHOWTIME_CANCELLED" if show.cancelled else "SALES_CLOSED" if now >= show.start else None
        refusal = refusal or ("SEATS_UNAVAILABLE" if self.taken(show, now) & set(seats) else None)
        selection = Selection(seats, types)
        answer = self._twice(
            at, "CreateBooking", lambda server, call: server.bookings.create(user, show.name, selection, call, encode)
        )
        if refusal is not None:
            assert answer == refusal
            return
        self.claim(show, seats, now)
        types_of = dict(zip(seats, types, strict=True))
        prices = {seat: show.price_of(seat, type_) for seat, type_ in types_of.items()}
        until = min(now + HOLD, show.start)
        self.held.append(Held(answer.booking_id, user, show, prices, now, until, types=types_of))

    @action(
        2,
        has_bookings,
        held=any_booking,
        first=FIRST,
        types=st.lists(TYPES, max_size=3),
        extend=st.booleans(),
        at=REPLICAS,
    )
    def change_hold(self, held: Held, first: int, types: list[str], extend: bool, at: int) -> None:
        """Other seats, a later end, or both; a seat that stays with its ticket type keeps its price."""
        show, seats, now = held.show, tuple(SEATS[first : first + len(types)]), self.clock.now()
        types = types[: len(seats)]
        refusal = held.refusal(now) or ("HOLD_EXTENSION_LIMIT" if extend and held.renewed else None)
        taken = self.taken(show, now) - set(held.active)
        refusal = refusal or ("SEATS_UNAVAILABLE" if taken & set(seats) else None)
        selection = Selection(seats, types) if seats else None
        answer = self._twice(
            at,
            "UpdateHold",
            lambda server, call: server.bookings.update_hold(
                held.user, held.name, selection, call, encode, extend=extend
            ),
        )
        if refusal is not None:
            assert answer == refusal
            return
        if seats:
            self.claim(show, seats, now)
            before = {seat: held.types[seat] for seat in held.prices}  # without those that were given up
            held.types = dict(zip(seats, types, strict=True))
            held.prices = {
                seat: held.prices[seat] if before.get(seat) == type_ else show.price_of(seat, type_)
                for seat, type_ in held.types.items()
            }
        end = min(now + HOLD, held.made + 2 * HOLD, show.start)
        if extend and end > held.until:
            held.until, held.renewed = end, True

    @action(7, has_bookings, held=any_booking, at=REPLICAS, stage=STAGES, declined=DECLINED)
    def pay(self, held: Held, at: int, stage: str, declined: bool) -> None:
        now = self.clock.now()
        if not held.price:
            stage, declined = "through", False  # the provider is not asked
        self.provider.stage = stage
        token = "tok_declined" if declined else "tok_visa" if held.price else ""
        paying = self.servers[at].bookings.confirm(held.user, held.name, token, None)
        if (refusal := held.refusal(now)) is not None:
            assert self._answer(paying) == refusal
            return
        held.until = held.until if held.extended else max(held.until, now + timedelta(minutes=2))
        held.extended = True
        if stage == "through":
            answer = self._answer(paying)
            assert answer == "PAYMENT_DECLINED" if declined else answer.status.value == "CONFIRMED"
            if not declined:
                held.confirm(now)
            return
        task = self._do(self._begin(paying))
        held.attempt = Attempt(held, self.provider.latest, declined, stage == "after", now, now, at, task)
        self.begun.append(held.attempt)

    async def _begin(self, paying: Coroutine[Any, Any, bytes]) -> "asyncio.Task[bytes]":
        self.provider.here.clear()
        task = asyncio.create_task(paying)
        task.add_done_callback(lambda answer: answer.cancelled() or answer.exception())  # a crash leaves it unretrieved
        await self.provider.here.wait()
        return task

    def held_up(self) -> list[Attempt]:
        """Return the attempts whose process waits for the provider."""
        return [each for each in self.begun if each.replica is not None]

    @action(3, held_up, attempt=lambda machine: st.sampled_from(machine.held_up()))
    def let_go(self, attempt: Attempt) -> None:
        """The provider goes on with a charge that it has held up."""
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
                # The booking may have been cancelled since it was settled.
                late = {"EXPIRED": "HOLD_EXPIRED", "CANCELLED": "SHOWTIME_CANCELLED"}.get(held.status)
                assert answer == late if held.paid_late else answer.status.value in {"CONFIRMED", "CANCELLED"}

    async def _finish(self, attempt: Attempt) -> bytes:
        self.provider.gates[attempt.attempt_id].set()
        return await attempt.task

    @action(4, has_bookings, held=any_booking, number=NUMBERS, singly=st.booleans(), at=REPLICAS)
    def cancel(self, held: Held, number: int, singly: bool, at: int) -> None:
        for seats in parts(held.active[: number or None], singly=singly):
            self._cancel(held, seats, at)

    def _cancel(self, held: Held, seats: tuple[str, ...], at: int) -> None:
        now, status = self.clock.now(), held.now(self.clock.now())
        answer = self._twice(
            at,
            "CancelBooking",
            lambda server, call: server.bookings.cancel(held.user, held.name, call, encode, seats),
        )
        if status in {"EXPIRED", "CANCELLED"} or now >= held.show.start:
            assert answer == "BOOKING_NOT_CANCELLABLE"
        elif held.attempt is not None:
            assert answer == "PAYMENT_IN_PROGRESS"
        else:
            held.give_up(seats, held.percent(now), now)

    @action(1, at=REPLICAS)
    def crash(self, at: int) -> None:
        """A process is gone with all that it had in memory, and another one is started."""
        self._do(stop_server(self.servers[at]))
        self.servers[at] = self._do(self._restart())
        for attempt in self.begun:
            if attempt.replica == at:
                attempt.replica = None

    @action(3, seconds=st.sampled_from([1, 31, 61, 125, 601, 3_600, 13 * 3_600]), until=UNTIL)
    def pass_time(self, seconds: int, until: timedelta | None) -> None:
        """Some seconds, or until that long before a business day begins."""
        passed = timedelta(seconds=seconds)
        if until is not None:
            passed = self.moment_before_a_day_begins(until) - self.clock.now()
        self.clock.advance(passed)

    @action(3, at=REPLICAS, sweeps=st.booleans(), fails_at=st.sampled_from(FAILURES))
    def work(self, at: int, sweeps: bool, fails_at: str) -> None:
        """The background tasks of a server run once."""
        if sweeps:
            self.sweep(at)
        self.recover(at, fails_at)
        self.pay_refunds(at, fails_at)

    def sweep(self, at: int) -> None:
        replica = self.servers[at].replica
        self._do(HoldExpiry(SqlBoxOfficeStore(replica.database), replica.box_office).run_pass())

    def recover(self, at: int, fails_at: str) -> None:
        self.provider.fails_at = fails_at
        self._do(self.servers[at].replica.payments.recover())
        self.provider.fails_at = ""
        now = self.clock.now()
        for attempt in [each.attempt for each in self.held if each.attempt is not None]:
            if now - attempt.created >= GRACE and now >= attempt.due:
                attempt.due = now + backoff(attempt.tries)
                attempt.tries += 1
                if attempt.replica != at:
                    attempt.recover(fails_at, now, voids_declined=self.gateway == "stripe")

    def pay_refunds(self, at: int, fails_at: str) -> None:
        self.provider.fails_at = fails_at
        self._do(self.servers[at].replica.refunds.run_pass())
        self.provider.fails_at = ""

    def teardown(self) -> None:
        """Let the background tasks do their work: then all is settled, and the provider has what it should have."""
        try:
            for at in range(2):
                self.crash(at)
            for _ in range(6):
                self.clock.advance(timedelta(hours=2))
                self.sweep(0)
                self.recover(1, "")
                self.pay_refunds(0, "")
            self.what_there_is_is_what_the_model_knows()
            self.check_books()
            assert self._do(self.report_on()).breaches == 0
            online = [each for each in self.held if not each.counter]
            assert sum(self._do(self.provider.bench.net()).values()) == sum(sold_and_kept(online))
        finally:
            self._do(self.stop())
            self.runner.close()


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("gateway", "examples", "steps"),
    [
        ("simulated", 6, 30),
        ("stripe", 4, 30),
        pytest.param("simulated", 200, 60, marks=pytest.mark.torture),
        pytest.param("stripe", 200, 60, marks=pytest.mark.torture),
    ],
)
def test_bookings_and_money(database_url: str, gateway: str, examples: int, steps: int) -> None:
    """After any history no customer is charged twice or without seats, and all money is accounted for."""
    run_state_machine_as_test(
        seed(chance.seed())(type("Machine", (Machine,), {"url": database_url, "gateway": gateway})),
        settings=settings(
            max_examples=chance.count(examples),
            stateful_step_count=steps,
            print_blob=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
