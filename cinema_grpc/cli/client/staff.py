"""`cinema sell`, `block`, `find` and `redeem`: what the staff do for customers."""

from datetime import datetime

import click

from cinema_grpc.cli.client.arguments import BOOKING_STATUSES, Moment, limit, request_id, seat_choices, timestamp
from cinema_grpc.cli.client.lists import read_list, show_list
from cinema_grpc.cli.client.session import ClientCommand, Session
from cinema_grpc.cli.client.texts import read_code

# ruff: noqa: PLC0415 (see session.py)

TENDERS = ("cash", "card-terminal", "complimentary")
BLOCK_KINDS = ("out-of-order", "house")


@click.command("sell", cls=ClientCommand)
@click.argument("showtime")
@click.argument("seats", nargs=-1, required=True)
@click.option("--tender", type=click.Choice(TENDERS), required=True, help="How it is paid for.")
@click.option("--customer", default="", metavar="USER_ID", help="Whose booking it is. By default yours.")
@click.option("--wheelchair", is_flag=True, help="The booking takes a wheelchair space.")
@click.option("--allow-gap", is_flag=True, help="Sell also if a single free seat is left. Needs --reason.")
@click.option("--house", is_flag=True, help="Sell also seats that are kept for guests. Needs --reason.")
@click.option("--reason", default="", help="Why. Needed with complimentary, --allow-gap and --house.")
@request_id
def sell(
    session: Session,
    showtime: str,
    seats: tuple[str, ...],
    tender: str,
    customer: str,
    wheelchair: bool,  # noqa: FBT001 (click calls it)
    allow_gap: bool,  # noqa: FBT001 (click calls it)
    house: bool,  # noqa: FBT001 (click calls it)
    reason: str,
    request_id: str,
) -> None:
    """Sell SEATS at the counter. For staff. A seat is a label such as C4, or C4=child with a ticket type."""
    from cinema_client.cinema.v1.booking_pb2 import Tender
    from cinema_client.cinema.v1.box_office_service_pb2 import SellSeatsRequest

    from cinema_grpc.cli.client.bookings import draw_booking
    from cinema_grpc.cli.client.output import value

    labels, choices = seat_choices(seats)
    request = SellSeatsRequest(
        showtime_id=showtime,
        seats=labels,
        choices=choices,
        wheelchair=wheelchair,
        tender=value(Tender, tender),
        customer_user_id=customer,
        allow_gap=allow_gap,
        use_house_seats=house,
        reason=reason,
        request_id=request_id,
    )
    with session.client() as client:
        response = session.carry_out(client.box_office.SellSeats, request)
    session.show(response, lambda: draw_booking(response.booking))


@click.command("block", cls=ClientCommand)
@click.argument("showtime")
@click.argument("seats", nargs=-1)
@click.option("--release", is_flag=True, help="Release the seats instead.")
@click.option("--kind", type=click.Choice(BLOCK_KINDS), help="Out of order, or kept for guests of the house.")
@click.option("--reason", default="", help="Why, for the staff.")
@click.option("--until", type=Moment(), help="When the seats are free again. By default never.")
@click.option("--dry-run", is_flag=True, help="Only check whether it is possible.")
@request_id
def block(
    session: Session,
    showtime: str,
    seats: tuple[str, ...],
    release: bool,  # noqa: FBT001 (click calls it)
    kind: str | None,
    reason: str,
    until: datetime | None,
    dry_run: bool,  # noqa: FBT001 (click calls it)
    request_id: str,
) -> None:
    """Keep SEATS of a showtime from being sold, or release them; without SEATS, list what is blocked. For staff."""
    from cinema_client.cinema.v1.showtime_pb2 import SeatBlock, SeatBlockKind
    from cinema_client.cinema.v1.showtime_service_pb2 import ListSeatBlocksRequest, SetSeatBlocksRequest

    from cinema_grpc.cli.client.desk import draw_blocks
    from cinema_grpc.cli.client.output import value

    labels = [seat.upper() for seat in seats]
    if not labels and (release or kind or reason or until or dry_run):
        raise click.UsageError("name the SEATS to block or release, such as C4 C5")
    if labels and release == bool(kind):
        raise click.UsageError("give --kind and --reason to block seats, or --release to release them")
    if release and (until or reason):
        option = "--until" if until else "--reason"
        raise click.UsageError(f"--release takes no {option}: it releases now; {option} belongs to --kind")
    with session.client() as client:
        if not labels:
            listed = client.showtimes.ListSeatBlocks(ListSeatBlocksRequest(showtime_id=showtime))
            session.show(listed, lambda: draw_blocks(listed.blocks))
            return
        blocked = None
        if kind:
            blocked = SeatBlock(
                seats=labels, kind=value(SeatBlockKind, kind), reason=reason, release_time=timestamp(until)
            )
        request = SetSeatBlocksRequest(
            showtime_id=showtime,
            block=blocked,
            release=labels if release else (),
            validate_only=dry_run,
            request_id=request_id,
        )
        response = session.carry_out(client.showtimes.SetSeatBlocks, request)
    session.show(response, lambda: draw_blocks(response.blocks))


