"""What a commit is called in the event feed, also when one commit has done several things to a booking."""

from dataclasses import replace
from datetime import timedelta

from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.cancellation import void
from cinema_grpc.domain.door import record_redemptions, with_redemption_reversed, with_ticket_redeemed
from cinema_grpc.domain.events import NewEvent, events_of
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.terms import SeatGapPolicy
from cinema_grpc.domain.ticket import Redemption, Reversal
from tests.builders import NOW, a_showtime
from tests.domain.commands import TEN_MINUTES, begin_void, hold, settle_charge, settle_decline, settle_refund, sold

ALLOW = SeatGapPolicy.ALLOW


def new_events(showtime: Showtime) -> list[NewEvent]:
    """Return the events of what was done, and treat it as stored."""
    terms = None if showtime.terms_before is None else (showtime.terms_before, showtime.terms)
    events = events_of(showtime.changes(), terms)
    showtime.mark_stored()
    return events


def brief(showtime: Showtime) -> list[tuple[str, str]]:
    return [(event.type.value, " ".join(event.seats)) for event in new_events(showtime)]


def paid(showtime: Showtime, *seats: str) -> None:
    hold(showtime, *seats)
    showtime.open_payment("b1", "ada", "p1", NOW)
    settle_charge(showtime, "b1", "p1")


