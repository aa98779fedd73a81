"""The audit of a large auditorium that is sold out takes seconds."""

import asyncio
import json

from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.audit import audit
from tests.database import writing
from tests.store.desk_rows import booking, claims, furnished, write

SECONDS = 30
"""It takes 2. A plan that compares each seat of a booking with each of the auditorium takes minutes."""
ROWS = [f"{first}{second}" for first in "AB" for second in "ABCDEFGHIJKLMNOPQRST"]
SEATS_A_ROW = 50


async def test_of_two_thousand_bookings(database_url: str) -> None:
    labels = [f"{row}{number}" for row in ROWS for number in range(1, SEATS_A_ROW + 1)]
    bookings = [
        booking(number, seats=[[label, 0, "standard", "adult", "", True]]) for number, label in enumerate(labels)
    ]
    plan = {"rows": json.dumps([[row, [SEATS_A_ROW]] for row in ROWS]), "total_seats": len(labels)}
    async with furnished(database_url) as database:
        async with writing(database) as connection:
            await connection.execute(
                update(schema.auditorium).where(schema.auditorium.c.auditorium_id == "a1").values(plan)
            )
        await write(database, schema.booking, bookings)
        await write(database, schema.seat_claim, claims(bookings))
        async with asyncio.timeout(SECONDS):
            report = await audit(database)
    broken = {finding.rule for finding in report.findings if finding.breaches and "seat of a booking" in finding.rule}
    assert broken == set()
