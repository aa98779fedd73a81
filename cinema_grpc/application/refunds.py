"""Refunds: each is stored when it is owed, then paid from what is stored, also after a crash."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog

from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Priority
from cinema_grpc.application.box_office.store import ShowtimeUpdate
from cinema_grpc.application.payment_ports import OwedRefund, PaymentGateway, PaymentStore
from cinema_grpc.application.retry_policy import BATCH_SIZE, MAXIMUM_TRIES, PROVIDER_SECONDS, backoff
from cinema_grpc.domain.charging import with_refund_settled
from cinema_grpc.domain.payment import RefundStatus

logger = structlog.get_logger()

SECONDS_BETWEEN_PASSES = 5.0
MAXIMUM_QUEUED = 10_000
"""How many refunds that were just stored are kept in memory; the store finds the others a little later."""


class Refunds:
    """Has the payment provider pay the refunds that are owed.

    Attributes:
        task: Runs the passes; a refund that was just stored wakes it.
    """

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
            store: Finds refunds that are owed.
            box_office: Stores which are paid.
            gateway: The provider.
            grace: How old a refund in the store has to be; until then it belongs to the process that stored it.
            given_up: Called for each refund that has to be paid by hand.
        """
        self._store = store
        self._box_office = box_office
        self._gateway = gateway
        self._grace = grace
        self._given_up = given_up
        self._queue: deque[OwedRefund] = deque(maxlen=MAXIMUM_QUEUED)
        self.task = BackgroundTask("refunds", self.run_pass, SECONDS_BETWEEN_PASSES)

    def note_commit(self, updates: Sequence[ShowtimeUpdate]) -> None:
        """Have a pass pay the refunds that were just stored."""
        for update in updates:
            for change in update.changes:
                booking = change.after
                known = 0 if change.before is None else len(change.before.refunds)
                for refund in booking.refunds[known:]:
                    if refund.status is not RefundStatus.PENDING or not refund.attempt_id:
                        continue  # counter sales are refunded by hand
                    self._queue.append(
                        OwedRefund(
                            booking.showtime_id,
                            booking.booking_id,
                            refund.refund_id,
                            refund.attempt_id,
                            refund.amount,
                        )
                    )
                    self.task.wake()

    async def run_pass(self) -> None:
        """Pay each refund that was stored here, or that is due.

        Raises:
            StorageUnavailable.
        """
        while refunds := self._queued() or await self._store.take_refunds(self._grace, BATCH_SIZE, backoff):
            await asyncio.gather(*(self._pay(refund) for refund in refunds))

    def _queued(self) -> list[OwedRefund]:
        return [self._queue.popleft() for _ in range(min(BATCH_SIZE, len(self._queue)))]

    async def _pay(self, refund: OwedRefund) -> None:
        log = logger.bind(
            booking_id=refund.booking_id,
            refund_id=refund.refund_id,
            amount=refund.amount.minor_units,
            currency_code=refund.amount.currency_code,
            tries=refund.tries + 1,
        )
        failure = await self._ask_provider(refund)
        if failure is not None and refund.tries < MAXIMUM_TRIES:
            log.warning("a refund is not paid yet", error=repr(failure))
            return
        status = RefundStatus.COMPLETED if failure is None else RefundStatus.FAILED
        try:
            await self._box_office.execute(
                Command(
                    refund.showtime_id,
                    lambda decision: decision.showtime.update(
                        refund.booking_id, with_refund_settled, refund.refund_id, status
                    ),
                    booking_id=refund.booking_id,
                    priority=Priority.MUST_RUN,
                )
            )
        except Exception as error:  # noqa: BLE001 (a refund that fails must not stop the others)
            log.warning("a refund is not stored yet", status=status.value, error=repr(error))
            return
        if failure is None:
            log.info("a refund is paid")
        else:
            log.error("a refund is given up: pay it by hand", error=repr(failure))
            self._given_up()

    async def _ask_provider(self, refund: OwedRefund) -> Exception | None:
        try:
            async with asyncio.timeout(PROVIDER_SECONDS):
                await self._gateway.refund(refund.refund_id, refund.attempt_id, refund.amount)
        except Exception as error:  # noqa: BLE001 (as above)
            return error
        return None
