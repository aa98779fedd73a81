"""What was sold and refunded: events, and the lines of a report that they add up to."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from cinema_grpc.domain.business_days import BusinessDays

ONLINE = "ONLINE"
"""The tender of what was not sold at the counter."""
COMPLIMENTARY = "COMPLIMENTARY"


class SalesGroup(Enum):
    """What the lines of a report stand for."""

    DAY = "DAY"
    MOVIE = "MOVIE"
    SHOWTIME = "SHOWTIME"
    CATEGORY = "CATEGORY"
    TICKET_TYPE = "TICKET_TYPE"
    TENDER = "TENDER"


class PricedSeat(NamedTuple):
    """A seat with its price in minor units, its category and its ticket type."""

    label: str
    price: int
    category: str
    ticket_type: str


@dataclass(frozen=True, slots=True)
class SalesEvent:
    """A sale, a cancellation, or both at once: a charge that came too late and was refunded. Or a conflict at the door.

    Attributes:
        time: When the seats were paid for or cancelled, or when someone was let in.
        tender: ONLINE, or the name of a Tender.
        total_seats: The number of seats of the auditorium.
        seats: The seats that were sold or cancelled, in row order, or the seat of the conflict.
        sold: Whether they were sold.
        cancelled: Whether they were cancelled.
        refunded: The refund in minor units.
        restored: What of it is paid back for seats that were cancelled before their showtime was, by seat.
        is_conflict: Whether someone was let in with a ticket that was void, or had let someone in elsewhere.
    """

    time: datetime
    showtime_id: str
    movie_id: str
    total_seats: int
    currency_code: str
    tender: str
    seats: Sequence[PricedSeat]
    sold: bool = False
    cancelled: bool = False
    refunded: int = 0
    restored: Sequence[tuple[PricedSeat, int]] = ()
    is_conflict: bool = False


@dataclass(frozen=True, slots=True)
class ShowtimeTitle:
    """What a line with SHOWTIME is about: when it starts, in which auditorium, and the title of its movie."""

    start_time: datetime
    auditorium: str
    movie: str


@dataclass(slots=True)
class SalesLine:
    """A sum of events. Amounts are minor units of one currency.

    Attributes:
        key: What the line stands for; "" for all.
        gross: The price of the seats sold.
        kept: The price of the seats cancelled less the refunds. Negative where more is paid back than the seats cost.
        complimentary_seats: How many of the seats sold were complimentary.
        seats_on_offer: With SHOWTIME, the number of seats of the auditorium.
        entry_conflicts: How many were let in with a ticket that was void, or had let someone in elsewhere.
    """

    key: str
    currency_code: str
    seats_sold: int = 0
    seats_cancelled: int = 0
    gross: int = 0
    refunded: int = 0
    kept: int = 0
    complimentary_seats: int = 0
    seats_on_offer: int = 0
    entry_conflicts: int = 0

    def add(self, event: SalesEvent, seats: Sequence[PricedSeat], refunded: int) -> None:
        """Add some of an event's seats, and their part of the refund."""
        price = sum(seat.price for seat in seats)
        if event.sold:
            self.seats_sold += len(seats)
            self.gross += price
            if event.tender == COMPLIMENTARY:
                self.complimentary_seats += len(seats)
        if event.cancelled:
            self.seats_cancelled += len(seats)
            self.refunded += refunded
            self.kept += price - refunded
        self.entry_conflicts += event.is_conflict


class SalesBook:
    """Adds up events: a line for each key and currency, and a total for each currency."""

    def __init__(self, group: SalesGroup, days: BusinessDays) -> None:
        """Begin without events.

        Args:
            group: What the lines stand for.
            days: The days of the events.
        """
        self._group = group
        self._days = days
        self._lines: dict[tuple[str, str], SalesLine] = {}
        self._totals: dict[str, SalesLine] = {}

    @property
    def lines(self) -> list[SalesLine]:
        """The lines by key, then by currency."""
        return [self._lines[each] for each in sorted(self._lines)]

    @property
    def totals(self) -> list[SalesLine]:
        """The totals by currency."""
        return [self._totals[each] for each in sorted(self._totals)]

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, events: Iterable[SalesEvent]) -> None:
        """Add events."""
        for event in events:
            currency_code = event.currency_code
            total = self._totals.get(currency_code)
            if total is None:
                total = self._totals[currency_code] = SalesLine("", currency_code)
            total.add(event, event.seats, event.refunded)
            for key, seats, refunded in self._parts(event):
                line = self._lines.get((key, currency_code))
                if line is None:
                    line = self._lines[key, currency_code] = SalesLine(key, currency_code)
                    if self._group is SalesGroup.SHOWTIME:
                        line.seats_on_offer = event.total_seats
                        total.seats_on_offer += event.total_seats
                line.add(event, seats, refunded)

    def _parts(self, event: SalesEvent) -> Iterator[tuple[str, Sequence[PricedSeat], int]]:
        """Split an event by the key of its seats, each part with its share of the refund."""
        match self._group:
            case SalesGroup.DAY:
                yield self._days.day_of(event.time).isoformat(), event.seats, event.refunded
            case SalesGroup.MOVIE:
                yield event.movie_id, event.seats, event.refunded
            case SalesGroup.SHOWTIME:
                yield event.showtime_id, event.seats, event.refunded
            case SalesGroup.TENDER:
                yield event.tender, event.seats, event.refunded
            case SalesGroup.CATEGORY | SalesGroup.TICKET_TYPE as group:
                of_category = group is SalesGroup.CATEGORY
                restored = sum(amount for _, amount in event.restored)
                shares = distribute(event.refunded - restored, [seat.price for seat in event.seats])
                for seat, share in zip(event.seats, shares, strict=True):
                    yield seat.category if of_category else seat.ticket_type, (seat,), share
                for seat, amount in event.restored:
                    yield seat.category if of_category else seat.ticket_type, (), amount


def distribute(amount: int, weights: Sequence[int]) -> list[int]:
    """Return shares of an amount by weights, or equal ones if all weights are 0.

    The shares add up to the amount: those of the first seats, together, are what the sum of their weights is due, half
    a unit rounded up.
    """
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    shares, weight, paid = [], 0, 0
    for each in weights:
        weight += each
        due = (2 * amount * weight + whole) // (2 * whole)
        shares.append(due - paid)
        paid = due
    return shares
