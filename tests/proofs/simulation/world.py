"""The world of the simulation: servers that crash and restart, and customers who repeat calls without an answer."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta

from pydantic import TypeAdapter

from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.errors import PaymentUnavailable, ShuttingDown, StorageUnavailable
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.application.idempotency import IdempotencyKey, IdempotentCall
from cinema_grpc.application.payment_ports import ActionRequired
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import single_price
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.terms import SeatGapPolicy
from tests.application.commands import RANDOM_TICKETS
from tests.builders import NOW, some_terms
from tests.proofs.simulation.database import Database
from tests.proofs.simulation.loop import OWNER, Process, SimulatedLoop
from tests.proofs.simulation.provider import DECLINED, Provider
from tests.proofs.simulation.store import Store

SEATS = ("A1", "A2", "A3", "A4")
PRICES = (1_000, 1_100, 900)
START = NOW + timedelta(days=30)
HOLD = timedelta(seconds=20)
GRACE = timedelta(seconds=30)
UNKNOWN = (StorageUnavailable, PaymentUnavailable, ShuttingDown)
Ask = Callable[[Bookings], Awaitable[bytes]]
BOOKING = TypeAdapter(Booking)
encode = BOOKING.dump_json


def encode_action(booking: Booking, _action: ActionRequired) -> bytes:
    """Encode a response after which the customer has to act."""
    return encode(booking)


decode = BOOKING.validate_json


class Lost(Exception):
    """The outcome of a call is not known to its caller."""


class Office(Process):
    """A server process: a box office, its payments and its background tasks."""

    def __init__(self, name: str, database: Database, provider: Provider) -> None:
        """Start it."""
        super().__init__(name)
        self._calls: dict[asyncio.Future[bytes], None] = {}  # not a set, whose order differs from run to run
        self._context = copy_context()
        self._context.run(OWNER.set, self)
        self._context.run(self._start, Store(database), provider)

    def _start(self, store: Store, provider: Provider) -> None:
        box_office = BoxOffice(store, waiting_tasks=1)
        refunds = Refunds(store, box_office, provider, GRACE)
        self._box_office = box_office
        self._payments = Payments(
            store, PaymentSaga(box_office, provider, encode, GRACE, encode_action, RANDOM_TICKETS)
        )
        self.bookings = Bookings(box_office, store, self._payments, HOLD)
        box_office.on_commit(refunds.note_commit)
        box_office.on_commit(self.bookings.note_commit)
        expiry = HoldExpiry(store, box_office)
        box_office.start()
        self.passes = (expiry.run_pass, self._payments.recover, refunds.run_pass)
        self.tasks = (
            BackgroundTask("expiry", expiry.run_pass, 2),
            BackgroundTask("recovery", self._payments.recover, 10),
            refunds.task,
        )
        for task in self.tasks:
            task.start()

    async def serve(self, ask: Ask, deadline: float) -> bytes:
        """Answer a call, which its caller gives up after `deadline` seconds.

        Raises:
            Lost, and what the call raises.
        """
        if self.dead:
            raise Lost
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def handle() -> None:
            try:
                response = await ask(self.bookings)
            except Exception as error:  # noqa: BLE001 (it is the caller's)
                if not answer.done():
                    answer.set_exception(error)
                    answer.exception()  # marks it as retrieved: its caller may give up at the same moment
            else:
                if not answer.done():
                    answer.set_result(response)

        self._calls[answer] = None
        handler = asyncio.get_running_loop().create_task(handle(), context=self._context.copy())
        try:
            async with asyncio.timeout(deadline):
                return await answer
        except TimeoutError:
            handler.cancel()  # as gRPC does when a client hangs up
            raise Lost from None
        finally:
            del self._calls[answer]

    async def stop(self) -> None:
        """Shut down."""
        for task in self.tasks:
            await task.stop()
        await self._payments.stop(10)
        await self._box_office.stop()

    def crash(self) -> None:
        """Die; callers see a broken connection."""
        self.dead = True
        for answer in self._calls:
            if not answer.done():
                answer.set_exception(Lost())
                answer.exception()


@dataclass
class Call:
    """A customer's call, and its answer: a response, a refusal, or None while the outcome is not known."""

    user_id: str
    ask: Ask
    answer: bytes | CinemaError | None = None


