"""Settling payments that were left open: by a process that has died, or whose provider did not answer in time."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog
import uuid_utils

from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.errors import RequestIdReused
from cinema_grpc.application.once import Once
from cinema_grpc.application.payment_ports import OpenAttempt, PaymentGateway, PaymentStore
from cinema_grpc.application.payments import issue_tickets, read_request
from cinema_grpc.application.unsettled import AT_ONCE, MOST_TRIES, PROVIDER_SECONDS, pause
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.payment import AttemptStatus

logger = structlog.get_logger()

SECONDS_BETWEEN_PASSES = 2.0


class Recovery:
    """Asks the provider what became of each attempt to charge that is still open, and settles it.

    A charge that the provider does not know may still be on its way, so it is called off: first in our books, so that
    nobody who hears of its success later can confirm a booking by it, and then with the provider, who gives back what
    it took. Both can be done again by whoever takes the attempt up next. So it does not matter which process does what,
    or where it dies, or whether the one that began the charge is only slow.
    """

    def __init__(
        self,
        store: PaymentStore,
        box_office: BoxOffice,
        gateway: PaymentGateway,
        is_under_way: Callable[[str], bool],
        refund_owed: Callable[[Booking], None],
        grace: timedelta,
        overdue: Callable[[], None] = lambda: None,
    ) -> None:
        """Set up.

        Args:
            store: Knows what is open.
            box_office: Keeps who has paid.
            gateway: The provider.
            is_under_way: Tells whether this process is still at an attempt itself.
            refund_owed: Told of a booking whose refund was written down, so that it is paid soon.
            grace: How old an attempt has to be.
            overdue: Told of each vain try to settle an attempt that has been tried often.
        """
        self._overdue = overdue
        self._store = store
        self._box_office = box_office
        self._gateway = gateway
        self._is_under_way = is_under_way
        self._refund_owed = refund_owed
        self._grace = grace

    async def run_pass(self) -> None:
        """Try to settle every attempt that is due.

        Raises:
            StorageUnavailable.
        """
        while attempts := await self._store.take_attempts(self._grace, AT_ONCE, pause):
            await asyncio.gather(*(self._recover(each) for each in attempts if not self._is_under_way(each.attempt_id)))

    async def _recover(self, attempt: OpenAttempt) -> None:
        try:
            await self._settle(attempt)
        except Exception as error:  # noqa: BLE001 (one that fails must not hold up the others)
            told = logger.warning if attempt.tries < MOST_TRIES else logger.error
            told(
                "a payment can't be settled; it is tried again",
                booking_id=attempt.booking_id,
                attempt_id=attempt.attempt_id,
                tries=attempt.tries + 1,
                next_try_seconds=pause(attempt.tries).total_seconds(),
                error=repr(error),
            )
            if attempt.tries >= MOST_TRIES:
                self._overdue()

    async def _settle(self, attempt: OpenAttempt) -> None:
        if attempt.status is AttemptStatus.OPEN:
            taken = await self._find(attempt)
            if taken is not None:
                return await (self._settle_charge(attempt) if taken else self._settle_decline(attempt))
        booking = await self._box_office.execute(  # before the provider is asked
            attempt.showtime_id,
            lambda showtime, _now: showtime.begin_void(attempt.booking_id, attempt.attempt_id),
            booking_id=attempt.booking_id,
            owed=True,
        )
        latest = booking.payment
        called_off = latest is not None and latest.attempt_id == attempt.attempt_id and latest.unsettled
        if called_off:
            await self._void(attempt)
        return None

    async def _find(self, attempt: OpenAttempt) -> bool | None:
        if attempt.amount.minor_units == 0:
            return True  # the provider was never asked
        async with asyncio.timeout(PROVIDER_SECONDS):
            return await self._gateway.find(attempt.attempt_id)

    async def _settle_charge(self, attempt: OpenAttempt) -> None:
        tickets, refund_id = issue_tickets(attempt.seats), str(uuid_utils.uuid7())

        async def write_down(once: Once[Booking] | None) -> Booking:
            return await self._box_office.execute(
                attempt.showtime_id,
                lambda showtime, now: showtime.settle_charge(
                    attempt.booking_id, attempt.attempt_id, tickets, refund_id, now
                ),
                booking_id=attempt.booking_id,
                once=once,
                owed=True,
            )

        try:
            booking = await write_down(read_request(attempt.user_id, attempt.request))
        except RequestIdReused:
            booking = await write_down(None)  # another call took the request_id meanwhile
        self._tell(attempt, booking)

    async def _settle_decline(self, attempt: OpenAttempt) -> None:
        booking = await self._box_office.execute(
            attempt.showtime_id,
            lambda showtime, _now: showtime.settle_decline(attempt.booking_id, attempt.attempt_id),
            booking_id=attempt.booking_id,
            owed=True,
        )
        self._tell(attempt, booking)

    async def _void(self, attempt: OpenAttempt) -> None:
        async with asyncio.timeout(PROVIDER_SECONDS):
            given_back = await self._gateway.void(attempt.attempt_id)
        refund_id = str(uuid_utils.uuid7())
        booking = await self._box_office.execute(
            attempt.showtime_id,
            lambda showtime, now: showtime.settle_void(
                attempt.booking_id, attempt.attempt_id, refund_id, now, given_back=given_back
            ),
            booking_id=attempt.booking_id,
            owed=True,
        )
        self._tell(attempt, booking)

    def _tell(self, attempt: OpenAttempt, booking: Booking) -> None:
        payment = booking.payment
        logger.info(
            "a payment that was left open is settled",
            booking_id=attempt.booking_id,
            attempt_id=attempt.attempt_id,
            attempt=payment.status.value if payment is not None else None,
            booking=booking.status.value,
        )
        if booking.refund is not None:
            self._refund_owed(booking)
