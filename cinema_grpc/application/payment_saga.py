"""The payment saga: it carries an attempt to charge from any state to its end, and stores each step.

Every step can be repeated by any process: the attempt's id is the provider's idempotency key, and settling an attempt
again changes nothing. So it does not matter which process goes on, where one died, or whether one is only slow.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog
import uuid_utils

from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Decision, Priority
from cinema_grpc.application.errors import PaymentUnavailable, RequestIdReused, StorageUnavailable
from cinema_grpc.application.idempotency import REFUSED, IdempotencyKey, IdempotentCall
from cinema_grpc.application.payment_ports import ChargeVoided, PaymentGateway
from cinema_grpc.application.retry_policy import PROVIDER_SECONDS
from cinema_grpc.domain.booking import Booking, CancelCause, Ticket
from cinema_grpc.domain.booking_errors import HoldExpired, PaymentDeclined, ShowtimeCancelled
from cinema_grpc.domain.charging import with_charge_settled, with_decline_settled, with_void_begun, with_void_settled
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt

logger = structlog.get_logger()

A = TypeVar("A")

FIRST_RETRY_SECONDS = 0.5
LONGEST_CHARGE_RETRY_SECONDS = 30.0
LONGEST_WRITE_RETRY_SECONDS = 2.0
"""Pauses between tries to charge and to store the outcome: they double, from the first up to these. The second
limit is short, so that no brief return of a database that is failing over is missed."""


@dataclass(frozen=True, slots=True)
class Payer:
    """The caller of ConfirmPayment: the token to charge, and how to answer early that the outcome is delayed."""

    payment_token: str
    answer_early: Callable[[CinemaError], None]


@dataclass(frozen=True, slots=True)
class PaymentSaga:
    """Carries payment attempts to their ends.

    Attributes:
        box_office: Stores the steps.
        gateway: The provider.
        encode: Returns the response to ConfirmPayment for a CONFIRMED booking.
        grace: How long an attempt belongs to the process that opened it. That repeats the charge until then if the
            provider does not answer; later it is left to recovery.
    """

    box_office: BoxOffice
    gateway: PaymentGateway
    encode: Callable[[Booking], bytes]
    grace: timedelta

    async def carry(self, booking: Booking, attempt: PaymentAttempt, payer: Payer | None = None) -> bytes | None:
        """Carry an attempt from its present state to its end.

        Returns:
            The response to its call, if the booking is CONFIRMED; None if the attempt is VOIDED.

        Args:
            booking: The booking.
            attempt: Its latest attempt, which is OPEN or VOIDING.
            payer: The caller who has just opened it; None in recovery.

        Raises:
            PaymentDeclined: The provider declined the charge.
            HoldExpired, ShowtimeCancelled: The charge came too late, and its refund is stored.
            PaymentUnavailable: With a `payer`: recovery has to go on.
            HoldExpired, BookingNotReserved, SalesClosed, PaymentInProgress: Another process called the attempt off, and
                the provider gives the money back.
            Exception: Without a `payer`: the provider or the database failed.
        """
        booking_id, attempt_id, refund_id = booking.booking_id, attempt.attempt_id, str(uuid_utils.uuid7())
        write = partial(self.write, booking.showtime_id, booking_id, payer)
        if attempt.status is AttemptStatus.OPEN:
            taken = await self._outcome(booking, attempt_id, payer)
            if taken:
                return await self._settle_charge(booking, attempt, payer, refund_id)
            if taken is False:
                await write(lambda decision: decision.showtime.update(booking_id, with_decline_settled, attempt_id))
                raise PaymentDeclined(booking_id)
            # The charge may still be on its way, so the attempt is called off: in the database before at the provider.
            voiding = await write(lambda decision: decision.showtime.update(booking_id, with_void_begun, attempt_id))
            if voiding.attempt(attempt_id, AttemptStatus.VOIDING) is None:
                return None  # another process has settled it
        async with asyncio.timeout(PROVIDER_SECONDS):
            given_back = await self.gateway.void(attempt_id)
        await write(
            lambda decision: decision.showtime.update(
                booking_id, with_void_settled, attempt_id, refund_id, decision.now, given_back=given_back
            )
        )
        return None

    async def _settle_charge(
        self, booking: Booking, attempt: PaymentAttempt, payer: Payer | None, refund_id: str
    ) -> bytes:
        tickets, showtime_cancelled = issue_tickets(booking.labels), False

        def settle(decision: Decision) -> bytes | None:
            nonlocal showtime_cancelled
            showtime = decision.showtime
            settled = showtime.update(
                booking.booking_id,
                with_charge_settled,
                attempt.attempt_id,
                tickets,
                refund_id,
                showtime.terms,
                decision.now,
            )
            showtime_cancelled = settled.cancel_cause is CancelCause.SHOWTIME
            if settled.confirm_time is not None:
                return self.encode(settled)
            return REFUSED if settled.refunds else None

        call = read_request(booking.user_id, attempt.request)
        response = await self.write(booking.showtime_id, booking.booking_id, payer, settle, call)
        if response is None:
            logger.error("the provider took the money of a declined payment", attempt_id=attempt.attempt_id)
            raise PaymentUnavailable(booking.booking_id)
        if response == REFUSED and showtime_cancelled:
            raise ShowtimeCancelled(booking.showtime_id, charged=True)
        if response == REFUSED:
            raise HoldExpired(booking.booking_id, booking.hold_expire_time, charged=True)
        return response

    async def _outcome(self, booking: Booking, attempt_id: str, payer: Payer | None) -> bool | None:
        """Return whether the charge took the money; None if the provider knows of no charge."""
        if booking.total_price.minor_units == 0:
            return True
        if payer is not None:
            return await self._charge(booking, attempt_id, payer)
        async with asyncio.timeout(PROVIDER_SECONDS):
            return await self.gateway.find(attempt_id)

    async def _charge(self, booking: Booking, attempt_id: str, payer: Payer) -> bool:
        """Charge until the provider answers or the grace is over. The payer waits for the first try only."""
        booking_id, loop = booking.booking_id, asyncio.get_running_loop()
        end, pause = loop.time() + self.grace.total_seconds(), FIRST_RETRY_SECONDS
        while True:
            try:
                async with asyncio.timeout(PROVIDER_SECONDS):
                    return await self.gateway.charge(attempt_id, booking.total_price, payer.payment_token)
            except ChargeVoided:
                raise PaymentUnavailable(booking_id) from None
            except Exception as error:  # noqa: BLE001 (whatever it is, the money may have been taken)
                context = {"booking_id": booking_id, "attempt_id": attempt_id, "error": type(error).__name__}
                logger.warning("the provider did not answer a charge", **context)
            payer.answer_early(PaymentUnavailable(booking_id))
            if loop.time() + pause >= end:
                raise PaymentUnavailable(booking_id)
            await asyncio.sleep(pause)
            pause = min(LONGEST_CHARGE_RETRY_SECONDS, pause * 2)

    async def write(
        self,
        showtime_id: str,
        booking_id: str,
        payer: Payer | None,
        change: Callable[[Decision], A],
        call: IdempotentCall | None = None,
    ) -> A:
        """Store a step, and store its response; with a `payer` try until it succeeds, since money has moved.

        Raises:
            CinemaError: The change refuses, or the server is stopping.
            Exception: Without a `payer`: the database failed.
        """
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                return await self.box_office.execute(
                    Command(showtime_id, change, booking_id=booking_id, idempotency=call, priority=Priority.MUST_RUN)
                )
            except RequestIdReused:
                call = None  # another call has used the request_id since
                continue
            except StorageUnavailable as error:
                if payer is None:
                    raise
                payer.answer_early(error)
            except CinemaError:
                raise
            except Exception:
                if payer is None:
                    raise
                logger.exception("a payment is not stored yet", booking_id=booking_id)
                payer.answer_early(PaymentUnavailable(booking_id))
            await asyncio.sleep(pause)
            pause = min(LONGEST_WRITE_RETRY_SECONDS, pause * 2)


def issue_tickets(seats: Sequence[str]) -> list[Ticket]:
    """Return a ticket for each seat, with a code of 128 random bits."""
    return [Ticket(str(uuid_utils.uuid7()), seat, secrets.token_urlsafe(16)) for seat in seats]


def request_text(call: IdempotentCall | None) -> str:
    """Return what PaymentAttempt keeps of a call; "" for one without a request_id."""
    return "" if call is None else f"{call.key.rpc} {call.key.request_id} {call.digest()}"


def read_request(user_id: str, text: str) -> IdempotentCall | None:
    """Return the call that `text` was made of; None for ""."""
    if not text:
        return None
    rpc, request_id, digest = text.split(" ")
    return IdempotentCall(IdempotencyKey(user_id, rpc, request_id), lambda: digest)
