"""The payment provider of the simulation: slow, unreachable at times, with a ledger of all money."""

import asyncio
import random
from dataclasses import dataclass, field

from cinema_grpc.application.payment_ports import (
    TAKEN,
    ChargeOutcome,
    ChargeVoided,
    Declined,
    OwedRefund,
    ProviderUnavailable,
    RefundState,
)
from cinema_grpc.application.payment_ports import Charge as PortCharge
from cinema_grpc.domain.payment import RefundStatus
from tests.proofs.simulation.loop import OWNER

DECLINED = "declined"
OUTCOMES: dict[str, ChargeOutcome] = {"taken": TAKEN, "declined": Declined()}


@dataclass
class Charge:
    """The state of a key, "taken", "declined" or "fenced" (voided before the charge arrived), and its amounts."""

    state: str
    amount: int = 0
    refunds: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """What the cinema keeps of it."""
        return self.amount - sum(self.refunds.values()) if self.state == "taken" else 0


class Provider:
    """Fulfils PaymentGateway.

    Attributes:
        trouble: The share of questions to it that go wrong.
        charges: By key.
    """

    def __init__(self, chance: random.Random, trouble: float) -> None:
        """Begin with an empty ledger."""
        self._chance = chance
        self.trouble = trouble
        self.charges: dict[str, Charge] = {}

    async def prepare(self, _charge: PortCharge, _payment_token: str) -> str:
        """Do nothing."""
        return ""

    async def charge(self, charge: PortCharge, payment_token: str) -> ChargeOutcome:
        """Take money; the charge may arrive long after its caller has given up."""
        late = self._chance.choice([1.0, 20.0, 100.0]) if self._fails() else 0.0
        if late:
            token = OWNER.set(None)  # a charge that was sent arrives, even if its sender dies
            asyncio.get_running_loop().call_later(late, self._charge, charge, payment_token)
            OWNER.reset(token)
        await self._reach()
        made = self._charge(charge, payment_token)
        await self._answer()
        if made.state == "fenced":
            raise ChargeVoided
        return OUTCOMES[made.state]

    def _charge(self, charge: PortCharge, payment_token: str) -> Charge:
        state = "declined" if payment_token == DECLINED else "taken"
        return self.charges.setdefault(charge.attempt_id, Charge(state, charge.amount.minor_units))

    async def find(self, charge: PortCharge) -> ChargeOutcome | None:
        """Return how a charge stands."""
        await self._reach()
        found = self.charges.get(charge.attempt_id)
        await self._answer()
        return OUTCOMES.get(found.state) if found else None

    async def void(self, charge: PortCharge) -> bool:
        """Void a charge, unless it has taken money."""
        await self._reach()
        found = self.charges.setdefault(charge.attempt_id, Charge("fenced"))
        await self._answer()
        return found.state == "taken"

    async def refund(self, refund: OwedRefund) -> RefundState:
        """Pay money back, once for each key."""
        await self._reach()
        self.charges[refund.attempt_id].refunds.setdefault(refund.refund_id, refund.amount.minor_units)
        await self._answer()
        return RefundState(RefundStatus.COMPLETED)

    async def _reach(self) -> None:
        await asyncio.sleep(self._chance.choice([0.0, 0.1, 5.0, 15.0]) if self._fails() else 0.0)
        if self._fails():
            raise ProviderUnavailable

    async def _answer(self) -> None:
        if self._fails():
            await asyncio.sleep(self._chance.choice([0.1, 1_000.0]))  # no caller waits so long
            raise ProviderUnavailable
        await asyncio.sleep(0)

    def _fails(self) -> bool:
        return self._chance.random() < self.trouble
