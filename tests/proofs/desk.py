"""A box office with its desk: customers who book, pay and cancel, staff who change showtimes, and the tables' view."""

import asyncio
import json
import pickle
import random as chances
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from sqlalchemy import insert

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.listings_reader import SqlListingsReader
from cinema_grpc.adapters.database.payment_store import SqlPaymentStore
from cinema_grpc.adapters.simulated_payments import SimulatedPayments
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.box_office.preview import Preview
from cinema_grpc.application.counter import Counter, CounterSale
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.application.listings import Listings
from cinema_grpc.application.payment_ports import Charge, ChargeOutcome
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.application.scheduling import Execution, Scheduling, WantedBlock
from cinema_grpc.domain.account import User
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.catalog import ListedShowtime
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.holds import hold
from cinema_grpc.domain.sale import Tender
from cinema_grpc.domain.showtime_changes import Impact, ShowtimeChanges
from cinema_grpc.domain.terms import SeatBlock, SeatBlockKind
from tests.application.commands import RANDOM_TICKETS, TEN_MINUTES, decode, encode, encode_action
from tests.application.conftest import App, open_app
from tests.application.paying import GRACE
from tests.database import writing

SEATS = [f"A{number}" for number in range(1, 11)]
OFFICES = pytest.mark.parametrize(
    ("kind", "offices"), [("sqlite", 1), ("postgresql", 1), ("postgresql", 2)], ids=["sqlite", "postgresql", "replicas"]
)
"""Runs a test on each database, and on PostgreSQL with two replicas."""
PRICES = {"standard": 1_250, "child": 333, "guest": 0}
"""Prices by ticket type; the first is the default."""
STAFF = "boss"


class Answer(NamedTuple):
    """What a change of a showtime or its preview answers."""

    showtime: ListedShowtime
    impact: Impact


def encode_answer(showtime: ListedShowtime, impact: Impact) -> bytes:
    """Encode an answer."""
    return pickle.dumps(Answer(showtime, impact))


def encode_blocks(_showtime: ListedShowtime, blocks: Sequence[SeatBlock]) -> bytes:
    """Encode the labels of blocked seats."""
    return pickle.dumps([seat for block in blocks for seat in block.seats])


class SlowProvider(SimulatedPayments):
    """A provider whose charges take a random time."""

    def __init__(self, random: chances.Random) -> None:
        super().__init__()
        self._random = random

    async def charge(self, charge: Charge, payment_token: str) -> ChargeOutcome:
        await turns(self._random)
        return await super().charge(charge, payment_token)


async def turns(random: chances.Random) -> None:
    """Let others run for a random time; often for none."""
    for _ in range(random.choice([0, 0, 1, 2, 5, 20])):
        await asyncio.sleep(0)
    if random.random() < 0.3:
        await asyncio.sleep(random.choice([0.000_5, 0.002, 0.005]))


@dataclass
class Desk:
    """What customers and staff use at one process."""

    app: App
    bookings: Bookings
    counter: Counter
    scheduling: Scheduling
    listings: Listings
    refunds: Refunds
    expiry: HoldExpiry

    async def hold(
        self, at: str, by: str, seats: Sequence[str], types: Sequence[str] = (), hold_for: timedelta = TEN_MINUTES
    ) -> Booking:
        """Hold seats."""
        self.app.names += 1
        name = f"b{self.app.names:07}"

        def create(decision: Decision) -> bytes:
            wanted = Selection(tuple(seats), tuple(types))
            return encode(hold(decision.showtime, name, by, wanted, hold_for, decision.now))

        return decode(await self.app.box_office.execute(Command(at, create)))

    async def pay(self, booking: Booking) -> Booking:
        """Pay for a booking."""
        token = "tok_visa" if booking.total_price.minor_units else ""
        return decode(await self.bookings.confirm(booking.user_id, booking.booking_id, token, None))

    async def sell(self, at: str, seats: Sequence[str], tender: Tender) -> Booking:
        """Sell seats at the counter."""
        sale = CounterSale(Selection(tuple(seats)), tender, reason="a guest")
        return decode(await self.counter.sell(STAFF, at, sale, None, encode))

    async def cancel(self, at: str, execution: Execution) -> Answer:
        """Cancel a showtime, or preview that."""
        answer = await self.scheduling.cancel(at, "a fire", execution, encode_answer)
        return pickle.loads(answer)  # type: ignore[no-any-return] # noqa: S301 (what `encode_answer` made)

    async def update(self, at: str, changes: ShowtimeChanges, execution: Execution) -> Answer:
        """Change a showtime, or preview that."""
        answer = await self.scheduling.update(at, changes, execution, encode_answer)
        return pickle.loads(answer)  # type: ignore[no-any-return] # noqa: S301 (what `encode_answer` made)

    async def block(self, at: str, seats: Sequence[str], release_time: datetime | None = None) -> list[str]:
        """Block seats, and return all that are blocked then."""
        wanted = WantedBlock(seats, SeatBlockKind.OUT_OF_ORDER, "a leak", release_time)
        return await self._set_blocks(at, wanted, ())

    async def release(self, at: str, seats: Sequence[str]) -> list[str]:
        """Release seats, and return all that are blocked then."""
        return await self._set_blocks(at, None, seats)

    async def _set_blocks(self, at: str, block: WantedBlock | None, release: Sequence[str]) -> list[str]:
        answer = await self.scheduling.set_blocks(at, block, release, Execution(STAFF), encode_blocks)
        return pickle.loads(answer)  # type: ignore[no-any-return] # noqa: S301 (what `encode_blocks` made)


