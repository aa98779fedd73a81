"""The errors of the cinema's rules: each class declares its kind, reason, message and details in one place."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import ClassVar, NamedTuple

Part = str | int | float | datetime | timedelta | Sequence[str]


def rfc3339(moment: datetime) -> str:
    """Return a moment in UTC as RFC 3339 text, such as "2026-05-01T19:00:00Z"; with microseconds only if not zero."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class ErrorKind(Enum):
    """How a caller can react to an error; the transport maps each kind to a status code."""

    INVALID = auto()  # change the request
    UNAUTHENTICATED = auto()
    FORBIDDEN = auto()
    NOT_FOUND = auto()
    ALREADY_EXISTS = auto()
    RULE_BROKEN = auto()  # a business rule: change the state first, or the request
    OUT_OF_RANGE = auto()  # begin elsewhere
    CONFLICT = auto()  # repeat the call in a moment
    EXHAUSTED = auto()  # a quota or the server's capacity
    UNAVAILABLE = auto()  # repeat the call, with the same request_id
    INTERNAL = auto()


class Quota(NamedTuple):
    """A limit that an error reports as reached.

    Attributes:
        metric: What is counted.
        value: The metadata that holds the limit.
        subject: What the limit applies to.
    """

    metric: str
    value: str
    subject: str


class CinemaError(Exception):
    """An error that the caller receives.

    Attributes:
        kind: Determines the status code.
        reason: The name in the contract's ErrorReason, without its prefix.
        template: The message for developers, with the names of metadata as placeholders.
        subject: The metadata that names what a broken rule or a resource is about.
        resource_type: The message type of what was not found or already exists, such as "Booking".
        quota: The limit that was reached.
        retry_after: After how many seconds to repeat the call; 0 for no advice. Metadata "retry_after_seconds" sets it.
        violations: The bad fields of the request.
        message: The template, filled in.
        metadata: Every variable part of the message as text, for programs.
    """

    kind: ClassVar[ErrorKind]
    reason: ClassVar[str]
    template: str
    subject: ClassVar[str] = ""
    resource_type: ClassVar[str] = ""
    quota: Quota | None = None
    retry_after: int = 0
    violations: "Sequence[FieldViolation]" = ()

    def __init__(self, **parts: Part | None) -> None:
        """Fill in the template.

        Args:
            parts: The metadata by name, without those that are None. Spans become seconds, rounded up.
        """
        given = {name: part for name, part in parts.items() if part is not None}
        self.metadata = {name: _text(part, ",") for name, part in given.items()}
        self.message = self.template.format(**{name: _text(part, ", ") for name, part in given.items()})
        self.retry_after = int(self.metadata.get("retry_after_seconds", self.retry_after))
        super().__init__(self.message)


def _text(part: Part, separator: str) -> str:
    match part:
        case datetime():
            return rfc3339(part)
        case timedelta():
            return str(math.ceil(part.total_seconds()))
        case float():
            return f"{part:g}"
        case str() | int():
            return str(part)
    return separator.join(part)


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A bad field of a request: its path, such as "rows[2].sections[0]", and what would be right."""

    field: str
    description: str


class InvalidRequest(CinemaError):
    """The request is malformed."""

    kind = ErrorKind.INVALID
    reason = "INVALID_REQUEST"
    template = "the request is malformed: {descriptions}"

    def __init__(self, *violations: FieldViolation) -> None:
        self.violations = violations
        super().__init__(
            fields=",".join(each.field for each in violations if each.field),
            descriptions="; ".join(f"{each.field}: {each.description}".removeprefix(": ") for each in violations),
        )


def violations_of(*checks: Callable[[], object]) -> list[FieldViolation]:
    """Run checks that may raise InvalidRequest, and return all violations in order."""
    violations: list[FieldViolation] = []
    for check in checks:
        try:
            check()
        except InvalidRequest as error:
            violations += error.violations
    return violations


class ResourceError(CinemaError):
    """A resource does not exist, or already exists; `subject` is the metadata that identifies it."""

    def __init__(self, identifier: str) -> None:
        super().__init__(**{self.subject: identifier})


class NotFound(ResourceError):
    """No resource of this type has the identifier."""

    kind = ErrorKind.NOT_FOUND


class MovieNotFound(NotFound):
    """No movie has this identifier."""

    reason, resource_type, subject = "MOVIE_NOT_FOUND", "Movie", "movie_id"
    template = "there is no movie {movie_id!r}"


class CinemaNotFound(NotFound):
    """No cinema has this identifier."""

    reason, resource_type, subject = "CINEMA_NOT_FOUND", "Cinema", "cinema_id"
    template = "there is no cinema {cinema_id!r}"


class AuditoriumNotFound(NotFound):
    """No auditorium has this identifier."""

    reason, resource_type, subject = "AUDITORIUM_NOT_FOUND", "Auditorium", "auditorium_id"
    template = "there is no auditorium {auditorium_id!r}"


class ShowtimeNotFound(NotFound):
    """No showtime has this identifier."""

    reason, resource_type, subject = "SHOWTIME_NOT_FOUND", "Showtime", "showtime_id"
    template = "there is no showtime {showtime_id!r}"


class BookingNotFound(NotFound):
    """No booking has this identifier."""

    reason, resource_type, subject = "BOOKING_NOT_FOUND", "Booking", "booking_id"
    template = "there is no booking {booking_id!r}"


class SeatNotFound(CinemaError):
    """The auditorium has no seats with these labels."""

    kind = ErrorKind.NOT_FOUND
    reason, resource_type, subject = "SEAT_NOT_FOUND", "Seat", "seats"
    template = "the auditorium has no such seats: {seats}"

    def __init__(self, seats: Sequence[str]) -> None:
        super().__init__(seats=seats)


class AlreadyExists(ResourceError):
    """Another resource has the name that was asked for."""

    kind = ErrorKind.ALREADY_EXISTS


class NameTaken(AlreadyExists):
    """Another auditorium of the cinema has this name."""

    reason, resource_type, subject = "NAME_TAKEN", "Auditorium", "name"
    template = "the cinema already has an auditorium named {name!r}"


class UsernameTaken(AlreadyExists):
    """Another account has this username."""

    reason, resource_type, subject = "USERNAME_TAKEN", "User", "username"
    template = "the username {username!r} is taken; choose another"


class EmailTaken(AlreadyExists):
    """Another account has this email address."""

    reason, resource_type, subject = "EMAIL_TAKEN", "User", "email"
    template = "an account with the email {email!r} already exists; sign in to it instead"


class Archived(CinemaError):
    """A movie, an auditorium or its cinema is archived."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "ARCHIVED", "identifier"
    template = (
        "{resource} {identifier} is archived and takes no new showtimes; choose another, or set archived to false"
    )

    def __init__(self, resource: str, identifier: str) -> None:
        """Report what is archived: its message type, such as "Movie", and its identifier."""
        super().__init__(resource=resource, identifier=identifier)


class ShowtimeOverlap(CinemaError):
    """Another showtime occupies the auditorium at that time."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "SHOWTIME_OVERLAP", "showtime_id"
    template = (
        "the auditorium shows {showtime_id} from {start_time} to {end_time}, and {minutes_between} minutes must lie "
        "between two showtimes"
    )

    def __init__(self, showtime_id: str, start_time: datetime, end_time: datetime, minutes_between: int) -> None:
        super().__init__(
            showtime_id=showtime_id, start_time=start_time, end_time=end_time, minutes_between=minutes_between
        )
