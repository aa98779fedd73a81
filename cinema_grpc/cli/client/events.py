"""`cinema events`: the event feed."""

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from cinema_grpc.cli.client.arguments import limit
from cinema_grpc.cli.client.lists import say_that_more_follow
from cinema_grpc.cli.client.session import ClientCommand, Session, until_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cinema_client import Client
    from cinema_client.cinema.v1.event_pb2 import Event, EventType

# ruff: noqa: PLC0415 (see session.py)

LAST_POSITION = 2**63 - 1
EVENT_TYPES = (
    *("showtime-created", "showtime-updated", "showtime-cancelled", "seats-held", "hold-changed", "hold-cancelled"),
    *("hold-expired", "booking-confirmed", "seats-cancelled", "seat-blocks-changed", "refund-owed", "refund-completed"),
    *("refund-failed", "ticket-redeemed", "redemption-reversed"),
)


@click.command("events", cls=ClientCommand)
@click.option(
    "--after",
    type=click.IntRange(0, LAST_POSITION),
    metavar="N",
    help="Those after this position. By default all kept.",
)
@click.option("--type", "types", type=click.Choice(EVENT_TYPES), multiple=True, help="Only of this type. Repeatable.")
@click.option("--showtime", default="", metavar="ID", help="Only events of this showtime.")
@click.option("--cinema", default="", metavar="ID", help="Only events of this cinema.")
@click.option("--booking", default="", metavar="ID", help="Only events of this booking.")
@click.option("--follow", is_flag=True, help="Go on with new events as they happen. Ctrl-C ends it.")
@limit(100)
def events(
    session: Session,
    after: int | None,
    types: tuple[str, ...],
    showtime: str,
    cinema: str,
    booking: str,
    follow: bool,  # noqa: FBT001 (click calls it)
    limit: int,
) -> None:
    """List events in the order in which they happened, one a line. For staff and services.

    With --follow there is no limit.
    """
    from cinema_client.cinema.v1.event_pb2 import EventType

    from cinema_grpc.cli.client.desk import event_line
    from cinema_grpc.cli.client.output import JSON, show_json, value

    filters = {"showtime_id": showtime, "cinema_id": cinema, "booking_id": booking}
    kinds = [value(EventType, each) for each in types]
    with suppress(KeyboardInterrupt), session.client() as client, until_ctrl_c():
        position = _oldest(client) if after is None else after
        found = _follow if follow else _list
        for number, event in enumerate(found(client, position, kinds, filters)):
            if number == limit and not follow:
                say_that_more_follow()
                return
            if session.output == JSON:
                show_json(event, indent=None)
            else:
                click.echo(event_line(event))


def _oldest(client: "Client") -> int:
    """Return the position before the oldest event that is kept."""
    from cinema_client.cinema.v1.event_service_pb2 import ListEventsRequest

    request = ListEventsRequest(after_position=2**62, page_size=1)  # beyond all, so that none is trimmed
    return client.events.ListEvents(request).earliest_position - 1


def _list(
    client: "Client", position: int, kinds: "list[EventType.ValueType]", filters: dict[str, str]
) -> "Iterator[Event]":
    from cinema_client.cinema.v1.event_service_pb2 import ListEventsRequest

    while True:
        request = ListEventsRequest(after_position=position, types=kinds, page_size=200, **filters)
        page = client.events.ListEvents(request)
        yield from page.events
        if page.next_position >= page.latest_position or page.next_position <= position:
            return
        position = page.next_position


def _follow(
    client: "Client", position: int, kinds: "list[EventType.ValueType]", filters: dict[str, str]
) -> "Iterator[Event]":
    for frame in client.watch_events(position, kinds, **filters):
        yield from frame.events
