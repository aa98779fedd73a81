"""UpdateShowtime over a real channel: another start, other prices, another gap policy; with its preview."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_pb2 as pb
from cinema.v1 import showtime_pb2
from cinema.v1.booking_service_pb2 import SeatChoice
from cinema.v1.catalog_pb2 import SeatArea
from cinema.v1.money_pb2 import Money
from cinema.v1.showtime_pb2 import PriceLine
from cinema.v1.showtime_service_pb2 import ListShowtimesRequest

from tests.builders import NOW
from tests.rpc.app import App, moment, new_id
from tests.rpc.conftest import running
from tests.rpc.programme import MICROSECOND, RUNTIME, TOMORROW, Programme, open_programme
from tests.rpc.refusals import refusal

Code = grpc.StatusCode
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
ALLOW, REFUSE = showtime_pb2.SEAT_GAP_POLICY_ALLOW, showtime_pb2.SEAT_GAP_POLICY_REFUSE
START = NOW + timedelta(days=2)


def line(category: str, ticket_type: str, minor_units: int, currency_code: str = "EUR", proof: str = "") -> PriceLine:
    price = Money(currency_code=currency_code, minor_units=minor_units)
    return PriceLine(category=category, ticket_type=ticket_type, price=price, proof=proof)


@pytest.fixture
async def programme(app: App) -> Programme:
    return await open_programme(app)


async def move(app: App, showtime_id: str, start: datetime, **fields: Any) -> showtime_pb2.Showtime:
    """Change the start of a showtime."""
    answer = await app.update_showtime(showtime_id, changes={"start_time": moment(start)}, **fields)
    return answer.showtime


class TestPreview:
    async def test_it_shows_what_is_affected_and_changes_nothing(self, app: App) -> None:
        showtime_id = (await app.showtime()).showtime_id
        await app.pay((await app.book(showtime_id, "A1", "A2", "A3")).booking_id)
        await app.book(showtime_id, "B1", "B2", by="bob")
        before, request_id = await app.read_showtime(showtime_id), new_id()
        changes = {"start_time": moment(START + HOUR), "seat_gap_policy": ALLOW}
        preview = await app.update_showtime(showtime_id, changes=changes, validate_only=True, request_id=request_id)
        assert preview.showtime == before == await app.read_showtime(showtime_id)
        impact = preview.impact
        assert (impact.confirmed_bookings, impact.reserved_bookings, impact.seats) == (1, 1, 5)
        assert (impact.refund_total.currency_code, impact.refund_total.minor_units) == ("EUR", 0)
        done = await app.update_showtime(
            showtime_id, changes=changes, expected_revision=before.revision, request_id=request_id
        )
        assert done.impact == impact
        assert (done.showtime.revision, done.showtime.start_time) == (before.revision + 1, moment(START + HOUR))
        refused = await refusal(app.update_showtime(showtime_id, changes=changes, expected_revision=before.revision))
        assert (refused.code, refused.reason) == (Code.ABORTED, "SHOWTIME_CHANGED")
        assert refused.metadata == {"showtime_id": showtime_id, "revision": str(before.revision + 1)}

    async def test_it_has_the_refusals_of_the_change(self, programme: Programme) -> None:
        app, showtime = programme.app, await programme.create()
        other = await programme.create(TOMORROW + 2 * RUNTIME)
        for validate_only in (True, False):
            call = move(app, showtime.showtime_id, TOMORROW + RUNTIME, validate_only=validate_only)
            refused = await refusal(call)
            assert (refused.reason, refused.metadata["showtime_id"]) == ("SHOWTIME_OVERLAP", other.showtime_id)
            call = move(app, "none", TOMORROW, validate_only=validate_only)
            assert (await refusal(call)).metadata == {"showtime_id": "none"}
        assert await programme.listed() == [showtime.showtime_id, other.showtime_id]


class TestStart:
    async def test_bookings_stay(self, app: App) -> None:
        """The end moves with the start; a finer time is cut off."""
        showtime_id = (await app.showtime()).showtime_id
        booking = await app.pay((await app.book(showtime_id, "A1", "A2")).booking_id)
        start = moment(START - HOUR)
        start.nanos = 1_999
        moved = (await app.update_showtime(showtime_id, changes={"start_time": start})).showtime
        assert moved.start_time == moment(START - HOUR + MICROSECOND)
        assert moved.end_time == moment(START - HOUR + MICROSECOND + RUNTIME)
        assert await app.read_showtime(showtime_id) == moved
        assert await app.read(booking.booking_id) == booking
        assert await app.seat_states(showtime_id) == {"A1": "SOLD", "A2": "SOLD"}

    async def test_the_auditorium_must_be_free(self, programme: Programme) -> None:
        """But for the showtime itself, and for cancelled ones; a quarter of an hour lies between."""
        app = programme.app
        first = await programme.create()
        second = await programme.create(TOMORROW + RUNTIME + 30 * MINUTE)
        third = await programme.create(TOMORROW + 3 * RUNTIME)
        assert (await move(app, first.showtime_id, TOMORROW + 15 * MINUTE)).start_time == moment(TOMORROW + 15 * MINUTE)
        refused = await refusal(move(app, first.showtime_id, TOMORROW + 15 * MINUTE + MICROSECOND))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SHOWTIME_OVERLAP")
        assert refused.metadata["showtime_id"] == second.showtime_id
        await app.cancel_showtime(second.showtime_id)
        await move(app, first.showtime_id, TOMORROW + RUNTIME)
        await move(app, third.showtime_id, TOMORROW - 3 * HOUR)
        assert await programme.listed() == [third.showtime_id, first.showtime_id]
        await programme.create(TOMORROW + 3 * RUNTIME)

    async def test_it_lies_in_the_future(self, app: App) -> None:
        """And at most five years on, also where a little earlier or later is no date any more."""
        showtime_id = (await app.showtime()).showtime_id
        first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
        for start in (NOW, NOW - HOUR, NOW + timedelta(days=6 * 366), first, last):
            for validate_only in (True, False):
                refused = await refusal(move(app, showtime_id, start, validate_only=validate_only))
                assert refused.fields == ["start_time"]
        await move(app, showtime_id, NOW + MICROSECOND)

    async def test_sales_move_with_it(self, app: App) -> None:
        """A showtime that has started is on sale again once it is put off, until its end."""
        showtime_id = (await app.showtime(start=NOW + HOUR)).showtime_id
        await app.pass_time(HOUR)
        assert (await refusal(app.book(showtime_id, "A1", "A2"))).reason == "SALES_CLOSED"
        await move(app, showtime_id, NOW + 2 * HOUR)
        await app.book(showtime_id, "A1", "A2")
        await app.pass_time(HOUR)
        assert (await refusal(app.book(showtime_id, "A3", "A4"))).reason == "SALES_CLOSED"
        await app.pass_time(RUNTIME)
        refused = await refusal(move(app, showtime_id, NOW + 9 * HOUR))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SHOWTIME_ENDED")

    async def test_holds_move_with_it(self, app: App) -> None:
        """A hold ends by the new start, or as late as it would have if the start had been there."""
        showtime_id = (await app.showtime(start=NOW + 8 * MINUTE)).showtime_id
        booking = await app.book(showtime_id, "A1", "A2")
        assert booking.hold_expire_time == moment(NOW + 8 * MINUTE)
        await move(app, showtime_id, NOW + HOUR)
        assert (await app.read(booking.booking_id)).hold_expire_time == moment(NOW + 10 * MINUTE)
        await move(app, showtime_id, NOW + 5 * MINUTE)
        assert (await app.read(booking.booking_id)).hold_expire_time == moment(NOW + 5 * MINUTE)
        await app.server.tasks.expire_holds.stop()
        app.clock.advance(5 * MINUTE)
        assert (await app.read(booking.booking_id)).status == pb.BOOKING_STATUS_EXPIRED
        assert await app.seat_states(showtime_id) == {}


class TestRefundsAfterAMove:
    @pytest.mark.parametrize(
        ("before", "after", "percent", "until"),
        [
            # hours from the booking to the first and to the second start; it is cancelled an hour after the booking
            (48, 72, 100, 72),  # a quarter of an hour or more: 100% until the new start
            (48, 6, 100, 6),
            (6, 6.25, 100, 6.25),
            (6, 5.75, 100, 5.75),
            (6, 6.2, 0, 6.2),  # less: the best over both starts
            (13.1, 12.9, 50, 1.1),
            (12.9, 13.1, 50, 1.1),
            (25.1, 24.9, 100, 1.1),
        ],
    )
    async def test_a_booking_made_before(
        self, app: App, before: float, after: float, percent: int, until: float
    ) -> None:
        showtime_id = (await app.showtime(start=NOW + before * HOUR)).showtime_id
        booking = await app.pay((await app.book(showtime_id, "A1", "A2")).booking_id)
        app.clock.advance(MINUTE)
        await move(app, showtime_id, NOW + after * HOUR)
        await app.pass_time(59 * MINUTE)
        quote = await app.quote(booking.booking_id)
        assert (quote.refund_percent, quote.refund_amount.minor_units) == (percent, 25 * percent)
        last = NOW + until * HOUR
        assert quote.valid_until_time == moment(last - MICROSECOND if until == after else last)
        refund = (await app.cancel(booking.booking_id)).refund
        assert (refund.percent, refund.amount) == (percent, quote.refund_amount)

    async def test_until_the_new_start(self, app: App) -> None:
        """100%, whatever the first start was; from the new start on nothing can be cancelled."""
        showtime_id = (await app.showtime(start=NOW + HOUR)).showtime_id
        first, second = [
            (await app.pay((await app.book(showtime_id, *seats)).booking_id)).booking_id
            for seats in (("A1", "A2"), ("A3", "A4"))
        ]
        app.clock.advance(MINUTE)
        await move(app, showtime_id, NOW + 3 * HOUR)
        await app.pass_time(3 * HOUR - MINUTE - MICROSECOND)
        assert (await app.cancel(first)).refund.percent == 100
        await app.pass_time(MICROSECOND)
        assert (await refusal(app.cancel(second))).reason == "BOOKING_NOT_CANCELLABLE"

    async def test_a_booking_made_afterwards(self, app: App) -> None:
        """Goes by the new start alone."""
        showtime_id = (await app.showtime(start=NOW + timedelta(days=5))).showtime_id
        await move(app, showtime_id, NOW + 6 * HOUR)
        app.clock.advance(MICROSECOND)
        booking = await app.pay((await app.book(showtime_id, "A1", "A2")).booking_id)
        assert (await app.quote(booking.booking_id)).refund_percent == 0


class TestPrices:
    async def test_they_are_for_later_claims(self, app: App) -> None:
        """A seat that was claimed keeps its price, for the charge and for the refund."""
        areas = [SeatArea(category="vip", rows=["B"])]
        showtime_id = (await app.showtime(price=1_000, areas=areas)).showtime_id
        before = await app.book(showtime_id, "A1", "A2")
        lines = [
            line("vip", "adult", 3_000),
            line("standard", "adult", 2_000),
            line("standard", "child", 500, proof=" a  passport "),
        ]
        answer = await app.update_showtime(showtime_id, changes={"prices": lines})
        lines[2].proof = "a passport"
        assert list(answer.showtime.prices) == lines
        assert answer.showtime.price.minor_units == 2_000
        assert await app.read_showtime(showtime_id) == answer.showtime
        chosen = [SeatChoice(seat="B1", ticket_type="adult"), SeatChoice(seat="B2", ticket_type="adult")]
        after = await app.book(showtime_id, choices=chosen, by="bob")
        assert after.total_price.minor_units == 6_000
        paid = await app.pay(before.booking_id)
        assert paid.total_price.minor_units == 2_000
        assert {each.ticket_type for each in paid.seats} == {"standard"}
        assert (await app.cancel(paid.booking_id)).refund.amount.minor_units == 2_000

    async def test_malformed_lists(self, app: App) -> None:
        """In another currency, or without a line for a category of the auditorium; nothing changes."""
        showtime = await app.showtime(areas=[SeatArea(category="vip", rows=["B"])])
        for lines, field, text in (
            ([line("standard", "adult", 1), line("vip", "child", 1)], "prices", "vip"),
            ([line(each, "adult", 1, "USD") for each in ("standard", "vip")], "prices[0].price.currency_code", "EUR"),
        ):
            for validate_only in (True, False):
                call = app.update_showtime(showtime.showtime_id, changes={"prices": lines}, validate_only=validate_only)
                refused = await refusal(call)
                assert (refused.fields, text in refused.message) == ([field], True)
        assert await app.read_showtime(showtime.showtime_id) == showtime

    async def test_a_malformed_list_beside_fields_that_do_not_change(self, app: App) -> None:
        """A client that sends the whole showtime is told only of what update_mask names."""
        showtime_id, past = (await app.showtime()).showtime_id, moment(NOW - HOUR)
        bad = {"prices": [line("standard", "No type", 900)]}
        refused = await refusal(app.update_showtime(showtime_id, changes=bad, start_time=past))
        assert refused.fields == ["prices[0].ticket_type"]


class TestPolicy:
    async def test_it_is_for_later_claims(self, app: App) -> None:
        showtime_id = (await app.showtime()).showtime_id
        assert (await refusal(app.book(showtime_id, "A2", "A3"))).reason == "SINGLE_SEAT_GAP"
        answer = await app.update_showtime(showtime_id, changes={"seat_gap_policy": ALLOW})
        assert answer.showtime.seat_gap_policy == ALLOW
        await app.book(showtime_id, "A2", "A3")
        answer = await app.update_showtime(showtime_id, changes={"seat_gap_policy": 0})  # unset means REFUSE
        assert answer.showtime.seat_gap_policy == REFUSE
        assert (await refusal(app.book(showtime_id, "A5", "A6"))).reason == "SINGLE_SEAT_GAP"


async def test_all_at_once_or_nothing(app: App) -> None:
    """Fields that the mask does not name stay; and a change to what is there already changes nothing."""
    showtime = await app.showtime()
    changes: dict[str, Any] = {"start_time": moment(START + HOUR), "prices": [line("standard", "adult", 5)]}
    refused = await refusal(app.update_showtime(showtime.showtime_id, changes=changes | {"start_time": moment(NOW)}))
    assert refused.fields == ["start_time"]
    assert await app.read_showtime(showtime.showtime_id) == showtime
    changed = (await app.update_showtime(showtime.showtime_id, changes=changes | {"seat_gap_policy": ALLOW})).showtime
    assert (changed.start_time, list(changed.prices)) == tuple(changes.values())
    assert (changed.seat_gap_policy, changed.revision) == (ALLOW, showtime.revision + 1)
    assert (await app.update_showtime(showtime.showtime_id, changes=changes)).showtime == changed


async def test_on_another_replica(postgresql_url: str) -> None:
    """What one changes, the other shows and obeys at once, in lists and in the seat map."""
    async with running(postgresql_url) as one, running(postgresql_url, clock=one.clock) as two:
        showtime_id = (await one.showtime()).showtime_id
        two.tokens = one.tokens
        await two.book(showtime_id, "A1", "A2")
        changes: dict[str, Any] = {"start_time": moment(START + HOUR), "prices": [line("standard", "adult", 5)]}
        steps: list[tuple[App, App, Callable[[App], Awaitable[Any]]]] = [
            (one, two, lambda app: app.update_showtime(showtime_id, changes=changes)),
            (two, one, lambda app: app.update_showtime(showtime_id, changes={"seat_gap_policy": ALLOW})),
            (one, two, lambda app: app.block(showtime_id, "A10")),
            (two, one, lambda app: app.sell(showtime_id, "B2", "B3")),
            (one, two, lambda app: app.cancel_showtime(showtime_id)),
        ]
        for here, there, change in steps:
            assert await there.read_showtime(showtime_id) == await here.read_showtime(showtime_id)
            await change(here)
            shown = await here.read_showtime(showtime_id)
            assert await there.read_showtime(showtime_id) == shown
            assert await there.seat_states(showtime_id) == await here.seat_states(showtime_id)
            request = ListShowtimesRequest(include_cancelled=True)
            for app in (here, there):
                assert list((await app.showtimes.ListShowtimes(request)).showtimes) == [shown]
        assert (await refusal(two.book(showtime_id, "B5", "B6"))).reason == "SHOWTIME_CANCELLED"


async def test_until_the_end(app: App) -> None:
    showtime = await app.showtime(start=NOW + HOUR)
    await app.pass_time(HOUR + RUNTIME)
    changes = ({"seat_gap_policy": ALLOW}, {"prices": [line("standard", "adult", 5)]})
    calls: list[Awaitable[Any]] = [app.update_showtime(showtime.showtime_id, changes=each) for each in changes]
    for call in calls:
        refused = await refusal(call)
        assert (refused.reason, refused.metadata["end_time"]) == ("SHOWTIME_ENDED", "2026-05-01T15:00:00Z")
