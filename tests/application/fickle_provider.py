"""A simulated provider that delays charges and fails on request."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.payment_ports import ProviderUnavailable
from cinema_grpc.domain.money import Money

A = TypeVar("A")


class FickleProvider(SimulatedPayments):
    """Holds a charge before or after it is made, as `stage` says, and fails at the call that `fails_at` names."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = "through"
        self.gates: dict[str, asyncio.Event] = {}
        self.latest = ""
        self.here = asyncio.Event()
        self.fails_at = ""

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        stage, gate = self.stage, self.gates.setdefault(key, asyncio.Event())
        if stage == "before":
            self.latest = key
            self.here.set()
            await gate.wait()
        taken = await super().charge(key, amount, payment_token)
        if stage == "after":
            self.latest = key
            self.here.set()
            await gate.wait()
        return taken

    async def find(self, key: str) -> bool | None:
        return await self._failing("find", super().find(key))

    async def void(self, key: str) -> bool:
        return await self._failing("void", super().void(key))

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        return await self._failing("refund", super().refund(key, charge_key, amount))

    async def _failing(self, what: str, work: Coroutine[Any, Any, A]) -> A:
        if self.fails_at == f"{what} before":
            work.close()
            raise ProviderUnavailable
        answer = await work
        if self.fails_at == f"{what} after":
            raise ProviderUnavailable
        return answer
