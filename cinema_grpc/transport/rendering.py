"""From the objects of the domain to the messages of the protos."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from cinema.v1 import booking_pb2, catalog_pb2, money_pb2, showtime_pb2, user_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from cinema_grpc.application.account_ports import JsonWebKey
from cinema_grpc.application.sessions import Tokens
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.booking import Booking, BookingStatus, CancelCause
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.door import door_tickets
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import Refund, RefundStatus
from cinema_grpc.domain.sale import Sale, Tender
from cinema_grpc.domain.showtime import SeatStatus
from cinema_grpc.domain.terms import SeatGapPolicy, ShowtimeStatus
from cinema_grpc.domain.ticket import TicketStatus
from cinema_grpc.transport.parsing import EPOCH

M = TypeVar("M", bound=Message)

SECONDS_A_DAY = 86_400
TOKEN_TYPE = "Bearer"  # noqa: S105 (the name of a scheme)

ROLES = {each: user_pb2.Role.Value(f"ROLE_{each.name}") for each in Role}
BOOKING_STATUSES = {each: booking_pb2.BookingStatus.Value(f"BOOKING_STATUS_{each.name}") for each in BookingStatus}
REFUND_STATUSES = {each: booking_pb2.RefundStatus.Value(f"REFUND_STATUS_{each.name}") for each in RefundStatus}
CANCEL_CAUSES = {each: booking_pb2.CancelCause.Value(f"CANCEL_CAUSE_{each.name}") for each in CancelCause}
SEAT_ACTIVE, SEAT_CANCELLED = booking_pb2.BOOKED_SEAT_STATUS_ACTIVE, booking_pb2.BOOKED_SEAT_STATUS_CANCELLED
TICKET_STATUSES = {each: booking_pb2.TicketStatus.Value(f"TICKET_STATUS_{each.name}") for each in TicketStatus}
TENDERS = {each: booking_pb2.Tender.Value(f"TENDER_{each.name}") for each in Tender}
SEAT_STATUSES = {each: showtime_pb2.SeatStatus.Value(f"SEAT_STATUS_{each.name}") for each in SeatStatus}
SHOWTIME_STATUSES = {each: showtime_pb2.ShowtimeStatus.Value(f"SHOWTIME_STATUS_{each.name}") for each in ShowtimeStatus}
SEAT_GAP_POLICIES = {each: showtime_pb2.SeatGapPolicy.Value(f"SEAT_GAP_POLICY_{each.name}") for each in SeatGapPolicy}


def serialized(_response_type: type[M], response: bytes) -> M:
    """Return a response that is serialized already, in place of a message: the call pipeline sends it unchanged."""
    return cast("M", response)


def render_moment(moment: datetime) -> Timestamp:
    """Write a moment."""
    timestamp = Timestamp()
    _write_moment(moment, timestamp)
    return timestamp


def render_duration(duration: timedelta) -> Duration:
    """Write a duration that is not negative."""
    return Duration(seconds=duration.days * SECONDS_A_DAY + duration.seconds, nanos=duration.microseconds * 1000)


def render_money(money: Money) -> money_pb2.Money:
    """Write an amount of money."""
    message = money_pb2.Money()
    _write_money(money, message)
    return message


def render_user(user: User) -> user_pb2.User:
    """Write a user."""
    return user_pb2.User(
        user_id=user.user_id,
        username=user.username,
        full_name=user.full_name,
        email=user.email,
        role=ROLES[user.role],
        create_time=render_moment(user.create_time),
    )


def render_tokens(tokens: Tokens) -> user_pb2.Tokens:
    """Write what signs a user in."""
    return user_pb2.Tokens(
        access_token=tokens.access_token.text,
        token_type=TOKEN_TYPE,
        access_token_expire_time=render_moment(tokens.access_token.expire_time),
        refresh_token=tokens.refresh_token,
        refresh_token_expire_time=render_moment(tokens.refresh_token_expire_time),
    )


def render_signing_key(key: JsonWebKey) -> user_pb2.SigningKey:
    """Return the message of a public key."""
    return user_pb2.SigningKey(**key)


def render_movie(movie: Movie) -> catalog_pb2.Movie:
    """Write a movie."""
    return catalog_pb2.Movie(
        movie_id=movie.movie_id,
        title=movie.title,
        runtime=render_duration(movie.runtime),
        rating=movie.rating,
        synopsis=movie.synopsis,
        create_time=render_moment(movie.create_time),
        archived=movie.archived,
    )


def render_cinema(cinema: Cinema) -> catalog_pb2.Cinema:
    """Write a cinema."""
    return catalog_pb2.Cinema(
        cinema_id=cinema.cinema_id,
        name=cinema.name,
        time_zone=cinema.time_zone,
        create_time=render_moment(cinema.create_time),
        archived=cinema.archived,
    )


def render_auditorium(auditorium: Auditorium) -> catalog_pb2.Auditorium:
    """Write an auditorium."""
    return catalog_pb2.Auditorium(
        auditorium_id=auditorium.auditorium_id,
        cinema_id=auditorium.cinema_id,
        name=auditorium.name,
        rows=[catalog_pb2.SeatRow(label=row.label, sections=row.sections) for row in auditorium.rows],
        total_seats=auditorium.total_seats,
        create_time=render_moment(auditorium.create_time),
        areas=[
            catalog_pb2.SeatArea(category=area.category, rows=area.rows, seats=area.seats) for area in auditorium.areas
        ],
        wheelchair_spaces=[
            catalog_pb2.WheelchairSpace(seat=space.seat, companion_seats=space.companion_seats)
            for space in auditorium.wheelchair_spaces
        ],
        archived=auditorium.archived,
    )


def render_showtime(showtime: ListedShowtime) -> showtime_pb2.Showtime:
    """Write a showtime."""
    message = showtime_pb2.Showtime(
        showtime_id=showtime.showtime_id,
        movie=render_movie(showtime.movie),
        cinema=render_cinema(showtime.cinema),
        auditorium_id=showtime.auditorium_id,
        auditorium_name=showtime.auditorium_name,
        start_time=render_moment(showtime.start_time),
        end_time=render_moment(showtime.end_time),
        price=render_money(showtime.prices.lowest),
        status=SHOWTIME_STATUSES[showtime.status],
        seat_gap_policy=SEAT_GAP_POLICIES[showtime.seat_gap_policy],
        total_seats=showtime.total_seats,
        available_seats=showtime.available_seats,
        revision=showtime.revision,
        cancel_reason=showtime.cancel_reason,
    )
    if showtime.cancel_time is not None:
        _write_moment(showtime.cancel_time, message.cancel_time)
    for line in showtime.prices.lines:
        written = message.prices.add(category=line.category, ticket_type=line.ticket_type, proof=line.proof)
        _write_money(line.price, written.price)
    return message


def render_booking(booking: Booking) -> booking_pb2.Booking:
    """Write a booking."""
    message = booking_pb2.Booking()
    write_booking(booking, message)
    return message


def booking_encoder(response_type: Callable[[], Any]) -> Callable[[Booking], bytes]:
    """Return a function that writes a booking as a response of a type that has nothing else."""

    def encode(booking: Booking) -> bytes:
        response = response_type()
        write_booking(booking, response.booking)
        body: bytes = response.SerializeToString()
        return body

    return encode


def write_booking(booking: Booking, message: booking_pb2.Booking) -> None:
    """Write a booking into an empty message; its tickets were issued when it was confirmed.

    Parts are written in place: making each by itself and copying it takes twice the time.
    """
    message.booking_id = booking.booking_id
    message.user_id = booking.user_id
    message.showtime_id = booking.showtime_id
    message.status = BOOKING_STATUSES[booking.status]
    cancelled = booking.status is BookingStatus.CANCELLED
    for booked in booking.seats:
        seat = message.seats.add()
        seat.seat = booked.label
        seat.category, seat.ticket_type, seat.proof = booked.category, booked.ticket_type, booked.proof
        seat.status = SEAT_CANCELLED if cancelled or not booked.active else SEAT_ACTIVE
        _write_money(booked.price, seat.price)
    _write_money(booking.total_price, message.total_price)
    _write_moment(booking.create_time, message.create_time)
    _write_moment(booking.hold_expire_time, message.hold_expire_time)
    if booking.confirm_time is not None:
        _write_moment(booking.confirm_time, message.confirm_time)
    if booking.cancel_time is not None:
        _write_moment(booking.cancel_time, message.cancel_time)
    for shown in door_tickets(booking):
        message.tickets.add(
            ticket_id=shown.ticket.ticket_id,
            seat=shown.ticket.seat,
            code=shown.ticket.code,
            status=TICKET_STATUSES[shown.status],
            issue_time=message.confirm_time,
        )
    if booking.refunds:
        message.refunds.extend(map(render_refund, booking.refunds))
        message.refund.CopyFrom(message.refunds[-1])
    if booking.cancel_cause is not None:
        message.cancel_cause = CANCEL_CAUSES[booking.cancel_cause]
        message.cancel_reason = booking.cancel_reason
    if booking.sale is None:
        message.sale.channel = booking_pb2.SALE_CHANNEL_ONLINE
    else:
        message.sale.CopyFrom(render_sale(booking.sale))


def render_refund(refund: Refund) -> booking_pb2.Refund:
    """Write a refund."""
    return booking_pb2.Refund(
        amount=render_money(refund.amount),
        percent=refund.percent,
        status=REFUND_STATUSES[refund.status],
        create_time=render_moment(refund.create_time),
        refund_id=refund.refund_id,
        seats=refund.seats,
    )


def render_sale(sale: Sale | None) -> booking_pb2.Sale:
    """Write how a booking was sold; None stands for online."""
    if sale is None:
        return booking_pb2.Sale(channel=booking_pb2.SALE_CHANNEL_ONLINE)
    return booking_pb2.Sale(
        channel=booking_pb2.SALE_CHANNEL_COUNTER,
        tender=TENDERS[sale.tender],
        sold_by=sale.sold_by,
        reason=sale.reason,
    )


def _write_moment(moment: datetime, timestamp: Timestamp) -> None:
    since = moment - EPOCH
    timestamp.seconds = since.days * SECONDS_A_DAY + since.seconds
    timestamp.nanos = since.microseconds * 1000


def _write_money(money: Money, message: money_pb2.Money) -> None:
    message.currency_code = money.currency_code
    message.minor_units = money.minor_units
