"""Bookings as rows: reading them whole, and writing what has changed."""

from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cinema_grpc.adapters.database.booking_detail import booking_detail
from cinema_grpc.adapters.database.column_types import from_json, microseconds, moment, to_json
from cinema_grpc.application.box_office.store import ShowtimeUpdate
from cinema_grpc.application.idempotency import IdempotencyKey, StoredResponse
from cinema_grpc.domain.booking import SEAT_KEEPING, BookedSeat, Booking, BookingStatus, Reliance, Ticket
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt, Refund, RefundStatus

COLUMNS = [
    booking_detail.c[name]
    for name in (
        "booking_id",
        "showtime_id",
        "user_id",
        "status",
        "seats",
        "currency_code",
        "create_time",
        "hold_expire_time",
        "hold_extended",
        "confirm_time",
        "cancel_time",
        "relied_on",
        "tickets",
        "payment",
        "refund",
    )
]
"""The columns of a booking, in the order in which `read_booking` takes them, and in which `sql/` loads them."""

_STATUSES = {each.value: each for each in BookingStatus}
_Row = dict[str, Any]


def read_booking(row: Sequence[Any]) -> Booking:
    """Return the booking of a row of COLUMNS, in stored form."""
    (
        booking_id,
        showtime_id,
        user_id,
        status,
        seats,
        currency_code,
        create_time,
        hold_expire_time,
        hold_extended,
        confirm_time,
        cancel_time,
        relied_on,
        tickets,
        payment,
        refund,
    ) = row
    booked = tuple(BookedSeat(label, Money(currency_code, price)) for label, price in from_json(seats))
    return Booking(
        booking_id=booking_id,
        user_id=user_id,
        showtime_id=showtime_id,
        seats=booked,
        status=_STATUSES[status],
        create_time=moment(create_time),
        hold_expire_time=moment(hold_expire_time),
        hold_extended=bool(hold_extended),
        confirm_time=_moment(confirm_time),
        cancel_time=_moment(cancel_time),
        tickets=_read_tickets(tickets, booked) if tickets else (),
        payment=_read_attempt(payment) if payment else None,
        refund=_read_refund(refund, currency_code) if refund else None,
        relied_on=_read_reliances(relied_on) if relied_on else (),
    )


def _read_tickets(text: Any, seats: Sequence[BookedSeat]) -> tuple[Ticket, ...]:
    order = {seat.label: number for number, seat in enumerate(seats)}
    tickets = (Ticket(*values) for values in from_json(text))
    return tuple(sorted(tickets, key=lambda ticket: order[ticket.seat]))


def _read_attempt(text: Any) -> PaymentAttempt:
    attempt_id, status, create_time, request = from_json(text)
    return PaymentAttempt(attempt_id, AttemptStatus(status), moment(create_time), request)


def _read_refund(text: Any, currency_code: str) -> Refund:
    refund_id, attempt_id, amount, percent, status, create_time = from_json(text)
    money = Money(currency_code, amount)
    return Refund(refund_id, attempt_id, money, percent, RefundStatus(status), moment(create_time))


def _read_reliances(text: str) -> tuple[Reliance, ...]:
    return tuple(Reliance(first, last, tuple(own)) for first, last, own in from_json(text))


def _moment(value: int | None) -> datetime | None:
    return None if value is None else moment(value)


def rows_of(
    updates: Sequence[ShowtimeUpdate], responses: Sequence[StoredResponse], now: datetime
) -> Mapping[str, list[_Row]]:
    """Return the rows that a batch writes, by the names in `sql/`; responses are stored as of `now`."""
    rows: defaultdict[str, list[_Row]] = defaultdict(list)
    for update in updates:
        _add_showtime(rows, update)
        for change in update.changes:
            _add_booking(rows, change.before, change.after, update.after.revision)
            _add_claims(rows, change.before, change.after)
            _add_attempts(rows, change.before, change.after)
            _add_parts(rows, change.before, change.after)
    if responses:
        create_time = microseconds(now)
        # Sorted, so that two replicas that store the same responses do not deadlock.
        rows["responses"] = [_response_row(each, create_time) for each in sorted(responses)]
    return rows


