"""The queue of the box office: first come, first served for each showtime, fair over showtimes and over callers.

Showtimes take turns, so a rush on one does not delay the others. Each caller has 16 places in the queue. Further
commands wait in a queue of the caller: when one of the 16 is taken, the next one gets a place, at the end. The order of
the places decides who is first for a seat. Room left in a batch goes to callers that have more commands, so a single
caller is served as fast as many are.
"""

from collections import deque
from collections.abc import Collection, Iterable

from cinema_grpc.application.box_office.command import Batch, QueuedCommand

PLACES_PER_CALLER = 16
"""Far fewer than a batch carries."""


class CommandQueue:
    """The commands that wait to be taken into a batch."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[QueuedCommand]] = {}
        self._places: dict[str, int] = {}
        self._overflow: dict[str, deque[QueuedCommand]] = {}
        self._placed = 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    @property
    def showtime_ids(self) -> Collection[str]:
        """The showtimes that commands with a place wait for."""
        return self._queues.keys()

    @property
    def waiting(self) -> int:
        """How many commands there are, with and without a place."""
        return self._placed + sum(map(len, self._overflow.copy().values()))

    def placed(self, exclude: Collection[str]) -> int:
        """Return how many commands have a place, except those for a few showtimes."""
        return self._placed - sum(map(self.placed_for, exclude))

    def placed_for(self, showtime_id: str) -> int:
        """Return how many commands for a showtime have a place."""
        return len(self._queues.get(showtime_id, ()))

    def overflow_of(self, caller: str) -> int:
        """Return how many commands of a caller have no place yet."""
        return len(self._overflow.get(caller, ()))

    def put(self, queued: QueuedCommand) -> None:
        """Add a command; without a place if its caller has all of theirs."""
        caller = queued.command.caller
        if caller and self._places.get(caller, 0) >= PLACES_PER_CALLER:
            self._overflow.setdefault(caller, deque()).append(queued)
        else:
            self._place(queued)

    def put_back(self, commands: Iterable[QueuedCommand]) -> None:
        """Return commands that were taken to the front, in the order in which they were taken."""
        for queued in reversed(list(commands)):
            self._queues.setdefault(queued.command.showtime_id, deque()).appendleft(queued)
            self._count(queued.command.caller, 1)

    def take(self, room: int, exclude: Collection[str]) -> Batch:
        """Take up to `room` commands, from each showtime in turn, except for some showtimes.

        Commands that get a place meanwhile are taken too, after all that had one.
        """
        batch: dict[str, list[QueuedCommand]] = {}
        while room and (turns := deque(each for each in self._queues if each not in exclude)):
            while turns and room:
                showtime_id = turns.popleft()
                queued = self._next(showtime_id)
                if showtime_id in self._queues:
                    turns.append(showtime_id)
                if queued.future.done():
                    continue  # its caller has gone
                batch.setdefault(showtime_id, []).append(queued)
                room -= 1
        return dict(batch)

    def take_for(self, showtime_id: str, room: int) -> list[QueuedCommand]:
        """Take up to `room` commands for one showtime."""
        taken: list[QueuedCommand] = []
        while len(taken) < room and showtime_id in self._queues:
            queued = self._next(showtime_id)
            if not queued.future.done():
                taken.append(queued)
        return taken

    def _next(self, showtime_id: str) -> QueuedCommand:
        """Take the first command for a showtime; the showtime goes behind the others."""
        queue = self._queues.pop(showtime_id)
        queued = queue.popleft()
        if queue:
            self._queues[showtime_id] = queue
        caller = queued.command.caller
        self._count(caller, -1)
        if overflow := self._overflow.get(caller):
            if self._places.get(caller, 0) < PLACES_PER_CALLER:
                self._place(overflow.popleft())
            if not overflow:
                del self._overflow[caller]
        return queued

    def _place(self, queued: QueuedCommand) -> None:
        self._queues.setdefault(queued.command.showtime_id, deque()).append(queued)
        self._count(queued.command.caller, 1)

    def _count(self, caller: str, change: int) -> None:
        self._placed += change
        if not caller:
            return
        places = self._places.get(caller, 0) + change
        if places:
            self._places[caller] = places
        else:
            del self._places[caller]
