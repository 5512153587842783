"""One asynchronous step: traced on the chief, run on whichever worker is free, with variables on parameter servers.

Many steps run at once, so whatever is read, computed with and assigned loses updates of others. Where that is wrong,
nothing is assigned:

- Metrics begin at zero in each step, which gives their state for its batch alone, and the chief adds these up.
- `optimizer.iterations` is what the chief has counted; the optimizer and its schedule see that number.

Both by `keras.StatelessScope`, in which assignments to Keras variables stay values. The optimizer updates weights and
slots by `assign_add` and `assign_sub` of TensorFlow's variables, which lose nothing; the moving averages of
BatchNormalization and the seeds of Dropout may lose updates, and are none the worse for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.training.row_server import IDLE, served

TRAINED = -1
"""What a step gives in the place of a worker's index when it has had rows."""


class Steps:
    """The step functions of a model, which give `(rows, index of a worker without rows, states of the metrics)`.

    Args:
        model: built and compiled under the strategy's scope.
        strategy: a `tf.distribute.ParameterServerStrategy`.
    """

    def __init__(self, model: Any, strategy: Any) -> None:
        self._model, self._strategy = model, strategy
        self._metrics = list(model.metrics_variables)
        self.train = tf.function(self._train, autograph=False)
        self.evaluate = tf.function(self._evaluate, autograph=False)

    def _train(self, iterator: Any, number: Any) -> Any:
        return self._taken(iterator, lambda data: self._train_batch(data, number))

    def _evaluate(self, iterator: Any, number: Any) -> Any:
        return self._taken(iterator, self._evaluate_batch)

    def _taken(self, iterator: Any, batch_step: Callable[[Any], list[Any]]) -> Any:
        batch = iterator.get_next_as_optional()

        def none() -> Any:
            index = tf.ensure_shape(served(IDLE, [], [tf.int64])[0], ())
            return tf.constant(0, tf.int64), index, self._zeros()

        def some() -> Any:
            data = batch.get_value()
            states = self._strategy.run(batch_step, args=(data,))
            return _rows(data), tf.constant(TRAINED, tf.int64), states

        return tf.cond(batch.has_value(), some, none)

    def _train_batch(self, data: Any, number: Any) -> list[Any]:
        model, optimizer = self._model, self._model.optimizer
        counted = optimizer._iterations
        with keras.StatelessScope([*self._from_zero(), (counted, tf.cast(number, counted.dtype))]) as scope:
            with tf.GradientTape() as tape:
                loss = self._forward(data, training=True)
            variables = model.trainable_variables
            gradients = tape.gradient(loss, [variable.value for variable in variables])
            optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self._assign_others(scope)
        return self._states(scope)

    def _evaluate_batch(self, data: Any) -> list[Any]:
        with keras.StatelessScope(self._from_zero()) as scope:
            self._forward(data, training=False)
        return self._states(scope)

    def _forward(self, data: Any, *, training: bool) -> Any:
        """Gives the loss, and leaves what the metrics make of the batch in the scope; as `Model.train_step`."""
        model = self._model
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = model(x, training=training) if model._call_has_training_arg else model(x)
        loss = model._compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        model._loss_tracker.update_state(loss, sample_weight=_rows(data))
        model.compute_metrics(x, y, y_pred, sample_weight=sample_weight)
        return loss

    def _assign_others(self, scope: Any) -> None:
        for variable in self._model.non_trainable_variables:
            value = scope.get_current_value(variable)
            if value is not None:
                variable.value.assign(tf.cast(value, variable.dtype))

    def _from_zero(self) -> list[Any]:
        return list(zip(self._metrics, self._zeros(), strict=True))

    def _zeros(self) -> list[Any]:
        return [tf.zeros(variable.shape, variable.dtype) for variable in self._metrics]

    def _states(self, scope: Any) -> list[Any]:
        return [tf.convert_to_tensor(scope.get_current_value(variable)) for variable in self._metrics]


def build(model: Any, spec: Any) -> None:
    """Makes the variables of model, metrics and optimizer from the `tf.TensorSpec`s of a batch. In the scope."""
    model._symbolic_build(data_batch=spec)
    model.reset_metrics()


def check(model: Any, strategy: Any) -> None:
    """Refuses models that cannot be trained asynchronously. Before anything is built.

    Raises:
        ConfigError: the model was made or compiled in another way, or has what cannot be.
    """
    if not isinstance(model, keras.Model):
        raise ConfigError(f"expected a Keras 3 model, received a {type(model).__name__}")
    if model.distribute_strategy is not strategy:
        raise ConfigError(
            "expected a model made under servers.strategy.scope(), received one made outside",
            hint="make and compile the model inside `with servers.strategy.scope():`",
        )
    if not getattr(model, "compiled", False):
        raise ConfigError("expected a compiled model", hint="call model.compile(...) in the scope, before fit")
    for name in ("train_step", "test_step"):
        if getattr(type(model), name) is not getattr(keras.Model, name):
            raise ConfigError(
                f"the model has a {name} of its own, which parameter server training does not run",
                hint="override compute_loss or compute_metrics, or train with ctx.strategy() and without ps nodes",
            )
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or optimizer.gradient_accumulation_steps:
        raise ConfigError(
            "expected an optimizer without loss scale and gradient accumulation, whose counts asynchronous steps lose",
            hint="use mixed_bfloat16 in the place of mixed_float16, and no gradient_accumulation_steps",
        )


def check_labels(model: Any, spec: Any) -> None:
    """Refuses data without labels for a model whose loss needs them.

    Raises:
        ConfigError: it is so.
    """
    _, y, _ = keras.utils.unpack_x_y_sample_weight(spec)
    if y is None and model._compile_loss is not None:
        raise ConfigError(
            f"the model is compiled with a loss, and its data has no labels: {spec}",
            hint='name them: servers.dataset("image", "label", ...), or let dataset_fn give (x, y)',
        )


def check_metrics(model: Any) -> None:
    """Refuses metrics whose states cannot be added up over batches.

    Raises:
        ConfigError: a metric does not begin at zero, as all of Keras' do.
    """
    for variable in model.metrics_variables:
        if np.any(variable.numpy()):
            raise ConfigError(
                f"the metric variable {variable.path} begins at {variable.numpy()}, expected zeros: the states of all "
                "batches are added up",
                hint="use a metric that sums and counts, as those of keras.metrics do",
            )


def _rows(data: Any) -> Any:
    first = next(one for one in keras.tree.flatten(data) if one is not None)
    return tf.cast(tf.shape(first)[0], tf.int64)
