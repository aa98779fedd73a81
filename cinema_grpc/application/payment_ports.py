"""What payments ask of the outside world: a provider that moves money, and a store of what is not settled yet."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus


class ProviderUnavailable(Exception):
    """The provider did not answer: what it was asked for may have been done or not. Ask again with the same key."""


class ChargeVoided(Exception):
    """The charge was called off: it takes no money, and what it had taken was given back."""


class PaymentGateway(Protocol):
    """The payment provider. Asking again with the same key changes nothing and gets the same answer.

    Any method may raise ProviderUnavailable.
    """

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        """Take money; tell whether it was taken (True) or declined (False).

        Raises:
            ChargeVoided: The key was voided before.
        """
        ...

    async def find(self, key: str) -> bool | None:
        """Tell whether a charge has taken money (True) or was declined (False).

        None says that no such charge stands. It proves nothing: the charge may still be on its way.
        """
        ...

    async def void(self, key: str) -> bool:
        """Call a charge off, whether it has arrived or not: from now on its key takes no money.

        What it has taken is given back; tells whether there was any.
        """
        ...

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        """Give back (part of) what the charge `charge_key` took."""
        ...


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt to charge `amount` that was written down and has come to no end.

    Attributes:
        status: OPEN or VOIDING.
        tries: How often it was taken up before.
        request: By what a repeat of the call that began it is known, as in PaymentAttempt.
    """

    showtime_id: str
    booking_id: str
    user_id: str
    seats: tuple[str, ...]
    amount: Money
    attempt_id: str
    status: AttemptStatus
    tries: int
    request: str


@dataclass(frozen=True, slots=True)
class OwedRefund:
    """A refund that is written down and has still to be paid; `tries` tells how often it was taken up before."""

    showtime_id: str
    booking_id: str
    refund_id: str
    attempt_id: str
    amount: Money
    tries: int = 0


class PaymentStore(Protocol):
    """Keeps what is not settled yet.

    Whatever is taken up is due again after a pause, which `pause` gives by the number of tries before. So no two
    processes take up the same at once, and one that dies with it leaves it to the next. What is younger than `grace` is
    left to the process that began it. Any method may raise StorageUnavailable.
    """

    async def take_attempts(self, grace: timedelta, limit: int, pause: Callable[[int], timedelta]) -> list[OpenAttempt]:
        """Take up at most `limit` attempts that are due, the longest due first."""
        ...

    async def take_refunds(self, grace: timedelta, limit: int, pause: Callable[[int], timedelta]) -> list[OwedRefund]:
        """Take up at most `limit` refunds that are due, the longest due first."""
        ...
