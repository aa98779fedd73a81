"""What accounts, sessions and sign-in ask of the outside world, as protocols that the adapters fulfil.

Any method of a store may raise StorageUnavailable.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.session import RefreshToken, Session
from cinema_grpc.domain.sign_in import Limit, Record


class AccountStore(Protocol):
    """Keeps accounts. Usernames and emails are unique without regard to case."""

    async def add(self, user: User, password_hash: str) -> None:
        """Add an account.

        Raises:
            UsernameTaken, EmailTaken.
        """
        ...

    async def add_signed_in(
        self, user: User, password_hash: str, token: RefreshToken, tell: Callable[[], None]
    ) -> Session:
        """Add an account, and begin a session of it with its first token.

        Args:
            user: Whose account it is.
            password_hash: That of the user's password.
            token: The first token of the session.
            tell: Called once it is written down, also if the caller is cancelled meanwhile.

        Raises:
            UsernameTaken, EmailTaken.
        """
        ...

    async def find(self, user_id: str) -> User | None:
        """Read an account by its identifier, or None."""
        ...

    async def find_by_username(self, username: str) -> tuple[User, str] | None:
        """Read an account and its password hash by its name in any case, or None."""
        ...

    async def find_by_email(self, email: str) -> User | None:
        """Read an account by its email in any case, or None."""
        ...

    async def begin_session(
        self,
        user_id: str,
        known_hash: str,
        token: RefreshToken,
        tell: Callable[[], None],
        *,
        new_hash: str | None = None,
        alone: bool = False,
    ) -> Session | None:
        """Begin a session of a user whose password was checked, if that is still the same and the account enabled.

        Args:
            user_id: Whose session it is.
            known_hash: The password hash that was checked.
            token: The first token of the session.
            tell: Called once it is written down, also if the caller is cancelled meanwhile.
            new_hash: What replaces the password hash, if anything does.
            alone: Whether all other sessions of the user end.

        Returns:
            The session; None if the password hash is another one by now, or the account was disabled.
        """
        ...

    async def set_password_hash(self, user_id: str, password_hash: str) -> None:
        """Replace the password hash of an account, and end its sessions."""
        ...

    async def disable(self, user_id: str) -> None:
        """Disable an account: end its sessions, and revoke the access tokens that were issued before now."""
        ...

    async def enable(self, user_id: str) -> None:
        """Let an account sign in again; what was revoked stays so."""
        ...

    async def revoked(self) -> list[str]:
        """List the accounts, by user_id, that were ever disabled."""
        ...


Continue = Callable[[Session, datetime], Session | None]
"""Tells how a session goes on from the moment, or None if it ends."""


@dataclass(frozen=True, slots=True)
class ChangedSession:
    """A session that a decision was made about: whose it is, and how it was before and is after."""

    user: User
    before: Session
    after: Session | None


class SessionStore(Protocol):
    """Keeps sessions."""

    async def change(
        self, session_id: str, go_on: Continue, tell: Callable[[ChangedSession], None]
    ) -> ChangedSession | None:
        """Decide how a session goes on, one decision at a time; None if there is none.

        `tell` is called once that is written down, also if the caller is cancelled meanwhile.
        """
        ...

    async def end(self, session_id: str, tell: Callable[[str], None]) -> None:
        """End a session, if it is there.

        `tell` is called once that is written down, also if the caller is cancelled meanwhile, with the user_id of
        whoever had signed in.
        """
        ...


class SecurityLog(Protocol):
    """Writes down who was let in and who was not; it adds which call it was and where that came from.

    What a call has done is noted as soon as it is written down, whether or not its caller still waits for the answer.
    """

    def __call__(self, event: str, *, refused: bool = False, **facts: Any) -> None:
        """Write a line.

        Args:
            event: What happened, such as "signed in".
            refused: Whether somebody was kept out.
            facts: What else is to be known; never a password, a token, or a name that nobody has: it may be a password.
        """
        ...


class SignInStore(Protocol):
    """Keeps records of sign-ins, each under the digest of its subject."""

    async def read(self, subjects: Collection[bytes]) -> tuple[datetime, dict[bytes, Record]]:
        """Tell the time, and read the records of some subjects."""
        ...

    async def add_failure(self, counted: Mapping[bytes, Limit]) -> None:
        """Add a failure to the records of some subjects, each with its limit, though its caller is cancelled."""
        ...

    async def use(self, subject: bytes, most: int) -> timedelta:
        """Count one more use of a subject, unless there were `most` within the hour already.

        Returns:
            Zero if it was counted, else how long to wait for the next hour.
        """
        ...

    async def add_success(self, at_place: bytes, of_account: bytes) -> None:
        """Remember the place, and forget the failures there and of the account."""
        ...


class PasswordHasher(Protocol):
    """Makes and checks password hashes, slowly on purpose; few at once, and never on the event loop.

    Client networks take turns. Either method raises Overloaded when the turn of `network` would come too late; "" is
    the server itself.
    """

    async def hash(self, password: str, network: str) -> str:
        """Hash a password."""
        ...

    async def verify(self, password: str, password_hash: str | None, network: str) -> bool:
        """Check a password. Without a hash (an unknown user) do the same work and say False."""
        ...

    def needs_update(self, password_hash: str) -> bool:
        """Tell whether a hash should be made anew, from the password, with today's parameters."""
        ...


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that proves who is calling, until it expires."""

    text: str
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class Principal:
    """The user whom an access token names.

    Attributes:
        issue_time: Issue time of the token, in whole seconds.
    """

    user_id: str
    role: Role
    issue_time: datetime = field(default=datetime.min.replace(tzinfo=UTC), compare=False)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What others need to verify access tokens with: the members of a JSON Web Key (RFC 7517, RFC 8037).

    Attributes:
        y: Empty for a key that has none.
    """

    kid: str
    kty: str
    alg: str
    use: str
    crv: str
    x: str
    y: str


class AccessTokens(Protocol):
    """Issues and reads access tokens."""

    def issue(self, user: User) -> AccessToken:
        """Make a token that lasts 60 minutes."""
        ...

    def read(self, text: str) -> Principal:
        """Tell whom a token belongs to.

        Raises:
            TokenInvalid, TokenExpired.
        """
        ...

    def public_keys(self) -> list[PublicKey]:
        """Give the keys that others can verify tokens with, the one that signs first; none for a shared secret."""
        ...
