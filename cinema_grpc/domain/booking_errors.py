"""The errors of booking seats, of paying for bookings and of cancelling them."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cinema_grpc.domain.errors import CinemaError, ErrorKind, Quota, SeatNotFound

GENERIC_DECLINE = "generic_decline"
"""The decline_code of a payment whose provider gives no reason, or one that the customer may not be told."""


class NotBookingOwner(CinemaError):
    """The booking belongs to another account."""

    kind = ErrorKind.FORBIDDEN
    reason = "NOT_BOOKING_OWNER"
    template = "booking {booking_id} belongs to another account"

    def __init__(self, booking_id: str) -> None:
        super().__init__(booking_id=booking_id)


class SeatNotInBooking(SeatNotFound):
    """The booking does not keep these seats."""

    template = "booking {booking_id} does not keep these seats: {seats}"

    def __init__(self, booking_id: str, seats: Sequence[str]) -> None:
        CinemaError.__init__(self, booking_id=booking_id, seats=seats)


class TicketTypeNotOffered(CinemaError):
    """The seats' categories have no price for the ticket types that were asked for."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "TICKET_TYPE_NOT_OFFERED", "seats"
    template = "there is no price for {seats} with ticket type {ticket_types}; see the showtime's prices"

    def __init__(self, seats: Sequence[str], ticket_types: Sequence[str]) -> None:
        super().__init__(seats=seats, ticket_types=ticket_types)


class NoCategoryOffers(TicketTypeNotOffered):
    """No category that a party may have has a price for each of its ticket types."""

    subject = "ticket_types"
    template = "no category of seats has a price for each of {ticket_types}; see the showtime's prices"

    def __init__(self, ticket_types: Sequence[str]) -> None:
        CinemaError.__init__(self, ticket_types=ticket_types)


class SeatsUnavailable(CinemaError):
    """Some of the seats are held, sold or blocked."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "SEATS_UNAVAILABLE", "seats"
    template = "these seats are taken: {seats}; choose others"

    def __init__(self, seats: Sequence[str], **others: Sequence[str]) -> None:
        super().__init__(seats=seats, **others)
        self.seats = seats


class HouseSeatsUnavailable(SeatsUnavailable):
    """Some of the seats that staff want to sell are in HOUSE blocks, which they may sell too; others may be taken."""

    template = (
        "these seats are taken: {seats}; to sell those that the cinema keeps for itself, {house_seats}, set "
        "use_house_seats and a reason"
    )

    def __init__(self, seats: Sequence[str], house_seats: Sequence[str]) -> None:
        super().__init__(seats, house_seats=house_seats)


class NoSeatsTogether(CinemaError):
    """There are no seats for the party that asks for the best ones."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "NO_SEATS_TOGETHER", "showtime_id"
    template = (
        "showtime {showtime_id} has no seats for a party of {party_size} as requested; "
        "the largest one that fits side by side is of {largest_group}"
    )

    def __init__(self, showtime_id: str, party_size: int, largest_group: int) -> None:
        super().__init__(showtime_id=showtime_id, party_size=party_size, largest_group=largest_group)


class AccessibleOnly(CinemaError):
    """Wheelchair spaces and companion seats need a booking with `wheelchair`, and companion seats their own space."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "ACCESSIBLE_ONLY", "seats"
    template = (
        "{seats} can't be booked like this: a booking with wheelchair takes at least one wheelchair space, and "
        "companion seats only with their own space; a booking without wheelchair takes neither"
    )

    def __init__(self, seats: Sequence[str]) -> None:
        super().__init__(seats=seats)


class SingleSeatGap(CinemaError):
    """The booking would strand single seats."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "SINGLE_SEAT_GAP", "stranded_seats"
    template = (
        "the booking would leave {stranded_seats} free without a free seat beside; "
        "choose seats that leave two or more side by side, or none"
    )

    def __init__(self, stranded: Sequence[str], booking_id: str | None = None) -> None:
        super().__init__(booking_id=booking_id, stranded_seats=stranded)


class GapLeftByPayment(SingleSeatGap):
    """Paying for the booking would strand single seats, because an adjacent booking of the customer is not paid for."""

    template = (
        "paying for booking {booking_id} would leave {stranded_seats} free without a free seat beside, because the "
        "booking was made next to another unpaid booking of yours; pay for {stranded_seats} first, or cancel this "
        "booking and choose other seats"
    )

    def __init__(self, booking_id: str, stranded: Sequence[str]) -> None:
        super().__init__(stranded, booking_id)


class SalesClosed(CinemaError):
    """The showtime has started."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "SALES_CLOSED", "showtime_id"
    template = "sales for showtime {showtime_id} closed when it started, at {start_time}"

    def __init__(self, showtime_id: str, start_time: datetime) -> None:
        super().__init__(showtime_id=showtime_id, start_time=start_time)


class ShowtimeCancelled(CinemaError):
    """The showtime was cancelled."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "SHOWTIME_CANCELLED", "showtime_id"
    template = "showtime {showtime_id} was cancelled"
    template_if_charged = "showtime {showtime_id} was cancelled before the charge succeeded, and the charge is refunded"

    def __init__(self, showtime_id: str, *, charged: bool = False) -> None:
        if charged:
            self.template = self.template_if_charged
        super().__init__(showtime_id=showtime_id, charged="true" if charged else None)


