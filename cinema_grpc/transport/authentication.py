"""Who may call what: the access that each method needs, and the check that holds calls to it."""

from collections.abc import Collection, Mapping
from enum import Enum
from types import MappingProxyType

from cinema_grpc.application.account_ports import AccessTokens, Principal
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.change_limit import ChangeLimit
from cinema_grpc.application.errors import RoleRequired, TokenInvalid, TokenMissing
from cinema_grpc.domain.account import Role
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.transport import security_log
from cinema_grpc.transport.call import Call, Metadata, current_call

AUTHORIZATION_HEADER = "authorization"


class Access(Enum):
    """Whom a method is for."""

    PUBLIC = "anyone; an access token is not looked at, not even a bad one"
    CUSTOMER = "anyone signed in"
    STAFF = "staff"


ACCESS: Mapping[str, Access] = MappingProxyType(
    {
        "/cinema.v1.AuthService/Register": Access.PUBLIC,
        "/cinema.v1.AuthService/Login": Access.PUBLIC,
        "/cinema.v1.AuthService/GetCurrentUser": Access.CUSTOMER,
        "/cinema.v1.AuthService/RefreshTokens": Access.PUBLIC,
        "/cinema.v1.AuthService/Logout": Access.PUBLIC,
        "/cinema.v1.AuthService/ChangePassword": Access.CUSTOMER,
        "/cinema.v1.AuthService/ListSigningKeys": Access.PUBLIC,
        "/cinema.v1.CatalogService/CreateMovie": Access.STAFF,
        "/cinema.v1.CatalogService/CreateCinema": Access.STAFF,
        "/cinema.v1.CatalogService/CreateAuditorium": Access.STAFF,
        "/cinema.v1.CatalogService/GetMovie": Access.PUBLIC,
        "/cinema.v1.CatalogService/GetCinema": Access.PUBLIC,
        "/cinema.v1.CatalogService/GetAuditorium": Access.PUBLIC,
        "/cinema.v1.CatalogService/ListMovies": Access.PUBLIC,
        "/cinema.v1.CatalogService/ListCinemas": Access.PUBLIC,
        "/cinema.v1.CatalogService/ListAuditoriums": Access.PUBLIC,
        "/cinema.v1.ShowtimeService/ListShowtimes": Access.PUBLIC,
        "/cinema.v1.ShowtimeService/GetShowtime": Access.PUBLIC,
        "/cinema.v1.ShowtimeService/CreateShowtime": Access.STAFF,
        "/cinema.v1.BookingService/CreateBooking": Access.CUSTOMER,
        "/cinema.v1.BookingService/GetBooking": Access.CUSTOMER,
        "/cinema.v1.BookingService/ListBookings": Access.CUSTOMER,
        "/cinema.v1.BookingService/ConfirmPayment": Access.CUSTOMER,
        "/cinema.v1.BookingService/GetCancellationQuote": Access.CUSTOMER,
        "/cinema.v1.BookingService/CancelBooking": Access.CUSTOMER,
        "/grpc.health.v1.Health/Check": Access.PUBLIC,
        "/grpc.health.v1.Health/Watch": Access.PUBLIC,
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": Access.PUBLIC,
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Access.PUBLIC,
    }
)
"""Every method by its full name. One that is missing is closed to everyone."""


class Authentication:
    """Lets a call through if its method is open to its caller."""

    def __init__(
        self,
        tokens: AccessTokens,
        accounts: Accounts,
        access: Mapping[str, Access] = ACCESS,
        *,
        change_limit: ChangeLimit | None = None,
        changing: Collection[str] = (),
    ) -> None:
        """Set up.

        Args:
            tokens: Reads access tokens.
            accounts: Knows who exists.
            access: Whom each method is for, by its full name.
            change_limit: Counts the calls of customers that change something.
            changing: The methods that do.
        """
        self._change_limit = change_limit
        self._changing = changing
        self._tokens = tokens
        self._accounts = accounts
        self._access = access

    async def check(self, call: Call) -> None:
        """Find out who is calling, unless the method is public, and write it into the call.

        Raises:
            TokenMissing, TokenInvalid, TokenExpired.
            RoleRequired: Only staff may, and the caller is none.
            TooManyChanges: A customer has asked for more than an account may in a minute.
            LookupError: Nothing says whom the method is for; it is closed to everyone.
        """
        access = self._access.get(call.method)
        if access is Access.PUBLIC:
            return
        if access is None:
            raise LookupError(f"nothing says who may call {call.method}")
        caller = self._tokens.read(_bearer_token(call.metadata))
        await self._accounts.principals.check(caller)
        call.caller = caller
        if access is Access.STAFF and caller.role is not Role.STAFF:
            raise RoleRequired(Role.STAFF)
        if access is Access.STAFF:
            security_log.note("rights of staff used")
        elif self._change_limit is not None and call.method in self._changing and caller.role is not Role.STAFF:
            self._change_limit.take(caller.user_id)

    def is_signed_in(self, call: Call) -> bool:
        """Return whether the method is not public and the call has a good token; the database is not asked."""
        if self._access.get(call.method, Access.PUBLIC) is Access.PUBLIC:
            return False
        try:
            self._tokens.read(_bearer_token(call.metadata))
        except CinemaError:
            return False
        return True


def caller() -> Principal:
    """Give whoever makes the call that is being handled.

    Raises:
        LookupError: The method is public: it has no caller that it may know.
    """
    found = current_call.get().caller
    if found is None:
        raise LookupError("this method is open to anyone")
    return found


def _bearer_token(metadata: Metadata) -> str:
    values = [value for name, value in metadata if name == AUTHORIZATION_HEADER]
    if not values:
        raise TokenMissing
    scheme, _, token = str(values[0]).partition(" ")
    token = token.strip()
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise TokenInvalid
    return token
