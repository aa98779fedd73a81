"""What the application asks of the outside world, as protocols that the adapters fulfil.

Any method of a store may raise StorageUnavailable.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from cinema_grpc.application.box_office_ports import Version
from cinema_grpc.application.once import Recorded, RequestKey
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.session import RefreshToken, Session
from cinema_grpc.domain.showtime import Terms
from cinema_grpc.domain.sign_in import Limit, Record


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Give the present moment, in UTC."""
        ...


class OldRecords(Protocol):
    """What is kept for a time only."""

    async def forget_requests(self, age: timedelta, limit: int) -> int:
        """Forget at most `limit` requests that are `age` old, the oldest first; tell how many."""
        ...

    async def forget_sessions(self, limit: int) -> int:
        """Forget at most `limit` sessions that are over; tell how many."""
        ...

    async def forget_sign_ins(self, limit: int) -> int:
        """Forget at most `limit` records of sign-ins in which nothing counts any more; tell how many."""
        ...


# Selling seats


class StorageConflict(Exception):
    """A constraint of the database refused a write; nothing of its transaction was kept."""


class StorageContention(Exception):
    """Another transaction got in the way (a deadlock, say); nothing was kept, and the same again may work."""


class CommitUnknown(Exception):
    """The answer to a COMMIT was lost: the transaction was kept whole or not at all."""


@dataclass(frozen=True, slots=True)
class FoundBooking:
    """A booking as written down, with the start of its showtime and the moment of the reading."""

    booking: Booking
    start_time: datetime
    now: datetime


class BookingReader(Protocol):
    """Reads bookings."""

    async def showtime_of(self, booking_id: str) -> str | None:
        """Tell to which showtime a booking belongs, or None."""
        ...

    async def find(self, booking_id: str) -> FoundBooking | None:
        """Read a booking, or None if there is none of that name."""
        ...

    async def of_user(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> list[Booking]:
        """Read a user's bookings as they are now, newest first, from the one after `after` on ("" for the first)."""
        ...


# The catalog and the programme


class RequestAlreadyRecorded(Exception):
    """A call with the same key was carried out in the meantime; nothing of this one was kept."""


@dataclass(frozen=True, slots=True)
class ShowtimeFilter:
    """Which showtimes to list; "" sets no condition.

    Attributes:
        start_from: Inclusive; None is the present moment.
        start_until: Exclusive; None is no end.
    """

    movie_id: str
    cinema_id: str
    auditorium_id: str
    start_from: datetime | None
    start_until: datetime | None


class CatalogStore(Protocol):
    """Keeps movies, cinemas, auditoriums and the programme.

    What is added is kept together with the record of its request, if one is given; every method that adds may raise
    RequestAlreadyRecorded. Lists run in the order of creation, from the entry after `after` on ("" for the first).
    """

    async def now(self) -> datetime:
        """Tell the time by the clock that decides."""
        ...

    async def recorded(self, key: RequestKey) -> Recorded | None:
        """Read the outcome of an earlier call."""
        ...

    async def add_movie(self, movie: Movie, recorded: Recorded | None) -> None:
        """Add a movie."""
        ...

    async def add_cinema(self, cinema: Cinema, recorded: Recorded | None) -> None:
        """Add a cinema."""
        ...

    async def add_auditorium(self, auditorium: Auditorium, recorded: Recorded | None) -> None:
        """Add an auditorium to an existing cinema.

        Raises:
            NameTaken: The cinema has one of that name.
        """
        ...

    async def add_showtime(self, showtime: ListedShowtime, recorded: Recorded | None) -> None:
        """Put a showtime on the programme, if its auditorium is free then.

        Raises:
            ShowtimeOverlap: It is not.
        """
        ...

    async def movie(self, movie_id: str) -> Movie | None:
        """Read a movie, or None."""
        ...

    async def cinema(self, cinema_id: str) -> Cinema | None:
        """Read a cinema, or None."""
        ...

    async def auditorium(self, auditorium_id: str) -> Auditorium | None:
        """Read an auditorium, or None."""
        ...

    async def movies(self, after: str, limit: int) -> list[Movie]:
        """List movies."""
        ...

    async def cinemas(self, after: str, limit: int) -> list[Cinema]:
        """List cinemas."""
        ...

    async def auditoriums(self, cinema_id: str, after: str, limit: int) -> list[Auditorium]:
        """List the auditoriums of a cinema."""
        ...


@dataclass(frozen=True, slots=True)
class FoundShowtime:
    """A showtime as written down, with every booking that keeps seats."""

    listed: ListedShowtime
    version: Version
    terms: Terms
    bookings: Sequence[Booking]


@dataclass(frozen=True, slots=True)
class FoundChanges:
    """The bookings of a showtime that have changed up to a version, whether or not they keep seats now."""

    version: Version
    bookings: Sequence[Booking]


class ProgrammeReader(Protocol):
    """Reads the programme."""

    async def changes(self, showtime_id: str, since: Version) -> FoundChanges | None:
        """Read what other processes have changed; None if all of the showtime has to be read for that."""
        ...

    async def page(
        self, condition: ShowtimeFilter, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[datetime, list[ListedShowtime]]:
        """List showtimes by start and identifier, from the one after `after` on, with the seats that are free now."""
        ...

    async def versions(self, showtime_ids: Collection[str]) -> tuple[datetime, dict[str, Version]]:
        """Tell at which version showtimes are, and what time it is; unknown ones are missing."""
        ...

    async def showtime(self, showtime_id: str) -> FoundShowtime | None:
        """Read a showtime, or None."""
        ...


# Accounts

Continue = Callable[[Session, datetime], Session | None]
"""Tells how a session goes on from the moment, or None if it ends."""


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
        """Begin a session of a user whose password was checked, if the password is still the same.

        Args:
            user_id: Whose session it is.
            known_hash: The password hash that was checked.
            token: The first token of the session.
            tell: Called once it is written down, also if the caller is cancelled meanwhile.
            new_hash: What replaces the password hash, if anything does.
            alone: Whether all other sessions of the user end.

        Returns:
            The session; None if the password hash is another one by now.
        """
        ...

    async def set_password_hash(self, user_id: str, password_hash: str) -> None:
        """Replace the password hash of an account, and end its sessions."""
        ...


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

    async def add_success(self, at_place: bytes, of_account: bytes) -> None:
        """Remember the place, and forget the failures there and of the account."""
        ...


class PasswordHasher(Protocol):
    """Makes and checks password hashes, slowly on purpose; few at once, and never on the event loop."""

    async def hash(self, password: str) -> str:
        """Hash a password."""
        ...

    async def verify(self, password: str, password_hash: str | None) -> bool:
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
class Caller:
    """Who is calling, as an access token proved it."""

    user_id: str
    role: Role


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

    def read(self, text: str) -> Caller:
        """Tell whom a token belongs to.

        Raises:
            TokenInvalid, TokenExpired.
        """
        ...

    def public_keys(self) -> list[PublicKey]:
        """Give the keys that others can verify tokens with, the one that signs first; none for a shared secret."""
        ...
