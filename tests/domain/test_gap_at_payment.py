"""The gap rule at payment: unpaid holds must not help a customer to strand a seat."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import GapLeftByPayment, PaymentInProgress, SingleSeatGap
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.domain.gap_box import SECTIONS, STEPS, Box, Step, step


@pytest.fixture
def three() -> Box:
    """A1, A2 and A3 on hold in three bookings of one customer."""
    box = Box()
    for number in (1, 2, 3):
        box.hold(f"b{number}", f"A{number}")
    return box


class TestSales:
    """A sale at the counter beside holds of the same customer."""

    @pytest.fixture
    def two(self) -> Box:
        """A1 and A2 on hold in two bookings."""
        box = Box()
        box.hold("b1", "A1")
        box.hold("b2", "A2")
        return box

    def test_one_of_them_may_be_given_up(self, two: Box) -> None:
        """Then the sale and the other one would leave a single seat."""
        with pytest.raises(SingleSeatGap, match="A2"):
            two.sell("b3", "A3")

    def test_one_is_paid_for_before(self, two: Box) -> None:
        two.pay("b1")
        with pytest.raises(SingleSeatGap, match="A2"):
            two.sell("b3", "A3")
        two.pay("b2")
        two.sell("b3", "A3")

    def test_a_hold_is_being_paid_for(self, two: Box) -> None:
        two.open("b1")
        with pytest.raises(SingleSeatGap, match="A2"):
            two.sell("b3", "A3")

    def test_staff_may_allow_it(self, two: Box) -> None:
        """The holds are not judged by it then, so both can be paid for."""
        two.sell("b3", "A3", allow_gap=True)
        two.pay("b1")
        two.pay("b2")

    def test_a_hold_of_both_seats(self) -> None:
        """All of it is paid for, or nothing."""
        box = Box()
        box.hold("b1", "A1", "A2")
        box.sell("b2", "A3")
        box.pay("b1")


class TestTable:
    """Each row of the table in docs/rules.md."""

    def test_the_middle_one_is_cancelled(self, three: Box) -> None:
        three.cancel("b2")
        three.pay("b1")
        assert three.stranded_by_paying("b3") == "A2"

    def test_the_middle_one_is_cancelled_after_the_first_is_paid(self, three: Box) -> None:
        three.pay("b1")
        three.cancel("b2")
        assert three.stranded_by_paying("b3") == "A2"

    def test_the_middle_one_lapses(self, three: Box) -> None:
        """It does not count even while it is on hold, since the others are paid for before its end."""
        three.pay("b1")
        assert three.stranded_by_paying("b3") == "A2"

    def test_the_middle_one_is_paid_for_and_cancelled(self, three: Box) -> None:
        three.pay("b1")
        three.pay("b2")
        three.cancel("b2")
        assert three.stranded_by_paying("b3") == "A2"

    def test_in_the_order_of_booking(self, three: Box) -> None:
        for name in ("b1", "b2", "b3"):
            three.pay(name)

    def test_the_seat_is_taken_again(self, three: Box) -> None:
        three.cancel("b2")
        three.pay("b1")
        three.hold("b4", "A2")
        three.pay("b4")
        three.pay("b3")

    def test_two_are_cancelled(self, three: Box) -> None:
        """A1 alone strands nothing."""
        three.cancel("b2")
        three.cancel("b3")
        three.pay("b1")

    def test_another_customer_takes_the_seat(self, three: Box) -> None:
        three.cancel("b2")
        three.pay("b1")
        three.hold("rival", "A2", by="bob")
        three.pay("b3")

    def test_two_payments_at_once(self, three: Box) -> None:
        """A2 relies on A1, whose payment may still fail: the next payment has to wait for it."""
        first = three.open("b1")
        with pytest.raises(PaymentInProgress) as refusal:
            three.open("b2")
        assert refusal.value.metadata == {"booking_id": "b1"}
        three.settle("b1", first, charged=False)
        assert three.stranded_by_paying("b2") == "A1"
        three.pay("b1")
        three.pay("b2")

    @pytest.mark.parametrize("beside", [False, True])
    def test_another_customer_cancels_the_seats_beside(self, *, beside: bool) -> None:
        """A4 and A5 are on hold, each by itself: whichever is paid for, the other has a free neighbour or its own."""
        box = Box()
        box.hold("rival", "A6", "A7", by="bob")
        box.pay("rival", by="bob")
        box.hold("b1", "A5")
        box.hold("b2", "A4")
        box.cancel("rival", by="bob")
        if beside:
            box.hold("b3", "A6")
        box.pay("b2")

    def test_two_independent_payments_at_once(self) -> None:
        box = Box()
        box.hold("b1", "A1", "A2")
        box.hold("b2", "A3", "A4")
        attempts = {name: box.open(name) for name in ("b2", "b1")}
        for name, attempt in attempts.items():
            box.settle(name, attempt)

    def test_an_exemption_that_depended_on_a_hold(self) -> None:
        """A8 and A9 were all but one of A8 to A10 only while A1 to A7 were on hold."""
        box = Box()
        box.hold("b1", *(f"A{number}" for number in range(1, 8)))
        box.hold("b2", "A8", "A9")
        box.cancel("b1")
        assert box.stranded_by_paying("b2") == "A10"

    def test_payments_in_another_order(self) -> None:
        """A1 and A2 were all but one of A1 to A3 beside A4 and A5; they may be paid for first."""
        box = Box()
        box.hold("b1", "A4", "A5")
        box.hold("b2", "A1", "A2")
        box.pay("b2")
        box.pay("b1")

    def test_an_earlier_paid_booking_relies_on_the_seat_too(self, three: Box) -> None:
        """A3 by itself strands nothing, but with A1 it does."""
        three.pay("b3")
        assert three.stranded_by_paying("b1") == "A2"

    def test_another_customer_leaves(self) -> None:
        """A5 and A6 were all but one of A4 to A6 while A7 was taken. This customer did not free A7."""
        box = Box()
        box.hold("rival", "A7", "A8", "A9", "A10", by="bob")
        box.hold("b1", "A1", "A2", "A3")
        box.hold("b2", "A5", "A6")
        box.pay("b1")
        box.cancel("rival", by="bob")
        box.pay("b2")

    def test_another_customer_leaves_beside_all_but_one(self) -> None:
        """A2 and A3 would be all but one of A1 to A3, if A1 had been free when they were booked beside A4."""
        box = Box()
        box.hold("rival", "A1", by="bob")
        box.hold("b1", "A4")
        box.hold("b2", "A2", "A3")
        box.cancel("rival", by="bob")
        box.pay("b2")

    def test_allowed_gaps(self) -> None:
        box = Box(policy=SeatGapPolicy.ALLOW)
        for number in (1, 2, 3):
            assert box.hold(f"b{number}", f"A{number}").relied_on == ()
        box.cancel("b2")
        box.pay("b1")
        box.pay("b3")

    def test_a_seat_beside_freed_seats_is_not_single(self) -> None:
        """A2 was single beside A3 of another customer, who has cancelled since."""
        box = Box()
        box.hold("rival", "A3", "A4", by="bob")
        box.hold("b1", "A2")
        box.hold("b2", "A1")
        box.cancel("b1")
        box.cancel("rival", by="bob")
        box.pay("b2")

    def test_a_cancelled_paid_booking_does_not_affect_the_next(self, three: Box) -> None:
        """A2 is single since its booking was cancelled; paying for A4 and A5 does not make that worse."""
        three.pay("b1")
        three.pay("b2")
        three.pay("b3")
        three.cancel("b2")
        three.hold("b4", "A4", "A5")
        three.pay("b4")


def test_a_seat_that_was_single_may_be_paid_for_first() -> None:
    """A4 and A5 alone would strand A6, which is paid for by then."""
    box = Box(SECTIONS)
    for name, seats in (("b1", ["A3"]), ("b2", ["A4", "A5"]), ("b3", ["A6"])):
        box.hold(name, *seats)
    box.pay("b3")
    box.pay("b2")


@settings(max_examples=100)
@given(st.lists(st.tuples(STEPS, st.sampled_from(["bob", "cyd"])), max_size=20), STEPS, st.integers(0, 19))
def test_a_single_booking_is_never_refused(steps: list[tuple[Step, str]], mine: Step, when: int) -> None:
    """A customer with one booking can pay for it, whatever others do before and after."""
    box, opened = Box(SECTIONS), dict[str, str]()
    for number, (each, by) in enumerate(steps):
        if number == when:
            step(box, ("hold", *mine[1:]), "ada", opened)
        if each[0] != "wait":
            step(box, each, by, opened)
    for booking in list(box.showtime._bookings.values()):
        if booking.user_id == "ada":
            box.pay(booking.booking_id)


def refused(box: Box) -> set[str]:
    """Return the customer's holds whose payment the gap rule refuses."""
    found = set()
    for booking in list(box.showtime._bookings.values()):
        if booking.user_id == "ada" and booking.status is BookingStatus.RESERVED and not booking.being_paid:
            try:
                copy.deepcopy(box).open(booking.booking_id)
            except (GapLeftByPayment, PaymentInProgress):
                found.add(booking.booking_id)
    return found


@settings(max_examples=120)
@given(
    before=st.lists(STEPS, max_size=8),
    own=st.lists(STEPS, min_size=4, max_size=12),
    after=st.lists(STEPS, min_size=1, max_size=8),
)
def test_later_actions_of_others_cause_no_refusal(before: list[Step], own: list[Step], after: list[Step]) -> None:
    """Others hold, pay for and cancel seats after a customer's bookings: every hold that could be paid for before still
    can.
    """
    box, opened = Box(SECTIONS), dict[str, str]()
    for by, steps in (("bob", before), ("ada", own)):
        for each in steps:
            if each[0] != "wait":
                step(box, each, by, opened)
    refused_before = refused(box)
    for each in after:
        if each[0] != "wait":
            step(box, each, "bob", opened)
    assert refused(box) <= refused_before
