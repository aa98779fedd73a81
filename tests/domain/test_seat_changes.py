"""The seats at any earlier moment, with the changes since, are the seats as they are now."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.seat_changes import MAX_REVISIONS, SeatChanges
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatStatus, Showtime
from cinema_grpc.domain.terms import SeatBlock, SeatBlockKind, SeatGapPolicy
from tests.builders import NOW, a_showtime
from tests.domain.commands import TEN_MINUTES, cancel, hold, pay

SEATS = [f"A{number}" for number in range(1, 6)]
MINUTE = timedelta(minutes=1)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "hold", "pay", "cancel", "block", "expire", "wait", "wait", "look", "look"]),
        st.sampled_from(SEATS),
        st.integers(1, 11),
    ),
    max_size=30,
)


class View(NamedTuple):
    """What somebody saw: the revision, and the seats at some moment of it."""

    revision: int
    seats: dict[str, SeatStatus]


class Selling:
    """A showtime that is sold, somebody who follows it now and then, and all that could be seen of it."""

    def __init__(self) -> None:
        self.showtime = a_showtime((SeatRow("A", (5,)),), SeatGapPolicy.ALLOW)
        self.now, self.revision = NOW, 1
        self.views = [self.view()]
        self.changes = SeatChanges(self.showtime, 1, "commit 1", self.now)

    def view(self) -> View:
        """Return what can be seen now."""
        labels = self.showtime.terms.seat_plan.labels
        return View(self.revision, dict(zip(labels, self.showtime.seats(self.now), strict=True)))

    def do(self, what: str, seat: str, number: int) -> None:
        """Do something, if the rules allow it."""
        if what == "wait":
            self.now += number * MINUTE
        elif what == "look":
            self.changes.advance(self.showtime, self.revision, f"commit {self.revision}", self.now)
        else:
            try:
                self.change(what, seat, number)
            except CinemaError:
                return
            self.showtime.mark_stored()
            self.revision += 1
        self.views.append(self.view())

    def change(self, what: str, seat: str, number: int) -> None:
        """Make a change that is committed."""
        showtime, after = self.showtime, self.now - NOW
        mine = [each for each in showtime.bookings() if seat in each.labels and not each.lapsed(self.now)]
        if what == "hold":
            hold(showtime, seat, name=f"b{len(self.views)}", after=after)
        elif what == "expire":
            showtime.expire(20, self.now)
        elif what == "block":
            block = SeatBlock(
                f"b{len(self.views)}", SeatBlockKind.HOUSE, (seat,), "", self.now + number * MINUTE, NOW, ""
            )
            if seat in self.view().seats and self.view().seats[seat] is SeatStatus.AVAILABLE:
                showtime.vacate(showtime.terms.seat_plan.positions([seat]))
                showtime.replace_terms(replace(showtime.terms, blocks=(*showtime.terms.blocks, block)))
        elif mine and what == "pay":
            pay(showtime, mine[0].booking_id, after=after)
        elif mine:
            cancel(showtime, name=mine[0].booking_id, after=after)


@pytest.mark.no_cover
@given(steps=STEPS)
@settings(max_examples=300)
def test_from_any_moment_on(steps: list[tuple[str, str, int]]) -> None:
    """If the difference from a revision can be told, it is right for all who saw that revision, early or late."""
    selling = Selling()
    for step in steps:
        selling.do(*step)
    selling.do("look", "", 0)
    current = selling.view()
    told = 0
    for view in selling.views:
        known = selling.changes.step_at(view.revision)
        if known is None:
            continue
        told += 1
        frame = selling.changes.since(known)
        assert {**view.seats, **dict(frame.seats)} == current.seats
        assert (frame.revision, frame.snapshot) == (current.revision, False)
        assert frame.available_seats == [*current.seats.values()].count(SeatStatus.AVAILABLE)
        assert frame.next_lapse_time == selling.showtime.next_lapse(selling.now)
    assert told
    snapshot = selling.changes.since(None)
    assert (snapshot.snapshot, dict(snapshot.seats)) == (True, current.seats)


class TestSteps:
    def followed(self, showtime: Showtime, now: datetime = NOW) -> SeatChanges:
        """Follow a showtime from revision 5 on."""
        return SeatChanges(showtime, 5, "five", now)

    def test_frames_have_only_what_has_changed(self) -> None:
        showtime = a_showtime()
        changes = self.followed(showtime)
        before = changes.step
        hold(showtime, "A1", "A2")
        changes.advance(showtime, 6, "six", NOW)
        assert dict(changes.since(before).seats) == {"A1": SeatStatus.HELD, "A2": SeatStatus.HELD}
        assert changes.since(changes.step).seats == ()

    def test_the_same_again_is_no_step(self) -> None:
        showtime = a_showtime()
        changes = self.followed(showtime)
        step = changes.step
        changes.advance(showtime, 5, "five", NOW + MINUTE)
        changes.lapse(NOW + MINUTE)
        assert changes.step == step

    def test_a_hold_ends_at_exactly_its_moment(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        changes = self.followed(showtime)
        step = changes.step
        changes.lapse(NOW + TEN_MINUTES - timedelta(microseconds=1))
        assert changes.step == step
        changes.lapse(NOW + TEN_MINUTES)
        assert dict(changes.since(step).seats) == {"A1": SeatStatus.AVAILABLE, "A2": SeatStatus.AVAILABLE}
        assert (changes.revision, changes.next_lapse) == (5, None)

    def test_revisions_that_a_failover_undid_are_not_known_any_more(self) -> None:
        """Nor are lower ones that were made again with other seats: clients may have seen either."""
        showtime = a_showtime()
        changes = self.followed(showtime)
        later = a_showtime()
        hold(later, "A1", "A2")
        changes.advance(later, 9, "nine, which is lost", NOW)
        step = changes.step
        changes.advance(showtime, 8, "eight", NOW)
        assert dict(changes.since(step).seats) == {"A1": SeatStatus.AVAILABLE, "A2": SeatStatus.AVAILABLE}
        changes.advance(showtime, 9, "another nine", NOW)
        changes.advance(showtime, 10, "ten", NOW)
        assert [changes.step_at(revision) is None for revision in (5, 8, 9, 10)] == [True, True, True, False]

    def test_the_oldest_revisions_are_forgotten(self) -> None:
        showtime = a_showtime()
        changes = self.followed(showtime)
        for revision in range(6, 6 + MAX_REVISIONS):
            changes.advance(showtime, revision, str(revision), NOW)
        assert changes.step_at(5) is None
        assert changes.step_at(6) is not None
