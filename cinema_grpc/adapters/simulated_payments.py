"""A payment provider that moves no money: for demos, development and tests."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from cinema_grpc.adapters.simulated_books import Books, BooksInFile, Outcome
from cinema_grpc.application.payment_ports import ChargeVoided, ProviderUnavailable
from cinema_grpc.domain.money import Money

DECLINED_TOKEN = "tok_declined"  # noqa: S105 (a public name, not a secret)


@dataclass(frozen=True, slots=True)
class Mood:
    """How a provider misbehaves: its delay in seconds, and the shares of its calls, from 0 to 1, that go wrong.

    Attributes:
        fail_before: It fails, and has done nothing.
        fail_after: It does what was asked, and fails then.
        lose_answer: It does what was asked, and never answers.
    """

    delay_seconds: float = 0
    fail_before: float = 0
    fail_after: float = 0
    lose_answer: float = 0


class SimulatedPayments:
    """Declines the payment token "tok_declined" and takes every other. Fulfils the port PaymentGateway.

    Asked again with the same key it answers the same, as its books say.
    """

    def __init__(
        self, books: Books | None = None, mood: Mood | None = None, chance: random.Random | None = None
    ) -> None:
        """Set up.

        Args:
            books: What remembers the charges and refunds; in memory alone if left out.
            mood: How it misbehaves; not at all if left out.
            chance: What decides when.
        """
        self._books = books or BooksInFile(":memory:")
        self.mood = mood or Mood()
        self._chance = chance or random.Random()  # noqa: S311 (no secret)

    async def charge(self, key: str, amount: Money, payment_token: str) -> bool:
        """Pretend to take money; tell whether it was taken.

        Raises:
            ChargeVoided, ProviderUnavailable.
        """
        async with self._moody():
            wanted = Outcome.DECLINED if payment_token == DECLINED_TOKEN else Outcome.TAKEN
            outcome = await self._books.charge(key, amount, wanted)
        if outcome in {Outcome.FENCED, Outcome.GIVEN_BACK}:
            raise ChargeVoided
        return outcome is Outcome.TAKEN

    async def find(self, key: str) -> bool | None:
        """Tell what became of a charge, or None if no such charge stands.

        Raises:
            ProviderUnavailable.
        """
        async with self._moody():
            outcome = await self._books.find(key)
        return {Outcome.TAKEN: True, Outcome.DECLINED: False}.get(outcome) if outcome else None

    async def void(self, key: str) -> bool:
        """Call a charge off; tell whether there was money to give back.

        Raises:
            ProviderUnavailable.
        """
        async with self._moody():
            return await self._books.void(key) is Outcome.GIVEN_BACK

    async def refund(self, key: str, charge_key: str, amount: Money) -> None:
        """Pretend to give money back.

        Raises:
            ProviderUnavailable.
        """
        async with self._moody():
            await self._books.refund(key, charge_key, amount)

    @asynccontextmanager
    async def _moody(self) -> AsyncIterator[None]:
        """Misbehave before and after what is done."""
        if self.mood.delay_seconds:
            await asyncio.sleep(self.mood.delay_seconds)
        if self._happens(self.mood.fail_before):
            raise ProviderUnavailable
        yield
        if self._happens(self.mood.fail_after):
            raise ProviderUnavailable
        if self._happens(self.mood.lose_answer):
            await asyncio.Event().wait()  # for ever: whoever asked gives up

    def _happens(self, share: float) -> bool:
        return share > 0 and self._chance.random() < share
