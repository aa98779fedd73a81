"""A showtime that sells its seats: which booking has which seat, and the rules that decide.

Each command checks everything first and only then changes anything, so a refusal leaves no trace. Time and identifiers
come from outside, so a command can be applied again, to a fresh copy, with the same effect.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from cinema_grpc.domain.booking import MAXIMUM_SEATS_A_BOOKING, SEAT_KEEPING, BookedSeat, Booking, BookingStatus, Ticket
from cinema_grpc.domain.booking_errors import NotBookingOwner, SalesClosed, SeatsUnavailable
from cinema_grpc.domain.errors import BookingNotFound, FieldViolation, InvalidRequest
from cinema_grpc.domain.gap_rule import OwnSeats, check_hold, check_payment
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.domain.unpaid_holds import HoldLimits, UnpaidHolds

NO_LIMITS = HoldLimits()


class SeatGapPolicy(Enum):
    """Whether a booking may strand a single seat."""

    ALLOW = "ALLOW"
    REFUSE = "REFUSE"


class SeatStatus(Enum):
    """AVAILABLE: it can be booked. HELD: it waits for a payment. SOLD: it is paid for."""

    AVAILABLE = "AVAILABLE"
    HELD = "HELD"
    SOLD = "SOLD"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a showtime sells its seats by; `seat_price` is the price of each seat."""

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
        """Make it from at least every booking that keeps seats, or ended unpaid within an hour."""
        self.terms = terms
        self._bookings: dict[str, Booking] = {}
        self._owners: dict[int, Booking] = {}
        self._before: dict[str, Booking | None] = {}
        self._finished: set[str] = set()
        self._unpaid_holds = UnpaidHolds()
        for booking in bookings:
            self.restore(booking)

    def copy(self) -> "Showtime":
        """Return an independent copy, without the changes that `mark_stored` has not forgotten yet."""
        copy = Showtime(self.terms)
        copy._bookings, copy._owners = self._bookings.copy(), self._owners.copy()
        copy._finished, copy._unpaid_holds = self._finished.copy(), self._unpaid_holds.copy()
        return copy

    def restore(self, booking: Booking) -> None:
        """Replace a booking by its stored state; `changes` does not list this."""
        older = self._bookings.get(booking.booking_id)
        if older is not None:
            self._remove(older)
        self._add(booking)

    def __contains__(self, booking_id: str) -> bool:
        return booking_id in self._bookings

    def changes(self) -> list[Change]:
        """Return what commands changed since the last `mark_stored`, one net change for each booking."""
        return [Change(before, self._bookings[booking_id]) for booking_id, before in self._before.items()]

    def mark_stored(self) -> None:
        """Treat the changes as stored: forget them, and bookings that keep no seats."""
        self._before.clear()
        for booking_id in self._finished:
            del self._bookings[booking_id]
        self._finished.clear()

    @property
    def taken(self) -> int:
        """The number of seats that bookings keep, including lapsed holds that are not yet EXPIRED."""
        return len(self._owners)

    def seats(self, now: datetime) -> list[SeatStatus]:
        """Return the status of every seat, by position; seats of a lapsed hold are AVAILABLE."""
        states = [SeatStatus.AVAILABLE] * len(self.terms.seat_plan)
        for position, booking in self._owners.items():
            if not booking.lapsed(now):
                states[position] = SeatStatus.SOLD if booking.status is BookingStatus.CONFIRMED else SeatStatus.HELD
        return states

    def next_lapse(self, now: datetime) -> datetime | None:
        """Return when the next hold ends after `now`; None if there is no hold."""
        reserved = (booking for booking in self._bookings.values() if booking.status is BookingStatus.RESERVED)
        return min((each.hold_expire_time for each in reserved if each.hold_expire_time > now), default=None)

    def booking(self, booking_id: str, user_id: str) -> Booking:
        """Return a booking of a user.

        Raises:
            BookingNotFound: The showtime has no such booking, or has not loaded it.
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
        """Hold all of the seats for a customer for `hold_for`, or until the showtime starts if that is sooner.

        A lapsed hold that keeps one of the seats becomes EXPIRED and loses all of its seats. `held_elsewhere` is
        the number of seats that the customer has on hold in other showtimes.

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
        plan = self.terms.seat_plan
        positions = plan.positions(seats)
        owner = self._owner_at(now)
        unavailable = [plan.labels[position] for position in positions if owner(position) is not None]
        if unavailable:
            raise SeatsUnavailable(unavailable)
        self._unpaid_holds.check(user_id, len(seats), held_elsewhere, limits, now)
        refuse_gaps = self.terms.seat_gap_policy is SeatGapPolicy.REFUSE
        relied_on = check_hold(plan, positions, OwnSeats(user_id, owner)) if refuse_gaps else ()

        for position in positions:
            lapsed = self._owners.get(position)
            if lapsed is not None:
                self._put(lapsed.to(BookingStatus.EXPIRED))
        return self._put(
            Booking(
                booking_id=booking_id,
                user_id=user_id,
                showtime_id=self.terms.showtime_id,
                seats=tuple(BookedSeat(plan.labels[position], self.terms.seat_price) for position in positions),
                status=BookingStatus.RESERVED,
                create_time=now,
                hold_expire_time=min(now + hold_for, self.terms.start_time),
                relied_on=relied_on,
            )
        )

    def open_payment(self, booking_id: str, user_id: str, attempt_id: str, now: datetime, request: str = "") -> Booking:
        """Open an attempt to charge; the first one extends the hold to at least 2 minutes ahead.

        Raises:
            BookingNotFound, NotBookingOwner.
            HoldExpired, BookingNotReserved, SalesClosed: See Booking.check_payable.
            PaymentInProgress: A charge is under way, of this booking or of one that the gap rule depends on.
            GapLeftByPayment: It relied on bookings that are not paid for; see `gap_rule`.
        """
        booking = self.booking(booking_id, user_id)
        booking.check_payable(self.terms.start_time, now, request)
        if self.terms.seat_gap_policy is SeatGapPolicy.REFUSE:
            own = OwnSeats(user_id, self._owner_at(now))
            check_payment(self.terms.seat_plan, booking, self._bookings.values(), own, now)
        return self._put(booking.with_payment_opened(attempt_id, now, request))

    def settle_charge(
        self, booking_id: str, attempt_id: str, tickets: Sequence[Ticket], refund_id: str, now: datetime
    ) -> Booking:
        """Record that the money was taken; doing so again changes nothing.

        The booking is CONFIRMED, or EXPIRED with all of the money owed back if its hold has lapsed.

        Raises:
            HoldExpired, BookingNotReserved, SalesClosed, PaymentInProgress: The attempt was called off, and the
                provider gives the money back.
        """
        booking = self._bookings[booking_id]
        start_time = self.terms.start_time
        return self._put(booking.with_charge_settled(attempt_id, tickets, refund_id, start_time, now))

    def settle_decline(self, booking_id: str, attempt_id: str) -> Booking:
        """Record that an open attempt took no money; the booking stays RESERVED. Doing so again changes nothing."""
        return self._put(self._bookings[booking_id].with_decline_settled(attempt_id))

    def begin_void(self, booking_id: str, attempt_id: str) -> Booking:
        """Call an open attempt off: from now on it can't confirm the booking.

        This comes before the provider is asked to void it. Otherwise a slow process could confirm the booking with
        money that the provider has just given back.
        """
        return self._put(self._bookings[booking_id].with_void_begun(attempt_id))

    def settle_void(
        self, booking_id: str, attempt_id: str, refund_id: str, now: datetime, *, given_back: bool
    ) -> Booking:
        """Record that the provider has voided an attempt; doing so again changes nothing.

        The booking can be paid for again. If its hold has lapsed, money that was given back shows as a charge with its
        refund.
        """
        booking = self._bookings[booking_id]
        return self._put(booking.with_void_settled(attempt_id, refund_id, now, given_back=given_back))

    def cancel(self, booking_id: str, user_id: str, refund_id: str, now: datetime) -> Booking:
        """Cancel a booking: its seats are free, and the policy says how much of the price is owed back.

        Raises:
            BookingNotFound, NotBookingOwner, BookingNotCancellable.
            PaymentInProgress: A charge is under way.
        """
        return self._put(self.booking(booking_id, user_id).cancelled(refund_id, self.terms.start_time, now))

    def settle_refund(self, booking_id: str, refund_id: str, status: RefundStatus) -> Booking:
        """Record that the provider paid a refund, or never will; doing so again changes nothing."""
        return self._put(self._bookings[booking_id].with_refund_settled(refund_id, status))

    def expire(self, limit: int, now: datetime) -> int:
        """Set lapsed holds to EXPIRED, the longest lapsed first, at most `limit`; return how many."""
        lapsed = [booking for booking in self._bookings.values() if booking.lapsed(now)]
        lapsed.sort(key=lambda booking: booking.hold_expire_time)
        for booking in lapsed[:limit]:
            self._put(booking.to(BookingStatus.EXPIRED))
        return len(lapsed[:limit])

    def _owner_at(self, now: datetime) -> Callable[[int], Booking | None]:
        """Return a function from a position to the booking that has it at `now`, or None."""
        owner_of = self._owners.get

        def owner(position: int) -> Booking | None:
            booking = owner_of(position)
            return None if booking is None or booking.lapsed(now) else booking

        return owner

    def _put(self, booking: Booking) -> Booking:
        """Replace a booking by its next state, and remember the state before the first change."""
        older = self._bookings.get(booking.booking_id)
        if older is booking:
            return booking
        self._before.setdefault(booking.booking_id, older)
        if older is not None:
            self._remove(older)
        self._add(booking)
        return booking

    def _add(self, booking: Booking) -> None:
        self._bookings[booking.booking_id] = booking
        self._unpaid_holds.add(booking)
        if booking.status in SEAT_KEEPING:
            for position in self.terms.seat_plan.positions(booking.labels):
                self._owners[position] = booking
        else:
            self._finished.add(booking.booking_id)

    def _remove(self, booking: Booking) -> None:
        if booking.status in SEAT_KEEPING:
            for position in self.terms.seat_plan.positions(booking.labels):
                if self._owners.get(position) is booking:
                    del self._owners[position]
        if booking.status is BookingStatus.RESERVED:
            self._unpaid_holds.discard(booking)
