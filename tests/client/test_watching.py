"""Streams of seats and events go on by themselves where they were lost."""

import asyncio
from datetime import timedelta

import grpc
import pytest
from cinema_client import CinemaError, _async_client, _watching, errors
from cinema_client.cinema.v1 import event_pb2, event_service_pb2, showtime_pb2, showtime_service_pb2
from google.rpc.status_pb2 import Status

from tests.client.conftest import Either
from tests.client.proxy import Fault, Proxy
from tests.rpc.conftest import App

LOST = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message="the connection was lost")
HELD = event_pb2.EVENT_TYPE_SEATS_HELD


async def test_a_lost_stream_of_seats_goes_on(
    app: App, proxy: Proxy, either: Either, caplog: pytest.LogCaptureFixture
) -> None:
    """After the last revision, so that the next frame has what has changed alone. The log says that it was lost."""
    showtime = await app.showtime()
    await either.sign_in(app)
    proxy.faults = [Fault.END_AFTER_FIRST, LOST]
    frames = either.client.watch_seats(showtime.showtime_id)
    (first,) = await either.take(frames, 1)
    assert first.snapshot
    await either.book(showtime.showtime_id, "A1", "A2")
    (second,) = await either.take(frames, 1)
    assert {each.seat: each.status for each in second.seats} == dict.fromkeys(
        ("A1", "A2"), showtime_pb2.SEAT_STATUS_HELD
    )
    sent = [call.read(showtime_service_pb2.WatchSeatsRequest) for call in proxy.of("WatchSeats")]
    assert [each.after_revision for each in sent] == [0, first.revision, first.revision][: len(sent)]
    assert len(sent) >= 2
    assert "a stream was lost, and is opened again in" in caplog.text
    await either.stop(frames)


async def test_seats_after_a_revision(app: App, either: Either) -> None:
    """A caller who knows the seats at a revision learns what has changed since."""
    showtime = await app.showtime()
    frames = either.client.watch_seats(showtime.showtime_id)
    (first,) = await either.take(frames, 1)
    await app.book(showtime.showtime_id, "A1", "A2")
    await either.take(frames, 1)
    others = either.client.watch_seats(showtime.showtime_id, first.revision)
    (frame,) = await either.take(others, 1)
    assert not frame.snapshot
    assert [each.seat for each in frame.seats] == ["A1", "A2"]
    await either.stop(frames)
    await either.stop(others)


