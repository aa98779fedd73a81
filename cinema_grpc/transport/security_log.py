"""The security log: who was let in or refused, who used the rights of staff, from where, and in which call."""

from typing import Any

import structlog

from cinema_grpc.transport.call import current_call

LOGGER = "cinema.security"
REFUSALS = frozenset({"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "ROLE_REQUIRED", "NOT_BOOKING_OWNER"})
"""The reasons of errors by which somebody is kept out. What becomes of a sign-in is noted where that is decided."""

_logger = structlog.get_logger()


def note(event: str, *, refused: bool = False, **facts: Any) -> None:
    """Write a line about the call under way, or about whoever works on the command line.

    That of a call has the method, the peer's address, the names in the peer's certificate if it showed one, the
    caller's user_id once a token has proved it, and the x-request-id.

    Args:
        event: What happened, such as "signed in".
        refused: Whether somebody was kept out, which makes the line a warning.
        facts: What else is to be known, such as the username that was tried; never a password or a token.
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
        fields["request_id"] = call.request_id
    (_logger.warning if refused else _logger.info)(event, **fields)
