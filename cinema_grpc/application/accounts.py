"""Accounts: signing up, signing in, and telling who a caller is."""

from collections import OrderedDict
from collections.abc import Set
from dataclasses import dataclass

import structlog
import uuid_utils

from cinema_grpc.application.errors import BadCredentials, TokenInvalid
from cinema_grpc.application.ports import AccessToken, AccessTokens, AccountStore, Clock, PasswordHasher
from cinema_grpc.domain.account import (
    MAXIMUM_PASSWORD_LENGTH,
    Role,
    User,
    check_password,
    check_person,
    check_username,
    normalize_password,
)
from cinema_grpc.domain.errors import EmailTaken, UsernameTaken

logger = structlog.get_logger()

REMEMBERED_USERS = 10_000
"""How many users are known to exist without a look into the store."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """A user who has proved who they are, and the access token that says so."""

    user: User
    token: AccessToken


class Accounts:
    """Makes accounts and signs people in."""

    def __init__(
        self, store: AccountStore, hasher: PasswordHasher, tokens: AccessTokens, clock: Clock, commonest: Set[str]
    ) -> None:
        """Put the parts together.

        Args:
            store: Keeps the accounts.
            hasher: Makes and checks password hashes.
            tokens: Makes access tokens.
            clock: Tells when an account is made.
            commonest: The passwords that are refused for being common, in lower case.
        """
        self._store = store
        self._hasher = hasher
        self._tokens = tokens
        self._clock = clock
        self._commonest = commonest
        self._known: OrderedDict[str, None] = OrderedDict()

    async def register(self, username: str, password: str, full_name: str, email: str) -> SignIn:
        """Make a customer's account and sign it in.

        Raises:
            InvalidRequest: A name, the email or the password is refused.
            UsernameTaken, EmailTaken.
        """
        return self._sign_in(await self._create(username, password, full_name, email, Role.CUSTOMER))

    async def create_staff(self, username: str, password: str, full_name: str, email: str = "") -> User:
        """Make a staff account; only whoever runs the server may ask for it.

        Raises:
            InvalidRequest: A name, the email or the password is refused.
            UsernameTaken, EmailTaken.
        """
        return await self._create(username, password, full_name, email, Role.STAFF)

    async def login(self, username: str, password: str) -> SignIn:
        """Sign a user in. An unknown user costs as much time as a wrong password does.

        Raises:
            BadCredentials: The username or the password is wrong.
        """
        password = normalize_password(password)
        user, password_hash = await self._store.find_by_username(username) or (None, None)
        # No account has a password beyond the longest allowed: it is refused, at the price of any other.
        possible = password_hash if len(password) <= MAXIMUM_PASSWORD_LENGTH else None
        matches = await self._hasher.verify(password[:MAXIMUM_PASSWORD_LENGTH], possible)
        if user is None or password_hash is None or not matches:
            raise BadCredentials
        if self._hasher.needs_update(password_hash):
            await self._store.set_password_hash(user.user_id, await self._hasher.hash(password))
            logger.info("password hash made anew with the present parameters", user_id=user.user_id)
        return self._sign_in(user)

    async def set_password(self, username: str, password: str) -> User:
        """Replace the password of an account, without its old one.

        Raises:
            LookupError: There is no such account.
            InvalidRequest: The password is refused.
        """
        found = await self._store.find_by_username(username)
        if found is None:
            raise LookupError(f"there is no account named {username!r}")
        user, _ = found
        password = normalize_password(password)
        check_password(password, "password", user.username, user.email, self._commonest)
        await self._store.set_password_hash(user.user_id, await self._hasher.hash(password))
        return user

    async def user(self, user_id: str) -> User:
        """Give the user whom an access token names.

        Raises:
            TokenInvalid: There is none.
        """
        user = await self._store.find(user_id)
        if user is None:
            raise TokenInvalid
        self._remember(user_id)
        return user

    async def check_exists(self, user_id: str) -> None:
        """Check that an access token names a user; cheap for one who was seen lately, since users are never deleted.

        Raises:
            TokenInvalid: There is no such user.
        """
        if user_id in self._known:
            self._known.move_to_end(user_id)
        else:
            await self.user(user_id)

    async def _create(self, username: str, password: str, full_name: str, email: str, role: Role) -> User:
        check_username(username)
        check_person(full_name, email)
        password = normalize_password(password)
        check_password(password, "password", username, email, self._commonest)
        # A call that is bound to fail is refused before it pays for a hash; between two at once the store decides.
        if await self._store.find_by_username(username) is not None:
            raise UsernameTaken(username)
        if await self._store.find_by_email(email) is not None:
            raise EmailTaken(email)
        password_hash = await self._hasher.hash(password)
        user = User(str(uuid_utils.uuid7()), username, full_name, email, role, self._clock.now())
        await self._store.add(user, password_hash)
        return user

    def _sign_in(self, user: User) -> SignIn:
        self._remember(user.user_id)
        return SignIn(user, self._tokens.issue(user))

    def _remember(self, user_id: str) -> None:
        self._known[user_id] = None
        self._known.move_to_end(user_id)
        if len(self._known) > REMEMBERED_USERS:
            self._known.popitem(last=False)
