"""Redeeming tickets, reversing that, and what doors did while they were offline."""

from datetime import timedelta

import pytest

from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.cancellation import cancel, void
from cinema_grpc.domain.door import (
    GATE_OPENS,
    RecordOutcome,
    door_ticket,
    record_redemptions,
    with_redemption_reversed,
    with_ticket_redeemed,
)
from cinema_grpc.domain.ticket import Redemption, RedemptionKind, Reversal, TicketStatus
from cinema_grpc.domain.ticket_errors import (
    GateClosed,
    TicketAlreadyRedeemed,
    TicketNotFound,
    TicketNotRedeemed,
    TicketVoid,
)
from tests.builders import NOW, a_showtime, some_terms
from tests.domain.commands import MICROSECOND, sold

START = NOW + GATE_OPENS
TERMS = some_terms(start_time=START)
MINUTE = timedelta(minutes=1)


def a_sale() -> Booking:
    """Return a booking of A1 and A2 with tickets t-A1 and t-A2, whose gate opens now."""
    return sold(a_showtime(start_time=START), "A1", "A2")


def entry(ticket_id: str = "t-A1", gate: str = "north", after: timedelta = timedelta()) -> Redemption:
    name = f"{ticket_id} {gate} {after}"
    return Redemption(name, ticket_id, gate, NOW + after, "staff", NOW + after)


def redeemed(booking: Booking, ticket_id: str = "t-A1", after: timedelta = timedelta()) -> Booking:
    return with_ticket_redeemed(booking, TERMS, entry(ticket_id, after=after), NOW + after)


def status(booking: Booking, ticket_id: str = "t-A1") -> TicketStatus:
    return door_ticket(booking, ticket_id).status


class TestRedeeming:
    def test_a_ticket_lets_in_one(self) -> None:
        booking = redeemed(a_sale())
        assert (status(booking), status(booking, "t-A2")) == (TicketStatus.REDEEMED, TicketStatus.VALID)
        with pytest.raises(TicketAlreadyRedeemed, match=r"at 2026-05-01T12:00:00Z, at gate north"):
            redeemed(booking, after=MINUTE)
        assert status(redeemed(booking, "t-A2"), "t-A2") is TicketStatus.REDEEMED

    @pytest.mark.parametrize("after", [-MICROSECOND, TERMS.end_time - NOW])
    def test_the_gate_is_closed(self, after: timedelta) -> None:
        with pytest.raises(GateClosed):
            redeemed(a_sale(), after=after)

    @pytest.mark.parametrize("after", [timedelta(), TERMS.end_time - NOW - MICROSECOND])
    def test_the_gate_is_open(self, after: timedelta) -> None:
        assert status(redeemed(a_sale(), after=after)) is TicketStatus.REDEEMED

    def test_void_and_unknown_tickets(self) -> None:
        booking = void(a_sale(), TERMS, ["A1"], 100, "unwell", "refund", NOW)
        with pytest.raises(TicketVoid):
            redeemed(booking)
        with pytest.raises(TicketNotFound):
            redeemed(booking, "t-A3")
        assert status(redeemed(booking, "t-A2"), "t-A2") is TicketStatus.REDEEMED


class TestCancelling:
    def test_a_customer_cancels_no_redeemed_seat(self) -> None:
        booking = redeemed(a_sale())
        for seats in ((), ("A1",), ("A1", "A2")):
            with pytest.raises(TicketAlreadyRedeemed):
                cancel(booking, TERMS, seats, "refund", NOW)
        assert cancel(booking, TERMS, ["A2"], "refund", NOW).labels == ("A1",)

    def test_a_reversed_one_can_be_cancelled(self) -> None:
        booking = with_redemption_reversed(redeemed(a_sale()), "t-A1", Reversal("staff", NOW, "went home"))
        assert status(cancel(booking, TERMS, (), "refund", NOW)) is TicketStatus.VOID

    def test_staff_void_a_redeemed_seat(self) -> None:
        booking = void(redeemed(a_sale()), TERMS, ["A1"], 100, "unwell", "refund", NOW)
        assert status(booking) is TicketStatus.VOID
        assert door_ticket(booking, "t-A1").redemption is not None


def record_redemption(booking: Booking, reported: Redemption) -> tuple[Booking, RecordOutcome, Redemption]:
    booking, ((outcome, kept),) = record_redemptions(booking, [reported])
    return booking, outcome, kept


