"""Archived movies, cinemas and auditoriums over a real channel: found, but neither listed nor shown again."""

import asyncio
from typing import Any

import grpc
import pytest
from cinema.v1 import catalog_service_pb2 as pb
from cinema.v1 import showtime_pb2

from tests.rpc.catalog_calls import page
from tests.rpc.conftest import App, refusal
from tests.rpc.programme import RUNTIME, TOMORROW, Programme, open_programme
from tests.rpc.test_catalog_updates import change, read

Code = grpc.StatusCode


@pytest.fixture
async def programme(app: App) -> Programme:
    return await open_programme(app)


def places(programme: Programme) -> list[tuple[str, str, dict[str, str]]]:
    """Return kind, identifier and the other fields of a list, for what a showtime is made of."""
    return [
        ("Movie", programme.movie_id, {}),
        ("Cinema", programme.cinema_id, {}),
        ("Auditorium", programme.auditorium_id, {"cinema_id": programme.cinema_id}),
    ]


async def test_they_are_found_but_listed_only_on_request(programme: Programme) -> None:
    app = programme.app
    for kind, identifier, filters in places(programme):
        before = await read(app, kind, identifier)
        archived = await change(app, kind, identifier, archived=True)
        assert (before.archived, archived.archived) == (False, True)
        assert await read(app, kind, identifier) == archived
        assert await page(app, kind, **filters) == ([], "")
        assert await page(app, kind, include_archived=True, **filters) == ([archived], "")
        assert await change(app, kind, identifier, archived=False) == before
        assert await page(app, kind, **filters) == ([before], "")


async def test_a_list_runs_past_them(app: App) -> None:
    """A page is as long as without them, and its token is good for the same query alone."""
    movies = [await app.movie() for _ in range(6)]
    for movie in movies[1:4]:
        await change(app, "Movie", movie.movie_id, archived=True)
    first, token = await page(app, "Movie", page_size=2)
    assert first == [movies[0], movies[4]]
    assert await page(app, "Movie", page_size=2, page_token=token) == ([movies[5]], "")
    refused = await refusal(page(app, "Movie", page_token=token, include_archived=True))
    assert refused.fields == ["page_token"]
    assert len((await page(app, "Movie", include_archived=True))[0]) == 6


async def test_they_take_no_new_showtimes(programme: Programme) -> None:
    """Those that are scheduled stay, and are listed as before."""
    app, showtime = programme.app, await programme.create()
    for kind, identifier, _ in places(programme):
        await change(app, kind, identifier, archived=True)
        refused = await refusal(programme.create(TOMORROW + 2 * RUNTIME))
        assert (refused.code, refused.reason) == (Code.FAILED_PRECONDITION, "ARCHIVED")
        assert refused.metadata == {"resource": kind, "identifier": identifier}
        assert refused.details["PreconditionFailure"].violations[0].subject == identifier
        assert await programme.listed() == [showtime.showtime_id]
        await change(app, kind, identifier, archived=False)
    await programme.create(TOMORROW + 2 * RUNTIME)


async def test_a_name_of_an_archived_auditorium_stays_taken(programme: Programme) -> None:
    await change(programme.app, "Auditorium", programme.auditorium_id, archived=True)
    refused = await refusal(programme.app.auditorium(programme.cinema_id, name="One"))
    assert refused.reason == "NAME_TAKEN"


async def test_archiving_while_showtimes_are_scheduled(programme: Programme) -> None:
    """Of what comes at once some may come too late, and whatever comes afterwards does."""
    app = programme.app
    starts = [TOMORROW + number * 2 * RUNTIME for number in range(9)]
    calls: list[Any] = [programme.create(start) for start in starts]
    calls.insert(4, change(app, "Movie", programme.movie_id, archived=True))
    outcomes: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    refused: list[Any] = [each for each in outcomes if isinstance(each, grpc.aio.AioRpcError)]
    assert all("archived" in str(each.details()) for each in refused)
    kept = [each.showtime_id for each in outcomes if isinstance(each, showtime_pb2.Showtime)]
    assert len(kept) + len(refused) == len(starts)
    assert await programme.listed() == kept
    assert (await refusal(programme.create(starts[-1] + 2 * RUNTIME))).reason == "ARCHIVED"
    assert (await app.catalog.GetMovie(pb.GetMovieRequest(movie_id=programme.movie_id))).movie.archived
