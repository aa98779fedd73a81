"""Who may call: users that exist, with access tokens that were not revoked."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NoReturn

from cinema_grpc.application.account_ports import AccountStore, Caller, SecurityLog
from cinema_grpc.application.errors import TokenInvalid
from cinema_grpc.domain.account import User

REMEMBERED_USERS = 10_000
"""How many users are known to exist without a look into the store."""
SECONDS_BETWEEN_REVOCATIONS = 1.5
"""How often a server looks for accounts that were disabled: their access tokens are refused within two looks."""


class Callers:
    """Knows who may call, and disables accounts."""

    def __init__(self, store: AccountStore, security_log: SecurityLog) -> None:
        self._store = store
        self._note = security_log
        self._known: OrderedDict[str, None] = OrderedDict()  # the user last seen comes last

    async def user(self, user_id: str) -> User:
        """Give the user whom an access token names.

        Raises:
            TokenInvalid: There is none, or the account is disabled.
        """
        user = await self._store.find(user_id)
        if user is None:
            raise TokenInvalid
        if user.disabled:
            self._refuse_token(user)
        self.remember(user)
        return user

    async def check(self, caller: Caller) -> None:
        """Check that an access token is of a user who may call.

        Cheap for one who was seen lately: users are never deleted, and those whose tokens were revoked are forgotten.

        Raises:
            TokenInvalid: There is no such user, the account is disabled, or it was after the token was issued.
        """
        if caller.user_id in self._known:
            self._known.move_to_end(caller.user_id)
            return
        user = await self.user(caller.user_id)
        if not user.accepts_token_of(caller.issue_time):
            self._refuse_token(user)

    def remember(self, user: User) -> None:
        """Spare the next calls of a user the look into the store, unless their tokens have to be judged one by one."""
        if user.revoke_time is not None:
            return
        self._known[user.user_id] = None
        self._known.move_to_end(user.user_id)
        if len(self._known) > REMEMBERED_USERS:
            self._known.popitem(last=False)

    async def disable(self, username: str) -> User | None:
        """Disable an account: end its sessions, refuse its sign-ins and its access tokens.

        Each server refuses the access tokens once it has looked for disabled accounts, see `forget_revoked`. Access
        tokens from before stay refused when the account is enabled again.

        Returns:
            The account as it was; None if there is none.
        """
        return await self._switch(username, self._store.disable, "account disabled, sessions ended")

    async def enable(self, username: str) -> User | None:
        """Let a disabled account sign in again.

        Returns:
            The account as it was; None if there is none.
        """
        return await self._switch(username, self._store.enable, "account enabled")

    async def forget_revoked(self) -> None:
        """Have every account that was ever disabled looked up at each of its calls, as long as it lasts.

        Raises:
            StorageUnavailable.
        """
        for user_id in await self._store.revoked():
            self._known.pop(user_id, None)

    def _refuse_token(self, user: User) -> NoReturn:
        self._note("revoked access token used", refused=True, user_id=user.user_id)
        raise TokenInvalid

    async def _switch(self, username: str, switch: Callable[[str], Awaitable[None]], event: str) -> User | None:
        found = await self._store.find_by_username(username)
        if found is None:
            return None
        user, _ = found
        await switch(user.user_id)
        self._known.pop(user.user_id, None)
        self._note(event, user_id=user.user_id)
        return user
