"""What nodes that train together tell each other through their strategy. All of them must call each function, in step.

Example:
    >>> sums(model.distribute_strategy, [float(i_see_nan)])[0] > 0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfspark_cnn.training.keras_gradients import is_multi_worker, local_replicas

CHUNK_NUMBERS = 16 << 20
"""Bytes are sent as numbers of 4, at most so many at once: 64 MiB."""


def sums(strategy: Any, values: Sequence[float]) -> list[float]:
    """Gives the sums over all nodes of some numbers, float64 each."""
    if not is_multi_worker(strategy):
        return [float(value) for value in values]
    return [float(value) for value in _sum(strategy, np.asarray(values, np.float64))]


def from_chief(strategy: Any, body: bytes | memoryview | None) -> bytes | None:
    """Gives the bytes that the chief has, or None if it has none; the others pass None."""
    if not is_multi_worker(strategy):
        return None if body is None else bytes(body)
    held = b"" if body is None else bytes(body)
    size = int(sums(strategy, [float(len(held))])[0])
    if not size:
        return None
    numbers = np.zeros(-(-size // 4), np.int32)
    numbers.view(np.uint8)[: len(held)] = np.frombuffer(held, np.uint8)
    for start in range(0, len(numbers), CHUNK_NUMBERS):
        part = slice(start, start + CHUNK_NUMBERS)
        numbers[part] = _sum(strategy, numbers[part])
    return numbers.view(np.uint8)[:size].tobytes()


def _sum(strategy: Any, values: Any) -> Any:
    """Sums over nodes; of the replicas of one node only the first has the numbers."""
    replicas = local_replicas(strategy)

    def of_replica() -> Any:
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.where(tf.equal(number % replicas, 0), values, tf.zeros_like(values))

    return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(of_replica), axis=None).numpy()
