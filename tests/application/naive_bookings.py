"""The naive model of bookings and money, which real ones are compared with: plain fields, and no waiting."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from cinema_grpc.domain.booking import Booking

PRICE = 1_250


@dataclass
class Attempt:
    """A payment that is held up, as the model knows it."""

    booking: "Held"
    attempt_id: str
    declined: bool
    made: bool
    created: datetime
    due: datetime
    replica: int | None
    task: "asyncio.Task[Booking]"
    tries: int = 0
    called_off: bool = False
    fenced: bool = False
    settled: bool = False

    def settle_charge(self, now: datetime) -> None:
        """Take down that the charge was made: the booking is paid for, or its money is owed back."""
        held, self.settled = self.booking, True
        held.attempt = None
        if held.now(now) == "RESERVED":
            held.status = "CONFIRMED"
        else:
            held.status, held.refund = "EXPIRED", held.price

    def recover(self, fails_at: str, now: datetime) -> None:
        """Take down what recovery makes of it, with a provider that fails at what is said."""
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
    """A booking, as the model knows it."""

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
        """Tell the status as it reads now."""
        return "EXPIRED" if self.status == "RESERVED" and moment >= self.until else self.status
