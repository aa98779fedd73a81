"""A whole server on a real database and a free port, a clock to turn, and a client's way of calling it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.payment_ports import PaymentGateway
from cinema_grpc.config import SMALLEST_POOL, Settings
from cinema_grpc.server import CinemaServer
from tests.builders import FakeClock
from tests.faults import make_breakable
from tests.rpc.app import DEADLINE, METHODS, PASSWORD, ROWS, SERVICES, UNLIMITED, App, Metadata, moment, new_id
from tests.rpc.refusals import Refusal, read_refusal, refusal

__all__ = [
    "DEADLINE",
    "METHODS",
    "PASSWORD",
    "ROWS",
    "SERVICES",
    "UNLIMITED",
    "App",
    "Metadata",
    "Refusal",
    "moment",
    "new_id",
    "read_refusal",
    "refusal",
]

SECRET = b"a secret that only the tests know of"


@asynccontextmanager
async def running(
    database_url: str,
    clock: FakeClock | None = None,
    gateway: PaymentGateway | None = None,
    secret: bytes | None = SECRET,
    passwords: Argon2Passwords | None = None,
    **settings: Any,
) -> AsyncIterator[App]:
    """Run a server on a database."""
    given: dict[str, Any] = {
        "listen_address": "127.0.0.1:0",
        "database_url": database_url,
        **settings,
    }
    clock = clock or FakeClock()
    given.setdefault("changes_per_minute", 0)  # tests ask for more than a person does
    passwords = passwords or Argon2Passwords(memory_kib=64, rounds=1)
    given.setdefault("longest_wait_seconds", 60)  # the disk of a busy machine may be slow
    given.setdefault("database_pool_size", SMALLEST_POOL)  # a start opens as many connections as it may
    given.setdefault("registrations_of_address", 0)  # every customer of a test has the same address
    if gateway is None and given.get("payments") != "stripe":
        gateway = SimulatedPayments()
    server = CinemaServer(Settings(**given), secret, clock, gateway, passwords)
    make_breakable(server.database)
    try:
        await server.open()
        await server.listen()
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield App(server, clock, channel)
    finally:
        await server.close()


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[App]:
    """A running server on an empty database."""
    async with running(database_url) as app:
        yield app
