"""The messages of parties that want seats, and of the options for them."""

from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb

from cinema_grpc.application.seat_suggestions import PricedOption
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest
from cinema_grpc.domain.seat_groups import Party
from cinema_grpc.domain.suggestions import OptionReason
from cinema_grpc.transport.rendering import render_money

DEFAULT_OPTIONS = 5
"""How many options there are at most if a request does not say."""
_REASONS = {each: showtime_pb2.SeatOptionReason.Value(f"SEAT_OPTION_REASON_{each.name}") for each in OptionReason}


def parse_party(request: pb.SuggestSeatsRequest) -> Party:
    """Return who wants seats.

    Raises:
        InvalidRequest: More of the party need a wheelchair space than there are people.
    """
    if 0 < request.party_size < request.wheelchair_spaces:
        problem = f"must be at most party_size, {request.party_size}"
        raise InvalidRequest(FieldViolation("wheelchair_spaces", problem))
    categories = frozenset(request.categories) or None
    return Party(request.party_size, request.wheelchair_spaces, categories, categories)


def render_option(priced: PricedOption) -> showtime_pb2.SeatOption:
    """Write an option."""
    return showtime_pb2.SeatOption(
        seats=priced.seats,
        together=priced.option.together,
        total_price=render_money(priced.total_price),
        reasons=[_REASONS[each] for each in priced.option.reasons],
        centre_offset=priced.option.centre_offset,
        row_offset=priced.option.row_offset,
    )
