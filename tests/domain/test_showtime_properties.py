"""What holds after any sequence of commands on a showtime, whatever was refused in between."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cinema_grpc.domain import cancellation, counter, holds, showtime_changes
from cinema_grpc.domain.booking import Booking, BookingStatus, CancelCause
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.payment import AttemptStatus, RefundStatus
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatStatus, Showtime
from cinema_grpc.domain.terms import SeatBlock, SeatBlockKind, SeatGapPolicy, ShowtimeStatus
from tests.builders import NOW, a_showtime
from tests.domain.commands import TEN_MINUTES, begin_void, issue, settle_charge, settle_decline, settle_void
from tests.domain.test_gap_rule import naive_stranded

SECTIONS = (5, 3)
SEATS = [f"A{number}" for number in range(1, sum(SECTIONS) + 1)]
CUSTOMERS = st.sampled_from(["ada", "bob"])
PICKS = st.integers(0, 30)
SOME_SEATS = st.lists(st.sampled_from(SEATS), min_size=1, max_size=5, unique=True)
T = TypeVar("T")


class Selling(RuleBasedStateMachine):
    """Two customers and staff, one short row, a clock that runs; every booking ever made is kept beside it."""

    @initialize(policy=st.sampled_from(SeatGapPolicy))
    def open(self, policy: SeatGapPolicy) -> None:
        self.showtime = a_showtime(rows=(SeatRow("A", SECTIONS),), policy=policy)
        self.now = NOW
        self.bookings: dict[str, Booking] = {}
        self.attempts: dict[str, str] = {}
        self.made = 0

    def new_id(self) -> str:
        self.made += 1
        return f"id {self.made:04}"

    def command(self, change: Callable[[Showtime], T]) -> T | None:
        """Carry out a command; a refused one must change nothing."""
        before = self.seen()
        try:
            result = change(self.showtime)
        except CinemaError:
            assert self.seen() == before
            return None
        self.take_over()
        return result

    def seen(self) -> tuple[object, ...]:
        showtime = self.showtime
        return showtime.changes(), showtime.seats(self.now), showtime.taken, showtime.terms, showtime.terms_before

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

    def attempted(self, pick: int) -> str | None:
        """Choose a booking that was ever to be paid for, and see that the showtime has it."""
        if not self.attempts:
            return None
        name = sorted(self.attempts)[pick % len(self.attempts)]
        self.showtime.restore(self.bookings[name])
        return name

    def free(self, name: str = "") -> set[int]:
        """Return the positions that are free, those of a booking included."""
        own = self.bookings[name].labels if name in self.bookings else ()
        states = enumerate(self.showtime.seats(self.now))
        return {position for position, each in states if each is SeatStatus.AVAILABLE or SEATS[position] in own}

    def claimed(self, booking: Booking | None, seats: list[str], free: set[int], *, gap_allowed: bool = False) -> None:
        """Check a claim that was accepted: its seats were free, and it strands none."""
        if booking is None:
            return
        chosen = {SEATS.index(seat) for seat in seats}
        assert set(booking.labels) == set(seats)
        assert chosen <= free
        if self.showtime.terms.seat_gap_policy is SeatGapPolicy.REFUSE and not gap_allowed:
            assert not naive_stranded(SECTIONS, free, chosen)

    @rule(seats=SOME_SEATS, customer=CUSTOMERS)
    def hold(self, seats: list[str], customer: str) -> None:
        name, free = self.new_id(), self.free()
        booking = self.command(lambda each: holds.hold(each, name, customer, Selection(seats), TEN_MINUTES, self.now))
        self.claimed(booking, seats, free)

    @rule(pick=PICKS, customer=CUSTOMERS, seats=SOME_SEATS)
    def change_seats(self, pick: int, customer: str, seats: list[str]) -> None:
        name = self.restored(pick)
        free, before = self.free(name), self.bookings.get(name)
        booking = self.command(lambda each: holds.change_seats(each, name, customer, Selection(seats), self.now))
        if booking is not None and before is not None:
            assert booking.hold_expire_time == before.hold_expire_time
            if set(seats) != set(before.labels):
                self.claimed(booking, seats, free)

    @rule(pick=PICKS)
    def extend(self, pick: int) -> None:
        name = self.restored(pick)
        self.command(lambda each: each.update(name, holds.renewed, each.terms, TEN_MINUTES, self.now))

    @rule(pick=PICKS, customer=CUSTOMERS)
    def open_payment(self, pick: int, customer: str) -> None:
        name, attempt = self.restored(pick), self.new_id()
        if self.command(lambda each: each.open_payment(name, customer, attempt, self.now)):
            self.attempts[name] = attempt

    @rule(pick=PICKS, charged=st.booleans())
    def settle_payment(self, pick: int, charged: bool) -> None:
        name = self.attempted(pick)
        if name is None:
            return
        attempt, payment, after = self.attempts[name], self.bookings[name].payment, self.now - NOW
        if payment is not None and payment.status is AttemptStatus.VOIDING:
            self.command(lambda each: settle_void(each, name, attempt, taken=charged, after=after))
        elif charged:
            self.command(lambda each: settle_charge(each, name, attempt, self.new_id(), after))
        else:
            self.command(lambda each: settle_decline(each, name, attempt))

    @rule(pick=PICKS)
    def call_off_payment(self, pick: int) -> None:
        name = self.attempted(pick)
        if name is not None:
            begin_void(self.showtime, name, self.attempts[name])
            self.take_over()

    @rule(pick=PICKS, customer=CUSTOMERS, seats=st.just([]) | SOME_SEATS)
    def cancel(self, pick: int, customer: str, seats: list[str]) -> None:
        name = self.restored(pick)
        self.command(lambda each: each.cancel(name, customer, self.new_id(), self.now, seats))

    @rule(pick=PICKS, seats=st.just([]) | SOME_SEATS, percent=st.integers(0, 100))
    def void(self, pick: int, seats: list[str], percent: int) -> None:
        name = self.restored(pick)
        step = cancellation.void
        self.command(lambda each: each.update(name, step, each.terms, seats, percent, "asked", self.new_id(), self.now))

    @rule(seats=SOME_SEATS, tender=st.sampled_from(Tender), allow_gap=st.booleans(), use_house_seats=st.booleans())
    def sell(self, seats: list[str], tender: Tender, allow_gap: bool, use_house_seats: bool) -> None:
        name, free = self.new_id(), self.free()
        if use_house_seats:
            blocks = self.showtime.terms.blocks
            house = {seat for block in blocks if block.kind is SeatBlockKind.HOUSE for seat in block.seats}
            free |= {SEATS.index(seat) for seat in house}
        sale, selection = Sale(tender, "staff", "a guest"), Selection(seats)
        options = {"allow_gap": allow_gap, "use_house_seats": use_house_seats}
        booking = self.command(
            lambda each: counter.sell(each, name, "bob", selection, sale, issue, self.now, **options)
        )
        self.claimed(booking, seats, free, gap_allowed=allow_gap)

    @rule(
        seats=SOME_SEATS,
        kind=st.sampled_from(SeatBlockKind),
        minutes=st.sampled_from([0, 5, 60]),
        release=st.lists(st.sampled_from(SEATS), max_size=3, unique=True),
    )
    def block(self, seats: list[str], kind: SeatBlockKind, minutes: int, release: list[str]) -> None:
        end = self.now + timedelta(minutes=minutes) if minutes else None
        block = SeatBlock(self.new_id(), kind, tuple(seats), "broken", end, self.now, "staff")
        free = self.free()
        blocked = {seat for each in self.showtime.terms.blocks for seat in each.seats}
        if self.command(lambda each: showtime_changes.set_seat_blocks(each, block, release, self.now)) is not None:
            assert {SEATS.index(seat) for seat in seats} <= free | {SEATS.index(seat) for seat in blocked}
            states = self.showtime.seats(self.now)
            assert {states[SEATS.index(seat)] for seat in seats} == {SeatStatus.BLOCKED}

    @rule(hours=st.sampled_from([-24, -1, 1, 30]))
    def move(self, hours: int) -> None:
        changes = showtime_changes.ShowtimeChanges(self.showtime.terms.start_time + timedelta(hours=hours))
        standing = {name: booking.as_of(self.now).status for name, booking in self.bookings.items()}
        self.command(lambda each: showtime_changes.update_showtime(each, changes, (), TEN_MINUTES, self.now))
        assert standing == {name: booking.as_of(self.now).status for name, booking in self.bookings.items()}

    @rule(chance=st.integers(0, 9))
    def cancel_showtime(self, chance: int) -> None:
        if chance == 0:
            self.command(lambda each: showtime_changes.cancel_showtime(each, "no power", self.new_id, self.now))

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
        kept = Counter(seat for each in self.showtime.terms.blocks if not each.lapsed(self.now) for seat in each.seats)
        assert max((owners + kept).values(), default=1) == 1
        states = Counter(self.showtime.seats(self.now))
        assert states[SeatStatus.HELD] + states[SeatStatus.SOLD] == owners.total()
        assert states[SeatStatus.BLOCKED] == kept.total()
        assert states.total() == len(SEATS)
        assert self.showtime.taken >= (owners + kept).total()
        if self.showtime.terms.status is ShowtimeStatus.CANCELLED:
            assert set(states) == {SeatStatus.AVAILABLE}

    @invariant()
    def a_hold_ends_after_at_most_twenty_minutes_but_for_a_payment(self) -> None:
        for booking in self.bookings.values():
            if booking.status is BookingStatus.RESERVED and not booking.hold_extended:
                end = booking.create_time + 2 * TEN_MINUTES
                assert booking.hold_expire_time <= min(end, self.showtime.terms.start_time)

    @invariant()
    def who_paid_has_tickets_or_is_owed(self) -> None:
        for booking in self.bookings.values():
            charged = booking.payment is not None and booking.payment.status is AttemptStatus.CHARGED
            paid = charged or booking.sale is not None
            assert bool(booking.tickets) == (booking.confirm_time is not None)
            assert (booking.status is BookingStatus.CONFIRMED) <= bool(booking.tickets)
            over = booking.status in {BookingStatus.CANCELLED, BookingStatus.EXPIRED}
            parted = not all(seat.active for seat in booking.seats)
            assert bool(booking.refunds) == (paid and (over or parted))
            owed = sum(refund.amount.minor_units for refund in booking.refunds)
            assert owed <= booking.total_price.minor_units
            in_full = booking.status is BookingStatus.EXPIRED or booking.cancel_cause is CancelCause.SHOWTIME
            if paid and in_full:
                assert owed == booking.total_price.minor_units
            for refund in booking.refunds:
                assert refund.amount.minor_units >= 0
                if refund.status is RefundStatus.COMPLETED:
                    assert refund.amount.minor_units == 0 or booking.confirm_time is None


pytestmark = pytest.mark.no_cover
TestSelling = Selling.TestCase
TestSelling.settings = settings(max_examples=150, stateful_step_count=40)
