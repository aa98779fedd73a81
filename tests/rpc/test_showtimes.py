"""The ShowtimeService over a real channel: making the programme, and reading a showtime with its seats."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import grpc
import pytest
from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb
from cinema.v1.money_pb2 import Money
from google.protobuf.timestamp_pb2 import Timestamp

from tests.builders import NOW, FakeClock
from tests.rpc.conftest import App, moment, new_id, refusal, running
from tests.rpc.programme import EUR, MICROSECOND, MINUTE, RUNTIME, TOMORROW, Programme, open_programme

Code = grpc.StatusCode
QUARTER = timedelta(minutes=15)


@pytest.fixture
async def programme(app: App) -> Programme:
    return await open_programme(app)


async def get(app: App, showtime_id: str) -> pb.GetShowtimeResponse:
    return await app.showtimes.GetShowtime(pb.GetShowtimeRequest(showtime_id=showtime_id))


class TestCreateShowtime:
    async def test_all_about_it(self, programme: Programme) -> None:
        """Listing and reading it say the same."""
        app = programme.app
        showtime = await programme.create(TOMORROW + MICROSECOND, seat_gap_policy=showtime_pb2.SEAT_GAP_POLICY_ALLOW)
        listed = (await app.showtimes.ListShowtimes(pb.ListShowtimesRequest())).showtimes
        assert [*listed, (await get(app, showtime.showtime_id)).showtime] == [showtime] * 2
        assert 1 <= len(showtime.showtime_id) <= 64
        assert (showtime.movie.movie_id, showtime.movie.title) == (programme.movie_id, "A Film")
        assert (showtime.cinema.cinema_id, showtime.cinema.time_zone) == (programme.cinema_id, "Europe/Berlin")
        assert (showtime.auditorium_id, showtime.auditorium_name) == (programme.auditorium_id, "One")
        assert showtime.start_time == moment(TOMORROW + MICROSECOND)
        assert showtime.end_time == moment(TOMORROW + RUNTIME + MICROSECOND)
        assert showtime.price == EUR
        assert showtime.status == showtime_pb2.SHOWTIME_STATUS_SCHEDULED
        assert showtime.seat_gap_policy == showtime_pb2.SEAT_GAP_POLICY_ALLOW
        assert (showtime.total_seats, showtime.available_seats) == (18, 18)

    async def test_a_start_in_the_future_at_most_five_years_ahead(self, programme: Programme) -> None:
        """To the microsecond, by the server's clock."""
        last = datetime(2031, 5, 1, 12, tzinfo=UTC)
        for start in (NOW - timedelta(days=1), NOW, last + MICROSECOND, datetime.max.replace(tzinfo=UTC)):
            assert (await refusal(programme.create(start))).fields == ["start_time"], start
        for start in (NOW + MICROSECOND, last):
            assert (await programme.create(start)).start_time == moment(start)

    async def test_times_to_the_microsecond(self, programme: Programme) -> None:
        """Finer digits are cut off; times outside the calendar and none at all are refused."""
        for number, nanos in enumerate((1, 999, 999_999_999)):
            start = moment(TOMORROW + number * 2 * RUNTIME)
            created = await programme.create(start_time=Timestamp(seconds=start.seconds, nanos=nanos))
            assert created.start_time == Timestamp(seconds=start.seconds, nanos=nanos // 1_000 * 1_000)
        for timestamp in (
            None,
            Timestamp(seconds=moment(TOMORROW).seconds, nanos=-1_000),
            Timestamp(seconds=moment(TOMORROW).seconds, nanos=1_000_000_000),
            Timestamp(seconds=253_402_300_800),
            Timestamp(seconds=-(2**63)),
        ):
            assert (await refusal(programme.create(start_time=timestamp))).fields == ["start_time"], timestamp

    async def test_prices(self, programme: Programme) -> None:
        """0 to 10^12 minor units of a currency that ISO 4217 knows."""
        for number, price in enumerate((0, 10**12)):
            money = Money(currency_code="JPY", minor_units=price)
            assert (await programme.create(TOMORROW + number * 2 * RUNTIME, price=money)).price == money
        assert (await refusal(programme.create(price=None))).fields == ["price", "prices"]
        for amount in (-1, 10**12 + 1, -(2**63), 2**63 - 1):
            refused = await refusal(programme.create(price=Money(currency_code="EUR", minor_units=amount)))
            assert refused.fields == ["price.minor_units"], amount
        for code in ("", "EU", "eur", "EURO", "ZZZ", "XXX", "€", "EUR\n", "DEM"):
            refused = await refusal(programme.create(price=Money(currency_code=code, minor_units=1)))
            assert refused.fields == ["price.currency_code"], code

    async def test_what_is_not_known(self, programme: Programme) -> None:
        for kind in ("movie", "auditorium"):
            unknown: dict[str, Any] = {f"{kind}_id": "none"}
            refused = await refusal(programme.create(**unknown))
            assert (refused.code, refused.reason) == (Code.NOT_FOUND, f"{kind.upper()}_NOT_FOUND")
            assert refused.metadata == unknown
            assert (await refusal(programme.create(**(unknown | {f"{kind}_id": ""})))).fields == [f"{kind}_id"]

    async def test_the_seat_gap_policy(self, programme: Programme) -> None:
        """Unset means REFUSE; one that does not exist is refused."""
        assert (await programme.create()).seat_gap_policy == showtime_pb2.SEAT_GAP_POLICY_REFUSE
        for number in (3, -1, 2**31 - 1):
            assert (await refusal(programme.create(seat_gap_policy=number))).fields == ["seat_gap_policy"]

    async def test_only_staff(self, programme: Programme) -> None:
        """Others are refused before a look at the request."""
        app = programme.app
        refused = await refusal(app.showtimes.CreateShowtime(pb.CreateShowtimeRequest(), metadata=await app.customer()))
        assert (refused.code, refused.reason) == (Code.PERMISSION_DENIED, "ROLE_REQUIRED")
        assert (await refusal(app.showtimes.CreateShowtime(pb.CreateShowtimeRequest()))).reason == "TOKEN_MISSING"


class TestOverlap:
    async def test_a_quarter_of_an_hour_lies_between_two(self, programme: Programme) -> None:
        """Before and after, to the microsecond; the error names the one in the way."""
        shown = await programme.create()
        for start in (
            TOMORROW,
            TOMORROW + RUNTIME + QUARTER - MICROSECOND,
            TOMORROW - RUNTIME - QUARTER + MICROSECOND,
        ):
            refused = await refusal(programme.create(start))
            assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "SHOWTIME_OVERLAP")
            assert refused.metadata["showtime_id"] == shown.showtime_id
            assert refused.metadata["start_time"] == "2026-05-02T12:00:00Z"
            assert refused.metadata["end_time"] == "2026-05-02T14:00:00Z"
            violation = refused.details["PreconditionFailure"].violations[0]
            assert (violation.type, violation.subject) == ("SHOWTIME_OVERLAP", shown.showtime_id)
        after = await programme.create(TOMORROW + RUNTIME + QUARTER)
        before = await programme.create(TOMORROW - RUNTIME - QUARTER)
        assert await programme.listed() == [each.showtime_id for each in (before, shown, after)]

    async def test_a_short_movie_within_a_long_one(self, programme: Programme) -> None:
        """Or a long one around a short one."""
        long = await programme.app.movie(minutes=720)
        short = await programme.app.movie(minutes=1)
        shown = await programme.create(movie_id=long.movie_id)
        inside = await refusal(programme.create(TOMORROW + timedelta(hours=12), movie_id=short.movie_id))
        assert inside.metadata["showtime_id"] == shown.showtime_id
        other = await programme.create(TOMORROW + timedelta(days=2), movie_id=short.movie_id)
        around = await refusal(programme.create(TOMORROW + timedelta(days=1, hours=14), movie_id=long.movie_id))
        assert around.metadata["showtime_id"] == other.showtime_id

    async def test_another_auditorium_is_free_at_the_same_time(self, programme: Programme) -> None:
        other = await programme.app.auditorium(programme.cinema_id, name="Two")
        await programme.create()
        assert (await programme.create(auditorium_id=other.auditorium_id)).auditorium_name == "Two"

    async def test_of_ten_at_once_one_is_kept(self, programme: Programme) -> None:
        calls = (programme.create(TOMORROW + number * MINUTE) for number in range(10))
        results = await asyncio.gather(*calls, return_exceptions=True)
        losers = [each.code() for each in results if isinstance(each, grpc.aio.AioRpcError)]
        assert losers == [Code.FAILED_PRECONDITION] * 9
        assert len(await programme.listed()) == 1