async def test_a_silent_stream_is_given_up(
    app: App, proxy: Proxy, either: Either, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server sends a frame every 15 seconds: without one for longer, the connection is dead."""
    for module in (_watching, _async_client):
        monkeypatch.setattr(module, "LONGEST_SILENCE_SECONDS", 0.5)
    showtime = await app.showtime()
    proxy.faults = [Fault.SILENCE_AFTER_FIRST]
    frames = either.client.watch_seats(showtime.showtime_id)
    (first,) = await either.take(frames, 1)
    await app.book(showtime.showtime_id, "A1", "A2")
    (second,) = await either.take(frames, 1)
    assert second.revision > first.revision
    assert len(proxy.of("WatchSeats")) >= 2
    await either.stop(frames)


async def test_a_showtime_that_is_cancelled_ends_its_stream(app: App, either: Either) -> None:
    showtime = await app.showtime()
    frames = either.client.watch_seats(showtime.showtime_id)
    (first,) = await either.take(frames, 1)
    assert first.status == showtime_pb2.SHOWTIME_STATUS_SCHEDULED
    await app.cancel_showtime(showtime.showtime_id)
    *_, last = await either.take(frames, 10)
    assert last.status == showtime_pb2.SHOWTIME_STATUS_CANCELLED


async def test_what_would_fail_again_is_raised(proxy: Proxy, either: Either) -> None:
    with pytest.raises(errors.ShowtimeNotFound) as raised:
        await either.take(either.client.watch_seats("none"), 1)
    assert raised.value.showtime_id == "none"
    assert len(proxy.calls) == 1


async def test_a_server_that_never_answered_is_given_up(app: App, proxy: Proxy, either: Either) -> None:
    showtime = await app.showtime()
    proxy.faults = [LOST] * 20
    with pytest.raises(CinemaError) as raised:
        await either.take(either.client.watch_seats(showtime.showtime_id), 1)
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(proxy.of("WatchSeats")) == 5


async def test_a_server_that_was_always_silent_is_given_up(
    app: App, proxy: Proxy, either: Either, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_watching, _async_client):
        monkeypatch.setattr(module, "LONGEST_SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(_watching, "MAX_ATTEMPTS", 2)
    showtime = await app.showtime()
    proxy.gates["WatchSeats"] = asyncio.Event()
    with pytest.raises(CinemaError, match=r"no frame from the server for 0\.5 s") as raised:
        await either.take(either.client.watch_seats(showtime.showtime_id), 1)
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(proxy.of("WatchSeats")) <= 2


async def test_events_go_on_where_they_were_lost(app: App, proxy: Proxy, either: Either) -> None:
    """No event is missing or there twice."""
    showtime = await app.showtime()
    await either.sign_in(app, "billing")
    await app.book(showtime.showtime_id, "A1", "A2")
    proxy.faults = [Fault.END_AFTER_FIRST]
    frames = either.client.watch_events(types=[HELD])
    seats: list[tuple[str, ...]] = []
    while len(seats) < 1:
        (frame,) = await either.take(frames, 1)
        seats += [tuple(event.seats) for event in frame.events]
    await app.book(showtime.showtime_id, "B1", "B2")
    while len(seats) < 2:
        (frame,) = await either.take(frames, 1)
        seats += [tuple(event.seats) for event in frame.events]
    assert seats == [("A1", "A2"), ("B1", "B2")]
    first, second = [call.read(event_service_pb2.WatchEventsRequest) for call in proxy.of("WatchEvents")][:2]
    assert first.after_position == 0 < second.after_position
    assert list(second.types) == [HELD]
    await either.stop(frames)


async def test_the_filters_of_events(app: App, either: Either) -> None:
    """And a position to begin after."""
    one, other = await app.showtime(), await app.showtime()
    mine = await app.book(one.showtime_id, "A1", "A2")
    await app.book(one.showtime_id, "B1", "B2")
    theirs = await app.book(other.showtime_id, "A3", "A4")
    await either.sign_in(app, "billing")

    async def seats(after: int = 0, **filters: str) -> list[str]:
        found: list[str] = []
        frames = either.client.watch_events(after, [HELD], **filters)
        while not found:
            (frame,) = await either.take(frames, 1)
            found += [event.seats[0] for event in frame.events]
        await either.stop(frames)
        return found

    assert await seats(showtime_id=other.showtime_id) == ["A3"]
    assert await seats(cinema_id=other.cinema.cinema_id, booking_id=theirs.booking_id) == ["A3"]
    assert await seats(booking_id=mine.booking_id) == ["A1"]
    everything = either.client.watch_events(0, [HELD], booking_id=mine.booking_id)
    (frame,) = await either.take(everything, 1)
    await either.stop(everything)
    assert await seats(frame.events[-1].position, showtime_id=one.showtime_id) == ["B1"]


async def test_events_outlast_the_access_token(app: App, proxy: Proxy, either: Either) -> None:
    """The stream ends with it, and is opened again with a new one."""
    showtime = await app.showtime()
    await either.sign_in(app, "billing")
    frames = either.client.watch_events()
    (first,) = await either.take(frames, 1)
    app.clock.advance(timedelta(minutes=61))
    waiting = asyncio.create_task(either.take(frames, 1))
    while len(proxy.of("WatchEvents")) < 2:  # noqa: ASYNC110 (a proxy has no event)
        await asyncio.sleep(0.01)
    await app.book(showtime.showtime_id, "A1", "A2")
    (second,) = await waiting
    assert second.next_position >= first.next_position
    assert len(proxy.of("RefreshTokens")) == 1
    await either.stop(frames)


async def test_events_outlast_a_refresh_that_fails(app: App, proxy: Proxy, either: Either) -> None:
    """A server that goes down as the access token expires delays the stream, and does not end it."""
    showtime = await app.showtime()
    await either.sign_in(app, "billing")
    frames = either.client.watch_events()
    await either.take(frames, 1)
    app.clock.advance(timedelta(minutes=61))
    proxy.faults = [LOST] * 8  # a call is made five times
    waiting = asyncio.create_task(either.take(frames, 1))
    await app.book(showtime.showtime_id, "A1", "A2")
    await waiting
    assert len(proxy.of("RefreshTokens")) > 5
    await either.stop(frames)