class TestReversing:
    def test_it_can_be_redeemed_again(self) -> None:
        reversal = Reversal("staff", NOW, "a mistake")
        booking = with_redemption_reversed(redeemed(a_sale()), "t-A1", reversal)
        assert (status(booking), booking.redemptions[0].reversal) == (TicketStatus.VALID, reversal)
        with pytest.raises(TicketNotRedeemed):
            with_redemption_reversed(booking, "t-A1", reversal)
        again = redeemed(booking, after=MINUTE)
        assert door_ticket(again, "t-A1").redemption == again.redemptions[1]

    def test_a_conflict_takes_its_place(self) -> None:
        """Someone was let in by it, so the ticket stays redeemed until each was reversed."""
        booking = redeemed(a_sale())
        for number, gate in enumerate(("south", "east"), 1):
            booking, *_ = record_redemption(booking, entry(gate=gate, after=number * MINUTE))
        for gate in ("south", "east"):
            booking = with_redemption_reversed(booking, "t-A1", Reversal("staff", NOW, "a mistake"))
            standing = door_ticket(booking, "t-A1").redemption
            assert standing is not None
            assert (standing.gate, status(booking)) == (gate, TicketStatus.REDEEMED)
            with pytest.raises(TicketAlreadyRedeemed, match=f"at gate {gate}"):
                cancel(booking, TERMS, ["A1"], "refund", NOW)
            with pytest.raises(TicketAlreadyRedeemed, match=f"at gate {gate}"):
                redeemed(booking, after=3 * MINUTE)
        assert record_redemption(booking, entry(gate="west"))[1] is RecordOutcome.CONFLICT
        booking = with_redemption_reversed(booking, "t-A1", Reversal("staff", NOW, "a mistake"))
        assert status(booking) is TicketStatus.VALID
        assert status(redeemed(booking, after=3 * MINUTE)) is TicketStatus.REDEEMED

    def test_who_got_in_with_a_void_ticket_redeems_nothing(self) -> None:
        booking = void(a_sale(), TERMS, (), 100, "unwell", "refund", NOW)
        booking, *_ = record_redemption(booking, entry())
        with pytest.raises(TicketNotRedeemed):
            with_redemption_reversed(booking, "t-A1", Reversal("staff", NOW, "a mistake"))


class TestRecording:
    def test_the_first_is_accepted_and_others_conflict(self) -> None:
        """Also if the gate was closed then; the ticket stays redeemed by the first that was recorded."""
        booking, outcome, kept = record_redemption(a_sale(), entry(after=timedelta(days=9)))
        assert (outcome, kept.kind) == (RecordOutcome.ACCEPTED, RedemptionKind.ADMITTED)
        booking, outcome, kept = record_redemption(booking, entry(gate="south"))
        assert (outcome, kept.kind) == (RecordOutcome.CONFLICT, RedemptionKind.CONFLICT)
        booking, outcome, _ = record_redemption(booking, entry(after=MINUTE))
        assert outcome is RecordOutcome.CONFLICT  # the same gate let in two
        standing = door_ticket(booking, "t-A1").redemption
        assert standing is not None
        assert (standing.gate, len(booking.redemptions)) == ("north", 3)

    def test_the_same_again_changes_nothing(self) -> None:
        booking = record_redemption(record_redemption(a_sale(), entry())[0], entry(gate="south"))[0]
        for number, gate in enumerate(("north", "south")):
            again, outcome, kept = record_redemption(booking, entry(gate=gate))
            assert again is booking
            assert (outcome, kept) == (RecordOutcome.DUPLICATE, booking.redemptions[number])

    def test_each_of_a_list_follows_on_those_before(self) -> None:
        entries = [entry(), entry(gate="south"), entry(), entry("t-A2"), entry(gate="south")]
        booking, recorded = record_redemptions(a_sale(), entries)
        first, conflict, other = booking.redemptions
        assert recorded == [
            (RecordOutcome.ACCEPTED, first),
            (RecordOutcome.CONFLICT, conflict),
            (RecordOutcome.DUPLICATE, first),
            (RecordOutcome.ACCEPTED, other),
            (RecordOutcome.DUPLICATE, conflict),
        ]

    def test_a_void_ticket(self) -> None:
        booking = void(a_sale(), TERMS, (), 100, "unwell", "refund", NOW)
        for gate in ("north", "south"):
            booking, outcome, kept = record_redemption(booking, entry(gate=gate))
            assert (outcome, kept.kind) == (RecordOutcome.ADMITTED_VOID, RedemptionKind.ADMITTED_VOID)
        assert status(booking) is TicketStatus.VOID
