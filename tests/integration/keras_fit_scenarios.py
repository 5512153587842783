"""What the workers of `test_keras_fit_parity` run. TensorFlow is imported only inside of functions."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FEATURES = 6
CLASSES = 3
# Rows of each local batch, one tuple for each step; the first W columns are used with W workers.
EVEN_THEN_TAIL = ((8, 8, 8), (8, 8, 8), (5, 4, 4))
RAGGED = ((8, 3, 1), (2, 9, 5), (1, 1, 1), (7, 2, 4))
VALIDATION = ((6, 6, 6), (2, 1, 1))


@dataclass(frozen=True)
class Scenario:
    """One way to call Keras.

    Attributes:
        name: of the test.
        model: a key of `MODELS`.
        optimizer: class in `keras.optimizers` and its arguments.
        steps: rows of the local batches.
        weights: "sample", "class" or None.
        known: the dataset tells its number of steps.
        compile: further arguments of `compile`.
        epochs: how many.
        predicts: whether `predict` is compared too.
        tolerance: absolute, of weights and logs; float16 rounds other batches differently.
    """

    name: str
    model: str = "functional"
    optimizer: tuple[str, dict[str, Any]] = ("SGD", {"learning_rate": 0.1})
    steps: tuple[tuple[int, ...], ...] = EVEN_THEN_TAIL
    weights: str | None = None
    known: bool = False
    compile: dict[str, Any] = field(default_factory=dict)
    epochs: int = 3
    predicts: bool = False
    tolerance: float = 1e-5


def _momentum(**more: Any) -> tuple[str, dict[str, Any]]:
    return "SGD", {"learning_rate": 0.1, "momentum": 0.9, **more}


_ADAM = {"learning_rate": 0.01, "epsilon": 1e-3}
SCENARIOS = (
    Scenario("sgd with a short tail", predicts=True),
    Scenario("momentum with ragged batches", optimizer=_momentum(), steps=RAGGED),
    Scenario("adam with a learning rate schedule", optimizer=("Adam", {**_ADAM, "learning_rate": "decay"}), known=True),
    Scenario("nadam and clipvalue", optimizer=("Nadam", {**_ADAM, "clipvalue": 0.01}), steps=RAGGED),
    Scenario("l2 regulariser", model="regularised", steps=RAGGED),
    Scenario("clipnorm", optimizer=_momentum(clipnorm=0.05), steps=RAGGED),
    Scenario("global_clipnorm", optimizer=_momentum(global_clipnorm=0.05), steps=RAGGED),
    Scenario("weight decay", optimizer=("AdamW", {**_ADAM, "weight_decay": 0.1})),
    Scenario("moving average", optimizer=_momentum(use_ema=True, ema_overwrite_frequency=2), steps=RAGGED),
    Scenario("gradient accumulation", optimizer=_momentum(gradient_accumulation_steps=2, clipnorm=0.05), steps=RAGGED),
    Scenario("sample weights", weights="sample", steps=RAGGED, epochs=2),
    Scenario("class weights and a known number of steps", weights="class", known=True, steps=RAGGED, epochs=2),
    Scenario("two steps per execution", compile={"steps_per_execution": 2}),
    Scenario("two of a known number of steps", known=True, compile={"steps_per_execution": 2}),
    Scenario("subclassed model", model="subclassed", steps=RAGGED, epochs=2),
    Scenario("custom train_step", model="custom_step", optimizer=_momentum(clipnorm=0.05), steps=RAGGED, epochs=2),
    Scenario("two outputs", model="two_outputs", steps=RAGGED, epochs=2, predicts=True),
    Scenario("convolution", model="convolution", optimizer=_momentum(), epochs=2),
    Scenario("embedding with sparse gradients", model="embedding", steps=RAGGED, epochs=2),
    Scenario("eager", compile={"run_eagerly": True}, optimizer=_momentum(clipnorm=0.05), epochs=2),
    Scenario("mixed_float16", model="float16", optimizer=("SGD", {"learning_rate": 0.01}), epochs=2, tolerance=1e-3),
    Scenario(
        "one worker overflows",
        model="float16_overflow",
        optimizer=_momentum(clipnorm=0.05),
        epochs=2,
        tolerance=1e-3,
    ),
    Scenario(
        "one worker overflows while gradients accumulate",
        model="float16_overflow",
        optimizer=_momentum(gradient_accumulation_steps=2),
        epochs=2,
        tolerance=1e-3,
    ),
)
WITH_THREE = tuple(s for s in SCENARIOS if s.name in ("momentum with ragged batches", "global_clipnorm"))


def run(scenarios: tuple[Scenario, ...], workers: int) -> dict[str, dict[str, Any]]:
    """Trains every scenario: on one of `workers` nodes, or with `workers` = -W alone on the joined batches of W."""
    worker, strategy = _join(workers)
    return {s.name: _train(s, strategy, worker, abs(workers)) for s in scenarios}


def _join(workers: int) -> tuple[int | None, Any]:
    import tensorflow as tf

    from tfspark_cnn.training.strategy import multi_worker_mirrored

    if workers < 0:
        return None, tf.distribute.get_strategy()
    strategy = multi_worker_mirrored(num_workers=workers, local_gpus=0, node="worker")
    return strategy.cluster_resolver.task_id, strategy


def _train(scenario: Scenario, strategy: Any, worker: int | None, workers: int) -> dict[str, Any]:
    import keras

    keras.utils.set_random_seed(7)
    with strategy.scope():
        model = MODELS[scenario.model]()
        losses = ["mse", "mse"] if scenario.model == "two_outputs" else "sparse_categorical_crossentropy"
        metrics = {} if scenario.model == "two_outputs" else {"metrics": ["accuracy"], "weighted_metrics": ["accuracy"]}
        model.compile(_optimizer(scenario.optimizer), losses, **metrics, **scenario.compile)
    validation = _dataset(scenario, VALIDATION, worker, workers, seed=2)
    history = model.fit(
        _dataset(scenario, scenario.steps, worker, workers, seed=1),
        epochs=scenario.epochs,
        validation_data=validation,
        class_weight={0: 0.5, 1: 1.0, 2: 3.0} if scenario.weights == "class" else None,
        verbose=0,
    )
    return {
        "history": history.history,
        "evaluate": model.evaluate(validation, verbose=0, return_dict=True),
        "predict": _predict(model, validation) if scenario.predicts else [],
        "weights": model.get_weights(),
        "loss scale": float(keras.ops.convert_to_numpy(getattr(model.optimizer, "dynamic_scale", 0.0))),
    }


def _predict(model: Any, dataset: Any) -> list[Any]:
    import keras

    return list(keras.tree.flatten(model.predict(dataset.map(lambda x, *_: x), verbose=0)))


def _optimizer(named: tuple[str, dict[str, Any]]) -> Any:
    import keras

    name, arguments = named
    if arguments["learning_rate"] == "decay":
        arguments = {**arguments, "learning_rate": keras.optimizers.schedules.ExponentialDecay(0.2, 3, 0.5)}
    return getattr(keras.optimizers, name)(**arguments)


def _dataset(
    scenario: Scenario, steps: tuple[tuple[int, ...], ...], worker: int | None, workers: int, *, seed: int
) -> Any:
    import tensorflow as tf

    from tfspark_cnn.training.keras_fit import own_share

    x, y, weight = rows(sum(sum(step[:workers]) for step in steps), scenario.model, seed)
    arrays = (x, y, weight) if scenario.weights == "sample" else (x, y)

    def batches() -> Iterator[tuple[Any, ...]]:
        begin = 0
        for step in steps:
            sizes = step[:workers]
            before, size = (0, sum(sizes)) if worker is None else (sum(sizes[:worker]), sizes[worker])
            yield tuple(_cut(array, begin + before, size) for array in arrays)
            begin += sum(sizes)

    signature = tf.nest.map_structure(lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), arrays)
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    if scenario.known or worker is None:  # with an unknown length one process would count a step too many per epoch
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(steps)))
    return own_share(dataset).prefetch(1)


def _cut(array: Any, begin: int, size: int) -> Any:
    return tuple(_cut(a, begin, size) for a in array) if isinstance(array, tuple) else array[begin : begin + size]


def rows(count: int, model: str, seed: int) -> tuple[Any, Any, Any]:
    """Gives x float32[count, 6], y int64[count] that depends on x, weights float32[count]; other shapes by model."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, FEATURES)).astype(np.float32)
    y = np.argmax(x[:, :CLASSES] + 0.3 * random.normal(size=(count, CLASSES)), axis=1).astype(np.int64)
    weight = random.uniform(0.2, 2.0, size=count).astype(np.float32)
    if model == "float16_overflow" and seed == 1:
        x[20] = 1e30  # the second step of worker 0 only; infinite as float16
    if model == "two_outputs":
        return x, (x[:, :1], x[:, 1:3]), weight
    if model == "convolution":
        return x.reshape(count, 3, 2, 1).repeat(2, axis=1).repeat(3, axis=2), y, weight
    if model == "embedding":
        return random.integers(0, 10, size=(count, 2)).astype(np.int32), y, weight
    return x, y, weight


