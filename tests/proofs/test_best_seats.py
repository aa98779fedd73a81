"""A rush for the best seats: no call is refused for what another took, and every seat of the house is sold."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from cinema.v1.booking_service_pb2 import BestSeats
from cinema.v1.catalog_pb2 import WheelchairSpace
from cinema.v1.showtime_pb2 import Showtime
from sqlalchemy import insert, select

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.database import schema
from cinema_grpc.domain.account import Role, User
from tests import chance
from tests.builders import FakeClock
from tests.conftest import Lend
from tests.database import reading, writing
from tests.proofs.desk import OFFICES
from tests.rpc.app import UNLIMITED, App
from tests.rpc.conftest import SECRET, running
from tests.rpc.refusals import read_refusal

CALLS_UNDER_WAY = 900
"""The rest wait in their clients. gRPC refuses calls at random once 1,000 have come that the server has not begun."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SEATS_A_ROW = 40


class Party(NamedTuple):
    """Who asks, as which user, for seats for how many, and how."""

    name: str
    size: int
    wheelchair_spaces: int
    allow_split: bool


@OFFICES
@pytest.mark.parametrize(
    ("callers", "seats"), [(300, 240), pytest.param(2_000, 2_000, marks=pytest.mark.torture)], ids=["short", "long"]
)
async def test_callers_at_once_fill_the_house(
    kind: str, offices: int, callers: int, seats: int, lend: Lend, tmp_path: Path, record_property: Callable[..., None]
) -> None:
    """Each asks for a party of up to ten; refused, for the largest that fits, until it has seats or there are none.

    The only refusal is NO_SEATS_TOGETHER: no SEATS_UNAVAILABLE, no SINGLE_SEAT_GAP. No seat is sold twice. No seat is
    left, although the gap rule holds, aisles and wheelchair spaces cut the rows, and few callers take single seats.
    """
    random = chance.generator(chance.seed())
    with lend(kind, tmp_path) as url:
        async with open_apps(url, offices) as apps:
            showtime = await a_house(apps[0], seats // SEATS_A_ROW)
            parties = [
                Party(f"u{number}", random.randint(1, 10), int(number % 20 == 0), random.random() < 0.5)
                for number in range(callers)
            ]
            await sign_in(apps, parties)
            under_way = asyncio.Semaphore(CALLS_UNDER_WAY)
            outcomes = await asyncio.gather(
                *(book(random.choice(apps), showtime.showtime_id, each, under_way) for each in parties)
            )
            for app in apps:
                assert (await app.read_showtime(showtime.showtime_id)).available_seats == 0
            booked = Counter(seat for each in outcomes for seat in each)
            assert len(booked) == booked.total() == seats
            async with reading(apps[0].server.database) as connection:
                claims = await connection.execute(select(schema.seat_claim.c.seat))
            assert sorted(claims.scalars()) == sorted(booked)
    sizes = Counter(map(len, outcomes))
    assert sizes[0] > 0  # so there were more callers than seats
    record_property("figures", dict(sorted(sizes.items())))


async def book(app: App, showtime_id: str, party: Party, under_way: asyncio.Semaphore) -> list[str]:
    """Ask for smaller and smaller parties until one gets seats, and return these; none if the house is full."""
    size = party.size
    while size:
        wanted = BestSeats(
            ticket_types=["standard"] * size,
            wheelchair_spaces=party.wheelchair_spaces,
            allow_split=party.allow_split,
        )
        try:
            async with under_way:
                booking = await app.book(showtime_id, best=wanted, by=party.name)
        except grpc.aio.AioRpcError as error:
            refused = read_refusal(error)
            assert refused.reason == "NO_SEATS_TOGETHER"
            assert int(refused.metadata["largest_group"]) < size
            size = int(refused.metadata["largest_group"])
        else:
            assert len(booking.seats) == size
            return [each.seat for each in booking.seats]
    return []


@asynccontextmanager
async def open_apps(url: str, offices: int) -> AsyncIterator[list[App]]:
    """Run servers at one database, with one clock."""
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        # On a busy machine, so many calls at once arrive late.
        yield [
            await stack.enter_async_context(
                running(url, clock, receive_seconds=600, late_requests_per_connection=0, **UNLIMITED)
            )
            for _ in range(offices)
        ]


async def a_house(app: App, rows: int) -> Showtime:
    """Put a showtime on in a house whose aisles differ from row to row, with wheelchair spaces in every third row."""
    labels = [(LETTERS[number // 26 - 1] if number >= 26 else "") + LETTERS[number % 26] for number in range(rows)]
    cuts = [3 + 5 * number % 17 for number in range(rows)]
    return await app.showtime(
        rows=[(label, (cut, 13, SEATS_A_ROW - 13 - cut)) for label, cut in zip(labels, cuts, strict=True)],
        wheelchair_spaces=[WheelchairSpace(seat=f"{label}{seat}") for label in labels[::3] for seat in (1, 20)],
    )


async def sign_in(apps: Sequence[App], parties: Sequence[Party]) -> None:
    """Create an account for each party, and set its token in each app."""
    clock = apps[0].clock
    users = [User(each.name, each.name, "Somebody", "", Role.CUSTOMER, clock.now()) for each in parties]
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
    async with writing(apps[0].server.database) as connection:
        await connection.execute(insert(schema.account), accounts)
    tokens = JwtAccessTokens(SECRET, clock)
    for user in users:
        metadata = (("authorization", f"Bearer {tokens.issue(user).text}"),)
        for app in apps:
            app.tokens[user.username] = metadata
