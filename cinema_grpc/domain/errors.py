"""What the rules of a cinema refuse, each with its reason, a message for developers and the facts behind it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar


def rfc3339(moment: datetime) -> str:
    """Write a moment as RFC 3339 does in UTC, such as "2026-05-01T19:00:00Z"; microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class CinemaError(Exception):
    """An error that a caller is told of.

    Attributes:
        reason: The name in the contract's ErrorReason, without its prefix.
        message: What went wrong and what would be right, in plain English.
        metadata: Every variable part of the message, for programs.
    """

    reason: ClassVar[str]

    def __init__(self, message: str, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A bad field of a request: its path, such as "rows[2].sections[0]", and what would be right."""

    field: str
    description: str


class InvalidRequest(CinemaError):
    """The request is malformed."""

    reason = "INVALID_REQUEST"

    def __init__(self, *violations: FieldViolation) -> None:
        named = "; ".join(
            f"{each.field}: {each.description}" if each.field else each.description for each in violations
        )
        fields = ",".join(each.field for each in violations if each.field)
        super().__init__(f"the request is malformed: {named}", {"fields": fields, "descriptions": named})
        self.violations = violations


def violations_of(*checks: Callable[[], object]) -> list[FieldViolation]:
    """Run checks that may raise InvalidRequest, and return all that they find wrong, in their order."""
    violations: list[FieldViolation] = []
    for check in checks:
        try:
            check()
        except InvalidRequest as error:
            violations += error.violations
    return violations


class NotFound(CinemaError):
    """There is no such thing.

    Attributes:
        kind: What was looked for, such as "showtime".
    """

    kind: ClassVar[str]

    def __init__(self, identifier: str) -> None:
        super().__init__(f"there is no {self.kind} {identifier!r}", {f"{self.kind}_id": identifier})


class MovieNotFound(NotFound):
    """There is no such movie."""

    reason = "MOVIE_NOT_FOUND"
    kind = "movie"


class CinemaNotFound(NotFound):
    """There is no such cinema."""

    reason = "CINEMA_NOT_FOUND"
    kind = "cinema"


class AuditoriumNotFound(NotFound):
    """There is no such auditorium."""

    reason = "AUDITORIUM_NOT_FOUND"
    kind = "auditorium"


class ShowtimeNotFound(NotFound):
    """There is no such showtime."""

    reason = "SHOWTIME_NOT_FOUND"
    kind = "showtime"


class BookingNotFound(NotFound):
    """There is no such booking."""

    reason = "BOOKING_NOT_FOUND"
    kind = "booking"


class SeatNotFound(NotFound):
    """The auditorium has no such seats."""

    reason = "SEAT_NOT_FOUND"
    kind = "seat"

    def __init__(self, seats: Sequence[str]) -> None:
        CinemaError.__init__(self, f"the auditorium has no {_seats(seats)}", {"seats": ",".join(seats)})


class NameTaken(CinemaError):
    """The cinema already has an auditorium of this name."""

    reason = "NAME_TAKEN"

    def __init__(self, name: str) -> None:
        super().__init__(f"the cinema already has an auditorium named {name!r}", {"name": name})


class UsernameTaken(CinemaError):
    """Another account has this username."""

    reason = "USERNAME_TAKEN"

    def __init__(self, username: str) -> None:
        super().__init__(f"the username {username!r} is taken; choose another", {"username": username})


class EmailTaken(CinemaError):
    """Another account has this email address."""

    reason = "EMAIL_TAKEN"

    def __init__(self, email: str) -> None:
        super().__init__(f"an account with the email {email!r} exists already; sign in to it instead", {"email": email})


class NotBookingOwner(CinemaError):
    """The booking belongs to someone else."""

    reason = "NOT_BOOKING_OWNER"

    def __init__(self, booking_id: str) -> None:
        super().__init__(f"booking {booking_id} belongs to someone else", {"booking_id": booking_id})


class SeatsUnavailable(CinemaError):
    """Some of the seats are held or sold."""

    reason = "SEATS_UNAVAILABLE"

    def __init__(self, seats: Sequence[str]) -> None:
        super().__init__(f"{_seats(seats)} {_is(seats)} not available; choose others", {"seats": ",".join(seats)})


class SingleSeatGap(CinemaError):
    """The booking would strand single seats."""

    reason = "SINGLE_SEAT_GAP"

    def __init__(self, stranded: Sequence[str]) -> None:
        super().__init__(
            f"the booking would leave {_seats(stranded)} free with no free seat beside; "
            "choose seats that leave two or more side by side, or none",
            {"stranded_seats": ",".join(stranded)},
        )


class GapLeftByPayment(SingleSeatGap):
    """Paying for the booking would strand single seats that other bookings of the customer kept when it was made."""

    def __init__(self, booking_id: str, stranded: Sequence[str]) -> None:
        CinemaError.__init__(
            self,
            f"paying for booking {booking_id} would leave {_seats(stranded)} free with no free seat beside, as it was "
            f"made beside a booking of yours that is not paid for; pay for {_seats(stranded)} first, or cancel this "
            "booking and choose seats that leave none",
            {"booking_id": booking_id, "stranded_seats": ",".join(stranded)},
        )


class SalesClosed(CinemaError):
    """The showtime has started."""

    reason = "SALES_CLOSED"

    def __init__(self, showtime_id: str, start_time: datetime) -> None:
        start = rfc3339(start_time)
        super().__init__(
            f"sales for showtime {showtime_id} closed when it started, at {start}",
            {"showtime_id": showtime_id, "start_time": start},
        )


class HoldLimit(CinemaError):
    """The caller would have too many seats on hold, in one showtime or over all of them."""

    reason = "HOLD_LIMIT"

    def __init__(self, limit: int, held: int, requested: int, *, of_account: bool = False) -> None:
        """Say which limit it is, that of one showtime or that `of_account`, over all showtimes."""
        where = "one account over all showtimes" if of_account else "one customer in one showtime"
        metadata = {"limit": str(limit), "held": str(held), "requested": str(requested)}
        super().__init__(
            f"at most {limit} seats can be on hold for {where}: {held} are, and {requested} more were asked for; "
            "pay for a booking or cancel one first",
            metadata | ({"scope": "account"} if of_account else {}),
        )


class TooManyUnpaidHolds(CinemaError):
    """The caller let too many holds of a showtime lapse, or gave them up, and has to wait before the next one."""

    reason = "TOO_MANY_ATTEMPTS"

    def __init__(self, unpaid_holds: int, wait: timedelta) -> None:
        seconds = str(math.ceil(wait.total_seconds()))
        super().__init__(
            f"{unpaid_holds} of your holds in this showtime ended within an hour without payment; "
            f"wait {seconds} s and try again",
            {"unpaid_holds": str(unpaid_holds), "retry_after_seconds": seconds},
        )


class HoldExpired(CinemaError):
    """The hold ended before the booking was paid for."""

    reason = "HOLD_EXPIRED"

    def __init__(self, booking_id: str, hold_expire_time: datetime, *, charged: bool = False) -> None:
        """Say when it ended, and whether a charge that came too late is given back."""
        ended = rfc3339(hold_expire_time)
        given_back = ", before the charge went through, and all of it is given back" if charged else ""
        super().__init__(
            f"the hold of booking {booking_id} ended at {ended}{given_back}; "
            "book again, if the showtime is still on sale",
            {"booking_id": booking_id, "hold_expire_time": ended} | ({"charged": "true"} if charged else {}),
        )


class BookingNotReserved(CinemaError):
    """Only a RESERVED booking can be paid for."""

    reason = "BOOKING_NOT_RESERVED"

    def __init__(self, booking_id: str, status: str) -> None:
        super().__init__(
            f"booking {booking_id} is {status}; only a RESERVED booking can be paid for",
            {"booking_id": booking_id, "status": status},
        )


class BookingNotCancellable(CinemaError):
    """The booking is EXPIRED or CANCELLED, or its showtime has started."""

    reason = "BOOKING_NOT_CANCELLABLE"

    def __init__(self, booking_id: str, status: str, started: datetime | None = None) -> None:
        metadata = {"booking_id": booking_id, "status": status}
        because = f"booking {booking_id} is {status}"
        if started is not None:
            metadata["start_time"] = rfc3339(started)
            because += f" and its showtime started at {metadata['start_time']}"
        super().__init__(f"{because}; it can't be cancelled", metadata)


class PaymentInProgress(CinemaError):
    """A payment of the booking is under way.

    Attributes:
        of_this_request: Whether it is that of the very request that asks.
    """

    reason = "PAYMENT_IN_PROGRESS"

    def __init__(self, booking_id: str, *, of_this_request: bool = False) -> None:
        self.of_this_request = of_this_request
        super().__init__(
            f"a payment of booking {booking_id} is under way; try again in a moment", {"booking_id": booking_id}
        )


class PaymentDeclined(CinemaError):
    """The payment provider refused the means of payment."""

    reason = "PAYMENT_DECLINED"

    def __init__(self, booking_id: str) -> None:
        super().__init__(
            f"the payment of booking {booking_id} was declined; its seats stay on hold, try another payment_token",
            {"booking_id": booking_id},
        )


class ShowtimeOverlap(CinemaError):
    """The auditorium is not free at that time."""

    reason = "SHOWTIME_OVERLAP"

    def __init__(self, showtime_id: str, start_time: datetime, end_time: datetime, minutes_between: int) -> None:
        start, end = rfc3339(start_time), rfc3339(end_time)
        super().__init__(
            f"the auditorium shows {showtime_id} from {start} to {end}, and {minutes_between} minutes must lie "
            "between two showtimes",
            {"showtime_id": showtime_id, "start_time": start, "end_time": end, "minutes_between": str(minutes_between)},
        )


def _seats(seats: Sequence[str]) -> str:
    return f"{'seat' if len(seats) == 1 else 'seats'} {', '.join(seats)}"


def _is(seats: Sequence[str]) -> str:
    return "is" if len(seats) == 1 else "are"
