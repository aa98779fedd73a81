"""Reads refunds, newest first."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, Text, bindparam, func, literal_column, select, true

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.column_types import from_json
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.statements import Query
from cinema_grpc.application.desk_ports import ListedRefund
from cinema_grpc.application.ports import Page
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import Refund, RefundStatus, Settlement
from cinema_grpc.domain.sale import Sale, Tender

MAX_EXAMINED = 1_000
"""How many refunds of a showtime a page examines at most, to find those with a status."""

_REFUND, _BOOKING = schema.refund.c, schema.booking.c
_BOOKING_OF = Query(select(_REFUND.showtime_id, _REFUND.booking_id).where(_REFUND.refund_id == bindparam("refund_id")))


class SqlRefundReader:
    """Reads refunds. Fulfils RefundReader."""

    def __init__(self, database: Database, examined: int = MAX_EXAMINED) -> None:
        """Set up.

        Args:
            database: The database.
            examined: How many refunds of a showtime a page examines at most.
        """
        self._database = database
        self._examined = examined

    async def booking_of(self, refund_id: str) -> tuple[str, str] | None:
        """Return the showtime_id and the booking_id of a refund, or None."""
        _, rows = await self._database.read(_BOOKING_OF, refund_id=refund_id)
        return (rows[0][0], rows[0][1]) if rows else None

    async def page(self, showtime_id: str, status: RefundStatus | None, after: str, limit: int) -> Page[ListedRefund]:
        """Return refunds, newest first.

        With both filters, it examines at most MAX_EXAMINED refunds of the showtime.
        """
        of_both = bool(showtime_id and status)
        optional: dict[str, Any] = {"examined": self._examined} if of_both else {}
        optional |= {name: value for name, value in (("showtime_id", showtime_id), ("after", after)) if value}
        query = _page(status, of_showtime=bool(showtime_id), after=bool(after))
        _, rows = await self._database.read(query, limit=limit, **optional)
        examined, oldest = rows[0][:2]
        refunds = [_listed(row) for _, _, *row in rows if row[0] is not None]
        more = of_both and examined == self._examined and len(refunds) < limit
        return Page(refunds, oldest if more else "")


@cache
def _page(status: RefundStatus | None, *, of_showtime: bool, after: bool) -> Query:
    """Make the query for a page of refunds.

    Each row begins with how many refunds the page examined, and the oldest of them; 0 and "" if the indexes find what
    is on the page. If the page is empty, one row has nulls for the refund.
    """
    newest = select(_REFUND.refund_id).order_by(_REFUND.refund_id.desc())
    if of_showtime:
        newest = newest.where(_REFUND.showtime_id == bindparam("showtime_id"))
    elif status is not None:
        newest = newest.where(_has(status, _REFUND.status))
    if after:
        newest = newest.where(_REFUND.refund_id < bindparam("after"))
    counted: Any = select(literal_column("0").label("examined"), literal_column("''").label("oldest"))
    if of_showtime and status is not None:
        examined = newest.add_columns(_REFUND.status).limit(bindparam("examined")).subquery("examined_refunds")
        counted = select(func.count().label("examined"), func.min(examined.c.refund_id).label("oldest"))
        newest = select(examined.c.refund_id).where(_has(status, examined.c.status))
        newest = newest.order_by(examined.c.refund_id.desc())
    page = newest.limit(bindparam("limit")).subquery("page")
    refunds = _details().join(page, page.c.refund_id == _REFUND.refund_id).subquery("refunds")
    counts = counted.subquery("counts")
    rows = select(counts, refunds).select_from(counts.outerjoin(refunds, true()))
    return Query(rows.order_by(refunds.c.refund_id.desc()))


def _has(status: RefundStatus, column: Any) -> Any:
    """Return the condition of a status. It is no parameter, since there are few."""
    return column == literal_column(f"'{status.value}'", Text)


def _details() -> Select[Any]:
    return select(
        _REFUND.refund_id,
        _REFUND.attempt_id,
        _REFUND.currency_code,
        _REFUND.amount,
        _REFUND.percent,
        _REFUND.status,
        _REFUND.create_time,
        _REFUND.seats,
        _REFUND.settled_by,
        _REFUND.settle_time,
        _REFUND.note,
        _REFUND.booking_id,
        _REFUND.showtime_id,
        _BOOKING.user_id,
        _BOOKING.tender,
        _BOOKING.sold_by,
        _BOOKING.sale_reason,
    ).join_from(schema.refund, schema.booking, _BOOKING.booking_id == _REFUND.booking_id)


def _listed(row: Sequence[Any]) -> ListedRefund:
    refund_id, attempt_id, currency_code, amount, percent, status, create_time, seats, *others = row
    settled_by, settle_time, note, booking_id, showtime_id, user_id, tender, sold_by, reason = others
    refund = Refund(
        refund_id,
        attempt_id or "",
        Money(currency_code, amount),
        percent,
        RefundStatus(status),
        create_time,
        tuple(from_json(seats)),
        None if settled_by is None else Settlement(settled_by, settle_time, note),
    )
    sale = None if tender is None else Sale(Tender(tender), sold_by, reason or "")
    return ListedRefund(refund, booking_id, showtime_id, user_id, sale)
