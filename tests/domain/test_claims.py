"""What a claim costs, and the order in which it is refused."""

from dataclasses import replace
from datetime import datetime

import pytest

from cinema_grpc.domain.booking import BookedSeat
from cinema_grpc.domain.booking_errors import (
    AccessibleOnly,
    HoldLimit,
    SalesClosed,
    SeatsUnavailable,
    ShowtimeCancelled,
    SingleSeatGap,
    TicketTypeNotOffered,
)
from cinema_grpc.domain.claims import Selection, priced_seats
from cinema_grpc.domain.errors import InvalidRequest, SeatNotFound
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceLine, PriceList
from cinema_grpc.domain.seating import SeatArea, SeatPlan, SeatRow, WheelchairSpace
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.showtime_changes import cancel_showtime, set_seat_blocks
from tests.builders import NOW, some_terms
from tests.domain.commands import START, a_block, hold, pay

PLAN = SeatPlan(
    [SeatRow("A", (20,)), SeatRow("B", (10,)), SeatRow("C", (4,))],
    [SeatArea("vip", rows=("B",))],
    [WheelchairSpace("C1", ("C2",))],
)
PRICES = PriceList(
    [
        PriceLine("standard", "adult", Money("EUR", 1_000)),
        PriceLine("vip", "adult", Money("EUR", 1_500)),
        PriceLine("standard", "child", Money("EUR", 600), "student card"),
        PriceLine("vip", "member", Money("EUR", 0), "member card"),
    ]
)
TERMS = replace(some_terms(), seat_plan=PLAN, prices=PRICES)


def chosen(*seats: str, ticket_types: tuple[str, ...] = (), most: int = 10, free: bool = False) -> list[BookedSeat]:
    """Return the seats of a claim on an empty showtime."""
    positions, booked = priced_seats(TERMS, Selection(seats, ticket_types), most, lambda _: None, free=free)
    assert [PLAN.labels[position] for position in positions] == [seat.label for seat in booked]
    return list(booked)


def test_the_default_ticket_type() -> None:
    """In row order, each at the price of its category."""
    assert chosen("B1", "A2", "A1") == [
        BookedSeat("A1", Money("EUR", 1_000), "standard", "adult"),
        BookedSeat("A2", Money("EUR", 1_000), "standard", "adult"),
        BookedSeat("B1", Money("EUR", 1_500), "vip", "adult"),
    ]


def test_ticket_types_go_with_their_seats() -> None:
    """Whatever the order of the request; with what the door asks for."""
    assert chosen("B1", "A10", "A9", ticket_types=("member", "child", "adult")) == [
        BookedSeat("A9", Money("EUR", 1_000), "standard", "adult"),
        BookedSeat("A10", Money("EUR", 600), "standard", "child", "student card"),
        BookedSeat("B1", Money("EUR", 0), "vip", "member", "member card"),
    ]


def test_complimentary_seats_cost_nothing() -> None:
    """They keep their category and ticket type."""
    assert chosen("A1", "B1", ticket_types=("child", "adult"), free=True) == [
        BookedSeat("A1", Money("EUR", 0), "standard", "child", "student card"),
        BookedSeat("B1", Money("EUR", 0), "vip", "adult"),
    ]


@pytest.mark.parametrize("seats", [(), ("A1", "A1"), ("A1", "A2", "A3", "A4")])
def test_one_to_so_many_different_seats(seats: tuple[str, ...]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        chosen(*seats, most=3)
    (violation,) = refusal.value.violations
    assert (violation.field, violation.description) == ("seats", "must be 1 to 3 different seats")
    assert len(chosen("A1", "A2", "A3", most=3)) == 3


def test_a_ticket_type_that_is_not_offered() -> None:
    """Every such seat is named, in row order, and each ticket type once."""
    with pytest.raises(TicketTypeNotOffered) as refusal:
        chosen("B2", "A1", "A3", "A2", ticket_types=("child", "member", "adult", "senior"))
    assert refusal.value.metadata == {"seats": "A1,A2,B2", "ticket_types": "child,member,senior"}


def test_all_seats_that_are_taken_are_named() -> None:
    """Held, sold and blocked ones, in row order."""
    showtime = Showtime(TERMS)
    hold(showtime, "A1", "A2")
    hold(showtime, "A5", "A6", name="b2")
    pay(showtime, "b2")
    set_seat_blocks(showtime, a_block("A10"), (), NOW)
    with pytest.raises(SeatsUnavailable) as refusal:
        hold(showtime, "A10", "A9", "A6", "A2", name="b3")
    assert refusal.value.metadata == {"seats": "A2,A6,A10"}


def test_all_seats_that_are_accessible_only_are_named() -> None:
    showtime = Showtime(TERMS)
    with pytest.raises(AccessibleOnly) as refusal:
        hold(showtime, "C3", "C2", "C1")
    assert refusal.value.metadata == {"seats": "C1,C2"}
    booking = hold(showtime, "C3", "C2", "C1", wheelchair=True)
    assert booking.wheelchair
    assert booking.labels == ("C1", "C2", "C3")
    assert not hold(showtime, "A1", "A2", name="b2").wheelchair


def test_order_of_refusals() -> None:
    """Each claim breaks one rule less than the one before it."""
    showtime = Showtime(TERMS)
    hold(showtime, "A1", "A2", by="bob", name="b1")
    hold(showtime, *(f"A{number}" for number in range(12, 21)), name="b2")
    cancelled = showtime.copy()
    cancel_showtime(cancelled, "no power", lambda: "refund", NOW)

    def claim(
        *seats: str, of: Showtime = showtime, ticket_type: str = "child", wheelchair: bool = False, now: datetime = NOW
    ) -> None:
        types = [ticket_type] * len(seats)
        hold(of, *seats, name="b3", after=now - NOW, ticket_types=types, wheelchair=wheelchair)

    with pytest.raises(ShowtimeCancelled):
        claim("A1", "A4", "C2", "A99", of=cancelled, ticket_type="senior", now=START)
    with pytest.raises(SalesClosed):
        claim("A1", "A4", "C2", "A99", ticket_type="senior", now=START)
    with pytest.raises(SeatNotFound):
        claim("A1", "A4", "C2", "A99", ticket_type="senior")
    with pytest.raises(TicketTypeNotOffered):
        claim("A1", "A4", "C2", ticket_type="senior")
    with pytest.raises(SeatsUnavailable):
        claim("A1", "A4", "C2")
    with pytest.raises(AccessibleOnly):
        claim("A4", "C2")
    with pytest.raises(HoldLimit):
        claim("A4", "C1", wheelchair=True)
    with pytest.raises(SingleSeatGap):
        claim("A4")
    claim("A3")
