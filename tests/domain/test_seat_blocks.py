"""Seats that the cinema keeps: blocked, replaced, released and lapsed."""

from datetime import timedelta

import pytest

from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import SeatsUnavailable, ShowtimeEnded
from cinema_grpc.domain.errors import InvalidRequest, SeatNotFound
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatStatus, Showtime
from cinema_grpc.domain.showtime_changes import set_seat_blocks
from cinema_grpc.domain.terms import SeatBlock, SeatBlockKind
from tests.builders import NOW, a_showtime
from tests.domain.commands import (
    MICROSECOND,
    NO_TIME,
    START,
    TEN_MINUTES,
    a_block,
    cancel,
    hold,
    sold,
    state,
)

END = START + timedelta(hours=2)
HOUR = timedelta(hours=1)


def set_blocks(
    showtime: Showtime, block: SeatBlock | None = None, release: tuple[str, ...] = (), after: timedelta = NO_TIME
) -> dict[str, tuple[str, ...]]:
    """Change the blocks, and return the seats of each that stands then."""
    blocks = set_seat_blocks(showtime, block, release, NOW + after)
    assert showtime.terms.blocks == blocks
    return {each.block_id: each.seats for each in blocks}


class TestBlock:
    def test_seats_are_blocked(self) -> None:
        """In row order. They are taken, and no claim gets them."""
        showtime = a_showtime()
        before = showtime.terms
        assert set_blocks(showtime, a_block("B1", "A10", "A9")) == {"a-block": ("A9", "A10", "B1")}
        assert showtime.taken == 3
        assert state(showtime, "B1", timedelta(days=1)) is SeatStatus.BLOCKED
        with pytest.raises(SeatsUnavailable) as refusal:
            hold(showtime, "A8", "A9")
        assert refusal.value.metadata == {"seats": "A9"}
        assert showtime.terms_before == before

    def test_a_blocked_seat_gets_another_block(self) -> None:
        """It leaves the old one, which ends with its last seat."""
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1", "A2", "A3"))
        house = a_block("A3", "A2", "A4", kind=SeatBlockKind.HOUSE, block_id="b")
        assert set_blocks(showtime, house) == {"a-block": ("A1",), "b": ("A2", "A3", "A4")}
        assert showtime.taken == 4
        assert set_blocks(showtime, a_block("A1", block_id="c")) == {"b": ("A2", "A3", "A4"), "c": ("A1",)}

    def test_held_and_sold_seats_are_all_named(self) -> None:
        """All or nothing: releases are not carried out either."""
        showtime = a_showtime()
        sold(showtime, "A1", "A2")
        hold(showtime, "B9", "B10", name="b2")
        set_blocks(showtime, a_block("A5"))
        showtime.mark_stored()
        with pytest.raises(SeatsUnavailable) as refusal:
            set_blocks(showtime, a_block("B10", "A5", "A2", "A6", block_id="b"), ("A9",))
        assert refusal.value.metadata == {"seats": "A2,B10"}
        with pytest.raises(SeatsUnavailable):
            set_blocks(showtime, a_block("A2", block_id="b"), ("A5",))
        assert showtime.terms_before is None
        assert state(showtime, "A5") is SeatStatus.BLOCKED
        assert state(showtime, "A6") is SeatStatus.AVAILABLE

    def test_seats_of_cancelled_and_lapsed_bookings_can_be_blocked(self) -> None:
        """A lapsed hold is written down as EXPIRED then."""
        showtime = a_showtime()
        sold(showtime, "A1", "A2")
        cancel(showtime, "A1")
        hold(showtime, "B1", "B2", name="b2")
        with pytest.raises(SeatsUnavailable):
            set_blocks(showtime, a_block("A1", "B1"), after=TEN_MINUTES - MICROSECOND)
        set_blocks(showtime, a_block("A1", "B1"), after=TEN_MINUTES)
        assert showtime.booking("b2").status is BookingStatus.EXPIRED
        assert showtime.taken == 3
        assert state(showtime, "B1", TEN_MINUTES) is SeatStatus.BLOCKED
        assert state(showtime, "B2", TEN_MINUTES) is SeatStatus.AVAILABLE

    @pytest.mark.parametrize(
        ("seats", "release"), [(("Z1", "A1", "A99"), ()), (("A1",), ("Z1", "A99")), (("A99",), ("Z1",))]
    )
    def test_unknown_seats_are_all_named(self, seats: tuple[str, ...], release: tuple[str, ...]) -> None:
        """Those to release too, in row order."""
        showtime = a_showtime()
        with pytest.raises(SeatNotFound) as refusal:
            set_blocks(showtime, a_block(*seats), release)
        assert refusal.value.metadata == {"seats": "A99,Z1"}
        assert showtime.terms_before is None

    def test_until_the_end(self) -> None:
        """Also when the showtime runs, since the counter still sells."""
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1"), after=END - NOW - MICROSECOND)
        with pytest.raises(ShowtimeEnded):
            set_blocks(showtime, a_block("A2"), after=END - NOW)


