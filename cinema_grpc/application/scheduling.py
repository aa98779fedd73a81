"""What staff change about showtimes: seat blocks, start, prices, cancellation; each with a preview that binds.

A preview works on a copy of the committed showtime and changes nothing. Its revision, sent as the expected one, makes
the execution do what the preview showed, or fail.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import uuid_utils

from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.box_office.preview import Preview
from cinema_grpc.application.box_office.store import StorageContention
from cinema_grpc.application.catalog_rules import PriceRule, any_price, provider_violations
from cinema_grpc.application.errors import StorageUnavailable
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.listings import Listings, with_state
from cinema_grpc.domain.catalog import LONGEST_RUNTIME, TIME_BETWEEN_SHOWTIMES, ListedShowtime
from cinema_grpc.domain.errors import InvalidRequest, ShowtimeNotFound
from cinema_grpc.domain.showtime_changes import (
    Impact,
    ShowtimeChanges,
    cancel_showtime,
    set_seat_blocks,
    update_showtime,
)
from cinema_grpc.domain.terms import SeatBlock, SeatBlockKind
from cinema_grpc.domain.text import clean

LONGEST_WAIT_FOR_AUDITORIUM = 6.0
"""Seconds after which a move fails whose auditorium another transaction keeps locked, such as an import's."""
SECONDS_BETWEEN_TRIES = 0.05


@dataclass(frozen=True, slots=True)
class Execution:
    """How a change is to be made.

    Attributes:
        staff: The user_id of the caller.
        call: For repeats; None for none.
        validate_only: Only show what it would do.
        expected_revision: The revision that the showtime must have; 0 for any.
    """

    staff: str
    call: IdempotentCall | None = None
    validate_only: bool = False
    expected_revision: int = 0


@dataclass(frozen=True, slots=True)
class WantedBlock:
    """Seats to block."""

    seats: Sequence[str]
    kind: SeatBlockKind
    reason: str
    release_time: datetime | None


