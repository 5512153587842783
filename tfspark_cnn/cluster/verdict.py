"""What bound a run: the input, the computing or the communication; by how much, and what to turn. Pure.

The time of the training steps falls into three parts. Of the first step of each epoch, in which networks are traced and
metrics are read, only the wait for rows counts.

- input: a node stands still for want of rows. Rows are read ahead, so only the wait that the training felt counts.
- communication: the node that waits least for the gradients of others still waits for them. What others wait longer,
  they wait for that node, not for the network between them. Nodes that are the slower one in turns, as on hosts with
  other work to do, wait for each other, too; that cannot be told from the network.
- computing: the rest, with the decoding of images and callbacks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from tfspark_cnn.cluster.feed_report import BUSY

FEWEST_STEPS = 10
"""From fewer steps nothing is told: one that a garbage collection or a file interrupts would decide."""

UNEVEN = 0.2
"""Others that wait so much of their time for the slowest node are worth a word."""

IDLE_GPU = 50.0
"""Percent; a GPU that is busy for less waits for its host, mostly to start many small operations."""


class Bound(StrEnum):
    """What the time of the steps went into, where it could be saved."""

    INPUT = "input-bound"
    COMPUTE = "compute-bound"
    COMMUNICATION = "communication-bound"
    UNKNOWN = "cannot be told"


@dataclass(frozen=True)
class NodeTimes:
    """What is measured of one node that trains.

    Attributes:
        name: as `worker:1`.
        steps: whose time was taken.
        seconds: of these steps.
        waited_s: seconds of them in which it stood still for rows; None where Spark does not feed it.
        first_waited_s: seconds that it stood still for rows in the first steps of epochs, which `steps` leave out.
        own_steps: steps of which is known what it did without the others.
        own_s: seconds of these without waiting for the gradients of others.
        gpu_percent: how busy its GPUs were; None without.
    """

    name: str
    steps: int
    seconds: float
    waited_s: float | None = 0.0
    first_waited_s: float = 0.0
    own_steps: int = 0
    own_s: float = 0.0
    gpu_percent: float | None = None

    @property
    def input(self) -> float:
        """The part of its time that it stood still for rows, 0 to 1."""
        return min(1.0, ((self.waited_s or 0.0) + self.first_waited_s) / (self.seconds + self.first_waited_s))

    @property
    def others(self) -> float:
        """The part of its time that it waited for the gradients of others, 0 to 1."""
        own_s = self.own_s / self.own_steps
        waited_s = max(0.0, self.seconds - own_s * self.steps)
        return min(1.0, waited_s / (self.seconds + self.first_waited_s))


@dataclass(frozen=True)
class Verdict:
    """What bound a run.

    Attributes:
        bound: the largest part that could be saved, if it is a fifth or more; else the computing.
        input: part of the time of the steps, 0 to 1; None: not measured.
        communication: likewise.
        compute: likewise; with what was not measured.
        setting: what to turn.
        notes: what else there is to say, or why nothing can be told.
    """

    bound: Bound
    input: float | None = None
    communication: float | None = None
    compute: float | None = None
    setting: str = ""
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Gives it as plain values, for JSON."""
        return asdict(self) | {"bound": str(self.bound), "text": str(self)}

    def __str__(self) -> str:
        """Gives the verdict in words, and what to do."""
        if self.bound is Bound.UNKNOWN:
            return f"what bound it {self.bound}: {'; '.join(self.notes)}"
        lines = [f"{self.bound}: {self._by_how_much()}", *self.notes, f"to do: {self.setting}"]
        return "\n".join([lines[0], *("  " + one for one in lines[1:])])

    def _by_how_much(self) -> str:
        parts = [("waiting for rows", self.input), ("computing", self.compute)]
        parts += [("waiting for gradients", self.communication)]
        shares = ", ".join(f"{name} {part:.0%}" for name, part in parts if part is not None)
        saved = {Bound.INPUT: self.input, Bound.COMMUNICATION: self.communication}.get(self.bound)
        if not saved:
            return f"{shares} of the steps' time"
        gain = f"{1 / (1 - saved):.1f} times as fast" if saved < 0.95 else "many times as fast"
        return f"{shares} of the steps' time; without that wait {gain}"


