"""Password hashes: argon2id, off the event loop, few at once, and the same work for unknown users."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import pytest

from cinema_grpc.adapters.passwords import Argon2Passwords, load_commonest_passwords
from cinema_grpc.application.errors import Overloaded, ShuttingDown
from cinema_grpc.domain.account import MINIMUM_PASSWORD_LENGTH


@pytest.fixture
def passwords() -> Iterator[Argon2Passwords]:
    with closing(Argon2Passwords(memory_kib=8, rounds=1)) as made:
        yield made


def password_threads() -> list[threading.Thread]:
    """Return the hashing threads."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("passwords")]


@pytest.mark.parametrize(
    "password",
    ["correct horse", "p\u00e4ssw\u00f6rd", "zero\0within", "x" * 256, "😀" * 256, " spaces count "],
    ids=["plain", "accents", "NUL", "256 letters", "256 characters of four bytes", "spaces"],
)
async def test_a_password_matches_its_hash_and_no_other_does(passwords: Argon2Passwords, password: str) -> None:
    password_hash = await passwords.hash(password)
    assert await passwords.verify(password, password_hash)
    for other in (
        password[:-1],
        password + "x",
        password.upper() + "!",
        password[:-1] + "?",
        password.partition("\0")[0] + "!",
        "",
    ):
        assert not await passwords.verify(other, password_hash)


