"""A booking and its states: seats held for a customer, paid for, given up or lapsed."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from cinema_grpc.domain.booking_errors import (
    BookingNotCancellable,
    BookingNotReserved,
    HoldExpired,
    PaymentInProgress,
    SalesClosed,
)
from cinema_grpc.domain.cancellation import refund_percent
from cinema_grpc.domain.money import Money

MAXIMUM_SEATS_A_BOOKING = 10
PAYMENT_TIME = timedelta(minutes=2)
"""What is left of a hold, at least, when a charge starts."""


class BookingStatus(Enum):
    """Where a booking stands."""

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
"""Where each state may lead. A CANCELLED or EXPIRED booking never changes its state again."""

SEAT_KEEPING = frozenset({BookingStatus.RESERVED, BookingStatus.CONFIRMED})
"""The states in which a booking has its seats."""


class AttemptStatus(Enum):
    """What became of an attempt to charge: nothing known yet, money taken, refused, being called off, or called off."""

    OPEN = "OPEN"
    CHARGED = "CHARGED"
    DECLINED = "DECLINED"
    VOIDING = "VOIDING"
    VOIDED = "VOIDED"


UNSETTLED = frozenset({AttemptStatus.OPEN, AttemptStatus.VOIDING})
"""The states of an attempt that has not come to its end."""


@dataclass(frozen=True, slots=True)
class PaymentAttempt:
    """One attempt to charge a booking's total price; its identifier is the provider's idempotency key.

    Attributes:
        request: By what a repeat of the call that began it is known, or "". It is kept with the attempt, so that such a
            call gets its answer even if the process that took it has died.
    """

    attempt_id: str
    status: AttemptStatus
    create_time: datetime
    request: str = ""


class RefundStatus(Enum):
    """How far a refund has come: owed and written down, carried out (or nothing to pay), or given up as impossible."""

    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Refund:
    """Money that goes back for the charge `attempt_id`; its identifier is the provider's idempotency key."""

    refund_id: str
    attempt_id: str
    amount: Money
    percent: int
    status: RefundStatus
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Ticket:
    """What lets one person in: valid while its booking is CONFIRMED, issued when the booking was."""

    ticket_id: str
    seat: str
    code: str


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
class CancellationQuote:
    """What cancelling would pay back, and the last moment at which that still holds."""

    amount: Money
    percent: int
    valid_until_time: datetime


@dataclass(frozen=True, slots=True)
class Booking:
    """Seats of one showtime, held and then sold to one customer.

    Attributes:
        seats: Labels, in row order.
        seat_price: What each seat costs.
        hold_extended: Whether a charge has made the hold longer already; it does so once.
        payment: The latest attempt to charge.
        relied_on: What the gap rule took for granted when the booking was made; empty for most bookings.
    """

    booking_id: str
    user_id: str
    showtime_id: str
    seats: tuple[str, ...]
    seat_price: Money
    status: BookingStatus
    create_time: datetime
    hold_expire_time: datetime
    hold_extended: bool = False
    confirm_time: datetime | None = None
    cancel_time: datetime | None = None
    tickets: tuple[Ticket, ...] = ()
    payment: PaymentAttempt | None = None
    refund: Refund | None = None
    relied_on: tuple[Reliance, ...] = ()

    @property
    def total_price(self) -> Money:
        """The sum of the prices of its seats."""
        return self.seat_price.times(len(self.seats))

    @property
    def being_paid(self) -> bool:
        """Whether a charge is under way."""
        return self.payment is not None and self.payment.status in UNSETTLED

    def lapsed(self, now: datetime) -> bool:
        """Tell whether this is a hold that is over: from hold_expire_time on, written down or not."""
        return self.status is BookingStatus.RESERVED and now >= self.hold_expire_time

    def seats_on_hold(self, now: datetime) -> int:
        """Return how many seats this holds that are not paid for."""
        return len(self.seats) if self.status is BookingStatus.RESERVED and now < self.hold_expire_time else 0

    def as_of(self, now: datetime) -> "Booking":
        """Give the booking as it reads now: a hold that is over reads EXPIRED."""
        return self.to(BookingStatus.EXPIRED) if self.lapsed(now) else self

    def to(self, status: BookingStatus) -> "Booking":
        """Give the booking in its next state.

        Raises:
            ValueError: The table of transitions has no such step; a fault of ours, never of a caller's.
        """
        if status not in TRANSITIONS[self.status]:
            raise ValueError(f"a booking never goes from {self.status.value} to {status.value}")
        return replace(self, status=status)

    def check_payable(self, start_time: datetime, now: datetime) -> None:
        """Check that a charge may start.

        Raises:
            HoldExpired: The hold is over.
            BookingNotReserved: It is paid for or cancelled already.
            SalesClosed: The showtime has started.
            PaymentInProgress: A charge is under way.
        """
        status = self.as_of(now).status
        if status is BookingStatus.EXPIRED:
            raise HoldExpired(self.booking_id, self.hold_expire_time)
        if status is not BookingStatus.RESERVED:
            raise BookingNotReserved(self.booking_id, status.value)
        if self.being_paid:
            raise PaymentInProgress(self.booking_id)
        if now >= start_time:
            raise SalesClosed(self.showtime_id, start_time)

    def quote(self, start_time: datetime, now: datetime) -> CancellationQuote:
        """Tell what cancelling now would pay back.

        Raises:
            BookingNotCancellable: It is EXPIRED or CANCELLED, or the showtime has started.
        """
        status = self.as_of(now).status
        if status not in SEAT_KEEPING:
            raise BookingNotCancellable(self.booking_id, status.value)
        if now >= start_time:
            raise BookingNotCancellable(self.booking_id, status.value, start_time)
        percent, last_moment = refund_percent(start_time, now)
        if self.status is BookingStatus.RESERVED:
            percent, last_moment = 0, min(self.hold_expire_time, start_time) - timedelta(microseconds=1)
        return CancellationQuote(self.total_price.percent(percent), percent, last_moment)
