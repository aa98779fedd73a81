"""Refunds that staff pay by hand."""

from dataclasses import replace

from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.charging import find_refund
from cinema_grpc.domain.payment import Refund, RefundStatus, Settlement
from cinema_grpc.domain.staff_errors import RefundNotFound, RefundNotOpen


def with_refund_settled_by_hand(booking: Booking, refund_id: str, settlement: Settlement) -> Booking:
    """Return a booking with a refund COMPLETED by hand.

    Raises:
        RefundNotFound: The booking has no such refund.
        RefundNotOpen: The refund is not to be paid by hand.
    """
    refund = find_refund(booking, refund_id)
    if refund is None:
        raise RefundNotFound(refund_id)
    if not _is_open(refund):
        raise RefundNotOpen(refund_id, refund.status.value)
    return booking.with_refund(replace(refund, status=RefundStatus.COMPLETED, settlement=settlement))


def _is_open(refund: Refund) -> bool:
    """Return whether a refund is to be paid by hand: the provider has given it up, or never had a charge for it."""
    of_counter_sale = not refund.attempt_id
    return refund.status is RefundStatus.FAILED or (refund.status is RefundStatus.PENDING and of_counter_sale)
