"""A payment provider in the simulation: slow, out of reach at times, and it remembers where all the money went."""

import asyncio
import random
from dataclasses import dataclass, field

from cinema_grpc.application.payment_ports import ChargeVoided, ProviderUnavailable
from cinema_grpc.domain.money import Money
from tests.proofs.simulation.loop import OWNER

DECLINED = "declined"


@dataclass
class Charge:
    """What became of a key: "taken", "declined", "fenced" (voided before it came) or "given back"; and the amounts."""

    state: str
    amount: int = 0
    refunds: dict[str, int] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """What the cinema has of it in the end."""
        return self.amount - sum(self.refunds.values()) if self.state == "taken" else 0


class Provider:
    """Fulfils PaymentGateway.

    Attributes:
        trouble: What share of the questions to it go wrong.
        charges: By their keys.
    """

    def __init__(self, chance: random.Random, trouble: float) -> None:
        """Begin with empty books."""
        self._chance = chance
        self.trouble = trouble
        self.charges: dict[str, Charge] = {}

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        """Take money; the order may arrive long after whoever gave it has given up."""
        late = self._chance.choice([1.0, 20.0, 100.0]) if self._fails() else 0.0
        if late:
            token = OWNER.set(None)  # what is on its way arrives, even if its sender dies
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
        """Tell what became of a charge."""
        await self._reach()
        charge = self.charges.get(key)
        await self._answer()
        return {"taken": True, "declined": False}.get(charge.state) if charge else None

    async def void(self, key: str) -> bool:
        """Call a charge off."""
        await self._reach()
        charge = self.charges.setdefault(key, Charge("fenced"))
        if charge.state == "taken":
            charge.state = "given back"
        await self._answer()
        return charge.state == "given back"

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        """Give money back, once for each key."""
        await self._reach()
        self.charges[charge_key].refunds.setdefault(key, amount.minor_units)
        await self._answer()

    async def _reach(self) -> None:
        await asyncio.sleep(self._chance.choice([0.0, 0.1, 5.0, 15.0]) if self._fails() else 0.0)
        if self._fails():
            raise ProviderUnavailable

    async def _answer(self) -> None:
        if self._fails():
            await asyncio.sleep(self._chance.choice([0.1, 1_000.0]))  # the second one is never waited for
            raise ProviderUnavailable
        await asyncio.sleep(0)

    def _fails(self) -> bool:
        return self._chance.random() < self.trouble
