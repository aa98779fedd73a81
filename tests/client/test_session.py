"""Sign-in, fresh tokens, and the end of a session."""

import asyncio
from datetime import timedelta

import grpc
import pytest
from cinema_client import AsyncClient, CinemaError, Tokens, _async_client, _client, errors
from cinema_client.cinema.v1 import auth_service_pb2
from google.rpc.status_pb2 import Status

from tests.client.conftest import Either
from tests.client.proxy import Fault, Proxy
from tests.rpc.conftest import PASSWORD, App

HOUR = timedelta(minutes=61)


async def begin_refresh(proxy: Proxy, either: Either) -> tuple[asyncio.Event, "asyncio.Task[str]"]:
    """Make a call with a token that has expired; return what its refresh waits for, and the call."""
    gate = proxy.gates["RefreshTokens"] = asyncio.Event()
    waiting = asyncio.create_task(either.who_am_i())
    while not proxy.of("RefreshTokens"):  # noqa: ASYNC110 (a proxy has no event)
        await asyncio.sleep(0.01)
    return gate, waiting


async def test_register_login_logout(app: App, either: Either) -> None:
    """Each change of the tokens is told, and calls are made by the user who is signed in."""
    client = either.client
    user = await either.call(client.register, "eve", PASSWORD, "Eve", "eve@example.com")
    assert user.username == await either.who_am_i() == "eve"
    await either.sign_in(app, "ada")
    assert await either.who_am_i() == "ada"
    await either.call(client.logout)
    with pytest.raises(errors.TokenMissing):
        await either.who_am_i()
    await either.call(client.logout)
    assert client.tokens is None
    first, second, ended = either.token_changes
    assert first != second
    assert ended is None
    assert str(first) == "Tokens()"


async def test_an_expired_token_is_refreshed(app: App, proxy: Proxy, either: Either) -> None:
    """Once, however many calls find it expired."""
    await either.sign_in(app)
    app.clock.advance(HOUR)
    names = await asyncio.gather(*(either.who_am_i() for _ in range(10)))
    assert set(names) == {"ada"}
    assert len(proxy.of("RefreshTokens")) == 1
    assert either.client.tokens == either.token_changes[-1]
    assert len(either.token_changes) == 2


async def test_closing_waits_for_new_tokens(app: App, proxy: Proxy, either: Either) -> None:
    """The server has used the refresh token up: without the new ones, the session would be lost."""
    await either.sign_in(app)
    app.clock.advance(HOUR)
    gate, waiting = await begin_refresh(proxy, either)
    closing = asyncio.create_task(either.close())
    await asyncio.sleep(0.1)  # closing at once would cut the refresh off meanwhile
    gate.set()
    await closing
    await asyncio.gather(waiting, return_exceptions=True)
    assert len(either.token_changes) == 2
    assert either.client.tokens == either.token_changes[-1]


async def test_closing_does_not_wait_for_ever(
    app: App, proxy: Proxy, either: Either, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_async_client, _client):
        monkeypatch.setattr(module, "LONGEST_WAIT_TO_CLOSE_SECONDS", 0.1)
    await either.sign_in(app)
    app.clock.advance(HOUR)
    _, waiting = await begin_refresh(proxy, either)
    async with asyncio.timeout(20):
        await either.close()
        assert isinstance(
            (await asyncio.gather(waiting, return_exceptions=True))[0], Exception | asyncio.CancelledError
        )


async def test_a_lost_refresh_is_repeated(app: App, proxy: Proxy, either: Either) -> None:
    """Login and RefreshTokens have no request_id, but may be repeated."""
    proxy.faults = [Fault.LOSE_RESPONSE]
    await either.sign_in(app)
    request = auth_service_pb2.RefreshTokensRequest(refresh_token=either.client.tokens.refresh_token)
    proxy.faults = [Fault.LOSE_RESPONSE]
    await either.call(either.client.auth.RefreshTokens, request)
    app.clock.advance(HOUR)
    assert await either.who_am_i() == "ada"


async def test_a_session_that_has_ended(app: App, either: Either) -> None:
    """Neither token is good any more: the caller has to sign in."""
    await either.sign_in(app)
    app.clock.advance(timedelta(days=31))
    with pytest.raises(errors.RefreshTokenInvalid):
        await either.who_am_i()
    assert either.client.tokens is None
    assert either.token_changes[-1] is None


@pytest.mark.parametrize("later", [HOUR, timedelta(days=31)])
async def test_a_refresh_that_ends_late(app: App, proxy: Proxy, either: Either, later: timedelta) -> None:
    """A user who has signed in meanwhile stays signed in, whether the refresh succeeds or its session has ended."""
    await either.sign_in(app, "ada")
    app.clock.advance(later)
    gate, waiting = await begin_refresh(proxy, either)
    await either.sign_in(app, "bob")
    tokens = either.client.tokens
    gate.set()
    await asyncio.wait([waiting])
    assert either.client.tokens == either.token_changes[-1] == tokens
    assert await either.who_am_i() == "bob"
    assert isinstance(waiting.exception(), errors.RefreshTokenInvalid | None)


