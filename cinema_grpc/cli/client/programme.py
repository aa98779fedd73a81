"""`cinema cinemas`, `showtimes`, `seats` and `suggest`: what is shown where, and which seats are free.

Servers ignore tokens in these calls, so they are made without: kept ones that can't be used do not matter.
"""

from contextlib import suppress
from datetime import datetime

import click

from cinema_grpc.cli.client.arguments import Moment, limit, timestamp
from cinema_grpc.cli.client.lists import read_list, show_list
from cinema_grpc.cli.client.session import ClientCommand, Session, until_ctrl_c

# ruff: noqa: PLC0415 (see session.py)


@click.command("cinemas", cls=ClientCommand)
@click.option("--archived", is_flag=True, help="List archived cinemas too.")
@limit(50)
def cinemas(session: Session, archived: bool, limit: int) -> None:  # noqa: FBT001 (click calls it)
    """List cinemas with their identifiers and time zones."""
    from cinema_client.cinema.v1.catalog_service_pb2 import ListCinemasRequest

    from cinema_grpc.cli.client.showtimes import draw_cinemas

    request = ListCinemasRequest(include_archived=archived)
    with session.client(anonymous=True) as client:
        found = read_list(client.catalog.ListCinemas, request, limit)
    show_list(session, found, lambda: draw_cinemas(found.cinemas))


@click.command("showtimes", cls=ClientCommand)
@click.option("--movie", default="", metavar="ID", help="Only showtimes of this movie.")
@click.option("--cinema", default="", metavar="ID", help="Only showtimes in this cinema.")
@click.option("--auditorium", default="", metavar="ID", help="Only showtimes in this auditorium.")
@click.option("--from", "start_from", type=Moment(), help="Only showtimes that start then or later. By default now.")
@click.option("--until", "start_until", type=Moment(), help="Only showtimes that start before.")
@click.option("--cancelled", is_flag=True, help="List cancelled showtimes too.")
@limit(20)
def showtimes(
    session: Session,
    movie: str,
    cinema: str,
    auditorium: str,
    start_from: datetime | None,
    start_until: datetime | None,
    cancelled: bool,  # noqa: FBT001 (click calls it)
    limit: int,
) -> None:
    """List showtimes, soonest first, in the time zone of their cinema."""
    from cinema_client.cinema.v1.showtime_service_pb2 import ListShowtimesRequest

    from cinema_grpc.cli.client.showtimes import draw_showtimes

    request = ListShowtimesRequest(
        movie_id=movie,
        cinema_id=cinema,
        auditorium_id=auditorium,
        start_time_from=timestamp(start_from),
        start_time_until=timestamp(start_until),
        include_cancelled=cancelled,
    )
    with session.client(anonymous=True) as client:
        found = read_list(client.showtimes.ListShowtimes, request, limit)
    show_list(session, found, lambda: draw_showtimes(found.showtimes))


@click.command("seats", cls=ClientCommand)
@click.argument("showtime")
def seats(session: Session, showtime: str) -> None:
    """Draw the seats of a showtime: which are free, and what they cost.

    SHOWTIME is a showtime_id, as `cinema showtimes` lists them. Colours are off in a pipe, and where NO_COLOR is set.
    """
    from cinema_client.cinema.v1.showtime_service_pb2 import GetShowtimeRequest

    from cinema_grpc.cli.client.board import Board, auditorium_of
    from cinema_grpc.cli.client.output import console

    with session.client(anonymous=True) as client:
        response = client.showtimes.GetShowtime(GetShowtimeRequest(showtime_id=showtime))
        session.show(
            response, lambda: Board.of(response, auditorium_of(client, response.showtime)).draw(console().width)
        )


@click.command("watch", cls=ClientCommand)
@click.argument("showtime")
def watch(session: Session, showtime: str) -> None:
    """Draw the seats of a showtime, and redraw them as they are taken and become free. Ctrl-C ends it.

    In a pipe, and with -o json, each change is a line. Ends when the showtime does. A lost connection is resumed.
    """
    from cinema_grpc.cli.client.watching import watch_seats

    with suppress(KeyboardInterrupt), session.client(anonymous=True) as client, until_ctrl_c():
        watch_seats(client, showtime, session.output)


@click.command("suggest", cls=ClientCommand)
@click.argument("showtime")
@click.argument("people", type=click.IntRange(1, 10))
@click.option(
    "--category", "categories", multiple=True, metavar="NAME", help="Only seats of this category. Repeatable."
)
@click.option("--wheelchair", type=click.IntRange(0, 10), default=0, metavar="N", help="Wheelchair spaces among them.")
@click.option("--options", type=click.IntRange(1, 10), default=5, metavar="N", help="How many options. By default 5.")
def suggest(
    session: Session, showtime: str, people: int, categories: tuple[str, ...], wheelchair: int, options: int
) -> None:
    """Suggest the best free seats for so many PEOPLE, best first. Nothing is held: see `cinema book --best`."""
    from cinema_client.cinema.v1.showtime_service_pb2 import SuggestSeatsRequest

    from cinema_grpc.cli.client.showtimes import draw_options

    request = SuggestSeatsRequest(
        showtime_id=showtime,
        party_size=people,
        categories=categories,
        wheelchair_spaces=wheelchair,
        max_options=options,
    )
    with session.client(anonymous=True) as client:
        response = client.showtimes.SuggestSeats(request)
    session.show(response, lambda: draw_options(response.options))
