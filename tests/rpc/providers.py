"""A payment provider that tests can hold up, and that says what it was asked."""

import asyncio

from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.payment_ports import Charge, ChargeOutcome, OwedRefund, ProviderUnavailable, RefundState


class Provider(SimulatedPayments):
    """Loses the response to "tok_lost", and delays the response to "tok_slow" until `answer` is set.

    Attributes:
        asked: Set when a charge is asked for.
        charges: The amounts that were to be charged, in minor units.
        refunds: The amounts that were to be refunded.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        """Forget what was asked; the events belong to the loop of the next test."""
        self.answer = asyncio.Event()
        self.asked = asyncio.Event()
        self.charges: list[int] = []
        self.refunds: list[int] = []

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        self.charges.append(charge.amount.minor_units)
        self.asked.set()
        if payment_token == "tok_slow":
            await self.answer.wait()
        if payment_token == "tok_lost":
            raise ProviderUnavailable
        return await super().charge(charge, payment_token)

    async def refund(self, refund: OwedRefund) -> RefundState:
        self.refunds.append(refund.amount.minor_units)
        return await super().refund(refund)
