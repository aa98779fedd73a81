"""The event feed in the database.

On PostgreSQL commits leave their events in the outbox. One process at a time, which holds the lock of the feed's row,
moves them to the feed. It takes what it sees, in whichever order that was committed, so it skips nothing; and it waits
for no transaction, so nothing stalls it. A commit of a showtime begins after the one before it has ended. So a process
that sees one sees all before it, and positions follow the revisions.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Text, bindparam, delete, func, literal, or_, select, text, true, update
from sqlalchemy.engine import Connection

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.column_types import from_json
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.event_ports import Event, EventFilter, EventPage
from cinema_grpc.domain.events import EventType
from cinema_grpc.domain.money import Money

MAX_EXAMINED = 5_000
"""How many events a page examines at most, to find those that a filter asks for."""
NO_IDENTIFIER = " "
"""Equals no identifier."""
MAX_POSITION = 2**63 - 1
_TYPES = {each.value: each for each in EventType}
_FEED, _EVENT = schema.event_feed.c, schema.event.c

_ASSIGN_POSITIONS = text("""
    WITH latest AS (
        SELECT coalesce((SELECT max(position) FROM event), (SELECT trimmed_position FROM event_feed)) AS position
    ), taken AS (
        DELETE FROM event_outbox
        WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM event_outbox ORDER BY decide_time, showtime_id, revision LIMIT :limit
        ))
        RETURNING *
    ), commits AS MATERIALIZED (
        SELECT *, jsonb_array_length(events) AS event_count  -- or each event would be sorted together with all of them
        FROM (SELECT decide_time, showtime_id, revision, CAST(events AS jsonb) AS events FROM taken) AS read
    ), moved AS (
        INSERT INTO event (position, event_id, type, time, showtime_id, cinema_id, revision, booking_id, user_id, seats,
            currency_code, amount, refund_id, ticket_id, last_of_change, decide_time)
        SELECT latest.position
                + row_number() OVER (ORDER BY commits.decide_time, commits.showtime_id, commits.revision, item.number),
            item.value->>0, item.value->>1, coalesce(CAST(item.value->>2 AS bigint), commits.decide_time),
            commits.showtime_id, showtime.cinema_id, commits.revision, item.value->>3, item.value->>4, item.value->>5,
            item.value->>6, CAST(item.value->>7 AS bigint), item.value->>8, item.value->>9,
            item.number = commits.event_count, commits.decide_time
        FROM latest CROSS JOIN commits
        CROSS JOIN LATERAL (
            SELECT cinema_id FROM showtime WHERE showtime.showtime_id = commits.showtime_id OFFSET 0
        ) AS showtime
        CROSS JOIN LATERAL jsonb_array_elements(commits.events) WITH ORDINALITY AS item (value, number)
    )
    SELECT count(*) FROM taken