@dataclass
class World:
    """Everything there is.

    Attributes:
        crashes: How often a process may still die.
        crashed: How often one has died.
        calm: Whether nothing goes wrong any more.
        calls: All calls.
    """

    loop: SimulatedLoop
    chance: random.Random
    database: Database
    provider: Provider
    crashes: int
    crashed: int = 0
    calm: bool = False
    offices: list[Office] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def open(self) -> None:
        """Create showtimes, and start the processes."""
        for number in (1, 2):
            showtime_id = f"s{number}"
            prices = single_price(Money("EUR", PRICES[0]), ())
            rows = [SeatRow("A", (4,))]
            self.database.add_showtime(some_terms(rows, SeatGapPolicy.ALLOW, START, showtime_id, prices))
        for number in range(self.chance.choice([1, 2, 2, 3])):
            self.offices.append(Office(f"office {number}", self.database, self.provider))
        self.loop.before_step = self._perhaps_crash

    def _perhaps_crash(self, process: Process) -> None:
        if self.crashes and not self.calm and self.chance.random() < 0.002:
            self.crashes -= 1
            self.crashed += 1
            token = OWNER.set(None)
            assert isinstance(process, Office)
            process.crash()
            self.loop.call_later(self.chance.choice([0.0, 1.0, 10.0]), self._restart, process)
            OWNER.reset(token)

    def _restart(self, crashed: Office) -> None:
        self.offices[self.offices.index(crashed)] = Office(f"{crashed.name}, again", self.database, self.provider)

    async def customer(self, name: str) -> None:
        """Hold seats, and perhaps pay for them or cancel, with pauses between."""
        await self._rest()
        showtime_id, first = self.chance.choice(["s1", "s2"]), self.chance.randrange(len(SEATS))
        seats = SEATS[first : first + self.chance.choice([1, 2, 3])]
        response = await self.call(
            name,
            "book",
            lambda bookings, call: bookings.create(name, showtime_id, Selection(seats), call, encode),
            [*seats],
        )
        if response is None:
            return
        booking = decode(response)
        for _ in range(self.chance.choice([0, 1, 1, 2])):
            await self._rest()
            await (self._pay(booking) if self.chance.random() < 0.65 else self._cancel(booking))

    async def _pay(self, booking: Booking) -> None:
        user_id, name = booking.user_id, booking.booking_id
        token = self.chance.choice(["visa", "visa", "visa", DECLINED])
        await self.call(
            user_id, "pay", lambda bookings, call: bookings.confirm(user_id, name, token, call), [name, token]
        )

    async def _cancel(self, booking: Booking) -> None:
        user_id, name = booking.user_id, booking.booking_id
        await self.call(user_id, "cancel", lambda bookings, call: bookings.cancel(user_id, name, call, encode), [name])

    async def staff(self) -> None:
        """Change prices now and then."""
        for _ in range(self.chance.choice([0, 1, 3, 5])):
            await self._rest()
            showtime_id = self.chance.choice(["s1", "s2"])
            if showtime_id not in self.database.locks:
                self.database.reprice(showtime_id, Money("EUR", self.chance.choice(PRICES)))

    async def _rest(self) -> None:
        await asyncio.sleep(self.chance.choice([0.0, 0.0, 0.01, 1.0, 5.0, 19.0, 25.0, 130.0]))

    async def call(
        self,
        name: str,
        rpc: str,
        ask: Callable[[Bookings, IdempotentCall], Awaitable[bytes]],
        content: list[str],
    ) -> bytes | None:
        """Make a call, repeat it at any server while its outcome is not known, and return the response, if any."""
        request_id = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        digest = repr(content).encode().hex()
        idempotent = IdempotentCall(IdempotencyKey(name, rpc, request_id), lambda: digest)
        call = Call(name, lambda bookings: ask(bookings, idempotent))
        self.calls.append(call)
        for _ in range(self.chance.choice([3, 30])):
            call.answer = await self.try_call(call)
            if call.answer is not None:
                break
            await asyncio.sleep(self.chance.choice([0.0, 0.5, 5.0]))
        return call.answer if isinstance(call.answer, bytes) else None

    async def try_call(self, call: Call) -> bytes | CinemaError | None:
        """Make a call one time, and return its answer; None if the outcome is not known."""
        deadline = 60.0 if self.calm else self.chance.choice([0.005, 1.0, 30.0, 30.0])
        try:
            return await self.chance.choice(self.offices).serve(call.ask, deadline)
        except (Lost, *UNKNOWN):
            return None
        except CinemaError as refusal:
            return refusal

    async def live(self, customers: int) -> None:
        """Let customers come and go, and then run until nothing is left to do."""
        self.open()
        await asyncio.gather(*(self.customer(f"customer {number}") for number in range(customers)), self.staff())
        self.calm = True
        self.database.trouble = self.provider.trouble = 0
        await asyncio.sleep(30)  # crashed processes have restarted, and delayed messages have arrived
        for office in self.offices:
            for task in office.tasks:
                await task.stop()
        for _ in range(60):
            if self.settled():
                return
            await asyncio.sleep(120)
            for run_pass in self.offices[0].passes:
                await run_pass()

    def settled(self) -> bool:
        """Return whether nothing is left to do."""
        now = self.database.now()
        return not any(
            each.lapsed(now) or each.being_paid or (each.refund is not None and each.refund.status.value == "PENDING")
            for each in self.database.bookings.values()
        )


def a_world(chance: random.Random) -> World:
    """Return a world with more or less trouble in it."""
    trouble = chance.choice([0.0, 0.02, 0.1, 0.2])
    database = Database(chance, trouble)
    provider = Provider(chance, chance.choice([0.0, 0.1, 0.3]))
    loop = SimulatedLoop(chance)  # type: ignore[abstract] # of what a loop can do, there is what is needed here
    return World(loop, chance, database, provider, chance.choice([0, 1, 3, 10]))
