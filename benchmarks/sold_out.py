"""Showtimes that are sold out: sales of all seats, written straight into the tables."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import uuid_utils

from benchmarks import sample
from benchmarks.past import COLUMNS, Rows
from benchmarks.sample import SEAT_PRICE, SampleData, Seats, priced
from cinema_grpc.adapters.database.column_types import microseconds
from cinema_grpc.adapters.signing_keys import derived_key
from cinema_grpc.adapters.ticket_codes import SignedCodes
from cinema_grpc.application.box_office.store import new_commit_id
from cinema_grpc.application.tickets import TicketContent
from cinema_grpc.domain.pricing import STANDARD
from cinema_grpc.key_reload import TICKET_PURPOSE

CODES = SignedCodes([derived_key(sample.SECRET.encode(), TICKET_PURPOSE)])
START = datetime(2030, 1, 1, tzinfo=UTC)
"""What codes say of the start; servers do not look at it."""


@dataclass(frozen=True, slots=True)
class SoldOut:
    """Showtimes without a free seat, and the token of a member of staff."""

    data: SampleData
    token: str


def sell_out(data: SampleData, size: int) -> SoldOut:
    """Write sales of all seats straight into the tables, `size` seats each; tickets have the codes of our servers."""
    now = datetime.now(UTC) - timedelta(hours=1)
    labels = [label for pair in data.pairs for label in pair]
    rows: Rows = {table: [] for table in COLUMNS if table != "showtime"}
    for showtime_id in data.showtime_ids:
        for number, first in enumerate(range(0, len(labels), size)):
            buyer = data.customers[number % len(data.customers)].user_id
            _add_sale(rows, showtime_id, buyer, tuple(labels[first : first + size]), microseconds(now))
        commit_id = new_commit_id()
        rows["commit_log"].append((showtime_id, 1, commit_id, microseconds(now)))
        data.database.ask(
            f"UPDATE showtime SET taken_seats = {len(labels)}, revision = 1, commit_id = '{commit_id}'"  # noqa: S608 (ours)
            f" WHERE showtime_id = '{showtime_id}' RETURNING 1"
        )
    data.database.fill({table: (COLUMNS[table].split(), some) for table, some in rows.items()})
    data.database.settle()
    return SoldOut(data, sample.staff_token(data))


def _add_sale(rows: Rows, showtime_id: str, buyer: str, seats: Seats, made: int) -> None:
    booking_id = str(uuid_utils.uuid7())
    what = (priced(seats), len(seats), "EUR", len(seats) * SEAT_PRICE, made, made + 600_000_000)
    rows["booking"].append((booking_id, showtime_id, buyer, "CONFIRMED", *what, True, False, False, made, 1))
    rows["seat_claim"] += [(showtime_id, seat, booking_id) for seat in seats]
    rows["payment_attempt"].append((str(uuid_utils.uuid7()), booking_id, "CHARGED", made, "", made, 0))
    for seat in seats:
        content = TicketContent(str(uuid_utils.uuid7()), showtime_id, seat, START, STANDARD)
        rows["ticket"].append((content.ticket_id, booking_id, seat, CODES.issue(content)))
