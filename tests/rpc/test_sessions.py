"""Refreshing tokens, signing out and changing the password, over a real channel."""

import asyncio
from datetime import timedelta

import grpc
import pytest
from cinema.v1 import auth_service_pb2 as pb
from cinema.v1.user_pb2 import Tokens
from sqlalchemy import func, select

from cinema_grpc.adapters.database.retention import delete_expired
from cinema_grpc.adapters.database.schema import session
from tests.builders import NOW, FakeClock
from tests.database import reading
from tests.rpc.conftest import PASSWORD, App, moment, refusal, running

Code = grpc.StatusCode
NEW_PASSWORD = "a new and private one"
DAY = timedelta(days=1)
GRACE = timedelta(seconds=30)


async def register(app: App) -> Tokens:
    request = pb.RegisterRequest(username="ada", password=PASSWORD, full_name="Ada", email="ada@example.com")
    return (await app.auth.Register(request)).tokens


async def login(app: App, password: str = PASSWORD) -> Tokens:
    return (await app.auth.Login(pb.LoginRequest(username="ada", password=password))).tokens


async def refresh(app: App, token: str) -> Tokens:
    return (await app.auth.RefreshTokens(pb.RefreshTokensRequest(refresh_token=token))).tokens


async def logout(app: App, token: str) -> None:
    await app.auth.Logout(pb.LogoutRequest(refresh_token=token))


async def change_password(app: App, tokens: Tokens, current: str = PASSWORD, new: str = NEW_PASSWORD) -> Tokens:
    request = pb.ChangePasswordRequest(current_password=current, new_password=new)
    return (await app.auth.ChangePassword(request, metadata=bearer(tokens))).tokens


async def who(app: App, tokens: Tokens) -> str:
    answer = await app.auth.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=bearer(tokens))
    return answer.user.username


def bearer(tokens: Tokens) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {tokens.access_token}"),)


async def is_refused(app: App, token: str) -> bool:
    """Check that a refresh token is refused with the one error for all cases; return True."""
    refused = await refusal(refresh(app, token))
    assert (refused.code, refused.reason, refused.metadata) == (Code.UNAUTHENTICATED, "REFRESH_TOKEN_INVALID", {})
    return True


async def stored_sessions(app: App) -> int:
    async with reading(app.server.database) as connection:
        return (await connection.execute(select(func.count()).select_from(session))).scalar_one()


class TestRefreshTokens:
    async def test_a_session_continues(self, app: App) -> None:
        """As long as no refresh token gets 30 days old. Each access token lasts an hour."""
        tokens = await register(app)
        assert tokens.refresh_token_expire_time == moment(NOW + 30 * DAY)
        for number in range(1, 4):
            app.clock.advance(29 * DAY)
            before, tokens = tokens, await refresh(app, tokens.refresh_token)
            now = NOW + number * 29 * DAY
            assert tokens.token_type == "Bearer"
            assert tokens.access_token_expire_time == moment(now + timedelta(minutes=60))
            assert tokens.refresh_token_expire_time == moment(now + 30 * DAY)
            assert tokens.refresh_token != before.refresh_token
            assert await who(app, tokens) == "ada"
        app.clock.advance(30 * DAY)
        assert await is_refused(app, tokens.refresh_token)

    async def test_a_lost_response_does_not_end_the_session(self, app: App) -> None:
        """A repeat within 30 seconds returns the same refresh token, and a new access token."""
        first = await register(app)
        second = await refresh(app, first.refresh_token)
        app.clock.advance(GRACE - timedelta(microseconds=1))
        again = await refresh(app, first.refresh_token)
        assert again.refresh_token == second.refresh_token
        assert again.refresh_token_expire_time == second.refresh_token_expire_time
        assert await who(app, again) == await who(app, second) == "ada"
        third = await refresh(app, second.refresh_token)
        assert await who(app, third) == "ada"

    async def test_twenty_concurrent_calls_get_the_same_token(self, app: App) -> None:
        """Such as from all tabs of a browser."""
        first = await register(app)
        answers = await asyncio.gather(*(refresh(app, first.refresh_token) for _ in range(20)))
        assert len({each.refresh_token for each in answers}) == 1
        await refresh(app, answers[0].refresh_token)

    @pytest.mark.parametrize("too_late", [False, True])
    async def test_a_reused_token_ends_the_session(self, app: App, too_late: bool) -> None:
        """After the use of its successor, or after the grace. Other sessions continue."""
        first = await register(app)
        elsewhere = await login(app)
        latest = await refresh(app, first.refresh_token)
        if too_late:
            app.clock.advance(GRACE)
        else:
            latest = await refresh(app, latest.refresh_token)
        assert await is_refused(app, first.refresh_token)
        assert await is_refused(app, latest.refresh_token)
        assert await who(app, latest) == "ada"  # until it expires
        await refresh(app, elsewhere.refresh_token)
        assert await stored_sessions(app) == 1

    async def test_unknown_tokens(self, app: App) -> None:
        """Any other text is refused, access tokens too, and ends no session."""
        tokens = await register(app)
        made_up = ("x", "🎬", "x" * 64, "x" * 1_024, tokens.access_token, tokens.refresh_token[::-1])
        for text in made_up:
            assert await is_refused(app, text), text
        await refresh(app, tokens.refresh_token)

    async def test_across_a_restart(self, database_url: str) -> None:
        clock = FakeClock()
        async with running(database_url, clock) as app:
            first = await register(app)
            second = await refresh(app, first.refresh_token)
        async with running(database_url, clock) as app:
            assert (await refresh(app, first.refresh_token)).refresh_token == second.refresh_token
            await refresh(app, second.refresh_token)

    async def test_the_grace_is_a_setting(self, database_url: str) -> None:
        async with running(database_url, refresh_grace_seconds=0) as app:
            first = await register(app)
            await refresh(app, first.refresh_token)
            assert await is_refused(app, first.refresh_token)

    async def test_no_token_is_stored(self, app: App) -> None:
        """Nor a part of one: the database does not reveal a token."""
        first = await register(app)
        second = await refresh(app, first.refresh_token)
        async with reading(app.server.database) as connection:
            (row,) = (await connection.execute(select(session))).all()
        kept = repr(tuple(row))
        for token in (first.refresh_token, second.refresh_token):
            assert token not in kept
            assert token[:22] not in kept


