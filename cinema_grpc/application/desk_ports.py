"""Ports of the desk: protocols that the adapters implement.

Every method raises StorageUnavailable if the database can't be reached, and Overloaded if the call would wait too long.
"""

from dataclasses import dataclass
from typing import Protocol

from cinema_grpc.application.ports import Page
from cinema_grpc.domain.account import User
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.payment import Refund, RefundStatus
from cinema_grpc.domain.sale import Sale


@dataclass(frozen=True, slots=True)
class CustomerBooking:
    """A booking as it is now, and its customer."""

    booking: Booking
    customer: User


@dataclass(frozen=True, slots=True)
class ListedRefund:
    """A refund, and what it is of; `sale` is None if the booking was sold online."""

    refund: Refund
    booking_id: str
    showtime_id: str
    user_id: str
    sale: Sale | None


class DeskReader(Protocol):
    """Reads bookings of any customer."""

    async def by_id(self, booking_id: str) -> CustomerBooking | None:
        """Return a booking, or None."""
        ...

    async def by_ticket(self, code: str) -> CustomerBooking | None:
        """Return the booking of a ticket, or None."""
        ...

    async def of_showtime(
        self, showtime_id: str, seat: str, status: BookingStatus | None, after: str, limit: int
    ) -> Page[CustomerBooking]:
        """Return a showtime's bookings, newest first.

        Args:
            showtime_id: The showtime.
            seat: With this seat alone, cancelled or not; "" for all.
            status: With this status now alone; None for all.
            after: Begin after this booking_id; "" for the newest.
            limit: The maximum number of bookings.
        """
        ...


class RefundReader(Protocol):
    """Reads refunds."""

    async def booking_of(self, refund_id: str) -> tuple[str, str] | None:
        """Return the showtime_id and the booking_id of a refund, or None."""
        ...

    async def page(self, showtime_id: str, status: RefundStatus | None, after: str, limit: int) -> Page[ListedRefund]:
        """Return refunds, newest first.

        Args:
            showtime_id: Of this showtime alone; "" for all.
            status: With this status alone; None for all.
            after: Begin after this refund_id; "" for the newest.
            limit: The maximum number of refunds.
        """
        ...
