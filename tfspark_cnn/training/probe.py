"""A training of five steps that tells how fast nodes sum gradients; `tfspark_cnn.training.probe:run` on nodes."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

STEPS = 5
WIDTH = 1024
BATCH_SIZE = 32


def run(args: Any, ctx: Any) -> dict[str, Any]:
    """Trains a network of two dense layers, 8.4 MB of weights, and then sums its gradients alone.

    Returns:
        `steps`, `steps_per_s`, `gradient_bytes` of a step, `reduce_s` for one sum of them over all nodes, `sum` over
        nodes of their number from 1 on, `tensorflow`'s version, and `peak_mib` of memory.
    """
    strategy = ctx.strategy()
    with strategy.scope():
        dense = [keras.layers.Dense(WIDTH, "relu"), keras.layers.Dense(WIDTH)]
        model = keras.Sequential([keras.Input((WIDTH,)), *dense])
        optimizer = keras.optimizers.SGD(1e-3)
        optimizer.build(model.trainable_variables)
    step_s = _seconds(_training_step(strategy, model, optimizer))
    gradients = [tf.zeros(one.shape) for one in model.trainable_variables]
    reduce_s = _seconds(_sum_over_nodes(strategy, gradients))
    return {
        "steps": STEPS,
        "steps_per_s": 1 / step_s,
        "gradient_bytes": sum(4 * int(tf.size(one)) for one in gradients),
        "reduce_s": reduce_s,
        "sum": float(_sum_over_nodes(strategy, [tf.constant(float(ctx.executor_id + 1))])()),
        "tensorflow": tf.__version__,
        "peak_mib": _peak_mib(),
    }


def _training_step(strategy: Any, model: Any, optimizer: Any) -> Callable[[], Any]:
    images = tf.ones((BATCH_SIZE, WIDTH))

    def step(x: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(x, training=True) - 1.0)) / strategy.num_replicas_in_sync
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return _called(strategy, step, images)


def _sum_over_nodes(strategy: Any, tensors: Any) -> Callable[[], Any]:
    def total(values: Any) -> Any:
        here = [tf.identity(one) for one in values]  # arguments are of no device, which all_reduce goes by
        summed = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here)
        return tf.reshape(summed[-1], [-1])[0]

    return _called(strategy, total, tensors)


def _called(strategy: Any, function: Callable[[Any], Any], argument: Any) -> Callable[[], Any]:
    """Gives what runs a function on all replicas and waits for the result of the first one here."""
    traced = tf.function(lambda value: strategy.run(function, args=(value,)), autograph=False)
    return lambda: strategy.experimental_local_results(traced(argument))[0].numpy()


def _seconds(action: Callable[[], Any]) -> float:
    """Gives the seconds of one of `STEPS` calls; another one before is for tracing."""
    action()
    began = time.monotonic()
    for _ in range(STEPS):
        action()
    return (time.monotonic() - began) / STEPS


def _peak_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20) if sys.platform == "darwin" else peak // 1024
