"""The map_fun of `tfspark-cnn bench`: the steps of a small network on the fed rows, and all-reduces alone."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfspark_cnn.feed.columns import Column
from tfspark_cnn.models import registry

REDUCES, WARM = 5, 2
"""All-reduces that count, after those in which TensorFlow connects and traces."""


class Steps(keras.callbacks.Callback):
    """Takes the time of each step, but for the first ones of an epoch, which wait for rows and trace."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._began_s = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Looks at the clock."""
        self._began_s = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Takes note of a step."""
        if batch >= WARM:
            self.seconds.append(time.perf_counter() - self._began_s)


def run(args: Mapping[str, Any], ctx: Any) -> dict[str, Any]:
    """Trains, then sums tensors over all nodes.

    Args:
        args: `side` and `classes` of the images, `batch_size` and `epochs`, `reduced_bytes` of a tensor to sum.
        ctx: of the node.

    Returns:
        `node`, `step_s` and `reduce_s`, medians in seconds; 0 where there was nothing to take the time of.
    """
    strategy = ctx.strategy()
    shape = (args["side"], args["side"], 1)
    with strategy.scope():
        model = registry.build("small_cnn", input_shape=shape, classes=args["classes"])
        model.compile("sgd", "sparse_categorical_crossentropy")
    rows = ctx.dataset(Column("image", shape=shape, scale=1 / 255), "label", batch_size=args["batch_size"])
    steps = Steps()
    model.fit(rows, epochs=args["epochs"], callbacks=[steps], verbose=0)
    reduce_s = _reduce_s(strategy, args["reduced_bytes"]) if strategy.num_replicas_in_sync > 1 else 0.0
    step_s = statistics.median(steps.seconds) if steps.seconds else 0.0
    return {"node": f"{ctx.job_name}:{ctx.task_index}", "step_s": step_s, "reduce_s": reduce_s}


def _reduce_s(strategy: Any, nbytes: int) -> float:
    def summed(values: Any) -> Any:
        here = tf.identity(values)  # what comes from outside is on no device, and would be summed nowhere
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)

    @tf.function
    def reduced(values: Any) -> Any:
        return strategy.run(summed, args=(values,))

    values, seconds = tf.ones((nbytes // 4,), tf.float32), []
    for _ in range(WARM + REDUCES):
        began_s = time.perf_counter()
        strategy.experimental_local_results(reduced(values))[0].numpy()
        seconds.append(time.perf_counter() - began_s)
    return statistics.median(seconds[WARM:])
