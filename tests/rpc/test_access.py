"""Access to each method: tokens and roles; and the x-request-id of responses, over a real channel."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import grpc
from cinema.v1 import auth_service_pb2 as pb
from cinema.v1 import booking_service_pb2, catalog_service_pb2, user_pb2
from cinema.v1.event_service_pb2 import ListEventsRequest

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.domain.account import Role, User
from tests.builders import NOW
from tests.rpc.conftest import METHODS, PASSWORD, SECRET, App, Metadata, refusal

Code = grpc.StatusCode
PUBLIC = {
    "/cinema.v1.AuthService/Register",
    "/cinema.v1.AuthService/Login",
    "/cinema.v1.AuthService/RefreshTokens",
    "/cinema.v1.AuthService/Logout",
    "/cinema.v1.AuthService/ListSigningKeys",
    "/cinema.v1.CatalogService/GetMovie",
    "/cinema.v1.CatalogService/GetCinema",
    "/cinema.v1.CatalogService/GetAuditorium",
    "/cinema.v1.CatalogService/ListMovies",
    "/cinema.v1.CatalogService/ListCinemas",
    "/cinema.v1.CatalogService/ListAuditoriums",
    "/cinema.v1.ShowtimeService/ListShowtimes",
    "/cinema.v1.ShowtimeService/GetShowtime",
    "/cinema.v1.ShowtimeService/SuggestSeats",
    "/cinema.v1.ShowtimeService/WatchSeats",
    "/cinema.v1.TicketService/ListTicketKeys",
}
FOR_ANY_USER = {
    "/cinema.v1.AuthService/GetCurrentUser",
    "/cinema.v1.AuthService/ChangePassword",
}
FOR_CUSTOMERS = {
    "/cinema.v1.BookingService/CreateBooking",
    "/cinema.v1.BookingService/GetBooking",
    "/cinema.v1.BookingService/ListBookings",
    "/cinema.v1.BookingService/ConfirmPayment",
    "/cinema.v1.BookingService/GetCancellationQuote",
    "/cinema.v1.BookingService/CancelBooking",
    "/cinema.v1.BookingService/UpdateHold",
    "/cinema.v1.TicketService/RenderTicket",
}
FOR_STAFF = {
    "/cinema.v1.CatalogService/CreateMovie",
    "/cinema.v1.CatalogService/CreateCinema",
    "/cinema.v1.CatalogService/CreateAuditorium",
    "/cinema.v1.CatalogService/UpdateMovie",
    "/cinema.v1.CatalogService/UpdateCinema",
    "/cinema.v1.CatalogService/UpdateAuditorium",
    "/cinema.v1.ShowtimeService/CreateShowtime",
    "/cinema.v1.ShowtimeService/UpdateShowtime",
    "/cinema.v1.ShowtimeService/CancelShowtime",
    "/cinema.v1.ShowtimeService/SetSeatBlocks",
    "/cinema.v1.ShowtimeService/ListSeatBlocks",
    "/cinema.v1.BoxOfficeService/SellSeats",
    "/cinema.v1.BoxOfficeService/VoidBooking",
    "/cinema.v1.BoxOfficeService/FindBookings",
    "/cinema.v1.BoxOfficeService/ListRefunds",
    "/cinema.v1.BoxOfficeService/SettleRefund",
    "/cinema.v1.BoxOfficeService/GetSalesReport",
    "/cinema.v1.TicketService/RedeemTicket",
    "/cinema.v1.TicketService/ReverseRedemption",
    "/cinema.v1.TicketService/RecordRedemptions",
    "/cinema.v1.TicketService/ListTickets",
}
FOR_SERVICES = {
    "/cinema.v1.EventService/ListEvents",
    "/cinema.v1.EventService/WatchEvents",
}


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


def test_every_method_is_classed_once() -> None:
    """A new one must be public, or for some roles."""
    assert sorted(METHODS) == sorted([*PUBLIC, *FOR_ANY_USER, *FOR_CUSTOMERS, *FOR_STAFF, *FOR_SERVICES])


class TestAccess:
    async def refusals(self, app: App, methods: Iterable[str], metadata: Metadata) -> dict[str, tuple[Code, str]]:
        """Call methods with an empty request; return the refusals."""
        refused = {method: await refusal(app.send(method, b"", metadata)) for method in methods}
        return {method: (each.code, each.reason) for method, each in refused.items()}

    async def outcome(self, app: App, method: str, metadata: Metadata) -> bytes | tuple[Any, str]:
        """Call a method with an empty request; return its response, or its code and message."""
        try:
            return await app.send(method, b"", metadata)
        except grpc.aio.AioRpcError as error:
            return error.code(), str(error.details())

    async def test_each_method_that_is_not_public_requires_a_token(self, app: App) -> None:
        """It is checked before the request."""
        methods = METHODS.keys() - PUBLIC
        assert methods
        missing = await self.refusals(app, methods, ())
        assert missing == dict.fromkeys(methods, (Code.UNAUTHENTICATED, "TOKEN_MISSING"))

    async def test_a_token_of_an_unknown_user_is_refused(self, app: App) -> None:
        """Even with a valid signature and the role of staff."""
        nobody = User("0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d", "nobody", "Nobody", "", Role.STAFF, NOW)
        token = JwtAccessTokens(SECRET, app.clock).issue(nobody).text
        methods = METHODS.keys() - PUBLIC
        refused = await self.refusals(app, methods, bearer(token))
        assert refused == dict.fromkeys(methods, (Code.UNAUTHENTICATED, "TOKEN_INVALID"))

    async def test_public_methods_ignore_tokens(self, app: App) -> None:
        """The response is the same without a token, with an invalid one and with an expired one."""
        expired = await app.customer()
        app.clock.advance(timedelta(hours=1))
        for method in PUBLIC:
            expected = await self.outcome(app, method, ())
            for metadata in (bearer("nonsense"), (("authorization", ""),), expired, expired * 2):
                assert await self.outcome(app, method, metadata) == expected, method

    async def test_staff_methods_are_refused_to_customers(self, app: App) -> None:
        """All other methods validate the empty request, or respond to it."""
        refused = FOR_STAFF | FOR_SERVICES
        assert await self.refusals(app, refused, await app.customer()) == dict.fromkeys(
            refused, (Code.PERMISSION_DENIED, "ROLE_REQUIRED")
        )
        for method in PUBLIC | FOR_ANY_USER | FOR_CUSTOMERS:
            outcome = await self.outcome(app, method, await app.customer())
            assert isinstance(outcome, bytes) or outcome[0] is Code.INVALID_ARGUMENT, method

    async def test_a_refusal_names_all_roles_that_may_call(self, app: App) -> None:
        refused = await refusal(app.events.ListEvents(ListEventsRequest(), metadata=await app.customer()))
        assert refused.metadata == {"role": "SERVICE"}
        assert refused.message == "this call needs the role SERVICE or STAFF"

    async def test_services_read_events_alone(self, app: App) -> None:
        """Besides what is open to anyone, and their own account."""
        refused, service = FOR_STAFF | FOR_CUSTOMERS, await app.service()
        assert await self.refusals(app, refused, service) == dict.fromkeys(
            refused, (Code.PERMISSION_DENIED, "ROLE_REQUIRED")
        )
        for method in FOR_SERVICES:
            for metadata in (service, await app.staff()):
                assert isinstance(await self.outcome(app, method, metadata), bytes)
        own = (await app.auth.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=service)).user
        assert (own.role, own.email) == (user_pb2.ROLE_SERVICE, "")

    async def test_staff_sign_in_like_customers(self, app: App) -> None:
        """They may have no email, and may do what customers may."""
        metadata = await app.staff()
        staff = (await app.auth.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=metadata)).user
        assert (staff.username, staff.full_name, staff.email) == ("staff", "Staff", "")
        assert staff.role == user_pb2.ROLE_STAFF
        odeon = catalog_service_pb2.CreateCinemaRequest(name="Odeon", time_zone="UTC")
        assert (await app.catalog.CreateCinema(odeon, metadata=metadata)).cinema.name == "Odeon"
        booking = await app.book((await app.showtime()).showtime_id, "A1", "A2", by="staff")
        assert booking.user_id == staff.user_id
        assert (await app.auth.Login(pb.LoginRequest(username="STAFF", password=PASSWORD))).user == staff
        request = pb.RegisterRequest(username="Staff", password=PASSWORD, full_name="Ada", email="ada@example.com")
        assert (await refusal(app.auth.Register(request))).reason == "USERNAME_TAKEN"


class TestXRequestId:
    async def answered(self, app: App, *sent: str, metadata: Metadata = ()) -> list[str]:
        """Make a call that succeeds and one that fails; return the x-request-id of both."""
        headers = (*metadata, *(("x-request-id", value) for value in sent))
        call = app.catalog.ListMovies(catalog_service_pb2.ListMoviesRequest(), metadata=headers)
        await call
        request = booking_service_pb2.GetBookingRequest(booking_id="none")
        refused = await refusal(app.bookings.GetBooking(request, metadata=headers))
        return [str(dict(await call.trailing_metadata())["x-request-id"]), str(refused.trailers["x-request-id"])]

    async def test_a_well_formed_one_is_returned(self, app: App) -> None:
        """On success, and on refusals before and after authentication."""
        for own in ("7", "Aa0._-", "x" * 128):
            assert await self.answered(app, own) == [own, own]
            assert await self.answered(app, own, metadata=await app.customer()) == [own, own]

    async def test_any_other_is_replaced(self, app: App) -> None:
        """By a new, well-formed one for each call."""
        seen = await self.answered(app)
        for own in ("", "x" * 129, "a b", "a/b", "a,b", "{}"):
            given = await self.answered(app, own)
            assert own not in given
            seen += given
        assert len(set(seen)) == len(seen)
        for each in seen:
            assert await self.answered(app, each) == [each, each]