async def test_a_hash_that_gets_no_thread_fails_alone(
    passwords: Argon2Passwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its caller would wait for ever, with its place among the calls."""

    def submit(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(passwords._executor, "submit", submit)
        with pytest.raises(RuntimeError, match="new thread"):
            await passwords.hash("correct horse")
    assert await passwords.verify("correct horse", await passwords.hash("correct horse"))


async def test_equal_passwords_have_different_hashes(passwords: Argon2Passwords) -> None:
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_a_hash_names_argon2id_and_its_parameters() -> None:
    with closing(Argon2Passwords()) as passwords:
        assert (await passwords.hash("correct horse")).startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_no_password_matches_an_unknown_user(passwords: Argon2Passwords) -> None:
    assert not await passwords.verify("correct horse", None)
    assert not await passwords.verify("", None)


async def test_checking_for_an_unknown_user_is_the_same_work() -> None:
    with closing(Argon2Passwords(memory_kib=64, rounds=3)) as passwords:
        assert passwords._decoy.startswith("$argon2id$v=19$m=64,t=3,p=1$")
        passwords._decoy = await passwords.hash("correct horse")
        assert not await passwords.verify("correct horse", None)
        passwords._decoy = "damaged, so that checking it fails"
        with pytest.raises(ValueError, match="malformed"):
            await passwords.verify("correct horse", None)


async def test_a_hash_of_other_parameters_matches_and_needs_an_update(passwords: Argon2Passwords) -> None:
    with closing(Argon2Passwords(memory_kib=16, rounds=2)) as stronger:
        old = await passwords.hash("correct horse")
        assert await stronger.verify("correct horse", old)
        assert stronger.needs_update(old)
        assert not passwords.needs_update(old)
        assert not stronger.needs_update(await stronger.hash("correct horse"))


@pytest.mark.parametrize(
    "password_hash",
    [
        "",
        "plain text",
        "$argon2id$v=19$m=8,t=1,p=1$AAAA",
        "$argon2id$v=19$m=8,t=1,p=1$RoixNubcG2OMMQYgZGyt1Q$fsXjaQSuuBUEdIo*",
        "$argon2id$v=19$m=1,t=1,p=1$RoixNubcG2OMMQYgZGyt1Q$fsXjaQSuuBUEdIolIKz6Roxxpwf3qn5g6QTgMwjN+9I",
        "$argon2id$v=19$m=8,t=1,p=1,keyid=abcd$RoixNubcG2OMMQYgZGyt1Q$fsXjaQSuuBUEdIolIKz6Roxxpwf3qn5g6QTgMwjN+9I",
        "$2b$12$abcdefghijklmnopqrstuuW7tO5aXQ7cnPPzk3b4iEqG1JbQ0N1ke",
        "schlüssel",
    ],
)
async def test_a_malformed_hash_is_an_error_that_does_not_quote_it(
    passwords: Argon2Passwords, password_hash: str
) -> None:
    with pytest.raises(ValueError, match="malformed") as raised:
        await passwords.verify("correct horse", password_hash)
    assert not password_hash or password_hash not in str(raised.value)
    assert raised.value.__suppress_context__


async def test_a_hash_does_not_block_the_event_loop() -> None:
    with closing(Argon2Passwords()) as passwords:
        hashing = asyncio.create_task(passwords.hash("correct horse"))
        turns = 0
        while not hashing.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > 20  # a busy machine may give the loop few of the processor's turns


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
async def test_hashing_threads_have_a_lower_priority(passwords: Argon2Passwords) -> None:
    await passwords.hash("correct horse")
    here = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    priorities = {os.getpriority(os.PRIO_PROCESS, thread.native_id or 0) for thread in password_threads()}
    assert priorities == {min(19, here + 10)}


async def test_there_are_as_many_concurrent_hashes_as_workers() -> None:
    before = set(password_threads())
    with closing(Argon2Passwords(memory_kib=1024, rounds=1, workers=2)) as passwords:
        hashes = await asyncio.gather(*(passwords.hash("correct horse") for _ in range(20)))
        assert len(set(hashes)) == 20
        assert len(set(password_threads()) - before) == 2


class Gate:
    """Blocks the one thread of a hasher until it is opened, and records the order of the checked passwords."""

    def __init__(self, passwords: Argon2Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        self.begun, self.opened = threading.Event(), threading.Event()
        matches = passwords._matches

        def recorded(secret: bytes, password_hash: str) -> bool:
            self.order.append(secret.decode())
            self.begun.set()
            assert self.opened.wait(60)
            return matches(secret, password_hash)

        monkeypatch.setattr(passwords, "_matches", recorded)


@pytest.fixture
async def gate(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Argon2Passwords, Gate]]:
    """A hasher with one busy thread, whose queue takes the work of a second."""
    passwords = Argon2Passwords(memory_kib=8, rounds=1, workers=1, longest_wait=1)
    for _ in range(200):
        passwords._admission.record(0.1)
    gate = Gate(passwords, monkeypatch)
    first = asyncio.create_task(passwords.verify("first", None, "192.0.2.1"))
    assert await asyncio.to_thread(gate.begun.wait, 60)
    yield passwords, gate
    gate.opened.set()
    await asyncio.wait([first])
    passwords.close()


async def test_client_networks_take_turns(gate: tuple[Argon2Passwords, Gate]) -> None:
    passwords, doors = gate
    asked = [("busy1", "192.0.2.1"), ("busy2", "192.0.2.1"), ("busy3", "192.0.2.1"), ("other", "192.0.2.2")]
    calls = [asyncio.create_task(passwords.verify(password, None, network)) for password, network in asked]
    await asyncio.sleep(0)
    doors.opened.set()
    assert await asyncio.gather(*calls) == [False] * 4
    assert doors.order == ["first", "busy1", "other", "busy2", "busy3"]


async def test_a_network_is_refused_by_its_own_turns(gate: tuple[Argon2Passwords, Gate]) -> None:
    """At 0.1 s a hash, ten fit into the longest wait of 1 s. A network that uses them up delays no other."""
    passwords, doors = gate
    busy = [asyncio.create_task(passwords.verify(f"busy{n}", None, "192.0.2.1")) for n in range(30)]
    await asyncio.sleep(0)
    refused = [each for each in busy if each.done()]
    assert len(busy) - len(refused) == 10
    assert all(isinstance(each.exception(), Overloaded) for each in refused)
    other = asyncio.create_task(passwords.verify("other", None, "192.0.2.2"))
    await asyncio.sleep(0)
    assert not other.done()
    doors.opened.set()
    assert not await other
    await asyncio.gather(*busy, return_exceptions=True)
    assert doors.order.index("other") <= 3


async def test_a_cancelled_caller_makes_room(gate: tuple[Argon2Passwords, Gate]) -> None:
    passwords, doors = gate
    busy = [asyncio.create_task(passwords.verify(f"busy{n}", None, "192.0.2.1")) for n in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await passwords.verify("late", None, "192.0.2.1")
    for each in busy:
        each.cancel()
    await asyncio.gather(*busy, return_exceptions=True)
    late = asyncio.create_task(passwords.verify("late", None, "192.0.2.1"))
    await asyncio.sleep(0)
    doors.opened.set()
    assert not await late
    assert doors.order == ["first", "late"]


async def test_closing_drops_waiting_jobs(gate: tuple[Argon2Passwords, Gate]) -> None:
    passwords, doors = gate
    waiting = asyncio.create_task(passwords.verify("waiting", None, "192.0.2.1"))
    await asyncio.sleep(0)
    doors.opened.set()
    passwords.close()
    with pytest.raises(ShuttingDown):
        await waiting
    assert doors.order == ["first"]


async def test_closing_stops_the_threads() -> None:
    before = set(password_threads())
    passwords = Argon2Passwords(memory_kib=8, rounds=1)
    await passwords.hash("correct horse")
    passwords.close()
    assert set(password_threads()) <= before
    with pytest.raises(ShuttingDown):
        await passwords.hash("correct horse")


async def test_closing_fails_jobs_that_have_not_begun() -> None:
    passwords = Argon2Passwords(memory_kib=64 * 1024, rounds=1, workers=1)
    waiting = [asyncio.create_task(passwords.hash("correct horse")) for _ in range(20)]
    await asyncio.sleep(0)
    passwords.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes[10:]} == {ShuttingDown}


def test_there_are_ten_thousand_common_passwords_in_lower_case() -> None:
    commonest = load_commonest_passwords()
    assert len(commonest) == 10_000
    assert all(password == password.lower().strip() for password in commonest)
    assert min(map(len, commonest)) == MINIMUM_PASSWORD_LENGTH  # shorter ones would be refused anyway
    assert {"password", "123456789", "qwertyuiop", "trustno1"} <= commonest
    assert "correct horse" not in commonest
