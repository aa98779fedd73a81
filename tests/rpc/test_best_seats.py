"""CreateBooking with `best` over a real channel: the choice, its ticket types, refusals and repeats."""

from datetime import timedelta
from typing import Any

import grpc
from cinema.v1 import booking_pb2 as pb
from cinema.v1.booking_service_pb2 import BestSeats
from cinema.v1.catalog_pb2 import SeatArea, WheelchairSpace
from cinema.v1.showtime_pb2 import Showtime
from cinema.v1.showtime_service_pb2 import SuggestSeatsRequest

from tests.builders import NOW
from tests.rpc.app import UNLIMITED, App, new_id
from tests.rpc.conftest import running
from tests.rpc.refusals import refusal
from tests.rpc.test_seat_choices import lines_of, prices

Code = grpc.StatusCode
ROWS = (("A", (4,)), ("B", (8,)), ("C", (8,)))
"""B is the row two thirds back."""
AREAS = (SeatArea(category="vip", rows=["C"]), SeatArea(category="box", seats=["A1"]))
SPACES = (WheelchairSpace(seat="A1", companion_seats=["A2"]),)
LINES = (
    ("standard", "adult", 1_200, ""),
    ("vip", "adult", 2_000, ""),
    ("box", "adult", 300, ""),
    ("standard", "child", 700, "passport"),
    ("vip", "senior", 1_500, ""),
)


async def a_showtime(app: App, **fields: Any) -> Showtime:
    """Put a showtime on with vip seats, a wheelchair space of a category of its own, and reduced prices."""
    return await app.showtime(rows=ROWS, areas=AREAS, wheelchair_spaces=SPACES, prices=prices(*LINES), **fields)


def best(*ticket_types: str, **fields: Any) -> BestSeats:
    return BestSeats(ticket_types=ticket_types, **fields)


def seats_of(booking: pb.Booking) -> str:
    return " ".join(each.seat for each in booking.seats)


class TestChoice:
    async def test_each_person_gets_a_seat_at_their_ticket_type(self, app: App) -> None:
        showtime_id = (await a_showtime(app)).showtime_id
        booking = await app.book(showtime_id, best=best("child", "adult"))
        assert booking.status == pb.BOOKING_STATUS_RESERVED
        assert lines_of(booking) == [
            ("B4", 700, "standard", "child", "passport"),
            ("B5", 1_200, "standard", "adult", ""),
        ]
        assert booking.total_price.minor_units == 1_900
        assert await app.read(booking.booking_id) == booking
        assert await app.seat_states(showtime_id) == {"B4": "HELD", "B5": "HELD"}
        assert seats_of(await app.book(showtime_id, best=best("adult", "adult"), by="bob")) == "C4 C5"
        paid = await app.pay(booking.booking_id)
        assert [ticket.seat for ticket in paid.tickets] == ["B4", "B5"]

    async def test_it_is_the_first_that_is_suggested(self, database_url: str) -> None:
        async with running(database_url, **UNLIMITED) as app:
            showtime_id = (await app.showtime(rows=ROWS, wheelchair_spaces=SPACES)).showtime_id
            for party_size, spaces in ((3, 0), (2, 1), (5, 0), (1, 0), (4, 0)):
                request = SuggestSeatsRequest(
                    showtime_id=showtime_id, party_size=party_size, wheelchair_spaces=spaces, max_options=1
                )
                (option,) = (await app.showtimes.SuggestSeats(request)).options
                wanted = best(*["standard"] * party_size, wheelchair_spaces=spaces, allow_split=True)
                booking = await app.book(showtime_id, best=wanted, by=f"customer{party_size}")
                assert seats_of(booking) == " ".join(option.seats)

    async def test_only_of_the_categories_asked_for(self, app: App) -> None:
        showtime_id = (await a_showtime(app)).showtime_id
        booking = await app.book(showtime_id, best=best("adult", "adult", categories=["vip"]))
        assert seats_of(booking) == "C4 C5"
        assert seats_of(await app.book(showtime_id, best=best("senior"))) == "C3"

    async def test_the_first_ticket_types_are_for_the_wheelchair_spaces(self, app: App) -> None:
        """The space has a price for adults only. The booking is one with `wheelchair`, whether or not that is set."""
        showtime_id = (await a_showtime(app)).showtime_id
        wanted = best("adult", "child", "child", wheelchair_spaces=1)
        booking = await app.book(showtime_id, best=wanted, wheelchair=True)
        assert [line[:4:3] for line in lines_of(booking)] == [("A1", "adult"), ("A2", "child"), ("A3", "child")]
        changed = await app.update_hold(booking.booking_id, "A1", "A2")
        assert seats_of(changed) == "A1 A2"
        await app.cancel(booking.booking_id)
        assert seats_of(await app.book(showtime_id, best=wanted)) == "A1 A2 A3"

    async def test_in_groups_only_if_allowed(self, app: App) -> None:
        showtime_id = (await app.showtime(rows=(("A", (3,)), ("B", (3,))))).showtime_id
        refused = await refusal(app.book(showtime_id, best=best(*["standard"] * 5)))
        assert (refused.reason, refused.metadata["largest_group"]) == ("NO_SEATS_TOGETHER", "3")
        booking = await app.book(showtime_id, best=best(*["standard"] * 5, allow_split=True))
        assert seats_of(booking) == "A1 A2 B1 B2 B3"


