"""What payments need: a provider that moves money, and a store of what is not settled."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from cinema_grpc.domain.money import Money


class ProviderUnavailable(Exception):
    """The provider did not answer; it may have carried the call out. Repeat it with the same key."""


class ChargeVoided(Exception):
    """The charge was voided: it takes no money, and what it had taken was given back."""


class PaymentGateway(Protocol):
    """The payment provider. Repeating a call with the same key changes nothing and gets the same answer.

    Any method may raise ProviderUnavailable.
    """

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        """Take money; return True if it was taken, False if it was declined.

        Raises:
            ChargeVoided: The key was voided before.
        """
        ...

    async def find(self, key: str) -> bool | None:
        """Return True if a charge took money, False if it was declined, None if no such charge stands.

        None proves nothing: the charge may still be on its way.
        """
        ...

    async def void(self, key: str) -> bool:
        """Make sure that a key never takes money, and give back what it took; return whether that was anything."""
        ...

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        """Give back (part of) what the charge `charge_key` took."""
        ...


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """A payment attempt that is OPEN or VOIDING; `tries` says how often it was taken from the store before."""

    showtime_id: str
    booking_id: str
    user_id: str
    attempt_id: str
    tries: int


@dataclass(frozen=True, slots=True)
class OwedRefund:
    """A refund that is stored and not paid; `tries` says how often it was taken from the store before."""

    showtime_id: str
    booking_id: str
    refund_id: str
    attempt_id: str
    amount: Money
    tries: int = 0


class PaymentStore(Protocol):
    """Finds what is not settled.

    A method takes at most `limit` items that are due and at least `grace` old, the longest due first. Each is due again
    after `backoff(tries)`. So processes rarely take the same item, and one that dies leaves its items to the next.
    Any method may raise StorageUnavailable.
    """

    async def take_attempts(
        self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]
    ) -> list[OpenAttempt]:
        """Take attempts that are OPEN or VOIDING."""
        ...

    async def take_refunds(self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]) -> list[OwedRefund]:
        """Take refunds that are PENDING."""
        ...
