"""One customer who floods the box office over a real channel, and another who books one pair of seats."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_pb2, booking_service_pb2, booking_service_pb2_grpc

from cinema_grpc.application.box_office.box_office import LARGEST_BATCH
from tests.conftest import Lend
from tests.rpc.conftest import DEADLINE, running

FLOOD = 1_000
Stub = booking_service_pb2_grpc.BookingServiceStub


@pytest.mark.no_cover
async def test_another_customer_is_served_within_two_batches(lend: Lend, tmp_path: Path) -> None:
    """A thousand calls of one customer wait, as the file is locked, when another one comes for the same showtime."""
    with lend("sqlite", tmp_path) as url:
        async with running(url, calls_per_connection=2 * FLOOD) as app:
            showtime_id = (await app.showtime()).showtime_id
            await app.book(showtime_id, "A1", "A2", by="cyd")
            flooding, metadata = await app.customer("ada"), await app.customer("bob")
            queue = app.server._selling.box_office._queue
            answered: list[str] = []

            def waiting() -> int:
                return queue.placed(()) + sum(map(len, queue._overflow.values()))

            def ask(stub: Stub, seats: tuple[str, str], name: str) -> Any:
                request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime_id, seats=seats)
                call = stub.CreateBooking(request, metadata=flooding if name == "ada" else metadata, timeout=DEADLINE)
                call.add_done_callback(lambda _: answered.append(name))
                return call

            own = (("grpc.use_local_subchannel_pool", 1),)
            async with grpc.aio.insecure_channel(app.server.address, options=own) as channel:
                lock = sqlite3.connect(tmp_path / "cinema.db", isolation_level=None)
                lock.execute("BEGIN IMMEDIATE")
                flood = [ask(app.bookings, ("A1", "A2"), "ada") for _ in range(FLOOD)]
                async with asyncio.timeout(DEADLINE):
                    while waiting() < FLOOD - LARGEST_BATCH:  # noqa: ASYNC110
                        await asyncio.sleep(0.01)  # the rest was taken before the file was found to be locked
                bob = ask(booking_service_pb2_grpc.BookingServiceStub(channel), ("A3", "A4"), "bob")
                async with asyncio.timeout(DEADLINE):
                    while len(queue._places) < 2:  # noqa: ASYNC110 (the second customer has a place)
                        await asyncio.sleep(0.01)
                lock.execute("ROLLBACK")
                lock.close()
                assert (await bob).booking.status == booking_pb2.BOOKING_STATUS_RESERVED
            codes = {await call.code() for call in flood}
            assert codes == {grpc.StatusCode.FAILED_PRECONDITION}
            assert answered.index("bob") <= 2 * LARGEST_BATCH
