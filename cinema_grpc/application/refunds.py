"""Paying back what is owed: every refund is written down first, and carried out from what is written down."""

import asyncio

import structlog

from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.payments import PROVIDER_SECONDS
from cinema_grpc.application.ports import BookingReader, OwedRefund, PaymentGateway, StorageContention

logger = structlog.get_logger()

SECONDS_BETWEEN_PASSES = 15.0
REFUNDS_AT_ONCE = 100


class Refunds:
    """Has the payment provider carry out the refunds that are owed, those of an earlier run of the server too."""

    def __init__(self, reader: BookingReader, box_office: BoxOffice, gateway: PaymentGateway) -> None:
        self._reader = reader
        self._box_office = box_office
        self._gateway = gateway

    async def run_pass(self) -> None:
        """Try each refund that is owed, once.

        Raises:
            StorageUnavailable, ShuttingDown.
        """
        after = ""
        while owed := await self._reader.owed_refunds(after, REFUNDS_AT_ONCE):
            for refund in owed:
                await self._pay_back(refund)
            after = owed[-1].refund_id

    async def _pay_back(self, refund: OwedRefund) -> None:
        try:
            async with asyncio.timeout(PROVIDER_SECONDS):
                await self._gateway.refund(refund.refund_id, refund.attempt_id, refund.amount)
        except Exception as error:  # noqa: BLE001 (one refund that fails must not hold up the others)
            logger.warning(
                "the provider did not answer for a refund; it is tried again",
                booking_id=refund.booking_id,
                refund_id=refund.refund_id,
                error=type(error).__name__,
            )
            return
        try:
            await self._box_office.execute(
                refund.showtime_id,
                lambda showtime, _now: showtime.complete_refund(refund.booking_id, refund.refund_id),
                booking_id=refund.booking_id,
                tidying=True,
            )
        except StorageContention:
            return  # another replica is busy with the showtime; the next pass asks the provider again, which pays once
        logger.info("refunded", booking_id=refund.booking_id, refund_id=refund.refund_id)
