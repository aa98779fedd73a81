"""What methods refuse requests for beyond the rules in the protos; asked so that a refusal names every bad field."""

from collections.abc import Mapping, Sequence

from cinema.v1 import auth_service_pb2, catalog_service_pb2, showtime_service_pb2

from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.catalog import Catalog
from cinema_grpc.domain.errors import FieldViolation, InvalidRequest, violations_of
from cinema_grpc.domain.seating import SeatPlan
from cinema_grpc.transport.authentication import caller
from cinema_grpc.transport.parsing import parse_moment, parse_money, parse_seat_rows
from cinema_grpc.transport.validation import Further


def further_checks(accounts: Accounts, catalog: Catalog) -> Mapping[str, Further]:
    """List the checks, by the full name of the method that makes each of them itself, too."""

    async def register(request: auth_service_pb2.RegisterRequest) -> Sequence[FieldViolation]:
        return accounts.violations(request.username, request.password, request.full_name, request.email)

    async def change_password(request: auth_service_pb2.ChangePasswordRequest) -> Sequence[FieldViolation]:
        return await accounts.password_violations(caller().user_id, request.new_password)

    async def create_cinema(request: catalog_service_pb2.CreateCinemaRequest) -> Sequence[FieldViolation]:
        return catalog.time_zone_violations(request.time_zone)

    async def create_auditorium(request: catalog_service_pb2.CreateAuditoriumRequest) -> Sequence[FieldViolation]:
        return violations_of(lambda: SeatPlan(parse_seat_rows(request.rows)))

    async def create_showtime(request: showtime_service_pb2.CreateShowtimeRequest) -> Sequence[FieldViolation]:
        try:
            start_time = parse_moment(request.start_time, "start_time")
        except InvalidRequest:
            start_time = None  # the rules in the protos have named it
        return await catalog.showtime_violations(start_time, parse_money(request.price))

    return {
        "/cinema.v1.AuthService/Register": register,
        "/cinema.v1.AuthService/ChangePassword": change_password,
        "/cinema.v1.CatalogService/CreateCinema": create_cinema,
        "/cinema.v1.CatalogService/CreateAuditorium": create_auditorium,
        "/cinema.v1.ShowtimeService/CreateShowtime": create_showtime,
    }
