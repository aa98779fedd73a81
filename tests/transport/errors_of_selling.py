"""Errors of bookings, of staff at the counter and of tickets, as they are on the wire."""

from cinema_grpc.domain import booking_errors as booking
from cinema_grpc.domain import staff_errors as staff
from cinema_grpc.domain import ticket_errors as ticket
from tests.transport.error_details import bad_request, precondition, quota, resource, retry
from tests.transport.errors_of_calls import MOMENT, TIME, WAIT, OnWire

IN_SHOWTIME = "the caller's seats on hold in the showtime"
OVER_ALL = "the caller's seats on hold over all showtimes"

SELLING_ERRORS: list[OnWire] = [
    (booking.NotBookingOwner("b"), "PERMISSION_DENIED NOT_BOOKING_OWNER", {"booking_id": "b"}, []),
    (
        booking.SeatsUnavailable(["A1", "A2"]),
        "FAILED_PRECONDITION SEATS_UNAVAILABLE",
        {"seats": "A1,A2"},
        [precondition("A1,A2")],
    ),
    (
        booking.SingleSeatGap(["A2"]),
        "FAILED_PRECONDITION SINGLE_SEAT_GAP",
        {"stranded_seats": "A2"},
        [precondition("A2")],
    ),
    (
        booking.GapLeftByPayment("b", ["A2", "A5"]),
        "FAILED_PRECONDITION SINGLE_SEAT_GAP",
        {"booking_id": "b", "stranded_seats": "A2,A5"},
        [precondition("A2,A5")],
    ),
    (
        booking.HoldExpired("b", MOMENT),
        "FAILED_PRECONDITION HOLD_EXPIRED",
        {"booking_id": "b", "hold_expire_time": TIME},
        [precondition("b")],
    ),
    (
        booking.HoldExpired("b", MOMENT, charged=True),
        "FAILED_PRECONDITION HOLD_EXPIRED",
        {"booking_id": "b", "hold_expire_time": TIME, "charged": "true"},
        [precondition("b")],
    ),
    (
        booking.BookingNotReserved("b", "CONFIRMED"),
        "FAILED_PRECONDITION BOOKING_NOT_RESERVED",
        {"booking_id": "b", "status": "CONFIRMED"},
        [precondition("b")],
    ),
    (
        booking.BookingNotCancellable("b", "CANCELLED"),
        "FAILED_PRECONDITION BOOKING_NOT_CANCELLABLE",
        {"booking_id": "b", "status": "CANCELLED"},
        [precondition("b")],
    ),
    (
        booking.BookingNotCancellable("b", "CONFIRMED", MOMENT),
        "FAILED_PRECONDITION BOOKING_NOT_CANCELLABLE",
        {"booking_id": "b", "status": "CONFIRMED", "start_time": TIME},
        [precondition("b")],
    ),
    (
        booking.PaymentDeclined("b"),
        "FAILED_PRECONDITION PAYMENT_DECLINED",
        {"booking_id": "b", "decline_code": "generic_decline"},
        [precondition("b")],
    ),
    (
        booking.SalesClosed("s", MOMENT),
        "FAILED_PRECONDITION SALES_CLOSED",
        {"showtime_id": "s", "start_time": TIME},
        [precondition("s")],
    ),
    (booking.PaymentInProgress("b"), "ABORTED PAYMENT_IN_PROGRESS", {"booking_id": "b"}, [retry(1)]),
    (
        booking.HoldLimit(10, 8, 4),
        "RESOURCE_EXHAUSTED HOLD_LIMIT",
        {"limit": "10", "held": "8", "requested": "4"},
        [quota("seats_on_hold", 10, IN_SHOWTIME)],
    ),
    (
        booking.HoldLimit(20, 18, 4, of_account=True),
        "RESOURCE_EXHAUSTED HOLD_LIMIT",
        {"limit": "20", "held": "18", "requested": "4", "scope": "account"},
        [quota("seats_on_hold", 20, OVER_ALL)],
    ),
    (
        booking.TooManyUnpaidHolds(3, WAIT),
        "RESOURCE_EXHAUSTED TOO_MANY_ATTEMPTS",
        {"unpaid_holds": "3", "retry_after_seconds": "8"},
        [retry(8)],
    ),
    (
        booking.SeatNotInBooking("b", ["A1"]),
        "NOT_FOUND SEAT_NOT_FOUND",
        {"booking_id": "b", "seats": "A1"},
        [resource("Seat", "A1")],
    ),
    (
        booking.HouseSeatsUnavailable(["A1", "A2"], ["A2"]),
        "FAILED_PRECONDITION SEATS_UNAVAILABLE",
        {"seats": "A1,A2", "house_seats": "A2"},
        [precondition("A1,A2")],
    ),
    (
        booking.NoCategoryOffers(["child", "student"]),
        "FAILED_PRECONDITION TICKET_TYPE_NOT_OFFERED",
        {"ticket_types": "child,student"},
        [precondition("child,student")],
    ),
    (
        booking.NoSeatsTogether("s", 4, 3),
        "FAILED_PRECONDITION NO_SEATS_TOGETHER",
        {"showtime_id": "s", "party_size": "4", "largest_group": "3"},
        [precondition("s")],
    ),
    (
        booking.TicketTypeNotOffered(["A1", "A2"], ["student"]),
        "FAILED_PRECONDITION TICKET_TYPE_NOT_OFFERED",
        {"seats": "A1,A2", "ticket_types": "student"},
        [precondition("A1,A2")],
    ),
    (booking.AccessibleOnly(["A5"]), "FAILED_PRECONDITION ACCESSIBLE_ONLY", {"seats": "A5"}, [precondition("A5")]),
    (
        booking.ShowtimeCancelled("s"),
        "FAILED_PRECONDITION SHOWTIME_CANCELLED",
        {"showtime_id": "s"},
        [precondition("s")],
    ),
    (
        booking.ShowtimeCancelled("s", charged=True),
        "FAILED_PRECONDITION SHOWTIME_CANCELLED",
        {"showtime_id": "s", "charged": "true"},
        [precondition("s")],
    ),
    (
        booking.ShowtimeEnded("s", MOMENT),
        "FAILED_PRECONDITION SHOWTIME_ENDED",
        {"showtime_id": "s", "end_time": TIME},
        [precondition("s")],
    ),
    (booking.ShowtimeChanged("s", 7), "ABORTED SHOWTIME_CHANGED", {"showtime_id": "s", "revision": "7"}, []),
    (
        booking.HoldExtensionLimit("b", MOMENT),
        "FAILED_PRECONDITION HOLD_EXTENSION_LIMIT",
        {"booking_id": "b", "hold_expire_time": TIME},
        [precondition("b")],
    ),
    (staff.UserNotFound("u"), "NOT_FOUND USER_NOT_FOUND", {"user_id": "u"}, [resource("User", "u")]),
    (staff.RefundNotFound("r"), "NOT_FOUND REFUND_NOT_FOUND", {"refund_id": "r"}, [resource("Refund", "r")]),
    (
        staff.RefundNotOpen("r", "COMPLETED"),
        "FAILED_PRECONDITION REFUND_NOT_OPEN",
        {"refund_id": "r", "status": "COMPLETED"},
        [precondition("r")],
    ),
    (ticket.TicketNotFound("t"), "NOT_FOUND TICKET_NOT_FOUND", {"ticket_id": "t"}, [resource("Ticket", "t")]),
    (ticket.CodeNotFound(), "NOT_FOUND TICKET_NOT_FOUND", {}, [resource("Ticket", "")]),
    (
        ticket.TicketForged(),
        "INVALID_ARGUMENT TICKET_FORGED",
        {},
        [bad_request(("code", "must be the code of a ticket of this service, exactly as it was read"))],
    ),
    (ticket.TicketVoid("t"), "FAILED_PRECONDITION TICKET_VOID", {"ticket_id": "t"}, [precondition("t")]),
    (
        ticket.TicketAlreadyRedeemed("t", MOMENT, "north"),
        "FAILED_PRECONDITION TICKET_ALREADY_REDEEMED",
        {"ticket_id": "t", "redeem_time": TIME, "gate": "north"},
        [precondition("t")],
    ),
    (
        ticket.TicketWrongShowtime("t", "s"),
        "FAILED_PRECONDITION TICKET_WRONG_SHOWTIME",
        {"ticket_id": "t", "showtime_id": "s"},
        [precondition("t")],
    ),
    (
        ticket.GateClosed("s", MOMENT, MOMENT),
        "FAILED_PRECONDITION GATE_CLOSED",
        {"showtime_id": "s", "open_time": TIME, "end_time": TIME},
        [precondition("s")],
    ),
    (
        ticket.TicketNotRedeemed("t"),
        "FAILED_PRECONDITION TICKET_NOT_REDEEMED",
        {"ticket_id": "t"},
        [precondition("t")],
    ),
]
