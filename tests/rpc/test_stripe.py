"""Payments by Stripe over a real channel: the action, declines, refunds in lists, and prices that can't be charged."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from cinema.v1 import (
    booking_pb2,
    booking_service_pb2,
    box_office_service_pb2,
    box_office_service_pb2_grpc,
    showtime_pb2,
    showtime_service_pb2,
)
from cinema.v1.money_pb2 import Money
from google.protobuf.field_mask_pb2 import FieldMask

from tests.rpc.conftest import App, new_id, refusal, running
from tests.rpc.programme import open_programme
from tests.stripe.server import KEY, StripeServer

VISA = "pm_card_visa"
PRICES = (
    (Money(currency_code="EUR", minor_units=49), "price.minor_units", "0, or 50 to 9999999 in EUR"),
    (Money(currency_code="EUR", minor_units=10_000_000), "price.minor_units", "charge 1 to 10 seats"),
    (Money(currency_code="KWD", minor_units=1_250), "price.minor_units", "20 to 9999980 in KWD, a multiple of 20"),
    (
        Money(currency_code="MGA", minor_units=100_100),
        "price.minor_units",
        "200 to 999999800 in MGA, a multiple of 200",
    ),
    (Money(currency_code="IRR", minor_units=1_000), "price.currency_code", "a currency that Stripe takes"),
    (Money(currency_code="XXX", minor_units=1_000), "price.currency_code", "ISO 4217"),
)


@pytest.fixture
async def stripe() -> AsyncIterator[StripeServer]:
    server = await StripeServer().start()
    yield server
    await server.close()


@pytest.fixture
async def app(database_url: str, stripe: StripeServer) -> AsyncIterator[App]:
    async with running(database_url, payments="stripe", stripe_secret_key=KEY, stripe_api_base=stripe.url) as app:
        yield app


async def confirm(
    app: App, booking_id: str, token: str, request_id: str = ""
) -> booking_service_pb2.ConfirmPaymentResponse:
    """Confirm a payment, and return the whole response."""
    request = booking_service_pb2.ConfirmPaymentRequest(
        booking_id=booking_id, payment_token=token, request_id=request_id
    )
    return await app.bookings.ConfirmPayment(request, metadata=await app.customer())


async def test_a_customer_who_authenticates_the_payment(app: App, stripe: StripeServer) -> None:
    held = await app.book((await app.showtime()).showtime_id, "A1", "A2")
    first, second = new_id(), new_id()
    asked = await confirm(app, held.booking_id, "pm_card_authenticationRequired", first)
    assert asked.booking.status == booking_pb2.BOOKING_STATUS_RESERVED
    assert (asked.action.provider, asked.action.expire_time) == ("stripe", asked.booking.hold_expire_time)
    (intent,) = stripe.account.intents.values()
    assert asked.action.client_secret == intent["client_secret"]
    assert (await refusal(confirm(app, held.booking_id, VISA))).reason == "PAYMENT_IN_PROGRESS"
    assert await confirm(app, held.booking_id, "", second) == asked
    stripe.account.authenticate(intent["id"])
    assert (await refusal(confirm(app, held.booking_id, VISA, second))).reason == "REQUEST_ID_REUSED"
    paid = await confirm(app, held.booking_id, "")
    assert paid.booking.status == booking_pb2.BOOKING_STATUS_CONFIRMED
    assert (len(paid.booking.tickets), paid.HasField("action")) == (2, False)
    assert await confirm(app, held.booking_id, "pm_card_authenticationRequired", first) == asked
    (request,) = stripe.sent("POST", "/v1/payment_intents")
    ours = {name: value for name, value in request.fields.items() if name.startswith("metadata")}
    assert set(ours) == {"metadata[booking_id]", "metadata[showtime_id]", "metadata[attempt_id]"}
    assert request.headers["idempotency-key"] == ours["metadata[attempt_id]"]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("pm_card_chargeDeclined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_chargeDeclinedLostCard", "generic_decline"),
        ("pm_card_chargeDeclinedFraudulent", "generic_decline"),
        ("pm_of_nobody", "generic_decline"),
    ],
)
async def test_a_decline_says_why_where_the_customer_may_know(app: App, token: str, code: str) -> None:
    held = await app.book((await app.showtime()).showtime_id, "A1", "A2")
    refused = await refusal(confirm(app, held.booking_id, token))
    assert (refused.reason, refused.metadata["decline_code"]) == ("PAYMENT_DECLINED", code)
    assert token not in refused.message
    assert (await confirm(app, held.booking_id, VISA)).booking.status == booking_pb2.BOOKING_STATUS_CONFIRMED


async def test_a_refund_that_fails_later_is_in_the_list(app: App, stripe: StripeServer) -> None:
    held = await app.book((await app.showtime()).showtime_id, "A1", "A2")
    await confirm(app, held.booking_id, VISA)
    await app.bookings.CancelBooking(
        booking_service_pb2.CancelBookingRequest(booking_id=held.booking_id), metadata=await app.customer()
    )
    desk = box_office_service_pb2_grpc.BoxOfficeServiceStub(app.channel)

    async def refund_with(status: booking_pb2.RefundStatus.ValueType) -> booking_pb2.Refund:
        request = box_office_service_pb2.ListRefundsRequest(status=status)
        async with asyncio.timeout(30):
            while not (refunds := (await desk.ListRefunds(request, metadata=await app.staff())).refunds):
                app.server.tasks.pay_refunds.wake()
                await asyncio.sleep(0.01)
        return refunds[0].refund

    paid = await refund_with(booking_pb2.REFUND_STATUS_COMPLETED)
    (refund,) = stripe.account.refunds.values()
    assert refund["metadata"]["refund_id"] == paid.refund_id
    stripe.account.settle_refund(refund["id"], "failed")
    await app.pass_time(timedelta(days=1))
    listed = await refund_with(booking_pb2.REFUND_STATUS_FAILED)
    settle = box_office_service_pb2.SettleRefundRequest(refund_id=listed.refund_id, note="by bank transfer")
    settled = await desk.SettleRefund(settle, metadata=await app.staff())
    assert settled.refund.refund.status == booking_pb2.REFUND_STATUS_COMPLETED


async def test_percents_that_stripe_can_not_pay_back(app: App, stripe: StripeServer) -> None:
    """The error names the nearest that it can; what a customer gets back, a half, it always can."""
    programme = await open_programme(app)
    showtime = await programme.create(price=Money(currency_code="KWD", minor_units=1_260))
    held = await app.book(showtime.showtime_id, "A1", "A2", "A3")
    await confirm(app, held.booking_id, VISA)
    refused = await refusal(app.void(held.booking_id, "A1", percent=33))
    assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["refund_percent"])
    assert refused.message.endswith("which the payment provider can pay, not 416; the nearest percent that does is 27")
    for seat, percent in (("A1", 27), ("A2", 50), ("A3", 0)):
        assert (await app.void(held.booking_id, seat, percent=percent)).refund.percent == percent
    async with asyncio.timeout(30):
        while len(stripe.account.refunds) < 2:
            app.server.tasks.pay_refunds.wake()
            await asyncio.sleep(0.01)
    assert sorted(each["amount"] for each in stripe.account.refunds.values()) == [340, 630]


async def test_a_counter_sale_is_paid_back_by_hand(app: App) -> None:
    """At any percent."""
    programme = await open_programme(app)
    showtime = await programme.create(price=Money(currency_code="KWD", minor_units=1_260))
    booking = await app.sell(showtime.showtime_id, "A1", "A2")
    voided = await app.void(booking.booking_id, "A1", percent=33)
    assert voided.refund.amount == Money(currency_code="KWD", minor_units=416)


@pytest.mark.parametrize(("price", "field", "problem"), PRICES)
async def test_a_price_that_can_not_be_charged(app: App, price: Money, field: str, problem: str) -> None:
    """In a new showtime and in a changed one; the error says what would be right."""
    programme = await open_programme(app)
    line = showtime_pb2.PriceLine(category="standard", ticket_type="adult", price=price)
    for name, prices in ((field, {"price": price}), (f"prices[0].{field}", {"price": None, "prices": [line]})):
        refused = await refusal(programme.create(**prices))
        assert (refused.reason, refused.fields) == ("INVALID_REQUEST", [name])
        assert problem in refused.message


@pytest.mark.parametrize(
    "price",
    [
        Money(currency_code="EUR", minor_units=0),
        Money(currency_code="EUR", minor_units=50),
        Money(currency_code="EUR", minor_units=9_999_999),
        Money(currency_code="KWD", minor_units=1_260),
        Money(currency_code="JPY", minor_units=1_800),
        Money(currency_code="ISK", minor_units=2_500),
    ],
)
async def test_a_price_that_can_be_charged(app: App, price: Money) -> None:
    assert (await (await open_programme(app)).create(price=price)).price == price


async def test_a_changed_price_that_can_not_be_charged(app: App) -> None:
    showtime = await app.showtime()
    line = showtime_pb2.PriceLine(
        category="standard", ticket_type="adult", price=Money(currency_code="EUR", minor_units=10)
    )
    request = showtime_service_pb2.UpdateShowtimeRequest(
        showtime_id=showtime.showtime_id, prices=[line], update_mask=FieldMask(paths=["prices"]), reason="a sale"
    )
    refused = await refusal(app.showtimes.UpdateShowtime(request, metadata=await app.staff()))
    assert (refused.reason, refused.fields) == ("INVALID_REQUEST", ["prices[0].price.minor_units"])
