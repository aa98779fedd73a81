"""The invariants of redemptions. That a ticket lets in one is a constraint of the table.

A ticket is redeemed by one that was ADMITTED; if that was reversed, by a CONFLICT that was not.
"""

from cinema_grpc.adapters.database.invariant import Invariant, Json

# ruff: noqa: S608 (SQL that is put together from texts of this package)


def of_door(json: Json) -> list[Invariant]:
    """Return the rules about redemptions."""
    return [
        Invariant(
            "a redemption is of a ticket of its booking",
            """
            SELECT redemption.redemption_id, redemption.booking_id, ticket.ticket_id
            FROM redemption JOIN ticket ON ticket.ticket_id = redemption.ticket_id
            WHERE ticket.booking_id <> redemption.booking_id
            """,
        ),
        Invariant(
            "only a redemption that a ticket was redeemed by is reversed, by someone and for a reason",
            """
            SELECT redemption_id, kind, reverse_time FROM redemption
            WHERE (reverse_time IS NULL) <> (reversed_by IS NULL) OR (reverse_time IS NULL) <> (reverse_reason IS NULL)
                OR (reverse_time IS NOT NULL AND kind = 'ADMITTED_VOID')
            """,
        ),
        Invariant(
            "a customer has not cancelled a seat whose ticket is redeemed",
            f"""
            SELECT DISTINCT ticket.ticket_id, booking.booking_id, ticket.seat
            FROM redemption JOIN ticket ON ticket.ticket_id = redemption.ticket_id
                JOIN booking ON booking.booking_id = ticket.booking_id
            WHERE redemption.kind <> 'ADMITTED_VOID' AND redemption.reverse_time IS NULL
                AND booking.status = 'CANCELLED' AND booking.cancel_cause = 'CUSTOMER'
                AND EXISTS (SELECT 1 FROM {json.seats} WHERE {json.label} = ticket.seat AND {json.active})
            """,
        ),
    ]
