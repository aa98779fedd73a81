"""The box office when something fails: a change, a statement, a commit, or its answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.box_office_store import SqlBoxOfficeStore, SqlTransaction
from cinema_grpc.adapters.database.sqlite import SqliteDriver
from cinema_grpc.adapters.database.sqlite_connection import run_on_thread
from cinema_grpc.application.box_office import batch_runner as module
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.box_office.store import StorageConflict, StorageContention
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.booking_errors import SeatsUnavailable
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.errors import CinemaError
from cinema_grpc.domain.holds import hold
from tests.application.commands import TEN_MINUTES, cancel_command, idempotent_call
from tests.application.conftest import App
from tests.application.sales import outcomes
from tests.database import writing
from tests.faults import failing


async def claims(app: App) -> dict[tuple[str, str], str]:
    return {(row["showtime_id"], row["seat"]): row["booking_id"] for row in await app.rows("seat_claim")}


class ContendedStore(SqlBoxOfficeStore):
    """A store whose transactions are contended after their commits, as often as `times` says."""

    times = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        async with super().transaction() as transaction:
            yield transaction
            if self.times:
                self.times -= 1
                raise StorageContention("locked")


@pytest.mark.parametrize(("times", "expected"), [(2, Booking), (3, StorageUnavailable)])
async def test_contention_is_tried_again_twice(app: App, times: int, expected: type) -> None:
    """Here the first try was committed, so the second one finds its stored response."""
    store = ContendedStore(app.database)
    store.times = times
    async with app.other_process(store) as other:
        with capture_logs() as logs:
            (result,) = await outcomes(other.hold("A1", call=idempotent_call("r1")))
    assert isinstance(result, expected)
    assert len(await app.rows("booking")) == 1
    said = [line["error"] for line in logs if line["event"] == "storage failed"]
    assert said == (["StorageContention('locked')"] if expected is StorageUnavailable else [])


async def test_a_faulty_change_fails_alone(app: App) -> None:
    """Its caller gets the error; the commands before and after it, for the same showtime too, are carried out."""

    def fail(decision: Decision) -> None:
        hold(decision.showtime, "half done", "ada", Selection(["A9"]), TEN_MINUTES, decision.now)
        raise ZeroDivisionError

    results = await outcomes(
        app.hold("A1"), app.box_office.execute(Command("s1", fail)), app.hold("A2"), app.hold("A1", at="s2")
    )
    assert [type(result) for result in results] == [Booking, ZeroDivisionError, Booking, Booking]
    assert set(await claims(app)) == {("s1", "A1"), ("s1", "A2"), ("s2", "A1")}


@pytest.mark.parametrize("part", ["UPDATE showtime", "INSERT INTO booking", "INSERT INTO seat_claim", "SELECT"])
async def test_a_failing_statement_loses_nothing(app: App, part: str) -> None:
    """Every caller gets an answer, nothing is half done, and the next batch works."""
    await app.hold("A1")
    with failing(app.database, lambda statement: part in statement) as failed:
        results = await outcomes(app.hold("A2"), app.hold("A1", at="s2"), app.hold("A1"))
    assert failed
    assert all(isinstance(result, StorageUnavailable) for result in results)
    assert set(await claims(app)) == {("s1", "A1")}
    results = await outcomes(app.hold("A2"), app.hold("A1"), app.hold("A1", at="s2"))
    assert [type(result) for result in results] == [Booking, SeatsUnavailable, Booking]


async def test_a_key_violation_is_narrowed_down(app: App) -> None:
    """A seat that only the database knows as taken: its claimant alone fails."""
    mine = await app.hold("A9", at="s3")
    async with writing(app.database) as connection:
        claim = {"showtime_id": "s1", "seat": "A5", "booking_id": mine.booking_id}
        await connection.execute(schema.seat_claim.insert().values(claim))
    results = await outcomes(
        app.hold("A1"), app.hold("A5"), app.hold("A2"), app.hold("A1", at="s2"), app.hold("A1", at="s3")
    )
    kinds = [isinstance(result, Booking) for result in results]
    assert kinds == [True, False, True, True, True]
    assert not isinstance(results[1], CinemaError)
    assert (await claims(app))["s1", "A5"] == mine.booking_id


async def test_a_call_whose_response_cannot_be_stored_leaves_nothing(app: App) -> None:
    """The response is part of the transaction."""
    with failing(app.database, lambda statement: "INSERT INTO stored_response" in statement) as failed:
        results = await outcomes(app.hold("A1", call=idempotent_call("r1")))
    assert failed
    assert isinstance(results[0], StorageUnavailable)
    assert await claims(app) == {}


async def test_a_claim_is_deleted_by_its_owner_alone(app: App) -> None:
    """A seat that another booking has got, though nothing here did that, keeps that claim."""
    mine, other = await app.hold("A1"), await app.hold("A1", at="s2", by="bob")
    async with writing(app.database) as connection:
        await connection.execute(
            update(schema.seat_claim)
            .where(schema.seat_claim.c.booking_id == mine.booking_id)
            .values(booking_id=other.booking_id)
        )
    with pytest.raises(StorageConflict):
        await app.box_office.execute(cancel_command(mine))
    assert (await claims(app))["s1", "A1"] == other.booking_id


async def test_a_commit_that_fails_is_undone(app: App) -> None:
    """It is looked up: nothing was kept, so the callers may try again."""
    with capture_logs() as logs, failing(app.database, lambda statement: statement == "COMMIT"):
        results = await outcomes(app.hold("A1", call=idempotent_call("r1")))
    assert isinstance(results[0], StorageUnavailable)
    said = [line["error"] for line in logs if line["event"] == "commit answer lost"]
    assert said
    assert all("the disk is on fire" in each for each in said)
    assert await app.rows("booking") == []
    assert (await app.hold("A1", call=idempotent_call("r1"))).labels == ("A1",)


async def test_a_commit_whose_answer_is_lost_is_found(app: App) -> None:
    """It is looked up, by a transaction that is committed too: everything was kept, so the callers get bookings."""
    times = 2

    def fails(statement: str) -> bool:
        return statement == "COMMIT" and len(failed) < times

    with failing(app.database, fails, after=True) as failed:
        results = await outcomes(app.hold("A1"), app.hold("A1"))
    assert len(failed) == times
    assert isinstance(results[0], Booking)
    assert isinstance(results[1], SeatsUnavailable)
    with pytest.raises(SeatsUnavailable):
        await app.hold("A1")


async def test_a_stored_response_is_sent_after_a_commit(app: App) -> None:
    """A database server that came back without its standby shows what the standby may never get."""
    held = await app.hold("A1", call=idempotent_call("r1"))
    with failing(app.database, lambda statement: statement == "COMMIT"):
        results = await outcomes(app.hold("A1", call=idempotent_call("r1")))
    assert isinstance(results[0], StorageUnavailable)
    assert (await app.hold("A1", call=idempotent_call("r1"))).booking_id == held.booking_id


async def test_a_lost_commit_that_cannot_be_looked_up(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets STORAGE_UNAVAILABLE; the retry with the same id gets the outcome."""
    monkeypatch.setattr(module, "SECONDS_TO_FIND_OUT", 0.1)
    lost: list[str] = []

    def fails(statement: str) -> bool:
        if statement == "COMMIT":
            lost.append(statement)
        return bool(lost)

    with failing(app.database, fails, after=True):
        results = await outcomes(app.hold("A1", call=idempotent_call("r1")))
    assert isinstance(results[0], StorageUnavailable)
    (row,) = await app.rows("booking")
    assert (await app.hold("A1", call=idempotent_call("r1"))).booking_id == row["booking_id"]


