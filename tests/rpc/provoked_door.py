"""For each reason of the door, calls that provoke it."""

from datetime import timedelta

import grpc

from tests.builders import NOW
from tests.rpc.app import App
from tests.rpc.gates import open_showtime, redeem, reverse, sold
from tests.rpc.provoked import reason
from tests.rpc.provoked_desk import ALL_CASES as CASES_OF_THE_DESK
from tests.rpc.refusals import Refusal, refusal

Code = grpc.StatusCode


@reason(Code.NOT_FOUND, "ResourceInfo")
async def ticket_not_found(app: App) -> Refusal:
    return await refusal(redeem(app, (await app.showtime()).showtime_id, ticket_id="none"))


@reason(Code.INVALID_ARGUMENT, "BadRequest")
async def ticket_forged(app: App) -> Refusal:
    return await refusal(redeem(app, (await app.showtime()).showtime_id, code="none"))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def ticket_void(app: App) -> Refusal:
    showtime_id = (await open_showtime(app)).showtime_id
    booking = await sold(app, showtime_id, "A1", "A2")
    await app.cancel(booking.booking_id)
    return await refusal(redeem(app, showtime_id, booking.tickets[0]))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def ticket_already_redeemed(app: App) -> Refusal:
    showtime_id = (await open_showtime(app)).showtime_id
    ticket = (await sold(app, showtime_id, "A1", "A2")).tickets[0]
    await redeem(app, showtime_id, ticket)
    return await refusal(redeem(app, showtime_id, ticket))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def ticket_wrong_showtime(app: App) -> Refusal:
    ticket = (await sold(app, (await open_showtime(app)).showtime_id, "A1", "A2")).tickets[0]
    return await refusal(redeem(app, (await open_showtime(app)).showtime_id, ticket))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def gate_closed(app: App) -> Refusal:
    showtime_id = (await open_showtime(app, NOW + timedelta(hours=3))).showtime_id
    return await refusal(redeem(app, showtime_id, (await sold(app, showtime_id, "A1", "A2")).tickets[0]))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def ticket_not_redeemed(app: App) -> Refusal:
    ticket = (await sold(app, (await open_showtime(app)).showtime_id, "A1", "A2")).tickets[0]
    return await refusal(reverse(app, ticket.ticket_id))


ALL_CASES = CASES_OF_THE_DESK
"""The cases of `provoked` and `provoked_desk`, and these."""
