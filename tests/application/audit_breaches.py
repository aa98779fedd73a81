"""Statements that breach the rules of the audit, in the rows of `a_history`."""

import json

from cinema_grpc.adapters.database.column_types import microseconds
from tests.application.audited import CANCELLED, CONFIRMED, FREE, HELD, LATE, MOVED, OFF, SOLD
from tests.database import START

# ruff: noqa: S608 (SQL that is put together from texts of this file)

MINUTE = 60_000_000
LATER = 1_000 * 86_400_000_000
ATTEMPT = "INSERT INTO payment_attempt (request, due_time, tries, attempt_id, booking_id, status, create_time) VALUES "

FIRST = "type = 'SHOWTIME_CREATED' AND showtime_id = 's1'"
"""The first event of s1."""
REST = f"""booking_id = '{OFF}' AND seats = '["A1"]'"""
"""The refund of what was left of a booking when its showtime was cancelled."""


def many_seats(number: int) -> str:
    """Return the seats of a booking, as they are stored."""
    return json.dumps([[f"A{each}", 1, "standard", "standard", "", True] for each in range(1, number + 1)])


def spaces(text: str) -> str:
    """Return a statement that changes the wheelchair spaces of a3; A9 is one, and A10 its companion seat."""
    return f"UPDATE auditorium SET wheelchair_spaces = '{text}' WHERE auditorium_id = 'a3'"


def areas(text: str) -> str:
    """Return a statement that changes the areas of a3, in which A1, A9 and A10 were sold."""
    return f"UPDATE auditorium SET areas = '{text}' WHERE auditorium_id = 'a3'"


def prices(text: str) -> str:
    """Return a statement that changes the prices of s1."""
    return f"UPDATE showtime SET prices = '{text}' WHERE showtime_id = 's1'"


