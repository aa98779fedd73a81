"""What customers do with their bookings."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import uuid_utils

from cinema_grpc.application.batch import HeldElsewhere
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.once import Once
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.ports import BookingReader, FoundBooking, FoundBookings
from cinema_grpc.domain.booking import Booking, BookingStatus, CancellationQuote
from cinema_grpc.domain.booking_errors import NotBookingOwner
from cinema_grpc.domain.errors import BookingNotFound
from cinema_grpc.domain.showtime import NO_LIMITS
from cinema_grpc.domain.unpaid_holds import HoldLimits

BOOKINGS_AT_HAND = 20_000
"""Of how many bookings, those made last, it is kept in memory at most to which showtime they belong: 150 bytes each."""


class Bookings:
    """Holds seats, sells them and takes them back, each booking for its owner alone."""

    def __init__(
        self,
        box_office: BoxOffice,
        reader: BookingReader,
        payments: Payments,
        hold_for: timedelta,
        refund_owed: Callable[[Booking], None],
        limits: HoldLimits = NO_LIMITS,
    ) -> None:
        """Set up.

        Args:
            box_office: Decides who gets which seat.
            reader: Reads bookings.
            payments: Takes payments.
            hold_for: How long a new booking holds its seats.
            refund_owed: Told of a booking whose refund was written down, so that it is paid soon.
            limits: What one customer may hold.
        """
        self._box_office = box_office
        self._reader = reader
        self._payments = payments
        self._hold_for = hold_for
        self._refund_owed = refund_owed
        self._limits = limits
        self._showtime_ids: dict[str, str] = {}
        self._older_showtime_ids: dict[str, str] = {}

    async def create(
        self,
        user_id: str,
        showtime_id: str,
        seats: Sequence[str],
        once: Once[Booking] | None,
        write: Callable[[Booking], None] | None = None,
    ) -> Booking:
        """Hold seats; for `write` see BoxOffice.execute.

        Raises:
            ShowtimeNotFound, and what Showtime.hold refuses.
        """
        booking_id = str(uuid_utils.uuid7())
        limits, elsewhere = self._limits, HeldElsewhere(user_id)
        booking = await self._box_office.execute(
            showtime_id,
            lambda showtime, now: showtime.hold(
                booking_id, user_id, seats, self._hold_for, now, limits, elsewhere.seats
            ),
            caller=user_id,
            once=once,
            write=write,
            held_elsewhere=elsewhere if limits.seats else None,
        )
        self._remember(booking)
        return booking

    async def get(self, user_id: str, booking_id: str) -> Booking:
        """Read a booking as it is now.

        Raises:
            BookingNotFound, NotBookingOwner.
        """
        found = await self._find(user_id, booking_id)
        return found.booking.as_of(found.now)

    async def list(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> FoundBookings:
        """Read a user's bookings as they are now, newest first, from the one after `after` on."""
        return await self._reader.of_user(user_id, showtime_id, status, after, limit)

    async def confirm(self, user_id: str, booking_id: str, payment_token: str, once: Once[Booking] | None) -> Booking:
        """Charge a booking and confirm it.

        Raises:
            BookingNotFound, NotBookingOwner, and what Payments.confirm raises.
        """
        showtime_id = await self._showtime_of(booking_id)
        return await self._payments.confirm(showtime_id, booking_id, user_id, payment_token, once)

    async def quote(self, user_id: str, booking_id: str) -> CancellationQuote:
        """Tell what cancelling a booking now would pay back.

        Raises:
            BookingNotFound, NotBookingOwner, BookingNotCancellable.
        """
        found = await self._find(user_id, booking_id)
        return found.booking.quote(found.start_time, found.now)

    async def cancel(
        self,
        user_id: str,
        booking_id: str,
        once: Once[Booking] | None,
        write: Callable[[Booking], None] | None = None,
    ) -> Booking:
        """Give a booking up; for `write` see BoxOffice.execute.

        Raises:
            BookingNotFound, NotBookingOwner, BookingNotCancellable, PaymentInProgress.
        """
        showtime_id = await self._showtime_of(booking_id)
        refund_id = str(uuid_utils.uuid7())
        cancelled = await self._box_office.execute(
            showtime_id,
            lambda showtime, now: showtime.cancel(booking_id, user_id, refund_id, now),
            caller=user_id,
            booking_id=booking_id,
            once=once,
            write=write,
        )
        if cancelled.refund is not None and cancelled.refund.refund_id == refund_id:  # or else an earlier call made it
            self._refund_owed(cancelled)
        return cancelled

    async def _find(self, user_id: str, booking_id: str) -> FoundBooking:
        found = await self._reader.find(booking_id)
        if found is None:
            raise BookingNotFound(booking_id)
        if found.booking.user_id != user_id:
            raise NotBookingOwner(booking_id)
        return found

    async def _showtime_of(self, booking_id: str) -> str:
        """Tell to which showtime a booking belongs, which never changes; the box office checks whose it is.

        Raises:
            BookingNotFound.
        """
        at_hand = self._showtime_ids.get(booking_id) or self._older_showtime_ids.get(booking_id)
        showtime_id = at_hand or await self._reader.showtime_of(booking_id)
        if showtime_id is None:
            raise BookingNotFound(booking_id)
        return showtime_id

    def _remember(self, booking: Booking) -> None:
        if len(self._showtime_ids) >= BOOKINGS_AT_HAND // 2:
            self._showtime_ids, self._older_showtime_ids = {}, self._showtime_ids
        self._showtime_ids[booking.booking_id] = booking.showtime_id
