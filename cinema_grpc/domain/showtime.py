"""A showtime as it sells its seats: who holds what, and every rule that decides who may.

Each command checks everything first and only then changes anything, so a refusal leaves no trace. Time and identifiers
come from outside, so a command can be applied again, to a fresh copy, with the same effect.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from cinema_grpc.domain.booking import (
    MAXIMUM_SEATS_A_BOOKING,
    PAYMENT_TIME,
    SEAT_KEEPING,
    UNSETTLED,
    AttemptStatus,
    Booking,
    BookingStatus,
    PaymentAttempt,
    Refund,
    RefundStatus,
    Reliance,
    Ticket,
)
from cinema_grpc.domain.booking_errors import (
    GapLeftByPayment,
    HoldLimit,
    NotBookingOwner,
    PaymentInProgress,
    SalesClosed,
    SeatsUnavailable,
    SingleSeatGap,
    TooManyUnpaidHolds,
)
from cinema_grpc.domain.errors import BookingNotFound, FieldViolation, InvalidRequest
from cinema_grpc.domain.gap_rule import OwnSeats, blocking_payment, reliances
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.domain.unpaid_holds import HoldLimits, UnpaidHolds

MAXIMUM_SEATS_ON_HOLD = 10
"""How many seats one customer may have on hold in one showtime."""
NO_LIMITS = HoldLimits()
MICROSECOND = timedelta(microseconds=1)
"""The least by which two moments differ."""


class SeatGapPolicy(Enum):
    """Whether a booking may strand a single seat."""

    ALLOW = "ALLOW"
    REFUSE = "REFUSE"


class SeatStatus(Enum):
    """Whether a seat can be had."""

    AVAILABLE = "AVAILABLE"
    HELD = "HELD"
    SOLD = "SOLD"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is fixed about a showtime for those who sell its seats; `seat_price` is what one seat costs."""

    showtime_id: str
    start_time: datetime
    seat_price: Money
    seat_gap_policy: SeatGapPolicy
    seat_plan: SeatPlan


@dataclass(frozen=True, slots=True)
class Change:
    """A booking before and after the commands that touched it; `before` is None for a new one."""

    before: Booking | None
    after: Booking


