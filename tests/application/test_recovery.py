"""Recovery settles payments that a crash left open, with any outcome of the charge."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from cinema_grpc.adapters.simulated_payments import FaultProfile
from cinema_grpc.application import payment_steps
from cinema_grpc.application.errors import PaymentUnavailable
from cinema_grpc.application.payment_ports import Charge, ChargeOutcome, ChargeVoided, ProviderUnavailable
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.retry_policy import LONGEST_PAUSE, OVERDUE_AFTER
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import BookingNotReserved, HoldExpired, PaymentInProgress
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, RefundStatus
from tests.application.commands import RANDOM_TICKETS, TEN_MINUTES, encode, encode_action, idempotent_call
from tests.application.conftest import App
from tests.application.paying import GRACE, Provider, Replica, Scene

CALL = idempotent_call(rpc="cinema.v1.BookingService/ConfirmPayment")


@pytest.fixture
async def scene(app: App, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(payment_steps, "FIRST_RETRY_SECONDS", 0.01)
    provider = Provider()
    async with app.other_process() as other:
        first, second = (Replica(app.database, each.box_office, provider) for each in (app, other))
        yield Scene(app, provider, first, second, await app.hold("A1", "A2"))
        provider.before.set()
        provider.after.set()
        await first.payments.stop(10)
        await second.payments.stop(10)


async def fails(call: "asyncio.Task[Any]", error: type[Exception]) -> None:
    with pytest.raises(error):
        await asyncio.wait_for(call, 30)


class TestACrash:
    async def test_after_the_charge(self, scene: Scene) -> None:
        """The money was taken: the booking is confirmed, and a repeat gets its tickets."""
        scene.provider.after.clear()
        scene.first.pay(scene.booking, call=CALL)
        await scene.provider.made.wait()
        await scene.first.die()
        await scene.second.recover()
        assert await scene.attempts() == ["OPEN"]  # within the grace it is left alone
        scene.app.clock.advance(GRACE)
        await scene.second.recover()
        booking = await scene.read()
        assert (booking.status, len(booking.tickets)) == (BookingStatus.CONFIRMED, 2)
        assert await scene.second.pay(scene.booking, call=CALL) == booking
        await fails(scene.second.pay(scene.booking), BookingNotReserved)
        assert await scene.money() == 2_500

    async def test_after_the_charge_and_the_hold(self, scene: Scene) -> None:
        """The money was taken too late: all of it goes back, and a repeat gets HOLD_EXPIRED."""
        scene.provider.after.clear()
        scene.first.pay(scene.booking, call=CALL)
        await scene.provider.made.wait()
        await scene.first.die()
        scene.app.clock.advance(TEN_MINUTES)
        await scene.second.recover()
        booking = await scene.read()
        assert booking.status is BookingStatus.EXPIRED
        assert booking.refund is not None
        assert (booking.refund.percent, booking.refund.status) == (100, RefundStatus.COMPLETED)
        await fails(scene.second.pay(scene.booking, call=CALL), HoldExpired)
        assert await scene.money() == 0

    async def test_before_the_charge_arrived(self, scene: Scene) -> None:
        """The provider knows of no charge, so it is voided: one that still arrives takes nothing. Ada may pay again."""
        scene.provider.before.clear()
        late = scene.first.pay(scene.booking, call=CALL)
        await scene.provider.arrived.wait()
        await scene.first.die()
        await fails(late, Exception)
        scene.app.clock.advance(GRACE)
        await scene.second.recover()
        assert await scene.attempts() == ["VOIDED"]
        scene.provider.before.set()
        (attempt,) = await scene.app.rows("payment_attempt")
        with pytest.raises(ChargeVoided):
            await scene.provider.charge(Charge(attempt["attempt_id"], "b1", "s1", Money("EUR", 2_500)), "tok_visa")
        assert (await scene.second.pay(scene.booking, call=CALL)).status is BookingStatus.CONFIRMED
        assert await scene.attempts() == ["VOIDED", "CHARGED"]
        assert await scene.money() == 2_500

    async def test_after_a_decline(self, scene: Scene) -> None:
        scene.provider.after.clear()
        scene.first.pay(scene.booking, "tok_declined")
        await scene.provider.made.wait()
        await scene.first.die()
        scene.app.clock.advance(GRACE)
        await scene.second.recover()
        assert await scene.attempts() == ["DECLINED"]
        assert (await scene.read()).status is BookingStatus.RESERVED

    async def test_a_request_id_that_another_call_took_meanwhile(self, scene: Scene) -> None:
        """The payment is settled all the same."""
        scene.provider.after.clear()
        scene.first.pay(scene.booking, call=CALL)
        await scene.provider.made.wait()
        await scene.first.die()
        other = idempotent_call(request=b"another request", rpc=CALL.key.rpc)
        await scene.app.hold("A5", call=other)
        scene.app.clock.advance(GRACE)
        await scene.second.recover()
        assert (await scene.read()).status is BookingStatus.CONFIRMED


class TestASlowReplica:
    """Another replica recovers its payment while it is still at it."""

    async def test_that_charges_after_the_attempt_was_called_off(self, scene: Scene) -> None:
        scene.provider.before.clear()
        slow = scene.first.pay(scene.booking)
        await scene.provider.arrived.wait()
        scene.app.clock.advance(GRACE)
        await scene.second.recover()
        scene.provider.before.set()
        await fails(slow, PaymentUnavailable)
        assert await scene.attempts() == ["VOIDED"]
        assert (await scene.second.pay(scene.booking)).status is BookingStatus.CONFIRMED
        assert await scene.money() == 2_500

    @pytest.mark.parametrize("over", [False, True])
    async def test_that_charges_between_the_question_and_the_void(
        self, scene: Scene, monkeypatch: pytest.MonkeyPatch, over: bool
    ) -> None:
        """Its charge came through before the void: recovery settles it, and the slow replica does not."""
        scene.provider.before.clear()
        scene.provider.after.clear()
        slow = scene.first.pay(scene.booking)
        await scene.provider.arrived.wait()
        scene.app.clock.advance(TEN_MINUTES if over else GRACE)
        void = scene.provider.void

        async def void_a_charge_that_has_just_arrived(charge: Charge) -> bool:
            scene.provider.before.set()
            await scene.provider.made.wait()
            scene.provider.after.set()
            await fails(slow, PaymentInProgress)
            return await void(charge)

        monkeypatch.setattr(scene.provider, "void", void_a_charge_that_has_just_arrived)
        await scene.second.recover()
        booking = await scene.read()
        if over:
            assert booking.refund is not None
            assert (booking.status, booking.refund.percent) == (BookingStatus.EXPIRED, 100)
            assert booking.refund.status is RefundStatus.COMPLETED
        else:
            assert (booking.status, booking.refund) == (BookingStatus.CONFIRMED, None)
        assert await scene.attempts() == ["CHARGED"]
        assert await scene.money() == (0 if over else 2_500)

    async def test_that_settles_first(self, scene: Scene) -> None:
        """Both know that the money was taken, and it is written down once."""
        scene.provider.after.clear()
        slow = scene.first.pay(scene.booking, call=CALL)
        await scene.provider.made.wait()
        scene.app.clock.advance(GRACE)
        scene.provider.after.set()
        await asyncio.gather(scene.second.recover(), slow)
        assert await slow == await scene.read()
        assert await scene.attempts() == ["CHARGED"]

    async def test_a_process_leaves_its_own_payments_alone(self, scene: Scene) -> None:
        scene.provider.before.clear()
        paying = scene.first.pay(scene.booking)
        await scene.provider.arrived.wait()
        scene.app.clock.advance(GRACE)
        await scene.first.recover()
        assert await scene.attempts() == ["OPEN"]
        scene.provider.before.set()
        assert (await paying).status is BookingStatus.CONFIRMED


class TestAProviderThatFails:
    async def test_the_next_try_goes_on_where_one_was_broken_off(self, scene: Scene) -> None:
        """The attempt is VOIDING, and the provider did not answer the void."""
        scene.provider.before.clear()
        scene.first.pay(scene.booking)
        await scene.provider.arrived.wait()
        await scene.first.die()
        scene.app.clock.advance(GRACE)
        scene.provider.faults = FaultProfile(fail_after=1)
        for tries, status in ((1, "OPEN"), (2, "OPEN")):
            await scene.second.recover()
            (attempt,) = await scene.app.rows("payment_attempt")
            assert (attempt["status"], attempt["tries"]) == (status, tries)
            await scene.second.recover()  # not before its time
            scene.app.clock.advance(GRACE * tries)
        find = scene.provider.find

        async def find_and_fall_silent(charge: Charge) -> ChargeOutcome | None:
            scene.provider.faults = FaultProfile()
            found = await find(charge)
            scene.provider.faults = FaultProfile(fail_after=1)
            return found

        scene.provider.find = find_and_fall_silent  # type: ignore[method-assign]
        await scene.second.recover()
        assert await scene.attempts() == ["VOIDING"]
        assert (await scene.read()).payment.status is AttemptStatus.VOIDING  # type: ignore[union-attr] # it has one
        await fails(scene.second.pay(scene.booking), PaymentInProgress)
        scene.provider.faults = FaultProfile()
        scene.app.clock.advance(GRACE * 4)
        await scene.second.recover()
        assert await scene.attempts() == ["VOIDED"]

    async def test_it_is_never_given_up_and_never_silent(self, scene: Scene) -> None:
        """Whether ada was charged has to be known: after a day of tries each further one logs an error."""
        scene.provider.before.clear()
        scene.first.pay(scene.booking)
        await scene.provider.arrived.wait()
        await scene.first.die()
        scene.provider.faults = FaultProfile(fail_before=1)
        with capture_logs() as logged:
            for _ in range(OVERDUE_AFTER // LONGEST_PAUSE + 1):
                scene.app.clock.advance(LONGEST_PAUSE)
                await scene.second.recover()
        assert [line["log_level"] for line in logged][-3:] == ["warning", "error", "error"]
        scene.provider.faults = FaultProfile()
        scene.app.clock.advance(LONGEST_PAUSE)
        await scene.second.recover()
        assert await scene.attempts() == ["VOIDED"]

    async def test_a_process_gives_up_after_the_grace(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        """From then on the attempt belongs to recovery."""
        saga = PaymentSaga(
            scene.app.box_office, scene.provider, encode, timedelta(seconds=0.05), encode_action, RANDOM_TICKETS
        )
        monkeypatch.setattr(scene.first.payments, "_saga", saga)
        scene.provider.faults = FaultProfile(fail_after=1)
        await fails(scene.first.pay(scene.booking), PaymentUnavailable)
        await scene.first.payments.stop(10)
        (attempt,) = await scene.app.rows("payment_attempt")
        assert attempt["status"] == "OPEN"
        assert not scene.first.payments._tasks
        scene.provider.faults = FaultProfile()
        scene.app.clock.advance(GRACE)
        await scene.second.recover()
        assert (await scene.read()).status is BookingStatus.CONFIRMED

    async def test_of_many_replicas_one_takes_it(self, scene: Scene) -> None:
        scene.provider.before.clear()
        scene.first.pay(scene.booking)
        await scene.provider.arrived.wait()
        await scene.first.die()
        scene.app.clock.advance(GRACE)
        asked = []

        async def find(charge: Charge) -> ChargeOutcome | None:
            asked.append(charge.attempt_id)
            raise ProviderUnavailable

        scene.provider.find = find  # type: ignore[method-assign]
        replicas = [Replica(scene.app.database, scene.app.box_office, scene.provider) for _ in range(5)]
        await asyncio.gather(*(each.recover() for each in replicas))
        assert len(asked) == 1


class TestARefundWhoseAnswerIsLost:
    async def test_is_asked_for_again_with_the_same_key(self, scene: Scene) -> None:
        """It was paid the first time, so the second time pays nothing."""
        scene.provider.after.clear()
        paying = scene.first.pay(scene.booking)
        await scene.provider.made.wait()
        scene.app.clock.advance(TEN_MINUTES)
        scene.provider.faults = FaultProfile(fail_after=1)
        scene.provider.after.set()
        await fails(paying, HoldExpired)
        await scene.first.recover()
        scene.app.clock.advance(GRACE + LONGEST_PAUSE)
        scene.provider.faults = FaultProfile()
        await scene.second.recover()
        booking = await scene.read()
        assert booking.refund is not None
        assert booking.refund.status is RefundStatus.COMPLETED
        assert await scene.money() == 0
