"""UpdateHold over a real channel: other seats for a hold, and more time."""

from datetime import timedelta

import grpc
from cinema.v1 import booking_pb2 as pb
from cinema.v1.booking_service_pb2 import SeatChoice
from cinema.v1.catalog_pb2 import WheelchairSpace
from cinema.v1.money_pb2 import Money
from cinema.v1.showtime_pb2 import PriceLine

from tests.builders import NOW
from tests.rpc.app import App, moment, new_id
from tests.rpc.conftest import running
from tests.rpc.providers import Provider
from tests.rpc.refusals import refusal

Code = grpc.StatusCode
MINUTE = timedelta(minutes=1)
TEN_MINUTES = timedelta(minutes=10)
PRICES = [
    PriceLine(category="standard", ticket_type=name, price=Money(currency_code="EUR", minor_units=price), proof=proof)
    for name, price, proof in (("adult", 1_200, ""), ("child", 700, "passport"))
]


def labels(booking: pb.Booking) -> list[str]:
    return [each.seat for each in booking.seats]


class TestChangingSeats:
    async def test_all_or_none(self, app: App) -> None:
        """Its own seats count as free, and the end of the hold does not move."""
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        app.clock.advance(MINUTE)
        changed = await app.update_hold(booking.booking_id, "A3", "A1", "A2")
        assert labels(changed) == ["A1", "A2", "A3"]
        assert changed.status == pb.BOOKING_STATUS_RESERVED
        assert (changed.create_time, changed.hold_expire_time) == (booking.create_time, booking.hold_expire_time)
        assert changed.total_price.minor_units == 3 * 1_250
        assert await app.read(booking.booking_id) == changed

    async def test_a_refusal_leaves_the_hold_as_it_was(self, app: App) -> None:
        showtime = await app.showtime()
        await app.book(showtime.showtime_id, "A7", "A8", by="bob")
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        before = await app.seat_states(showtime.showtime_id)
        for seats, reason in (
            (("A1", "Z9"), "SEAT_NOT_FOUND"),
            (("A1", "A2", "A7"), "SEATS_UNAVAILABLE"),
            (("A1", "A3"), "SINGLE_SEAT_GAP"),
        ):
            refused = await refusal(app.update_hold(booking.booking_id, *seats))
            assert refused.reason == reason
            assert await app.read(booking.booking_id) == booking
            assert await app.seat_states(showtime.showtime_id) == before

    async def test_other_ticket_types(self, app: App) -> None:
        showtime = await app.showtime(prices=PRICES)
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        chosen = [SeatChoice(seat="A2", ticket_type="child"), SeatChoice(seat="A3", ticket_type="adult")]
        refused = await refusal(app.update_hold(booking.booking_id, choices=chosen))
        assert refused.metadata == {"stranded_seats": "A1"}
        chosen.append(SeatChoice(seat="A1", ticket_type="child"))
        changed = await app.update_hold(booking.booking_id, choices=chosen)
        assert [(each.seat, each.price.minor_units, each.proof) for each in changed.seats] == [
            ("A1", 700, "passport"),
            ("A2", 700, "passport"),
            ("A3", 1_200, ""),
        ]
        chosen[0].ticket_type = "senior"
        refused = await refusal(app.update_hold(booking.booking_id, choices=chosen))
        assert (refused.reason, refused.metadata["seats"]) == ("TICKET_TYPE_NOT_OFFERED", "A2")

    async def test_a_seat_that_stays_keeps_its_price(self, app: App) -> None:
        """It was claimed before the prices changed; a new seat, or another ticket type, is a later claim."""
        showtime = await app.showtime(prices=PRICES)
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        dearer = [
            PriceLine(category="standard", ticket_type=name, price=Money(currency_code="EUR", minor_units=price))
            for name, price in (("adult", 1_500), ("child", 900))
        ]
        await app.update_showtime(showtime.showtime_id, changes={"prices": dearer})
        chosen = [
            SeatChoice(seat=seat, ticket_type=name)
            for seat, name in (("A1", "adult"), ("A2", "child"), ("A3", "adult"))
        ]
        changed = await app.update_hold(booking.booking_id, choices=chosen)
        assert [each.price.minor_units for each in changed.seats] == [1_200, 900, 1_500]
        assert changed.total_price.minor_units == 3_600

    async def test_a_booking_stays_with_or_without_wheelchair(self, app: App) -> None:
        showtime = await app.showtime(wheelchair_spaces=[WheelchairSpace(seat="A5", companion_seats=["A6"])])
        ordinary = await app.book(showtime.showtime_id, "A1", "A2")
        accessible = await app.book(showtime.showtime_id, "A5", wheelchair=True, by="bob")
        refused = await refusal(app.update_hold(ordinary.booking_id, "A1", "A2", "A6"))
        assert (refused.reason, refused.metadata) == ("ACCESSIBLE_ONLY", {"seats": "A6"})
        assert labels(await app.update_hold(accessible.booking_id, "A5", "A6", by="bob")) == ["A5", "A6"]
        refused = await refusal(app.update_hold(accessible.booking_id, "A6", by="bob"))
        assert (refused.reason, refused.metadata) == ("ACCESSIBLE_ONLY", {"seats": "A6"})

    async def test_the_limit_counts_what_is_more(self, app: App) -> None:
        """Ten seats may become ten others, but not eleven with another hold."""
        showtime = await app.showtime()
        await app.book(showtime.showtime_id, "B1", "B2", "B3", "B4")
        booking = await app.book(showtime.showtime_id, "A1", "A2", "A3", "A4", "A5", "A6")
        others = ("A5", "A6", "A7", "A8", "A9", "A10")
        assert labels(await app.update_hold(booking.booking_id, *others)) == list(others)
        refused = await refusal(app.update_hold(booking.booking_id, "A4", *others))
        assert refused.reason == "HOLD_LIMIT"
        assert refused.metadata == {"limit": "10", "held": "10", "requested": "1"}

    async def test_the_limit_over_all_showtimes(self, database_url: str) -> None:
        async with running(database_url, seats_on_hold_limit=4) as app:
            await app.book((await app.showtime()).showtime_id, "A1", "A2")
            booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
            refused = await refusal(app.update_hold(booking.booking_id, "A1", "A2", "A3"))
            assert (refused.code, refused.reason) == (Code.RESOURCE_EXHAUSTED, "HOLD_LIMIT")
            assert refused.metadata == {"limit": "4", "held": "4", "requested": "1", "scope": "account"}
            assert labels(await app.update_hold(booking.booking_id, "A3", "A4")) == ["A3", "A4"]
            assert labels(await app.update_hold(booking.booking_id, "A1")) == ["A1"]

    async def test_seats_that_it_leaves_are_free_at_once(self, app: App) -> None:
        showtime = await app.showtime()
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        await app.update_hold(booking.booking_id, "A3", "A4")
        await app.book(showtime.showtime_id, "A1", "A2", by="bob")
        assert len(await app.seat_states(showtime.showtime_id)) == 4


