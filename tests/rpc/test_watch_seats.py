"""WatchSeats: frames from the first one to the end of the stream, and what a client makes of them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb

from tests.builders import NOW
from tests.rpc.conftest import App, refusal, running
from tests.rpc.watcher import watching

SCHEDULED, CANCELLED = showtime_pb2.SHOWTIME_STATUS_SCHEDULED, showtime_pb2.SHOWTIME_STATUS_CANCELLED


class TestFirstFrame:
    async def test_it_is_a_snapshot_of_all_seats(self, app: App) -> None:
        showtime_id = (await app.showtime()).showtime_id
        await app.book(showtime_id, "A1", "A2")
        async with watching(app, showtime_id) as watcher:
            frame = await watcher.frame()
        answer = await app.showtimes.GetShowtime(pb.GetShowtimeRequest(showtime_id=showtime_id))
        assert frame.snapshot
        assert [*frame.seats] == [*answer.seats]
        assert (frame.revision, frame.available_seats) == (answer.showtime.revision, 16)
        assert frame.status == SCHEDULED
        assert frame.next_lapse_time.ToDatetime(NOW.tzinfo) == NOW + timedelta(minutes=10)

    async def test_it_has_only_what_has_changed_since_a_revision_that_was_watched(self, app: App) -> None:
        showtime_id = (await app.showtime()).showtime_id
        async with watching(app, showtime_id) as watcher:
            known = (await watcher.frame()).revision
            await app.book(showtime_id, "A1", "A2")
            await app.book(showtime_id, "B1", "B2", by="bob")
            await watcher.until(known + 2)
        async with watching(app, showtime_id, known) as watcher:
            frame = await watcher.frame()
        assert not frame.snapshot
        assert [seat.seat for seat in frame.seats] == ["A1", "A2", "B1", "B2"]

    async def test_it_is_empty_if_nothing_has_changed(self, app: App) -> None:
        """A client that has read a seat map resumes from its revision."""
        showtime = await app.showtime()
        async with watching(app, showtime.showtime_id, showtime.revision) as watcher:
            frame = await watcher.frame()
        assert (frame.snapshot, [*frame.seats], frame.available_seats) == (False, [], 18)

    async def test_it_is_a_snapshot_after_a_revision_that_is_not_known(self, app: App) -> None:
        showtime_id = (await app.showtime()).showtime_id
        await app.book(showtime_id, "A1", "A2")
        revision = (await app.read_showtime(showtime_id)).revision
        for unknown in (revision - 1, revision + 100, 2**63 - 1):
            async with watching(app, showtime_id, unknown) as watcher:
                frame = await watcher.frame()
                assert (frame.snapshot, len(frame.seats)) == (True, 18), unknown

    async def test_a_hold_that_has_ended_since_is_in_it_though_the_revision_is_the_same(self, app: App) -> None:
        await app.server.tasks.expire_holds.stop()  # it would write that down
        showtime_id = (await app.showtime()).showtime_id
        await app.book(showtime_id, "A1", "A2")
        revision = (await app.read_showtime(showtime_id)).revision
        app.clock.advance(timedelta(minutes=10))
        async with watching(app, showtime_id, revision) as watcher:
            frame = await watcher.frame()
        assert (frame.revision, frame.snapshot) == (revision, False)
        assert watcher.names(frame) == {"A1": "AVAILABLE", "A2": "AVAILABLE"}


class TestRefusals:
    async def test_an_unknown_showtime(self, app: App) -> None:
        async with watching(app, "no-showtime") as watcher:
            refused = await refusal(watcher.frame())
        assert refused.reason == "SHOWTIME_NOT_FOUND"

    @pytest.mark.parametrize(
        ("fields", "field"), [({}, "showtime_id"), ({"showtime_id": "x", "after_revision": -1}, "after_revision")]
    )
    async def test_a_malformed_request(self, app: App, fields: dict[str, Any], field: str) -> None:
        async with watching(app, **fields) as watcher:
            assert (await refusal(watcher.frame())).fields == [field]

    async def test_more_streams_than_a_network_may_have(self, database_url: str) -> None:
        async with running(database_url, watches_at_once=3) as app:
            showtime_id = (await app.showtime()).showtime_id
            async with watching(app, showtime_id) as first, watching(app, showtime_id) as second:
                await first.frame()
                await second.frame()
                async with watching(app, showtime_id) as third:
                    refused = await refusal(third.frame())
                assert (refused.reason, refused.metadata["watches_at_once"]) == ("STREAM_LIMIT", "3")
                assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
                first.close()
                async with asyncio.timeout(10):
                    while True:  # until the server has seen that
                        async with watching(app, showtime_id) as fourth:
                            if await fourth.read() is not None:
                                break


class TestChanges:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (lambda app, held: app.book(held.showtime_id, "B1", "B2", by="bob"), {"B1": "HELD", "B2": "HELD"}),
            (lambda app, held: app.pay(held.booking_id), {"A1": "SOLD", "A2": "SOLD"}),
            (lambda app, held: app.cancel(held.booking_id), {"A1": "AVAILABLE", "A2": "AVAILABLE"}),
            (lambda app, held: app.cancel(held.booking_id, "A2"), {"A2": "AVAILABLE"}),
            (lambda app, held: app.update_hold(held.booking_id, "A1", "A2", "A3"), {"A3": "HELD"}),
            (lambda app, held: app.sell(held.showtime_id, "A3", "A4"), {"A3": "SOLD", "A4": "SOLD"}),
            (lambda app, held: app.block(held.showtime_id, "B8"), {"B8": "BLOCKED"}),
        ],
        ids=["book", "pay", "cancel", "cancel one", "change", "sell", "block"],
    )
    async def test_each_is_sent_whole(
        self, app: App, change: Callable[[App, Any], Awaitable[Any]], expected: dict[str, str]
    ) -> None:
        showtime_id = (await app.showtime()).showtime_id
        held = await app.book(showtime_id, "A1", "A2")
        await app.customer("bob")
        async with watching(app, showtime_id) as watcher:
            await watcher.frame()
            await change(app, held)
            frames = await watcher.until((await app.read_showtime(showtime_id)).revision)
            assert [names for frame in frames if (names := watcher.names(frame))] == [expected]
            await watcher.check()

    async def test_holds_and_blocks_end_at_their_moment(self, app: App) -> None:
        """The revision stays until that is written down."""
        await app.server.tasks.expire_holds.stop()
        showtime_id = (await app.showtime()).showtime_id
        await app.block(showtime_id, "B1", "B2", until=NOW + timedelta(minutes=20))
        await app.book(showtime_id, "A1", "A2")
        async with watching(app, showtime_id) as watcher:
            revision = (await watcher.frame()).revision
            for freed in (["A1", "A2"], ["B1", "B2"]):
                assert watcher.latest.HasField("next_lapse_time")
                app.clock.advance(timedelta(minutes=10))
                frame = await watcher.frame()
                assert (frame.revision, watcher.names(frame)) == (revision, dict.fromkeys(freed, "AVAILABLE"))
                await watcher.check()
            assert not frame.HasField("next_lapse_time")

    async def test_seats_that_are_taken_again_as_soon_as_their_hold_has_ended(self, app: App) -> None:
        """A client that saw them free at the old revision, at another server, has to get them when it resumes here."""
        await app.server.tasks.expire_holds.stop()
        showtime_id = (await app.showtime()).showtime_id
        await app.book(showtime_id, "A1", "A2")
        async with watching(app, showtime_id) as watcher:
            revision = (await watcher.frame()).revision
            app.clock.advance(timedelta(minutes=10))
            await app.book(showtime_id, "A1", "A2", by="bob")
            await watcher.until(revision + 1)
            async with watching(app, showtime_id, revision) as other:
                assert watcher.names(await other.frame()) == {"A1": "HELD", "A2": "HELD"}

    async def test_a_change_that_touches_no_seat_raises_the_revision(self, app: App) -> None:
        showtime = await app.showtime()
        async with watching(app, showtime.showtime_id) as watcher:
            await watcher.frame()
            policy = showtime_pb2.SEAT_GAP_POLICY_ALLOW
            await app.update_showtime(showtime.showtime_id, changes={"seat_gap_policy": policy})
            frame = await watcher.frame()
        assert (frame.revision, [*frame.seats]) == (showtime.revision + 1, [])


class TestEnd:
    async def test_after_the_frame_that_says_cancelled(self, app: App) -> None:
        showtime_id = (await app.showtime()).showtime_id
        await app.book(showtime_id, "A1", "A2")
        async with watching(app, showtime_id) as watcher, watching(app, showtime_id) as other:
            await watcher.frame()
            await other.frame()
            await app.cancel_showtime(showtime_id)
            for each in (watcher, other):
                frame = await each.frame()
                assert (frame.status, frame.available_seats) == (CANCELLED, 18)
                assert await each.end() is grpc.StatusCode.OK
        async with watching(app, showtime_id) as late:
            assert (await late.frame()).status == CANCELLED
            assert await late.end() is grpc.StatusCode.OK

    async def test_when_the_showtime_ends(self, app: App) -> None:
        showtime_id = (await app.showtime(NOW + timedelta(days=2))).showtime_id
        async with watching(app, showtime_id) as watcher:
            await watcher.frame()
            app.clock.advance(timedelta(days=2, hours=2) - timedelta(microseconds=1))
            async with watching(app, showtime_id) as other:
                await other.frame()
                app.clock.advance(timedelta(microseconds=1))
                for each in (watcher, other):
                    assert not (await each.frame()).seats
                    assert await each.end() is grpc.StatusCode.OK
        async with watching(app, showtime_id) as late:
            assert (await late.frame()).snapshot
            assert await late.end() is grpc.StatusCode.OK

    async def test_when_the_server_stops_and_the_client_goes_on_elsewhere(self, database_url: str) -> None:
        async with running(database_url, shutdown_seconds=60) as app:
            showtime_id = (await app.showtime()).showtime_id
            async with watching(app, showtime_id) as watcher:
                revision = (await watcher.frame()).revision
                async with asyncio.timeout(30):  # less than other calls get
                    await app.server.announce_stop()
                    assert (await refusal(watcher.frame())).reason == "SHUTTING_DOWN"
        async with running(database_url, clock=app.clock) as app, watching(app, showtime_id, revision) as watcher:
            assert not (await watcher.frame()).snapshot
