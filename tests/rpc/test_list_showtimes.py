"""ListShowtimes over a real channel: what is on it, in which order, and walking through its pages."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cinema.v1 import showtime_pb2
from cinema.v1.showtime_service_pb2 import ListShowtimesRequest
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import update

from cinema_grpc.adapters.database import schema
from tests.builders import NOW
from tests.database import writing
from tests.rpc.conftest import App, moment, refusal
from tests.rpc.programme import MICROSECOND, MINUTE, RUNTIME, TOMORROW, Programme, open_programme


@pytest.fixture
async def programme(app: App) -> Programme:
    return await open_programme(app)


async def test_soonest_first_and_ties_by_identifier(programme: Programme) -> None:
    rooms = [await programme.app.auditorium(programme.cinema_id, name=f"Room {number}") for number in range(4)]
    late = await programme.create(TOMORROW + timedelta(days=1))
    tied = [await programme.create(auditorium_id=room.auditorium_id) for room in reversed(rooms)]
    soon = await programme.create(NOW + MICROSECOND)
    expected = [soon.showtime_id, *(each.showtime_id for each in tied), late.showtime_id]
    assert expected[1:5] == sorted(expected[1:5])
    assert await programme.listed() == expected
    seen, token = await programme.page(page_size=2)
    while token:
        identifiers, token = await programme.page(page_size=1, page_token=token)
        seen += identifiers
    assert seen == expected


async def test_filters(programme: Programme) -> None:
    """All that are set must hold; what does not exist finds nothing."""
    app = programme.app
    other_movie = (await app.movie()).movie_id
    two = await app.auditorium(programme.cinema_id, name="Two")
    elsewhere = await app.auditorium()
    one = (await programme.create()).showtime_id
    next_door = (await programme.create(auditorium_id=two.auditorium_id, movie_id=other_movie)).showtime_id
    abroad = (await programme.create(auditorium_id=elsewhere.auditorium_id)).showtime_id
    for filters, expected in (
        ({}, [one, next_door, abroad]),
        ({"movie_id": programme.movie_id}, [one, abroad]),
        ({"movie_id": other_movie}, [next_door]),
        ({"cinema_id": programme.cinema_id}, [one, next_door]),
        ({"cinema_id": elsewhere.cinema_id}, [abroad]),
        ({"auditorium_id": two.auditorium_id}, [next_door]),
        ({"movie_id": programme.movie_id, "cinema_id": programme.cinema_id}, [one]),
        ({"movie_id": other_movie, "auditorium_id": programme.auditorium_id}, []),
        ({"cinema_id": elsewhere.cinema_id, "auditorium_id": two.auditorium_id}, []),
        *(({field: "none"}, []) for field in ("movie_id", "cinema_id", "auditorium_id")),
    ):
        assert await programme.listed(**filters) == expected, filters


async def test_filters_of_any_precision_are_compared_exactly(programme: Programme) -> None:
    """Nanoseconds count, though starts are whole microseconds; a page token keeps them."""
    whole = moment(TOMORROW)
    shown = [(await programme.create(TOMORROW)).showtime_id]
    for nanos, is_from, is_until in ((0, True, False), (1, False, True), (500, False, True), (999, False, True)):
        sent = Timestamp(seconds=whole.seconds, nanos=whole.nanos + nanos)
        assert await programme.listed(start_time_from=sent) == (shown if is_from else []), nanos
        assert await programme.listed(start_time_until=sent) == (shown if is_until else []), nanos
    before = Timestamp(seconds=whole.seconds - 1, nanos=999_999_001)
    assert await programme.listed(start_time_from=before) == shown
    assert await programme.listed(start_time_until=before) == []
    last = Timestamp(seconds=253_402_300_799, nanos=999_999_999)
    assert await programme.listed(start_time_from=last) == []
    assert await programme.listed(start_time_until=last) == shown
    await programme.create(TOMORROW + 2 * RUNTIME)
    _, token = await programme.page(start_time_from=before, page_size=1)
    assert len((await programme.page(start_time_from=before, page_token=token))[0]) == 1
    other = Timestamp(seconds=before.seconds, nanos=before.nanos + 1)
    assert (await refusal(programme.page(start_time_from=other, page_token=token))).fields == ["page_token"]


async def test_from_is_inclusive_and_until_exclusive(programme: Programme) -> None:
    """To the microsecond. Without them: from now on, with no end."""
    second = TOMORROW + 2 * RUNTIME
    first_id, second_id = [(await programme.create(start)).showtime_id for start in (TOMORROW, second)]
    for start_from, until, expected in (
        (TOMORROW, None, [first_id, second_id]),
        (TOMORROW + MICROSECOND, None, [second_id]),
        (None, second, [first_id]),
        (None, second + MICROSECOND, [first_id, second_id]),
        (TOMORROW, second, [first_id]),
        (TOMORROW, TOMORROW, []),
        (second, TOMORROW, []),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), [first_id, second_id]),
    ):
        filters = {"start_time_from": start_from, "start_time_until": until}
        sent = {name: moment(time) for name, time in filters.items() if time}
        assert await programme.listed(**sent) == expected, filters
    for passed, expected in ((timedelta(days=1), [first_id, second_id]), (MICROSECOND, [second_id])):
        programme.app.clock.advance(passed)
        assert await programme.listed() == expected
    assert await programme.listed(start_time_from=moment(NOW)) == [first_id, second_id]


async def test_a_walk_is_stable_while_time_passes_and_showtimes_are_added(programme: Programme) -> None:
    """What was listed from the first moment on is met once each, though most of it has begun by then."""
    made = [(await programme.create(NOW + hour * 3 * RUNTIME)).showtime_id for hour in range(1, 7)]
    seen, token = await programme.page(page_size=2)
    await programme.app.pass_time(timedelta(days=30))
    identifiers, token = await programme.page(page_size=1, page_token=token)
    seen += identifiers
    made.append((await programme.create(programme.app.clock.now() + MINUTE)).showtime_id)
    identifiers, token = await programme.page(page_size=200, page_token=token)
    assert seen + identifiers == made
    assert await programme.listed() == made[-1:]


async def test_a_walk_skips_nothing_when_showtimes_are_added_around_it(programme: Programme) -> None:
    """Before, at and after the place it has come to."""
    other = await open_programme(programme.app)
    made = [(await programme.create(TOMORROW + number * 2 * RUNTIME)).showtime_id for number in range(4)]
    seen, token = await programme.page(page_size=2)
    added = [
        (await programme.create(start, auditorium_id=other.auditorium_id)).showtime_id
        for start in (NOW + MINUTE, TOMORROW + 2 * RUNTIME, TOMORROW + 6 * RUNTIME)
    ]
    while token:
        identifiers, token = await programme.page(page_size=1, page_token=token)
        seen += identifiers
    assert [each for each in seen if each in made] == made
    assert [each for each in seen if each in added] == added[1:]


async def test_a_token_is_good_for_the_same_query_alone(programme: Programme) -> None:
    """Another filter, altered or cut: malformed. Another page_size is fine."""
    for number in range(3):
        await programme.create(TOMORROW + number * 2 * RUNTIME)
    query: dict[str, Any] = {"movie_id": programme.movie_id, "start_time_until": moment(TOMORROW + timedelta(days=9))}
    _, token = await programme.page(page_size=1, **query)
    others: list[dict[str, Any]] = [
        {"movie_id": ""},
        {"movie_id": "another"},
        {"cinema_id": programme.cinema_id},
        {"auditorium_id": programme.auditorium_id},
        {"start_time_from": moment(NOW)},
        {"start_time_until": None},
        {"start_time_until": moment(TOMORROW + timedelta(days=8))},
        *({"page_token": altered} for altered in (token[:-1], f"{token}=", token.upper(), f"{token}.AA", "\0")),
    ]
    for changes in others:
        refused = await refusal(programme.page(**({"page_token": token} | query | changes)))
        assert refused.fields == ["page_token"], changes
    assert len((await programme.page(page_token=token, **query))[0]) == 2


async def test_bad_pages_and_times(programme: Programme) -> None:
    for field, value in (
        ("page_size", -1),
        ("movie_id", "x" * 65),
        ("start_time_from", Timestamp(seconds=1, nanos=-1)),
        ("start_time_until", Timestamp(seconds=2**62)),
    ):
        assert (await refusal(programme.page(**{field: value}))).fields == [field]


async def cancel(app: App, showtime_id: str) -> None:
    """Write down that a showtime is cancelled."""
    column = schema.showtime.c
    values = {"status": "CANCELLED", "cancel_time": NOW + MINUTE, "cancel_reason": "The projector is broken."}
    revisions = {"revision": column.revision + 1, "terms_revision": column.revision + 1}
    async with writing(app.server.database) as connection:
        await connection.execute(
            update(schema.showtime).where(column.showtime_id == showtime_id).values(**values, **revisions)
        )


async def test_cancelled_showtimes_are_listed_on_request_only(programme: Programme) -> None:
    """With time and reason, though they were cached before. A token is good for the same query alone."""
    app = programme.app
    made = [await programme.create(TOMORROW + number * 2 * RUNTIME) for number in range(4)]
    kept = [each.showtime_id for each in made if each is not made[1]]
    assert len(await programme.listed()) == 4
    await cancel(app, made[1].showtime_id)
    assert await programme.listed() == kept
    assert await programme.listed(movie_id=programme.movie_id) == kept
    first, token = await programme.page(page_size=2)
    assert first + await programme.listed(page_token=token) == kept
    assert (await refusal(programme.page(page_token=token, include_cancelled=True))).fields == ["page_token"]
    listed = (await app.showtimes.ListShowtimes(ListShowtimesRequest(include_cancelled=True))).showtimes
    assert [each.showtime_id for each in listed] == [each.showtime_id for each in made]
    assert listed[1].status == showtime_pb2.SHOWTIME_STATUS_CANCELLED
    assert (listed[1].cancel_time, listed[1].cancel_reason) == (moment(NOW + MINUTE), "The projector is broken.")
    assert (listed[0].HasField("cancel_time"), listed[0].cancel_reason) == (False, "")


async def test_a_cancelled_showtime_leaves_its_auditorium_free(programme: Programme) -> None:
    first = await programme.create()
    assert (await refusal(programme.create())).reason == "SHOWTIME_OVERLAP"
    await cancel(programme.app, first.showtime_id)
    second = await programme.create()
    assert (await refusal(programme.create())).metadata["showtime_id"] == second.showtime_id