class TestOnce:
    async def test_twenty_at_once_have_one_effect_and_one_answer(self, database_url: str) -> None:
        """So has a repeat after a restart, when seats are sold and the showtime has begun."""
        clock, request_id = FakeClock(), new_id()
        start = NOW + timedelta(minutes=30)
        async with running(database_url, clock) as app:
            programme = await open_programme(app)
            given = await asyncio.gather(*(programme.create(start, request_id=request_id) for _ in range(20)))
            assert all(each == given[0] for each in given)
            await app.book(given[0].showtime_id, "A1", "A2")
        async with running(database_url, clock) as programme.app:
            clock.advance(timedelta(minutes=30))
            await programme.app.sign_in("staff")
            for repeated in (request_id, request_id.upper()):
                assert await programme.create(start, request_id=repeated) == given[0]
            assert await programme.listed(start_time_from=moment(start)) == [given[0].showtime_id]

    async def test_other_content(self, programme: Programme) -> None:
        """Refused, whatever the field."""
        request_id = new_id()
        shown = await programme.create(request_id=request_id)
        for changes in (
            {"start_time": moment(TOMORROW + MICROSECOND)},
            {"price": Money(currency_code="EUR", minor_units=1_251)},
            {"seat_gap_policy": showtime_pb2.SEAT_GAP_POLICY_REFUSE},
            {"movie_id": "another"},
            {"auditorium_id": "another"},
        ):
            refused = await refusal(programme.create(request_id=request_id, **changes))
            assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "REQUEST_ID_REUSED"), changes
            assert refused.metadata == {"request_id": request_id}
        assert await programme.listed() == [shown.showtime_id]

    async def test_a_refusal_is_not_kept(self, programme: Programme) -> None:
        """After an overlap the same id may be tried with another time."""
        await programme.create()
        request_id = new_id()
        assert (await refusal(programme.create(request_id=request_id))).reason == "SHOWTIME_OVERLAP"
        assert (await programme.create(TOMORROW + 2 * RUNTIME, request_id=request_id)).available_seats == 18


