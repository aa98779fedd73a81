"""The security log: sign-ins, refusals and uses of staff rights, with their client and call."""

from typing import Any

import structlog

from cinema_grpc.transport.call import current_call

LOGGER = "cinema.security"
REFUSALS = frozenset({"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "ROLE_REQUIRED", "NOT_BOOKING_OWNER"})
"""Reasons of errors that are logged here. The outcome of a sign-in is logged where it is decided."""

_logger = structlog.get_logger()


def note(event: str, *, refused: bool = False, **facts: Any) -> None:
    """Log an event of the current call, or of the command line.

    The line of a call has the method, the client's address, the names in its certificate, the user_id of the principal,
    the x-request-id and the request_id of the request, as far as they are known.

    Args:
        event: The event, such as "signed in".
        refused: Whether access was refused; the line is a warning then.
        facts: More fields, such as the username that was tried; never a password or a token.
    """
    fields: dict[str, Any] = {"logger": LOGGER, **facts}
    call = current_call.get(None)
    if call is not None:
        fields["method"] = call.method
        fields["peer"] = call.client.connection
        if call.certificate_names:
            fields["peer_identities"] = list(call.certificate_names)
        if call.principal is not None:
            fields.setdefault("user_id", call.principal.user_id)
        fields["request_id"] = call.x_request_id
        if call.idempotency_key:
            fields["idempotency_key"] = call.idempotency_key
    (_logger.warning if refused else _logger.info)(event, **fields)
