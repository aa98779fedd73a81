"""The two steps of a payment that can fail for a while: to ask the provider, and to store what it said.

For a caller who pays they are tried again, since money may have moved.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import structlog

from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Decision, Priority
from cinema_grpc.application.errors import PaymentUnavailable, RequestIdReused, StorageUnavailable
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.payment_ports import Charge, ChargeVoided, ProviderUnavailable
from cinema_grpc.application.retry_policy import PROVIDER_SECONDS
from cinema_grpc.domain.errors import CinemaError

logger = structlog.get_logger()

A = TypeVar("A")

FIRST_RETRY_SECONDS = 0.5
LONGEST_CHARGE_RETRY_SECONDS = 30.0
LONGEST_WRITE_RETRY_SECONDS = 2.0
"""Pauses between tries to charge and to store the outcome: they double, from the first up to these. The second
limit is short, so that no brief return of a database that is failing over is missed."""


@dataclass(frozen=True, slots=True)
class Payer:
    """The caller of ConfirmPayment: the token to charge, and how to answer early that the outcome is delayed.

    The token is "" for a caller who goes on with a payment after the customer has acted.
    """

    payment_token: str
    answer_early: Callable[[CinemaError], None]


async def ask_provider(
    charge: Charge, payer: Payer | None, grace: timedelta, question: Callable[[], Awaitable[A]]
) -> A:
    """Ask the provider; for a payer until it answers or the grace is over. The payer waits for the first try only.

    Raises:
        PaymentUnavailable: With a `payer`: there was no answer in time, or the charge was voided.
        Exception: Without a `payer`: the provider failed.
    """
    if payer is None:
        async with asyncio.timeout(PROVIDER_SECONDS):
            return await question()
    booking_id, loop = charge.booking_id, asyncio.get_running_loop()
    end, pause = loop.time() + grace.total_seconds(), FIRST_RETRY_SECONDS
    while True:
        advice, repeatable = 0.0, True
        try:
            async with asyncio.timeout(PROVIDER_SECONDS):
                return await question()
        except ChargeVoided:
            raise PaymentUnavailable(booking_id) from None
        except Exception as error:  # noqa: BLE001 (whatever it is, the money may have been taken)
            problem = type(error).__name__
            if isinstance(error, ProviderUnavailable):
                problem, advice, repeatable = repr(error), error.retry_after, error.repeatable
            context = {"booking_id": booking_id, "attempt_id": charge.attempt_id, "error": problem}
            logger.warning("the provider did not answer", **context)
        payer.answer_early(PaymentUnavailable(booking_id))
        wait = max(pause, advice)
        if not repeatable or loop.time() + wait >= end:
            raise PaymentUnavailable(booking_id)
        await asyncio.sleep(wait)
        pause = min(LONGEST_CHARGE_RETRY_SECONDS, pause * 2)


async def store_step(
    box_office: BoxOffice,
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
            return await box_office.execute(
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
