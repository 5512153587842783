"""The table of `test_keras_fit_parity`, and what its workers run. TensorFlow is imported only inside of functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from keras_fit_models import MODELS, rows

# Rows of the local batches by number of workers, one tuple for each step. The joined batches are the same with two
# workers and with three, so that one process is compared with both.
Split = dict[int, tuple[tuple[int, ...], ...]]
EVEN_THEN_TAIL: Split = {2: ((12, 12), (12, 12), (7, 6)), 3: ((8, 8, 8), (8, 8, 8), (5, 4, 4))}
RAGGED: Split = {2: ((8, 4), (2, 14), (1, 2), (7, 6)), 3: ((8, 3, 1), (2, 9, 5), (1, 1, 1), (7, 2, 4))}
VALIDATION: Split = {2: ((9, 9), (3, 1)), 3: ((6, 6, 6), (2, 1, 1))}


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
        callbacks: of `fit`, as class in `keras.callbacks` and arguments.
        epochs: how many.
        validates: whether there is validation, and `evaluate` is compared too.
        predicts: whether `predict` is compared too.
        tolerance: absolute, of weights and logs; 16 bits round other batches differently.
    """

    name: str
    model: str = "functional"
    optimizer: tuple[str, dict[str, Any]] = ("SGD", {"learning_rate": 0.1})
    steps: Split = field(default_factory=lambda: EVEN_THEN_TAIL)
    weights: str | None = None
    known: bool = False
    compile: dict[str, Any] = field(default_factory=dict)
    callbacks: tuple[tuple[str, dict[str, Any]], ...] = ()
    epochs: int = 2
    validates: bool = False
    predicts: bool = False
    tolerance: float = 1e-5


def _momentum(**more: Any) -> tuple[str, dict[str, Any]]:
    return "SGD", {"learning_rate": 0.1, "momentum": 0.9, **more}


def _falling(epoch: int, rate: float) -> float:
    return rate / (epoch + 1)


_ADAM = {"learning_rate": 0.01, "epsilon": 1e-3}
_PLATEAU = ("ReduceLROnPlateau", {"monitor": "val_loss", "min_delta": 0.5, "patience": 1, "factor": 0.1})
_STOP = ("EarlyStopping", {"monitor": "val_loss", "min_delta": 0.5, "patience": 2, "restore_best_weights": True})
_FLOAT16 = {"optimizer": ("SGD", {"learning_rate": 0.01}), "tolerance": 1e-3}
SCENARIOS = (
    Scenario("sgd with a short tail", epochs=3, validates=True, predicts=True),
    Scenario("momentum with ragged batches", optimizer=_momentum(), steps=RAGGED, epochs=3, validates=True),
    Scenario("adam with a learning rate schedule", optimizer=("Adam", {**_ADAM, "learning_rate": "decay"}), known=True),
    Scenario("nadam and clipvalue", optimizer=("Nadam", {**_ADAM, "clipvalue": 0.01}), steps=RAGGED),
    Scenario("regularisers and a constraint", model="regularised", steps=RAGGED, validates=True),
    Scenario("clipnorm", optimizer=_momentum(clipnorm=0.05), steps=RAGGED),
    Scenario("global_clipnorm", optimizer=_momentum(global_clipnorm=0.05), steps=RAGGED),
    Scenario("weight decay", optimizer=("AdamW", {**_ADAM, "weight_decay": 0.1})),
    Scenario("moving average", optimizer=_momentum(use_ema=True, ema_overwrite_frequency=2), steps=RAGGED),
    Scenario("gradient accumulation", optimizer=_momentum(gradient_accumulation_steps=2, clipnorm=0.05), steps=RAGGED),
    Scenario("sample weights", weights="sample", steps=RAGGED, validates=True),
    Scenario("class weights and a known number of steps", weights="class", known=True, steps=RAGGED),
    Scenario("two steps per execution", compile={"steps_per_execution": 2}),
    Scenario("two of a known number of steps", known=True, compile={"steps_per_execution": 2}),
    Scenario("jit_compile, which is left out", compile={"jit_compile": True}, optimizer=_momentum(clipnorm=0.05)),
    Scenario("subclassed model", model="subclassed", steps=RAGGED),
    Scenario("custom train_step", model="custom_step", optimizer=_momentum(clipnorm=0.05), steps=RAGGED),
    Scenario("two inputs and two outputs", model="two_outputs", steps=RAGGED, validates=True, predicts=True),
    Scenario("convolution in a sequential model", model="convolution", optimizer=_momentum()),
    Scenario("synchronised batch normalisation", model="batch_normalisation", steps=RAGGED, epochs=3, validates=True),
    Scenario("embedding with sparse gradients", model="embedding", steps=RAGGED),
    Scenario("eager", compile={"run_eagerly": True}, optimizer=_momentum(clipnorm=0.05)),
    Scenario("learning rate by epoch", callbacks=(("LearningRateScheduler", {"schedule": _falling}),), epochs=3),
    Scenario("plateau, then early stop", callbacks=(_PLATEAU, _STOP), epochs=9, validates=True, steps=RAGGED),
    Scenario("mixed_bfloat16", model="bfloat16", steps=RAGGED, tolerance=5e-3),
    Scenario("mixed_float16", model="float16", **_FLOAT16),
    Scenario("one worker overflows", model="float16_overflow", optimizer=_momentum(clipnorm=0.05), tolerance=1e-3),
    Scenario(
        "one worker overflows while gradients accumulate",
        model="float16_overflow",
        optimizer=_momentum(gradient_accumulation_steps=2),
        tolerance=1e-3,
    ),
)


