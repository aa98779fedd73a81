"""The comparison of the ledger with Stripe's balance transactions: it names every difference, and nothing else."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from cinema_grpc.adapters.database import ledger_reader, schema
from cinema_grpc.adapters.database.ledger_reader import read_ledger
from cinema_grpc.adapters.stripe.transactions import PAGE_SIZE, read_entries
from cinema_grpc.application.reconciliation import Difference, DifferenceKind, Ledger, compare
from cinema_grpc.domain.money import Money
from tests.application.commands import cancel_command
from tests.application.paying import GRACE
from tests.application.stripe_shop import PRICE, VISA, Shop
from tests.builders import NOW
from tests.database import writing
from tests.stripe.server import KEY, Fault

DAY = timedelta(days=1)


async def differences(shop: Shop, since: datetime = NOW - DAY) -> list[Difference]:
    """Compare, as the command does."""
    entries = await read_entries(KEY, shop.stripe.url, since - DAY)
    charges, refunds = {each.charge_id for each in entries}, {each.refund_id for each in entries} - {""}
    return compare(entries, await read_ledger(shop.app.database, since, charges, refunds), since)


async def kinds(shop: Shop) -> list[str]:
    """Return the names of the differences."""
    return sorted(each.kind.name for each in await differences(shop))


async def set_column(shop: Shop, table: str, **values: Any) -> None:
    """Change all rows of a table."""
    async with writing(shop.app.database) as connection:
        await connection.execute(update(schema.metadata.tables[table]).values(**values))


async def paid(shop: Shop) -> str:
    """Pay, and return the intent."""
    await shop.first.pay(shop.booking, VISA)
    return shop.intent


async def refunded(shop: Shop, token: str = VISA) -> str:
    """Pay and cancel, and return the refund at Stripe."""
    await shop.first.pay(shop.booking, token)
    await shop.app.box_office.execute(cancel_command(shop.booking))
    await shop.first.refunds.run_pass()
    return list(shop.stripe.account.refunds)[-1]


async def test_whatever_the_server_does_agrees(shop: Shop) -> None:
    """A decline, a payment that was called off, one that was refunded, and one that failed and is so in the ledger."""
    with pytest.raises(Exception, match="declined"):
        await shop.first.pay(shop.booking, "pm_card_chargeDeclined")
    await refunded(shop, "pm_card_refundFail")
    assert await differences(shop) == []
    shop.stripe.account.settle_refund(next(iter(shop.stripe.account.refunds)), "failed")
    shop.app.clock.advance(DAY)
    await shop.first.refunds.run_pass()
    assert await differences(shop) == []


async def test_a_ledger_of_many_pages(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here of one entry each; by time and by name it finds the same."""
    monkeypatch.setattr(ledger_reader, "PAGE_SIZE", 1)
    await refunded(shop)
    for seats in (["A4", "A5"], ["A7", "A8"]):
        await shop.second.pay(await shop.app.hold(*seats), VISA)
    by_time = await read_ledger(shop.app.database, NOW - DAY, (), ())
    assert (len(by_time.charges), len(by_time.refunds)) == (3, 1)
    assert await read_ledger(shop.app.database, NOW + DAY, by_time.charges, by_time.refunds) == by_time
    assert await read_ledger(shop.app.database, NOW + DAY, (), ()) == Ledger({}, {})


async def test_what_is_sold_and_refunded_while_stripe_is_read(shop: Shop) -> None:
    """The ledger has it, but the entries do not; it is no difference, and not compared by itself."""
    since = NOW - DAY
    entries = await read_entries(KEY, shop.stripe.url, since)
    await refunded(shop)
    ledger = await read_ledger(shop.app.database, since, (), ())
    assert {each.kind.name for each in compare(entries, ledger, since)} == {"MISSING_CHARGE", "MISSING_REFUND"}
    await shop.second.pay(await shop.app.hold("A4", "A5"), VISA)
    later = await read_entries(KEY, shop.stripe.url, NOW - DAY / 24)
    assert len(later) == 3
    assert compare(entries, ledger, since, later) == []