async def test_refusals_wait_for_what_they_were_judged_on(app: App) -> None:
    """A booking that is not kept must not have refused others."""
    with failing(app.database, lambda statement: statement == "COMMIT"):
        results = await outcomes(app.hold("A1"), app.hold("A1", by="bob"))
    assert all(isinstance(result, StorageUnavailable) for result in results)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_reads_see_nothing_of_a_batch_that_is_not_committed(app: App) -> None:
    """They use the connection of the box office, between its goes."""
    with failing(app.database, lambda statement: statement == "COMMIT") as failed:
        holding = asyncio.create_task(outcomes(app.hold("A1")))
        while not holding.done():
            assert await app.reader.find("b0001") is None
    assert failed


async def test_bounded_memory(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached showtimes are bounded by their seats, those used last stay, and evicted ones are loaded again."""
    monkeypatch.setattr(app.cache, "_max_seats", 20)
    for showtime_id in ("s1", "s2", "s3"):
        await app.hold("A1", at=showtime_id)
    assert list(app.cache._showtimes) == ["s2", "s3"]
    with pytest.raises(SeatsUnavailable):
        await app.hold("A1", at="s1")


async def test_a_failing_listener_changes_nothing_about_a_commit(app: App) -> None:
    def fail(_updates: object) -> None:
        raise ZeroDivisionError

    app.box_office.on_commit(fail)
    assert (await app.hold("A1")).labels == ("A1",)
    assert [row["booking_id"] for row in await app.rows("booking")] == ["b0001"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_is_written_after_sqlite_has_rolled_back_by_itself(app: App) -> None:
    """As on a broken disk. Outside of a transaction, each statement would be committed by itself."""
    mine = await app.hold("A1")

    class RolledBack(SqlBoxOfficeStore):
        @asynccontextmanager
        async def transaction(self) -> AsyncIterator[SqlTransaction]:
            async with super().transaction() as transaction:
                commit = transaction.commit

                async def roll_back_and_commit(*arguments: Any) -> None:
                    connection = cast("SqliteDriver", app.database.driver)._connection
                    assert connection is not None
                    await run_on_thread(connection, lambda driver: driver.rollback())
                    await commit(*arguments)

                transaction.commit = roll_back_and_commit  # type: ignore[assignment,method-assign]
                yield transaction

    async with app.other_process(RolledBack(app.database)) as other:
        (result,) = await outcomes(other.box_office.execute(cancel_command(mine)))
    assert isinstance(result, StorageUnavailable)
    assert set(await claims(app)) == {("s1", "A1")}
