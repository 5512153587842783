"""TensorFlow's own strategy for several workers, with nothing of ours: what TensorFlowOnSpark's programs train by."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfspark_cnn.errors import ReplicaCountError


def plain(num_workers: int, *, gpus: int) -> Any:
    """Gives a `MultiWorkerMirroredStrategy` as TensorFlow makes it from TF_CONFIG.

    Args:
        num_workers: chief and workers.
        gpus: of each of them.

    Raises:
        ReplicaCountError: it sees another number of replicas.
    """
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    expected = num_workers * max(1, gpus)
    if strategy.num_replicas_in_sync != expected:
        raise ReplicaCountError(
            f"the strategy sees {strategy.num_replicas_in_sync} replicas, expected {expected}",
            hint="TF_CONFIG was changed, or TensorFlow was used before ctx.strategy() was called",
        )
    return strategy
