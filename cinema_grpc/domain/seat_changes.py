"""The changes of a showtime's seats: which seats may differ from an earlier state that a client has.

Changes are counted in steps. Each seat has the step of its latest change. Each revision has a step: a client that has
the revision knows all changes up to that step. So one number describes the state that a client has, however old it is.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from cinema_grpc.domain.showtime import SeatStatus, Showtime
from cinema_grpc.domain.terms import ShowtimeStatus

MAX_REVISIONS = 1_000
"""Number of latest revisions from which a client can resume."""


@dataclass(frozen=True, slots=True, eq=False)
class SeatFrame:
    """Some seats of a showtime, or all if it is a snapshot, as they are at one moment.

    Attributes:
        seats: Labels and statuses.
        available_seats: The number of available seats, of all seats.
        next_lapse_time: When the next hold or block ends, if nothing else happens; None if none will.
    """

    revision: int
    snapshot: bool
    seats: tuple[tuple[str, SeatStatus], ...]
    available_seats: int
    status: ShowtimeStatus
    next_lapse_time: datetime | None


class SeatChanges:
    """The seats of a showtime, with the step at which each has changed.

    Attributes:
        step: The number of the latest step.
        revision, commit_id: The version of the showtime.
        end_time: When the showtime ends.
        status: Whether it takes place.
        next_lapse: When the next hold or block ends; None if none will.
    """

    def __init__(self, showtime: Showtime, revision: int, commit_id: str, now: datetime) -> None:
        self._labels = showtime.terms.seat_plan.labels
        self._seats = showtime.seats(now)
        self._changed = [0] * len(self._seats)
        self._ends: dict[int, datetime] = {}
        self._steps: OrderedDict[int, int] = OrderedDict()
        self._lost = 0
        self.next_lapse: datetime | None = None
        self.step = 1
        ended = [position for position, end in showtime.ends().items() if end <= now]
        for position in ended:
            self._changed[position] = self.step
        self._take_over(showtime, revision, commit_id, now)

    def advance(self, showtime: Showtime, revision: int, commit_id: str, now: datetime) -> None:
        """Take over a later version of the showtime, as it is at `now`. The step grows if the version differs.

        A lower revision, or the same one by another commit, means that a failover has undone commits.
        """
        self.lapse(now)  # else a seat that was held, became free and was held again would look unchanged
        if (revision, commit_id) == (self.revision, self.commit_id):
            return
        if revision <= self.revision:
            self._lost = max(self._lost, self.revision)
            self._steps.clear()
        self.step += 1
        seats = showtime.seats(now)
        for position, (before, after) in enumerate(zip(self._seats, seats, strict=True)):
            if before is not after:
                self._changed[position] = self.step
        self._seats = seats
        self._take_over(showtime, revision, commit_id, now)

    def lapse(self, now: datetime) -> None:
        """Free the seats of holds and blocks that have ended by `now`. It takes a step if any did."""
        if self.next_lapse is None or now < self.next_lapse:
            return
        self.step += 1
        for position in [position for position, end in self._ends.items() if end <= now]:
            del self._ends[position]
            self._seats[position] = SeatStatus.AVAILABLE
            self._changed[position] = self.step
        self.next_lapse = min(self._ends.values(), default=None)

    def step_at(self, revision: int) -> int | None:
        """Return the step of a client that has the seats at a revision; None if that revision is unknown here."""
        return self._steps.get(revision)

    def since(self, step: int | None) -> SeatFrame:
        """Return the seats that may have changed since a step, or all for None."""
        positions = [each for each, when in enumerate(self._changed) if step is None or when > step]
        return SeatFrame(
            self.revision,
            step is None,
            tuple((self._labels[each], self._seats[each]) for each in positions),
            self._seats.count(SeatStatus.AVAILABLE),
            self.status,
            self.next_lapse,
        )

    def _take_over(self, showtime: Showtime, revision: int, commit_id: str, now: datetime) -> None:
        self.revision, self.commit_id = revision, commit_id
        self.status, self.end_time = showtime.terms.status, showtime.terms.end_time
        ends = showtime.ends()
        self._ends = {position: end for position, end in ends.items() if end > now}
        self.next_lapse = min(self._ends.values(), default=None)
        if revision > self._lost:
            # A client may have read this revision before these holds and blocks ended, and still show their seats as
            # taken. So the step of this revision is set before these ends, and the client is sent these seats again.
            ended = [self._changed[position] - 1 for position in ends.keys() - self._ends.keys()]
            self._steps[revision] = min([self.step, *ended])
            if len(self._steps) > MAX_REVISIONS:
                self._steps.popitem(last=False)
