"""The queue of the box office: first come, first served for each showtime, fair over showtimes and over callers.

Showtimes take turns, so a rush on one does not hold up the others. A caller has 16 places in the queue: with more
commands under way, the others wait in a queue of the caller's own, and each gets its place, at the end, when one of the
caller's commands is taken. So between callers of one seat "first" means: the first to get a place. Room that is left in
a batch goes to callers that have more, so a single caller is served as fast as many are.
"""

from collections import deque
from collections.abc import Collection, Iterable

from cinema_grpc.application.batch import AnyCommand, Batch

PLACES_A_CALLER = 16
"""How many commands of one caller are in the queue at most; far fewer than a batch carries."""


class CommandQueue:
    """The commands that wait to be taken into a batch."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[AnyCommand]] = {}
        self._places: dict[str, int] = {}
        self._behind: dict[str, deque[AnyCommand]] = {}
        self._count_behind = 0

    def __bool__(self) -> bool:
        return bool(self._queues)

    @property
    def showtime_ids(self) -> Collection[str]:
        """The showtimes that commands with a place wait for."""
        return self._queues.keys()

    def placed(self, but_for: Collection[str]) -> int:
        """Return how many commands have a place, except those for some showtimes."""
        return sum(len(queue) for showtime_id, queue in self._queues.items() if showtime_id not in but_for)

    def placed_for(self, showtime_id: str) -> int:
        """Return how many commands for a showtime have a place."""
        return len(self._queues.get(showtime_id, ()))

    @property
    def behind(self) -> int:
        """How many commands have no place yet."""
        return self._count_behind

    def behind_of(self, caller: str) -> int:
        """Return how many commands of a caller have no place yet."""
        return len(self._behind.get(caller, ()))

    def put(self, command: AnyCommand) -> bool:
        """Add a command, and return whether it got a place; commands without a caller always do."""
        if command.caller and self._places.get(command.caller, 0) >= PLACES_A_CALLER:
            self._behind.setdefault(command.caller, deque()).append(command)
            self._count_behind += 1
            return False
        self._place(command)
        return True

    def put_back(self, commands: Iterable[AnyCommand]) -> None:
        """Return commands that were taken to the front, in the order in which they were taken."""
        for command in reversed(list(commands)):
            self._queues.setdefault(command.showtime_id, deque()).appendleft(command)
            self._count(command.caller, 1)

    def take(self, room: int, but_for: Collection[str]) -> Batch:
        """Take up to `room` commands, from each showtime in turn, except for some showtimes.

        What gets a place meanwhile is taken too, after all that had one.
        """
        batch: Batch = {}
        while room and (turns := deque(each for each in self._queues if each not in but_for)):
            while turns and room:
                showtime_id = turns.popleft()
                command = self._next(showtime_id)
                if showtime_id in self._queues:
                    turns.append(showtime_id)
                if command.future.done():
                    continue  # its caller has gone
                batch.setdefault(showtime_id, []).append(command)
                room -= 1
        return batch

    def take_for(self, showtime_id: str, room: int) -> list[AnyCommand]:
        """Take up to `room` commands for one showtime."""
        taken: list[AnyCommand] = []
        while len(taken) < room and showtime_id in self._queues:
            command = self._next(showtime_id)
            if not command.future.done():
                taken.append(command)
        return taken

    def _next(self, showtime_id: str) -> AnyCommand:
        """Take the first command for a showtime; the showtime goes behind the others."""
        queue = self._queues.pop(showtime_id)
        command = queue.popleft()
        if queue:
            self._queues[showtime_id] = queue
        if command.caller:
            self._count(command.caller, -1)
            self._give_place(command.caller)
        return command

    def _give_place(self, caller: str) -> None:
        """Give the place that has come free to the caller's next command."""
        behind = self._behind.get(caller)
        if behind is None or self._places.get(caller, 0) >= PLACES_A_CALLER:
            return
        self._place(behind.popleft())
        self._count_behind -= 1
        if not behind:
            del self._behind[caller]

    def _place(self, command: AnyCommand) -> None:
        self._queues.setdefault(command.showtime_id, deque()).append(command)
        self._count(command.caller, 1)

    def _count(self, caller: str, change: int) -> None:
        if not caller:
            return
        places = self._places.get(caller, 0) + change
        if places:
            self._places[caller] = places
        else:
            del self._places[caller]