class TestGetShowtime:
    async def test_seats_row_by_row_in_number_order(self, programme: Programme) -> None:
        """Rows run as the auditorium lists them; A2 comes before A10, whatever their spelling."""
        room = await programme.app.auditorium(rows=[("B", (2, 1)), ("AA", (1,)), ("A", (11,))])
        showtime = await programme.create(auditorium_id=room.auditorium_id)
        seats = (await get(programme.app, showtime.showtime_id)).seats
        assert [each.seat for each in seats] == ["B1", "B2", "B3", "AA1", *(f"A{number}" for number in range(1, 12))]
        assert {each.status for each in seats} == {showtime_pb2.SEAT_STATUS_AVAILABLE}

    async def test_the_count_and_the_revision_go_with_the_seats(self, programme: Programme) -> None:
        """Free seats are counted as shown, here and in the list; the revision grows with each change."""
        app, showtime_id = programme.app, (await programme.create()).showtime_id
        await app.server.tasks.pay_refunds.stop()  # which changes the booking once more when it comes to it
        revisions, free = [], []

        async def look() -> None:
            await app.seat_states(showtime_id)  # which also checks that the count is that of the seats
            read = (await get(app, showtime_id)).showtime
            listed = await app.showtimes.ListShowtimes(pb.ListShowtimesRequest())
            assert list(listed.showtimes) == [read]
            revisions.append(read.revision)
            free.append(read.available_seats)

        await look()
        held = await app.book(showtime_id, "A1", "A2")
        await look()
        await app.pay(held.booking_id)
        await look()
        await app.book(showtime_id, "B1", "B2", "B3", by="bob")
        await look()
        await app.cancel(held.booking_id)
        await look()
        assert free == [18, 16, 16, 13, 15]
        assert all(earlier < later for earlier, later in pairwise(revisions))
        assert await app.seat_states(showtime_id) == dict.fromkeys(("B1", "B2", "B3"), "HELD")

    async def test_a_hold_that_is_over_is_free_at_once(self, programme: Programme) -> None:
        """In both counts, with the task that writes it down stopped; then the revision has not grown yet."""
        app, showtime_id = programme.app, (await programme.create()).showtime_id
        await app.server.tasks.expire_holds.stop()
        await app.book(showtime_id, "A1", "A2")
        revision = (await get(app, showtime_id)).showtime.revision
        app.clock.advance(timedelta(minutes=10))
        showtime = (await get(app, showtime_id)).showtime
        listed = (await app.showtimes.ListShowtimes(pb.ListShowtimesRequest())).showtimes[0]
        assert (showtime.available_seats, listed.available_seats) == (18, 18)
        assert (showtime.revision, listed.revision) == (revision, revision)
        assert await app.seat_states(showtime_id) == {}

    async def test_one_that_has_begun_is_still_read(self, programme: Programme) -> None:
        showtime = await programme.create()
        programme.app.clock.advance(timedelta(days=9))
        assert (await get(programme.app, showtime.showtime_id)).showtime == showtime

    async def test_what_is_not_known(self, app: App) -> None:
        refused = await refusal(get(app, "none"))
        assert (refused.code, refused.reason) == (Code.NOT_FOUND, "SHOWTIME_NOT_FOUND")
        assert refused.metadata == {"showtime_id": "none"}
        assert refused.details["ResourceInfo"].resource_type == "cinema.v1.Showtime"
        for identifier in ("", "x" * 65):
            assert (await refusal(get(app, identifier))).fields == ["showtime_id"]

    async def test_an_identifier_with_a_nul_is_not_known(self, app: App) -> None:
        """PostgreSQL refuses a NUL, and SQLite ends a text from JSON there, so it must not reach either."""
        showtime_id = (await app.showtime()).showtime_id
        await get(app, showtime_id)
        for text in ("\0", f"{showtime_id}\0x"):
            calls = (get(app, text), app.book(text, "A1", "A2"), app.read(text), app.pay(text))
            refused = [await refusal(call) for call in calls]
            assert [each.reason for each in refused] == 2 * ["SHOWTIME_NOT_FOUND"] + 2 * ["BOOKING_NOT_FOUND"]
