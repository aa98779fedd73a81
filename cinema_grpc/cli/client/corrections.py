"""`cinema void`, `refunds`, `settle` and `reverse`: what the staff put right."""

from typing import TYPE_CHECKING

import click

from cinema_grpc.cli.client.arguments import limit, request_id
from cinema_grpc.cli.client.exit_codes import ExitCode
from cinema_grpc.cli.client.lists import read_list, show_list
from cinema_grpc.cli.client.session import ClientCommand, Session, fail
from cinema_grpc.cli.client.texts import read_code

if TYPE_CHECKING:
    from cinema_client import Client

# ruff: noqa: PLC0415 (see session.py)

REFUND_STATUSES = ("pending", "completed", "failed")


@click.command("void", cls=ClientCommand)
@click.argument("booking")
@click.argument("seats", nargs=-1)
@click.option(
    "--refund", type=click.IntRange(0, 100), required=True, metavar="PERCENT", help="The share to refund: 0 to 100."
)
@click.option("--reason", required=True, help="Why. The customer sees it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask first.")
@request_id
def void(
    session: Session,
    booking: str,
    seats: tuple[str, ...],
    refund: int,
    reason: str,
    yes: bool,  # noqa: FBT001 (click calls it)
    request_id: str,
) -> None:
    """Cancel a customer's booking, or some SEATS of it, and refund a share of their price. For staff.

    Asks first. Refunds of online payments go to the customer's card; those of sales at the counter are paid there:
    `cinema settle` records it.
    """
    from cinema_client.cinema.v1.box_office_service_pb2 import VoidBookingRequest

    from cinema_grpc.cli.client.bookings import draw_booking

    labels = [seat.upper() for seat in seats]
    if not yes:
        what = " ".join(labels) or "all seats"
        click.confirm(f"Cancel {what} of this booking, and refund {refund}%?", abort=True, err=True)
    request = VoidBookingRequest(
        booking_id=booking, seats=labels, refund_percent=refund, reason=reason, request_id=request_id
    )
    with session.client() as client:
        response = session.carry_out(client.box_office.VoidBooking, request)
    session.show(response, lambda: draw_booking(response.booking))


@click.command("refunds", cls=ClientCommand)
@click.option("--showtime", default="", metavar="ID", help="Only refunds of this showtime.")
@click.option("--status", type=click.Choice(REFUND_STATUSES), help="Only refunds with this status.")
@limit(20)
def refunds(session: Session, showtime: str, status: str | None, limit: int) -> None:
    """List refunds, newest first: which are paid, which are owed. For staff."""
    from cinema_client.cinema.v1.booking_pb2 import RefundStatus
    from cinema_client.cinema.v1.box_office_service_pb2 import ListRefundsRequest

    from cinema_grpc.cli.client.desk import draw_refunds
    from cinema_grpc.cli.client.output import value

    request = ListRefundsRequest(showtime_id=showtime, status=value(RefundStatus, status or "unspecified"))
    with session.client() as client:
        found = read_list(client.box_office.ListRefunds, request, limit)
    show_list(session, found, lambda: draw_refunds(found.refunds))


@click.command("settle", cls=ClientCommand)
@click.argument("refund")
@click.option("--note", required=True, help="How it was paid, for the staff.")
@request_id
def settle(session: Session, refund: str, note: str, request_id: str) -> None:
    """Record that a REFUND was paid by hand: one of a sale at the counter, or one that failed. For staff.

    REFUND is a refund_id, as `cinema refunds` lists them.
    """
    from cinema_client.cinema.v1.box_office_service_pb2 import SettleRefundRequest

    from cinema_grpc.cli.client.desk import draw_refunds

    request = SettleRefundRequest(refund_id=refund, note=note, request_id=request_id)
    with session.client() as client:
        response = session.carry_out(client.box_office.SettleRefund, request)
    session.show(response, lambda: draw_refunds([response.refund]))


@click.command("reverse", cls=ClientCommand)
@click.argument("code", required=False)
@click.option("--ticket", default="", metavar="ID", help="The ticket_id, in place of the code.")
@click.option("--reason", required=True, help="Why, for the staff.")
@request_id
def reverse(session: Session, code: str | None, ticket: str, reason: str, request_id: str) -> None:
    """Reverse `cinema redeem`, so that the ticket lets its holder in again. For staff.

    CODE is the content of the ticket's QR code. Without CODE and --ticket, it is the first line of standard input, to
    which a scanner writes.
    """
    from cinema_client.cinema.v1.ticket_service_pb2 import ReverseRedemptionRequest

    from cinema_grpc.cli.client.desk import draw_reversed

    if code is None and not ticket:
        code = read_code()
    elif code is not None and ticket:
        raise click.UsageError("give a CODE or --ticket, not both")
    with session.client() as client:
        request = ReverseRedemptionRequest(
            ticket_id=ticket or _ticket_of(client, (code or "").strip(), session.output),
            reason=reason,
            request_id=request_id,
        )
        response = session.carry_out(client.tickets.ReverseRedemption, request)
    session.show(response, lambda: draw_reversed(response.ticket))


def _ticket_of(client: "Client", code: str, output: str) -> str:
    """Return the identifier of the ticket with a code."""
    from cinema_client.cinema.v1.box_office_service_pb2 import FindBookingsRequest

    bookings = client.box_office.FindBookings(FindBookingsRequest(ticket_code=code)).bookings
    tickets = [ticket.ticket_id for each in bookings for ticket in each.booking.tickets if ticket.code == code]
    if not tickets:
        fail(output, ExitCode.NOT_FOUND, "no ticket has this code", reason="TICKET_NOT_FOUND")
    return str(tickets[0])
