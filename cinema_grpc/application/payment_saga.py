"""The payment saga: it carries an attempt to charge from any state to its end, and stores each step.

Every step can be repeated by any process: the attempt's id is the provider's idempotency key, and settling an attempt
again changes nothing. So it does not matter which process goes on, where one died, or whether one is only slow.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog
import uuid_utils

from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Decision
from cinema_grpc.application.errors import PaymentUnavailable
from cinema_grpc.application.idempotency import REFUSED, IdempotentCall, read_request
from cinema_grpc.application.payment_ports import (
    TAKEN,
    ActionRequired,
    Charge,
    ChargeOutcome,
    Declined,
    PaymentGateway,
    Taken,
    charge_of,
)
from cinema_grpc.application.payment_steps import Payer, ask_provider, store_step
from cinema_grpc.application.tickets import TicketIssuer
from cinema_grpc.domain.booking import Booking, CancelCause
from cinema_grpc.domain.booking_errors import HoldExpired, PaymentDeclined, ShowtimeCancelled
from cinema_grpc.domain.charging import (
    waits_for_customer,
    with_action_asked,
    with_charge_settled,
    with_decline_settled,
    with_provider_id,
    with_void_begun,
    with_void_settled,
)
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt

logger = structlog.get_logger()

A = TypeVar("A")


class WaitsForCustomer(Exception):
    """The customer has to act before the payment can go on, and the response that says so is stored."""


@dataclass(frozen=True, slots=True)
class PaymentSaga:
    """Carries payment attempts to their ends.

    Attributes:
        box_office: Stores the steps.
        gateway: The provider.
        encode: Returns the response to ConfirmPayment for a CONFIRMED booking.
        grace: How long an attempt belongs to the process that opened it. That repeats the charge until then if the
            provider does not answer; later it is left to recovery.
        encode_action: Returns the response to ConfirmPayment for a booking whose customer has to act.
        issuer: Issues the tickets of a booking that is paid for.
    """

    box_office: BoxOffice
    gateway: PaymentGateway
    encode: Callable[[Booking], bytes]
    grace: timedelta
    encode_action: Callable[[Booking, ActionRequired], bytes]
    issuer: TicketIssuer

    async def carry(self, booking: Booking, attempt: PaymentAttempt, payer: Payer | None = None) -> bytes | None:
        """Carry an attempt from its present state to its end, or until the customer has to act.

        Returns:
            The response to its call, if the booking is CONFIRMED or the customer has to act; None if the attempt is
            VOIDED.

        Args:
            booking: The booking.
            attempt: Its latest attempt, which is OPEN or VOIDING.
            payer: The caller who has just opened it or goes on with it; None in recovery.

        Raises:
            PaymentDeclined: The provider declined the charge.
            HoldExpired, ShowtimeCancelled: The charge came too late, and its refund is stored.
            PaymentUnavailable: With a `payer`: recovery has to go on.
            HoldExpired, BookingNotReserved, SalesClosed, PaymentInProgress: Another process called the attempt off.
            WaitsForCustomer: Without a `payer`.
            Exception: Without a `payer`: the provider or the database failed.
        """
        attempt_id, charge = attempt.attempt_id, charge_of(booking, attempt)
        if attempt.status is AttemptStatus.OPEN:
            charge, outcome = await self._outcome(charge, attempt, payer)
            response = await self._settle(booking, charge, attempt, payer, outcome)
            if response is not None:
                return response
            # The charge may still be on its way, so the attempt is called off: in the database before at the provider.
            voiding = await self._update(booking, payer, with_void_begun, attempt_id)
            called_off = voiding.attempt(attempt_id, AttemptStatus.VOIDING)
            if called_off is None:
                return None  # another process has settled it
            charge = charge_of(voiding, called_off)  # its process may have stored the provider's identifier since
        if await self._ask(charge, payer, partial(self.gateway.void, charge)):
            return await self._settle_charge(booking, attempt, payer, expected=AttemptStatus.VOIDING)
        await self._update(booking, payer, with_void_settled, attempt_id)
        return None

    async def _outcome(
        self, charge: Charge, attempt: PaymentAttempt, payer: Payer | None
    ) -> tuple[Charge, ChargeOutcome | None]:
        """Return a charge with its identifier at the provider, and its outcome; None if the provider knows of none."""
        if charge.amount.minor_units == 0:
            return charge, TAKEN
        if payer is None or attempt.action:
            return charge, await self._ask(charge, payer, partial(self.gateway.find, charge))
        token = payer.payment_token
        provider_id: str | Declined = await self._ask(charge, payer, partial(self.gateway.prepare, charge, token))
        if isinstance(provider_id, Declined):
            return charge, provider_id
        if provider_id:
            charge = await self._stored(charge, payer, provider_id)
        return charge, await self._ask(charge, payer, partial(self.gateway.charge, charge, token))

    async def _stored(self, charge: Charge, payer: Payer, provider_id: str) -> Charge:
        """Store the provider's identifier of a charge before it can take money.

        Raises:
            PaymentUnavailable: Recovery has called the attempt off.
        """
        booking_id, attempt_id = charge.booking_id, charge.attempt_id

        def store(decision: Decision) -> Booking:
            return decision.showtime.update(booking_id, with_provider_id, attempt_id, provider_id)

        stored = await self.write(charge.showtime_id, booking_id, payer, store)
        if stored.attempt(attempt_id, AttemptStatus.OPEN) is None:
            raise PaymentUnavailable(booking_id)
        return replace(charge, provider_id=provider_id)

    async def _settle(
        self,
        booking: Booking,
        charge: Charge,
        attempt: PaymentAttempt,
        payer: Payer | None,
        outcome: ChargeOutcome | None,
    ) -> bytes | None:
        """Store an outcome, and return the response; None if the attempt has to be called off."""
        if isinstance(outcome, Taken):
            return await self._settle_charge(booking, attempt, payer)
        if attempt.action and payer is None and await self._waits(booking, attempt.attempt_id):
            raise WaitsForCustomer  # the customer's next call gets the outcome, and the reason of a decline
        if isinstance(outcome, Declined):
            return await self._settle_decline(booking, charge, attempt, payer, outcome)
        if isinstance(outcome, ActionRequired):
            asked = await self._ask_customer(booking, attempt, payer, outcome)
            if payer is None and asked is not None:
                raise WaitsForCustomer
            return asked
        return None

    async def _waits(self, booking: Booking, attempt_id: str) -> bool:
        booking_id = booking.booking_id
        return await self.write(
            booking.showtime_id,
            booking_id,
            None,
            lambda decision: waits_for_customer(decision.showtime.booking(booking_id), attempt_id, decision.now),
        )

    async def _ask_customer(
        self, booking: Booking, attempt: PaymentAttempt, payer: Payer | None, action: ActionRequired
    ) -> bytes | None:
        """Store that the customer has to act, with the response; return None if there is no time left for it."""

        def ask(decision: Decision) -> bytes | None:
            asked = decision.showtime.update(booking.booking_id, with_action_asked, attempt.attempt_id, decision.now)
            waits = waits_for_customer(asked, attempt.attempt_id, decision.now)
            return self.encode_action(asked, action) if waits else None

        call = read_request(booking.user_id, attempt.request)
        return await self.write(booking.showtime_id, booking.booking_id, payer, ask, call)

    async def _settle_decline(
        self, booking: Booking, charge: Charge, attempt: PaymentAttempt, payer: Payer | None, declined: Declined
    ) -> bytes:
        # A late request, or the customer's client, could still make a charge with an identifier succeed.
        if charge.provider_id != "" and await self._ask(charge, payer, partial(self.gateway.void, charge)):
            return await self._settle_charge(booking, attempt, payer)
        await self._update(booking, payer, with_decline_settled, attempt.attempt_id)
        raise PaymentDeclined(booking.booking_id, declined.code)

    async def _settle_charge(
        self,
        booking: Booking,
        attempt: PaymentAttempt,
        payer: Payer | None,
        expected: AttemptStatus = AttemptStatus.OPEN,
    ) -> bytes:
        issue, refund_id, settled = self.issuer.begin(), str(uuid_utils.uuid7()), booking

        def settle(decision: Decision) -> bytes | None:
            nonlocal settled
            showtime = decision.showtime
            settled = showtime.update(
                booking.booking_id,
                with_charge_settled,
                attempt.attempt_id,
                issue(showtime.terms, booking.seats),
                refund_id,
                showtime.terms,
                decision.now,
                expected=expected,
            )
            if settled.confirm_time is not None:
                return self.encode(settled)
            return REFUSED if settled.refunds else None

        call = read_request(booking.user_id, attempt.request)
        response = await self.write(booking.showtime_id, booking.booking_id, payer, settle, call)
        if response is None:
            logger.error("the provider took the money of a declined payment", attempt_id=attempt.attempt_id)
            raise PaymentUnavailable(booking.booking_id)
        if response == REFUSED and settled.cancel_cause is CancelCause.SHOWTIME:
            raise ShowtimeCancelled(booking.showtime_id, charged=True)
        if response == REFUSED:
            raise HoldExpired(booking.booking_id, settled.hold_expire_time, charged=True)
        return response

    async def _update(
        self, booking: Booking, payer: Payer | None, step: Callable[[Booking, str], Booking], attempt_id: str
    ) -> Booking:
        booking_id = booking.booking_id
        return await self.write(
            booking.showtime_id,
            booking_id,
            payer,
            lambda decision: decision.showtime.update(booking_id, step, attempt_id),
        )

    async def _ask(self, charge: Charge, payer: Payer | None, question: Callable[[], Awaitable[A]]) -> A:
        return await ask_provider(charge, payer, self.grace, question)

    async def write(
        self,
        showtime_id: str,
        booking_id: str,
        payer: Payer | None,
        change: Callable[[Decision], A],
        call: IdempotentCall | None = None,
    ) -> A:
        """Store a step; see `store_step`."""
        return await store_step(self.box_office, showtime_id, booking_id, payer, change, call)
