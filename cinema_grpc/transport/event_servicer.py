"""cinema.v1.EventService: what happened, for other services."""
# ruff: noqa: N802 (the names are those of the protos)

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import TypeVar

from cinema.v1 import event_pb2, event_service_pb2_grpc
from cinema.v1 import event_service_pb2 as pb

from cinema_grpc.application.event_ports import Event, EventFilter, EventPage
from cinema_grpc.application.events import EventFeed
from cinema_grpc.domain.events import EventType
from cinema_grpc.transport.call import Call, current_call
from cinema_grpc.transport.page_tokens import page_size
from cinema_grpc.transport.pages import fitting
from cinema_grpc.transport.rendering import render_moment, render_money

R = TypeVar("R", pb.ListEventsResponse, pb.WatchEventsResponse)

EVENT_TYPES = {each: event_pb2.EventType.Value(f"EVENT_TYPE_{each.name}") for each in EventType}
_WANTED_TYPES = {number: each for each, number in EVENT_TYPES.items()}


class EventServicer(event_service_pb2_grpc.EventServiceServicer):
    """Answers the calls of the EventService."""

    def __init__(self, feed: EventFeed, check_again: Callable[[Call], Awaitable[None]], largest_page: int) -> None:
        """Set up.

        Args:
            feed: The event feed.
            check_again: Checks that the caller of a stream may still call.
            largest_page: Maximum size of a response in bytes.
        """
        self._feed = feed
        self._check_again = check_again
        self._largest_page = largest_page

    async def ListEvents(self, request: pb.ListEventsRequest, _context: object) -> pb.ListEventsResponse:
        """Return a page of events."""
        page = await self._feed.read(_filter(request), request.after_position, page_size(request.page_size))
        return self._render(pb.ListEventsResponse, page)

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, _context: object
    ) -> AsyncIterator[pb.WatchEventsResponse]:
        """Send pages of events, now and as they come."""
        check, size = partial(self._check_again, current_call.get()), page_size(request.page_size)
        async with aclosing(self._feed.watch(_filter(request), request.after_position, size, check)) as pages:
            async for page in pages:
                while True:
                    response = self._render(pb.WatchEventsResponse, page)
                    yield response
                    if response.next_position == page.next_position:
                        break
                    page = page.after(response.next_position)  # noqa: PLW2901 (the rest of it)

    def _render(self, response_type: type[R], page: EventPage) -> R:
        kept = fitting(map(_render_event, page.events), lambda event: event.ByteSize(), self._largest_page)
        return response_type(
            events=kept,
            next_position=page.next_position if len(kept) == len(page.events) else kept[-1].position,
            earliest_position=page.earliest_position,
            latest_position=page.latest_position,
        )


def _filter(request: pb.ListEventsRequest | pb.WatchEventsRequest) -> EventFilter:
    types = tuple(_WANTED_TYPES[each] for each in request.types)
    return EventFilter(types, request.showtime_id, request.cinema_id, request.booking_id)


def _render_event(event: Event) -> event_pb2.Event:
    return event_pb2.Event(
        position=event.position,
        event_id=event.event_id,
        type=EVENT_TYPES[event.type],
        time=render_moment(event.time),
        showtime_id=event.showtime_id,
        cinema_id=event.cinema_id,
        revision=event.revision,
        booking_id=event.booking_id,
        user_id=event.user_id,
        seats=event.seats,
        amount=None if event.amount is None else render_money(event.amount),
        refund_id=event.refund_id,
        ticket_id=event.ticket_id,
        last_of_change=event.last_of_change,
    )
