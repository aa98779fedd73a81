"""Bookings as rows: reading them whole, and writing the difference between two states of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import Select, select

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.prepared import Go, Prepared, Rows, Together, delete_by, insert_into, update_by
from cinema_grpc.adapters.database.schema import microseconds
from cinema_grpc.domain.booking import SEAT_KEEPING, Booking, BookingStatus, Reliance, Ticket
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt, Refund, RefundStatus
from cinema_grpc.domain.showtime import Change

_Rows = list[dict[str, Any]]

PARTS = (schema.ticket, schema.payment_attempt, schema.refund)
"""What belongs to a booking that somebody tried to pay for, beside its own row."""


def parted(rows: Iterable[Any]) -> list[str]:
    """Tell which bookings have more than their own row: those that somebody tried to pay for."""
    return [row.booking_id for row in rows if row.hold_extended]


def to_bookings(
    rows: Iterable[Any], tickets: Iterable[Any], attempts: Iterable[Any], refunds: Iterable[Any]
) -> list[Booking]:
    """Put bookings together from their rows and those of their parts, which may come in any order."""
    tickets_of: dict[str, list[Ticket]] = {}
    for row in tickets:
        tickets_of.setdefault(row.booking_id, []).append(Ticket(row.ticket_id, row.seat, row.code))
    payment_of = {  # the latest stays
        row.booking_id: PaymentAttempt(row.attempt_id, AttemptStatus(row.status), row.create_time, row.request)
        for row in sorted(attempts, key=attrgetter("create_time", "attempt_id"))
    }
    refund_of = {
        row.booking_id: Refund(
            row.refund_id,
            row.attempt_id,
            Money(row.currency_code, row.amount),
            row.percent,
            RefundStatus(row.status),
            row.create_time,
        )
        for row in refunds
    }
    return [
        _booking(row, tickets_of.get(row.booking_id, ()), payment_of.get(row.booking_id), refund_of.get(row.booking_id))
        for row in rows
    ]


def _booking(row: Any, tickets: Sequence[Ticket], payment: PaymentAttempt | None, refund: Refund | None) -> Booking:
    return Booking(
        booking_id=row.booking_id,
        user_id=row.user_id,
        showtime_id=row.showtime_id,
        seats=tuple(row.seats.split(",")),
        seat_price=Money(row.currency_code, row.seat_price),
        status=BookingStatus(row.status),
        create_time=row.create_time,
        hold_expire_time=row.hold_expire_time,
        hold_extended=row.hold_extended,
        confirm_time=row.confirm_time,
        cancel_time=row.cancel_time,
        tickets=tuple(sorted(tickets, key=lambda ticket: row.seats.split(",").index(ticket.seat))),
        payment=payment,
        refund=refund,
        relied_on=_read_reliances(row.relied_on) if row.relied_on else (),
    )


def _read_reliances(text: str) -> tuple[Reliance, ...]:
    found = []
    for part in text.split(" "):
        stretch, _, own = part.partition(":")
        first, _, last = stretch.partition("-")
        found.append(Reliance(first, last, tuple(own.split(","))))
    return tuple(found)


def _write_reliances(relied_on: Sequence[Reliance]) -> str:
    return " ".join(f"{each.first}-{each.last}:{','.join(each.own)}" for each in relied_on)


_DELETE_CLAIM = delete_by(schema.seat_claim, ("showtime_id", "seat", "booking_id"))
_INSERT_BOOKING = insert_into(schema.booking)
_UPDATE_BOOKING = update_by(
    schema.booking,
    ("booking_id",),
    ("status", "hold_expire_time", "hold_extended", "confirm_time", "cancel_time", "revision"),
)
_INSERT_CLAIM = insert_into(schema.seat_claim)
_INSERT_ATTEMPT = insert_into(schema.payment_attempt)
_UPDATE_ATTEMPT = update_by(schema.payment_attempt, ("attempt_id",), ("status",))
_INSERT_TICKET = insert_into(schema.ticket)
_INSERT_REFUND = insert_into(schema.refund)
_UPDATE_REFUND = update_by(schema.refund, ("refund_id",), ("status",))
INSERT_REQUEST = insert_into(schema.request)
UPDATE_SHOWTIME = update_by(
    schema.showtime, ("showtime_id", "known_stamp"), ("taken_seats", "revision", "stamp", "latest_time")
)
_BOOKING = (INSERT_REQUEST, UPDATE_SHOWTIME, _INSERT_BOOKING, _INSERT_CLAIM)
_MAKING_ROOM = Together(_DELETE_CLAIM, _UPDATE_ATTEMPT)
_BOOKING_ONLY = Together(*_BOOKING)  # which is most of what there is to write
_EVERYTHING = Together(*_BOOKING, _UPDATE_BOOKING, _INSERT_ATTEMPT, _INSERT_TICKET, _INSERT_REFUND, _UPDATE_REFUND)

FOLLOWED_AS = {AttemptStatus.OPEN: AttemptStatus.DECLINED, AttemptStatus.VOIDING: AttemptStatus.VOIDED}
"""How an attempt ended that one batch both settled and let another follow: in the only way that lets it."""


@dataclass(slots=True)
class Difference:
    """What has to be written so that the rows follow the bookings."""

    made: _Rows = field(default_factory=list)
    changed: _Rows = field(default_factory=list)
    freed: _Rows = field(default_factory=list)
    claimed: _Rows = field(default_factory=list)
    tickets: _Rows = field(default_factory=list)
    attempts_opened: _Rows = field(default_factory=list)
    attempts_settled: _Rows = field(default_factory=list)
    refunds_owed: _Rows = field(default_factory=list)
    refunds_settled: _Rows = field(default_factory=list)

    def add(self, change: Change, revision: int) -> None:
        """Take in one booking's change, which leads to a revision of its showtime."""
        before, after = change.before, change.after
        if before is None:
            self.made.append(_booking_row(after, revision))
        else:
            self.changed.append(_booking_row(after, revision))
        self._add_claims(before, after)
        self._add_payment(before, after)
        if before is None or before.tickets != after.tickets:
            self.tickets += [
                {"ticket_id": each.ticket_id, "booking_id": after.booking_id, "seat": each.seat, "code": each.code}
                for each in after.tickets
            ]
        if after.refund is not None:
            if before is None or before.refund is None:
                self.refunds_owed.append(_new_refund(after.booking_id, after.refund))
            elif before.refund.status is not after.refund.status:
                self.refunds_settled.append({"refund_id": after.refund.refund_id, "status": after.refund.status.value})

    def _add_claims(self, before: Booking | None, after: Booking) -> None:
        kept = before is not None and before.status in SEAT_KEEPING
        keeps = after.status in SEAT_KEEPING
        if kept is not keeps:
            claims = self.claimed if keeps else self.freed
            for seat in after.seats:
                claims.append({"showtime_id": after.showtime_id, "seat": seat, "booking_id": after.booking_id})

    def _add_payment(self, before: Booking | None, after: Booking) -> None:
        older = None if before is None else before.payment
        latest = after.payment
        if latest is None or latest == older:
            return
        if older is not None and older.attempt_id == latest.attempt_id:
            self.attempts_settled.append({"attempt_id": latest.attempt_id, "status": latest.status.value})
            return
        if older is not None and older.status in FOLLOWED_AS:
            settled = FOLLOWED_AS[older.status]
            self.attempts_settled.append({"attempt_id": older.attempt_id, "status": settled.value})
        self.attempts_opened.append(
            {
                "attempt_id": latest.attempt_id,
                "booking_id": after.booking_id,
                "status": latest.status.value,
                "create_time": microseconds(latest.create_time),
                "request": latest.request,
                "due_time": microseconds(latest.create_time),
                "tries": 0,
            }
        )

    def evidence(self) -> Select[Any] | None:
        """Look for a row that nothing but this difference can have made, if it makes one."""
        made_here = (
            (schema.booking.c.booking_id, self.made),
            (schema.payment_attempt.c.attempt_id, self.attempts_opened),
            (schema.ticket.c.ticket_id, self.tickets),
            (schema.refund.c.refund_id, self.refunds_owed),
        )
        for key, rows in made_here:
            if rows:
                return select(key).where(key == rows[0][key.name])
        return None

    def goes(self, others: Mapping[Prepared, Rows]) -> list[Go]:
        """List what to write together with rows of INSERT_REQUEST and UPDATE_SHOWTIME.

        Seats are given up before they are claimed, attempts are settled before others are opened.
        """
        making_room = {_DELETE_CLAIM: self.freed, _UPDATE_ATTEMPT: self.attempts_settled}
        booking = {**others, _INSERT_BOOKING: self.made, _INSERT_CLAIM: self.claimed}
        paying = {
            _UPDATE_BOOKING: self.changed,
            _INSERT_ATTEMPT: self.attempts_opened,
            _INSERT_TICKET: self.tickets,
            _INSERT_REFUND: self.refunds_owed,
            _UPDATE_REFUND: self.refunds_settled,
        }
        first = [_MAKING_ROOM.of(making_room)] if any(making_room.values()) else []
        return [*first, _EVERYTHING.of({**booking, **paying}) if any(paying.values()) else _BOOKING_ONLY.of(booking)]