class TestExtending:
    async def test_once(self, app: App) -> None:
        """To ten minutes from now."""
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        app.clock.advance(4 * MINUTE)
        extended = await app.update_hold(booking.booking_id, extend=True)
        assert extended.hold_expire_time == moment(NOW + 14 * MINUTE)
        assert labels(extended) == ["A1", "A2"]
        app.clock.advance(MINUTE)
        refused = await refusal(app.update_hold(booking.booking_id, extend=True))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "HOLD_EXTENSION_LIMIT")
        assert refused.metadata == {"booking_id": booking.booking_id, "hold_expire_time": "2026-05-01T12:14:00Z"}
        app.clock.advance(9 * MINUTE)
        assert (await app.read(booking.booking_id)).status == pb.BOOKING_STATUS_EXPIRED

    async def test_at_most_twenty_minutes_from_its_creation(self, app: App) -> None:
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        app.clock.advance(TEN_MINUTES - timedelta(microseconds=1))
        extended = await app.update_hold(booking.booking_id, extend=True)
        assert extended.hold_expire_time == moment(NOW + 2 * TEN_MINUTES - timedelta(microseconds=1))

    async def test_never_past_the_start(self, app: App) -> None:
        showtime = await app.showtime(start=NOW + 12 * MINUTE)
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        app.clock.advance(5 * MINUTE)
        assert (await app.update_hold(booking.booking_id, extend=True)).hold_expire_time == showtime.start_time

    async def test_one_that_moves_nothing_changes_nothing(self, app: App) -> None:
        """Else a preview that another caller has seen would be of an old revision."""
        showtime_id = (await app.showtime(start=NOW + TEN_MINUTES)).showtime_id
        booking = await app.book(showtime_id, "A1", "A2")
        revision = (await app.read_showtime(showtime_id)).revision
        for _ in range(2):
            assert await app.update_hold(booking.booking_id, extend=True) == booking
        assert await app.update_hold(booking.booking_id, "A1", "A2") == booking
        assert (await app.read_showtime(showtime_id)).revision == revision

    async def test_with_other_seats_both_or_none(self, app: App) -> None:
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        app.clock.advance(MINUTE)
        assert (await refusal(app.update_hold(booking.booking_id, "A2", extend=True))).reason == "SINGLE_SEAT_GAP"
        assert await app.read(booking.booking_id) == booking
        changed = await app.update_hold(booking.booking_id, "A3", "A4", extend=True)
        assert (labels(changed), changed.hold_expire_time) == (["A3", "A4"], moment(NOW + 11 * MINUTE))
        assert (await refusal(app.update_hold(booking.booking_id, "A1", "A2", extend=True))).reason == (
            "HOLD_EXTENSION_LIMIT"
        )
        assert await app.read(booking.booking_id) == changed


