"""What a customer pays at: payments over a box office, and a provider that is slow or loses its answer when told to."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.application.payment_ports import ProviderUnavailable
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.money import Money
from tests.application.paying import GRACE

if TYPE_CHECKING:
    from tests.application.conftest import House


class Provider(SimulatedPayments):
    """The simulated provider with books of its own, a gate that holds charges up, and answers that get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.charged: dict[str, Money] = {}
        self.refunded: dict[str, Money] = {}
        self.open = asyncio.Event()
        self.open.set()
        self.arrived = asyncio.Event()
        self.lost_answers = 0
        self.calls = 0

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        self.calls += 1
        self.arrived.set()
        await self.open.wait()
        taken = await super().charge(key, amount, payment_token)
        if taken:
            self.charged[key] = amount
        self._lose()
        return taken

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        await super().refund(key, charge_key, amount)
        self.refunded[key] = amount
        self._lose()

    def _lose(self) -> None:
        if self.lost_answers:
            self.lost_answers -= 1
            raise ProviderUnavailable


@dataclass
class Desk:
    """What a customer deals with, and what stands behind it."""

    house: "House"
    provider: Provider
    payments: Payments
    bookings: Bookings
    refunds: Refunds

    async def pay(self, booking: Booking, token: str = "tok_visa", request: Once[Booking] | None = None) -> Booking:
        return await self.bookings.confirm(booking.user_id, booking.booking_id, token, request)

    async def pay_afresh(self, booking: Booking) -> Booking:
        """Repeat a request as after a restart."""
        owe = self.refunds.owe
        saga = PaymentSaga(self.house.box_office, self.provider, owe, GRACE)
        payments = Payments(SqlPaymentStore(self.house.database), saga)
        bookings = Bookings(self.house.box_office, self.house.reader, payments, timedelta(minutes=10), owe)
        return await bookings.confirm(booking.user_id, booking.booking_id, "tok_visa", request())

    async def read(self, booking: Booking) -> Booking:
        return await self.bookings.get(booking.user_id, booking.booking_id)


def open_desk(house: "House") -> Desk:
    """Open a desk in a house."""
    provider = Provider()
    store = SqlPaymentStore(house.database)
    refunds = Refunds(store, house.box_office, provider, GRACE)
    payments = Payments(store, PaymentSaga(house.box_office, provider, refunds.owe, GRACE))
    bookings = Bookings(house.box_office, house.reader, payments, timedelta(minutes=10), refunds.owe)
    return Desk(house, provider, payments, bookings, refunds)


def request(request_id: str = "r1", content: bytes = b"content") -> Once[Booking]:
    return Once(RequestKey("ada", "ConfirmPayment", request_id), lambda: content, Booking)


async def outcomes(*calls: Any) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), timeout=30)
