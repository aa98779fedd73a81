"""The commit log says whether a commit was kept, and whether a cached version is an ancestor of the stored one."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cinema_grpc.application.box_office.store import LoadRequest, ShowtimeUpdate, Version
from tests.application.conftest import App


@pytest.fixture
def updates(app: App) -> list[ShowtimeUpdate]:
    """What the app commits."""
    committed: list[ShowtimeUpdate] = []

    def note(batch: Sequence[ShowtimeUpdate]) -> None:
        committed.extend(batch)

    app.box_office.on_commit(note)
    return committed


async def test_each_revision_has_one_row(app: App, updates: list[ShowtimeUpdate]) -> None:
    for number in (1, 2, 3):
        await app.hold(f"A{number}")
    log = {(row["showtime_id"], row["revision"]): row["commit_id"] for row in await app.rows("commit_log")}
    assert {key: log.pop(key) for key in [("s1", 1), ("s1", 2), ("s1", 3)]} == {
        ("s1", each.after.revision): each.after.commit_id for each in updates
    }
    assert set(log) == {("s1", 0), ("s2", 0), ("s3", 0)}


async def test_a_commit_that_was_kept_is_found(app: App, updates: list[ShowtimeUpdate]) -> None:
    """Also after others."""
    await app.hold("A1")
    assert await app.store.was_committed(updates[0])
    await app.hold("A2")
    assert await app.store.was_committed(updates[0])


async def test_another_commit_with_the_same_revision_is_not_ours(app: App, updates: list[ShowtimeUpdate]) -> None:
    await app.hold("A1")
    ours = replace(updates[0], after=Version(updates[0].after.revision, "lost"))
    assert not await app.store.was_committed(ours)


async def test_a_commit_that_a_failover_lost_is_not_found(app: App, updates: list[ShowtimeUpdate]) -> None:
    await app.hold("A1")
    await app.restore()
    assert not await app.store.was_committed(updates[0])


async def test_of_an_ancestor_only_the_changes_since_are_loaded(app: App, updates: list[ShowtimeUpdate]) -> None:
    """On PostgreSQL; SQLite, which has no replicas, knows the latest version alone."""
    first, second, third = [await app.hold(f"A{number}") for number in (1, 2, 3)]
    for known, expected in zip([each.after for each in updates], ([second, third], [third], []), strict=True):
        found = (await app.store.load(LoadRequest({"s1": known}))).showtimes["s1"]
        complete = not app.database.driver.shared and bool(expected)
        assert (found.version, found.complete) == (updates[-1].after, complete)
        bookings = sorted(found.bookings, key=lambda booking: booking.booking_id)
        assert bookings == ([first, second, third] if complete else expected)


@pytest.mark.parametrize(
    "known",
    [Version(1, "lost"), Version(2, "lost"), Version(3, "lost"), Version(1, "commit of s1"), None],
)
async def test_of_a_version_that_is_no_ancestor_everything_is_loaded(app: App, known: Version | None) -> None:
    held = [await app.hold(f"A{number}") for number in (1, 2)]
    found = (await app.store.load(LoadRequest({"s1": known}))).showtimes["s1"]
    assert found.complete
    assert found.terms is not None
    assert sorted(found.bookings, key=lambda booking: booking.booking_id) == held
