"""Functions that tests of parameter servers run on nodes."""

from __future__ import annotations

import functools

import numpy as np

from tfspark_cnn import Column

FEATURES = 8
SCHEMA = "x array<float>, y bigint, id bigint"


def rows(count, seed=0):
    """Rows of a problem that a straight line solves: `x`, `y`, `id`."""
    x = np.random.default_rng(seed).normal(size=(count, FEATURES)).astype(np.float32)
    return [(one.tolist(), int(one.sum() > 0), number) for number, one in enumerate(x)]


def fit_in_many_ways(args, ctx):
    """Runs all scenarios on one cluster; gives what each found."""
    return ctx.parameter_servers(functools.partial(_scenarios, args, ctx))


def _scenarios(args, ctx, servers):
    import keras

    found = {}
    with servers.strategy.scope():
        layers = [keras.layers.Dense(16, "relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.1)]
        model = compiled_softmax(keras, layers)
    data = servers.dataset(Column("x", shape=(FEATURES,)), "y", batch_size=32)
    validation = servers.dataset("x", "y", batch_size=32, name="validation")
    saved, evaluated = {}, []

    def save(arrays, epoch):
        saved[epoch] = arrays
        evaluated.append(servers.rows_evaluated)

    killer = _Kill(ctx, args["kill_after_epoch"])
    history = servers.fit(
        model, data, epochs=ctx.num_epochs, validation_data=validation,
        callbacks=[servers.saver(save), killer(keras)],
    )  # fmt: skip
    found["history"] = history.history
    (counter,) = [name for name in saved[1] if "iteration" in name]
    found["iterations"] = [int(saved[epoch][counter]) for epoch in sorted(saved)]
    found["again"] = [servers.evaluate(model, validation)["loss"] for _ in range(2)]
    found["rows"] = evaluated
    found["devices"] = sorted({variable.value.device.split("/replica")[0] for variable in model.variables})
    found["moving_mean"] = float(np.abs(next(v for p, v in saved[1].items() if "moving_mean" in p)).sum())
    found["errors"] = _errors(keras, servers, model, data)
    found["own"] = _own_data(keras, servers)
    found["schedule"] = _schedule(keras, servers)
    found["kept"] = _kept(keras, model, args["folder"])
    found["restored"] = _restored(keras, servers, model, validation, saved)
    return found


def compiled_softmax(keras, layers=()):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Input((FEATURES,)), *layers, keras.layers.Dense(2, "softmax", name="out")])
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


class _Kill:
    """Asks the test to kill a worker in the middle of an epoch, and goes on when it has."""

    def __init__(self, ctx, epoch):
        self._ctx, self._epoch = ctx, epoch

    def __call__(self, keras):
        def end(epoch, logs):
            if epoch == self._epoch:
                self._ctx.report(kill=1)

        return keras.callbacks.LambdaCallback(on_epoch_end=end)


def numbers(input_context):
    """100 rows without Spark, 50 for each of two workers; the features are their numbers."""
    import tensorflow as tf

    ids = tf.data.Dataset.range(100).shard(input_context.num_input_pipelines, input_context.input_pipeline_id)
    return ids.batch(8).map(lambda i: (tf.tile(tf.cast(i, tf.float32)[:, None], [1, FEATURES]) / 100, i % 2))


def generated(input_context):
    import tensorflow as tf

    signature = (tf.TensorSpec((2, FEATURES)), tf.TensorSpec((2,), tf.int64))
    rows = [(np.zeros((2, FEATURES), np.float32), np.zeros(2, np.int64))]
    return tf.data.Dataset.from_generator(lambda: iter(rows), output_signature=signature)


def unlabelled(input_context):
    return numbers(input_context).map(lambda x, y: x)


def empty(input_context):
    return numbers(input_context).take(0)


def _own_data(keras, servers):
    """Each row is seen once: the mean of the features is that of all numbers."""

    class Mean(keras.metrics.Mean):
        def update_state(self, y_true, y_pred, sample_weight=None):
            super().update_state(y_pred)

    with servers.strategy.scope():
        model = keras.Sequential([keras.layers.Input((FEATURES,)), keras.layers.Dense(1, use_bias=False)])
        model.layers[-1].set_weights([np.full((FEATURES, 1), 100 / FEATURES, np.float32)])
        model.compile(keras.optimizers.SGD(0.0), "mse", metrics=[Mean(name="seen")])
    scores = servers.evaluate(model, numbers)
    history = servers.fit(model, numbers, epochs=2, steps_per_epoch=3)
    return {"seen": scores["seen"], "steps": int(model.optimizer.iterations.numpy()), "epochs": history.epoch}


