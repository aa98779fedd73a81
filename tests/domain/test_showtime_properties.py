"""What holds after any sequence of commands on a showtime, whatever was refused in between."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cinema_grpc.domain.booking import Booking, BookingStatus, Ticket
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.payment import AttemptStatus, RefundStatus
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy, SeatStatus, Showtime
from tests.builders import NOW, a_showtime
from tests.domain.test_gap_rule import naive_stranded

SECTIONS = (5, 3)
SEATS = [f"A{number}" for number in range(1, sum(SECTIONS) + 1)]
CUSTOMERS = st.sampled_from(["ada", "bob"])
PICKS = st.integers(0, 30)


class Selling(RuleBasedStateMachine):
    """Two customers, one short row, a clock that runs; every booking ever made is remembered beside the showtime."""

    @initialize(policy=st.sampled_from(SeatGapPolicy))
    def open(self, policy: SeatGapPolicy) -> None:
        self.showtime = a_showtime(rows=(SeatRow("A", SECTIONS),), policy=policy)
        self.now = NOW
        self.bookings: dict[str, Booking] = {}
        self.attempts: dict[str, str] = {}

    def command(self, change: Callable[[Showtime], Booking]) -> Booking | None:
        """Carry out a command; a refused one must change nothing."""
        before = (self.showtime.changes(), self.showtime.seats(self.now), self.showtime.taken)
        try:
            booking = change(self.showtime)
        except CinemaError:
            assert (self.showtime.changes(), self.showtime.seats(self.now), self.showtime.taken) == before
            return None
        self.take_over()
        return booking

    def take_over(self) -> None:
        for change in self.showtime.changes():
            assert change.before == self.bookings.get(change.after.booking_id)
            self.bookings[change.after.booking_id] = change.after
        self.showtime.mark_stored()

    def restored(self, pick: int) -> str:
        """Choose a booking and see that the showtime has it, as the box office does before a command."""
        if not self.bookings:
            return "none"
        name = sorted(self.bookings)[pick % len(self.bookings)]
        if name not in self.showtime:
            self.showtime.restore(self.bookings[name])
        return name

    @rule(seats=st.lists(st.sampled_from(SEATS), min_size=1, max_size=5, unique=True), customer=CUSTOMERS)
    def hold(self, seats: list[str], customer: str) -> None:
        states = self.showtime.seats(self.now)
        free = {position for position, each in enumerate(states) if each is SeatStatus.AVAILABLE}
        name = f"booking {len(self.bookings)}"
        booking = self.command(lambda showtime: showtime.hold(name, customer, seats, timedelta(minutes=10), self.now))
        if booking is not None:
            chosen = {SEATS.index(seat) for seat in seats}
            assert chosen <= free
            if self.showtime.terms.seat_gap_policy is SeatGapPolicy.REFUSE:
                assert not naive_stranded(SECTIONS, free, chosen)

    @rule(pick=PICKS, customer=CUSTOMERS)
    def open_payment(self, pick: int, customer: str) -> None:
        name = self.restored(pick)
        attempt = f"attempt {len(self.attempts)}"
        if self.command(lambda showtime: showtime.open_payment(name, customer, attempt, self.now)):
            self.attempts[attempt] = name

    @rule(pick=PICKS, charged=st.booleans())
    def settle_payment(self, pick: int, charged: bool) -> None:
        latest = {name: attempt for attempt, name in self.attempts.items()}
        if not latest:
            return
        name = sorted(latest)[pick % len(latest)]
        self.showtime.restore(self.bookings[name])
        seats = self.bookings[name].labels
        payment = self.bookings[name].payment
        if payment is not None and payment.status is AttemptStatus.VOIDING:
            given_back = charged
            self.command(
                lambda each: each.settle_void(name, latest[name], f"refund of {name}", self.now, given_back=given_back)
            )
        elif charged:
            tickets = [Ticket(f"{name} {seat}", seat, f"{name} {seat}") for seat in seats]
            self.command(lambda each: each.settle_charge(name, latest[name], tickets, f"refund of {name}", self.now))
        else:
            self.command(lambda showtime: showtime.settle_decline(name, latest[name]))

    @rule(pick=PICKS)
    def call_off_payment(self, pick: int) -> None:
        latest = {name: attempt for attempt, name in self.attempts.items()}
        if not latest:
            return
        name = sorted(latest)[pick % len(latest)]
        self.showtime.restore(self.bookings[name])
        self.showtime.begin_void(name, latest[name])
        self.take_over()

    @rule(pick=PICKS, customer=CUSTOMERS)
    def cancel(self, pick: int, customer: str) -> None:
        name = self.restored(pick)
        self.command(lambda showtime: showtime.cancel(name, customer, f"refund of {name}", self.now))

    @rule(limit=st.integers(1, 3))
    def expire(self, limit: int) -> None:
        self.showtime.expire(limit, self.now)
        self.take_over()

    @rule(minutes=st.sampled_from([1, 5, 10, 60, 60 * 13, 60 * 25]))
    def pass_time(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @invariant()
    def no_seat_has_two_owners(self) -> None:
        keeping = [
            booking
            for booking in self.bookings.values()
            if booking.as_of(self.now).status in {BookingStatus.RESERVED, BookingStatus.CONFIRMED}
        ]
        owners = Counter(seat for booking in keeping for seat in booking.labels)
        assert max(owners.values(), default=1) == 1
        states = Counter(self.showtime.seats(self.now))
        assert states[SeatStatus.HELD] + states[SeatStatus.SOLD] == owners.total()
        assert states.total() == len(SEATS)

    @invariant()
    def who_paid_has_tickets_or_is_owed(self) -> None:
        for booking in self.bookings.values():
            charged = booking.payment is not None and booking.payment.status.value == "CHARGED"
            has_tickets = bool(booking.tickets)
            assert has_tickets == (booking.confirm_time is not None)
            assert (booking.status is BookingStatus.CONFIRMED) <= has_tickets
            over = booking.status in {BookingStatus.CANCELLED, BookingStatus.EXPIRED}
            assert (booking.refund is not None) == (charged and over)
            if booking.refund is not None and booking.refund.status is RefundStatus.COMPLETED:
                assert booking.refund.amount.minor_units == 0 or booking.status is BookingStatus.EXPIRED


pytestmark = pytest.mark.no_cover
TestSelling = Selling.TestCase
TestSelling.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