def verdict(
    nodes: Sequence[NodeTimes], *, asynchronous: bool = False, source: bool | None = None, cache: str = ""
) -> Verdict:
    """Gives what bound a run.

    Args:
        nodes: those that train.
        asynchronous: whether parameter servers hold the variables.
        source: whether computing the rows in Spark took longer than bringing them to the nodes; None: not known.
        cache: of the run.

    Example:
        >>> print(verdict([NodeTimes("chief:0", 100, 10.0, waited_s=7.0)], source=True))
        input-bound: waiting for rows 70%, computing 30% of the steps' time; without that wait 3.3 times as fast
          to do: compute rows faster: persist() the DataFrame before train, or give Spark more slots
    """
    timed = [node for node in nodes if node.steps and node.seconds > 0]
    if reason := _why_not(nodes, timed, asynchronous=asynchronous):
        return Verdict(Bound.UNKNOWN, notes=(reason,))
    fed = all(node.waited_s is not None for node in timed)
    split = len(timed) == 1 or all(node.own_steps >= FEWEST_STEPS for node in timed)
    slowest = min(timed, key=lambda node: node.others) if split and len(timed) > 1 else timed[0]
    waiting = max(node.input for node in timed) if fed else 0.0
    exchange = min(1 - waiting, slowest.others) if split and len(timed) > 1 else 0.0
    bound = _bound(waiting, exchange)
    return Verdict(
        bound,
        input=waiting if fed else None,
        communication=exchange if split and len(timed) > 1 else None,
        compute=max(0.0, 1 - waiting - exchange),
        setting=_setting(bound, timed, source=source, cache=cache),
        notes=(*_notes(timed, slowest, fed=fed, split=split),),
    )


def _why_not(nodes: Sequence[NodeTimes], timed: Sequence[NodeTimes], *, asynchronous: bool) -> str:
    if asynchronous:
        return "with parameter servers each worker takes its own steps; cluster.feed_reports() says who waited for rows"
    if not timed:
        return "no steps were reported; pass callbacks=ctx.callbacks() to fit"
    if min(node.steps for node in timed) < FEWEST_STEPS:
        return f"fewer than {FEWEST_STEPS} steps were timed; the first of each epoch is not"
    return ""


def _bound(waiting: float, exchange: float) -> Bound:
    if max(waiting, exchange) < 1 - BUSY:
        return Bound.COMPUTE
    return Bound.INPUT if waiting >= exchange else Bound.COMMUNICATION


def _setting(bound: Bound, nodes: Sequence[NodeTimes], *, source: bool | None, cache: str) -> str:
    if bound is Bound.COMMUNICATION:
        return (
            'raise batch_size, so that gradients are summed less often; ctx.strategy(gradients="bfloat16") halves what '
            "travels; nodes that share the cores of a host are better fewer"
        )
    if bound is Bound.COMPUTE:
        busy = [node.gpu_percent for node in nodes if node.gpu_percent is not None]
        if busy and sum(busy) / len(busy) < IDLE_GPU:
            return f"raise batch_size: GPUs were busy {sum(busy) / len(busy):.0f}% of the time only"
        return 'more nodes (num_executors), or faster ones: GPUs, or there ctx.strategy(precision="mixed_bfloat16")'
    kept = 'keep rows on the nodes after the first epoch: cache="memory"; ' if cache == "none" else ""
    if source is False:
        return f"{kept}send rows faster: more partitions, and slots for more feeders"
    return f"{kept}compute rows faster: persist() the DataFrame before train, or give Spark more slots"


def _notes(nodes: Sequence[NodeTimes], slowest: NodeTimes, *, fed: bool, split: bool) -> list[str]:
    found = []
    if not fed:
        found.append("nodes read their rows themselves: waiting for these counts as computing")
    if not split:
        found.append("what nodes waited for each other was not measured, and counts as computing")
    elif len(nodes) > 1:
        uneven = max(node.others for node in nodes) - slowest.others
        if uneven >= UNEVEN:
            found.append(f"the others wait for {slowest.name} for up to {uneven:.0%} of the time")
    return found
