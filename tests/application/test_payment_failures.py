"""Payments when something fails: the provider, storage, or the time that there was for it."""

import asyncio
from datetime import timedelta

import pytest

from cinema_grpc.application import lane, payment_saga
from cinema_grpc.application.errors import PaymentUnavailable, RequestIdReused, ShuttingDown, StorageUnavailable
from cinema_grpc.application.retry_policy import PROVIDER_SECONDS
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import HoldExpired, PaymentInProgress
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import RefundStatus
from tests.application.desk import Desk, outcomes, request
from tests.faults import failing


async def test_a_lost_answer_is_found_in_the_background(desk: Desk) -> None:
    """The caller gets an error at once; the charge is repeated with the same key, and the booking is confirmed."""
    held = await desk.house.hold("A1")
    desk.provider.lost_answers = 2
    with pytest.raises(PaymentUnavailable):
        await desk.pay(held, request=request())
    await desk.payments.stop(10)
    assert (await desk.read(held)).status is BookingStatus.CONFIRMED
    assert (desk.provider.calls, len(desk.provider.charged)) == (3, 1)


async def test_a_repeat_after_a_lost_answer_waits_for_the_outcome(desk: Desk) -> None:
    """The same request_id gets the tickets as soon as they are known; with other content it is refused."""
    held = await desk.house.hold("A1")
    desk.provider.lost_answers = 1
    with pytest.raises(PaymentUnavailable):
        await desk.pay(held, request=request())
    with pytest.raises(RequestIdReused):
        await desk.pay(held, request=request(content=b"other"))
    assert (await desk.pay(held, request=request())).status is BookingStatus.CONFIRMED
    assert (desk.provider.calls, len(desk.provider.charged)) == (2, 1)


async def test_an_attempt_that_may_not_have_been_written_down(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit's answer was lost and can't be looked up: it is withdrawn, uncharged, and the next one goes."""
    monkeypatch.setattr(lane, "SECONDS_TO_FIND_OUT", 0.01)
    held = await desk.house.hold("A1")
    lost: list[str] = []

    def fails(statement: str) -> bool:
        if statement == "COMMIT":
            lost.append(statement)
        return bool(lost)

    with failing(desk.house.database, fails, after=True), pytest.raises(StorageUnavailable):
        await desk.pay(held, request=request())
    (repeated,) = await outcomes(desk.pay(held, request=request()))
    if isinstance(repeated, StorageUnavailable):  # it came before the attempt was withdrawn
        repeated = await desk.pay(held, request=request())
    assert repeated.status is BookingStatus.CONFIRMED
    statuses = [row["status"] for row in await desk.house.rows("payment_attempt")]
    assert sorted(statuses) == ["CHARGED", "DECLINED"]
    assert desk.provider.calls == 1


async def test_nothing_is_left_to_be_done_when_the_database_is_away(desk: Desk) -> None:
    """What was certainly not written down need not be withdrawn, so those who call in vain leave nothing behind."""
    held = await desk.house.hold("A1")
    desk.bookings._remember(held)
    with failing(desk.house.database, lambda _: True):
        assert {type(each) for each in await outcomes(*(desk.pay(held) for _ in range(20)))} == {StorageUnavailable}
        await asyncio.sleep(0)  # the callers get their answers before the task is removed
        assert not desk.payments._tasks
    assert (await desk.pay(held)).status is BookingStatus.CONFIRMED
    assert len(await desk.house.rows("payment_attempt")) == 1


async def test_a_provider_that_never_answers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payment_saga, "PROVIDER_SECONDS", 0.01)
    held = await desk.house.hold("A1")
    desk.provider.open.clear()
    with pytest.raises(PaymentUnavailable):
        await desk.pay(held)
    with pytest.raises(PaymentInProgress):
        await desk.pay(held)
    desk.provider.open.set()


async def test_storage_that_fails_after_the_charge(desk: Desk) -> None:
    """The money is accounted for as soon as storage is back, without a second charge."""
    held = await desk.house.hold("A1")
    desk.provider.open.clear()
    caller = asyncio.create_task(desk.pay(held, request=request()))
    await desk.provider.arrived.wait()
    with failing(desk.house.database, lambda statement: "UPDATE booking" in statement):
        desk.provider.open.set()
        assert isinstance((await outcomes(caller))[0], StorageUnavailable)
    await desk.payments.stop(10)
    assert (await desk.read(held)).status is BookingStatus.CONFIRMED
    assert (await desk.pay_afresh(held)).status is BookingStatus.CONFIRMED
    assert desk.provider.calls == 1


async def test_storage_that_was_away_for_long(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon after it is back the payment is settled, and a repeat that waited gets the outcome."""
    assert payment_saga.LONGEST_WRITE_RETRY_SECONDS < PROVIDER_SECONDS / 2
    monkeypatch.setattr(payment_saga, "LONGEST_WRITE_RETRY_SECONDS", 0.02)
    held = await desk.house.hold("A1")
    desk.provider.open.clear()
    caller = asyncio.create_task(desk.pay(held, request=request()))
    await desk.provider.arrived.wait()
    with failing(desk.house.database, lambda statement: "UPDATE booking" in statement) as failed:
        desk.provider.open.set()
        async with asyncio.timeout(20):  # pauses that went on doubling would take 40 s
            while len(failed) < 12:  # noqa: ASYNC110 (the database's doing)
                await asyncio.sleep(0.01)
        assert isinstance((await outcomes(caller))[0], StorageUnavailable)
    assert (await desk.pay(held, request=request())).status is BookingStatus.CONFIRMED


async def test_a_charge_that_comes_too_late_is_owed_back(desk: Desk) -> None:
    """The seats have a new owner by then, who keeps them; the money goes back, once."""
    held = await desk.house.hold("A1")
    desk.provider.open.clear()
    caller = asyncio.create_task(desk.pay(held, request=request()))
    await desk.provider.arrived.wait()
    desk.house.clock.advance(timedelta(minutes=10))
    rival = await desk.house.hold("A1", by="bob")
    desk.provider.open.set()
    assert isinstance((await outcomes(caller))[0], HoldExpired)
    (again,) = await outcomes(desk.pay(held, request=request()))
    assert isinstance(again, HoldExpired)
    assert again.metadata["charged"] == "true"
    assert again.metadata["charged"] == "true"
    late = await desk.read(held)
    assert late.status is BookingStatus.EXPIRED
    assert late.refund is not None
    assert (late.refund.amount, late.refund.status) == (Money("EUR", 1_250), RefundStatus.PENDING)
    await desk.refunds.run_pass()
    await desk.refunds.run_pass()
    late = await desk.read(held)
    assert late.refund is not None
    assert late.refund.status is RefundStatus.COMPLETED
    assert list(desk.provider.refunded.values()) == [Money("EUR", 1_250)]
    assert (await desk.pay(rival)).status is BookingStatus.CONFIRMED


async def test_a_stopping_server_takes_no_payment(desk: Desk) -> None:
    held = await desk.house.hold("A1")
    await desk.payments.stop(1)
    with pytest.raises(ShuttingDown):
        await desk.pay(held)


async def test_a_payment_is_cut_short_in_the_end(desk: Desk) -> None:
    """A provider that hangs does not keep the server from stopping; the attempt stays written down as open."""
    held = await desk.house.hold("A1")
    desk.provider.open.clear()
    caller = asyncio.create_task(desk.pay(held))
    await desk.provider.arrived.wait()
    await desk.payments.stop(0.01)
    assert isinstance((await outcomes(caller))[0], ShuttingDown)
    assert [row["status"] for row in await desk.house.rows("payment_attempt")] == ["OPEN"]
