"""The payment provider of the simulation: slow, unreachable at times, with a ledger of all money."""

import asyncio
import random
from dataclasses import dataclass, field

from cinema_grpc.application.payment_ports import ChargeVoided, ProviderUnavailable
from cinema_grpc.domain.money import Money
from tests.proofs.simulation.loop import OWNER

DECLINED = "declined"


@dataclass
class Charge:
    """The state of a key and its amounts; "fenced" means that it was voided before the charge arrived.

    The other states are "taken", "declined" and "given back".
    """

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

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        """Take money; the charge may arrive long after its caller has given up."""
        late = self._chance.choice([1.0, 20.0, 100.0]) if self._fails() else 0.0
        if late:
            token = OWNER.set(None)  # a charge that was sent arrives, even if its sender dies
            asyncio.get_running_loop().call_later(late, self._charge, key, amount, payment_token)
            OWNER.reset(token)
        await self._reach()
        charge = self._charge(key, amount, payment_token)
        await self._answer()
        if charge.state in {"fenced", "given back"}:
            raise ChargeVoided
        return charge.state == "taken"

    def _charge(self, key: str, amount: Money, payment_token: str) -> Charge:
        state = "declined" if payment_token == DECLINED else "taken"
        return self.charges.setdefault(key, Charge(state, amount.minor_units))

    async def find(self, key: str) -> bool | None:
        """Return whether a charge took money."""
        await self._reach()
        charge = self.charges.get(key)
        await self._answer()
        return {"taken": True, "declined": False}.get(charge.state) if charge else None

    async def void(self, key: str) -> bool:
        """Void a charge."""
        await self._reach()
        charge = self.charges.setdefault(key, Charge("fenced"))
        if charge.state == "taken":
            charge.state = "given back"
        await self._answer()
        return charge.state == "given back"

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        """Pay money back, once for each key."""
        await self._reach()
        self.charges[charge_key].refunds.setdefault(key, amount.minor_units)
        await self._answer()

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
