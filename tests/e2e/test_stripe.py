"""The program with payments by Stripe: it says so, sells, compares its ledger, and never shows a secret."""

import asyncio
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cinema.v1 import (
    booking_pb2,
    booking_service_pb2,
    booking_service_pb2_grpc,
    showtime_pb2,
    showtime_service_pb2,
    showtime_service_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp

from tests.e2e.conftest import SECONDS, SECRET, Serving, book, run_here, serving
from tests.stripe.server import KEY, Fault, StripeServer
from tests.stripe.thread import stand_in

LIVE = KEY.replace("test", "live")
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
IN_TWO_DAYS = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
BAD: tuple[tuple[dict[str, str], str], ...] = (
    ({"STRIPE_SECRET_KEY": ""}, "CINEMA_STRIPE_SECRET_KEY: must be set"),
    ({"STRIPE_SECRET_KEY": "pk_test_x"}, "CINEMA_STRIPE_SECRET_KEY: is a publishable key"),
    ({"STRIPE_SECRET_KEY": "sk_testing"}, "CINEMA_STRIPE_SECRET_KEY: must be a secret key"),
    ({"STRIPE_SECRET_KEY_FILE": "key"}, "CINEMA_STRIPE_SECRET_KEY_FILE: must not be set"),
    ({"STRIPE_SECRET_KEY": "", "STRIPE_SECRET_KEY_FILE": "missing"}, "CINEMA_STRIPE_SECRET_KEY_FILE: can't read"),
    (
        {"STRIPE_SECRET_KEY": "", "STRIPE_SECRET_KEY_FILE": "key"},
        "CINEMA_STRIPE_SECRET_KEY_FILE: the content of key must be",
    ),
    ({"PAYMENTS": ""}, "CINEMA_STRIPE_SECRET_KEY: has no effect without CINEMA_PAYMENTS=stripe"),
    ({"STRIPE_API_BASE": "http://192.0.2.1"}, "CINEMA_STRIPE_API_BASE: must be https"),
    ({"STRIPE_SECRET_KEY": LIVE}, "CINEMA_STRIPE_API_BASE: must be https with a live key"),
    ({"STRIPE_SECRET_KEY": "sk_test_wrong"}, "CINEMA_STRIPE_SECRET_KEY: Stripe does not accept the key"),
    (
        {"STRIPE_SECRET_KEY": "", "STRIPE_SECRET_KEY_FILE": "wrong key"},
        "CINEMA_STRIPE_SECRET_KEY_FILE: Stripe does not accept the key",
    ),
)


@pytest.fixture
def stripe() -> Iterator[StripeServer]:
    with stand_in() as server:
        yield server


def settings(stripe: StripeServer) -> dict[str, str]:
    """Return the settings of a server that is paid by the stand-in."""
    return {
        "CINEMA_PAYMENTS": "stripe",
        "CINEMA_STRIPE_SECRET_KEY": KEY,
        "CINEMA_STRIPE_API_BASE": stripe.url,
        "CINEMA_JWT_SECRET": SECRET,
    }


@pytest.mark.parametrize(("bad", "line"), BAD)
def test_a_bad_setting(stripe: StripeServer, tmp_path: Path, bad: dict[str, str], line: str) -> None:
    """One line says what is wrong, and shows no key."""
    (tmp_path / "key").write_text("not a key")
    (tmp_path / "wrong key").write_text("sk_test_wrong")
    (tmp_path / "wrong key").chmod(0o600)
    changed = {f"CINEMA_{name}": value for name, value in bad.items()}
    ended = run_here(tmp_path, "serve", **settings(stripe) | changed)
    assert ended.returncode == 2
    assert line in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not any(value.startswith("sk_") and value in ended.stderr for value in changed.values())


def test_a_live_key_beside_the_demo(tmp_path: Path) -> None:
    keys = {"CINEMA_PAYMENTS": "stripe", "CINEMA_STRIPE_SECRET_KEY": LIVE}
    ended = run_here(tmp_path, "serve", "--demo", **keys)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--demo must not move real money" in ended.stderr
    assert not (tmp_path / "cinema.db").exists()


def test_it_sells(stripe: StripeServer, demo_folder: Path) -> None:
    """The customer authenticates the payment, cancels, and nothing secret is in the log; then the ledgers agree."""
    (demo_folder / "key").write_text(f"{KEY}\n")
    keys = settings(stripe) | {"CINEMA_STRIPE_SECRET_KEY": "", "CINEMA_STRIPE_SECRET_KEY_FILE": "key"}
    with serving(demo_folder, "--demo", **keys, CINEMA_LOG_LEVEL="debug") as server:
        server.wait_for("payments are in Stripe's test mode: no money moves")
        secret = asyncio.run(buy_and_cancel(server, stripe))
        server.wait_for("a refund is paid")
        assert server.stop() == 0
        output = "\n".join(server.lines)
    assert not [each for each in (KEY, secret, "authenticationRequired") if each in output]
    assert all(amount == 0 for amount in stripe.account.net().values())
    ended = run_here(demo_folder, "reconcile", "--since", YESTERDAY, **keys)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.endswith("No differences.\n")


async def hold(channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]) -> booking_pb2.Booking:
    """Hold two seats of a showtime that is more than a day away."""
    showtimes, tomorrow = showtime_service_pb2_grpc.ShowtimeServiceStub(channel), Timestamp()
    tomorrow.FromDatetime(datetime.now(UTC) + timedelta(hours=25))
    listing = showtime_service_pb2.ListShowtimesRequest(start_time_from=tomorrow, page_size=1)
    showtime_id = (await showtimes.ListShowtimes(listing, timeout=SECONDS)).showtimes[0].showtime_id
    seen = await showtimes.GetShowtime(
        showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime_id), timeout=SECONDS
    )
    free = [each.seat for each in seen.seats if each.status == showtime_pb2.SEAT_STATUS_AVAILABLE]
    request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime_id, seats=free[:2])
    bookings = booking_service_pb2_grpc.BookingServiceStub(channel)
    return (await bookings.CreateBooking(request, metadata=metadata, timeout=SECONDS)).booking


