"""The event feed over a real channel: what each change says, pages and filters, and streams."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import event_pb2, showtime_pb2
from cinema.v1 import event_service_pb2 as pb
from sqlalchemy import delete

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.audit import audit
from cinema_grpc.adapters.database.event_store import SqlEventStore
from cinema_grpc.application.events import EventFeed, delete_old_events
from tests.builders import NOW
from tests.database import reading, writing
from tests.rpc.conftest import DEADLINE, App, moment, read_refusal, refusal, running

ALLOW = showtime_pb2.SEAT_GAP_POLICY_ALLOW
TYPES = {number: name.removeprefix("EVENT_TYPE_") for name, number in event_pb2.EventType.items()}
NUMBERS = {name: number for number, name in TYPES.items()}


async def settle(app: App) -> None:
    """Wait until every event has its position."""
    async with reading(app.server.database) as connection:
        while (await connection.exec_driver_sql("SELECT count(*) FROM event_outbox")).scalar():
            await app.server.event_feed.run_pass()


async def read(app: App, after: int = 0, **fields: Any) -> pb.ListEventsResponse:
    request = pb.ListEventsRequest(after_position=after, **fields)
    return await app.events.ListEvents(request, metadata=await app.service(), timeout=DEADLINE)


async def everything(app: App, **fields: Any) -> list[event_pb2.Event]:
    """Read all events, page by page."""
    await settle(app)
    events: list[event_pb2.Event] = []
    after = 0
    while True:
        page = await read(app, after, **fields)
        events += page.events
        after = page.next_position
        if after == page.latest_position:
            return events


def brief(event: event_pb2.Event) -> tuple[Any, ...]:
    amount = event.amount.minor_units if event.HasField("amount") else None
    return TYPES[event.type], " ".join(event.seats), amount


@asynccontextmanager
async def watching(app: App, after: int = 0, **fields: Any) -> AsyncIterator[Any]:
    call = app.events.WatchEvents(
        pb.WatchEventsRequest(after_position=after, **fields), metadata=await app.service(), timeout=DEADLINE
    )
    yield call
    call.cancel()


async def a_story(app: App) -> showtime_pb2.Showtime:
    """Do everything to a showtime that has an event. Refunds are paid here and nowhere else."""
    await app.server.tasks.pay_refunds.stop()
    showtime = await app.showtime(policy=ALLOW)
    at = showtime.showtime_id
    await app.block(at, "B1", "B2")
    paid = await app.book(at, "A1", "A2")
    await app.update_hold(paid.booking_id, "A1", "A2", "A3")
    await app.pay(paid.booking_id)
    await app.cancel(paid.booking_id, "A3")
    given_up = await app.book(at, "A5", by="bob")
    await app.cancel(given_up.booking_id, by="bob")
    sold = await app.sell(at, "A9", "A10")
    await app.void(sold.booking_id, "A9", percent=0)
    await app.book(at, "A6", "A7", by="bob")
    await app.pass_time(timedelta(minutes=10))
    await app.server.tasks.expire_holds._run_pass()
    await app.update_showtime(at, changes={"start_time": moment(NOW + timedelta(days=3))})
    await app.server.tasks.pay_refunds._run_pass()
    await app.cancel_showtime(at)
    await app.server.tasks.pay_refunds._run_pass()
    return showtime


STORY = [
    ("SHOWTIME_CREATED", "", None),
    ("SEAT_BLOCKS_CHANGED", "B1 B2", None),
    ("SEATS_HELD", "A1 A2", 2_500),
    ("HOLD_CHANGED", "A1 A2 A3", 3_750),
    ("BOOKING_CONFIRMED", "A1 A2 A3", 3_750),
    ("SEATS_CANCELLED", "A3", 1_250),
    ("REFUND_OWED", "A3", 1_250),
    ("SEATS_HELD", "A5", 1_250),
    ("HOLD_CANCELLED", "A5", 1_250),
    ("BOOKING_CONFIRMED", "A9 A10", 2_500),
    ("SEATS_CANCELLED", "A9", 1_250),
    ("REFUND_OWED", "A9", 0),
    ("REFUND_COMPLETED", "A9", 0),
    ("SEATS_HELD", "A6 A7", 2_500),
    ("HOLD_EXPIRED", "A6 A7", 2_500),
    ("SHOWTIME_UPDATED", "", None),
    ("SEATS_CANCELLED", "A1 A2", 2_500),
    ("REFUND_OWED", "A1 A2", 2_500),
    ("SEATS_CANCELLED", "A10", 1_250),
    ("REFUND_OWED", "A10", 2_500),
    ("SEAT_BLOCKS_CHANGED", "", None),
    ("SHOWTIME_CANCELLED", "", None),
]
"""The events of `a_story`, but for the moments at which its refunds are paid."""


async def test_what_each_change_says(app: App) -> None:
    """Types, seats and amounts; identifiers; one last event for each change; and no personal data."""
    showtime = await a_story(app)
    events = await everything(app, page_size=200)
    assert [each.position for each in events] == list(range(1, len(events) + 1))
    owed = {"A3", "A1 A2"}
    online = {each.refund_id for each in events if brief(each)[0] == "REFUND_OWED" and " ".join(each.seats) in owed}
    paid = [each for each in events if each.type == NUMBERS["REFUND_COMPLETED"] and each.refund_id in online]
    assert sorted(brief(each) for each in paid) == [
        ("REFUND_COMPLETED", "A1 A2", 2_500),
        ("REFUND_COMPLETED", "A3", 1_250),
    ]
    assert [brief(each) for each in events if each not in paid] == STORY
    assert {each.showtime_id for each in events} == {showtime.showtime_id}
    assert {each.cinema_id for each in events} == {showtime.cinema.cinema_id}
    assert len({each.event_id for each in events}) == len(events)
    revisions = [each.revision for each in events]
    assert revisions == sorted(revisions)
    last = [each.revision for each in events if each.last_of_change]
    assert last == sorted(set(revisions))
    (expired,) = (each for each in events if each.type == NUMBERS["HOLD_EXPIRED"])
    assert expired.time == moment(NOW + timedelta(minutes=10))
    text = str(events)
    assert not any(word in text for word in ("Ada", "Bob", "@", "tok_", "Bearer"))
    assert (await audit(app.server.database)).breaches == 0


async def test_pages_and_filters(app: App) -> None:
    """Pages of any size have the same events; a filter leaves others out, and next_position passes over them."""
    showtime = await a_story(app)
    other = await app.showtime()
    events = await everything(app, page_size=200)
    assert await everything(app, page_size=3) == events
    held = [each for each in events if each.type == NUMBERS["SEATS_HELD"]]
    for fields, expected in (
        ({"types": [NUMBERS["SEATS_HELD"]]}, held),
        ({"types": [NUMBERS["SEATS_HELD"], NUMBERS["SHOWTIME_CREATED"]]}, [events[0], *held, events[-1]]),
        ({"showtime_id": showtime.showtime_id}, events[:-1]),
        ({"showtime_id": other.showtime_id}, events[-1:]),
        ({"cinema_id": other.cinema.cinema_id}, events[-1:]),
        ({"booking_id": held[0].booking_id}, [each for each in events if each.booking_id == held[0].booking_id]),
        ({"booking_id": "none"}, []),
        ({"showtime_id": "a\0b"}, []),
        ({"cinema_id": "a\0b"}, []),
        ({"booking_id": "a\0b"}, []),
        ({"showtime_id": other.showtime_id, "types": [NUMBERS["SEATS_HELD"]]}, []),
    ):
        assert await everything(app, **fields) == expected, fields
        assert await everything(app, page_size=1, **fields) == expected, fields
    page = await read(app, booking_id="none")
    assert (page.next_position, page.earliest_position, page.latest_position) == (len(events), 1, len(events))
    ahead = await read(app, 2**63 - 1)
    assert (list(ahead.events), ahead.next_position, ahead.latest_position) == ([], 2**63 - 1, len(events))
    # A page examines a bounded number of events, and moves on.
    feed = EventFeed(SqlEventStore(app.server.database, examined=4))
    app.server.event_feed.read = feed.read  # type: ignore[method-assign]
    assert (await read(app, booking_id="none")).next_position == 4
    assert await everything(app, showtime_id=other.showtime_id) == events[-1:]


async def test_old_events_are_trimmed(app: App) -> None:
    """Those that are left have their positions; a consumer that is behind learns where they begin."""
    await app.showtime()
    await app.showtime()
    await settle(app)
    app.clock.advance(timedelta(days=30))
    app.tokens.clear()
    await app.sign_in("staff")
    third = await app.showtime(start=NOW + timedelta(days=40))
    await settle(app)
    await delete_old_events(SqlEventStore(app.server.database), timedelta(days=30))
    await app.server.accounts.create_service("late", "correct horse battery staple")
    await app.sign_in("late")
    app.tokens["billing"] = app.tokens["late"]
    for call in (read(app), read(app, 1)):
        refused = await refusal(call)
        assert (refused.code, refused.reason) == (grpc.StatusCode.OUT_OF_RANGE, "POSITION_TRIMMED")
        assert refused.metadata["earliest_position"] == "3"
    page = await read(app, 2)
    assert [(each.position, each.showtime_id) for each in page.events] == [(3, third.showtime_id)]
    async with watching(app) as stream:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stream.read()
        assert read_refusal(raised.value).reason == "POSITION_TRIMMED"
    app.clock.advance(timedelta(days=31))
    await delete_old_events(SqlEventStore(app.server.database), timedelta(days=30))
    await app.sign_in("late")
    app.tokens["billing"] = app.tokens["late"]
    page = await read(app, 3)
    assert (list(page.events), page.earliest_position, page.latest_position) == ([], 4, 3)
    await app.sign_in("staff")
    await app.showtime(start=NOW + timedelta(days=90))
    await settle(app)
    assert [each.position for each in (await read(app, 3)).events] == [4]
    assert (await audit(app.server.database)).breaches == 0


async def test_a_stream_sends_what_comes(app: App) -> None:
    """The first response at once, an event within half a second, and only what the filter asks for."""
    showtime = await app.showtime()
    await settle(app)
    async with watching(app, after=1) as stream, watching(app, types=[NUMBERS["HOLD_CANCELLED"]]) as rare:
        first = await stream.read()
        assert (list(first.events), first.next_position, first.latest_position) == ([], 1, 1)
        assert (await rare.read()).next_position == 1
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        committed = time.monotonic()
        (held,) = (await stream.read()).events
        seconds = time.monotonic() - committed
        assert (held.position, held.booking_id) == (2, booking.booking_id)
        await app.cancel(booking.booking_id)
        (cancelled,) = (await stream.read()).events
        assert [cancelled] == list((await rare.read()).events)
    assert seconds < 20  # half a second is promised, which the benchmarks measure
    async with watching(app, after=2) as resumed:
        assert list((await resumed.read()).events) == [cancelled]


async def test_a_stream_tells_of_lost_events_at_once(app: App) -> None:
    """The feed has an end before what was read: a failover has lost events. It will be as long again soon."""
    showtime = await app.showtime()
    await app.book(showtime.showtime_id, "A1", "A2")
    await app.book(showtime.showtime_id, "A3", "A4")
    await settle(app)
    async with watching(app) as stream:
        assert (await stream.read()).next_position == 3
        async with writing(app.server.database) as connection:
            await connection.execute(delete(schema.event).where(schema.event.c.position > 1))
        await app.book(showtime.showtime_id, "A5", "A6")
        lost = await stream.read()
        assert (list(lost.events), lost.next_position) == ([], 3)
        assert lost.latest_position < 3


async def test_a_stream_about_an_identifier_that_nobody_has(app: App) -> None:
    """One with a NUL too, which PostgreSQL refuses: nothing comes."""
    await app.showtime()
    await settle(app)
    filters: list[dict[str, Any]] = [{name: "a\0b"} for name in ("showtime_id", "cinema_id", "booking_id")]
    for fields in filters:
        async with watching(app, **fields) as stream:
            first = await stream.read()
            assert (list(first.events), first.next_position) == ([], 1)


async def test_an_idle_stream_gets_responses(app: App) -> None:
    await app.showtime()
    await settle(app)
    app.server.event_feed._seconds_between_frames = 0.05
    async with watching(app, types=[NUMBERS["SEATS_HELD"]]) as stream:
        responses = [await stream.read() for _ in range(3)]
    assert [(list(each.events), each.next_position) for each in responses] == [([], 1)] * 3


async def test_a_stream_ends_with_its_right_to_it(app: App) -> None:
    """When the account is disabled, when the token expires, and when the server stops."""
    app.server.event_feed._seconds_between_frames = 0.05
    async with watching(app) as stream:
        await stream.read()
        await app.server.accounts.principals.set_disabled("billing", disabled=True)
        assert await _end_of(stream) == "TOKEN_INVALID"
    await app.server.accounts.create_service("other", "correct horse battery staple")
    await app.sign_in("other")
    app.tokens["billing"] = app.tokens["other"]
    async with watching(app) as stream:
        await stream.read()
        app.clock.advance(timedelta(hours=1))
        assert await _end_of(stream) == "TOKEN_EXPIRED"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_stream_ends_with_the_server(database_url: str) -> None:
    async with running(database_url) as app, watching(app) as stream:
        await stream.read()
        await app.server.announce_stop()
        assert await _end_of(stream) == "SHUTTING_DOWN"


async def _end_of(stream: Any) -> str:
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await _drain(stream)
    return read_refusal(raised.value).reason


async def _drain(stream: Any) -> None:
    while await stream.read() is not grpc.aio.EOF:
        pass


async def test_a_new_showtime_is_in_the_next_pass(postgresql_url: str) -> None:
    """As a change by the box office is: the sequencer does not wait for its look at the commits of other processes."""
    async with running(postgresql_url) as app:
        await app.server.event_feed.sequencer.stop()
        await app.movie()
        await app.server.event_feed.run_pass()
        showtime = await app.showtime()
        await app.server.event_feed.run_pass()
        assert [(TYPES[each.type], each.showtime_id) for each in (await read(app)).events] == [
            ("SHOWTIME_CREATED", showtime.showtime_id)
        ]
