"""What staff do for customers who ask: find their bookings, and pay refunds by hand."""

from collections.abc import Callable
from dataclasses import dataclass

from cinema_grpc.application.account_ports import AccountStore
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.desk_ports import (
    CustomerBooking,
    DeskReader,
    ListedRefund,
    RefundReader,
)
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.ports import BookingReader, Page
from cinema_grpc.domain.account import User
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.charging import find_refund
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.payment import RefundStatus, Settlement
from cinema_grpc.domain.settlement import with_refund_settled_by_hand
from cinema_grpc.domain.staff_errors import RefundNotFound
from cinema_grpc.domain.text import clean

CRITERIA = ("booking_id", "ticket_code", "username", "email", "showtime_id")

Encode = Callable[[ListedRefund], bytes]
"""Returns the serialized response for a refund."""


@dataclass(frozen=True, slots=True)
class BookingSearch:
    """What to find bookings by: exactly one of CRITERIA; "" for the others.

    Attributes:
        seat: With showtime_id, bookings with this seat alone; "" for all.
        status: Bookings with this status now alone; None for all.
    """

    booking_id: str = ""
    ticket_code: str = ""
    username: str = ""
    email: str = ""
    showtime_id: str = ""
    seat: str = ""
    status: BookingStatus | None = None

    @property
    def criterion(self) -> str:
        """The name of the criterion.

        Raises:
            InvalidRequest: There is none, or more than one; or a seat without a showtime.
        """
        given = [name for name in CRITERIA if getattr(self, name)]
        violations = []
        if len(given) != 1:
            problem = f"exactly one of {', '.join(CRITERIA)} must be set, not {len(given)}"
            violations += [FieldViolation(name, problem) for name in given or CRITERIA]
        if self.seat and not self.showtime_id:
            violations.append(FieldViolation("seat", "can only be set with showtime_id"))
        if violations:
            raise InvalidRequest(*violations)
        return given[0]


class Desk:
    """Finds bookings of any customer, lists refunds, and settles those that are paid by hand."""

    def __init__(
        self,
        box_office: BoxOffice,
        bookings: BookingReader,
        reader: DeskReader,
        refunds: RefundReader,
        accounts: AccountStore,
    ) -> None:
        """Set up.

        Args:
            box_office: Settles refunds.
            bookings: Reads a customer's bookings.
            reader: Reads bookings in other ways.
            refunds: Reads refunds.
            accounts: Finds customers.
        """
        self._box_office = box_office
        self._bookings = bookings
        self._reader = reader
        self._refunds = refunds
        self._accounts = accounts

    async def find_bookings(self, search: BookingSearch, after: str, limit: int) -> Page[CustomerBooking]:
        """Return bookings as they are now, newest first, from the one after `after` on ("" for the newest).

        Raises:
            InvalidRequest: See BookingSearch.criterion.
        """
        match search.criterion:
            case "showtime_id":
                return await self._reader.of_showtime(search.showtime_id, search.seat, search.status, after, limit)
            case "booking_id":
                return _single(await self._reader.by_id(search.booking_id), search.status, after)
            case "ticket_code":
                return _single(await self._reader.by_ticket(search.ticket_code), search.status, after)
            case "username":
                found = await self._accounts.find_by_username(search.username)
                return await self._of_customer(found and found[0], search.status, after, limit)
        return await self._of_customer(await self._accounts.find_by_email(search.email), search.status, after, limit)

    async def list_refunds(
        self, showtime_id: str, status: RefundStatus | None, after: str, limit: int
    ) -> Page[ListedRefund]:
        """Return refunds, newest first, from the one after `after` on ("" for the newest)."""
        return await self._refunds.page(showtime_id, status, after, limit)

    async def settle_refund(
        self, user_id: str, refund_id: str, note: str, call: IdempotentCall | None, encode: Encode
    ) -> bytes:
        """Record that a user paid a refund by hand, and return the response, or the stored one for a repeated call.

        Raises:
            RefundNotFound, RefundNotOpen.
        """
        found = await self._refunds.booking_of(refund_id)
        if found is None:
            raise RefundNotFound(refund_id)
        showtime_id, booking_id = found

        def settle(decision: Decision) -> bytes:
            settlement = Settlement(user_id, decision.now, clean(note))
            booking = decision.showtime.update(booking_id, with_refund_settled_by_hand, refund_id, settlement)
            refund = find_refund(booking, refund_id)
            assert refund is not None  # noqa: S101 (for mypy: it was just settled)
            return encode(ListedRefund(refund, booking_id, showtime_id, booking.user_id, booking.sale))

        command = Command(showtime_id, settle, caller=user_id, booking_id=booking_id, idempotency=call)
        return await self._box_office.execute(command)

    async def _of_customer(
        self, customer: User | None, status: BookingStatus | None, after: str, limit: int
    ) -> Page[CustomerBooking]:
        if customer is None:
            return Page(())
        found = await self._bookings.of_user(customer.user_id, "", status, after, limit)
        return Page([CustomerBooking(each, customer) for each in found.entries], found.end)


def _single(found: CustomerBooking | None, status: BookingStatus | None, after: str) -> Page[CustomerBooking]:
    is_listed = (
        found is not None and status in {None, found.booking.status} and (not after or found.booking.booking_id < after)
    )
    return Page([found] if found is not None and is_listed else ())
