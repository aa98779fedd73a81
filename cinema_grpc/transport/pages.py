"""One page of a list: which entries are on it, and where the next one starts."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from google.protobuf.message import Message

from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.transport.page_tokens import decode, encode, page_size

T = TypeVar("T")
M = TypeVar("M", bound=Message)

BYTES_AN_ENTRY = 8
"""What frames each entry of a page, in bytes."""


class ListRequest(Protocol):
    """What every request for a page has."""

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
    """Read a page of a list that runs by the identifiers of its entries.

    Args:
        request: Says which page, and how long.
        query: As query_of returns it; a page token is good for the same query alone.
        read: Reads entries from the one after an identifier on ("" for the first), so many at most. If it returns fewer
            though there may be more, it also returns the identifier to go on after, else "".
        identify: Gives the identifier of an entry.
        render: Writes an entry as a message.
        largest_page: How many bytes the page may have.

    Returns:
        The messages, and the next page's token, empty on the last page.

    Raises:
        InvalidRequest: The page token is none of this query's.
    """
    after = ""
    if request.page_token:
        cursor = decode(query, request.page_token)
        if len(cursor) != 1:
            raise malformed_page_token()
        after = cursor[0]
    size = page_size(request.page_size)
    entries, end = await read(after, size + 1)
    messages = fitting([render(entry) for entry in entries[:size]], lambda message: message.ByteSize(), largest_page)
    if len(messages) == len(entries):
        return messages, encode(query, (end,)) if end else ""
    return messages, encode(query, (identify(entries[len(messages) - 1]),))


def whole(
    read: Callable[[str, int], Awaitable[Sequence[T]]],
) -> Callable[[str, int], Awaitable[tuple[Sequence[T], str]]]:
    """Make what `read_page` takes of a reader that returns fewer entries than asked for only at the end of the list."""

    async def read_whole(after: str, limit: int) -> tuple[Sequence[T], str]:
        return await read(after, limit), ""

    return read_whole


def fitting(entries: Sequence[T], size: Callable[[T], int], room: int) -> Sequence[T]:
    """Return as many entries as fit into so many bytes, but at least one; what is left is on the next page."""
    if sum(map(size, entries)) + BYTES_AN_ENTRY * len(entries) <= room:
        return entries
    for number, entry in enumerate(entries):
        room -= size(entry) + BYTES_AN_ENTRY
        if number and room < 0:
            return entries[:number]
    return entries


def malformed_page_token() -> InvalidRequest:
    """Make the refusal of a page token that is bound to its query but holds no cursor of it."""
    problem = "must be empty or the next_page_token of an answer to the same query"
    return InvalidRequest(FieldViolation("page_token", problem))