def _functional(**dense: Any) -> Any:
    import keras

    inputs = keras.Input((FEATURES,))
    hidden = keras.layers.Dense(8, activation="tanh", **dense)(inputs)
    return keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(hidden))


def _regularised() -> Any:
    return _functional(kernel_regularizer="l2")


def _subclassed() -> Any:
    import keras

    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = keras.layers.Dense(8, activation="tanh")
            self.probabilities = keras.layers.Dense(CLASSES, activation="softmax")

        def call(self, x: Any) -> Any:
            return self.probabilities(self.hidden(x))

    return Subclassed()


def _custom_step() -> Any:
    import keras
    import tensorflow as tf

    class CustomStep(keras.Model):
        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return self.compute_metrics(x, y, self(x, training=False))

    plain = _functional()
    return CustomStep(plain.inputs, plain.outputs)


def _two_outputs() -> Any:
    import keras

    inputs = keras.Input((FEATURES,))
    return keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(2)(inputs)])


def _convolution() -> Any:
    import keras

    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def _embedding() -> Any:
    import keras

    return keras.Sequential(
        [
            keras.layers.Embedding(10, 4),
            keras.layers.Flatten(),
            keras.layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def _float16() -> Any:
    import keras

    keras.config.set_dtype_policy("mixed_float16")
    try:
        return _functional()
    finally:
        keras.config.set_dtype_policy("float32")


MODELS: dict[str, Callable[[], Any]] = {
    "functional": _functional,
    "regularised": _regularised,
    "subclassed": _subclassed,
    "custom_step": _custom_step,
    "two_outputs": _two_outputs,
    "convolution": _convolution,
    "embedding": _embedding,
    "float16": _float16,
    "float16_overflow": _float16,
}


def run_special(workers: int) -> dict[str, Any]:
    """What is no share of a node: arrays dealt by Keras, single batches, losses that are refused; as `run`."""
    import keras

    worker, strategy = _join(workers)
    count = abs(workers)
    x, y, _ = rows(45, "functional", 3)
    mine = slice(None) if worker is None else slice(worker * 8, worker * 8 + 8)
    seen: list[float] = []
    keras.utils.set_random_seed(7)
    with strategy.scope():
        model = _functional()
        model.compile(_optimizer(_momentum(global_clipnorm=0.05)), "sparse_categorical_crossentropy")
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: seen.append(float(logs["loss"])))
    result: dict[str, Any] = {
        "history": model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0, callbacks=[watch]).history,
        "batch logs": seen,
        "evaluate": [model.evaluate(x, y, batch_size=16, verbose=0)],
        "predict": model.predict(x, batch_size=16, verbose=0),
        "predict share": model.predict(_share_of(x[: 8 * count][mine]), verbose=0),
        "predict_on_batch": model.predict_on_batch(x[: 8 * count][mine]),
        "train_on_batch": _train_on_batches(model, x, y, worker),
    }
    with strategy.scope():
        refused = _functional()
        refused.compile("sgd", keras.losses.SparseCategoricalCrossentropy(reduction="sum"))
    try:
        refused.fit(x, y, batch_size=16, verbose=0)
    except ValueError as error:
        result["refused"] = str(error)
    return result


