"""Payments by Stripe when a step fails or the process dies: charged once or not at all, and all of it in the books."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from cinema_grpc.application import payment_steps, refunds
from cinema_grpc.application.errors import PaymentUnavailable
from cinema_grpc.application.payment_ports import Charge, ChargeOutcome, Declined
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import HoldExpired, PaymentDeclined, PaymentInProgress
from cinema_grpc.domain.payment import RefundStatus
from tests.application.commands import TEN_MINUTES, cancel_command, idempotent_call
from tests.application.paying import GRACE
from tests.application.stripe_shop import PRICE, VISA, Shop
from tests.stripe.server import Fault

CREATE, CONFIRM, CANCEL = r"/v1/payment_intents", r"/v1/payment_intents/\w+/confirm", r"/v1/payment_intents/\w+/cancel"
REFUND, RETRIEVE = r"/v1/refunds", r"/v1/payment_intents/\w+"
CALL = idempotent_call(rpc="cinema.v1.BookingService/ConfirmPayment")
Hurry = Callable[[str | int], None]
KINDS = ["before", "after", "hang", "late", 500, 503, 429, 409]


async def outcome(task: "asyncio.Task[Any]") -> Any:
    """Return what a payment came to."""
    (result,) = await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 30)
    return result


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> Hurry:
    """Shortens the wait for an answer if a fault of a kind keeps it back. Others have time: the machine may be busy."""

    def set_limit(kind: str | int) -> None:
        if kind == "hang":
            for module in (payment_steps, refunds):
                monkeypatch.setattr(module, "PROVIDER_SECONDS", 2)

    return set_limit


class TestAStepThatFailsOnce:
    """Create, or confirm: the request or its answer is lost, late, or an error."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("path", [CREATE, CONFIRM])
    async def test_the_charge_is_settled_in_the_background(
        self, shop: Shop, hurry: Hurry, path: str, kind: str | int
    ) -> None:
        hurry(kind)
        shop.stripe.faults = [Fault("POST", path, kind)]
        assert isinstance(await outcome(shop.first.pay(shop.booking, VISA, CALL)), PaymentUnavailable)
        await shop.first.payments.stop(10)
        assert (await shop.read()).status is BookingStatus.CONFIRMED
        shop.app.clock.advance(timedelta(hours=1))
        shop.stripe.gate.set()  # a late request arrives
        await asyncio.sleep(0.01)
        assert (await shop.second.pay(shop.booking, VISA, CALL)).status is BookingStatus.CONFIRMED
        assert await shop.attempts() == ["CHARGED"]
        assert shop.money() == PRICE
        await shop.check_books()

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_decline_stays_one(self, shop: Shop, hurry: Hurry, kind: str | int) -> None:
        """Its intent is cancelled, so that no late request has it succeed; the next token is charged."""
        hurry(kind)
        shop.stripe.faults = [Fault("POST", CONFIRM, kind), Fault("POST", CANCEL, kind)]
        await outcome(shop.first.pay(shop.booking, "pm_card_chargeDeclinedInsufficientFunds"))
        await shop.first.payments.stop(10)
        assert await shop.attempts() == ["DECLINED"]
        assert shop.stripe.account.intents[shop.intent]["status"] == "canceled"
        assert (await shop.second.pay(shop.booking, VISA)).status is BookingStatus.CONFIRMED
        shop.stripe.gate.set()
        await asyncio.sleep(0.01)
        assert shop.money() == PRICE

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_refund_is_paid_once(self, shop: Shop, hurry: Hurry, kind: str | int) -> None:
        """Even if Stripe has forgotten its key by the time that it is asked again, and a late request arrives."""
        hurry(kind)
        await shop.first.pay(shop.booking, VISA)
        await shop.app.box_office.execute(cancel_command(shop.booking))
        shop.stripe.faults = [Fault("POST", REFUND, kind)]
        await shop.first.refunds.run_pass()
        shop.app.clock.advance(timedelta(hours=25))
        if kind == "late":
            shop.stripe.gate.set()
            await asyncio.sleep(0.01)
        await shop.second.refunds.run_pass()
        booking = await shop.read()
        assert booking.refund is not None
        assert booking.refund.status is RefundStatus.COMPLETED
        assert len(shop.stripe.account.refunds) == 1
        assert shop.money() == 0
        await shop.check_books()


