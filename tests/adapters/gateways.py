"""The payment gateways, each with tokens and a ledger, for the tests that all of them pass."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.simulated_payments import DECLINED_TOKEN, SimulatedPayments
from cinema_grpc.adapters.stripe.gateway import StripePayments
from cinema_grpc.application.clock import Clock
from cinema_grpc.application.payment_ports import Charge, Declined, OwedRefund, PaymentGateway
from cinema_grpc.domain.money import Money
from tests.stripe.server import KEY, StripeServer

PRICE = Money("EUR", 1_250)


@dataclass
class Bench:
    """A gateway.

    Attributes:
        good: A token that is charged.
        bad: One that is declined.
        net: Returns for each attempt_id what was taken less what was given back.
        reopen: Returns a gateway of the same account, as another process has it.
    """

    gateway: PaymentGateway
    good: str
    bad: str
    net: Callable[[], Coroutine[Any, Any, dict[str, int]]]
    reopen: Callable[[], PaymentGateway]

    async def prepared(self, attempt_id: str, token: str = "") -> Charge:
        """Prepare a charge, and return it as it is stored."""
        charge = charge_of(attempt_id)
        provider_id = await self.gateway.prepare(charge, token or self.good)
        assert not isinstance(provider_id, Declined)
        return replace(charge, provider_id=provider_id)


@asynccontextmanager
async def simulated(_clock: Clock | None = None) -> AsyncIterator[Bench]:
    """The simulated provider."""
    gateway = SimulatedPayments()
    yield Bench(gateway, "tok_visa", DECLINED_TOKEN, gateway.ledger.net, lambda: SimulatedPayments(gateway.ledger))


@asynccontextmanager
async def stripe(clock: Clock | None = None) -> AsyncIterator[Bench]:
    """Stripe's gateway, at a stand-in for Stripe with a clock."""
    clock = clock or SystemClock()
    server = await StripeServer(lambda: int(clock.now().timestamp())).start()
    opened: list[StripePayments] = []

    def reopen() -> StripePayments:
        opened.append(StripePayments(KEY, server.url))
        return opened[-1]

    async def net() -> dict[str, int]:
        return server.account.net()

    yield Bench(reopen(), "pm_card_visa", "pm_card_chargeDeclined", net, reopen)
    for each in opened:
        await each.close()
    await server.close()


def charge_of(attempt_id: str) -> Charge:
    """Return a charge of PRICE that was not prepared."""
    return Charge(attempt_id, "b1", "s1", PRICE)


def refund_of(charge: Charge, refund_id: str, amount: int) -> OwedRefund:
    """Return a refund of a charge."""
    money = Money("EUR", amount)
    return OwedRefund("s1", "b1", refund_id, charge.attempt_id, money, charge_provider_id=charge.provider_id)
