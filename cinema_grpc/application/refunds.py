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
from cinema_grpc.application.payment_ports import (
    OwedRefund,
    PaymentGateway,
    PaymentStore,
    RefundRefused,
    RefundState,
)
from cinema_grpc.application.retry_policy import BATCH_SIZE, MAX_TRIES, PROVIDER_SECONDS, backoff
from cinema_grpc.domain.charging import with_refund_settled
from cinema_grpc.domain.payment import RefundStatus

logger = structlog.get_logger()

SECONDS_BETWEEN_PASSES = 5.0
PAUSE_WHILE_WATCHED = timedelta(days=1)
WATCH_REFUNDS_FOR = timedelta(days=30)
"""How often the provider is asked whether a paid refund stands, and for how long. The bank of a customer whose card was
closed may return the money weeks later."""
MAX_QUEUED = 10_000
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
        self._queue: deque[OwedRefund] = deque(maxlen=MAX_QUEUED)
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
                            charge_provider_id="" if booking.payment is None else booking.payment.provider_id,
                        )
                    )
                    self.task.wake()

    async def run_pass(self) -> None:
        """Pay each refund that was stored here, or that is due; and ask about refunds that were paid, but may fail yet.

        Raises:
            StorageUnavailable.
        """
        while refunds := self._queued() or await self._store.take_refunds(self._grace, BATCH_SIZE, backoff):
            await asyncio.gather(*(self._pay(refund) for refund in refunds))
        while refunds := await self._store.take_paid_refunds(BATCH_SIZE, PAUSE_WHILE_WATCHED, WATCH_REFUNDS_FOR):
            await asyncio.gather(*(self._watch(refund) for refund in refunds))

    def _queued(self) -> list[OwedRefund]:
        return [self._queue.popleft() for _ in range(min(BATCH_SIZE, len(self._queue)))]

    async def _pay(self, refund: OwedRefund) -> None:
        log = _log_of(refund)
        try:
            state = await self._ask_provider(refund)
        except RefundRefused as refusal:
            await self._give_up(refund, refusal, "the provider refuses a refund: pay it by hand")
            return
        except Exception as error:  # noqa: BLE001 (a refund that fails must not stop the others)
            if refund.provider_id or refund.tries < MAX_TRIES:  # one that the provider knows is never given up
                log.warning("a refund is not paid yet", error=repr(error))
            else:
                await self._give_up(refund, error, "a refund is given up: pay it by hand")
            return
        if state.status is RefundStatus.FAILED:
            await self._give_up(refund, None, "a refund failed at the provider: pay it by hand", state.provider_id)
        elif await self._store_state(refund, state):
            log.info("a refund is paid" if state.status is RefundStatus.COMPLETED else "a refund is under way")

    async def _watch(self, refund: OwedRefund) -> None:
        try:
            state = await self._ask_provider(refund)
        except Exception as error:  # noqa: BLE001 (as above)
            _log_of(refund).warning("a refund that was paid can't be checked", error=repr(error))
            return
        if state.status is RefundStatus.FAILED:
            await self._give_up(refund, None, "a refund that was paid has failed since: pay it by hand")

    async def _give_up(self, refund: OwedRefund, cause: Exception | None, message: str, provider_id: str = "") -> None:
        if await self._store_state(refund, RefundState(RefundStatus.FAILED, provider_id)):
            _log_of(refund).error(message, **({} if cause is None else {"error": repr(cause)}))
            self._given_up()

    async def _ask_provider(self, refund: OwedRefund) -> RefundState:
        async with asyncio.timeout(PROVIDER_SECONDS):
            return await self._gateway.refund(refund)

    async def _store_state(self, refund: OwedRefund, state: RefundState) -> bool:
        """Store the state of a refund at the provider; return whether it is stored."""
        try:
            await self._box_office.execute(
                Command(
                    refund.showtime_id,
                    lambda decision: decision.showtime.update(
                        refund.booking_id, with_refund_settled, refund.refund_id, state.status, state.provider_id
                    ),
                    booking_id=refund.booking_id,
                    priority=Priority.MUST_RUN,
                )
            )
        except Exception as error:  # noqa: BLE001 (as above)
            _log_of(refund).warning("a refund is not stored yet", status=state.status.value, error=repr(error))
            return False
        return True


def _log_of(refund: OwedRefund) -> structlog.typing.FilteringBoundLogger:
    log: structlog.typing.FilteringBoundLogger = logger.bind(
        booking_id=refund.booking_id,
        refund_id=refund.refund_id,
        amount=refund.amount.minor_units,
        currency_code=refund.amount.currency_code,
        tries=refund.tries + 1,
    )
    return log
