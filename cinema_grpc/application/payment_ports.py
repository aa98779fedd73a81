"""What payments need: a provider that moves money, and a store of what is not settled."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import GENERIC_DECLINE
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import PaymentAttempt, RefundStatus


class ProviderUnavailable(Exception):
    """The provider did not answer, or not for good; it may have carried the call out. Repeat it with the same key.

    The message goes to the log: it has no token and no secret.

    Attributes:
        retry_after: After how many seconds the provider asks to repeat the call; 0 for no advice.
        repeatable: False if the provider says that a repeat gets the same answer.
    """

    def __init__(self, message: str = "", *, retry_after: float = 0, repeatable: bool = True) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.repeatable = repeatable


class ChargeVoided(Exception):
    """The charge was voided: it takes no money."""


class RefundRefused(Exception):
    """The provider refuses a refund for good. The message goes to the log."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A payment attempt, as a provider is asked about it.

    Attributes:
        attempt_id: The idempotency key.
        provider_id: What `prepare` returned for it, once that is stored; else "".
    """

    attempt_id: str
    booking_id: str
    showtime_id: str
    amount: Money
    provider_id: str = ""


def charge_of(booking: Booking, attempt: PaymentAttempt) -> Charge:
    """Return the charge of an attempt to pay for a booking."""
    return Charge(attempt.attempt_id, booking.booking_id, booking.showtime_id, booking.total_price, attempt.provider_id)


@dataclass(frozen=True, slots=True)
class Taken:
    """The money was taken."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider refused; `code` is a reason that the customer may be told."""

    code: str = GENERIC_DECLINE


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The customer has to act first; the provider's client library takes the secret."""

    provider: str
    client_secret: str


ChargeOutcome = Taken | Declined | ActionRequired
TAKEN = Taken()


@dataclass(frozen=True, slots=True)
class OwedRefund:
    """A refund that is stored and that the provider has to pay, or may still fail.

    Attributes:
        tries: How often it was taken from the store before.
        charge_provider_id: The provider's identifier of the charge; "" if it has none.
        provider_id: The provider's identifier of the refund, if it is known; else "".
    """

    showtime_id: str
    booking_id: str
    refund_id: str
    attempt_id: str
    amount: Money
    tries: int = 0
    charge_provider_id: str = ""
    provider_id: str = ""


@dataclass(frozen=True, slots=True)
class RefundState:
    """The state of a refund at the provider; `provider_id` is the provider's identifier, or ""."""

    status: RefundStatus
    provider_id: str = ""


class PaymentGateway(Protocol):
    """The payment provider. Repeating a call with the same key changes nothing and gets the same answer.

    Any method may raise ProviderUnavailable.
    """

    async def prepare(self, charge: Charge, payment_token: str) -> str | Declined:
        """Create a charge that takes no money yet.

        Returns:
            The provider's identifier of it, which is stored before the call of `charge`; "" if there is none, because
            the provider finds a charge by its attempt_id. Declined if the provider refuses the token or the amount.
        """
        ...

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        """Take the money.

        Raises:
            ChargeVoided: It was voided before.
        """
        ...

    async def find(self, charge: Charge) -> ChargeOutcome | None:
        """Return how a charge stands; None if it has taken no money and is not declined.

        None proves nothing: the charge may still be on its way.
        """
        ...

    async def void(self, charge: Charge) -> bool:
        """Make sure that a charge never takes money, unless it has: return whether it has.

        It has to hold for a charge that was prepared and whose identifier is not stored: no process charges that.
        """
        ...

    async def refund(self, refund: OwedRefund) -> RefundState:
        """Refund a charge or a part of it, once for each refund_id; return the state of the refund.

        Raises:
            RefundRefused: It will never be paid.
        """
        ...


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """A payment attempt that is OPEN or VOIDING.

    Attributes:
        tries: How often it was taken from the store before.
        age: For how long it has been unsettled.
    """

    showtime_id: str
    booking_id: str
    user_id: str
    attempt_id: str
    tries: int
    age: timedelta


class PaymentStore(Protocol):
    """Finds what is not settled.

    A method takes at most `limit` items that are due and at least `grace` old, the longest due first. Each is due again
    after `backoff(tries)`, or sooner if a customer has to act. So processes rarely take the same item, and one that
    dies leaves its items to the next. Any method may raise StorageUnavailable.
    """

    async def take_attempts(
        self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]
    ) -> list[OpenAttempt]:
        """Take attempts that are OPEN or VOIDING."""
        ...

    async def take_refunds(self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]) -> list[OwedRefund]:
        """Take refunds that the provider has to pay."""
        ...

    async def take_paid_refunds(self, limit: int, pause: timedelta, watch_for: timedelta) -> list[OwedRefund]:
        """Take refunds that the provider has paid, but that may still fail; each is due again after `pause`.

        `watch_for` after its creation a refund is not taken any more.
        """
        ...
