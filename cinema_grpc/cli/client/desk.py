"""Draws what commands for staff return."""

from collections.abc import Iterable

from cinema_client.cinema.v1 import (
    booking_pb2,
    box_office_service_pb2,
    event_pb2,
    showtime_pb2,
    ticket_pb2,
    ticket_service_pb2,
)
from rich.console import RenderableType
from rich.text import Text

from cinema_grpc.cli.client.output import moment, money, name, table
from cinema_grpc.cli.printing import plain


def draw_blocks(blocks: Iterable[showtime_pb2.SeatBlock]) -> RenderableType:
    """Return a list of blocked seats."""
    list_ = table("seats", "kind", "until", "reason")
    for each in blocks:
        kind = name(showtime_pb2.SeatBlockKind, each.kind).replace("_", " ").lower()
        until = moment(each.release_time) if each.HasField("release_time") else ""
        list_.add_row(" ".join(each.seats), kind, until, each.reason)
    return list_ if list_.rows else Text("No seats are blocked.")


def draw_redeemed(response: ticket_service_pb2.RedeemTicketResponse) -> RenderableType:
    """Return whom to let in."""
    ticket = response.ticket
    proof = f", ask for: {ticket.proof}" if ticket.proof else ""
    admit = "ADMIT" if response.HasField("redemption") else "VALID, not redeemed"
    return Text.assemble((admit, "bold green"), plain(f" seat {ticket.seat}, {ticket.ticket_type}{proof}"))


def draw_reversed(ticket: ticket_pb2.DoorTicket) -> RenderableType:
    """Return what a ticket is worth after its redemption was reversed: it may stay redeemed by another one."""
    status = name(booking_pb2.TicketStatus, ticket.status).lower()
    return Text(plain(f"Reversed. The ticket of seat {ticket.seat} is {status}."))


def draw_refunds(refunds: Iterable[box_office_service_pb2.ListedRefund]) -> RenderableType:
    """Return a list of refunds. An identifier has a line to itself, so that 80 columns do not cut it."""
    list_ = table("refund", "status", "seats", "amount", right="amount")
    for each in refunds:
        refund = each.refund
        tender = name(booking_pb2.Tender, each.sale.tender).replace("_", " ").lower() if each.sale.tender else "online"
        settled = f", settled {moment(each.settle_time)}: {each.note}" if each.HasField("settle_time") else ""
        about = (f"booking {each.booking_id}", f"{tender}{settled}")
        list_.add_row(
            Text(plain(refund.refund_id), "cyan").append("\n" + "\n".join(map(plain, about)), "dim"),
            name(booking_pb2.RefundStatus, refund.status).lower(),
            " ".join(refund.seats),
            money(refund.amount),
        )
    return list_ if list_.rows else Text("No refunds.")


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
