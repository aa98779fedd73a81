"""Payments, refunds and the expiry of holds, with a provider that is slow or loses its answer when told to."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application import background, lane, refunds
from cinema_grpc.application import payments as module
from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.errors import PaymentUnavailable, RequestIdReused, ShuttingDown, StorageUnavailable
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.application.payment_ports import ProviderUnavailable
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.application.unsettled import LONGEST_PAUSE, MOST_TRIES
from cinema_grpc.domain.booking import Booking, BookingStatus, RefundStatus
from cinema_grpc.domain.errors import (
    BookingNotFound,
    HoldExpired,
    NotBookingOwner,
    PaymentDeclined,
    PaymentInProgress,
)
from cinema_grpc.domain.money import Money
from tests.application.conftest import House
from tests.faults import failing

GRACE = timedelta(seconds=30)


class Provider(SimulatedPayments):
    """The simulated provider with books of its own, a gate that holds charges up, and answers that get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.charged: dict[str, Money] = {}
        self.refunded: dict[str, Money] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Event()
        self.lost_answers = 0
        self.calls = 0

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        self.calls += 1
        self.arrived.set()
        await self.open.wait()
        taken = await super().charge(key, amount, payment_token)
        if taken:
            self.charged[key] = amount
        self._lose()
        return taken

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        await super().refund(key, charge_key, amount)
        self.refunded[key] = amount
        self._lose()

    def _lose(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise ProviderUnavailable


@dataclass
class Desk:
    """What a customer deals with, and what stands behind it."""

    house: House
    provider: Provider
    payments: Payments
    bookings: Bookings
    refunds: Refunds

    async def pay(self, booking: Booking, token: str = "tok_visa", request: Once[Booking] | None = None) -> Booking:
        return await self.bookings.confirm(booking.user_id, booking.booking_id, token, request)

    async def pay_afresh(self, booking: Booking) -> Booking:
        """Repeat a request as after a restart."""
        owe = self.refunds.owe
        payments = Payments(self.house.box_office, self.provider, owe, GRACE)
        bookings = Bookings(self.house.box_office, self.house.reader, payments, timedelta(minutes=10), owe)
        return await bookings.confirm(booking.user_id, booking.booking_id, "tok_visa", request())

    async def read(self, booking: Booking) -> Booking:
        return await self.bookings.get(booking.user_id, booking.booking_id)


@pytest.fixture
async def desk(house: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.01)
    provider = Provider()
    refunds = Refunds(SqlPaymentStore(house.database), house.box_office, provider, GRACE)
    payments = Payments(house.box_office, provider, refunds.owe, GRACE)
    bookings = Bookings(house.box_office, house.reader, payments, timedelta(minutes=10), refunds.owe)
    yield Desk(house, provider, payments, bookings, refunds)
    await payments.stop(10)


def request(request_id: str = "r1", content: bytes = b"content") -> Once[Booking]:
    return Once(RequestKey("ada", "ConfirmPayment", request_id), content, Booking)


async def outcomes(*calls: Any) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), timeout=30)


