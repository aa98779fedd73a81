"""Calls that are cancelled, or whose deadline passes, at any instant: all or nothing, and a repeat tells the truth."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, cast

import grpc
import pytest
from cinema.v1 import (
    auth_service_pb2,
    booking_service_pb2,
    catalog_pb2,
    catalog_service_pb2,
    showtime_pb2,
    showtime_service_pb2,
)
from google.protobuf.duration_pb2 import Duration
from sqlalchemy.pool import QueuePool

from tests.builders import NOW
from tests.chance import count
from tests.conftest import KINDS, Lend
from tests.rpc.conftest import METHODS, PASSWORD, House, Metadata, moment, new_id, running
from tests.rpc.programme import EUR

SHORT, LONG = 10, 2_000
WHOLE_CALLS = 7
"""How many calls are let through, to learn how long one takes."""
SPAN = 1.3
"""Up to when calls are interrupted, in times of what a whole call takes: some just get their answer."""
BROKEN_BOOKS = {
    "a claim without its booking, or a booking without its claim": (
        "SELECT count(*) FROM (SELECT 1 FROM seat_claim LEFT JOIN booking USING (booking_id)"
        " WHERE booking.status IS NULL OR booking.status NOT IN ('RESERVED', 'CONFIRMED')) AS wrong"
    ),
    "seats miscounted": (
        "SELECT count(*) FROM showtime WHERE taken_seats <>"
        " (SELECT count(*) FROM seat_claim WHERE seat_claim.showtime_id = showtime.showtime_id)"
    ),
    "claims that no booking counts": (
        "SELECT (SELECT count(*) FROM seat_claim) -"
        " (SELECT coalesce(sum(seat_count), 0) FROM booking WHERE status IN ('RESERVED', 'CONFIRMED'))"
    ),
    "tickets of what is not paid for": (
        "SELECT (SELECT count(*) FROM ticket) -"
        " (SELECT coalesce(sum(seat_count), 0) FROM booking WHERE confirm_time IS NOT NULL)"
    ),
    "charges without a confirmation": (
        "SELECT (SELECT count(*) FROM payment_attempt WHERE status = 'CHARGED') -"
        " (SELECT count(*) FROM booking WHERE confirm_time IS NOT NULL)"
    ),
}
"""Questions whose answer is 0 in every state of the database."""
EFFECTS = {
    "CreateBooking": "SELECT count(*) FROM booking",
    "ConfirmPayment": "SELECT count(*) FROM booking WHERE confirm_time IS NOT NULL",
    "CancelBooking": "SELECT count(*) FROM booking WHERE cancel_time IS NOT NULL",
    "CreateMovie": "SELECT count(*) FROM movie",
    "CreateCinema": "SELECT count(*) FROM cinema",
    "CreateAuditorium": "SELECT count(*) FROM auditorium",
    "CreateShowtime": "SELECT count(*) FROM showtime",
}
"""What each call with a request_id leaves one of, beside its record."""
Stub = Any
Prepare = Callable[["Scene"], Awaitable[tuple[Stub, Any, Metadata]]]


@dataclass
class Scene:
    """A house with what the changes need, numbered so that no two calls want the same."""

    house: House
    showtime: showtime_pb2.Showtime
    movie_id: str
    auditorium_id: str
    cinema_id: str
    number: int = 0

    async def next_booking(self) -> str:
        """Hold a seat that is free."""
        return (await self.house.book(self.showtime.showtime_id, self.seat(), request_id=new_id())).booking_id

    def seat(self) -> str:
        """Name a seat that is free."""
        self.number += 1
        return f"{'ABCDEFGHIJ'[self.number % 10]}{self.number // 10 % 200 + 1}"

    async def ask(self, question: str) -> int:
        """Ask the database for a number."""
        async with self.house.server.database.reading() as connection:
            return int((await connection.exec_driver_sql(question)).scalar_one())


@asynccontextmanager
async def a_scene(database_url: str) -> AsyncIterator[Scene]:
    """Set the scene."""
    async with running(database_url) as house:
        rows = [(label, (200,)) for label in "ABCDEFGHIJ"]
        showtime = await house.showtime(rows=rows, policy=showtime_pb2.SEAT_GAP_POLICY_ALLOW)
        auditorium = await house.auditorium()
        movie = await house.movie(minutes=60)
        await house.customer()
        yield Scene(house, showtime, movie.movie_id, auditorium.auditorium_id, auditorium.cinema_id)


async def create_booking(scene: Scene) -> tuple[Stub, Any, Metadata]:
    request = booking_service_pb2.CreateBookingRequest(
        showtime_id=scene.showtime.showtime_id, seats=[scene.seat()], request_id=new_id()
    )
    return scene.house.bookings.CreateBooking, request, await scene.house.customer(f"customer-{scene.number // 5}")


async def confirm_payment(scene: Scene) -> tuple[Stub, Any, Metadata]:
    request = booking_service_pb2.ConfirmPaymentRequest(
        booking_id=await scene.next_booking(), payment_token="tok_visa", request_id=new_id()
    )
    return scene.house.bookings.ConfirmPayment, request, await scene.house.customer()


async def cancel_booking(scene: Scene) -> tuple[Stub, Any, Metadata]:
    booking_id = await scene.next_booking()
    if scene.number % 2:
        await scene.house.pay(booking_id, request_id=new_id())
    request = booking_service_pb2.CancelBookingRequest(booking_id=booking_id, request_id=new_id())
    return scene.house.bookings.CancelBooking, request, await scene.house.customer()


async def create_movie(scene: Scene) -> tuple[Stub, Any, Metadata]:
    request = catalog_service_pb2.CreateMovieRequest(
        title="Another Film", runtime=Duration(seconds=5_400), request_id=new_id()
    )
    return scene.house.catalog.CreateMovie, request, await scene.house.staff()


async def create_cinema(scene: Scene) -> tuple[Stub, Any, Metadata]:
    request = catalog_service_pb2.CreateCinemaRequest(name="Another House", time_zone="UTC", request_id=new_id())
    return scene.house.catalog.CreateCinema, request, await scene.house.staff()


async def create_auditorium(scene: Scene) -> tuple[Stub, Any, Metadata]:
    scene.number += 1
    request = catalog_service_pb2.CreateAuditoriumRequest(
        cinema_id=scene.cinema_id,
        name=f"Screen {scene.number}",
        rows=[catalog_pb2.SeatRow(label="A", sections=[10])],
        request_id=new_id(),
    )
    return scene.house.catalog.CreateAuditorium, request, await scene.house.staff()


async def create_showtime(scene: Scene) -> tuple[Stub, Any, Metadata]:
    scene.number += 1
    request = showtime_service_pb2.CreateShowtimeRequest(
        movie_id=scene.movie_id,
        auditorium_id=scene.auditorium_id,
        start_time=moment(NOW + scene.number * timedelta(hours=2)),
        price=EUR,
        request_id=new_id(),
    )
    return scene.house.showtimes.CreateShowtime, request, await scene.house.staff()


CHANGES: dict[str, Prepare] = {
    "CreateBooking": create_booking,
    "ConfirmPayment": confirm_payment,
    "CancelBooking": cancel_booking,
    "CreateMovie": create_movie,
    "CreateCinema": create_cinema,
    "CreateAuditorium": create_auditorium,
    "CreateShowtime": create_showtime,
}


def test_every_change_is_interrupted() -> None:
    """Each RPC that takes a request_id is among them."""
    assert CHANGES.keys() == {
        method.name for method in METHODS.values() if "request_id" in method.input_type.fields_by_name
    }


class Sweep:
    """Interrupts calls of one kind, each at another instant.

    Attributes:
        answered: How many got their answer before they were interrupted.
    """

    def __init__(self, instants: int) -> None:
        self._instants = instants
        self._turns: list[int] = []
        self._seconds: list[float] = []
        self.answered = 0

    async def measure(self, make: Callable[[], Any]) -> None:
        """Let a call through, and take its time."""
        start, turns = time.perf_counter(), 0
        call = make()
        while not call.done():
            turns += 1
            await asyncio.sleep(0)
        await call
        self._turns.append(turns)
        self._seconds.append(time.perf_counter() - start)

    async def interrupt(self, instant: int, make: Callable[..., Any]) -> Any:
        """Make a call, and hang up after some turns of the event loop, or have its deadline pass; give its answer."""
        share = SPAN * instant / self._instants
        if instant % 2:
            call = make(timeout=max(0.000_1, share * median(self._seconds)))
        else:
            call = make()
            for _ in range(round(share * median(self._turns))):
                await asyncio.sleep(0)
            call.cancel()
        try:
            answer = await call
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            # An answer that is not known; a call that was cancelled raises CancelledError for want of an answer.
            return None
        self.answered += 1
        return answer


async def sweep(scene: Scene, name: str, instants: int) -> None:
    """Interrupt calls of one kind at many instants; after each the books are right, and the repeat gets an answer."""
    path = Sweep(instants)
    for _ in range(WHOLE_CALLS):
        stub, request, metadata = await CHANGES[name](scene)
        await path.measure(lambda: stub(request, metadata=metadata))  # noqa: B023 (it is done at once)
    recorded = f"SELECT count(*) FROM request WHERE rpc LIKE '%/{name}'"  # noqa: S608 (names of ours)
    unrecorded = f"SELECT ({EFFECTS[name]}) - ({recorded})"
    made_for_the_scene = await scene.ask(unrecorded)
    for instant in range(instants):
        stub, request, metadata = await CHANGES[name](scene)
        told = await path.interrupt(instant, lambda **timeout: stub(request, metadata=metadata, **timeout))  # noqa: B023
        assert await broken_books(scene) == [], (name, instant)
        assert await scene.ask(unrecorded) == made_for_the_scene, (name, instant)
        known = await stub(request, metadata=metadata)
        assert told is None or told == known, (name, instant)
        assert await stub(request, metadata=metadata) == known, (name, instant)
    assert await scene.ask(unrecorded) == made_for_the_scene
    assert await scene.ask(recorded) == WHOLE_CALLS + instants
    print(f"{name}: {instants} calls, {path.answered} answered before they were interrupted")  # noqa: T201


async def sweep_register(scene: Scene, instants: int) -> None:
    """Interrupt registrations, which have no request_id: afterwards there is no account, or one with that password."""
    path = Sweep(instants)
    register, login = scene.house.auth.Register, scene.house.auth.Login
    for number in range(-WHOLE_CALLS, 0):
        await path.measure(lambda: register(person(number)))  # noqa: B023 (it is done at once)
    for instant in range(instants):
        wanted = person(instant)
        told = await path.interrupt(instant, lambda **timeout: register(wanted, **timeout))  # noqa: B023
        if told is None:
            with suppress(grpc.aio.AioRpcError):  # it is there already, as signing in shows
                await register(wanted)
        user = (await login(auth_service_pb2.LoginRequest(username=wanted.username, password=PASSWORD))).user
        assert (user.username, user.email, user.full_name) == (wanted.username, wanted.email, wanted.full_name)
        assert told is None or told.user == user, instant
    print(f"Register: {instants} calls, {path.answered} answered before they were interrupted")  # noqa: T201


def person(number: int) -> auth_service_pb2.RegisterRequest:
    """Make somebody up."""
    return auth_service_pb2.RegisterRequest(
        username=f"person{number}", password=PASSWORD, full_name=f"Person {number}", email=f"person{number}@example.com"
    )


async def broken_books(scene: Scene) -> list[str]:
    """Tell what is wrong in the database."""
    questions = ", ".join(f"({question})" for question in BROKEN_BOOKS.values())
    async with scene.house.server.database.reading() as connection:
        (answers,) = await connection.exec_driver_sql(f"SELECT {questions}")
    return [name for name, answer in zip(BROKEN_BOOKS, answers, strict=True) if answer]


async def nothing_is_left(scene: Scene, tasks_before: set["asyncio.Task[Any]"]) -> None:
    """Wait until no connection is checked out, and no task runs that did not run before."""
    pool = cast("QueuePool", scene.house.server.database.engine.pool)
    async with asyncio.timeout(30):
        while pool.checkedout() or asyncio.all_tasks() - tasks_before:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", KINDS)
async def test_interrupted_calls(kind: str, lend: Lend, tmp_path: Path) -> None:
    """A few instants of each."""
    with lend(kind, tmp_path) as url:
        async with a_scene(url) as scene:
            tasks = asyncio.all_tasks()
            for name in CHANGES:
                await sweep(scene, name, SHORT)
            await sweep_register(scene, SHORT)
            await nothing_is_left(scene, tasks)


@pytest.mark.torture
@pytest.mark.parametrize("name", [*CHANGES, "Register"])
@pytest.mark.parametrize("kind", KINDS)
async def test_calls_interrupted_at_many_instants(kind: str, name: str, lend: Lend, tmp_path: Path) -> None:
    """2,000 instants of one."""
    with lend(kind, tmp_path) as url:
        async with a_scene(url) as scene:
            tasks = asyncio.all_tasks()
            await (sweep_register(scene, count(LONG)) if name == "Register" else sweep(scene, name, count(LONG)))
            await nothing_is_left(scene, tasks)
