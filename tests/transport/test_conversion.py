"""Parsing and rendering: objects of the domain and messages of the protos say the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cinema.v1 import booking_pb2, showtime_pb2, user_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from cinema_grpc.application.account_ports import AccessToken
from cinema_grpc.application.sessions import Tokens
from cinema_grpc.domain.account import Role, User
from cinema_grpc.domain.booking import Booking, BookingStatus
from cinema_grpc.domain.catalog import Auditorium, Cinema, ListedShowtime, Movie
from cinema_grpc.domain.errors import InvalidRequest
from cinema_grpc.domain.money import Money
from cinema_grpc.domain.payment import AttemptStatus, PaymentAttempt, Refund, RefundStatus
from cinema_grpc.domain.pricing import PriceLine, PriceList
from cinema_grpc.domain.seating import SeatRow
from cinema_grpc.domain.showtime import SeatStatus
from cinema_grpc.domain.terms import SeatGapPolicy
from cinema_grpc.domain.ticket import Ticket
from cinema_grpc.transport.parsing import (
    parse_booking_status,
    parse_duration,
    parse_moment,
    parse_money,
    parse_price_lines,
    parse_seat_gap_policy,
    parse_seat_rows,
)
from cinema_grpc.transport.rendering import (
    SEAT_STATUSES,
    render_auditorium,
    render_booking,
    render_cinema,
    render_duration,
    render_moment,
    render_money,
    render_movie,
    render_showtime,
    render_tokens,
    render_user,
)
from tests.builders import NOW, a_booking

MOVIE = Movie("m", "Metropolis", timedelta(hours=2, minutes=33), "PG", "A city.", NOW)
CINEMA = Cinema("c", "Kino", "Europe/Berlin", NOW)
LATER = NOW + timedelta(hours=1, microseconds=1)
PRICES = PriceList(
    [
        PriceLine("standard", "adult", Money("EUR", 1_250)),
        PriceLine("standard", "student", Money("EUR", 900), "student card"),
    ]
)
MUCH_LATER = LATER + timedelta(days=30)


class TestTimes:
    @given(st.datetimes(timezones=st.just(UTC)))
    def test_a_moment_comes_back_as_it_was(self, moment: datetime) -> None:
        rendered = render_moment(moment)
        assert rendered.ToDatetime(tzinfo=UTC) == moment
        assert parse_moment(rendered, "t") == moment

    @given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3_652_500)))
    def test_a_duration_comes_back_as_it_was(self, duration: timedelta) -> None:
        rendered = render_duration(duration)
        assert rendered.ToTimedelta() == duration
        assert parse_duration(rendered, "t") == duration

    @pytest.mark.parametrize(("seconds", "nanos"), [(0, -1), (0, 10**9), (-62_135_596_801, 0), (253_402_300_800, 0)])
    def test_an_invalid_timestamp_is_refused(self, seconds: int, nanos: int) -> None:
        with pytest.raises(InvalidRequest) as raised:
            parse_moment(Timestamp(seconds=seconds, nanos=nanos), "start_time")
        assert [each.field for each in raised.value.violations] == ["start_time"]

    @pytest.mark.parametrize(
        ("seconds", "nanos"), [(0, 1), (1, -1000), (-1, 1000), (0, 10**9), (315_576_000_001, 0), (-(2**63), 0)]
    )
    def test_an_invalid_duration_is_refused(self, seconds: int, nanos: int) -> None:
        with pytest.raises(InvalidRequest) as raised:
            parse_duration(Duration(seconds=seconds, nanos=nanos), "runtime")
        assert [each.field for each in raised.value.violations] == ["runtime"]

    def test_a_negative_span_is_read(self) -> None:
        assert parse_duration(Duration(seconds=-1, nanos=-500_000_000), "t") == timedelta(seconds=-1.5)


class TestEnums:
    def test_each_role_seat_and_policy_is_known(self) -> None:
        for role in Role:
            rendered = render_user(User("u", "ada", "Ada", "", role, NOW)).role
            assert user_pb2.Role.Name(rendered) == f"ROLE_{role.name}"
        for status in SeatStatus:
            assert showtime_pb2.SeatStatus.Name(SEAT_STATUSES[status]) == f"SEAT_STATUS_{status.name}"

    @pytest.mark.parametrize("status", BookingStatus)
    def test_a_booking_status_comes_back_as_it_was(self, status: BookingStatus) -> None:
        assert parse_booking_status(render_booking(a_booking(status=status)).status) is status

    def test_unset_values_mean_what_the_contract_says(self) -> None:
        assert parse_booking_status(booking_pb2.BOOKING_STATUS_UNSPECIFIED) is None
        assert parse_seat_gap_policy(showtime_pb2.SEAT_GAP_POLICY_UNSPECIFIED) is SeatGapPolicy.REFUSE
        assert parse_seat_gap_policy(showtime_pb2.SEAT_GAP_POLICY_REFUSE) is SeatGapPolicy.REFUSE
        assert parse_seat_gap_policy(showtime_pb2.SEAT_GAP_POLICY_ALLOW) is SeatGapPolicy.ALLOW


class TestCatalog:
    def test_a_movie(self) -> None:
        movie = render_movie(MOVIE)
        assert (movie.movie_id, movie.title, movie.rating, movie.synopsis) == ("m", "Metropolis", "PG", "A city.")
        assert (movie.runtime.ToTimedelta(), movie.create_time.ToDatetime(UTC)) == (MOVIE.runtime, NOW)

    def test_a_cinema(self) -> None:
        cinema = render_cinema(CINEMA)
        assert (cinema.cinema_id, cinema.name, cinema.time_zone) == ("c", "Kino", "Europe/Berlin")
        assert cinema.create_time.ToDatetime(UTC) == NOW

    def test_an_auditorium(self) -> None:
        rows = (SeatRow("A", (4, 6, 4)), SeatRow("B", (5,)))
        auditorium = render_auditorium(Auditorium("a", "c", "One", rows, NOW))
        assert (auditorium.auditorium_id, auditorium.cinema_id, auditorium.name) == ("a", "c", "One")
        assert auditorium.total_seats == 19
        assert parse_seat_rows(auditorium.rows) == rows

    def test_a_showtime(self) -> None:
        listed = ListedShowtime("s", MOVIE, CINEMA, "a", "One", NOW, LATER, PRICES, SeatGapPolicy.ALLOW, 19, 17, 5)
        showtime = render_showtime(listed)
        assert (showtime.showtime_id, showtime.auditorium_id, showtime.auditorium_name) == ("s", "a", "One")
        assert (showtime.movie, showtime.cinema) == (render_movie(MOVIE), render_cinema(CINEMA))
        assert (showtime.start_time.ToDatetime(UTC), showtime.end_time.ToDatetime(UTC)) == (NOW, LATER)
        assert parse_money(showtime.price) == Money("EUR", 1250)
        assert parse_price_lines(showtime.prices) == PRICES.lines
        assert showtime.status == showtime_pb2.SHOWTIME_STATUS_SCHEDULED
        assert showtime.seat_gap_policy == showtime_pb2.SEAT_GAP_POLICY_ALLOW
        assert (showtime.total_seats, showtime.available_seats, showtime.revision) == (19, 17, 5)


class TestAccounts:
    def test_a_user(self) -> None:
        user = render_user(User("u", "ada", "Ada Lovelace", "ada@example.com", Role.CUSTOMER, NOW))
        assert (user.user_id, user.username, user.full_name) == ("u", "ada", "Ada Lovelace")
        assert (user.email, user.create_time.ToDatetime(UTC)) == ("ada@example.com", NOW)

    def test_tokens(self) -> None:
        tokens = render_tokens(Tokens(AccessToken("text", LATER), "next", MUCH_LATER))
        assert (tokens.access_token, tokens.token_type, tokens.refresh_token) == ("text", "Bearer", "next")
        assert tokens.access_token_expire_time.ToDatetime(UTC) == LATER
        assert tokens.refresh_token_expire_time.ToDatetime(UTC) == MUCH_LATER


def paid(status: BookingStatus, tickets: tuple[Ticket, ...] = (), refund: Refund | None = None) -> Booking:
    return replace(
        a_booking(status=status),
        confirm_time=LATER,
        cancel_time=LATER if status is BookingStatus.CANCELLED else None,
        tickets=tickets,
        payment=PaymentAttempt("attempt", AttemptStatus.CHARGED, NOW),
        refunds=() if refund is None else (refund,),
    )


class TestBooking:
    def test_a_hold_has_no_more_than_a_hold_has(self) -> None:
        booking = render_booking(a_booking(seats=("A1", "A2", "B1")))
        assert (booking.booking_id, booking.user_id, booking.showtime_id) == ("a-booking", "a-customer", "a-showtime")
        assert [(each.seat, parse_money(each.price)) for each in booking.seats] == [
            ("A1", Money("EUR", 1_250)),
            ("A2", Money("EUR", 1_250)),
            ("B1", Money("EUR", 1_250)),
        ]
        assert parse_money(booking.total_price) == Money("EUR", 3_750)
        assert booking.create_time.ToDatetime(UTC) == NOW
        assert booking.hold_expire_time.ToDatetime(UTC) == NOW + timedelta(minutes=10)
        assert not booking.tickets
        assert not any(booking.HasField(field) for field in ("confirm_time", "cancel_time", "refund"))

    def test_tickets_are_valid_while_the_booking_is_confirmed(self) -> None:
        tickets = (Ticket("t1", "A1", "code1"), Ticket("t2", "A2", "code2"))
        confirmed = render_booking(paid(BookingStatus.CONFIRMED, tickets))
        assert [(each.ticket_id, each.seat, each.code) for each in confirmed.tickets] == [
            ("t1", "A1", "code1"),
            ("t2", "A2", "code2"),
        ]
        assert {each.status for each in confirmed.tickets} == {booking_pb2.TICKET_STATUS_VALID}
        assert {each.issue_time.ToDatetime(UTC) for each in confirmed.tickets} == {LATER}
        assert confirmed.confirm_time.ToDatetime(UTC) == LATER
        cancelled = render_booking(paid(BookingStatus.CANCELLED, tickets))
        assert {each.status for each in cancelled.tickets} == {booking_pb2.TICKET_STATUS_VOID}

    @pytest.mark.parametrize("status", RefundStatus)
    def test_a_refund(self, status: RefundStatus) -> None:
        refund = Refund("r", "attempt", Money("EUR", 1_250), 50, status, LATER, ("A1", "A2"))
        booking = render_booking(paid(BookingStatus.CANCELLED, refund=refund))
        assert booking.cancel_time.ToDatetime(UTC) == LATER
        assert parse_money(booking.refund.amount) == Money("EUR", 1_250)
        assert (booking.refund.refund_id, [*booking.refund.seats]) == ("r", ["A1", "A2"])
        assert [*booking.refunds] == [booking.refund]
        assert (booking.refund.percent, booking.refund.create_time.ToDatetime(UTC)) == (50, LATER)
        assert booking_pb2.RefundStatus.Name(booking.refund.status) == f"REFUND_STATUS_{status.name}"


def test_money_comes_back_as_it_was() -> None:
    assert parse_money(render_money(Money("JPY", 10**12))) == Money("JPY", 10**12)
