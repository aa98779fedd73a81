"""What staff do for customers at the counter: sell seats, and void bookings."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

import uuid_utils

from cinema_grpc.application.bookings import Bookings, Encode
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.tickets import TicketIssuer
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.cancellation import UnitRule, any_amount, void
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.counter import sell
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.staff_errors import UserNotFound
from cinema_grpc.domain.text import clean


@dataclass(frozen=True, slots=True)
class CounterSale:
    """What staff sell.

    Attributes:
        customer: The user_id of the customer; "" if the booking is the seller's.
        allow_gap: Whether it may strand single seats.
        use_house_seats: Whether seats of HOUSE blocks count as free.
        reason: Needed with COMPLIMENTARY, `allow_gap` and `use_house_seats`; else it may be "".
    """

    selection: Selection
    tender: Tender
    customer: str = ""
    allow_gap: bool = False
    use_house_seats: bool = False
    reason: str = ""


def reason_violations(
    reason: str, *, complimentary: bool, allow_gap: bool, use_house_seats: bool
) -> list[FieldViolation]:
    """Return a violation if a sale needs a reason and has none."""
    asked = {"tender COMPLIMENTARY": complimentary, "allow_gap": allow_gap, "use_house_seats": use_house_seats}
    needed = [name for name, is_asked in asked.items() if is_asked]
    if not needed or reason.strip():
        return []
    return [FieldViolation("reason", "must say why, with " + " and ".join(needed))]


class Counter:
    """Sells seats, and voids bookings."""

    def __init__(
        self,
        box_office: BoxOffice,
        bookings: Bookings,
        find_user: Callable[[str], Awaitable[User | None]],
        issuer: TicketIssuer,
        unit_of: UnitRule = any_amount,
    ) -> None:
        """Set up.

        Args:
            box_office: Makes changes.
            bookings: Knows the showtimes of bookings.
            find_user: Returns a user by identifier, or None.
            issuer: Issues the tickets of what is sold.
            unit_of: The unit rule of the payment provider, which pays the refunds of online bookings.
        """
        self._box_office = box_office
        self._bookings = bookings
        self._find_user = find_user
        self._issuer = issuer
        self._unit_of = unit_of

    async def sell(
        self, seller: str, showtime_id: str, wanted: CounterSale, call: IdempotentCall | None, encode: Encode
    ) -> bytes:
        """Sell seats, and return the response, or the stored one for a repeated call.

        Raises:
            InvalidRequest: A reason is missing.
            UserNotFound: There is no such customer.
            ShowtimeNotFound, and what counter.sell of the domain raises.
        """
        if violations := reason_violations(
            wanted.reason,
            complimentary=wanted.tender is Tender.COMPLIMENTARY,
            allow_gap=wanted.allow_gap,
            use_house_seats=wanted.use_house_seats,
        ):
            raise InvalidRequest(*violations)
        if wanted.customer:
            customer = await self._find_user(wanted.customer)
            if customer is None or customer.role is Role.SERVICE:  # a program books nothing
                raise UserNotFound(wanted.customer)
        booking_id, owner = str(uuid_utils.uuid7()), wanted.customer or seller
        sale = Sale(wanted.tender, seller, clean(wanted.reason))
        issue = self._issuer.begin()

        def change(decision: Decision) -> bytes:
            booking = sell(
                decision.showtime,
                booking_id,
                owner,
                wanted.selection,
                sale,
                issue,
                decision.now,
                allow_gap=wanted.allow_gap,
                use_house_seats=wanted.use_house_seats,
            )
            return encode(booking)

        return await self._box_office.execute(Command(showtime_id, change, caller=seller, idempotency=call))

    async def void(
        self,
        staff: str,
        booking_id: str,
        seats: Collection[str],
        percent: int,
        reason: str,
        call: IdempotentCall | None,
        encode: Encode,
    ) -> bytes:
        """Cancel seats of any booking, or all, and refund a percent of their price.

        Returns:
            The response, or the stored one for a repeated call.

        Raises:
            BookingNotFound, and what cancellation.void raises.
        """
        showtime_id = await self._bookings.showtime_of(booking_id)
        refund_id, why = str(uuid_utils.uuid7()), clean(reason)

        def change(decision: Decision) -> bytes:
            showtime, now = decision.showtime, decision.now
            booking = showtime.update(
                booking_id, void, showtime.terms, seats, percent, why, refund_id, now, self._unit_of
            )
            return encode(booking)

        command = Command(showtime_id, change, caller=staff, booking_id=booking_id, idempotency=call)
        return await self._box_office.execute(command)
