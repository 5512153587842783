"""Keras 3's own `fit`, `evaluate` and `predict`, on several TensorFlow workers.

Keras 3 raises under MultiWorkerMirroredStrategy (keras#20585, tensorflow#72388). `install` replaces the few private
functions that break, and only for models that were made under such a strategy:

- the symbolic build takes the dataset's element spec, and no batch is eaten;
- batch logs are this node's; epoch logs come from metric variables, which TensorFlow sums over the workers;
- a dataset with `AutoShardPolicy.OFF` is this node's own share and is iterated as it is: no rebatching, no sharding,
  no message per step. All nodes must take the same number of steps in it; batches may differ in size;
- gradients are summed over the workers, by rows, before Keras clips them (`keras_gradients`);
- `predict` on a share gives this node's rows.

Example:
    >>> install()
    >>> with strategy.scope():
    ...     model = keras.Sequential([...])
    ...     model.compile("adam", "mse")
    >>> model.fit(own_share(dataset), epochs=3)
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf
from keras.src.backend.tensorflow import nn as keras_nn
from keras.src.backend.tensorflow import optimizer as keras_optimizer
from keras.src.backend.tensorflow import trainer as keras_trainer
from keras.src.optimizers import loss_scale_optimizer
from keras.src.random import seed_generator
from keras.src.trainers import trainer as base_trainer

from tfspark_cnn.errors import CheckpointError, ConfigError, UnsupportedVersionError
from tfspark_cnn.training import fit_calls, keras_gradients, keras_metrics, keras_moments, keras_seeds
from tfspark_cnn.training.keras_gradients import is_mirrored, is_multi_worker

log = logging.getLogger(__name__)

TESTED = "3.15"
_MARK = "_tfspark_cnn_replaces"
_SPEC = "_tfspark_cnn_spec"  # on a model: what a batch of the present `fit` looks like
_MEAN_OVER_ROWS = ("sum_over_batch_size", "mean")
_SKIP: ContextVar[int] = ContextVar("steps of the next epoch of `fit` that are left out", default=0)
_GATHER: ContextVar[bool] = ContextVar("whether predictions are gathered from all nodes", default=False)


@dataclass(frozen=True)
class Replacement:
    """One private name of Keras: where it is, the parameters it must have, and what makes its successor from it."""

    owner: Any
    name: str
    parameters: tuple[str, ...]
    successor: Callable[[Any], Any]

    @property
    def present(self) -> Any:
        """What Keras has under that name now, or None."""
        return getattr(self.owner, self.name, None)

    @property
    def installed(self) -> bool:
        """Whether the successor is there already."""
        return hasattr(self.present, _MARK)

    def fits(self) -> bool:
        """Tells whether Keras has what this was written for."""
        return self.present is not None and tuple(inspect.signature(self.present).parameters) == self.parameters

    def install(self) -> None:
        """Puts the successor in the place of the original."""
        successor = self.successor(self.present)
        setattr(successor, _MARK, True)
        setattr(self.owner, self.name, successor)


def install() -> None:
    """Makes `fit`, `evaluate` and `predict` of Keras 3 work under MultiWorkerMirroredStrategy.

    Safe to call many times. Models that were not made under a strategy of several workers are not touched.

    Raises:
        UnsupportedVersionError: Keras is not 3.15, or its private functions are not those that this was tested with.
    """
    pending = [replacement for replacement in _replacements() if not replacement.installed]
    if not pending:
        return
    _check_version(keras.__version__)
    _check_fit(pending)
    for replacement in pending:
        replacement.install()


def refuse(error: UnsupportedVersionError) -> None:
    """Lets `fit`, `evaluate` and `train_on_batch` of models over several nodes raise an error, where `install` did.

    What Keras does there by itself is to fail somewhere inside, or to train something else.
    """
    for name in ("fit", "evaluate", "train_on_batch"):
        original = getattr(keras.Model, name)
        if not hasattr(original, _MARK):
            successor = _refusing(original, error)
            setattr(successor, _MARK, True)
            setattr(keras.Model, name, successor)


def _refusing(original: Callable[..., Any], error: UnsupportedVersionError) -> Callable[..., Any]:
    @functools.wraps(original)
    def refused(self: Any, *args: Any, **kwargs: Any) -> Any:
        if is_multi_worker(self.distribute_strategy):
            raise error
        return original(self, *args, **kwargs)

    return refused


def own_share(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Marks a dataset as this node's own share, so that Keras iterates it as it is.

    Args:
        dataset: whole batches `(x, y)`, `float32[batch, ...]`; as many of them on every node, none empty.
    """
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    # Among several workers TensorFlow does not wake the thread that tunes a pipeline when its iterator is dropped: each
    # epoch would end with a wait for it of up to as long as the epoch took. `AUTOTUNE` is then one call for each core.
    options.autotune.enabled = False
    return dataset.with_options(options)


