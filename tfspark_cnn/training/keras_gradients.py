"""Gradients of several workers become the gradient of their joined batch, before Keras clips or checks them.

Keras divides the loss of each replica by the number W of replicas and sums the gradients. That is the gradient of the
joined batch only while all local batches have the same number of rows b_i, and Keras sums after it has clipped each
local gradient, and after each worker has decided for itself whether its gradient is finite. Here the sum comes first:

    g = sum_i(b_i / B * g_i),   B = sum_i(b_i)

with B reduced in the same batch of collectives as the gradients. Regularisation is 1/W on every replica in Keras, so
the same weights W * b_i / B bring it back to once. Everything after (clipping, weight decay, accumulation, moving
averages, the loss scale) then sees what one process with the joined batch would see.

Sources: keras 3.15.1, `backend/tensorflow/optimizer.py`, `optimizers/base_optimizer.py`,
`optimizers/loss_scale_optimizer.py`, `losses/loss.py` (`scale_loss_for_distribution`).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.training.pace import pace_of

# A context variable, as replicas are traced in threads of their own: the step and its optimizer share one thread.
_ROWS: ContextVar[Any] = ContextVar(
    "rows of the local batch, a float32 scalar, or None outside of a step", default=None
)
_MOVING: ContextVar[list[Any] | None] = ContextVar("moving statistics of this step, or None outside", default=None)
_TRAVELS_AS = "_tfspark_cnn_travels_as"  # set on an extended strategy: the dtype in which gradients are sent
_REDUCED = "_tfspark_cnn_reduced"  # set on an optimizer while what it is given has been summed over the workers


def is_multi_worker(strategy: Any) -> bool:
    """Tells whether it is a MultiWorkerMirroredStrategy that was made with two or more workers."""
    return is_mirrored(strategy) and bool(strategy.extended._in_multi_worker_mode())


def is_mirrored(strategy: Any) -> bool:
    """Tells whether it is a MultiWorkerMirroredStrategy, be it of one worker."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def local_replicas(strategy: Any) -> int:
    """Gives how many replicas of the strategy run in this process: its GPUs, or 1."""
    return len(strategy.extended.worker_devices)