class Scheduling:
    """Changes showtimes. Every method may raise StorageUnavailable.

    `encode` returns the response from the showtime after the change (with `validate_only`, before it), and from what
    the method says.
    """

    def __init__(
        self,
        box_office: BoxOffice,
        preview: Preview,
        listings: Listings,
        hold_for: timedelta,
        price_rule: PriceRule = any_price,
    ) -> None:
        """Set up.

        Args:
            box_office: Makes changes.
            preview: Applies commands to copies.
            listings: Knows showtimes with their names.
            hold_for: How long a hold lasts.
            price_rule: That of the payment provider.
        """
        self._box_office = box_office
        self._preview = preview
        self._listings = listings
        self._hold_for = hold_for
        self._price_rule = price_rule

    async def set_blocks(
        self,
        showtime_id: str,
        block: WantedBlock | None,
        release: Sequence[str],
        execution: Execution,
        encode: Callable[[ListedShowtime, Sequence[SeatBlock]], bytes],
    ) -> bytes:
        """Block seats and release blocked ones; `encode` gets all blocks that stand then.

        Raises:
            ShowtimeNotFound, and what showtime_changes.set_seat_blocks raises.
        """
        listed, block_id = await self._listed(showtime_id), str(uuid_utils.uuid7())

        def change(decision: Decision) -> bytes:
            new = None
            if block is not None:
                seats, reason = tuple(block.seats), clean(block.reason)
                new = SeatBlock(block_id, block.kind, seats, reason, block.release_time, decision.now, execution.staff)
            before = _as_decided(listed, decision) if execution.validate_only else None
            blocks = set_seat_blocks(decision.showtime, new, release, decision.now)
            return encode(before or _as_decided(listed, decision), blocks)

        return await self._run(Command(showtime_id, change, execution.staff, idempotency=execution.call), execution)

    async def blocks(self, showtime_id: str) -> list[SeatBlock]:
        """Return the blocks of a showtime that stand now, oldest first.

        Raises:
            ShowtimeNotFound.
        """

        def read(decision: Decision) -> list[SeatBlock]:
            return [block for block in decision.showtime.terms.blocks if not block.lapsed(decision.now)]

        return await self._preview.run(Command(showtime_id, read))

    async def cancel(
        self,
        showtime_id: str,
        reason: str,
        execution: Execution,
        encode: Callable[[ListedShowtime, Impact], bytes],
    ) -> bytes:
        """Cancel a showtime and its bookings.

        Raises:
            ShowtimeNotFound, ShowtimeChanged, and what showtime_changes.cancel_showtime raises.
        """
        listed, why = await self._listed(showtime_id), clean(reason)

        def change(decision: Decision) -> bytes:
            decision.showtime.terms.check_running(decision.now)  # which a changed revision must not hide
            decision.check_revision(execution.expected_revision)
            before = _as_decided(listed, decision) if execution.validate_only else None
            impact = cancel_showtime(decision.showtime, why, _new_id, decision.now)
            return encode(before or _as_decided(listed, decision), impact)

        return await self._run(Command(showtime_id, change, execution.staff, idempotency=execution.call), execution)

    async def update(
        self,
        showtime_id: str,
        changes: ShowtimeChanges,
        execution: Execution,
        encode: Callable[[ListedShowtime, Impact], bytes],
    ) -> bytes:
        """Change a showtime's start, prices or gap policy.

        Raises:
            InvalidRequest: The payment provider can't charge a price.
            ShowtimeNotFound, ShowtimeChanged, and what showtime_changes.update_showtime raises.
        """
        lines = () if changes.prices is None else changes.prices.lines
        if violations := provider_violations(lines, self._price_rule):
            raise InvalidRequest(*violations)
        listed = await self._listed(showtime_id)
        slots_within = None if changes.start_time is None else _time_of_neighbours(changes.start_time)

        def change(decision: Decision) -> bytes:
            decision.showtime.terms.check_running(decision.now)  # which a changed revision must not hide
            decision.check_revision(execution.expected_revision)
            before = _as_decided(listed, decision) if execution.validate_only else None
            impact = update_showtime(decision.showtime, changes, decision.slots, self._hold_for, decision.now)
            return encode(before or _as_decided(listed, decision), impact)

        command = Command(showtime_id, change, execution.staff, slots_within=slots_within, idempotency=execution.call)
        return await self._run(command, execution)

    async def _run(self, command: Command[bytes], execution: Execution) -> bytes:
        if execution.validate_only:
            return await self._preview.run(command)
        loop, latest = asyncio.get_running_loop(), math.inf
        while True:
            try:
                return await self._box_office.execute(command)
            except StorageContention as contention:
                if loop.time() > latest:
                    raise StorageUnavailable from contention
                latest = min(latest, loop.time() + LONGEST_WAIT_FOR_AUDITORIUM)
            await asyncio.sleep(SECONDS_BETWEEN_TRIES)

    async def _listed(self, showtime_id: str) -> ListedShowtime:
        listed = await self._listings.listed(showtime_id)
        if listed is None:
            raise ShowtimeNotFound(showtime_id)
        return listed


def _as_decided(listed: ListedShowtime, decision: Decision) -> ListedShowtime:
    showtime = decision.showtime
    return with_state(listed, showtime.terms, showtime.seats(decision.now), decision.revision)


def _time_of_neighbours(start_time: datetime) -> tuple[datetime, datetime] | None:
    """Return the time in which others can overlap a showtime with this start; None if no showtime can start then."""
    try:
        return start_time - TIME_BETWEEN_SHOWTIMES, start_time + LONGEST_RUNTIME + TIME_BETWEEN_SHOWTIMES
    except OverflowError:  # at the ends of the years 1 to 9999
        return None


def _new_id() -> str:
    return str(uuid_utils.uuid7())
