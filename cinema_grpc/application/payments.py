"""ConfirmPayment opens a payment attempt and awaits its end; recovery finds attempts left open, and carries them on.

Attempts are left open by a process that died, by a provider that did not answer in time, or by a customer who has to
act.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import structlog
import uuid_utils

from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.errors import CommitOutcomeUnknown, PaymentUnavailable, ShuttingDown
from cinema_grpc.application.idempotency import IdempotencyKey, IdempotentCall, request_text
from cinema_grpc.application.payment_ports import OpenAttempt, PaymentStore
from cinema_grpc.application.payment_saga import PaymentSaga, WaitsForCustomer
from cinema_grpc.application.payment_steps import Payer
from cinema_grpc.application.retry_policy import BATCH_SIZE, OVERDUE_AFTER, PROVIDER_SECONDS, backoff
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import HoldExpired, PaymentDeclined, PaymentInProgress, ShowtimeCancelled
from cinema_grpc.domain.charging import with_decline_settled, with_payment_resumed
from cinema_grpc.domain.errors import CinemaError, FieldViolation, InvalidRequest
from cinema_grpc.domain.payment import UNSETTLED, AttemptStatus, PaymentAttempt
from cinema_grpc.domain.terms import Terms

logger = structlog.get_logger()

SECONDS_BETWEEN_RECOVERIES = 2.0
POLL_SECONDS = 0.5
"""How often a repeat of a request looks for the outcome of an attempt that another process opened."""


def _future() -> "asyncio.Future[bytes]":
    return asyncio.get_running_loop().create_future()


@dataclass(eq=False, slots=True)
class _Call:
    """A ConfirmPayment call under way.

    Attributes:
        answer: What its first caller gets: an error as soon as the outcome is delayed, or the outcome.
        outcome: What repeats of the call get.
    """

    showtime_id: str
    booking_id: str
    user_id: str
    payment_token: str
    idempotency: IdempotentCall | None
    attempt_id: str = field(default_factory=lambda: str(uuid_utils.uuid7()))
    answer: "asyncio.Future[bytes]" = field(default_factory=_future)
    outcome: "asyncio.Future[bytes]" = field(default_factory=_future)


class Payments:
    """Takes payments, each in a task of the server: a caller who hangs up changes nothing."""

    def __init__(self, store: PaymentStore, saga: PaymentSaga, overdue: Callable[[], None] = lambda: None) -> None:
        """Take payments by a saga; `overdue` is called when the recovery of one fails after OVERDUE_AFTER."""
        self._store = store
        self._saga = saga
        self._overdue = overdue
        self._calls: dict[IdempotencyKey, _Call] = {}
        self._tasks: dict[str, asyncio.Task[bytes]] = {}  # by attempt_id
        self._stopping = False

    async def confirm(
        self, showtime_id: str, booking_id: str, user_id: str, payment_token: str, idempotency: IdempotentCall | None
    ) -> bytes:
        """Charge a booking, confirm it, and return the response; a repeat of a call under way waits for its outcome.

        If the customer has to act first, the response says so. Afterwards an empty token goes on with the payment.

        Raises:
            InvalidRequest: The token is empty, the booking costs more than 0, and its customer was not asked to act.
            ShowtimeCancelled, HoldExpired, BookingNotReserved, SalesClosed, PaymentInProgress, GapLeftByPayment,
                PaymentDeclined.
            RequestIdReused: The request_id belongs to a call with other content.
            PaymentUnavailable, StorageUnavailable: The outcome is not known yet.
            ShuttingDown: The server is stopping.
        """
        if self._stopping:
            raise ShuttingDown
        first = None if idempotency is None else self._calls.get(idempotency.key)
        if idempotency is not None and first is not None and first.idempotency is not None:
            idempotency.check(first.idempotency.digest())
            await asyncio.wait([first.outcome], timeout=PROVIDER_SECONDS)
            if not first.outcome.done():
                raise PaymentUnavailable(booking_id)
            return first.outcome.result()
        call = _Call(showtime_id, booking_id, user_id, payment_token, idempotency)
        if idempotency is not None:
            self._calls[idempotency.key] = call
        task = asyncio.create_task(self._pay(call), name=f"payment of booking {booking_id}")
        self._tasks[call.attempt_id] = task
        task.add_done_callback(partial(self._finish, call))
        try:
            return await call.answer
        finally:
            del call  # else an error that it holds leads to this frame and back: a reference cycle

    async def recover(self) -> None:
        """Carry each attempt that is due to its end, unless a task of this process is at it.

        Raises:
            StorageUnavailable.
        """
        while attempts := await self._store.take_attempts(self._saga.grace, BATCH_SIZE, backoff):
            await asyncio.gather(*(self._recover(each) for each in attempts if each.attempt_id not in self._tasks))

    async def stop(self, grace: float) -> None:
        """Take no more payments, and cancel those that are not settled after `grace` seconds."""
        self._stopping = True
        if not self._tasks:
            return
        _, unfinished = await asyncio.wait(self._tasks.values(), timeout=grace)
        for task in unfinished:
            logger.error("a payment was not settled before the server stopped", payment=task.get_name())
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)

    async def _pay(self, call: _Call) -> bytes:
        payer = Payer(call.payment_token, partial(_fail, call.answer))
        opened = await self._open(call, payer)
        if isinstance(opened, bytes):
            return opened
        booking, attempt = opened
        response = await self._saga.carry(booking, attempt, payer)
        if response is not None:
            return response

        def end(decision: Decision) -> bytes | None:
            booking, terms, now = decision.showtime.booking(call.booking_id), decision.showtime.terms, decision.now
            if booking.attempt(attempt.attempt_id, AttemptStatus.CHARGED):
                return self._saga.encode(with_payment_resumed(booking, terms, now, ""))
            booking.check_payable(terms, now)
            return None

        # Recovery, or another call after the customer has acted, may have settled the attempt meanwhile.
        response = await self._saga.write(call.showtime_id, call.booking_id, payer, end, call.idempotency)
        if response is not None:
            return response
        raise PaymentDeclined(call.booking_id) if attempt.action else PaymentUnavailable(call.booking_id)

    async def _open(self, call: _Call, payer: Payer) -> tuple[Booking, PaymentAttempt] | bytes:
        """Open an attempt, or return the stored response to the call; if another process is at it, wait for that."""
        request = request_text(call.idempotency)

        def open_attempt(decision: Decision) -> tuple[Booking, PaymentAttempt] | bytes:
            if call.payment_token or _opens_without_token(
                decision.showtime.booking(call.booking_id, call.user_id), decision.showtime.terms, decision.now
            ):
                booking = decision.showtime.open_payment(
                    call.booking_id, call.user_id, call.attempt_id, decision.now, request
                )
            else:
                showtime, now = decision.showtime, decision.now
                booking = showtime.update(call.booking_id, with_payment_resumed, showtime.terms, now, request)
            attempt = booking.payment
            assert attempt is not None  # noqa: S101 (for mypy: it was just opened, or there was one)
            return (booking, attempt) if attempt.unsettled else self._saga.encode(booking)

        command = Command(
            call.showtime_id,
            open_attempt,
            caller=call.user_id,
            booking_id=call.booking_id,
            idempotency=call.idempotency,
        )
        loop = asyncio.get_running_loop()
        end = loop.time() + PROVIDER_SECONDS
        while True:
            try:
                return await self._saga.box_office.execute(command)
            except PaymentInProgress as error:
                if not error.of_this_request:
                    raise
                if self._stopping:
                    raise ShuttingDown from error
                if loop.time() + POLL_SECONDS > end:  # that process may be dead
                    raise PaymentUnavailable(call.booking_id) from error
            except CommitOutcomeUnknown as error:
                # If the attempt was opened, it can end at once: the provider was not asked.
                payer.answer_early(error)
                await self._saga.write(
                    call.showtime_id,
                    call.booking_id,
                    payer,
                    lambda decision: decision.showtime.update(call.booking_id, with_decline_settled, call.attempt_id),
                )
                raise
            await asyncio.sleep(POLL_SECONDS)

    def _finish(self, call: _Call, task: "asyncio.Task[bytes]") -> None:
        del self._tasks[call.attempt_id]
        if call.idempotency is not None:
            del self._calls[call.idempotency.key]
        error = ShuttingDown() if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, CinemaError):
            logger.error("a payment failed", booking_id=call.booking_id, attempt_id=call.attempt_id, exc_info=error)
        for future in (call.answer, call.outcome):
            if error is not None:
                _fail(future, error)
            elif not future.done():
                future.set_result(task.result())

    async def _recover(self, attempt: OpenAttempt) -> None:
        booking_id, user_id = attempt.booking_id, attempt.user_id
        context = {"booking_id": booking_id, "attempt_id": attempt.attempt_id, "tries": attempt.tries + 1}
        try:
            booking = await self._saga.write(
                attempt.showtime_id, booking_id, None, lambda decision: decision.showtime.booking(booking_id, user_id)
            )
            unsettled = booking.attempt(attempt.attempt_id, *UNSETTLED)
            if unsettled is None:
                return
            response = await self._saga.carry(booking, unsettled)
        except (WaitsForCustomer, PaymentInProgress):  # or another process is calling it off
            return
        except (PaymentDeclined, HoldExpired, ShowtimeCancelled) as end:
            logger.info("an open payment is settled", **context, outcome=end.reason)
        except Exception as error:  # noqa: BLE001 (an attempt that fails must not stop the others)
            overdue = attempt.age >= OVERDUE_AFTER
            log = logger.error if overdue else logger.warning
            retry_seconds = backoff(attempt.tries).total_seconds()
            log("an open payment can't be settled yet", **context, retry_seconds=retry_seconds, error=repr(error))
            if overdue:
                self._overdue()
        else:
            outcome = "CONFIRMED" if response is not None else "VOIDED"
            logger.info("an open payment is settled", **context, outcome=outcome)


def _opens_without_token(booking: Booking, terms: Terms, now: datetime) -> bool:
    """Return whether a call without a token opens a payment, as the booking costs nothing. Otherwise it resumes one.

    Raises:
        ShowtimeCancelled, HoldExpired, BookingNotReserved, SalesClosed, PaymentInProgress: See Booking.check_payable.
        InvalidRequest: It needs a token.
    """
    if booking.total_price.minor_units == 0:
        return True
    if booking.payment is None or not booking.payment.action:
        booking.check_payable(terms, now)
        problem = "must be 1 to 255 characters, for a booking that costs more than 0"
        raise InvalidRequest(FieldViolation("payment_token", problem))
    return False


def _fail(future: "asyncio.Future[bytes]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # marks it as retrieved: the caller may have hung up
