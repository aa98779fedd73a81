"""The box office over a real SQLite file: order, batches, retries of requests, and everything that may go wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.box_office_store import SqlBatch, SqlBoxOfficeStore
from cinema_grpc.application import lane as module
from cinema_grpc.application import shelf
from cinema_grpc.application.box_office import BoxOffice
from cinema_grpc.application.box_office_ports import GENERATIONS
from cinema_grpc.application.errors import Overloaded, RequestIdReused, ShuttingDown, StorageUnavailable
from cinema_grpc.application.ports import StorageConflict, StorageContention
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.domain.errors import CinemaError, ShowtimeNotFound
from cinema_grpc.domain.showtime import Showtime
from tests.application.conftest import House, once
from tests.faults import failing


async def outcomes(*calls: Any) -> list[Any]:
    """Make calls at once and give what each came to."""
    return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), timeout=30)


async def claims(house: House) -> dict[tuple[str, str], str]:
    return {(row["showtime_id"], row["seat"]): row["booking_id"] for row in await house.rows("seat_claim")}


class TestDeciding:
    async def test_a_hold_is_written_down(self, house: House) -> None:
        booking = await house.hold("A2", "A1")
        found = await house.reader.find(booking.booking_id)
        assert found is not None
        assert found.booking == booking
        assert await claims(house) == {("s1", "A1"): booking.booking_id, ("s1", "A2"): booking.booking_id}

    async def test_first_come_first_served(self, house: House) -> None:
        """Of many who ask for one seat at once, the first gets it."""
        results = await outcomes(*(house.hold("A1") for _ in range(50)))
        assert isinstance(results[0], Booking)
        assert all(isinstance(result, SeatsUnavailable) for result in results[1:])

    async def test_what_waits_goes_in_one_transaction(self, house: House) -> None:
        """Ten bookings of three showtimes that arrive together take one commit."""
        before = house.faults.commits
        results = await outcomes(*(house.hold(f"A{number + 1}", at=f"s{number % 3 + 1}") for number in range(10)))
        assert all(isinstance(result, Booking) for result in results)
        assert house.faults.commits == before + 1

    async def test_a_batch_is_bounded_and_serves_showtimes_in_turn(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A hot showtime does not make a cold one wait: with room for 4, a rush on s1 leaves the others their turn."""
        monkeypatch.setattr(module, "LARGEST_BATCH", 4)
        order: list[str] = []

        def note(name: str) -> Any:
            return lambda _showtime, _now: order.append(name)

        calls = [house.box_office.execute("s1", note(f"s1.{number}")) for number in range(6)]
        calls += [house.box_office.execute("s2", note("s2.0")), house.box_office.execute("s3", note("s3.0"))]
        await outcomes(*calls)
        assert set(order[:4]) == {"s1.0", "s1.1", "s2.0", "s3.0"}
        assert [name for name in order if name.startswith("s1")] == [f"s1.{number}" for number in range(6)]

    async def test_unknown_showtime(self, house: House) -> None:
        with pytest.raises(ShowtimeNotFound):
            await house.hold("A1", at="s9")

    async def test_time_never_runs_back(self, house: House) -> None:
        """A decision is never earlier than the last one of its showtime, whatever the clock says."""
        first = await house.hold("A1")
        house.clock.advance(timedelta(hours=-1))
        second = await house.hold("A2")
        assert second.create_time == first.create_time

    async def test_revision_grows_with_every_change(self, house: House) -> None:
        """And not with a refusal."""

        async def revision() -> Any:
            return next(row["revision"] for row in await house.rows("showtime") if row["showtime_id"] == "s1")

        await house.hold("A1")
        assert await revision() == 1
        await outcomes(house.hold("A1"))
        assert await revision() == 1
        await house.hold("A2")
        assert await revision() == 2

    async def test_a_caller_who_is_gone_before_the_turn_is_left_out(self, house: House) -> None:
        blocker = asyncio.create_task(house.hold("A1"))
        await asyncio.sleep(0)
        caller = asyncio.create_task(house.hold("A2"))
        await asyncio.sleep(0)
        caller.cancel()
        await outcomes(blocker, caller)
        await house.hold("A2")
        assert len(await house.rows("booking")) == 2

    async def test_stopping_carries_out_what_waits_and_takes_no_more(self, house: House) -> None:
        calls = [asyncio.create_task(house.hold(f"A{number}")) for number in range(1, 6)]
        await asyncio.sleep(0)
        await house.box_office.stop()
        assert all(isinstance(result, Booking) for result in await outcomes(*calls))
        with pytest.raises(ShuttingDown):
            await house.hold("A9")


