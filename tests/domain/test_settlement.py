"""Refunds that are paid by hand: which may be, and which not."""

from dataclasses import replace

import pytest

from cinema_grpc.domain.booking import BookedSeat, Booking, BookingStatus
from cinema_grpc.domain.charging import with_refund_settled
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import Refund, RefundStatus, Settlement
from cinema_grpc.domain.settlement import with_refund_settled_by_hand
from cinema_grpc.domain.staff_errors import RefundNotFound, RefundNotOpen
from tests.builders import NOW

SETTLEMENT = Settlement("staff", NOW, "paid in cash")


def cancelled(*refunds: Refund) -> Booking:
    seat = BookedSeat("A1", Money("EUR", 1_250), "standard", "adult", active=False)
    return Booking("b1", "ada", "s1", (seat,), BookingStatus.CANCELLED, NOW, NOW, refunds=refunds)


def refund(attempt_id: str, status: RefundStatus) -> Refund:
    return Refund("r1", attempt_id, Money("EUR", 625), 50, status, NOW, ("A1",))


@pytest.mark.parametrize(
    ("attempt_id", "status"),
    [("", RefundStatus.PENDING), ("", RefundStatus.FAILED), ("attempt", RefundStatus.FAILED)],
)
def test_a_refund_to_be_paid_by_hand(attempt_id: str, status: RefundStatus) -> None:
    """It is COMPLETED, once, and other refunds stay as they are."""
    other = replace(refund("attempt", RefundStatus.FAILED), refund_id="r2")
    booking = cancelled(refund(attempt_id, status), other)
    settled = with_refund_settled_by_hand(booking, "r1", SETTLEMENT)
    expected = replace(refund(attempt_id, status), status=RefundStatus.COMPLETED, settlement=SETTLEMENT)
    assert settled.refunds == (expected, other)
    with pytest.raises(RefundNotOpen):
        with_refund_settled_by_hand(settled, "r1", SETTLEMENT)


@pytest.mark.parametrize(
    ("attempt_id", "status"),
    [("attempt", RefundStatus.PENDING), ("attempt", RefundStatus.COMPLETED), ("", RefundStatus.COMPLETED)],
)
def test_a_refund_that_is_not(attempt_id: str, status: RefundStatus) -> None:
    """The payment provider has it, or it is paid."""
    booking = cancelled(refund(attempt_id, status))
    with pytest.raises(RefundNotOpen) as raised:
        with_refund_settled_by_hand(booking, "r1", SETTLEMENT)
    assert raised.value.metadata == {"refund_id": "r1", "status": status.value}


def test_an_unknown_refund() -> None:
    with pytest.raises(RefundNotFound):
        with_refund_settled_by_hand(cancelled(), "r1", SETTLEMENT)


@pytest.mark.parametrize("status", list(RefundStatus))
def test_what_was_paid_by_hand_stays_so(status: RefundStatus) -> None:
    """Whatever the payment provider says of it later."""
    settled = with_refund_settled_by_hand(cancelled(refund("attempt", RefundStatus.FAILED)), "r1", SETTLEMENT)
    assert with_refund_settled(settled, "r1", status, "re_1") == settled


def test_a_refund_that_fails_later_keeps_its_identifier() -> None:
    """By which it is found at the payment provider; what asks for its state does not name it again."""
    paid = with_refund_settled(cancelled(refund("attempt", RefundStatus.PENDING)), "r1", RefundStatus.COMPLETED, "re_1")
    (failed,) = with_refund_settled(paid, "r1", RefundStatus.FAILED).refunds
    assert (failed.status, failed.provider_id) == (RefundStatus.FAILED, "re_1")
