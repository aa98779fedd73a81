"""Payments that the customer has to authenticate with their bank."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from cinema_grpc.adapters.stripe.gateway import StripePayments
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.payment_ports import Charge, ChargeOutcome
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import (
    BookingNotReserved,
    HoldExpired,
    PaymentDeclined,
    PaymentInProgress,
    ShowtimeCancelled,
)
from cinema_grpc.domain.errors import InvalidRequest
from cinema_grpc.domain.showtime_changes import cancel_showtime
from tests.application.audited import change
from tests.application.commands import TEN_MINUTES, cancel_command, idempotent_call
from tests.application.paying import GRACE, Replica
from tests.application.stripe_shop import AUTHENTICATE, PRICE, VISA, Shop
from tests.stripe.server import KEY

RPC = "cinema.v1.BookingService/ConfirmPayment"
FIRST, SECOND = (idempotent_call(name, name.encode(), rpc=RPC) for name in ("first", "second"))
DAY = timedelta(days=1)


async def refused(task: "asyncio.Task[Any]", error: type[Exception]) -> Any:
    """Return the error that a payment ends with."""
    with pytest.raises(error) as refusal:
        await asyncio.wait_for(task, 30)
    return refusal.value


async def ask(shop: Shop) -> Booking:
    """Begin to pay with a card that has to be authenticated."""
    asked = await shop.first.pay(shop.booking, AUTHENTICATE, FIRST)
    assert asked.status is BookingStatus.RESERVED
    assert asked.cancel_reason == shop.stripe.account.intents[shop.intent]["client_secret"]
    return asked


class TestACustomerWhoActs:
    async def test_gets_tickets(self, shop: Shop) -> None:
        """A repeat of either call gets its own answer, also at another replica."""
        asked = await ask(shop)
        shop.stripe.account.authenticate(shop.intent)
        paid = await shop.second.pay(shop.booking, "", SECOND)
        assert (paid.status, len(paid.tickets)) == (BookingStatus.CONFIRMED, 2)
        assert await shop.second.pay(shop.booking, AUTHENTICATE, FIRST) == asked
        assert await shop.first.pay(shop.booking, "", SECOND) == paid
        assert (await shop.attempts(), shop.money()) == (["CHARGED"], PRICE)
        await shop.check_books()

    async def test_and_fails_is_told_so_and_may_try_another_card(self, shop: Shop) -> None:
        await ask(shop)
        shop.stripe.account.authenticate(shop.intent, good=False)
        refusal = await refused(shop.first.pay(shop.booking, "", SECOND), PaymentDeclined)
        assert refusal.metadata["decline_code"] == "payment_intent_authentication_failure"
        assert shop.stripe.account.intents[shop.intent]["status"] == "canceled"
        await refused(shop.first.pay(shop.booking, ""), PaymentDeclined)
        assert (await shop.first.pay(shop.booking, VISA)).status is BookingStatus.CONFIRMED
        await refused(shop.first.pay(shop.booking, ""), BookingNotReserved)  # from the page of the bank, late
        assert shop.money() == PRICE

    async def test_and_never_comes_back_is_charged_all_the_same(self, shop: Shop) -> None:
        """Recovery confirms the booking, and a later call gets it."""
        await ask(shop)
        shop.stripe.account.authenticate(shop.intent)
        shop.app.clock.advance(GRACE)
        await shop.second.recover()
        booking = await shop.read()
        assert booking.status is BookingStatus.CONFIRMED
        assert await shop.first.pay(shop.booking, "", SECOND) == booking

    async def test_at_two_devices_at_once(self, shop: Shop) -> None:
        await ask(shop)
        shop.stripe.account.authenticate(shop.intent)
        both = await asyncio.gather(shop.first.pay(shop.booking, "", SECOND), shop.second.pay(shop.booking, ""))
        assert both[0].tickets == both[1].tickets
        assert shop.money() == PRICE


@pytest.mark.parametrize(("in_time", "repeatable"), [(True, None), (True, SECOND), (False, None), (False, SECOND)])
async def test_a_call_that_another_one_overtakes(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, *, in_time: bool, repeatable: IdempotentCall | None
) -> None:
    """It found that the customer had not acted yet. Then they did, and recovery has settled the payment."""
    await ask(shop)

    gateway = StripePayments(KEY, shop.stripe.url)
    find = gateway.find

    async def find_and_be_late(charge: Charge) -> ChargeOutcome | None:
        found = await find(charge)
        shop.stripe.account.authenticate(shop.intent)
        shop.app.clock.advance(GRACE if in_time else TEN_MINUTES)
        await shop.second.recover()
        return found

    monkeypatch.setattr(gateway, "find", find_and_be_late)
    call = Replica(shop.app.database, shop.app.box_office, gateway).pay(shop.booking, "", repeatable)
    if in_time:
        paid = await call
        assert (paid.status, len(paid.tickets)) == (BookingStatus.CONFIRMED, 2)
        assert await shop.first.pay(shop.booking, "", repeatable) == paid
    else:
        refusal = await refused(call, HoldExpired)
        assert refusal.metadata["charged"] == "true"
    assert await shop.attempts() == ["CHARGED"]
    await gateway.close()
    await shop.check_books()


async def test_a_customer_who_acts_at_the_last_moment(shop: Shop) -> None:
    """And does not come back: the last look at the payment is just before the hold ends."""
    await ask(shop)
    for _ in range(19):  # half a minute each, so the next look would be at the end
        shop.app.clock.advance(timedelta(seconds=30))
        await shop.second.recover()
    shop.app.clock.advance(timedelta(seconds=24))
    shop.stripe.account.authenticate(shop.intent)
    await shop.second.recover()
    assert await shop.attempts() == ["OPEN"]
    shop.app.clock.advance(timedelta(seconds=1))
    await shop.second.recover()
    assert await shop.attempts() == ["CHARGED"]
    assert (await shop.read()).status is BookingStatus.CONFIRMED
    await shop.check_books()


async def test_the_audit_allows_for_the_customer(shop: Shop) -> None:
    """Who has as long as the hold lasts; recovery asks every 30 seconds, and calls it off soon after the end."""
    await ask(shop)
    shop.app.clock.advance(timedelta(minutes=8))
    await shop.check_books()
    for _ in range(4):
        shop.app.clock.advance(GRACE)
        await shop.second.recover()
    assert await shop.attempts() == ["VOIDED"]
    assert len(shop.stripe.sent("GET", r"/v1/payment_intents/\w+")) == 4


class TestACustomerWhoDoesNotAct:
    async def test_is_asked_again(self, shop: Shop) -> None:
        """Meanwhile there is no other payment, and no cancellation."""
        asked = await ask(shop)
        shop.app.clock.advance(GRACE)
        await shop.second.recover()
        assert await shop.second.pay(shop.booking, "", SECOND) == asked
        assert await shop.first.pay(shop.booking, "") == asked
        await refused(shop.first.pay(shop.booking, VISA), PaymentInProgress)
        with pytest.raises(PaymentInProgress):
            await shop.app.box_office.execute(cancel_command(shop.booking))
        assert await shop.attempts() == ["OPEN"]

    async def test_loses_the_hold(self, shop: Shop) -> None:
        """Its intent is cancelled, so that acting later takes no money."""
        await ask(shop)
        shop.app.clock.advance(TEN_MINUTES)
        await shop.second.recover()
        assert await shop.attempts() == ["VOIDED"]
        shop.stripe.account.authenticate(shop.intent)
        assert shop.money() == 0
        await refused(shop.first.pay(shop.booking, "", SECOND), HoldExpired)

    async def test_and_comes_back_too_late(self, shop: Shop) -> None:
        """Before recovery: the call itself cancels the intent."""
        await ask(shop)
        shop.app.clock.advance(TEN_MINUTES)
        await refused(shop.first.pay(shop.booking, "", SECOND), HoldExpired)
        assert await shop.attempts() == ["VOIDED"]

    async def test_until_it_is_too_late(self, shop: Shop) -> None:
        """The money was taken after the hold: all of it goes back."""
        await ask(shop)
        shop.app.clock.advance(TEN_MINUTES)
        shop.stripe.account.authenticate(shop.intent)
        refusal = await refused(shop.first.pay(shop.booking, "", SECOND), HoldExpired)
        assert refusal.metadata["charged"] == "true"
        await refused(shop.first.pay(shop.booking, ""), HoldExpired)
        await shop.first.refunds.run_pass()
        assert shop.money() == 0
        await shop.check_books()

    async def test_until_the_showtime_is_cancelled(self, shop: Shop) -> None:
        await ask(shop)
        await change(
            shop.app, "s1", lambda decision: cancel_showtime(decision.showtime, "fire", lambda: "r", decision.now)
        )
        await refused(shop.first.pay(shop.booking, "", SECOND), ShowtimeCancelled)
        assert await shop.attempts() == ["VOIDED"]

    async def test_an_intent_that_staff_cancelled_in_the_dashboard(self, shop: Shop) -> None:
        await ask(shop)
        shop.stripe.account.cancel_intent(shop.intent)
        await refused(shop.first.pay(shop.booking, "", SECOND), PaymentDeclined)
        assert (await shop.first.pay(shop.booking, VISA)).status is BookingStatus.CONFIRMED


async def test_a_process_that_dies_before_it_asks_the_customer(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recovery stores the response, and the repeat of the call gets it."""
    confirmed = asyncio.Event()
    charge = shop.first.provider.charge

    async def charge_and_die(each: Charge, token: str) -> Any:
        await charge(each, token)
        confirmed.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(shop.first.provider, "charge", charge_and_die)
        paying = shop.first.pay(shop.booking, AUTHENTICATE, FIRST)
        await confirmed.wait()
        await shop.first.die()
        await asyncio.wait([paying])
    paying.exception()
    shop.app.clock.advance(GRACE)
    with capture_logs() as logs:
        await shop.second.recover()
    assert logs == []  # nothing is settled yet
    asked = await shop.second.pay(shop.booking, AUTHENTICATE, FIRST)
    assert asked.cancel_reason == shop.stripe.account.intents[shop.intent]["client_secret"]


async def test_an_empty_token_without_a_payment_to_go_on_with(shop: Shop) -> None:
    await refused(shop.first.pay(shop.booking, ""), InvalidRequest)
    await shop.first.pay(shop.booking, VISA)
    await refused(shop.first.pay(shop.booking, ""), BookingNotReserved)
