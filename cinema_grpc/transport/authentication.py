"""Authentication of calls, and the access that each method requires."""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from cinema_grpc.application.account_ports import AccessTokens
from cinema_grpc.application.change_limit import ChangeLimit
from cinema_grpc.application.errors import RoleRequired, TokenInvalid, TokenMissing
from cinema_grpc.application.principals import Principals
from cinema_grpc.domain.account import Role
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.transport import security_log
from cinema_grpc.transport.call import Call, Metadata

AUTHORIZATION_HEADER = "authorization"


class Access(Enum):
    """Who may call a method."""

    PUBLIC = "anyone; an access token is ignored, also an invalid one"
    SIGNED_IN = "any user"
    CUSTOMER = "customers and staff"
    STAFF = "staff"
    EVENTS = "staff and services"


_ROLES: Mapping[Access, tuple[Role, ...]] = MappingProxyType(
    {
        Access.SIGNED_IN: tuple(Role),
        Access.CUSTOMER: (Role.CUSTOMER, Role.STAFF),
        Access.STAFF: (Role.STAFF,),
        Access.EVENTS: (Role.SERVICE, Role.STAFF),
    }
)
"""The roles that have access; the first one is in an error's metadata, all are in its message."""


class Authentication:
    """Admits calls to methods that their principal has access to."""

    def __init__(
        self,
        tokens: AccessTokens,
        principals: Principals,
        access: Mapping[str, Access],
        change_limit: ChangeLimit | None = None,
    ) -> None:
        """Set up.

        Args:
            tokens: Verifies access tokens.
            principals: Checks that users exist and that their tokens were not revoked.
            access: Access by full name of the method.
            change_limit: Limits the changes of customers; None for no limit.
        """
        self._change_limit = change_limit
        self._tokens = tokens
        self._principals = principals
        self._access = access

    async def check(self, call: Call, *, changes: bool) -> None:
        """Set the principal of a call, unless its method is public.

        Raises:
            TokenMissing, TokenInvalid, TokenExpired.
            RoleRequired: The method is not for the role of the principal.
            TooManyChanges: The customer has used up the changes of this minute.
            LookupError: No access is declared for the method.
        """
        access = self._access.get(call.method)
        if access is Access.PUBLIC:
            return
        if access is None:
            raise LookupError(f"no access is declared for {call.method}")
        principal = self._tokens.read(_bearer_token(call.metadata))
        await self._principals.check(principal)
        call.principal = principal
        if principal.role not in (roles := _ROLES[access]):
            raise RoleRequired(*roles)
        if principal.role is Role.STAFF and Role.CUSTOMER not in roles:
            security_log.note("rights of staff used")
        elif self._change_limit is not None and changes and principal.role is not Role.STAFF:
            self._change_limit.take(principal.user_id)

    async def check_again(self, call: Call) -> None:
        """Check that the principal of a long call may still call.

        Raises:
            TokenInvalid, TokenExpired.
        """
        await self._principals.check(self._tokens.read(_bearer_token(call.metadata)))

    def is_signed_in(self, call: Call) -> bool:
        """Return whether the call has a valid access token for a method that needs one. Reads no database.

        For the reserved places alone: whether the call may run is decided by `check`.
        """
        if self._access.get(call.method, Access.PUBLIC) is Access.PUBLIC:
            return False
        try:
            self._tokens.read(_bearer_token(call.metadata))
        except CinemaError:
            return False
        return True


def _bearer_token(metadata: Metadata) -> str:
    values = [value for name, value in metadata if name == AUTHORIZATION_HEADER]
    if not values:
        raise TokenMissing
    scheme, _, token = str(values[0]).partition(" ")
    token = token.strip()
    if len(values) > 1 or scheme.lower() != "bearer" or not token:
        raise TokenInvalid
    return token
