"""Accounts and tokens against a simple model: in any order of events, exactly the right calls are accepted."""

import asyncio
import itertools
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.database import schema
from cinema_grpc.adapters.database.account_store import SqlAccountStore
from cinema_grpc.adapters.database.database import Database
from cinema_grpc.adapters.database.retention import delete_expired
from cinema_grpc.adapters.database.session_store import SqlSessionStore
from cinema_grpc.adapters.database.sign_in_store import SqlSignInStore
from cinema_grpc.adapters.passwords import Argon2Passwords
from cinema_grpc.application.accounts import Accounts, SignIn
from cinema_grpc.application.errors import BadCredentials, RefreshTokenInvalid, TokenExpired, TokenInvalid
from cinema_grpc.application.sessions import Sessions, Tokens
from cinema_grpc.application.throttle import SignInLimits, SignInThrottle
from cinema_grpc.domain.errors import UsernameTaken
from cinema_grpc.domain.session import SESSION_LIFETIME
from cinema_grpc.domain.sign_in import Limit
from cinema_grpc.transport.security_log import note
from tests import chance
from tests.adapters.forgeries import ED25519, P256, THEIRS, signing_key
from tests.builders import FakeClock
from tests.conftest import KINDS, Lend
from tests.database import reading

T = TypeVar("T")
GRACE = timedelta(seconds=30)
PAUSES = [timedelta(microseconds=1), GRACE - timedelta(microseconds=1), GRACE, timedelta(minutes=60), SESSION_LIFETIME]
KEYS = [signing_key(each) for each in (ED25519, P256, THEIRS)]
NAMES = st.sampled_from(["ada", "bob"])
FIRST, SECOND = "correct horse", "battery staple"
IS_RIGHT = st.sampled_from([True, True, False])
SESSIONS = st.integers(0, 3)
TOKENS = st.sampled_from([0, 0, 1, 1, 2])
"""The session, and the refresh token, counted from the latest."""
GENEROUS = Limit(1_000_000, timedelta(seconds=1))
numbers = itertools.count()


@dataclass
class Session:
    """A session of the model, with all its refresh tokens, the latest last."""

    user: str
    chain: list[str]
    rotate_time: datetime
    open: bool = True


@dataclass
class Model:
    """Passwords by name, sessions, and access tokens as (text, name, kid, expire_time)."""

    passwords: dict[str, str] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    access: list[tuple[str, str, str, datetime]] = field(default_factory=list)


