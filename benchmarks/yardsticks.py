"""Two servers to measure against: one that does nothing, and one that books as people usually write it.

Usage: python -m benchmarks.yardsticks empty|textbook DATABASE
"""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import grpc
import uuid_utils
from cinema.v1 import booking_pb2, booking_service_pb2, money_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import insert, select, update

from benchmarks.house import ROWS
from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.domain.seating import SeatPlan

Request = booking_service_pb2.CreateBookingRequest
Response = booking_service_pb2.CreateBookingResponse


def answer(showtime_id: str, seats: list[str], now: datetime) -> Response:
    """Make an answer as ours would be."""
    moment, until = Timestamp(), Timestamp()
    moment.FromDatetime(now)
    until.FromDatetime(now + timedelta(minutes=10))
    price = money_pb2.Money(currency_code="EUR", minor_units=1_250)
    return Response(
        booking=booking_pb2.Booking(
            booking_id=str(uuid_utils.uuid7()),
            user_id=str(uuid_utils.uuid7()),
            showtime_id=showtime_id,
            seats=[booking_pb2.BookedSeat(seat=seat, price=price) for seat in seats],
            total_price=money_pb2.Money(currency_code="EUR", minor_units=2_500),
            status=booking_pb2.BOOKING_STATUS_RESERVED,
            create_time=moment,
            hold_expire_time=until,
        )
    )


class Empty:
    """Gives a ready-made answer: what any gRPC server in Python costs."""

    def __init__(self) -> None:
        self._answer = answer(str(uuid_utils.uuid7()), ["A1", "A2"], datetime.now(UTC))

    async def CreateBooking(self, _request: Request, _context: object) -> Response:  # noqa: N802 (the protos' name)
        """Answer."""
        return self._answer


class Textbook:
    """A transaction a request: lock, look, insert, commit; with the same durability as ours, and fewer checks."""

    def __init__(self, path: str) -> None:
        self._database = Database(f"sqlite+aiosqlite:///{path}", SystemClock())
        self._plan = SeatPlan(ROWS)
        self._user_id = ""

    async def CreateBooking(self, request: Request, context: grpc.aio.ServicerContext) -> Response:  # type: ignore[type-arg]  # noqa: N802 (the protos' name)
        """Hold the seats, or abort."""
        now = datetime.now(UTC)
        claims, showtimes = schema.seat_claim, schema.showtime
        positions = self._plan.positions(request.seats)
        near = {p for each in positions for p in (each - 1, each, each + 1) if 0 <= p < len(self._plan)}
        async with self._database.writing() as connection:
            if not self._user_id:
                self._user_id = (await connection.execute(select(schema.account.c.user_id).limit(1))).scalar_one()
            showtime = (
                await connection.execute(
                    select(showtimes).where(showtimes.c.showtime_id == request.showtime_id).with_for_update()
                )
            ).one()
            asked = [self._plan.labels[each] for each in near]
            query = select(claims.c.seat).where(claims.c.showtime_id == request.showtime_id, claims.c.seat.in_(asked))
            taken = set((await connection.execute(query)).scalars())
            if taken & set(request.seats):
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "taken")
            made = answer(request.showtime_id, list(request.seats), now)
            booking_id = made.booking.booking_id
            await connection.execute(
                insert(schema.booking).values(
                    booking_id=booking_id,
                    showtime_id=request.showtime_id,
                    user_id=self._user_id,
                    status="RESERVED",
                    seats=",".join(request.seats),
                    seat_count=len(request.seats),
                    currency_code="EUR",
                    seat_price=1_250,
                    create_time=now,
                    hold_expire_time=now + timedelta(minutes=10),
                    hold_extended=False,
                    revision=showtime.revision + 1,
                )
            )
            rows = [{"showtime_id": request.showtime_id, "seat": s, "booking_id": booking_id} for s in request.seats]
            await connection.execute(insert(claims), rows)
            await connection.execute(
                insert(schema.request).values(
                    caller=self._user_id,
                    rpc="CreateBooking",
                    request_id=request.request_id,
                    content=b"",
                    outcome=made.SerializeToString(),
                    create_time=now,
                )
            )
            await connection.execute(
                update(showtimes)
                .where(showtimes.c.showtime_id == request.showtime_id)
                .values(taken_seats=showtime.taken_seats + len(request.seats), revision=showtime.revision + 1)
            )
        return made


async def serve(kind: str, path: str) -> None:
    """Serve until killed; the port is the first line of output."""
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    servicer = Empty() if kind == "empty" else Textbook(path)
    create_booking = grpc.unary_unary_rpc_method_handler(
        servicer.CreateBooking, Request.FromString, Response.SerializeToString
    )
    handlers = {"CreateBooking": create_booking}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("cinema.v1.BookingService", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)  # noqa: T201 (whoever started it reads this)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
