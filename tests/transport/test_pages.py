"""Pages of a list: none repeats or skips an entry, and the last one says that it is the last."""

from collections.abc import Sequence

import pytest
from cinema.v1.catalog_pb2 import Movie
from cinema.v1.catalog_service_pb2 import ListMoviesRequest

from cinema_grpc.domain.errors import InvalidRequest
from cinema_grpc.transport.page_tokens import encode
from cinema_grpc.transport.pages import fitting, read_page, whole

QUERY = ("ListMovies",)


class Entries:
    """A list of identifiers in order, and what was asked of it."""

    def __init__(self, length: int) -> None:
        self.entries = [f"{number:04}" for number in range(length)]
        self.limits: list[int] = []

    async def read(self, after: str, limit: int) -> Sequence[str]:
        self.limits.append(limit)
        return [entry for entry in self.entries if entry > after][:limit]

    async def page(self, size: int, token: str) -> tuple[Sequence[str], str]:
        request = ListMoviesRequest(page_size=size, page_token=token)
        messages, next_page_token = await read_page(
            request, QUERY, whole(self.read), str, lambda entry: Movie(movie_id=entry), 100_000
        )
        return [message.movie_id for message in messages], next_page_token


@pytest.mark.parametrize(
    ("length", "size", "pages"), [(0, 3, 1), (2, 3, 1), (3, 3, 1), (4, 3, 2), (6, 3, 2), (7, 3, 3)]
)
async def test_all_entries_come_once(length: int, size: int, pages: int) -> None:
    listed, found, token = Entries(length), list[str](), ""
    for number in range(pages):
        entries, token = await listed.page(size, token)
        assert len(entries) <= size
        assert bool(token) == (number < pages - 1)
        found += entries
    assert found == listed.entries


async def test_an_entry_more_is_asked_for_to_know_the_last_page() -> None:
    listed = Entries(1_000)
    for size, limit in ((0, 51), (1, 2), (200, 201), (201, 201), (2**31 - 1, 201)):
        await listed.page(size, "")
        assert listed.limits[-1] == limit


async def test_the_size_may_change_from_page_to_page() -> None:
    listed = Entries(10)
    first, token = await listed.page(3, "")
    second, token = await listed.page(100, token)
    assert [*first, *second] == listed.entries
    assert token == ""


@pytest.mark.parametrize(
    "token", ["x", "....", encode(("ListCinemas",), ("a",)), encode(QUERY, ("a", "b")), encode(QUERY, ())]
)
async def test_a_token_of_anything_else_is_malformed(token: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await Entries(1).page(1, token)
    assert [each.field for each in raised.value.violations] == ["page_token"]


def test_a_page_holds_no_more_bytes_than_it_may() -> None:
    """Nor less than one entry, however large that is."""
    large = Movie(synopsis="x" * 1_000_000)
    assert len(fitting([large] * 10, Movie.ByteSize, 3_145_728)) == 3
    assert len(fitting([Movie(synopsis="x" * 5_000_000)] * 2, Movie.ByteSize, 3_145_728)) == 1
    assert len(fitting([Movie()] * 200, Movie.ByteSize, 3_145_728)) == 200
    assert list(fitting([], len, 100)) == []


def test_entries_that_do_not_fit_are_not_rendered_but_for_one() -> None:
    rendered = []

    def render(number: int) -> Movie:
        rendered.append(number)
        return Movie(synopsis="x" * 1_000_000)

    assert len(fitting(map(render, range(200)), Movie.ByteSize, 3_145_728)) == 3
    assert rendered == [0, 1, 2, 3]
