"""Seats that the cinema keeps, over a real channel: blocking, releasing, and the release by time alone."""

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb

from tests.builders import NOW
from tests.rpc.app import App, moment, new_id
from tests.rpc.conftest import running
from tests.rpc.refusals import refusal

Code = grpc.StatusCode
HOUSE, OUT_OF_ORDER = showtime_pb2.SEAT_BLOCK_KIND_HOUSE, showtime_pb2.SEAT_BLOCK_KIND_OUT_OF_ORDER
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


async def blocks(app: App, showtime_id: str) -> list[showtime_pb2.SeatBlock]:
    request = pb.ListSeatBlocksRequest(showtime_id=showtime_id)
    return list((await app.showtimes.ListSeatBlocks(request, metadata=await app.staff())).blocks)


async def listed(app: App, **fields: Any) -> list[showtime_pb2.Showtime]:
    return list((await app.showtimes.ListShowtimes(pb.ListShowtimesRequest(**fields))).showtimes)


async def staff_id(app: App) -> str:
    """Return the user_id of the staff, whose booking a sale without a customer is."""
    return (await app.sell((await app.showtime()).showtime_id, "A1", "A2")).user_id


class TestBlocking:
    async def test_a_block(self, app: App) -> None:
        """Customers see that the seats are BLOCKED; only staff learn why, by whom, and until when."""
        showtime_id, me = (await app.showtime()).showtime_id, await staff_id(app)
        before = await app.read_showtime(showtime_id)
        answer = await app.block(
            showtime_id, "A10", "A9", kind=OUT_OF_ORDER, reason="  broken   seat ", until=NOW + HOUR
        )
        (block,) = answer.blocks
        assert list(block.seats) == ["A9", "A10"]
        assert (block.kind, block.reason, block.created_by) == (OUT_OF_ORDER, "broken seat", me)
        assert (block.create_time, block.release_time) == (moment(NOW), moment(NOW + HOUR))
        assert (answer.showtime.available_seats, answer.showtime.revision) == (16, before.revision + 1)
        assert await app.read_showtime(showtime_id) == answer.showtime
        assert await blocks(app, showtime_id) == [block]
        assert await app.seat_states(showtime_id) == {"A9": "BLOCKED", "A10": "BLOCKED"}
        assert answer.showtime in await listed(app)

    async def test_as_good_as_sold_for_claims(self, app: App) -> None:
        """And a wall for the gap rule."""
        showtime_id = (await app.showtime()).showtime_id
        await app.block(showtime_id, "A5")
        refused = await refusal(app.book(showtime_id, "A4", "A5", "A6"))
        assert (refused.reason, refused.metadata) == ("SEATS_UNAVAILABLE", {"seats": "A5"})
        assert "guests" not in f"{refused.message} {refused.details}"
        refused = await refusal(app.book(showtime_id, "A2", "A3"))
        assert refused.metadata == {"stranded_seats": "A1,A4"}
        assert len((await app.book(showtime_id, "A1", "A2", "A3")).seats) == 3

    async def test_blocking_again_replaces_the_block(self, app: App) -> None:
        showtime_id = (await app.showtime()).showtime_id
        await app.block(showtime_id, "A1", "A2", "A3", "A4", until=NOW + HOUR)
        app.clock.advance(timedelta(minutes=1))
        answer = await app.block(showtime_id, "A2", "A3", "A6", kind=OUT_OF_ORDER, reason="wet", release=["A4"])
        assert [(list(each.seats), each.reason, each.HasField("release_time")) for each in answer.blocks] == [
            (["A1"], "for guests", True),
            (["A2", "A3", "A6"], "wet", False),
        ]
        await app.block(showtime_id, "A1", "A2", "A3", "A6")
        assert [list(each.seats) for each in await blocks(app, showtime_id)] == [["A1", "A2", "A3", "A6"]]

    async def test_releasing(self, app: App) -> None:
        """A seat that is not blocked may be among them; if none is, nothing changes."""
        showtime_id = (await app.showtime()).showtime_id
        await app.block(showtime_id, "A1", "A2")
        released = await app.block(showtime_id, release=["A2", "A7"])
        assert [list(each.seats) for each in released.blocks] == [["A1"]]
        assert await app.seat_states(showtime_id) == {"A1": "BLOCKED"}
        again = await app.block(showtime_id, release=["A2", "A7"])
        assert again.showtime.revision == released.showtime.revision
        assert again == released
        assert (await app.block(showtime_id, release=["A1"])).blocks == []

    async def test_taken_seats_are_all_named(self, app: App) -> None:
        """Held and sold ones; nothing is blocked or released then. A lapsed hold is no obstacle."""
        await app.server.tasks.expire_holds.stop()
        showtime_id = (await app.showtime()).showtime_id
        await app.block(showtime_id, "B8")
        await app.book(showtime_id, "A1", "A2")
        await app.pay((await app.book(showtime_id, "B1", "B2", by="bob")).booking_id, by="bob")
        refused = await refusal(app.block(showtime_id, "B2", "A1", "A5", release=["B8"]))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SEATS_UNAVAILABLE")
        assert refused.metadata == {"seats": "A1,B2"}
        assert [list(each.seats) for each in await blocks(app, showtime_id)] == [["B8"]]
        app.clock.advance(timedelta(minutes=10))
        await app.block(showtime_id, "A1", "A5")
        assert (await app.seat_states(showtime_id))["A1"] == "BLOCKED"
        assert "A2" not in await app.seat_states(showtime_id)

    async def test_a_preview(self, app: App) -> None:
        """It shows the blocks that would stand, changes nothing, and is not stored under its request_id."""
        showtime_id, request_id = (await app.showtime()).showtime_id, new_id()
        await app.block(showtime_id, "A1")
        before = await app.read_showtime(showtime_id)
        preview = await app.block(showtime_id, "A3", "A4", release=["A1"], validate_only=True, request_id=request_id)
        assert [list(each.seats) for each in preview.blocks] == [["A3", "A4"]]
        assert preview.showtime == before
        assert await app.read_showtime(showtime_id) == before
        assert await app.seat_states(showtime_id) == {"A1": "BLOCKED"}
        done = await app.block(showtime_id, "A3", "A4", request_id=request_id)
        assert done.showtime.revision == before.revision + 1
        await app.book(showtime_id, "A5", "A6")
        refused = await refusal(app.block(showtime_id, "A6", validate_only=True))
        assert refused.metadata == {"seats": "A6"}


