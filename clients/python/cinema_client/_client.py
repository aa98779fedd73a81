"""A client for programs without asyncio."""

import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import grpc
from google.protobuf.message import Message

from cinema_client import errors
from cinema_client._channel import credentials, options
from cinema_client._error import CinemaError
from cinema_client._interceptor import Interceptor
from cinema_client._pages import Pages
from cinema_client._session import LONGEST_WAIT_TO_CLOSE_SECONDS, Session, Tokens
from cinema_client._watching import Resumption, Watchdog, silence
from cinema_client.cinema.v1.auth_service_pb2 import (
    LoginRequest,
    LogoutRequest,
    RefreshTokensRequest,
    RegisterRequest,
)
from cinema_client.cinema.v1.auth_service_pb2_grpc import AuthServiceStub
from cinema_client.cinema.v1.booking_service_pb2_grpc import BookingServiceStub
from cinema_client.cinema.v1.box_office_service_pb2_grpc import BoxOfficeServiceStub
from cinema_client.cinema.v1.catalog_service_pb2_grpc import CatalogServiceStub
from cinema_client.cinema.v1.event_service_pb2 import WatchEventsRequest, WatchEventsResponse
from cinema_client.cinema.v1.event_service_pb2_grpc import EventServiceStub
from cinema_client.cinema.v1.showtime_service_pb2 import WatchSeatsRequest, WatchSeatsResponse
from cinema_client.cinema.v1.showtime_service_pb2_grpc import ShowtimeServiceStub
from cinema_client.cinema.v1.ticket_service_pb2_grpc import TicketServiceStub
from cinema_client.cinema.v1.user_pb2 import User

if TYPE_CHECKING:
    from cinema_client.cinema.v1.event_pb2 import EventType

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
STUBS = (
    AuthServiceStub,
    CatalogServiceStub,
    ShowtimeServiceStub,
    BookingServiceStub,
    BoxOfficeServiceStub,
    TicketServiceStub,
    EventServiceStub,
)