class TestRefusals:
    async def test_whose_it_is_and_what_became_of_it(self, app: App) -> None:
        showtime = await app.showtime()
        booking = await app.book(showtime.showtime_id, "A1", "A2")
        for by in ("bob", "staff"):
            assert (await refusal(app.update_hold(booking.booking_id, "Z9", by=by))).reason == "NOT_BOOKING_OWNER"
        assert (await refusal(app.update_hold("none", "A1"))).reason == "BOOKING_NOT_FOUND"
        paid = await app.pay(booking.booking_id)
        refused = await refusal(app.update_hold(paid.booking_id, "A3", "A4"))
        assert (refused.reason, refused.metadata["status"]) == ("BOOKING_NOT_RESERVED", "CONFIRMED")
        assert "paid for or changed" in refused.message
        lapsed = await app.book(showtime.showtime_id, "B1", "B2")
        app.clock.advance(TEN_MINUTES)
        for call in (
            app.update_hold(lapsed.booking_id, "B3", "B4"),
            app.update_hold(lapsed.booking_id, extend=True),
        ):
            assert (await refusal(call)).reason == "HOLD_EXPIRED"
        held = await app.book(showtime.showtime_id, "B1", "B2")
        await app.cancel_showtime(showtime.showtime_id)
        assert (await refusal(app.update_hold(held.booking_id, "B3", "B4"))).reason == "SHOWTIME_CANCELLED"

    async def test_while_it_is_being_paid(self, database_url: str) -> None:
        async with running(database_url, gateway=Provider(), shutdown_seconds=0) as app:
            booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
            assert (await refusal(app.pay(booking.booking_id, token="tok_lost"))).reason == "PAYMENT_UNAVAILABLE"
            for call in (
                app.update_hold(booking.booking_id, "A1", "A2", "A3"),
                app.update_hold(booking.booking_id, extend=True),
            ):
                assert (await refusal(call)).reason == "PAYMENT_IN_PROGRESS"

    async def test_seats_and_choices(self, app: App) -> None:
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        choice = SeatChoice(seat="A3", ticket_type="standard")
        refused = await refusal(app.update_hold(booking.booking_id, "A4", choices=[choice]))
        assert refused.fields == ["choices"]
        assert (await refusal(app.update_hold(booking.booking_id, choices=[choice] * 2))).fields == ["choices[1].seat"]


async def test_what_is_paid_is_what_is_held_then(database_url: str) -> None:
    """After a decline the seats may change: the next charge is of the new ones."""
    provider = Provider()
    async with running(database_url, gateway=provider) as app:
        booking = await app.book((await app.showtime(price=1_000)).showtime_id, "A1", "A2")
        assert (await refusal(app.pay(booking.booking_id, token="tok_declined"))).reason == "PAYMENT_DECLINED"
        await app.update_hold(booking.booking_id, "A2", "A3", "A1")
        paid = await app.pay(booking.booking_id)
        assert [ticket.seat for ticket in paid.tickets] == ["A1", "A2", "A3"]
    assert provider.charges == [2_000, 3_000]


async def test_repeats(database_url: str) -> None:
    """The stored answer, also after a restart; an extension that is repeated does not count twice."""
    request_id, other_id = new_id(), new_id()
    async with running(database_url) as app:
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2")
        app.clock.advance(MINUTE)
        first = await app.update_hold(booking.booking_id, "A3", "A4", extend=True, request_id=request_id)
        assert (await refusal(app.update_hold(booking.booking_id, "A2", request_id=other_id))).reason == (
            "SINGLE_SEAT_GAP"
        )
        await app.update_hold(booking.booking_id, "A1", "A2", request_id=other_id)
        tokens, clock = app.tokens, app.clock
    async with running(database_url, clock) as app:
        app.tokens |= tokens
        assert await app.update_hold(booking.booking_id, "A3", "A4", extend=True, request_id=request_id) == first
        assert labels(await app.read(booking.booking_id)) == ["A1", "A2"]
        call = app.update_hold(booking.booking_id, "A3", "A4", request_id=request_id)
        assert (await refusal(call)).reason == "REQUEST_ID_REUSED"
