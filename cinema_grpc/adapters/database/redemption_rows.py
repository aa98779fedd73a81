"""Redemptions as rows: reading them, and writing what has changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from cinema_grpc.adapters.database.column_types import from_json, microseconds, moment
from cinema_grpc.adapters.database.statements import NewRow
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.ticket import Redemption, RedemptionKind, Reversal


def read_redemptions(text: Any) -> tuple[Redemption, ...]:
    """Return the redemptions of a column of JSON, as `booking_detail` has it, oldest record first."""
    # A redemption_id is a UUIDv7, so redemptions that were recorded in one moment are in their order too.
    return tuple(_read(row) for row in sorted(from_json(text), key=lambda row: (row[5], row[0])))


def _read(row: Sequence[Any]) -> Redemption:
    redemption_id, ticket_id, gate, redeem_time, redeemed_by, record_time, kind, time, user_id, reason = row
    return Redemption(
        redemption_id,
        ticket_id,
        gate,
        moment(redeem_time),
        redeemed_by,
        moment(record_time),
        RedemptionKind(kind),
        None if time is None else Reversal(user_id, moment(time), reason),
    )


def add_redemptions(rows: Mapping[str, list[NewRow]], before: Booking | None, after: Booking) -> None:
    """Add the rows that change a booking's redemptions, by their names in `sql/`."""
    known = {} if before is None else {each.redemption_id: each for each in before.redemptions}
    for each in after.redemptions:
        if each.redemption_id not in known:
            rows["redemptions"].append(_row(each, after.booking_id))
        elif known[each.redemption_id] != each:
            rows["reversed_redemptions"].append({"redemption_id": each.redemption_id, **_reversing(each)})


def _row(redemption: Redemption, booking_id: str) -> NewRow:
    return {
        "redemption_id": redemption.redemption_id,
        "ticket_id": redemption.ticket_id,
        "booking_id": booking_id,
        "gate": redemption.gate,
        "redeem_time": microseconds(redemption.redeem_time),
        "redeemed_by": redemption.redeemed_by,
        "record_time": microseconds(redemption.record_time),
        "kind": redemption.kind.value,
        **_reversing(redemption),
    }


def _reversing(redemption: Redemption) -> NewRow:
    undone = redemption.reversal
    return {
        "reverse_time": None if undone is None else microseconds(undone.time),
        "reversed_by": None if undone is None else undone.user_id,
        "reverse_reason": None if undone is None else undone.reason,
    }
