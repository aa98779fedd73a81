"""Payment attempts and refunds as rows: reading them, and writing what has changed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cinema_grpc.adapters.database.column_types import from_json, microseconds, moment, to_json
from cinema_grpc.adapters.database.statements import NewRow
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt, Refund, RefundStatus, Settlement


def read_attempt(text: Any) -> PaymentAttempt:
    """Return the attempt of a column of JSON, as `booking_detail` has it."""
    attempt_id, status, create_time, request, provider_id, action = from_json(text)
    made = moment(create_time)
    return PaymentAttempt(attempt_id, AttemptStatus(status), made, request, provider_id, action=bool(action))


def read_refunds(text: Any, currency_code: str) -> tuple[Refund, ...]:
    """Return the refunds of a column of JSON, oldest first."""
    # A refund_id is a UUIDv7, so refunds of one moment are in their order too.
    ordered = sorted(from_json(text), key=lambda refund: (refund[5], refund[0]))
    return tuple(_read_refund(refund, currency_code) for refund in ordered)


def _read_refund(row: Sequence[Any], currency_code: str) -> Refund:
    refund_id, attempt_id, amount, percent, status, create_time, seats, *others = row
    settled_by, settle_time, note, provider_id = others
    return Refund(
        refund_id,
        attempt_id or "",
        Money(currency_code, amount),
        percent,
        RefundStatus(status),
        moment(create_time),
        tuple(from_json(seats)),
        Settlement(settled_by, moment(settle_time), note) if settled_by else None,
        provider_id,
    )


def add_payments(rows: Mapping[str, list[NewRow]], before: Booking | None, after: Booking) -> None:
    """Add the rows that change a booking's attempts and refunds, by their names in `sql/`."""
    _add_attempts(rows, before, after)
    if not after.refunds:
        return
    known = {} if before is None else {refund.refund_id: refund for refund in before.refunds}
    for refund in after.refunds:
        if refund.refund_id not in known:
            rows["refunds"].append(_refund_row(refund, after))
        elif known[refund.refund_id] != refund:
            rows["settled_refunds"].append({"refund_id": refund.refund_id, **_settling(refund)})


def _add_attempts(rows: Mapping[str, list[NewRow]], before: Booking | None, after: Booking) -> None:
    older, latest = None if before is None else before.payment, after.payment
    if latest is None or latest == older:
        return
    if older is not None and older.attempt_id == latest.attempt_id:
        rows["changed_attempts"].append(_changing(latest))
        return
    if older is not None and older.unsettled:
        # One batch settled it and opened the next.
        rows["changed_attempts"].append(_changing(replace(older, status=older.end_before_another)))
    rows["attempts"].append(
        _changing(latest)
        | {
            "booking_id": after.booking_id,
            "create_time": microseconds(latest.create_time),
            "due_time": microseconds(latest.create_time),
            "tries": 0,
        }
    )


def _changing(attempt: PaymentAttempt) -> NewRow:
    return {
        "attempt_id": attempt.attempt_id,
        "status": attempt.status.value,
        "request": attempt.request,
        "provider_id": attempt.provider_id,
        "action": attempt.action,
    }


def _refund_row(refund: Refund, booking: Booking) -> NewRow:
    create_time = microseconds(refund.create_time)
    return {
        "refund_id": refund.refund_id,
        "booking_id": booking.booking_id,
        "showtime_id": booking.showtime_id,
        "attempt_id": refund.attempt_id or None,
        "seats": to_json(refund.seats),
        "currency_code": refund.amount.currency_code,
        "amount": refund.amount.minor_units,
        "percent": refund.percent,
        "create_time": create_time,
        "due_time": create_time,
        "tries": 0,
        **_settling(refund),
    }


def _settling(refund: Refund) -> NewRow:
    by_hand = refund.settlement
    return {
        "status": refund.status.value,
        "settled_by": None if by_hand is None else by_hand.user_id,
        "settle_time": None if by_hand is None else microseconds(by_hand.time),
        "note": None if by_hand is None else by_hand.note,
        "provider_id": refund.provider_id,
        "watched": refund.status is RefundStatus.COMPLETED and bool(refund.provider_id) and by_hand is None,
    }
