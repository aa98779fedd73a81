"""What callers are told when the trouble is no rule of the cinema, but who calls, or what the server depends on."""

import math
from datetime import datetime, timedelta

from cinema_grpc.domain.account import Role
from cinema_grpc.domain.errors import CinemaError, rfc3339

LONGEST_RETRY_SECONDS = 30


class TokenMissing(CinemaError):
    """The call needs an access token and has none."""

    reason = "TOKEN_MISSING"

    def __init__(self) -> None:
        super().__init__('sign in first, then send the metadata "authorization: Bearer <access_token>"')


class TokenInvalid(CinemaError):
    """The access token is none of ours, was altered, or belongs to nobody."""

    reason = "TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__('the access token is not valid; sign in and send it as "authorization: Bearer <access_token>"')


class TokenExpired(CinemaError):
    """The access token was good once."""

    reason = "TOKEN_EXPIRED"

    def __init__(self, expire_time: datetime) -> None:
        expired = rfc3339(expire_time)
        super().__init__(
            f"the access token expired at {expired}; get a new one by RefreshTokens, or sign in again",
            {"expire_time": expired},
        )


class BadCredentials(CinemaError):
    """The username or the password is wrong."""

    reason = "BAD_CREDENTIALS"

    def __init__(self, what: str = "the username or the password") -> None:
        super().__init__(f"{what} is wrong")


class TooManyAttempts(CinemaError):
    """Too many passwords were tried; this one was not looked at."""

    reason = "TOO_MANY_ATTEMPTS"

    def __init__(self, wait: timedelta, *, under_way: bool = False) -> None:
        """Say how long to wait, and whether that is for wrong passwords or for others that are still looked at."""
        seconds = str(math.ceil(wait.total_seconds()))
        tried = (
            "too many passwords from the same address are being looked at, and this one was not"
            if under_way
            else "too many wrong passwords were tried, and this one was not looked at"
        )
        super().__init__(
            f"{tried}; wait {seconds} s and try again",
            {"retry_after_seconds": seconds},
        )


class TooManyChanges(CinemaError):
    """The account asked for more changes than it may in a minute; nothing of this one was done."""

    reason = "TOO_MANY_ATTEMPTS"

    def __init__(self, per_minute: int, wait: float) -> None:
        """Say how many changes a minute there may be, and in how many seconds there may be another one."""
        seconds = str(math.ceil(wait))
        super().__init__(
            f"the account may make {per_minute} changes a minute; wait {seconds} s and repeat the call, "
            "with the same request_id if it has one",
            {"changes_per_minute": str(per_minute), "retry_after_seconds": seconds},
        )


class TooManyRegistrations(TooManyAttempts):
    """The client network has used up its Registers of this hour; this one was not looked at."""

    def __init__(self, wait: timedelta) -> None:
        """Say how long to wait."""
        seconds = str(math.ceil(wait.total_seconds()))
        CinemaError.__init__(
            self,
            f"too many accounts were registered from the same address within an hour, or tried to be; wait {seconds} s "
            "and try again",
            {"retry_after_seconds": seconds},
        )


class RefreshTokenInvalid(CinemaError):
    """The refresh token is none of ours, has lapsed, or was used before."""

    reason = "REFRESH_TOKEN_INVALID"

    def __init__(self) -> None:
        super().__init__("the refresh token is not valid, or not any more; sign in again")


class RoleRequired(CinemaError):
    """The call needs a role that the caller does not have."""

    reason = "ROLE_REQUIRED"

    def __init__(self, role: Role) -> None:
        super().__init__(f"this call needs the role {role.value}", {"role": role.value})


class RequestIdReused(CinemaError):
    """The request_id was used before for a call with other content."""

    reason = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"the request_id {request_id} was used before for a call with other content; use a new one",
            {"request_id": request_id},
        )


class StorageUnavailable(CinemaError):
    """The database can't be reached, or refuses to work."""

    reason = "STORAGE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the database is not available; repeat the call, with the same request_id if it has one")


class FateUnknown(StorageUnavailable):
    """Whether a change was kept could not be learned in time."""


class PaymentUnavailable(CinemaError):
    """The payment provider's answer was lost, or could not be written down yet."""

    reason = "PAYMENT_UNAVAILABLE"

    def __init__(self, booking_id: str) -> None:
        super().__init__(
            f"it is not known yet what came of the payment for booking {booking_id}; it is settled in the background: "
            "read the booking, or repeat the call with the same request_id",
            {"booking_id": booking_id},
        )


class ShuttingDown(CinemaError):
    """The server is stopping."""

    reason = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__("the server is stopping; repeat the call, with the same request_id if it has one")


class Overloaded(CinemaError):
    """More is asked of the server than it can do in time; nothing of the call was done."""

    reason = "OVERLOADED"

    def __init__(self, longest_wait: float, wait: float) -> None:
        """Say how long it may take, and how long it would have taken, in seconds."""
        self.retry_after = min(max(1, round(wait)), LONGEST_RETRY_SECONDS)
        super().__init__(
            f"the server is too busy to answer within {longest_wait:g} s; "
            f"repeat the call in {self.retry_after} s, with the same request_id if it has one",
            {"longest_wait_seconds": f"{longest_wait:g}", "retry_after_seconds": str(self.retry_after)},
        )
