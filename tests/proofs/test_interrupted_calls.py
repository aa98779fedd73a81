"""Calls that are cancelled or time out at any instant: all or nothing, and a repeat gets the true outcome."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cinema.v1 import (
    booking_service_pb2,
    catalog_pb2,
    catalog_service_pb2,
    showtime_service_pb2,
)
from google.protobuf.duration_pb2 import Duration

from tests.builders import NOW
from tests.chance import count
from tests.conftest import KINDS, Lend
from tests.database import reading
from tests.proofs.interrupted_desk import STAFF_CHANGES, STAFF_EFFECTS
from tests.proofs.interrupted_door import DOOR_CHANGES, DOOR_EFFECTS
from tests.proofs.interruptions import LONG, SHORT, WHOLE_CALLS, Prepare, Scene, Stub, Sweep, a_scene, nothing_is_left
from tests.rpc.conftest import METHODS, Metadata, moment, new_id
from tests.rpc.programme import EUR

CHECKS = {
    "a claim without its booking, or a booking without its claim": (
        "SELECT count(*) FROM (SELECT 1 FROM seat_claim LEFT JOIN booking USING (booking_id)"
        " WHERE block_id IS NULL AND (booking.status IS NULL OR booking.status NOT IN ('RESERVED', 'CONFIRMED')))"
        " AS wrong"
    ),
    "seats miscounted": (
        "SELECT count(*) FROM showtime WHERE taken_seats <>"
        " (SELECT count(*) FROM seat_claim WHERE seat_claim.showtime_id = showtime.showtime_id)"
    ),
    "claims that no booking counts": (
        "SELECT (SELECT count(*) FROM seat_claim WHERE block_id IS NULL) -"
        " (SELECT coalesce(sum(seat_count), 0) FROM booking WHERE status IN ('RESERVED', 'CONFIRMED'))"
    ),
    "tickets of what is not paid for": (
        "SELECT (SELECT count(*) FROM ticket) -"
        " (SELECT coalesce(sum(seat_count), 0) FROM booking WHERE confirm_time IS NOT NULL)"
    ),
    "charges without a confirmation": (
        "SELECT (SELECT count(*) FROM payment_attempt WHERE status = 'CHARGED') -"
        " (SELECT count(*) FROM booking WHERE confirm_time IS NOT NULL AND tender IS NULL)"
    ),
    "bookings that were paid for and given up, without a refund": (
        "SELECT (SELECT count(*) FROM booking WHERE confirm_time IS NOT NULL AND cancel_time IS NOT NULL) -"
        " (SELECT count(DISTINCT booking_id) FROM refund)"
    ),
    "bookings of cancelled showtimes": (
        "SELECT count(*) FROM booking JOIN showtime ON showtime.showtime_id = booking.showtime_id"
        " WHERE showtime.status = 'CANCELLED' AND booking.status <> 'CANCELLED'"
    ),
}
"""Queries whose result is 0 in every state of the database."""
EFFECTS = {
    "CreateBooking": "SELECT count(*) FROM booking",
    "ConfirmPayment": "SELECT count(*) FROM booking WHERE confirm_time IS NOT NULL",
    "CancelBooking": "SELECT count(*) FROM booking WHERE cancel_time IS NOT NULL",
    "CreateMovie": "SELECT count(*) FROM movie",
    "CreateCinema": "SELECT count(*) FROM cinema",
    "CreateAuditorium": "SELECT count(*) FROM auditorium",
    "CreateShowtime": "SELECT count(*) FROM showtime",
    **STAFF_EFFECTS,
    **DOOR_EFFECTS,
}
"""What each call with a request_id leaves one of, beside its stored response."""


async def create_booking(scene: Scene) -> tuple[Stub, Any, Metadata]:
    showtime_id, seat = scene.seat()
    request = booking_service_pb2.CreateBookingRequest(showtime_id=showtime_id, seats=[seat], request_id=new_id())
    return scene.app.bookings.CreateBooking, request, await scene.app.customer(f"customer-{scene.number // 5}")


async def confirm_payment(scene: Scene) -> tuple[Stub, Any, Metadata]:
    request = booking_service_pb2.ConfirmPaymentRequest(
        booking_id=await scene.next_booking(), payment_token="tok_visa", request_id=new_id()
    )
    return scene.app.bookings.ConfirmPayment, request, await scene.app.customer()


async def cancel_booking(scene: Scene) -> tuple[Stub, Any, Metadata]:
    booking_id = await scene.next_booking()
    if scene.number % 2:
        await scene.app.pay(booking_id, request_id=new_id())
    request = booking_service_pb2.CancelBookingRequest(booking_id=booking_id, request_id=new_id())
    return scene.app.bookings.CancelBooking, request, await scene.app.customer()


async def create_movie(scene: Scene) -> tuple[Stub, Any, Metadata]:
    request = catalog_service_pb2.CreateMovieRequest(
        title="Another Film", runtime=Duration(seconds=5_400), request_id=new_id()
    )
    return scene.app.catalog.CreateMovie, request, await scene.app.staff()


async def create_cinema(scene: Scene) -> tuple[Stub, Any, Metadata]:
    request = catalog_service_pb2.CreateCinemaRequest(name="Another House", time_zone="UTC", request_id=new_id())
    return scene.app.catalog.CreateCinema, request, await scene.app.staff()


async def create_auditorium(scene: Scene) -> tuple[Stub, Any, Metadata]:
    scene.number += 1
    request = catalog_service_pb2.CreateAuditoriumRequest(
        cinema_id=scene.cinema_id,
        name=f"Screen {scene.number}",
        rows=[catalog_pb2.SeatRow(label="A", sections=[10])],
        request_id=new_id(),
    )
    return scene.app.catalog.CreateAuditorium, request, await scene.app.staff()


async def create_showtime(scene: Scene) -> tuple[Stub, Any, Metadata]:
    scene.number += 1
    request = showtime_service_pb2.CreateShowtimeRequest(
        movie_id=scene.movie_id,
        auditorium_id=scene.auditorium_id,
        start_time=moment(NOW + scene.number * timedelta(hours=2)),
        price=EUR,
        request_id=new_id(),
    )
    return scene.app.showtimes.CreateShowtime, request, await scene.app.staff()


CHANGES: dict[str, Prepare] = {
    "CreateBooking": create_booking,
    "ConfirmPayment": confirm_payment,
    "CancelBooking": cancel_booking,
    "CreateMovie": create_movie,
    "CreateCinema": create_cinema,
    "CreateAuditorium": create_auditorium,
    "CreateShowtime": create_showtime,
    **STAFF_CHANGES,
    **DOOR_CHANGES,
}


def test_every_change_is_interrupted() -> None:
    """Each RPC that takes a request_id is among them."""
    assert CHANGES.keys() == {
        method.name for method in METHODS.values() if "request_id" in method.input_type.fields_by_name
    }


async def sweep(scene: Scene, name: str, instants: int) -> int:
    """Interrupt calls of one kind at many instants; after each the database is consistent, and a repeat succeeds.

    Return how many got their answer before they were interrupted.
    """
    path = Sweep(instants)
    for _ in range(WHOLE_CALLS):
        stub, request, metadata = await CHANGES[name](scene)
        await path.measure(lambda: stub(request, metadata=metadata))  # noqa: B023 (it is done at once)
    stored = f"SELECT count(*) FROM stored_response WHERE rpc LIKE '%/{name}'"  # noqa: S608 (names of ours)
    unstored = f"SELECT ({EFFECTS[name]}) - ({stored})"
    made_for_the_scene = await scene.ask(unstored)
    for instant in range(instants):
        stub, request, metadata = await CHANGES[name](scene)
        told = await path.interrupt(instant, lambda **timeout: stub(request, metadata=metadata, **timeout))  # noqa: B023
        assert await failed_checks(scene) == [], (name, instant)
        assert await scene.ask(unstored) == made_for_the_scene, (name, instant)
        known = await stub(request, metadata=metadata)
        assert told is None or told == known, (name, instant)
        assert await stub(request, metadata=metadata) == known, (name, instant)
    assert await scene.ask(unstored) == made_for_the_scene
    assert await scene.ask(stored) == WHOLE_CALLS + instants
    return path.answered


async def failed_checks(scene: Scene) -> list[str]:
    """Return which checks of the database fail."""
    questions = ", ".join(f"({question})" for question in CHECKS.values())
    async with reading(scene.app.server.database) as connection:
        (answers,) = await connection.exec_driver_sql(f"SELECT {questions}")
    return [name for name, answer in zip(CHECKS, answers, strict=True) if answer]


@pytest.mark.parametrize("kind", KINDS)
async def test_interrupted_calls(kind: str, lend: Lend, tmp_path: Path) -> None:
    """A few instants of each."""
    with lend(kind, tmp_path) as url:
        async with a_scene(url) as scene:
            tasks = asyncio.all_tasks()
            for name in CHANGES:
                await sweep(scene, name, SHORT)
            await nothing_is_left(scene, tasks)


@pytest.mark.torture
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
async def test_calls_interrupted_at_many_instants(
    kind: str, name: str, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """2,000 instants of one."""
    instants = count(LONG)
    with lend(kind, tmp_path) as url:
        async with a_scene(url) as scene:
            tasks = asyncio.all_tasks()
            answered = await sweep(scene, name, instants)
            await nothing_is_left(scene, tasks)
    record_property("figures", f"interrupted at {instants} instants, {answered} of them after the answer")