def open_desk(app: App, provider: SimulatedPayments) -> Desk:
    """Open a desk at a box office."""
    database, box_office = app.database, app.box_office
    store = SqlPaymentStore(database)
    refunds = Refunds(store, box_office, provider, GRACE)
    payments = Payments(store, PaymentSaga(box_office, provider, encode, GRACE, encode_action, RANDOM_TICKETS))
    bookings = Bookings(box_office, app.reader, payments, TEN_MINUTES)
    listings = Listings(SqlListingsReader(database), app.store, app.cache)
    box_office.on_commit(refunds.note_commit)
    box_office.on_commit(bookings.note_commit)

    async def find_user(_user_id: str) -> User | None:
        return None

    return Desk(
        app,
        bookings,
        Counter(box_office, bookings, find_user, RANDOM_TICKETS),
        Scheduling(box_office, Preview(app.store, app.cache), listings, TEN_MINUTES),
        listings,
        refunds,
        HoldExpiry(app.store, box_office),
    )


@asynccontextmanager
async def open_desks(url: str, offices: int, provider: SimulatedPayments) -> AsyncIterator[list[Desk]]:
    """Open desks at as many box offices over one empty database."""
    async with open_app(url) as app, AsyncExitStack() as others:
        await add_staff(app)
        apps = [app, *[await others.enter_async_context(app.other_process()) for _ in range(offices - 1)]]
        yield [open_desk(each, provider) for each in apps]


async def add_staff(app: App) -> None:
    """Add the account of STAFF."""
    account = {
        "user_id": STAFF,
        "username": STAFF,
        "folded_username": STAFF,
        "full_name": STAFF,
        "email": "",
        "role": "STAFF",
        "password_hash": "none",
        "create_time": app.clock.now(),
    }
    async with writing(app.database) as connection:
        await connection.execute(insert(schema.account).values(account))


async def add_showtimes(app: App, names: Sequence[str], start: datetime) -> None:
    """Put showtimes into the auditorium of `furnish`, a day apart from `start` on."""
    rows = [
        {
            "showtime_id": name,
            "commit_id": f"commit of {name}",
            "start_time": start + timedelta(days=number),
            "end_time": start + timedelta(days=number, hours=2),
        }
        for number, name in enumerate(names)
    ]
    shared = {
        "movie_id": "m1",
        "auditorium_id": "a1",
        "cinema_id": "c1",
        "status": "SCHEDULED",
        "currency_code": "EUR",
        "prices": json.dumps([["standard", name, price, ""] for name, price in PRICES.items()]),
        "seat_gap_policy": "ALLOW",
        "taken_seats": 0,
        "revision": 1,
        "terms_revision": 0,
        "latest_time": app.clock.now(),
    }
    async with writing(app.database) as connection:
        await connection.execute(insert(schema.showtime), [shared | row for row in rows])
        commits = [{"showtime_id": row["showtime_id"], "commit_id": row["commit_id"]} for row in rows]
        await connection.execute(insert(schema.commit_log).values(revision=1, decide_time=app.clock.now()), commits)
