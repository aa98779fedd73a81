"""A showtime of one row, whose customers hold, pay and cancel."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import strategies as st

from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import GapLeftByPayment
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.counter import sell
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.holds import hold
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.builders import NOW, a_showtime
from tests.domain.commands import TEN_MINUTES, settle_charge, settle_decline

SECTIONS = (6, 2)
SEATS = [f"A{number}" for number in range(1, sum(SECTIONS) + 1)]


class Box:
    """One showtime and a clock; tests name the bookings."""

    def __init__(self, sections: Sequence[int] = (10,), policy: SeatGapPolicy = SeatGapPolicy.REFUSE) -> None:
        self.showtime = a_showtime(rows=(SeatRow("A", tuple(sections)),), policy=policy)
        self.now: datetime = NOW
        self.attempts = 0

    def hold(self, name: str, *seats: str, by: str = "ada") -> Booking:
        return hold(self.showtime, name, by, Selection(seats), TEN_MINUTES, self.now)

    def open(self, name: str, by: str = "ada") -> str:
        self.attempts += 1
        attempt = f"attempt {self.attempts}"
        self.showtime.open_payment(name, by, attempt, self.now)
        return attempt

    def settle(self, name: str, attempt: str, *, charged: bool = True) -> None:
        if charged:
            settle_charge(self.showtime, name, attempt, after=self.now - NOW)
        else:
            settle_decline(self.showtime, name, attempt)

    def pay(self, name: str, by: str = "ada") -> None:
        self.settle(name, self.open(name, by))

    def cancel(self, name: str, by: str = "ada", seats: Sequence[str] = ()) -> None:
        self.showtime.cancel(name, by, f"refund of {name}", self.now, seats)

    def sell(self, name: str, *seats: str, to: str = "ada", allow_gap: bool = False) -> None:
        sale = Sale(Tender.CASH, "clerk", "")
        sell(self.showtime, name, to, Selection(seats), sale, lambda *_: (), self.now, allow_gap=allow_gap)

    def stranded_by_paying(self, name: str) -> str:
        before = self.showtime.changes()
        with pytest.raises(GapLeftByPayment) as refusal:
            self.open(name)
        assert self.showtime.changes() == before
        assert refusal.value.metadata["booking_id"] == name
        return refusal.value.metadata["stranded_seats"]


Step = tuple[str, int, int, int]
STEPS = st.tuples(
    st.sampled_from(["hold", "hold", "hold", "cancel", "pay", "pay", "open", "settle", "decline", "wait"]),
    st.integers(0, len(SEATS) - 1),
    st.integers(1, 2),
    st.integers(0, 9),
)
"""The action; the first seat and the number of seats of a hold; the booking of the other actions."""


def step(box: Box, doing: Step, by: str, opened: dict[str, str]) -> None:
    """Carry out a step as one customer. A refusal changes nothing."""
    kind, first, count, pick = doing
    own = [each for each in box.showtime._bookings.values() if each.user_id == by]
    open_ones = [each for each in own if each.as_of(box.now).status is BookingStatus.RESERVED]
    try:
        if kind == "hold":
            box.attempts += 1
            box.hold(f"{by} {box.attempts:03}", *SEATS[first : first + count], by=by)
        elif kind == "wait":
            box.now += timedelta(minutes=pick)
        elif open_ones:
            name = open_ones[pick % len(open_ones)].booking_id
            if kind == "cancel":
                box.cancel(name, by)
            elif kind == "pay":
                box.pay(name, by)
            elif kind == "open":
                opened[name] = box.open(name, by)
            elif name in opened:
                box.settle(name, opened.pop(name), charged=kind == "settle")
    except CinemaError:
        pass
