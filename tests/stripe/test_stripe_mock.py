"""What the gateway sends and reads, checked by stripe-mock against Stripe's own description of its API.

stripe-mock keeps no state: it refuses parameters that Stripe does not have, and answers with examples.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import stripe

from cinema_grpc.adapters.stripe.gateway import StripePayments
from cinema_grpc.adapters.stripe.transactions import read_entries
from tests.adapters.gateways import charge_of, refund_of

pytestmark = pytest.mark.stripe
KEY = "sk_test_mock"
PREPARED = replace(charge_of("a1"), provider_id="pi_123")
REFUND = refund_of(PREPARED, "r1", 250)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """stripe-mock on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        os.environ["STRIPE_MOCK"], "-http-addr", address, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while b"Listening" not in await process.stdout.readline():
            pass
    drain = asyncio.create_task(process.stdout.read())
    yield f"http://{address}"
    process.kill()
    await process.wait()
    await drain


@pytest.fixture
async def gateway(url: str) -> AsyncIterator[StripePayments]:
    gateway = StripePayments(KEY, url)
    yield gateway
    await gateway.close()


async def test_each_request_has_the_shape_that_stripe_expects(gateway: StripePayments) -> None:
    """A request that it refuses would be a decline, or raise."""
    prepared = await gateway.prepare(charge_of("a1"), "pm_card_visa")
    assert isinstance(prepared, str)
    assert prepared.startswith("pi_")
    for call in (gateway.charge(PREPARED, "pm_card_visa"), gateway.find(PREPARED), gateway.void(PREPARED)):
        await call
    made = await gateway.refund(REFUND)
    assert made.provider_id.startswith("re_")
    await gateway.refund(replace(REFUND, provider_id=made.provider_id))
    await gateway.check_key()


async def test_transactions_are_read(url: str) -> None:
    await read_entries(KEY, url, datetime(2026, 5, 1, tzinfo=UTC))


async def test_a_wrong_parameter_is_noticed(gateway: StripePayments) -> None:
    """The check checks something."""
    wrong: Any = {"nonsense": True}
    with pytest.raises(stripe.InvalidRequestError, match="additional properties"):
        await gateway._intents.confirm_async("pi_123", wrong)