class SigningIn(RuleBasedStateMachine):
    """Two users with any number of devices and thieves, a server that restarts, and a clock."""

    def __init__(self, runner: asyncio.Runner, database: Database, clock: FakeClock, hasher: Argon2Passwords) -> None:
        super().__init__()
        self.runner, self.database, self.clock, self.hasher = runner, database, clock, hasher

    @initialize()
    def begin(self) -> None:
        self.number = next(numbers)  # each run has its own users
        self.model = Model()
        self.user_ids: dict[str, str] = {}
        self.keys = KEYS[:1]
        self.restart()
        for name in ("ada", "bob"):
            self.register(name)

    @rule()
    def restart(self) -> None:
        """Start with empty caches on the same database."""
        self.tokens = JwtAccessTokens(None, self.clock, keys=self.keys)
        throttle = SignInThrottle(SqlSignInStore(self.database), SignInLimits(GENEROUS, GENEROUS, None))
        store = SqlAccountStore(self.database)
        self.accounts = Accounts(store, self.hasher, self.tokens, throttle, note, self.clock, frozenset())
        self.sessions = Sessions(SqlSessionStore(self.database), self.tokens, GRACE, note)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def full(self, name: str) -> str:
        return f"{name}-{self.number}"

    def learn(self, name: str, tokens: Tokens) -> None:
        """Add an access token to the model."""
        text, expire_time = tokens.access_token.text, tokens.access_token.expire_time
        self.model.access.append((text, name, self.keys[0].kid, expire_time))

    def signed_in(self, name: str, answer: SignIn) -> None:
        self.user_ids[name] = answer.user.user_id
        self.model.sessions.append(Session(name, [answer.tokens.refresh_token], self.clock.now()))
        self.learn(name, answer.tokens)

    def is_lapsed(self, session: Session) -> bool:
        return self.clock.now() >= session.rotate_time + SESSION_LIFETIME

    def register(self, name: str) -> None:
        answer = self.run(
            self.accounts.register(self.full(name), FIRST, name, f"{self.full(name)}@example.com", "here")
        )
        self.model.passwords[name] = FIRST
        self.signed_in(name, answer)

    @rule(name=NAMES)
    def register_again(self, name: str) -> None:
        with pytest.raises(UsernameTaken):
            self.register(name)

    @rule(name=NAMES, password=st.sampled_from([FIRST, SECOND]))
    def login(self, name: str, password: str) -> None:
        try:
            answer = self.run(self.accounts.login(self.full(name), password, "here"))
        except BadCredentials:
            assert self.model.passwords[name] != password
        else:
            assert self.model.passwords[name] == password
            self.signed_in(name, answer)

    @rule(session=SESSIONS, token=TOKENS, times=st.integers(1, 2))
    def refresh(self, session: int, token: int, times: int) -> None:
        """Send any token of the session, perhaps twice, as if the response was lost."""
        chosen = self.latest(session)
        text = chosen.chain[max(-1 - token, -len(chosen.chain))]
        for _ in range(times):
            self.refresh_once(chosen, text)

    def latest(self, session: int) -> Session:
        return self.model.sessions[max(-1 - session, -len(self.model.sessions))]

    def refresh_once(self, session: Session, text: str) -> None:
        is_open = session.open and not self.is_lapsed(session)
        is_latest = text == session.chain[-1]
        in_grace = self.clock.now() < session.rotate_time + GRACE
        is_repeat = len(session.chain) > 1 and text == session.chain[-2] and in_grace
        try:
            tokens = self.run(self.sessions.refresh(text))
        except RefreshTokenInvalid:
            assert not (is_open and (is_latest or is_repeat))
            session.open = False
            return
        assert is_open
        if is_latest:
            assert tokens.refresh_token not in session.chain
            session.chain.append(tokens.refresh_token)
            session.rotate_time = self.clock.now()
        else:
            assert is_repeat
            assert tokens.refresh_token == session.chain[-1]
        assert tokens.refresh_token_expire_time == session.rotate_time + SESSION_LIFETIME
        self.learn(session.user, tokens)

    @rule(session=SESSIONS, token=TOKENS)
    def logout(self, session: int, token: int) -> None:
        chosen = self.latest(session)
        self.run(self.sessions.end(chosen.chain[token % len(chosen.chain)]))
        chosen.open = False

    @rule(name=NAMES, is_right=IS_RIGHT)
    def change_password(self, name: str, *, is_right: bool) -> None:
        old = self.model.passwords[name]
        new = SECOND if old == FIRST else FIRST
        change = self.accounts.change_password(self.user_ids[name], old if is_right else new, new, "here")
        if not is_right:
            with pytest.raises(BadCredentials):
                self.run(change)
            return
        answer = self.run(change)
        self.model.passwords[name] = new
        for session in self.model.sessions:
            session.open = session.open and session.user != name
        self.signed_in(name, answer)

    @rule(signing=st.permutations(KEYS), number=st.integers(1, 3))
    def change_keys(self, signing: list[Any], number: int) -> None:
        self.keys = signing[:number]
        self.tokens.use_keys(self.keys)

    @rule(pause=st.sampled_from(PAUSES))
    def pass_time(self, pause: timedelta) -> None:
        self.clock.advance(pause)

    @rule()
    def delete_expired(self) -> None:
        self.run(delete_expired(self.database))

    @invariant()
    def access_tokens_are_valid_for_an_hour_while_their_key_is(self) -> None:
        known = {key.kid for key in self.keys}
        for text, name, kid, expire_time in self.model.access[-12:]:
            try:
                assert self.tokens.read(text).user_id == self.user_ids[name]
                assert (kid in known, self.clock.now() < expire_time) == (True, True)
            except TokenInvalid:
                assert kid not in known
            except TokenExpired:
                assert self.clock.now() >= expire_time

    @invariant()
    def exactly_the_open_sessions_are_stored(self) -> None:
        expected = sum(each.open and not self.is_lapsed(each) for each in self.model.sessions)
        assert self.run(self.kept()) == expected

    async def kept(self) -> int:
        mine = schema.session.c.user_id.in_(list(self.user_ids.values()))
        query = select(schema.session).where(mine, schema.session.c.expire_time > self.clock.now())
        async with reading(self.database) as connection:
            return len((await connection.execute(query)).all())


def run_machine(database_url: str, runs: int, steps: int) -> None:
    clock = FakeClock()
    hasher = Argon2Passwords(memory_kib=8, rounds=1)
    chosen = settings(max_examples=runs, stateful_step_count=steps, database=None)
    with asyncio.Runner() as runner:
        database = Database(database_url, clock)

        class Seeded(SigningIn):
            def __init__(self) -> None:
                super().__init__(runner, database, clock, hasher)

        try:
            run_state_machine_as_test(seed(chance.seed())(Seeded), settings=chosen)
        finally:
            runner.run(database.close())
            hasher.close()


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_agrees(lend: Lend, tmp_path: Path, kind: str) -> None:
    """The short form."""
    with lend(kind, tmp_path) as database_url:
        run_machine(database_url, runs=12, steps=25)


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_agrees_for_long(lend: Lend, tmp_path: Path, kind: str) -> None:
    """The long form: 1,000 runs on each database."""
    with lend(kind, tmp_path) as database_url:
        run_machine(database_url, runs=chance.count(1_000), steps=50)
