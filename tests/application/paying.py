"""Replicas that take payments and can die at any point, and a provider that delays charges."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.payment_ports import Charge, ChargeOutcome, PaymentGateway
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.domain.booking import Booking
from tests.application.commands import RANDOM_TICKETS, decode, encode, encode_action

if TYPE_CHECKING:
    from tests.application.conftest import App

GRACE = timedelta(seconds=30)


class Provider(SimulatedPayments):
    """The simulated provider, with a gate before each charge and one after it."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = asyncio.Event(), asyncio.Event()
        self.before.set()
        self.after.set()
        self.arrived, self.made = asyncio.Event(), asyncio.Event()

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        self.arrived.set()
        await self.before.wait()
        outcome = await super().charge(charge, payment_token)
        self.made.set()
        await self.after.wait()
        return outcome


@dataclass
class Replica:
    """The part of a server process that takes payments; its box office is its own."""

    database: Database
    box_office: BoxOffice
    provider: PaymentGateway
    refunds: Refunds = field(init=False)
    payments: Payments = field(init=False)

    def __post_init__(self) -> None:
        store = SqlPaymentStore(self.database)
        self.refunds = Refunds(store, self.box_office, self.provider, GRACE)
        self.payments = Payments(
            store, PaymentSaga(self.box_office, self.provider, encode, GRACE, encode_action, RANDOM_TICKETS)
        )
        self.box_office.on_commit(self.refunds.note_commit)

    def pay(
        self, booking: Booking, token: str = "tok_visa", call: IdempotentCall | None = None
    ) -> asyncio.Task[Booking]:
        """Begin to pay."""

        async def confirm() -> Booking:
            payments, name = self.payments, booking.booking_id
            return decode(await payments.confirm(booking.showtime_id, name, booking.user_id, token, call))

        return asyncio.create_task(confirm())

    async def die(self) -> None:
        """End, with payments under way."""
        await self.payments.stop(0)

    async def recover(self) -> None:
        """Run the passes of the background tasks."""
        await self.payments.recover()
        await self.refunds.run_pass()


@dataclass
class Scene:
    """A replica that dies, one that recovers, and a booking that ada pays for."""

    app: "App"
    provider: Provider
    first: Replica
    second: Replica
    booking: Booking

    async def read(self) -> Booking:
        """Read the booking."""
        found = await self.app.reader.find(self.booking.booking_id)
        assert found is not None
        return found.booking.as_of(found.now)

    async def attempts(self) -> list[str]:
        """Return the statuses of the attempts, in order."""
        rows = sorted(await self.app.rows("payment_attempt"), key=lambda row: row["attempt_id"])
        return [row["status"] for row in rows]

    async def money(self) -> int:
        """Return how much of ada's money the provider has."""
        return sum((await self.provider.ledger.net()).values())
