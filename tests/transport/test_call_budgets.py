"""How calls and response memory are shared out among clients."""

import asyncio

import pytest

from cinema_grpc.transport.call import Call, client_of
from cinema_grpc.transport.call_budgets import Budget, ResponseMemory
from cinema_grpc.transport.errors import TooManyCalls


def call(host: str, port: int = 1) -> Call:
    """Make a call of a client."""
    made = Call("/test.Service/Method", ())
    made.client = client_of(f"ipv4:{host}:{port}")
    return made


class Fixture:
    """A budget of four, and the calls that it has evicted."""

    def __init__(self, reserved_share: float = 0) -> None:
        self.evicted: list[Call] = []
        self.kept: set[Call] = set()
        self.budget = Budget("calls_at_once", 4, self.evict, reserved_share)

    def evict(self, call: Call) -> bool:
        if call in self.kept:
            return False
        self.evicted.append(call)
        return True

    def take(self, *calls: Call) -> None:
        for each in calls:
            self.budget.take(each)


class TestBudget:
    def test_a_network_may_have_as_many_as_are_free(self) -> None:
        """So that others always find some."""
        fixture = Fixture()
        fixture.take(*(call("192.0.2.1", port) for port in range(3)))
        with pytest.raises(TooManyCalls) as raised:
            fixture.take(call("192.0.2.1"))
        assert raised.value.metadata == {"calls_at_once": "4", "retry_after_seconds": "1"}
        fixture.take(call("192.0.2.2"))
        assert fixture.evicted == []

    def test_the_connection_that_has_most_gives_up_its_oldest(self) -> None:
        fixture = Fixture()
        many = [call("192.0.2.1", 1) for _ in range(3)]
        fixture.take(*many, call("192.0.2.1", 2))
        assert fixture.evicted == [many[0]]

    def test_the_network_that_has_most_gives_one_up_however_many_connections_it_has(self) -> None:
        fixture = Fixture()
        many = [call("192.0.2.1", port) for port in range(3)]
        few = [call("192.0.2.2", 1) for _ in range(2)]
        fixture.take(*many, *few)
        assert fixture.evicted == [many[0]]

    def test_clients_that_have_as_many_give_up_nothing(self) -> None:
        fixture = Fixture()
        fixture.take(*(call(host) for host in ("192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2")))
        for host in ("192.0.2.1", "192.0.2.2"):
            with pytest.raises(TooManyCalls):
                fixture.take(call(host))
        assert fixture.evicted == []

    def test_a_call_that_must_go_on_is_not_evicted(self) -> None:
        """Calls that must go on are skipped, however many there are."""
        fixture = Fixture()
        many = [call("192.0.2.1") for _ in range(3)]
        fixture.take(*many, call("192.0.2.2"))
        fixture.kept = {*many[:2]}
        fixture.take(call("192.0.2.3"))
        assert fixture.evicted == [many[2]]
        fixture.kept = {*many}
        with pytest.raises(TooManyCalls):
            fixture.take(call("192.0.2.4"))

    def test_what_is_released_can_be_taken_again(self) -> None:
        fixture = Fixture()
        calls = [call(f"192.0.2.{number}") for number in range(4)]
        for _ in range(3):
            fixture.take(*calls)
            for each in calls:
                fixture.budget.release(each)
                fixture.budget.release(each)  # as for a call that was evicted
            assert not fixture.budget.of(calls[0].client)
        fixture.take(*calls)
        assert fixture.budget.is_scarce
        assert list(fixture.budget.of(calls[0].client)) == [calls[0]]

    def test_the_reserve_is_for_some_alone(self) -> None:
        fixture = Fixture(reserved_share=0.5)
        calls = [call(f"192.0.2.{number}") for number in range(6)]
        fixture.kept = {*calls}
        fixture.take(*calls[:2])
        assert fixture.budget.is_scarce
        with pytest.raises(TooManyCalls):
            fixture.take(calls[2])
        for each in calls[2:4]:
            fixture.budget.take(each, reserved=True)
        with pytest.raises(TooManyCalls):
            fixture.budget.take(calls[4], reserved=True)


class TestResponseMemory:
    async def test_a_connection_waits_for_its_own_memory(self) -> None:
        """It does not hold up other connections."""
        memory = ResponseMemory(per_connection=100, total=1_000)
        await memory.take("a", 100, 1)
        waiting = asyncio.create_task(memory.take("a", 50, 30))
        await asyncio.sleep(0)
        assert memory.is_short
        await memory.take("b", 100, 0)
        memory.release("a", 60)
        await waiting
        assert not memory.is_short

    async def test_calls_of_a_connection_get_memory_in_order(self) -> None:
        """A small response does not overtake a large one."""
        memory = ResponseMemory(per_connection=100, total=1_000)
        await memory.take("a", 90, 1)
        order: list[int] = []

        async def wait(size: int) -> None:
            await memory.take("a", size, 30)
            order.append(size)

        tasks = [asyncio.create_task(wait(size)) for size in (60, 5, 6)]
        await asyncio.sleep(0)
        assert order == []
        memory.release("a", 90)
        await asyncio.gather(*tasks)
        assert order == [60, 5, 6]

    async def test_connections_take_turns_when_no_memory_is_left(self) -> None:
        memory = ResponseMemory(per_connection=100, total=100)
        await memory.take("hog", 100, 1)
        order: list[str] = []

        async def wait(connection: str) -> None:
            await memory.take(connection, 100, 30)
            order.append(connection)
            memory.release(connection, 100)

        tasks = [asyncio.create_task(wait(each)) for each in ("a", "a", "a", "b")]
        await asyncio.sleep(0)
        memory.release("hog", 100)
        await asyncio.gather(*tasks)
        assert order.index("b") <= 1

    async def test_a_call_without_memory_in_time_is_refused(self) -> None:
        memory = ResponseMemory(per_connection=100, total=100)
        await memory.take("a", 100, 1)
        with pytest.raises(TooManyCalls) as raised:
            await memory.take("a", 1, 0.01)
        assert "unsent_bytes_per_connection" in raised.value.metadata
        with pytest.raises(TooManyCalls) as raised:
            await memory.take("b", 1, 0.01)
        assert "unsent_bytes" in raised.value.metadata, "the connection has not used up its own share"
        memory.release("a", 100)
        await memory.take("a", 100, 0)

    async def test_a_call_that_stops_waiting_lets_smaller_ones_pass(self) -> None:
        memory = ResponseMemory(per_connection=100, total=100)
        await memory.take("a", 80, 1)
        large = asyncio.create_task(memory.take("a", 90, 0.05))
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await memory.take("a", 10, 30)
        with pytest.raises(TooManyCalls):
            await large

    async def test_a_call_that_stops_waiting_takes_nothing(self) -> None:
        """Also when memory is granted at the same moment."""
        memory = ResponseMemory(per_connection=100, total=100)
        await memory.take("a", 100, 1)
        for granted in (False, True):
            waiting = asyncio.create_task(memory.take("a", 100, 30))
            await asyncio.sleep(0)
            if granted:
                memory.release("a", 100)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert waiting.cancelled()
        await memory.take("a", 100, 0)

    async def test_bytes_that_are_in_memory_already_count(self) -> None:
        memory = ResponseMemory(per_connection=100, total=1_000)
        assert memory.heaviest() is None
        memory.add("a", 150)
        memory.add("b", 20)
        assert memory.heaviest() == "a"
        with pytest.raises(TooManyCalls):
            await memory.take("a", 1, 0)
        await memory.take("b", 80, 0)
