"""BatchNormalization on several workers.

Plain: Keras lets each node keep moving statistics of its own. Here they are the mean over the nodes after every step,
each node weighing as its rows, and travel with the gradients. The moving mean is then that of the joined batch; the
moving variance lacks how far the nodes' means are apart.

Synchronised: the moments, and their gradients, are those of the joined batch. Keras sums over the replicas three times
a layer, forwards and backwards. What flows back through such a sum comes from losses that are means over each replica's
own rows, so with uneven batches it weighs wrongly, and no weighing of the gradients afterwards can mend that. Here each
upstream gradient u_j weighs as its rows b_j on its way:

    sum_j(b_j * u_j) / b_i   on replica i, whose gradient then weighs b_i in `keras_gradients.sum_weighted`

Sources: keras 3.15.1, `layers/normalization/batch_normalization.py`; `backend/tensorflow/nn.py`
(`_compute_moments_sync`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfspark_cnn.training.keras_gradients import in_step, remember_moving, rows_of_step

_MOVING = ("moving_mean", "moving_variance", "moving_stddev", "renorm_mean", "renorm_stddev")


def with_equal_statistics(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces `BatchNormalization.call`: its moving statistics are made equal at the end of the step."""

    @functools.wraps(original)
    def call(self: Any, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        outputs = original(self, inputs, training=training, mask=mask)
        if training and self.trainable and in_step(tf.distribute.get_strategy()):
            remember_moving(getattr(self, name) for name in _MOVING if hasattr(self, name))
        return outputs

    return call


def of_joined_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces `_compute_moments_sync(x, axes, keepdims)`, in counted steps of several workers."""

    @functools.wraps(original)
    def moments(x: Any, axes: Any, keepdims: bool) -> Any:
        rows = rows_of_step()
        if rows is None or not in_step(tf.distribute.get_strategy()):
            return original(x, axes, keepdims)
        sums = [tf.reduce_sum(part, axis=axes, keepdims=True) for part in (x, tf.square(x), tf.ones_like(x))]
        total, squares, count = _sum_over_replicas(tf.cast(rows, x.dtype))(*sums)
        mean = tf.math.divide_no_nan(total, count)
        variance = tf.maximum(tf.math.divide_no_nan(squares, count) - tf.square(mean), 0.0)
        return (mean, variance) if keepdims else (tf.squeeze(mean, axes), tf.squeeze(variance, axes))

    return moments


def _sum_over_replicas(rows: Any) -> Callable[..., Any]:
    def reduce(tensors: Sequence[Any]) -> list[Any]:
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, list(tensors))

    @tf.custom_gradient
    def summed(*tensors: Any) -> Any:
        def back(*upstream: Any) -> list[Any]:
            return [tf.math.divide_no_nan(one, rows) for one in reduce([one * rows for one in upstream])]

        return reduce(tensors), back

    return summed
