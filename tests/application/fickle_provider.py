"""A gateway in front of another one, which delays charges and fails on request."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from cinema_grpc.application.payment_ports import (
    Charge,
    ChargeOutcome,
    Declined,
    OwedRefund,
    ProviderUnavailable,
    RefundState,
)
from tests.adapters.gateways import Bench

A = TypeVar("A")


class ForwardingProvider:
    """Has another gateway do the work, with its own tokens for "tok_visa" and "tok_declined"."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    async def prepare(self, charge: Charge, payment_token: str) -> str | Declined:
        return await self.bench.gateway.prepare(charge, self._token(payment_token))

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        return await self.bench.gateway.charge(charge, self._token(payment_token))

    async def find(self, charge: Charge) -> ChargeOutcome | None:
        return await self.bench.gateway.find(charge)

    async def void(self, charge: Charge) -> bool:
        return await self.bench.gateway.void(charge)

    async def refund(self, refund: OwedRefund) -> RefundState:
        return await self.bench.gateway.refund(refund)

    def _token(self, payment_token: str) -> str:
        return self.bench.bad if payment_token == "tok_declined" else self.bench.good


class FickleProvider(ForwardingProvider):
    """Holds a charge before or after it is made, as `stage` says, and fails at the call that `fails_at` names."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.stage = "through"
        self.gates: dict[str, asyncio.Event] = {}
        self.latest = ""
        self.here = asyncio.Event()
        self.fails_at = ""

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        key = charge.attempt_id
        stage, gate = self.stage, self.gates.setdefault(key, asyncio.Event())
        if stage == "before":
            self.latest = key
            self.here.set()
            await gate.wait()
        outcome = await super().charge(charge, payment_token)
        if stage == "after":
            self.latest = key
            self.here.set()
            await gate.wait()
        return outcome

    async def find(self, charge: Charge) -> ChargeOutcome | None:
        return await self._failing("find", super().find(charge))

    async def void(self, charge: Charge) -> bool:
        return await self._failing("void", super().void(charge))

    async def refund(self, refund: OwedRefund) -> RefundState:
        return await self._failing("refund", super().refund(refund))

    async def _failing(self, what: str, work: Coroutine[Any, Any, A]) -> A:
        if self.fails_at == f"{what} before":
            work.close()
            raise ProviderUnavailable
        answer = await work
        if self.fails_at == f"{what} after":
            raise ProviderUnavailable
        return answer
