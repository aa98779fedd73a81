"""Commands, calls with a request_id, and an encoding of responses that tests can decode; an issuer of tickets."""

import hashlib
import pickle
from dataclasses import replace
from datetime import timedelta
from typing import cast

from cinema_grpc.adapters.ticket_codes import SignedCodes
from cinema_grpc.application.box_office.command import Command, Decision
from cinema_grpc.application.idempotency import IdempotencyKey, IdempotentCall
from cinema_grpc.application.payment_ports import ActionRequired
from cinema_grpc.application.tickets import TicketIssuer
from cinema_grpc.domain.booking import Booking
from cinema_grpc.domain.claims import Selection
from cinema_grpc.domain.holds import hold

TEN_MINUTES = timedelta(minutes=10)
RANDOM_TICKETS = TicketIssuer(SignedCodes(()))
"""Issues tickets whose codes are not signed."""


def encode(booking: Booking) -> bytes:
    """Encode a response to a call about a booking."""
    return pickle.dumps(booking)


def encode_action(booking: Booking, action: ActionRequired) -> bytes:
    """Encode a response to a ConfirmPayment after which the customer has to act."""
    return pickle.dumps(replace(booking, cancel_reason=action.client_secret))


def decode(response: bytes) -> Booking:
    """Return the booking of a response."""
    return cast("Booking", pickle.loads(response))  # noqa: S301 (what `encode` made)


def hold_command(
    name: str,
    *seats: str,
    at: str = "s1",
    by: str = "ada",
    hold_for: timedelta = TEN_MINUTES,
    call: IdempotentCall | None = None,
) -> Command[bytes]:
    """Return a command that holds seats in a booking of the given name."""

    def create(decision: Decision) -> bytes:
        return encode(hold(decision.showtime, name, by, Selection(seats), hold_for, decision.now))

    return Command(at, create, idempotency=call)


def cancel_command(booking: Booking, call: IdempotentCall | None = None) -> Command[bytes]:
    """Return a command that cancels a booking."""
    name, user_id = booking.booking_id, booking.user_id

    def cancel(decision: Decision) -> bytes:
        return encode(decision.showtime.cancel(name, user_id, f"refund of {name}", decision.now))

    return Command(booking.showtime_id, cancel, booking_id=name, idempotency=call)


def expire_command(at: str = "s1") -> Command[int]:
    """Return a command that sets lapsed holds to EXPIRED."""
    return Command(at, lambda decision: decision.showtime.expire(25, decision.now))


def idempotent_call(
    request_id: str = "r1", request: bytes = b"a request", caller: str = "ada", rpc: str = "CreateBooking"
) -> IdempotentCall:
    """Return a call with a request_id."""
    return IdempotentCall(IdempotencyKey(caller, rpc, request_id), lambda: hashlib.sha256(request).hexdigest())