@click.command("find", cls=ClientCommand)
@click.option("--booking", default="", metavar="ID", help="By its booking_id.")
@click.option("--ticket-code", default="", metavar="CODE", help="By the code of a ticket.")
@click.option("--username", default="", metavar="NAME", help="By the customer's username.")
@click.option("--email", default="", metavar="ADDRESS", help="By the customer's email address.")
@click.option("--showtime", default="", metavar="ID", help="By its showtime.")
@click.option("--seat", default="", metavar="LABEL", help="With --showtime: by a seat.")
@click.option("--status", type=click.Choice(BOOKING_STATUSES), help="Only bookings with this status.")
@limit(20)
def find(
    session: Session,
    booking: str,
    ticket_code: str,
    username: str,
    email: str,
    showtime: str,
    seat: str,
    status: str | None,
    limit: int,
) -> None:
    """Find bookings of any customer, newest first, by exactly one of the first five options. For staff."""
    from cinema_client.cinema.v1.booking_pb2 import BookingStatus
    from cinema_client.cinema.v1.box_office_service_pb2 import FindBookingsRequest

    from cinema_grpc.cli.client.bookings import draw_found
    from cinema_grpc.cli.client.output import value

    request = FindBookingsRequest(
        booking_id=booking,
        ticket_code=ticket_code,
        username=username,
        email=email,
        showtime_id=showtime,
        seat=seat.upper(),
        status=value(BookingStatus, status or "unspecified"),
    )
    with session.client() as client:
        found = read_list(client.box_office.FindBookings, request, limit)
    show_list(session, found, lambda: draw_found(found.bookings))


@click.command("redeem", cls=ClientCommand)
@click.argument("showtime")
@click.argument("code", required=False)
@click.option("--ticket", default="", metavar="ID", help="The ticket_id, in place of the code.")
@click.option("--gate", required=True, metavar="NAME", help="The name of the gate.")
@click.option("--check", is_flag=True, help="Only check whether the ticket could be redeemed now.")
@request_id
def redeem(
    session: Session,
    showtime: str,
    code: str | None,
    ticket: str,
    gate: str,
    check: bool,  # noqa: FBT001 (click calls it)
    request_id: str,
) -> None:
    """Let the holder of a ticket in, once. For staff.

    CODE is the content of the ticket's QR code. Without CODE and --ticket, it is the first line of standard input, to
    which a scanner writes.
    """
    from cinema_client.cinema.v1.ticket_service_pb2 import RedeemTicketRequest

    from cinema_grpc.cli.client.desk import draw_redeemed

    if code is None and not ticket:
        code = read_code()
    request = RedeemTicketRequest(
        code=code or "", ticket_id=ticket, showtime_id=showtime, gate=gate, validate_only=check, request_id=request_id
    )
    with session.client() as client:
        response = session.carry_out(client.tickets.RedeemTicket, request)
    session.show(response, lambda: draw_redeemed(response))
