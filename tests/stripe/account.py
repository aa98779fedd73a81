"""The state of a Stripe account, as far as the gateway uses it: intents, charges, refunds, disputes, transactions.

Written to Stripe's public API reference (https://docs.stripe.com/api), version 2026-10-28.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any

Object = dict[str, Any]

DECLINES = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
    "pm_card_chargeDeclinedFraudulent": ("card_declined", "fraudulent"),
}
"""Stripe's test payment methods that are declined: the code of the error, and its decline_code."""
AUTHENTICATE = {"pm_card_authenticationRequired", "pm_card_threeDSecure2Required"}
REFUND_FAILS, REFUND_PENDING = "pm_card_refundFail", "pm_card_pendingRefund"
TAKEN = {"pm_card_visa", "pm_card_mastercard", REFUND_FAILS, REFUND_PENDING}
CANCELLABLE = {"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"}


class StripeRefusal(Exception):
    """An error response."""

    def __init__(self, status: int, type_: str, code: str | None = None, **more: Any) -> None:
        super().__init__(code)
        self.status = status
        self.error = {"type": type_, "code": code, "message": "An error of the stand-in's.", **more}


class Account:
    """The objects by their identifiers, and what happens to them outside the API."""

    def __init__(self, now: Callable[[], int]) -> None:
        """Begin with nothing; `now` returns the seconds since 1970."""
        self._now = now
        self._numbers = itertools.count(1)
        self.intents: dict[str, Object] = {}
        self.charges: dict[str, Object] = {}
        self.refunds: dict[str, Object] = {}
        self.disputes: dict[str, Object] = {}
        self.transactions: list[Object] = []

    def create_intent(self, fields: Mapping[str, str]) -> Object:
        method = fields.get("payment_method")
        if method is not None and method not in {*DECLINES, *AUTHENTICATE, *TAKEN}:
            raise StripeRefusal(400, "invalid_request_error", "resource_missing", param="payment_method")
        if int(fields["amount"]) < 50:
            raise StripeRefusal(400, "invalid_request_error", "amount_too_small", param="amount")
        name = self._new("pi")
        self.intents[name] = {
            "id": name,
            "object": "payment_intent",
            "amount": int(fields["amount"]),
            "currency": fields["currency"],
            "status": "requires_confirmation" if method else "requires_payment_method",
            "payment_method": method,
            "payment_method_types": ["card"],
            "capture_method": fields.get("capture_method", "automatic_async"),
            "confirmation_method": "automatic",
            "client_secret": f"{name}_secret_{name[::-1]}",
            "created": self._now(),
            "last_payment_error": None,
            "latest_charge": None,
            "livemode": False,
            "metadata": metadata_of(fields),
            "next_action": None,
        }
        return self.intents[name]

    def confirm_intent(self, name: str) -> Object:
        intent = find(self.intents, name)
        if intent["status"] not in {"requires_confirmation", "requires_action"}:
            raise StripeRefusal(
                400, "invalid_request_error", "payment_intent_unexpected_state", payment_intent=dict(intent)
            )
        method = intent["payment_method"]
        if method in DECLINES:
            raise StripeRefusal(402, "card_error", **self._decline(intent, *DECLINES[method]))
        if method in AUTHENTICATE:
            intent["status"], intent["next_action"] = "requires_action", {"type": "use_stripe_sdk"}
        else:
            self._charge(intent)
        return intent

    def cancel_intent(self, name: str) -> Object:
        intent = find(self.intents, name)
        if intent["status"] not in CANCELLABLE:
            raise StripeRefusal(
                400, "invalid_request_error", "payment_intent_unexpected_state", payment_intent=dict(intent)
            )
        intent["status"], intent["next_action"] = "canceled", None
        return intent

    def authenticate(self, name: str, *, good: bool = True) -> None:
        """Have the customer act, by Stripe's client library: a good authentication takes the money."""
        intent = self.intents[name]
        if intent["status"] != "requires_action":
            return
        if good:
            self._charge(intent)
        else:
            self._decline(intent, "payment_intent_authentication_failure", None)

    def create_refund(self, fields: Mapping[str, str]) -> Object:
        """Refund a charge, by the API or, without our metadata, in the dashboard."""
        intent = find(self.intents, fields["payment_intent"])
        charge = self.charges.get(intent["latest_charge"] or "")
        if charge is None:
            raise StripeRefusal(400, "invalid_request_error", "payment_intent_unexpected_state")
        rest = charge["amount"] - charge["amount_refunded"]
        amount = int(fields.get("amount", rest))
        if amount > rest or rest == 0:
            raise StripeRefusal(400, "invalid_request_error", None if rest else "charge_already_refunded")
        name = self._new("re")
        refund = {
            "id": name,
            "object": "refund",
            "amount": amount,
            "currency": charge["currency"],
            "charge": charge["id"],
            "payment_intent": intent["id"],
            "status": "pending" if charge["payment_method"] == REFUND_PENDING else "succeeded",
            "created": self._now(),
            "metadata": metadata_of(fields),
            "failure_reason": None,
        }
        self.refunds[name] = refund
        charge["amount_refunded"] += amount
        self._book("refund", refund, -amount)
        return refund

    def settle_refund(self, name: str, status: str) -> None:
        """Have the customer's bank accept a refund, or return it later."""
        refund = self.refunds[name]
        refund["status"] = status
        if status == "failed":
            refund["failure_reason"] = "expired_or_canceled_card"
            self.charges[refund["charge"]]["amount_refunded"] -= refund["amount"]
            self._book("refund_failure", refund, refund["amount"])

    def dispute(self, intent: str) -> Object:
        """Have a customer's bank take the money back."""
        charge = self.charges[self.intents[intent]["latest_charge"]]
        name = self._new("du")
        self.disputes[name] = {
            "id": name,
            "object": "dispute",
            "amount": charge["amount"],
            "currency": charge["currency"],
            "charge": charge["id"],
            "payment_intent": intent,
            "status": "needs_response",
        }
        self._book("adjustment", self.disputes[name], -charge["amount"], "dispute")
        return self.disputes[name]

    def net(self) -> dict[str, int]:
        """Return for each attempt_id of ours what was taken less what was given back."""
        return {
            intent["metadata"]["attempt_id"]: charge["amount"] - charge["amount_refunded"]
            for charge in self.charges.values()
            if "attempt_id" in (intent := self.intents[charge["payment_intent"]])["metadata"]
        }

    def _charge(self, intent: Object) -> None:
        name = self._new("ch")
        self.charges[name] = {
            "id": name,
            "object": "charge",
            "amount": intent["amount"],
            "amount_refunded": 0,
            "currency": intent["currency"],
            "payment_intent": intent["id"],
            "payment_method": intent["payment_method"],
            "created": self._now(),
            "metadata": dict(intent["metadata"]),
            "status": "succeeded",
        }
        intent.update(status="succeeded", latest_charge=name, next_action=None)
        self._book("charge", self.charges[name], intent["amount"])

    def _decline(self, intent: Object, code: str, decline_code: str | None) -> Object:
        error = {"code": code, "decline_code": decline_code}
        intent.update(
            status="requires_payment_method", payment_method=None, next_action=None, last_payment_error=dict(error)
        )
        return {**error, "payment_intent": dict(intent)}

    def _book(self, type_: str, source: Object, amount: int, category: str | None = None) -> None:
        self.transactions.append(
            {
                "id": self._new("txn"),
                "object": "balance_transaction",
                "amount": amount,
                "currency": source["currency"],
                "created": self._now(),
                "fee": 0,
                "net": amount,
                "reporting_category": category or type_,
                "source": source["id"],
                "status": "pending",
                "type": type_,
            }
        )

    def _new(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers):016}"


def find(objects: Mapping[str, Object], name: str) -> Object:
    """Return an object.

    Raises:
        StripeRefusal: There is none.
    """
    if name not in objects:
        raise StripeRefusal(404, "invalid_request_error", "resource_missing")
    return objects[name]


def metadata_of(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata in the fields of a request."""
    return {name[9:-1]: value for name, value in fields.items() if name.startswith("metadata[")}