def _optional(moment: datetime | None) -> int | None:
    return None if moment is None else microseconds(moment)


def _booking_row(booking: Booking, revision: int) -> dict[str, Any]:
    return {
        "booking_id": booking.booking_id,
        "showtime_id": booking.showtime_id,
        "user_id": booking.user_id,
        "status": booking.status.value,
        "seats": ",".join(booking.seats),
        "seat_count": len(booking.seats),
        "currency_code": booking.seat_price.currency_code,
        "seat_price": booking.seat_price.minor_units,
        "create_time": microseconds(booking.create_time),
        "hold_expire_time": microseconds(booking.hold_expire_time),
        "hold_extended": booking.hold_extended,
        "confirm_time": _optional(booking.confirm_time),
        "cancel_time": _optional(booking.cancel_time),
        "revision": revision,
        "relied_on": _write_reliances(booking.relied_on) if booking.relied_on else None,
    }


def _new_refund(booking_id: str, refund: Refund) -> dict[str, Any]:
    return {
        "refund_id": refund.refund_id,
        "booking_id": booking_id,
        "attempt_id": refund.attempt_id,
        "currency_code": refund.amount.currency_code,
        "amount": refund.amount.minor_units,
        "percent": refund.percent,
        "status": refund.status.value,
        "create_time": microseconds(refund.create_time),
        "due_time": microseconds(refund.create_time),
        "tries": 0,
    }
