"""The box office: decides who gets which seat, in order of arrival, many commands to a transaction.

What "order of arrival" means for a caller with many commands under way, `command_queue` says.

A lane is one worker with one transaction at a time; each showtime belongs to one lane. While a transaction is being
committed, commands arrive and wait; all that wait then form the next batch. So an idle lane answers at once, and in a
rush each transaction carries more.

Other processes may sell seats of the same showtimes. A showtime that one of them is busy with is skipped: its commands
stay first in their queue and are taken again. After a few turns, or if nothing else is to be done, it is served apart
from the lane, in a transaction that waits for it alone. So a process that is slow, or frozen, delays nobody else's
showtimes.

The database is the truth. A showtime's bookings are kept between batches to save work, and are good only if the version
that the transaction reads is theirs. A caller is answered after the commit, refusals included where they were judged on
seats that the same batch took. What goes wrong in a batch is narrowed down to the command that is at fault: the rest is
carried out without it.
"""

import asyncio
import math
import zlib
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import TypeVar

from cinema_grpc.application.batch import Command, HeldElsewhere
from cinema_grpc.application.box_office_ports import BoxOfficeStore, Written
from cinema_grpc.application.lane import Lane
from cinema_grpc.application.once import Once
from cinema_grpc.application.patience import Patience
from cinema_grpc.domain.showtime import Showtime

A = TypeVar("A")


class BoxOffice:
    """Carries out the commands on showtimes."""

    def __init__(
        self,
        store: BoxOfficeStore,
        follow: Callable[[Sequence[Written]], None],
        lanes: int = 1,
        apart: int = 0,
        longest_wait: float = math.inf,
        doubt: Callable[[Collection[str]], None] = lambda _: None,
    ) -> None:
        """Set up the lanes; `start` opens them.

        Args:
            store: Keeps who has which seat.
            follow: Told of what was committed.
            lanes: How many transactions may run at once.
            apart: How many more of them, in each lane, may wait for showtimes that other processes are busy with.
            longest_wait: How long a command may be expected to wait, in seconds.
            doubt: Told of showtimes of which it can't be found out whether a commit to them was kept.
        """
        self._lanes = [Lane(store, follow, doubt, apart, Patience(longest_wait)) for _ in range(lanes)]

    def start(self) -> None:
        """Begin to carry out commands; needs a running event loop."""
        for lane in self._lanes:
            lane.start()

    async def stop(self) -> None:
        """Carry out what waits, take no more, and end the lanes."""
        await asyncio.gather(*(lane.stop() for lane in self._lanes))

    async def execute(
        self,
        showtime_id: str,
        change: Callable[[Showtime, datetime], A],
        *,
        caller: str = "",
        booking_id: str | None = None,
        once: Once[A] | None = None,
        recording: bool = True,
        tidying: bool = False,
        owed: bool = False,
        write: Callable[[A], None] | None = None,
        held_elsewhere: HeldElsewhere | None = None,
    ) -> A:
        """Apply a change to a showtime, and give its answer when it is written down.

        Args:
            showtime_id: The showtime.
            change: A function of the showtime and the present moment, which may be applied again to a fresh copy.
            caller: The user, of whose commands 16 at most are in the queue; "" for what the server does by itself.
            booking_id: The booking that the change speaks of, if any.
            once: Under which request the answer is recorded; a repeat gets it again.
            recording: False only looks for a recorded answer, and records none.
            tidying: Whether this can wait for those who are buying.
            owed: Whether this must be carried out however long it has to wait, since money was moved.
            write: Writes the answer in the form that the caller wants. It is called for all of a batch in one go,
                which takes half the time that it takes the callers one by one.
            held_elsewhere: What the change has to know of an account's other showtimes; filled in before it is applied.

        Raises:
            ShowtimeNotFound: There is no such showtime.
            RequestIdReused: The request was made before, with other content.
            StorageUnavailable, ShuttingDown.
            FateUnknown: The change may have been written down, or not.
            Overloaded: It would have to wait too long, and is not `owed`.
            StorageContention: With `tidying`: another process is busy with the showtime; it may be left to that.
            CinemaError: What the change refuses.
        """
        lane = self._lanes[zlib.crc32(showtime_id.encode()) % len(self._lanes)]
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        if not (tidying or owed):
            lane.check_wait(showtime_id, caller)
        lane.put(
            Command(showtime_id, booking_id, change, once, recording, tidying, write, future, held_elsewhere, caller)
        )
        try:
            return await future
        finally:
            del future  # else a refusal, which it holds, would lead to this frame and back, and stay until collected
