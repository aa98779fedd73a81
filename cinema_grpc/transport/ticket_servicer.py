"""cinema.v1.TicketService: keys and pictures of tickets, and the door."""
# ruff: noqa: N802 (the names are those of the protos)

from collections.abc import Sequence

from cinema.v1 import ticket_service_pb2 as pb
from cinema.v1 import ticket_service_pb2_grpc

from cinema_grpc.application.door import Door
from cinema_grpc.application.door_ports import Place
from cinema_grpc.domain.account import Role
from cinema_grpc.domain.door import DoorTicket
from cinema_grpc.transport import security_log
from cinema_grpc.transport.call import principal
from cinema_grpc.transport.door_messages import (
    LAST_REVISION,
    UNKNOWN,
    encode_recorded,
    encode_redeemed,
    encode_reversed,
    parse_offline,
    parse_place,
    parse_visit,
    render_door_ticket,
    render_place,
)
from cinema_grpc.transport.idempotency import idempotent_call
from cinema_grpc.transport.page_tokens import query_of
from cinema_grpc.transport.pages import read_page
from cinema_grpc.transport.rendering import render_signing_key, serialized
from cinema_grpc.transport.ticket_pictures import draw_png, draw_svg


class TicketServicer(ticket_service_pb2_grpc.TicketServiceServicer):
    """Answers the calls of the TicketService.

    Reversals, offline redemptions, and tickets of customers that staff have drawn are in the security log.
    """

    def __init__(self, door: Door, largest_page: int) -> None:
        self._door = door
        self._largest_page = largest_page

    async def ListTicketKeys(self, _request: pb.ListTicketKeysRequest, _context: object) -> pb.ListTicketKeysResponse:
        """Publish what codes of tickets can be verified with."""
        return pb.ListTicketKeysResponse(keys=map(render_signing_key, self._door.codes.public_keys()))

    async def RenderTicket(self, request: pb.RenderTicketRequest, _context: object) -> pb.RenderTicketResponse:
        """Draw the QR code of a ticket."""
        caller = principal()
        is_staff = caller.role is Role.STAFF
        code, owner = await self._door.code(caller.user_id, request.booking_id, request.ticket_id, is_staff=is_staff)
        if owner != caller.user_id:
            security_log.note(
                "ticket shown", ticket_id=request.ticket_id, booking_id=request.booking_id, customer_user_id=owner
            )
        if request.format == pb.TICKET_FORMAT_PNG:
            return pb.RenderTicketResponse(image=draw_png(code), media_type="image/png")
        return pb.RenderTicketResponse(image=draw_svg(code), media_type="image/svg+xml")

    async def RedeemTicket(self, request: pb.RedeemTicketRequest, _context: object) -> pb.RedeemTicketResponse:
        """Let the holder of a ticket in."""
        call, visit = idempotent_call(request), parse_visit(request, principal().user_id)
        if request.validate_only:
            return serialized(pb.RedeemTicketResponse, await self._door.check(visit, encode_redeemed))
        return serialized(pb.RedeemTicketResponse, await self._door.redeem(visit, call, encode_redeemed))

    async def ReverseRedemption(
        self, request: pb.ReverseRedemptionRequest, _context: object
    ) -> pb.ReverseRedemptionResponse:
        """Reverse the redemption of a ticket."""
        call, staff = idempotent_call(request), principal().user_id
        body = await self._door.reverse(staff, request.ticket_id, request.reason, call, encode_reversed)
        booking_id = pb.ReverseRedemptionResponse.FromString(body).ticket.booking_id
        security_log.note(
            "redemption reversed", ticket_id=request.ticket_id, booking_id=booking_id, reason=request.reason
        )
        return serialized(pb.ReverseRedemptionResponse, body)

    async def RecordRedemptions(
        self, request: pb.RecordRedemptionsRequest, _context: object
    ) -> pb.RecordRedemptionsResponse:
        """Record whom doors let in while they were offline."""
        reported, call, staff = parse_offline(request), idempotent_call(request), principal().user_id
        outcomes = [UNKNOWN] * len(reported)
        async for numbers, body in self._door.record(staff, reported, call, encode_recorded):
            recorded = pb.RecordRedemptionsResponse.FromString(body).outcomes
            for number, outcome in zip(numbers, recorded, strict=True):
                outcomes[number] = outcome
                _note_recorded(outcome, reported[number].gate)
        for each, outcome in zip(reported, outcomes, strict=True):
            if outcome is UNKNOWN:
                _note_recorded(outcome, each.gate)
        return pb.RecordRedemptionsResponse(outcomes=outcomes)

    async def ListTickets(self, request: pb.ListTicketsRequest, _context: object) -> pb.ListTicketsResponse:
        """Return a page of the door's list."""
        revision = 0

        async def read(after: str, limit: int) -> tuple[Sequence[tuple[Place, DoorTicket]], str]:
            nonlocal revision
            place = parse_place(after) if after else Place(min(request.after_revision + 1, LAST_REVISION))
            listed = await self._door.tickets(request.showtime_id, place, limit)
            revision = listed.revision
            return listed.entries, ""

        tickets, next_page_token = await read_page(
            request,
            query_of(request, principal().user_id),
            read,
            lambda entry: render_place(entry[0]),
            lambda entry: render_door_ticket(entry[1]),
            self._largest_page,
        )
        return pb.ListTicketsResponse(tickets=tickets, next_page_token=next_page_token, revision=revision)


def _note_recorded(outcome: pb.RecordedRedemption, gate: str) -> None:
    security_log.note(
        "offline redemption recorded",
        outcome=pb.RecordOutcome.Name(outcome.outcome).removeprefix("RECORD_OUTCOME_"),
        ticket_id=outcome.ticket.ticket_id,
        gate=gate,
        other_gates=",".join(other.gate for other in outcome.others),
    )
