"""Reads pages of lists."""

from collections.abc import Sequence
from typing import Any

from google.protobuf.message import Message


def items(page: Message) -> Sequence[Any]:
    """Return the items of a page: in every list they are its first field.

    Raises:
        TypeError: The response is no page of a list.
    """
    if "next_page_token" not in page.DESCRIPTOR.fields_by_name:
        raise TypeError(f"{page.DESCRIPTOR.name} has no pages: call a method whose response has a next_page_token.")
    return getattr(page, page.DESCRIPTOR.fields_by_number[1].name)  # type: ignore[no-any-return]