class TestLogout:
    async def test_only_this_session_ends(self, app: App) -> None:
        """Access tokens stay valid until they expire."""
        here, elsewhere = await register(app), await login(app)
        await logout(app, here.refresh_token)
        assert await is_refused(app, here.refresh_token)
        assert await who(app, here) == "ada"
        await refresh(app, elsewhere.refresh_token)

    async def test_any_token_of_the_session_ends_it(self, app: App) -> None:
        """Such as one whose successor was lost."""
        first = await register(app)
        second = await refresh(app, first.refresh_token)
        await logout(app, first.refresh_token)
        assert await is_refused(app, second.refresh_token)

    async def test_an_unknown_token_succeeds(self, app: App) -> None:
        tokens = await register(app)
        for token in (tokens.refresh_token, tokens.refresh_token, "nonsense", "x" * 64):
            await logout(app, token)


class TestChangePassword:
    async def test_the_new_password_applies_and_all_other_sessions_end(self, app: App) -> None:
        here, elsewhere = await register(app), await login(app)
        tokens = await change_password(app, here)
        assert await who(app, tokens) == "ada"
        for token in (here.refresh_token, elsewhere.refresh_token):
            assert await is_refused(app, token)
        await refresh(app, tokens.refresh_token)
        assert (await refusal(login(app))).reason == "BAD_CREDENTIALS"
        await login(app, NEW_PASSWORD)
        assert await who(app, elsewhere) == "ada"  # until it expires

    async def test_the_current_password_is_required(self, app: App) -> None:
        """A stolen access token is not enough. A refusal changes nothing."""
        tokens = await register(app)
        for current in ("wrong and long", PASSWORD + " ", NEW_PASSWORD):
            refused = await refusal(change_password(app, tokens, current))
            assert (refused.code, refused.reason) == (Code.UNAUTHENTICATED, "BAD_CREDENTIALS")
            assert refused.message == "the current password is wrong"
        await refresh(app, tokens.refresh_token)
        await login(app)

    async def test_the_new_password_follows_the_rules(self, app: App) -> None:
        """They are checked before the current password."""
        tokens = await register(app)
        for new in ("short", "x" * 257, "Password1", "ADA@example.com", "long\0enough"):
            assert (await refusal(change_password(app, tokens, "wrong", new))).fields == ["new_password"]
        await login(app)

    async def test_one_of_concurrent_changes_succeeds(self, app: App) -> None:
        """For the others, the current password is wrong by then."""
        tokens = await register(app)
        new = [f"{NEW_PASSWORD} {number}" for number in range(5)]
        calls = (change_password(app, tokens, new=each) for each in new)
        results = await asyncio.gather(*calls, return_exceptions=True)
        changed = [password for password, each in zip(new, results, strict=True) if isinstance(each, Tokens)]
        assert len(changed) == 1
        await login(app, changed[0])
        assert await stored_sessions(app) == 2

    async def test_a_concurrent_sign_in_with_the_old_password_gets_no_lasting_session(self, app: App) -> None:
        """In either order, no session of the old password continues."""
        tokens = await register(app)
        signing_in = [asyncio.create_task(login(app)) for _ in range(8)]
        changed = await change_password(app, tokens)
        for signed_in in await asyncio.gather(*signing_in, return_exceptions=True):
            if isinstance(signed_in, Tokens):
                assert await is_refused(app, signed_in.refresh_token)
        await refresh(app, changed.refresh_token)
        assert await stored_sessions(app) == 1


async def test_lapsed_sessions_are_deleted(app: App) -> None:
    """And no others."""
    await app.server.tasks.delete_expired.stop()
    await register(app)
    for _ in range(4):
        await login(app)
    app.clock.advance(30 * DAY)
    tokens = await login(app)
    await delete_expired(app.server.database)
    assert await stored_sessions(app) == 1
    await refresh(app, tokens.refresh_token)