def run(strategy: Any, worker: int | None, workers: int) -> dict[str, dict[str, Any]]:
    """Trains every scenario: on one of `workers` nodes, or alone on the joined batches if that is 0."""
    return {s.name: _train(s, strategy, worker, workers) for s in SCENARIOS}


def join(workers: int, **options: Any) -> tuple[int | None, Any]:
    """Gives the number of this worker and the strategy of all, or None and that of a process on its own."""
    import tensorflow as tf

    from tfspark_cnn.cluster.strategy_options import StrategyOptions
    from tfspark_cnn.training.strategy import multi_worker_mirrored

    if not workers:
        return None, tf.distribute.get_strategy()
    how = StrategyOptions(**options)
    strategy = multi_worker_mirrored(num_workers=workers, local_gpus=0, node="worker", options=how)
    return strategy.cluster_resolver.task_id, strategy


def _train(scenario: Scenario, strategy: Any, worker: int | None, workers: int) -> dict[str, Any]:
    import keras

    keras.utils.set_random_seed(7)
    with strategy.scope():
        model = _compiled(scenario, alone=not workers)
    validation = dataset(scenario, VALIDATION, worker, workers, seed=2) if scenario.validates else None
    history = model.fit(
        dataset(scenario, scenario.steps, worker, workers, seed=1),
        epochs=scenario.epochs,
        validation_data=validation,
        class_weight={0: 0.5, 1: 1.0, 2: 3.0} if scenario.weights == "class" else None,
        callbacks=[getattr(keras.callbacks, name)(**arguments) for name, arguments in scenario.callbacks],
        verbose=0,
    )
    return {
        "history": history.history,
        "evaluate": model.evaluate(validation, verbose=0, return_dict=True) if scenario.predicts else {},
        "predict": _predict(model, validation) if scenario.predicts else [],
        "weights": model.get_weights(),
        "loss scale": float(keras.ops.convert_to_numpy(getattr(model.optimizer, "dynamic_scale", 0.0))),
    }


def _compiled(scenario: Scenario, *, alone: bool) -> Any:
    model = MODELS[scenario.model]()
    several = scenario.model == "two_outputs"
    losses: Any = ["mse", "mse"] if several else "sparse_categorical_crossentropy"
    metrics: dict[str, Any] = {"loss_weights": [1.0, 0.5]} if several else {}
    if scenario.validates and not several:
        metrics["metrics"] = ["accuracy"]
    if scenario.weights == "sample":
        metrics["weighted_metrics"] = ["accuracy"]
    how = {name: value for name, value in scenario.compile.items() if not (alone and name == "jit_compile")}
    model.compile(optimizer(scenario.optimizer), losses, **metrics, **how)
    return model


def _predict(model: Any, dataset: Any) -> list[Any]:
    import keras

    return list(keras.tree.flatten(model.predict(dataset.map(lambda x, *_: x), verbose=0)))


def optimizer(named: tuple[str, dict[str, Any]]) -> Any:
    """Makes an optimizer of Keras from its name and arguments."""
    import keras

    name, arguments = named
    if arguments["learning_rate"] == "decay":
        arguments = {**arguments, "learning_rate": keras.optimizers.schedules.ExponentialDecay(0.2, 3, 0.5)}
    return getattr(keras.optimizers, name)(**arguments)


def dataset(scenario: Scenario, steps: Split, worker: int | None, workers: int, *, seed: int) -> Any:
    """Gives the batches of a node, or the joined ones if `workers` is 0, as the node's own share."""
    import tensorflow as tf

    from tfspark_cnn.training.keras_fit import own_share

    sizes_of_steps = steps[workers or 2]
    x, y, weight = rows(sum(map(sum, sizes_of_steps)), scenario.model, seed)
    arrays = (x, y, weight) if scenario.weights == "sample" else (x, y)

    def batches() -> Iterator[tuple[Any, ...]]:
        begin = 0
        for sizes in sizes_of_steps:
            before, size = (0, sum(sizes)) if worker is None else (sum(sizes[:worker]), sizes[worker])
            mine = slice(begin + before, begin + before + size)
            yield tf.nest.map_structure(lambda array, mine=mine: array[mine], arrays)
            begin += sum(sizes)

    signature = tf.nest.map_structure(lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), arrays)
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    if scenario.known or worker is None:  # with an unknown length one process would count a step too many per epoch
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(sizes_of_steps)))
    return own_share(dataset).prefetch(1)
