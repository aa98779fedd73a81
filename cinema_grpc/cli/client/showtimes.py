"""Draws lists of cinemas, of showtimes and of suggested seats."""

from collections.abc import Iterable

from cinema_client.cinema.v1 import catalog_pb2, showtime_pb2
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from cinema_grpc.cli.client.output import moment, money, name, table, zone_of
from cinema_grpc.cli.printing import plain


def draw_cinemas(cinemas: Iterable[catalog_pb2.Cinema]) -> RenderableType:
    """Return a list of cinemas."""
    list_ = table("cinema", "name", "time zone")
    list_.columns[0].no_wrap = True
    for each in cinemas:
        shown = Text(plain(f"{each.name} (archived)" if each.archived else each.name), "bold")
        list_.add_row(Text(plain(each.cinema_id), "cyan"), shown, plain(each.time_zone))
    return list_ if list_.rows else Text("No cinemas.")


def draw_showtimes(showtimes: Iterable[showtime_pb2.Showtime]) -> RenderableType:
    """Return a list of showtimes. An identifier has a line to itself, so that 80 columns do not cut it."""
    list_ = table("starts", "showtime", "free", "from", right="free from")
    for column in (0, 2, 3):
        list_.columns[column].no_wrap = True
    for each in showtimes:
        cancelled = each.status == showtime_pb2.SHOWTIME_STATUS_CANCELLED
        place = f"{each.cinema.name}, {each.auditorium_name}"
        list_.add_row(
            moment(each.start_time, zone_of(each.cinema.time_zone)),
            Text("\n").join(
                (Text(plain(each.movie.title), "bold"), Text(plain(place)), Text(plain(each.showtime_id), "cyan"))
            ),
            "cancelled" if cancelled else f"{each.available_seats}/{each.total_seats}",
            money(each.price),
        )
    return list_ if list_.rows else Text("No showtimes.")


def draw_options(options: Iterable[showtime_pb2.SeatOption]) -> RenderableType:
    """Return a list of suggested seats."""
    list_ = table("seats", "price", "because", right="price")
    for each in options:
        reasons = ", ".join(name(showtime_pb2.SeatOptionReason, reason) for reason in each.reasons)
        list_.add_row(" ".join(each.seats), money(each.total_price), reasons.replace("_", " ").lower())
    return list_ if list_.rows else Text("No seats fit: try fewer people, or other categories.")


def heading(showtime: showtime_pb2.Showtime) -> Table:
    """Return what is shown when and where, and how many seats are free."""
    zone = zone_of(showtime.cinema.time_zone)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_row(Text(plain(showtime.movie.title), "bold"))
    place = plain(f"{showtime.cinema.name}, {showtime.auditorium_name}")
    grid.add_row(Text(f"{place}, {moment(showtime.start_time, zone)} ({plain(showtime.cinema.time_zone)})"))
    if showtime.status == showtime_pb2.SHOWTIME_STATUS_CANCELLED:
        grid.add_row(Text(plain(f"CANCELLED: {showtime.cancel_reason}"), "bold red"))
    return grid
