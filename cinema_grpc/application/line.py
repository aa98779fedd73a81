"""A line of those who wait for an answer, and the tasks that serve it for as long as anybody waits."""

import asyncio
import itertools
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

QUIET_TURNS = 3
"""How many turns of the event loop have to bring nobody: about as many as a call takes to come in."""
MOST_TURNS = 32
"""How many turns those who are in wait for others at most."""
MOST_AT_ONCE = 256
"""How many are worth no more waiting."""


async def until_quiet(count: Callable[[], int], most: int = MOST_AT_ONCE) -> None:
    """Wait until all who are at the door have come in.

    Each turn of the event loop may let more callers in, whom the sockets had already; once some turns bring nobody,
    there is nothing to wait for. So an idle server does not wait, and a busy one serves more of them at once.

    Args:
        count: Tells how many are in.
        most: How many are enough.
    """
    quiet = 0
    for _ in range(MOST_TURNS):
        before = count()
        if quiet == QUIET_TURNS or before >= most:
            return
        await asyncio.sleep(0)
        quiet = quiet + 1 if count() <= before else 0  # some may be served meanwhile


@dataclass(frozen=True, slots=True, eq=False)
class Asked(Generic[Q, A]):
    """A question, and the future for its answer, which is done already if nobody waits for it any more."""

    question: Q
    future: "asyncio.Future[A]"

    def answer(self, answer: A | Exception) -> None:
        """Tell whoever asked, if they still wait."""
        if self.future.done():
            return
        if isinstance(answer, Exception):
            self.future.set_exception(answer)
        else:
            self.future.set_result(answer)


class Line(Generic[Q, A]):
    """Those who wait; what a task has at hand serves many of them.

    Whoever hangs up is passed over. What has begun for them goes on, as a conversation with a database that is broken
    off leaves a connection of no use.

    Attributes:
        tasks: Those that run.
    """

    def __init__(
        self, serve: Callable[[], Coroutine[Any, Any, None]], most_tasks: int = 1, most_each: int = sys.maxsize
    ) -> None:
        """Set up.

        Args:
            serve: Takes some of those who wait, and answers them; what it raises is told to those who wait, unless
                other tasks get on.
            most_tasks: How many tasks may do so at once.
            most_each: How many one of them takes in one go, at most.
        """
        self._serve = serve
        self._most_tasks = most_tasks
        self._most_each = most_each
        self._waiting: deque[Asked[Q, A]] = deque()
        self.tasks: set[asyncio.Task[Any]] = set()
        self._taken = 0
        self._began = 0.0

    def ahead(self) -> tuple[int, float]:
        """Tell how many rounds of all tasks a newcomer has to wait for, and for how many seconds one has gone on."""
        if len(self.tasks) < self._most_tasks:
            return 0, 0.0
        return 1 + len(self._waiting) // (self._most_tasks * self._most_each), time.monotonic() - self._began

    async def ask(self, question: Q) -> A:
        """Wait for an answer."""
        asked: Asked[Q, A] = Asked(question, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if len(self.tasks) < self._most_tasks:
            self._began = time.monotonic()
            # It serves others too, and what it logs is not about the call that happened to come first.
            self.tasks.add(asyncio.create_task(self._serve_on(), name="a line", context=Context()))
        return await asked.future

    def take(self) -> Asked[Q, A] | None:
        """Take the first who still waits, if anybody does."""
        while self._waiting:
            asked = self._waiting.popleft()
            if not asked.future.done():
                self._taken += 1
                return asked
        return None

    async def answer_all(self, answer: Callable[[list[Q]], Awaitable[Sequence[A | Exception]]]) -> None:
        """Take as many as may be, and answer them at once.

        Args:
            answer: Gives for each question what is told, in the same order; what it raises is told to all.
        """
        asked = list(itertools.islice(iter(self.take, None), self._most_each))
        if not asked:
            return
        answers: Sequence[A | Exception]
        try:
            answers = await answer([each.question for each in asked])
        except Exception as error:  # noqa: BLE001 (it is theirs who ask)
            answers = [error] * len(asked)
        except asyncio.CancelledError:
            for each in asked:
                each.future.cancel()
            raise
        for each, told in zip(asked, answers, strict=True):
            each.answer(told)

    async def _serve_on(self) -> None:
        try:
            while self._waiting:
                self._began, taken = time.monotonic(), self._taken
                await until_quiet(lambda: len(self._waiting), min(self._most_each, MOST_AT_ONCE))
                try:
                    await self._serve()
                except Exception as error:  # noqa: BLE001 (it is theirs who ask)
                    if self._taken > taken and len(self.tasks) > 1:
                        return  # other tasks get on, and go on for as long as anybody waits
                    while asked := self.take():
                        asked.answer(error)
        finally:
            self.tasks.discard(asyncio.current_task())
            if not self.tasks:
                while asked := self.take():  # if this was ended, as the database is closed
                    asked.future.cancel()
