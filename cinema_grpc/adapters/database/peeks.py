"""Those who wait for a look into the database, and the tasks that answer them."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cinema_grpc.adapters.database.prepared import Ask, Found

Answer = tuple[datetime, list[Found]]


@dataclass(frozen=True, slots=True, eq=False)
class Peek:
    """What one of them asks; `future` gets the time and what was found, or is done already if nobody waits any more."""

    ask: Ask
    future: "asyncio.Future[Answer]"

    def answer(self, answer: Answer | Exception) -> None:
        """Tell whoever asked, if somebody still waits."""
        if self.future.done():
            return
        if isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


class Peeks:
    """The line of those who wait, and its readers.

    A reader goes on for as long as anybody waits, so that what it has at hand serves many. Whoever hangs up is passed
    over; what has begun for them goes on, as a conversation that is broken off leaves a connection of no use.

    Attributes:
        readers: The tasks that run.
    """

    def __init__(self, most_readers: int) -> None:
        """Set how many readers there may be at once."""
        self._most_readers = most_readers
        self._waiting: deque[Peek] = deque()
        self.readers: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        """Give how many wait."""
        return len(self._waiting)

    async def ask(self, ask: Ask, read: Callable[[], Coroutine[Any, Any, None]]) -> Answer:
        """Wait for an answer.

        Args:
            ask: As in Database.peek.
            read: Takes some of those who wait, and answers them; what it raises is for those that it has not taken.
        """
        peek = Peek(ask, asyncio.get_running_loop().create_future())
        self._waiting.append(peek)
        if len(self.readers) < self._most_readers:
            self.readers.add(asyncio.create_task(self._read_on(read), name="reads"))
        return await peek.future

    def take(self) -> Peek | None:
        """Take the first who still waits, if anybody does."""
        while self._waiting:
            peek = self._waiting.popleft()
            if not peek.future.done():
                return peek
        return None

    async def _read_on(self, read: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            while self._waiting:
                try:
                    await read()
                except Exception as error:  # noqa: BLE001 (it is theirs who ask)
                    while peek := self.take():
                        peek.answer(error)
        finally:
            self.readers.discard(asyncio.current_task())
            if not self.readers:
                while peek := self.take():  # if this was ended, as the database is closed
                    peek.future.cancel()
