"""The fair queue: groups take turns, and the wait of an item depends mostly on its own group."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cinema_grpc.application.fair_queue import FairQueue


def filled(*items: tuple[str, int]) -> FairQueue[str, tuple[str, int]]:
    queue: FairQueue[str, tuple[str, int]] = FairQueue()
    for item in items:
        queue.add(item[0], item)
    return queue


def emptied(queue: FairQueue[str, tuple[str, int]]) -> list[tuple[str, int]]:
    return [queue.pop() for _ in range(len(queue))]


def test_groups_take_turns_and_each_group_is_first_in_first_out() -> None:
    queue = filled(("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("c", 2))
    assert emptied(queue) == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("c", 2), ("a", 3)]
    with pytest.raises(KeyError):
        queue.pop()


def test_the_first_item_of_a_group_waits_for_one_turn_of_each_other_group() -> None:
    """However many items another group has. An item of that group waits for all of them."""
    queue = filled(*(("busy", n) for n in range(100)), ("b", 1))
    assert queue.ahead("new") == 2
    assert queue.ahead("b") == 3
    assert queue.ahead("busy") == 101
    queue.add("new", ("new", 1))
    assert emptied(queue)[:3] == [("busy", 0), ("b", 1), ("new", 1)]
    assert queue.ahead("new") == 0


def test_an_item_can_be_discarded_once() -> None:
    queue = filled(("a", 1), ("a", 2), ("b", 1))
    assert queue.discard("a", ("a", 1))
    assert not queue.discard("a", ("a", 1))
    assert not queue.discard("c", ("c", 1))
    assert queue.discard("b", ("b", 1))
    assert list(queue) == [("a", 2)]
    assert (len(queue), queue.ahead("b")) == (1, 1)
    assert emptied(queue) == [("a", 2)]


@given(st.lists(st.one_of(st.sampled_from("abcde"), st.just("")), max_size=60), st.sampled_from("abcde"))
def test_ahead_is_never_too_low(steps: list[str], group: str) -> None:
    """An item that is added now comes out after at most that many others. In `steps`, "" pops an item."""
    queue: FairQueue[str, tuple[str, int]] = FairQueue()
    for number, step in enumerate(steps):
        if step:
            queue.add(step, (step, number))
        elif len(queue):
            queue.pop()
    ahead, last = queue.ahead(group), (group, len(steps))
    queue.add(group, last)
    assert emptied(queue).index(last) <= ahead
