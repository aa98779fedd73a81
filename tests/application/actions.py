"""Actions of a state machine, chosen by their weights.

Hypothesis would switch off a part of its own rules in each example. With few examples, and rules that build on each
other, almost nothing would be sold then.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

Strategy = st.SearchStrategy[Any]
Draws = Mapping[str, Strategy | Callable[[Any], Strategy]]
"""What to draw for each argument; some of it depends on the machine."""


@dataclass(frozen=True)
class Action:
    """A method of a machine, how often it is chosen among others, and its arguments."""

    weight: int
    needs: Callable[[Any], object]
    draws: Draws


def action(
    weight: int, needs: Callable[[Any], object] = lambda _machine: True, **draws: Strategy | Callable[[Any], Strategy]
) -> Callable[[Any], Any]:
    """Make a method an action; it is left out while `needs` is false."""

    def mark(method: Any) -> Any:
        method.action = Action(weight, needs, draws)
        return method

    return mark


def act(machine: Any, data: st.DataObject) -> None:
    """Choose an action of a machine and carry it out."""
    methods = [getattr(machine, name) for name in sorted(dir(type(machine))) if _action(getattr(type(machine), name))]
    possible = [method for method in methods if method.action.needs(machine) for _ in range(method.action.weight)]
    chosen = data.draw(st.sampled_from(possible).map(lambda method: method.__name__), label="action")
    draws = getattr(machine, chosen).action.draws
    drawn = {
        name: data.draw(each(machine) if not isinstance(each, st.SearchStrategy) else each, label=name)
        for name, each in draws.items()
    }
    getattr(machine, chosen)(**drawn)


def _action(method: object) -> Action | None:
    return getattr(method, "action", None)
