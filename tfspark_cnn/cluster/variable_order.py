"""Whether all nodes make the same variables in the same order, as the broadcast of their first values needs. Pure.

Under MultiWorkerMirroredStrategy each new variable takes its first value from the chief: the n-th on one node pairs
with the n-th on the others, whatever they are. Unlike ones hang, or end in an error of TensorFlow's that names neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

Variable = tuple[str, str]
"""Its path, as `sequential/dense_1/kernel`, and its dtype and shape, as `float32[784, 10]`."""

_NUMBER = re.compile(r"_(\d+)(?=_|$)")


@dataclass(frozen=True)
class Difference:
    """The first place where a node and the chief differ; a path and its shape, or None where there is none.

    Attributes:
        node: number of the node.
        place: of the variable, from 1.
        its: what the node made there.
        chiefs: what the chief made there.
    """

    node: int
    place: int
    its: Variable
    chiefs: Variable


@dataclass
class VariableOrder:
    """The variables that each node has made."""

    chief: int
    made: dict[int, list[Variable]] = field(default_factory=dict)
    _early: dict[int, dict[int, list[Variable]]] = field(default_factory=dict)
    _compared: dict[int, int] = field(default_factory=dict)
    _numbering: dict[int, _Numbering] = field(default_factory=dict)

    def add(self, node: int, first: int, variables: Sequence[Sequence[str]]) -> Difference | None:
        """Takes variables of a node from the `first` on, and gives the first difference there is now.

        Messages may overtake each other; those that do not follow on yet are kept.
        """
        known, early = self.made.setdefault(node, []), self._early.setdefault(node, {})
        if len(variables) > len(early.get(first, ())):
            early[first] = [(path, kind) for path, kind in variables]
        for begin in sorted(early):
            if begin <= len(known):
                known.extend(early.pop(begin)[len(known) - begin :])
        others = [other for other in self.made if other != self.chief] if node == self.chief else [node]
        found = (self._compare(other) for other in others)
        return next((one for one in found if one is not None), None)

    def count(self, node: int) -> int:
        """Gives how many variables a node is known to have made."""
        return len(self.made.get(node, ()))

    def _compare(self, node: int) -> Difference | None:
        chiefs, its = self.made.get(self.chief, []), self.made[node]
        numbering = self._numbering.setdefault(node, _Numbering())
        begin, end = self._compared.get(node, 0), min(len(chiefs), len(its))
        for place in range(begin, end):
            if chiefs[place][1] != its[place][1] or not numbering.fits(chiefs[place][0], its[place][0]):
                return Difference(node, place + 1, its[place], chiefs[place])
        self._compared[node] = end
        return None


@dataclass
class _Numbering:
    """Which of the chief's numbered names is which of a node's: `dense_1` may be `dense_3`, if what follows does too.

    Keras numbers layers as they are made, over the life of a process. Where a node has made some before, all numbers of
    that name are larger; that their order differs means that layers were made in another order.
    """

    pairs: dict[str, dict[int, int]] = field(default_factory=dict)

    def fits(self, chiefs: str, its: str) -> bool:
        """Tells whether two paths name the same variable, numbers aside, and takes note of their numbers."""
        ours, theirs = chiefs.split("/"), its.split("/")
        if [_NUMBER.sub("", part) for part in ours] != [_NUMBER.sub("", part) for part in theirs]:
            return False
        return all(self._in_order(one, other) for one, other in zip(ours, theirs, strict=True))

    def _in_order(self, chiefs: str, its: str) -> bool:
        ours, theirs = _NUMBER.findall(chiefs), _NUMBER.findall(its)
        if len(ours) > 1 or len(theirs) > 1:  # which of them belong together cannot be told
            return True
        known = self.pairs.setdefault(_NUMBER.sub("", chiefs), {})
        one, other = int(ours[0]) if ours else 0, int(theirs[0]) if theirs else 0
        if one in known:
            return True
        known[one] = other
        return all((one - a) * (other - b) >= 0 for a, b in known.items())
