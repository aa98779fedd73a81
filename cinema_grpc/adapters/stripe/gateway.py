"""The payment gateway on Stripe: a PaymentIntent for each attempt to charge, and a Refund for each refund.

Nothing has to listen for Stripe's webhooks: the state of an attempt or a refund is asked for by its identifier. An
intent is created, its identifier is stored, and only then it is confirmed. So an intent whose identifier is not stored
never takes money. An intent takes money once, however often it is confirmed.
"""

from typing import Any

import stripe
import structlog

from cinema_grpc.adapters.stripe.client import UNEXPECTED_STATE, connect, describe, unavailable
from cinema_grpc.adapters.stripe.declines import decline_code
from cinema_grpc.adapters.stripe.money import to_stripe
from cinema_grpc.application.payment_ports import (
    TAKEN,
    ActionRequired,
    Charge,
    ChargeOutcome,
    ChargeVoided,
    Declined,
    OwedRefund,
    ProviderUnavailable,
    RefundRefused,
    RefundState,
)
from cinema_grpc.domain.payment import RefundStatus

logger = structlog.get_logger()

MAX_REFUNDS = 100
"""How many refunds of a charge are looked through. Each is for a seat or more, and a booking has at most ten."""
REFUND_STATUSES = {
    "succeeded": RefundStatus.COMPLETED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}
"""The others, pending and requires_action, are PENDING."""


class KeyRefused(Exception):
    """Stripe does not accept the secret key."""