async def buy_and_cancel(server: Serving, stripe: StripeServer) -> str:
    """Pay with a card that has to be authenticated, cancel, and return the client secret."""
    token, _ = await book(server)
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(server.address) as channel:
        bookings, held = booking_service_pb2_grpc.BookingServiceStub(channel), await hold(channel, metadata)

        async def confirm(payment_token: str) -> booking_service_pb2.ConfirmPaymentResponse:
            request = booking_service_pb2.ConfirmPaymentRequest(booking_id=held.booking_id, payment_token=payment_token)
            return await bookings.ConfirmPayment(request, metadata=metadata, timeout=SECONDS)

        asked = await confirm("pm_card_authenticationRequired")
        assert asked.booking.status == booking_pb2.BOOKING_STATUS_RESERVED
        assert (asked.action.provider, asked.action.expire_time) == ("stripe", asked.booking.hold_expire_time)
        (intent,) = stripe.account.intents.values()
        assert asked.action.client_secret == intent["client_secret"]
        stripe.account.authenticate(intent["id"])
        paid = await confirm("")
        assert paid.booking.status == booking_pb2.BOOKING_STATUS_CONFIRMED
        assert not paid.HasField("action")
        await bookings.CancelBooking(
            booking_service_pb2.CancelBookingRequest(booking_id=held.booking_id), metadata=metadata, timeout=SECONDS
        )
    return asked.action.client_secret


def test_it_is_killed_while_stripe_takes_the_money(stripe: StripeServer, demo_folder: Path) -> None:
    """The next process finds the charge by its identifier, and the repeat of the call gets the tickets."""
    keys = settings(stripe) | {"CINEMA_PAYMENT_GRACE_SECONDS": "1"}
    stripe.faults = [Fault("POST", ".*/confirm", "hang")]
    # The first one must not settle it by itself before it is killed.
    with serving(demo_folder, "--demo", **keys | {"CINEMA_PAYMENT_GRACE_SECONDS": "60"}) as server:
        token, request = asyncio.run(die_while_paying(server, stripe))
    with serving(demo_folder, "--demo", **keys) as server:
        server.wait_for("an open payment is settled")
        paid = asyncio.run(repeat(server, token, request))
    assert paid.booking.status == booking_pb2.BOOKING_STATUS_CONFIRMED
    assert sum(stripe.account.net().values()) == paid.booking.total_price.minor_units


