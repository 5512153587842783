"""What `test_keras_fit_parity` looks at beside the table: arrays, single batches, own loops, random numbers."""

from __future__ import annotations

from typing import Any

import keras_fit_scenarios as table
import numpy as np
from keras_fit_models import functional, rows

SINGLE: table.Split = {2: ((8, 8), (8, 7), (3, 7), (2, 1)), 3: ((6, 5, 5), (8, 4, 3), (3, 5, 2), (1, 1, 1))}
TOGETHER = 24  # rows of what all nodes have one part of
DROPPED = 0.25
MOMENTUM = 0.8
MOMENTS = (lambda part: part.mean(axis=0), lambda part: part.var(axis=0))
CLIPPED = ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "clipnorm": 0.05})
LOSS = "sparse_categorical_crossentropy"


def everything(workers: int) -> dict[str, Any]:
    """Runs the table, and all that is here. Two workers send small packs; that changes nothing."""
    worker, strategy = table.join(workers, **({"pack_bytes": 64, "communication": "ring"} if workers == 2 else {}))
    each = {
        "table": lambda: table.run(strategy, worker, workers),
        "arrays": lambda: _arrays(strategy, worker, workers),
        "single batches": lambda: _single_batches(strategy, worker, workers),
        "weighed loop": lambda: _loop(strategy, worker, workers, counted=False),
        "counted loop": lambda: _loop(strategy, worker, workers, counted=True),
        "dropout": lambda: _dropout(strategy, worker, workers),
        "plain normalisation": lambda: _normalised(strategy, worker, workers),
        "refused": lambda: _refused(strategy),
    }
    several = {
        "half": lambda: _half(strategy, worker, workers),
        "nan": lambda: _stop_on_nan(strategy, worker, workers),
    }
    return {name: run() for name, run in (each | (several if workers else {})).items()}


def _compiled(strategy: Any, make: Any = functional, named: Any = CLIPPED) -> Any:
    import keras

    keras.utils.set_random_seed(7)
    with strategy.scope():
        model = make()
        model.compile(table.optimizer(named), LOSS)
    return model


def _mine(worker: int | None, workers: int) -> slice:
    part = TOGETHER // max(1, workers)
    return slice((worker or 0) * part, ((worker or 0) + 1) * part)


def _arrays(strategy: Any, worker: int | None, workers: int) -> dict[str, Any]:
    import keras

    x, y, _ = rows(45, "functional", 3)
    mine, seen = x[:TOGETHER][_mine(worker, workers)], []
    model = _compiled(strategy)
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: seen.append(float(logs["loss"])))
    fitted = model.fit(x, y, batch_size=12, epochs=2, shuffle=False, verbose=0, callbacks=[watch])
    return {
        "history": fitted.history,
        "batch logs": seen,
        "evaluate": model.evaluate(x, y, batch_size=12, verbose=0),
        "predict": model.predict(x, batch_size=12, verbose=0),
        "predict share": model.predict(_share(mine), verbose=0),
        "predict_on_batch": model.predict_on_batch(mine),
    }


def _single_batches(strategy: Any, worker: int | None, workers: int) -> dict[str, Any]:
    """Trains on batches whose size changes at another call on each node."""
    x, y, _ = rows(45, "functional", 3)
    model, begin = _compiled(strategy), 0
    for sizes in SINGLE[workers or 2]:
        before, size = (0, sum(sizes)) if worker is None else (sum(sizes[:worker]), sizes[worker])
        mine = slice(begin + before, begin + before + size)
        model.train_on_batch(x[mine], y[mine])
        begin += sum(sizes)
    mine = _mine(worker, workers)
    return {"train_on_batch": model.get_weights(), "test_on_batch": model.test_on_batch(x[mine], y[mine])}


def _loop(strategy: Any, worker: int | None, workers: int, *, counted: bool) -> list[Any]:
    """Trains by `strategy.run`: with a loss divided by the rows of all nodes, or by `counting_rows` and uneven ones."""
    import keras
    import tensorflow as tf

    from tfspark_cnn.training.keras_gradients import counting_rows

    even: table.Split = {workers: part[:2] for workers, part in table.EVEN_THEN_TAIL.items()}
    scenario = table.Scenario("loop", steps=table.RAGGED if counted else even)
    model = _compiled(strategy)

    def step(data: Any) -> None:
        x, y = data
        with tf.GradientTape() as tape:
            losses = keras.losses.sparse_categorical_crossentropy(y, model(x, training=True))
            mean = tf.reduce_mean(losses) / strategy.num_replicas_in_sync
            loss = mean if counted else tf.nn.compute_average_loss(losses, global_batch_size=TOGETHER)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    run = tf.function(lambda batch: strategy.run(counting_rows(step) if counted else step, args=(batch,)))
    with strategy.scope():
        model.optimizer.build(model.trainable_variables)
    dataset = table.dataset(scenario, scenario.steps, worker, workers, seed=1)
    for batch in strategy.experimental_distribute_dataset(dataset):
        run(batch)
    return list(model.get_weights())


