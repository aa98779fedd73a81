"""Draws what commands for staff return."""

from collections.abc import Iterable

from cinema_client.cinema.v1 import event_pb2, showtime_pb2, ticket_service_pb2
from rich.console import RenderableType
from rich.text import Text

from cinema_grpc.cli.client.output import moment, money, name, plain, table


def draw_blocks(blocks: Iterable[showtime_pb2.SeatBlock]) -> RenderableType:
    """Return a list of blocked seats."""
    list_ = table("seats", "kind", "until", "reason")
    for each in blocks:
        kind = name(showtime_pb2.SeatBlockKind, each.kind).replace("_", " ").lower()
        until = moment(each.release_time) if each.HasField("release_time") else ""
        list_.add_row(" ".join(each.seats), kind, until, plain(each.reason))
    return list_ if list_.rows else Text("No seats are blocked.")


def draw_redeemed(response: ticket_service_pb2.RedeemTicketResponse) -> RenderableType:
    """Return whom to let in."""
    ticket = response.ticket
    proof = f", ask for: {plain(ticket.proof)}" if ticket.proof else ""
    admit = "ADMIT" if response.HasField("redemption") else "VALID, not redeemed"
    return Text.assemble((admit, "bold green"), f" seat {ticket.seat}, {ticket.ticket_type}{proof}")


def event_line(event: event_pb2.Event) -> str:
    """Return an event on a line."""
    subject = f"booking {event.booking_id}" if event.booking_id else f"showtime {event.showtime_id}"
    amount = money(event.amount) if event.HasField("amount") else ""
    parts = (
        str(event.position),
        moment(event.time),
        name(event_pb2.EventType, event.type),
        subject,
        " ".join(event.seats),
        amount,
    )
    return plain("  ".join(filter(None, parts)))