class ShowtimeEnded(CinemaError):
    """The showtime has ended."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "SHOWTIME_ENDED", "showtime_id"
    template = "showtime {showtime_id} ended at {end_time}"

    def __init__(self, showtime_id: str, end_time: datetime) -> None:
        super().__init__(showtime_id=showtime_id, end_time=end_time)


class ShowtimeChanged(CinemaError):
    """The showtime has another revision than the caller expects, or a hold has ended and is not EXPIRED yet."""

    kind = ErrorKind.CONFLICT
    reason = "SHOWTIME_CHANGED"
    template = (
        "showtime {showtime_id} has changed or a hold has ended; its revision is {revision}; preview the change again, "
        "after a few seconds if the revision is the same, and send the revision of that preview"
    )

    def __init__(self, showtime_id: str, revision: int) -> None:
        super().__init__(showtime_id=showtime_id, revision=revision)


class HoldLimit(CinemaError):
    """The customer would have too many seats on hold, in one showtime or over all of them."""

    kind = ErrorKind.EXHAUSTED
    reason = "HOLD_LIMIT"
    template = (
        "one customer can have at most {limit} seats on hold in one showtime: {held} are, and {requested} more were "
        "requested; pay for a booking or cancel one first"
    )
    template_of_account = template.replace("in one showtime", "over all showtimes")
    quota = Quota("seats_on_hold", "limit", "the caller's seats on hold in the showtime")
    quota_of_account = quota._replace(subject="the caller's seats on hold over all showtimes")

    def __init__(self, limit: int, held: int, requested: int, *, of_account: bool = False) -> None:
        if of_account:
            self.template, self.quota = self.template_of_account, self.quota_of_account
        super().__init__(limit=limit, held=held, requested=requested, scope="account" if of_account else None)


class TooManyUnpaidHolds(CinemaError):
    """The customer let too many holds of the showtime lapse, or cancelled them, within an hour."""

    kind = ErrorKind.EXHAUSTED
    reason = "TOO_MANY_ATTEMPTS"
    template = (
        "{unpaid_holds} of your holds in this showtime ended within an hour without payment; "
        "wait {retry_after_seconds} s and try again"
    )

    def __init__(self, unpaid_holds: int, wait: timedelta) -> None:
        super().__init__(unpaid_holds=unpaid_holds, retry_after_seconds=wait)


class HoldExpired(CinemaError):
    """The hold ended before the booking was paid for; a charge that came too late is refunded."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "HOLD_EXPIRED", "booking_id"
    template = (
        "the hold of booking {booking_id} ended at {hold_expire_time}; book again, if the showtime is still on sale"
    )
    template_if_charged = (
        "the hold of booking {booking_id} ended at {hold_expire_time}, before the charge succeeded, and the charge is "
        "refunded; book again, if the showtime is still on sale"
    )

    def __init__(self, booking_id: str, hold_expire_time: datetime, *, charged: bool = False) -> None:
        if charged:
            self.template = self.template_if_charged
        super().__init__(booking_id=booking_id, hold_expire_time=hold_expire_time, charged="true" if charged else None)


class HoldExtensionLimit(CinemaError):
    """The hold was extended before."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "HOLD_EXTENSION_LIMIT", "booking_id"
    template = "the hold of booking {booking_id} was extended before, to {hold_expire_time}; it can be extended once"

    def __init__(self, booking_id: str, hold_expire_time: datetime) -> None:
        super().__init__(booking_id=booking_id, hold_expire_time=hold_expire_time)


class BookingNotReserved(CinemaError):
    """Only a RESERVED booking can be paid for or changed."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "BOOKING_NOT_RESERVED", "booking_id"
    template = "booking {booking_id} is {status}; only a RESERVED booking can be paid for or changed"

    def __init__(self, booking_id: str, status: str) -> None:
        super().__init__(booking_id=booking_id, status=status)


class BookingNotCancellable(CinemaError):
    """The booking is EXPIRED or CANCELLED, or its showtime has started."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "BOOKING_NOT_CANCELLABLE", "booking_id"
    template = "booking {booking_id} is {status}; it can't be cancelled"
    template_if_started = (
        "booking {booking_id} is {status} and its showtime started at {start_time}; it can't be cancelled"
    )

    def __init__(self, booking_id: str, status: str, started: datetime | None = None) -> None:
        if started is not None:
            self.template = self.template_if_started
        super().__init__(booking_id=booking_id, status=status, start_time=started)


class PaymentInProgress(CinemaError):
    """A payment of the booking is in progress.

    Attributes:
        of_this_request: Whether the payment is the one that this request started.
    """

    kind = ErrorKind.CONFLICT
    reason = "PAYMENT_IN_PROGRESS"
    template = "a payment of booking {booking_id} is in progress; try again in a moment"
    retry_after = 1

    def __init__(self, booking_id: str, *, of_this_request: bool = False) -> None:
        self.of_this_request = of_this_request
        super().__init__(booking_id=booking_id)


class PaymentDeclined(CinemaError):
    """The payment provider refused the means of payment; `decline_code` says why, where the customer may be told."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "PAYMENT_DECLINED", "booking_id"
    template = (
        "the payment of booking {booking_id} was declined ({decline_code}); try another payment_token while its hold "
        "lasts"
    )

    def __init__(self, booking_id: str, decline_code: str = GENERIC_DECLINE) -> None:
        super().__init__(booking_id=booking_id, decline_code=decline_code)