BREACHES = {
    "a showtime has the event that it was created, unless it is older than the events that are kept": (
        f"UPDATE event SET type = 'SEAT_BLOCKS_CHANGED' WHERE {FIRST}"
    ),
    "a redemption is of a ticket of its booking": (
        f"UPDATE redemption SET booking_id = '{CONFIRMED}' WHERE redemption_id = 'A6 south'"
    ),
    "only a redemption that a ticket was redeemed by is reversed, by someone and for a reason": (
        "UPDATE redemption SET reverse_reason = NULL WHERE redemption_id = 'free'",
        "UPDATE redemption SET reversed_by = NULL WHERE redemption_id = 'free'",
        "UPDATE redemption SET kind = 'ADMITTED_VOID' WHERE redemption_id = 'free'",
    ),
    "a customer has not cancelled a seat whose ticket is redeemed": (
        f"UPDATE booking SET status = 'CANCELLED', cancel_cause = 'CUSTOMER' WHERE booking_id = '{SOLD}'"
    ),
    "a seat has one owner": """UPDATE seat_block SET seats = '["A9", "A1"]' WHERE block_id = 'a block'""",
    "a claim belongs to a booking or a block that has the seat": (
        f"UPDATE seat_claim SET seat = 'A4' WHERE booking_id = '{HELD}'"
    ),
    "a booking or a block that has seats has a claim on each": (
        f"DELETE FROM seat_claim WHERE booking_id = '{HELD}'",
        "DELETE FROM seat_claim WHERE seat = 'A9' AND showtime_id = 's1'",
        f"UPDATE seat_claim SET booking_id = '{CONFIRMED}' WHERE booking_id = '{HELD}'",
    ),
    "the taken seats of a showtime are counted right": "UPDATE showtime SET taken_seats = 7 WHERE showtime_id = 's1'",
    "the seats of a block are counted right, and there are some": "UPDATE seat_block SET seat_count = 3",
    "a customer has at most 10 seats of a showtime on hold": (
        f"UPDATE booking SET seat_count = 11 WHERE booking_id = '{HELD}'"
    ),
    "the seats of an auditorium are counted right": (
        "UPDATE auditorium SET total_seats = 9 WHERE auditorium_id = 'a1'",
        """UPDATE auditorium SET rows = '[["A", [4, 6, 1]]]' WHERE auditorium_id = 'a1'""",
    ),
    "wheelchair spaces and companion seats are seats of their auditorium, each once": (
        spaces('[["A9", ["A11"]]]'),
        spaces('[["B1", []]]'),
        spaces('[["A9", ["A10", "A9"]]]'),
    ),
    "a seat of a booking is one of its auditorium, in the category of its area": (
        """UPDATE auditorium SET rows = '[["A", [4, 5]]]' WHERE auditorium_id = 'a3'""",
        areas('[["vip", [], ["A9"]]]'),
        areas('[["vip", ["A"], []], ["standard", [], ["A1", "A9"]]]'),
    ),
    "a seat of a block is one of its auditorium": (
        """UPDATE seat_block SET seats = '["A9", "A11"]'""",
        """UPDATE seat_block SET seats = '["A9", "B10"]'""",
    ),
    "a sale for a wheelchair takes a space, and companion seats with their own": (
        spaces("[]"),
        spaces('[["A8", ["A9"]]]'),
        spaces('[["A9", []], ["A8", ["A10"]]]'),
    ),
    "a showtime has a price of its default ticket type for each category of its auditorium": (
        prices('[["vip", "standard", 1250, ""]]'),
        prices('[["vip", "adult", 1250, ""], ["standard", "standard", 1250, ""]]'),
        areas('[["vip", [], ["A4"]]]'),
    ),
    "a showtime has one price for a category and a ticket type, not below 0": (
        prices('[["standard", "standard", 1250, ""], ["standard", "standard", 1, "student card"]]'),
        prices('[["standard", "standard", -1, ""]]'),
    ),
    "a showtime is in the cinema of its auditorium": "UPDATE showtime SET cinema_id = 'c2' WHERE showtime_id = 's1'",
    "showtimes of an auditorium are 15 minutes apart, CANCELLED ones aside": (
        f"UPDATE showtime SET auditorium_id = 'a1', start_time = start_time + {114 * MINUTE} WHERE showtime_id = 's3'"
    ),
    "the revision and the commit of a showtime are the latest in the commit log": (
        "UPDATE showtime SET commit_id = 'lost' WHERE showtime_id = 's1'"
    ),
    "nothing was done more than 10 seconds in the future, as by a clock that was ahead": (
        f"UPDATE showtime SET latest_time = latest_time + {LATER} WHERE showtime_id = 's1'",
        f"UPDATE account SET revoke_time = create_time + {LATER} WHERE user_id = 'ada'",
        f"UPDATE refund SET status = 'PENDING', create_time = create_time + {LATER} WHERE booking_id = '{CANCELLED}'",
        (
            f"UPDATE payment_attempt SET status = 'OPEN', create_time = create_time + {LATER}"
            f" WHERE booking_id = '{CANCELLED}'"
        ),
    ),
    "the terms of a showtime changed at a revision that it has had": (
        "UPDATE showtime SET terms_revision = revision + 1 WHERE showtime_id = 's1'"
    ),
    "a showtime is CANCELLED exactly if it has a time and a reason for that": (
        "UPDATE showtime SET cancel_time = NULL WHERE showtime_id = 's2'",
        "UPDATE showtime SET cancel_time = start_time WHERE showtime_id = 's1'",
    ),
    "a CANCELLED showtime has no seats taken": (
        f"UPDATE booking SET showtime_id = 's2' WHERE booking_id = '{HELD}'",
        "UPDATE seat_block SET showtime_id = 's2'",
        "UPDATE seat_claim SET showtime_id = 's2' WHERE seat = 'A6'",
    ),
    "a showtime is CANCELLED before its end": "UPDATE showtime SET cancel_time = end_time WHERE showtime_id = 's2'",
    "a showtime to come that was never moved lasts as long as its movie": (
        "UPDATE showtime SET end_time = end_time - 1 WHERE showtime_id = 's1'"
    ),
    "the catalog has one row with its revision": (
        "DELETE FROM catalog_revision",
        "INSERT INTO catalog_revision VALUES (99)",
    ),
    "the moves of a showtime are in the order of time, none after its latest decision": (
        "UPDATE showtime SET latest_time = 1 WHERE showtime_id = 's3'",
        "UPDATE showtime SET moves = '[[2, 1], [1, 2]]' WHERE showtime_id = 's3'",
    ),
    "the active seats of a booking are counted right, and there are some": (
        f"UPDATE booking SET seat_count = 2 WHERE booking_id = '{CONFIRMED}'"
    ),
    "the price of a booking is the sum of its seats' prices, none of them below 0": (
        f"UPDATE booking SET total_price = 1250 WHERE booking_id = '{CONFIRMED}'",
        f"UPDATE booking SET seats = replace(seats, '12', '-12'), total_price = -2500 WHERE booking_id = '{CONFIRMED}'",
    ),
    "a booking has at most 10 seats, 100 at the counter": (
        f"UPDATE booking SET seats = '{many_seats(11)}' WHERE booking_id = '{HELD}'",
        f"UPDATE booking SET seats = '{many_seats(101)}' WHERE booking_id = '{SOLD}'",
    ),
    "a seat is not active only if it was sold": (
        f"UPDATE booking SET seats = replace(seats, 'true', 'false') WHERE booking_id = '{HELD}'"
    ),
    "a complimentary seat costs nothing": f"UPDATE booking SET tender = 'COMPLIMENTARY' WHERE booking_id = '{SOLD}'",
    "wheelchair spaces and companion seats are in bookings for wheelchairs alone": (
        """UPDATE auditorium SET wheelchair_spaces = '[["A1", []]]' WHERE auditorium_id = 'a1'""",
        """UPDATE auditorium SET wheelchair_spaces = '[["A9", ["A10", "A1"]]]' WHERE auditorium_id = 'a1'""",
    ),
    "a booking's status agrees with when it was confirmed and cancelled": (
        f"UPDATE booking SET cancel_time = NULL WHERE booking_id = '{CANCELLED}'"
    ),
    "a booking has a cause of its cancellation exactly if it is CANCELLED, and others give a reason": (
        f"UPDATE booking SET cancel_reason = NULL WHERE booking_id = '{LATE}'",
        f"UPDATE booking SET cancel_cause = 'STAFF' WHERE booking_id = '{CANCELLED}'",
        f"UPDATE booking SET cancel_cause = NULL WHERE booking_id = '{CANCELLED}'",
        f"UPDATE booking SET cancel_cause = 'STAFF' WHERE booking_id = '{CONFIRMED}'",
    ),
    "a booking that was cancelled with its showtime is of one that is CANCELLED, since then and for that reason": (
        f"UPDATE booking SET cancel_cause = 'SHOWTIME' WHERE booking_id = '{CANCELLED}'",
        f"UPDATE booking SET cancel_time = cancel_time + 1 WHERE booking_id = '{OFF}'",
        f"UPDATE booking SET cancel_reason = 'another one' WHERE booking_id = '{LATE}'",
    ),
    "a booking of the counter has a seller, and is confirmed from the first": (
        f"UPDATE booking SET sold_by = NULL WHERE booking_id = '{SOLD}'",
        f"UPDATE booking SET sold_by = 'bob' WHERE booking_id = '{HELD}'",
        f"UPDATE booking SET confirm_time = NULL WHERE booking_id = '{FREE}'",
    ),
    "a complimentary sale has a reason": f"UPDATE booking SET sale_reason = '' WHERE booking_id = '{FREE}'",
    "a booking is in its showtime's currency": (
        f"UPDATE booking SET currency_code = 'USD' WHERE booking_id = '{HELD}'"
    ),
    "a booking changed at a revision that its showtime has had": (
        f"UPDATE booking SET revision = 1000 WHERE booking_id = '{HELD}'"
    ),
    "a booking that was charged or sold is marked, so its charges, tickets and refunds are read with it": (
        f"UPDATE booking SET hold_extended = false WHERE booking_id = '{CONFIRMED}'",
        f"UPDATE booking SET hold_extended = false WHERE booking_id = '{LATE}'",
    ),
    "a booking is made, then confirmed, then cancelled": (
        f"UPDATE booking SET confirm_time = create_time - 1 WHERE booking_id = '{CONFIRMED}'",
        f"UPDATE booking SET cancel_time = confirm_time - 1 WHERE booking_id = '{CANCELLED}'",
        f"UPDATE booking SET cancel_time = create_time - 1 WHERE booking_id = '{LATE}'",
    ),
    "a hold that no charge has extended ends by the start": (
        f"UPDATE booking SET hold_expire_time = {microseconds(START) + 1} WHERE booking_id = '{HELD}'"
    ),
    "a ticket is for a seat of a booking that was confirmed": (
        f"UPDATE ticket SET booking_id = '{HELD}' WHERE seat = 'A4'"
    ),
    "a booking that was confirmed has one ticket for each seat": (
        f"DELETE FROM ticket WHERE booking_id = '{CONFIRMED}' AND seat = 'A3'"
    ),
    "a lapsed hold is EXPIRED within 10 seconds (while a server runs)": (
        f"UPDATE booking SET hold_expire_time = create_time - {MINUTE} WHERE booking_id = '{HELD}'"
    ),
    "a lapsed block is gone within 10 seconds (while a server runs)": (
        f"UPDATE seat_block SET release_time = create_time - {MINUTE}"
    ),
    "a payment attempt is settled within 15 minutes": (
        f"{ATTEMPT} ('', 0, 0, 'a9', '{HELD}', 'VOIDING', {microseconds(START) - 14 * 60 * MINUTE})"
    ),
    "a refund is paid within an hour": (
        f"UPDATE refund SET status = 'PENDING', create_time = create_time - {90 * MINUTE}"
        f" WHERE booking_id = '{CANCELLED}'"
    ),
    "no refund has failed": f"UPDATE refund SET status = 'FAILED' WHERE booking_id = '{CANCELLED}'",
    "a booking is paid for once": f"{ATTEMPT} ('', 0, 0, 'a9', '{CONFIRMED}', 'CHARGED', 0)",
    "the provider is never asked for the price of a sale at the counter": (
        f"{ATTEMPT} ('', 0, 0, 'a9', '{SOLD}', 'DECLINED', 0)"
    ),
    "a booking that was confirmed was paid for": (
        f"UPDATE payment_attempt SET status = 'DECLINED' WHERE booking_id = '{CONFIRMED}'",
        f"UPDATE booking SET tender = NULL, sold_by = NULL WHERE booking_id = '{FREE}'",
    ),
    "a refund is for what its booking was paid with": (
        f"UPDATE refund SET attempt_id = 'a-{CANCELLED}' WHERE booking_id = '{CONFIRMED}'",
        f"UPDATE refund SET attempt_id = NULL WHERE booking_id = '{CONFIRMED}'",
        f"UPDATE refund SET attempt_id = 'a-{CANCELLED}' WHERE booking_id = '{SOLD}'",
    ),
    "a refund is in its booking's currency and showtime": (
        f"UPDATE refund SET currency_code = 'USD' WHERE booking_id = '{CANCELLED}'",
        f"UPDATE refund SET showtime_id = 's2' WHERE booking_id = '{CANCELLED}'",
    ),
    "the refunds of a booking are no more than was paid": (
        f"UPDATE refund SET amount = 2501 WHERE booking_id = '{CONFIRMED}'"
    ),
    "a booking that was cancelled with its showtime, or paid for too late, is refunded in full": (
        f"UPDATE refund SET amount = amount - 1 WHERE {REST}",
        f"UPDATE refund SET amount = amount - 1 WHERE booking_id = '{LATE}'",
    ),
    "a refund that was settled by hand is COMPLETED, and it is known when and why": (
        f"UPDATE refund SET note = NULL WHERE booking_id = '{SOLD}'",
        f"UPDATE refund SET settle_time = NULL WHERE booking_id = '{SOLD}'",
        f"UPDATE refund SET status = 'FAILED' WHERE booking_id = '{SOLD}'",
    ),
    "a refund of a sale at the counter is PENDING until it is settled by hand": (
        f"UPDATE refund SET settled_by = NULL, settle_time = NULL, note = NULL WHERE booking_id = '{SOLD}'"
    ),
    "a refund of nothing is COMPLETED": (
        f"UPDATE refund SET amount = 0, status = 'PENDING' WHERE booking_id = '{CONFIRMED}'"
    ),
    "a seat that was paid for and given up is refunded once": (
        f"DELETE FROM refund WHERE booking_id = '{CANCELLED}'",
        f"DELETE FROM refund WHERE booking_id = '{CONFIRMED}'",
        f"DELETE FROM refund WHERE booking_id = '{LATE}'",
        f"""UPDATE refund SET seats = '["A7", "A7"]' WHERE booking_id = '{SOLD}'""",
    ),
    "a seat that is refunded is one of the booking that was given up": (
        f"""UPDATE refund SET seats = '["A2"]' WHERE booking_id = '{CONFIRMED}'""",
        f"""UPDATE refund SET seats = '["A10"]' WHERE booking_id = '{CANCELLED}'""",
    ),
    "a refund is its percent of the price of its seats": (
        f"UPDATE refund SET amount = amount + 1 WHERE booking_id = '{CONFIRMED}'",
        f"UPDATE refund SET percent = 51 WHERE booking_id = '{CANCELLED}'",
        f"UPDATE refund SET amount = amount - 1 WHERE {REST}",
    ),
    "the percent of a refund is what the policy says": (
        f"UPDATE refund SET percent = 51 WHERE booking_id = '{CANCELLED}'",
        f"UPDATE refund SET percent = 50 WHERE booking_id = '{MOVED}'",
        f"UPDATE refund SET percent = 50 WHERE booking_id = '{LATE}'",
        f"UPDATE refund SET percent = 50 WHERE {REST}",
    ),
    "the event feed has one row to lock": ("DELETE FROM event_feed", "INSERT INTO event_feed VALUES (2, 0)"),
    "the positions of events have no gap": (
        "DELETE FROM event WHERE position = 3",
        "UPDATE event_feed SET trimmed_position = 1",
    ),
    "the events of a showtime are in the order of its revisions, and those of a change together": (
        f"UPDATE event SET last_of_change = false WHERE {FIRST}",
        f"UPDATE event SET revision = 1000 WHERE {FIRST}",
    ),
    "an event is of a commit": (
        f"UPDATE event SET decide_time = decide_time + 1 WHERE {FIRST}",
        f"UPDATE event SET revision = -1 WHERE {FIRST}",
    ),
    "an event has a position within 10 seconds (while a server runs)": (
        "INSERT INTO event_outbox (decide_time, showtime_id, revision, events) VALUES (0, 's1', 99, '[]')"
    ),
    "folding the events gives who has which seat": (
        f"DELETE FROM event WHERE type = 'SEATS_HELD' AND booking_id = '{HELD}'",
        f"UPDATE event SET seats = '[]' WHERE type = 'SEATS_CANCELLED' AND booking_id = '{SOLD}'",
        """UPDATE event SET seats = '["A9"]' WHERE type = 'SEAT_BLOCKS_CHANGED' AND showtime_id = 's1'""",
    ),
    "folding the events gives what was sold and refunded": (
        f"DELETE FROM event WHERE type = 'BOOKING_CONFIRMED' AND booking_id = '{CONFIRMED}'",
        f"DELETE FROM event WHERE type LIKE 'REFUND%' AND booking_id = '{CANCELLED}'",
    ),
    "folding the events gives which tickets are redeemed": (
        "DELETE FROM event WHERE type = 'REDEMPTION_REVERSED'",
        f"DELETE FROM event WHERE type = 'TICKET_REDEEMED' AND booking_id <> '{FREE}'",
    ),
    "folding the events gives which showtimes are CANCELLED": "DELETE FROM event WHERE type = 'SHOWTIME_CANCELLED'",
    "an account that is disabled has no session": "UPDATE account SET disabled = true WHERE user_id = 'ada'",
    "charges less refunds are what is sold and kept": (
        f"UPDATE refund SET amount = amount - 1 WHERE booking_id = '{CANCELLED}'",
        f"UPDATE booking SET status = 'CONFIRMED' WHERE booking_id = '{OFF}'",
    ),
}
"""For each rule a statement that breaches it once, or several such statements."""
