"""An audit of a chain: what clients were told, against what is in the database."""

import asyncio
import json
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field

import grpc
from cinema.v1 import booking_pb2

from tests.replicas.conftest import Chain, Metadata, Replica

# ruff: noqa: S608 (SQL that is put together from texts of this file)

Status = booking_pb2.BookingStatus
AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED}
"""What is answered to a call that is to be repeated; ABORTED means that a payment is under way."""
SECONDS_TO_REPEAT = 120
"""For how many seconds a client repeats a call."""
KEPT_SEATS = (
    "SELECT booking_id, showtime_id, labelled->>0 AS seat FROM booking CROSS JOIN json_array_elements(seats::json)"
    " AS labelled WHERE status IN ('RESERVED', 'CONFIRMED') AND CAST(labelled->>5 AS boolean)"
)
"""The active seats of bookings that keep them, from the column that holds them with label, price and more."""


@dataclass
class Log:
    """What the clients were told, call by call.

    Attributes:
        bookings: The latest that the owner of each booking was told of it.
        owners: Whose each booking is.
        outcomes: How many calls came to what.
    """

    bookings: dict[str, booking_pb2.Booking] = field(default_factory=dict)
    owners: dict[str, Metadata] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)

    async def command(
        self, chance: random.Random, replica: Replica, customer: Metadata, showtimes: list[str]
    ) -> booking_pb2.Booking | None:
        """Make a random call, repeating it with its request_id for as long as its outcome is not known."""
        mine = [name for name, owner in self.owners.items() if owner is customer]
        what = chance.choice(["book", "book", "pay", "cancel"]) if mine else "book"
        name = chance.choice(mine) if mine else ""
        showtime_id, request_id = chance.choice(showtimes), str(uuid.UUID(int=chance.getrandbits(128), version=4))
        first = chance.randint(1, 98)
        seats = [f"{chance.choice('ABCD')}{number}" for number in range(first, first + chance.randint(1, 3))]
        start, latest, changes = asyncio.get_running_loop().time(), "", list[str]()
        while True:
            try:
                if what == "book":
                    told = await replica.book(customer, showtime_id, *seats, request_id=request_id)
                elif what == "pay":
                    told = await replica.pay(customer, name, request_id)
                else:
                    told = await replica.cancel(customer, name, request_id)
            except grpc.aio.AioRpcError as error:
                self.outcomes[error.code().name] += 1
                if error.code() not in AGAIN:
                    return None
                seconds = asyncio.get_running_loop().time() - start
                if (refusal := error.details() or "") != latest:
                    latest = refusal
                    changes.append(f"after {seconds:.1f} s: {refusal}")
                if seconds > SECONDS_TO_REPEAT:
                    raise AssertionError(f"{what} for {name or showtime_id} never works: {changes}") from error
                await asyncio.sleep(0.1)  # as any client should
            else:
                self.outcomes["OK"] += 1
                self.bookings[told.booking_id] = told
                self.owners[told.booking_id] = customer
                return told


async def audit(chain: Chain, log: Log) -> list[str]:
    """Compare, and return what is wrong."""
    wrong = []
    twice = await chain.rows(
        f"WITH kept AS ({KEPT_SEATS}) SELECT a.booking_id, b.booking_id FROM kept a JOIN kept b"
        " ON a.showtime_id = b.showtime_id AND a.seat = b.seat AND a.booking_id < b.booking_id"
    )
    wrong += [f"sold twice: {pair}" for pair in twice]
    claims = await chain.rows(
        f"WITH kept AS ({KEPT_SEATS}) SELECT booking_id, seat FROM kept FULL JOIN seat_claim USING (booking_id, seat)"
        " WHERE kept.booking_id IS NULL OR seat_claim.booking_id IS NULL"
    )
    wrong += [f"a claim without its booking, or a booking without its claim: {row}" for row in claims]
    counts = await chain.rows(
        "SELECT showtime_id FROM showtime WHERE taken_seats <>"
        " (SELECT count(*) FROM seat_claim WHERE seat_claim.showtime_id = showtime.showtime_id)"
    )
    wrong += [f"miscounted: {row}" for row in counts]
    rows = await chain.rows(
        "SELECT booking_id, booking.status, booking.seats, refund.amount, refund.percent, total_price,"
        " (SELECT count(*) FROM ticket WHERE ticket.booking_id = booking.booking_id), seat_count, confirm_time"
        " FROM booking LEFT JOIN refund USING (booking_id)"
    )
    kept = {str(row[0]): row for row in rows}
    if kept.keys() != log.bookings.keys():
        wrong.append(f"missing: {log.bookings.keys() - kept.keys()}, never told: {kept.keys() - log.bookings.keys()}")
    for name, (_, status, seats, amount, percent, price, tickets, seat_count, confirm_time) in kept.items():
        told = log.bookings.get(name)
        if told is None:
            continue
        if Status.Name(told.status).removeprefix("BOOKING_STATUS_") != status:
            wrong.append(f"{name} is {status}, and its owner was told {Status.Name(told.status)}")
        if [each.seat for each in told.seats] != [label for label, *_ in json.loads(str(seats))]:
            wrong.append(f"{name} has the seats {seats}")
        if tickets != (seat_count if confirm_time is not None else 0):
            wrong.append(f"{name} has {tickets} tickets")
        refunded = (amount, percent) if amount is not None else None
        owed = (price, 100) if status == "CANCELLED" and confirm_time is not None else None
        if refunded != owed:  # everything starts in more than a day
            wrong.append(f"{name} is refunded {refunded} instead of {owed}")
        if owed is not None and told.refund.amount.minor_units != price:
            wrong.append(f"the owner of {name} was told of a refund of {told.refund.amount.minor_units}")
    return wrong
