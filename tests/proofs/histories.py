"""From customers' diaries to the history of each seat, and what in them no sound box office could have answered."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from cinema.v1 import booking_pb2, showtime_pb2

from tests.proofs.customers import Entry
from tests.proofs.linearizability import (
    FREE,
    Call,
    Seat,
    claim,
    lapse,
    possible_lapse,
    release,
    revival,
    sale,
    sight,
    unexplained,
)

Place = tuple[str, str]
"""A showtime and a seat in it."""
NOT_MINE = {"HOLD_EXPIRED", "BOOKING_NOT_CANCELLABLE"}
SEEN_FREE = {"HOLD_LIMIT", "SINGLE_SEAT_GAP"}
"""Refusals that are judged only when all the seats are free."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A booking as it stands in the database in the end; times in microseconds."""

    booking_id: str
    customer: int
    showtime_id: str
    seats: tuple[str, ...]
    create_time: int
    hold_expire_time: int


class Histories:
    """What happened to each seat, put together from what customers were told.

    Attributes:
        wrong: What the diaries and the database contradict each other in.
        seats: The history of each seat.
    """

    def __init__(self, diary: Sequence[Entry], kept: Iterable[Kept]) -> None:
        self.wrong: list[str] = []
        self.seats: dict[Place, list[Call]] = defaultdict(list)
        self._payments: dict[str, list[Entry]] = defaultdict(list)
        for entry in diary:
            if entry.kind == "pay":
                self._payments[entry.booking_id].append(entry)
        self._end = max(entry.end for entry in diary)
        for entry in diary:
            getattr(self, f"_{entry.kind}")(entry)
        self._match(diary, {booking.booking_id: booking for booking in kept})

    def breaches(self) -> list[str]:
        """Find what can't be explained."""
        found = list(self.wrong)
        for (showtime_id, seat), calls in self.seats.items():
            culprit = unexplained(calls)
            if culprit is not None:
                end = culprit.end or culprit.start
                near = [each for each in calls if (each.end or end) > end - 2_000_000 and each.start <= end]
                lines = [f"  {each.start} {each.end} {each.name}" for each in sorted(near, key=lambda each: each.start)]
                found.append(f"{seat} of {showtime_id}, {culprit.start} {culprit.name}:\n" + "\n".join(lines))
        return found

    def _match(self, diary: Sequence[Entry], kept: Mapping[str, Kept]) -> None:
        """Find the call of each booking in the database: at most one booking for each call, told or not."""
        made: dict[str, Entry] = {}
        for entry in diary:
            if entry.kind != "book" or entry.outcome != "OK":
                continue
            booking = entry.answer.booking
            if booking.booking_id in made:
                self.wrong.append(f"two calls got the booking {booking.booking_id}")
            made[booking.booking_id] = entry
            found = kept.get(booking.booking_id)
            if found is None:
                self.wrong.append(f"the booking {booking.booking_id} was acknowledged and is lost")
            elif (found.customer, found.showtime_id, found.seats) != (entry.customer, entry.showtime_id, entry.seats):
                self.wrong.append(f"the booking {booking.booking_id} is another one: {found}")
        unsure = [entry for entry in diary if entry.kind == "book" and entry.unsure]
        unsure.sort(key=lambda entry: entry.first, reverse=True)
        for booking in sorted(kept.values(), key=lambda each: each.create_time, reverse=True):
            if booking.booking_id in made:
                continue
            maker = next((each for each in unsure if _may_have_made(each, booking)), None)
            if maker is None:
                self.wrong.append(f"no call made the booking {booking}, or one had two effects")
                continue
            unsure.remove(maker)
            self._claim(booking.booking_id, booking.showtime_id, booking.seats, maker.first, self._end)
            for seat in booking.seats:
                self.seats[booking.showtime_id, seat].append(lapse(booking.booking_id, booking.hold_expire_time))

    def _claim(self, booking_id: str, showtime_id: str, seats: Iterable[str], start: int, end: int) -> None:
        for seat in seats:
            self.seats[showtime_id, seat].append(claim(booking_id, start, end))

    def _add_lapse(self, booking_id: str, showtime_id: str, seats: Iterable[str], hold_expire_time: int) -> None:
        payments = self._payments[booking_id]
        over = possible_lapse if payments else lapse
        just_then = any(
            each.first <= hold_expire_time and (each.outcome == "" or each.end >= hold_expire_time) for each in payments
        )
        for seat in seats:
            self.seats[showtime_id, seat].append(over(booking_id, hold_expire_time))
            if just_then:
                self.seats[showtime_id, seat].append(revival(booking_id, hold_expire_time))

    def _book(self, entry: Entry) -> None:
        if entry.outcome == "OK":
            booking = entry.answer.booking
            self._claim(booking.booking_id, entry.showtime_id, entry.seats, entry.first, entry.end)
            hold_expire_time = booking.hold_expire_time.ToMicroseconds()
            self._add_lapse(booking.booking_id, entry.showtime_id, entry.seats, hold_expire_time)
        elif entry.outcome == "SEATS_UNAVAILABLE":
            self._see(entry, entry.named, "taken", lambda seat: seat != FREE)
            self._see(entry, set(entry.seats) - set(entry.named), "free", lambda seat: seat == FREE)
        elif entry.outcome in SEEN_FREE:
            self._see(entry, {*entry.seats, *entry.named}, "free", lambda seat: seat == FREE)
        elif entry.outcome:
            self.wrong.append(f"a booking was refused with {entry.outcome}")

    def _pay(self, entry: Entry) -> None:
        held = Seat(entry.booking_id, sold=False)
        if entry.outcome in {"OK", ""}:
            end = entry.end if entry.outcome else None
            for seat in entry.seats:
                self.seats[entry.showtime_id, seat].append(sale(entry.booking_id, entry.first, end))
        elif entry.outcome in {"PAYMENT_DECLINED", "PAYMENT_IN_PROGRESS"}:
            self._see(entry, entry.seats, "held", lambda seat: seat == held)
        elif entry.outcome == "BOOKING_NOT_RESERVED":
            self._see(entry, entry.seats, "not held by its owner", lambda seat: seat != held)
        else:
            self._see_lost(entry)

    def _cancel(self, entry: Entry) -> None:
        held = Seat(entry.booking_id, sold=False)
        if entry.outcome in {"OK", ""}:
            end = entry.end if entry.outcome else None
            for seat in entry.seats:
                self.seats[entry.showtime_id, seat].append(release(entry.booking_id, entry.first, end))
        elif entry.outcome == "PAYMENT_IN_PROGRESS":
            self._see(entry, entry.seats, "held", lambda seat: seat == held)
        else:
            self._see_lost(entry)

    def _see_lost(self, entry: Entry) -> None:
        if entry.outcome not in NOT_MINE:
            self.wrong.append(f"{entry.kind} of {entry.booking_id} was refused with {entry.outcome}")
        self._see(entry, entry.seats, "no longer its owner's", lambda seat: seat.booking_id != entry.booking_id)

    def _read(self, entry: Entry) -> None:
        if entry.outcome != "OK":
            return
        status, booking_id = entry.answer.booking.status, entry.booking_id
        if status == booking_pb2.BOOKING_STATUS_RESERVED:
            self._see(entry, entry.seats, "held by its owner", lambda seat: seat == Seat(booking_id, sold=False))
        elif status == booking_pb2.BOOKING_STATUS_CONFIRMED:
            self._see(entry, entry.seats, "sold to its owner", lambda seat: seat == Seat(booking_id, sold=True))
        else:
            self._see(entry, entry.seats, "no longer its owner's", lambda seat: seat.booking_id != booking_id)

    def _look(self, entry: Entry) -> None:
        if entry.outcome != "OK":
            return
        for shown in entry.answer.seats:
            if shown.status == showtime_pb2.SEAT_STATUS_AVAILABLE:
                self._see(entry, [shown.seat], "free", lambda seat: seat == FREE)
            elif shown.status == showtime_pb2.SEAT_STATUS_HELD:
                self._see(entry, [shown.seat], "held", lambda seat: seat != FREE and not seat.sold)
            else:
                self._see(entry, [shown.seat], "sold", lambda seat: seat.sold)

    def _see(self, entry: Entry, seats: Iterable[str], what: str, holds: Callable[[Seat], bool]) -> None:
        for seat in seats:
            self.seats[entry.showtime_id, seat].append(sight(what, holds, entry.last, entry.end))


def _may_have_made(entry: Entry, booking: Kept) -> bool:
    same = (entry.customer, entry.showtime_id, entry.seats) == (booking.customer, booking.showtime_id, booking.seats)
    return same and entry.first <= booking.create_time