""")
"""Runs under the lock. Its snapshot is later than the lock, so it sees the positions that others have assigned."""


def _latest() -> Any:
    return func.coalesce(select(func.max(_EVENT.position)).scalar_subquery(), _FEED.trimmed_position)


def _any_or(name: str) -> Any:
    wanted = bindparam(name, type_=Text)
    return or_(wanted == "", _EVENT[name] == wanted)


_PAGE_COLUMNS = [column for column in _EVENT if column is not _EVENT.decide_time]
_LATEST = Query(select(_latest()).select_from(schema.event_feed))


def _page() -> Query:
    after = bindparam("after", type_=_EVENT.position.type)
    types = bindparam("types", type_=Text)
    page = (
        select(*_PAGE_COLUMNS)
        .where(
            _EVENT.position > after,
            _EVENT.position <= bindparam("until", type_=_EVENT.position.type),
            # The types that are wanted, each between commas.
            or_(types == "", types.like(literal("%,", Text).concat(_EVENT.type).concat(",%"))),
            *map(_any_or, ("showtime_id", "cinema_id", "booking_id")),
        )
        .order_by(_EVENT.position)
        .limit(bindparam("limit"))
        .subquery("page")
    )
    feed = select(_FEED.trimmed_position, _latest().label("latest_position")).subquery("feed")
    return Query(select(feed, page).select_from(feed.outerjoin(page, true())).order_by(page.c.position))


_PAGE = _page()


class SqlEventStore:
    """Stores the event feed. Fulfils EventStore."""

    def __init__(self, database: Database, examined: int = MAX_EXAMINED) -> None:
        """Set up.

        Args:
            database: The database.
            examined: How many events a page examines at most.
        """
        self._database = database
        self._examined = examined

    async def assign_positions(self, limit: int) -> int | None:
        """Assign positions to events of up to `limit` commits; return how many, or None if another process does so."""
        if not self._database.driver.shared:
            return 0  # they have them since they were committed

        def assign(connection: Connection) -> int | None:
            if not _lock(connection, skip_locked=True):
                return None
            return int(connection.execute(_ASSIGN_POSITIONS, {"limit": limit}).scalar_one())

        return await self._database.transact(assign, must_run=True)

    async def read(self, wanted: EventFilter, after: int, limit: int) -> EventPage:
        """Return at most `limit` events after a position."""
        until = min(after + self._examined, MAX_POSITION)
        _, rows = await self._database.read(
            _PAGE,
            after=after,
            until=until,
            limit=limit,
            types="".join(f",{each.value}," for each in wanted.types),
            showtime_id=_sought(wanted.showtime_id),
            cinema_id=_sought(wanted.cinema_id),
            booking_id=_sought(wanted.booking_id),
        )
        trimmed, latest = rows[0][:2]
        events = [_to_event(row[2:]) for row in rows if row[2] is not None]
        end = events[-1].position if len(events) == limit else max(after, min(until, latest))
        return EventPage(events, end, trimmed + 1, latest)

    async def latest_position(self) -> int:
        """Return the position of the newest event; 0 if there never was one."""
        _, rows = await self._database.read(_LATEST, must_run=True)
        return int(rows[0][0])

    async def trim(self, age: timedelta, limit: int) -> int:
        """Delete at most `limit` of the oldest events that are at least `age` old; return how many."""

        def trim(connection: Connection) -> int:
            _lock(connection, skip_locked=False)
            old = self._database.time(connection) - age
            oldest = select(_EVENT.position, _EVENT.decide_time).order_by(_EVENT.position).limit(limit)
            # Only from the beginning on: what is left has no gap.
            positions = []
            for position, decide_time in connection.execute(oldest):
                if decide_time > old:
                    break
                positions.append(position)
            if positions:
                connection.execute(delete(schema.event).where(_EVENT.position <= positions[-1]))
                connection.execute(update(schema.event_feed).values(trimmed_position=positions[-1]))
            return len(positions)

        return await self._database.transact(trim, must_run=True)


def _sought(identifier: str) -> str:
    """Return an identifier to look for; "" for any. One with a NUL, which PostgreSQL refuses, finds nothing."""
    return NO_IDENTIFIER if "\0" in identifier else identifier


def _lock(connection: Connection, *, skip_locked: bool) -> bool:
    """Lock the feed's row, and return whether that was possible. SQLite has one writer."""
    row = select(_FEED.feed_id).with_for_update(key_share=True, skip_locked=skip_locked)
    return connection.execute(row).first() is not None


def _to_event(row: Sequence[Any]) -> Event:
    (
        position,
        event_id,
        type_,
        time,
        showtime_id,
        cinema_id,
        revision,
        booking_id,
        user_id,
        seats,
        currency_code,
        amount,
        refund_id,
        ticket_id,
        last_of_change,
    ) = row
    return Event(
        position,
        event_id,
        _TYPES[type_],
        time,
        showtime_id,
        cinema_id,
        revision,
        booking_id,
        user_id,
        from_json(seats),
        None if amount is None else Money(currency_code, amount),
        refund_id,
        ticket_id,
        last_of_change,
    )
