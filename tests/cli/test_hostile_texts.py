"""What a server sends moves no cursor and sets no title of a terminal, whatever field it is in."""

import io
from collections.abc import Callable
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cinema_client.cinema.v1 import booking_pb2, box_office_service_pb2, catalog_pb2, event_pb2, showtime_pb2
from cinema_client.cinema.v1.showtime_service_pb2 import GetShowtimeResponse, WatchSeatsResponse
from cinema_client.cinema.v1.ticket_pb2 import DoorTicket
from cinema_client.cinema.v1.ticket_service_pb2 import RedeemTicketResponse
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console, RenderableType

from cinema_grpc.cli.client import bookings, desk, showtimes
from cinema_grpc.cli.client.board import Board
from cinema_grpc.cli.client.output import moment
from cinema_grpc.cli.report_output import PrintedReport, describe
from cinema_grpc.domain.sales import SalesLine

EVIL = "\x1b]0;owned\x07"


def evil(message: Any) -> Any:
    """Fill all fields of a message: texts with an escape sequence, lists with one entry. Return the message."""
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if isinstance(value, Message):
            if not isinstance(value, Timestamp):
                evil(value)
        elif isinstance(value, str):
            setattr(message, field.name, EVIL)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            evil(value.add())
        elif field.type == FieldDescriptor.TYPE_STRING:
            value.append(EVIL)
        elif field.type == FieldDescriptor.TYPE_INT32 and not isinstance(value, int):
            value.append(3)
    return message


def board(width: int) -> Callable[[], RenderableType]:
    """Return how to draw a board after a frame."""

    def draw() -> RenderableType:
        shown = Board.of(evil(GetShowtimeResponse()), evil(catalog_pb2.Auditorium()))
        shown.note(shown.apply(evil(WatchSeatsResponse(status=showtime_pb2.SHOWTIME_STATUS_CANCELLED))))
        return shown.draw(width)

    return draw


DRAWINGS: dict[str, Callable[[], RenderableType]] = {
    "booking": lambda: bookings.draw_booking(evil(booking_pb2.Booking())),
    "bookings": lambda: bookings.draw_bookings([evil(booking_pb2.Booking())]),
    "found": lambda: bookings.draw_found([evil(box_office_service_pb2.FoundBooking())]),
    "cinemas": lambda: showtimes.draw_cinemas([evil(catalog_pb2.Cinema())]),
    "showtimes": lambda: showtimes.draw_showtimes([evil(showtime_pb2.Showtime())]),
    "options": lambda: showtimes.draw_options([evil(showtime_pb2.SeatOption())]),
    "numbers": board(80),
    "letters": board(14),
    "blocks": lambda: desk.draw_blocks([evil(showtime_pb2.SeatBlock())]),
    "redeemed": lambda: desk.draw_redeemed(evil(RedeemTicketResponse())),
    "reversed": lambda: desk.draw_reversed(evil(DoorTicket())),
    "refunds": lambda: desk.draw_refunds([evil(box_office_service_pb2.ListedRefund())]),
    "event": lambda: desk.event_line(evil(event_pb2.Event())),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings(name: str) -> None:
    console = Console(file=io.StringIO(), width=80, highlight=False, emoji=False, markup=False)
    console.print(DRAWINGS[name]())
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "owned" in drawn or name in {"numbers", "letters"}
    assert drawn.replace("\n", "").isprintable()


def test_reports() -> None:
    line = SalesLine(EVIL, EVIL, 1, 0, 1_250, 0, 1_250, 0, 0, 0)
    printed = PrintedReport([line], [line], "category", date(2026, 5, 1), date(2026, 5, 2), EVIL)
    drawn = describe(printed)
    assert drawn.replace("\n", "").isprintable()
    assert "1250 (minor units)" in drawn  # of a currency that this program does not know


@pytest.mark.parametrize("seconds", [-62_135_596_800, 253_402_300_799])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_moment_at_an_end_of_the_calendar_is_shown(seconds: int, zone: str) -> None:
    """Doors may report one, and some time zones have no date for it."""
    assert moment(Timestamp(seconds=seconds), ZoneInfo(zone))
