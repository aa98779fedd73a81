"""Stripe's gateway: what it sends, how it counts money, and what it makes of Stripe's errors."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from cinema_grpc.adapters.stripe import client
from cinema_grpc.adapters.stripe.client import API_VERSION
from cinema_grpc.adapters.stripe.gateway import KeyRefused, StripePayments
from cinema_grpc.adapters.stripe.money import (
    CURRENCIES,
    MAX_OF_IDR,
    MAXIMUM,
    from_stripe,
    price_violations,
    to_stripe,
)
from cinema_grpc.application.payment_ports import Charge, Declined, ProviderUnavailable, RefundRefused
from cinema_grpc.domain.money import Money
from tests.adapters.gateways import charge_of, refund_of
from tests.stripe.server import KEY, Fault, StripeServer

VISA = "pm_card_visa"


@pytest.fixture
async def stripe() -> AsyncIterator[StripeServer]:
    server = await StripeServer().start()
    yield server
    await server.close()


@pytest.fixture
async def gateway(stripe: StripeServer) -> AsyncIterator[StripePayments]:
    gateway = StripePayments(KEY, stripe.url)
    yield gateway
    await gateway.close()


@pytest.mark.parametrize(
    ("money", "amount"),
    [
        (Money("EUR", 1_250), 1_250),
        (Money("JPY", 1_800), 1_800),
        (Money("ISK", 2_500), 250_000),
        (Money("UGX", 30_000), 3_000_000),
        (Money("MGA", 1_000_000), 10_000),
        (Money("KWD", 1_250), 1_250),
    ],
)
def test_amounts(money: Money, amount: int) -> None:
    """Stripe counts some currencies with other decimals than ISO 4217."""
    assert to_stripe(money) == amount
    assert from_stripe(money.currency_code.lower(), amount) == money


@pytest.mark.parametrize("money", [Money("KWD", 1_255), Money("MGA", 1_250), Money("IRR", 100)])
def test_amounts_that_stripe_does_not_have(money: Money) -> None:
    with pytest.raises(ValueError, match="Stripe"):
        to_stripe(money)
    assert price_violations("price", money)


def test_every_currency_has_a_price_that_can_be_charged() -> None:
    for code in CURRENCIES:
        money = Money(code, 60_000)
        assert price_violations("price", money) == []
        assert from_stripe(code, to_stripe(money)) == money


def test_ten_seats_of_the_highest_price_can_be_charged() -> None:
    """The error names that price."""
    for code in CURRENCIES:
        (violation,) = price_violations("price", Money(code, 10**13))
        found = re.search(r" to (\d+) in", violation.description)
        assert found is not None, code
        highest = int(found[1])
        assert price_violations("price", Money(code, highest)) == []
        assert price_violations("price", Money(code, highest + 1))
        most = MAX_OF_IDR if code == "IDR" else MAXIMUM
        assert most * 0.9 < to_stripe(Money(code, 10 * highest)) <= most


class TestRequests:
    async def test_have_one_version_and_no_customer(self, stripe: StripeServer, gateway: StripePayments) -> None:
        charge = await prepared(gateway, "a1")
        await gateway.charge(charge, VISA)
        await gateway.refund(refund_of(charge, "r1", 250))
        assert {each.headers["stripe-version"] for each in stripe.requests} == {API_VERSION}
        (create,) = stripe.sent("POST", "/v1/payment_intents")
        assert create.headers["idempotency-key"] == "a1"
        assert create.fields == {
            "amount": "1250",
            "currency": "eur",
            "payment_method": VISA,
            "allowed_payment_method_types[0]": "card",
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
            "capture_method": "automatic",
            "metadata[booking_id]": "b1",
            "metadata[showtime_id]": "s1",
            "metadata[attempt_id]": "a1",
        }
        (refund,) = stripe.sent("POST", "/v1/refunds")
        assert refund.headers["idempotency-key"] == refund.fields["metadata[refund_id]"] == "r1"

    async def test_with_a_key_that_was_used_with_other_parameters(
        self, stripe: StripeServer, gateway: StripePayments
    ) -> None:
        """The intent that it belongs to is never confirmed, so the attempt takes no money."""
        await gateway.prepare(charge_of("a1"), VISA)
        other = replace(charge_of("a1"), amount=Money("EUR", 99_900))
        assert await gateway.prepare(other, VISA) == Declined()
        charge = await prepared(gateway, "a2")
        await gateway.charge(charge, VISA)
        await gateway.refund(refund_of(charge, "r1", 250))
        stripe.account.refunds.clear()  # so that it is not found
        with pytest.raises(RefundRefused, match="IdempotencyError"):
            await gateway.refund(refund_of(charge, "r1", 300))
        assert stripe.account.net() == {"a2": 1_000}


class TestErrors:
    @pytest.mark.parametrize("kind", ["before", "after", 500, 503, 429, 409, 401, 403])
    async def test_leave_the_outcome_open(self, stripe: StripeServer, gateway: StripePayments, kind: str | int) -> None:
        """The text for the log quotes no message of Stripe's, which may name a token."""
        charge = await prepared(gateway, "a1")
        stripe.faults = [Fault(method, ".*", kind, times=-1) for method in ("GET", "POST")]
        for call in (
            gateway.prepare(charge_of("a2"), VISA),
            gateway.charge(charge, VISA),
            gateway.find(charge),
            gateway.void(charge),
            gateway.refund(refund_of(charge, "r1", 250)),
            gateway.check_key(),
        ):
            with pytest.raises((ProviderUnavailable, KeyRefused)) as failure:
                await call
            assert "stand-in" not in str(failure.value)

    async def test_come_in_time(self, stripe: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stripe may be silent."""
        monkeypatch.setattr(client, "TIMEOUT", httpx.Timeout(0.2))
        impatient = StripePayments(KEY, stripe.url)
        stripe.faults = [Fault("POST", ".*", "hang")]
        with pytest.raises(ProviderUnavailable):
            await impatient.prepare(charge_of("a1"), VISA)
        await impatient.close()

    async def test_carry_stripes_advice(self, stripe: StripeServer, gateway: StripePayments) -> None:
        for headers, after, repeatable in (
            ({"retry-after": "7"}, 7, True),
            ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 0, True),
            ({"stripe-should-retry": "false"}, 0, False),
        ):
            stripe.faults = [Fault("POST", ".*", 500, headers=headers)]
            with pytest.raises(ProviderUnavailable) as failure:
                await gateway.prepare(charge_of("a1"), VISA)
            assert (failure.value.retry_after, failure.value.repeatable) == (after, repeatable)

    @pytest.mark.parametrize("status", ["processing", "requires_capture", "something_new"])
    async def test_a_state_that_decides_nothing(
        self, stripe: StripeServer, gateway: StripePayments, status: str
    ) -> None:
        charge = await prepared(gateway, "a1")
        stripe.account.intents[charge.provider_id]["status"] = status
        calls = [gateway.charge(charge, VISA), gateway.find(charge)]
        for call in [*calls, gateway.void(charge)] if status != "requires_capture" else calls:
            with pytest.raises(ProviderUnavailable):
                await call

    async def test_an_intent_of_another_account_is_not_taken_for_voided(self, gateway: StripePayments) -> None:
        """As after a change from a test key to a live one."""
        charge = replace(charge_of("a1"), provider_id="pi_of_another")
        for call in (gateway.find(charge), gateway.void(charge), gateway.charge(charge, VISA)):
            with pytest.raises(ProviderUnavailable, match="resource_missing"):
                await call

    async def test_a_refund_of_what_stripe_did_not_charge(self, gateway: StripePayments) -> None:
        with pytest.raises(RefundRefused, match="not made by Stripe"):
            await gateway.refund(refund_of(charge_of("a1"), "r1", 250))

    async def test_a_key_that_stripe_does_not_accept(self, stripe: StripeServer, gateway: StripePayments) -> None:
        await gateway.check_key()
        stripe.keys = {"sk_test_another"}
        with pytest.raises(KeyRefused):
            await gateway.check_key()


async def prepared(gateway: StripePayments, attempt_id: str) -> Charge:
    provider_id = await gateway.prepare(charge_of(attempt_id), VISA)
    assert isinstance(provider_id, str)
    return replace(charge_of(attempt_id), provider_id=provider_id)