async def test_a_logout_during_a_refresh(app: App, proxy: Proxy, either: Either) -> None:
    """It ends the session that the refresh continues, and its tokens do not stay."""
    await either.sign_in(app)
    app.clock.advance(HOUR)
    gate, waiting = await begin_refresh(proxy, either)
    ending = asyncio.create_task(either.call(either.client.logout))
    await asyncio.sleep(0.05)  # for a Logout that does not wait
    gate.set()
    await asyncio.wait([waiting, ending])
    await ending
    assert either.client.tokens is None
    assert either.token_changes[-1] is None


async def test_calls_that_wait_for_a_refresh_share_its_failure(app: App, proxy: Proxy, either: Either) -> None:
    """Each gets an error of its own; a later call tries again."""
    await either.sign_in(app)
    app.clock.advance(HOUR)
    gate, first = await begin_refresh(proxy, either)
    others = [asyncio.create_task(either.who_am_i()) for _ in range(4)]
    while len(proxy.of("GetCurrentUser")) < 5:  # noqa: ASYNC110 (a proxy has no event)
        await asyncio.sleep(0.01)
    proxy.faults = [Status(code=13, message="an internal error")] * 5
    gate.set()
    failed = await asyncio.gather(first, *others, return_exceptions=True)
    assert [each.code() for each in failed if isinstance(each, CinemaError)] == [grpc.StatusCode.INTERNAL] * 5
    assert len({id(each) for each in failed}) == 5
    assert len(proxy.of("RefreshTokens")) < 5  # 1, unless some learn late that their token has expired
    proxy.faults.clear()
    assert await either.who_am_i() == "ada"


async def test_a_refresh_goes_on_when_its_call_is_cancelled(app: App, proxy: Proxy) -> None:
    """Else the server may have replaced a refresh token whose successor the client never learns."""
    either = Either(AsyncClient(proxy.address), [])
    await either.sign_in(app)
    app.clock.advance(HOUR)
    gate, waiting = await begin_refresh(proxy, either)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    gate.set()
    assert await either.who_am_i() == "ada"
    assert len(proxy.of("RefreshTokens")) == 1
    await either.close()


async def test_a_session_continues_in_another_client(app: App, proxy: Proxy, either: Either) -> None:
    await either.sign_in(app)
    kept = either.client.tokens
    other = Either(type(either.client)(proxy.address, tokens=kept), [])
    assert await other.who_am_i() == "ada"
    app.clock.advance(HOUR)
    assert await other.who_am_i() == "ada"
    assert other.client.tokens != kept
    await other.close()


async def test_clients_that_share_a_session(app: App, proxy: Proxy, either: Either) -> None:
    """Each uses what the other has got, also if that has expired: no token that was used before ends the session."""
    kept: list[Tokens] = []
    make = type(either.client)
    await either.sign_in(app)
    sharing = {"on_tokens": kept.append, "newer_tokens": lambda: kept[-1] if kept else None}
    one, other = (Either(make(proxy.address, tokens=either.client.tokens, **sharing), []) for _ in range(2))
    for later in (HOUR, HOUR, 2 * HOUR):
        app.clock.advance(later)
        assert await one.who_am_i() == "ada"
    assert await other.who_am_i() == "ada"
    assert len(proxy.of("RefreshTokens")) == 3
    app.clock.advance(HOUR)
    assert await one.who_am_i() == "ada"
    app.clock.advance(HOUR)
    assert await other.who_am_i() == "ada"
    assert len(proxy.of("RefreshTokens")) == 5
    assert one.client.tokens != other.client.tokens == kept[-1]
    await one.close()
    await other.close()


async def test_a_new_password_begins_a_new_session(app: App, either: Either) -> None:
    """Which the client goes on with: the old refresh token is good no more."""
    await either.sign_in(app)
    request = auth_service_pb2.ChangePasswordRequest(current_password=PASSWORD, new_password=f"{PASSWORD}!")
    await either.call(either.client.auth.ChangePassword, request)
    app.clock.advance(HOUR)
    assert await either.who_am_i() == "ada"


async def test_a_callers_own_token_that_has_expired(app: App, proxy: Proxy, either: Either) -> None:
    """It is no reason to renew those of the session."""
    await either.sign_in(app, "ada")
    expired = await app.customer("bob")
    app.clock.advance(HOUR)
    request = auth_service_pb2.GetCurrentUserRequest()
    with pytest.raises(errors.TokenExpired):
        await either.call(either.client.auth.GetCurrentUser, request, metadata=expired)
    assert (len(proxy.of("GetCurrentUser")), proxy.of("RefreshTokens")) == (1, [])


async def test_a_callers_own_authorization_is_left_alone(app: App, either: Either) -> None:
    await either.sign_in(app, "ada")
    request = auth_service_pb2.GetCurrentUserRequest()
    response = await either.call(either.client.auth.GetCurrentUser, request, metadata=await app.customer("bob"))
    assert response.user.username == "bob"