def counting_rows(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wraps a `train_step(data)` so that optimizers called inside know the rows of `data`.

    Args:
        step: takes `(x,)`, `(x, y)` or `(x, y, sample_weight)`; the leading dimension of the first tensor counts.

    Example:
        >>> strategy.run(counting_rows(model.train_step), args=((x, y),))
    """

    @functools.wraps(step)
    def counted(data: Any) -> Any:
        token, moving = _ROWS.set(_leading_dimension(data)), _MOVING.set([])
        try:
            # Nothing of the step may run before there is a batch: the call that finds the end of a dataset of unknown
            # length would still count itself in `optimizer.iterations`, which Adam and schedules read. (Plain Keras
            # does that, once per epoch.)
            with tf.control_dependencies(tf.nest.flatten(data)):
                return step(data)
        finally:
            _MOVING.reset(moving)
            _ROWS.reset(token)

    return counted


def rows_of_step() -> Any:
    """Gives the rows of this replica's batch as a float32 scalar, or None outside of a counted step."""
    return _ROWS.get()


def remember_moving(variables: Iterable[Any]) -> None:
    """Has moving statistics that this step has changed become their mean over the nodes, along with the gradients.

    Args:
        variables: Keras' own, float ones; nothing happens to them outside of a counted step.
    """
    remembered = _MOVING.get()
    if remembered is not None:
        remembered += [one for one in variables if all(one is not other for other in remembered)]


def weighing_rows(update_state: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a metric's `update_state(value, sample_weight)`: in a counted step, a value weighs as the step's rows."""

    @functools.wraps(update_state)
    def update(value: Any, sample_weight: Any = None) -> Any:
        rows = _ROWS.get()
        return update_state(value, sample_weight=sample_weight if rows is None else rows)

    return update


def sum_weighted(gradients: Sequence[Any], rows: Any) -> list[Any]:
    """Sums the gradients of all replicas, each weighing as its number of rows.

    Args:
        gradients: float tensors, IndexedSlices, or None where a variable has none; each of a loss scaled by 1/W.
        rows: float32 scalar, the rows of this replica; with 0 rows even NaN gradients count for nothing. None: every
            gradient counts as it is, as in a loop of one's own that has weighed its loss.

    Returns:
        As many, the same on all replicas: sum_i(W * b_i / B * g_i), and None where None was. What `remember_moving`
        was given has become its mean over the rows of all replicas.
    """
    present = [gradient for gradient in gradients if gradient is not None]
    if rows is None:
        sums = iter(_all_reduced(present))
        return [None if gradient is None else next(sums) for gradient in gradients]
    moving = _MOVING.get() or []
    exact = (rows, *(_times(one.value, rows) for one in moving))
    received = _all_reduced(weighed(present, rows), exact=exact)
    total = received[len(present)]
    for variable, sum_of_rows in zip(moving, received[len(present) + 1 :], strict=True):
        variable.assign(_times(sum_of_rows, tf.math.reciprocal_no_nan(total)))
    factor = tf.math.divide_no_nan(float(tf.distribute.get_replica_context().num_replicas_in_sync), total)
    means = iter(weighed(received[: len(present)], factor))
    return [None if gradient is None else next(means) for gradient in gradients]


def weighed(gradients: Sequence[Any], factor: Any) -> list[Any]:
    """Gives gradients times a factor, a float32 scalar; with 0 even NaN gradients are 0."""
    return [_times(gradient, factor) for gradient in gradients]


def send_gradients_as(strategy: Any, dtype: str) -> None:
    """Has gradients travel in another format: dense float32 ones are rounded to it before they are summed.

    Args:
        strategy: of several workers.
        dtype: `float32` or `bfloat16`. float16 is no choice: weighed by rows, gradients leave its range. Weights and
            numbers of rows stay float32, and so do IndexedSlices.
    """
    setattr(strategy.extended, _TRAVELS_AS, tf.as_dtype(dtype))


def _all_reduced(gradients: Sequence[Any], *, exact: Sequence[Any] = ()) -> list[Any]:
    """Sums gradients, and what is never rounded, over all replicas; what has one dtype travels together."""
    replica = tf.distribute.get_replica_context()
    travels_as = getattr(replica.strategy.extended, _TRAVELS_AS, tf.float32)
    sent = [*(tf.cast(one, travels_as) if _is_dense_float32(one) else one for one in gradients), *exact]
    received: dict[int, Any] = {}
    pace = pace_of(replica.strategy)
    if pace is not None:
        pace.ready(sent)
    for dtype in dict.fromkeys(one.dtype for one in sent):
        places = [place for place, one in enumerate(sent) if one.dtype == dtype]
        sums = replica.all_reduce(tf.distribute.ReduceOp.SUM, [sent[place] for place in places])
        received.update(zip(places, sums, strict=True))
    if pace is not None:
        pace.summed(list(received.values()))
    restored = (received[place] for place in range(len(sent)))
    return [
        tf.cast(one, asked.dtype) if isinstance(asked, tf.Tensor) else one
        for one, asked in zip(restored, [*gradients, *exact], strict=True)
    ]


def _is_dense_float32(gradient: Any) -> bool:
    return isinstance(gradient, tf.Tensor) and gradient.dtype == tf.float32


def apply_reduced(original: Callable[..., None]) -> Callable[..., None]:
    """Replaces `TFOptimizer._backend_apply_gradients`: reduce, then let Keras clip, accumulate and update."""

    @functools.wraps(original)
    def apply(self: Any, grads: Sequence[Any], trainable_variables: Sequence[Any]) -> None:
        strategy = tf.distribute.get_strategy()
        reduced = hasattr(self, _REDUCED)
        if not reduced and not in_step(strategy):
            return original(self, grads, trainable_variables)
        _refuse_branches_on_several_gpus(self, strategy)
        if not reduced:
            grads = sum_weighted(grads, _ROWS.get())
        with _marked_reduced(self), _local_updates(strategy):
            return original(self, grads, trainable_variables)

    return apply


def all_reduce_once(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replaces `TFOptimizer._all_reduce_sum_gradients`: nothing is left to reduce when it was done before."""

    @functools.wraps(original)
    def all_reduce(self: Any, grads_and_vars: Any) -> Any:
        if hasattr(self, _REDUCED):
            return list(grads_and_vars)
        strategy = tf.distribute.get_strategy()
        pace = pace_of(strategy) if is_multi_worker(strategy) else None
        if pace is None:
            return original(self, grads_and_vars)
        grads_and_vars = list(grads_and_vars)
        pace.ready([gradient for gradient, _ in grads_and_vars])
        summed = original(self, grads_and_vars)
        pace.summed([gradient for gradient, _ in summed])
        return summed

    return all_reduce


def scale_loss_reduced(original: Callable[..., None]) -> Callable[..., None]:
    """Replaces `LossScaleOptimizer._tf_apply`: all workers judge the same, reduced gradient.

    Keras' own judges the local one: when a single worker overflows, it skips the collective that the others wait in.
    """

    @functools.wraps(original)
    def apply(self: Any, grads: Sequence[Any], trainable_variables: Any = None) -> None:
        strategy = tf.distribute.get_strategy()
        if not in_step(strategy):
            return original(self, grads, trainable_variables)
        _refuse_branches_on_several_gpus(self, strategy)
        reduced = sum_weighted(grads, _ROWS.get())
        with _marked_reduced(self.inner_optimizer):
            return original(self, reduced, trainable_variables)

    return apply


def in_step(strategy: Any) -> bool:
    """Tells whether this is called for a replica of several workers, in `strategy.run`."""
    return is_multi_worker(strategy) and not tf.distribute.in_cross_replica_context()


def _refuse_branches_on_several_gpus(optimizer: Any, strategy: Any) -> None:
    # Both branch inside of the step; with several replicas a process each branch would need its own merge of threads.
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if local_replicas(strategy) > 1 and (scaled or optimizer.gradient_accumulation_steps):
        what = "a LossScaleOptimizer (mixed_float16)" if scaled else "gradient_accumulation_steps"
        raise ConfigError(
            f"expected one GPU per node with {what} on several nodes, received {local_replicas(strategy)}",
            hint="pass gpus_per_node=1 and start more nodes, or use mixed_bfloat16 and no gradient accumulation",
        )


@contextlib.contextmanager
def _marked_reduced(optimizer: Any) -> Iterator[None]:
    # On the optimizer and not in a context variable: LossScaleOptimizer starts new replica threads for its branches.
    marked_here = not hasattr(optimizer, _REDUCED)
    if marked_here:
        object.__setattr__(optimizer, _REDUCED, True)
    try:
        yield
    finally:
        if marked_here:
            object.__delattr__(optimizer, _REDUCED)


@contextlib.contextmanager
def _local_updates(strategy: Any) -> Iterator[None]:
    """Lets variables be updated without `merge_call`, which may not be used inside the branches of a `tf.cond`.

    Gradient accumulation and `ema_overwrite_frequency` update inside such branches. With one replica a process there
    is nothing to merge: TensorFlow takes this path itself when XLA compiles a step for GPUs (`_use_merge_call`).
    """
    if local_replicas(strategy) > 1 or "_use_merge_call" in vars(strategy.extended):
        yield
        return
    strategy.extended._use_merge_call = lambda: False
    try:
        yield
    finally:
        del strategy.extended._use_merge_call


def _leading_dimension(data: Any) -> Any:
    leaves = [leaf for leaf in keras.tree.flatten(data) if leaf is not None]
    if not leaves:
        return None
    first = leaves[0]
    if isinstance(first, tf.RaggedTensor):
        return tf.cast(first.nrows(), tf.float32)
    if isinstance(first, tf.SparseTensor):
        return tf.cast(first.dense_shape[0], tf.float32)
    shape = tf.shape(first)
    return None if shape.shape[0] == 0 else tf.cast(shape[0], tf.float32)


def _times(gradient: Any, factor: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(_times(gradient.values, factor), gradient.indices, gradient.dense_shape)
    return tf.math.multiply_no_nan(gradient, tf.cast(factor, gradient.dtype))
