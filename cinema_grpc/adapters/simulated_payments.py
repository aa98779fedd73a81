"""A payment provider that moves no money: for demos, development and tests."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cinema_grpc.adapters.simulated_ledger import FileLedger, Ledger, Outcome
from cinema_grpc.application.payment_ports import ChargeVoided, ProviderUnavailable
from cinema_grpc.domain.money import Money

DECLINED_TOKEN = "tok_declined"  # noqa: S105 (a public name, not a secret)


@dataclass(frozen=True, slots=True)
class FaultProfile:
    """How a provider misbehaves: its delay in seconds, and the shares of its calls, from 0 to 1, that go wrong.

    Attributes:
        fail_before: It fails, and has done nothing.
        fail_after: It does what was asked, then fails.
        lose_answer: It does what was asked, and never answers.
    """

    delay_seconds: float = 0
    fail_before: float = 0
    fail_after: float = 0
    lose_answer: float = 0


class SimulatedPayments:
    """Declines the payment token "tok_declined" and takes any other. Fulfils the port PaymentGateway."""

    def __init__(
        self, ledger: Ledger | None = None, faults: FaultProfile | None = None, chance: random.Random | None = None
    ) -> None:
        """Set up with a ledger in memory and without faults, unless others are given; `chance` decides on faults."""
        self.ledger = ledger or FileLedger()
        self.faults = faults or FaultProfile()
        self._chance = chance or random.Random()  # noqa: S311 (no secret)

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        """Charge."""
        async with self._faults():
            wanted = Outcome.DECLINED if payment_token == DECLINED_TOKEN else Outcome.TAKEN
            outcome = await self.ledger.record(key, key, amount, wanted)
        if outcome in {Outcome.FENCED, Outcome.GIVEN_BACK}:
            raise ChargeVoided
        return outcome is Outcome.TAKEN

    async def find(self, key: str) -> bool | None:
        """Look a charge up."""
        async with self._faults():
            outcome = await self.ledger.find(key)
        return {Outcome.TAKEN: True, Outcome.DECLINED: False}.get(outcome) if outcome else None

    async def void(self, key: str) -> bool:
        """Void a charge."""
        async with self._faults():
            return await self.ledger.void(key) is Outcome.GIVEN_BACK

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        """Refund a charge."""
        async with self._faults():
            await self.ledger.record(key, charge_key, amount, Outcome.REFUNDED)

    @asynccontextmanager
    async def _faults(self) -> AsyncIterator[None]:
        if self.faults.delay_seconds:
            await asyncio.sleep(self.faults.delay_seconds)
        if self._happens(self.faults.fail_before):
            raise ProviderUnavailable
        yield
        if self._happens(self.faults.fail_after):
            raise ProviderUnavailable
        if self._happens(self.faults.lose_answer):
            await asyncio.Event().wait()  # for ever

    def _happens(self, share: float) -> bool:
        return share > 0 and self._chance.random() < share
