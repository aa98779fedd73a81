"""Interrupting calls: hanging up, or letting the deadline pass, at instants that sweep over the time a call takes."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from statistics import median
from typing import Any, cast

import grpc
from cinema.v1 import showtime_pb2
from sqlalchemy.pool import QueuePool

from tests.builders import NOW
from tests.database import reading
from tests.rpc.conftest import UNLIMITED, App, Metadata, new_id, running

SHORT, LONG = 5, 2_000
"""How many instants there are in a short form, and in a long one."""
WHOLE_CALLS = 7
"""How many calls are let through, to learn how long one takes."""
SPAN = 1.3
"""Up to when calls are interrupted, in times of what a whole call takes: some just get their answer."""
SHOWTIMES, ROWS, SEATS_A_ROW = 3, "ABCDEFGHIJ", 200
"""The seats there are: one for each call, and more."""
Stub = Any


@dataclass
class Scene:
    """An app with what the changes need, numbered so that no two calls want the same.

    Attributes:
        gates: Showtimes that start within the hour, so that tickets can be redeemed.
    """

    app: App
    showtimes: list[str]
    gates: list[str]
    movie_id: str
    auditorium_id: str
    cinema_id: str
    number: int = 0

    async def next_booking(self, by: str = "ada") -> str:
        """Hold a seat that is free."""
        showtime_id, seat = self.seat()
        return (await self.app.book(showtime_id, seat, by=by, request_id=new_id())).booking_id

    def seat(self, *, at_gate: bool = False) -> tuple[str, str]:
        """Return a showtime and a free seat in it."""
        self.number += 1
        showtime, place = divmod(self.number, len(ROWS) * SEATS_A_ROW)
        return (self.gates if at_gate else self.showtimes)[
            showtime
        ], f"{ROWS[place % len(ROWS)]}{place // len(ROWS) + 1}"

    async def ask(self, question: str) -> int:
        """Ask the database for a number."""
        async with reading(self.app.server.database) as connection:
            return int((await connection.exec_driver_sql(question)).scalar_one())


@asynccontextmanager
async def a_scene(database_url: str) -> AsyncIterator[Scene]:
    """Set the scene."""
    async with running(database_url, **UNLIMITED) as app:
        rows = [(label, (SEATS_A_ROW,)) for label in ROWS]
        policy = showtime_pb2.SEAT_GAP_POLICY_ALLOW
        showtimes, gates = [
            [(await app.showtime(start, rows=rows, policy=policy)).showtime_id for _ in range(SHOWTIMES)]
            for start in (NOW + timedelta(days=2), NOW + timedelta(hours=1))
        ]
        auditorium = await app.auditorium()
        movie = await app.movie(minutes=60)
        await app.customer()
        yield Scene(app, showtimes, gates, movie.movie_id, auditorium.auditorium_id, auditorium.cinema_id)


Prepare = Callable[[Scene], Awaitable[tuple[Stub, Any, Metadata]]]
"""Returns a call to interrupt: its stub, a request that no call has made yet, and its metadata."""


class Sweep:
    """Interrupts calls of one kind, each at another instant.

    Attributes:
        answered: How many got their answer before they were interrupted.
    """

    def __init__(self, instants: int) -> None:
        self._instants = instants
        self._turns: list[int] = []
        self._seconds: list[float] = []
        self.answered = 0

    async def measure(self, make: Callable[[], Any]) -> None:
        """Let a call through, and take its time."""
        start, turns = time.perf_counter(), 0
        call = make()
        while not call.done():
            turns += 1
            await asyncio.sleep(0)
        await call
        self._turns.append(turns)
        self._seconds.append(time.perf_counter() - start)

    async def interrupt(self, instant: int, make: Callable[..., Any]) -> Any:
        """Make a call, and hang up after some turns of the event loop, or have its deadline pass; return its answer."""
        share = SPAN * instant / self._instants
        if instant % 2:
            call = make(timeout=max(0.000_1, share * median(self._seconds)))
        else:
            call = make()
            for _ in range(round(share * median(self._turns))):
                await asyncio.sleep(0)
            call.cancel()
        try:
            answer = await call
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            # An answer that is not known; a call that was cancelled raises CancelledError for want of an answer.
            return None
        self.answered += 1
        return answer


async def nothing_is_left(scene: Scene, tasks_before: set["asyncio.Task[Any]"]) -> None:
    """Wait until no connection is checked out, and no task runs that did not run before."""
    pool = cast("QueuePool", scene.app.server.database.engine.pool)
    async with asyncio.timeout(30):
        while pool.checkedout() or asyncio.all_tasks() - tasks_before:  # noqa: ASYNC110 (it sets no event)
            await asyncio.sleep(0.01)
