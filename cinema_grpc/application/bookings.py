"""What customers do with their bookings."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import timedelta

import uuid_utils

from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.box_office.store import ShowtimeUpdate
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.ports import BookingReader, FoundBooking, Page
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import NotBookingOwner
from cinema_grpc.domain.cancellation import CancellationQuote, quote
from cinema_grpc.domain.claims import BestSeats, Selection
from cinema_grpc.domain.errors import BookingNotFound
from cinema_grpc.domain.holds import NO_LIMITS, change_seats, hold, renewed
from cinema_grpc.domain.unpaid_holds import HoldLimits

CACHED_SHOWTIME_IDS = 20_000
"""For how many of the latest bookings their showtime is cached, at most: 150 bytes each."""

Encode = Callable[[Booking], bytes]
"""Returns the serialized response for a booking."""


class Bookings:
    """Holds, sells and returns seats; each booking is for its owner alone."""

    def __init__(
        self,
        box_office: BoxOffice,
        reader: BookingReader,
        payments: Payments,
        hold_for: timedelta,
        limits: HoldLimits = NO_LIMITS,
    ) -> None:
        """Set up.

        Args:
            box_office: Decides who gets which seat.
            reader: Reads bookings.
            payments: Takes payments.
            hold_for: How long a new booking holds its seats.
            limits: What one customer may hold.
        """
        self._box_office = box_office
        self._reader = reader
        self._payments = payments
        self._hold_for = hold_for
        self._limits = limits
        self._showtime_ids: dict[str, str] = {}
        self._older_showtime_ids: dict[str, str] = {}

    async def create(
        self,
        user_id: str,
        showtime_id: str,
        selection: Selection | BestSeats,
        call: IdempotentCall | None,
        encode: Encode,
    ) -> bytes:
        """Hold seats, and return the response, or the stored one for a repeated call.

        Raises:
            ShowtimeNotFound, and what holds.hold raises.
        """
        booking_id = str(uuid_utils.uuid7())

        def change(decision: Decision) -> bytes:
            showtime, now, elsewhere = decision.showtime, decision.now, decision.seats_held_elsewhere(user_id)
            return encode(hold(showtime, booking_id, user_id, selection, self._hold_for, now, self._limits, elsewhere))

        command = Command(showtime_id, change, caller=user_id, account=self._account(user_id), idempotency=call)
        return await self._box_office.execute(command)

    async def update_hold(
        self,
        user_id: str,
        booking_id: str,
        selection: Selection | None,
        call: IdempotentCall | None,
        encode: Encode,
        *,
        extend: bool,
    ) -> bytes:
        """Replace the seats of a hold if there is a `selection`, and extend it if asked; both or none.

        Returns:
            The response, or the stored one for a repeated call.

        Raises:
            BookingNotFound, and what holds.change_seats and holds.renewed raise.
        """
        showtime_id = await self.showtime_of(booking_id)

        def change(decision: Decision) -> bytes:
            showtime, now = decision.showtime, decision.now
            booking = showtime.booking(booking_id, user_id)
            booking.check_payable(showtime.terms, now)
            longer = renewed(booking, showtime.terms, self._hold_for, now) if extend else booking
            moves = longer is not booking
            if selection is not None:
                elsewhere = decision.seats_held_elsewhere(user_id)
                booking = change_seats(showtime, booking_id, user_id, selection, now, self._limits, elsewhere)
            if moves:
                end = longer.hold_expire_time
                booking = showtime.put(replace(booking, hold_expire_time=end, hold_renewed=longer.hold_renewed))
            return encode(booking)

        command = Command(
            showtime_id,
            change,
            caller=user_id,
            booking_id=booking_id,
            account=self._account(user_id),
            idempotency=call,
        )
        return await self._box_office.execute(command)

    async def get(self, user_id: str, booking_id: str) -> Booking:
        """Return a booking as it is now.

        Raises:
            BookingNotFound, NotBookingOwner.
        """
        found = await self._find(user_id, booking_id)
        return found.booking.as_of(found.now)

    async def list(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> Page[Booking]:
        """Return a user's bookings as they are now, newest first, from the one after `after` on."""
        return await self._reader.of_user(user_id, showtime_id, status, after, limit)

    async def confirm(self, user_id: str, booking_id: str, payment_token: str, call: IdempotentCall | None) -> bytes:
        """Charge a booking, confirm it, and return the response, or the stored one for a repeated call.

        Raises:
            BookingNotFound, NotBookingOwner, and what Payments.confirm raises.
        """
        showtime_id = await self.showtime_of(booking_id)
        return await self._payments.confirm(showtime_id, booking_id, user_id, payment_token, call)

    async def quote(self, user_id: str, booking_id: str, seats: Collection[str] = ()) -> CancellationQuote:
        """Return what cancelling some seats of a booking now, or all, would pay back.

        Raises:
            BookingNotFound, NotBookingOwner, and what cancellation.quote raises.
        """
        found = await self._find(user_id, booking_id)
        return quote(found.booking, found.start_time, found.moves, seats, found.now)

    async def cancel(
        self,
        user_id: str,
        booking_id: str,
        call: IdempotentCall | None,
        encode: Encode,
        seats: Collection[str] = (),
    ) -> bytes:
        """Cancel some seats of a booking, or all, and return the response, or the stored one for a repeated call.

        Raises:
            BookingNotFound, and what Showtime.cancel raises.
        """
        showtime_id = await self.showtime_of(booking_id)
        refund_id = str(uuid_utils.uuid7())

        def change(decision: Decision) -> bytes:
            return encode(decision.showtime.cancel(booking_id, user_id, refund_id, decision.now, seats))

        command = Command(showtime_id, change, caller=user_id, booking_id=booking_id, idempotency=call)
        return await self._box_office.execute(command)

    def note_commit(self, updates: Sequence[ShowtimeUpdate]) -> None:
        """Cache the showtimes of new bookings, so that paying and cancelling need not look them up."""
        if len(self._showtime_ids) >= CACHED_SHOWTIME_IDS // 2:
            self._showtime_ids, self._older_showtime_ids = {}, self._showtime_ids
        for update in updates:
            for change in update.changes:
                if change.before is None:
                    self._showtime_ids[change.after.booking_id] = update.showtime_id

    def _account(self, user_id: str) -> str:
        return user_id if self._limits.seats else ""

    async def _find(self, user_id: str, booking_id: str) -> FoundBooking:
        found = await self._reader.find(booking_id)
        if found is None:
            raise BookingNotFound(booking_id)
        if found.booking.user_id != user_id:
            raise NotBookingOwner(booking_id)
        return found

    async def showtime_of(self, booking_id: str) -> str:
        """Return the showtime of a booking, which never changes; the box office checks the owner.

        Raises:
            BookingNotFound.
        """
        cached = self._showtime_ids.get(booking_id) or self._older_showtime_ids.get(booking_id)
        showtime_id = cached or await self._reader.showtime_of(booking_id)
        if showtime_id is None:
            raise BookingNotFound(booking_id)
        return showtime_id
