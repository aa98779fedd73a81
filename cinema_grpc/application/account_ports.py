"""Ports of accounts, sessions and sign-in: protocols that the adapters implement.

Every method of a store raises StorageUnavailable if the database can't be reached, and Overloaded if the call would
wait too long. `on_commit` is called right after the commit, even if the caller was cancelled meanwhile.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.session import RefreshToken, Session
from cinema_grpc.domain.sign_in import Limit, Record


class AccountStore(Protocol):
    """Stores accounts. Usernames and emails are unique without regard to case."""

    async def add(self, user: User, password_hash: str) -> None:
        """Add an account.

        Raises:
            UsernameTaken, EmailTaken: Another account has it.
        """
        ...

    async def add_signed_in(
        self, user: User, password_hash: str, token: RefreshToken, on_commit: Callable[[], None]
    ) -> Session:
        """Add an account and a session of it; return the session.

        Raises:
            UsernameTaken, EmailTaken: Another account has it.
        """
        ...

    async def find(self, user_id: str) -> User | None:
        """Return an account, or None."""
        ...

    async def find_by_username(self, username: str) -> tuple[User, str] | None:
        """Return an account and its password hash, or None."""
        ...

    async def find_by_email(self, email: str) -> User | None:
        """Return an account, or None."""
        ...

    async def begin_session(
        self,
        user_id: str,
        known_hash: str,
        token: RefreshToken,
        on_commit: Callable[[], None],
        *,
        new_hash: str | None = None,
        end_others: bool = False,
    ) -> Session | None:
        """Add a session of a user whose password was checked.

        Args:
            user_id: The user.
            known_hash: The password hash that the password was checked against.
            token: The first refresh token of the session.
            on_commit: See above; not called if nothing is written.
            new_hash: The password hash to replace it with; None to keep it.
            end_others: Whether to end all other sessions of the user.

        Returns:
            The session; None if the stored password hash is no longer `known_hash`, or the account is disabled.
        """
        ...

    async def set_password_hash(self, user_id: str, password_hash: str, *, revoke_tokens: bool = False) -> None:
        """Replace the password hash of an account, end its sessions, and revoke its access tokens if that is asked."""
        ...

    async def disable(self, user_id: str) -> None:
        """Disable an account, end its sessions, and revoke the access tokens that were issued before now."""
        ...

    async def enable(self, user_id: str) -> None:
        """Enable an account. Revoked access tokens stay revoked."""
        ...

    async def revoked(self, within: timedelta) -> list[str]:
        """Return the user_id of each account whose access tokens were revoked within some time until now."""
        ...


SessionDecision = Callable[[Session, datetime], Session | None]
"""Returns the next state of a session at a time, or None to end it."""


@dataclass(frozen=True, slots=True)
class ChangedSession:
    """A decision about a session: its user, and its states before and after; `after` is None if it ended."""

    user: User
    before: Session
    after: Session | None


class SessionStore(Protocol):
    """Stores sessions."""

    async def change(
        self, session_id: str, decide: SessionDecision, on_commit: Callable[[ChangedSession], None]
    ) -> ChangedSession | None:
        """Carry out a decision about a session, one decision at a time; return None if there is no such session."""
        ...

    async def end(self, session_id: str, on_commit: Callable[[str], None]) -> None:
        """End a session. If it existed, `on_commit` gets the user_id of its user."""
        ...


class SecurityLog(Protocol):
    """Logs sign-ins, refusals and changes of accounts, with the call and the client address."""

    def __call__(self, event: str, *, refused: bool = False, **facts: Any) -> None:
        """Write a log line.

        Args:
            event: What happened, such as "signed in".
            refused: Whether access was refused.
            facts: Further fields. Never a password, a token, or an unknown username: it may be a mistyped password.
        """
        ...


class SignInStore(Protocol):
    """Stores records of sign-ins. Each is keyed by a subject: a digest of an account, a client network, or both."""

    async def read(self, subjects: Collection[bytes]) -> tuple[datetime, dict[bytes, Record]]:
        """Return the current time and the records of some subjects."""
        ...

    async def add_failure(self, counted: Mapping[bytes, Limit]) -> None:
        """Add a failure to the record of each subject. Completes even if the caller is cancelled."""
        ...

    async def use(self, subject: bytes, most: int) -> timedelta:
        """Count one use of a subject, at most `most` an hour.

        Returns:
            Zero if the use was counted, else the time until the next hour begins.
        """
        ...

    async def add_success(self, account_at_network: bytes, account: bytes, /) -> None:
        """Record that an account signed in from a client network, and reset the failures of both subjects."""
        ...


class PasswordHasher(Protocol):
    """Makes and checks password hashes: slow by design, with bounded concurrency, off the event loop.

    Client networks take turns. `network` is the one that asks, or "" for the server itself. Both methods raise
    Overloaded if the turn of that network would come too late.
    """

    async def hash(self, password: str, network: str) -> str:
        """Return the hash of a password."""
        ...

    async def verify(self, password: str, password_hash: str | None, network: str) -> bool:
        """Return whether a password matches. Without a hash, do the same work and return False."""
        ...

    def needs_update(self, password_hash: str) -> bool:
        """Return whether a hash was made with other parameters than the current ones."""
        ...


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A signed token that authenticates its bearer until it expires."""

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


JsonWebKey = Mapping[str, str]
"""The members of a public key that verifies access tokens (RFC 7517, RFC 8037)."""


class AccessTokens(Protocol):
    """Issues and verifies access tokens."""

    def issue(self, user: User) -> AccessToken:
        """Return a new access token."""
        ...

    def read(self, text: str) -> Principal:
        """Return the principal of a token.

        Raises:
            TokenInvalid: The token was not issued by this service, or is not valid yet.
            TokenExpired: It has expired.
        """
        ...

    def public_keys(self) -> list[JsonWebKey]:
        """Return the public keys that verify tokens, the signing key first; empty with a shared secret."""
        ...