class TestReplicas:
    async def test_what_another_replica_did_is_seen(self, house: House) -> None:
        """Its stamp tells that what is at hand is old; what changed since is loaded, and no seat is sold twice."""
        other = BoxOffice(house.store, lambda _: None)
        other.start()
        await house.hold("A1")
        elsewhere = House(house.database, house.clock, house.store, house.reader, other, house.faults, names=100)
        await elsewhere.hold("A2", by="bob")
        results = await outcomes(house.hold("A2"), house.hold("A3"))
        assert isinstance(results[0], SeatsUnavailable)
        assert isinstance(results[1], Booking)
        results = await outcomes(elsewhere.hold("A1", by="bob"), elsewhere.hold("A3", by="bob"))
        assert all(isinstance(result, SeatsUnavailable) for result in results)
        await other.stop()

    async def test_a_database_put_back_to_an_older_state_is_believed(self, house: House) -> None:
        """What is at hand is ahead of it: everything is loaded anew."""
        booking = await house.hold("A1")
        async with house.database.writing() as connection:
            await connection.execute(schema.seat_claim.delete())
            await connection.execute(schema.booking.delete())
            await connection.execute(update(schema.showtime).values(revision=0, stamp="restored"))
        again = await house.hold("A1", by="bob")
        assert again.booking_id != booking.booking_id

    async def test_a_history_without_what_is_at_hand_is_believed(self, house: House) -> None:
        """A failover lost a commit that is at hand here, and another replica has gone on from there: it is ahead."""
        await house.hold("A1")
        async with house.database.writing() as connection:
            await connection.execute(schema.seat_claim.delete())
            await connection.execute(schema.booking.delete())
            await connection.execute(update(schema.showtime).values(revision=0, stamp="restored"))
        other = BoxOffice(house.store, lambda _: None)
        other.start()
        elsewhere = House(house.database, house.clock, house.store, house.reader, other, house.faults, names=100)
        await elsewhere.hold("A5", "A6", by="bob")
        await elsewhere.hold("A7", by="bob")
        await house.hold("A1")
        with pytest.raises(SeatsUnavailable):
            await house.hold("A5")
        (showtime,) = [row for row in await house.rows("showtime") if row["showtime_id"] == "s1"]
        assert showtime["taken_seats"] == len(await house.rows("seat_claim")) == 4
        await other.stop()

    async def test_a_replica_that_is_far_behind_reads_all_anew(self, house: House) -> None:
        other = BoxOffice(house.store, lambda _: None)
        other.start()
        booking = await house.hold("A1")
        elsewhere = House(house.database, house.clock, house.store, house.reader, other, house.faults, names=100)
        for _ in range(GENERATIONS):
            latest = await elsewhere.hold("A2", by="bob")
            house.clock.advance(timedelta(minutes=10))
        again = await house.hold("A1", by="bob")
        assert again.booking_id != booking.booking_id
        claims = {row["seat"]: row["booking_id"] for row in await house.rows("seat_claim")}
        assert claims == {"A1": again.booking_id, "A2": latest.booking_id}
        await other.stop()

    async def test_two_boxes_race_on_one_seat(self, house: House) -> None:
        other = BoxOffice(house.store, lambda _: None)
        other.start()
        elsewhere = House(house.database, house.clock, house.store, house.reader, other, house.faults, names=100)
        for number in range(1, 11):
            results = await outcomes(house.hold(f"A{number}"), elsewhere.hold(f"A{number}", by="bob"))
            winners = [result for result in results if isinstance(result, Booking)]
            refused = [result for result in results if isinstance(result, CinemaError)]
            assert (len(winners), len(refused)) == (1, 1)
        await other.stop()


