"""The messages of what staff change about showtimes: seat blocks and impacts."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from cinema.v1 import showtime_pb2
from cinema.v1 import showtime_service_pb2 as pb

from cinema_grpc.application.scheduling import WantedBlock
from cinema_grpc.domain.catalog import ListedShowtime
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, violations_of
from cinema_grpc.domain.pricing import PriceList, price_violations
from cinema_grpc.domain.showtime_changes import Impact, ShowtimeChanges, block_violations
from cinema_grpc.domain.terms import SeatBlock, SeatBlockKind
from cinema_grpc.domain.text import NAME, clean
from cinema_grpc.transport.parsing import (
    parse_changes,
    parse_moment,
    parse_price_lines,
    parse_seat_gap_policy,
)
from cinema_grpc.transport.rendering import render_moment, render_money, render_showtime

CHANGEABLE = {"start_time": True, "prices": True, "seat_gap_policy": False}
"""The fields that UpdateShowtime can change, and whether each must be set if update_mask names it."""
KINDS = {each: showtime_pb2.SeatBlockKind.Value(f"SEAT_BLOCK_KIND_{each.name}") for each in SeatBlockKind}
_KINDS = {value: kind for kind, value in KINDS.items()}


def parse_block(request: pb.SetSeatBlocksRequest) -> WantedBlock | None:
    """Return the seats to block; None for none.

    Raises:
        InvalidRequest: See `seat_block_violations`.
    """
    if violations := seat_block_violations(request):
        raise InvalidRequest(*violations)
    if not request.HasField("block"):
        return None
    block, release_time = request.block, None
    if block.HasField("release_time"):
        release_time = parse_moment(block.release_time, "block.release_time")
    return WantedBlock(tuple(block.seats), _KINDS[block.kind], block.reason, release_time)


def seat_block_violations(request: pb.SetSeatBlocksRequest) -> list[FieldViolation]:
    """Return which rules a request breaks that the protos can't express; accepts any request.

    There must be something to block or to release, no seat in both lists, a well-formed time and a visible reason.
    """
    if not request.HasField("block"):
        return [] if request.release else [FieldViolation("block", "must be set, or release must name seats")]
    block, field = request.block, "block.release_time"
    violations = block_violations(block.seats, request.release)
    if block.HasField("release_time"):
        violations += violations_of(lambda: parse_moment(block.release_time, field))
    if (problem := NAME.problem(block.reason)) is not None:
        violations.append(FieldViolation("block.reason", problem))
    return violations


def parse_showtime_changes(request: pb.UpdateShowtimeRequest) -> ShowtimeChanges:
    """Return what is to be changed.

    Raises:
        InvalidRequest: The update_mask names no field, or one that can't change, or a value is malformed.
    """
    named = parse_changes(request, CHANGEABLE)
    return ShowtimeChanges(
        start_time=parse_moment(request.start_time, "start_time") if "start_time" in named else None,
        prices=_parse_prices(request) if "prices" in named else None,
        seat_gap_policy=parse_seat_gap_policy(request.seat_gap_policy) if "seat_gap_policy" in named else None,
    )


def _parse_prices(request: pb.UpdateShowtimeRequest) -> PriceList:
    lines = [replace(line, proof=clean(line.proof)) for line in parse_price_lines(request.prices)]
    if violations := price_violations(lines, ()):
        raise InvalidRequest(*violations)
    return PriceList(lines)


def render_block(block: SeatBlock) -> showtime_pb2.SeatBlock:
    """Write a block."""
    return showtime_pb2.SeatBlock(
        seats=block.seats,
        kind=KINDS[block.kind],
        reason=block.reason,
        release_time=None if block.release_time is None else render_moment(block.release_time),
        create_time=render_moment(block.create_time),
        created_by=block.created_by,
    )


def encode_blocks(showtime: ListedShowtime, blocks: Sequence[SeatBlock]) -> bytes:
    """Return the response to SetSeatBlocks."""
    response = pb.SetSeatBlocksResponse(showtime=render_showtime(showtime), blocks=map(render_block, blocks))
    return response.SerializeToString()


def encode_impact(
    response_type: type[pb.CancelShowtimeResponse] | type[pb.UpdateShowtimeResponse],
) -> Callable[[ListedShowtime, Impact], bytes]:
    """Return a function that makes a response of a showtime and an impact."""

    def encode(showtime: ListedShowtime, impact: Impact) -> bytes:
        response = response_type(showtime=render_showtime(showtime), impact=_render_impact(impact))
        return response.SerializeToString()

    return encode


def _render_impact(impact: Impact) -> showtime_pb2.Impact:
    return showtime_pb2.Impact(
        confirmed_bookings=impact.confirmed_bookings,
        reserved_bookings=impact.reserved_bookings,
        payments_in_progress=impact.payments_in_progress,
        seats=impact.seats,
        redeemed_tickets=impact.redeemed_tickets,
        refund_total=render_money(impact.refund_total),
    )
