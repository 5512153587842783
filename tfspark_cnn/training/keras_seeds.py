"""Random numbers of several workers: each node drops other units, and all count alike.

A `SeedGenerator` has the same state on all nodes, so that Dropout would drop the same places of every node's batch.
Here the number of the replica enters what is drawn, not the state: that stays equal on all nodes, and in what is saved.

Source: keras 3.15.1, `random/seed_generator.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfspark_cnn.training.keras_gradients import in_step

_APART = 1_000_003  # seeds of layers are drawn from 1 to 1e9: two that are a multiple of this apart do not happen


def of_replica(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces `SeedGenerator.next`: in steps of several workers, each draws for itself."""

    @functools.wraps(original)
    def draw(self: Any, ordered: bool = True) -> Any:
        seed = original(self, ordered)
        if not in_step(tf.distribute.get_strategy()):
            return seed
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return seed + tf.stack([tf.cast(replica, seed.dtype) * _APART, tf.zeros((), seed.dtype)])

    return draw