class Client(Pages):
    """A client of the cinema service. May be used by several threads.

    Args:
        target: HOST:PORT, or a name with several addresses, such as `dns:///cinema.example:50051`.
        root_certificates: Certificate authorities in PEM that sign the server's certificate. None: those of gRPC.
        certificate_chain: The client's own certificate in PEM, for servers that ask for one, with those between it and
            the server's authority.
        private_key: The key of `certificate_chain`, in PEM.
        plaintext: Whether to connect without TLS. None: only to an address of this machine.
        tokens: Tokens of an earlier session, to continue it.
        on_tokens: Called with the tokens each time that they change, with None when the session has ended.
        newer_tokens: Called before a refresh. Returns the tokens that another client of the session has got in place of
            those that have expired, or None if there are none.
        timeout: Seconds for a call, its repeats included; None for no limit. ConfirmPayment may take 30. Streams have
            no limit.

    Attributes:
        auth, catalog, showtimes, bookings, box_office, tickets, events: The methods of the services.
    """

    def __init__(
        self,
        target: str = "localhost:50051",
        *,
        root_certificates: bytes | None = None,
        certificate_chain: bytes | None = None,
        private_key: bytes | None = None,
        plaintext: bool | None = None,
        tokens: Tokens | None = None,
        on_tokens: Callable[[Tokens | None], None] | None = None,
        newer_tokens: Callable[[], Tokens | None] | None = None,
        timeout: float | None = 40.0,
    ) -> None:
        secure = credentials(target, root_certificates, certificate_chain, private_key, plaintext=plaintext)
        if secure is None:
            self._channel = grpc.insecure_channel(target, options(target))
        else:
            self._channel = grpc.secure_channel(target, secure, options(target))
        self._session = Session(tokens, on_tokens, newer_tokens)
        self._interceptor = Interceptor(self._session, timeout, self._refresh)
        for stub in STUBS:
            stub(self._channel)  # registers its methods; gRPC crashes where that is done after the channel was closed
        channel = grpc.intercept_channel(self._channel, self._interceptor)
        self.auth = AuthServiceStub(channel)
        self.catalog = CatalogServiceStub(channel)
        self.showtimes = ShowtimeServiceStub(channel)
        self.bookings = BookingServiceStub(channel)
        self.box_office = BoxOfficeServiceStub(channel)
        self.tickets = TicketServiceStub(channel)
        self.events = EventServiceStub(channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The session continues: see `tokens`.

        If new tokens are under way, it waits for them for up to 5 seconds, as the refresh token has been used by then.
        """
        was_free = self._interceptor.refreshing.acquire(timeout=LONGEST_WAIT_TO_CLOSE_SECONDS)
        self._channel.close()
        if was_free:
            self._interceptor.refreshing.release()

    @property
    def tokens(self) -> Tokens | None:
        """The tokens of the session; None if no user is signed in."""
        return self._session.tokens

    def register(self, username: str, password: str, full_name: str, email: str) -> User:
        """Create an account, sign in to it, and return it."""
        request = RegisterRequest(username=username, password=password, full_name=full_name, email=email)
        return self.auth.Register(request).user

    def login(self, username: str, password: str) -> User:
        """Sign in, and return the account. Later calls are made by this user, with tokens that are kept fresh."""
        return self.auth.Login(LoginRequest(username=username, password=password)).user

    def logout(self) -> None:
        """End the session, if there is one."""
        with self._interceptor.refreshing:  # else tokens that a refresh brings meanwhile would stay
            if tokens := self._session.tokens:
                self.auth.Logout(LogoutRequest(refresh_token=tokens.refresh_token))

    def watch_seats(self, showtime_id: str, after_revision: int = 0) -> Iterator[WatchSeatsResponse]:
        """Return what happens to the seats of a showtime, frame by frame, until it has ended or is cancelled.

        A lost stream is resumed where it ended, for as long as it takes. It fails only if no stream brings a frame, or
        if another stream would end in the same way, such as after the end of the session.

        Args:
            showtime_id: The showtime.
            after_revision: Revision that the caller knows, to learn what has changed since; 0 for all seats.
        """
        request = WatchSeatsRequest(showtime_id=showtime_id, after_revision=after_revision)
        for frame in self._watch(self.showtimes.WatchSeats, request):
            request.after_revision = frame.revision
            yield frame

    def watch_events(
        self,
        after_position: int = 0,
        types: "Iterable[EventType.ValueType]" = (),
        *,
        showtime_id: str = "",
        cinema_id: str = "",
        booking_id: str = "",
    ) -> Iterator[WatchEventsResponse]:
        """Return events as they happen, frame by frame. For staff and services.

        A lost stream is resumed where it ended, for as long as it takes. It fails only if no stream brings a frame, or
        if another stream would end in the same way, such as after the end of the session.

        Args:
            after_position: The `next_position` of the last frame that the caller has dealt with; 0 to begin
                with the first event, which is PositionTrimmed if that is no longer kept.
            types: Only events of these types; none for all.
            showtime_id: Only events of this showtime.
            cinema_id: Only events of this cinema.
            booking_id: Only events of this booking.
        """
        request = WatchEventsRequest(
            after_position=after_position,
            types=types,
            showtime_id=showtime_id,
            cinema_id=cinema_id,
            booking_id=booking_id,
        )
        for frame in self._watch(self.events.WatchEvents, request):
            request.after_position = frame.next_position
            yield frame

    def _watch(self, method: Callable[[Request], Iterable[Response]], request: Request) -> Iterator[Response]:
        """Return the frames of a stream, and those of further streams in its place, until one ends without an error."""
        resumption = Resumption()
        while True:
            tokens = self._session.tokens
            stream: Any = method(request)
            watchdog = Watchdog(stream.cancel)
            try:
                for frame in stream:
                    watchdog.pause()
                    resumption.received()
                    yield frame
                    watchdog.listen()
            except errors.TokenExpired:
                if tokens is None:
                    raise
                self._renew(tokens, resumption)
            except CinemaError as error:
                time.sleep(resumption.after(silence() if watchdog.has_cancelled else error))
            else:
                return
            finally:
                watchdog.stop()
                stream.cancel()

    def _renew(self, expired: Tokens, resumption: Resumption) -> None:
        """Get new tokens for a stream; wait, if they can't be had now."""
        try:
            self._interceptor.refresh(expired)
        except CinemaError as error:
            time.sleep(resumption.after(error))

    def _refresh(self, refresh_token: str) -> None:
        self.auth.RefreshTokens(RefreshTokensRequest(refresh_token=refresh_token))
