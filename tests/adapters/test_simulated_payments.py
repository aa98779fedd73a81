"""The simulated payment provider: its ledger, its voids, and its faults."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import event

from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.simulated_ledger import SimulatedLedger, ledger_of
from cinema_grpc.adapters.simulated_payments import DECLINED_TOKEN, FaultProfile, SimulatedPayments
from cinema_grpc.application.payment_ports import TAKEN, ChargeOutcome, ChargeVoided, Declined, ProviderUnavailable
from tests.adapters.gateways import charge_of, refund_of


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def ledger(database: Database) -> SimulatedLedger:
    return ledger_of(database)


class TestMemory:
    async def test_outlives_the_process(self, database: Database) -> None:
        """An answer stands, even if the key is used for something else later."""
        before = SimulatedPayments(ledger_of(database))
        taken, declined = charge_of("taken"), charge_of("declined")
        assert await before.charge(taken, "tok_visa") == TAKEN
        assert await before.charge(declined, "tok_declined") == Declined()
        await before.refund(refund_of(taken, "refund", 250))
        after = SimulatedPayments(ledger_of(database))
        assert await after.charge(taken, "tok_declined") == TAKEN
        assert await after.charge(declined, "tok_visa") == Declined()
        await after.refund(refund_of(taken, "refund", 250))
        assert [await after.find(each) for each in (taken, declined, charge_of("unknown"))] == [TAKEN, Declined(), None]
        assert (await ledger_of(database).net())["taken"] == 1_000

    async def test_many_at_once_charge_once(self, ledger: SimulatedLedger) -> None:
        provider = SimulatedPayments(ledger)
        answers = await asyncio.gather(*(provider.charge(charge_of("key"), "tok_visa") for _ in range(20)))
        assert answers == [TAKEN] * 20
        assert await ledger.net() == {"key": 1_250}

    async def test_each_of_many_gets_its_own_answer(self, ledger: SimulatedLedger) -> None:
        provider = SimulatedPayments(ledger)
        charges = [
            provider.charge(charge_of(str(key)), DECLINED_TOKEN if key % 3 else "tok_visa") for key in range(600)
        ]
        assert await asyncio.gather(*charges) == [Declined() if key % 3 else TAKEN for key in range(600)]
        assert len(await ledger.net()) == 600

    @pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
    async def test_on_postgresql_many_at_once_share_a_transaction(
        self, database: Database, ledger: SimulatedLedger
    ) -> None:
        """One for each charge would take most of the CPU time of a payment."""
        provider, commits = SimulatedPayments(ledger), list[object]()
        event.listen(database.engine.sync_engine, "commit", commits.append)
        await asyncio.gather(*(provider.charge(charge_of(str(key)), "tok_visa") for key in range(100)))
        assert len(commits) == 1

    async def test_a_void_that_comes_first_or_too_late(self, ledger: SimulatedLedger) -> None:
        provider, first, late = SimulatedPayments(ledger), charge_of("first"), charge_of("late")
        await provider.charge(late, "tok_visa")
        assert [await provider.void(each) for each in (first, late)] == [False, True]
        with pytest.raises(ChargeVoided):
            await provider.charge(first, "tok_visa")
        assert await ledger.net() == {"first": 0, "late": 1_250}


async def test_the_charge_of_another_provider_is_left_alone(ledger: SimulatedLedger) -> None:
    """It would be lost: a refund of real money that moves none counts as paid."""
    provider, charge = SimulatedPayments(ledger), replace(charge_of("a1"), provider_id="pi_1")
    for call in (
        provider.charge(charge, "tok_visa"),
        provider.find(charge),
        provider.void(charge),
        provider.refund(refund_of(charge, "r1", 250)),
    ):
        with pytest.raises(ProviderUnavailable, match="another provider"):
            await call
    assert await ledger.net() == {}


class TestFaults:
    @pytest.mark.parametrize(
        ("faults", "found"), [(FaultProfile(fail_before=1), None), (FaultProfile(fail_after=1), TAKEN)]
    )
    async def test_a_failure_before_or_after_the_charge(
        self, ledger: SimulatedLedger, faults: FaultProfile, found: ChargeOutcome | None
    ) -> None:
        with pytest.raises(ProviderUnavailable):
            await SimulatedPayments(ledger, faults).charge(charge_of("key"), "tok_visa")
        assert await SimulatedPayments(ledger).find(charge_of("key")) == found

    async def test_a_lost_answer(self, ledger: SimulatedLedger) -> None:
        provider = SimulatedPayments(ledger, FaultProfile(lose_answer=1))
        charging = asyncio.create_task(provider.charge(charge_of("key"), "tok_visa"))
        async with asyncio.timeout(30):
            while not (await ledger.net()):  # noqa: ASYNC110 (a row sets no event)
                await asyncio.sleep(0.01)
        assert not charging.done()
        charging.cancel()
        assert await SimulatedPayments(ledger).find(charge_of("key")) == TAKEN

    async def test_a_delay(self, ledger: SimulatedLedger) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await SimulatedPayments(ledger, FaultProfile(delay_seconds=0.05)).find(charge_of("key"))
        assert loop.time() - start >= 0.05

    async def test_a_share_of_the_calls(self, ledger: SimulatedLedger) -> None:
        """As often as its share says, and the same from the same seed."""

        async def failures(seed: int) -> list[bool]:
            provider = SimulatedPayments(ledger, FaultProfile(fail_before=0.3), random.Random(seed))  # noqa: S311 (a test's)
            results = await asyncio.gather(
                *(provider.find(charge_of("key")) for _ in range(200)), return_exceptions=True
            )
            return [isinstance(result, ProviderUnavailable) for result in results]

        first = await failures(1)
        assert 30 <= sum(first) <= 90
        assert await failures(1) == first
