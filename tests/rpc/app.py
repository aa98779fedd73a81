"""A running server as a test sees it: its stubs, its clock and its users."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import grpc
from cinema.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    booking_pb2,
    booking_service_pb2,
    booking_service_pb2_grpc,
    box_office_service_pb2,
    box_office_service_pb2_grpc,
    catalog_pb2,
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    event_service_pb2,
    event_service_pb2_grpc,
    money_pb2,
    showtime_pb2,
    showtime_service_pb2,
    showtime_service_pb2_grpc,
    ticket_service_pb2,
    ticket_service_pb2_grpc,
)
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from cinema_grpc.server import CinemaServer
from tests.builders import NOW, FakeClock
from tests.rpc.first_answer import FirstAnswer

PASSWORD = "correct horse battery staple"
ROWS = (("A", (10,)), ("B", (4, 4)))
Metadata = tuple[tuple[str, str], ...]
DEADLINE = 60
UNLIMITED: Mapping[str, Any] = {"seats_on_hold_limit": 0, "unpaid_holds_per_showtime": 0}
"""Settings for tests whose customers stand for many."""
SERVICES = (
    auth_service_pb2,
    catalog_service_pb2,
    showtime_service_pb2,
    booking_service_pb2,
    box_office_service_pb2,
    event_service_pb2,
    ticket_service_pb2,
)
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in SERVICES
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Every method of the contract, by its full name."""


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
        self.box_office = box_office_service_pb2_grpc.BoxOfficeServiceStub(self.channel)
        self.events = event_service_pb2_grpc.EventServiceStub(self.channel)
        self.tickets = ticket_service_pb2_grpc.TicketServiceStub(self.channel)

    def send(
        self, method: str, request: bytes, metadata: Metadata = ()
    ) -> "grpc.aio.UnaryUnaryCall[bytes, bytes] | FirstAnswer":
        """Call a method, by its full name, with any bytes for a request; the answer is bytes too, a stream's first."""
        if METHODS[method].server_streaming:
            stream: Any = self.channel.unary_stream(method)
            return FirstAnswer(stream(request, metadata=metadata, timeout=DEADLINE))
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(method)
        return call(request, metadata=metadata, timeout=DEADLINE)

    async def customer(self, name: str = "ada") -> Metadata:
        """Return the metadata of a customer, who is registered on first use."""
        if name not in self.tokens:
            answer = await self.auth.Register(
                auth_service_pb2.RegisterRequest(
                    username=name, password=PASSWORD, full_name=name.title(), email=f"{name}@example.com"
                )
            )
            self.tokens[name] = (("authorization", f"Bearer {answer.tokens.access_token}"),)
        return self.tokens[name]

    async def staff(self) -> Metadata:
        """Return the metadata of a member of staff."""
        if "staff" not in self.tokens:
            await self.server.accounts.create_staff("staff", PASSWORD, "Staff")
            await self.sign_in("staff")
        return self.tokens["staff"]

    async def service(self) -> Metadata:
        """Return the metadata of a service account that reads events."""
        if "billing" not in self.tokens:
            await self.server.accounts.create_service("billing", PASSWORD)
            await self.sign_in("billing")
        return self.tokens["billing"]

    async def sign_in(self, name: str) -> None:
        """Get a new token for a user, since the old one expires after an hour."""
        answer = await self.auth.Login(auth_service_pb2.LoginRequest(username=name, password=PASSWORD))
        self.tokens[name] = (("authorization", f"Bearer {answer.tokens.access_token}"),)

    async def pass_time(self, time: timedelta) -> None:
        """Let time pass, and sign all users in again."""
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
        self, cinema_id: str = "", rows: Sequence[tuple[str, Sequence[int]]] = ROWS, name: str = "One", **fields: Any
    ) -> catalog_pb2.Auditorium:
        """Enter an auditorium, of a new cinema if none is named; `fields` are areas and wheelchair spaces."""
        request = catalog_service_pb2.CreateAuditoriumRequest(
            cinema_id=cinema_id or (await self.cinema()).cinema_id,
            name=name,
            rows=[catalog_pb2.SeatRow(label=label, sections=sections) for label, sections in rows],
            **fields,
        )
        return (await self.catalog.CreateAuditorium(request, metadata=await self.staff())).auditorium

    async def showtime(
        self,
        start: datetime = NOW + timedelta(days=2),
        price: int = 1_250,
        policy: showtime_pb2.SeatGapPolicy.ValueType = showtime_pb2.SEAT_GAP_POLICY_UNSPECIFIED,
        rows: Sequence[tuple[str, Sequence[int]]] = ROWS,
        prices: Sequence[showtime_pb2.PriceLine] = (),
        **auditorium: Any,
    ) -> showtime_pb2.Showtime:
        """Put a showtime on the programme, in an auditorium of its own: A1 to A10, B1 to B8 with an aisle after B4.

        With `prices` they replace the `price`.
        """
        request = showtime_service_pb2.CreateShowtimeRequest(
            movie_id=(await self.movie()).movie_id,
            auditorium_id=(await self.auditorium(rows=rows, **auditorium)).auditorium_id,
            start_time=moment(start),
            price=None if prices else money_pb2.Money(currency_code="EUR", minor_units=price),
            prices=prices,
            seat_gap_policy=policy,
        )
        return (await self.showtimes.CreateShowtime(request, metadata=await self.staff())).showtime

    async def book(self, showtime_id: str, *seats: str, by: str = "ada", **fields: Any) -> booking_pb2.Booking:
        """Hold seats."""
        request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime_id, seats=seats, **fields)
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

    async def update_hold(self, booking_id: str, *seats: str, by: str = "ada", **fields: Any) -> booking_pb2.Booking:
        """Change the seats of a hold, or extend it."""
        request = booking_service_pb2.UpdateHoldRequest(booking_id=booking_id, seats=seats, **fields)
        answer = await self.bookings.UpdateHold(request, metadata=await self.customer(by), timeout=DEADLINE)
        return answer.booking

    async def quote(
        self, booking_id: str, *seats: str, by: str = "ada"
    ) -> booking_service_pb2.GetCancellationQuoteResponse:
        """Return the quote for cancelling a booking, or some of its seats."""
        request = booking_service_pb2.GetCancellationQuoteRequest(booking_id=booking_id, seats=seats)
        return await self.bookings.GetCancellationQuote(request, metadata=await self.customer(by))

    async def cancel(self, booking_id: str, *seats: str, by: str = "ada", request_id: str = "") -> booking_pb2.Booking:
        """Cancel a booking, or some of its seats."""
        request = booking_service_pb2.CancelBookingRequest(booking_id=booking_id, seats=seats, request_id=request_id)
        answer = await self.bookings.CancelBooking(request, metadata=await self.customer(by), timeout=DEADLINE)
        return answer.booking

    async def read(self, booking_id: str, by: str = "ada") -> booking_pb2.Booking:
        """Read a booking."""
        request = booking_service_pb2.GetBookingRequest(booking_id=booking_id)
        return (await self.bookings.GetBooking(request, metadata=await self.customer(by))).booking

    async def sell(
        self,
        showtime_id: str,
        *seats: str,
        tender: booking_pb2.Tender.ValueType = booking_pb2.TENDER_CASH,
        **fields: Any,
    ) -> booking_pb2.Booking:
        """Sell seats at the counter."""
        request = box_office_service_pb2.SellSeatsRequest(showtime_id=showtime_id, seats=seats, tender=tender, **fields)
        answer = await self.box_office.SellSeats(request, metadata=await self.staff(), timeout=DEADLINE)
        return answer.booking

    async def void(
        self, booking_id: str, *seats: str, percent: int = 100, reason: str = "the projector is broken", **fields: Any
    ) -> booking_pb2.Booking:
        """Cancel seats of any booking, as staff."""
        request = box_office_service_pb2.VoidBookingRequest(
            booking_id=booking_id, seats=seats, refund_percent=percent, reason=reason, **fields
        )
        answer = await self.box_office.VoidBooking(request, metadata=await self.staff(), timeout=DEADLINE)
        return answer.booking

    async def block(
        self,
        showtime_id: str,
        *seats: str,
        kind: showtime_pb2.SeatBlockKind.ValueType = showtime_pb2.SEAT_BLOCK_KIND_HOUSE,
        reason: str = "for guests",
        until: datetime | None = None,
        **fields: Any,
    ) -> showtime_service_pb2.SetSeatBlocksResponse:
        """Block seats, if any are named; `fields` may release others."""
        release_time = None if until is None else moment(until)
        block = showtime_pb2.SeatBlock(seats=seats, kind=kind, reason=reason, release_time=release_time)
        request = showtime_service_pb2.SetSeatBlocksRequest(
            showtime_id=showtime_id, block=block if seats else None, **fields
        )
        return await self.showtimes.SetSeatBlocks(request, metadata=await self.staff(), timeout=DEADLINE)

    async def cancel_showtime(
        self, showtime_id: str, reason: str = "the projector is broken", **fields: Any
    ) -> showtime_service_pb2.CancelShowtimeResponse:
        """Cancel a showtime, as staff."""
        request = showtime_service_pb2.CancelShowtimeRequest(showtime_id=showtime_id, reason=reason, **fields)
        return await self.showtimes.CancelShowtime(request, metadata=await self.staff(), timeout=DEADLINE)

    async def update_showtime(
        self, showtime_id: str, *, changes: Mapping[str, Any], **fields: Any
    ) -> showtime_service_pb2.UpdateShowtimeResponse:
        """Change a showtime, as staff; update_mask names what is in `changes`."""
        request = showtime_service_pb2.UpdateShowtimeRequest(
            showtime_id=showtime_id, update_mask=FieldMask(paths=[*changes]), **changes, **fields
        )
        return await self.showtimes.UpdateShowtime(request, metadata=await self.staff(), timeout=DEADLINE)

    async def read_showtime(self, showtime_id: str) -> showtime_pb2.Showtime:
        """Read a showtime."""
        request = showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime_id)
        return (await self.showtimes.GetShowtime(request)).showtime

    async def seat_states(self, showtime_id: str) -> dict[str, str]:
        """Read the seats of a showtime that are not AVAILABLE."""
        answer = await self.showtimes.GetShowtime(showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime_id))
        names = {
            each.seat: showtime_pb2.SeatStatus.Name(each.status).removeprefix("SEAT_STATUS_") for each in answer.seats
        }
        assert answer.showtime.available_seats == list(names.values()).count("AVAILABLE")
        return {seat: name for seat, name in names.items() if name != "AVAILABLE"}
