"""Messages of the TicketService: parsing requests, and writing tickets and redemptions."""

import re
from collections.abc import Sequence
from functools import partial
from itertools import islice, takewhile

from cinema.v1 import ticket_pb2
from cinema.v1 import ticket_service_pb2 as pb

from cinema_grpc.application.door import OfflineRedemption, RecordedRedemption, Visit
from cinema_grpc.application.door_ports import Place
from cinema_grpc.domain.door import DoorTicket, RecordOutcome
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, violations_of
from cinema_grpc.domain.text import GATE, clean
from cinema_grpc.domain.ticket import Redemption, RedemptionKind
from cinema_grpc.transport.page_tokens import malformed_page_token
from cinema_grpc.transport.parsing import parse_moment
from cinema_grpc.transport.rendering import TICKET_STATUSES, render_moment

KINDS = {each: ticket_pb2.RedemptionStatus.Value(f"REDEMPTION_STATUS_{each.name}") for each in RedemptionKind}
OUTCOMES = {each: pb.RecordOutcome.Value(f"RECORD_OUTCOME_{each.name}") for each in RecordOutcome}
LAST_REVISION = 2**63 - 1
MAX_OTHERS = 10
"""Maximum number of other redemptions that an outcome has: a faulty door may report one ticket thousands of times."""
_PLACE = re.compile(r"([0-9]{1,19}) ([^ ]+) ([0-9]{1,4})")
UNKNOWN = pb.RecordedRedemption(outcome=pb.RECORD_OUTCOME_UNKNOWN_TICKET)


def scanned_code(code: str) -> str:
    """Return a code without the white space around it, such as the line break that many scanners send."""
    return code.strip() or code


def parse_visit(request: pb.RedeemTicketRequest, staff: str) -> Visit:
    """Return a ticket that is shown at a gate."""
    return Visit(staff, request.showtime_id, clean(request.gate), scanned_code(request.code), request.ticket_id)


def parse_offline(request: pb.RecordRedemptionsRequest) -> list[OfflineRedemption]:
    """Return what doors did while they were offline.

    Raises:
        InvalidRequest: See `offline_violations`.
    """
    if violations := offline_violations(request):
        raise InvalidRequest(*violations)
    return [
        OfflineRedemption(scanned_code(each.code), parse_moment(each.redeem_time, "redeem_time"), clean(each.gate))
        for each in request.redemptions
    ]


def offline_violations(request: pb.RecordRedemptionsRequest) -> list[FieldViolation]:
    """Return which rules a request breaks that the protos can't express: times in range, gates of visible text."""
    violations: list[FieldViolation] = []
    for number, each in enumerate(request.redemptions):
        path = f"redemptions[{number}]"
        if each.HasField("redeem_time"):
            violations += violations_of(partial(parse_moment, each.redeem_time, f"{path}.redeem_time"))
        if (problem := GATE.problem(each.gate)) is not None:
            violations.append(FieldViolation(f"{path}.gate", problem))
    return violations


def render_place(place: Place) -> str:
    """Write a place in the door's list, as a page token has it."""
    return f"{place.revision} {place.booking_id} {place.number}"


def parse_place(text: str) -> Place:
    """Return the place in the door's list that a page token has. The token may be forged, and its text malformed.

    Raises:
        InvalidRequest: `render_place` never writes this.
    """
    found = _PLACE.fullmatch(text)
    if found is None or int(found[1]) > LAST_REVISION:
        raise malformed_page_token()
    return Place(int(found[1]), found[2], int(found[3]))


def render_redemption(redemption: Redemption) -> ticket_pb2.Redemption:
    """Write a redemption."""
    message = ticket_pb2.Redemption(
        redemption_id=redemption.redemption_id,
        ticket_id=redemption.ticket_id,
        gate=redemption.gate,
        redeem_time=render_moment(redemption.redeem_time),
        redeemed_by=redemption.redeemed_by,
        status=KINDS[redemption.kind],
        record_time=render_moment(redemption.record_time),
    )
    undone = redemption.reversal
    if undone is not None:
        message.status = ticket_pb2.REDEMPTION_STATUS_REVERSED
        message.reverse_time.CopyFrom(render_moment(undone.time))
        message.reversed_by, message.reverse_reason = undone.user_id, undone.reason
    return message


def render_door_ticket(shown: DoorTicket) -> ticket_pb2.DoorTicket:
    """Write a ticket for the door."""
    seat, redemption = shown.seat, shown.redemption
    return ticket_pb2.DoorTicket(
        ticket_id=shown.ticket.ticket_id,
        booking_id=shown.booking.booking_id,
        showtime_id=shown.booking.showtime_id,
        seat=seat.label,
        category=seat.category,
        ticket_type=seat.ticket_type,
        proof=seat.proof,
        status=TICKET_STATUSES[shown.status],
        redemption=None if redemption is None else render_redemption(redemption),
    )


def encode_redeemed(shown: DoorTicket, redemption: Redemption | None) -> bytes:
    """Return the response to RedeemTicket; without a redemption if it was only checked."""
    return pb.RedeemTicketResponse(
        ticket=render_door_ticket(shown),
        redemption=None if redemption is None else render_redemption(redemption),
    ).SerializeToString()


def encode_reversed(shown: DoorTicket, _redemption: Redemption | None) -> bytes:
    """Return the response to ReverseRedemption."""
    return pb.ReverseRedemptionResponse(ticket=render_door_ticket(shown)).SerializeToString()


def encode_recorded(recorded: Sequence[RecordedRedemption]) -> bytes:
    """Return the response to RecordRedemptions for one booking."""
    return pb.RecordRedemptionsResponse(outcomes=map(_render_recorded, recorded)).SerializeToString()


def _render_recorded(recorded: RecordedRedemption) -> pb.RecordedRedemption:
    message = pb.RecordedRedemption(
        outcome=OUTCOMES[recorded.outcome],
        ticket=render_door_ticket(recorded.shown),
        redemption=render_redemption(recorded.kept),
    )
    if recorded.outcome in {RecordOutcome.CONFLICT, RecordOutcome.ADMITTED_VOID}:
        before = takewhile(lambda each: each is not recorded.kept, recorded.shown.redemptions)
        others = islice((each for each in before if each.reversal is None), MAX_OTHERS)
        message.others.extend(map(render_redemption, others))
    return message
