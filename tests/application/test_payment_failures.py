"""Payments when something fails: the provider, storage, or the time that there was for it."""

import asyncio
from datetime import timedelta

import pytest

from cinema_grpc.application import payment_steps
from cinema_grpc.application.box_office import batch_runner
from cinema_grpc.application.errors import PaymentUnavailable, RequestIdReused, ShuttingDown, StorageUnavailable
from cinema_grpc.application.retry_policy import PROVIDER_SECONDS
from cinema_grpc.domain.booking import BookingStatus
from cinema_grpc.domain.booking_errors import HoldExpired, PaymentInProgress
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import RefundStatus
from tests.application.sales import Sales, confirming, outcomes
from tests.faults import failing


async def test_a_lost_answer_is_found_in_the_background(sales: Sales) -> None:
    """The caller gets an error at once; the charge is repeated with the same key, and the booking is confirmed."""
    held = await sales.app.hold("A1")
    sales.provider.lost_answers = 2
    with pytest.raises(PaymentUnavailable):
        await sales.pay(held, call=confirming())
    await sales.payments.stop(10)
    assert (await sales.read(held)).status is BookingStatus.CONFIRMED
    assert (sales.provider.calls, len(sales.provider.charged)) == (3, 1)


async def test_a_repeat_after_a_lost_answer_waits_for_the_outcome(sales: Sales) -> None:
    """The same request_id gets the tickets as soon as they are known; with other content it is refused."""
    held = await sales.app.hold("A1")
    sales.provider.lost_answers = 1
    with pytest.raises(PaymentUnavailable):
        await sales.pay(held, call=confirming())
    with pytest.raises(RequestIdReused):
        await sales.pay(held, call=confirming(request=b"other"))
    assert (await sales.pay(held, call=confirming())).status is BookingStatus.CONFIRMED
    assert (sales.provider.calls, len(sales.provider.charged)) == (2, 1)


