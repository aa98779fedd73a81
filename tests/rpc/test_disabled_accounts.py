"""Accounts that the command line disables beside a running server: their credentials are refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import grpc
import pytest
from cinema.v1 import auth_service_pb2 as pb
from structlog.testing import capture_logs

from cinema_grpc.application.principals import SECONDS_BETWEEN_EVICTIONS, Principals
from cinema_grpc.application.sessions import new_refresh_token
from cinema_grpc.config import Settings
from cinema_grpc.server import CinemaServer
from tests.rpc.conftest import PASSWORD, SECRET, App, Metadata, read_refusal, refusal

SECONDS_PROMISED = 5
SECONDS_TO_TAKE_EFFECT = 30
"""As the machine may be busy."""


@asynccontextmanager
async def command_line(app: App, database_url: str) -> AsyncIterator[Principals]:
    """The accounts as a command sees them, with its own caches and the clock of the app."""
    server = CinemaServer(Settings(database_url=database_url), SECRET, app.clock)
    try:
        yield server.accounts.principals
    finally:
        await server.close()


async def whoami(app: App, metadata: Metadata) -> str:
    answer = await app.auth.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=metadata)
    return answer.user.username


async def reason(app: App, metadata: Metadata) -> str:
    """Make a call that needs only a token; return "OK" or the reason of the error."""
    try:
        await app.send("/cinema.v1.BookingService/ListBookings", b"", metadata)
    except grpc.aio.AioRpcError as error:
        return read_refusal(error).reason
    return "OK"


async def until_refused(app: App, metadata: Metadata) -> str:
    """Wait until a token is refused; return the reason."""
    async with asyncio.timeout(SECONDS_TO_TAKE_EFFECT):
        while (outcome := await reason(app, metadata)) == "OK":  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(0.05)
    return outcome


@pytest.mark.parametrize("role", ["customer", "staff"])
async def test_all_credentials_of_a_disabled_account_are_refused(app: App, database_url: str, role: str) -> None:
    """Its password, its refresh tokens and, within seconds, its access tokens, like invalid ones."""
    metadata = await (app.staff() if role == "staff" else app.customer("ada"))
    other = await app.customer("grace")
    name = await whoami(app, metadata)
    tokens = (await app.auth.Login(pb.LoginRequest(username=name, password=PASSWORD))).tokens
    app.clock.advance(timedelta(seconds=1))
    async with command_line(app, database_url) as principals:
        disabled = await principals.set_disabled(name.upper(), disabled=True)
        assert disabled is not None
        assert disabled.username == name
        assert await until_refused(app, metadata) == "TOKEN_INVALID"
        assert (await refusal(whoami(app, metadata))).reason == "TOKEN_INVALID"
        for request in (
            app.auth.Login(pb.LoginRequest(username=name, password=PASSWORD)),
            app.auth.Login(pb.LoginRequest(username="nobody", password=PASSWORD)),
        ):
            refused = await refusal(request)
            assert (refused.reason, refused.metadata) == ("BAD_CREDENTIALS", {})
        refused = await refusal(app.auth.RefreshTokens(pb.RefreshTokensRequest(refresh_token=tokens.refresh_token)))
        assert refused.reason == "REFRESH_TOKEN_INVALID"
    assert await reason(app, other) == "OK"


def test_servers_look_often_enough() -> None:
    """Two intervals, each up to 10% longer, are within the time after which credentials are refused everywhere."""
    assert 2 * 1.1 * SECONDS_BETWEEN_EVICTIONS < SECONDS_PROMISED


async def test_an_enabled_account_must_sign_in_again(app: App, database_url: str) -> None:
    """Its old tokens stay refused, even if it was disabled for less time than a server takes to notice."""
    metadata = await app.customer("ada")
    app.clock.advance(timedelta(seconds=1))
    async with command_line(app, database_url) as principals:
        assert await principals.set_disabled("ada", disabled=True) is not None
        assert await principals.set_disabled("ada", disabled=False) is not None
        assert await until_refused(app, metadata) == "TOKEN_INVALID"
        await app.sign_in("ada")
        assert await reason(app, app.tokens["ada"]) == "OK"
        assert await reason(app, metadata) == "TOKEN_INVALID"
        await app.server.accounts.principals.evict_revoked()
        assert await reason(app, app.tokens["ada"]) == "OK"
        assert await principals.set_disabled("nobody", disabled=True) is None
        assert await principals.set_disabled("nobody", disabled=False) is None


async def test_a_concurrent_sign_in_gets_no_session(app: App, database_url: str) -> None:
    """If the account is disabled between the check of the password and the start of the session."""
    await app.customer("ada")
    store = app.server.account_store
    found = await store.find_by_username("ada")
    assert found is not None
    user, password_hash = found
    async with command_line(app, database_url) as principals:
        await principals.set_disabled("ada", disabled=True)
        assert await store.begin_session(user.user_id, password_hash, new_refresh_token(), lambda: None) is None
        await principals.set_disabled("ada", disabled=False)
        assert await store.begin_session(user.user_id, password_hash, new_refresh_token(), lambda: None) is not None


async def test_the_security_log(app: App, database_url: str) -> None:
    metadata = await app.customer("ada")
    app.clock.advance(timedelta(seconds=1))
    async with command_line(app, database_url) as principals:
        with capture_logs() as logs:
            disabled = await principals.set_disabled("ada", disabled=True)
            await app.server.accounts.principals.evict_revoked()
            assert await reason(app, metadata) == "TOKEN_INVALID"
            await refusal(app.auth.Login(pb.LoginRequest(username="ada", password=PASSWORD)))
            await principals.set_disabled("ada", disabled=False)
    assert disabled is not None
    said = [line for line in logs if line.get("logger") == "cinema.security" and line["event"] != "refused"]
    assert {line["user_id"] for line in said} == {disabled.user_id}
    assert [(line["event"], line["log_level"]) for line in said] == [
        ("account disabled, sessions ended", "info"),
        ("revoked access token used", "warning"),
        ("sign-in refused", "warning"),
        ("account enabled", "info"),
    ]
