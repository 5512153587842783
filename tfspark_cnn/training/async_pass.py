"""One pass of all workers over their shares: steps are scheduled until each worker has said that it has no more."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from tfspark_cnn.training.async_step import TRAINED

AHEAD_PER_WORKER = 4
"""Steps of a worker that are under way or wait. More would let a fast worker run further ahead of a slow one."""


@dataclass
class Totals:
    """What the steps of a pass have given.

    Attributes:
        rows: that were trained or evaluated.
        steps: that had rows.
        states: sums of the states of the metrics, by variable.
        ended: the workers that have no more rows.
    """

    rows: int = 0
    steps: int = 0
    states: list[Any] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)

    def add(self, rows: int, index: int, states: list[Any]) -> None:
        """Takes what a step has given.

        Example:
            >>> totals = Totals()
            >>> totals.add(8, TRAINED, [2.0]); totals.add(8, TRAINED, [3.0]); totals.add(0, 1, [0.0])
            >>> totals.rows, totals.steps, totals.states, totals.ended
            (16, 2, [5.0], {1})
        """
        if index != TRAINED:
            self.ended.add(index)
            return
        self.rows += rows
        self.steps += 1
        self.states = [a + b for a, b in zip(self.states, states, strict=True)] if self.states else list(states)


def take_pass(
    coordinator: Any, step: Any, iterator: Any, *, workers: int, first: int = 0, most_steps: int | None = None
) -> Totals:
    """Runs a pass, and returns when all of its steps have ended.

    Args:
        coordinator: a `tf.distribute.coordinator.ClusterCoordinator`.
        step: of `Steps`.
        iterator: over the per-worker dataset.
        workers: how many there are.
        first: number of the first step.
        most_steps: ends the pass after so many steps; None: when no worker has rows.
    """
    totals, under_way = Totals(), deque[Any]()
    while len(totals.ended) < workers:
        while len(under_way) < AHEAD_PER_WORKER * workers and _may_begin(totals, len(under_way), most_steps):
            number = tf.constant(first + totals.steps + len(under_way), tf.int64)
            under_way.append(coordinator.schedule(step, args=(iterator, number)))
        if not under_way:
            break
        _collect(totals, under_way.popleft())
    for one in under_way:  # steps that found no rows, as a rule
        _collect(totals, one)
    return totals


def _may_begin(totals: Totals, under_way: int, most_steps: int | None) -> bool:
    return most_steps is None or totals.steps + under_way < most_steps


def _collect(totals: Totals, remote: Any) -> None:
    rows, index, states = remote.fetch()
    totals.add(int(rows), int(index), states)
