"""Reads pages of lists."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any

from google.protobuf.message import Message


def items(method: Callable[[Any], Any], request: Message) -> Iterator[Any]:
    """Return the items of all pages."""
    page: Any = type(request)()
    page.CopyFrom(request)
    while True:
        response = method(page)
        yield from _items(response)
        page.page_token = response.next_page_token
        if not page.page_token:
            return


async def async_items(method: Callable[[Any], Awaitable[Any]], request: Message) -> AsyncIterator[Any]:
    """Return the items of all pages."""
    page: Any = type(request)()
    page.CopyFrom(request)
    while True:
        response = await method(page)
        for item in _items(response):
            yield item
        page.page_token = response.next_page_token
        if not page.page_token:
            return


def _items(response: Message) -> Sequence[Any]:
    """Return the items of a page: in every list they are its first field."""
    if "next_page_token" not in response.DESCRIPTOR.fields_by_name:
        raise TypeError(f"{response.DESCRIPTOR.name} is no page of a list: it has no next_page_token.")
    items: Sequence[Any] = getattr(response, response.DESCRIPTOR.fields_by_number[1].name)
    return items
