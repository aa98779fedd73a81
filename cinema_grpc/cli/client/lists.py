"""Reads lists, and says whether more follow."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from cinema_grpc.cli.client.session import Session

Listed = TypeVar("Listed")


def read_list(method: Callable[[Any], Listed], request: Any, limit: int) -> Listed:
    """Return the first items of a list in one message. Its next_page_token is that of what follows, "" at the end.

    Args:
        method: Lists a page. In every list the items are the first field.
        request: The first request; its fields for pages are set here.
        limit: How many items to read at most.
    """
    request.page_size = limit
    listed: Any = method(request)
    items = getattr(listed, listed.DESCRIPTOR.fields_by_number[1].name)
    while listed.next_page_token and len(items) < limit:
        request.page_token, request.page_size = listed.next_page_token, limit - len(items)
        page: Any = method(request)
        listed.MergeFrom(page)
        listed.next_page_token = page.next_page_token
    whole: Listed = listed
    return whole


def show_list(session: "Session", listed: Any, draw: Any) -> None:
    """Write a list as --output says; see `output.show`. Text says if more follow, JSON has its next_page_token."""
    session.show(listed, draw)
    if session.output == "text" and listed.next_page_token:
        say_that_more_follow()


def say_that_more_follow() -> None:
    """Say on standard error that a list is not whole."""
    click.echo("cinema: more follow; use --limit", err=True)
