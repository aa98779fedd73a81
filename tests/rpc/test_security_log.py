"""The security log of sign-ins and sessions: event, user, client and call, and no secret."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from cinema.v1 import auth_service_pb2 as pb
from structlog.testing import capture_logs

from tests.rpc.conftest import DEADLINE, PASSWORD, App
from tests.rpc.hang_ups import hang_up

WRONG = "a wrong and long one"
NEW = "a new and private one"


class Auditor:
    """Makes calls, and collects their log lines."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.events: list[tuple[str, str, str]] = []
        self.said = ""

    async def call(self, call: Awaitable[Any]) -> Any:
        """Make a call that may fail, and check that each line of the security log has its client and its call."""
        with capture_logs() as lines:
            try:
                answer: Any = await call
            except grpc.aio.AioRpcError:
                answer = None
            async with asyncio.timeout(DEADLINE):
                while not any(line["event"] == "call" for line in lines):  # noqa: ASYNC110 (it may come a moment later)
                    await asyncio.sleep(0.001)
        self.said += repr(lines)
        (request_id,) = {line["request_id"] for line in lines if line["event"] == "call"}
        for line in lines:
            if line.get("logger") == "cinema.security":
                assert line["peer"].startswith("ipv4:127.0.0.1:")
                assert line["method"].startswith("/cinema.v1.AuthService/")
                assert line["request_id"] == request_id
                self.events.append((line["log_level"], line["event"], str(line.get("user_id"))))
        return answer

    async def login(self, password: str = PASSWORD, username: str = "ada") -> Any:
        return await self.call(self.app.auth.Login(pb.LoginRequest(username=username, password=password)))

    async def refresh(self, token: str) -> Any:
        return await self.call(self.app.auth.RefreshTokens(pb.RefreshTokensRequest(refresh_token=token)))

    async def change_password(self, access_token: str, current: str) -> Any:
        request = pb.ChangePasswordRequest(current_password=current, new_password=NEW)
        metadata = (("authorization", f"Bearer {access_token}"),)
        return await self.call(self.app.auth.ChangePassword(request, metadata=metadata))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_life_of_an_account(app: App) -> None:
    auditor = Auditor(app)
    request = pb.RegisterRequest(username="ada", password=PASSWORD, full_name="Ada", email="ada@example.com")
    registered = await auditor.call(app.auth.Register(request))
    first = (await auditor.login()).tokens
    await auditor.login(WRONG)
    await auditor.login(username="hunter2-typed-into-the-wrong-field")
    second = (await auditor.refresh(first.refresh_token)).tokens
    await auditor.refresh(first.refresh_token)
    third = (await auditor.refresh(second.refresh_token)).tokens
    await auditor.refresh(first.refresh_token)
    await auditor.refresh(third.refresh_token)
    await auditor.refresh("nonsense")
    await auditor.change_password(third.access_token, WRONG)
    changed = (await auditor.change_password(third.access_token, PASSWORD)).tokens
    await auditor.call(app.auth.Logout(pb.LogoutRequest(refresh_token=changed.refresh_token)))
    await auditor.call(app.auth.Logout(pb.LogoutRequest(refresh_token=changed.refresh_token)))
    for _ in range(6):
        await auditor.login(WRONG)

    ada = registered.user.user_id
    assert auditor.events == [
        ("info", "registered", ada),
        ("info", "signed in", ada),
        ("warning", "sign-in refused", ada),
        ("warning", "sign-in refused", "None"),
        ("info", "session refreshed", ada),
        ("info", "session refreshed", ada),
        ("info", "session refreshed", ada),
        ("warning", "session ended: a refresh token was used again", ada),
        ("warning", "refresh refused", "None"),
        ("warning", "refresh refused", "None"),
        ("warning", "password change refused", ada),
        ("info", "password changed, other sessions ended", ada),
        ("info", "signed out", ada),
        *[("warning", "sign-in refused", ada)] * 6,
    ]
    assert auditor.said.count("TOO_MANY_ATTEMPTS") == 2  # in the log of calls and in that of security
    tokens = [
        each
        for pair in (registered.tokens, first, second, third, changed)
        for each in (pair.access_token, pair.refresh_token)
    ]
    for secret in (PASSWORD, WRONG, NEW, "hunter2", *tokens):
        assert secret not in auditor.said


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_a_caller_has_caused_is_noted_though_they_hang_up(app: App) -> None:
    """Else a thief could change a password without a trace."""
    auth, old = app.auth, pb.LoginRequest(username="ada", password=PASSWORD)
    new = pb.LoginRequest(username="ada", password=NEW)
    request = pb.RegisterRequest(username="ada", password=PASSWORD, full_name="Ada", email="ada@example.com")
    assert await hang_up(app, "INSERT INTO session", auth.Register(request)) == ["registered"]
    assert await hang_up(app, "INSERT INTO session", auth.Login(old)) == ["signed in"]

    bearer = (("authorization", f"Bearer {(await auth.Login(old)).tokens.access_token}"),)
    change = auth.ChangePassword(pb.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW), metadata=bearer)
    assert await hang_up(app, "INSERT INTO session", change) == ["password changed, other sessions ended"]

    stolen = pb.RefreshTokensRequest(refresh_token=(await auth.Login(new)).tokens.refresh_token)
    used = pb.RefreshTokensRequest(refresh_token=(await auth.RefreshTokens(stolen)).tokens.refresh_token)
    await auth.RefreshTokens(used)
    ended = "session ended: a refresh token was used again"
    assert await hang_up(app, "DELETE FROM session", auth.RefreshTokens(stolen)) == [ended]
    last = pb.LogoutRequest(refresh_token=(await auth.Login(new)).tokens.refresh_token)
    assert await hang_up(app, "DELETE FROM session", auth.Logout(last)) == ["signed out"]
