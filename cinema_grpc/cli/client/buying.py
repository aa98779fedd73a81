"""`cinema book`, `pay`, `cancel` and `bookings`: a customer's own bookings."""

from typing import TYPE_CHECKING

import click

from cinema_grpc.cli.client.arguments import BOOKING_STATUSES, limit, request_id, seat_choices
from cinema_grpc.cli.client.exit_codes import ExitCode
from cinema_grpc.cli.client.lists import read_list, show_list
from cinema_grpc.cli.client.session import ClientCommand, Session, fail
from cinema_grpc.cli.printing import plain

if TYPE_CHECKING:
    from cinema_client import Client
    from cinema_client.cinema.v1.booking_pb2 import Booking
    from cinema_client.cinema.v1.booking_service_pb2 import BestSeats, GetCancellationQuoteResponse

# ruff: noqa: PLC0415 (see session.py)


@click.command("book", cls=ClientCommand)
@click.argument("showtime")
@click.argument("seats", nargs=-1)
@click.option("--best", metavar="N|TYPE,...", help="Take the best seats for N people, or for one of each ticket type.")
@click.option("--category", "categories", multiple=True, metavar="NAME", help="With --best: only these. Repeatable.")
@click.option("--split", is_flag=True, help="With --best: in groups, if the party can't sit side by side.")
@click.option("--wheelchair", type=click.IntRange(0, 10), default=0, metavar="N", help="Wheelchair spaces among them.")
@request_id
def book(
    session: Session,
    showtime: str,
    seats: tuple[str, ...],
    best: str | None,
    categories: tuple[str, ...],
    split: bool,  # noqa: FBT001 (click calls it)
    wheelchair: int,
    request_id: str,
) -> None:
    """Hold SEATS of a showtime for ten minutes: all of them or none.

    A seat is a label such as C4, or C4=child with a ticket type. `cinema pay` pays for the booking.
    """
    from cinema_client.cinema.v1.booking_service_pb2 import CreateBookingRequest

    if bool(seats) == bool(best):
        raise click.UsageError("name SEATS, such as C4 C5, or give --best, such as --best 2")
    if not best and (categories or split):
        raise click.UsageError("--category and --split need --best")
    labels, choices = seat_choices(seats)
    with session.client() as client:
        request = CreateBookingRequest(
            showtime_id=showtime,
            seats=labels,
            choices=choices,
            wheelchair=wheelchair > 0,
            best=_best(client, showtime, best, categories, wheelchair, split=split) if best else None,
            request_id=request_id,
        )
        response = session.carry_out(client.bookings.CreateBooking, request)
    _show(session, response, response.booking)


@click.command("pay", cls=ClientCommand)
@click.argument("booking")
@click.option("--token", default="", help="The payment provider's token for your card. None if nothing is to pay.")
@request_id
def pay(session: Session, booking: str, token: str, request_id: str) -> None:
    """Pay for a booking, and get its tickets.

    The simulated provider of `cinema serve` takes any token, such as tok_visa, but tok_declined.
    """
    from cinema_client.cinema.v1.booking_service_pb2 import ConfirmPaymentRequest

    with session.client() as client:
        request = ConfirmPaymentRequest(booking_id=booking, payment_token=token, request_id=request_id)
        response = session.carry_out(client.bookings.ConfirmPayment, request)
    _show(session, response, response.booking)
    if response.HasField("action"):
        fail(
            session.output,
            ExitCode.REFUSED,
            "the customer has to authenticate the payment in the provider's client; "
            "then repeat the command without --token",
            reason="ACTION_REQUIRED",
        )