def _dropout(strategy: Any, worker: int | None, workers: int) -> dict[str, Any]:
    """Trains with Dropout; then what it drops of ones, and its seed, which is a variable of the model."""
    import keras
    import tensorflow as tf

    def make() -> Any:
        layers = [keras.Input((6,)), keras.layers.Dropout(DROPPED), keras.layers.Dense(3, activation="softmax")]
        return keras.Sequential(layers)

    model = _compiled(strategy, make)
    steps = table.dataset(table.Scenario("dropout"), table.EVEN_THEN_TAIL, worker, workers, seed=1)
    history = model.fit(steps, epochs=2, verbose=0).history
    kept = strategy.run(lambda: model.layers[0](tf.ones((500, 6)), training=True))
    (seed,) = [np.array(one) for one in model.non_trainable_variables]
    return {"history": history, "kept": np.array(kept), "seed": seed}


def _normalised(strategy: Any, worker: int | None, workers: int) -> dict[str, Any]:
    import keras

    def make() -> Any:
        normalisation = keras.layers.BatchNormalization(momentum=MOMENTUM)
        return keras.Sequential([keras.Input((6,)), normalisation, keras.layers.Dense(3, activation="softmax")])

    model = _compiled(strategy, make)
    scenario = table.Scenario("plain normalisation")
    model.fit(table.dataset(scenario, scenario.steps, worker, workers, seed=1), epochs=1, verbose=0)
    moments = [np.array(one) for one in (model.layers[0].moving_mean, model.layers[0].moving_variance)]
    return {"moments": moments, "weights": model.get_weights()}


def moving_moments(workers: int) -> list[Any]:
    """What the moving statistics of `_normalised` have to be: of each step, the mean over nodes by rows."""
    sizes_of_steps = table.EVEN_THEN_TAIL[workers]
    x, _, _ = rows(sum(map(sum, sizes_of_steps)), "functional", 1)
    moving, begin = [np.zeros(6), np.ones(6)], 0
    for sizes in sizes_of_steps:
        ends = begin + np.cumsum(sizes)
        parts = [x[end - size : end] for end, size in zip(ends, sizes, strict=True)]
        now = [np.average([part_of(part) for part in parts], axis=0, weights=sizes) for part_of in MOMENTS]
        moving = [MOMENTUM * old + (1 - MOMENTUM) * new for old, new in zip(moving, now, strict=True)]
        begin = ends[-1]
    return moving


def _half(strategy: Any, worker: int, workers: int) -> dict[str, Any]:
    """Trains with gradients that travel as bfloat16."""
    from tfspark_cnn.training.keras_gradients import send_gradients_as

    send_gradients_as(strategy, "bfloat16")
    try:
        model = _compiled(strategy, named=("SGD", {"learning_rate": 0.1}))
        scenario = table.Scenario("half")
        share = table.dataset(scenario, scenario.steps, worker, workers, seed=1)
        return {"history": model.fit(share, epochs=3, verbose=0).history, "weights": model.get_weights()}
    finally:
        send_gradients_as(strategy, "float32")


def _refused(strategy: Any) -> str:
    import keras

    x, y, _ = rows(12, "functional", 3)
    with strategy.scope():
        model = functional()
        model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(reduction="sum"))
    try:
        model.fit(x, y, batch_size=12, verbose=0)
    except ValueError as error:
        return str(error)
    return ""


def _share(x: Any) -> Any:
    import tensorflow as tf

    from tfspark_cnn.training.keras_fit import own_share

    return own_share(tf.data.Dataset.from_tensor_slices(x).batch(5))


def _stop_on_nan(strategy: Any, worker: int, workers: int) -> dict[str, Any]:
    """Fits five steps, where the third of the last worker alone has a value that is infinite."""
    import keras
    import tensorflow as tf

    from tfspark_cnn.errors import ConfigError
    from tfspark_cnn.training import keras_fit
    from tfspark_cnn.training.callbacks import callbacks

    x = np.random.default_rng(worker).normal(size=(40, 4)).astype("float32")
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
