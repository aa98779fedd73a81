"""Taking the best seats: which ticket type gets which seat, what is refused, and holding them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cinema_grpc.domain import holds
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import (
    HoldLimit,
    NoCategoryOffers,
    NoSeatsTogether,
    SalesClosed,
)
from cinema_grpc.domain.claims import BestSeats, Selection
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceLine, PriceList
from cinema_grpc.domain.seating import SeatArea, SeatRow
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.showtime_changes import set_seat_blocks
from cinema_grpc.domain.suggestions import pick
from cinema_grpc.domain.terms import Terms
from tests.builders import NOW, a_showtime, some_terms
from tests.domain.commands import NO_TIME, START, TEN_MINUTES, a_block, hold, sold
from tests.domain.halls import Hall

AREAS = (SeatArea("vip", rows=("B",)), SeatArea("floor", seats=("A1",)))
LINES = (
    ("standard", "adult", 1_000),
    ("vip", "adult", 2_000),
    ("floor", "adult", 500),
    ("standard", "child", 700),
    ("vip", "senior", 1_500),
)


def terms_of(hall: Hall) -> Terms:
    prices = PriceList([PriceLine(category, name, Money("EUR", price)) for category, name, price in LINES])
    return replace(some_terms(prices=prices), seat_plan=hall.plan, seat_gap_policy=hall.policy)


class TestPicking:
    def picked(self, hall: Hall, *ticket_types: str, **wanted: object) -> str:
        """Return the choice, such as "A1 child, A2 adult"."""
        best = BestSeats(ticket_types, **wanted)  # type: ignore[arg-type]
        selection = pick(terms_of(hall), hall.free.__getitem__, best)
        assert selection.wheelchair == (best.wheelchair_spaces > 0)
        return ", ".join(map(" ".join, zip(selection.seats, selection.ticket_types, strict=True)))

    def test_ticket_types_in_row_order(self) -> None:
        hall = Hall("....", "xxxx", areas=AREAS)
        assert self.picked(hall, "child", "adult") == "A3 child, A4 adult"

    def test_only_where_every_ticket_type_has_a_price(self) -> None:
        """Row B is vip, which has no price for children."""
        hall = Hall("....", "....", areas=AREAS)
        assert self.picked(hall, "adult", "adult") == "B1 adult, B2 adult"
        assert self.picked(hall, "child", "adult") == "A3 child, A4 adult"
        assert self.picked(hall, "adult", "adult", categories=frozenset({"standard"})) == "A3 adult, A4 adult"

    def test_the_first_ticket_types_are_for_the_wheelchair_spaces(self) -> None:
        """A1 has a price for adults only."""
        hall = Hall("wc..", "xxxx", areas=AREAS)
        assert self.picked(hall, "adult", "child", "child", wheelchair_spaces=1) == "A1 adult, A2 child, A3 child"
        with pytest.raises(NoSeatsTogether):
            self.picked(Hall("wcxx", "....", areas=AREAS), "adult", "child", "child", wheelchair_spaces=1)
        both = Hall("xxxx", "xxxx", "w..w")
        assert self.picked(both, "adult", "child", "child", "adult", wheelchair_spaces=2).startswith(
            "C1 adult, C2 child"
        )

    def test_no_category_has_a_price_for_all(self) -> None:
        hall = Hall("....", "....", areas=AREAS)
        for ticket_types, wanted, named in (
            (("senior", "child"), {}, "child,senior"),
            (("child", "child"), {"categories": frozenset({"vip"})}, "child"),
            (("student",), {}, "student"),
            (("student", "adult"), {"wheelchair_spaces": 1}, "student"),
        ):
            with pytest.raises(NoCategoryOffers) as refusal:
                self.picked(hall, *ticket_types, **wanted)
            assert refusal.value.metadata == {"ticket_types": named}

    @pytest.mark.parametrize(
        ("drawn", "size", "wanted", "largest"),
        [
            ("...x..", 4, {}, 3),
            ("...x..", 10, {}, 3),
            ("xxxxxx", 2, {}, 0),
            ("xxxxxx", 1, {}, 0),
            ("x.x.x.", 2, {}, 1),
            ("..w...", 5, {"wheelchair_spaces": 2}, 0),
            ("..wx..", 4, {"wheelchair_spaces": 1}, 3),
            ("xxwx..", 2, {"wheelchair_spaces": 1}, 1),
            ("...|...", 4, {"allow_split": True}, 3),
        ],
    )
    def test_nothing_fits(self, drawn: str, size: int, wanted: dict[str, object], largest: int) -> None:
        """Then the largest party that would fit side by side is named."""
        with pytest.raises(NoSeatsTogether) as refusal:
            self.picked(Hall(drawn), *["adult"] * size, **wanted)
        assert refusal.value.metadata == {
            "showtime_id": "a-showtime",
            "party_size": str(size),
            "largest_group": str(largest),
        }

    def test_split_only_if_allowed(self) -> None:
        hall = Hall("..", "..")
        with pytest.raises(NoSeatsTogether) as refusal:
            self.picked(hall, *["adult"] * 4)
        assert refusal.value.metadata["largest_group"] == "2"
        assert self.picked(hall, *["adult"] * 4, allow_split=True).startswith("A1 adult, A2 adult, B1")


class TestHolding:
    """Of seats in one row of ten, unless it says more."""

    def best(self, showtime: Showtime, size: int, by: str = "bob", after: timedelta = NO_TIME) -> Booking:
        wanted = BestSeats(["standard"] * size)
        return holds.hold(showtime, f"best {by}", by, wanted, TEN_MINUTES, NOW + after)

    def one_row(self) -> Showtime:
        return a_showtime(rows=(SeatRow("A", (10,)),))

    def test_the_booking_is_like_any_other(self) -> None:
        showtime = self.one_row()
        booking = self.best(showtime, 2)
        assert booking.labels == ("A5", "A6")
        assert booking == holds.hold(
            self.one_row(), "best bob", "bob", Selection(["A5", "A6"], ["standard"] * 2), TEN_MINUTES, NOW
        )

    def test_taken_and_blocked_seats_are_left_out_and_lapsed_ones_are_not(self) -> None:
        showtime = self.one_row()
        hold(showtime, "A5", "A6")
        set_seat_blocks(showtime, a_block("A4", release_after=TEN_MINUTES), (), NOW)
        copy = showtime.copy()
        assert self.best(copy, 2, after=TEN_MINUTES).labels == ("A5", "A6")
        assert {each.before for each in copy.changes()} != {None}  # the lapsed hold is EXPIRED
        assert self.best(showtime, 2).labels == ("A7", "A8")

    def test_own_seats_count_as_taken(self) -> None:
        showtime = self.one_row()
        sold(showtime, "A5", "A6", by="bob", name="b0")
        assert self.best(showtime, 2).labels == ("A3", "A4")

    def test_the_order_of_refusals(self) -> None:
        """SalesClosed, NoSeatsTogether, HoldLimit."""
        showtime = a_showtime()
        hold(showtime, *(f"A{number}" for number in range(1, 9)), by="bob", name="b0")
        with pytest.raises(SalesClosed):
            self.best(showtime, 10, after=START - NOW)
        with pytest.raises(HoldLimit):
            self.best(showtime, 10)
        hold(showtime, "B1", "B2")
        with pytest.raises(NoSeatsTogether):
            self.best(showtime, 10)

    @pytest.mark.parametrize("size", range(1, 11))
    def test_a_house_is_filled_to_the_last_seat(self, size: int) -> None:
        """Parties of one size, then ever smaller ones: the gap rule leaves nothing behind."""
        showtime = a_showtime(rows=(SeatRow("A", (7, 4)), SeatRow("B", (10,)), SeatRow("C", (1, 2, 3))))
        number = 0
        for party in range(size, 0, -1):
            while True:
                number += 1
                try:
                    self.best(showtime, party, by=f"customer {number}")
                except NoSeatsTogether as refusal:
                    largest = int(refusal.metadata["largest_group"])
                    assert largest < party
                    break
        assert largest == 0
        assert showtime.taken == len(showtime.terms.seat_plan)
