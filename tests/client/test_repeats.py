"""Which calls are repeated, when, and with which request_id."""

import asyncio
import time
import uuid
from datetime import timedelta

import grpc
import pytest
from cinema_client import CinemaError, Client, errors
from cinema_client.cinema.v1 import booking_service_pb2, catalog_service_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from tests.client.conftest import Either
from tests.client.proxy import Fault, Proxy
from tests.rpc.conftest import PASSWORD, App

LOST = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="the connection was lost")


def overloaded(milliseconds: int) -> Status:
    """Return what a busy server says."""
    status = Status(code=grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], message="busy")
    status.details.add().Pack(ErrorInfo(reason="OVERLOADED", domain="cinema.v1", metadata={"calls_at_once": "9"}))
    delay = Duration()
    delay.FromMilliseconds(milliseconds)
    status.details.add().Pack(RetryInfo(retry_delay=delay))
    return status


async def test_a_lost_response_is_fetched_with_the_same_request_id(app: App, proxy: Proxy, either: Either) -> None:
    """The booking is made once, and the request of the caller stays as it was."""
    showtime = await app.showtime()
    await either.sign_in(app)
    proxy.faults = [Fault.LOSE_RESPONSE, Fault.LOSE_RESPONSE]
    request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime.showtime_id, seats=["A1", "A2"])
    booking = (await either.call(either.client.bookings.CreateBooking, request)).booking
    assert [each.seat for each in booking.seats] == ["A1", "A2"]
    sent = [call.read(booking_service_pb2.CreateBookingRequest) for call in proxy.of("CreateBooking")]
    assert len(sent) == 3
    (request_id,) = {each.request_id for each in sent}
    assert str(uuid.UUID(request_id)) == request_id
    assert request.request_id == ""


async def test_each_call_has_a_request_id_of_its_own(app: App, either: Either) -> None:
    """Unless the caller sets one: then a repeat is the caller's."""
    showtime = await app.showtime()
    await either.sign_in(app)
    first = await either.book(showtime.showtime_id, "A1", "A2")
    second = await either.book(showtime.showtime_id, "A3", "A4")
    assert first.booking_id != second.booking_id
    mine = str(uuid.uuid4())
    third = await either.book(showtime.showtime_id, "B1", "B2", request_id=mine)
    again = await either.book(showtime.showtime_id, "B1", "B2", request_id=mine)
    assert third == again


async def test_an_error_says_the_request_id(app: App, proxy: Proxy, either: Either) -> None:
    """So that the caller can repeat a call that was given up."""
    showtime = await app.showtime()
    await either.sign_in(app)
    proxy.faults = [Fault.LOSE_RESPONSE] * 5
    with pytest.raises(CinemaError) as raised:
        await either.book(showtime.showtime_id, "A1", "A2")
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(proxy.of("CreateBooking")) == 5
    booking = await either.book(showtime.showtime_id, "A1", "A2", request_id=raised.value.request_id)
    assert [each.seat for each in booking.seats] == ["A1", "A2"]


async def test_a_refresh_that_fails_says_the_request_id_of_its_call(app: App, proxy: Proxy, either: Either) -> None:
    """An earlier attempt of the call may have been carried out."""
    showtime = await app.showtime()
    await either.sign_in(app)
    app.clock.advance(timedelta(minutes=61))
    proxy.faults = [None, Status(code=grpc.StatusCode.INTERNAL.value[0], message="a fault")]
    mine = str(uuid.uuid4())
    with pytest.raises(CinemaError) as raised:
        await either.book(showtime.showtime_id, "A1", "A2", request_id=mine)
    assert (raised.value.message, raised.value.request_id) == ("a fault", mine)
    assert [call.method for call in proxy.calls[-2:]] == ["CreateBooking", "RefreshTokens"]


async def test_a_busy_server_says_when_to_repeat(proxy: Proxy, either: Either) -> None:
    """The client waits for at least as long."""
    proxy.faults = [overloaded(300)]
    began = time.monotonic()
    await either.call(either.client.catalog.ListMovies, catalog_service_pb2.ListMoviesRequest())
    assert time.monotonic() - began >= 0.3
    assert len(proxy.of("ListMovies")) == 2


async def test_a_delay_past_the_deadline_is_not_waited_for(proxy: Proxy, either: Either) -> None:
    proxy.faults = [overloaded(60_000)]
    began = time.monotonic()
    with pytest.raises(errors.Overloaded) as raised:
        await either.call(either.client.catalog.ListMovies, catalog_service_pb2.ListMoviesRequest())
    assert time.monotonic() - began < 30
    assert raised.value.retry_delay == 60
    assert len(proxy.calls) == 1


async def test_the_timeout_is_that_of_all_attempts(proxy: Proxy, either: Either) -> None:
    """A call's own timeout goes before that of the client."""
    proxy.faults = [LOST, Fault.SILENCE_AFTER_FIRST]
    request = catalog_service_pb2.ListMoviesRequest()
    with pytest.raises(CinemaError) as raised:
        await either.call(either.client.catalog.ListMovies, request, timeout=5)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(proxy.calls) == 2
    hasty = Either(type(either.client)(proxy.address, timeout=0.5), [])
    proxy.faults = [Fault.SILENCE_AFTER_FIRST]
    with pytest.raises(CinemaError) as raised:
        await hasty.call(hasty.client.catalog.ListMovies, request)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await hasty.close()


async def test_what_is_not_idempotent_is_not_repeated(proxy: Proxy, either: Either) -> None:
    """Register may have taken effect: a repeat would say that the name is taken. One that had no effect is repeated."""
    proxy.faults = [Fault.LOSE_RESPONSE]
    with pytest.raises(CinemaError) as raised:
        await either.call(either.client.register, "eve", PASSWORD, "Eve", "eve@example.com")
    assert (raised.value.code(), raised.value.request_id) == (grpc.StatusCode.UNAVAILABLE, "")
    assert len(proxy.calls) == 1
    proxy.faults = [overloaded(1)]
    await either.call(either.client.register, "bob", PASSWORD, "Bob", "bob@example.com")
    assert len(proxy.of("Register")) == 3


async def test_a_refusal_is_not_repeated(app: App, proxy: Proxy, either: Either) -> None:
    showtime = await app.showtime()
    await either.sign_in(app)
    with pytest.raises(errors.SingleSeatGap):
        await either.book(showtime.showtime_id, "A1", "A3")
    assert len(proxy.of("CreateBooking")) == 1


async def test_a_client_that_is_closed_before_a_repeat(proxy: Proxy, either: Either) -> None:
    """The error is that of the first attempt, with its request_id; closing an AsyncClient cancels its calls."""
    client = Either(type(either.client)(proxy.address), [])
    proxy.faults = [overloaded(2_000)]
    request = booking_service_pb2.CreateBookingRequest(showtime_id="none", seats=["A1"])
    calling = asyncio.create_task(client.call(client.client.bookings.CreateBooking, request))
    async with asyncio.timeout(30):
        while not proxy.of("CreateBooking"):  # noqa: ASYNC110 (of the proxy)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)  # for the answer to arrive, before which a call would be cut off
        await client.close()
        with pytest.raises((CinemaError, asyncio.CancelledError)) as raised:
            await calling
    assert isinstance(raised.value, CinemaError if isinstance(client.client, Client) else asyncio.CancelledError)
    if isinstance(raised.value, CinemaError):
        assert (raised.value.reason, len(raised.value.request_id)) == ("OVERLOADED", 36)
