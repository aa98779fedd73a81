"""Choosing ticket types and wheelchair spaces over a real channel: prices by seat, and the order of refusals."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_pb2 as pb
from cinema.v1.booking_service_pb2 import SeatChoice
from cinema.v1.catalog_pb2 import SeatArea, WheelchairSpace
from cinema.v1.money_pb2 import Money
from cinema.v1.showtime_pb2 import PriceLine, Showtime

from tests.builders import NOW
from tests.rpc.app import App, new_id
from tests.rpc.conftest import running
from tests.rpc.providers import Provider
from tests.rpc.refusals import refusal

Code = grpc.StatusCode
ROWS = (("A", (10,)), ("B", (4, 4)), ("C", (10,)))
AREAS = (SeatArea(category="vip", rows=["B"], seats=["A1"]),)
SPACES = (WheelchairSpace(seat="C5", companion_seats=["C6", "C7"]), WheelchairSpace(seat="C10"))
LINES = (
    ("standard", "adult", 1_200, ""),
    ("vip", "adult", 2_000, ""),
    ("standard", "child", 700, "passport"),
)
START = NOW + timedelta(days=2)


def prices(*lines: tuple[str, str, int, str]) -> list[PriceLine]:
    return [
        PriceLine(
            category=category,
            ticket_type=ticket_type,
            price=Money(currency_code="EUR", minor_units=price),
            proof=proof,
        )
        for category, ticket_type, price, proof in lines
    ]


def choices(**ticket_types: str) -> list[SeatChoice]:
    """Return choices of ticket types by seat."""
    return [SeatChoice(seat=seat, ticket_type=ticket_type) for seat, ticket_type in ticket_types.items()]


async def a_showtime(app: App, lines: Sequence[tuple[str, str, int, str]] = LINES, **fields: Any) -> Showtime:
    """Put a showtime on with vip seats, wheelchair spaces and reduced prices."""
    return await app.showtime(rows=ROWS, areas=AREAS, wheelchair_spaces=SPACES, prices=prices(*lines), **fields)


def lines_of(booking: pb.Booking) -> list[tuple[str, int, str, str, str]]:
    return [(each.seat, each.price.minor_units, each.category, each.ticket_type, each.proof) for each in booking.seats]


class TestPrices:
    async def test_each_seat_has_the_price_of_its_category_and_ticket_type(self, app: App) -> None:
        showtime = await a_showtime(app)
        booking = await app.book(showtime.showtime_id, choices=choices(B2="adult", A10="child", A9="adult", B1="adult"))
        assert lines_of(booking) == [
            ("A9", 1_200, "standard", "adult", ""),
            ("A10", 700, "standard", "child", "passport"),
            ("B1", 2_000, "vip", "adult", ""),
            ("B2", 2_000, "vip", "adult", ""),
        ]
        assert (booking.total_price.currency_code, booking.total_price.minor_units) == ("EUR", 5_900)
        assert {each.status for each in booking.seats} == {pb.BOOKED_SEAT_STATUS_ACTIVE}
        assert booking.sale == pb.Sale(channel=pb.SALE_CHANNEL_ONLINE)
        assert booking.cancel_cause == pb.CANCEL_CAUSE_UNSPECIFIED
        assert await app.read(booking.booking_id) == booking
        paid = await app.pay(booking.booking_id)
        assert lines_of(paid) == lines_of(booking)
        assert [ticket.seat for ticket in paid.tickets] == ["A9", "A10", "B1", "B2"]

    async def test_seats_are_at_the_default_ticket_type(self, app: App) -> None:
        """It is that of the first line."""
        showtime = await a_showtime(app)
        booking = await app.book(showtime.showtime_id, "A1", "A2", "A3")
        assert [line[1:4] for line in lines_of(booking)] == [
            (2_000, "vip", "adult"),
            (1_200, "standard", "adult"),
            (1_200, "standard", "adult"),
        ]

    async def test_one_price_for_all(self, app: App) -> None:
        """Then every seat is at the ticket type "standard", whatever its category."""
        showtime = await app.showtime(price=900, rows=ROWS, areas=AREAS)
        booking = await app.book(showtime.showtime_id, choices=choices(A1="standard", A2="standard"))
        assert lines_of(booking) == [("A1", 900, "vip", "standard", ""), ("A2", 900, "standard", "standard", "")]

    async def test_a_repeat_with_other_ticket_types_is_another_request(self, app: App) -> None:
        showtime, request_id = await a_showtime(app), new_id()
        chosen = choices(A3="child", A4="child")
        first = await app.book(showtime.showtime_id, choices=chosen, request_id=request_id)
        assert await app.book(showtime.showtime_id, choices=chosen, request_id=request_id) == first
        for other in (choices(A3="child", A4="adult"), chosen[::-1]):
            call = app.book(showtime.showtime_id, choices=other, request_id=request_id)
            assert (await refusal(call)).reason == "REQUEST_ID_REUSED"

    async def test_neither_both_nor_one_twice(self, app: App) -> None:
        showtime_id = (await a_showtime(app)).showtime_id
        fields = ["seats", "choices", "best"]
        assert (await refusal(app.book(showtime_id))).fields == fields
        assert (await refusal(app.book(showtime_id, "A2", choices=choices(A3="child")))).fields == fields
        twice = [*choices(A2="child", A3="child"), *choices(A2="adult")]
        refused = await refusal(app.book(showtime_id, choices=twice))
        assert refused.fields == ["choices[2].seat"]
        assert "choices[0]" in refused.message

    async def test_a_ticket_type_without_a_price(self, app: App) -> None:
        """Every such seat is named, in row order; an unknown ticket type is one too."""
        showtime = await a_showtime(app)
        refused = await refusal(
            app.book(showtime.showtime_id, choices=choices(B2="child", A9="child", A1="child", B1="adult"))
        )
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "TICKET_TYPE_NOT_OFFERED")
        assert refused.metadata == {"seats": "A1,B2", "ticket_types": "child"}
        refused = await refusal(app.book(showtime.showtime_id, choices=choices(A9="senior", A10="tv")))
        assert refused.metadata == {"seats": "A9,A10", "ticket_types": "senior,tv"}
        assert await app.seat_states(showtime.showtime_id) == {}


class TestFreeBookings:
    async def test_no_provider_is_asked(self, database_url: str) -> None:
        """With an empty token, or with any: also with one that the provider would decline."""
        provider = Provider()
        async with running(database_url, gateway=provider) as app:
            showtime = await app.showtime(price=0)
            for seats, token in ((("A1", "A2"), ""), (("A3", "A4"), "tok_declined")):
                booking = await app.book(showtime.showtime_id, *seats)
                assert booking.total_price.minor_units == 0
                request_id = new_id()
                paid = await app.pay(booking.booking_id, token=token, request_id=request_id)
                assert paid.status == pb.BOOKING_STATUS_CONFIRMED
                assert [ticket.seat for ticket in paid.tickets] == list(seats)
                assert await app.pay(booking.booking_id, token=token, request_id=request_id) == paid
            cancelled = await app.cancel(paid.booking_id)
            assert (cancelled.refund.amount.minor_units, cancelled.refund.percent) == (0, 100)
            assert cancelled.refund.status == pb.REFUND_STATUS_COMPLETED
            await app.server.tasks.pay_refunds._run_pass()
        assert (provider.charges, provider.refunds) == ([], [])

    async def test_a_booking_that_costs_something_needs_a_token(self, app: App) -> None:
        """The refusal leaves the hold as it was; whose booking it is comes first."""
        booking = await app.book((await app.showtime(price=1)).showtime_id, "A1", "A2")
        request_id = new_id()
        refused = await refusal(app.pay(booking.booking_id, token="", request_id=request_id))
        assert refused.fields == ["payment_token"]
        assert "1 to 255 characters" in refused.message
        assert await app.read(booking.booking_id) == booking
        assert (await refusal(app.pay(booking.booking_id, by="bob", token=""))).reason == "NOT_BOOKING_OWNER"
        assert (await refusal(app.pay("none", token=""))).reason == "BOOKING_NOT_FOUND"
        paid = await app.pay(booking.booking_id, request_id=request_id)
        assert paid.status == pb.BOOKING_STATUS_CONFIRMED


class TestWheelchairSpaces:
    @pytest.mark.parametrize(
        ("seats", "wheelchair", "misused"),
        [
            (("C5", "C6"), False, "C5,C6"),
            (("C3", "C4", "C10"), False, "C10"),
            (("A1", "A2"), True, "A1,A2"),  # without a space
            (("C6", "C7"), True, "C6,C7"),
            (("C10", "C6", "C9"), True, "C6"),  # a companion seat of another space
        ],
    )
    async def test_refused(self, app: App, seats: tuple[str, ...], wheelchair: bool, misused: str) -> None:
        showtime = await a_showtime(app)
        refused = await refusal(app.book(showtime.showtime_id, *seats, wheelchair=wheelchair))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "ACCESSIBLE_ONLY")
        assert refused.metadata == {"seats": misused}
        assert refused.details["PreconditionFailure"].violations[0].subject == misused
        assert await app.seat_states(showtime.showtime_id) == {}

    async def test_a_space_with_companions_and_ordinary_seats(self, app: App) -> None:
        """The gap rule does not count them: C7 alone is not stranded."""
        showtime = await a_showtime(app)
        booking = await app.book(showtime.showtime_id, "C5", "C6", "C3", "C4", wheelchair=True)
        assert [each.seat for each in booking.seats] == ["C3", "C4", "C5", "C6"]
        expected = dict.fromkeys(("C3", "C4", "C5", "C6"), "HELD")
        assert await app.seat_states(showtime.showtime_id) == expected

    async def test_they_are_walls_for_the_gap_rule(self, app: App) -> None:
        """For everybody, although they are free."""
        showtime_id = (await a_showtime(app)).showtime_id
        refused = await refusal(app.book(showtime_id, "C2", "C3"))
        assert (refused.reason, refused.metadata) == ("SINGLE_SEAT_GAP", {"stranded_seats": "C1,C4"})
        assert len((await app.book(showtime_id, "C3", "C4")).seats) == 2
        assert len((await app.book(showtime_id, "C8", by="bob")).seats) == 1  # all but one of C8 and C9


class TestGapRuleAtAWall:
    @pytest.mark.parametrize("blocked", [False, True])
    @pytest.mark.parametrize(
        ("taken", "stranded"), [("A1 A2 A3", ""), ("A1 A2", ""), ("A2 A3", "A1,A4"), ("A3 A4", "")]
    )
    async def test_table(self, app: App, blocked: bool, taken: str, stranded: str) -> None:
        """A5 of A1 to A9 is a wheelchair space, or blocked."""
        spaces = [] if blocked else [WheelchairSpace(seat="A5")]
        showtime_id = (await app.showtime(rows=[("A", [9])], wheelchair_spaces=spaces)).showtime_id
        if blocked:
            await app.block(showtime_id, "A5")
        if stranded:
            refused = await refusal(app.book(showtime_id, *taken.split()))
            assert (refused.reason, refused.metadata) == ("SINGLE_SEAT_GAP", {"stranded_seats": stranded})
        else:
            assert [each.seat for each in (await app.book(showtime_id, *taken.split())).seats] == taken.split()


class TestOrderOfChecks:
    async def test_of_a_claim(self, app: App) -> None:
        """Each refusal with everything that comes after it wrong too."""
        showtime = await a_showtime(app, start=NOW + timedelta(minutes=30))
        showtime_id = showtime.showtime_id
        await app.book(showtime_id, "A1", "A2", by="bob")
        await app.book(showtime_id, *(f"B{number}" for number in range(1, 9)))
        claim = {"Z1": "adult", "B3": "child", "A2": "adult", "C5": "adult", "A4": "adult"}
        seen = []
        for mended in ("Z1", "B3", "A2", "C5", "A4"):
            refused = await refusal(app.book(showtime_id, choices=choices(**claim)))
            seen.append((refused.reason, refused.metadata.get("seats")))
            del claim[mended]
            if mended == "C5":
                claim |= {"A6": "adult", "A8": "adult"}
            if mended == "A4":
                claim = {"A4": "adult"}
        seen.append(((await refusal(app.book(showtime_id, choices=choices(**claim)))).reason, None))
        assert seen == [
            ("SEAT_NOT_FOUND", "Z1"),
            ("TICKET_TYPE_NOT_OFFERED", "B3"),
            ("SEATS_UNAVAILABLE", "A2"),
            ("ACCESSIBLE_ONLY", "C5"),
            ("HOLD_LIMIT", None),
            ("SINGLE_SEAT_GAP", None),
        ]
        wrong = choices(Z1="adult", B3="child", A2="adult", C5="adult", A4="adult")
        app.clock.advance(timedelta(minutes=30))
        assert (await refusal(app.book(showtime_id, choices=wrong))).reason == "SALES_CLOSED"
        await app.cancel_showtime(showtime_id)
        assert (await refusal(app.book(showtime_id, choices=wrong))).reason == "SHOWTIME_CANCELLED"
        assert (await refusal(app.book("none", choices=wrong))).reason == "SHOWTIME_NOT_FOUND"
