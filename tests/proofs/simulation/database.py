"""The database of the simulation: it has a commit log, and checks what is written to it."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cinema_grpc.application.box_office.store import (
    Hold,
    Loaded,
    LoadedShowtime,
    LoadRequest,
    ShowtimeUpdate,
    StorageConflict,
    StorageContention,
    Version,
    new_commit_id,
)
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.idempotency import IdempotencyKey, StoredResponse
from cinema_grpc.domain.booking import SEAT_KEEPING, Booking, BookingStatus
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import single_price
from cinema_grpc.domain.showtime import Change
from cinema_grpc.domain.terms import Terms
from cinema_grpc.domain.unpaid_holds import COUNTED_FOR
from tests.builders import NOW

LOCK_SECONDS = 2.0
"""How long a transaction waits for a lock at most."""


@dataclass
class Row:
    """A showtime."""

    terms: Terms
    version: Version = field(default_factory=lambda: Version(0, "created"))
    terms_revision: int = 0
    latest_time: datetime = NOW


@dataclass
class Database:
    """The rows, and what happened to them.

    Attributes:
        trouble: The share of questions to it that go wrong.
        locks: The showtimes that a transaction has locked.
        commit_log: By showtime and revision, the commit that made it.
        expired: How often each booking became EXPIRED.
        breaches: Writes that break a rule of the box office.
        log: What was written when.
    """

    chance: random.Random
    trouble: float
    showtimes: dict[str, Row] = field(default_factory=dict)
    bookings: dict[str, Booking] = field(default_factory=dict)
    revisions: dict[str, int] = field(default_factory=dict)
    claims: dict[tuple[str, str], str] = field(default_factory=dict)
    responses: dict[IdempotencyKey, StoredResponse] = field(default_factory=dict)
    tries: dict[str, tuple[datetime, int]] = field(default_factory=dict)
    locks: set[str] = field(default_factory=set)
    commit_log: dict[tuple[str, int], str] = field(default_factory=dict)
    expired: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def add_showtime(self, terms: Terms) -> None:
        """Add a showtime without bookings."""
        row = self.showtimes[terms.showtime_id] = Row(terms)
        self._log_commit(terms.showtime_id, row.version)

    def reprice(self, showtime_id: str, price: Money) -> None:
        """Change the price of a showtime that is not locked."""
        row = self.showtimes[showtime_id]
        row.version = Version(row.version.revision + 1, new_commit_id())
        row.terms, row.terms_revision = replace(row.terms, prices=single_price(price, ())), row.version.revision
        self._log_commit(showtime_id, row.version)

    def now(self) -> datetime:
        """Return the time."""
        return NOW + timedelta(microseconds=round(asyncio.get_running_loop().time() * 1_000_000))

    async def answer(self) -> None:
        """Take a moment to answer, sometimes a long one, or fail.

        Raises:
            StorageUnavailable.
        """
        if self.chance.random() < self.trouble:
            await asyncio.sleep(self.chance.choice([0.01, 0.1, 3.0]))
            if self.chance.random() < 0.3:
                raise StorageUnavailable
        else:
            await asyncio.sleep(0)

    async def unlocked(self, showtime_id: str) -> None:
        """Wait until a showtime is not locked.

        Raises:
            StorageContention: It takes too long.
        """
        for _ in range(40):
            if showtime_id not in self.locks:
                return
            await asyncio.sleep(LOCK_SECONDS / 40)
        raise StorageContention

    def expect(self, holds: bool, breach: str) -> None:
        """Note a breach unless a condition holds."""
        if not holds:
            self.breaches.append(breach)

    def load(self, request: LoadRequest) -> Loaded:
        """Load what a transaction or a seat map needs."""
        holds: dict[str, list[Hold]] = {}
        for each in self.bookings.values():
            if each.user_id in request.accounts and each.status is BookingStatus.RESERVED:
                hold = Hold(each.showtime_id, len(each.seats), each.hold_expire_time)
                holds.setdefault(each.user_id, []).append(hold)
        return Loaded(
            self.now(),
            {
                showtime_id: self._load_showtime(showtime_id, cached, request.booking_ids)
                for showtime_id, cached in request.showtimes.items()
                if showtime_id in self.showtimes
            },
            {key: self.responses[key] for key in request.keys if key in self.responses},
            holds,
        )

    def _load_showtime(self, showtime_id: str, cached: Version | None, booking_ids: Collection[str]) -> LoadedShowtime:
        row, here = self.showtimes[showtime_id], []
        known = cached is not None and self.commit_log.get((showtime_id, cached.revision)) == cached.commit_id
        revision = cached.revision if cached is not None and known else -1
        for booking in self.bookings.values():
            if booking.showtime_id != showtime_id:
                continue
            if known:
                needed = self.revisions[booking.booking_id] > revision
            elif booking.status in SEAT_KEEPING:
                needed = True
            else:
                needed = booking.confirm_time is None and booking.hold_expire_time > self.now() - COUNTED_FOR
            if needed or booking.booking_id in booking_ids:
                here.append(booking)
        terms = row.terms if row.terms_revision > revision else None
        return LoadedShowtime(row.version, row.latest_time, not known, terms, here)

    def write(self, updates: Sequence[ShowtimeUpdate], responses: Sequence[StoredResponse]) -> None:
        """Write a transaction.

        Raises:
            StorageConflict: Another transaction has stored one of the responses; nothing was written.
        """
        if any(each.key in self.responses for each in responses):
            raise StorageConflict
        for update in updates:
            row = self.showtimes[update.showtime_id]
            self.expect(row.version == update.before, f"{update.showtime_id} was written from an old state")
            self.expect(update.after.revision == row.version.revision + 1, "the revision has to grow by one")
            self.expect(update.latest_time >= row.latest_time, "time ran back")
            # Seats are released before they are claimed, since an EXPIRED booking makes room for another.
            for change in sorted(update.changes, key=lambda each: each.after.status in SEAT_KEEPING):
                self._write_booking(change, update)
            taken = sum(showtime_id == update.showtime_id for showtime_id, _ in self.claims)
            self.expect(taken == update.taken_seats, f"{update.taken_seats} seats counted as taken instead of {taken}")
            row.version, row.latest_time = update.after, update.latest_time
            self._log_commit(update.showtime_id, update.after)
        for each in responses:
            self.responses[each.key] = each

    def _log_commit(self, showtime_id: str, version: Version) -> None:
        self.commit_log[showtime_id, version.revision] = version.commit_id

    def _write_booking(self, change: Change, update: ShowtimeUpdate) -> None:
        before, after, name = change.before, change.after, change.after.booking_id
        self.expect(self.bookings.get(name) == before, f"{name} was changed from a state that it was not in")
        if before is None:
            price = self.showtimes[update.showtime_id].terms.prices.lowest
            self.expect({seat.price for seat in after.seats} == {price}, f"{name} was made at an old price")
        kept = before is not None and before.status in SEAT_KEEPING
        keeps = after.status in SEAT_KEEPING
        for label in after.labels if kept is not keeps else ():
            seat = (after.showtime_id, label)
            if keeps:
                self.expect(seat not in self.claims, f"{seat} was sold twice, to {self.claims.get(seat)} and {name}")
                self.claims[seat] = name
            else:
                self.expect(self.claims.pop(seat, None) == name, f"{name} released {seat}, which it had not")
        if after.status is BookingStatus.EXPIRED and kept and before is not None:
            self.expired[name] += 1
            self.expect(update.latest_time >= before.hold_expire_time, f"{name} expired before its time")
        if after.status is BookingStatus.CONFIRMED and before is not None and before.status is BookingStatus.RESERVED:
            self.expect(update.latest_time < before.hold_expire_time, f"{name} was confirmed after its hold")
        self.bookings[name], self.revisions[name] = after, update.after.revision
        self.log.append(f"{self.now()} {after.user_id} {after.status.value}")
