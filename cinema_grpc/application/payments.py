"""Carrying payments through: write down the attempt, charge, write down what became of it.

Each payment runs in a task of its own that belongs to the server, so a caller who hangs up changes nothing. The
attempt's identifier is the provider's idempotency key: asking again never charges again. What this process does not
bring to an end, `recovery` does.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog
import uuid_utils

from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.errors import (
    FateUnknown,
    PaymentUnavailable,
    RequestIdReused,
    ShuttingDown,
    StorageUnavailable,
)
from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.application.payment_ports import ChargeVoided, PaymentGateway
from cinema_grpc.application.unsettled import PROVIDER_SECONDS
from cinema_grpc.domain.booking import Booking, BookingStatus, Ticket
from cinema_grpc.domain.booking_errors import HoldExpired, PaymentDeclined, PaymentInProgress
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.showtime import Showtime

logger = structlog.get_logger()

A = TypeVar("A")

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between two tries to learn what became of a charge, at first and at most."""
LONGEST_PAUSE_TO_WRITE = 2.0
"""Seconds between two tries to write it down, at most: far less than a repeat of the call waits for that. A database
that is away again and again, as when it changes hands, must not be missed each time that it is there."""


@dataclass(frozen=True, slots=True)
class _Payment:
    """A payment under way: what its first caller waits for, and what it comes to in the end."""

    showtime_id: str
    booking_id: str
    user_id: str
    payment_token: str
    once: Once[Booking] | None
    attempt_id: str
    answer: "asyncio.Future[Booking]"
    outcome: "asyncio.Future[Booking]"

    @property
    def content(self) -> bytes:
        """The digest of the request's content."""
        return b"" if self.once is None else self.once.digest()

    def tell(self, error: CinemaError) -> None:
        """Tell the caller that it is not known yet."""
        _settle(self.answer, error)

    def settle(self, outcome: Booking | BaseException) -> None:
        """Tell whoever waits what it came to."""
        _settle(self.answer, outcome)
        _settle(self.outcome, outcome)