def _train_on_batches(model: Any, x: Any, y: Any, worker: int | None) -> list[Any]:
    """Trains on batches whose size changes at another call on each node."""
    begin = 0
    for sizes in ((8, 8), (8, 7), (3, 7), (2, 1)):
        before, size = (0, sum(sizes)) if worker is None else (sum(sizes[:worker]), sizes[worker])
        mine = slice(begin + before, begin + before + size)
        model.train_on_batch(x[mine], y[mine])
        begin += sum(sizes)
    return list(model.get_weights())


def _share_of(x: Any) -> Any:
    import tensorflow as tf

    from tfspark_cnn.training.keras_fit import own_share

    return own_share(tf.data.Dataset.from_tensor_slices(x).batch(5))


def stop_on_nan(workers: int) -> dict[str, Any]:
    """Fits five steps, where the third of the last worker alone has a value that is infinite."""
    import keras
    import numpy as np
    import tensorflow as tf

    from tfspark_cnn.errors import ConfigError
    from tfspark_cnn.training import keras_fit
    from tfspark_cnn.training.callbacks import callbacks

    worker, strategy = _join(workers)
    x = np.random.default_rng(worker or 0).normal(size=(40, 4)).astype("float32")
    if worker == workers - 1:
        x[20] = np.inf
    with strategy.scope():
        model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    seen: list[int] = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    share = keras_fit.own_share(tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(8))
    how: dict[str, Any] = {"is_chief": not worker, "log_dir": None, "rows_trained": lambda: 0, "num_workers": workers}
    own = callbacks(lambda **_: None, own=[keras.callbacks.TerminateOnNaN(), watch], **how)
    model.fit(share, epochs=3, callbacks=own, verbose=0)
    try:
        callbacks(lambda **_: None, own=[keras.callbacks.BackupAndRestore("backup")], **how)
    except ConfigError as error:
        return {"steps": seen, "refused": str(error)}
    return {"steps": seen}


