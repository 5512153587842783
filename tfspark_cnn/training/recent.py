"""The few things that a Python worker made last, so that what is asked for again is not made again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Thing = TypeVar("Thing")

KEPT = 4
"""What a cross-validation scores with is used again and again; each network takes memory."""


class Recent(Generic[Key, Thing]):
    """Keeps the things asked for last, by what they were asked for.

    Args:
        kept: how many.

    Example:
        >>> recent = Recent[str, int]()
        >>> recent.get("a", lambda: 1), recent.get("a", lambda: 2)
        (1, 1)
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._things: OrderedDict[Key, Thing] = OrderedDict()

    def get(self, key: Key, make: Callable[[], Thing]) -> Thing:
        """Gives what a key stands for, which is made if it is not there."""
        found = self._things.pop(key) if key in self._things else make()
        self._things[key] = found
        while len(self._things) > self._kept:
            self._things.popitem(last=False)
        return found
