"""Who may call what: the access that each method needs, and the interceptor that holds calls to it."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any

import grpc

from cinema_grpc.application.account_ports import AccessTokens, Caller
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.errors import RoleRequired, TokenInvalid, TokenMissing
from cinema_grpc.domain.account import Role
from cinema_grpc.transport import security_log
from cinema_grpc.transport.call import Metadata, current_call
from cinema_grpc.transport.handlers import Context, Continuation, Handler, behaviour_of, with_behaviour

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


class Authentication(grpc.aio.ServerInterceptor):
    """Lets a call through to those whom its method is for. It needs the Boundary around it."""

    def __init__(self, tokens: AccessTokens, accounts: Accounts, access: Mapping[str, Access] = ACCESS) -> None:
        """Set up.

        Args:
            tokens: Reads access tokens.
            accounts: Knows who exists.
            access: Whom each method is for, by its full name.
        """
        self._tokens = tokens
        self._accounts = accounts
        self._access = access

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Give a method's handler, wrapped unless it is public."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        access = self._access.get(method)
        if access is Access.PUBLIC:
            return handler
        behaviour = behaviour_of(handler)

        async def authenticated(request: Any, context: Context) -> Any:
            if access is None:
                raise LookupError(f"nothing says who may call {method}")
            await self._authenticate(access)
            return await behaviour(request, context)

        return with_behaviour(handler, authenticated, handler.request_deserializer, handler.response_serializer)

    async def _authenticate(self, access: Access) -> None:
        """Find out who is calling.

        Raises:
            TokenMissing, TokenInvalid, TokenExpired.
            RoleRequired: Only staff may, and the caller is none.
        """
        call = current_call.get()
        caller = self._tokens.read(_bearer_token(call.metadata))
        await self._accounts.check_exists(caller.user_id)
        call.caller = caller
        if access is Access.STAFF and caller.role is not Role.STAFF:
            raise RoleRequired(Role.STAFF)
        if access is Access.STAFF:
            security_log.note("rights of staff used")


def caller() -> Caller:
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
