"""For each reason of what staff do, and of what they decide on, calls that provoke it."""

from datetime import timedelta

import grpc
from cinema.v1 import (
    booking_service_pb2,
    box_office_service_pb2,
    catalog_pb2,
    catalog_service_pb2,
    event_service_pb2,
    money_pb2,
    showtime_service_pb2,
)
from cinema.v1.booking_service_pb2 import BestSeats
from google.protobuf.field_mask_pb2 import FieldMask

from tests.builders import NOW
from tests.rpc.app import App, moment
from tests.rpc.provoked import CASES, held, reason
from tests.rpc.refusals import Refusal, refusal

Code = grpc.StatusCode


@reason(Code.NOT_FOUND, "ResourceInfo")
async def refund_not_found(app: App) -> Refusal:
    request = box_office_service_pb2.SettleRefundRequest(refund_id="none", note="from the till")
    return await refusal(app.box_office.SettleRefund(request, metadata=await app.staff()))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def refund_not_open(app: App) -> Refusal:
    booking_id = await held(app)
    await app.pay(booking_id)
    refund = (await app.cancel(booking_id)).refund
    request = box_office_service_pb2.SettleRefundRequest(refund_id=refund.refund_id, note="from the till")
    return await refusal(app.box_office.SettleRefund(request, metadata=await app.staff()))


@reason(Code.OUT_OF_RANGE)
async def position_trimmed(app: App) -> Refusal:
    await app.showtime()
    request, staff = event_service_pb2.ListEventsRequest(), await app.staff()
    async for page in app.events.WatchEvents(event_service_pb2.WatchEventsRequest(), metadata=staff):
        if page.events:
            break
    app.clock.advance(timedelta(days=31))
    await app.server.tasks.delete_events._run_pass()
    await app.sign_in("staff")
    return await refusal(app.events.ListEvents(request, metadata=await app.staff()))


@reason(Code.NOT_FOUND, "ResourceInfo")
async def user_not_found(app: App) -> Refusal:
    return await refusal(app.sell((await app.showtime()).showtime_id, "A1", "A2", customer_user_id="none"))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def ticket_type_not_offered(app: App) -> Refusal:
    choice = booking_service_pb2.SeatChoice(seat="A1", ticket_type="student")
    return await refusal(app.book((await app.showtime()).showtime_id, choices=[choice]))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def no_seats_together(app: App) -> Refusal:
    showtime = await app.showtime(rows=(("A", (3, 2)),))
    refused = await refusal(app.book(showtime.showtime_id, best=BestSeats(ticket_types=["standard"] * 4)))
    assert refused.metadata == {"showtime_id": showtime.showtime_id, "party_size": "4", "largest_group": "3"}
    return refused


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def accessible_only(app: App) -> Refusal:
    showtime = await app.showtime(wheelchair_spaces=[catalog_pb2.WheelchairSpace(seat="A1")])
    return await refusal(app.book(showtime.showtime_id, "A1"))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def showtime_cancelled(app: App) -> Refusal:
    showtime = await app.showtime()
    await app.cancel_showtime(showtime.showtime_id)
    return await refusal(app.book(showtime.showtime_id, "A1", "A2"))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def showtime_ended(app: App) -> Refusal:
    showtime = await app.showtime(start=NOW + timedelta(minutes=30))
    await app.pass_time(timedelta(minutes=150))
    return await refusal(app.sell(showtime.showtime_id, "A1", "A2"))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def hold_extension_limit(app: App) -> Refusal:
    booking_id = await held(app)
    app.clock.advance(timedelta(minutes=1))
    await app.update_hold(booking_id, extend=True)
    return await refusal(app.update_hold(booking_id, extend=True))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def archived(app: App) -> Refusal:
    showtime = await app.showtime()
    request = catalog_service_pb2.UpdateMovieRequest(
        movie_id=showtime.movie.movie_id, archived=True, update_mask=FieldMask(paths=["archived"])
    )
    await app.catalog.UpdateMovie(request, metadata=await app.staff())
    another = showtime_service_pb2.CreateShowtimeRequest(
        movie_id=showtime.movie.movie_id,
        auditorium_id=showtime.auditorium_id,
        start_time=moment(NOW + timedelta(days=9)),
        price=money_pb2.Money(currency_code="EUR", minor_units=1),
    )
    return await refusal(app.showtimes.CreateShowtime(another, metadata=await app.staff()))


@reason(Code.ABORTED)
async def showtime_changed(app: App) -> Refusal:
    showtime = await app.showtime()
    preview = await app.cancel_showtime(showtime.showtime_id, validate_only=True)
    await app.book(showtime.showtime_id, "A1", "A2")
    return await refusal(app.cancel_showtime(showtime.showtime_id, expected_revision=preview.showtime.revision))


ALL_CASES = CASES
"""The cases of `provoked`, and these."""