class TestRefusals:
    async def test_malformed(self, app: App) -> None:
        showtime_id = (await app.showtime()).showtime_id
        assert (await refusal(app.block(showtime_id))).fields == ["block"]
        refused = await refusal(app.block(showtime_id, "A10", "A2", "A3", release=["A10", "A2", "A4"]))
        assert refused.fields == ["release"]
        assert "A2, A10" in refused.message
        start = NOW + timedelta(days=2)
        for until in (NOW - HOUR, NOW, start + MICROSECOND):
            refused = await refusal(app.block(showtime_id, "A1", until=until))
            assert refused.fields == ["block.release_time"]
            assert "2026-05-03T12:00:00Z" in refused.message
        for until in (NOW + MICROSECOND, start):
            await app.block(showtime_id, "A1", until=until)

    async def test_unknown_seats(self, app: App) -> None:
        """To block or to release; all are named."""
        showtime_id = (await app.showtime()).showtime_id
        refused = await refusal(app.block(showtime_id, "Z1", "A1", release=["A11", "A2"]))
        assert (refused.code, refused.reason) == (Code.NOT_FOUND, "SEAT_NOT_FOUND")
        assert refused.metadata == {"seats": "A11,Z1"}
        assert await app.seat_states(showtime_id) == {}

    async def test_what_can_no_longer_be_changed(self, app: App) -> None:
        """Until the end, blocks can be set; a cancelled showtime has none."""
        showtime = await app.showtime(start=NOW + HOUR)
        await app.pass_time(3 * HOUR - MICROSECOND)
        await app.block(showtime.showtime_id, "A1")
        await app.pass_time(MICROSECOND)
        refused = await refusal(app.block(showtime.showtime_id, "A2"))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SHOWTIME_ENDED")
        assert refused.metadata == {"showtime_id": showtime.showtime_id, "end_time": "2026-05-01T15:00:00Z"}
        other = await app.showtime()
        await app.block(other.showtime_id, "A1")
        await app.cancel_showtime(other.showtime_id)
        assert (await refusal(app.block(other.showtime_id, "A2"))).reason == "SHOWTIME_CANCELLED"
        assert await blocks(app, other.showtime_id) == []

    async def test_unknown_showtimes(self, app: App) -> None:
        for call in (app.block("none", "A1"), app.block("none", "A1", validate_only=True), blocks(app, "none")):
            assert (await refusal(call)).reason == "SHOWTIME_NOT_FOUND"


