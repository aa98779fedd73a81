"""`cinema watch`: the seats of a showtime as they change."""

from typing import TYPE_CHECKING

from cinema_client.cinema.v1.showtime_service_pb2 import GetShowtimeRequest
from rich.live import Live

from cinema_grpc.cli.client.board import Board, auditorium_of
from cinema_grpc.cli.client.output import JSON, clock, console, show_json

if TYPE_CHECKING:
    from cinema_client import Client


def watch_seats(client: "Client", showtime_id: str, output: str) -> None:
    """Write the seats of a showtime and then each change, until the showtime ends.

    Args:
        client: The server.
        showtime_id: The showtime.
        output: The value of --output: with "json", each frame is a line.
    """
    if output == JSON:
        for frame in client.watch_seats(showtime_id):
            show_json(frame, indent=None)
        return
    response = client.showtimes.GetShowtime(GetShowtimeRequest(showtime_id=showtime_id))
    board = Board.of(response, auditorium_of(client, response.showtime))
    frames = client.watch_seats(showtime_id, response.showtime.revision)
    screen = console()
    if not screen.is_terminal or screen.is_dumb_terminal:
        screen.print(board.draw(screen.width))
        for frame in frames:
            if change := board.apply(frame):
                screen.print(f"{clock()} {change}; {frame.available_seats} free", soft_wrap=True)
        return
    with Live(board.draw(screen.width), console=screen, auto_refresh=False) as live:
        for frame in frames:
            if change := board.apply(frame):
                board.note(change)
            live.update(board.draw(screen.width), refresh=True)