class TestOnce:
    async def test_a_repeat_gets_the_same_answer(self, house: House) -> None:
        first = await house.hold("A1", once=once("r1"))
        assert await house.hold("A1", once=once("r1")) == first
        assert len(await house.rows("booking")) == 1

    async def test_twenty_at_once_have_one_effect(self, house: House) -> None:
        results = await outcomes(*(house.hold("A1", once=once("r1")) for _ in range(20)))
        assert len({result.booking_id for result in results}) == 1
        assert len(await house.rows("booking")) == 1

    async def test_the_answer_is_that_of_then(self, house: House) -> None:
        """Even when the booking has changed since."""
        first = await house.hold("A1", once=once("r1"))
        house.clock.advance(timedelta(hours=1))
        await house.box_office.execute("s1", lambda showtime, now: showtime.expire(25, now))
        again = await house.hold("A1", once=once("r1"))
        assert again == first
        assert again.status is BookingStatus.RESERVED

    @pytest.mark.parametrize("at_once", [True, False])
    async def test_other_content_is_refused(self, house: House, at_once: bool) -> None:
        calls = [house.hold("A1", once=once("r1")), house.hold("A2", once=once("r1", b"other"))]
        results = await outcomes(*calls) if at_once else [(await outcomes(call))[0] for call in calls]
        assert isinstance(results[0], Booking)
        assert isinstance(results[1], RequestIdReused)

    async def test_callers_do_not_share_ids(self, house: House) -> None:
        await house.hold("A1", once=once("r1"))
        booking = await house.hold("A2", by="bob", once=once("r1", caller="bob"))
        assert booking.seats == ("A2",)

    async def test_a_refusal_is_not_recorded(self, house: House) -> None:
        """The same id may be tried again, and then succeed."""
        taken = await house.hold("A1", by="bob")
        with pytest.raises(SeatsUnavailable):
            await house.hold("A1", once=once("r1"))
        await house.box_office.execute(
            "s1", lambda showtime, now: showtime.cancel(taken.booking_id, "bob", "r", now), booking_id=taken.booking_id
        )
        assert (await house.hold("A1", once=once("r1"))).seats == ("A1",)

    async def test_two_replicas_with_one_request(self, house: House) -> None:
        """Whoever comes second finds the record, and gives the first one's answer."""
        other = BoxOffice(house.store, lambda _: None)
        other.start()
        elsewhere = House(house.database, house.clock, house.store, house.reader, other, house.faults, names=100)
        results = await outcomes(house.hold("A1", once=once("r1")), elsewhere.hold("A1", once=once("r1")))
        assert results[0] == results[1]
        await other.stop()


class Contended(SqlBoxOfficeStore):
    """A store in whose way other transactions get, as a database server's may."""

    def __init__(self, house: House, times: int) -> None:
        super().__init__(house.database)
        self.times = times

    @asynccontextmanager
    async def batch(self) -> AsyncIterator[SqlBatch]:
        async with super().batch() as batch:
            yield batch
            if self.times:
                self.times -= 1
                raise StorageContention


