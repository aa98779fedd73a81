"""cinema.v1.BoxOfficeService: what staff do for customers."""
# ruff: noqa: N802 (the names are those of the protos)

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from cinema.v1 import booking_pb2, box_office_service_pb2_grpc
from cinema.v1 import box_office_service_pb2 as pb

from cinema_grpc.application.counter import Counter
from cinema_grpc.application.desk import Desk
from cinema_grpc.application.sales_report import SalesFilter, SalesReports
from cinema_grpc.domain.business_days import parse_period
from cinema_grpc.transport import security_log
from cinema_grpc.transport.call import principal
from cinema_grpc.transport.desk_messages import (
    encode_settled,
    encode_sold,
    encode_voided,
    parse_counter_sale,
    parse_refund_status,
    parse_sales_group,
    parse_search,
    render_found,
    render_listed_refund,
    render_report,
)
from cinema_grpc.transport.idempotency import idempotent_call
from cinema_grpc.transport.page_tokens import query_of
from cinema_grpc.transport.pages import read_page
from cinema_grpc.transport.rendering import serialized


class BoxOfficeServicer(box_office_service_pb2_grpc.BoxOfficeServiceServicer):
    """Answers the calls of the BoxOfficeService. Each is in the security log: who, what, for whom, and why."""

    def __init__(self, counter: Counter, desk: Desk, sales_reports: SalesReports, largest_page: int) -> None:
        self._counter = counter
        self._desk = desk
        self._sales_reports = sales_reports
        self._largest_page = largest_page

    async def SellSeats(self, request: pb.SellSeatsRequest, _context: object) -> pb.SellSeatsResponse:
        """Sell seats at the counter."""
        call, seller = idempotent_call(request), principal().user_id
        body = await self._counter.sell(seller, request.showtime_id, parse_counter_sale(request), call, encode_sold)
        booking = pb.SellSeatsResponse.FromString(body).booking
        security_log.note(
            "seats sold",
            booking_id=booking.booking_id,
            showtime_id=request.showtime_id,
            customer_user_id=booking.user_id,
            tender=booking_pb2.Tender.Name(request.tender).removeprefix("TENDER_"),
            reason=request.reason,
        )
        return serialized(pb.SellSeatsResponse, body)

    async def VoidBooking(self, request: pb.VoidBookingRequest, _context: object) -> pb.VoidBookingResponse:
        """Cancel seats of any booking."""
        call, staff, seats = idempotent_call(request), principal().user_id, tuple(request.seats)
        body = await self._counter.void(
            staff, request.booking_id, seats, request.refund_percent, request.reason, call, encode_voided
        )
        security_log.note(
            "booking voided",
            booking_id=request.booking_id,
            customer_user_id=pb.VoidBookingResponse.FromString(body).booking.user_id,
            seats=",".join(seats),
            refund_percent=request.refund_percent,
            reason=request.reason,
        )
        return serialized(pb.VoidBookingResponse, body)

    async def FindBookings(self, request: pb.FindBookingsRequest, _context: object) -> pb.FindBookingsResponse:
        """Return a page of bookings with their customers."""
        search = parse_search(request)
        criterion = search.criterion
        bookings, next_page_token = await read_page(
            request,
            query_of(request, principal().user_id),
            partial(self._desk.find_bookings, search),
            lambda each: each.booking.booking_id,
            render_found,
            self._largest_page,
        )
        _note_search(request, criterion, bookings)
        return pb.FindBookingsResponse(bookings=bookings, next_page_token=next_page_token)

    async def ListRefunds(self, request: pb.ListRefundsRequest, _context: object) -> pb.ListRefundsResponse:
        """Return a page of refunds."""
        status = parse_refund_status(request.status)
        refunds, next_page_token = await read_page(
            request,
            query_of(request, principal().user_id),
            partial(self._desk.list_refunds, request.showtime_id, status),
            lambda each: each.refund.refund_id,
            render_listed_refund,
            self._largest_page,
        )
        facts = {"showtime_id": request.showtime_id, "status": "" if status is None else status.value}
        security_log.note("refunds listed", found=len(refunds), **_given(facts))
        return pb.ListRefundsResponse(refunds=refunds, next_page_token=next_page_token)

    async def SettleRefund(self, request: pb.SettleRefundRequest, _context: object) -> pb.SettleRefundResponse:
        """Record that a refund was paid by hand."""
        call = idempotent_call(request)
        user_id, refund_id = principal().user_id, request.refund_id
        body = await self._desk.settle_refund(user_id, refund_id, request.note, call, encode_settled)
        settled = pb.SettleRefundResponse.FromString(body).refund
        security_log.note(
            "refund settled by hand",
            refund_id=refund_id,
            booking_id=settled.booking_id,
            customer_user_id=settled.user_id,
            reason=settled.note,
        )
        return serialized(pb.SettleRefundResponse, body)

    async def GetSalesReport(self, request: pb.GetSalesReportRequest, _context: object) -> pb.GetSalesReportResponse:
        """Return what a cinema sold and refunded."""
        period = parse_period(request.from_date, request.until_date)
        sales = SalesFilter(request.cinema_id, request.showtime_id, request.movie_id)
        group = parse_sales_group(request.group_by)
        report = await self._sales_reports.report(sales, *period, group)
        security_log.note(
            "sales report read",
            cinema_id=request.cinema_id,
            from_date=request.from_date,
            until_date=request.until_date,
            by=group.value,
            **_given({"showtime_id": request.showtime_id, "movie_id": request.movie_id}),
        )
        return render_report(report)


def _given(facts: Mapping[str, str]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if value}


def _note_search(request: pb.FindBookingsRequest, criterion: str, found: Sequence[pb.FoundBooking]) -> None:
    """Log a search. The code of a ticket is a secret, and a user is logged by their user_id."""
    facts = {criterion: getattr(request, criterion)} if criterion in {"booking_id", "showtime_id"} else {}
    customers = {each.customer.user_id for each in found}
    if criterion != "showtime_id" and customers:
        facts["customer_user_id"] = customers.pop()
    security_log.note("bookings looked up", by=criterion, found=len(found), **facts)
