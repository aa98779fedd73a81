"""A showtime whose gate is open, and calls to the door."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cinema.v1 import booking_pb2, showtime_pb2, ticket_pb2
from cinema.v1 import ticket_service_pb2 as pb

from tests.builders import NOW
from tests.rpc.app import DEADLINE, App, moment

START = NOW + timedelta(minutes=90)
HOUR = timedelta(hours=1)


async def open_showtime(app: App, start: datetime = START, **fields: Any) -> showtime_pb2.Showtime:
    """Put a showtime on the programme that starts in 90 minutes, so its gate is open."""
    return await app.showtime(start=start, **fields)


async def sold(app: App, showtime_id: str, *seats: str, by: str = "ada") -> booking_pb2.Booking:
    """Book seats and pay for them."""
    return await app.pay((await app.book(showtime_id, *seats, by=by)).booking_id, by=by)


async def redeem(
    app: App, showtime_id: str, ticket: booking_pb2.Ticket | None = None, gate: str = "north", **fields: Any
) -> pb.RedeemTicketResponse:
    """Show a ticket at a gate, by its code unless `fields` say otherwise."""
    by = {} if ticket is None else {"code": ticket.code}
    request = pb.RedeemTicketRequest(showtime_id=showtime_id, gate=gate, **(by | fields))
    return await app.tickets.RedeemTicket(request, metadata=await app.staff(), timeout=DEADLINE)


async def reverse(app: App, ticket_id: str, reason: str = "went home", **fields: Any) -> ticket_pb2.DoorTicket:
    """Reverse the redemption of a ticket."""
    request = pb.ReverseRedemptionRequest(ticket_id=ticket_id, reason=reason, **fields)
    return (await app.tickets.ReverseRedemption(request, metadata=await app.staff(), timeout=DEADLINE)).ticket


def offline(code: str, gate: str = "north", time: datetime = NOW) -> pb.OfflineRedemption:
    """Write down that a door let someone in."""
    return pb.OfflineRedemption(code=code, redeem_time=moment(time), gate=gate)


async def record(app: App, *redemptions: pb.OfflineRedemption, request_id: str = "") -> Sequence[pb.RecordedRedemption]:
    """Report what doors did."""
    request = pb.RecordRedemptionsRequest(redemptions=redemptions, request_id=request_id)
    return (await app.tickets.RecordRedemptions(request, metadata=await app.staff(), timeout=DEADLINE)).outcomes


def outcomes(recorded: Sequence[pb.RecordedRedemption]) -> list[str]:
    """Return the names of outcomes."""
    return [pb.RecordOutcome.Name(each.outcome).removeprefix("RECORD_OUTCOME_") for each in recorded]


async def tickets_page(app: App, showtime_id: str, **fields: Any) -> pb.ListTicketsResponse:
    """Read a page of the door's list."""
    request = pb.ListTicketsRequest(showtime_id=showtime_id, **fields)
    return await app.tickets.ListTickets(request, metadata=await app.staff(), timeout=DEADLINE)


async def door_list(
    app: App, showtime_id: str, after_revision: int = 0, page_size: int = 0
) -> tuple[list[ticket_pb2.DoorTicket], int]:
    """Read the door's list to its end, and the revision to go on from."""
    tickets: list[ticket_pb2.DoorTicket] = []
    token = ""
    while True:
        page = await tickets_page(
            app, showtime_id, after_revision=after_revision, page_size=page_size, page_token=token
        )
        tickets += page.tickets
        token = page.next_page_token
        if not token:
            return tickets, page.revision
