"""What staff change at one replica: the others go by it at once, and of two changes in each other's way one wins."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import grpc
import pytest
from cinema.v1 import booking_pb2, showtime_service_pb2
from cinema.v1.money_pb2 import Money
from cinema.v1.showtime_pb2 import SEAT_GAP_POLICY_ALLOW, PriceLine
from google.protobuf.field_mask_pb2 import FieldMask

from cinema_grpc.adapters.database.audit import audit
from tests import chance
from tests.replicas.conftest import DEADLINE, Chain, Metadata, Replica
from tests.rpc.app import moment
from tests.rpc.refusals import read_refusal

TORTURE = pytest.mark.torture
HOUR = timedelta(hours=1)
PRICE, DEARER = (Money(currency_code="EUR", minor_units=price) for price in (1_250, 1_399))
COLUMNS = range(1, 31)
"""The numbers of the seats of a row that are bought."""
OVERLAPS = (
    "SELECT a.showtime_id, b.showtime_id FROM showtime AS a JOIN showtime AS b ON a.auditorium_id = b.auditorium_id"
    " AND a.showtime_id < b.showtime_id AND a.start_time < b.end_time AND b.start_time < a.end_time"
    " WHERE a.status = 'SCHEDULED' AND b.status = 'SCHEDULED'"
)


async def change(
    chain: Chain, replica: Replica, showtime_id: str, expected_revision: int = 0, **changes: Any
) -> showtime_service_pb2.UpdateShowtimeResponse:
    """Change a showtime."""
    request = showtime_service_pb2.UpdateShowtimeRequest(
        showtime_id=showtime_id,
        update_mask=FieldMask(paths=[*changes]),
        expected_revision=expected_revision,
        **changes,
    )
    return await replica.showtimes.UpdateShowtime(request, metadata=chain.staff, timeout=DEADLINE)


def reasons(results: Sequence[object]) -> list[str]:
    """Return the reasons of those calls that were refused, in order."""
    assert not any(isinstance(each, BaseException) and not isinstance(each, grpc.aio.AioRpcError) for each in results)
    return sorted(read_refusal(each).reason for each in results if isinstance(each, grpc.aio.AioRpcError))


async def put_on(chain: Chain, at: timedelta) -> str:
    """Put a showtime on the programme, in the auditorium of the first one and so long after it."""
    replica = chain.replicas[0]
    asked = showtime_service_pb2.GetShowtimeRequest(showtime_id=chain.showtimes[0])
    first = (await replica.showtimes.GetShowtime(asked)).showtime
    request = showtime_service_pb2.CreateShowtimeRequest(
        movie_id=first.movie.movie_id,
        auditorium_id=first.auditorium_id,
        start_time=moment(first.start_time.ToDatetime(UTC) + at),
        price=PRICE,
        seat_gap_policy=SEAT_GAP_POLICY_ALLOW,
    )
    created = await replica.showtimes.CreateShowtime(request, metadata=chain.staff, timeout=DEADLINE)
    return created.showtime.showtime_id


@pytest.mark.parametrize("times", [10, pytest.param(500, marks=TORTURE)])
async def test_one_of_two_moves_gets_the_auditorium(chain: Chain, times: int) -> None:
    """Both at once, at two replicas, to times that overlap; the other one stays where it was."""
    names = [await put_on(chain, timedelta(days=100)), await put_on(chain, timedelta(days=101))]
    ((start,),) = await chain.rows(f"SELECT start_time FROM showtime WHERE showtime_id = '{names[0]}'")  # noqa: S608 (ours)
    first = datetime.fromtimestamp(int(str(start)) / 1_000_000, UTC)
    for number in range(chance.count(times)):
        goal = first - timedelta(days=99) + number * timedelta(hours=4)
        moves = [
            change(chain, replica, name, start_time=moment(goal + at))
            for replica, name, at in zip(random.sample(chain.replicas, 2), names, (timedelta(), HOUR), strict=True)
        ]
        assert reasons(await asyncio.gather(*moves, return_exceptions=True)) == ["SHOWTIME_OVERLAP"]
    assert await chain.rows(OVERLAPS) == []


@pytest.mark.parametrize("times", [3, pytest.param(200, marks=TORTURE)])
async def test_prices_and_cancellations_reach_every_replica(
    chain: Chain, times: int, record_property: Callable[[str, object], None]
) -> None:
    """While customers buy everywhere: no call that is made after a change goes by what was before."""
    outcomes = Counter[str]()
    for number in range(chance.count(times)):
        showtime_id = await put_on(chain, timedelta(days=2, hours=4 * number))
        rush = Rush(chain, showtime_id)
        lines = [PriceLine(category="standard", ticket_type="standard", price=DEARER)]
        buying = rush.begin("A")
        await change(chain, random.choice(chain.replicas), showtime_id, prices=lines)  # noqa: S311 (any)
        later = await asyncio.gather(*rush.begin("B"))
        assert {each.total_price.minor_units for each in later if each} == {DEARER.minor_units}
        early = await asyncio.gather(*buying)
        assert {each.total_price.minor_units for each in early if each} <= {PRICE.minor_units, DEARER.minor_units}

        buying = rush.begin("C")
        preview, answer = await rush.cancel()
        assert answer.impact == preview.impact
        assert await asyncio.gather(*rush.begin("D")) == [None] * len(COLUMNS)
        await asyncio.gather(*buying)
        assert {*rush.refusals} <= {"SHOWTIME_CANCELLED", "BOOKING_NOT_CONFIRMABLE"}
        outcomes.update(rush.refusals)
        outcomes.update({"refunds": answer.impact.confirmed_bookings, "previews": rush.previews})
    record_property("figures", dict(outcomes))
    # Among its rules: a cancelled showtime has no seats taken, and what was paid for them is owed back.
    report = await audit(chain.database)
    assert [finding for finding in report.findings if finding.breaches] == []


class Rush:
    """Customers who buy seats of a showtime at all replicas.

    Attributes:
        refusals: Why they got none, with a number for each.
        previews: How many previews it took until a cancellation was as one had shown.
    """

    def __init__(self, chain: Chain, showtime_id: str) -> None:
        self._chain = chain
        self._showtime_id = showtime_id
        self.refusals = Counter[str]()
        self.previews = 0

    def begin(self, row: str) -> list[asyncio.Task[booking_pb2.Booking | None]]:
        """Begin to buy some seats of a row."""
        customers = cycle(random.sample(self._chain.customers, 30))
        return [
            asyncio.create_task(self._buy(customer, replica, f"{row}{number}"))
            for number, customer, replica in zip(COLUMNS, customers, cycle(self._chain.replicas), strict=False)
        ]

    async def _buy(self, customer: Metadata, replica: Replica, seat: str) -> booking_pb2.Booking | None:
        try:
            held = await replica.book(customer, self._showtime_id, seat)
            return await replica.pay(customer, held.booking_id)
        except grpc.aio.AioRpcError as error:
            self.refusals[read_refusal(error).reason] += 1
            return None

    async def cancel(self) -> tuple[showtime_service_pb2.CancelShowtimeResponse, ...]:
        """Cancel the showtime as a preview shows; return both."""
        while True:
            self.previews += 1
            here, there = random.sample(self._chain.replicas, 2)
            preview = await here.cancel_showtime(self._chain.staff, self._showtime_id, validate_only=True)
            revision = preview.showtime.revision
            try:
                done = await there.cancel_showtime(self._chain.staff, self._showtime_id, expected_revision=revision)
            except grpc.aio.AioRpcError as error:
                assert read_refusal(error).reason == "SHOWTIME_CHANGED"  # noqa: PT017 (it is raised again and again)
            else:
                return preview, done
