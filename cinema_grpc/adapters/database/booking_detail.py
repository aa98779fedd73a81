"""The view that shows a booking whole."""

from sqlalchemy import BigInteger, Column, MetaData, Table, Text

from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.column_types import Instant

BOOKING_DETAIL = """
    CREATE {kind} booking_detail AS
    SELECT booking.*,
        CASE WHEN hold_extended THEN (
            SELECT {group}({array}(ticket.ticket_id, ticket.seat, ticket.code))
            FROM ticket WHERE ticket.booking_id = booking.booking_id
        ) END AS tickets,
        CASE WHEN hold_extended THEN (
            SELECT {array}(attempt.attempt_id, attempt.status, attempt.create_time, attempt.request,
                attempt.provider_id, attempt.action)
            FROM payment_attempt AS attempt WHERE attempt.booking_id = booking.booking_id
            ORDER BY attempt.create_time DESC, attempt.attempt_id DESC LIMIT 1
        ) END AS payment,
        CASE WHEN hold_extended THEN (
            SELECT {group}({array}(refund.refund_id, refund.attempt_id, refund.amount, refund.percent,
                refund.status, refund.create_time, refund.seats, refund.settled_by, refund.settle_time, refund.note,
                refund.provider_id))
            FROM refund WHERE refund.booking_id = booking.booking_id
        ) END AS refunds,
        CASE WHEN confirm_time IS NOT NULL THEN (
            SELECT {group}({array}(redemption.redemption_id, redemption.ticket_id, redemption.gate,
                redemption.redeem_time, redemption.redeemed_by, redemption.record_time, redemption.kind,
                redemption.reverse_time, redemption.reversed_by, redemption.reverse_reason))
            FROM redemption WHERE redemption.booking_id = booking.booking_id
        ) END AS redemptions
    FROM booking
"""
"""A booking with its tickets, its latest payment attempt, its refunds and its redemptions as JSON.

Only bookings that a customer tried to pay for, or that were sold at the counter, have any. `hold_extended` marks these.
"""
BOOKING_DETAIL_SQL = {
    "sqlite": BOOKING_DETAIL.format(kind="TEMPORARY VIEW", group="json_group_array", array="json_array"),
    "postgresql": BOOKING_DETAIL.format(kind="VIEW", group="json_agg", array="json_build_array"),
}
booking_detail = Table(
    "booking_detail",
    MetaData(),
    # Moments stay numbers: `read_booking` takes them in stored form, as it does those within the JSON.
    *(
        Column(each.name, BigInteger if isinstance(each.type, Instant) else each.type)
        for each in schema.booking.columns
    ),
    *(Column(name, Text) for name in ("tickets", "payment", "refunds", "redemptions")),
)
