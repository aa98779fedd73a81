"""Everything in which SQLite and PostgreSQL differ, as a protocol that `sqlite.py` and `postgresql.py` fulfil."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cinema_grpc.adapters.database.prepared import Ask, Found, Go, Step
from cinema_grpc.application.line import Line
from cinema_grpc.application.ports import Clock

Answer = tuple[datetime, list[Found]]
"""The time, and what was found for each question."""
Peeks = Line[Ask, Answer]
Rights = Mapping[str, Sequence[str]]
"""Tables, and what has to be allowed on each, such as "SELECT". The key "" stands for the database itself."""
PROOF_BYTES = 2 * 1024 * 1024
"""How much a check writes to prove that writes work: more than the largest batch."""


class Driver(Protocol):
    """A kind of database.

    Attributes:
        engine: Gives connections.
        shared: Whether other processes may sell seats in it.
        lanes: How many transactions of the box office may run at once.
        apart: How many more of them, in each lane, may wait for showtimes that other processes hold.
        conversations: How many connections are left for everything else.
        clock: The clock of this process, if that is the one that decides.
        peeking: How many tasks may peek at once.
        peeks_a_turn: How many callers each of them answers in one go, at most.
        reading, writing, deciding: Options of a connection that reads from one state of the database, that writes, or
            that leaves the beginning and the end of its transactions to whoever uses it.
    """

    engine: AsyncEngine
    shared: bool
    lanes: int
    apart: int
    conversations: int
    clock: Clock | None
    peeking: int
    peeks_a_turn: int
    reading: Mapping[str, Any]
    writing: Mapping[str, Any]
    deciding: Mapping[str, Any]

    async def now(self, connection: AsyncConnection) -> datetime:
        """Tell the time by the clock that all processes at this database share."""
        ...

    async def lock(self, connection: AsyncConnection, lock: Step) -> Found | None:
        """Begin a transaction that writes, lock rows and give them; None if `look` does that, as for SQLite."""
        ...

    async def look(
        self, connection: AsyncConnection, lock: Step, locked: Found | None, ask: Callable[[Found], Go]
    ) -> tuple[Found, datetime, list[Found]]:
        """Read what depends on the rows that were locked, as it is since: give those, the time, and what was found.

        Args:
            connection: On which the transaction was begun.
            lock: What `lock` was asked.
            locked: What it gave.
            ask: Gives the questions; another thread may call it.
        """
        ...

    async def read(self, connection: AsyncConnection, questions: Sequence[Step]) -> list[Found]:
        """Ask many questions in one go."""
        ...

    async def peek(
        self, line: Peeks, clock: Clock | None, its_turn: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        """Answer some who wait, in the quickest way there is.

        Args:
            line: Those who wait, with what each asks of one state of the database.
            clock: The clock that decides, if it is not the database server's.
            its_turn: What is waited for before a connection is taken, where one has to be.
        """
        ...

    def while_pending(self) -> AbstractContextManager[None]:
        """Enclose a transaction that writes in several goes, so that nobody peeks at what is not committed."""
        ...

    async def write_and_commit(self, connection: AsyncConnection, goes: Sequence[Go]) -> None:
        """Write, and commit.

        Raises:
            StorageConflict: A row that should be there is not: the database is not in the state that was read.
            CommitUnknown: The answer to the COMMIT was lost.
        """
        ...

    async def undo(self, connection: AsyncConnection) -> None:
        """Roll back what was begun and not committed; a connection on which that fails is given up."""
        ...

    async def prepare_to_migrate(self, connection: AsyncConnection) -> None:
        """Wait until no other process migrates the same database, until the end of the transaction."""
        ...

    async def check(self, connection: AsyncConnection, *, by_writing: bool) -> None:
        """Check that the database takes writes.

        Args:
            connection: Without a transaction.
            by_writing: Whether to prove it by a commit of as much new data as a large batch has.

        Raises:
            OSError: It does not, though it answers.
        """
        ...

    async def check_fitness(self, connection: AsyncConnection, rights: Rights) -> None:
        """Check that the database can keep any text, and that its user has rights.

        Raises:
            OSError: It can't, or the user has not; the message names what is missing.
        """
        ...

    def translate(self, error: Exception) -> Exception | None:
        """Give what an error of the driver's is to the stores, or None for a fault of our own statements."""
        ...
