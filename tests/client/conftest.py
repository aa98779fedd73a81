"""A server, a proxy in front of it that can lose what is sent, and the client of either kind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Any

import pytest
from cinema_client import AsyncClient, Client, Tokens
from cinema_client.cinema.v1 import auth_service_pb2, booking_pb2, booking_service_pb2

from tests.client.proxy import Proxy, proxying
from tests.rpc.conftest import PASSWORD, App, running

SECONDS = 60


class Either:
    """A Client, whose calls are made in a thread, or an AsyncClient."""

    def __init__(self, client: Client | AsyncClient, changes: list[Tokens | None]) -> None:
        self.client: Any = client
        self.token_changes = changes

    async def call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Make a call."""
        if isinstance(self.client, AsyncClient):
            return await method(*arguments, **options)
        return await asyncio.to_thread(method, *arguments, **options)

    async def take(self, items: Any, number: int) -> list[Any]:
        """Return so many items of an iterator, or all if it has fewer."""
        if isinstance(self.client, Client):
            return await asyncio.wait_for(asyncio.to_thread(lambda: list(islice(items, number))), SECONDS)
        taken: list[Any] = []
        async with asyncio.timeout(SECONDS):
            while len(taken) < number and (item := await anext(items, None)) is not None:
                taken.append(item)
        return taken

    async def stop(self, items: Any) -> None:
        """Close an iterator."""
        await self.call(items.aclose if isinstance(self.client, AsyncClient) else items.close)

    async def close(self) -> None:
        """Close the client."""
        await self.call(self.client.close)

    async def sign_in(self, app: App, name: str = "ada") -> None:
        """Sign in as a user who may be new."""
        await {"staff": app.staff, "billing": app.service}.get(name, lambda: app.customer(name))()
        await self.call(self.client.login, name, PASSWORD)

    async def who_am_i(self) -> str:
        """Return the name of the user who is signed in."""
        request = auth_service_pb2.GetCurrentUserRequest()
        return str((await self.call(self.client.auth.GetCurrentUser, request)).user.username)

    async def book(self, showtime_id: str, *seats: str, request_id: str = "", **options: Any) -> booking_pb2.Booking:
        """Hold seats."""
        request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime_id, seats=seats, request_id=request_id)
        response = await self.call(self.client.bookings.CreateBooking, request, **options)
        booking: booking_pb2.Booking = response.booking
        return booking


@pytest.fixture
def database_url(lend: Any, tmp_path: Any) -> Iterator[str]:
    """SQLite alone: a client cannot tell databases apart."""
    with lend("sqlite", tmp_path) as url:
        yield url


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    """A running server on an empty database."""
    async with running(database_url) as app:
        yield app


@pytest.fixture
async def proxy(app: App) -> AsyncIterator[Proxy]:
    """A proxy in front of it."""
    async with proxying(app.server.address) as proxy:
        yield proxy


@pytest.fixture(params=[Client, AsyncClient])
async def either(request: pytest.FixtureRequest, proxy: Proxy) -> AsyncIterator[Either]:
    """A client of either kind, which calls through the proxy."""
    changes: list[Tokens | None] = []
    either = Either(request.param(proxy.address, on_tokens=changes.append), changes)
    yield either
    await either.close()
