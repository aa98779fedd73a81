"""Paying back what is owed: every refund is written down first, and carried out from what is written down."""

import asyncio
from collections import deque
from collections.abc import Callable
from datetime import timedelta

import structlog

from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.payment_ports import OwedRefund, PaymentGateway, PaymentStore
from cinema_grpc.application.unsettled import AT_ONCE, MOST_TRIES, PROVIDER_SECONDS, pause
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.payment import RefundStatus

logger = structlog.get_logger()

SECONDS_BETWEEN_PASSES = 5.0
REFUNDS_AT_HAND = 10_000
"""How many refunds that were owed a moment ago are kept in memory; more are found in the database, a little later."""


class Refunds:
    """Has the payment provider carry out the refunds that are owed, those of processes that have died too."""

    def __init__(
        self,
        store: PaymentStore,
        box_office: BoxOffice,
        gateway: PaymentGateway,
        grace: timedelta,
        given_up: Callable[[], None] = lambda: None,
    ) -> None:
        """Set up.

        Args:
            store: Knows what is owed.
            box_office: Keeps what was paid.
            gateway: The provider.
            grace: How old a refund has to be to be taken up from the database, and not by whoever wrote it down.
            given_up: Told of each refund that has to be paid by hand.
        """
        self._given_up = given_up
        self._store = store
        self._box_office = box_office
        self._gateway = gateway
        self._grace = grace
        self._at_hand: deque[OwedRefund] = deque(maxlen=REFUNDS_AT_HAND)

    def owe(self, booking: Booking) -> None:
        """Take note of a refund that was written down just now, for the next pass."""
        refund = booking.refund
        if refund is not None and refund.status is RefundStatus.PENDING:
            self._at_hand.append(
                OwedRefund(booking.showtime_id, booking.booking_id, refund.refund_id, refund.attempt_id, refund.amount)
            )

    async def run_pass(self) -> None:
        """Try each refund that was written down here, or that is due.

        Raises:
            StorageUnavailable.
        """
        while refunds := self._take_at_hand() or await self._store.take_refunds(self._grace, AT_ONCE, pause):
            await asyncio.gather(*(self._pay_back(refund) for refund in refunds))

    def _take_at_hand(self) -> list[OwedRefund]:
        return [self._at_hand.popleft() for _ in range(min(AT_ONCE, len(self._at_hand)))]

    async def _pay_back(self, refund: OwedRefund) -> None:
        status = RefundStatus.COMPLETED
        try:
            async with asyncio.timeout(PROVIDER_SECONDS):
                await self._gateway.refund(refund.refund_id, refund.attempt_id, refund.amount)
        except Exception as error:  # noqa: BLE001 (one refund that fails must not hold up the others)
            if refund.tries < MOST_TRIES:
                self._complain(refund, error)
                return
            status = RefundStatus.FAILED
            logger.error("a refund is given up: pay it by hand", **_told(refund), error=repr(error))
        try:
            await self._write_down(refund, status)
        except Exception as error:  # noqa: BLE001 (as above)
            self._complain(refund, error)
        else:
            logger.info("a refund is settled", **_told(refund), status=status.value)
            if status is RefundStatus.FAILED:
                self._given_up()

    def _complain(self, refund: OwedRefund, error: Exception) -> None:
        logger.warning("a refund can't be paid; it is tried again", **_told(refund), error=repr(error))

    async def _write_down(self, refund: OwedRefund, status: RefundStatus) -> None:
        await self._box_office.execute(
            refund.showtime_id,
            lambda showtime, _now: showtime.settle_refund(refund.booking_id, refund.refund_id, status),
            booking_id=refund.booking_id,
            owed=True,
        )


def _told(refund: OwedRefund) -> dict[str, str | int]:
    return {
        "booking_id": refund.booking_id,
        "refund_id": refund.refund_id,
        "amount": refund.amount.minor_units,
        "currency_code": refund.amount.currency_code,
        "tries": refund.tries + 1,
    }