async def test_a_payment_method_that_another_payment_has_used_meanwhile(shop: Shop) -> None:
    """Stripe refuses to confirm; the payment is declined at once, and another token is charged."""
    shop.stripe.faults = [Fault("POST", CONFIRM, 400)]
    assert isinstance(await outcome(shop.first.pay(shop.booking, VISA)), PaymentDeclined)
    assert await shop.attempts() == ["DECLINED"]
    assert shop.stripe.account.intents[shop.intent]["status"] == "canceled"
    assert (await shop.first.pay(shop.booking, VISA)).status is BookingStatus.CONFIRMED
    assert shop.money() == PRICE
    await shop.check_books()


async def test_a_refund_is_paid_after_an_error_that_stripe_repeats_for_a_day(shop: Shop) -> None:
    await shop.first.pay(shop.booking, VISA)
    await shop.app.box_office.execute(cancel_command(shop.booking))
    shop.stripe.faults = [Fault("POST", REFUND, "saved")]
    while (await shop.read()).refund.status is RefundStatus.PENDING:  # type: ignore[union-attr] # it has one
        await shop.first.refunds.run_pass()
        shop.app.clock.advance(timedelta(minutes=3))
    assert (await shop.read()).refund.status is RefundStatus.COMPLETED  # type: ignore[union-attr]
    assert shop.money() == 0
    await shop.check_books()


async def test_every_request_arrives_twice(shop: Shop) -> None:
    """A decline, a charge and a refund: each is one."""
    shop.stripe.faults = [Fault("POST", ".*", "doubled", times=-1)]
    assert isinstance(await outcome(shop.first.pay(shop.booking, "pm_card_chargeDeclined")), PaymentDeclined)
    assert (await shop.first.pay(shop.booking, VISA)).status is BookingStatus.CONFIRMED
    assert shop.money() == PRICE
    await shop.app.box_office.execute(cancel_command(shop.booking))
    await shop.first.refunds.run_pass()
    assert (len(shop.stripe.account.intents), len(shop.stripe.account.refunds), shop.money()) == (2, 1, 0)
    await shop.check_books()


class TestAProcessThatDies:
    """Between any two statements."""

    @pytest.mark.parametrize(
        ("path", "kind", "status"),
        [
            (CREATE, "before", "VOIDED"),
            (CREATE, "hang", "VOIDED"),
            (CONFIRM, "before", "VOIDED"),
            (CONFIRM, "hang", "CHARGED"),
        ],
    )
    async def test_another_one_goes_on(self, shop: Shop, hurry: Hurry, path: str, kind: str, status: str) -> None:
        hurry(kind)
        shop.stripe.faults = [Fault("POST", path, kind, times=-1)]
        await outcome(shop.first.pay(shop.booking, VISA, CALL))
        await shop.first.die()
        shop.stripe.faults = []
        shop.app.clock.advance(GRACE)
        await shop.second.recover()
        assert await shop.attempts() == [status]
        assert shop.money() == (PRICE if status == "CHARGED" else 0)
        assert (await shop.second.pay(shop.booking, VISA, CALL)).status is BookingStatus.CONFIRMED
        assert shop.money() == PRICE
        await shop.check_books()

    async def test_one_that_was_only_slow_does_not_confirm_what_was_called_off(self, shop: Shop) -> None:
        """It has created the intent, and stores its identifier when recovery has voided the attempt."""
        shop.stripe.faults = [Fault("POST", CREATE, "after", times=-1)]
        paying = shop.first.pay(shop.booking, VISA)
        await outcome(paying)
        shop.app.clock.advance(GRACE)
        await shop.second.recover()
        assert await shop.attempts() == ["VOIDED"]
        shop.stripe.faults = []
        await shop.first.payments.stop(10)
        assert shop.stripe.sent("POST", CONFIRM) == []
        assert shop.money() == 0

    async def test_one_that_was_slow_stores_the_intent_while_it_is_called_off(self, shop: Shop) -> None:
        """Recovery has read the attempt without it, and cancels the intent all the same."""
        prepare, confirm, find = shop.first.provider.prepare, shop.first.provider.charge, shop.second.provider.find
        go_on, called_off = asyncio.Event(), asyncio.Event()

        async def prepare_slowly(charge: Charge, payment_token: str) -> str | Declined:
            answer = await prepare(charge, payment_token)
            await go_on.wait()
            return answer

        async def confirm_late(charge: Charge, payment_token: str) -> ChargeOutcome:
            await called_off.wait()
            return await confirm(charge, payment_token)

        async def find_before_it_is_stored(charge: Charge) -> ChargeOutcome | None:
            found = await find(charge)
            go_on.set()
            while not [row["provider_id"] for row in await shop.app.rows("payment_attempt") if row["provider_id"]]:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            return found

        shop.first.provider.prepare = prepare_slowly  # type: ignore[method-assign]
        shop.first.provider.charge = confirm_late  # type: ignore[method-assign]
        shop.second.provider.find = find_before_it_is_stored  # type: ignore[method-assign]
        paying = shop.first.pay(shop.booking, VISA)
        while not shop.stripe.sent("POST", CREATE):  # noqa: ASYNC110 (a stand-in has no event)
            await asyncio.sleep(0.001)
        shop.app.clock.advance(GRACE)
        await shop.second.recover()
        called_off.set()
        assert isinstance(await outcome(paying), PaymentUnavailable)
        await shop.first.payments.stop(10)
        assert await shop.attempts() == ["VOIDED"]
        assert shop.money() == 0
        await shop.check_books()

    @pytest.mark.parametrize("over", [False, True])
    async def test_a_charge_that_succeeds_a_moment_before_it_is_cancelled(self, shop: Shop, over: bool) -> None:
        """Recovery has found it unconfirmed, and can't cancel it any more: it counts."""
        shop.stripe.faults = [Fault("POST", CONFIRM, "late")]
        await outcome(shop.first.pay(shop.booking, VISA))
        await shop.first.die()
        shop.app.clock.advance(TEN_MINUTES if over else GRACE)
        void = shop.second.provider.void

        async def void_a_moment_later(charge: Charge) -> bool:
            shop.stripe.gate.set()
            await asyncio.sleep(0.01)
            return await void(charge)

        shop.second.provider.void = void_a_moment_later  # type: ignore[method-assign]
        await shop.second.recover()
        booking = await shop.read()
        assert booking.status is (BookingStatus.EXPIRED if over else BookingStatus.CONFIRMED)
        assert await shop.attempts() == ["CHARGED"]
        assert shop.money() == (0 if over else PRICE)
        await shop.check_books()


