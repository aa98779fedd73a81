"""What box offices share in the simulation: a database with locks, which checks whatever is written to it."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cinema_grpc.application.box_office_ports import OnHold, Opened, OpenedBatch, Version, Wanted, Written
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.once import Recorded, RequestKey
from cinema_grpc.application.payment_ports import OpenAttempt, OwedRefund
from cinema_grpc.application.ports import (
    CommitUnknown,
    FoundBooking,
    FoundBookings,
    StorageConflict,
    StorageContention,
)
from cinema_grpc.domain.booking import SEAT_KEEPING, Booking, BookingStatus
from cinema_grpc.domain.payment import UNSETTLED, RefundStatus
from cinema_grpc.domain.showtime import Change, Terms
from tests.builders import NOW
from tests.proofs.simulation.loop import OWNER, Process

LOCK_SECONDS = 2.0
"""How long somebody waits for a lock before the database gives up."""
SECONDS_UNTIL_NOTICED = 1.0
"""How long the database takes at most to notice that a process has died."""


@dataclass
class Row:
    """A showtime."""

    terms: Terms
    version: Version = field(default_factory=lambda: Version(0, "made"))
    latest_time: datetime = NOW


@dataclass
class Database:
    """The rows, and what happened to them.

    Attributes:
        trouble: What share of the questions to it go wrong.
        owner: Which transaction has locked a showtime.
        committed: The stamps of all states that were ever committed.
        expired: How often each booking was written down as EXPIRED.
        breaches: What was written that no sound box office writes.
        log: What was written when.
    """

    chance: random.Random
    trouble: float
    showtimes: dict[str, Row] = field(default_factory=dict)
    bookings: dict[str, Booking] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    claims: dict[tuple[str, str], str] = field(default_factory=dict)
    requests: dict[RequestKey, Recorded] = field(default_factory=dict)
    turns: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    owner: dict[str, "Transaction"] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    expired: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def now(self) -> datetime:
        """Tell the time."""
        return NOW + timedelta(microseconds=round(asyncio.get_running_loop().time() * 1_000_000))

    async def answer(self) -> None:
        """Take a moment to answer, at times a long one; or be out of reach.

        Raises:
            StorageUnavailable.
        """
        if self.chance.random() < self.trouble:
            await asyncio.sleep(self.chance.choice([0.01, 0.1, 3.0]))
            if self.chance.random() < 0.3:
                raise StorageUnavailable
        else:
            await asyncio.sleep(0)

    def expect(self, holds: bool, breach: str) -> None:
        """Take note of a breach unless something holds."""
        if not holds:
            self.breaches.append(breach)

    def write(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> None:
        """Write a transaction, all of it at once.

        Raises:
            StorageConflict: Another one has recorded a request meanwhile; nothing was written.
        """
        if any(each.key in self.requests for each in recorded):
            raise StorageConflict
        for work in written:
            row = self.showtimes[work.showtime_id]
            self.expect(row.version == work.known, f"{work.showtime_id} was written from an old state")
            self.expect(work.version.revision == row.version.revision + 1, "the revision has to grow by one")
            self.expect(work.latest_time >= row.latest_time, "time ran back")
            # Seats are given up before they are claimed, as one booking's lapse lets another have its seats.
            for change in sorted(work.changes, key=lambda each: each.after.status in SEAT_KEEPING):
                self._write_booking(change, work)
            taken = sum(showtime_id == work.showtime_id for showtime_id, _ in self.claims)
            self.expect(taken == work.taken, f"{work.taken} seats counted as taken instead of {taken}")
            row.version, row.latest_time = work.version, work.latest_time
            self.committed.add(work.version.stamp)
        for each in recorded:
            self.requests[each.key] = each

    def _write_booking(self, change: Change, work: Written) -> None:
        before, after, name = change.before, change.after, change.after.booking_id
        self.expect(self.bookings.get(name) == before, f"{name} was changed from a state that it was not in")
        kept = before is not None and before.status in SEAT_KEEPING
        keeps = after.status in SEAT_KEEPING
        for seat in after.seats if kept is not keeps else ():
            place = (after.showtime_id, seat)
            if keeps:
                self.expect(place not in self.claims, f"{place} was sold twice, to {self.claims.get(place)} and {name}")
                self.claims[place] = name
            else:
                self.expect(self.claims.pop(place, None) == name, f"{place} was freed by {name}, which had it not")
        if after.status is BookingStatus.EXPIRED and kept and before is not None:
            self.expired[name] += 1
            self.expect(work.latest_time >= before.hold_expire_time, f"{name} expired before its time")
        if after.status is BookingStatus.CONFIRMED and before is not None and before.status is BookingStatus.RESERVED:
            self.expect(work.latest_time < before.hold_expire_time, f"{name} was confirmed after its hold")
        self.bookings[name], self.revisions[name] = after, work.version.revision
        self.log.append(f"{self.now()} {after.user_id} {after.status.value}")


class Transaction:
    """One transaction of the box office. Fulfils Batch."""

    def __init__(self, database: Database) -> None:
        """Begin; nothing is locked yet."""
        self._database = database
        self._process = OWNER.get()
        self._locked: list[str] = []
        self._skipped: set[str] | None = None
        self._sent: tuple[Sequence[Written], Sequence[Recorded]] | None = None
        self._ended = False

    async def __aenter__(self) -> "Transaction":
        """Connect."""
        await self._database.answer()
        if self._process is not None:
            self._watch(self._process)
        return self

    async def __aexit__(self, *_raised: object) -> None:
        """Undo what was not committed, unless the commit is still on its way."""
        if self._sent is None:
            self._end()

    def _watch(self, process: Process) -> None:
        """Undo it if the process dies; the database notices that a little later."""

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
        """Have the database do something, which does not die with a process."""
        token = OWNER.set(None)
        asyncio.get_running_loop().call_later(seconds, call)
        OWNER.reset(token)

    def _end(self) -> None:
        self._ended = True
        for showtime_id in self._locked:
            del self._database.owner[showtime_id]
        self._locked.clear()

    async def lock(self, showtime_ids: Collection[str], *, patient: bool = False) -> None:
        """Lock showtimes, but for those that others have locked."""
        await self._database.answer()
        self._skipped = set()
        for showtime_id in showtime_ids:
            if showtime_id not in self._database.showtimes:
                continue
            if patient:
                await free(self._database, showtime_id)
            if showtime_id in self._database.owner:
                self._skipped.add(showtime_id)
            else:
                self._database.owner[showtime_id] = self
                self._locked.append(showtime_id)

    async def open(
        self,
        wanted: Collection[Wanted],
        requests: Collection[RequestKey],
        holders: Collection[str],
        *,
        patient: bool = False,
    ) -> OpenedBatch:
        """Read what is not at hand, of showtimes that are locked now if they are not yet."""
        database = self._database
        if self._skipped is None:
            await self.lock([each.showtime_id for each in wanted], patient=patient)
        skipped = self._skipped or set()
        await database.answer()
        now = database.now()
        await database.answer()
        opened = {each.showtime_id: self._read(each) for each in wanted if each.showtime_id in self._locked}
        recorded = {key: database.requests[key] for key in requests if key in database.requests}
        on_hold: dict[str, list[OnHold]] = {}
        for each in database.bookings.values():
            if each.user_id in holders and each.status is BookingStatus.RESERVED:
                held = OnHold(each.showtime_id, len(each.seats), each.hold_expire_time)
                on_hold.setdefault(each.user_id, []).append(held)
        return OpenedBatch(now, opened, recorded, frozenset(skipped), on_hold)

    def _read(self, wanted: Wanted) -> Opened:
        row, here = self._database.showtimes[wanted.showtime_id], []
        known = wanted.known
        stale = known is None or not (row.version == known or row.version.came_from(known))
        for booking in self._database.bookings.values():
            if booking.showtime_id != wanted.showtime_id:
                continue
            changed = (
                booking.status in SEAT_KEEPING
                if stale
                else (wanted.known is not None and self._database.revisions[booking.booking_id] > wanted.known.revision)
            )
            if changed or booking.booking_id in wanted.booking_ids:
                here.append(booking)
        return Opened(row.version, row.latest_time, row.terms if stale else None, here)

    async def commit(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> None:
        """Write everything, or lose the answer before, while or after that is done."""
        database = self._database
        await database.answer()
        if database.chance.random() < database.trouble / 2:
            raise StorageContention
        self._sent = written, recorded
        await asyncio.sleep(0)
        fate = database.chance.choice(["lost before", "lost on its way", "lost after"])
        if database.chance.random() >= database.trouble / 2:
            fate = "known"
        if fate == "lost on its way":
            self._later(database.chance.choice([0.0, 0.02, 1.0]), self._write_late)
            raise CommitUnknown
        self._sent = None
        if fate != "lost before":
            database.write(written, recorded)
        self._end()
        if fate != "known":
            raise CommitUnknown
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


async def free(database: Database, showtime_id: str) -> None:
    """Wait until nobody has locked a showtime.

    Raises:
        StorageContention: It takes too long.
    """
    for _ in range(40):
        if showtime_id not in database.owner:
            return
        await asyncio.sleep(LOCK_SECONDS / 40)
    raise StorageContention


class Store:
    """The database as the application sees it. Fulfils BoxOfficeStore, BookingReader and PaymentStore."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def batch(self) -> Transaction:
        """Begin a transaction."""
        return Transaction(self._database)

    async def is_committed(self, written: Sequence[Written], recorded: Sequence[Recorded]) -> bool:  # noqa: ARG002
        """Tell whether a commit whose answer was lost was kept, when it has ended."""
        await self._database.answer()
        await free(self._database, written[0].showtime_id)
        return written[0].version.stamp in self._database.committed

    async def showtimes_with_lapsed_holds(self, limit: int, but_for: Collection[str]) -> list[str]:
        """List showtimes with holds to be written down as over."""
        await self._database.answer()
        now = self._database.now()
        lapsed = (each.showtime_id for each in self._database.bookings.values() if each.lapsed(now))
        return sorted(set(lapsed) - set(but_for))[:limit]

    async def showtime_of(self, booking_id: str) -> str | None:
        """Tell to which showtime a booking belongs."""
        await self._database.answer()
        booking = self._database.bookings.get(booking_id)
        return None if booking is None else booking.showtime_id

    async def find(self, booking_id: str) -> FoundBooking | None:
        """Read a booking."""
        await self._database.answer()
        booking = self._database.bookings.get(booking_id)
        if booking is None:
            return None
        start_time = self._database.showtimes[booking.showtime_id].terms.start_time
        return FoundBooking(booking, start_time, self._database.now())

    async def of_user(
        self, user_id: str, showtime_id: str, status: BookingStatus | None, after: str, limit: int
    ) -> FoundBookings:
        """Read a user's bookings; nobody asks for them here."""
        raise NotImplementedError

    async def take_attempts(self, grace: timedelta, limit: int, pause: Callable[[int], timedelta]) -> list[OpenAttempt]:
        """Take up attempts that are due."""
        await self._database.answer()
        found: list[OpenAttempt] = []
        for booking in self._database.bookings.values():
            payment = booking.payment
            if payment is None or payment.status not in UNSETTLED or len(found) == limit:
                continue
            tries = self._take(payment.attempt_id, payment.create_time, grace, pause)
            if tries is not None:
                found.append(
                    OpenAttempt(
                        booking.showtime_id,
                        booking.booking_id,
                        booking.user_id,
                        payment.attempt_id,
                        tries,
                    )
                )
        await self._database.answer()
        return found

    async def take_refunds(self, grace: timedelta, limit: int, pause: Callable[[int], timedelta]) -> list[OwedRefund]:
        """Take up refunds that are due."""
        await self._database.answer()
        found: list[OwedRefund] = []
        for booking in self._database.bookings.values():
            refund = booking.refund
            if refund is None or refund.status is not RefundStatus.PENDING or len(found) == limit:
                continue
            tries = self._take(refund.refund_id, refund.create_time, grace, pause)
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
        self, name: str, create_time: datetime, grace: timedelta, pause: Callable[[int], timedelta]
    ) -> int | None:
        """Take one up, if it is its turn; give how often that was done before."""
        now = self._database.now()
        due, tries = self._database.turns.get(name, (create_time, 0))
        if due > now or create_time > now - grace:
            return None
        self._database.turns[name] = (now + pause(tries), tries + 1)
        return tries
