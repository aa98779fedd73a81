"""Tickets for seats that were paid for."""

import secrets
from collections.abc import Sequence

import uuid_utils

from cinema_grpc.domain.booking import Ticket


def issue_tickets(seats: Sequence[str]) -> list[Ticket]:
    """Return a ticket for each seat, with a code of 128 random bits."""
    return [Ticket(str(uuid_utils.uuid7()), seat, secrets.token_urlsafe(16)) for seat in seats]
