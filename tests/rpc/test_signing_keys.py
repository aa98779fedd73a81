"""Published signing keys, and rotation of keys without a failed call, over a real channel."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cinema.v1.auth_service_pb2 import GetCurrentUserRequest, ListSigningKeysRequest
from cinema.v1.user_pb2 import SigningKey
from google.protobuf.json_format import MessageToDict

from cinema_grpc.config import BadSettings
from tests.adapters.forgeries import ED25519, P256, pem, public_pem, signing_key
from tests.builders import FakeClock
from tests.rpc.conftest import SECRET, App, Metadata, refusal, running

OLD, NEW = signing_key(ED25519).kid, signing_key(P256).kid


def put(folder: Path, **files: bytes) -> None:
    """Replace the keys in a folder."""
    for file in folder.glob("*.pem"):
        file.unlink()
    for name, content in files.items():
        (folder / f"{name}.pem").write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir()
    put(folder, a=pem(ED25519))
    return folder


async def published(app: App) -> list[SigningKey]:
    return list((await app.auth.ListSigningKeys(ListSigningKeysRequest())).keys)


def verified(metadata: Metadata, keys: list[SigningKey]) -> Mapping[str, Any]:
    """Return the claims of an access token, verified only with the published keys, as another service does."""
    token = metadata[0][1].removeprefix("Bearer ")
    header = jwt.get_unverified_header(token)
    (key,) = (key for key in keys if key.kid == header["kid"])
    assert header["typ"] == "at+jwt"
    options: Any = {"verify_exp": False, "verify_iat": False}
    public = jwt.PyJWK.from_dict(MessageToDict(key, preserving_proto_field_name=True))
    claims: dict[str, Any] = jwt.decode(
        token, public, algorithms=[key.alg], audience="cinema.v1", issuer="cinema", options=options
    )
    return claims


async def user_id(app: App, metadata: Metadata) -> str:
    return (await app.auth.GetCurrentUser(GetCurrentUserRequest(), metadata=metadata)).user.user_id


@asynccontextmanager
async def replicas(database_url: str, number: int, folder: Path) -> AsyncIterator[list[App]]:
    async with AsyncExitStack() as stack:
        clock = FakeClock()
        houses = [running(database_url, clock, secret=None, signing_keys=folder) for _ in range(number)]
        yield [await stack.enter_async_context(app) for app in houses]


@pytest.mark.parametrize("private", [ED25519, P256], ids=["Ed25519", "P-256"])
async def test_another_service_verifies_a_token(database_url: str, folder: Path, private: Any) -> None:
    put(folder, key=pem(private))
    async with running(database_url, secret=None, signing_keys=folder / "key.pem") as app:
        metadata = await app.customer()
        claims = verified(metadata, await published(app))
        assert claims["sub"] == await user_id(app, metadata)
        assert claims["role"] == "CUSTOMER"


async def test_a_shared_secret_is_not_published(app: App) -> None:
    assert await published(app) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_rotation_fails_no_call(database_url: str, folder: Path) -> None:
    """Two replicas read each step at different times. Every token of either stays valid on both."""
    steps = [
        {"a": pem(ED25519), "b": pem(P256)},  # 1. the new key after the old one
        {"a": pem(P256), "b": public_pem(ED25519)},  # 2. the new key signs; the old one only verifies
        {"a": pem(P256)},  # 3. only the new key, after the old tokens have expired
    ]
    expected = [[OLD, NEW], [NEW, OLD], [NEW]]
    async with replicas(database_url, 2, folder) as (one, other):
        await one.customer()
        tokens = [one.tokens["ada"]]
        for step, kids in zip(steps, expected, strict=True):
            put(folder, **step)
            for app in (one, other):
                await app.server.tasks.watch_keys._run_pass()
                assert [key.kid for key in await published(app)] == kids
                await app.sign_in("ada")
                tokens.append(app.tokens["ada"])
                if len(kids) == 1:  # an hour later
                    tokens = tokens[-1:] if app is one else tokens
                for replica in (one, other):
                    for metadata in tokens:
                        assert await user_id(replica, metadata)
                        verified(metadata, await published(replica))


async def test_a_change_from_a_secret_to_keys(database_url: str, folder: Path) -> None:
    """Both are set for an hour. After that, tokens of the secret are refused."""
    clock = FakeClock()
    async with running(database_url, clock) as app:
        by_secret = await app.customer()
    async with running(database_url, clock, secret=SECRET, signing_keys=folder) as app:
        assert await user_id(app, by_secret)
        await app.sign_in("ada")
        by_key = app.tokens["ada"]
        verified(by_key, await published(app))
    async with running(database_url, clock, secret=None, signing_keys=folder) as app:
        assert await user_id(app, by_key)
        refused = app.auth.GetCurrentUser(GetCurrentUserRequest(), metadata=by_secret)
        assert (await refusal(refused)).reason == "TOKEN_INVALID"


async def test_changed_keys_are_read_again(database_url: str, folder: Path) -> None:
    """By the server itself. While they are invalid, the old ones stay in use."""
    async with running(database_url, secret=None, signing_keys=folder) as app:
        put(folder, a=pem(P256), b=public_pem(ED25519))
        app.server.tasks.watch_keys.wake()
        async with asyncio.timeout(30):
            while [key.kid for key in await published(app)] != [NEW, OLD]:
                pass
        put(folder, a=pem(P256)[:50])
        with pytest.raises(BadSettings, match=r"CINEMA_SIGNING_KEYS: .*no key in PEM"):
            await app.server.tasks.watch_keys._run_pass()
        app.clock.advance(timedelta(hours=1))
        await app.customer()
        await app.sign_in("ada")
        assert await user_id(app, app.tokens["ada"])


async def test_invalid_keys_prevent_the_start(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"^CINEMA_SIGNING_KEYS: names .*nowhere, which can't be read: No such file"):
        async with running(database_url, secret=None, signing_keys=tmp_path / "nowhere"):
            raise AssertionError("the server has started")
