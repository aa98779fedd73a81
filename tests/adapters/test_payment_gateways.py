"""What every payment gateway does: the port PaymentGateway, at the simulated provider and at Stripe."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from cinema_grpc.application.payment_ports import TAKEN, ChargeVoided, Declined
from cinema_grpc.domain.booking_errors import GENERIC_DECLINE
from cinema_grpc.domain.payment import RefundStatus
from tests.adapters import gateways
from tests.adapters.gateways import Bench, charge_of, refund_of


@pytest.fixture(params=["simulated", "stripe"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with getattr(gateways, request.param)() as bench:
        yield bench


class TestACharge:
    async def test_takes_money_when_it_is_asked_to(self, bench: Bench) -> None:
        """To prepare it takes none."""
        charge = await bench.prepared("a1")
        assert (await bench.net()).get("a1", 0) == 0
        assert await bench.gateway.charge(charge, bench.good) == TAKEN
        assert await bench.net() == {"a1": 1_250}

    async def test_takes_money_once(self, bench: Bench) -> None:
        """Also if it is prepared and charged again, at once or by another process."""
        charges = [await bench.prepared("a1") for _ in range(3)]
        assert len(set(charges)) == 1
        others = [bench.reopen() for _ in range(3)]
        for _ in range(2):
            answers = await asyncio.gather(*(each.charge(charges[0], bench.good) for each in (bench.gateway, *others)))
            assert answers == [TAKEN] * 4
        assert await bench.net() == {"a1": 1_250}

    async def test_is_found_by_another_process(self, bench: Bench) -> None:
        charge = await bench.prepared("a1")
        assert await bench.reopen().find(charge) is None
        await bench.gateway.charge(charge, bench.good)
        assert await bench.reopen().find(charge) == TAKEN

    async def test_is_declined(self, bench: Bench) -> None:
        """It stays declined, and other charges do not care."""
        charge, other = await bench.prepared("a1", bench.bad), await bench.prepared("a2")
        for _ in range(2):
            assert await bench.gateway.charge(charge, bench.bad) == Declined(GENERIC_DECLINE)
        assert await bench.reopen().find(charge) == Declined(GENERIC_DECLINE)
        assert await bench.gateway.charge(other, bench.good) == TAKEN
        assert sum((await bench.net()).values()) == 1_250

    async def test_that_was_never_prepared_is_not_found(self, bench: Bench) -> None:
        assert await bench.gateway.find(charge_of("a1")) is None


class TestAVoid:
    async def test_before_the_charge_keeps_it_from_taking_money(self, bench: Bench) -> None:
        charge = await bench.prepared("a1")
        assert [await bench.gateway.void(charge) for _ in range(2)] == [False, False]
        for _ in range(2):
            with pytest.raises(ChargeVoided):
                await bench.reopen().charge(charge, bench.good)
        assert await bench.gateway.find(charge) is None
        assert (await bench.net()).get("a1", 0) == 0

    async def test_comes_too_late(self, bench: Bench) -> None:
        """The money stays taken, and a repeat says so."""
        charge = await bench.prepared("a1")
        await bench.gateway.charge(charge, bench.good)
        assert [await bench.gateway.void(charge) for _ in range(2)] == [True, True]
        assert await bench.gateway.find(charge) == TAKEN
        assert await bench.net() == {"a1": 1_250}

    async def test_of_a_declined_charge(self, bench: Bench) -> None:
        charge = await bench.prepared("a1", bench.bad)
        await bench.gateway.charge(charge, bench.bad)
        assert not await bench.gateway.void(charge)

    async def test_of_a_charge_whose_identifier_was_not_stored(self, bench: Bench) -> None:
        assert not await bench.gateway.void(charge_of("a1"))

    async def test_against_the_charge(self, bench: Bench) -> None:
        """One of them wins."""
        for number in range(20):
            charge = await bench.prepared(f"a{number}")
            other = bench.reopen()
            taken, voided = await asyncio.gather(
                bench.gateway.charge(charge, bench.good), other.void(charge), return_exceptions=True
            )
            assert (taken == TAKEN, voided) in {(True, True), (False, False)}
            assert (await bench.net()).get(f"a{number}", 0) == (1_250 if voided else 0)


class TestARefund:
    async def test_is_paid_once(self, bench: Bench) -> None:
        """However often it is asked for, and by whom; parts add up."""
        charge = await bench.prepared("a1")
        await bench.gateway.charge(charge, bench.good)
        refunds = [refund_of(charge, "r1", 250), refund_of(charge, "r2", 1_000)]
        for gateway in (bench.gateway, bench.reopen()):
            states = [await gateway.refund(each) for each in refunds]
            assert {each.status for each in states} == {RefundStatus.COMPLETED}
        assert await bench.net() == {"a1": 0}

    async def test_is_paid_once_by_many_at_once(self, bench: Bench) -> None:
        charge = await bench.prepared("a1")
        await bench.gateway.charge(charge, bench.good)
        refund = refund_of(charge, "r1", 250)
        await asyncio.gather(*(bench.reopen().refund(refund) for _ in range(5)), return_exceptions=True)
        assert (await bench.gateway.refund(refund)).status is RefundStatus.COMPLETED
        assert await bench.net() == {"a1": 1_000}