class TestRefusals:
    async def test_nothing_fits(self, app: App) -> None:
        showtime_id = (await a_showtime(app)).showtime_id
        await app.block(showtime_id, "B3", "C6")
        for wanted, party_size, largest in (
            (best(*["adult"] * 6), "6", "5"),
            (best(*["child"] * 6), "6", "5"),
            (best(*["senior"] * 6), "6", "5"),
            (best(*["adult"] * 3, categories=["box"]), "3", "0"),
            (best(*["adult"] * 5, wheelchair_spaces=1), "5", "4"),
            (best(*["adult"] * 2, wheelchair_spaces=2), "2", "0"),
        ):
            refused = await refusal(app.book(showtime_id, best=wanted))
            assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "NO_SEATS_TOGETHER")
            assert refused.metadata == {
                "showtime_id": showtime_id,
                "party_size": party_size,
                "largest_group": largest,
            }
        assert seats_of(await app.book(showtime_id, best=best(*["adult"] * 5))) == "B4 B5 B6 B7 B8"

    async def test_categories_that_the_auditorium_does_not_have(self, app: App) -> None:
        """They could never fit, so the request is wrong; beside one that it has, they just have no seats."""
        showtime_id = (await a_showtime(app)).showtime_id
        refused = await refusal(app.book(showtime_id, best=best("adult", categories=["balcony", "sofa"])))
        assert (refused.code, refused.fields) == (Code.INVALID_ARGUMENT, ["best.categories"])
        assert refused.message.endswith("must be categories that the showtime has: box, standard, vip")
        booking = await app.book(showtime_id, best=best("adult", "adult", categories=["balcony", "vip"]))
        assert seats_of(booking) == "C4 C5"

    async def test_a_ticket_type_without_a_price(self, app: App) -> None:
        """No category has a price for each of them."""
        showtime_id = (await a_showtime(app)).showtime_id
        for wanted, ticket_types in (
            (best("student"), "student"),
            (best("senior", "child", "child"), "child,senior"),
            (best("child", categories=["vip"]), "child"),
            (best("senior", "adult", wheelchair_spaces=1, categories=["box", "standard"]), "senior"),
        ):
            refused = await refusal(app.book(showtime_id, best=wanted))
            assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "TICKET_TYPE_NOT_OFFERED")
            assert refused.metadata == {"ticket_types": ticket_types}
        assert await app.seat_states(showtime_id) == {}

    async def test_exactly_one_of_seats_choices_and_best(self, app: App) -> None:
        showtime_id = (await a_showtime(app)).showtime_id
        refused = await refusal(app.book(showtime_id, "B1", best=best("adult")))
        assert refused.fields == ["seats", "choices", "best"]

    async def test_more_wheelchair_spaces_than_people(self, app: App) -> None:
        showtime_id = (await a_showtime(app)).showtime_id
        refused = await refusal(app.book(showtime_id, best=best("adult", wheelchair_spaces=2)))
        assert refused.fields == ["best.wheelchair_spaces"]
        refused = await refusal(app.book(showtime_id, best=best("adult"), wheelchair=True))
        assert refused.fields == ["best.wheelchair_spaces"]
        assert "at least 1" in refused.message

    async def test_their_order(self, app: App) -> None:
        """Each refusal with everything that comes after it wrong too."""
        showtime_id = (await app.showtime(start=NOW + timedelta(minutes=30), rows=(("A", (10,)),))).showtime_id
        wrong = (best(*["tv"] * 8), best(*["standard"] * 8))
        await app.book(showtime_id, "A1", "A2", "A3", "A4")
        seen = [(await refusal(app.book(showtime_id, best=each))).reason for each in wrong]
        other = (await app.showtime(rows=(("A", (12,)),))).showtime_id
        await app.book(other, best=best(*["standard"] * 9))
        seen.append((await refusal(app.book(other, best=best("standard", "standard")))).reason)
        assert (await refusal(app.book("none", best=best("tv")))).reason == "SHOWTIME_NOT_FOUND"
        app.clock.advance(timedelta(minutes=30))
        seen.append((await refusal(app.book(showtime_id, best=best("tv")))).reason)
        await app.cancel_showtime(showtime_id)
        seen.append((await refusal(app.book(showtime_id, best=best("tv")))).reason)
        assert seen == [
            "TICKET_TYPE_NOT_OFFERED",
            "NO_SEATS_TOGETHER",
            "HOLD_LIMIT",
            "SALES_CLOSED",
            "SHOWTIME_CANCELLED",
        ]


class TestOnce:
    async def test_a_repeat_gets_the_same_seats(self, app: App) -> None:
        showtime_id, request_id = (await a_showtime(app)).showtime_id, new_id()
        first = await app.book(showtime_id, best=best("adult", "adult"), request_id=request_id)
        assert await app.book(showtime_id, best=best("adult", "adult"), request_id=request_id) == first
        assert len(await app.seat_states(showtime_id)) == 2
        for other in (best("adult"), best("adult", "child"), best("adult", "adult", allow_split=True)):
            call = app.book(showtime_id, best=other, request_id=request_id)
            assert (await refusal(call)).reason == "REQUEST_ID_REUSED"

    async def test_a_refusal_is_not_stored(self, app: App) -> None:
        showtime_id, request_id = (await app.showtime(rows=(("A", (4,)),))).showtime_id, new_id()
        others = await app.book(showtime_id, "A1", "A2", by="bob")
        wanted = best(*["standard"] * 3)
        refused = await refusal(app.book(showtime_id, best=wanted, request_id=request_id))
        assert refused.metadata["largest_group"] == "2"
        await app.cancel(others.booking_id, by="bob")
        assert seats_of(await app.book(showtime_id, best=wanted, request_id=request_id)) == "A1 A2 A3"
