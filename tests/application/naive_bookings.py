"""A naive model of bookings and money, for comparison with the real ones: plain fields, and no waiting."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
"""Of the cinema."""
DAY_BEGINS = timedelta(hours=5)
RUNTIME = timedelta(hours=2)
REFUSALS = {
    "EXPIRED": "HOLD_EXPIRED",
    "CONFIRMED": "BOOKING_NOT_RESERVED",
    "CANCELLED": "BOOKING_NOT_RESERVED",
}
"""Of a payment, by the status of the booking."""
TIERS = ((timedelta(hours=24), 100), (timedelta(hours=12), 50))
PRICES = {
    ("standard", "adult"): 1_251,
    ("standard", "child"): 625,
    ("standard", "baby"): 0,
    ("odd", "adult"): 333,
    ("odd", "child"): 51,
    ("odd", "baby"): 0,
}
"""By category and ticket type; A2 and A4 are "odd". None but 0 is below what Stripe charges at least, which is 50."""


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
            held.confirm(now)
        else:
            held.pay_too_late(now)

    def recover(self, fails_at: str, now: datetime, *, voids_declined: bool) -> None:
        """Record what recovery makes of it, with a provider that fails at `fails_at`.

        Args:
            fails_at: Such as "void after", or "".
            now: The present moment.
            voids_declined: Whether the provider has to void a declined charge, which may succeed later otherwise.
        """
        if not self.called_off:
            if fails_at.startswith("find"):
                return
            voided = self.declined and voids_declined and self.fenced  # then the provider knows of no charge
            if self.made and self.declined and voids_declined and fails_at.startswith("void") and not voided:
                self.fenced = fails_at == "void after"
                return
            if self.made and self.declined and not voided:
                self.booking.attempt = None
                self.settled = True
                return
            if self.made and not voided:
                self.settle_charge(now)
                return
            self.called_off = True
        if fails_at == "void before":
            return
        self.fenced = True
        if fails_at == "void after":
            return
        if self.made and not self.declined:  # it came through before it could be voided
            self.settle_charge(now)
        else:
            self.booking.attempt, self.settled = None, True


@dataclass
class Show:
    """A showtime in the model: its start, when that was changed and from what, what the cinema keeps, and prices."""

    name: str
    start: datetime
    moves: list[tuple[datetime, datetime]] = field(default_factory=list)
    cancelled: bool = False
    blocked: dict[str, datetime | None] = field(default_factory=dict)
    prices: dict[tuple[str, str], int] = field(default_factory=lambda: dict(PRICES))

    @property
    def end(self) -> datetime:
        return self.start + RUNTIME

    def closed(self, now: datetime) -> str | None:
        """Return why staff can do nothing about it, or None."""
        return "SHOWTIME_CANCELLED" if self.cancelled else "SHOWTIME_ENDED" if now >= self.end else None

    def price_of(self, seat: str, ticket_type: str) -> int:
        return self.prices["odd" if seat in {"A2", "A4"} else "standard", ticket_type]

    def blocked_at(self, now: datetime) -> set[str]:
        return {seat for seat, until in self.blocked.items() if until is None or now < until}


@dataclass
class Entry:
    """A line of the ledger: a sale of seats, or seats given up and what was paid back for them."""

    time: datetime
    sold: int = 0
    gross: int = 0
    given_up: int = 0
    refunded: int = 0


@dataclass
class Held:
    """A booking in the model.

    Attributes:
        prices: Of its seats, by label, in row order.
        types: The ticket types of its seats, by label.
        renewed: Whether its owner has extended the hold.
        gone: The seats that were sold and given up.
        gone_at: What these cost, by the percent that is paid back.
        refunds: What was owed back, oldest first, with the percent.
    """

    name: str
    user: str
    show: Show
    prices: dict[str, int]
    made: datetime
    until: datetime
    counter: bool = False
    types: dict[str, str] = field(default_factory=dict)
    renewed: bool = False
    status: str = "RESERVED"
    extended: bool = False
    attempt: Attempt | None = None
    gone: list[str] = field(default_factory=list)
    gone_at: dict[int, int] = field(default_factory=dict)
    refunds: list[tuple[int, int]] = field(default_factory=list)
    ledger: list[Entry] = field(default_factory=list)

    @property
    def price(self) -> int:
        """What all of its seats cost, also those that were given up."""
        return sum(self.prices.values())

    @property
    def paid_late(self) -> bool:
        """Whether its charge came too late."""
        return any(each.sold and each.given_up for each in self.ledger)

    @property
    def active(self) -> list[str]:
        return [seat for seat in self.prices if seat not in self.gone]

    @property
    def sold(self) -> int:
        """What its seats cost as long as it is paid for."""
        return sum(self.prices[seat] for seat in self.active) if self.status == "CONFIRMED" else 0

    @property
    def refunded(self) -> int:
        return sum(amount for amount, _ in self.refunds)

    @property
    def kept(self) -> int:
        """What was not paid back of the seats that were given up."""
        return sum(self.prices[seat] for seat in self.gone) - self.refunded

    def now(self, moment: datetime) -> str:
        """Return the status at a moment."""
        return "EXPIRED" if self.status == "RESERVED" and moment >= self.until else self.status

    def refusal(self, now: datetime) -> str | None:
        """Return why it can't be paid for or changed now, or None."""
        if self.show.cancelled:
            return "SHOWTIME_CANCELLED"
        if (refusal := REFUSALS.get(self.now(now))) is not None:
            return refusal
        return "PAYMENT_IN_PROGRESS" if self.attempt else "SALES_CLOSED" if now >= self.show.start else None

    def confirm(self, now: datetime) -> None:
        """Record that it is paid for."""
        self.status = "CONFIRMED"
        self.ledger.append(Entry(now, len(self.prices), self.price))

    def pay_too_late(self, now: datetime) -> None:
        """Record a charge that is owed back."""
        self.status, self.gone, self.refunds = self.now(now), list(self.prices), [(self.price, 100)]
        number = len(self.prices)
        self.ledger.append(Entry(now, number, self.price, number, self.price))

    def percent(self, now: datetime) -> int:
        """Return what the policy pays back."""
        starts = [before for time, before in self.show.moves if time >= self.made] + [self.show.start]
        if any(abs(one - other) >= timedelta(minutes=15) for one, other in pairwise(starts)):
            return 100
        return max(next((percent for left, percent in TIERS if start - now >= left), 0) for start in starts)

    def give_up(self, seats: Sequence[str], percent: int, now: datetime, *, rest: bool = False) -> None:
        """Record that seats are given up; with `rest`, all that was not paid back yet is owed."""
        if self.status == "RESERVED":
            if len(seats) == len(self.prices):
                self.status = "CANCELLED"
            else:
                self.prices = {seat: price for seat, price in self.prices.items() if seat not in seats}
            return
        before = self.gone_at.get(percent, 0)
        after = self.gone_at[percent] = before + sum(self.prices[seat] for seat in seats)
        amount = self.price - self.refunded if rest else share(after, percent) - share(before, percent)
        self.gone += seats
        if self.refunds:  # each is a microsecond later than the one before it, at least
            now = max(now, self.ledger[-1].time + timedelta(microseconds=1))
        self.refunds.append((amount, percent))
        self.ledger.append(Entry(now, given_up=len(seats), refunded=amount))
        if not self.active:
            self.status = "CANCELLED"


def business_day(moment: datetime) -> str:
    """Return the day to which a moment belongs, by the clock on the wall: each lasts from 05:00 to 05:00."""
    return (moment.astimezone(ZONE).replace(tzinfo=None) - DAY_BEGINS).date().isoformat()


def share(amount: int, percent: int) -> int:
    """Return a share of an amount, half a minor unit rounded up."""
    return int((Decimal(amount) * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))


def sold_and_kept(held: Iterable[Held]) -> tuple[int, int]:
    """Return the price of what is sold, and what was kept of what was given up."""
    bookings = list(held)
    return sum(each.sold for each in bookings), sum(each.kept for each in bookings)
