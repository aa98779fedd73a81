"""New events as rows: what a commit did to a showtime is one row of the outbox."""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

import uuid_utils
from sqlalchemy import insert, text
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.column_types import microseconds, to_json
from cinema_grpc.adapters.database.statements import read_statements
from cinema_grpc.domain.events import NewEvent

_SQLITE_ADD_EVENTS = text(read_statements("sqlite")["add_events"].text)


def outbox_row(showtime_id: str, revision: int, decide_time: int, events: Iterable[NewEvent]) -> dict[str, Any]:
    """Return the row of the outbox for what a commit did to a showtime; `decide_time` is in microseconds."""
    return {
        "showtime_id": showtime_id,
        "revision": revision,
        "decide_time": decide_time,
        "events": to_json([_to_list(event) for event in events]),
    }


def add_events(
    connection: Connection, versions: Iterable[tuple[str, int]], decide_time: datetime, events: Collection[NewEvent]
) -> None:
    """Write events outside the box office, the same for each showtime.

    Args:
        connection: The transaction.
        versions: The identifiers of at least one showtime, each with its new revision.
        decide_time: When it was decided.
        events: The events of each.
    """
    rows = [outbox_row(name, revision, microseconds(decide_time), events) for name, revision in versions]
    if connection.dialect.name == "sqlite":
        connection.execute(_SQLITE_ADD_EVENTS, {"outbox": to_json(rows)})
    else:
        connection.execute(insert(schema.event_outbox), [{**row, "decide_time": decide_time} for row in rows])


def _to_list(event: NewEvent) -> list[Any]:
    """Return an event as `sql/` and `event_store.py` take it apart."""
    type_, booking_id, user_id, seats, currency_code, amount, time, refund_id, ticket_id = event
    return [
        str(uuid_utils.uuid7()),
        type_.value,
        None if time is None else microseconds(time),
        booking_id,
        user_id,
        seats,
        currency_code,
        amount,
        refund_id,
        ticket_id,
    ]