class StripePayments:
    """Charges cards by Stripe. Fulfils the port PaymentGateway."""

    def __init__(self, secret_key: str, api_base: str | None = None) -> None:
        """Set up.

        Args:
            secret_key: The secret or restricted key of the account.
            api_base: The URL of Stripe's API; None for the real one.
        """
        self._stripe, self._http = connect(secret_key, api_base)
        self._intents, self._refunds = self._stripe.v1.payment_intents, self._stripe.v1.refunds

    async def check_key(self) -> None:
        """Ask Stripe whether it accepts the key.

        Raises:
            KeyRefused: It does not.
            ProviderUnavailable: Stripe can't be asked, or the key may not read balance transactions.
        """
        try:
            await self._stripe.v1.balance_transactions.list_async({"limit": 1})
        except stripe.AuthenticationError as error:
            raise KeyRefused(describe(error)) from None
        except stripe.StripeError as error:
            raise unavailable(error) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()

    async def prepare(self, charge: Charge, payment_token: str) -> str | Declined:
        """Create an intent, and return its identifier."""
        try:
            intent = await self._intents.create_async(
                {
                    "amount": to_stripe(charge.amount),
                    "currency": charge.amount.currency_code.lower(),
                    "payment_method": payment_token,
                    # Others, such as bank debits, take days. Card payments include Apple Pay and Google Pay.
                    "allowed_payment_method_types": ["card"],
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "capture_method": "automatic",
                    "metadata": {
                        "booking_id": charge.booking_id,
                        "showtime_id": charge.showtime_id,
                        "attempt_id": charge.attempt_id,
                    },
                },
                {"idempotency_key": charge.attempt_id},
            )
        except stripe.CardError as error:
            return Declined(decline_code(error.error))
        except (stripe.InvalidRequestError, stripe.IdempotencyError) as error:
            # It is certain that this attempt takes no money. The usual cause is an unknown or used payment method.
            return _refused(error, charge)
        except stripe.StripeError as error:
            raise unavailable(error) from None
        except ValueError as error:  # the showtime was made before its prices were checked against Stripe's rules
            logger.error("Stripe can't charge an amount", error=str(error), attempt_id=charge.attempt_id)
            return Declined()
        return intent.id

    async def charge(self, charge: Charge, _payment_token: str) -> ChargeOutcome:
        """Confirm the intent."""
        # Each request has a key of its own: after a failure, Stripe would repeat its answer to the same key.
        try:
            intent = await self._intents.confirm_async(charge.provider_id, {"use_stripe_sdk": True})
        except stripe.CardError as error:
            return Declined(decline_code(error.error))
        except stripe.InvalidRequestError as error:
            intent = await self._retrieve(charge)
            if error.code != UNEXPECTED_STATE and intent.status in {"requires_confirmation", "requires_payment_method"}:
                # It has taken no money. Another payment may have used the payment method since it was created.
                return _refused(error, charge)
        except stripe.StripeError as error:
            raise unavailable(error) from None
        outcome = _outcome(intent)
        if outcome is None and intent.status == "canceled":
            raise ChargeVoided
        if outcome is None:
            raise ProviderUnavailable(f"the intent is {intent.status}")
        return outcome

    async def find(self, charge: Charge) -> ChargeOutcome | None:
        """Retrieve the intent. One whose identifier is not stored was never confirmed."""
        return _outcome(await self._retrieve(charge)) if charge.provider_id else None

    async def void(self, charge: Charge) -> bool:
        """Cancel the intent, unless it has taken money. One whose identifier is not stored will never be confirmed."""
        if not charge.provider_id:
            return False
        try:
            await self._intents.cancel_async(charge.provider_id)
        except stripe.InvalidRequestError as error:
            if error.code != UNEXPECTED_STATE:
                raise unavailable(error) from None
        except stripe.StripeError as error:
            raise unavailable(error) from None
        else:
            return False
        intent = await self._retrieve(charge)
        if intent.status not in {"succeeded", "canceled"}:
            raise ProviderUnavailable(f"the intent is {intent.status}")
        return bool(intent.status == "succeeded")

    async def refund(self, refund: OwedRefund) -> RefundState:
        """Retrieve a refund, or make it, if Stripe has none with its refund_id."""
        if not refund.charge_provider_id:
            raise RefundRefused("the charge was not made by Stripe")
        try:
            found = await self._find_refund(refund) or await self._create_refund(refund)
        except stripe.StripeError as error:
            raise unavailable(error) from None
        return RefundState(REFUND_STATUSES.get(found.status or "", RefundStatus.PENDING), found.id)

    async def _find_refund(self, refund: OwedRefund) -> Any:
        if refund.provider_id:
            return await self._refunds.retrieve_async(refund.provider_id)
        # Stripe forgets idempotency keys after a day, so a refund whose answer was lost is looked for.
        query: Any = {"payment_intent": refund.charge_provider_id, "limit": MAX_REFUNDS}
        made = await self._refunds.list_async(query)
        return next((each for each in made.data if _refund_id(each) == refund.refund_id), None)

    async def _create_refund(self, refund: OwedRefund) -> Any:
        try:
            return await self._refunds.create_async(
                {
                    "payment_intent": refund.charge_provider_id,
                    "amount": to_stripe(refund.amount),
                    "metadata": {
                        "booking_id": refund.booking_id,
                        "showtime_id": refund.showtime_id,
                        "attempt_id": refund.attempt_id,
                        "refund_id": refund.refund_id,
                    },
                },
                {"idempotency_key": refund.refund_id},
            )
        except (stripe.InvalidRequestError, stripe.IdempotencyError, stripe.CardError) as error:
            raise RefundRefused(describe(error)) from None
        except ValueError as error:
            raise RefundRefused(str(error)) from None

    async def _retrieve(self, charge: Charge) -> Any:
        try:
            return await self._intents.retrieve_async(charge.provider_id)
        except stripe.StripeError as error:
            raise unavailable(error) from None


def _refused(error: stripe.StripeError, charge: Charge) -> Declined:
    """Note why Stripe refuses a payment: an error, unless it is about the customer's payment method."""
    param = getattr(error, "param", None) or ""
    log = logger.info if param.startswith("payment_method") else logger.error
    log("Stripe refuses a payment", error=describe(error), param=param, attempt_id=charge.attempt_id)
    return Declined()


def _outcome(intent: Any) -> ChargeOutcome | None:
    """Return what an intent's status means; None if it has taken no money and was not declined.

    Raises:
        ProviderUnavailable: Stripe does not know yet.
    """
    match intent.status:
        case "succeeded":
            return TAKEN
        case "requires_action":
            return ActionRequired("stripe", intent.client_secret)
        case "requires_payment_method":
            return Declined(decline_code(intent.last_payment_error))
        case "requires_confirmation" | "canceled":
            return None
    raise ProviderUnavailable(f"the intent is {intent.status}")


def _refund_id(refund: Any) -> str | None:
    return None if refund.metadata is None else refund.metadata.to_dict().get("refund_id")
