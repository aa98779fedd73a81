"""A cinema chain in the simulation: box offices that crash and come back, and clients who repeat what was lost."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta

from cinema_grpc.application.background import BackgroundTask
from cinema_grpc.application.bookings import Bookings
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.errors import PaymentUnavailable, ShuttingDown, StorageUnavailable
from cinema_grpc.application.expiry import HoldExpiry
from cinema_grpc.application.once import Once, RequestKey
from cinema_grpc.application.payment_saga import PaymentSaga
from cinema_grpc.application.payments import Payments
from cinema_grpc.application.refunds import Refunds
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.seating import SeatPlan, SeatRow
from cinema_grpc.domain.showtime import SeatGapPolicy, Terms
from tests.builders import NOW
from tests.proofs.simulation.loop import OWNER, Process, SimulatedLoop
from tests.proofs.simulation.provider import DECLINED, Provider
from tests.proofs.simulation.store import Database, Row, Store

SEATS = ("A1", "A2", "A3", "A4")
PRICE = 1_000
START = NOW + timedelta(days=30)
HOLD = timedelta(seconds=20)
GRACE = timedelta(seconds=30)
UNKNOWN = (StorageUnavailable, PaymentUnavailable, ShuttingDown)
Ask = Callable[[Bookings], Awaitable[Booking]]


class Lost(Exception):
    """Nobody knows what became of a call."""


class Office(Process):
    """One process: a box office, its payments and its background tasks."""

    def __init__(self, name: str, database: Database, provider: Provider) -> None:
        """Start it."""
        super().__init__(name)
        self._calls: dict[asyncio.Future[Booking], None] = {}  # no set: the order is to be the same each time
        self._context = copy_context()
        self._context.run(OWNER.set, self)
        self._context.run(self._start, Store(database), provider)

    def _start(self, store: Store, provider: Provider) -> None:
        box_office = BoxOffice(store, lambda _: None, lanes=1, apart=1)
        refunds = Refunds(store, box_office, provider, GRACE)
        pay_refunds = BackgroundTask("refunds", refunds.run_pass, 5)

        def refund_owed(booking: Booking) -> None:
            refunds.owe(booking)
            pay_refunds.wake()

        self._box_office = box_office
        self._payments = Payments(store, PaymentSaga(box_office, provider, refund_owed, GRACE))
        self.bookings = Bookings(box_office, store, self._payments, HOLD, refund_owed)
        expiry = HoldExpiry(store, box_office)
        box_office.start()
        self.passes = (expiry.run_pass, self._payments.recover, refunds.run_pass)
        self.tasks = (
            BackgroundTask("expiry", expiry.run_pass, 2),
            BackgroundTask("recovery", self._payments.recover, 10),
            pay_refunds,
        )
        for task in self.tasks:
            task.start()

    async def serve(self, ask: Ask, patience: float) -> Booking:
        """Take a call, which its caller gives up after some seconds.

        Raises:
            Lost, and what the call raises.
        """
        if self.dead:
            raise Lost
        answer: asyncio.Future[Booking] = asyncio.get_running_loop().create_future()

        async def handle() -> None:
            try:
                told = await ask(self.bookings)
            except Exception as error:  # noqa: BLE001 (it is the caller's)
                if not answer.done():
                    answer.set_exception(error)
                    answer.exception()  # marks it as seen: perhaps its caller gives up in this very moment
            else:
                if not answer.done():
                    answer.set_result(told)

        self._calls[answer] = None
        handler = asyncio.get_running_loop().create_task(handle(), context=self._context.copy())
        try:
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError:
            handler.cancel()  # as gRPC does when a client hangs up
            raise Lost from None
        finally:
            del self._calls[answer]

    async def stop(self) -> None:
        """End in good order."""
        for task in self.tasks:
            await task.stop()
        await self._payments.stop(10)
        await self._box_office.stop()

    def crash(self) -> None:
        """Die. Callers notice."""
        self.dead = True
        for answer in self._calls:
            if not answer.done():
                answer.set_exception(Lost())
                answer.exception()


@dataclass
class Told:
    """A call that somebody made, and its answer: a booking, a refusal, or None as long as that is not known."""

    user_id: str
    ask: Ask
    answer: Booking | CinemaError | None = None


@dataclass
class World:
    """Everything there is.

    Attributes:
        crashes: How many times a process may still die.
        crashed: How many times one has died.
        calm: Whether nothing goes wrong any more.
        told: All calls.
    """

    loop: SimulatedLoop
    chance: random.Random
    database: Database
    provider: Provider
    crashes: int
    crashed: int = 0
    calm: bool = False
    offices: list[Office] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def open(self) -> None:
        """Put showtimes on, and start the processes."""
        for number in (1, 2):
            showtime_id = f"s{number}"
            terms = Terms(showtime_id, START, Money("EUR", PRICE), SeatGapPolicy.ALLOW, SeatPlan([SeatRow("A", (4,))]))
            self.database.showtimes[showtime_id] = Row(terms)
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
        """Hold seats, and perhaps pay for them or give them up, with pauses as people make them."""
        await self._rest()
        showtime_id, first = self.chance.choice(["s1", "s2"]), self.chance.randrange(len(SEATS))
        seats = SEATS[first : first + self.chance.choice([1, 2, 3])]
        booking = await self.call(
            name, "book", lambda bookings, once: bookings.create(name, showtime_id, seats, once), [*seats]
        )
        if booking is None:
            return
        for _ in range(self.chance.choice([0, 1, 1, 2])):
            await self._rest()
            await (self._pay(booking) if self.chance.random() < 0.65 else self._cancel(booking))

    async def _pay(self, booking: Booking) -> None:
        user_id, name = booking.user_id, booking.booking_id
        token = self.chance.choice(["visa", "visa", "visa", DECLINED])
        await self.call(
            user_id, "pay", lambda bookings, once: bookings.confirm(user_id, name, token, once), [name, token]
        )

    async def _cancel(self, booking: Booking) -> None:
        user_id, name = booking.user_id, booking.booking_id
        await self.call(user_id, "cancel", lambda bookings, once: bookings.cancel(user_id, name, once), [name])

    async def _rest(self) -> None:
        await asyncio.sleep(self.chance.choice([0.0, 0.0, 0.01, 1.0, 5.0, 19.0, 25.0, 130.0]))

    async def call(
        self, name: str, rpc: str, ask: Callable[[Bookings, Once[Booking]], Awaitable[Booking]], content: list[str]
    ) -> Booking | None:
        """Make a call, and repeat it at any office for as long as its outcome is not known."""
        request_id = str(uuid.UUID(int=self.chance.getrandbits(128), version=4))
        once = Once(RequestKey(name, rpc, request_id), repr(content).encode, Booking)
        told = Told(name, lambda bookings: ask(bookings, once))
        self.told.append(told)
        for _ in range(self.chance.choice([3, 30])):
            told.answer = await self.once(told)
            if told.answer is not None:
                break
            await asyncio.sleep(self.chance.choice([0.0, 0.5, 5.0]))
        return told.answer if isinstance(told.answer, Booking) else None

    async def once(self, told: Told) -> Booking | CinemaError | None:
        """Make a call one time; give its answer, or None."""
        patience = 60.0 if self.calm else self.chance.choice([0.005, 1.0, 30.0, 30.0])
        try:
            return await self.chance.choice(self.offices).serve(told.ask, patience)
        except (Lost, *UNKNOWN):
            return None
        except CinemaError as refusal:
            return refusal

    async def live(self, customers: int) -> None:
        """Let customers come and go, and then everything come to rest."""
        self.open()
        lives = [asyncio.create_task(self.customer(f"customer {number}")) for number in range(customers)]
        await asyncio.gather(*lives)
        self.calm = True
        self.database.trouble = self.provider.trouble = 0
        await asyncio.sleep(30)  # crashed processes are back, what was on its way has arrived
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
        """Tell whether nothing is left to do."""
        now = self.database.now()
        return not any(
            each.lapsed(now) or each.being_paid or (each.refund is not None and each.refund.status.value == "PENDING")
            for each in self.database.bookings.values()
        )


def a_world(chance: random.Random) -> World:
    """Make a world with more or less trouble in it."""
    trouble = chance.choice([0.0, 0.02, 0.1, 0.2])
    database = Database(chance, trouble)
    provider = Provider(chance, chance.choice([0.0, 0.1, 0.3]))
    loop = SimulatedLoop(chance)  # type: ignore[abstract] # of what a loop can do, there is what is needed here
    return World(loop, chance, database, provider, chance.choice([0, 1, 3, 10]))
