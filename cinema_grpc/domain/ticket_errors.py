"""The errors of tickets at the door."""

from datetime import datetime

from cinema_grpc.domain.errors import CinemaError, ErrorKind, FieldViolation, NotFound


class TicketNotFound(NotFound):
    """No ticket has this identifier, or the booking does not have it."""

    reason, resource_type, subject = "TICKET_NOT_FOUND", "Ticket", "ticket_id"
    template = "there is no ticket {ticket_id!r}"


class CodeNotFound(TicketNotFound):
    """No ticket has this code, although it is signed."""

    template = "there is no ticket with this code"

    def __init__(self) -> None:
        CinemaError.__init__(self)


class TicketForged(CinemaError):
    """The code of a ticket was not issued by this service."""

    kind = ErrorKind.INVALID
    reason = "TICKET_FORGED"
    template = "the code was not issued by this service, or was altered; do not admit its holder"
    violations = (FieldViolation("code", "must be the code of a ticket of this service, exactly as it was read"),)


class TicketVoid(CinemaError):
    """The seat of the ticket was cancelled."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "TICKET_VOID", "ticket_id"
    template = "ticket {ticket_id} is void: its seat was cancelled"

    def __init__(self, ticket_id: str) -> None:
        super().__init__(ticket_id=ticket_id)


class TicketAlreadyRedeemed(CinemaError):
    """Someone was let in with the ticket."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "TICKET_ALREADY_REDEEMED", "ticket_id"
    template = "ticket {ticket_id} was redeemed at {redeem_time}, at gate {gate}"

    def __init__(self, ticket_id: str, redeem_time: datetime, gate: str) -> None:
        super().__init__(ticket_id=ticket_id, redeem_time=redeem_time, gate=gate)


class TicketWrongShowtime(CinemaError):
    """The ticket is for another showtime."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "TICKET_WRONG_SHOWTIME", "ticket_id"
    template = "ticket {ticket_id} is for another showtime, {showtime_id}"

    def __init__(self, ticket_id: str, showtime_id: str) -> None:
        super().__init__(ticket_id=ticket_id, showtime_id=showtime_id)


class GateClosed(CinemaError):
    """Tickets of the showtime can't be redeemed yet, or no longer."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "GATE_CLOSED", "showtime_id"
    template = "tickets of showtime {showtime_id} are redeemed from {open_time} until {end_time}"

    def __init__(self, showtime_id: str, open_time: datetime, end_time: datetime) -> None:
        super().__init__(showtime_id=showtime_id, open_time=open_time, end_time=end_time)


class TicketNotRedeemed(CinemaError):
    """There is no redemption to reverse."""

    kind = ErrorKind.RULE_BROKEN
    reason, subject = "TICKET_NOT_REDEEMED", "ticket_id"
    template = "ticket {ticket_id} is not redeemed, so there is nothing to reverse"

    def __init__(self, ticket_id: str) -> None:
        super().__init__(ticket_id=ticket_id)