class Showtime:
    """The seats of one showtime and the bookings that keep them."""

    def __init__(self, terms: Terms, bookings: Iterable[Booking] = ()) -> None:
        """Take up a showtime with (at least) every booking that keeps seats, or ended unpaid within an hour."""
        self.terms = terms
        self._bookings: dict[str, Booking] = {}
        self._owners: dict[int, str] = {}
        self._holds: dict[str, tuple[str, ...]] = {}  # by user; most have one, and a set would take four times the room
        self._before: dict[str, Booking | None] = {}
        self._finished: set[str] = set()
        self._unpaid_holds = UnpaidHolds()
        for booking in bookings:
            self.restore(booking)

    def restore(self, booking: Booking) -> None:
        """Take over a booking as it was written down, in place of an older state of it; this is no change."""
        older = self._bookings.get(booking.booking_id)
        if older is not None:
            self._let_go(older)
        self._keep(booking)

    def __contains__(self, booking_id: str) -> bool:
        return booking_id in self._bookings

    def changes(self) -> list[Change]:
        """Tell what the commands have changed since the last `settle`, net: one change a booking."""
        return [Change(before, self._bookings[booking_id]) for booking_id, before in self._before.items()]

    def settle(self) -> None:
        """Take the changes as written down: forget what was before, and bookings that keep no seats."""
        self._before.clear()
        for booking_id in self._finished:
            del self._bookings[booking_id]
        self._finished.clear()

    @property
    def taken(self) -> int:
        """The number of seats that bookings keep, holds that are over but not written down so included."""
        return len(self._owners)

    def seats(self, now: datetime) -> list[SeatStatus]:
        """Tell the state of every seat, by position; a hold that is over leaves its seats AVAILABLE."""
        states = [SeatStatus.AVAILABLE] * len(self.terms.seat_plan)
        for position, booking_id in self._owners.items():
            booking = self._bookings[booking_id]
            if not booking.lapsed(now):
                states[position] = SeatStatus.SOLD if booking.status is BookingStatus.CONFIRMED else SeatStatus.HELD
        return states

    def next_lapse(self, now: datetime) -> datetime | None:
        """Tell when the next hold ends after `now`, or None if there is none."""
        reserved = (booking for booking in self._bookings.values() if booking.status is BookingStatus.RESERVED)
        return min((each.hold_expire_time for each in reserved if each.hold_expire_time > now), default=None)

    def booking(self, booking_id: str, user_id: str) -> Booking:
        """Give a booking to its owner.

        Raises:
            BookingNotFound: There is none of that name here.
            NotBookingOwner: It belongs to someone else.
        """
        booking = self._bookings.get(booking_id)
        if booking is None:
            raise BookingNotFound(booking_id)
        if booking.user_id != user_id:
            raise NotBookingOwner(booking_id)
        return booking

    def hold(
        self,
        booking_id: str,
        user_id: str,
        seats: Sequence[str],
        hold_for: timedelta,
        now: datetime,
        limits: HoldLimits = NO_LIMITS,
        held_elsewhere: int = 0,
    ) -> Booking:
        """Hold seats for a customer, until `hold_for` is over or the showtime starts: all of them, or none.

        A hold that is over and keeps one of the seats is written down as EXPIRED and loses all of its seats.

        Args:
            booking_id: The new booking's.
            user_id: The customer.
            seats: Labels, in any order.
            hold_for: How long to hold them.
            now: The present moment.
            limits: What the customer may hold.
            held_elsewhere: How many seats the customer has on hold in other showtimes.

        Raises:
            InvalidRequest: Not 1 to 10 different seats.
            SalesClosed: The showtime has started.
            SeatNotFound: The auditorium has no such seats.
            SeatsUnavailable: Some are held or sold; it names all of them.
            HoldLimit: The customer would have more than 10 seats on hold here, or too many over all showtimes.
            TooManyUnpaidHolds: The customer has to wait, after too many holds here that ended unpaid.
            SingleSeatGap: It would strand single seats; it names all of them.
        """
        if not 1 <= len(set(seats)) == len(seats) <= MAXIMUM_SEATS_A_BOOKING:
            raise InvalidRequest(FieldViolation("seats", f"must be 1 to {MAXIMUM_SEATS_A_BOOKING} different seats"))
        if now >= self.terms.start_time:
            raise SalesClosed(self.terms.showtime_id, self.terms.start_time)
        positions = self.terms.seat_plan.positions(seats)
        labels = tuple(self._labels(positions))
        met: list[str] = []
        is_free = self._free_at(now, met)
        unavailable = [position for position in positions if not is_free(position)]
        if unavailable:
            raise SeatsUnavailable(self._labels(unavailable))
        self._check_hold_limits(user_id, len(seats), held_elsewhere, limits, now)
        relied_on: tuple[Reliance, ...] = ()
        if self.terms.seat_gap_policy is SeatGapPolicy.REFUSE:
            stranded = self.terms.seat_plan.stranded(positions, is_free)
            if stranded:
                raise SingleSeatGap(self._labels(stranded))
            if any(self._bookings[owner].user_id == user_id for owner in met):
                relied_on = reliances(self.terms.seat_plan, positions, self._own_seats(user_id, now))

        for lapsed in dict.fromkeys(self._owners[position] for position in positions if position in self._owners):
            self._put(self._bookings[lapsed].to(BookingStatus.EXPIRED))
        return self._put(
            Booking(
                booking_id=booking_id,
                user_id=user_id,
                showtime_id=self.terms.showtime_id,
                seats=labels,
                seat_price=self.terms.seat_price,
                status=BookingStatus.RESERVED,
                create_time=now,
                hold_expire_time=min(now + hold_for, self.terms.start_time),
                relied_on=relied_on,
            )
        )

    def open_payment(self, booking_id: str, user_id: str, attempt_id: str, now: datetime, request: str = "") -> Booking:
        """Write down that a charge starts; the first one makes the hold last at least 2 minutes more.

        Raises:
            BookingNotFound, NotBookingOwner, HoldExpired, BookingNotReserved, SalesClosed.
            PaymentInProgress: A charge is under way, of this booking or of one that the gap rule depends on.
            GapLeftByPayment: It relied on bookings that are not paid for; see `gap_rule`.
        """
        booking = self.booking(booking_id, user_id)
        if request and booking.being_paid and booking.payment is not None and booking.payment.request == request:
            raise PaymentInProgress(booking_id, of_this_request=True)
        booking.check_payable(self.terms.start_time, now)
        self._check_gaps(booking, now)
        hold_expire_time = booking.hold_expire_time
        if not booking.hold_extended:
            hold_expire_time = max(hold_expire_time, now + PAYMENT_TIME)
        # The latest attempt is the one that counts, so it is later than the one before it also while time stands still.
        start = now if booking.payment is None else max(now, booking.payment.create_time + MICROSECOND)
        attempt = PaymentAttempt(attempt_id, AttemptStatus.OPEN, start, request)
        return self._put(replace(booking, payment=attempt, hold_extended=True, hold_expire_time=hold_expire_time))

    def settle_charge(
        self, booking_id: str, attempt_id: str, tickets: Sequence[Ticket], refund_id: str, now: datetime
    ) -> Booking:
        """Write down that the money was taken.

        The booking is CONFIRMED, or EXPIRED with all of the money owed back if its hold is over. Settling an attempt
        again changes nothing.

        Raises:
            HoldExpired, BookingNotReserved, SalesClosed, PaymentInProgress: The attempt was called off, and what it
                took goes back.
        """
        booking, attempt = self._attempt(booking_id, attempt_id)
        if attempt is None or attempt.status in {AttemptStatus.VOIDING, AttemptStatus.VOIDED}:
            booking.check_payable(self.terms.start_time, now)
            raise PaymentInProgress(booking_id)
        if attempt.status is not AttemptStatus.OPEN:
            return booking
        charged = replace(attempt, status=AttemptStatus.CHARGED)
        current = booking.as_of(now)
        if current.status is BookingStatus.RESERVED:
            confirmed = current.to(BookingStatus.CONFIRMED)
            return self._put(replace(confirmed, payment=charged, confirm_time=now, tickets=tuple(tickets)))
        return self._put(replace(current, payment=charged, refund=_refund(booking, refund_id, 100, now)))

    def settle_decline(self, booking_id: str, attempt_id: str) -> Booking:
        """Write down that the charge was refused; the booking stays as it is. Doing so again changes nothing."""
        booking, attempt = self._attempt(booking_id, attempt_id)
        if attempt is None or attempt.status is not AttemptStatus.OPEN:
            return booking
        return self._put(replace(booking, payment=replace(attempt, status=AttemptStatus.DECLINED)))

    def begin_void(self, booking_id: str, attempt_id: str) -> bool:
        """Write down that an attempt of which nothing is known is called off: from now on nothing can confirm by it.

        This comes before the provider is told so. Else the money might be given back for a charge that whoever made it
        writes down as taken. Tells whether the attempt is called off now.
        """
        booking, attempt = self._attempt(booking_id, attempt_id)
        if attempt is None or attempt.status not in UNSETTLED:
            return False
        if attempt.status is AttemptStatus.OPEN:
            self._put(replace(booking, payment=replace(attempt, status=AttemptStatus.VOIDING)))
        return True

    def settle_void(
        self, booking_id: str, attempt_id: str, refund_id: str, now: datetime, *, given_back: bool
    ) -> Booking:
        """Write down that an attempt which was called off takes no money any more, and has given back what it took.

        A booking whose hold is not over can be paid for again. For one that is, money that was taken and given back
        shows as a charge with its refund. Doing so again changes nothing.
        """
        booking, attempt = self._attempt(booking_id, attempt_id)
        if attempt is None or attempt.status is not AttemptStatus.VOIDING:
            return booking
        present = booking.as_of(now)
        if not given_back or present.status is BookingStatus.RESERVED:
            return self._put(replace(booking, payment=replace(attempt, status=AttemptStatus.VOIDED)))
        charged = replace(present, payment=replace(attempt, status=AttemptStatus.CHARGED))
        refund = replace(_refund(charged, refund_id, 100, now), status=RefundStatus.COMPLETED)
        return self._put(replace(charged, refund=refund))

    def withdraw_payment(self, booking_id: str, attempt_id: str) -> None:
        """Write down that an attempt which may have been opened came to nothing: the provider was never asked."""
        booking = self._bookings[booking_id]
        if booking.being_paid and booking.payment is not None and booking.payment.attempt_id == attempt_id:
            self.settle_decline(booking_id, attempt_id)

    def cancel(self, booking_id: str, user_id: str, refund_id: str, now: datetime) -> Booking:
        """Give a booking up: its seats go free; what was paid for it is owed back by the policy.

        Raises:
            BookingNotFound, NotBookingOwner, BookingNotCancellable.
            PaymentInProgress: A charge is under way.
        """
        booking = self.booking(booking_id, user_id)
        quote = booking.quote(self.terms.start_time, now)
        if booking.being_paid:
            raise PaymentInProgress(booking_id)
        paid = booking.status is BookingStatus.CONFIRMED
        refund = _refund(booking, refund_id, quote.percent, now) if paid else None
        return self._put(replace(booking.to(BookingStatus.CANCELLED), cancel_time=now, refund=refund))

    def settle_refund(self, booking_id: str, refund_id: str, status: RefundStatus) -> Booking:
        """Write down that the provider has paid a refund, or never will. Doing so again changes nothing."""
        booking = self._bookings[booking_id]
        refund = booking.refund
        if refund is None or refund.refund_id != refund_id or refund.status is not RefundStatus.PENDING:
            return booking
        return self._put(replace(booking, refund=replace(refund, status=status)))

    def expire(self, limit: int, now: datetime) -> int:
        """Write down holds that are over, the longest over first, at most `limit`; tell how many."""
        lapsed = [booking for booking in self._bookings.values() if booking.lapsed(now)]
        lapsed.sort(key=lambda booking: booking.hold_expire_time)
        for booking in lapsed[:limit]:
            self._put(booking.to(BookingStatus.EXPIRED))
        return len(lapsed[:limit])

    def _free_at(self, now: datetime, met: list[str]) -> Callable[[int], bool]:
        """Make what tells whether a position is free; it is asked for each seat of a row, so it is quick.

        It adds the booking that has the seat to `met` if it is not.
        """
        owner_of, bookings = self._owners.get, self._bookings

        def is_free(position: int) -> bool:
            owner = owner_of(position)
            if owner is None or bookings[owner].lapsed(now):
                return True
            met.append(owner)
            return False

        return is_free

    def _own_seats(self, user_id: str, now: datetime) -> OwnSeats:
        """Return how the seats look to one customer."""
        owner_of, bookings = self._owners.get, self._bookings

        def owner(position: int) -> Booking | None:
            booking_id = owner_of(position)
            booking = None if booking_id is None else bookings[booking_id]
            return None if booking is None or booking.lapsed(now) else booking

        return OwnSeats(user_id, owner)

    def _check_gaps(self, booking: Booking, now: datetime) -> None:
        """Judge a booking again that is to be paid for."""
        if self.terms.seat_gap_policy is not SeatGapPolicy.REFUSE:
            return
        user_id = booking.user_id
        relying = [
            each
            for each in self._bookings.values()
            if each.relied_on and each.user_id == user_id and each.status in SEAT_KEEPING and not each.lapsed(now)
        ]
        if not relying:
            return
        stranded, awaited = blocking_payment(self.terms.seat_plan, booking, relying, self._own_seats(user_id, now))
        if stranded and awaited is not None:
            raise PaymentInProgress(awaited)
        if stranded:
            raise GapLeftByPayment(booking.booking_id, self._labels(stranded))

    def _check_hold_limits(
        self, user_id: str, requested: int, held_elsewhere: int, limits: HoldLimits, now: datetime
    ) -> None:
        holds = [self._bookings[booking_id] for booking_id in self._holds.get(user_id, ())]
        held = sum(len(booking.seats) for booking in holds if not booking.lapsed(now))
        if held + requested > MAXIMUM_SEATS_ON_HOLD:
            raise HoldLimit(MAXIMUM_SEATS_ON_HOLD, held, requested)
        if limits.seats and held_elsewhere + held + requested > limits.seats:
            raise HoldLimit(limits.seats, held_elsewhere + held, requested, of_account=True)
        if limits.unpaid_holds:
            lapsed = [booking for booking in holds if booking.lapsed(now) and not booking.being_paid]
            count, wait = self._unpaid_holds.wait(user_id, lapsed, limits.unpaid_holds, now)
            if wait:
                raise TooManyUnpaidHolds(count, wait)

    def _attempt(self, booking_id: str, attempt_id: str) -> tuple[Booking, PaymentAttempt | None]:
        """Give a booking with its attempt; None if that was settled long ago and another one has followed."""
        booking = self._bookings[booking_id]
        latest = booking.payment
        return booking, latest if latest is not None and latest.attempt_id == attempt_id else None

    def _labels(self, positions: Iterable[int]) -> list[str]:
        return [self.terms.seat_plan.labels[position] for position in positions]

    def _put(self, booking: Booking) -> Booking:
        """Replace a booking by its next state and remember the first one."""
        older = self._bookings.get(booking.booking_id)
        self._before.setdefault(booking.booking_id, older)
        if older is not None:
            self._let_go(older)
        self._keep(booking)
        return booking

    def _keep(self, booking: Booking) -> None:
        self._bookings[booking.booking_id] = booking
        if booking.status in SEAT_KEEPING:
            for position in self.terms.seat_plan.positions(booking.seats):
                self._owners[position] = booking.booking_id
        else:
            self._finished.add(booking.booking_id)
            self._unpaid_holds.note(booking)
        if booking.status is BookingStatus.RESERVED:
            self._holds[booking.user_id] = (*self._holds.get(booking.user_id, ()), booking.booking_id)

    def _let_go(self, booking: Booking) -> None:
        if booking.status in SEAT_KEEPING:
            for position in self.terms.seat_plan.positions(booking.seats):
                if self._owners.get(position) == booking.booking_id:
                    del self._owners[position]
        if booking.status is BookingStatus.RESERVED:
            holds = self._holds.pop(booking.user_id)
            if len(holds) > 1:
                self._holds[booking.user_id] = tuple(each for each in holds if each != booking.booking_id)


def _refund(booking: Booking, refund_id: str, percent: int, now: datetime) -> Refund:
    """Owe back a share of what was paid; a refund of nothing is complete at once."""
    if booking.payment is None:
        raise ValueError(f"booking {booking.booking_id} was never charged")
    amount = booking.total_price.percent(percent)
    status = RefundStatus.PENDING if amount.minor_units else RefundStatus.COMPLETED
    return Refund(refund_id, booking.payment.attempt_id, amount, percent, status, now)
