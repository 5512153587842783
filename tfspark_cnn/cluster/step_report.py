"""Which node is slow: what each one's own part of a step takes. Pure.

In synchronous training the steps of all nodes take equally long, that of the slowest. Own is the time from the moment
at which a node has the summed gradients of one step until it is ready to sum those of the next: the update, callbacks,
waiting for rows, forward and backward pass.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tfspark_cnn.cluster.messages import Position

STRAGGLES = 3.0
"""A node is a straggler whose own part of a step takes over so many times the median of the others'.

Executors of one kind differ by up to 1.5 where their hosts are shared, and by 2 where one has a neighbour on the same
core; with 3 the others do nothing for two thirds of their time."""

STRAGGLES_S = 0.005
"""And over so many seconds longer: where steps take less than a millisecond the clock and the scheduler decide."""

STEPS, WINDOWS = 10, 2
"""Over so many steps of each node, so many times in a row: one step that waits for a file or a collection of garbage
can make a mean of ten large, but hardly two means that follow on each other."""


@dataclass(frozen=True)
class StepFigures:
    """One node's steps.

    Attributes:
        name: as `worker:1`.
        steps: measured; the first of each epoch is not.
        own_s: seconds of them that the node did not wait for the gradients of others.
    """

    name: str
    steps: int
    own_s: float

    @property
    def mean_s(self) -> float:
        """Seconds of its own in a step."""
        return self.own_s / self.steps if self.steps else 0.0


@dataclass(frozen=True)
class StepReport:
    """The steps of all nodes that train.

    Attributes:
        nodes: what each took.
        stragglers: names of those over `STRAGGLES` times as slow as the others.
    """

    nodes: tuple[StepFigures, ...]
    stragglers: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Gives the report as plain values, for JSON."""
        nodes = [{**asdict(node), "mean_s": node.mean_s} for node in self.nodes]
        return {"nodes": nodes, "stragglers": list(self.stragglers)}

    def __str__(self) -> str:
        """Gives one line, for people.

        Example:
            >>> print(StepReport((StepFigures("chief:0", 10, 0.2), StepFigures("worker:0", 10, 2.1)), ("worker:0",)))
            worker:0 is a straggler: 210 ms per step of its own, the others 20 ms
        """
        by_name = {node.name: node.mean_s for node in self.nodes}
        if not self.stragglers:
            return "own time per step: " + ", ".join(f"{name} {_ms(mean_s)}" for name, mean_s in by_name.items())
        return "; ".join(straggles(name, by_name) for name in self.stragglers)


def straggles(name: str, mean_s: Mapping[str, float]) -> str:
    """Says that a node is a straggler, with its seconds per step and the median of the others'."""
    others_s = statistics.median([value for other, value in mean_s.items() if other != name])
    return f"{name} is a straggler: {_ms(mean_s[name])} per step of its own, the others {_ms(others_s)}"


def slow(mean_s: Mapping[str, float]) -> list[str]:
    """Gives the names of the nodes that are stragglers by their mean seconds per step.

    Example:
        >>> slow({"chief:0": 0.02, "worker:0": 0.02, "worker:1": 0.2})
        ['worker:1']
    """
    if len(mean_s) < 2:
        return []
    found = []
    for name, own_s in mean_s.items():
        others_s = statistics.median([value for other, value in mean_s.items() if other != name])
        if own_s > STRAGGLES * others_s and own_s - others_s > STRAGGLES_S:
            found.append(name)
    return found


@dataclass
class Paces:
    """What nodes have said of their steps, and who has been found slow."""

    names: Mapping[int, str]
    at: dict[int, StepFigures] = field(default_factory=dict)
    stragglers: dict[str, int] = field(default_factory=dict)  # windows in a row, WINDOWS once it was told
    _begun: dict[int, StepFigures] = field(default_factory=dict)

    def take(self, event: Position) -> str:
        """Takes a node's figures; says that a node is a straggler when it is found to be one, or gives nothing."""
        if event.node not in self.names:
            return ""
        known = self.at.get(event.node)
        if known is None or known.steps < event.measured:
            self.at[event.node] = StepFigures(self.names[event.node], event.measured, event.own_s)
        window = [self._since(number) for number in self.names]
        if any(one is None or one.steps < STEPS for one in window):
            return ""
        self._begun = dict(self.at)
        return self._judge([one for one in window if one is not None])

    def report(self) -> StepReport:
        """Gives the steps so far."""
        nodes = tuple(self.at.get(number, StepFigures(name, 0, 0.0)) for number, name in self.names.items())
        return StepReport(nodes, tuple(name for name, windows in self.stragglers.items() if windows >= WINDOWS))

    def _since(self, number: int) -> StepFigures | None:
        now, then = self.at.get(number), self._begun.get(number)
        if now is None or then is None:
            return now
        return StepFigures(now.name, now.steps - then.steps, now.own_s - then.own_s)

    def _judge(self, window: Sequence[StepFigures]) -> str:
        mean_s = {one.name: one.mean_s for one in window}
        found = slow(mean_s)
        told = [name for name, windows in self.stragglers.items() if windows >= WINDOWS]
        self.stragglers = dict.fromkeys(told, WINDOWS) | {
            name: self.stragglers.get(name, 0) + 1 for name in found if name not in told
        }
        fresh = [name for name, windows in self.stragglers.items() if windows >= WINDOWS and name not in told]
        return "; ".join(straggles(name, mean_s) for name in fresh)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
