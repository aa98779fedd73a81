"""The box office over real databases: order, batches, admission control, and other processes."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from cinema_grpc.adapters.database import price_lists, schema
from cinema_grpc.adapters.database.sqlite import SqliteDriver
from cinema_grpc.adapters.database.sqlite_connection import run_on_thread
from cinema_grpc.application.box_office import box_office as module
from cinema_grpc.application.box_office.cache import CachedShowtime
from cinema_grpc.application.box_office.command import Command, Priority
from cinema_grpc.application.box_office.store import Version
from cinema_grpc.application.errors import Overloaded, ShuttingDown
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import BookingNotCancellable, SeatsUnavailable
from cinema_grpc.domain.errors import CinemaError, ShowtimeNotFound
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.pricing import single_price
from tests.application.commands import TEN_MINUTES, cancel_command
from tests.application.conftest import App
from tests.application.sales import outcomes
from tests.builders import NOW
from tests.database import writing

CHEAPER = price_lists.to_text(single_price(Money("EUR", 900), ()))


class TestDeciding:
    async def test_a_hold_is_written_down(self, app: App) -> None:
        booking = await app.hold("A2", "A1")
        found = await app.reader.find(booking.booking_id)
        assert found is not None
        assert found.booking == booking
        assert {(row["showtime_id"], row["seat"]): row["booking_id"] for row in await app.rows("seat_claim")} == {
            ("s1", "A1"): booking.booking_id,
            ("s1", "A2"): booking.booking_id,
        }

    async def test_first_come_first_served(self, app: App) -> None:
        """Of many who ask for one seat at once, the first gets it."""
        results = await outcomes(*(app.hold("A1") for _ in range(50)))
        assert isinstance(results[0], Booking)
        assert all(isinstance(result, SeatsUnavailable) for result in results[1:])

    async def test_what_waits_goes_in_one_transaction(self, app: App) -> None:
        """Ten bookings of three showtimes that arrive together take one commit."""
        before = app.faults.commits
        results = await outcomes(*(app.hold(f"A{number + 1}", at=f"s{number % 3 + 1}") for number in range(10)))
        assert all(isinstance(result, Booking) for result in results)
        assert app.faults.commits == before + 1

    async def test_a_batch_is_bounded_and_serves_showtimes_in_turn(
        self, app: App, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A hot showtime does not make a cold one wait: with room for 4, a rush on s1 leaves the others their turn."""
        monkeypatch.setattr(module, "LARGEST_BATCH", 4)
        order: list[str] = []

        def note(name: str) -> Command[None]:
            return Command(name[:2], lambda _: order.append(name))

        names = [*(f"s1.{number}" for number in range(6)), "s2.0", "s3.0"]
        await outcomes(*(app.box_office.execute(note(name)) for name in names))
        assert set(order[:4]) == {"s1.0", "s1.1", "s2.0", "s3.0"}
        assert [name for name in order if name.startswith("s1")] == [f"s1.{number}" for number in range(6)]

    async def test_unknown_showtime(self, app: App) -> None:
        with pytest.raises(ShowtimeNotFound):
            await app.hold("A1", at="s9")

    async def test_time_never_runs_back(self, app: App) -> None:
        """A decision is never earlier than the last one of its showtime, whatever the clock says."""
        first = await app.hold("A1")
        app.clock.advance(timedelta(hours=-1))
        second = await app.hold("A2")
        assert second.create_time == first.create_time

    async def test_revision_grows_with_every_change(self, app: App) -> None:
        """And not with a refusal."""

        async def revision() -> Any:
            return next(row["revision"] for row in await app.rows("showtime") if row["showtime_id"] == "s1")

        await app.hold("A1")
        assert await revision() == 1
        await outcomes(app.hold("A1"))
        assert await revision() == 1
        await app.hold("A2")
        assert await revision() == 2

    async def test_a_caller_who_is_gone_before_the_turn_is_left_out(self, app: App) -> None:
        blocker = asyncio.create_task(app.hold("A1"))
        await asyncio.sleep(0)
        caller = asyncio.create_task(app.hold("A2"))
        await asyncio.sleep(0)
        caller.cancel()
        await outcomes(blocker, caller)
        await app.hold("A2")
        assert len(await app.rows("booking")) == 2

    async def test_stopping_carries_out_what_waits_and_takes_no_more(self, app: App) -> None:
        calls = [asyncio.create_task(app.hold(f"A{number}")) for number in range(1, 6)]
        await asyncio.sleep(0)
        await app.box_office.stop()
        assert all(isinstance(result, Booking) for result in await outcomes(*calls))
        with pytest.raises(ShuttingDown):
            await app.hold("A9")


