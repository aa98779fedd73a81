"""A payment provider that moves no money: for demos, development and tests."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cinema_grpc.adapters.simulated_ledger import Entry, FileLedger, SimulatedLedger
from cinema_grpc.application.payment_ports import (
    TAKEN,
    Charge,
    ChargeOutcome,
    ChargeVoided,
    Declined,
    OwedRefund,
    ProviderUnavailable,
    RefundState,
)
from cinema_grpc.domain.payment import RefundStatus

DECLINED_TOKEN = "tok_declined"  # noqa: S105 (a public name, not a secret)
OUTCOMES: dict[Entry, ChargeOutcome] = {Entry.TAKEN: TAKEN, Entry.DECLINED: Declined()}


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
        self,
        ledger: SimulatedLedger | None = None,
        faults: FaultProfile | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """Set up with a ledger in memory and without faults, unless others are given; `chance` decides on faults."""
        self.ledger = ledger or FileLedger()
        self.faults = faults or FaultProfile()
        self._chance = chance or random.Random()  # noqa: S311 (no secret)

    async def prepare(self, _charge: Charge, _payment_token: str) -> str:
        """Do nothing: a charge is found by its attempt_id."""
        return ""

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        """Charge."""
        _check_own(charge.provider_id)
        async with self._faults():
            wanted = Entry.DECLINED if payment_token == DECLINED_TOKEN else Entry.TAKEN
            entry = await self.ledger.record(charge.attempt_id, charge.attempt_id, charge.amount, wanted)
        if entry is Entry.FENCED:
            raise ChargeVoided
        return OUTCOMES[entry]

    async def find(self, charge: Charge) -> ChargeOutcome | None:
        """Look a charge up."""
        _check_own(charge.provider_id)
        async with self._faults():
            entry = await self.ledger.find(charge.attempt_id)
        return OUTCOMES.get(entry) if entry else None

    async def void(self, charge: Charge) -> bool:
        """Void a charge, unless it has taken money."""
        _check_own(charge.provider_id)
        async with self._faults():
            return await self.ledger.void(charge.attempt_id) is Entry.TAKEN

    async def refund(self, refund: OwedRefund) -> RefundState:
        """Refund a charge."""
        _check_own(refund.charge_provider_id)
        async with self._faults():
            await self.ledger.record(refund.refund_id, refund.attempt_id, refund.amount, Entry.REFUNDED)
        return RefundState(RefundStatus.COMPLETED)

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
            await asyncio.Event().wait()  # never returns

    def _happens(self, share: float) -> bool:
        return share > 0 and self._chance.random() < share


def _check_own(provider_id: str) -> None:
    """Refuse what belongs to a real provider: a simulated refund of real money would be lost.

    Raises:
        ProviderUnavailable.
    """
    if provider_id:
        raise ProviderUnavailable("the charge was made by another provider; set CINEMA_PAYMENTS back to it")