async def test_an_attempt_that_may_not_have_been_written_down(sales: Sales, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit's answer was lost and can't be looked up: it is withdrawn, uncharged, and the next one goes."""
    monkeypatch.setattr(batch_runner, "SECONDS_TO_FIND_OUT", 0.01)
    held = await sales.app.hold("A1")
    lost: list[str] = []

    def fails(statement: str) -> bool:
        if statement == "COMMIT":
            lost.append(statement)
        return bool(lost)

    with failing(sales.app.database, fails, after=True), pytest.raises(StorageUnavailable):
        await sales.pay(held, call=confirming())
    (repeated,) = await outcomes(sales.pay(held, call=confirming()))
    if isinstance(repeated, StorageUnavailable):  # it came before the attempt was withdrawn
        repeated = await sales.pay(held, call=confirming())
    assert repeated.status is BookingStatus.CONFIRMED
    statuses = [row["status"] for row in await sales.app.rows("payment_attempt")]
    assert sorted(statuses) == ["CHARGED", "DECLINED"]
    assert sales.provider.calls == 1


async def test_nothing_is_left_to_be_done_when_the_database_is_away(sales: Sales) -> None:
    """An attempt that was certainly not written down need not be withdrawn, so failed calls leave nothing behind."""
    held = await sales.app.hold("A1")
    assert await sales.bookings.showtime_of(held.booking_id) == "s1"  # it is cached
    with failing(sales.app.database, lambda _: True):
        assert {type(each) for each in await outcomes(*(sales.pay(held) for _ in range(20)))} == {StorageUnavailable}
        await asyncio.sleep(0)  # the callers get their answers before the task is removed
        assert not sales.payments._tasks
    assert (await sales.pay(held)).status is BookingStatus.CONFIRMED
    assert len(await sales.app.rows("payment_attempt")) == 1


async def test_a_provider_that_never_answers(sales: Sales, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payment_steps, "PROVIDER_SECONDS", 0.01)
    held = await sales.app.hold("A1")
    sales.provider.open.clear()
    with pytest.raises(PaymentUnavailable):
        await sales.pay(held)
    with pytest.raises(PaymentInProgress):
        await sales.pay(held)
    sales.provider.open.set()


async def test_storage_that_fails_after_the_charge(sales: Sales) -> None:
    """The money is accounted for as soon as storage is back, without a second charge."""
    held = await sales.app.hold("A1")
    sales.provider.open.clear()
    caller = asyncio.create_task(sales.pay(held, call=confirming()))
    await sales.provider.arrived.wait()
    with failing(sales.app.database, lambda statement: "UPDATE booking" in statement):
        sales.provider.open.set()
        assert isinstance((await outcomes(caller))[0], StorageUnavailable)
    await sales.payments.stop(10)
    assert (await sales.read(held)).status is BookingStatus.CONFIRMED
    assert (await sales.pay_elsewhere(held)).status is BookingStatus.CONFIRMED
    assert sales.provider.calls == 1


async def test_storage_that_was_away_for_long(sales: Sales, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon after it is back the payment is settled, and a repeat that waited gets the outcome."""
    assert payment_steps.LONGEST_WRITE_RETRY_SECONDS < PROVIDER_SECONDS / 2
    monkeypatch.setattr(payment_steps, "LONGEST_WRITE_RETRY_SECONDS", 0.02)
    held = await sales.app.hold("A1")
    sales.provider.open.clear()
    caller = asyncio.create_task(sales.pay(held, call=confirming()))
    await sales.provider.arrived.wait()
    with failing(sales.app.database, lambda statement: "UPDATE booking" in statement) as failed:
        sales.provider.open.set()
        async with asyncio.timeout(20):  # pauses that went on doubling would take 40 s
            while len(failed) < 12:  # noqa: ASYNC110 (the database's doing)
                await asyncio.sleep(0.01)
        assert isinstance((await outcomes(caller))[0], StorageUnavailable)
    assert (await sales.pay(held, call=confirming())).status is BookingStatus.CONFIRMED


async def test_a_charge_that_comes_too_late_is_owed_back(sales: Sales) -> None:
    """The seats have a new owner by then, who keeps them; the money goes back, once."""
    held = await sales.app.hold("A1")
    sales.provider.open.clear()
    caller = asyncio.create_task(sales.pay(held, call=confirming()))
    await sales.provider.arrived.wait()
    sales.app.clock.advance(timedelta(minutes=10))
    rival = await sales.app.hold("A1", by="bob")
    sales.provider.open.set()
    assert isinstance((await outcomes(caller))[0], HoldExpired)
    (again,) = await outcomes(sales.pay(held, call=confirming()))
    assert isinstance(again, HoldExpired)
    assert again.metadata["charged"] == "true"
    (other,) = await outcomes(sales.pay(rival, call=confirming(b"another request")))
    assert isinstance(other, RequestIdReused)
    late = await sales.read(held)
    assert late.status is BookingStatus.EXPIRED
    assert late.refund is not None
    assert (late.refund.amount, late.refund.status) == (Money("EUR", 1_250), RefundStatus.PENDING)
    await sales.refunds.run_pass()
    await sales.refunds.run_pass()
    late = await sales.read(held)
    assert late.refund is not None
    assert late.refund.status is RefundStatus.COMPLETED
    assert list(sales.provider.refunded.values()) == [Money("EUR", 1_250)]
    assert (await sales.pay(rival)).status is BookingStatus.CONFIRMED


async def test_a_stopping_server_takes_no_payment(sales: Sales) -> None:
    held = await sales.app.hold("A1")
    await sales.payments.stop(1)
    with pytest.raises(ShuttingDown):
        await sales.pay(held)


async def test_a_payment_is_cut_short_in_the_end(sales: Sales) -> None:
    """A provider that hangs does not keep the server from stopping; the attempt stays written down as open."""
    held = await sales.app.hold("A1")
    sales.provider.open.clear()
    caller = asyncio.create_task(sales.pay(held))
    await sales.provider.arrived.wait()
    await sales.payments.stop(0.01)
    assert isinstance((await outcomes(caller))[0], ShuttingDown)
    assert [row["status"] for row in await sales.app.rows("payment_attempt")] == ["OPEN"]