@click.command("cancel", cls=ClientCommand)
@click.argument("booking")
@click.argument("seats", nargs=-1)
@click.option("--quote", is_flag=True, help="Only show what would be refunded now.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask first.")
@request_id
def cancel(
    session: Session,
    booking: str,
    seats: tuple[str, ...],
    quote: bool,  # noqa: FBT001 (click calls it)
    yes: bool,  # noqa: FBT001 (click calls it)
    request_id: str,
) -> None:
    """Cancel a booking, or some SEATS of it. Asks first, and says what is refunded."""
    from cinema_client.cinema.v1.booking_service_pb2 import CancelBookingRequest
    from rich.text import Text

    from cinema_grpc.cli.client.bookings import quote_text

    labels = [seat.upper() for seat in seats]
    with session.client() as client:
        if quote:
            quoted = _quote(client, booking, labels)
            session.show(quoted, lambda: Text(quote_text(quoted)))
            return
        if not yes:
            _agree_to_quote(client, booking, labels, may_be_cancelled=bool(request_id))
        request = CancelBookingRequest(booking_id=booking, seats=labels, request_id=request_id)
        response = session.carry_out(client.bookings.CancelBooking, request)
    _show(session, response, response.booking)


@click.command("bookings", cls=ClientCommand)
@click.argument("booking", required=False)
@click.option("--showtime", default="", metavar="ID", help="Only bookings of this showtime.")
@click.option("--status", type=click.Choice(BOOKING_STATUSES), help="Only bookings with this status.")
@limit(20)
def bookings(session: Session, booking: str | None, showtime: str, status: str | None, limit: int) -> None:
    """List your bookings, newest first; or show one BOOKING, with the codes of its tickets."""
    from cinema_client.cinema.v1.booking_pb2 import BookingStatus
    from cinema_client.cinema.v1.booking_service_pb2 import GetBookingRequest, ListBookingsRequest

    from cinema_grpc.cli.client.bookings import draw_booking, draw_bookings
    from cinema_grpc.cli.client.output import value

    with session.client() as client:
        if booking is not None:
            response = client.bookings.GetBooking(GetBookingRequest(booking_id=booking))
            session.show(response, lambda: draw_booking(response.booking))
            if session.output == "text":
                for ticket in response.booking.tickets:
                    click.echo(plain(f"{ticket.seat}: {ticket.code}"))  # on one line: spaces and all belong to it
            return
        request = ListBookingsRequest(showtime_id=showtime, status=value(BookingStatus, status or "unspecified"))
        found = read_list(client.bookings.ListBookings, request, limit)
    show_list(session, found, lambda: draw_bookings(found.bookings))


def _quote(client: "Client", booking: str, labels: list[str]) -> "GetCancellationQuoteResponse":
    from cinema_client.cinema.v1.booking_service_pb2 import GetCancellationQuoteRequest

    return client.bookings.GetCancellationQuote(GetCancellationQuoteRequest(booking_id=booking, seats=labels))


def _agree_to_quote(client: "Client", booking: str, labels: list[str], *, may_be_cancelled: bool) -> None:
    """Ask whether to cancel for what is refunded, again if that has changed by the time of the answer.

    With `may_be_cancelled`, nothing is asked if there is no quote: an earlier call may have cancelled it already.
    """
    from cinema_client import CinemaError

    from cinema_grpc.cli.client.bookings import quote_text

    asked = ""
    try:
        while (text := quote_text(_quote(client, booking, labels))) != asked:
            click.confirm(f"{text} Cancel {' '.join(labels) or 'all seats'}?", abort=True, err=True)
            asked = text
    except CinemaError:
        if not may_be_cancelled:
            raise


def _best(
    client: "Client", showtime: str, best: str, categories: tuple[str, ...], wheelchair: int, *, split: bool
) -> "BestSeats":
    """Return the party of --best. A number of people means so many of the showtime's default ticket type."""
    from cinema_client.cinema.v1.booking_service_pb2 import BestSeats
    from cinema_client.cinema.v1.showtime_service_pb2 import GetShowtimeRequest

    ticket_types = best.split(",")
    if best.isascii() and best.isdigit():
        found = client.showtimes.GetShowtime(GetShowtimeRequest(showtime_id=showtime)).showtime
        ticket_types = [found.prices[0].ticket_type] * min(int(best[:3]), 11)  # the server refuses more than 10
    return BestSeats(ticket_types=ticket_types, categories=categories, wheelchair_spaces=wheelchair, allow_split=split)


def _show(session: Session, response: object, booking: "Booking") -> None:
    from cinema_grpc.cli.client.bookings import draw_booking

    session.show(response, lambda: draw_booking(booking))