async def die_while_paying(
    server: Serving, stripe: StripeServer
) -> tuple[str, booking_service_pb2.ConfirmPaymentRequest]:
    """Have the server killed when Stripe has taken the money and has not answered; return how to repeat the call."""
    token, _ = await book(server)
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(server.address) as channel:
        held = await hold(channel, metadata)
        request = booking_service_pb2.ConfirmPaymentRequest(
            booking_id=held.booking_id, payment_token="pm_card_visa", request_id=str(uuid.uuid4())
        )
        call = booking_service_pb2_grpc.BookingServiceStub(channel).ConfirmPayment(request, metadata=metadata)
        async with asyncio.timeout(SECONDS):
            while not stripe.account.charges:  # noqa: ASYNC110 (another thread's)
                await asyncio.sleep(0.01)
        server.process.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await call
    return token, request


async def repeat(
    server: Serving, token: str, request: booking_service_pb2.ConfirmPaymentRequest
) -> booking_service_pb2.ConfirmPaymentResponse:
    """Repeat a call."""
    async with grpc.aio.insecure_channel(server.address) as channel:
        bookings = booking_service_pb2_grpc.BookingServiceStub(channel)
        return await bookings.ConfirmPayment(request, metadata=(("authorization", f"Bearer {token}"),), timeout=SECONDS)


def test_reconcile_names_what_was_done_at_stripe(stripe: StripeServer, demo_folder: Path) -> None:
    """A charge that the ledger does not know, and its dispute; as text and as JSON, with exit code 1."""
    account = stripe.account
    intent = account.create_intent({"amount": "700", "currency": "eur", "payment_method": "pm_card_visa"})
    account.confirm_intent(intent["id"])
    account.dispute(intent["id"])
    ended = run_here(demo_folder, "reconcile", "--since", YESTERDAY, **settings(stripe))
    assert ended.returncode == 1
    assert "UNKNOWN_CHARGE: " in ended.stdout
    assert f"{intent['id']}: EUR 7.00 at Stripe, nothing in the ledger" in ended.stdout
    assert ended.stdout.endswith("\n2 differences\n")
    ended = run_here(demo_folder, "reconcile", "--since", YESTERDAY, "--json", **settings(stripe))
    assert [each["kind"] for each in json.loads(ended.stdout)["differences"]] == ["DISPUTE", "UNKNOWN_CHARGE"]


def test_reconcile_that_can_not_be_done(stripe: StripeServer, demo_folder: Path) -> None:
    for options, changed, line in (
        (("--since", "today"), {}, "--since: must be a date from 2000-01-01 on, such as 2026-05-01, not 'today'"),
        (("--since", "20260501"), {}, "--since: must be a date"),
        (("--since", "2026-W18-5"), {}, "--since: must be a date"),
        (("--since", "2026-02-30"), {}, "--since: must be a date"),
        (("--since", IN_TWO_DAYS), {}, f"--since: must not be in the future, like {IN_TWO_DAYS}"),
        (("--since", "0001-01-01"), {}, "--since: must be a date"),
        (
            ("--since", YESTERDAY),
            {"CINEMA_PAYMENTS": "simulated", "CINEMA_STRIPE_SECRET_KEY": ""},
            "CINEMA_PAYMENTS: must be stripe",
        ),
        (("--since", YESTERDAY), {"CINEMA_STRIPE_SECRET_KEY": "sk_test_wrong"}, "can't be read: AuthenticationError"),
    ):
        ended = run_here(demo_folder, "reconcile", *options, **settings(stripe) | changed)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert line in ended.stderr


def test_other_commands_need_no_key(tmp_path: Path) -> None:
    """Nor do they ask Stripe."""
    changed = {"CINEMA_PAYMENTS": "stripe", "CINEMA_STRIPE_SECRET_KEY": LIVE}
    for arguments in (("migrate",), ("create-staff", "bob"), ("audit",)):
        ended = run_here(tmp_path, *arguments, **changed, CINEMA_STAFF_PASSWORD="a long and private one")
        assert (ended.returncode, ended.stderr) == (0, "")
