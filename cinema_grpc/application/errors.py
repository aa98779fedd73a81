"""Errors of authentication, limits, overload, events and dependencies. Each class declares all of its error."""

import math
from datetime import datetime, timedelta

from cinema_grpc.domain.account import Role
from cinema_grpc.domain.errors import CinemaError, ErrorKind, Quota

LONGEST_RETRY_SECONDS = 30


class TokenMissing(CinemaError):
    """The call needs an access token and has none."""

    kind = ErrorKind.UNAUTHENTICATED
    reason = "TOKEN_MISSING"
    template = 'sign in first, then send the metadata "authorization: Bearer <access_token>"'


class TokenInvalid(CinemaError):
    """The access token was not issued by this service, was altered, or its account is unknown or disabled."""

    kind = ErrorKind.UNAUTHENTICATED
    reason = "TOKEN_INVALID"
    template = 'the access token is not valid; sign in and send it as "authorization: Bearer <access_token>"'


class TokenExpired(CinemaError):
    """The access token is genuine but has expired."""

    kind = ErrorKind.UNAUTHENTICATED
    reason = "TOKEN_EXPIRED"
    template = "the access token expired at {expire_time}; get a new one by RefreshTokens, or sign in again"

    def __init__(self, expire_time: datetime) -> None:
        super().__init__(expire_time=expire_time)


class BadCredentials(CinemaError):
    """The username or the password is wrong, or the account is disabled."""

    kind = ErrorKind.UNAUTHENTICATED
    reason = "BAD_CREDENTIALS"
    template = "the username or the password is wrong"


class CurrentPasswordWrong(BadCredentials):
    """The current password of a signed-in account is wrong."""

    template = "the current password is wrong"


class RefreshTokenInvalid(CinemaError):
    """The refresh token is unknown, has expired or was used before, or its session has ended."""

    kind = ErrorKind.UNAUTHENTICATED
    reason = "REFRESH_TOKEN_INVALID"
    template = "the refresh token is not valid, or no longer valid; sign in again"


class RoleRequired(CinemaError):
    """The call needs a role that the caller does not have."""

    kind = ErrorKind.FORBIDDEN
    reason = "ROLE_REQUIRED"
    template = "this call needs the role {role}"

    def __init__(self, role: Role, *others: Role) -> None:
        """Name the role that is meant for such calls, and others that may make them."""
        self.template = " or ".join([self.template, *(each.value for each in others)])
        super().__init__(role=role.value)


class RequestIdReused(CinemaError):
    """The request_id was used before for a call with other content."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "REQUEST_ID_REUSED", "request_id"
    template = "the request_id {request_id} was used before for a call with other content; use a new one"

    def __init__(self, request_id: str) -> None:
        super().__init__(request_id=request_id)


class TooManyAttempts(CinemaError):
    """Too many wrong passwords were tried; this one was not checked."""

    kind = ErrorKind.EXHAUSTED
    reason = "TOO_MANY_ATTEMPTS"
    template = (
        "too many wrong passwords were tried, and this one was not checked; wait {retry_after_seconds} s and try again"
    )

    def __init__(self, wait: timedelta) -> None:
        super().__init__(retry_after_seconds=wait)


class TooManyPasswordChecks(TooManyAttempts):
    """Too many passwords from the client network are being checked; this one was not checked."""

    template = (
        "too many passwords from the same address are being checked, and this one was not; "
        "wait {retry_after_seconds} s and try again"
    )


class TooManyRegistrations(TooManyAttempts):
    """The client network has used up its registrations of this hour; this one was not checked."""

    template = (
        "too many accounts were registered from the same address within an hour, failed attempts included; "
        "wait {retry_after_seconds} s and try again"
    )


class TooManyChanges(CinemaError):
    """The account requested more changes than it may in a minute; this one was not carried out."""

    kind = ErrorKind.EXHAUSTED
    reason = "TOO_MANY_ATTEMPTS"
    template = (
        "the account may make {changes_per_minute} changes a minute; wait {retry_after_seconds} s and repeat the call, "
        "with the same request_id if it has one"
    )
    quota = Quota("changes_per_minute", "changes_per_minute", "the caller's changes in a minute")

    def __init__(self, per_minute: int, wait: float) -> None:
        """Report the limit, and the wait in seconds until the next change is allowed."""
        super().__init__(changes_per_minute=per_minute, retry_after_seconds=math.ceil(wait))


class Overloaded(CinemaError):
    """The server can't answer in time; nothing of the call was done."""

    kind = ErrorKind.EXHAUSTED
    reason = "OVERLOADED"
    template = (
        "the server is too busy to answer within {longest_wait_seconds} s; "
        "repeat the call in {retry_after_seconds} s, with the same request_id if it has one"
    )

    def __init__(self, longest_wait: float, wait: float) -> None:
        """Report the longest wait allowed and the estimated wait, in seconds."""
        retry_after = min(max(1, round(wait)), LONGEST_RETRY_SECONDS)
        super().__init__(longest_wait_seconds=float(longest_wait), retry_after_seconds=retry_after)


class StorageUnavailable(CinemaError):
    """The database can't be reached, or can't carry out the work."""

    kind = ErrorKind.UNAVAILABLE
    reason = "STORAGE_UNAVAILABLE"
    template = "the database is not available; repeat the call, with the same request_id if it has one"
    retry_after = 1


class CommitOutcomeUnknown(StorageUnavailable):
    """The answer to a COMMIT was lost: either the whole transaction was written, or nothing."""


class PaymentUnavailable(CinemaError):
    """The payment provider's answer was lost, or could not be stored yet."""

    kind = ErrorKind.UNAVAILABLE
    reason = "PAYMENT_UNAVAILABLE"
    template = (
        "the outcome of the payment for booking {booking_id} is not known yet; it is settled in the background: "
        "read the booking, or repeat the call with the same request_id"
    )
    retry_after = 5

    def __init__(self, booking_id: str) -> None:
        super().__init__(booking_id=booking_id)


class ShuttingDown(CinemaError):
    """The server is stopping."""

    kind = ErrorKind.UNAVAILABLE
    reason = "SHUTTING_DOWN"
    template = "the server is stopping; repeat the call, with the same request_id if it has one"
    retry_after = 1


class PositionTrimmed(CinemaError):
    """Events after the position are no longer kept."""

    kind = ErrorKind.OUT_OF_RANGE
    reason = "POSITION_TRIMMED"
    template = (
        "events after position {after_position} are no longer kept; the oldest is at {earliest_position}: note the "
        "latest_position that ListEvents returns for after_position = earliest_position - 1, rebuild what you derive "
        "from events, and go on after it"
    )

    def __init__(self, after: int, earliest: int) -> None:
        super().__init__(after_position=after, earliest_position=earliest)
