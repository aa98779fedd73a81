"""Bookings as rows: reading them whole, and writing what has changed."""

from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cinema_grpc.adapters.database.booking_detail import booking_detail
from cinema_grpc.adapters.database.column_types import (
    from_json,
    microseconds,
    moment,
    optional_microseconds,
    optional_moment,
    to_json,
)
from cinema_grpc.adapters.database.event_rows import outbox_row
from cinema_grpc.adapters.database.payment_rows import add_payments, read_attempt, read_refunds
from cinema_grpc.adapters.database.redemption_rows import add_redemptions, read_redemptions
from cinema_grpc.adapters.database.statements import NewRow
from cinema_grpc.adapters.database.terms_rows import add_terms
from cinema_grpc.application.box_office.store import ShowtimeUpdate
from cinema_grpc.application.idempotency import IdempotencyKey, StoredResponse
from cinema_grpc.domain.booking import SEAT_KEEPING, BookedSeat, Booking, BookingStatus, CancelCause, Reliance
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.ticket import Ticket

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
        "hold_renewed",
        "confirm_time",
        "cancel_time",
        "cancel_cause",
        "cancel_reason",
        "wheelchair",
        "tender",
        "sold_by",
        "sale_reason",
        "relied_on",
        "tickets",
        "payment",
        "refunds",
        "redemptions",
    )
]
"""The columns of a booking, in the order in which `read_booking` takes them, and in which `sql/` loads them."""

_STATUSES = {each.value: each for each in BookingStatus}


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
        hold_renewed,
        confirm_time,
        cancel_time,
        cancel_cause,
        cancel_reason,
        wheelchair,
        tender,
        sold_by,
        sale_reason,
        relied_on,
        tickets,
        payment,
        refunds,
        redemptions,
    ) = row
    booked = tuple(
        BookedSeat(label, Money(currency_code, price), category, ticket_type, proof, bool(active))
        for label, price, category, ticket_type, proof, active in from_json(seats)
    )
    return Booking(
        booking_id=booking_id,
        user_id=user_id,
        showtime_id=showtime_id,
        seats=booked,
        status=_STATUSES[status],
        create_time=moment(create_time),
        hold_expire_time=moment(hold_expire_time),
        hold_extended=bool(hold_extended),
        hold_renewed=bool(hold_renewed),
        confirm_time=optional_moment(confirm_time),
        cancel_time=optional_moment(cancel_time),
        cancel_cause=CancelCause(cancel_cause) if cancel_cause else None,
        cancel_reason=cancel_reason or "",
        wheelchair=bool(wheelchair),
        sale=Sale(Tender(tender), sold_by, sale_reason) if tender else None,
        tickets=_read_tickets(tickets, booked) if tickets else (),
        payment=read_attempt(payment) if payment else None,
        refunds=read_refunds(refunds, currency_code) if refunds else (),
        relied_on=_read_reliances(relied_on) if relied_on else (),
        redemptions=read_redemptions(redemptions) if redemptions else (),
    )


def _read_tickets(text: Any, seats: Sequence[BookedSeat]) -> tuple[Ticket, ...]:
    order = {seat.label: number for number, seat in enumerate(seats)}
    tickets = (Ticket(*values) for values in from_json(text))
    return tuple(sorted(tickets, key=lambda ticket: order[ticket.seat]))


def _read_reliances(text: str) -> tuple[Reliance, ...]:
    return tuple(Reliance(first, last, tuple(own)) for first, last, own in from_json(text))


def rows_of(
    updates: Sequence[ShowtimeUpdate], responses: Sequence[StoredResponse], now: datetime
) -> Mapping[str, list[NewRow]]:
    """Return the rows that a batch writes, by the names in `sql/`; responses are stored as of `now`."""
    rows: defaultdict[str, list[NewRow]] = defaultdict(list)
    for update in updates:
        _add_showtime(rows, update)
        if update.terms is not None:
            add_terms(rows, *update.terms, update.after.revision)
        for change in update.changes:
            _add_booking(rows, change.before, change.after, update.after.revision)
            _add_claims(rows, change.before, change.after)
            _add_tickets(rows, change.before, change.after)
            add_payments(rows, change.before, change.after)
            if change.after.redemptions:
                add_redemptions(rows, change.before, change.after)
    if responses:
        create_time = microseconds(now)
        # Sorted, so that two replicas that store the same responses do not deadlock.
        rows["responses"] = [_response_row(each, create_time) for each in sorted(responses)]
    return rows


def _add_showtime(rows: Mapping[str, list[NewRow]], update: ShowtimeUpdate) -> None:
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
    if update.events:
        rows["outbox"].append(outbox_row(update.showtime_id, revision, latest_time, update.events))


def _add_booking(rows: Mapping[str, list[NewRow]], before: Booking | None, after: Booking, revision: int) -> None:
    total, sale = after.total_price, after.sale
    reliances = [[each.first, each.last, each.own] for each in after.relied_on]
    changing = {
        "booking_id": after.booking_id,
        "status": after.status.value,
        "seats": to_json([[label, price.minor_units, *rest] for label, price, *rest in after.seats]),
        "seat_count": len(after.labels),
        "total_price": total.minor_units,
        "hold_expire_time": microseconds(after.hold_expire_time),
        "hold_extended": after.hold_extended,
        "hold_renewed": after.hold_renewed,
        "confirm_time": optional_microseconds(after.confirm_time),
        "cancel_time": optional_microseconds(after.cancel_time),
        "cancel_cause": None if after.cancel_cause is None else after.cancel_cause.value,
        "cancel_reason": after.cancel_reason or None,
        "relied_on": to_json(reliances) if reliances else None,
        "revision": revision,
    }
    if before is not None:
        rows["changed_bookings"].append(changing)
        return
    rows["bookings"].append(
        changing
        | {
            "showtime_id": after.showtime_id,
            "user_id": after.user_id,
            "currency_code": total.currency_code,
            "create_time": microseconds(after.create_time),
            "wheelchair": after.wheelchair,
            "tender": None if sale is None else sale.tender.value,
            "sold_by": None if sale is None else sale.sold_by,
            "sale_reason": None if sale is None else sale.reason,
        }
    )


def _add_claims(rows: Mapping[str, list[NewRow]], before: Booking | None, after: Booking) -> None:
    kept = before.labels if before is not None and before.status in SEAT_KEEPING else ()
    keeps = after.labels if after.status in SEAT_KEEPING else ()
    if kept == keeps:
        return
    for name, labels in (("released_claims", set(kept).difference(keeps)), ("claims", set(keeps).difference(kept))):
        rows[name].extend(
            {"showtime_id": after.showtime_id, "seat": label, "booking_id": after.booking_id, "block_id": None}
            for label in labels
        )


def _add_tickets(rows: Mapping[str, list[NewRow]], before: Booking | None, after: Booking) -> None:
    if after.tickets and (before is None or before.tickets != after.tickets):
        rows["tickets"].extend(
            {"ticket_id": each.ticket_id, "booking_id": after.booking_id, "seat": each.seat, "code": each.code}
            for each in after.tickets
        )


def _response_row(stored: StoredResponse, create_time: int) -> NewRow:
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
