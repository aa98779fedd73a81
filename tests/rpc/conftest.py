"""A whole server on a real database and a free port, a clock to turn, and a client's way of calling it."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    booking_pb2,
    booking_service_pb2,
    booking_service_pb2_grpc,
    catalog_pb2,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    money_pb2,
    showtime_pb2,
    showtime_service_pb2,
    showtime_service_pb2_grpc,
)
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2, status_pb2

from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.payment_ports import PaymentGateway
from cinema_grpc.config import Settings
from cinema_grpc.server import CinemaServer
from tests.builders import NOW, FakeClock
from tests.faults import make_breakable

SECRET = b"a secret that only the tests know of"
PASSWORD = "correct horse battery staple"
ROWS = (("A", (10,)), ("B", (4, 4)))
Metadata = tuple[tuple[str, str], ...]
DEADLINE = 60
UNLIMITED: Mapping[str, Any] = {"seats_on_hold_limit": 0, "unpaid_holds_per_showtime": 0}
"""Settings for tests whose customers stand for many."""
SERVICES = (auth_service_pb2, catalog_service_pb2, showtime_service_pb2, booking_service_pb2)
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Every method of the contract, by its full name."""


@dataclass
class Refusal:
    """What a client learns of a call that failed."""

    code: grpc.StatusCode
    message: str
    reason: str
    metadata: dict[str, str]
    details: dict[str, Any]
    trailers: dict[str, str | bytes]

    @property
    def fields(self) -> list[str]:
        """The fields that a malformed request was refused for."""
        assert (self.code, self.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
        return [violation.field for violation in self.details["BadRequest"].field_violations]


async def refusal(call: Awaitable[Any]) -> Refusal:
    """Make a call that has to fail with an error of ours, and read it as a client would."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return read_refusal(raised.value)


def read_refusal(error: grpc.aio.AioRpcError) -> Refusal:
    """Read an error of ours as a client would."""
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(bytes(trailers["grpc-status-details-bin"]))
    details: dict[str, Any] = {}
    for packed in status.details:
        name = packed.TypeName().removeprefix("google.rpc.")
        details[name] = getattr(error_details_pb2, name).FromString(packed.value)
    info = details["ErrorInfo"]
    assert info.domain == "cinema.v1"
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return Refusal(error.code(), status.message, info.reason, dict(info.metadata), details, trailers)


def moment(time: datetime) -> Timestamp:
    """Write a moment."""
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def new_id() -> str:
    """Make a request_id."""
    return str(uuid.uuid4())


@dataclass
class App:
    """A running server and a channel to it; every customer's metadata is made on first use."""

    server: CinemaServer
    clock: FakeClock
    channel: grpc.aio.Channel
    tokens: dict[str, Metadata] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.auth = auth_service_pb2_grpc.AuthServiceStub(self.channel)
        self.catalog = catalog_service_pb2_grpc.CatalogServiceStub(self.channel)
        self.showtimes = showtime_service_pb2_grpc.ShowtimeServiceStub(self.channel)
        self.bookings = booking_service_pb2_grpc.BookingServiceStub(self.channel)

    def send(self, method: str, request: bytes, metadata: Metadata = ()) -> grpc.aio.UnaryUnaryCall[bytes, bytes]:
        """Call a method, by its full name, with any bytes for a request; the answer is bytes too."""
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(method)
        return call(request, metadata=metadata, timeout=DEADLINE)

    async def customer(self, name: str = "ada") -> Metadata:
        """Give the metadata of a customer, who is registered if need be."""
        if name not in self.tokens:
            answer = await self.auth.Register(
                auth_service_pb2.RegisterRequest(
                    username=name, password=PASSWORD, full_name=name.title(), email=f"{name}@example.com"
                )
            )
            self.tokens[name] = (("authorization", f"Bearer {answer.tokens.access_token}"),)
        return self.tokens[name]

    async def staff(self) -> Metadata:
        """Give the metadata of a member of staff."""
        if "staff" not in self.tokens:
            await self.server.accounts.create_staff("staff", PASSWORD, "Staff")
            await self.sign_in("staff")
        return self.tokens["staff"]

    async def sign_in(self, name: str) -> None:
        """Get a new token for someone, as the old one expires after an hour."""
        answer = await self.auth.Login(auth_service_pb2.LoginRequest(username=name, password=PASSWORD))
        self.tokens[name] = (("authorization", f"Bearer {answer.tokens.access_token}"),)

    async def pass_time(self, time: timedelta) -> None:
        """Let time pass, and sign everybody in again."""
        self.clock.advance(time)
        for name in self.tokens:
            await self.sign_in(name)

    async def movie(self, minutes: int = 120) -> catalog_pb2.Movie:
        """Enter a movie."""
        request = catalog_service_pb2.CreateMovieRequest(title="A Film", runtime=Duration(seconds=60 * minutes))
        return (await self.catalog.CreateMovie(request, metadata=await self.staff())).movie

    async def cinema(self) -> catalog_pb2.Cinema:
        """Enter a cinema."""
        request = catalog_service_pb2.CreateCinemaRequest(name="A House", time_zone="Europe/Berlin")
        return (await self.catalog.CreateCinema(request, metadata=await self.staff())).cinema

    async def auditorium(
        self, cinema_id: str = "", rows: Sequence[tuple[str, Sequence[int]]] = ROWS, name: str = "One"
    ) -> catalog_pb2.Auditorium:
        """Enter an auditorium, of a new cinema if none is named."""
        request = catalog_service_pb2.CreateAuditoriumRequest(
            cinema_id=cinema_id or (await self.cinema()).cinema_id,
            name=name,
            rows=[catalog_pb2.SeatRow(label=label, sections=sections) for label, sections in rows],
        )
        return (await self.catalog.CreateAuditorium(request, metadata=await self.staff())).auditorium

    async def showtime(
        self,
        start: datetime = NOW + timedelta(days=2),
        price: int = 1_250,
        policy: showtime_pb2.SeatGapPolicy.ValueType = showtime_pb2.SEAT_GAP_POLICY_UNSPECIFIED,
        rows: Sequence[tuple[str, Sequence[int]]] = ROWS,
    ) -> showtime_pb2.Showtime:
        """Put a showtime on the programme, in an auditorium of its own: A1 to A10, B1 to B8 with an aisle after B4."""
        request = showtime_service_pb2.CreateShowtimeRequest(
            movie_id=(await self.movie()).movie_id,
            auditorium_id=(await self.auditorium(rows=rows)).auditorium_id,
            start_time=moment(start),
            price=money_pb2.Money(currency_code="EUR", minor_units=price),
            seat_gap_policy=policy,
        )
        return (await self.showtimes.CreateShowtime(request, metadata=await self.staff())).showtime

    async def book(self, showtime_id: str, *seats: str, by: str = "ada", request_id: str = "") -> booking_pb2.Booking:
        """Hold seats."""
        request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime_id, seats=seats, request_id=request_id)
        answer = await self.bookings.CreateBooking(request, metadata=await self.customer(by), timeout=DEADLINE)
        return answer.booking

    async def pay(
        self, booking_id: str, by: str = "ada", token: str = "tok_visa", request_id: str = ""
    ) -> booking_pb2.Booking:
        """Pay for a booking."""
        request = booking_service_pb2.ConfirmPaymentRequest(
            booking_id=booking_id, payment_token=token, request_id=request_id
        )
        answer = await self.bookings.ConfirmPayment(request, metadata=await self.customer(by), timeout=DEADLINE)
        return answer.booking

    async def cancel(self, booking_id: str, by: str = "ada", request_id: str = "") -> booking_pb2.Booking:
        """Give a booking up."""
        request = booking_service_pb2.CancelBookingRequest(booking_id=booking_id, request_id=request_id)
        answer = await self.bookings.CancelBooking(request, metadata=await self.customer(by), timeout=DEADLINE)
        return answer.booking

    async def read(self, booking_id: str, by: str = "ada") -> booking_pb2.Booking:
        """Read a booking."""
        request = booking_service_pb2.GetBookingRequest(booking_id=booking_id)
        return (await self.bookings.GetBooking(request, metadata=await self.customer(by))).booking

    async def seat_states(self, showtime_id: str) -> dict[str, str]:
        """Read the seats of a showtime that are not AVAILABLE."""
        answer = await self.showtimes.GetShowtime(showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime_id))
        names = {
            each.seat: showtime_pb2.SeatStatus.Name(each.status).removeprefix("SEAT_STATUS_") for each in answer.seats
        }
        assert answer.showtime.available_seats == list(names.values()).count("AVAILABLE")
        return {seat: name for seat, name in names.items() if name != "AVAILABLE"}


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
    given.setdefault("registrations_of_address", 0)  # every customer of a test has the same address
    server = CinemaServer(Settings(**given), secret, clock, gateway or SimulatedPayments(), passwords)
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