def _add_showtime(rows: Mapping[str, list[_Row]], update: ShowtimeUpdate) -> None:
    latest_time = microseconds(update.latest_time)
    revision, commit_id = update.after
    rows["showtimes"].append(
        {
            "showtime_id": update.showtime_id,
            "known_commit_id": update.before.commit_id,
            "taken_seats": update.taken_seats,
            "revision": revision,
            "commit_id": commit_id,
            "latest_time": latest_time,
        }
    )
    rows["commits"].append(
        {
            "showtime_id": update.showtime_id,
            "revision": revision,
            "commit_id": commit_id,
            "decide_time": latest_time,
        }
    )


def _add_booking(rows: Mapping[str, list[_Row]], before: Booking | None, after: Booking, revision: int) -> None:
    changing = {
        "booking_id": after.booking_id,
        "status": after.status.value,
        "hold_expire_time": microseconds(after.hold_expire_time),
        "hold_extended": after.hold_extended,
        "confirm_time": None if after.confirm_time is None else microseconds(after.confirm_time),
        "cancel_time": None if after.cancel_time is None else microseconds(after.cancel_time),
        "revision": revision,
    }
    if before is not None:
        rows["changed_bookings"].append(changing)
        return
    total = after.total_price
    reliances = [[each.first, each.last, each.own] for each in after.relied_on]
    rows["bookings"].append(
        changing
        | {
            "showtime_id": after.showtime_id,
            "user_id": after.user_id,
            "seats": to_json([[seat.label, seat.price.minor_units] for seat in after.seats]),
            "seat_count": len(after.seats),
            "currency_code": total.currency_code,
            "total_price": total.minor_units,
            "create_time": microseconds(after.create_time),
            "relied_on": to_json(reliances) if reliances else None,
        }
    )


def _add_claims(rows: Mapping[str, list[_Row]], before: Booking | None, after: Booking) -> None:
    kept = before is not None and before.status in SEAT_KEEPING
    keeps = after.status in SEAT_KEEPING
    if kept is not keeps:
        rows["claims" if keeps else "released_claims"].extend(
            {"showtime_id": after.showtime_id, "seat": seat.label, "booking_id": after.booking_id}
            for seat in after.seats
        )


def _add_attempts(rows: Mapping[str, list[_Row]], before: Booking | None, after: Booking) -> None:
    older, latest = None if before is None else before.payment, after.payment
    if latest is None or latest == older:
        return
    if older is not None and older.attempt_id == latest.attempt_id:
        rows["settled_attempts"].append({"attempt_id": latest.attempt_id, "status": latest.status.value})
        return
    if older is not None and older.unsettled:
        # One batch settled it and opened the next. Only these ends allow another attempt.
        ended = AttemptStatus.DECLINED if older.status is AttemptStatus.OPEN else AttemptStatus.VOIDED
        rows["settled_attempts"].append({"attempt_id": older.attempt_id, "status": ended.value})
    rows["attempts"].append(
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


def _add_parts(rows: Mapping[str, list[_Row]], before: Booking | None, after: Booking) -> None:
    """Add tickets and the refund."""
    if after.tickets and (before is None or before.tickets != after.tickets):
        rows["tickets"].extend(
            {"ticket_id": each.ticket_id, "booking_id": after.booking_id, "seat": each.seat, "code": each.code}
            for each in after.tickets
        )
    refund = after.refund
    if refund is None:
        return
    if before is None or before.refund is None:
        create_time = microseconds(refund.create_time)
        rows["refunds"].append(
            {
                "refund_id": refund.refund_id,
                "booking_id": after.booking_id,
                "attempt_id": refund.attempt_id,
                "currency_code": refund.amount.currency_code,
                "amount": refund.amount.minor_units,
                "percent": refund.percent,
                "status": refund.status.value,
                "create_time": create_time,
                "due_time": create_time,
                "tries": 0,
            }
        )
    elif before.refund.status is not refund.status:
        rows["settled_refunds"].append({"refund_id": refund.refund_id, "status": refund.status.value})


def _response_row(stored: StoredResponse, create_time: int) -> _Row:
    return {
        **stored.key._asdict(),
        "digest": stored.digest,
        "response": b64encode(stored.response).decode(),
        "create_time": create_time,
    }


def read_response(row: Sequence[str]) -> StoredResponse:
    """Return a stored response from its key, digest and response, as the table has them."""
    caller, rpc, request_id, digest, response = row
    return StoredResponse(IdempotencyKey(caller, rpc, request_id), digest, b64decode(response))
