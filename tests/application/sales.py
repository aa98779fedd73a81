"""Payments over a box office, and a provider that is slow or loses its answer on request."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.payment_ports import (
    TAKEN,
    Charge,
    ChargeOutcome,
    OwedRefund,
    ProviderUnavailable,
    RefundState,
)
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.money import Money
from tests.application.commands import RANDOM_TICKETS, TEN_MINUTES, decode, encode, encode_action, idempotent_call
from tests.application.paying import GRACE

if TYPE_CHECKING:
    from tests.application.conftest import App


class Provider(SimulatedPayments):
    """The simulated provider with a record of its own, a gate that delays charges, and answers that get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.charged: dict[str, Money] = {}
        self.refunded: dict[str, Money] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Event()
        self.lost_answers = 0
        self.calls = 0

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        self.calls += 1
        self.arrived.set()
        await self.open.wait()
        outcome = await super().charge(charge, payment_token)
        if outcome == TAKEN:
            self.charged[charge.attempt_id] = charge.amount
        self._lose()
        return outcome

    async def refund(self, refund: OwedRefund) -> RefundState:
        state = await super().refund(refund)
        self.refunded[refund.refund_id] = refund.amount
        self._lose()
        return state

    def _lose(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise ProviderUnavailable


@dataclass
class Sales:
    """What customers buy through, and the provider."""

    app: "App"
    provider: Provider
    payments: Payments
    bookings: Bookings
    refunds: Refunds

    async def pay(self, booking: Booking, token: str = "tok_visa", call: IdempotentCall | None = None) -> Booking:
        return decode(await self.bookings.confirm(booking.user_id, booking.booking_id, token, call))

    async def pay_elsewhere(self, booking: Booking) -> Booking:
        """Repeat a call as after a restart, or at another process."""
        saga = PaymentSaga(self.app.box_office, self.provider, encode, GRACE, encode_action, RANDOM_TICKETS)
        payments = Payments(SqlPaymentStore(self.app.database), saga)
        bookings = Bookings(self.app.box_office, self.app.reader, payments, TEN_MINUTES)
        return decode(await bookings.confirm(booking.user_id, booking.booking_id, "tok_visa", confirming()))

    async def cancel(self, booking: Booking, call: IdempotentCall | None = None) -> Booking:
        return decode(await self.bookings.cancel(booking.user_id, booking.booking_id, call, encode))

    async def read(self, booking: Booking) -> Booking:
        return await self.bookings.get(booking.user_id, booking.booking_id)


def open_sales(app: "App") -> Sales:
    """Take payments in an app."""
    provider = Provider()
    store = SqlPaymentStore(app.database)
    refunds = Refunds(store, app.box_office, provider, GRACE)
    payments = Payments(store, PaymentSaga(app.box_office, provider, encode, GRACE, encode_action, RANDOM_TICKETS))
    bookings = Bookings(app.box_office, app.reader, payments, TEN_MINUTES)
    app.box_office.on_commit(refunds.note_commit)
    app.box_office.on_commit(bookings.note_commit)
    return Sales(app, provider, payments, bookings, refunds)


def confirming(request: bytes = b"a request") -> IdempotentCall:
    """Return a ConfirmPayment call with a request_id."""
    return idempotent_call(request=request, rpc="ConfirmPayment")


async def outcomes(*calls: Any) -> list[Any]:
    """Make calls at once, and return what each came to."""
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), timeout=30)
