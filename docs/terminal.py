"""Draws docs/terminal.svg: the demo's Grand Hall on a good evening, as `cinema seats` draws it in a terminal.

Usage: python docs/terminal.py >docs/terminal.svg
"""

import io
import re

from cinema_client.cinema.v1 import catalog_pb2, showtime_pb2, showtime_service_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import CONSOLE_SVG_FORMAT, Console  # type: ignore[attr-defined] # as Rich's documentation says

from cinema_grpc.cli.client.board import Board
from cinema_grpc.cli.demo_data import AUDITORIUMS, CINEMAS, MOVIES, TICKET_TYPES

STATUSES = {
    "h": showtime_pb2.SEAT_STATUS_HELD,
    "g": showtime_pb2.SEAT_STATUS_BLOCKED,
    "x": showtime_pb2.SEAT_STATUS_BLOCKED,
}
START = 1_777_660_200
"""2026-05-01 20:30 in Berlin, in seconds since 1970."""


def board() -> Board:
    """Return the Grand Hall on a good evening."""
    hall = AUDITORIUMS[0]
    auditorium = catalog_pb2.Auditorium(
        rows=[catalog_pb2.SeatRow(label=row.label, sections=row.sections) for row in hall.rows],
        areas=[catalog_pb2.SeatArea(category=area.category, rows=area.rows, seats=area.seats) for area in hall.areas],
        wheelchair_spaces=[
            catalog_pb2.WheelchairSpace(seat=space.seat, companion_seats=space.companion_seats)
            for space in hall.wheelchair_spaces
        ],
    )
    taken = {
        seat: STATUSES.get(letters[0], showtime_pb2.SEAT_STATUS_SOLD)
        for letters, seats in hall.groups()
        for seat in seats
    }
    labels = [f"{row.label}{number + 1}" for row in hall.rows for number in range(sum(row.sections))]
    showtime = showtime_pb2.Showtime(
        movie=catalog_pb2.Movie(title=MOVIES[0][0]),
        cinema=catalog_pb2.Cinema(name=CINEMAS[0][0], time_zone=CINEMAS[0][1]),
        auditorium_name=hall.name,
        start_time=Timestamp(seconds=START),
        status=showtime_pb2.SHOWTIME_STATUS_SCHEDULED,
        total_seats=len(labels),
        available_seats=len(labels) - len(taken),
    )
    for category, amounts in hall.prices.items():
        for ticket_type, amount in zip(TICKET_TYPES, amounts, strict=True):
            line = showtime.prices.add(category=category, ticket_type=ticket_type)
            line.price.currency_code, line.price.minor_units = hall.currency_code, amount
    seats = [
        showtime_pb2.Seat(seat=label, status=taken.get(label, showtime_pb2.SEAT_STATUS_AVAILABLE)) for label in labels
    ]
    return Board.of(showtime_service_pb2.GetShowtimeResponse(showtime=showtime, seats=seats), auditorium)


def main() -> str:
    """Return the picture. It names no web font: where a reader has none of its fonts, any monospaced one does."""
    console = Console(
        record=True, width=80, file=io.StringIO(), highlight=False, force_terminal=True, color_system="standard"
    )
    console.print(board().draw(80))
    form = re.sub(r"@font-face {{.*?}}\s*|<!-- .*? -->\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="cinema seats", code_format=form, unique_id="cinema")


if __name__ == "__main__":
    print(main(), end="")  # noqa: T201
