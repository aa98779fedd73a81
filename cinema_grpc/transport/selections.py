"""The seats that a request asks for, as labels or as choices of ticket types."""

from collections.abc import Sequence
from typing import Protocol

from cinema.v1 import booking_service_pb2

from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest


class SeatRequest(Protocol):
    """A request with seats or choices."""

    @property
    def seats(self) -> Sequence[str]:
        """Labels of seats at the default ticket type."""
        ...

    @property
    def choices(self) -> Sequence[booking_service_pb2.SeatChoice]:
        """Seats with their ticket types."""
        ...


def parse_selection(request: SeatRequest, *, wheelchair: bool = False) -> Selection:
    """Return what a request asks for.

    Raises:
        InvalidRequest: It has not exactly one of seats and choices, or a seat twice.
    """
    selection = parse_optional_selection(request, wheelchair=wheelchair)
    if selection is None:
        problem = "must be set: either seats or choices"
        raise InvalidRequest(FieldViolation("seats", problem), FieldViolation("choices", problem))
    return selection


def parse_optional_selection(request: SeatRequest, *, wheelchair: bool = False) -> Selection | None:
    """Return what a request asks for; None if it has neither seats nor choices.

    Raises:
        InvalidRequest: It has both, or a seat twice.
    """
    if request.seats and request.choices:
        raise InvalidRequest(FieldViolation("choices", "must not be set together with seats"))
    if request.seats:
        return Selection(tuple(request.seats), wheelchair=wheelchair)
    if not request.choices:
        return None
    labels = [choice.seat for choice in request.choices]
    if violations := [
        FieldViolation(f"choices[{number}].seat", f"must be unique: choices[{labels.index(label)}] names {label} too")
        for number, label in enumerate(labels)
        if labels.index(label) != number
    ]:
        raise InvalidRequest(*violations)
    return Selection(tuple(labels), tuple(choice.ticket_type for choice in request.choices), wheelchair)
