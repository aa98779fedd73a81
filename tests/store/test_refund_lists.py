"""Lists of refunds: complete, in order, by every filter, however many are examined for a page."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import product

import pytest

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.refund_reader import SqlRefundReader
from cinema_grpc.application.desk_ports import ListedRefund
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import Refund, RefundStatus, Settlement
from cinema_grpc.domain.sale import Sale, Tender
from tests.builders import NOW
from tests.store.desk_rows import booking, furnished, refund, seats, write

FILTERS = list(product(("", "s1", "s2"), (None, *RefundStatus)))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with furnished(database_url) as database:
        yield database


async def test_what_is_listed(database: Database) -> None:
    """A refund of a counter sale that was paid by hand, and one of an online sale."""
    cash = {"tender": "CASH", "sold_by": "staff", "sale_reason": "a friend", "user_id": "bob"}
    attempt = {"attempt_id": "t1", "booking_id": "b000002", "status": "CHARGED", "request": ""}
    settled = NOW + timedelta(hours=1)
    await write(
        database,
        schema.booking,
        [booking(1, "CANCELLED", seats=seats(1_000, 250), **cash), booking(2, "CANCELLED", showtime_id="s2")],
    )
    await write(database, schema.payment_attempt, [{**attempt, "create_time": NOW, "due_time": NOW, "tries": 0}])
    by_hand = {"settled_by": "staff", "settle_time": settled, "note": "from the till"}
    failed = {"attempt_id": "t1", "status": "FAILED", "showtime_id": "s2"}
    await write(
        database,
        schema.refund,
        [refund(1, 1, 625, "A1", "A2") | by_hand, refund(2, 2, 1_250, "A1", percent=100) | failed],
    )
    reader = SqlRefundReader(database)
    assert (await reader.page("", None, "", 50)).entries == [
        ListedRefund(
            Refund("r000002", "t1", Money("EUR", 1_250), 100, RefundStatus.FAILED, NOW, ("A1",)),
            "b000002",
            "s2",
            "ada",
            None,
        ),
        ListedRefund(
            Refund(
                "r000001",
                "",
                Money("EUR", 625),
                50,
                RefundStatus.COMPLETED,
                NOW,
                ("A1", "A2"),
                Settlement("staff", settled, "from the till"),
            ),
            "b000001",
            "s1",
            "bob",
            Sale(Tender.CASH, "staff", "a friend"),
        ),
    ]
    assert await reader.booking_of("r000002") == ("s2", "b000002")
    assert await reader.booking_of("none") is None
    assert await reader.booking_of("nul\0") is None


@pytest.mark.parametrize("examined", [4, 1_000])
async def test_a_list_is_complete_and_in_order(database: Database, examined: int) -> None:
    """Page by page, by all filters."""
    chance = random.Random(7)  # noqa: S311 (no secret)
    await write(
        database,
        schema.booking,
        [booking(1, "CANCELLED"), booking(2, "CANCELLED", showtime_id="s2"), booking(3, "CANCELLED", showtime_id="s3")],
    )
    rows = []
    for number in range(80):
        of = chance.choice([1, 1, 2, 3])
        status = chance.choice(["COMPLETED", "COMPLETED", "COMPLETED", "PENDING", "FAILED"])
        rows.append(refund(number, of, 1, "A1", showtime_id=f"s{of}", status=status))
    await write(database, schema.refund, rows)
    reader = SqlRefundReader(database, examined)
    for showtime_id, status in FILTERS:
        expected = [
            row["refund_id"]
            for row in reversed(rows)
            if showtime_id in {"", row["showtime_id"]} and (status is None or status.value == row["status"])
        ]
        assert expected
        for limit in (3, 200):
            found: list[str] = []
            after, pages = "", 0
            while True:
                page = await reader.page(showtime_id, status, after, limit)
                pages += 1
                found += [each.refund.refund_id for each in page.entries]
                if len(page.entries) < limit and not page.end:
                    break
                assert page.end == "" or page.end < (after or "z")
                after = page.end or found[-1]
            assert found == expected, (showtime_id, status, limit)
            if examined == 1_000:
                assert pages == len(expected) // limit + 1
