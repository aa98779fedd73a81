"""Replicas that are paid by the stand-in for Stripe, and a booking of ada's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cinema_grpc.adapters.stripe.gateway import StripePayments
from cinema_grpc.domain.booking import Booking
from tests.application.paying import Replica
from tests.database import audited
from tests.stripe.server import KEY, StripeServer

if TYPE_CHECKING:
    from tests.application.conftest import App

PRICE = 2_500
VISA, AUTHENTICATE = "pm_card_visa", "pm_card_authenticationRequired"


@dataclass
class Shop:
    """What the tests need.

    Attributes:
        first: A replica that may die.
        second: One that recovers.
        booking: Two seats on hold.
    """

    app: "App"
    stripe: StripeServer
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

    @property
    def intent(self) -> str:
        """The latest intent."""
        return list(self.stripe.account.intents)[-1]

    def money(self) -> int:
        """Return how much of ada's money Stripe has."""
        return sum(self.stripe.account.net().values())

    async def check_books(self) -> None:
        """Check that the audit finds nothing, and that its sums are Stripe's."""
        report = await audited(self.app.database, self.app.clock.now())
        assert report.breaches == 0, report.describe()
        charged, refunded = sum(each.charged for each in report.books), sum(each.refunded for each in report.books)
        account = self.stripe.account
        assert charged == sum(each["amount"] for each in account.charges.values())
        assert refunded == sum(each["amount"] for each in account.refunds.values() if each["status"] != "failed")


@asynccontextmanager
async def open_shop(app: "App") -> AsyncIterator[Shop]:
    """Open a shop in an app. The stand-in has the app's clock."""
    stripe = await StripeServer(lambda: int(app.clock.now().timestamp())).start()
    gateway = StripePayments(KEY, stripe.url)
    async with app.other_process() as other:
        first, second = (Replica(app.database, each.box_office, gateway) for each in (app, other))
        yield Shop(app, stripe, first, second, await app.hold("A1", "A2"))
        stripe.gate.set()
        await first.payments.stop(10)
        await second.payments.stop(10)
    await gateway.close()
    await stripe.close()