def is_own_share(dataset: Any) -> bool:
    """Tells whether it is a `tf.data.Dataset` whose `auto_shard_policy` is OFF."""
    if not isinstance(dataset, tf.data.Dataset):
        return False
    policy = dataset.options().experimental_distribute.auto_shard_policy
    return bool(policy == tf.data.experimental.AutoShardPolicy.OFF)


def skip_steps(steps: int) -> None:
    """Leaves out the first steps of the next epoch of `fit`: their batches are taken and dropped.

    To be called from a callback's `on_train_begin`.
    """
    _SKIP.set(steps)


def split_over_replicas(share: tf.data.Dataset, replicas: int) -> tf.data.Dataset:
    """Cuts each batch into one part per local replica, in order, sizes differing by at most one row.

    Args:
        share: batches of `float32[batch, ...]`.
        replicas: parts of each batch; empty ones if a batch has fewer rows.
    """

    def parts(*batch: Any) -> tf.data.Dataset:
        rows = tf.shape(tf.nest.flatten(batch)[0], out_type=tf.int64)[0]

        def part(i: Any) -> Any:
            cut = tf.nest.map_structure(lambda t: t[i * rows // replicas : (i + 1) * rows // replicas], batch)
            return cut if len(cut) > 1 else cut[0]

        return tf.data.Dataset.range(replicas).map(part)

    return own_share(share.flat_map(parts))


def dealt(share: tf.data.Dataset, strategy: Any) -> Any:
    """Gives what the replicas of this node iterate for a node's own share: all of its rows, in as many steps.

    Args:
        share: batches of this node.
        strategy: a MultiWorkerMirroredStrategy.
    """
    replicas = keras_gradients.local_replicas(strategy)
    if replicas == 1:
        # TensorFlow's own iterator: a distributed one asks all workers at each step whether any has data left.
        return share
    return strategy.distribute_datasets_from_function(lambda _: split_over_replicas(share, replicas))


def _replacements() -> tuple[Replacement, ...]:
    trainer = keras_trainer.TensorFlowTrainer
    optimizer = keras_optimizer.TFOptimizer
    scaling = loss_scale_optimizer.LossScaleOptimizer
    apply = ("self", "grads", "trainable_variables")
    return (
        Replacement(trainer, "_maybe_symbolic_build", ("self", "iterator", "data_batch"), _build_from_spec),
        Replacement(trainer, "_make_function", ("self", "step_function"), _count_rows),
        Replacement(base_trainer.Trainer, "_get_metrics_result_or_logs", ("self", "logs"), _metrics_without_steps),
        Replacement(trainer, "predict", ("self", "x", "batch_size", "verbose", "steps", "callbacks"), _predict_share),
        Replacement(base_trainer.Trainer, "get_metrics_result", ("self",), keras_metrics.read_together),
        Replacement(base_trainer.Trainer, "reset_metrics", ("self",), keras_metrics.reset_locally),
        Replacement(trainer, "fit", fit_calls.FIT, fit_calls.tell_fit),
        Replacement(trainer, "evaluate", fit_calls.EVALUATE, fit_calls.tell_evaluate),
        Replacement(keras_trainer, "reduce_per_replica", ("values", "strategy", "reduction"), _reduce_locally),
        Replacement(keras_trainer, "TFEpochIterator", ("distribute_strategy", "args", "kwargs"), _iterate_shares),
        Replacement(keras_nn, "_compute_moments_sync", ("x", "axes", "keepdims"), keras_moments.of_joined_batch),
        Replacement(
            keras.layers.BatchNormalization,
            "call",
            ("self", "inputs", "training", "mask"),
            keras_moments.with_equal_statistics,
        ),
        Replacement(seed_generator.SeedGenerator, "next", ("self", "ordered"), keras_seeds.of_replica),
        Replacement(optimizer, "_backend_apply_gradients", apply, keras_gradients.apply_reduced),
        Replacement(
            optimizer, "_all_reduce_sum_gradients", ("self", "grads_and_vars"), keras_gradients.all_reduce_once
        ),
        Replacement(scaling, "_tf_apply", apply, keras_gradients.scale_loss_reduced),
    )


def _check_version(version: str) -> None:
    if version.split(".")[:2] != TESTED.split("."):
        raise _unsupported(f"expected Keras {TESTED}.x to train with model.fit on several nodes, received {version}")


def _check_fit(replacements: list[Replacement]) -> None:
    odd = [r.name for r in replacements if not r.fits()]
    if odd:
        raise _unsupported(
            f"expected the trainer of Keras {TESTED}.x, received Keras {keras.__version__} with other {', '.join(odd)}"
        )


def _unsupported(message: str) -> UnsupportedVersionError:
    return UnsupportedVersionError(
        message,
        hint=f"pip install 'keras>={TESTED},<3.16'. Without it, several nodes still train with your own loop over "
        "strategy.run, or with Keras 2: pip install tf_keras and set TF_USE_LEGACY_KERAS=1 before importing tensorflow",
    )


def _build_from_spec(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def build(self: Any, iterator: Any = None, data_batch: Any = None) -> None:
        if iterator is not None:
            batch = tf.nest.map_structure(_leaf_spec, iterator._distributed_dataset.element_spec)
            object.__setattr__(self, _SPEC, batch)
            if is_mirrored(self._distribute_strategy):
                iterator, data_batch = None, batch
        original(self, iterator=iterator, data_batch=data_batch)

    return build


def build(model: Any) -> None:
    """Makes all variables that `fit` needs. Without a strategy, Keras makes them in the first step only.

    To be called from a callback's `on_train_begin`.
    """
    with model.distribute_strategy.scope():
        model._symbolic_build(data_batch=getattr(model, _SPEC))


def _leaf_spec(spec: Any) -> Any:
    # A distributed dataset has one spec for each local replica; all are alike.
    spec = getattr(spec, "_value_specs", (spec,))[0]
    return None if isinstance(spec, (tf.NoneTensorSpec, tf.OptionalSpec)) else spec


def _count_rows(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def make(self: Any, step_function: Callable[[Any], Any]) -> Any:
        if not is_mirrored(self.distribute_strategy):
            return original(self, step_function)
        counted = keras_gradients.counting_rows(fit_calls.watched(step_function, self))
        if not is_multi_worker(self.distribute_strategy):
            return original(self, counted)
        _refuse_other_reductions(self)
        _weigh_output_losses(self)
        with _without_xla(self):
            made = _with_any_rows(original(self, counted))
        return made if self.steps_per_execution == 1 else _repeated(self, made)

    return make


def _metrics_without_steps(original: Callable[..., Any]) -> Callable[..., Any]:
    """An epoch that goes on after its last step has no logs of a step; its metrics are those of the checkpoint."""

    @functools.wraps(original)
    def result(self: Any, logs: Any) -> Any:
        return self.get_metrics_result() if logs == {} else original(self, logs)

    return result


def _weigh_output_losses(model: Any) -> None:
    """Makes the loss of each output a mean over rows, as the total is.

    Keras weighs them by the static batch size, which is None here: a batch of one row would count as much as a full
    one, and the outputs' losses would not add up to the total.
    """
    for metric in getattr(getattr(model, "_compile_loss", None), "metrics", ()):
        if not hasattr(metric.update_state, _MARK):
            metric.update_state = keras_gradients.weighing_rows(metric.update_state)
            setattr(metric.update_state, _MARK, True)


def _repeated(model: Any, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Calls a function of one step `steps_per_execution` times.

    Keras loops inside of the graph, over a nested function; the instance keys of the collectives in it then come from
    placeholders that nothing feeds. Callbacks see the same steps either way.
    """

    def repeat(iterator: Any) -> Any:
        logs = None
        for _ in range(model.steps_per_execution):
            try:
                with _one_step(model):
                    logs = function(iterator)
            except (StopIteration, tf.errors.OutOfRangeError):
                if logs is None:
                    raise
                break
        return logs

    return repeat


@contextlib.contextmanager
def _one_step(model: Any) -> Iterator[None]:
    steps = model.steps_per_execution
    model.steps_per_execution = 1
    try:
        yield
    finally:
        model.steps_per_execution = steps


@contextlib.contextmanager
def _without_xla(model: Any) -> Iterator[None]:
    """XLA has no collectives for CPUs: `fit` would end in UnimplementedError. On GPUs it is left to TensorFlow."""
    asked = model.jit_compile
    if asked and all("GPU" in device for device in model.distribute_strategy.extended.worker_devices):
        yield
        return
    if asked:
        log.warning("jit_compile=True is left out: XLA cannot sum gradients over several nodes on CPUs")
    model.jit_compile = False
    try:
        yield
    finally:
        model.jit_compile = asked


def _with_any_rows(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Gives the arrays of `train_on_batch` to a step as tensors of unknown batch size.

    A new batch size on one node only would be traced there only, and the collectives of that trace wait for nobody:
    their keys are counted while tracing.
    """

    def call(iterator: Any) -> Any:
        if not isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            batch = tuple(part for part in next(iterator) if part is not None)
            rows = len(keras.tree.flatten(batch)[0])
            iterator = iter(tf.data.Dataset.from_tensors(batch).rebatch(rows))
        return function(iterator)

    return call


def _refuse_other_reductions(model: Any) -> None:
    """A sum over rows is not a mean of means: the weights of the gradients would be wrong in uneven batches."""
    for flat in getattr(getattr(model, "_compile_loss", None), "_flat_losses", None) or ():
        reduction = getattr(flat.loss, "reduction", _MEAN_OVER_ROWS[0])
        if reduction not in _MEAN_OVER_ROWS:
            raise ConfigError(
                f"expected losses with reduction 'sum_over_batch_size' on several nodes, received {reduction!r}",
                hint="leave out reduction=, and divide or weigh rows with sample_weight",
            )


def _reduce_locally(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def reduce_per_replica(values: Any, strategy: Any, reduction: str) -> Any:
        if not is_multi_worker(strategy) or (reduction == "concat" and _GATHER.get()):
            return original(values, strategy, reduction)

        def reduce(value: Any) -> Any:
            local = strategy.experimental_local_results(value)
            if len(local) == 1 or reduction == "first":
                return local[0]
            return keras_trainer.concat(local) if reduction == "concat" else tf.reduce_mean(local, axis=0)

        return keras.tree.map_structure(reduce, values)

    return reduce_per_replica


def _predict_share(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def predict(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        if not is_multi_worker(self.distribute_strategy):
            return original(self, x, *args, **kwargs)
        # What Keras itself dealt to the nodes comes back whole on all of them; a node's share stays with the node.
        gather = not is_own_share(x)
        if vars(self).get("_tfspark_cnn_gathers", gather) != gather:
            self.predict_function = None
        object.__setattr__(self, "_tfspark_cnn_gathers", gather)
        token = _GATHER.set(gather)
        try:
            return original(self, x, *args, **kwargs)
        finally:
            _GATHER.reset(token)

    return predict


@dataclass(frozen=True)
class _Dealer:
    """Stands where Keras asks its strategy to distribute a dataset."""

    strategy: Any

    def experimental_distribute_dataset(self, dataset: Any) -> Any:
        if is_mirrored(self.strategy) and is_own_share(dataset):
            return dealt(dataset, self.strategy)
        return self.strategy.experimental_distribute_dataset(dataset)


def _refuse_outside_scope(strategy: Any) -> None:
    """A model made outside the scope trains on this node alone: each node would end with another one."""
    spec = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec().as_dict()
    nodes = sum(len(spec.get(role, ())) for role in ("chief", "worker"))
    if nodes > 1 and not is_mirrored(strategy):
        raise ConfigError(
            f"expected a model made under ctx.strategy().scope() to train on {nodes} nodes, received one made outside",
            hint="make and compile the model inside `with ctx.strategy().scope():`",
        )


def _iterate_shares(original: Any) -> Any:
    """Makes of Keras' iterator over epochs one that takes a node's share as it is, and as long as it is."""

    def init(self: Any, distribute_strategy: Any = None, *args: Any, **kwargs: Any) -> None:
        original.__init__(self, _Dealer(distribute_strategy), *args, **kwargs)
        self._distribute_strategy = distribute_strategy
        own = is_own_share(self.data_adapter.get_tf_dataset())
        self._is_fit = "class_weight" in kwargs  # not `evaluate` or `predict`, which may well be one node's own
        if own and self._is_fit:
            _refuse_outside_scope(distribute_strategy)
        share = is_mirrored(distribute_strategy) and own
        self._open_ended = share and self.num_batches is None
        self._pace = fit_calls.pace_of_strategy(distribute_strategy) if self._is_fit else None
        self._share = share

    @contextlib.contextmanager
    def catch_stop_iteration(self: Any) -> Iterator[None]:
        if self._pace is not None:
            self._pace.begin_epoch()
        if not self._open_ended:
            with original.catch_stop_iteration(self):
                yield
            return
        # The epoch ends where the share ends. Keras would warn, and cut the next epochs at the length of this one.
        try:
            yield
            self.tf_sync()
        except (StopIteration, tf.errors.OutOfRangeError):
            self._current_iterator = None
            self.data_adapter.on_epoch_end()

    successors = {
        "__init__": init,
        "catch_stop_iteration": catch_stop_iteration,
        "_enumerate_iterator": _skipping(original._enumerate_iterator),
        "_interrupted_warning": _warn_of_end,
    }
    return type("ShareEpochIterator", (original,), successors)


def _skipping(original: Callable[[Any], Iterator[tuple[int, int, Any]]]) -> Callable[[Any], Iterator[Any]]:
    """Replaces `EpochIterator._enumerate_iterator`: see `skip_steps`."""

    def enumerate_iterator(self: Any) -> Iterator[tuple[int, int, Any]]:
        skipped = _SKIP.get() if self._is_fit else 0
        for begin, end, iterator in original(self):
            if begin < skipped:
                _SKIP.set(0)
                _drop(iterator, end + 1 - begin, skipped)
                continue
            yield begin - skipped, end - skipped, iterator

    return enumerate_iterator


def _drop(iterator: Iterator[Any], batches: int, skipped: int) -> None:
    for _ in range(batches):
        if next(iterator, None) is None:
            raise CheckpointError(
                f"the checkpoint is of other data: it was made after step {skipped} of an epoch, which has fewer now",
                hint="use another model_dir, or delete its checkpoints folder",
            )


def _warn_of_end(self: Any) -> None:
    """Replaces `EpochIterator._interrupted_warning`, whose cure, `repeat()`, is none for a share."""
    if self._share and self._pace is not None and self.steps_per_epoch:
        self._pace.warn(_too_many_steps(self.steps_per_epoch, self._pace.steps))
        return
    super(type(self), self)._interrupted_warning()


def _too_many_steps(wanted: int, found: int) -> str:
    return (
        f"fit was called with steps_per_epoch={wanted}, and its data ended after {found} steps of an epoch, on every "
        "node; the epoch ends there; to do: leave out steps_per_epoch, as each pass over ctx.dataset is an epoch, or "
        "feed more"
    )
