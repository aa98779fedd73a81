"""Stripe's library with timeouts, connection limits and an API version of ours, and its errors as those of the port."""

import logging
from collections.abc import Mapping
from typing import Any

import httpx
import stripe

from cinema_grpc.application.payment_ports import ProviderUnavailable

API_VERSION = "2026-10-28.endive"
"""The version of Stripe's API that this code is written to, whatever the account's default."""
TIMEOUT = httpx.Timeout(8, connect=3, pool=3)
"""Seconds to send, to receive, to connect, and to wait for a connection. Callers give up after 10 s."""
LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=10, keepalive_expiry=30)
UNEXPECTED_STATE = "payment_intent_unexpected_state"


class HttpClient(stripe.HTTPClient):
    """Sends the requests of Stripe's library by httpx. It never repeats one: the payment saga decides on that."""

    name = "httpx"

    def __init__(self) -> None:
        super().__init__()
        self._client = httpx.AsyncClient(timeout=TIMEOUT, limits=LIMITS)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None, **_options: Any
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send a request, and return the body, the status and the headers of the response."""
        try:
            response = await self._client.request(method, url, headers=dict(headers), content=post_data)
        except httpx.HTTPError as error:
            raise stripe.APIConnectionError(type(error).__name__) from None  # type: ignore[no-untyped-call]
        return response.content, response.status_code, response.headers

    async def close_async(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def connect(secret_key: str, api_base: str | None) -> tuple[stripe.StripeClient, HttpClient]:
    """Return a client of Stripe's library, and its HTTP client, which has to be closed in the end."""
    stripe.enable_telemetry = False
    for name in ("stripe", "httpx", "httpcore"):  # at lower levels they log requests, with tokens and client secrets
        logging.getLogger(name).setLevel(logging.WARNING)
    http = HttpClient()
    addresses: Any = {"api": api_base} if api_base else {}
    client = stripe.StripeClient(
        secret_key, stripe_version=API_VERSION, base_addresses=addresses, max_network_retries=0, http_client=http
    )
    return client, http


def describe(error: stripe.StripeError) -> str:
    """Return what an error says without its message, which may quote a token."""
    parts = [type(error).__name__, str(error.http_status or ""), error.code or "", error.request_id or ""]
    return " ".join(filter(None, parts))


def unavailable(error: stripe.StripeError) -> ProviderUnavailable:
    """Return an error of Stripe's as one of the port, with its advice on repeating the call."""
    headers = error.headers or {}
    try:
        retry_after = float(headers.get("retry-after", 0))
    except ValueError:  # a date
        retry_after = 0.0
    repeatable = headers.get("stripe-should-retry") != "false"
    return ProviderUnavailable(describe(error), retry_after=max(0.0, retry_after), repeatable=repeatable)
