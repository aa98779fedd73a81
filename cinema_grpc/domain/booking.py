"""A booking and its states: seats held for a customer, sold, cancelled or expired."""

from collections.abc import Sequence
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
)
from cinema_grpc.domain.cancellation import refund_percent
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import PAYMENT_TIME, AttemptStatus, PaymentAttempt, Refund, RefundStatus

MAXIMUM_SEATS_A_BOOKING = 10
MICROSECOND = timedelta(microseconds=1)
"""The resolution of time."""


class BookingStatus(Enum):
    """RESERVED: on hold. CONFIRMED: paid for. CANCELLED: by its owner. EXPIRED: the hold ended unpaid."""

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


class BookedSeat(NamedTuple):
    """A seat and the price at which it was claimed."""

    label: str
    price: Money


@dataclass(frozen=True, slots=True)
class Ticket:
    """Admits one person; valid while its booking is CONFIRMED, and issued when that was confirmed."""

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
    """What cancelling would pay back; `valid_until_time` is the last moment at which that holds."""

    amount: Money
    percent: int
    valid_until_time: datetime


@dataclass(frozen=True, slots=True)
class Booking:
    """Seats of one showtime, held for and then sold to one customer.

    Its methods return the next state and change nothing.

    Attributes:
        seats: At least one, in row order, all priced in one currency.
        hold_extended: Whether a charge was ever opened, which extends the hold once. Only such bookings have payment
            attempts, tickets or a refund.
        payment: The latest attempt to charge.
        relied_on: What the gap rule assumed when the booking was made; empty for most bookings.
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
    refund: Refund | None = None
    relied_on: tuple[Reliance, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of its seats."""
        return tuple([seat.label for seat in self.seats])

    @property
    def total_price(self) -> Money:
        """The sum of the prices of its seats."""
        return Money(self.seats[0].price.currency_code, sum(seat.price.minor_units for seat in self.seats))

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

    def check_payable(self, start_time: datetime, now: datetime, request: str = "") -> None:
        """Check that a charge may start.

        Args:
            start_time: When the showtime starts.
            now: The present moment.
            request: The request that wants to pay, as in PaymentAttempt.

        Raises:
            HoldExpired: The hold has lapsed; `charged` if this request's own charge came too late.
            BookingNotReserved: It is paid for or cancelled.
            SalesClosed: The showtime has started.
            PaymentInProgress: A charge is under way; `of_this_request` if this request started it.
        """
        own = self.payment if request and self.payment is not None and self.payment.request == request else None
        status = self.as_of(now).status
        if own is not None and own.unsettled:
            raise PaymentInProgress(self.booking_id, of_this_request=True)
        if status is BookingStatus.EXPIRED:
            charged = own is not None and own.status is AttemptStatus.CHARGED
            raise HoldExpired(self.booking_id, self.hold_expire_time, charged=charged)
        if status is not BookingStatus.RESERVED:
            raise BookingNotReserved(self.booking_id, status.value)
        if self.being_paid:
            raise PaymentInProgress(self.booking_id)
        if now >= start_time:
            raise SalesClosed(self.showtime_id, start_time)

    def with_payment_opened(self, attempt_id: str, now: datetime, request: str) -> "Booking":
        """Return it with a new attempt to charge; the first one leaves at least PAYMENT_TIME of the hold."""
        hold_expire_time = self.hold_expire_time
        if not self.hold_extended:
            hold_expire_time = max(hold_expire_time, now + PAYMENT_TIME)
        # The latest attempt counts, so each is later than the one before it, even if the clock stands still.
        create_time = now if self.payment is None else max(now, self.payment.create_time + MICROSECOND)
        attempt = PaymentAttempt(attempt_id, AttemptStatus.OPEN, create_time, request)
        return replace(self, payment=attempt, hold_extended=True, hold_expire_time=hold_expire_time)

    def with_charge_settled(
        self, attempt_id: str, tickets: Sequence[Ticket], refund_id: str, start_time: datetime, now: datetime
    ) -> "Booking":
        """Return it CONFIRMED, or EXPIRED with all of the money owed back if the hold has lapsed.

        Raises:
            HoldExpired, BookingNotReserved, SalesClosed, PaymentInProgress: The attempt was called off.
        """
        attempt = self.attempt(attempt_id, AttemptStatus.OPEN)
        if attempt is None and self.attempt(attempt_id, AttemptStatus.CHARGED, AttemptStatus.DECLINED):
            return self
        if attempt is None:
            self.check_payable(start_time, now)
            raise PaymentInProgress(self.booking_id)
        charged = attempt.to(AttemptStatus.CHARGED)
        if self.as_of(now).status is BookingStatus.RESERVED:
            return self.to(BookingStatus.CONFIRMED, payment=charged, confirm_time=now, tickets=tuple(tickets))
        expired = replace(self.as_of(now), payment=charged)
        return replace(expired, refund=expired.owed(refund_id, 100, now))

    def with_decline_settled(self, attempt_id: str) -> "Booking":
        """Return it with an OPEN attempt DECLINED; in any other state it stays as it is."""
        attempt = self.attempt(attempt_id, AttemptStatus.OPEN)
        return self if attempt is None else replace(self, payment=attempt.to(AttemptStatus.DECLINED))

    def with_void_begun(self, attempt_id: str) -> "Booking":
        """Return it with an OPEN attempt VOIDING; in any other state it stays as it is."""
        attempt = self.attempt(attempt_id, AttemptStatus.OPEN)
        return self if attempt is None else replace(self, payment=attempt.to(AttemptStatus.VOIDING))

    def with_void_settled(self, attempt_id: str, refund_id: str, now: datetime, *, given_back: bool) -> "Booking":
        """Return it with a VOIDING attempt settled; in any other state it stays as it is.

        The attempt is VOIDED. If money was given back and the hold has lapsed, it shows as a charge with its refund.
        """
        attempt = self.attempt(attempt_id, AttemptStatus.VOIDING)
        if attempt is None:
            return self
        current = self.as_of(now)
        if not given_back or current.status is BookingStatus.RESERVED:
            return replace(self, payment=attempt.to(AttemptStatus.VOIDED))
        charged = replace(current, payment=attempt.to(AttemptStatus.CHARGED))
        return replace(charged, refund=replace(charged.owed(refund_id, 100, now), status=RefundStatus.COMPLETED))

    def with_refund_settled(self, refund_id: str, status: RefundStatus) -> "Booking":
        """Return it with a PENDING refund settled; in any other state it stays as it is."""
        if self.refund is None or self.refund.refund_id != refund_id or self.refund.status is not RefundStatus.PENDING:
            return self
        return replace(self, refund=replace(self.refund, status=status))

    def cancelled(self, refund_id: str, start_time: datetime, now: datetime) -> "Booking":
        """Return it CANCELLED, with the refund that the policy owes if it was paid for.

        Raises:
            BookingNotCancellable: It is EXPIRED or CANCELLED, or the showtime has started.
            PaymentInProgress: A charge is under way.
        """
        quote = self.quote(start_time, now)
        if self.being_paid:
            raise PaymentInProgress(self.booking_id)
        paid = self.status is BookingStatus.CONFIRMED
        refund = self.owed(refund_id, quote.percent, now) if paid else None
        return self.to(BookingStatus.CANCELLED, cancel_time=now, refund=refund)

    def quote(self, start_time: datetime, now: datetime) -> CancellationQuote:
        """Return what cancelling at `now` would pay back.

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
            percent, last_moment = 0, min(self.hold_expire_time, start_time) - MICROSECOND
        return CancellationQuote(self.total_price.percent(percent), percent, last_moment)

    def owed(self, refund_id: str, percent: int, now: datetime) -> Refund:
        """Return the refund of a share of what was charged; a refund of nothing is COMPLETED.

        Raises:
            ValueError: It was never charged.
        """
        if self.payment is None:
            raise ValueError(f"booking {self.booking_id} was never charged")
        amount = self.total_price.percent(percent)
        status = RefundStatus.PENDING if amount.minor_units else RefundStatus.COMPLETED
        return Refund(refund_id, self.payment.attempt_id, amount, percent, status, now)

    def attempt(self, attempt_id: str, *statuses: AttemptStatus) -> PaymentAttempt | None:
        """Return the attempt if it is the latest and in one of the states."""
        attempt = self.payment
        return attempt if attempt and attempt.attempt_id == attempt_id and attempt.status in statuses else None
