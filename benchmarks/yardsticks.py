"""Two servers to measure against: one that does nothing, and one that books as people usually write it.

Usage: python -m benchmarks.yardsticks empty|textbook, with a JSON value on standard input: {method: answer in base64}
for the one, the URL of a database for the other.
"""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import grpc
import uuid_utils
import uvloop
from cinema.v1 import booking_pb2, booking_service_pb2, money_pb2, showtime_service_pb2, ticket_service_pb2
from google.protobuf import message_factory
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from benchmarks.sample import priced
from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.seat_plans import seat_plan
from cinema_grpc.domain.seating import SeatPlan

SERVICES = [
    module.DESCRIPTOR.services_by_name[name]
    for module, name in (
        (booking_service_pb2, "BookingService"),
        (showtime_service_pb2, "ShowtimeService"),
        (ticket_service_pb2, "TicketService"),
    )
]
POOL_SIZE = 20
"""How many connections to PostgreSQL there are; more made it no faster."""
Request = booking_service_pb2.CreateBookingRequest
Response = booking_service_pb2.CreateBookingResponse
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


def empty(answers: dict[str, str]) -> dict[str, Handler]:
    """Make handlers that read the request and give a ready-made message: what any gRPC server in Python costs."""
    handlers: dict[str, Handler] = {}
    for service in SERVICES:
        for method in service.methods:
            name = f"/{service.full_name}/{method.name}"
            if name in answers:
                request_type = message_factory.GetMessageClass(method.input_type)
                answer_type = message_factory.GetMessageClass(method.output_type)
                answer = answer_type.FromString(base64.b64decode(answers[name]))
                handlers[name] = _giving(answer, request_type)
    return handlers


def _giving(answer: Any, request_type: Any) -> Handler:
    async def give(_request: object, _context: object) -> Any:
        return answer

    # The message is turned into bytes at each call, as any handler's is.
    return grpc.unary_unary_rpc_method_handler(give, request_type.FromString, type(answer).SerializeToString)


class Textbook:
    """A transaction a request: lock, look, insert, commit; with the same durability as ours, and fewer checks.

    It asks for no token and does not apply the gap rule, which is in its favour.
    """

    def __init__(self, database_url: str) -> None:
        self._engine = Database(database_url, SystemClock(), POOL_SIZE).engine
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        if not self._is_sqlite:
            self._engine = self._engine.execution_options(isolation_level="READ COMMITTED")
        self._plans: dict[str, SeatPlan] = {}
        self._user_id = ""

    async def open(self) -> None:
        """Read what never changes."""
        async with self._transaction() as connection:
            self._user_id = (await connection.execute(select(schema.account.c.user_id).limit(1))).scalar_one()
            query = select(schema.showtime.c.showtime_id, schema.auditorium.c.rows).join(schema.auditorium)
            self._plans = {row.showtime_id: seat_plan(row.rows, "[]", "[]") for row in await connection.execute(query)}

    async def create_booking(
        self, request: Request, context: "grpc.aio.ServicerContext[Request, Response]"
    ) -> Response:
        """Hold the seats, or abort."""
        now = datetime.now(UTC)
        claims, showtimes = schema.seat_claim, schema.showtime
        asked = self._with_neighbours(request)
        async with self._transaction() as connection:
            of_showtime = showtimes.c.showtime_id == request.showtime_id
            showtime = (await connection.execute(select(showtimes).where(of_showtime).with_for_update())).one()
            query = select(claims.c.seat).where(claims.c.showtime_id == request.showtime_id, claims.c.seat.in_(asked))
            taken = set((await connection.execute(query)).scalars())
            if taken & set(request.seats):
                await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "taken")
            made = _answer(request.showtime_id, list(request.seats), now)
            booking_id = made.booking.booking_id
            await connection.execute(
                insert(schema.booking).values(
                    booking_id=booking_id,
                    showtime_id=request.showtime_id,
                    user_id=self._user_id,
                    status="RESERVED",
                    seats=priced(tuple(request.seats)),
                    wheelchair=False,
                    seat_count=len(request.seats),
                    currency_code="EUR",
                    total_price=1_250 * len(request.seats),
                    create_time=now,
                    hold_expire_time=now + timedelta(minutes=10),
                    hold_extended=False,
                    hold_renewed=False,
                    revision=showtime.revision + 1,
                )
            )
            rows = [{"showtime_id": request.showtime_id, "seat": s, "booking_id": booking_id} for s in request.seats]
            await connection.execute(insert(claims), rows)
            await connection.execute(
                insert(schema.stored_response).values(
                    caller=self._user_id,
                    rpc="CreateBooking",
                    request_id=request.request_id,
                    digest="",
                    response=base64.b64encode(made.SerializeToString()).decode(),
                    create_time=now,
                )
            )
            await connection.execute(
                update(showtimes)
                .where(of_showtime)
                .values(taken_seats=showtime.taken_seats + len(request.seats), revision=showtime.revision + 1)
            )
        return made

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.begin() as connection:
            if self._is_sqlite:
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    def _with_neighbours(self, request: Request) -> list[str]:
        plan = self._plans[request.showtime_id]
        positions = plan.positions(request.seats)
        near = {p for each in positions for p in (each - 1, each, each + 1) if 0 <= p < len(plan)}
        return [plan.labels[each] for each in near]


def _answer(showtime_id: str, seats: list[str], now: datetime) -> Response:
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


class _ByName(grpc.GenericRpcHandler):
    """Finds handlers by name, which is the cheapest way that grpc.aio has: registered methods are searched for."""

    def __init__(self, handlers: dict[str, Handler]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Handler | None":
        return self._handlers.get(handler_call_details.method)


async def serve(kind: str) -> None:
    """Serve until killed; the first line of output holds the address."""
    said = json.load(sys.stdin)
    if kind == "empty":
        handlers = empty(said)
    else:
        servicer = Textbook(said)
        await servicer.open()
        handler: Handler = grpc.unary_unary_rpc_method_handler(
            servicer.create_booking, Request.FromString, Response.SerializeToString
        )
        handlers = {"/cinema.v1.BookingService/CreateBooking": handler}
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers([_ByName(handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"address": f"127.0.0.1:{port}"}), flush=True)  # noqa: T201 (read by the process that started this one)
    await server.wait_for_termination()


if __name__ == "__main__":
    # On the event loop that ours runs on.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