class TestConfirming:
    async def test_charges_once_and_issues_tickets(self, desk: Desk) -> None:
        booking = await desk.pay(await desk.house.hold("A1", "A2"))
        assert booking.status is BookingStatus.CONFIRMED
        assert [ticket.seat for ticket in booking.tickets] == ["A1", "A2"]
        assert len({ticket.code for ticket in booking.tickets}) == 2
        assert all(len(ticket.code) >= 22 for ticket in booking.tickets)  # 128 bits in base64
        assert list(desk.provider.charged.values()) == [Money("EUR", 2_500)]
        assert await desk.read(booking) == booking

    async def test_declined_leaves_the_hold(self, desk: Desk) -> None:
        held = await desk.house.hold("A1")
        with pytest.raises(PaymentDeclined):
            await desk.pay(held, "tok_declined")
        assert (await desk.read(held)).status is BookingStatus.RESERVED
        assert (await desk.pay(held)).status is BookingStatus.CONFIRMED
        statuses = sorted(row["status"] for row in await desk.house.rows("payment_attempt"))
        assert statuses == ["CHARGED", "DECLINED"]

    async def test_two_at_once_charge_once(self, desk: Desk) -> None:
        """One is confirmed; the other is told that a payment is under way, or that it is done."""
        held = await desk.house.hold("A1")
        desk.provider.open.clear()
        first = asyncio.create_task(desk.pay(held))
        await desk.provider.arrived.wait()
        with pytest.raises(PaymentInProgress):
            await desk.pay(held)
        with pytest.raises(PaymentInProgress):
            await desk.bookings.cancel("ada", held.booking_id, None)
        desk.provider.open.set()
        assert (await first).status is BookingStatus.CONFIRMED
        assert desk.provider.calls == 1

    async def test_twenty_repeats_at_once_get_one_answer(self, desk: Desk) -> None:
        held = await desk.house.hold("A1")
        results = await outcomes(*(desk.pay(held, request=request()) for _ in range(20)))
        assert {result.status for result in results} == {BookingStatus.CONFIRMED}
        assert len({result.tickets for result in results}) == 1
        assert desk.provider.calls == 1

    async def test_a_later_repeat_gets_the_same_answer(self, desk: Desk) -> None:
        """Also from a server that was not there then."""
        held = await desk.house.hold("A1")
        first = await desk.pay(held, request=request())
        assert await desk.pay(held, request=request()) == first
        assert await desk.pay_afresh(held) == first
        assert desk.provider.calls == 1

    @pytest.mark.parametrize("at_once", [True, False])
    async def test_the_same_id_with_other_content(self, desk: Desk, at_once: bool) -> None:
        held = await desk.house.hold("A1")
        calls = [desk.pay(held, request=request()), desk.pay(held, request=request(content=b"other"))]
        results = await outcomes(*calls) if at_once else [(await outcomes(call))[0] for call in calls]
        if at_once:  # either may be the first
            results.sort(key=lambda result: isinstance(result, RequestIdReused))
        assert results[0].status is BookingStatus.CONFIRMED
        assert isinstance(results[1], RequestIdReused)
        assert desk.provider.calls == 1

    async def test_a_caller_who_hangs_up_changes_nothing(self, desk: Desk) -> None:
        held = await desk.house.hold("A1")
        desk.provider.open.clear()
        caller = asyncio.create_task(desk.pay(held, request=request()))
        await desk.provider.arrived.wait()
        caller.cancel()
        await outcomes(caller)
        desk.provider.open.set()
        assert (await desk.pay(held, request=request())).status is BookingStatus.CONFIRMED
        assert desk.provider.calls == 1

    async def test_a_lost_answer_is_found_in_the_background(self, desk: Desk) -> None:
        """The caller is told at once; the provider is asked again with the same key, and the booking is confirmed."""
        held = await desk.house.hold("A1")
        desk.provider.lost_answers = 2
        with pytest.raises(PaymentUnavailable):
            await desk.pay(held, request=request())
        await desk.payments.stop(10)
        assert (await desk.read(held)).status is BookingStatus.CONFIRMED
        assert (desk.provider.calls, len(desk.provider.charged)) == (3, 1)

    async def test_a_repeat_after_a_lost_answer_waits_for_the_outcome(self, desk: Desk) -> None:
        """The same request_id gets the tickets as soon as they are known; with other content it is refused."""
        held = await desk.house.hold("A1")
        desk.provider.lost_answers = 1
        with pytest.raises(PaymentUnavailable):
            await desk.pay(held, request=request())
        with pytest.raises(RequestIdReused):
            await desk.pay(held, request=request(content=b"other"))
        assert (await desk.pay(held, request=request())).status is BookingStatus.CONFIRMED
        assert (desk.provider.calls, len(desk.provider.charged)) == (2, 1)

    async def test_an_attempt_that_may_not_have_been_written_down(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The commit's answer was lost and can't be looked up: it is withdrawn, uncharged, and the next one goes."""
        monkeypatch.setattr(lane, "SECONDS_TO_FIND_OUT", 0.01)
        held = await desk.house.hold("A1")
        lost: list[str] = []

        def fails(statement: str) -> bool:
            if statement == "COMMIT":
                lost.append(statement)
            return bool(lost)

        with failing(desk.house.database, fails, after=True), pytest.raises(StorageUnavailable):
            await desk.pay(held, request=request())
        (repeated,) = await outcomes(desk.pay(held, request=request()))
        if isinstance(repeated, StorageUnavailable):  # it came before the attempt was withdrawn, and was told the same
            repeated = await desk.pay(held, request=request())
        assert repeated.status is BookingStatus.CONFIRMED
        statuses = [row["status"] for row in await desk.house.rows("payment_attempt")]
        assert sorted(statuses) == ["CHARGED", "DECLINED"]
        assert desk.provider.calls == 1

    async def test_a_provider_that_never_answers(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "PROVIDER_SECONDS", 0.01)
        held = await desk.house.hold("A1")
        desk.provider.open.clear()
        with pytest.raises(PaymentUnavailable):
            await desk.pay(held)
        with pytest.raises(PaymentInProgress):
            await desk.pay(held)
        desk.provider.open.set()

    async def test_storage_that_fails_after_the_charge(self, desk: Desk) -> None:
        """The money is accounted for as soon as storage is back, without a second charge."""
        held = await desk.house.hold("A1")
        desk.provider.open.clear()
        caller = asyncio.create_task(desk.pay(held, request=request()))
        await desk.provider.arrived.wait()
        with failing(desk.house.database, lambda statement: "UPDATE booking" in statement):
            desk.provider.open.set()
            assert isinstance((await outcomes(caller))[0], StorageUnavailable)
        await desk.payments.stop(10)
        assert (await desk.read(held)).status is BookingStatus.CONFIRMED
        assert (await desk.pay_afresh(held)).status is BookingStatus.CONFIRMED
        assert desk.provider.calls == 1

    async def test_a_charge_that_comes_too_late_is_owed_back(self, desk: Desk) -> None:
        """The seats have a new owner by then, who keeps them; the money goes back, once."""
        held = await desk.house.hold("A1")
        desk.provider.open.clear()
        caller = asyncio.create_task(desk.pay(held, request=request()))
        await desk.provider.arrived.wait()
        desk.house.clock.advance(timedelta(minutes=10))
        rival = await desk.house.hold("A1", by="bob")
        desk.provider.open.set()
        assert isinstance((await outcomes(caller))[0], HoldExpired)
        assert isinstance((await outcomes(desk.pay(held, request=request())))[0], HoldExpired)
        late = await desk.read(held)
        assert late.status is BookingStatus.EXPIRED
        assert late.refund is not None
        assert (late.refund.amount, late.refund.status) == (Money("EUR", 1_250), RefundStatus.PENDING)
        await desk.refunds.run_pass()
        await desk.refunds.run_pass()
        late = await desk.read(held)
        assert late.refund is not None
        assert late.refund.status is RefundStatus.COMPLETED
        assert list(desk.provider.refunded.values()) == [Money("EUR", 1_250)]
        assert (await desk.pay(rival)).status is BookingStatus.CONFIRMED

    async def test_a_free_showing_needs_no_provider(self, desk: Desk) -> None:
        async with desk.house.database.writing() as connection:
            await connection.execute(update(schema.showtime).values(seat_price=0))
        booking = await desk.pay(await desk.house.hold("A1"))
        assert booking.status is BookingStatus.CONFIRMED
        assert desk.provider.calls == 0

    async def test_a_stopping_server_takes_no_payment(self, desk: Desk) -> None:
        held = await desk.house.hold("A1")
        await desk.payments.stop(1)
        with pytest.raises(ShuttingDown):
            await desk.pay(held)

    async def test_a_payment_is_cut_short_in_the_end(self, desk: Desk) -> None:
        """A provider that hangs does not keep the server from stopping; the attempt stays written down as open."""
        held = await desk.house.hold("A1")
        desk.provider.open.clear()
        caller = asyncio.create_task(desk.pay(held))
        await desk.provider.arrived.wait()
        await desk.payments.stop(0.01)
        assert isinstance((await outcomes(caller))[0], ShuttingDown)
        assert [row["status"] for row in await desk.house.rows("payment_attempt")] == ["OPEN"]


class TestOwnership:
    async def test_comes_before_the_state(self, desk: Desk) -> None:
        """Another's booking is refused as such, whatever its state; nobody's is not found."""
        held = await desk.house.hold("A1")
        for call in (
            desk.bookings.get("bob", held.booking_id),
            desk.bookings.confirm("bob", held.booking_id, "tok", None),
            desk.bookings.quote("bob", held.booking_id),
            desk.bookings.cancel("bob", held.booking_id, None),
        ):
            with pytest.raises(NotBookingOwner) as refusal:
                await call
            assert refusal.value.metadata == {"booking_id": held.booking_id}
        with pytest.raises(BookingNotFound):
            await desk.bookings.get("ada", "nothing")


class TestRefunds:
    async def test_a_cancelled_booking_is_paid_back(self, desk: Desk) -> None:
        """PENDING when written down, COMPLETED when the provider has done it; a lost answer is asked for again."""
        booking = await desk.pay(await desk.house.hold("A1", "A2"))
        cancelled = await desk.bookings.cancel("ada", booking.booking_id, None)
        assert cancelled.refund is not None
        assert cancelled.refund.status is RefundStatus.PENDING
        desk.provider.lost_answers = 1
        for expected in (RefundStatus.PENDING, RefundStatus.COMPLETED):
            await desk.refunds.run_pass()
            desk.house.clock.advance(GRACE)
            refund = (await desk.read(booking)).refund
            assert refund is not None
            assert refund.status is expected
        assert list(desk.provider.refunded.values()) == [Money("EUR", 2_500)]

    async def test_one_that_hangs_does_not_hold_up_the_others(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nor one that fails in a way that nobody thought of."""
        monkeypatch.setattr(refunds, "PROVIDER_SECONDS", 0.05)
        answers = iter([asyncio.sleep(3600), asyncio.to_thread(lambda: 1 / 0), asyncio.sleep(0)])
        monkeypatch.setattr(desk.provider, "refund", lambda *_: next(answers))
        for seat in ("A1", "A2", "A3"):
            booking = await desk.pay(await desk.house.hold(seat))
            await desk.bookings.cancel("ada", booking.booking_id, None)
        await desk.refunds.run_pass()
        statuses = sorted(row["status"] for row in await desk.house.rows("refund"))
        assert statuses == ["COMPLETED", "PENDING", "PENDING"]

    async def test_one_that_fails_does_not_hold_up_the_others(self, desk: Desk) -> None:
        for seat in ("A1", "A2"):
            booking = await desk.pay(await desk.house.hold(seat))
            await desk.bookings.cancel("ada", booking.booking_id, None)
        desk.provider.lost_answers = 1
        await desk.refunds.run_pass()
        statuses = sorted(row["status"] for row in await desk.house.rows("refund"))
        assert statuses == ["COMPLETED", "PENDING"]

    async def test_one_that_a_crash_left_owed_is_taken_up(self, desk: Desk) -> None:
        """By another process, after the grace; two that look at once do not both take it."""
        booking = await desk.pay(await desk.house.hold("A1"))
        await desk.bookings.cancel("ada", booking.booking_id, None)
        store = SqlPaymentStore(desk.house.database)
        others = [Refunds(store, desk.house.box_office, desk.provider, GRACE) for _ in range(2)]
        await asyncio.gather(*(each.run_pass() for each in others))
        assert desk.provider.refunded == {}
        desk.house.clock.advance(GRACE)
        desk.provider.lost_answers = 1
        await asyncio.gather(*(each.run_pass() for each in others))
        (row,) = await desk.house.rows("refund")
        assert (row["status"], row["tries"]) == ("PENDING", 1)
        desk.house.clock.advance(GRACE)
        await asyncio.gather(*(each.run_pass() for each in others))
        (row,) = await desk.house.rows("refund")
        assert (row["status"], row["tries"]) == ("COMPLETED", 2)
        assert list(desk.provider.refunded.values()) == [Money("EUR", 1_250)]

    async def test_one_that_is_hopeless_is_given_up_loudly(self, desk: Desk) -> None:
        """After growing pauses, a day in all: FAILED, and an error in the log with all that it takes to pay it."""
        booking = await desk.pay(await desk.house.hold("A1"))
        await desk.bookings.cancel("ada", booking.booking_id, None)
        desk.provider.lost_answers = 10_000
        start = desk.house.clock.now()
        with capture_logs() as logged:
            while (await desk.read(booking)).refund.status is RefundStatus.PENDING:  # type: ignore[union-attr] # it has one
                await desk.refunds.run_pass()
                desk.house.clock.advance(timedelta(minutes=10))
        assert timedelta(hours=20) < desk.house.clock.now() - start < timedelta(hours=30)
        (row,) = await desk.house.rows("refund")
        assert (row["status"], row["tries"]) == ("FAILED", MOST_TRIES + 1)
        (error,) = (line for line in logged if line["log_level"] == "error")
        assert (error["refund_id"], error["amount"], error["booking_id"]) == (
            row["refund_id"],
            1_250,
            booking.booking_id,
        )
        desk.house.clock.advance(LONGEST_PAUSE * 10)
        calls = desk.provider.lost_answers
        await desk.refunds.run_pass()
        assert desk.provider.lost_answers == calls


class TestExpiry:
    async def test_writes_down_what_is_over(self, desk: Desk) -> None:
        """In bounded steps, all showtimes, and not what is still on hold or paid for."""
        house = desk.house
        await asyncio.gather(*(house.hold(f"A{number}", at=at) for at in ("s1", "s2") for number in range(1, 10)))
        paid = await house.hold("A10")
        await desk.pay(paid)
        house.clock.advance(timedelta(minutes=5))
        young = await house.hold("A10", at="s2")
        house.clock.advance(timedelta(minutes=5))
        await HoldExpiry(house.store, house.box_office).run_pass()
        statuses = {row["booking_id"]: row["status"] for row in await house.rows("booking")}
        assert statuses.pop(paid.booking_id) == "CONFIRMED"
        assert statuses.pop(young.booking_id) == "RESERVED"
        assert set(statuses.values()) == {"EXPIRED"}
        assert len(await house.rows("seat_claim")) == 2

    async def test_many_showtimes_in_a_rush(self, desk: Desk) -> None:
        """Tidying goes on behind those who are buying, a few showtimes to a batch."""
        house = desk.house
        for at in ("s1", "s2", "s3"):
            await house.hold("A1", at=at)
        house.clock.advance(timedelta(minutes=10))
        commits = house.faults.commits
        tidying = asyncio.create_task(HoldExpiry(house.store, house.box_office).run_pass())
        await asyncio.gather(tidying, *(house.hold(f"A{number}") for number in range(2, 10)))
        assert house.faults.commits <= commits + 3
        assert [row["status"] for row in await house.rows("booking")].count("EXPIRED") == 3

    async def test_without_it_a_lapsed_hold_is_free_all_the_same(self, desk: Desk) -> None:
        """For claims, single reads, lists and status filters, at once."""
        held = await desk.house.hold("A1")
        desk.house.clock.advance(timedelta(minutes=10))
        assert (await desk.read(held)).status is BookingStatus.EXPIRED
        assert [each.status for each in await desk.bookings.list("ada", "", None, "", 10)] == [BookingStatus.EXPIRED]
        assert await desk.bookings.list("ada", "", BookingStatus.RESERVED, "", 10) == []
        (expired,) = await desk.bookings.list("ada", "s1", BookingStatus.EXPIRED, "", 10)
        assert expired.booking_id == held.booking_id
        assert (await desk.house.hold("A1", by="bob")).seats == ("A1",)

    async def test_a_failing_pass_is_tried_again(self, desk: Desk) -> None:
        """The task outlives it: it counts the failure, waits, and writes down what is over."""
        house = desk.house
        await house.hold("A1")
        house.clock.advance(timedelta(minutes=10))
        passed = asyncio.Event()
        expiry = HoldExpiry(house.store, house.box_office)

        async def run_pass() -> None:
            await expiry.run_pass()
            passed.set()

        task = BackgroundTask("hold expiry", run_pass, 0.01)
        failures = 0
        with failing(house.database, lambda statement: "hold_expire_time <=" in statement) as failed:
            task.start()
            async with asyncio.timeout(30):
                while len(failed) < 2:  # noqa: ASYNC110 (a failing statement sets no event)
                    await asyncio.sleep(0.01)
            failures = task.failures
        await asyncio.wait_for(passed.wait(), 10)
        await task.stop()
        assert failures >= 1
        assert task.failures == 0
        assert [row["status"] for row in await house.rows("booking")] == ["EXPIRED"]

    async def test_many_failures_do_not_end_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The pause between tries is bounded, after thousands of failures too; nobody wakes a task that fails."""
        monkeypatch.setattr(background, "LONGEST_PAUSE", 0.0)
        tried = 0
        enough = asyncio.Event()

        async def run_pass() -> None:
            nonlocal tried
            tried += 1
            if tried == 3_000:
                enough.set()
            if not enough.is_set():
                raise StorageUnavailable

        monkeypatch.setattr(background.logger, "exception", lambda *_arguments, **_named: None)
        task = BackgroundTask("doomed", run_pass, 1.0)
        task.start()
        task.wake()
        await asyncio.wait_for(enough.wait(), 30)
        await task.stop()
        assert tried == 3_000

    async def test_waking_runs_the_next_pass_at_once(self) -> None:
        passes: asyncio.Queue[None] = asyncio.Queue()
        task = BackgroundTask("waiting", lambda: passes.put(None), 3600)
        task.start()
        await asyncio.wait_for(passes.get(), 10)
        task.wake()
        await asyncio.wait_for(passes.get(), 10)
        await task.stop()
        await BackgroundTask("never started", lambda: passes.put(None), 1).stop()

    async def test_a_stop_that_comes_with_a_wake_is_not_forgotten(self) -> None:
        """Both may come in one moment, as at the end of a server whose last call made a refund owed."""
        passes: asyncio.Queue[None] = asyncio.Queue()
        task = BackgroundTask("woken and stopped", lambda: passes.put(None), 3600)
        task.start()
        await passes.get()
        await asyncio.sleep(0)  # it rests
        task.wake()
        await asyncio.wait_for(task.stop(), 5)