class Payments:
    """Takes payments for bookings."""

    def __init__(
        self,
        box_office: BoxOffice,
        gateway: PaymentGateway,
        refund_owed: Callable[[Booking], None],
        grace: timedelta,
    ) -> None:
        """Set up.

        Args:
            box_office: Keeps who has paid.
            gateway: The provider.
            refund_owed: Told of a booking whose refund was written down, so that it is paid soon.
            grace: For how long the provider is asked again when it does not answer; then it is left to recovery.
        """
        self._box_office = box_office
        self._gateway = gateway
        self._refund_owed = refund_owed
        self._grace = grace
        self._under_way: set[str] = set()
        self._by_request: dict[RequestKey, _Payment] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def confirm(
        self, showtime_id: str, booking_id: str, user_id: str, payment_token: str, once: Once[Booking] | None
    ) -> Booking:
        """Charge a booking and confirm it; a repeat of a request that is under way waits for the same answer.

        Raises:
            HoldExpired, BookingNotReserved, SalesClosed, PaymentInProgress, PaymentDeclined, PaymentUnavailable,
            RequestIdReused.
        """
        if self._stopping:
            raise ShuttingDown
        under_way = None if once is None else self._by_request.get(once.key)
        if once is not None and under_way is not None:
            once.check(under_way.content)
            return await _outcome(under_way)
        payment = _Payment(
            showtime_id=showtime_id,
            booking_id=booking_id,
            user_id=user_id,
            payment_token=payment_token,
            once=once,
            attempt_id=str(uuid_utils.uuid7()),
            answer=asyncio.get_running_loop().create_future(),
            outcome=asyncio.get_running_loop().create_future(),
        )
        if once is not None:
            self._by_request[once.key] = payment
            payment.outcome.add_done_callback(lambda _: self._by_request.pop(once.key))
        task = asyncio.create_task(self._carry_through(payment), name=f"payment of booking {booking_id}")
        self._tasks.add(task)
        self._under_way.add(payment.attempt_id)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._under_way.discard(payment.attempt_id))
        # Not shielded: nobody else waits for this future, since repeats wait for `outcome`, so a caller may end it.
        return await payment.answer

    def is_under_way(self, attempt_id: str) -> bool:
        """Tell whether this process is still at an attempt."""
        return attempt_id in self._under_way

    async def stop(self, grace: float) -> None:
        """Let payments that are under way come to their end, for at most `grace` seconds; take no more."""
        self._stopping = True
        if self._tasks:
            _, unfinished = await asyncio.wait(self._tasks, timeout=grace)
            for task in unfinished:
                logger.error("a payment was cut short", payment=task.get_name())
                task.cancel()
            if unfinished:
                await asyncio.wait(unfinished)

    async def _carry_through(self, payment: _Payment) -> None:
        """Open the attempt, charge and settle; the callers get their answer as early as it is certain."""
        try:
            booking = await self._open(payment)
            if booking.payment is None or booking.payment.attempt_id != payment.attempt_id:
                payment.settle(_told(booking))  # what an earlier call with the same request_id came to
            elif await self._charge(payment, booking.total_price):
                settled = await self._settle_charge(payment, booking)
                if settled.refund is not None:
                    self._refund_owed(settled)
                payment.settle(_told(settled))
            else:
                await self._settle_decline(payment)
                payment.settle(PaymentDeclined(payment.booking_id))
        except (ChargeVoided, TimeoutError):
            payment.settle(PaymentUnavailable(payment.booking_id))  # it is up to recovery
        except Exception as error:
            if not isinstance(error, CinemaError):
                logger.exception("a payment broke down", booking_id=payment.booking_id, attempt_id=payment.attempt_id)
            payment.settle(error)
        finally:
            payment.settle(ShuttingDown())

    async def _open(self, payment: _Payment) -> Booking:
        """Write the attempt down; if nobody knows whether that was done, withdraw it, as no money was asked for yet."""
        try:
            return await self._open_once(payment)
        except FateUnknown as error:
            payment.tell(error)
            await self._write_down(
                payment, lambda showtime, _now: showtime.settle_decline(payment.booking_id, payment.attempt_id), None
            )
            raise

    async def _open_once(self, payment: _Payment) -> Booking:
        """Write the attempt down, or get the answer to this very request from whichever process is at it.

        Raises:
            PaymentUnavailable: That process has no answer yet, and may be dead.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + PROVIDER_SECONDS
        while True:
            try:
                return await self._try_to_open(payment)
            except PaymentInProgress as error:
                if not error.of_this_request:
                    raise
                if self._stopping:
                    raise ShuttingDown from error
                if loop.time() + FIRST_PAUSE > end:
                    raise PaymentUnavailable(payment.booking_id) from error
            await asyncio.sleep(FIRST_PAUSE)

    async def _try_to_open(self, payment: _Payment) -> Booking:
        return await self._box_office.execute(
            payment.showtime_id,
            lambda showtime, now: showtime.open_payment(
                payment.booking_id, payment.user_id, payment.attempt_id, now, _request_text(payment.once)
            ),
            caller=payment.user_id,
            booking_id=payment.booking_id,
            once=payment.once,
            recording=False,
        )

    async def _charge(self, payment: _Payment, amount: Money) -> bool:
        """Ask the provider until it answers, or the grace is over. Callers wait for the first try alone.

        Raises:
            ChargeVoided: The attempt was called off.
            TimeoutError: The provider did not answer in time.
        """
        if amount.minor_units == 0:
            return True
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + self._grace.total_seconds(), FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(PROVIDER_SECONDS):
                    return await self._gateway.charge(payment.attempt_id, amount, payment.payment_token)
            except ChargeVoided:
                raise
            except Exception as error:  # noqa: BLE001 (whatever it was, the money may have been taken)
                logger.warning(
                    "the provider did not answer for a charge; it is asked again",
                    booking_id=payment.booking_id,
                    attempt_id=payment.attempt_id,
                    error=type(error).__name__,
                )
                payment.tell(PaymentUnavailable(payment.booking_id))
            if loop.time() + pause >= end:
                raise TimeoutError
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _settle_charge(self, payment: _Payment, booking: Booking) -> Booking:
        tickets = issue_tickets(booking.seats)
        refund_id = str(uuid_utils.uuid7())
        return await self._write_down(
            payment,
            lambda showtime, now: showtime.settle_charge(
                payment.booking_id, payment.attempt_id, tickets, refund_id, now
            ),
            payment.once,
        )

    async def _settle_decline(self, payment: _Payment) -> Booking:
        return await self._write_down(
            payment, lambda showtime, _now: showtime.settle_decline(payment.booking_id, payment.attempt_id), None
        )

    async def _write_down(
        self, payment: _Payment, change: Callable[[Showtime, datetime], A], once: Once[A] | None
    ) -> A:
        """Write down what became of an attempt, however long that takes: the money must be accounted for."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._box_office.execute(
                    payment.showtime_id, change, booking_id=payment.booking_id, once=once, owed=True
                )
            except RequestIdReused:
                once = None  # another call took the request_id meanwhile; this one is written down all the same
            except StorageUnavailable as error:
                payment.tell(error)
            except CinemaError:
                raise  # the attempt was called off meanwhile, or the server ends
            except Exception:
                logger.exception(
                    "a payment can't be written down; it is tried again",
                    booking_id=payment.booking_id,
                    attempt_id=payment.attempt_id,
                )
                payment.tell(PaymentUnavailable(payment.booking_id))
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_TO_WRITE, pause * 2)


def issue_tickets(seats: Sequence[str]) -> list[Ticket]:
    """Make tickets whose codes can't be guessed."""
    return [Ticket(str(uuid_utils.uuid7()), seat, secrets.token_urlsafe(16)) for seat in seats]


def _request_text(once: Once[Booking] | None) -> str:
    """Write what a repeat of a call is known by, so that it can be kept with the attempt."""
    return "" if once is None else f"{once.key.rpc} {once.key.request_id} {once.digest().hex()}"


def read_request(user_id: str, text: str) -> Once[Booking] | None:
    """Read what was kept with the attempt of a user's call; None if the call had no request_id."""
    if not text:
        return None
    rpc, request_id, content = text.split(" ")
    return Once(RequestKey(user_id, rpc, request_id), partial(bytes.fromhex, content), Booking)


async def _outcome(payment: _Payment) -> Booking:
    """Wait for what a payment comes to, though not for ever.

    Raises:
        PaymentUnavailable: It is still not known.
    """
    try:
        return await asyncio.wait_for(asyncio.shield(payment.outcome), PROVIDER_SECONDS)
    except TimeoutError:
        raise PaymentUnavailable(payment.booking_id) from None


def _settle(future: "asyncio.Future[Booking]", outcome: Booking | BaseException) -> None:
    if future.done():
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
        future.exception()  # marks it as seen: perhaps nobody waits any more
    else:
        future.set_result(outcome)


def _told(booking: Booking) -> Booking | CinemaError:
    """What a caller is told of a booking whose charge went through: that it is theirs, or that the hold was over."""
    if booking.status is BookingStatus.EXPIRED:
        return HoldExpired(booking.booking_id, booking.hold_expire_time, charged=booking.refund is not None)
    return booking
