"""A payment: the states of an attempt to charge, and the refund of what it took."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from cinema_grpc.domain.money import Money

PAYMENT_TIME = timedelta(minutes=2)
"""Minimum time until a hold ends when its first charge starts."""


class AttemptStatus(Enum):
    """What is known of an attempt to charge.

    OPEN: nothing yet. CHARGED: the money was taken. DECLINED: the provider refused. VOIDING: it is called off, but the
    provider may not know yet. VOIDED: the provider knows, and it takes no money.
    """

    OPEN = "OPEN"
    CHARGED = "CHARGED"
    DECLINED = "DECLINED"
    VOIDING = "VOIDING"
    VOIDED = "VOIDED"


TRANSITIONS: dict[AttemptStatus, frozenset[AttemptStatus]] = {
    AttemptStatus.OPEN: frozenset({AttemptStatus.CHARGED, AttemptStatus.DECLINED, AttemptStatus.VOIDING}),
    AttemptStatus.VOIDING: frozenset({AttemptStatus.VOIDED, AttemptStatus.CHARGED}),
    AttemptStatus.CHARGED: frozenset(),
    AttemptStatus.DECLINED: frozenset(),
    AttemptStatus.VOIDED: frozenset(),
}
"""The states that may follow each state. VOIDING becomes CHARGED if the charge succeeded before it could be voided."""

UNSETTLED = frozenset(status for status, following in TRANSITIONS.items() if following)
"""The states of an attempt that has not reached its end."""


@dataclass(frozen=True, slots=True)
class PaymentAttempt:
    """One attempt to charge a booking's total price.

    Attributes:
        attempt_id: Also the provider's idempotency key.
        provider_id: The provider's identifier of the charge; "" if it has none or is not known yet. It is stored before
            the charge can take money.
        action: Whether the customer was asked to act, for example to authenticate the payment with their bank.
        request: Identifies repeats of the call that opened the attempt; "" if it had no request_id. It is stored with
            the attempt, so a repeat gets its answer even after the process that opened the attempt has died.
    """

    attempt_id: str
    status: AttemptStatus
    create_time: datetime
    request: str = ""
    provider_id: str = ""
    action: bool = False

    @property
    def unsettled(self) -> bool:
        """Whether the attempt has not reached its end."""
        return self.status in UNSETTLED

    @property
    def end_before_another(self) -> AttemptStatus:
        """How it ended if another attempt of its booking was opened after it."""
        ends = {AttemptStatus.OPEN: AttemptStatus.DECLINED, AttemptStatus.VOIDING: AttemptStatus.VOIDED}
        return ends.get(self.status, self.status)

    def to(self, status: AttemptStatus) -> "PaymentAttempt":
        """Return the attempt in its next state.

        Raises:
            ValueError: `TRANSITIONS` has no such step.
        """
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"a payment attempt never goes from {self.status.value} to {status.value}")
        return replace(self, status=status)


class Settlement(NamedTuple):
    """Who paid a refund by hand, when, and their note."""

    user_id: str
    time: datetime
    note: str


class RefundStatus(Enum):
    """PENDING: owed. COMPLETED: paid, or nothing to pay. FAILED: given up, or the money came back; pay it by hand."""

    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that goes back.

    Attributes:
        refund_id: Also the provider's idempotency key.
        attempt_id: Of the charge; "" for a counter sale, whose refunds are paid by hand.
        percent: The share of the price of the seats.
        seats: The labels of the seats that were cancelled with it, in row order.
        settlement: How it was paid by hand; None if it was not.
        provider_id: The provider's identifier of the refund; "" if it has none or is not known yet.
    """

    refund_id: str
    attempt_id: str
    amount: Money
    percent: int
    status: RefundStatus
    create_time: datetime
    seats: tuple[str, ...]
    settlement: Settlement | None = None
    provider_id: str = ""
