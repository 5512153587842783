"""Whether the nodes that train do the same things in the same order; if not, some wait for ever for others. Pure.

What all must do alike are three things: to make variables, to sum gradients, and to read other values over all nodes,
as metrics. Each node counts them (`Position`). The program being the same, how far a node is in each is a point on one
path: of any two nodes one is ahead of the other, or with it, in all three. A node waits for ever when

- it is ahead of one that is at rest: that has returned from map_fun, or waits at `ctx.barrier()`;
- it is ahead of where another one has left a call of `fit` or `evaluate` that it is still in;
- two nodes are each ahead of the other.

A node is counted as ready for the gradients of a step when it has its own. One that is about to stop after the step
that the others stop after is therefore never ahead of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfspark_cnn.cluster.messages import Created, Position
from tfspark_cnn.cluster.topology import Topology
from tfspark_cnn.cluster.variable_order import Difference, VariableOrder
from tfspark_cnn.errors import ClusterError

SAME_MODEL = (
    "seed and configuration must be the same on all nodes; build the model from args, not from random or "
    "node-dependent choices"
)
SAME_END = (
    "let all nodes stop after the same step: pass the same epochs and steps_per_epoch, decide by the logs of an epoch, "
    "which are equal on all nodes, and let an exception end map_fun"
)
SAME_CALLS = "let map_fun do the same on chief and workers, as often; what one node does alone needs a model of its own"


@dataclass
class Lockstep:
    """What the data nodes of a cluster have said of where they are."""

    topology: Topology
    at: dict[int, Position] = field(default_factory=dict)
    left: dict[int, dict[int, Position]] = field(default_factory=dict)
    order: VariableOrder = field(init=False)

    def __post_init__(self) -> None:
        self.order = VariableOrder(self.topology.chief.number)

    def create(self, event: Created) -> None:
        """Takes note of variables.

        Raises:
            ClusterError: they are others than the chief's.
        """
        difference = self.order.add(event.node, event.first, event.variables)
        if difference is not None:
            raise self._unlike(difference)

    def move(self, event: Position) -> None:
        """Takes note of where a node is.

        Raises:
            ClusterError: it waits for a node that has gone on, or the other way round.
        """
        known = self.at.get(event.node)
        if known is None or _age(known) <= _age(event):  # one that was overtaken is no news
            self.at[event.node] = event
        if event.left:
            self.left.setdefault(event.call, {})[event.node] = event
        for other in list(self.at):
            if other != event.node:
                self._check_left(event.node, other)
                self._check_left(other, event.node)
                self._check_order(*sorted((event.node, other)))
        self._forget_calls()

    def check_rest(self, at_rest: Mapping[int, str]) -> None:
        """Finds nodes that wait for others that are at rest.

        Args:
            at_rest: what such a node does, in words, by its number.

        Raises:
            ClusterError: there is one.
        """
        moving = [number for number in {*self.at, *self.order.made} if number not in at_rest]
        for number, words in at_rest.items():
            there = self.at.get(number, Position(number, 0, 0, 0))
            for other in moving:
                where = self._waiting(other, there)
                if where:
                    text = f"{self._name(number)} {words}, and {self._name(other)} waits for it {where}"
                    raise ClusterError(text, hint=SAME_CALLS)

    def first_nan(self) -> tuple[list[str], int] | None:
        """Gives the nodes whose own loss was the first to be NaN or infinite, and in which of all steps it was.

        None before all data nodes are that far: another one's loss may have been so before.
        """
        seen = {number: position.nan_at for number, position in self.at.items() if position.nan_at}
        first = min(seen.values(), default=0)
        numbers = [node.number for node in self.topology.data_nodes]
        if not first or any(number not in self.at or self.at[number].reductions < first for number in numbers):
            return None
        return [self._name(number) for number in numbers if seen.get(number) == first], first

    # --- the three rules ---------------------------------------------------------------------------------------------

    def _check_left(self, number: int, other: int) -> None:
        """Compares a node with where another one has left the call that it is in, or was in."""
        for call, by_node in self.left.items():
            there, here = by_node.get(number), by_node.get(other) or self.at[other]
            if there is None or here.call != call or not (here.inside or here.left):
                continue
            if here.failed and there.failed:  # both by the error of a step, which one may have begun and one not
                continue
            if where := self._waiting(other, there, at=here):
                goes_on = f"waits for it {where}" if not here.left else f"has left it {_progress(here)}"
                text = f"{self._name(number)} has left {_way(there)}, and {self._name(other)} {goes_on}"
                raise ClusterError(text, hint=SAME_END)

    def _check_order(self, one: int, other: int) -> None:
        a, b = self.at[one], self.at[other]
        if not (a.exact and b.exact):
            return
        first, second = self._waiting(one, b, at=a), self._waiting(other, a, at=b)
        if first and second:
            raise ClusterError(
                f"{self._name(one)} waits for {self._name(other)} {first}, which waits for it {second}", hint=SAME_CALLS
            )

    def _waiting(self, number: int, there: Position, *, at: Position | None = None) -> str:
        """Says in what a node is ahead of a position of another, or gives nothing."""
        here = at or self.at.get(number, Position(number, 0, 0, 0))
        if here.reductions > there.reductions:
            return f"in {_step(here)}"
        if here.reads > there.reads:
            return _read(here)
        made = max(here.variables, self.order.count(number) if at is None else 0)
        return f"to make {self._variable(number, there.variables)}" if made > there.variables else ""

    # --- words -------------------------------------------------------------------------------------------------------

    def _name(self, number: int) -> str:
        return self.topology.nodes[number].name

    def _variable(self, number: int, index: int) -> str:
        made = self.order.made.get(number, [])
        return f"variable {index + 1}" + (f", {' '.join(made[index])}" if index < len(made) else "")

    def _unlike(self, found: Difference) -> ClusterError:
        its, chiefs = " ".join(found.its), " ".join(found.chiefs)
        return ClusterError(
            f"{self._name(found.node)} created variable {found.place} as {its}, "
            f"{self._name(self.order.chief)} as {chiefs}",
            hint=SAME_MODEL,
        )

    def _forget_calls(self) -> None:
        """Drops the calls that all nodes have left; two are kept, since a late message may still speak of one."""
        everyone = len(self.topology.data_nodes)
        over = [call for call, by_node in self.left.items() if len(by_node) == everyone]
        for call in sorted(over)[:-2]:
            del self.left[call]


def _age(position: Position) -> tuple[int, int, int]:
    return position.call, position.variables + position.reductions + position.reads, position.measured


def _step(position: Position) -> str:
    return f"epoch {position.epoch}, step {position.step}" if position.epoch else f"step {position.reductions}"


def _read(position: Position) -> str:
    if position.epoch:
        return f"in the metrics of epoch {position.epoch}"
    return f"in the metrics of {position.inside}" if position.inside else "in a metric or in strategy.reduce()"


def _way(position: Position) -> str:
    by = f" by {position.failed}" if position.failed else ""
    return f"{position.left}{by} {_progress(position)}"


def _progress(position: Position) -> str:
    return f"after {_step(position)}"