def _schedule(keras, servers):
    """The learning rate is 0 from step 14 on, which is the number of steps of an epoch."""
    with servers.strategy.scope():
        model = keras.Sequential([keras.layers.Input((FEATURES,)), keras.layers.Dense(2, "softmax")])
        rate = keras.optimizers.schedules.PiecewiseConstantDecay([13], [0.1, 0.0])
        model.compile(keras.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    weights = []
    keep = servers.saver(lambda arrays, epoch: weights.append(arrays))
    servers.fit(model, numbers, epochs=3, callbacks=[keep])
    changed = [
        [float(np.abs(b[name] - a[name]).max()) for name in a if "kernel" in name][0]
        for a, b in zip(weights, weights[1:], strict=False)
    ]
    return {"changed": changed, "first": float(np.abs(weights[0][next(n for n in weights[0] if "bias" in n)]).max())}


def _restored(keras, servers, model, validation, saved):
    """Puts the variables after the first epoch into another model."""
    with servers.strategy.scope():
        layers = [keras.layers.Dense(16, "relu"), keras.layers.BatchNormalization(), keras.layers.Dropout(0.1)]
        other = compiled_softmax(keras, layers)
    before = servers.evaluate(other, validation)["loss"]
    names = zip(servers.variables(model), servers.variables(other), strict=True)  # numbered on in one process
    servers.assign(other, {theirs: saved[1][ours] for ours, theirs in names})
    after = servers.evaluate(other, validation)["loss"]
    return {"before": before, "after": after, "iterations": int(other.optimizer.iterations.numpy())}


def _kept(keras, model, folder):
    """Saves the network, reads it back without servers, and compares what both say."""
    model.save(f"{folder}/model.keras")
    read = keras.models.load_model(f"{folder}/model.keras", compile=False)
    x = np.asarray([row[0] for row in rows(8, seed=2)], np.float32)
    return float(np.abs(model(x, training=False).numpy() - read(x, training=False).numpy()).max())


def _errors(keras, servers, model, data):
    outside = compiled_softmax(keras)
    with servers.strategy.scope():
        bare = keras.Sequential([keras.layers.Dense(1)])

        class Own(keras.Sequential):
            def train_step(self, data):
                return {}

        own = Own([keras.layers.Dense(1)])
        own.compile("sgd", "mse")
        fresh = compiled_softmax(keras)
    asks = {
        "outside": lambda: servers.fit(outside, data, epochs=1),
        "not compiled": lambda: servers.fit(bare, data, epochs=1),
        "own step": lambda: servers.fit(own, data, epochs=1),
        "no data": lambda: servers.fit(model, None, epochs=1),
        "epochs": lambda: servers.fit(model, data, epochs=0),
        "generator": lambda: servers.fit(fresh, generated, epochs=1),
        "unlabelled": lambda: servers.fit(fresh, unlabelled, epochs=1),
        "empty": lambda: servers.fit(fresh, empty, epochs=1),
        "assign": lambda: servers.assign(model, {"x": np.zeros(1)}),
    }
    return {name: _message(ask) for name, ask in asks.items()}


def _message(ask):
    try:
        ask()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "nothing was raised"


def ask_for_no_column(args, ctx):
    """Asks the workers for a column that the data does not have."""

    def train(servers):
        import keras

        with servers.strategy.scope():
            model = compiled_softmax(keras)
        servers.fit(model, servers.dataset("z", "y", batch_size=8), epochs=1)

    return ctx.parameter_servers(train)


def fit_without_spark(args, ctx):
    """Trains on what `dataset_fn` makes; the worker asks to be killed in the middle of an epoch."""
    return ctx.parameter_servers(functools.partial(_fit_without_spark, args, ctx))


def _fit_without_spark(args, ctx, servers):
    import keras

    with servers.strategy.scope():
        model = compiled_softmax(keras)
    killer = _Kill(ctx, args["kill_after_epoch"])
    history = servers.fit(model, numbers, epochs=args["epochs"], callbacks=[killer(keras)])
    return {"epochs": history.epoch, "losses": history.history["loss"], "own": _own_data(keras, servers)}


def fit_and_die(args, ctx):
    """Trains; the chief of the first attempt dies at the end of an epoch, before that is saved."""
    return ctx.parameter_servers(functools.partial(_fit_and_die, args, ctx))


def _fit_and_die(args, ctx, servers):
    import os
    import signal

    import keras

    def end(epoch, logs):
        if (epoch, ctx.attempt) == (args["epoch"], 1):
            os.kill(os.getpid(), signal.SIGKILL)

    with servers.strategy.scope():
        model = compiled_softmax(keras)
    data = servers.dataset("x", "y", batch_size=32)
    dies = keras.callbacks.LambdaCallback(on_epoch_end=end)
    history = servers.fit(model, data, epochs=ctx.num_epochs, callbacks=[dies])
    return {"history": history.history, "epochs": history.epoch, "steps": int(model.optimizer.iterations.numpy())}
