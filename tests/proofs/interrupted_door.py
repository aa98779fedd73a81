"""The changes that the door makes, each prepared so that it can be interrupted and repeated."""

from typing import Any

from cinema.v1 import ticket_service_pb2

from tests.proofs.interruptions import Prepare, Scene, Stub
from tests.rpc.conftest import Metadata, moment, new_id

DOOR_EFFECTS = {
    "RedeemTicket": "SELECT count(*) FROM redemption",
    "RecordRedemptions": "SELECT count(*) FROM redemption",
    "ReverseRedemption": "SELECT count(*) FROM redemption WHERE reverse_time IS NOT NULL",
}
"""What each call with a request_id leaves one of, beside its stored response."""


async def redeem_ticket(scene: Scene) -> tuple[Stub, Any, Metadata]:
    showtime_id, seat = scene.seat(at_gate=True)
    (ticket,) = (await scene.app.sell(showtime_id, seat)).tickets
    request = ticket_service_pb2.RedeemTicketRequest(
        code=ticket.code, showtime_id=showtime_id, gate="north", request_id=new_id()
    )
    return scene.app.tickets.RedeemTicket, request, await scene.app.staff()


async def record_redemptions(scene: Scene) -> tuple[Stub, Any, Metadata]:
    showtime_id, seat = scene.seat(at_gate=True)
    (ticket,) = (await scene.app.sell(showtime_id, seat)).tickets
    let_in = ticket_service_pb2.OfflineRedemption(
        code=ticket.code, redeem_time=moment(scene.app.clock.now()), gate="north"
    )
    request = ticket_service_pb2.RecordRedemptionsRequest(redemptions=[let_in], request_id=new_id())
    return scene.app.tickets.RecordRedemptions, request, await scene.app.staff()


async def reverse_redemption(scene: Scene) -> tuple[Stub, Any, Metadata]:
    stub, redeem, metadata = await redeem_ticket(scene)
    ticket = (await stub(redeem, metadata=metadata)).ticket
    request = ticket_service_pb2.ReverseRedemptionRequest(
        ticket_id=ticket.ticket_id, reason="a mistake", request_id=new_id()
    )
    return scene.app.tickets.ReverseRedemption, request, metadata


DOOR_CHANGES: dict[str, Prepare] = {
    "RedeemTicket": redeem_ticket,
    "RecordRedemptions": record_redemptions,
    "ReverseRedemption": reverse_redemption,
}
