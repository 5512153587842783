"""Asynchronous training: variables on ps nodes, steps on workers, and a chief that hands out the steps.

The chief's end is `ParameterServers`; a worker serves steps, by `server` and `row_server`; a ps serves variables, by
`server`. Keras 3 has no `fit` for `ParameterServerStrategy`; this one is as close to it as such steps let it be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import tensorflow as tf

from tfspark_cnn.checkpoints.options import Checkpoints
from tfspark_cnn.errors import ClusterError, ConfigError
from tfspark_cnn.training import async_step, named_arrays
from tfspark_cnn.training import callbacks as node_callbacks
from tfspark_cnn.training.async_checkpoints import EpochCheckpoints
from tfspark_cnn.training.async_data import DatasetFn, WorkerData, worker_errors
from tfspark_cnn.training.async_pass import Totals, take_pass
from tfspark_cnn.training.dataset import Layout, Names
from tfspark_cnn.training.row_server import RowRequest

_CHECKPOINTS = Checkpoints()


@dataclass(frozen=True)
class ChiefEnd:
    """What the chief's node gives.

    Attributes:
        report: takes metrics by keyword and sends them to the driver without blocking.
        fed: whether Spark feeds the workers.
        log_dir: where event files go, or None.
        checkpoints: opens what `fit` saves with and goes on from; None where there is no `model_dir`.
        wants_stop: tells whether an evaluator has asked for the end of training.
    """

    report: Callable[..., None]
    fed: bool
    log_dir: str | None = None
    checkpoints: Callable[[Checkpoints], EpochCheckpoints] | None = None
    wants_stop: Callable[[], bool] = lambda: False


class ParameterServers:
    """What the function given to `ctx.parameter_servers` gets, on the chief.

    Attributes:
        strategy: the `tf.distribute.ParameterServerStrategy`; make and compile models in its scope.
        coordinator: the `ClusterCoordinator`, for loops of your own.
        num_workers: how many workers take steps.
        rows_trained: rows of all steps of `fit` so far.
        rows_evaluated: rows of all steps of `evaluate` and validation so far.

    Example:
        >>> def train(servers):                                           # doctest: +SKIP
        ...     with servers.strategy.scope():
        ...         model = keras.Sequential([...])
        ...         model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        ...     rows = servers.dataset("image", "label", batch_size=64)
        ...     return servers.fit(model, rows, epochs=3).history
    """

    def __init__(self, chief: ChiefEnd) -> None:
        """Connects to all servers, and waits until they are up.

        Raises:
            ClusterError: TensorFlow was used before, or does not find them.
        """
        self._chief = chief
        self.rows_trained = self.rows_evaluated = 0
        self._is_first_fit = True
        self._steps: dict[tuple[int, int], tuple[Any, async_step.Steps]] = {}  # the model stays, and so does its id
        try:
            resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
            self.strategy = tf.distribute.ParameterServerStrategy(resolver)
        except (RuntimeError, ValueError, tf.errors.OpError) as error:
            raise ClusterError(
                f"the servers of the ps nodes and workers could not be joined: {error}",
                hint="call ctx.parameter_servers() before other TensorFlow code; nodes must reach each other's ports",
            ) from error
        self.coordinator = tf.distribute.coordinator.ClusterCoordinator(self.strategy)
        self.num_workers = len(resolver.cluster_spec().as_dict()["worker"])
        self._data = WorkerData(self.coordinator, self.num_workers)

    def dataset(
        self,
        features: Names,
        label: Names | None = None,
        *,
        batch_size: int,
        name: str = "train",
        shuffle: bool = True,
        on_bad_image: str = "raise",
    ) -> RowRequest:
        """Names the rows that Spark feeds to the workers, for `fit` and `evaluate`. As `ctx.dataset`.

        Args:
            features: a column, or several, which then come as a dict by name.
            label: likewise; None: there are no labels.
            batch_size: rows per step, which is a step of one worker.
            name: of the feed: `train`, `validation`, or the `qname` that `cluster.train` was given.
            shuffle: whether rows come in a seeded random order.
            on_bad_image: `raise` or `skip`.

        Raises:
            ConfigError: Spark does not feed the workers.
        """
        if not self._chief.fed:
            raise ConfigError(
                "servers.dataset() is for rows of Spark, and nodes read files themselves here",
                hint="pass fit a dataset_fn(input_context), or run with input_mode=InputMode.SPARK",
            )
        return RowRequest(Layout.of(features, label), batch_size, name, shuffle, on_bad_image)

    def fit(
        self,
        model: Any,
        data: RowRequest | DatasetFn,
        *,
        epochs: int,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_data: RowRequest | DatasetFn | None = None,
        callbacks: Sequence[Any] = (),
        checkpoints: Checkpoints | None = _CHECKPOINTS,
    ) -> Any:
        """Trains, and gives Keras' `History`: for each epoch the loss and metrics over all of its batches.

        An epoch ends when each worker has taken its share once, and no step is under way when callbacks see its end.
        Steps run side by side on weights that others change meanwhile, so neither their order nor the result is the
        same twice. The metrics of a batch are those at the time of its step.

        With a `model_dir`, epochs are saved as by `ctx.callbacks`, and a run that was killed goes on after the last one
        saved, with a history of all. One call of `fit` in map_fun is saved, the first.

        Args:
            model: made and compiled under `strategy.scope()`.
            data: of `dataset`; or `dataset_fn(input_context)`, which gives the batches of one worker in operations of
                TensorFlow, as `Dataset...shard(input_context.num_input_pipelines, input_context.input_pipeline_id)`.
            epochs: number of the last epoch.
            initial_epoch: epochs done before.
            steps_per_epoch: steps of all workers together after which an epoch ends; for datasets without end.
            validation_data: as `data`; evaluated after each epoch.
            callbacks: of Keras; told of epochs and of training, not of steps.
            checkpoints: when to save, and what to keep; None: no checkpoints.

        Raises:
            ConfigError: model or data cannot be trained so.
            CheckpointError: `model_dir` cannot be written, or a checkpoint is of another model.
        """
        self._check_fit(model, data, epochs, initial_epoch)
        saved = self._saved(checkpoints)
        done = saved.epochs_done() if saved else 0
        if isinstance(data, RowRequest):
            data = replace(data, first_pass=done)
        self._prepared(model, data)
        if saved is not None:
            saved.resume(model)
        told = self._callbacks(model, callbacks, epochs)
        told.on_train_begin()
        logs: dict[str, float] = {}
        for epoch in range(max(initial_epoch, done), epochs):
            told.on_epoch_begin(epoch)
            logs = self._train_epoch(model, data, steps_per_epoch)
            if validation_data is not None:
                scores = self._evaluated(model, validation_data)
                logs |= {f"val_{name}": value for name, value in scores.items()}
            told.on_epoch_end(epoch, logs)
            last = model.stop_training or self._chief.wants_stop() or epoch + 1 == epochs
            if saved is not None:
                saved.epoch_ended(model, epoch, logs, last=last)
            if last:
                break
        told.on_train_end(logs)
        if done:
            assert saved is not None
            saved.complete_history(model)
        return model.history

    def evaluate(self, model: Any, data: RowRequest | DatasetFn) -> dict[str, float]:
        """Gives loss and metrics over one pass of all workers over their shares.

        Args:
            model: made and compiled under `strategy.scope()`.
            data: as of `fit`.
        """
        async_step.check(model, self.strategy)
        self._prepared(model, data)
        return self._evaluated(model, data)

    def variables(self, model: Any) -> dict[str, Any]:
        """Gives all variables of a model and its optimizer from the parameter servers: `{path: ndarray}`.

        Between epochs, as in a callback's `on_epoch_end`, no step is under way that would change them meanwhile.
        """
        return named_arrays.read(model)

    def assign(self, model: Any, arrays: Mapping[str, Any]) -> None:
        """Puts what `variables` gave back. The model must be built; its optimizer is built if it was not.

        Raises:
            ConfigError: names or shapes are those of another model.
        """
        with self.strategy.scope():
            if not model.optimizer.built:
                model.optimizer.build(model.trainable_variables)
        named_arrays.assign(model, arrays)

    def saver(self, save: Callable[[dict[str, Any], int], None]) -> Any:
        """Gives a callback that calls `save(variables, epochs done)` after each epoch.

        Example:
            >>> servers.fit(model, rows, epochs=9, callbacks=[servers.saver(store)])      # doctest: +SKIP
        """
        return EpochSaver(save)

    # --- inner -------------------------------------------------------------------------------------------------------

    def _saved(self, checkpoints: Checkpoints | None) -> EpochCheckpoints | None:
        first, self._is_first_fit = self._is_first_fit, False
        opens = self._chief.checkpoints
        return opens(checkpoints) if opens is not None and checkpoints is not None and first else None

    def _check_fit(self, model: Any, data: Any, epochs: int, initial_epoch: int) -> None:
        if not isinstance(data, RowRequest) and not callable(data):
            where = 'servers.dataset("image", "label", batch_size=64)' if self._chief.fed else "dataset_fn"
            raise ConfigError(
                f"fit got {data!r} as data, expected servers.dataset(...) or a dataset_fn(input_context)",
                hint=f"pass {where}: workers make their data themselves, a dataset of the chief does not reach them",
            )
        if isinstance(epochs, bool) or not isinstance(epochs, int) or not 0 <= initial_epoch <= epochs or not epochs:
            raise ConfigError(
                f"fit got epochs={epochs!r} after initial_epoch={initial_epoch!r}, expected 1 or more in all",
                hint="pass epochs=ctx.num_epochs in InputMode.SPARK, where cluster.train was given them",
            )
        async_step.check(model, self.strategy)

    def _prepared(self, model: Any, data: Any) -> async_step.Steps:
        """Gives the steps of a model, which is built for the first data that comes."""
        key = id(model), id(model.optimizer)
        with worker_errors():
            spec = self._data.element_spec(data)
        async_step.check_labels(model, spec)
        if key not in self._steps:
            with self.strategy.scope():
                async_step.build(model, spec)
            async_step.check_metrics(model)
            self._steps[key] = model, async_step.Steps(model, self.strategy)
        return self._steps[key][1]

    def _callbacks(self, model: Any, own: Sequence[Any], epochs: int) -> Any:
        log_dir, rows = self._chief.log_dir, lambda: self.rows_trained
        ours = node_callbacks.callbacks(
            self._chief.report, is_chief=True, log_dir=log_dir, rows_trained=rows, own=own, node="chief-0"
        )
        model.stop_training = False
        return keras.callbacks.CallbackList(ours, add_history=True, model=model, epochs=epochs)

    def _train_epoch(self, model: Any, data: Any, steps_per_epoch: int | None) -> dict[str, float]:
        """Trains one epoch; gives its logs. The steps of the optimizer are counted here: workers' counts get lost."""
        done = int(model.optimizer.iterations.numpy())
        steps = self._prepared(model, data)
        totals = self._pass(steps.train, data, first=done, most_steps=steps_per_epoch)
        model.optimizer.iterations.assign(done + totals.steps)
        self.rows_trained += totals.rows
        if not totals.rows:
            raise ConfigError(
                "an epoch had no rows: the datasets of all workers are empty",
                hint="look at what dataset_fn(input_context) gives, and at its shard()",
            )
        return self._logs(model, totals)

    def _evaluated(self, model: Any, data: Any) -> dict[str, float]:
        totals = self._pass(self._prepared(model, data).evaluate, data)
        self.rows_evaluated += totals.rows
        return self._logs(model, totals)

    def _pass(self, step: Any, data: Any, *, first: int = 0, most_steps: int | None = None) -> Totals:
        with worker_errors():
            batches = self._data.begin(data, go_on=most_steps is not None)
            return take_pass(
                self.coordinator, step, batches, workers=self.num_workers, first=first, most_steps=most_steps
            )

    @staticmethod
    def _logs(model: Any, totals: Totals) -> dict[str, float]:
        """Gives what the metrics make of the sums of their states."""
        for variable, state in zip(model.metrics_variables, totals.states, strict=bool(totals.states)):
            variable.assign(state)
        logs = {name: float(value) for name, value in model.get_metrics_result().items()}
        model.reset_metrics()
        return logs


class EpochSaver(keras.callbacks.Callback):
    """Calls `save(variables by path, epochs done)` at the end of each epoch."""

    def __init__(self, save: Callable[[dict[str, Any], int], None]) -> None:
        """Keeps what to call."""
        super().__init__()
        self._save = save

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Reads the variables, while no step is under way."""
        self._save(named_arrays.read(self.model), epoch + 1)