class TestReplicas:
    async def test_what_another_replica_did_is_seen(self, app: App) -> None:
        """The cached version is older than the stored one; what changed is loaded, and no seat is sold twice."""
        async with app.other_process() as other:
            await app.hold("A1")
            await other.hold("A2", by="bob")
            results = await outcomes(app.hold("A2"), app.hold("A3"))
            assert isinstance(results[0], SeatsUnavailable)
            assert isinstance(results[1], Booking)
            results = await outcomes(other.hold("A1", by="bob"), other.hold("A3", by="bob"))
            assert all(isinstance(result, SeatsUnavailable) for result in results)

    async def test_a_database_that_was_restored_decides(self, app: App) -> None:
        """The cached version is ahead of it: everything is loaded."""
        booking = await app.hold("A1")
        await app.restore()
        again = await app.hold("A1", by="bob")
        assert again.booking_id != booking.booking_id

    async def test_a_cached_version_that_is_no_ancestor_is_reloaded(self, app: App) -> None:
        """A failover lost the commit of the cached version, and another process made more revisions since."""
        await app.hold("A1")
        await app.restore()
        async with app.other_process() as other:
            await other.hold("A5", "A6", by="bob")
            await other.hold("A7", by="bob")
            await app.hold("A1")
            with pytest.raises(SeatsUnavailable):
                await app.hold("A5")
            (showtime,) = [row for row in await app.rows("showtime") if row["showtime_id"] == "s1"]
            assert showtime["taken_seats"] == len(await app.rows("seat_claim")) == 4

    async def test_another_commit_with_the_cached_revision_is_no_ancestor(self, app: App) -> None:
        """A failover lost the commit of the cached version, and another process made the same revision."""
        await app.hold("A1")
        await app.restore()
        async with app.other_process() as other:
            await other.hold("A5", by="bob")
            assert (await app.hold("A1", by="bob")).user_id == "bob"
            with pytest.raises(SeatsUnavailable):
                await app.hold("A5")

    async def test_a_cancelled_booking_of_a_cache_that_a_failover_has_outdated(self, app: App) -> None:
        """The booking is cached, so the first load leaves it out, and it keeps no seats that would bring it back."""
        booking = await app.hold("A1")
        async with app.other_process() as other:
            await other.box_office.execute(cancel_command(booking))
        cached = app.cache.get("s1")
        assert cached is not None
        app.cache.put(CachedShowtime(cached.showtime, Version(cached.version.revision + 1, "lost")))
        app.clock.advance(timedelta(hours=2))
        with pytest.raises(BookingNotCancellable):
            await app.box_office.execute(cancel_command(booking))

    async def test_a_price_that_has_changed_is_seen(self, app: App) -> None:
        """It counts for new bookings alone; all else that is cached stays in use."""
        before = await app.hold("A1")
        async with writing(app.database) as connection:
            commit = {"revision": 2, "commit_id": "price"}
            changed = update(schema.showtime).where(schema.showtime.c.showtime_id == "s1")
            await connection.execute(changed.values(prices=CHEAPER, terms_revision=2, **commit))
            await connection.execute(insert(schema.commit_log).values(showtime_id="s1", decide_time=NOW, **commit))
        after = await app.hold("A2", "A3")
        assert [each.total_price.minor_units for each in (before, after)] == [1_250, 1_800]
        with pytest.raises(SeatsUnavailable):
            await app.hold("A1")

    async def test_a_replica_that_is_far_behind(self, app: App) -> None:
        """It sees all that has changed since, also a hold of its own that has lapsed."""
        async with app.other_process() as other:
            booking = await app.hold("A1")
            for _ in range(10):
                latest = await other.hold("A2", by="bob")
                app.clock.advance(TEN_MINUTES)
            again = await app.hold("A1", by="bob")
            assert again.booking_id != booking.booking_id
            claims = {row["seat"]: row["booking_id"] for row in await app.rows("seat_claim")}
            assert claims == {"A1": again.booking_id, "A2": latest.booking_id}

    async def test_two_replicas_race_on_one_seat(self, app: App) -> None:
        async with app.other_process() as other:
            for number in range(1, 11):
                results = await outcomes(app.hold(f"A{number}"), other.hold(f"A{number}", by="bob"))
                winners = [result for result in results if isinstance(result, Booking)]
                refused = [result for result in results if isinstance(result, CinemaError)]
                assert (len(winners), len(refused)) == (1, 1)


async def test_a_command_that_would_wait_too_long_is_refused_unless_it_must_run(app: App) -> None:
    async with app.other_process(longest_wait=0) as impatient:
        first = asyncio.create_task(impatient.hold("A1"))
        while impatient.box_office._batch_start is None:  # noqa: ASYNC110 (it is about to be served)
            await asyncio.sleep(0)
        late = [asyncio.create_task(replace(impatient, names=10).hold("A2", by="bob")) for _ in range(2)]
        taken = Command("s1", lambda decision: decision.showtime.taken, priority=Priority.MUST_RUN)
        results = await outcomes(first, *late, impatient.box_office.execute(taken))
    assert isinstance(results[0], Booking)
    assert [type(result) for result in results[1:3]] == [Overloaded, Overloaded]
    assert results[3] == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_on_sqlite_a_batch_of_many_rows_runs_as_many_statements_as_one_of_few(app: App) -> None:
    """Each statement waits for the interpreter, which has no time when many calls arrive."""
    assert isinstance(app.database.driver, SqliteDriver)
    connection = app.database.driver._connection
    assert connection is not None
    statements: list[str] = []
    await run_on_thread(connection, lambda driver: driver.set_trace_callback(statements.append))
    counts = []
    for seats in (["A1"], [f"A{number}" for number in range(1, 10)]):
        for _ in range(2):  # the second batch also releases the lapsed holds of the first
            app.clock.advance(TEN_MINUTES)
            statements.clear()
            await asyncio.gather(*(app.hold(seat, at=at) for at in ("s1", "s2", "s3") for seat in seats))
            assert statements.count("COMMIT") == 1
        counts.append(len(statements))
    assert counts[0] == counts[1]
