"""Accounts: signing up, signing in, and telling who a caller is."""

import asyncio
from collections.abc import Set
from dataclasses import dataclass
from functools import partial

import structlog
import uuid_utils

from cinema_grpc.application.account_ports import AccessTokens, AccountStore, PasswordHasher, SecurityLog
from cinema_grpc.application.errors import BadCredentials, CurrentPasswordWrong, TooManyAttempts
from cinema_grpc.application.ports import Clock
from cinema_grpc.application.principals import Principals
from cinema_grpc.application.sessions import Tokens, issue, new_refresh_token
from cinema_grpc.application.throttle import SignInThrottle
from cinema_grpc.domain.account import (
    MAXIMUM_PASSWORD_LENGTH,
    Role,
    User,
    check_password,
    check_person,
    check_username,
    normalize_password,
)
from cinema_grpc.domain.errors import (
    CinemaError,
    EmailTaken,
    FieldViolation,
    InvalidRequest,
    UsernameTaken,
    violations_of,
)
from cinema_grpc.domain.session import RefreshToken, Session
from cinema_grpc.domain.text import clean

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SignIn:
    """A user who has proved who they are, and the tokens that say so."""

    user: User
    tokens: Tokens


class Accounts:
    """Makes accounts and signs people in.

    Attributes:
        principals: Checks who may call.
    """

    def __init__(
        self,
        store: AccountStore,
        hasher: PasswordHasher,
        tokens: AccessTokens,
        throttle: SignInThrottle,
        security_log: SecurityLog,
        clock: Clock,
        commonest: Set[str],
    ) -> None:
        """Put the parts together.

        Args:
            store: Keeps the accounts.
            hasher: Makes and checks password hashes.
            tokens: Makes access tokens.
            throttle: Has those wait who try many passwords.
            security_log: Is told of each sign-in and each change of a password.
            clock: Tells when an account is made.
            commonest: The passwords that are refused for being common, in lower case.
        """
        self.principals = Principals(store, security_log)
        self._store = store
        self._hasher = hasher
        self._tokens = tokens
        self._throttle = throttle
        self._note = security_log
        self._clock = clock
        self._commonest = commonest

    async def register(self, username: str, password: str, full_name: str, email: str, place: str = "") -> SignIn:
        """Make a customer's account and sign it in; `place` is where the call comes from, "" for nowhere.

        Raises:
            InvalidRequest: A name, the email or the password is refused.
            TooManyRegistrations: The place has used up its Registers of this hour; nothing was looked up.
            UsernameTaken, EmailTaken.
        """
        try:
            user, password_hash = await self._prepare(username, password, full_name, email, Role.CUSTOMER, place)
        except TooManyAttempts as error:
            self._note("registration refused", refused=True, reason=error.reason)
            raise
        token = new_refresh_token()
        session = await self._store.add_signed_in(
            user, password_hash, token, partial(self._note, "registered", user_id=user.user_id)
        )
        if place:
            await self._throttle.note_success(username, place)
        return self._signed_in(user, token, session)

    def violations(self, username: str, password: str, full_name: str, email: str) -> list[FieldViolation]:
        """Return all that a new account is refused for, however malformed."""
        return violations_of(
            lambda: check_username(username),
            lambda: check_person(full_name, email),
            lambda: check_password(normalize_password(password), "password", username, email, self._commonest),
        )

    async def password_violations(self, user_id: str, new_password: str) -> list[FieldViolation]:
        """Return what a user's new password is refused for.

        Raises:
            TokenInvalid: There is no such user.
        """
        user, new_password = await self.principals.user(user_id), normalize_password(new_password)
        return violations_of(
            lambda: check_password(new_password, "new_password", user.username, user.email, self._commonest)
        )

    async def create_staff(self, username: str, password: str, full_name: str, email: str = "") -> User:
        """Make a staff account; only whoever runs the server may ask for it.

        Raises:
            InvalidRequest: A name, the email or the password is refused.
            UsernameTaken, EmailTaken.
        """
        user, password_hash = await self._prepare(username, password, full_name, email, Role.STAFF, "")
        await self._store.add(user, password_hash)
        self._note("staff account made", user_id=user.user_id)
        return user

    async def login(self, username: str, password: str, place: str) -> SignIn:
        """Sign a user in. An unknown user costs as much time as a wrong password does.

        Raises:
            BadCredentials: The username or the password is wrong.
            TooManyAttempts: Wrong ones were tried too often, for this account or from this place.
        """
        try:
            return await self._attempt(username, place, normalize_password(password))
        except TooManyAttempts as error:
            found = await self._store.find_by_username(username)
            self._note_refusal("sign-in refused", error, found)
            raise

    async def change_password(self, user_id: str, current_password: str, new_password: str, place: str) -> SignIn:
        """Replace a user's password, and end all sessions but a new one.

        Raises:
            TokenInvalid: There is no such user, or the account is disabled.
            InvalidRequest: The new password is refused.
            BadCredentials: The current password is wrong.
            TooManyAttempts: As at login.
        """
        user = await self.principals.user(user_id)
        new_password = normalize_password(new_password)
        check_password(new_password, "new_password", user.username, user.email, self._commonest)
        try:
            return await self._attempt(user.username, place, normalize_password(current_password), new_password)
        except BadCredentials:
            raise CurrentPasswordWrong from None
        except TooManyAttempts as error:
            self._note("password change refused", refused=True, reason=error.reason, user_id=user_id)
            raise

    async def set_password(self, username: str, password: str) -> User:
        """Replace the password of an account, without its old one, and end its sessions.

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
        await self._store.set_password_hash(user.user_id, await self._hasher.hash(password, ""))
        self._note("password set, sessions ended", user_id=user.user_id)
        return user

    async def _prepare(
        self, username: str, password: str, full_name: str, email: str, role: Role, place: str
    ) -> tuple[User, str]:
        """Make an account that has still to be added, and its password hash."""
        violations = self.violations(username, password, full_name, email)
        if violations:
            raise InvalidRequest(*violations)
        password = normalize_password(password)
        # Whether a name is taken is said only to calls that are counted.
        await self._throttle.count_registration(place)
        # A call that is bound to fail is refused before it pays for a hash; between two at once the store decides.
        if await self._store.find_by_username(username) is not None:
            raise UsernameTaken(username)
        if await self._store.find_by_email(email) is not None:
            raise EmailTaken(email)
        password_hash = await self._hasher.hash(password, place)
        return User(str(uuid_utils.uuid7()), username, clean(full_name), email, role, self._clock.now()), password_hash

    async def _attempt(self, username: str, place: str, password: str, new_password: str | None = None) -> SignIn:
        """Sign in, if the throttle lets a password be tried now; whoever hangs up while it is checked stays for that.

        Raises:
            BadCredentials, TooManyAttempts.
        """

        async def attempt() -> SignIn:
            async with self._throttle.attempt(username, place):
                return await self._sign_in(username, password, place, new_password)

        task = asyncio.create_task(attempt())
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()  # which drops what has not begun
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # marks it as seen: nobody waits any more
            raise

    async def _sign_in(self, username: str, password: str, place: str, new_password: str | None = None) -> SignIn:
        """Sign in whoever has the normalized password; a new one, if given, replaces it and ends all other sessions.

        Raises:
            BadCredentials.
        """
        token = new_refresh_token()
        refused, done = "sign-in refused", "signed in"
        if new_password is not None:
            refused, done = "password change refused", "password changed, other sessions ended"
        while True:
            found = await self._store.find_by_username(username)
            user, known_hash = await self._verify(found, password, place, refused)
            new_hash = None
            if new_password is not None:
                new_hash = await self._hasher.hash(new_password, place)
            elif self._hasher.needs_update(known_hash):
                new_hash = await self._hasher.hash(password, place)
                logger.info("password hash made anew with the present parameters", user_id=user.user_id)
            session = await self._store.begin_session(
                user.user_id,
                known_hash,
                token,
                partial(self._note, done, user_id=user.user_id),
                new_hash=new_hash,
                alone=new_password is not None,
            )
            if session is not None:
                return self._signed_in(user, token, session)
            # The account was disabled meanwhile, or its hash replaced: with another password, or with the same one by
            # another sign-in.

    async def _verify(
        self, found: tuple[User, str] | None, password: str, place: str, refused: str
    ) -> tuple[User, str]:
        """Check the normalized password of an account, or of none, which takes as long; note what is `refused`.

        Raises:
            BadCredentials: It is wrong, or there is no account.
        """
        # No account has a password beyond the longest allowed, and a disabled one has none: it is refused, at the price
        # of any other.
        possible = found[1] if found is not None and not found[0].disabled else None
        possible = possible if len(password) <= MAXIMUM_PASSWORD_LENGTH else None
        matches = await self._hasher.verify(password[:MAXIMUM_PASSWORD_LENGTH], possible, place)
        if found is None or not matches:
            error = BadCredentials()
            self._note_refusal(refused, error, found)
            raise error
        return found

    def _note_refusal(self, event: str, error: CinemaError, found: tuple[User, str] | None) -> None:
        self._note(event, refused=True, reason=error.reason, user_id=None if found is None else found[0].user_id)

    def _signed_in(self, user: User, token: RefreshToken, session: Session) -> SignIn:
        self.principals.cache(user)
        return SignIn(user, issue(self._tokens, user, token, session))
