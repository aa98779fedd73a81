"""Replicas that take payments and can die at any point, and a provider whose charges can be held."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.once import Once
from cinema_grpc.application.payment_ports import PaymentGateway
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.money import Money

GRACE = timedelta(seconds=30)


class Provider(SimulatedPayments):
    """The simulated provider, with a gate before each charge and one after it."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = asyncio.Event(), asyncio.Event()
        self.before.set()
        self.after.set()
        self.arrived, self.made = asyncio.Event(), asyncio.Event()

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        self.arrived.set()
        await self.before.wait()
        taken = await super().charge(key, amount, payment_token)
        self.made.set()
        await self.after.wait()
        return taken


@dataclass
class Replica:
    """The part of a server process that takes payments."""

    database: Database
    box_office: BoxOffice
    provider: PaymentGateway
    refunds: Refunds = field(init=False)
    payments: Payments = field(init=False)

    def __post_init__(self) -> None:
        store = SqlPaymentStore(self.database)
        self.refunds = Refunds(store, self.box_office, self.provider, GRACE)
        self.payments = Payments(store, PaymentSaga(self.box_office, self.provider, self.refunds.owe, GRACE))

    def pay(
        self, booking: Booking, token: str = "tok_visa", once: Once[Booking] | None = None
    ) -> asyncio.Task[Booking]:
        """Begin to pay."""
        paying = self.payments.confirm(booking.showtime_id, booking.booking_id, booking.user_id, token, once)
        return asyncio.create_task(paying)

    async def die(self) -> None:
        """End, with payments under way."""
        await self.payments.stop(0)

    async def recover(self) -> None:
        """Run the passes of the background tasks."""
        await self.payments.recover()
        await self.refunds.run_pass()