class TestWhatWasDoneAtStripe:
    async def test_a_refund_in_the_dashboard(self, shop: Shop) -> None:
        """It names the booking whose charge was refunded."""
        refund = shop.stripe.account.create_refund({"payment_intent": await paid(shop), "amount": "300"})
        (found,) = await differences(shop)
        assert (found.kind, found.provider_id) == (DifferenceKind.UNKNOWN_REFUND, refund["id"])
        assert (found.booking_id, found.at_provider) == (shop.booking.booking_id, Money("EUR", 300))
        assert found.in_ledger is None

    async def test_a_dispute(self, shop: Shop) -> None:
        dispute = shop.stripe.account.dispute(await paid(shop))
        (found,) = await differences(shop)
        assert (found.kind, found.provider_id) == (DifferenceKind.DISPUTE, dispute["id"])
        assert (found.booking_id, found.at_provider) == (shop.booking.booking_id, Money("EUR", PRICE))

    async def test_a_charge(self, shop: Shop) -> None:
        account = shop.stripe.account
        intent = account.create_intent({"amount": "700", "currency": "eur", "payment_method": VISA})
        account.confirm_intent(intent["id"])
        (found,) = await differences(shop)
        assert (found.kind, found.booking_id) == (DifferenceKind.UNKNOWN_CHARGE, "")

    async def test_a_refund_that_failed_since(self, shop: Shop) -> None:
        shop.stripe.account.settle_refund(await refunded(shop, "pm_card_refundFail"), "failed")
        assert await kinds(shop) == ["REFUND_FAILED"]


class TestWhatTheLedgerSays:
    async def test_a_charge_is_not_settled(self, shop: Shop) -> None:
        shop.stripe.faults = [Fault("POST", ".*/confirm", "after", times=-1)]
        with pytest.raises(Exception, match="not known yet"):
            await shop.first.pay(shop.booking, VISA)
        await shop.first.die()
        assert await kinds(shop) == ["CHARGE_NOT_SETTLED"]
        shop.app.clock.advance(GRACE)
        await shop.second.recover()
        assert await kinds(shop) == []

    @pytest.mark.parametrize("status", ["DECLINED", "VOIDED"])
    async def test_a_charge_took_no_money(self, shop: Shop, status: str) -> None:
        await paid(shop)
        await set_column(shop, "payment_attempt", status=status)
        assert await kinds(shop) == ["CHARGE_NOT_RECORDED"]

    async def test_a_charge_was_made_that_stripe_does_not_have(self, shop: Shop) -> None:
        intent = await paid(shop)
        shop.stripe.account.transactions.clear()
        (found,) = await differences(shop)
        assert (found.kind, found.provider_id) == (DifferenceKind.MISSING_CHARGE, intent)
        assert (found.booking_id, found.in_ledger) == (shop.booking.booking_id, Money("EUR", PRICE))

    async def test_other_amounts(self, shop: Shop) -> None:
        await refunded(shop)
        account = shop.stripe.account
        for each in (*account.charges.values(), *account.refunds.values()):
            each["amount"] -= 1
        assert await kinds(shop) == ["OTHER_AMOUNT", "OTHER_AMOUNT"]

    async def test_a_refund_was_paid_that_stripe_does_not_have(self, shop: Shop) -> None:
        await refunded(shop)
        shop.stripe.account.transactions.pop()
        assert await kinds(shop) == ["MISSING_REFUND"]

    async def test_a_refund_has_failed_that_stripe_has_paid(self, shop: Shop) -> None:
        """As one whose answers were lost for a day."""
        await refunded(shop)
        await set_column(shop, "refund", status="FAILED", provider_id="")
        assert await kinds(shop) == ["REFUND_PAID_AFTER_ALL"]
        await set_column(shop, "refund", status="COMPLETED", settled_by="bob", settle_time=NOW)
        assert await kinds(shop) == ["REFUND_PAID_TWICE"]


async def test_what_is_older_is_not_compared_but_known(shop: Shop) -> None:
    """A refund of an old charge is no difference; neither is an old charge that Stripe lists no more."""
    await paid(shop)
    shop.app.clock.advance(10 * DAY)
    shop.stripe.account.create_refund({"payment_intent": shop.intent, "amount": "300"})
    shop.app.clock.advance(10 * DAY)
    assert await differences(shop, NOW + 15 * DAY) == []
    (found,) = await differences(shop, NOW + 5 * DAY)
    assert (found.kind, found.booking_id) == (DifferenceKind.UNKNOWN_REFUND, shop.booking.booking_id)


async def test_all_pages_are_read(shop: Shop) -> None:
    account = shop.stripe.account
    for _ in range(2 * PAGE_SIZE + 1):
        intent = account.create_intent({"amount": "700", "currency": "eur", "payment_method": VISA})
        account.confirm_intent(intent["id"])
    assert await kinds(shop) == ["UNKNOWN_CHARGE"] * (2 * PAGE_SIZE + 1)
    assert len(shop.stripe.sent("GET", "/v1/balance_transactions")) == 3
