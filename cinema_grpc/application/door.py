"""The door: redeeming tickets, reversing that, recording what doors did while they were offline, and the door's list.

Each redemption is a command of the box office, so it is ordered with cancellations: a seat is redeemed or cancelled by
its customer, never both.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import uuid_utils

from cinema_grpc.application.box_office.box_office import BoxOffice
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.box_office.preview import Preview
from cinema_grpc.application.door_ports import IssuedTicket, ListedTickets, Place, TicketReader
from cinema_grpc.application.idempotency import IdempotentCall
from cinema_grpc.application.ports import BookingReader
from cinema_grpc.application.tickets import TicketCodes
from cinema_grpc.domain.booking_errors import NotBookingOwner
from cinema_grpc.domain.door import (
    DoorTicket,
    RecordOutcome,
    check_redeemable,
    door_ticket,
    door_tickets,
    record_redemptions,
    with_redemption_reversed,
    with_ticket_redeemed,
)
from cinema_grpc.domain.errors import BookingNotFound, ShowtimeNotFound
from cinema_grpc.domain.showtime import Showtime
from cinema_grpc.domain.text import clean
from cinema_grpc.domain.ticket import Redemption, Reversal
from cinema_grpc.domain.ticket_errors import CodeNotFound, TicketForged, TicketNotFound, TicketWrongShowtime


@dataclass(frozen=True, slots=True)
class Visit:
    """A ticket that is shown at a gate: by its code, or by its identifier if the code is "".

    Attributes:
        staff: The user_id of the caller.
        showtime_id: The showtime that the gate admits to.
    """

    staff: str
    showtime_id: str
    gate: str
    code: str = ""
    ticket_id: str = ""


@dataclass(frozen=True, slots=True)
class OfflineRedemption:
    """Someone whom a door let in while it was offline."""

    code: str
    redeem_time: datetime
    gate: str


@dataclass(frozen=True, slots=True)
class RecordedRedemption:
    """What became of a redemption that was recorded.

    Attributes:
        shown: The ticket, once all of the request's redemptions with its booking are recorded.
        kept: The redemption as it is kept.
    """

    outcome: RecordOutcome
    shown: DoorTicket
    kept: Redemption


EncodeTicket = Callable[[DoorTicket, Redemption | None], bytes]
EncodeRecorded = Callable[[Sequence[RecordedRedemption]], bytes]


class Door:
    """Lets people in."""

    def __init__(
        self,
        box_office: BoxOffice,
        preview: Preview,
        reader: TicketReader,
        bookings: BookingReader,
        codes: TicketCodes,
    ) -> None:
        """Set up.

        Args:
            box_office: Makes changes.
            preview: Applies commands to copies.
            reader: Reads tickets.
            bookings: Reads bookings.
            codes: Checks codes.
        """
        self._box_office = box_office
        self._preview = preview
        self._reader = reader
        self._bookings = bookings
        self.codes = codes

    async def code(self, user_id: str, booking_id: str, ticket_id: str, *, is_staff: bool) -> tuple[str, str]:
        """Return the code of a ticket and the user_id of its owner, for that user or for staff.

        Raises:
            BookingNotFound, NotBookingOwner, TicketNotFound.
        """
        found = await self._bookings.find(booking_id)
        if found is None:
            raise BookingNotFound(booking_id)
        if found.booking.user_id != user_id and not is_staff:
            raise NotBookingOwner(booking_id)
        return door_ticket(found.booking, ticket_id).ticket.code, found.booking.user_id

    async def redeem(self, visit: Visit, call: IdempotentCall | None, encode: EncodeTicket) -> bytes:
        """Redeem a ticket, and return the response, or the stored one for a repeated call.

        Raises:
            TicketForged, TicketNotFound, TicketWrongShowtime, and what door.check_redeemable raises.
        """
        redemption_id = str(uuid_utils.uuid7())

        def redeem(decision: Decision, issued: IssuedTicket) -> bytes:
            showtime, now = decision.showtime, decision.now
            redemption = Redemption(redemption_id, issued.ticket_id, visit.gate, now, visit.staff, now)
            booking = showtime.update(issued.booking_id, with_ticket_redeemed, showtime.terms, redemption, now)
            return encode(door_ticket(booking, issued.ticket_id), redemption)

        named = self.codes.seat_of(visit.code)
        if named is not None and named[0] == visit.showtime_id:
            seat = named[1]
            # A ticket whose booking keeps its seat needs no search: of RedeemTicket's CPU time, that is a tenth. The
            # whole code is compared with the stored one, so its signature need not be checked.
            with suppress(CodeNotFound, ShowtimeNotFound):
                return await self._box_office.execute(
                    Command(
                        visit.showtime_id,
                        lambda decision: redeem(decision, _at_seat(decision.showtime, seat, visit.code)),
                        visit.staff,
                        idempotency=call,
                    )
                )
        found = await self._shown(visit)
        command = _command(found, lambda decision: redeem(decision, found), visit.staff, call)
        return await self._box_office.execute(command)

    async def check(self, visit: Visit, encode: EncodeTicket) -> bytes:
        """Return what `redeem` would if it changed nothing.

        Raises:
            What `redeem` raises.
        """
        issued = await self._shown(visit)

        def check(decision: Decision) -> bytes:
            shown = door_ticket(decision.showtime.booking(issued.booking_id), issued.ticket_id)
            check_redeemable(shown, decision.showtime.terms, decision.now)
            return encode(shown, None)

        return await self._preview.run(_command(issued, check, visit.staff))

    async def reverse(
        self, staff: str, ticket_id: str, reason: str, call: IdempotentCall | None, encode: EncodeTicket
    ) -> bytes:
        """Reverse the redemption of a ticket, and return the response, or the stored one for a repeated call.

        Raises:
            TicketNotFound, TicketNotRedeemed.
        """
        issued = await self._reader.by_id(ticket_id)
        if issued is None:
            raise TicketNotFound(ticket_id)

        def change(decision: Decision) -> bytes:
            reversal = Reversal(staff, decision.now, clean(reason))
            booking = decision.showtime.update(issued.booking_id, with_redemption_reversed, ticket_id, reversal)
            return encode(door_ticket(booking, ticket_id), None)

        return await self._box_office.execute(_command(issued, change, staff, call))

    async def record(
        self,
        staff: str,
        reported: Sequence[OfflineRedemption],
        call: IdempotentCall | None,
        encode: EncodeRecorded,
    ) -> AsyncIterator[tuple[list[int], bytes]]:
        """Record whom doors let in while they were offline.

        Each booking has a command of its own, with a stored response of its own. If some fail, the others are recorded.

        Yields:
            For each booking, the numbers of the redemptions, and the response for these. Redemptions whose ticket is
            not known are left out.

        Raises:
            What the box office raises, after all that was recorded.
        """
        codes = list(dict.fromkeys(each.code for each in reported))
        found = dict(zip(codes, await asyncio.gather(*map(self._reader.by_code, codes)), strict=True))
        groups: dict[str, _Group] = {}
        for number, each in enumerate(reported):
            issued = found[each.code]
            if issued is not None:
                groups.setdefault(issued.booking_id, []).append((number, issued, each))
        first, *others = groups.values() or [[]]
        # The first one is under the key of the call itself, so it finds whether that was used for another request.
        if first:
            yield await self._record(staff, first, call, encode)
        tasks = [self._record(staff, group, _part(call, group), encode) for group in others]
        failures = []
        for recorded in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(recorded, BaseException):
                failures.append(recorded)
            else:
                yield recorded
        if failures:
            raise failures[0]

    async def _record(
        self, staff: str, group: "_Group", call: IdempotentCall | None, encode: EncodeRecorded
    ) -> tuple[list[int], bytes]:
        redemption_ids = [str(uuid_utils.uuid7()) for _ in group]

        def change(decision: Decision) -> bytes:
            reported = [
                Redemption(redemption_id, issued.ticket_id, each.gate, each.redeem_time, staff, decision.now)
                for redemption_id, (_, issued, each) in zip(redemption_ids, group, strict=True)
            ]
            booking, recorded = record_redemptions(decision.showtime.booking(group[0][1].booking_id), reported)
            shown = {each.ticket.ticket_id: each for each in door_tickets(decision.showtime.put(booking))}
            return encode([RecordedRedemption(outcome, shown[kept.ticket_id], kept) for outcome, kept in recorded])

        command = _command(group[0][1], change, staff, call)
        return [number for number, *_ in group], await self._box_office.execute(command)

    async def tickets(self, showtime_id: str, after: Place, limit: int) -> ListedTickets:
        """Return the tickets of a showtime after a place in the door's list, void ones included.

        Raises:
            ShowtimeNotFound.
        """
        listed = await self._reader.changed(showtime_id, after, limit)
        if listed is None:
            raise ShowtimeNotFound(showtime_id)
        return listed

    async def _shown(self, visit: Visit) -> IssuedTicket:
        """Return the ticket that is shown at a gate.

        Raises:
            TicketForged, TicketNotFound, TicketWrongShowtime.
        """
        issued = await (self._reader.by_code(visit.code) if visit.code else self._reader.by_id(visit.ticket_id))
        if issued is None and not visit.code:
            raise TicketNotFound(visit.ticket_id)
        if issued is None:
            raise CodeNotFound if self.codes.is_genuine(visit.code) else TicketForged
        if issued.showtime_id != visit.showtime_id:
            raise TicketWrongShowtime(issued.ticket_id, issued.showtime_id)
        return issued


_Group = list[tuple[int, IssuedTicket, OfflineRedemption]]
"""Redemptions of the tickets of one booking, with their numbers in the request."""


def _at_seat(showtime: Showtime, seat: str, code: str) -> IssuedTicket:
    """Return the ticket with a code, of the booking that keeps a seat.

    Raises:
        CodeNotFound.
    """
    booking = showtime.booking_of(seat)
    if booking is not None:
        for ticket in booking.tickets:
            if ticket.code == code:
                return IssuedTicket(ticket.ticket_id, booking.booking_id, booking.showtime_id)
    raise CodeNotFound


def _command(
    issued: IssuedTicket, change: Callable[[Decision], bytes], staff: str, call: IdempotentCall | None = None
) -> Command[bytes]:
    return Command(issued.showtime_id, change, caller=staff, booking_id=issued.booking_id, idempotency=call)


def _part(call: IdempotentCall | None, group: _Group) -> IdempotentCall | None:
    """Return what the response for one booking is stored under."""
    if call is None:
        return None
    booking_id = group[0][1].booking_id
    return replace(call, key=call.key._replace(rpc=f"{call.key.rpc}/{booking_id}"))
