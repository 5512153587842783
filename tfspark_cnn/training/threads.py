"""How many threads TensorFlow computes with in a Spark task."""

from __future__ import annotations

import tensorflow as tf


def use(threads: int) -> None:
    """Gives each operation so many threads, unless TensorFlow has begun, when it is too late."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return
