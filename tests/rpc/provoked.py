"""For each reason of the contract, calls that provoke it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import grpc
from cinema.v1 import (
    auth_service_pb2,
    catalog_service_pb2,
    money_pb2,
    showtime_service_pb2,
)

from cinema_grpc.adapters.database import schema
from cinema_grpc.application.admission_control import AdmissionControl
from tests.builders import NOW
from tests.database import writing
from tests.faults import failing
from tests.rpc.app import PASSWORD, App, new_id
from tests.rpc.providers import Provider
from tests.rpc.refusals import Refusal, refusal

Code = grpc.StatusCode
Provoke = Callable[[App], Awaitable[Refusal]]
CASES: dict[str, tuple[Code, set[str], Provoke]] = {}


GATEWAY = Provider()


def reason(code: Code, *details: str) -> Callable[[Provoke], Provoke]:
    """Register a coroutine named after the reason it provokes, with the code and details that the error must have."""

    def enter(provoke: Provoke) -> Provoke:
        CASES[provoke.__name__.upper()] = (code, {"ErrorInfo", *details}, provoke)
        return provoke

    return enter


async def who_am_i(app: App, *metadata: tuple[str, str]) -> Refusal:
    return await refusal(app.auth.GetCurrentUser(auth_service_pb2.GetCurrentUserRequest(), metadata=metadata))


async def held(app: App) -> str:
    return (await app.book((await app.showtime()).showtime_id, "A1", "A2")).booking_id


@reason(Code.INVALID_ARGUMENT, "BadRequest")
async def invalid_request(app: App) -> Refusal:
    return await refusal(app.book("", "A1"))


@reason(Code.UNAUTHENTICATED)
async def token_missing(app: App) -> Refusal:
    return await who_am_i(app)


@reason(Code.UNAUTHENTICATED)
async def token_invalid(app: App) -> Refusal:
    return await who_am_i(app, ("authorization", "Bearer nonsense"))


@reason(Code.UNAUTHENTICATED)
async def token_expired(app: App) -> Refusal:
    metadata = await app.customer()
    app.clock.advance(timedelta(minutes=60))
    return await who_am_i(app, *metadata)


@reason(Code.UNAUTHENTICATED)
async def bad_credentials(app: App) -> Refusal:
    return await refusal(app.auth.Login(auth_service_pb2.LoginRequest(username="nobody", password="x")))


@reason(Code.RESOURCE_EXHAUSTED, "RetryInfo")
async def too_many_attempts(app: App) -> Refusal:
    for _ in range(5):
        await bad_credentials(app)
    refused = await bad_credentials(app)
    assert refused.details["RetryInfo"].retry_delay.ToTimedelta() == timedelta(seconds=1)
    return refused


@reason(Code.UNAUTHENTICATED)
async def refresh_token_invalid(app: App) -> Refusal:
    return await refusal(app.auth.RefreshTokens(auth_service_pb2.RefreshTokensRequest(refresh_token="nonsense")))


@reason(Code.PERMISSION_DENIED)
async def not_booking_owner(app: App) -> Refusal:
    return await refusal(app.read(await held(app), by="bob"))


@reason(Code.PERMISSION_DENIED)
async def role_required(app: App) -> Refusal:
    request = catalog_service_pb2.CreateCinemaRequest(name="Mine", time_zone="UTC")
    return await refusal(app.catalog.CreateCinema(request, metadata=await app.customer()))


@reason(Code.NOT_FOUND, "ResourceInfo")
async def showtime_not_found(app: App) -> Refusal:
    return await refusal(app.book("none", "A1"))


@reason(Code.NOT_FOUND, "ResourceInfo")
async def booking_not_found(app: App) -> Refusal:
    return await refusal(app.read("none"))


@reason(Code.NOT_FOUND, "ResourceInfo")
async def movie_not_found(app: App) -> Refusal:
    return await refusal(app.catalog.GetMovie(catalog_service_pb2.GetMovieRequest(movie_id="none")))


@reason(Code.NOT_FOUND, "ResourceInfo")
async def cinema_not_found(app: App) -> Refusal:
    return await refusal(app.auditorium(cinema_id="none"))


@reason(Code.NOT_FOUND, "ResourceInfo")
async def auditorium_not_found(app: App) -> Refusal:
    request = catalog_service_pb2.GetAuditoriumRequest(auditorium_id="none")
    return await refusal(app.catalog.GetAuditorium(request))


@reason(Code.NOT_FOUND, "ResourceInfo")
async def seat_not_found(app: App) -> Refusal:
    return await refusal(app.book((await app.showtime()).showtime_id, "Z9", "A11"))


@reason(Code.ALREADY_EXISTS, "ResourceInfo")
async def username_taken(app: App) -> Refusal:
    await app.customer("ada")
    request = auth_service_pb2.RegisterRequest(
        username="ADA", password=PASSWORD, full_name="Another", email="another@example.com"
    )
    return await refusal(app.auth.Register(request))


@reason(Code.ALREADY_EXISTS, "ResourceInfo")
async def email_taken(app: App) -> Refusal:
    await app.customer("ada")
    request = auth_service_pb2.RegisterRequest(
        username="another", password=PASSWORD, full_name="Another", email="ADA@example.com"
    )
    return await refusal(app.auth.Register(request))


@reason(Code.ALREADY_EXISTS, "ResourceInfo")
async def name_taken(app: App) -> Refusal:
    cinema = await app.cinema()
    await app.auditorium(cinema.cinema_id)
    return await refusal(app.auditorium(cinema.cinema_id))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def seats_unavailable(app: App) -> Refusal:
    showtime = await app.showtime()
    await app.book(showtime.showtime_id, "A1", "A2")
    return await refusal(app.book(showtime.showtime_id, "A2", "A3"))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def single_seat_gap(app: App) -> Refusal:
    return await refusal(app.book((await app.showtime()).showtime_id, "A2"))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def hold_expired(app: App) -> Refusal:
    booking_id = await held(app)
    app.clock.advance(timedelta(minutes=10))
    return await refusal(app.pay(booking_id))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def booking_not_reserved(app: App) -> Refusal:
    booking_id = await held(app)
    await app.pay(booking_id)
    return await refusal(app.pay(booking_id))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def booking_not_cancellable(app: App) -> Refusal:
    booking_id = await held(app)
    await app.cancel(booking_id)
    return await refusal(app.cancel(booking_id))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def payment_declined(app: App) -> Refusal:
    return await refusal(app.pay(await held(app), token="tok_declined"))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def sales_closed(app: App) -> Refusal:
    showtime = await app.showtime(start=NOW + timedelta(minutes=30))
    app.clock.advance(timedelta(minutes=30))
    return await refusal(app.book(showtime.showtime_id, "A1", "A2"))


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def showtime_overlap(app: App) -> Refusal:
    showtime = await app.showtime()
    request = showtime_service_pb2.CreateShowtimeRequest(
        movie_id=showtime.movie.movie_id,
        auditorium_id=showtime.auditorium_id,
        start_time=showtime.end_time,
        price=money_pb2.Money(currency_code="EUR", minor_units=1),
    )
    refused = await refusal(app.showtimes.CreateShowtime(request, metadata=await app.staff()))
    assert refused.metadata["showtime_id"] == showtime.showtime_id
    return refused


@reason(Code.FAILED_PRECONDITION, "PreconditionFailure")
async def request_id_reused(app: App) -> Refusal:
    showtime, request_id = await app.showtime(), new_id()
    await app.book(showtime.showtime_id, "A1", "A2", request_id=request_id)
    return await refusal(app.book(showtime.showtime_id, "A3", "A4", request_id=request_id))


@reason(Code.ABORTED, "RetryInfo")
async def payment_in_progress(app: App) -> Refusal:
    booking_id = await held(app)
    GATEWAY.reset()
    slow = asyncio.create_task(app.pay(booking_id, token="tok_slow"))
    await GATEWAY.asked.wait()
    refused = await refusal(app.cancel(booking_id))
    GATEWAY.answer.set()
    await slow
    return refused


@reason(Code.RESOURCE_EXHAUSTED, "QuotaFailure")
async def hold_limit(app: App) -> Refusal:
    showtime = await app.showtime()
    await app.book(showtime.showtime_id, *(f"B{number}" for number in range(1, 9)))
    return await refusal(app.book(showtime.showtime_id, "A1", "A2", "A3"))


@reason(Code.RESOURCE_EXHAUSTED, "RetryInfo")
async def overloaded(app: App) -> Refusal:
    """A busy box office refuses calls whose estimated wait is too long."""
    showtime = await app.showtime()
    await app.customer()
    app.server._selling.box_office._admission = AdmissionControl(longest_wait=0)
    app.server._selling.box_office._batch_start = time.monotonic() - 0.1
    refused = await refusal(app.book(showtime.showtime_id, "A1", "A2"))
    assert refused.details["RetryInfo"].retry_delay.seconds == int(refused.metadata["retry_after_seconds"]) >= 1
    return refused


@reason(Code.RESOURCE_EXHAUSTED, "RetryInfo")
async def stream_limit(app: App) -> Refusal:
    showtime = await app.showtime()
    assert app.server._server is not None
    app.server._server._calls.pipeline._open_calls.watches._capacity = 0
    request = showtime_service_pb2.WatchSeatsRequest(showtime_id=showtime.showtime_id)
    return await refusal(app.showtimes.WatchSeats(request).read())


@reason(Code.UNAVAILABLE, "RetryInfo")
async def storage_unavailable(app: App) -> Refusal:
    showtime = await app.showtime()
    await app.customer()
    with failing(app.server.database, lambda _statement: True):
        return await refusal(app.book(showtime.showtime_id, "A1", "A2"))


@reason(Code.UNAVAILABLE, "RetryInfo")
async def payment_unavailable(app: App) -> Refusal:
    return await refusal(app.pay(await held(app), token="tok_lost"))


@reason(Code.UNAVAILABLE, "RetryInfo")
async def shutting_down(app: App) -> Refusal:
    booking_id = await held(app)
    assert app.server._server is not None
    app.server._server._calls.pipeline.begin_shutdown()
    return await refusal(app.read(booking_id))


@reason(Code.INTERNAL)
async def internal_error(app: App) -> Refusal:
    """The database has a claim on the seat that belongs to no booking of the showtime."""
    showtime = await app.showtime()
    other = await held(app)
    async with writing(app.server.database) as connection:
        claim = {"showtime_id": showtime.showtime_id, "seat": "A1", "booking_id": other}
        await connection.execute(schema.seat_claim.insert().values(claim))
    refused = await refusal(app.book(showtime.showtime_id, "A1", "A2"))
    assert (refused.message, refused.metadata) == ("internal error", {})
    return refused
