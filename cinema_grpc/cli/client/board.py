"""A showtime with its seats, as `cinema seats` and `cinema watch` draw it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cinema_client.cinema.v1 import catalog_pb2, catalog_service_pb2, showtime_pb2, showtime_service_pb2
from rich.console import Group, RenderableType
from rich.text import Text

from cinema_grpc.cli.client.output import clock
from cinema_grpc.cli.client.seat_map import MARKS, UNKNOWN, Layout, SeatMap, areas
from cinema_grpc.cli.client.showtimes import heading
from cinema_grpc.cli.printing import plain

if TYPE_CHECKING:
    from cinema_client import Client

MAX_NAMED = 12
"""Seats of a change that are named; of more, only the number."""


def auditorium_of(client: "Client", showtime: showtime_pb2.Showtime) -> catalog_pb2.Auditorium:
    """Return the auditorium of a showtime."""
    request = catalog_service_pb2.GetAuditoriumRequest(auditorium_id=showtime.auditorium_id)
    return client.catalog.GetAuditorium(request).auditorium


@dataclass(slots=True)
class Board:
    """A showtime and the status of its seats.

    Attributes:
        showtime: The showtime.
        layout: Its seats.
        statuses: The status of each seat, by label.
        changed: The labels of the seats that the last frame changed.
        news: What the last frames changed, newest first.
    """

    showtime: showtime_pb2.Showtime
    layout: Layout
    statuses: dict[str, int]
    changed: frozenset[str] = frozenset()
    news: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, response: showtime_service_pb2.GetShowtimeResponse, auditorium: catalog_pb2.Auditorium) -> "Board":
        """Return the board of a showtime as it was read."""
        return cls(response.showtime, Layout(auditorium), {each.seat: each.status for each in response.seats})

    def apply(self, frame: showtime_service_pb2.WatchSeatsResponse) -> str:
        """Take in a frame.

        Returns:
            What it changed, such as "A1 A2 held"; "" if it changed nothing that is drawn.
        """
        new = {each.seat: each.status for each in frame.seats}
        changes = {seat: status for seat, status in new.items() if self.statuses.get(seat) != status}
        self.statuses.update(new)
        self.changed = frozenset(changes)
        self.showtime.available_seats = frame.available_seats
        texts = [
            _names([seat for seat in changes if changes[seat] == status], status) for status in set(changes.values())
        ]
        if frame.status != self.showtime.status:
            self.showtime.status = frame.status
            texts.append("the showtime is cancelled")
        return ", ".join(sorted(texts))

    def draw(self, width: int) -> RenderableType:
        """Return the drawing at a width."""
        seat_map = SeatMap(self.layout, self.statuses, width, self.changed)
        free = f"{self.showtime.available_seats} of {self.showtime.total_seats} seats are free"
        return Group(
            heading(self.showtime),
            Text(free),
            *(Text(each, style="dim", overflow="ellipsis", no_wrap=True) for each in self.news),
            "",
            seat_map.draw(),
            "",
            seat_map.legend(),
            "",
            areas(self.layout, self.statuses, self.showtime),
        )

    def note(self, text: str) -> None:
        """Show a change among the news, with the time of day."""
        self.news = [f"{clock()} {text}", *self.news[:2]]


def _names(seats: Sequence[str], status: int) -> str:
    mark = MARKS.get(status, UNKNOWN)
    word = "free" if status == showtime_pb2.SEAT_STATUS_AVAILABLE else mark.name
    return f"{plain(' '.join(seats)) if len(seats) <= MAX_NAMED else f'{len(seats)} seats'} {word}"