class TestWhatStripeAsksFor:
    async def test_a_pause_before_the_next_request(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        pauses = []
        sleep = asyncio.sleep

        async def note(seconds: float) -> None:
            pauses.append(seconds)
            await sleep(0)

        monkeypatch.setattr("cinema_grpc.application.payment_steps.asyncio.sleep", note)
        shop.stripe.faults = [Fault("POST", CREATE, 429, headers={"retry-after": "7"})]
        await outcome(shop.first.pay(shop.booking, VISA))
        await shop.first.payments.stop(10)
        assert 7 in pauses
        assert (await shop.read()).status is BookingStatus.CONFIRMED

    async def test_no_repeat(self, shop: Shop) -> None:
        """Recovery calls it off after the grace."""
        shop.stripe.faults = [Fault("POST", CREATE, 500, headers={"stripe-should-retry": "false"})]
        assert isinstance(await outcome(shop.first.pay(shop.booking, VISA)), PaymentUnavailable)
        await shop.first.payments.stop(10)
        assert len(shop.stripe.sent("POST", CREATE)) == 1
        with pytest.raises(PaymentInProgress):
            await shop.second.pay(shop.booking, VISA)
        shop.app.clock.advance(GRACE)
        await shop.second.recover()
        assert (await shop.second.pay(shop.booking, VISA)).status is BookingStatus.CONFIRMED

    async def test_a_payment_method_that_does_not_exist(self, shop: Shop) -> None:
        refusal = await outcome(shop.first.pay(shop.booking, "pm_nothing"))
        assert isinstance(refusal, PaymentDeclined)
        assert refusal.metadata["decline_code"] == "generic_decline"
        assert await shop.attempts() == ["DECLINED"]

    async def test_a_charge_that_comes_too_late_is_refunded(self, shop: Shop, hurry: Hurry) -> None:
        hurry("hang")
        shop.stripe.faults = [Fault("POST", CONFIRM, "hang")]
        await outcome(shop.first.pay(shop.booking, VISA, CALL))
        await shop.first.die()
        shop.app.clock.advance(TEN_MINUTES)
        await shop.second.recover()
        assert isinstance(await outcome(shop.second.pay(shop.booking, VISA, CALL)), HoldExpired)
        assert shop.money() == 0
        await shop.check_books()
