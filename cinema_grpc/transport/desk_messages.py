"""Messages of the BoxOfficeService: parsed into objects of the application, and made of them."""

from cinema.v1 import booking_pb2
from cinema.v1 import box_office_service_pb2 as pb

from cinema_grpc.application.counter import CounterSale
from cinema_grpc.application.desk import CRITERIA, BookingSearch
from cinema_grpc.application.desk_ports import CustomerBooking, ListedRefund
from cinema_grpc.application.sales_report import SalesReport
from cinema_grpc.domain.errors import FieldViolation, violations_of
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import RefundStatus
from cinema_grpc.domain.sale import Tender
from cinema_grpc.domain.sales import SalesGroup, SalesLine
from cinema_grpc.transport.door_messages import render_redemption, scanned_code
from cinema_grpc.transport.parsing import parse_booking_status
from cinema_grpc.transport.rendering import (
    booking_encoder,
    render_booking,
    render_moment,
    render_money,
    render_refund,
    render_sale,
)
from cinema_grpc.transport.selections import parse_selection

MAX_REDEMPTIONS = 1_000
"""Maximum number of redemptions that a found booking is shown with, some 140 bytes each."""


def parse_search(request: pb.FindBookingsRequest) -> BookingSearch:
    """Return what to find bookings by."""
    return BookingSearch(
        request.booking_id,
        scanned_code(request.ticket_code),
        request.username,
        request.email,
        request.showtime_id,
        request.seat,
        parse_booking_status(request.status),
    )


def search_violations(request: pb.FindBookingsRequest) -> list[FieldViolation]:
    """Return what is wrong with the combination of criteria; accepts any request."""
    criteria = {name: getattr(request, name) for name in CRITERIA}
    return violations_of(lambda: BookingSearch(**criteria, seat=request.seat).criterion)


def parse_refund_status(status: booking_pb2.RefundStatus.ValueType) -> RefundStatus | None:
    """Return the refund status of a filter, or None if it is unset."""
    if status == booking_pb2.REFUND_STATUS_UNSPECIFIED:
        return None
    return RefundStatus(booking_pb2.RefundStatus.Name(status).removeprefix("REFUND_STATUS_"))


def parse_sales_group(group: pb.SalesGroup.ValueType) -> SalesGroup:
    """Return what the lines of a report stand for; unset means DAY."""
    return SalesGroup(pb.SalesGroup.Name(group or pb.SALES_GROUP_DAY).removeprefix("SALES_GROUP_"))


def render_found(found: CustomerBooking) -> pb.FoundBooking:
    """Write a booking with its customer."""
    customer = found.customer
    return pb.FoundBooking(
        booking=render_booking(found.booking),
        customer=pb.Customer(
            user_id=customer.user_id,
            username=customer.username,
            full_name=customer.full_name,
            email=customer.email,
        ),
        redemptions=map(render_redemption, found.booking.redemptions[:MAX_REDEMPTIONS]),
    )


def render_listed_refund(listed: ListedRefund) -> pb.ListedRefund:
    """Write a refund with what it is of."""
    message = pb.ListedRefund(
        refund=render_refund(listed.refund),
        booking_id=listed.booking_id,
        showtime_id=listed.showtime_id,
        user_id=listed.user_id,
        sale=render_sale(listed.sale),
    )
    settlement = listed.refund.settlement
    if settlement is not None:
        message.settled_by, message.note = settlement.user_id, settlement.note
        message.settle_time.CopyFrom(render_moment(settlement.time))
    return message


def encode_settled(listed: ListedRefund) -> bytes:
    """Return the response to SettleRefund."""
    return pb.SettleRefundResponse(refund=render_listed_refund(listed)).SerializeToString()


def render_report(report: SalesReport) -> pb.GetSalesReportResponse:
    """Write a sales report."""
    return pb.GetSalesReportResponse(
        lines=map(_render_line, report.lines),
        totals=map(_render_line, report.totals),
    )


def _render_line(line: SalesLine) -> pb.SalesLine:
    return pb.SalesLine(
        key=line.key,
        seats_sold=line.seats_sold,
        seats_cancelled=line.seats_cancelled,
        gross=render_money(Money(line.currency_code, line.gross)),
        refunded=render_money(Money(line.currency_code, line.refunded)),
        kept_minor_units=line.kept,
        complimentary_seats=line.complimentary_seats,
        seats_on_offer=line.seats_on_offer,
        entry_conflicts=line.entry_conflicts,
    )


def parse_counter_sale(request: pb.SellSeatsRequest) -> CounterSale:
    """Return what is to be sold.

    Raises:
        InvalidRequest: It has not exactly one of seats and choices, or a seat twice.
    """
    return CounterSale(
        parse_selection(request, wheelchair=request.wheelchair),
        Tender(booking_pb2.Tender.Name(request.tender).removeprefix("TENDER_")),
        request.customer_user_id,
        request.allow_gap,
        request.use_house_seats,
        request.reason,
    )


encode_sold = booking_encoder(pb.SellSeatsResponse)
encode_voided = booking_encoder(pb.VoidBookingResponse)
