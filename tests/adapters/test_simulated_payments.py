"""The simulated payment provider: its ledger, its voids, and its faults."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.simulated_ledger import Ledger, ledger_of
from cinema_grpc.adapters.simulated_payments import DECLINED_TOKEN, FaultProfile, SimulatedPayments
from cinema_grpc.application.payment_ports import ChargeVoided, ProviderUnavailable
from cinema_grpc.domain.money import Money

PRICE = Money("EUR", 1_250)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return ledger_of(database)


class TestMemory:
    async def test_outlives_the_process(self, database: Database) -> None:
        """An answer stands, even if the key is used for something else later."""
        before = SimulatedPayments(ledger_of(database))
        assert await before.charge("taken", PRICE, "tok_visa")
        assert not await before.charge("declined", PRICE, "tok_declined")
        await before.refund("refund", "taken", Money("EUR", 250))
        after = SimulatedPayments(ledger_of(database))
        assert await after.charge("taken", PRICE, "tok_declined")
        assert not await after.charge("declined", PRICE, "tok_visa")
        await after.refund("refund", "taken", Money("EUR", 250))
        assert [await after.find(key) for key in ("taken", "declined", "unknown")] == [True, False, None]
        assert (await ledger_of(database).net())["taken"] == 1_000

    async def test_many_at_once_charge_once(self, ledger: Ledger) -> None:
        provider = SimulatedPayments(ledger)
        assert all(await asyncio.gather(*(provider.charge("key", PRICE, "tok_visa") for _ in range(20))))
        assert await ledger.net() == {"key": 1_250}

    async def test_each_of_many_gets_its_own_answer(self, ledger: Ledger) -> None:
        provider = SimulatedPayments(ledger)
        charges = [provider.charge(str(key), PRICE, DECLINED_TOKEN if key % 3 else "tok_visa") for key in range(600)]
        assert await asyncio.gather(*charges) == [key % 3 == 0 for key in range(600)]
        assert len(await ledger.net()) == 600


class TestVoid:
    async def test_before_the_charge_arrives_it_keeps_it_from_taking_money(self, ledger: Ledger) -> None:
        provider = SimulatedPayments(ledger)
        assert not await provider.void("key")
        for _ in range(2):
            with pytest.raises(ChargeVoided):
                await provider.charge("key", PRICE, "tok_visa")
        assert await provider.find("key") is None
        assert not await provider.void("key")
        assert await ledger.net() == {"key": 0}

    async def test_gives_back_what_was_taken_once(self, ledger: Ledger) -> None:
        provider = SimulatedPayments(ledger)
        await provider.charge("key", PRICE, "tok_visa")
        assert [await provider.void("key") for _ in range(2)] == [True, True]
        with pytest.raises(ChargeVoided):
            await provider.charge("key", PRICE, "tok_visa")
        assert await ledger.net() == {"key": 0}

    async def test_of_a_declined_charge_gives_nothing_back(self, ledger: Ledger) -> None:
        provider = SimulatedPayments(ledger)
        await provider.charge("key", PRICE, "tok_declined")
        assert not await provider.void("key")
        assert await provider.find("key") is False


class TestFaults:
    @pytest.mark.parametrize(
        ("faults", "taken"), [(FaultProfile(fail_before=1), None), (FaultProfile(fail_after=1), True)]
    )
    async def test_a_failure_before_or_after_the_charge(
        self, ledger: Ledger, faults: FaultProfile, taken: bool | None
    ) -> None:
        with pytest.raises(ProviderUnavailable):
            await SimulatedPayments(ledger, faults).charge("key", PRICE, "tok_visa")
        assert await SimulatedPayments(ledger).find("key") is taken

    async def test_a_lost_answer(self, ledger: Ledger) -> None:
        provider = SimulatedPayments(ledger, FaultProfile(lose_answer=1))
        charging = asyncio.create_task(provider.charge("key", PRICE, "tok_visa"))
        async with asyncio.timeout(10):
            while not (await ledger.net()):  # noqa: ASYNC110 (a row sets no event)
                await asyncio.sleep(0.01)
        assert not charging.done()
        charging.cancel()
        assert await SimulatedPayments(ledger).find("key")

    async def test_a_delay(self, ledger: Ledger) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await SimulatedPayments(ledger, FaultProfile(delay_seconds=0.05)).find("key")
        assert loop.time() - start >= 0.05

    async def test_a_share_of_the_calls(self, ledger: Ledger) -> None:
        """As often as its share says, and the same from the same seed."""

        async def failures(seed: int) -> list[bool]:
            provider = SimulatedPayments(ledger, FaultProfile(fail_before=0.3), random.Random(seed))  # noqa: S311 (a test's)
            results = await asyncio.gather(*(provider.find("key") for _ in range(200)), return_exceptions=True)
            return [isinstance(result, ProviderUnavailable) for result in results]

        first = await failures(1)
        assert 30 <= sum(first) <= 90
        assert await failures(1) == first
