"""A showtime that sells its seats: which booking has which seat, and the rules that decide.

Each command checks everything first and only then changes anything, so a refusal leaves no trace. Time and identifiers
come from outside, so a command can be applied again, to a fresh copy, with the same effect.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Concatenate, ParamSpec

from cinema_grpc.domain.booking import SEAT_KEEPING, Booking, BookingStatus, Reliance
from cinema_grpc.domain.booking_errors import AccessibleOnly, NotBookingOwner
from cinema_grpc.domain.cancellation import cancel
from cinema_grpc.domain.charging import with_payment_opened
from cinema_grpc.domain.claims import Owner
from cinema_grpc.domain.errors import BookingNotFound, SeatNotFound
from cinema_grpc.domain.gap_rule import CustomerView, check_hold, check_payment
from cinema_grpc.domain.terms import SeatBlock, SeatBlockKind, SeatGapPolicy, Terms, without_seats
from cinema_grpc.domain.unpaid_holds import UnpaidHolds

P = ParamSpec("P")


class SeatStatus(Enum):
    """AVAILABLE: it can be booked. HELD: it waits for a payment. SOLD: it is paid for. BLOCKED: the cinema keeps it."""

    AVAILABLE = "AVAILABLE"
    HELD = "HELD"
    SOLD = "SOLD"
    BLOCKED = "BLOCKED"


@dataclass(frozen=True, slots=True)
class Change:
    """A booking before and after the commands that touched it; `before` is None for a new one."""

    before: Booking | None
    after: Booking


class Showtime:
    """The seats of one showtime, the bookings that keep them, and the seats that the cinema keeps.

    Attributes:
        terms: The conditions under which it sells its seats.
        unpaid_holds: The holds that stand, and those that ended unpaid within an hour.
        terms_before: The terms before commands changed them, since the last `mark_stored`; None if none did.
    """

    def __init__(self, terms: Terms, bookings: Iterable[Booking] = ()) -> None:
        """Make it from at least every booking that keeps seats, or ended unpaid within an hour."""
        self._bookings: dict[str, Booking] = {}
        self._owners: dict[int, Booking] = {}
        self._blocks: dict[int, SeatBlock] = {}
        self._before: dict[str, Booking | None] = {}
        self._finished: set[str] = set()
        self.unpaid_holds = UnpaidHolds()
        self.terms_before: Terms | None = None
        self.restore_terms(terms)
        for booking in bookings:
            self.restore(booking)

    def copy(self) -> "Showtime":
        """Return an independent copy of the present state, with no record of changes."""
        copy = Showtime(self.terms)
        copy._bookings, copy._owners = self._bookings.copy(), self._owners.copy()
        copy._finished, copy.unpaid_holds = self._finished.copy(), self.unpaid_holds.copy()
        return copy

    def restore(self, booking: Booking) -> None:
        """Replace a booking by its stored state; `changes` does not list this."""
        older = self._bookings.get(booking.booking_id)
        if older is not None:
            self._remove(older)
        self._add(booking)

    def restore_terms(self, terms: Terms) -> None:
        """Replace the terms by their stored state; `terms_before` does not show this."""
        positions = terms.seat_plan.positions
        self.terms = terms
        self._blocks = {position: block for block in terms.blocks for position in positions(block.seats)}

    def __contains__(self, booking_id: str) -> bool:
        return booking_id in self._bookings

    def changes(self) -> list[Change]:
        """Return what commands changed since the last `mark_stored`, one net change for each booking."""
        return [Change(before, self._bookings[booking_id]) for booking_id, before in self._before.items()]

    def mark_stored(self) -> None:
        """Treat the changes as stored: forget them, and bookings that keep no seats."""
        self._before.clear()
        self.terms_before = None
        for booking_id in self._finished:
            del self._bookings[booking_id]
        self._finished.clear()

    @property
    def taken(self) -> int:
        """The number of seats that bookings and blocks keep.

        Those of a lapsed hold count until it is EXPIRED, those of a lapsed block until it is dropped.
        """
        return len(self._owners) + len(self._blocks)

    def seats(self, now: datetime) -> list[SeatStatus]:
        """Return the status of every seat, by position; seats of a lapsed hold or block are AVAILABLE."""
        states = [SeatStatus.AVAILABLE] * len(self.terms.seat_plan)
        for position, booking in self._owners.items():
            if not booking.lapsed(now):
                states[position] = SeatStatus.SOLD if booking.status is BookingStatus.CONFIRMED else SeatStatus.HELD
        for position, block in self._blocks.items():
            if not block.lapsed(now):
                states[position] = SeatStatus.BLOCKED
        return states

    def next_lapse(self, now: datetime) -> datetime | None:
        """Return when the next hold or block ends after `now`; None if there is none."""
        ends = [each.hold_expire_time for each in self._bookings.values() if each.status is BookingStatus.RESERVED]
        ends += [each.release_time for each in self.terms.blocks if each.release_time is not None]
        return min((each for each in ends if each > now), default=None)

    def ends(self) -> dict[int, datetime]:
        """Return when seats become free by themselves, by position: those of holds, and of blocks that are released.

        Lapsed ones are included.
        """
        ends = {
            position: booking.hold_expire_time
            for position, booking in self._owners.items()
            if booking.status is BookingStatus.RESERVED
        }
        for position, block in self._blocks.items():
            if block.release_time is not None:
                ends[position] = block.release_time
        return ends

    def bookings(self) -> list[Booking]:
        """Return the bookings that keep seats, including lapsed holds that are not yet EXPIRED."""
        return [each for each in self._bookings.values() if each.status in SEAT_KEEPING]

    def booking(self, booking_id: str, user_id: str | None = None) -> Booking:
        """Return a booking, of a user if one is given.

        Raises:
            BookingNotFound: The showtime has no such booking, or has not loaded it.
            NotBookingOwner: It belongs to someone else.
        """
        booking = self._bookings.get(booking_id)
        if booking is None:
            raise BookingNotFound(booking_id)
        if user_id is not None and booking.user_id != user_id:
            raise NotBookingOwner(booking_id)
        return booking

    def booking_of(self, seat: str) -> Booking | None:
        """Return the booking that keeps a seat; None if none does, or there is no such seat."""
        try:
            (position,) = self.terms.seat_plan.positions((seat,))
        except SeatNotFound:
            return None
        return self._owners.get(position)

    def owner_at(self, now: datetime, *, house_is_free: bool = False) -> Callable[[int], Owner | None]:
        """Return a function from a position to the booking or block that has it at `now`, or None.

        With `house_is_free`, seats of HOUSE blocks have no owner.
        """
        owner_of, block_of = self._owners.get, self._blocks.get

        def owner(position: int) -> Owner | None:
            booking = owner_of(position)
            if booking is not None:
                return None if booking.lapsed(now) else booking
            block = block_of(position)
            if block is None or block.lapsed(now) or (house_is_free and block.kind is SeatBlockKind.HOUSE):
                return None
            return block

        return owner

    def open_payment(self, booking_id: str, user_id: str, attempt_id: str, now: datetime, request: str = "") -> Booking:
        """Open an attempt to charge; the first one extends the hold to at least 2 minutes ahead.

        Raises:
            BookingNotFound, NotBookingOwner.
            ShowtimeCancelled, HoldExpired, BookingNotReserved, SalesClosed: See Booking.check_payable.
            PaymentInProgress: A charge is under way, of this booking or of one that the gap rule depends on.
            AccessibleOnly: The wheelchair space that it had was cancelled.
            GapLeftByPayment: It relied on bookings that are not paid for; see `gap_rule`.
        """
        booking = self.booking(booking_id, user_id)
        booking.check_payable(self.terms, now, request)
        plan = self.terms.seat_plan
        misused = plan.misused_spaces(plan.positions(booking.labels), wheelchair=booking.wheelchair)
        if companions := [plan.labels[position] for position in misused if position in plan.space_of]:
            raise AccessibleOnly(companions)
        if self.terms.seat_gap_policy is SeatGapPolicy.REFUSE:
            own = CustomerView(user_id, self.owner_at(now))
            check_payment(plan, booking, self._bookings.values(), own, now)
        return self.put(with_payment_opened(booking, attempt_id, now, request))

    def cancel(
        self, booking_id: str, user_id: str, refund_id: str, now: datetime, seats: Collection[str] = ()
    ) -> Booking:
        """Cancel a booking, or some of its seats: they are free, and the policy says how much is owed back.

        Raises:
            BookingNotFound, NotBookingOwner.
            BookingNotCancellable, SeatNotInBooking, TicketAlreadyRedeemed, PaymentInProgress: See cancellation.cancel.
        """
        booking = self.booking(booking_id, user_id)
        return self.put(cancel(booking, self.terms, seats, refund_id, now))

    def update(
        self,
        booking_id: str,
        step: Callable[Concatenate[Booking, P], Booking],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Booking:
        """Replace a booking by what `step` makes of it, and return that.

        Raises:
            BookingNotFound, and what `step` raises.
        """
        return self.put(step(self.booking(booking_id), *args, **kwargs))

    def expire(self, limit: int, now: datetime) -> int:
        """Set lapsed holds to EXPIRED, the longest lapsed first, at most `limit`, and drop all lapsed blocks.

        Returns:
            How many holds and blocks.
        """
        lapsed = [booking for booking in self._bookings.values() if booking.lapsed(now)]
        lapsed.sort(key=lambda booking: booking.hold_expire_time)
        for booking in lapsed[:limit]:
            self.put(booking.to(BookingStatus.EXPIRED))
        blocks = tuple(block for block in self.terms.blocks if not block.lapsed(now))
        dropped = len(self.terms.blocks) - len(blocks)
        if dropped:
            self.replace_terms(replace(self.terms, blocks=blocks))
        return len(lapsed[:limit]) + dropped

    def check_gaps(self, positions: Sequence[int], seats: CustomerView) -> tuple[Reliance, ...]:
        """Check that taking positions strands no single seat, if the showtime refuses that; see gap_rule.check_hold.

        Raises:
            SingleSeatGap.
        """
        if self.terms.seat_gap_policy is SeatGapPolicy.ALLOW:
            return ()
        return check_hold(self.terms.seat_plan, positions, seats)

    def vacate(self, positions: Sequence[int], keep: Booking | None = None) -> None:
        """Make positions free for a claim: end lapsed holds, except `keep`, and take the seats out of blocks."""
        for position in positions:
            lapsed = self._owners.get(position)
            if lapsed is not None and lapsed is not keep:
                self.put(lapsed.to(BookingStatus.EXPIRED))
        if self._blocks and any(position in self._blocks for position in positions):
            taken = {self.terms.seat_plan.labels[position] for position in positions}
            self.replace_terms(replace(self.terms, blocks=without_seats(self.terms.blocks, taken)))

    def replace_terms(self, terms: Terms) -> None:
        """Change the terms, and remember those before the first change."""
        if self.terms_before is None:
            self.terms_before = self.terms
        self.restore_terms(terms)

    def put(self, booking: Booking) -> Booking:
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
        self.unpaid_holds.add(booking)
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
            self.unpaid_holds.discard(booking)
