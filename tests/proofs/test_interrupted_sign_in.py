"""Sign-ins that are interrupted at any instant: a repeat succeeds, and no account or session is half done."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from cinema.v1 import auth_service_pb2 as pb
from cinema.v1 import user_pb2
from sqlalchemy import func, select

from cinema_grpc.adapters.database import schema
from tests.chance import count
from tests.conftest import KINDS, Lend
from tests.database import reading
from tests.proofs.interruptions import LONG, SHORT, WHOLE_CALLS, Scene, Sweep, a_scene, nothing_is_left
from tests.rpc.conftest import PASSWORD, Metadata, refusal

NEW_PASSWORD = "another long and private one"


def person(number: int) -> pb.RegisterRequest:
    """Make a user of any name."""
    return pb.RegisterRequest(
        username=f"person{number}", password=PASSWORD, full_name=f"Person {number}", email=f"person{number}@example.com"
    )


def bearer(tokens: user_pb2.Tokens) -> Metadata:
    """Return the metadata of a caller with these tokens."""
    return (("authorization", f"Bearer {tokens.access_token}"),)


async def sign_in(scene: Scene, username: str, password: str = PASSWORD) -> user_pb2.Tokens:
    """Sign in."""
    return (await scene.app.auth.Login(pb.LoginRequest(username=username, password=password))).tokens


async def sweep_register(scene: Scene, instants: int) -> int:
    """Afterwards there is no account, or a whole one."""
    path, register = Sweep(instants), scene.app.auth.Register
    for number in range(-WHOLE_CALLS, 0):
        await path.measure(lambda: register(person(number)))  # noqa: B023 (it is done at once)
    for instant in range(instants):
        wanted = person(instant)
        told = await path.interrupt(instant, lambda **timeout: register(wanted, **timeout))  # noqa: B023
        if told is None:
            with suppress(grpc.aio.AioRpcError):  # it is there already, as signing in shows
                await register(wanted)
        user = (await scene.app.auth.Login(pb.LoginRequest(username=wanted.username, password=PASSWORD))).user
        assert (user.username, user.email, user.full_name) == (wanted.username, wanted.email, wanted.full_name)
        assert told is None or told.user == user, instant
    return path.answered


async def sweep_refresh(scene: Scene, instants: int) -> int:
    """A client that repeats it, with the same refresh token, stays signed in."""
    path, refresh, tasks = Sweep(instants), scene.app.auth.RefreshTokens, asyncio.all_tasks()
    token = (await scene.app.auth.Register(person(0))).tokens.refresh_token
    for _ in range(WHOLE_CALLS):
        await path.measure(lambda: refresh(pb.RefreshTokensRequest(refresh_token=token)))  # noqa: B023 (it is done at once)
        token = (await refresh(pb.RefreshTokensRequest(refresh_token=token))).tokens.refresh_token
    for instant in range(instants):
        request = pb.RefreshTokensRequest(refresh_token=token)
        told = await path.interrupt(instant, lambda **timeout: refresh(request, **timeout))  # noqa: B023
        tokens = (told or await refresh(request)).tokens
        await nothing_is_left(scene, tasks)  # the call that was given up might come after the next one
        user = await scene.app.auth.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=bearer(tokens))
        assert user.user.username == "person0", instant
        token = tokens.refresh_token
    return path.answered


async def sweep_logout(scene: Scene, instants: int) -> int:
    """After the repeat the session is over."""
    path, logout = Sweep(instants), scene.app.auth.Logout
    await scene.app.auth.Register(person(0))
    for number in range(-WHOLE_CALLS, instants):
        request = pb.LogoutRequest(refresh_token=(await sign_in(scene, "person0")).refresh_token)
        if number < 0:
            await path.measure(lambda: logout(request))  # noqa: B023 (it is done at once)
            continue
        if await path.interrupt(number, lambda **timeout: logout(request, **timeout)) is None:  # noqa: B023
            await logout(request)
        again = pb.RefreshTokensRequest(refresh_token=request.refresh_token)
        assert (await refusal(scene.app.auth.RefreshTokens(again))).reason == "REFRESH_TOKEN_INVALID", number
    return path.answered


async def sweep_change_password(scene: Scene, instants: int) -> int:
    """Either the old password holds, and the old session, or the new one holds and the old session is over."""
    path, change, tasks = Sweep(instants), scene.app.auth.ChangePassword, asyncio.all_tasks()
    for number in range(-WHOLE_CALLS, instants):
        tokens = (await scene.app.auth.Register(person(number))).tokens
        request = pb.ChangePasswordRequest(current_password=PASSWORD, new_password=NEW_PASSWORD)
        if number < 0:
            await path.measure(lambda: change(request, metadata=bearer(tokens)))  # noqa: B023 (it is done at once)
            continue
        told = await path.interrupt(
            number,
            lambda **timeout: change(request, metadata=bearer(tokens), **timeout),  # noqa: B023
        )
        await nothing_is_left(scene, tasks)  # or it may still be done
        changed = True
        with suppress(grpc.aio.AioRpcError):
            await scene.app.auth.RefreshTokens(pb.RefreshTokensRequest(refresh_token=tokens.refresh_token))
            changed = False
        assert changed or told is None, number
        await sign_in(scene, person(number).username, NEW_PASSWORD if changed else PASSWORD)
    return path.answered


async def sweep_login(scene: Scene, instants: int) -> int:
    """It begins a session or none, and the repeat begins one."""
    path, tasks = Sweep(instants), asyncio.all_tasks()
    await scene.app.auth.Register(person(0))
    request = pb.LoginRequest(username=person(0).username, password=PASSWORD)
    for _ in range(WHOLE_CALLS):
        await path.measure(lambda: scene.app.auth.Login(request))
    for number in range(instants):
        before = await sessions(scene)
        told = await path.interrupt(number, lambda **timeout: scene.app.auth.Login(request, **timeout))
        await nothing_is_left(scene, tasks)  # or it may still begin
        begun = await sessions(scene) - before
        assert begun == 1 if told is not None else begun in {0, 1}, number
        await sign_in(scene, person(0).username)
    return path.answered


async def sessions(scene: Scene) -> int:
    """Count the sessions that there are."""
    async with reading(scene.app.server.database) as connection:
        return int((await connection.execute(select(func.count()).select_from(schema.session))).scalar_one())


SWEEPS: dict[str, Callable[[Scene, int], Awaitable[int]]] = {
    "Register": sweep_register,
    "Login": sweep_login,
    "RefreshTokens": sweep_refresh,
    "Logout": sweep_logout,
    "ChangePassword": sweep_change_password,
}


@pytest.mark.parametrize("name", SWEEPS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("instants", [SHORT, pytest.param(LONG, marks=pytest.mark.torture)])
async def test_interrupted_sign_in(
    kind: str, name: str, instants: int, lend: Lend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Of each kind, at many instants."""
    instants = count(instants)
    with lend(kind, tmp_path) as url:
        async with a_scene(url) as scene:
            tasks = asyncio.all_tasks()
            answered = await SWEEPS[name](scene, instants)
            await nothing_is_left(scene, tasks)
    record_property("figures", f"interrupted at {instants} instants, {answered} of them after the answer")
