"""A booking and its states: seats held for a customer, sold, cancelled or expired."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple

from cinema_grpc.domain.booking_errors import (
    BookingNotCancellable,
    BookingNotReserved,
    HoldExpired,
    PaymentInProgress,
    SalesClosed,
    SeatNotInBooking,
    ShowtimeCancelled,
)
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt, Refund, RefundStatus
from cinema_grpc.domain.sale import Sale
from cinema_grpc.domain.seating import row_order
from cinema_grpc.domain.terms import ShowtimeStatus, Terms
from cinema_grpc.domain.ticket import Redemption, Ticket

MAX_SEATS_A_BOOKING = 10
MICROSECOND = timedelta(microseconds=1)
"""The resolution of time."""


class BookingStatus(Enum):
    """RESERVED: on hold. CONFIRMED: paid for. CANCELLED: see CancelCause. EXPIRED: the hold ended unpaid."""

    RESERVED = "RESERVED"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


TRANSITIONS: dict[BookingStatus, frozenset[BookingStatus]] = {
    BookingStatus.RESERVED: frozenset({BookingStatus.CONFIRMED, BookingStatus.CANCELLED, BookingStatus.EXPIRED}),
    BookingStatus.CONFIRMED: frozenset({BookingStatus.CANCELLED}),
    BookingStatus.CANCELLED: frozenset(),
    BookingStatus.EXPIRED: frozenset(),
}
"""The states that may follow each state."""

SEAT_KEEPING = frozenset({BookingStatus.RESERVED, BookingStatus.CONFIRMED})
"""The states in which a booking has its seats."""


class CancelCause(Enum):
    """Who cancelled a booking. SHOWTIME: its showtime was cancelled."""

    CUSTOMER = "CUSTOMER"
    STAFF = "STAFF"
    SHOWTIME = "SHOWTIME"


class BookedSeat(NamedTuple):
    """A seat as it was claimed: its price, category and ticket type, and what the door asks for.

    Rows and events take its fields by their order.

    Attributes:
        active: False once it was sold and then cancelled apart from other seats of the booking.
    """

    label: str
    price: Money
    category: str
    ticket_type: str
    proof: str = ""
    active: bool = True


@dataclass(frozen=True, slots=True)
class Reliance:
    """A stretch of a row in which a booking was made beside other bookings of the same customer.

    The gap rule counted those as taken. It is judged again without them when this booking is paid for; see `gap_rule`.

    Attributes:
        first: The label of the stretch's first seat. No other customer had a seat of it when the booking was made.
        last: The label of its last seat, in the same section.
        own: The labels of the seats in it that the customer had already, in row order.
    """

    first: str
    last: str
    own: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Booking:
    """Seats of one showtime, held for and then sold to one customer.

    Its methods return the next state and change nothing.

    Attributes:
        seats: At least one, in row order, all priced in one currency.
        hold_extended: Whether a charge was ever opened, which extends the hold once, or it was sold at the counter.
            Only such bookings have payment attempts, tickets, refunds or redemptions.
        hold_renewed: Whether its owner has extended the hold, by UpdateHold.
        payment: The latest attempt to charge.
        refunds: Oldest first.
        relied_on: What the gap rule assumed when the booking was made; empty for most bookings.
        wheelchair: Whether it takes wheelchair spaces.
        cancel_cause: Set when it is CANCELLED.
        sale: None if it was sold online.
        redemptions: Of its tickets, oldest record first.
    """

    booking_id: str
    user_id: str
    showtime_id: str
    seats: tuple[BookedSeat, ...]
    status: BookingStatus
    create_time: datetime
    hold_expire_time: datetime
    hold_extended: bool = False
    confirm_time: datetime | None = None
    cancel_time: datetime | None = None
    tickets: tuple[Ticket, ...] = ()
    payment: PaymentAttempt | None = None
    refunds: tuple[Refund, ...] = ()
    relied_on: tuple[Reliance, ...] = ()
    wheelchair: bool = False
    hold_renewed: bool = False
    cancel_cause: CancelCause | None = None
    cancel_reason: str = ""
    sale: Sale | None = None
    redemptions: tuple[Redemption, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its active seats."""
        return tuple([seat.label for seat in self.seats if seat.active])

    @property
    def total_price(self) -> Money:
        """The sum of the prices of its seats, cancelled ones included."""
        return Money(self.seats[0].price.currency_code, sum(seat.price.minor_units for seat in self.seats))

    @property
    def refund(self) -> Refund | None:
        """The latest refund."""
        return self.refunds[-1] if self.refunds else None

    @property
    def being_paid(self) -> bool:
        """Whether a charge is under way."""
        return self.payment is not None and self.payment.unsettled

    def lapsed(self, now: datetime) -> bool:
        """Return whether this hold has lapsed: from hold_expire_time on, stored as EXPIRED or not."""
        return self.status is BookingStatus.RESERVED and now >= self.hold_expire_time

    def seats_on_hold(self, now: datetime) -> int:
        """Return how many seats it holds that are not paid for."""
        return len(self.seats) if self.status is BookingStatus.RESERVED and now < self.hold_expire_time else 0

    def as_of(self, now: datetime) -> "Booking":
        """Return the booking as it reads at `now`: a lapsed hold reads EXPIRED."""
        return self.to(BookingStatus.EXPIRED) if self.lapsed(now) else self

    def to(self, status: BookingStatus, **changes: Any) -> "Booking":
        """Return the booking in its next state, with other changes of its fields.

        Raises:
            ValueError: `TRANSITIONS` has no such step.
        """
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"a booking never goes from {self.status.value} to {status.value}")
        return replace(self, status=status, **changes)

    def check_payable(self, terms: Terms, now: datetime, request: str = "") -> None:
        """Check that a charge may start.

        Args:
            terms: The showtime's.
            now: The present moment.
            request: The request that wants to pay, as in PaymentAttempt.

        Raises:
            ShowtimeCancelled; HoldExpired: The hold has lapsed; `charged` if this request's own charge came too late.
            BookingNotReserved: It is paid for or cancelled.
            SalesClosed: The showtime has started.
            PaymentInProgress: A charge is under way; `of_this_request` if this request started it.
        """
        own = self.payment if request and self.payment is not None and self.payment.request == request else None
        status = self.as_of(now).status
        if own is not None and own.unsettled:
            raise PaymentInProgress(self.booking_id, of_this_request=True)
        charged = own is not None and own.status is AttemptStatus.CHARGED
        if terms.status is ShowtimeStatus.CANCELLED:
            raise ShowtimeCancelled(self.showtime_id, charged=charged and self.confirm_time is None)
        if status is BookingStatus.EXPIRED:
            raise HoldExpired(self.booking_id, self.hold_expire_time, charged=charged)
        if status is not BookingStatus.RESERVED:
            raise BookingNotReserved(self.booking_id, status.value)
        if self.being_paid:
            raise PaymentInProgress(self.booking_id)
        if now >= terms.start_time:
            raise SalesClosed(self.showtime_id, terms.start_time)

    def check_cancellable(
        self, seats: Collection[str], now: datetime, started: datetime | None = None
    ) -> list[BookedSeat]:
        """Check that seats may be cancelled, and return them; all active ones if none are named.

        Args:
            seats: The labels.
            now: The present moment.
            started: When the showtime started, if that rules it out.

        Raises:
            BookingNotCancellable: It is EXPIRED or CANCELLED, or the showtime has started.
            SeatNotInBooking: It does not keep some of the seats.
        """
        status = self.as_of(now).status
        if status not in SEAT_KEEPING or started is not None:
            raise BookingNotCancellable(self.booking_id, status.value, started if status in SEAT_KEEPING else None)
        active = [seat for seat in self.seats if seat.active]
        chosen = [seat for seat in active if seat.label in seats] if seats else active
        if seats and len(chosen) != len(seats):
            labels = self.labels
            unknown = [label for label in seats if label not in labels]
            raise SeatNotInBooking(self.booking_id, sorted(unknown, key=row_order))
        return chosen

    def refund_amount(self, chosen: Sequence[BookedSeat], percent: int) -> Money:
        """Return the refund for cancelling seats at a percent.

        Rounding telescopes: refunds at one percent add up to that percent of the price of all of their seats, rounded
        once.
        """
        total = self.total_price
        refunded = {label for refund in self.refunds if refund.percent == percent for label in refund.seats}
        before = sum(seat.price.minor_units for seat in self.seats if seat.label in refunded)
        after = before + sum(seat.price.minor_units for seat in chosen)
        shares = [Money(total.currency_code, amount).percent(percent).minor_units for amount in (before, after)]
        return Money(total.currency_code, shares[1] - shares[0])

    def cancelled(
        self, chosen: Sequence[BookedSeat], now: datetime, cause: CancelCause, reason: str, refund: Refund | None
    ) -> "Booking":
        """Return the booking without some of its seats, CANCELLED if none is left.

        Of a RESERVED booking the seats are removed. Those of a CONFIRMED one stay in `seats`, not active, and go with a
        refund.

        Args:
            chosen: Active seats, as `check_cancellable` returns them.
            now: The present moment.
            cause: Who cancels.
            reason: Why.
            refund: The refund, if it was paid for.

        Raises:
            PaymentInProgress: A charge is under way, and it is not the showtime that was cancelled.
        """
        if self.being_paid and cause is not CancelCause.SHOWTIME:
            raise PaymentInProgress(self.booking_id)
        refunds = self.refunds if refund is None else (*self.refunds, refund)
        if len(chosen) == len(self.labels):
            return self.to(
                BookingStatus.CANCELLED, cancel_time=now, cancel_cause=cause, cancel_reason=reason, refunds=refunds
            )
        if self.status is BookingStatus.RESERVED:
            return replace(self, seats=tuple(seat for seat in self.seats if seat not in chosen))
        seats = tuple(seat._replace(active=False) if seat in chosen else seat for seat in self.seats)
        return replace(self, seats=seats, refunds=refunds)

    def new_refund(
        self, refund_id: str, amount: Money, percent: int, seats: Sequence[BookedSeat], now: datetime
    ) -> Refund:
        """Return a refund of what was charged or paid at the counter; a refund of nothing is COMPLETED.

        Raises:
            ValueError: It was never paid for.
        """
        if self.payment is None and self.sale is None:
            raise ValueError(f"booking {self.booking_id} was never charged")
        attempt_id = "" if self.payment is None else self.payment.attempt_id
        status = RefundStatus.PENDING if amount.minor_units else RefundStatus.COMPLETED
        # Rounding depends on their order, so each is later than the one before it, even if the clock stands still.
        create_time = max(now, self.refunds[-1].create_time + MICROSECOND) if self.refunds else now
        return Refund(refund_id, attempt_id, amount, percent, status, create_time, tuple(seat.label for seat in seats))

    def with_refund(self, refund: Refund) -> "Booking":
        """Return it with a refund in place of its earlier state."""
        refunds = tuple(refund if each.refund_id == refund.refund_id else each for each in self.refunds)
        return replace(self, refunds=refunds)

    def attempt(self, attempt_id: str, *statuses: AttemptStatus) -> PaymentAttempt | None:
        """Return the attempt if it is the latest and in one of the states."""
        attempt = self.payment
        return attempt if attempt and attempt.attempt_id == attempt_id and attempt.status in statuses else None
