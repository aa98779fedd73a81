"""Pages of a list: their entries, and the token of the next page."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from cinema_grpc.transport.page_tokens import decode, encode, malformed_page_token, page_size

T = TypeVar("T")
M = TypeVar("M", bound=Message)

BYTES_AN_ENTRY = 8
"""Overhead of each entry of a page."""


class ListRequest(Protocol):
    """A request for a page."""

    page_size: int
    page_token: str


async def read_page(
    request: ListRequest,
    query: Sequence[str],
    read: Callable[[str, int], Awaitable[tuple[Sequence[T], str]]],
    identify: Callable[[T], str],
    render: Callable[[T], M],
    largest_page: int,
) -> tuple[Sequence[M], str]:
    """Return a page of a list in the order of its identifiers.

    Args:
        request: The request for the page.
        query: The query, as `query_of` returns it.
        read: Returns the entries after an identifier ("" for the first entries), up to a limit. If it returns fewer
            although there may be more, it also returns the identifier to go on after, else "".
        identify: Returns the identifier of an entry.
        render: Returns the message of an entry.
        largest_page: Maximum size of the page in bytes.

    Returns:
        The messages, and the token of the next page, empty on the last page.

    Raises:
        InvalidRequest: The page token does not belong to this query.
    """
    after = ""
    if request.page_token:
        cursor = decode(query, request.page_token)
        if len(cursor) != 1 or not cursor[0] or "\0" in cursor[0]:
            raise malformed_page_token()
        after = cursor[0]
    size = page_size(request.page_size)
    entries, end = await read(after, size + 1)
    messages = fitting(map(render, entries[:size]), lambda message: message.ByteSize(), largest_page)
    if len(messages) == len(entries):
        return messages, encode(query, (end,)) if end else ""
    return messages, encode(query, (identify(entries[len(messages) - 1]),))


def whole(
    read: Callable[[str, int], Awaitable[Sequence[T]]],
) -> Callable[[str, int], Awaitable[tuple[Sequence[T], str]]]:
    """Adapt a reader for `read_page` that returns fewer entries than the limit only at the end of the list."""

    async def read_whole(after: str, limit: int) -> tuple[Sequence[T], str]:
        return await read(after, limit), ""

    return read_whole


def fitting(entries: Iterable[T], size: Callable[[T], int], room: int) -> list[T]:
    """Return as many of the first entries as fit into `room` bytes, but at least one; take at most one more."""
    kept: list[T] = []
    for entry in entries:
        room -= size(entry) + BYTES_AN_ENTRY
        if kept and room < 0:
            break
        kept.append(entry)
    return kept
