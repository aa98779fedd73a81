"""A queue whose groups take turns, so that a busy group delays only itself."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Hashable)


class FairQueue(Generic[K, T]):
    """Items in groups: round robin over groups, first in, first out within a group.

    Every operation but iteration takes constant time.
    """

    def __init__(self) -> None:
        # The first group is next. Empty groups have no entry.
        self._groups: OrderedDict[K, OrderedDict[T, None]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        for items in self._groups.values():
            yield from items

    def ahead(self, group: K) -> int:
        """Return the maximum number of items that are served before the next item to be added to a group.

        The n-th item of a group waits for the n-1 before it, and for n turns of each other group.
        """
        own = len(self._groups.get(group, ()))
        others = len(self._groups) - (own > 0)
        return min(self._size, own + (own + 1) * others)

    def add(self, group: K, item: T) -> None:
        """Add an item to the end of a group. It must not be in the queue."""
        self._groups.setdefault(group, OrderedDict())[item] = None
        self._size += 1

    def pop(self) -> T:
        """Remove and return the next item.

        Raises:
            KeyError: The queue is empty.
        """
        group, items = self._groups.popitem(last=False)
        item, _ = items.popitem(last=False)
        if items:
            self._groups[group] = items  # its next turn comes after one turn of each other group
        self._size -= 1
        return item

    def discard(self, group: K, item: T) -> bool:
        """Remove an item of a group; return whether it was in the queue."""
        items = self._groups.get(group)
        if items is None or item not in items:
            return False
        del items[item]
        if not items:
            del self._groups[group]
        self._size -= 1
        return True