class TestRelease:
    def test_released_seats_are_free(self) -> None:
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1", "A2", "A3"))
        assert set_blocks(showtime, release=("A3", "A1")) == {"a-block": ("A2",)}
        assert showtime.taken == 1
        assert set_blocks(showtime, release=("A2",)) == {}
        hold(showtime, "A1", "A2")

    def test_releasing_what_is_not_blocked_changes_nothing(self) -> None:
        """Free, held and sold seats stay so; the terms are not written."""
        showtime = a_showtime()
        sold(showtime, "A1", "A2")
        hold(showtime, "A3", "A4", name="b2")
        set_blocks(showtime, release=("A1", "A3", "A9"))
        assert showtime.terms_before is None
        assert [state(showtime, seat).value for seat in ("A1", "A3", "A9")] == ["SOLD", "HELD", "AVAILABLE"]

    def test_together_with_a_block(self) -> None:
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1", "A2"))
        assert set_blocks(showtime, a_block("A3", block_id="b"), ("A1",)) == {"a-block": ("A2",), "b": ("A3",)}

    def test_a_seat_in_both_lists_is_malformed(self) -> None:
        showtime = a_showtime()
        with pytest.raises(InvalidRequest) as refusal:
            set_blocks(showtime, a_block("A1", "A2", "A3"), ("A3", "A4", "A1"))
        (violation,) = refusal.value.violations
        assert violation.field == "release"
        assert violation.description.endswith("A1, A3")


class TestReleaseTime:
    @pytest.mark.parametrize("release", [NO_TIME, -MICROSECOND, START - NOW + MICROSECOND])
    def test_in_the_future_and_not_after_the_start(self, release: timedelta) -> None:
        with pytest.raises(InvalidRequest) as refusal:
            set_blocks(a_showtime(), a_block("A1", release_after=release))
        assert [violation.field for violation in refusal.value.violations] == ["block.release_time"]

    @pytest.mark.parametrize("release", [MICROSECOND, START - NOW])
    def test_its_bounds(self, release: timedelta) -> None:
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1", release_after=release))
        assert showtime.next_lapse(NOW) == NOW + release

    def test_from_then_on_the_seats_are_free(self) -> None:
        """To the microsecond, before anything has written that down."""
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1", "A2", release_after=HOUR))
        assert state(showtime, "A1", HOUR - MICROSECOND) is SeatStatus.BLOCKED
        with pytest.raises(SeatsUnavailable):
            hold(showtime, "A1", "A2", after=HOUR - MICROSECOND)
        assert state(showtime, "A1", HOUR) is SeatStatus.AVAILABLE
        hold(showtime, "A1", "A2", after=HOUR)
        assert showtime.terms.blocks == ()
        assert showtime.taken == 2
        assert state(showtime, "A1", HOUR) is SeatStatus.HELD

    def test_a_claim_takes_only_its_seats_out_of_a_lapsed_block(self) -> None:
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1", "A2", "A3", "A4", release_after=HOUR))
        hold(showtime, "A1", "A2", after=HOUR)
        assert [block.seats for block in showtime.terms.blocks] == [("A3", "A4")]
        assert showtime.taken == 4
        assert state(showtime, "A3", HOUR) is SeatStatus.AVAILABLE

    def test_a_lapsed_block_is_free_for_the_gap_rule(self) -> None:
        """A3 is single beside the block, but not once it has lapsed."""
        showtime = a_showtime(rows=(SeatRow("A", (5,)),))
        set_blocks(showtime, a_block("A1", "A2", release_after=HOUR))
        hold(showtime, "A4", "A5", after=HOUR)

    def test_seats_of_a_lapsed_block_can_be_blocked_again(self) -> None:
        """What is left of it is dropped."""
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1", "A2", release_after=HOUR))
        assert set_blocks(showtime, a_block("A1", block_id="b"), after=HOUR) == {"b": ("A1",)}
        assert showtime.taken == 1


class TestShowtime:
    def test_the_next_lapse(self) -> None:
        """Of holds and blocks that have not ended yet."""
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1", block_id="a"))
        assert showtime.next_lapse(NOW) is None
        set_blocks(showtime, a_block("A2", block_id="b", release_after=TEN_MINUTES / 2))
        set_blocks(showtime, a_block("A3", block_id="c", release_after=HOUR))
        hold(showtime, "B1", "B2")
        sold(showtime, "B3", "B4", name="b2")
        moments = [NOW + TEN_MINUTES / 2, NOW + TEN_MINUTES, NOW + HOUR]
        for now, expected in zip([NOW, *moments], [*moments, None], strict=True):
            assert showtime.next_lapse(now) == expected

    def test_expiring_drops_lapsed_blocks(self) -> None:
        """They count with the holds; blocks that stand stay."""
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1", "A2", block_id="a", release_after=TEN_MINUTES))
        set_blocks(showtime, a_block("A4", block_id="b"))
        hold(showtime, "B1", "B2")
        showtime.mark_stored()
        assert showtime.expire(10, NOW + TEN_MINUTES - MICROSECOND) == 0
        assert showtime.terms_before is None
        assert showtime.expire(10, NOW + TEN_MINUTES) == 2
        assert [block.block_id for block in showtime.terms.blocks] == ["b"]
        assert showtime.taken == 1
        assert showtime.terms_before is not None

    def test_copies_are_independent(self) -> None:
        showtime = a_showtime()
        set_blocks(showtime, a_block("A1"))
        copy = showtime.copy()
        set_blocks(copy, a_block("A2", block_id="b"), ("A1",))
        assert (state(showtime, "A1"), state(copy, "A1")) == (SeatStatus.BLOCKED, SeatStatus.AVAILABLE)
        assert (state(showtime, "A2"), state(copy, "A2")) == (SeatStatus.AVAILABLE, SeatStatus.BLOCKED)

    def test_restored_terms_bring_their_blocks(self) -> None:
        """As stored by another process; they are no change of this one."""
        showtime, elsewhere = a_showtime(), a_showtime()
        set_blocks(showtime, a_block("A1"))
        showtime.mark_stored()
        set_blocks(elsewhere, a_block("A2", block_id="b"))
        showtime.restore_terms(elsewhere.terms)
        assert showtime.seats(NOW) == elsewhere.seats(NOW)
        assert showtime.taken == 1
        assert showtime.terms_before is None
