"""Selling at the counter: at once, until the end, and what staff may override."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cinema_grpc.domain import counter
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import (
    AccessibleOnly,
    BookingNotReserved,
    SeatsUnavailable,
    ShowtimeEnded,
    SingleSeatGap,
)
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.errors import InvalidRequest
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import Refund, RefundStatus
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.seating import SeatPlan, SeatRow, WheelchairSpace
from cinema_grpc.domain.showtime import SeatStatus, Showtime
from cinema_grpc.domain.showtime_changes import set_seat_blocks
from cinema_grpc.domain.terms import SeatBlockKind
from tests.builders import NOW, a_showtime, some_terms
from tests.domain.commands import (
    MICROSECOND,
    NO_TIME,
    START,
    TEN_MINUTES,
    a_block,
    cancel,
    hold,
    issue,
    pay,
    settle_charge,
    state,
)

END = START + timedelta(hours=2)
HOUSE = SeatBlockKind.HOUSE


def sell(
    showtime: Showtime,
    *seats: str,
    tender: Tender = Tender.CASH,
    after: timedelta = NO_TIME,
    wheelchair: bool = False,
    allow_gap: bool = False,
    use_house_seats: bool = False,
) -> Booking:
    """Sell seats to Ada."""
    return counter.sell(
        showtime,
        "b1",
        "ada",
        Selection(seats, wheelchair=wheelchair),
        Sale(tender, "staff", "press"),
        issue,
        NOW + after,
        allow_gap=allow_gap,
        use_house_seats=use_house_seats,
    )


def test_the_booking_is_confirmed_at_once() -> None:
    """With a ticket for each seat, in row order, and who sold it and why."""
    showtime = a_showtime()
    booking = sell(showtime, "A2", "A1", after=MICROSECOND)
    assert (booking.user_id, booking.status) == ("ada", BookingStatus.CONFIRMED)
    assert booking.create_time == booking.confirm_time == NOW + MICROSECOND
    assert [ticket.seat for ticket in booking.tickets] == ["A1", "A2"]
    assert booking.sale == Sale(Tender.CASH, "staff", "press")
    assert (booking.payment, booking.refunds) == (None, ())
    assert booking.total_price == Money("EUR", 2_500)
    assert state(showtime, "A1", timedelta(days=1)) is SeatStatus.SOLD
    (change,) = showtime.changes()
    assert (change.before, change.after) == (None, booking)


@pytest.mark.parametrize("tender", Tender)
def test_complimentary_seats_cost_nothing(tender: Tender) -> None:
    booking = sell(a_showtime(), "A1", "A2", tender=tender)
    assert booking.total_price == Money("EUR", 0 if tender is Tender.COMPLIMENTARY else 2_500)


def test_until_the_end() -> None:
    """After the start too."""
    showtime = a_showtime()
    with pytest.raises(ShowtimeEnded) as refusal:
        sell(showtime, "A1", "A2", after=END - NOW)
    assert refusal.value.metadata == {"showtime_id": "a-showtime", "end_time": "2026-05-03T14:00:00Z"}
    sell(showtime, "A1", "A2", after=END - NOW - MICROSECOND)


def test_one_to_a_hundred_seats() -> None:
    """No hold limit."""
    seats = [f"A{number}" for number in range(1, 102)]
    for count in (0, 101):
        with pytest.raises(InvalidRequest):
            sell(a_showtime(rows=(SeatRow("A", (200,)),)), *seats[:count])
    showtime = a_showtime(rows=(SeatRow("A", (200,)),))
    hold(showtime, *(f"A{number}" for number in range(191, 201)), name="b2")
    assert len(sell(showtime, *seats[:100]).tickets) == 100


def test_the_gap_rule() -> None:
    """Unless staff allow the gap."""
    showtime = a_showtime()
    with pytest.raises(SingleSeatGap) as refusal:
        sell(showtime, "A2")
    assert refusal.value.metadata == {"stranded_seats": "A1"}
    assert showtime.taken == 0
    assert sell(showtime, "A2", allow_gap=True).labels == ("A2",)


def test_the_gap_rule_does_not_count_on_holds() -> None:
    """The customer may never pay for them: then A1 would be left between the wall and the sale."""
    showtime = a_showtime()
    hold(showtime, "A1", name="held")
    with pytest.raises(SingleSeatGap) as refusal:
        sell(showtime, "A2")
    assert refusal.value.metadata == {"stranded_seats": "A1"}
    pay(showtime, "held")
    assert sell(showtime, "A2").labels == ("A2",)


def test_house_seats() -> None:
    """They are free if staff say so, also for the gap rule. Sold ones leave their block; the others stay in it."""
    showtime = a_showtime()
    set_seat_blocks(showtime, a_block("A1", "A2", "A3", kind=HOUSE), (), NOW)
    with pytest.raises(SeatsUnavailable) as refusal:
        sell(showtime, "A2", "A3")
    assert refusal.value.metadata == {"seats": "A2,A3", "house_seats": "A2,A3"}
    with pytest.raises(SingleSeatGap) as gap:
        sell(showtime, "A2", "A3", use_house_seats=True)
    assert gap.value.metadata == {"stranded_seats": "A1"}
    sell(showtime, "A1", "A2", use_house_seats=True)
    assert [block.seats for block in showtime.terms.blocks] == [("A3",)]
    assert showtime.taken == 3
    assert [state(showtime, seat) for seat in ("A2", "A3")] == [SeatStatus.SOLD, SeatStatus.BLOCKED]


def test_seats_that_are_sold_free_after_a_cancellation() -> None:
    """The block does not come back."""
    showtime = a_showtime()
    set_seat_blocks(showtime, a_block("A1", "A2", kind=HOUSE), (), NOW)
    sell(showtime, "A1", "A2", use_house_seats=True)
    cancel(showtime)
    assert state(showtime, "A1") is SeatStatus.AVAILABLE


def test_seats_out_of_order_are_never_sold() -> None:
    showtime = a_showtime()
    set_seat_blocks(showtime, a_block("A1", "A2"), (), NOW)
    with pytest.raises(SeatsUnavailable):
        sell(showtime, "A1", "A2", use_house_seats=True, allow_gap=True)


def test_held_seats_are_not_sold() -> None:
    """A lapsed hold gives way, and a charge that comes later is refunded."""
    showtime = a_showtime()
    hold(showtime, "A1", "A2", by="bob", name="b2")
    showtime.open_payment("b2", "bob", "first", NOW)
    with pytest.raises(SeatsUnavailable):
        sell(showtime, "A1", "A2", after=TEN_MINUTES - MICROSECOND)
    sell(showtime, "A1", "A2", after=TEN_MINUTES)
    late = settle_charge(showtime, "b2", "first", after=TEN_MINUTES)
    assert (late.status, len(late.refunds)) == (BookingStatus.EXPIRED, 1)
    assert state(showtime, "A1", TEN_MINUTES) is SeatStatus.SOLD


def test_wheelchair_spaces() -> None:
    plan = SeatPlan([SeatRow("A", (9,))], (), [WheelchairSpace("A5", ("A6",))])
    showtime = Showtime(replace(some_terms(), seat_plan=plan))
    for seats, wheelchair in ((("A5",), False), (("A6",), True), (("A1",), True)):
        with pytest.raises(AccessibleOnly):
            sell(showtime, *seats, wheelchair=wheelchair, allow_gap=True, use_house_seats=True)
    assert sell(showtime, "A5", "A6", wheelchair=True).wheelchair


@pytest.mark.parametrize(
    ("tender", "amount", "status"),
    [(Tender.CASH, 2_500, RefundStatus.PENDING), (Tender.COMPLIMENTARY, 0, RefundStatus.COMPLETED)],
)
def test_a_refund_is_owed_by_hand(tender: Tender, amount: int, status: RefundStatus) -> None:
    """There is no charge that a provider could refund."""
    showtime = a_showtime()
    sell(showtime, "A1", "A2", tender=tender)
    refund = Refund("refund 1", "", Money("EUR", amount), 100, status, NOW, ("A1", "A2"))
    assert cancel(showtime).refunds == (refund,)


def test_a_sale_is_no_hold() -> None:
    """It never lapses and can't be paid for again."""
    showtime = a_showtime()
    sell(showtime, "A1", "A2")
    assert showtime.next_lapse(NOW) is None
    assert showtime.expire(10, NOW + timedelta(days=1)) == 0
    with pytest.raises(BookingNotReserved):
        showtime.open_payment("b1", "ada", "first", NOW)
