"""The terms of showtimes as rows: reading them whole, and writing what has changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from cinema_grpc.adapters.database.column_types import (
    from_json,
    microseconds,
    moment,
    optional_microseconds,
    optional_moment,
    to_json,
)
from cinema_grpc.adapters.database.price_lists import price_list
from cinema_grpc.adapters.database.price_lists import to_text as prices_to_text
from cinema_grpc.adapters.database.seat_plans import seat_plan
from cinema_grpc.adapters.database.statements import NewRow
from cinema_grpc.domain.terms import Move, SeatBlock, SeatBlockKind, SeatGapPolicy, ShowtimeStatus, Terms


def read_terms(row: Sequence[Any]) -> Terms:
    """Return the terms of a row, as `sql/` loads them."""
    (
        showtime_id,
        auditorium_id,
        status,
        start_time,
        end_time,
        cancel_time,
        cancel_reason,
        moves,
        currency_code,
        prices,
        seat_gap_policy,
        rows,
        areas,
        wheelchair_spaces,
        blocks,
    ) = row
    return Terms(
        showtime_id=showtime_id,
        auditorium_id=auditorium_id,
        start_time=moment(start_time),
        end_time=moment(end_time),
        prices=price_list(currency_code, prices),
        seat_gap_policy=SeatGapPolicy(seat_gap_policy),
        seat_plan=seat_plan(rows, areas, wheelchair_spaces),  # cached; its `positions` takes labels
        status=ShowtimeStatus(status),
        cancel_time=optional_moment(cancel_time),
        cancel_reason=cancel_reason or "",
        moves=read_moves(moves),
        blocks=tuple(
            sorted(map(_read_block, from_json(blocks)), key=lambda block: (block.create_time, block.block_id))
        ),
    )


def read_moves(text: Any) -> tuple[Move, ...]:
    """Return the moves of a column of JSON."""
    return tuple(Move(moment(time), moment(start_time)) for time, start_time in from_json(text))


def _read_block(row: Sequence[Any]) -> SeatBlock:
    block_id, kind, seats, reason, release_time, create_time, created_by = row
    return SeatBlock(
        block_id,
        SeatBlockKind(kind),
        tuple(from_json(seats)),
        reason,
        optional_moment(release_time),
        moment(create_time),
        created_by,
    )


def add_terms(rows: Mapping[str, list[NewRow]], before: Terms, after: Terms, revision: int) -> None:
    """Add the rows that change a showtime's terms at a revision, by their names in `sql/`."""
    moves = [[microseconds(move.time), microseconds(move.start_time)] for move in after.moves]
    rows["changed_terms"].append(
        {
            "showtime_id": after.showtime_id,
            "status": after.status.value,
            "cancel_time": optional_microseconds(after.cancel_time),
            "cancel_reason": after.cancel_reason or None,
            "start_time": microseconds(after.start_time),
            "end_time": microseconds(after.end_time),
            "moves": to_json(moves) if moves else None,
            "prices": prices_to_text(after.prices),
            "seat_gap_policy": after.seat_gap_policy.value,
            "terms_revision": revision,
        }
    )
    older = {block.block_id: block for block in before.blocks}
    newer = {block.block_id: block for block in after.blocks}
    rows["dropped_blocks"].extend({"block_id": block_id} for block_id in older.keys() - newer.keys())
    for block in after.blocks:
        if block.block_id not in older:
            rows["blocks"].append(_block_row(block, after.showtime_id))
        elif block != older[block.block_id]:
            rows["changed_blocks"].append({"block_id": block.block_id, **_seats_of(block)})
    kept, keeps = _claims(before), _claims(after)
    rows["released_claims"].extend(_claim_rows(kept - keeps, after.showtime_id))
    rows["claims"].extend(_claim_rows(keeps - kept, after.showtime_id))


def _claims(terms: Terms) -> set[tuple[str, str]]:
    return {(seat, block.block_id) for block in terms.blocks for seat in block.seats}


def _claim_rows(claims: set[tuple[str, str]], showtime_id: str) -> list[NewRow]:
    return [
        {"showtime_id": showtime_id, "seat": seat, "booking_id": None, "block_id": block_id}
        for seat, block_id in claims
    ]


def _seats_of(block: SeatBlock) -> NewRow:
    return {"seats": to_json(block.seats), "seat_count": len(block.seats)}


def _block_row(block: SeatBlock, showtime_id: str) -> NewRow:
    return {
        "block_id": block.block_id,
        "showtime_id": showtime_id,
        "kind": block.kind.value,
        "reason": block.reason,
        **_seats_of(block),
        "release_time": optional_microseconds(block.release_time),
        "create_time": microseconds(block.create_time),
        "created_by": block.created_by,
    }