class TestRelease:
    async def test_to_the_microsecond_without_any_task(self, app: App) -> None:
        """In the seat map, in lists, for claims; and the block is gone from its list."""
        await app.server.tasks.expire_holds.stop()
        showtime_id, until = (await app.showtime()).showtime_id, NOW + HOUR
        await app.block(showtime_id, "A1", "A2", until=until)
        await app.block(showtime_id, "B1", "B2")
        await app.pass_time(HOUR - MICROSECOND)
        assert len(await app.seat_states(showtime_id)) == 4
        assert (await listed(app))[0].available_seats == 14
        assert (await refusal(app.book(showtime_id, "A1", "A2"))).reason == "SEATS_UNAVAILABLE"
        await app.pass_time(MICROSECOND)
        assert await app.seat_states(showtime_id) == {"B1": "BLOCKED", "B2": "BLOCKED"}
        assert (await listed(app))[0].available_seats == 16
        assert [list(each.seats) for each in await blocks(app, showtime_id)] == [["B1", "B2"]]
        booking = await app.book(showtime_id, "A2", "A3", "A1")
        assert len(booking.seats) == 3
        assert (await listed(app))[0].available_seats == 13
        assert (await app.read_showtime(showtime_id)).available_seats == 13

    async def test_a_seat_of_it_is_claimed(self, app: App) -> None:
        """The others of the block are free too."""
        await app.server.tasks.expire_holds.stop()
        showtime_id = (await app.showtime()).showtime_id
        await app.block(showtime_id, "A1", "A2", "A3", "A4", until=NOW + HOUR)
        await app.pass_time(HOUR)
        await app.book(showtime_id, "A1", "A2")
        assert await app.seat_states(showtime_id) == {"A1": "HELD", "A2": "HELD"}
        await app.book(showtime_id, "A3", "A4", by="bob")
        (shown,) = await listed(app)
        assert shown.available_seats == 14
        await app.pass_time(HOUR)
        assert (await listed(app))[0].available_seats == 18

    async def test_the_task_writes_it_down(self, app: App) -> None:
        """The revision shows it; nothing else changes."""
        showtime_id = (await app.showtime()).showtime_id
        blocked = await app.block(showtime_id, "A1", "A2", until=NOW + HOUR)
        await app.pass_time(HOUR)
        async with asyncio.timeout(30):
            while (await app.read_showtime(showtime_id)).revision == blocked.showtime.revision:
                app.server.tasks.expire_holds.wake()
        assert await app.seat_states(showtime_id) == {}
        assert (await listed(app))[0].available_seats == 18

    async def test_a_lapsed_block_may_be_blocked_again(self, app: App) -> None:
        await app.server.tasks.expire_holds.stop()
        showtime_id = (await app.showtime()).showtime_id
        await app.block(showtime_id, "A1", "A2", until=NOW + HOUR)
        await app.pass_time(HOUR)
        answer = await app.block(showtime_id, "A2", "A3")
        assert [list(each.seats) for each in answer.blocks] == [["A2", "A3"]]
        assert (answer.showtime.available_seats, (await listed(app))[0].available_seats) == (16, 16)


@pytest.mark.parametrize("released", [False, True])
async def test_repeats(database_url: str, released: bool) -> None:
    """The stored answer, also after a restart and after the block was replaced; other content is refused."""
    request_id = new_id()
    async with running(database_url) as app:
        showtime_id = (await app.showtime()).showtime_id
        first = await app.block(showtime_id, "A1", "A2", request_id=request_id)
        if released:
            await app.block(showtime_id, release=["A1", "A2"])
        states, tokens = await app.seat_states(showtime_id), app.tokens
    async with running(database_url) as app:
        app.tokens |= tokens
        assert await app.block(showtime_id, "A1", "A2", request_id=request_id) == first
        assert await app.seat_states(showtime_id) == states
        for seats, reason in ((("A2", "A1"), "for guests"), (("A1", "A2"), "another reason")):
            call = app.block(showtime_id, *seats, reason=reason, request_id=request_id)
            assert (await refusal(call)).reason == "REQUEST_ID_REUSED"
