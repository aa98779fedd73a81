"""What the application reaches the simulated database through: transactions that may fail or outlive their process."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

from cinema_grpc.application.box_office.store import (
    Loaded,
    LoadRequest,
    NotLocked,
    ShowtimeUpdate,
    StorageConflict,
    StorageContention,
)
from cinema_grpc.application.errors import CommitOutcomeUnknown
from cinema_grpc.application.idempotency import StoredResponse
from cinema_grpc.application.payment_ports import OpenAttempt, OwedRefund
from cinema_grpc.application.ports import FoundBooking, Page
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.payment import UNSETTLED, RefundStatus
from tests.proofs.simulation.database import Database
from tests.proofs.simulation.loop import OWNER, Process

SECONDS_UNTIL_NOTICED = 1.0
"""How long the database takes at most to notice that a process has died."""


class Transaction:
    """One transaction of the box office. Fulfils Transaction of the port."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = OWNER.get()
        self._locked: list[str] = []
        self._sent: tuple[Sequence[ShowtimeUpdate], Sequence[StoredResponse]] | None = None
        self._ended = False

    async def __aenter__(self) -> "Transaction":
        """Connect."""
        await self._database.answer()
        if self._process is not None:
            self._watch(self._process)
        return self

    async def __aexit__(self, *_raised: object) -> None:
        """Roll back what was not committed, unless the commit is still on its way."""
        if self._sent is None:
            self._end()

    def _watch(self, process: Process) -> None:
        """Roll back if the process dies; the database notices that a little later."""

        def look() -> None:
            if self._ended:
                return
            if process.dead and self._sent is not None and self._database.chance.random() < 0.5:
                self._write_late()
            elif process.dead:
                self._end()
            else:
                self._later(SECONDS_UNTIL_NOTICED, look)

        self._later(SECONDS_UNTIL_NOTICED, look)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have the database do something, even if the process dies."""
        token = OWNER.set(None)
        asyncio.get_running_loop().call_later(seconds, call)
        OWNER.reset(token)

    def _end(self) -> None:
        self._ended = True
        for showtime_id in self._locked:
            self._database.locks.remove(showtime_id)
        self._locked.clear()

    async def lock(
        self,
        showtime_ids: Collection[str],
        *,
        wait: bool,
        with_auditorium: Collection[str] = (),  # noqa: ARG002 (nothing is moved here)
    ) -> NotLocked:
        """Lock showtimes, and return what was skipped."""
        await self._database.answer()
        skipped = []
        for showtime_id in showtime_ids:
            if showtime_id not in self._database.showtimes:
                continue
            if wait:
                await self._database.unlocked(showtime_id)
            if showtime_id in self._database.locks:
                skipped.append(showtime_id)
            else:
                self._database.locks.add(showtime_id)
                self._locked.append(showtime_id)
        return NotLocked(skipped)

    async def load(self, request: LoadRequest) -> Loaded:
        """Load what is not cached, of showtimes that are locked."""
        unlocked_ids = request.showtimes.keys() & self._database.showtimes.keys() - set(self._locked)
        self._database.expect(not unlocked_ids, f"{unlocked_ids} was loaded without a lock")
        await self._database.answer()
        loaded = self._database.load(request)
        await self._database.answer()
        return loaded

    async def commit(
        self,
        updates: Sequence[ShowtimeUpdate],
        responses: Sequence[StoredResponse],
        now: datetime,  # noqa: ARG002 (as the port)
    ) -> None:
        """Write and commit, or lose the answer before, during or after that."""
        database = self._database
        await database.answer()
        if database.chance.random() < database.trouble / 2:
            raise StorageContention
        self._sent = updates, responses
        await asyncio.sleep(0)
        fate = database.chance.choice(["lost before", "lost on its way", "lost after"])
        if database.chance.random() >= database.trouble / 2:
            fate = "known"
        if fate == "lost on its way":
            self._later(database.chance.choice([0.0, 0.02, 1.0]), self._write_late)
            raise CommitOutcomeUnknown
        self._sent = None
        if fate != "lost before":
            database.write(updates, responses)
        self._end()
        if fate != "known":
            raise CommitOutcomeUnknown
        await asyncio.sleep(0)

    def _write_late(self) -> None:
        if self._ended or self._sent is None:
            return
        try:
            self._database.write(*self._sent)
        except StorageConflict:
            pass
        finally:
            self._end()


class Store:
    """The database as the application sees it. Fulfils BoxOfficeStore, BookingReader and PaymentStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self) -> Transaction:
        """Begin a transaction."""
        return Transaction(self._database)

    async def load(self, request: LoadRequest) -> Loaded:
        """Load a snapshot."""
        await self._database.answer()
        return self._database.load(request)

    async def was_committed(self, update: ShowtimeUpdate) -> bool:
        """Return whether a commit whose answer was lost was kept, once it has ended."""
        await self._database.answer()
        await self._database.unlocked(update.showtime_id)
        commit_id = self._database.commit_log.get((update.showtime_id, update.after.revision))
        return commit_id == update.after.commit_id

    async def showtimes_with_lapses(self, limit: int, exclude: Collection[str]) -> list[str]:
        """Return showtimes with lapsed holds that are not yet EXPIRED."""
        await self._database.answer()
        now = self._database.now()
        lapsed = (each.showtime_id for each in self._database.bookings.values() if each.lapsed(now))
        return sorted(set(lapsed) - set(exclude))[:limit]

    async def showtime_of(self, booking_id: str) -> str | None:
        """Return the showtime_id of a booking, or None."""
        await self._database.answer()
        booking = self._database.bookings.get(booking_id)
        return None if booking is None else booking.showtime_id

    async def find(self, booking_id: str) -> FoundBooking | None:
        """Return a booking, or None."""
        await self._database.answer()
        booking = self._database.bookings.get(booking_id)
        if booking is None:
            return None
        terms = self._database.showtimes[booking.showtime_id].terms
        return FoundBooking(booking, terms.start_time, terms.moves, self._database.now())

    async def of_user(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> Page[Booking]:
        """Raise NotImplementedError: the simulation lists no bookings."""
        raise NotImplementedError

    async def take_attempts(
        self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]
    ) -> list[OpenAttempt]:
        """Take attempts that are OPEN or VOIDING, and due."""
        await self._database.answer()
        found: list[OpenAttempt] = []
        for booking in self._database.bookings.values():
            payment = booking.payment
            if payment is None or payment.status not in UNSETTLED or len(found) == limit:
                continue
            tries = self._take(payment.attempt_id, payment.create_time, grace, backoff)
            if tries is not None:
                found.append(
                    OpenAttempt(
                        booking.showtime_id,
                        booking.booking_id,
                        booking.user_id,
                        payment.attempt_id,
                        tries,
                        self._database.now() - payment.create_time,
                    )
                )
        await self._database.answer()
        return found

    async def take_paid_refunds(self, _limit: int, _pause: timedelta, _watch_for: timedelta) -> list[OwedRefund]:
        """Take none: this provider's refunds do not fail later."""
        return []

    async def take_refunds(self, grace: timedelta, limit: int, backoff: Callable[[int], timedelta]) -> list[OwedRefund]:
        """Take refunds that are PENDING, and due."""
        await self._database.answer()
        found: list[OwedRefund] = []
        for booking in self._database.bookings.values():
            refund = booking.refund
            if refund is None or refund.status is not RefundStatus.PENDING or len(found) == limit:
                continue
            tries = self._take(refund.refund_id, refund.create_time, grace, backoff)
            if tries is not None:
                found.append(
                    OwedRefund(
                        booking.showtime_id,
                        booking.booking_id,
                        refund.refund_id,
                        refund.attempt_id,
                        refund.amount,
                        tries,
                    )
                )
        await self._database.answer()
        return found

    def _take(
        self, name: str, create_time: datetime, grace: timedelta, backoff: Callable[[int], timedelta]
    ) -> int | None:
        """Take an attempt or a refund that is due, and return how often it was taken before; None if it is not due."""
        now = self._database.now()
        due, tries = self._database.tries.get(name, (create_time, 0))
        if due > now or create_time > now - grace:
            return None
        self._database.tries[name] = (now + backoff(tries), tries + 1)
        return tries
