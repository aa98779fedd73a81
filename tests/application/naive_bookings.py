"""A naive model of bookings and money, for comparison with the real ones: plain fields, and no waiting."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

PRICE = 1_250
REFUSALS = {
    "EXPIRED": "HOLD_EXPIRED",
    "CONFIRMED": "BOOKING_NOT_RESERVED",
    "CANCELLED": "BOOKING_NOT_RESERVED",
}
"""Of a payment, by the status of the booking."""


@dataclass
class Attempt:
    """A payment whose charge is delayed, in the model."""

    booking: "Held"
    attempt_id: str
    declined: bool
    made: bool
    created: datetime
    due: datetime
    replica: int | None
    task: "asyncio.Task[bytes]"
    tries: int = 0
    called_off: bool = False
    fenced: bool = False
    settled: bool = False

    def settle_charge(self, now: datetime) -> None:
        """Record that the charge was made: the booking is paid for, or its money is owed back."""
        held, self.settled = self.booking, True
        held.attempt = None
        if held.now(now) == "RESERVED":
            held.status = "CONFIRMED"
        else:
            held.status, held.refund = "EXPIRED", held.price

    def recover(self, fails_at: str, now: datetime) -> None:
        """Record what recovery makes of it, with a provider that fails at `fails_at`."""
        if not self.called_off:
            if fails_at.startswith("find"):
                return
            if self.made and self.declined:
                self.booking.attempt = None
                self.settled = True
                return
            if self.made:
                self.settle_charge(now)
                return
            self.called_off = True
        if fails_at == "void before":
            return
        self.fenced = True
        if fails_at == "void after":
            return
        held, self.settled = self.booking, True
        if self.made and not self.declined and held.now(now) != "RESERVED":
            held.status = held.now(now)
            held.refund = held.price
        held.attempt = None


@dataclass
class Held:
    """A booking in the model."""

    name: str
    user: str
    seats: tuple[str, ...]
    until: datetime
    status: str = "RESERVED"
    extended: bool = False
    attempt: Attempt | None = None
    refund: int | None = None

    @property
    def price(self) -> int:
        return PRICE * len(self.seats)

    def now(self, moment: datetime) -> str:
        """Return the status at a moment."""
        return "EXPIRED" if self.status == "RESERVED" and moment >= self.until else self.status


def sold_and_kept(held: Iterable[Held]) -> tuple[int, int]:
    """Return the price of what is sold, and what the policy kept of cancelled bookings."""
    bookings = list(held)
    cancelled = [each for each in bookings if each.status == "CANCELLED" and each.refund is not None]
    sold = sum(each.price for each in bookings if each.status == "CONFIRMED")
    return sold, sum(each.price - (each.refund or 0) for each in cancelled)
