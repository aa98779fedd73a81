"""Everything in which SQLite and PostgreSQL differ, as a protocol that `sqlite.py` and `postgresql.py` fulfil."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cinema_grpc.adapters.database.statements import Query, Row, Rows
from cinema_grpc.application.box_office.store import NotLocked
from cinema_grpc.application.clock import Clock

T = TypeVar("T")

Turn = Callable[[], AbstractAsyncContextManager[None]]
Rights = Mapping[str, Sequence[str]]
"""Tables, and the privileges that are needed on each, such as "SELECT". The key "" stands for the database itself."""
PROOF_BYTES = 2 * 1024 * 1024
"""How much a check writes to prove that writes work: more than the largest batch."""


class Read(NamedTuple):
    """A query, or the name of a statement in `sql/`, with its parameters in stored form."""

    query: Query | str
    parameters: Mapping[str, Any]


class RowsAt(NamedTuple):
    """The rows that a query found, and the time at which it ran; None for a statement of `sql/`."""

    now: datetime | None
    rows: Rows


class RawTransaction(Protocol):
    """A transaction of the box office, in the statements of `sql/`."""

    async def lock(
        self, showtime_ids: Collection[str], *, wait: bool, with_auditorium: Collection[str] = ()
    ) -> NotLocked:
        """Begin, lock showtimes, and return what was skipped.

        Args:
            showtime_ids: The showtimes.
            wait: Wait for the locks of showtimes instead.
            with_auditorium: Showtimes whose auditoriums to lock too, so that no other transaction schedules others
                there.
        """
        ...

    async def load(self, parameters: Mapping[str, Any]) -> Row:
        """Run the statement `load`; its time is read after the locks were acquired."""
        ...

    async def find_commit(self, showtime_id: str, revision: int) -> str | None:
        """Return which commit made a revision of a locked showtime; None if none did."""
        ...

    async def commit(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Write rows, by the names in `sql/`, and commit.

        Raises:
            StorageConflict: A constraint refused it, or a row to be changed is not as it was read.
            CommitOutcomeUnknown: The answer to the COMMIT was lost.
        """
        ...


class Driver(Protocol):
    """A kind of database.

    Attributes:
        engine: Makes connections.
        shared: Whether other processes may sell seats in it.
        waiting_tasks: How many transactions may wait for showtimes that other processes have locked.
        connections: How many connections there are for everything but the box office.
        readers: How many batches of reads may run at once.
        reads_per_batch: How many reads each of them has, at most.
        clock: The clock that decides, if it is not the database server's.
    """

    engine: AsyncEngine
    shared: bool
    waiting_tasks: int
    connections: int
    readers: int
    reads_per_batch: int

    @property
    def clock(self) -> Clock | None:
        """See the class."""
        ...

    async def read(self, reads: Sequence[Read], turn: Turn) -> Sequence[RowsAt | Exception]:
        """Run queries, each on a committed snapshot.

        Args:
            reads: The queries.
            turn: Is entered before a connection is taken, where one has to be.
        """
        ...

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run a transaction that writes, and commit it."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[RawTransaction]:
        """Open a transaction of the box office."""
        ...

    async def begin_migration(self, connection: AsyncConnection) -> None:
        """Begin a transaction in which no other process migrates the same database."""
        ...

    async def check(self, *, by_writing: bool) -> None:
        """Check that the database takes writes.

        Args:
            by_writing: Prove it by a commit of as much new data as a large batch has.

        Raises:
            OSError: It does not, though it answers.
        """
        ...

    async def check_fitness(self, rights: Rights) -> None:
        """Check that the database can store any text, and that its user has rights.

        Raises:
            OSError: It can't, or the user lacks some; the message names what is missing.
        """
        ...

    def translate(self, error: Exception) -> Exception | None:
        """Return the error that stores raise for a driver's error, or None for a bug in our own statements."""
        ...

    def time(self, connection: Connection) -> datetime:
        """Return the time by the clock that decides."""
        ...
