"""Metrics of several workers in one message: an epoch's end costs one all-reduce, not two or more for each metric.

A metric variable is summed over the workers whenever it is read outside of a step, and once more whenever it is set:
TensorFlow gives the new value back. With three metrics that is a dozen round trips at the end of each epoch, and as
many for validation. Here all variables travel together, and are set to zero where they are.

Sources: keras 3.15.1, `trainers/trainer.py` (`get_metrics_result`, `reset_metrics`); tensorflow 2.21,
`distribute/values.py` (`SyncOnReadVariable`).
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfspark_cnn.training.keras_gradients import is_multi_worker


def read_together(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Replaces `Trainer.get_metrics_result`: all nodes call it, and read sums that came in one message."""

    @functools.wraps(original)
    def result(self: Any) -> Any:
        if _in_step() or not is_multi_worker(self.distribute_strategy):
            return original(self)
        summed = [variable for variable in self.metrics_variables if _is_summed(variable)]
        with keras.StatelessScope(list(_sums(summed, self.distribute_strategy))):
            return original(self)

    return result


def reset_locally(original: Callable[[Any], None]) -> Callable[[Any], None]:
    """Replaces `Trainer.reset_metrics`: zeros need no message."""

    @functools.wraps(original)
    def reset(self: Any) -> None:
        if _in_step() or not is_multi_worker(self.distribute_strategy):
            original(self)
        else:
            self.distribute_strategy.run(lambda: original(self))

    return reset


def _in_step() -> bool:
    return tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context()


def _is_summed(variable: Any) -> bool:
    return variable.synchronization == "on_read" and variable.aggregation == "sum"


def _sums(variables: Sequence[Any], strategy: Any) -> Iterator[tuple[Any, Any]]:
    """Gives each variable with its sum over the workers; one message for all of one dtype."""
    for _, alike in itertools.groupby(sorted(variables, key=lambda one: one.dtype), key=lambda one: one.dtype):
        group = list(alike)
        flat = functools.partial(_flat, group)
        total = strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(flat), axis=None)
        parts = tf.split(total, [variable.value.shape.num_elements() for variable in group])
        yield from ((one, tf.reshape(part, one.shape)) for one, part in zip(group, parts, strict=True))


def _flat(variables: Sequence[Any]) -> Any:
    return tf.concat([tf.reshape(variable.value, [-1]) for variable in variables], axis=0)
