"""The gap rule at payment, for holds whose seats were changed or cancelled in part."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.holds import change_seats
from tests.domain.gap_box import SEATS, SECTIONS, STEPS, Box, Step, step

CHANGES = st.tuples(st.just("change"), st.integers(0, len(SEATS) - 1), st.integers(1, 3), st.integers(0, 9))


@pytest.mark.no_cover
@settings(max_examples=200)
@given(st.lists(STEPS | CHANGES, min_size=5, max_size=25))
def test_the_paid_bookings_obey_the_gap_rule_alone(steps: list[Step]) -> None:
    """Whatever a customer holds, changes, cancels, lets lapse and pays for, in any order and concurrently: in the order
    in which they got their seats, without the others, the paid bookings strand no seat that is still free.
    """
    box, opened = Box(SECTIONS), dict[str, str]()
    claimed: dict[str, int] = {}
    for number, each in enumerate(steps):
        before = {name: booking.labels for name, booking in box.showtime._bookings.items()}
        if each[0] == "change":
            change(box, each)
        else:
            step(box, each, "ada", opened)
        for name, booking in box.showtime._bookings.items():
            if before.get(name) != booking.labels:
                claimed[name] = number
    plan, taken, stranded = box.showtime.terms.seat_plan, set[int](), set[int]()
    for name in sorted(claimed, key=claimed.__getitem__):
        booking = box.showtime.booking(name)
        if booking.status is BookingStatus.CONFIRMED:
            positions = plan.positions(booking.labels)
            stranded.update(plan.stranded(positions, lambda each: each not in taken))
            taken.update(positions)
    assert stranded <= taken


def change(box: Box, doing: Step) -> None:
    """Change the seats of a hold. A refusal changes nothing."""
    _, first, count, pick = doing
    bookings = box.showtime._bookings.values()
    open_ones = [each.booking_id for each in bookings if each.as_of(box.now).status is BookingStatus.RESERVED]
    if not open_ones:
        return
    name = open_ones[pick % len(open_ones)]
    with suppress(CinemaError):
        change_seats(box.showtime, name, "ada", Selection(SEATS[first : first + count]), box.now)


def test_a_part_of_a_hold_is_cancelled() -> None:
    """A4 is single for that reason alone, whether A1 and A2 are paid for or not."""
    for order in (("b1", "b2"), ("b2", "b1")):
        box = Box()
        box.hold("b1", "A1", "A2")
        box.hold("b2", "A3", "A4", "A5")
        box.cancel("b2", seats=["A4"])
        for name in order:
            box.pay(name)


def test_a_part_of_a_hold_that_relied_on_another() -> None:
    """A3 is single since it was cancelled, but A1 since it is not paid for."""
    box = Box()
    box.hold("b1", "A1")
    box.hold("b2", "A2", "A3", "A4")
    box.cancel("b2", seats=["A3"])
    assert box.stranded_by_paying("b2") == "A1"
    box.pay("b1")
    box.pay("b2")


def test_a_seat_that_a_hold_has_given_up_beside_another() -> None:
    """Whichever is paid for first, the other is refused until A2 is booked again and paid for."""
    for first, second in (("b1", "b2"), ("b2", "b1")):
        box = Box()
        box.hold("b1", "A1", "A2")
        box.hold("b2", "A3")
        change_seats(box.showtime, "b1", "ada", Selection(["A1"]), box.now)
        box.pay(first)
        assert box.stranded_by_paying(second) == "A2"
        box.hold("b3", "A2")
        box.pay("b3")
        box.pay(second)
