"""Authentication: which calls are refused, and in which order they are checked."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from cinema.v1 import booking_service_pb2 as pb
from google.protobuf import descriptor_pool
from grpc import StatusCode
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from structlog.testing import capture_logs

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.throttle import SignInThrottle
from cinema_grpc.config import Settings
from cinema_grpc.domain.account import Role, User
from cinema_grpc.transport.authentication import Access, Authentication
from cinema_grpc.transport.call import principal
from cinema_grpc.transport.contract import ACCESS, SERVICES
from cinema_grpc.transport.handlers import Handler, MethodTraits
from cinema_grpc.transport.health import LIST
from cinema_grpc.transport.pipeline import CallPipeline
from cinema_grpc.transport.reflection import reflection_handlers
from cinema_grpc.transport.security_log import note
from cinema_grpc.transport.validation import request_checks
from tests.builders import NOW, FakeClock
from tests.transport.conftest import Serve
from tests.transport.wire import failure, reason_of

PUBLIC, CUSTOMER, STAFF, FORGOTTEN = (f"/test.Service/{name}" for name in ("Public", "Customer", "Staff", "Forgotten"))
TABLE = {PUBLIC: Access.PUBLIC, CUSTOMER: Access.CUSTOMER, STAFF: Access.STAFF}
GET_BOOKING = "/cinema.v1.BookingService/GetBooking"


class App:
    """Accounts on a database of their own, their tokens, and a server that asks them."""

    def __init__(self, accounts: Accounts, tokens: JwtAccessTokens, clock: FakeClock, channel: Any) -> None:
        self.accounts, self.tokens, self.clock, self.channel = accounts, tokens, clock, channel

    async def token(self, role: Role) -> str:
        name = role.name.lower()
        if role is Role.STAFF:
            return self.tokens.issue(await self.accounts.create_staff(name, "correct horse battery", "Staff")).text
        return (
            await self.accounts.register(name, "correct horse battery", "Ada", f"{name}@example.com")
        ).tokens.access_token.text

    def call(self, method: str, *authorizations: str, request: bytes = b"") -> Any:
        return self.channel.unary_unary(method)(request, metadata=[("authorization", each) for each in authorizations])

    async def reason(self, method: str, *authorizations: str, request: bytes = b"") -> str:
        return reason_of(await failure(self.call(method, *authorizations, request=request)))


@pytest_asyncio.fixture
async def app(database_url: str, serve: Serve) -> AsyncIterator[App]:
    clock = FakeClock()
    database = Database(database_url, clock)
    tokens = JwtAccessTokens(b"x" * 32, clock)
    hasher = Argon2Passwords(memory_kib=64, rounds=1)
    throttle = SignInThrottle(SqlSignInStore(database), Settings().sign_in_limits)
    accounts = Accounts(SqlAccountStore(database), hasher, tokens, throttle, note, clock, frozenset())

    async def who(_request: object, _context: object) -> bytes:
        return principal().user_id.encode()

    async def anyone(_request: object, _context: object) -> bytes:
        return b"welcome"

    methods: dict[str, Handler] = {
        method: grpc.unary_unary_rpc_method_handler(who) for method in (CUSTOMER, STAFF, FORGOTTEN)
    }
    methods[PUBLIC] = grpc.unary_unary_rpc_method_handler(anyone)
    methods[GET_BOOKING] = grpc.unary_unary_rpc_method_handler(anyone, pb.GetBookingRequest.FromString)
    table = TABLE | {GET_BOOKING: Access.STAFF}
    traits = {name: MethodTraits(check) for name, check in request_checks(SERVICES).items()}
    authentication = Authentication(tokens, accounts.principals, table)
    channel = await serve(CallPipeline(methods, authentication=authentication, traits=traits))
    yield App(accounts, tokens, clock, channel)
    hasher.close()
    await database.close()


def test_every_method_has_a_declared_access() -> None:
    promised = {f"/{service.full_name}/{method.name}" for service in SERVICES for method in service.methods}
    pool = descriptor_pool.Default()
    handlers = reflection_handlers([])
    assert len(handlers) == 2
    others = {
        f"/{name}/{method.name}"
        for name in (
            health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
            reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name,
            "grpc.reflection.v1.ServerReflection",
        )
        for method in pool.FindServiceByName(name).methods
    } | {LIST}  # Python's package of the service lacks it
    assert set(ACCESS) == promised | others
    assert {method for method in others if ACCESS[method] is not Access.PUBLIC} == set()


def test_every_service_of_the_contract_is_served() -> None:
    package = Path(__file__).parents[2] / "protos/cinema/v1"
    services = {path.stem for path in package.glob("*_service.proto")}
    assert {service.file.name.split("/")[-1].removesuffix(".proto") for service in SERVICES} == services


async def test_servicers_and_the_log_know_the_principal(app: App) -> None:
    token = await app.token(Role.CUSTOMER)
    user_id = app.tokens.read(token).user_id
    with capture_logs() as logs:
        assert await app.call(CUSTOMER, f"Bearer {token}") == user_id.encode()
    assert [line["user_id"] for line in logs] == [user_id]
    assert token not in str(logs)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_case_of_the_scheme_does_not_matter(app: App, scheme: str) -> None:
    assert await app.call(CUSTOMER, f"{scheme} {await app.token(Role.CUSTOMER)}")


async def test_staff_may_call_methods_for_customers(app: App) -> None:
    token = await app.token(Role.STAFF)
    assert await app.call(CUSTOMER, f"Bearer {token}")
    assert await app.call(STAFF, f"Bearer {token}")


async def test_without_a_token(app: App) -> None:
    error = await failure(app.call(CUSTOMER))
    assert error.code() is StatusCode.UNAUTHENTICATED
    assert reason_of(error) == "TOKEN_MISSING"


@pytest.mark.parametrize(
    "authorizations",
    [
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Bearer nonsense"],
        ["Basic {token}"],
        ["{token}"],
        ["Bearer{token}"],
        ["Bearer {token}x"],
        ["Bearer {token}, Bearer {token}"],
        ["Bearer {token}", "Bearer {token}"],
    ],
)
async def test_with_a_malformed_token(app: App, authorizations: list[str]) -> None:
    token = await app.token(Role.CUSTOMER)
    given = [each.format(token=token) for each in authorizations]
    assert await app.reason(CUSTOMER, *given) == "TOKEN_INVALID"


async def test_with_a_token_of_an_unknown_user(app: App) -> None:
    stranger = User("nobody", "nobody", "Nobody", "", Role.STAFF, NOW)
    assert await app.reason(CUSTOMER, f"Bearer {app.tokens.issue(stranger).text}") == "TOKEN_INVALID"


async def test_with_an_expired_token(app: App) -> None:
    issued = app.tokens.issue(User("a", "a", "A", "", Role.CUSTOMER, NOW))
    app.clock.advance(issued.expire_time - NOW)
    assert await app.reason(CUSTOMER, f"Bearer {issued.text}") == "TOKEN_EXPIRED"


async def test_a_public_method_ignores_the_token(app: App) -> None:
    with capture_logs() as logs:
        assert await app.call(PUBLIC) == b"welcome"
        assert await app.call(PUBLIC, "Bearer nonsense") == b"welcome"
        assert await app.call(PUBLIC, f"Bearer {await app.token(Role.CUSTOMER)}") == b"welcome"
    assert not any("user_id" in line for line in logs if line["event"] == "call")


async def test_a_customer_may_not_call_methods_for_staff(app: App) -> None:
    error = await failure(app.call(STAFF, f"Bearer {await app.token(Role.CUSTOMER)}"))
    assert error.code() is StatusCode.PERMISSION_DENIED
    assert reason_of(error) == "ROLE_REQUIRED"


async def test_a_method_without_declared_access_is_closed(app: App) -> None:
    token = await app.token(Role.STAFF)
    with capture_logs() as logs:
        assert await app.reason(FORGOTTEN, f"Bearer {token}") == "INTERNAL_ERROR"
    (line,) = (line for line in logs if line["event"] == "call")
    assert FORGOTTEN in str(line["exc_info"])


async def test_the_checks_come_in_the_order_token_role_request(app: App) -> None:
    garbage = b"\xff"
    assert await app.reason(GET_BOOKING, request=garbage) == "TOKEN_MISSING"
    customer, staff = await app.token(Role.CUSTOMER), await app.token(Role.STAFF)
    assert await app.reason(GET_BOOKING, f"Bearer {customer}", request=garbage) == "ROLE_REQUIRED"
    assert await app.reason(GET_BOOKING, f"Bearer {staff}", request=garbage) == "INVALID_REQUEST"
    good = pb.GetBookingRequest(booking_id="b").SerializeToString()
    assert await app.call(GET_BOOKING, f"Bearer {staff}", request=good) == b"welcome"


async def test_a_public_method_has_no_principal(serve: Serve, app: App) -> None:
    async def who(_request: object, _context: object) -> bytes:
        return principal().user_id.encode()

    authentication = Authentication(app.tokens, app.accounts.principals, TABLE)
    methods: dict[str, Handler] = {PUBLIC: grpc.unary_unary_rpc_method_handler(who)}
    channel = await serve(CallPipeline(methods, authentication=authentication))
    assert reason_of(await failure(channel.unary_unary(PUBLIC)(b""))) == "INTERNAL_ERROR"
