"""Accounts: registration, sign-in and passwords."""

import asyncio
from collections.abc import Set
from dataclasses import dataclass
from functools import partial

import structlog
import uuid_utils

from cinema_grpc.application.account_ports import AccessTokens, AccountStore, PasswordHasher, SecurityLog
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.errors import BadCredentials, CurrentPasswordWrong, TooManyAttempts
from cinema_grpc.application.principals import Principals
from cinema_grpc.application.sessions import Tokens, issue_tokens, new_refresh_token
from cinema_grpc.application.throttle import SignInThrottle
from cinema_grpc.domain.account import (
    MAX_PASSWORD_LENGTH,
    Role,
    User,
    normalize_password,
    password_violations,
    person_violations,
    username_violations,
)
from cinema_grpc.domain.errors import CinemaError, EmailTaken, FieldViolation, InvalidRequest, UsernameTaken
from cinema_grpc.domain.session import RefreshToken, Session
from cinema_grpc.domain.text import clean

logger = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SignIn:
    """A user who was authenticated, and the tokens of the new session."""

    user: User
    tokens: Tokens


class Accounts:
    """Creates accounts, signs users in and changes passwords.

    `network` is the client network of the call; "" for the server itself, which has no limits.

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
        common_passwords: Set[str],
    ) -> None:
        """Create the service; `common_passwords` are the passwords refused as too common, in lower case."""
        self.principals = Principals(store, clock, security_log)
        self._store = store
        self._hasher = hasher
        self._tokens = tokens
        self._throttle = throttle
        self._log = security_log
        self._clock = clock
        self._common_passwords = common_passwords

    async def register(self, username: str, password: str, full_name: str, email: str, network: str = "") -> SignIn:
        """Create a customer's account and sign it in.

        Raises:
            InvalidRequest: The username, the name, the email or the password breaks a rule.
            TooManyRegistrations: The client network has used up its registrations of this hour.
            UsernameTaken, EmailTaken: Another account has it.
        """
        _refuse(self.violations(username, password, full_name, email))
        try:
            # Before the look-ups below, so that only counted calls learn which names are taken.
            await self._throttle.count_registration(network)
        except TooManyAttempts as error:
            self._log("registration refused", refused=True, reason=error.reason)
            raise
        user, password_hash = await self._new_account(username, password, full_name, email, Role.CUSTOMER, network)
        token = new_refresh_token()
        log_registered = partial(self._log, "registered", user_id=user.user_id)
        session = await self._store.add_signed_in(user, password_hash, token, log_registered)
        if network:
            await self._throttle.add_success(username, network)
        return self._signed_in(user, token, session)

    async def create_staff(self, username: str, password: str, full_name: str, email: str = "") -> User:
        """Create a staff account, on behalf of the operator.

        Raises:
            InvalidRequest, UsernameTaken, EmailTaken: See `create_service`; also for the email.
        """
        return await self._create(username, password, full_name, email, Role.STAFF)

    async def create_service(self, username: str, password: str) -> User:
        """Create an account for a program, on behalf of the operator.

        Raises:
            InvalidRequest: The username or the password breaks a rule.
            UsernameTaken: Another account has it.
        """
        return await self._create(username, password, username, "", Role.SERVICE)

    async def _create(self, username: str, password: str, full_name: str, email: str, role: Role) -> User:
        _refuse(self.violations(username, password, full_name, email))
        user, password_hash = await self._new_account(username, password, full_name, email, role, network="")
        await self._store.add(user, password_hash)
        self._log(f"{role.value.lower()} account created", user_id=user.user_id)
        return user

    def violations(self, username: str, password: str, full_name: str, email: str) -> list[FieldViolation]:
        """Return the rules that a new account would break. Takes malformed values too."""
        return [
            *username_violations(username),
            *person_violations(full_name, email),
            *password_violations(normalize_password(password), "password", username, email, self._common_passwords),
        ]

    async def login(self, username: str, password: str, network: str) -> SignIn:
        """Sign a user in. An unknown username takes as long as a wrong password.

        Raises:
            BadCredentials: The username or the password is wrong.
            TooManyAttempts: There were too many wrong passwords for this account or from this network.
            Overloaded: Too many sign-ins are waiting.
        """
        return await self._attempt(username, normalize_password(password), network)

    async def change_password(self, user_id: str, current_password: str, new_password: str, network: str) -> SignIn:
        """Replace a user's password, end all sessions and begin a new one.

        Raises:
            TokenInvalid: The user does not exist, or the account is disabled.
            InvalidRequest: The new password breaks a rule.
            BadCredentials: The current password is wrong.
            TooManyAttempts, Overloaded: As for `login`.
        """
        user = await self.principals.user(user_id)
        new_password = normalize_password(new_password)
        _refuse(password_violations(new_password, "new_password", user.username, user.email, self._common_passwords))
        try:
            return await self._attempt(user.username, normalize_password(current_password), network, new_password)
        except BadCredentials:
            raise CurrentPasswordWrong from None

    async def password_violations(self, user_id: str, new_password: str) -> list[FieldViolation]:
        """Return the rules that a user's new password would break.

        Raises:
            TokenInvalid: The user does not exist, or the account is disabled.
        """
        user, password = await self.principals.user(user_id), normalize_password(new_password)
        return password_violations(password, "new_password", user.username, user.email, self._common_passwords)

    async def set_password(self, username: str, password: str, *, revoke_tokens: bool = False) -> User | None:
        """Replace the password of an account and end its sessions, on behalf of the operator.

        Returns None if no account has the username.

        Args:
            username: The account.
            password: The new password.
            revoke_tokens: Whether to revoke its access tokens too, which servers refuse once they have evicted the
                user.

        Raises:
            InvalidRequest: The password breaks a rule.
        """
        found = await self._store.find_by_username(username)
        if found is None:
            return None
        user, _ = found
        password = normalize_password(password)
        _refuse(password_violations(password, "password", user.username, user.email, self._common_passwords))
        await self._store.set_password_hash(
            user.user_id, await self._hasher.hash(password, ""), revoke_tokens=revoke_tokens
        )
        self._log("password set, sessions ended", user_id=user.user_id)
        return user

    async def has_password(self, username: str, password: str) -> bool:
        """Return whether an account exists and has this password, on behalf of the operator: no limits apply."""
        found = await self._store.find_by_username(username)
        return found is not None and await self._hasher.verify(normalize_password(password), found[1], "")

    async def _new_account(
        self, username: str, password: str, full_name: str, email: str, role: Role, network: str
    ) -> tuple[User, str]:
        # Taken names are refused before the costly hash. Between concurrent calls, the store decides.
        if await self._store.find_by_username(username) is not None:
            raise UsernameTaken(username)
        if await self._store.find_by_email(email) is not None:
            raise EmailTaken(email)
        password_hash = await self._hasher.hash(normalize_password(password), network)
        return User(str(uuid_utils.uuid7()), username, clean(full_name), email, role, self._clock.now()), password_hash

    async def _attempt(self, username: str, password: str, network: str, new_password: str | None = None) -> SignIn:
        """Check a normalized password under the throttle, and begin a session.

        A `new_password` replaces the checked one and ends all other sessions. Once the check has begun, it completes
        even if the caller is cancelled: a guesser who hangs up early must not escape the count of wrong passwords.

        Raises:
            BadCredentials, TooManyAttempts, Overloaded: As for `login`.
        """
        refused = "sign-in refused" if new_password is None else "password change refused"

        async def attempt() -> SignIn:
            async with self._throttle.attempt(username, network):
                return await self._sign_in(username, password, network, new_password, refused)

        task = asyncio.create_task(attempt())
        try:
            await asyncio.wait([task])
            return task.result()
        except asyncio.CancelledError:
            task.cancel()  # ends it only if the check has not begun
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # marks it as retrieved
            raise
        except TooManyAttempts as error:
            self._log_refusal(refused, error, await self._store.find_by_username(username))
            raise

    async def _sign_in(
        self, username: str, password: str, network: str, new_password: str | None, refused: str
    ) -> SignIn:
        token = new_refresh_token()
        done = "signed in" if new_password is None else "password changed, other sessions ended"
        # Repeated if meanwhile the account was disabled, or its hash replaced, perhaps by another sign-in.
        while True:
            found = await self._store.find_by_username(username)
            user, known_hash = await self._verify(found, password, network, refused)
            new_hash = None
            if new_password is not None:
                new_hash = await self._hasher.hash(new_password, network)
            elif self._hasher.needs_update(known_hash):
                new_hash = await self._hasher.hash(password, network)
                logger.info("password hash updated to the current parameters", user_id=user.user_id)
            session = await self._store.begin_session(
                user.user_id,
                known_hash,
                token,
                partial(self._log, done, user_id=user.user_id),
                new_hash=new_hash,
                end_others=new_password is not None,
            )
            if session is not None:
                return self._signed_in(user, token, session)

    async def _verify(
        self, found: tuple[User, str] | None, password: str, network: str, refused: str
    ) -> tuple[User, str]:
        """Return the account if the password is its own. An unknown or disabled account takes as long as any other.

        Raises:
            BadCredentials: The password is wrong, or there is no such account.
        """
        password_hash = None
        if found is not None and not found[0].disabled and len(password) <= MAX_PASSWORD_LENGTH:
            password_hash = found[1]
        matches = await self._hasher.verify(password[:MAX_PASSWORD_LENGTH], password_hash, network)
        if found is None or not matches:
            error = BadCredentials()
            self._log_refusal(refused, error, found)
            raise error
        return found

    def _log_refusal(self, event: str, error: CinemaError, found: tuple[User, str] | None) -> None:
        self._log(event, refused=True, reason=error.reason, user_id=None if found is None else found[0].user_id)

    def _signed_in(self, user: User, token: RefreshToken, session: Session) -> SignIn:
        self.principals.cache(user)
        return SignIn(user, issue_tokens(self._tokens, user, token, session))


def _refuse(violations: list[FieldViolation]) -> None:
    if violations:
        raise InvalidRequest(*violations)