class TestFaults:
    @pytest.mark.parametrize(("times", "expected"), [(2, Booking), (3, StorageUnavailable)])
    async def test_contention_is_tried_again_twice(self, house: House, times: int, expected: type) -> None:
        """Here the commit had gone through, so that the second try also finds the first one's record."""
        box_office = BoxOffice(Contended(house, times), lambda _: None)
        box_office.start()
        elsewhere = House(house.database, house.clock, house.store, house.reader, box_office, house.faults)
        (result,) = await outcomes(elsewhere.hold("A1", once=once("r1")))
        assert isinstance(result, expected)
        assert len(await house.rows("booking")) == 1
        await box_office.stop()

    async def test_a_change_that_breaks_down_hurts_nobody_else(self, house: House) -> None:
        """Its caller gets the fault; those before and behind it, of the same showtime too, are served."""

        def break_down(showtime: Showtime, now: datetime) -> None:
            showtime.hold("half done", "ada", ["A9"], timedelta(minutes=1), now)
            raise ZeroDivisionError

        results = await outcomes(
            house.hold("A1"), house.box_office.execute("s1", break_down), house.hold("A2"), house.hold("A1", at="s2")
        )
        assert [type(result) for result in results] == [Booking, ZeroDivisionError, Booking, Booking]
        assert set(await claims(house)) == {("s1", "A1"), ("s1", "A2"), ("s2", "A1")}

    async def test_an_answer_that_cannot_be_written_hurts_nobody_else(self, house: House) -> None:
        """Its caller gets the fault, and what was done stays done."""
        written: list[str] = []

        def hold(seat: str, write: Callable[[Booking], None]) -> Awaitable[Booking]:
            def change(showtime: Showtime, now: datetime) -> Booking:
                return showtime.hold(seat, "ada", [seat], timedelta(minutes=10), now)

            return house.box_office.execute("s1", change, write=write)

        def note(booking: Booking) -> None:
            written.append(booking.booking_id)

        def break_down(_booking: Booking) -> None:
            raise ZeroDivisionError

        results = await outcomes(hold("A1", note), hold("A2", break_down), hold("A3", note), hold("A1", note))
        assert [type(result) for result in results] == [Booking, ZeroDivisionError, Booking, SeatsUnavailable]
        assert written == ["A1", "A3"]
        assert set(await claims(house)) == {("s1", "A1"), ("s1", "A2"), ("s1", "A3")}

    @pytest.mark.parametrize("part", ["UPDATE showtime", "INSERT INTO booking", "INSERT INTO seat_claim", "SELECT"])
    async def test_a_failing_statement_loses_nothing(self, house: House, part: str) -> None:
        """Nobody is left waiting, nothing is half done, and the next batch works."""
        await house.hold("A1")
        with failing(house.database, lambda statement: part in statement) as failed:
            results = await outcomes(house.hold("A2"), house.hold("A1", at="s2"), house.hold("A1"))
        assert failed
        assert all(isinstance(result, StorageUnavailable) for result in results)
        assert set(await claims(house)) == {("s1", "A1")}
        results = await outcomes(house.hold("A2"), house.hold("A1"), house.hold("A1", at="s2"))
        assert [type(result) for result in results] == [Booking, SeatsUnavailable, Booking]

    async def test_a_key_violation_is_narrowed_down(self, house: House) -> None:
        """A seat that only the database knows as taken: its claimant alone fails."""
        mine = await house.hold("A9", at="s3")
        async with house.database.writing() as connection:
            claim = {"showtime_id": "s1", "seat": "A5", "booking_id": mine.booking_id}
            await connection.execute(schema.seat_claim.insert().values(claim))
        results = await outcomes(
            house.hold("A1"), house.hold("A5"), house.hold("A2"), house.hold("A1", at="s2"), house.hold("A1", at="s3")
        )
        kinds = [isinstance(result, Booking) for result in results]
        assert kinds == [True, False, True, True, True]
        assert not isinstance(results[1], CinemaError)
        assert (await claims(house))["s1", "A5"] == mine.booking_id

    async def test_a_call_that_cannot_be_recorded_leaves_nothing(self, house: House) -> None:
        """Its record is part of its transaction."""
        with failing(house.database, lambda statement: "INSERT INTO request" in statement) as failed:
            results = await outcomes(house.hold("A1", once=once("r1")))
        assert failed
        assert isinstance(results[0], StorageUnavailable)
        assert await claims(house) == {}

    async def test_a_claim_is_deleted_by_its_owner_alone(self, house: House) -> None:
        """A seat that has come to somebody else, though nothing here did that, stays theirs."""
        mine, other = await house.hold("A1"), await house.hold("A1", at="s2", by="bob")
        async with house.database.writing() as connection:
            await connection.execute(
                update(schema.seat_claim)
                .where(schema.seat_claim.c.booking_id == mine.booking_id)
                .values(booking_id=other.booking_id)
            )
        with pytest.raises(StorageConflict):
            await house.box_office.execute(
                "s1",
                lambda showtime, now: showtime.cancel(mine.booking_id, "ada", "r", now),
                booking_id=mine.booking_id,
            )
        assert (await claims(house))["s1", "A1"] == other.booking_id

    async def test_a_commit_that_fails_is_undone(self, house: House) -> None:
        """It is looked up: nothing was kept, so the callers may try again."""
        with failing(house.database, lambda statement: statement == "COMMIT"):
            results = await outcomes(house.hold("A1", once=once("r1")))
        assert isinstance(results[0], StorageUnavailable)
        assert await house.rows("booking") == []
        assert (await house.hold("A1", once=once("r1"))).seats == ("A1",)

    async def test_a_commit_whose_answer_is_lost_is_found(self, house: House) -> None:
        """It is looked up, by a transaction that is committed too: everything was kept, so the callers get bookings."""
        times = 2

        def fails(statement: str) -> bool:
            return statement == "COMMIT" and len(failed) < times

        with failing(house.database, fails, after=True) as failed:
            results = await outcomes(house.hold("A1"), house.hold("A1"))
        assert len(failed) == times
        assert isinstance(results[0], Booking)
        assert isinstance(results[1], SeatsUnavailable)
        with pytest.raises(SeatsUnavailable):
            await house.hold("A1")

    async def test_what_is_on_record_is_told_after_a_commit(self, house: House) -> None:
        """A database server that came back without its standby shows what the standby may never get to know."""
        held = await house.hold("A1", once=once("r1"))
        with failing(house.database, lambda statement: statement == "COMMIT"):
            results = await outcomes(house.hold("A1", once=once("r1")))
        assert isinstance(results[0], StorageUnavailable)
        assert (await house.hold("A1", once=once("r1"))).booking_id == held.booking_id

    async def test_a_lost_commit_that_cannot_be_looked_up(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        """The caller is told that storage is gone; the retry with the same id tells the truth."""
        monkeypatch.setattr(module, "SECONDS_TO_FIND_OUT", 0.1)
        lost: list[str] = []

        def fails(statement: str) -> bool:
            if statement == "COMMIT":
                lost.append(statement)
            return bool(lost)

        with failing(house.database, fails, after=True):
            results = await outcomes(house.hold("A1", once=once("r1")))
        assert isinstance(results[0], StorageUnavailable)
        (row,) = await house.rows("booking")
        assert (await house.hold("A1", once=once("r1"))).booking_id == row["booking_id"]

    async def test_refusals_wait_for_what_they_were_judged_on(self, house: House) -> None:
        """A booking that refuses others and is then not kept must not have refused anybody."""
        with failing(house.database, lambda statement: statement == "COMMIT"):
            results = await outcomes(house.hold("A1"), house.hold("A1", by="bob"))
        assert all(isinstance(result, StorageUnavailable) for result in results)

    async def test_bounded_memory(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        """Showtimes at hand are bounded by their seats, the last used stay, and what was put away is loaded again."""
        monkeypatch.setattr(shelf, "SEATS_AT_HAND", 20)
        for showtime_id in ("s1", "s2", "s3"):
            await house.hold("A1", at=showtime_id)
        (lane,) = house.box_office._lanes
        assert list(lane._shelf._showtimes) == ["s2", "s3"]
        with pytest.raises(SeatsUnavailable):
            await house.hold("A1", at="s1")


class TestPatience:
    async def test_who_would_wait_too_long_is_turned_away_but_not_what_is_owed(self, house: House) -> None:
        box_office = BoxOffice(house.store, lambda _: None, longest_wait=0)
        box_office.start()
        impatient = replace(house, box_office=box_office)
        first = asyncio.create_task(impatient.hold("A1"))
        while box_office._lanes[0]._began is None:  # noqa: ASYNC110 (it is about to be served)
            await asyncio.sleep(0)
        late = [asyncio.create_task(replace(impatient, names=10).hold("A2", by="bob")) for _ in range(2)]
        owed = asyncio.create_task(box_office.execute("s1", lambda showtime, _now: showtime.taken, owed=True))
        results = await outcomes(first, *late, owed)
        assert isinstance(results[0], Booking)
        assert [type(result) for result in results[1:3]] == [Overloaded, Overloaded]
        assert results[3] == 1
        assert isinstance(await impatient.hold("A2", by="bob"), Booking)
        await box_office.stop()
