"""The seats that a request asks for: as labels, as choices of ticket types, or the best ones for a party."""

from collections.abc import Sequence
from typing import Protocol

from cinema.v1 import booking_service_pb2

from cinema_grpc.domain.claims import BestSeats, Selection
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, violations_of


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


def parse_claim(request: booking_service_pb2.CreateBookingRequest) -> Selection | BestSeats:
    """Return what a request for a booking asks for.

    Raises:
        InvalidRequest: It has none of seats, choices and best, or breaks a rule of `claim_violations`.
    """
    if not request.HasField("best"):
        return parse_selection(request, wheelchair=request.wheelchair)
    if violations := claim_violations(request):
        raise InvalidRequest(*violations)
    best = request.best
    return BestSeats(
        tuple(best.ticket_types), frozenset(best.categories), best.wheelchair_spaces, allow_split=best.allow_split
    )


def claim_violations(request: booking_service_pb2.CreateBookingRequest) -> list[FieldViolation]:
    """Return which rules a request for a booking breaks that the protos can't express; accepts any request.

    No seat stands in two choices. At most all people of a party need a wheelchair space, and at least one if
    `wheelchair` says so.
    """
    if not request.HasField("best"):
        return violations_of(lambda: parse_optional_selection(request))
    field, people, spaces = "best.wheelchair_spaces", len(request.best.ticket_types), request.best.wheelchair_spaces
    if people and spaces > people:
        return [FieldViolation(field, f"must be at most the number of ticket_types, {people}")]
    if request.wheelchair and not spaces:
        return [FieldViolation(field, "must be at least 1, since wheelchair is set")]
    return []


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
