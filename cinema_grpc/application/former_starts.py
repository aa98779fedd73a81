"""Showtimes that were moved or cancelled, by the starts that a file to import may still name."""

from collections import defaultdict
from collections.abc import Iterable, Set
from datetime import datetime

from cinema_grpc.application.catalog_import import ExistingShowtime
from cinema_grpc.domain.terms import ShowtimeStatus


class FormerStarts:
    """The starts that showtimes have left, and those of CANCELLED ones."""

    def __init__(self, showtimes: Iterable[ExistingShowtime]) -> None:
        self._left: defaultdict[tuple[str, str, datetime], list[ExistingShowtime]] = defaultdict(list)
        for each in showtimes:
            starts = list(each.former_starts)
            if each.status is not ShowtimeStatus.SCHEDULED:
                starts.append(each.start_time)
            for start_time in starts:
                self._left[each.auditorium_id, each.movie_id, start_time].append(each)

    def find(self, auditorium_id: str, movie_id: str, start_time: datetime, named: Set[str]) -> ExistingShowtime | None:
        """Return the showtime that a row of a file means, though it was moved or cancelled; None if the row is new.

        A row whose showtime another row names at its present start is new, unless that other row may mean a showtime
        that left this start, and so on: a file from before all showtimes of a day were moved by one has as many rows
        as before, and none of them is new.

        Args:
            auditorium_id: The row's auditorium.
            movie_id: The row's movie.
            start_time: The row's start.
            named: The showtime_ids of those that rows name at their present starts.
        """
        own = self._left.get((auditorium_id, movie_id, start_time), [])
        chain, seen = list(own), set[str]()
        for each in chain:  # it grows
            if each.showtime_id not in named:
                return next((one for one in own if one.showtime_id not in named), own[0])
            if each.showtime_id not in seen:
                seen.add(each.showtime_id)
                chain += self._left.get((auditorium_id, movie_id, each.start_time), ())
        return None
