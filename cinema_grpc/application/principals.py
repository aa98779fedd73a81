"""Which principals may call: users that exist and whose access tokens were not revoked."""

from collections import OrderedDict
from datetime import timedelta
from typing import NoReturn

from cinema_grpc.application.account_ports import AccountStore, Principal, SecurityLog
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import TokenInvalid
from cinema_grpc.domain.account import User

CACHED_USERS = 10_000
REVOKED_FOR = timedelta(hours=2)
"""How long users are not cached after their access tokens were revoked: longer than any access token is valid."""
SECONDS_BETWEEN_EVICTIONS = 1.5
"""Seconds between two evictions of revoked users. A server refuses a revoked access token within two of them, while it
reaches the database."""


class Principals:
    """Checks principals, and caches the ids of users whose tokens were not revoked; disables and enables accounts."""

    def __init__(self, store: AccountStore, clock: Clock, security_log: SecurityLog) -> None:
        self._store = store
        self._clock = clock
        self._log = security_log
        self._cached: OrderedDict[str, None] = OrderedDict()  # by user_id, least recently used first

    async def user(self, user_id: str) -> User:
        """Return the user that an access token names, and cache it.

        Raises:
            TokenInvalid: The user does not exist, or the account is disabled.
        """
        user = await self._store.find(user_id)
        if user is None:
            raise TokenInvalid
        if user.disabled:
            self._refuse_token(user)
        self.cache(user)
        return user

    async def check(self, principal: Principal) -> None:
        """Check that the principal of an access token may call. Reads the store unless the user is cached.

        Raises:
            TokenInvalid: The user does not exist, the account is disabled, or the token was revoked.
        """
        if principal.user_id in self._cached:
            self._cached.move_to_end(principal.user_id)
            return
        user = await self.user(principal.user_id)
        if not user.accepts_token_of(principal.issue_time):
            self._refuse_token(user)

    def cache(self, user: User) -> None:
        """Cache a user, whose access tokens then pass without a read.

        A user whose tokens were revoked lately is not cached: each token must be compared with `revoke_time`.
        """
        if user.revoke_time is not None and self._clock.now() < user.revoke_time + REVOKED_FOR:
            return
        self._cached[user.user_id] = None
        self._cached.move_to_end(user.user_id)
        if len(self._cached) > CACHED_USERS:
            self._cached.popitem(last=False)

    async def evict_revoked(self) -> None:
        """Evict the users whose access tokens were revoked lately, by any process.

        Raises:
            StorageUnavailable: The database can't be reached.
        """
        for user_id in await self._store.revoked(REVOKED_FOR):
            self._cached.pop(user_id, None)

    async def set_disabled(self, username: str, *, disabled: bool) -> User | None:
        """Disable or enable an account; return it as it was before, or None if it does not exist.

        Disabling ends its sessions, refuses its sign-ins and revokes its access tokens, which servers refuse once they
        have evicted the user. Enabling allows sign-ins again; revoked tokens stay revoked.
        """
        found = await self._store.find_by_username(username)
        if found is None:
            return None
        user, _ = found
        await (self._store.disable if disabled else self._store.enable)(user.user_id)
        self._cached.pop(user.user_id, None)
        self._log("account disabled, sessions ended" if disabled else "account enabled", user_id=user.user_id)
        return user

    def _refuse_token(self, user: User) -> NoReturn:
        self._log("revoked access token used", refused=True, user_id=user.user_id)
        raise TokenInvalid