def make_strategy(workers: int, warm_up: bool) -> str:
    """Gives the class and message of what `multi_worker_mirrored` raises, or the number of replicas."""
    import tensorflow as tf

    from tfspark_cnn.training.strategy import multi_worker_mirrored

    if warm_up:
        tf.constant(1.0) + 1.0
    try:
        strategy = multi_worker_mirrored(num_workers=workers, local_gpus=0, node="worker:0")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return str(strategy.num_replicas_in_sync)


def guard() -> dict[str, str]:
    """Gives what `install` says to an old Keras, to one without a function, and to one where its parameters differ."""
    from unittest import mock

    import keras
    from keras.src.backend.tensorflow import trainer

    return {
        "version": _refusal(mock.patch.object(keras, "__version__", "3.14.2")),
        "missing": _refusal(_without(trainer, "reduce_per_replica")),
        "parameters": _refusal(mock.patch.object(trainer, "reduce_per_replica", lambda values: values)),
        "untouched": str(hasattr(trainer.TensorFlowTrainer._make_function, "__wrapped__")),
        "installed": _refusal(contextlib.nullcontext()),
        "again": _refusal(mock.patch.object(keras, "__version__", "3.14.2")),
    }


def _refusal(change: AbstractContextManager[Any]) -> str:
    from tfspark_cnn.errors import UnsupportedVersionError
    from tfspark_cnn.training.keras_fit import install

    with change:
        try:
            install()
        except UnsupportedVersionError as error:
            return str(error)
    return ""


@contextlib.contextmanager
def _without(owner: Any, name: str) -> Iterator[None]:
    original = getattr(owner, name)
    delattr(owner, name)
    try:
        yield
    finally:
        setattr(owner, name, original)


def split() -> list[list[list[int]]]:
    """Gives the parts, per batch, of rows 0..5 and 6 and 7..9 over two replicas."""
    import tensorflow as tf

    from tfspark_cnn.training.keras_fit import is_own_share, own_share, split_over_replicas

    batches = [np.arange(6), np.arange(6, 7), np.arange(7, 10)]
    spec = (tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None,), tf.int64))
    share = own_share(tf.data.Dataset.from_generator(lambda: ((b, b) for b in batches), output_signature=spec))
    parts = split_over_replicas(share, 2)
    assert is_own_share(parts)
    return [[x.tolist(), y.tolist()] for x, y in parts.as_numpy_iterator()]
