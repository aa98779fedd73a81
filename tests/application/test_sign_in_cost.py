"""A failed sign-in takes as long for an unknown username as for a known one."""

import statistics
import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.clock import SystemClock
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.application.accounts import Accounts
from cinema_grpc.application.errors import BadCredentials
from cinema_grpc.application.throttle import SignInLimits, SignInThrottle
from cinema_grpc.domain.sign_in import Limit
from cinema_grpc.transport.security_log import note
from tests import chance

MAX_APART = 0.05


async def seconds_to_fail(accounts: Accounts, username: str) -> float:
    start = time.perf_counter()
    with pytest.raises(BadCredentials):
        await accounts.login(username, "wrong and long enough", "192.0.2.1")
    return time.perf_counter() - start


@pytest.mark.torture
async def test_an_unknown_username_takes_as_long_as_a_wrong_password(
    database_url: str, record_property: Callable[[str, object], None]
) -> None:
    """With default hash parameters, alternating; the medians differ by at most 5%."""
    limit = Limit(1_000_000, timedelta(minutes=5))
    hasher, clock, database = Argon2Passwords(), SystemClock(), Database(database_url)
    throttle = SignInThrottle(SqlSignInStore(database), SignInLimits(limit, limit, limit))
    tokens = JwtAccessTokens(b"s" * 32, clock)
    accounts = Accounts(SqlAccountStore(database), hasher, tokens, throttle, note, clock, frozenset())
    await accounts.register("ada", "correct horse", "Ada", "ada@example.com", "192.0.2.1")
    spent: dict[str, list[float]] = {"ada": [], "eve": []}
    for number in range(chance.count(200)):
        for name in ("ada", "eve") if number % 2 else ("eve", "ada"):
            spent[name].append(await seconds_to_fail(accounts, name))
    await database.close()
    hasher.close()
    wrong, unknown = (statistics.median(spent[name]) for name in ("ada", "eve"))
    record_property("figures", f"wrong password {wrong * 1000:.2f} ms, unknown user {unknown * 1000:.2f} ms")
    assert abs(wrong / unknown - 1) < MAX_APART
