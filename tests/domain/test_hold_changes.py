"""Changing the seats of a hold."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cinema_grpc.domain import holds
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import (
    AccessibleOnly,
    BookingNotReserved,
    HoldExpired,
    HoldLimit,
    NotBookingOwner,
    PaymentInProgress,
    SeatsUnavailable,
    SingleSeatGap,
    TicketTypeNotOffered,
)
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.errors import BookingNotFound, CinemaError, InvalidRequest, SeatNotFound
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import PriceLine, PriceList, single_price
from cinema_grpc.domain.seating import SeatPlan, SeatRow, WheelchairSpace
from cinema_grpc.domain.showtime import SeatStatus, Showtime
from cinema_grpc.domain.showtime_changes import ShowtimeChanges, set_seat_blocks, update_showtime
from cinema_grpc.domain.unpaid_holds import HoldLimits
from tests.builders import NOW, a_showtime, some_terms
from tests.domain.commands import (
    NO_TIME,
    TEN_MINUTES,
    a_block,
    cancel,
    hold,
    pay,
    settle_decline,
    state,
)

MINUTE = timedelta(minutes=1)
ROW = (SeatRow("A", (20,)), SeatRow("B", (20,)))


def change(
    showtime: Showtime,
    *seats: str,
    name: str = "b1",
    after: timedelta = NO_TIME,
    ticket_types: tuple[str, ...] = (),
    limits: HoldLimits = holds.NO_LIMITS,
    elsewhere: int = 0,
) -> Booking:
    selection = Selection(seats, ticket_types)
    return holds.change_seats(showtime, name, "ada", selection, NOW + after, limits, elsewhere)


def test_seats_are_replaced() -> None:
    """The end of the hold does not move."""
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    booking = change(showtime, "B2", "B1", after=9 * MINUTE)
    assert booking.labels == ("B1", "B2")
    assert booking.hold_expire_time == NOW + TEN_MINUTES
    assert (state(showtime, "A1"), state(showtime, "B1")) == (SeatStatus.AVAILABLE, SeatStatus.HELD)
    assert showtime.taken == 2
    hold(showtime, "A1", "A2", by="bob", name="b2")


def test_own_seats_are_free() -> None:
    """For the claim and for the gap rule: A1 to A3 become A2 to A4, and A1 may stay as all but one of its run."""
    showtime = a_showtime(rows=(SeatRow("A", (4,)),))
    hold(showtime, "A1", "A2", "A3")
    assert change(showtime, "A2", "A3", "A4").labels == ("A2", "A3", "A4")


def test_another_booking_of_the_customer_is_not_free() -> None:
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    hold(showtime, "A3", "A4", name="b2")
    with pytest.raises(SeatsUnavailable) as refusal:
        change(showtime, "A2", "A3", "A4")
    assert refusal.value.metadata == {"seats": "A3,A4"}


def test_the_gap_rule_counts_other_bookings_as_taken() -> None:
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    hold(showtime, "B1", "B2", name="b2")
    with pytest.raises(SingleSeatGap) as refusal:
        change(showtime, "A4", "A5", name="b2")
    assert refusal.value.metadata == {"stranded_seats": "A3"}


@pytest.mark.parametrize(
    ("seats", "error"),
    [
        ((), InvalidRequest),
        (("A1", "A1"), InvalidRequest),
        (tuple(f"B{number}" for number in range(1, 12)), InvalidRequest),
        (("A1", "C1"), SeatNotFound),
        (("A1", "A5"), SeatsUnavailable),
        (("A1", "A10"), SeatsUnavailable),
        (("A1", "A3"), SingleSeatGap),
    ],
)
def test_a_refusal_leaves_the_old_hold_as_it_was(seats: tuple[str, ...], error: type[CinemaError]) -> None:
    showtime = a_showtime(rows=ROW)
    set_seat_blocks(showtime, a_block("A10"), (), NOW)
    booking = hold(showtime, "A1", "A2")
    hold(showtime, "A5", "A6", by="bob", name="b2")
    before = showtime.changes()
    with pytest.raises(error):
        change(showtime, *seats)
    assert showtime.booking("b1") is booking
    assert showtime.changes() == before
    assert state(showtime, "A1") is state(showtime, "A2") is SeatStatus.HELD


def test_a_lapsed_hold_and_block_give_way() -> None:
    showtime = a_showtime()
    hold(showtime, "A1", "A2", by="bob", name="b2")
    set_seat_blocks(showtime, a_block("A3", release_after=TEN_MINUTES), (), NOW)
    hold(showtime, "B1", "B2", after=MINUTE)
    change(showtime, "A1", "A2", "A3", after=TEN_MINUTES)
    assert showtime.booking("b2").status is BookingStatus.EXPIRED
    assert showtime.terms.blocks == ()
    assert showtime.taken == 3


def test_at_most_ten_seats_on_hold() -> None:
    """Only the seats that come on top count."""
    showtime = a_showtime(rows=ROW)
    hold(showtime, *(f"A{number}" for number in range(1, 8)))
    hold(showtime, "B1", "B2", name="b2")
    with pytest.raises(HoldLimit) as refusal:
        change(showtime, "B1", "B2", "B3", "B4", name="b2")
    assert refusal.value.metadata == {"limit": "10", "held": "9", "requested": "2"}
    change(showtime, "B1", "B2", "B3", name="b2")
    change(showtime, "B4", "B5", "B6", name="b2")


def test_seats_over_all_showtimes() -> None:
    showtime = a_showtime(rows=ROW)
    hold(showtime, "A1", "A2")
    limits = HoldLimits(seats=20)
    with pytest.raises(HoldLimit) as refusal:
        change(showtime, "A1", "A2", "A3", limits=limits, elsewhere=18)
    assert refusal.value.metadata["scope"] == "account"
    change(showtime, "A3", "A4", limits=limits, elsewhere=18)
    change(showtime, "A3", "A4", "A5", limits=limits, elsewhere=17)


def test_unpaid_holds_do_not_stop_it() -> None:
    """No new hold is made."""
    showtime = a_showtime(rows=ROW)
    hold(showtime, "A1", "A2")
    hold(showtime, "B1", "B2", name="b2")
    cancel(showtime, name="b2")
    change(showtime, "A1", "A2", "A3", limits=HoldLimits(unpaid_holds=1))


def test_wheelchair_stays_as_it_was_booked() -> None:
    plan = SeatPlan([SeatRow("A", (9,))], (), [WheelchairSpace("A5", ("A6",))])
    showtime = Showtime(replace(some_terms(), seat_plan=plan))
    hold(showtime, "A5", "A6", wheelchair=True)
    assert change(showtime, "A5", "A3", "A4").wheelchair
    with pytest.raises(AccessibleOnly) as refusal:
        change(showtime, "A3", "A4")
    assert refusal.value.metadata == {"seats": "A3,A4"}
    hold(showtime, "A1", "A2", name="b2")
    with pytest.raises(AccessibleOnly):
        change(showtime, "A6", name="b2")


def test_the_same_seats_may_get_other_ticket_types() -> None:
    """Whatever lies beside them by now: A1 is free and single, but the gap rule is not applied again."""
    lines = [PriceLine("standard", "adult", Money("EUR", 1_000)), PriceLine("standard", "child", Money("EUR", 600))]
    showtime = Showtime(some_terms(prices=PriceList(lines)))
    hold(showtime, "A1", by="bob", name="b2")
    hold(showtime, "A2", "A3")
    showtime.cancel("b2", "bob", "refund", NOW)
    booking = change(showtime, "A3", "A2", ticket_types=("child", "adult"))
    assert [seat.ticket_type for seat in booking.seats] == ["adult", "child"]
    assert booking.total_price == Money("EUR", 1_600)
    with pytest.raises(SingleSeatGap):
        change(showtime, "A2", "A3", "A4")


def test_kept_seats_keep_their_price() -> None:
    """It was fixed when they were claimed; new seats cost what the showtime asks now."""
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    new_prices = single_price(Money("EUR", 2_000), [])
    update_showtime(showtime, ShowtimeChanges(prices=new_prices), (), TEN_MINUTES, NOW)
    booking = change(showtime, "A1", "A2", "A3")
    assert [seat.price.minor_units for seat in booking.seats] == [1_250, 1_250, 2_000]


def test_kept_seats_keep_a_ticket_type_that_is_no_longer_offered() -> None:
    adult, child = (PriceLine("standard", name, Money("EUR", price)) for name, price in (("adult", 10), ("child", 6)))
    showtime = Showtime(some_terms(prices=PriceList([adult, child])))
    hold(showtime, "A1", "A2")
    change(showtime, "A1", "A2", ticket_types=("child", "adult"))
    update_showtime(showtime, ShowtimeChanges(prices=PriceList([adult])), (), TEN_MINUTES, NOW)
    booking = change(showtime, "A1", "A2", "A3", ticket_types=("child", "adult", "adult"))
    assert [seat.ticket_type for seat in booking.seats] == ["child", "adult", "adult"]
    with pytest.raises(TicketTypeNotOffered) as refusal:
        change(showtime, "A1", "A2", "A3", ticket_types=("child", "child", "adult"))
    assert refusal.value.metadata["seats"] == "A2"


def test_of_what_is_no_hold() -> None:
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    hold(showtime, "B1", "B2", by="bob", name="b2")
    with pytest.raises(BookingNotFound):
        change(showtime, "A3", name="b9")
    with pytest.raises(NotBookingOwner):
        change(showtime, "A3", name="b2")
    with pytest.raises(HoldExpired):
        change(showtime, "A3", "A4", after=TEN_MINUTES)
    pay(showtime)
    with pytest.raises(BookingNotReserved):
        change(showtime, "A3", "A4")


def test_not_during_a_payment() -> None:
    """Once it is declined, the seats may change, and the next charge is for the new ones."""
    showtime = a_showtime()
    hold(showtime, "A1", "A2")
    showtime.open_payment("b1", "ada", "first", NOW)
    with pytest.raises(PaymentInProgress):
        change(showtime, "A3", "A4")
    settle_decline(showtime, "b1", "first")
    change(showtime, "A3", "A4", "A5")
    booking = pay(showtime)
    assert booking.total_price == Money("EUR", 3_750)
    assert [ticket.seat for ticket in booking.tickets] == ["A3", "A4", "A5"]


def test_holds_made_beside_a_paid_booking_do_not_hide_a_gap() -> None:
    """The middle one of A1, A2 and A3 moves away: paying for both others would strand A2."""
    showtime = a_showtime()
    for number in (1, 2, 3):
        hold(showtime, f"A{number}", name=f"b{number}")
    change(showtime, "B1", "B2", name="b2")
    pay(showtime, "b1")
    with pytest.raises(SingleSeatGap) as refusal:
        pay(showtime, "b3")
    assert refusal.value.metadata["stranded_seats"] == "A2"


def test_a_hold_that_moves_beside_an_unpaid_one_relies_on_it() -> None:
    """A3 was fine beside the hold of A2 only."""
    showtime = a_showtime()
    hold(showtime, "B1", "B2")
    hold(showtime, "A1", name="b2")
    hold(showtime, "A2", name="b3")
    change(showtime, "A3")
    pay(showtime, "b2")
    with pytest.raises(SingleSeatGap):
        pay(showtime)
    pay(showtime, "b3")
    pay(showtime)
