"""Several server processes at one PostgreSQL database, and customers who are signed in already."""

import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest_asyncio
from cinema.v1 import (
    booking_pb2,
    booking_service_pb2,
    booking_service_pb2_grpc,
    showtime_service_pb2,
    showtime_service_pb2_grpc,
)
from sqlalchemy import insert

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.catalog_store import SqlCatalogStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.application.catalog import Catalog, unencoded
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.database import reading, writing
from tests.e2e.conftest import SECRET, Serving, serving

DEADLINE = 60
ROWS = [SeatRow(label, (50, 50)) for label in ("A", "B", "C", "D")]
Metadata = tuple[tuple[str, str], ...]


@dataclass
class Replica:
    """A server process, and a channel to it."""

    process: Serving
    channel: grpc.aio.Channel

    def __post_init__(self) -> None:
        self.bookings = booking_service_pb2_grpc.BookingServiceStub(self.channel)
        self.showtimes = showtime_service_pb2_grpc.ShowtimeServiceStub(self.channel)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.process.send_signal(number)

    async def book(self, by: Metadata, showtime_id: str, *seats: str, request_id: str = "") -> booking_pb2.Booking:
        """Hold seats."""
        request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime_id, seats=seats, request_id=request_id)
        return (await self.bookings.CreateBooking(request, metadata=by, timeout=DEADLINE)).booking

    async def pay(self, by: Metadata, booking_id: str, request_id: str = "") -> booking_pb2.Booking:
        """Pay for a booking."""
        request = booking_service_pb2.ConfirmPaymentRequest(
            booking_id=booking_id, payment_token="tok_visa", request_id=request_id
        )
        return (await self.bookings.ConfirmPayment(request, metadata=by, timeout=DEADLINE)).booking

    async def cancel(
        self, by: Metadata, booking_id: str, request_id: str = "", seats: Sequence[str] = ()
    ) -> booking_pb2.Booking:
        """Cancel a booking, or some of its seats."""
        request = booking_service_pb2.CancelBookingRequest(booking_id=booking_id, request_id=request_id, seats=seats)
        return (await self.bookings.CancelBooking(request, metadata=by, timeout=DEADLINE)).booking

    async def cancel_showtime(
        self,
        by: Metadata,
        showtime_id: str,
        request_id: str = "",
        expected_revision: int = 0,
        *,
        validate_only: bool = False,
    ) -> showtime_service_pb2.CancelShowtimeResponse:
        """Cancel a showtime, or preview that."""
        request = showtime_service_pb2.CancelShowtimeRequest(
            showtime_id=showtime_id,
            reason="a power cut",
            request_id=request_id,
            expected_revision=expected_revision,
            validate_only=validate_only,
        )
        return await self.showtimes.CancelShowtime(request, metadata=by, timeout=DEADLINE)

    async def taken(self, showtime_id: str) -> set[str]:
        """Read which seats of a showtime are not free."""
        request = showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime_id)
        answer = await self.showtimes.GetShowtime(request, timeout=DEADLINE)
        return {each.seat for each in answer.seats if each.status != 1}


@dataclass
class Chain:
    """A cinema chain: a database with showtimes of 400 seats each, accounts, and the replicas that serve them."""

    database_url: str
    database: Database
    replicas: list[Replica] = field(default_factory=list)
    showtimes: list[str] = field(default_factory=list)
    customers: list[Metadata] = field(default_factory=list)
    staff: Metadata = ()

    async def furnish(self, showtimes: int, customers: int, rows: Sequence[SeatRow] = ROWS) -> None:
        """Enter showtimes, each in an auditorium of its own, and customers."""
        catalog = Catalog(SqlCatalogStore(self.database))
        movie = await catalog.create_movie("A Film", timedelta(hours=2), "", "", None, unencoded)
        cinema = await catalog.create_cinema("A House", "Europe/Berlin", None, unencoded)
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)
        for number in range(showtimes):
            room = await catalog.create_auditorium(cinema.cinema_id, f"Screen {number}", rows, None, unencoded)
            price = Money("EUR", 1_250)
            shown = await catalog.create_showtime(
                movie.movie_id, room.auditorium_id, start, price, SeatGapPolicy.ALLOW, None, unencoded
            )
            self.showtimes.append(shown.showtime_id)
        users = [
            User(f"user-{number:04}", f"user{number}", "Somebody", "", Role.CUSTOMER, start)
            for number in range(customers)
        ]
        users.append(User("staff-0001", "staff1", "Somebody", "", Role.STAFF, start))
        accounts = [
            {
                "user_id": user.user_id,
                "username": user.username,
                "folded_username": user.username,
                "full_name": user.full_name,
                "email": "",
                "role": user.role.value,
                "password_hash": "none",
                "create_time": user.create_time,
            }
            for user in users
        ]
        async with writing(self.database) as connection:
            await connection.execute(insert(schema.account), accounts)
        tokens = JwtAccessTokens(SECRET.encode(), SystemClock())
        signed_in: list[Metadata] = [(("authorization", f"Bearer {tokens.issue(user).text}"),) for user in users]
        *self.customers, self.staff = signed_in

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        """Ask the database itself."""
        async with reading(self.database) as connection:
            return [tuple(row) for row in await connection.exec_driver_sql(query)]


@contextmanager
def processes(folder: Path, database_url: str, number: int, **settings: str) -> Iterator[list[Serving]]:
    """Run servers at a database."""
    with ExitStack() as stack:
        started = []
        for replica in range(number):
            own = folder / f"replica-{replica}"
            own.mkdir(parents=True, exist_ok=True)
            named = f"{database_url}{'&' if '?' in database_url else '?'}application_name=replica-{replica}"
            options = {"CINEMA_DATABASE_URL": named, **settings}
            started.append(stack.enter_context(serving(own, **options)))
        yield started


@asynccontextmanager
async def a_chain(
    folder: Path, database_url: str, replicas: int, showtimes: int, customers: int, **settings: str
) -> AsyncIterator[Chain]:
    """Open a chain."""
    database = Database(database_url)
    chain = Chain(database_url, database)
    await chain.furnish(showtimes, customers)
    with processes(folder, database_url, replicas, **settings) as started:
        channels = [grpc.aio.insecure_channel(each.address) for each in started]
        chain.replicas = [Replica(process, channel) for process, channel in zip(started, channels, strict=True)]
        yield chain
        for channel in channels:
            await channel.close()
        running = [each.process for each in started if each.process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGCONT)  # in case a test has frozen it
            process.terminate()
        assert all(process.wait(DEADLINE) == 0 for process in running)
    await database.close()


@pytest_asyncio.fixture
async def chain(postgresql_url: str, tmp_path: Path) -> AsyncIterator[Chain]:
    """Three replicas, ten showtimes and 200 customers."""
    async with a_chain(tmp_path, postgresql_url, replicas=3, showtimes=10, customers=200) as chain:
        yield chain
