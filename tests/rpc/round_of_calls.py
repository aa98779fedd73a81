"""A round of calls in which every table is read and written."""

import itertools
from datetime import timedelta
from typing import Any

import grpc
import pytest
from cinema.v1 import (
    auth_service_pb2,
    booking_pb2,
    booking_service_pb2,
    box_office_service_pb2,
    catalog_service_pb2,
    event_service_pb2,
    showtime_service_pb2,
    ticket_service_pb2,
)
from cinema.v1.showtime_pb2 import SEAT_BLOCK_KIND_HOUSE, SeatBlock
from google.protobuf.field_mask_pb2 import FieldMask

from tests.builders import NOW
from tests.rpc.conftest import PASSWORD, App, moment, new_id

A_DAY = timedelta(days=1)
SECONDS = 20


class Round:
    """One of every call, noted by its method."""

    def __init__(self, app: App, number: int) -> None:
        self.app = app
        self.customer = f"customer-{number}"
        self.start = NOW + number * A_DAY
        self.called: set[str] = set()

    async def call(self, method: str, request: Any, by: str = "") -> Any:
        """Make a call that has to succeed."""
        self.called.add(f"/cinema.v1.{method}")
        service, _, name = method.partition("/")
        app = self.app
        stubs = {
            "AuthService": app.auth,
            "CatalogService": app.catalog,
            "ShowtimeService": app.showtimes,
            "BookingService": app.bookings,
            "BoxOfficeService": app.box_office,
            "EventService": app.events,
            "TicketService": app.tickets,
        }
        stub = stubs[service]
        return await getattr(stub, name)(request, metadata=self.app.tokens[by] if by else (), timeout=SECONDS)

    async def watch(self, request: showtime_service_pb2.WatchSeatsRequest) -> Any:
        """Return the first frame of a stream."""
        self.called.add("/cinema.v1.ShowtimeService/WatchSeats")
        stream = self.app.showtimes.WatchSeats(request, timeout=SECONDS)
        frame = await stream.read()
        stream.cancel()
        return frame

    async def run(self) -> None:
        """Make all calls."""
        await self.app.staff()
        await self.sign_in()
        showtime_id = await self.enter()
        await self.browse()
        await self.change(showtime_id)
        await self.buy(showtime_id)
        await self.serve(showtime_id)

    async def sign_in(self) -> None:
        """Make the calls of the AuthService."""
        pb, name = auth_service_pb2, self.customer
        account = {"username": name, "password": PASSWORD, "full_name": "Ada", "email": f"{name}@example.com"}
        await self.call("AuthService/Register", pb.RegisterRequest(**account))
        answer = await self.call("AuthService/Login", pb.LoginRequest(username=name, password=PASSWORD))
        token = answer.tokens.refresh_token
        answer = await self.call("AuthService/RefreshTokens", pb.RefreshTokensRequest(refresh_token=token))
        self.app.tokens[name] = (("authorization", f"Bearer {answer.tokens.access_token}"),)
        await self.call("AuthService/Logout", pb.LogoutRequest(refresh_token=answer.tokens.refresh_token))
        await self.call("AuthService/GetCurrentUser", pb.GetCurrentUserRequest(), name)
        change = pb.ChangePasswordRequest(current_password=PASSWORD, new_password=PASSWORD + "!")
        await self.call("AuthService/ChangePassword", change, name)
        await self.call("AuthService/ListSigningKeys", pb.ListSigningKeysRequest())

    async def enter(self) -> str:
        """Make and read an entry of each kind; each is made twice with one request_id."""
        pb, app = catalog_service_pb2, self.app
        showtime = await app.showtime(self.start)
        auditorium_id = showtime.auditorium_id
        await self.call("CatalogService/GetMovie", pb.GetMovieRequest(movie_id=showtime.movie.movie_id))
        await self.call("CatalogService/GetCinema", pb.GetCinemaRequest(cinema_id=showtime.cinema.cinema_id))
        await self.call("CatalogService/GetAuditorium", pb.GetAuditoriumRequest(auditorium_id=auditorium_id))
        cinema = pb.CreateCinemaRequest(name="A House", time_zone="Europe/Berlin", request_id=new_id())
        first = await self.call("CatalogService/CreateCinema", cinema, "staff")
        assert await self.call("CatalogService/CreateCinema", cinema, "staff") == first
        self.called |= {  # by `app.showtime`
            "/cinema.v1.CatalogService/CreateMovie",
            "/cinema.v1.CatalogService/CreateAuditorium",
            "/cinema.v1.ShowtimeService/CreateShowtime",
        }
        of_cinema = pb.ListAuditoriumsRequest(cinema_id=showtime.cinema.cinema_id)
        assert len((await self.call("CatalogService/ListAuditoriums", of_cinema)).auditoriums) == 1
        return showtime.showtime_id

    async def browse(self) -> None:
        """List and read everything, by every combination of filters."""
        catalog, pb = catalog_service_pb2, showtime_service_pb2
        assert (await self.call("CatalogService/ListMovies", catalog.ListMoviesRequest())).movies
        assert (await self.call("CatalogService/ListCinemas", catalog.ListCinemasRequest())).cinemas
        for shown in (await self.call("ShowtimeService/ListShowtimes", pb.ListShowtimesRequest())).showtimes:
            known = {
                "movie_id": shown.movie.movie_id,
                "cinema_id": shown.cinema.cinema_id,
                "auditorium_id": shown.auditorium_id,
            }
            for size in range(4):
                for names in itertools.combinations(known, size):
                    request = pb.ListShowtimesRequest(**{name: known[name] for name in names}, page_size=1)
                    answer = await self.call("ShowtimeService/ListShowtimes", request)
                    while names == () and answer.next_page_token:
                        request.page_token = answer.next_page_token
                        answer = await self.call("ShowtimeService/ListShowtimes", request)
                    assert answer.showtimes[0].showtime_id == shown.showtime_id or names == ()
            found = await self.call("ShowtimeService/GetShowtime", pb.GetShowtimeRequest(showtime_id=shown.showtime_id))
            party = pb.SuggestSeatsRequest(showtime_id=shown.showtime_id, party_size=2)
            assert (await self.call("ShowtimeService/SuggestSeats", party)).revision == found.showtime.revision
            watched = await self.watch(pb.WatchSeatsRequest(showtime_id=shown.showtime_id))
            assert [*watched.seats] == [*found.seats]
            assert found.showtime == shown

    async def change(self, showtime_id: str) -> None:
        """Change what was entered, and block a seat; each preview shows what is done then."""
        catalog, pb = catalog_service_pb2, showtime_service_pb2
        read = pb.GetShowtimeRequest(showtime_id=showtime_id)
        shown = (await self.call("ShowtimeService/GetShowtime", read)).showtime
        for kind, identifier, field in (
            ("Movie", shown.movie.movie_id, "title"),
            ("Cinema", shown.cinema.cinema_id, "name"),
            ("Auditorium", shown.auditorium_id, "name"),
        ):
            request = getattr(catalog, f"Update{kind}Request")(
                update_mask=FieldMask(paths=[field]), **{f"{kind.lower()}_id": identifier, field: "Another"}
            )
            await self.call(f"CatalogService/Update{kind}", request, "staff")
        later = moment(self.start + timedelta(minutes=20))
        move = pb.UpdateShowtimeRequest(
            showtime_id=showtime_id, update_mask=FieldMask(paths=["start_time"]), start_time=later, validate_only=True
        )
        preview = await self.call("ShowtimeService/UpdateShowtime", move, "staff")
        move.validate_only, move.expected_revision = False, preview.showtime.revision
        moved = await self.call("ShowtimeService/UpdateShowtime", move, "staff")
        assert (moved.showtime.start_time, moved.impact) == (later, preview.impact)
        block = SeatBlock(seats=["A10"], kind=SEAT_BLOCK_KIND_HOUSE, reason="guests")
        request = pb.SetSeatBlocksRequest(showtime_id=showtime_id, block=block)
        blocks = (await self.call("ShowtimeService/SetSeatBlocks", request, "staff")).blocks
        listing = pb.ListSeatBlocksRequest(showtime_id=showtime_id)
        assert (await self.call("ShowtimeService/ListSeatBlocks", listing, "staff")).blocks == blocks
        read = pb.GetShowtimeRequest(showtime_id=showtime_id)
        found = (await self.call("ShowtimeService/GetShowtime", read)).showtime
        assert (found.movie.title, found.available_seats, found.start_time) == ("Another", 17, later)

    async def serve(self, showtime_id: str) -> None:
        """Sell at the counter and pay back, find what was sold, report it, and cancel the showtime."""
        pb, by = box_office_service_pb2, "staff"
        request = pb.SellSeatsRequest(
            showtime_id=showtime_id,
            seats=["A10", "A9"],
            tender=booking_pb2.TENDER_CASH,
            use_house_seats=True,
            reason="a guest",
            request_id=new_id(),
        )
        sold = (await self.call("BoxOfficeService/SellSeats", request, by)).booking
        assert (await self.call("BoxOfficeService/SellSeats", request, by)).booking == sold
        void = pb.VoidBookingRequest(booking_id=sold.booking_id, seats=["A9"], refund_percent=50, reason="unwell")
        refund = (await self.call("BoxOfficeService/VoidBooking", void, by)).booking.refund
        listing = pb.ListRefundsRequest(showtime_id=showtime_id, status=refund.status)
        (listed,) = (await self.call("BoxOfficeService/ListRefunds", listing, by)).refunds
        assert listed.refund == refund
        settle = pb.SettleRefundRequest(refund_id=refund.refund_id, note="from the till")
        await self.call("BoxOfficeService/SettleRefund", settle, by)
        for criterion in (
            {"booking_id": sold.booking_id},
            {"ticket_code": sold.tickets[0].code},
            {"showtime_id": showtime_id, "seat": "A10"},
            {"username": by, "status": booking_pb2.BOOKING_STATUS_CONFIRMED},
        ):
            found = await self.call("BoxOfficeService/FindBookings", pb.FindBookingsRequest(**criterion), by)
            assert found.bookings[0].booking.booking_id == sold.booking_id
        read = showtime_service_pb2.GetShowtimeRequest(showtime_id=showtime_id)
        cinema_id = (await self.call("ShowtimeService/GetShowtime", read)).showtime.cinema.cinema_id
        for group in pb.SalesGroup.values():
            days = {"from_date": "2026-05-01", "until_date": "2026-05-02"}
            report = pb.GetSalesReportRequest(cinema_id=cinema_id, group_by=group, **days)
            (total,) = (await self.call("BoxOfficeService/GetSalesReport", report, by)).totals
            assert (total.seats_sold, total.seats_cancelled) == (7, 3)
        await self.let_in(showtime_id, sold)
        cancel = showtime_service_pb2.CancelShowtimeRequest(showtime_id=showtime_id, reason="a leak")
        cancelled = await self.call("ShowtimeService/CancelShowtime", cancel, by)
        assert (cancelled.impact.confirmed_bookings, cancelled.impact.seats) == (2, 4)
        await self.background()
        wanted, watch = (
            event_service_pb2.ListEventsRequest(showtime_id=showtime_id),
            "cinema.v1.EventService/WatchEvents",
        )
        assert (await self.call("EventService/ListEvents", wanted, by)).events
        self.called.add(f"/{watch}")
        assert await self.app.send(f"/{watch}", wanted.SerializeToString(), self.app.tokens[by])

    async def let_in(self, showtime_id: str, sold: booking_pb2.Booking) -> None:
        """Record at the door that someone was let in, and reverse that; redeem nothing, since the gate is closed."""
        pb, by, ticket = ticket_service_pb2, "staff", sold.tickets[1]
        await self.call("TicketService/ListTicketKeys", pb.ListTicketKeysRequest())
        picture = pb.RenderTicketRequest(booking_id=sold.booking_id, ticket_id=ticket.ticket_id)
        assert (await self.call("TicketService/RenderTicket", picture, by)).image
        entry = pb.OfflineRedemption(code=ticket.code, redeem_time=moment(self.app.clock.now()), gate="north")
        record = pb.RecordRedemptionsRequest(redemptions=[entry], request_id=new_id())
        recorded = await self.call("TicketService/RecordRedemptions", record, by)
        assert recorded.outcomes[0].outcome == pb.RECORD_OUTCOME_ACCEPTED
        assert await self.call("TicketService/RecordRedemptions", record, by) == recorded
        reverse = pb.ReverseRedemptionRequest(ticket_id=ticket.ticket_id, reason="a mistake")
        await self.call("TicketService/ReverseRedemption", reverse, by)
        listing = pb.ListTicketsRequest(showtime_id=showtime_id)
        listed = (await self.call("TicketService/ListTickets", listing, by)).tickets
        assert ticket.ticket_id in {each.ticket_id for each in listed}
        redeem = pb.RedeemTicketRequest(code=ticket.code, showtime_id=showtime_id, gate="north")
        with pytest.raises(grpc.aio.AioRpcError, match="are redeemed from"):
            await self.call("TicketService/RedeemTicket", redeem, by)

    async def buy(self, showtime_id: str) -> None:
        """Book, pay, cancel and let lapse; and read each booking in every way."""
        pb, name = booking_service_pb2, self.customer
        bookings = []
        for seats in (["A1", "A2"], ["B1", "B2"], ["B5", "B6"]):
            request = pb.CreateBookingRequest(showtime_id=showtime_id, seats=seats, request_id=new_id())
            answer = await self.call("BookingService/CreateBooking", request, name)
            assert await self.call("BookingService/CreateBooking", request, name) == answer
            bookings.append(answer.booking.booking_id)
        hold = pb.UpdateHoldRequest(booking_id=bookings[0], seats=["A1", "A2", "A3"])
        assert len((await self.call("BookingService/UpdateHold", hold, name)).booking.seats) == 3
        for booking_id in bookings[:2]:
            pay = pb.ConfirmPaymentRequest(booking_id=booking_id, payment_token="tok_visa")
            await self.call("BookingService/ConfirmPayment", pay, name)
        quote = pb.GetCancellationQuoteRequest(booking_id=bookings[1])
        await self.call("BookingService/GetCancellationQuote", quote, name)
        await self.call("BookingService/CancelBooking", pb.CancelBookingRequest(booking_id=bookings[1]), name)
        self.app.clock.advance(timedelta(minutes=10))
        expected = [booking_pb2.BOOKING_STATUS_CONFIRMED, booking_pb2.BOOKING_STATUS_CANCELLED]
        for status, booking_id in zip([*expected, booking_pb2.BOOKING_STATUS_EXPIRED], bookings, strict=True):
            for of_showtime in ("", showtime_id):
                listing = pb.ListBookingsRequest(status=status, showtime_id=of_showtime)
                answer = await self.call("BookingService/ListBookings", listing, name)
                assert [each.booking_id for each in answer.bookings] == [booking_id]
            read = await self.call("BookingService/GetBooking", pb.GetBookingRequest(booking_id=booking_id), name)
            assert read.booking.status == status
        await self.background()

    async def background(self) -> None:
        """Do what the server does by itself."""
        server = self.app.server
        for task in (
            server.tasks.expire_holds,
            server.tasks.recover_payments,
            server.tasks.pay_refunds,
            server.tasks.delete_expired,
            server.event_feed.sequencer,
            server.event_feed.position_watch,
            server.tasks.delete_events,
        ):
            await task.stop()
            await task._run_pass()
            task.start()
        await server.database.check()
