"""Customers on a bad network: they make random calls, repeat those without an answer, and keep a diary."""

import asyncio
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from cinema.v1 import (
    booking_pb2,
    booking_service_pb2,
    booking_service_pb2_grpc,
    showtime_service_pb2,
    showtime_service_pb2_grpc,
)
from google.rpc import error_details_pb2, status_pb2

Metadata = tuple[tuple[str, str], ...]
LONG = 30.0
"""Seconds within which any call is answered."""
NOT_KNOWN = {"", "STORAGE_UNAVAILABLE", "PAYMENT_UNAVAILABLE", "SHUTTING_DOWN", "OVERLOADED"}
"""The reasons of failures after which the call is to be repeated; gRPC's own failures have none."""
CHANNEL_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),  # each customer has a connection of their own
    ("grpc.initial_reconnect_backoff_ms", 10),
    ("grpc.min_reconnect_backoff_ms", 10),
    ("grpc.max_reconnect_backoff_ms", 50),
)


def moment() -> int:
    """Return the time in microseconds, by the same clock as the server's."""
    return time.time_ns() // 1_000


@dataclass(slots=True)
class Entry:
    """What a customer knows of one call, with all its repeats.

    Attributes:
        kind: "book", "pay", "cancel", "look" (at a seat map) or "read" (a booking).
        request_id: "" if it had none, and so could not be repeated.
        first, last, end: When it was made first and last, and when that was answered; in microseconds.
        tries: How often it was made.
        outcome: "OK", the reason of a refusal, or "" if it is not known.
        named: The seats that a refusal names.
        answer: What came back.
    """

    kind: str
    customer: int
    showtime_id: str
    seats: tuple[str, ...]
    booking_id: str
    request_id: str
    first: int
    payment_token: str = ""
    last: int = 0
    end: int = 0
    tries: int = 0
    outcome: str = ""
    named: tuple[str, ...] = ()
    answer: Any = None

    @property
    def unsure(self) -> bool:
        """Whether one of the tries may have had an effect without an answer."""
        return self.outcome != "OK" and (self.tries > 1 or self.outcome == "")


@dataclass
class Customer:
    """One client with a channel and a diary."""

    number: int
    metadata: Metadata
    chance: random.Random
    channel: grpc.aio.Channel
    showtimes: Sequence[str]
    seats: Sequence[str]
    diary: list[Entry] = field(default_factory=list)
    mine: list[booking_pb2.Booking] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bookings = booking_service_pb2_grpc.BookingServiceStub(self.channel)
        self.programme = showtime_service_pb2_grpc.ShowtimeServiceStub(self.channel)

    async def look(self, showtime_id: str) -> Entry:
        """Look at a seat map."""
        entry = Entry("look", self.number, showtime_id, (), "", "", moment())
        await self._make(entry, self._call(entry))
        return entry

    async def act(self) -> None:
        """Make one random call, and repeat it until its outcome is known, or give up."""
        kind = self.chance.choices(["book", "pay", "cancel", "look", "read"], [40, 15, 20, 15, 10])[0]
        if kind not in {"book", "look"} and not self.mine:
            kind = "book"
        request_id = str(uuid.UUID(int=self.chance.getrandbits(128), version=4)) if self.chance.random() < 0.9 else ""
        entry = Entry(kind, self.number, self.chance.choice(self.showtimes), (), "", request_id, moment())
        if kind == "book":
            first = self.chance.randrange(len(self.seats))
            entry.seats = tuple(self.seats[first : first + self.chance.choice([1, 1, 2, 3])])
        elif kind != "look":
            booking = self.chance.choice(self.mine)
            entry.showtime_id, entry.booking_id = booking.showtime_id, booking.booking_id
            entry.seats = tuple(each.seat for each in booking.seats)
            entry.payment_token = "tok_declined" if self.chance.random() < 0.1 else "tok_visa"
        await self._make(entry, self._call(entry))
        self.diary.append(entry)
        self._learn(entry)

    def _call(self, entry: Entry) -> Callable[[float], Awaitable[Any]]:
        """Prepare a call that takes so many seconds at most."""
        if entry.kind == "look":
            look = showtime_service_pb2.GetShowtimeRequest(showtime_id=entry.showtime_id)
            return lambda timeout: self.programme.GetShowtime(look, timeout=timeout)
        stub: Any
        request: Any
        if entry.kind == "book":
            stub = self.bookings.CreateBooking
            request = booking_service_pb2.CreateBookingRequest(
                showtime_id=entry.showtime_id, seats=entry.seats, request_id=entry.request_id
            )
        elif entry.kind == "pay":
            stub = self.bookings.ConfirmPayment
            request = booking_service_pb2.ConfirmPaymentRequest(
                booking_id=entry.booking_id, payment_token=entry.payment_token, request_id=entry.request_id
            )
        elif entry.kind == "cancel":
            stub = self.bookings.CancelBooking
            request = booking_service_pb2.CancelBookingRequest(booking_id=entry.booking_id, request_id=entry.request_id)
        else:
            stub = self.bookings.GetBooking
            request = booking_service_pb2.GetBookingRequest(booking_id=entry.booking_id)
        return lambda timeout: stub(request, metadata=self.metadata, timeout=timeout)

    async def _make(self, entry: Entry, call: Callable[[float], Awaitable[Any]]) -> None:
        while True:
            impatient = self.chance.random() < 0.05
            entry.last, entry.tries = moment(), entry.tries + 1
            try:
                entry.answer = await call(self.chance.uniform(0.001, 0.05) if impatient else LONG)
                entry.outcome = "OK"
            except grpc.aio.AioRpcError as error:
                entry.outcome, entry.named = _reason(error)
            entry.end = moment()
            if entry.outcome not in NOT_KNOWN:
                return
            entry.outcome = ""
            if not entry.request_id or entry.kind in {"look", "read"} or self.chance.random() < 0.05:
                return
            await asyncio.sleep(self.chance.uniform(0, 0.03))

    def _learn(self, entry: Entry) -> None:
        if entry.kind == "book" and entry.outcome == "OK":
            self.mine.append(entry.answer.booking)
        elif entry.kind in {"pay", "cancel"} and entry.outcome in {"HOLD_EXPIRED", "BOOKING_NOT_CANCELLABLE"}:
            self.mine = [each for each in self.mine if each.booking_id != entry.booking_id]
        if len(self.mine) > 20:
            del self.mine[0]  # forgotten; its hold lapses, or it stays sold

    async def repeat(self, entry: Entry) -> Any:
        """Make a call once more."""
        return await self._call(entry)(LONG)


def _reason(error: grpc.aio.AioRpcError) -> tuple[str, tuple[str, ...]]:
    """Read the reason of a refusal, and the seats that it names; "" for a failure of gRPC's own."""
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None:
        return "", ()
    for packed in status_pb2.Status.FromString(bytes(details)).details:
        info = error_details_pb2.ErrorInfo()
        if packed.Unpack(info):
            seats = info.metadata.get("seats") or info.metadata.get("stranded_seats") or ""
            return str(info.reason), tuple(seats.split(",")) if seats else ()
    raise AssertionError(f"an error without a reason: {error}")