class TestOneCommit:
    def test_a_hold_has_its_booking_and_its_price(self) -> None:
        showtime = a_showtime()
        booking = hold(showtime, "A1", "A2")
        (event,) = new_events(showtime)
        assert (event.booking_id, event.user_id, event.amount) == ("b1", "ada", booking.total_price.minor_units)
        assert event.time is None

    def test_nothing_that_anyone_sees(self) -> None:
        """An attempt to pay begins and fails; the hold keeps its end."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        new_events(showtime)
        showtime.open_payment("b1", "ada", "p1", NOW)
        assert new_events(showtime) == []
        settle_decline(showtime, "b1", "p1")
        assert new_events(showtime) == []

    def test_a_payment_that_extends_the_hold(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        new_events(showtime)
        showtime.open_payment("b1", "ada", "p1", NOW + timedelta(minutes=9))
        assert brief(showtime) == [("HOLD_CHANGED", "A1 A2")]

    def test_held_and_cancelled(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.cancel("b1", "ada", "r1", NOW)
        assert brief(showtime) == [("SEATS_HELD", "A1 A2"), ("HOLD_CANCELLED", "A1 A2")]

    def test_held_paid_and_cancelled(self) -> None:
        showtime = a_showtime()
        paid(showtime, "A1", "A2")
        showtime.update("b1", void, showtime.terms, ["A2"], 0, "", "r1", NOW)
        assert brief(showtime) == [
            ("SEATS_HELD", "A1 A2"),
            ("BOOKING_CONFIRMED", "A1 A2"),
            ("SEATS_CANCELLED", "A2"),
            ("REFUND_OWED", "A2"),
            ("REFUND_COMPLETED", "A2"),
        ]

    def test_changed_and_lapsed(self) -> None:
        """The seats that are free are those that it had."""
        showtime = a_showtime(policy=ALLOW)
        booking = hold(showtime, "A1", "A2")
        new_events(showtime)
        showtime.put(replace(booking, seats=booking.seats[:1]))
        showtime.expire(10, NOW + TEN_MINUTES)
        (event,) = new_events(showtime)
        assert (event.type.value, event.seats, event.time) == ("HOLD_EXPIRED", ["A1", "A2"], booking.hold_expire_time)

    def test_a_lapsed_hold_whose_seat_is_claimed(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        new_events(showtime)
        hold(showtime, "A1", "A2", by="bob", name="b2", after=TEN_MINUTES)
        assert brief(showtime) == [("HOLD_EXPIRED", "A1 A2"), ("SEATS_HELD", "A1 A2")]


class TestMoney:
    def test_parts_and_the_rest(self) -> None:
        """Each seat is cancelled once."""
        showtime = a_showtime(policy=ALLOW)
        paid(showtime, "A1", "A2", "A3")
        new_events(showtime)
        showtime.cancel("b1", "ada", "r1", NOW, ["A2"])
        assert brief(showtime) == [("SEATS_CANCELLED", "A2"), ("REFUND_OWED", "A2")]
        settle_refund(showtime, "b1", "r1", RefundStatus.FAILED)
        assert brief(showtime) == [("REFUND_FAILED", "A2")]
        showtime.cancel("b1", "ada", "r2", NOW)
        assert showtime.booking("b1").status is BookingStatus.CANCELLED
        assert brief(showtime) == [("SEATS_CANCELLED", "A1 A3"), ("REFUND_OWED", "A1 A3")]

    def test_a_refund_of_a_cancelled_booking(self) -> None:
        showtime = a_showtime()
        paid(showtime, "A1", "A2")
        booking = showtime.cancel("b1", "ada", "r1", NOW)
        new_events(showtime)
        showtime.restore(booking)
        settle_refund(showtime, "b1", "r1", RefundStatus.COMPLETED)
        assert brief(showtime) == [("REFUND_COMPLETED", "A1 A2")]

    def test_a_charge_that_came_too_late(self) -> None:
        """The booking was never sold, and the money goes back."""
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "p1", NOW)
        new_events(showtime)
        settle_charge(showtime, "b1", "p1", after=TEN_MINUTES)
        assert brief(showtime) == [("HOLD_EXPIRED", "A1 A2"), ("REFUND_OWED", "A1 A2")]

    def test_a_void_that_begins(self) -> None:
        showtime = a_showtime()
        hold(showtime, "A1", "A2")
        showtime.open_payment("b1", "ada", "p1", NOW)
        new_events(showtime)
        begin_void(showtime, "b1", "p1")
        assert new_events(showtime) == []


class TestTheDoor:
    def test_a_redemption_and_its_reversal(self) -> None:
        showtime, entry = at_the_door()
        showtime.update("b1", with_ticket_redeemed, showtime.terms, entry, NOW)
        (event,) = new_events(showtime)
        assert (event.type.value, event.ticket_id, event.seats, event.time) == ("TICKET_REDEEMED", "t-A1", ["A1"], NOW)
        assert (event.booking_id, event.user_id, event.amount) == ("b1", "ada", None)
        reversal = Reversal("staff", NOW + timedelta(minutes=1), "a mistake")
        showtime.update("b1", with_redemption_reversed, "t-A1", reversal)
        (event,) = new_events(showtime)
        assert (event.type.value, event.ticket_id, event.time) == ("REDEMPTION_REVERSED", "t-A1", reversal.time)

    def test_one_commit_does_both(self) -> None:
        showtime, entry = at_the_door()
        showtime.update("b1", with_ticket_redeemed, showtime.terms, entry, NOW)
        showtime.update("b1", with_redemption_reversed, "t-A1", Reversal("staff", NOW, "a mistake"))
        assert brief(showtime) == [("TICKET_REDEEMED", "A1"), ("REDEMPTION_REVERSED", "A1")]

    def test_a_conflict_does_not_redeem_again(self) -> None:
        """Of two doors that were offline, the first that reports has redeemed the ticket."""
        showtime, entry = at_the_door()
        record(showtime, entry)
        assert brief(showtime) == [("TICKET_REDEEMED", "A1")]
        record(showtime, replace(entry, redemption_id="r2", gate="south"))
        assert brief(showtime) == []

    def test_a_conflict_takes_the_place_of_a_reversed_one(self) -> None:
        """The last event of a ticket says whether it is redeemed."""
        reversal = Reversal("staff", NOW, "a mistake")
        for in_one_commit in (False, True):
            showtime, entry = at_the_door()
            record(showtime, entry)
            record(showtime, replace(entry, redemption_id="r2", gate="south", redeem_time=NOW + TEN_MINUTES))
            if not in_one_commit:
                assert brief(showtime) == [("TICKET_REDEEMED", "A1")]
            showtime.update("b1", with_redemption_reversed, "t-A1", reversal)
            events = new_events(showtime)
            assert [each.type.value for each in events[-2:]] == ["REDEMPTION_REVERSED", "TICKET_REDEEMED"]
            assert (len(events), events[-1].time) == (2 + in_one_commit, NOW + TEN_MINUTES)
            showtime.update("b1", with_redemption_reversed, "t-A1", reversal)
            assert brief(showtime) == [("REDEMPTION_REVERSED", "A1")]


def at_the_door() -> tuple[Showtime, Redemption]:
    """Return a showtime whose gate is open, with A1 and A2 sold to b1, and a redemption of A1."""
    showtime = a_showtime(start_time=NOW + timedelta(minutes=30))
    sold(showtime, "A1", "A2")
    new_events(showtime)
    return showtime, Redemption("r1", "t-A1", "north", NOW, "staff", NOW)


def record(showtime: Showtime, entry: Redemption) -> None:
    showtime.update("b1", lambda booking: record_redemptions(booking, [entry])[0])
