"""What nodes run that do unlike things, for `test_bad_luck`. TensorFlow is imported only inside of functions."""

from __future__ import annotations

import time

import numpy as np


def model_of(strategy, *units, names=None):
    """Makes a small dense network of layers with so many units, that ends in one."""
    import keras

    with strategy.scope():
        named = names or [None] * len(units)
        layers = [keras.layers.Dense(count, name=name) for count, name in zip(units, named, strict=True)]
        model = keras.Sequential([keras.layers.Input((4,)), *layers, keras.layers.Dense(1)])
        model.compile("adam", "mse")
    return model


def share(steps, *, rows=8, bad_step=None):
    """Gives a node's own share of so many batches, `float32[rows, 4]`; one of them may be infinite."""
    import tensorflow as tf

    from tfspark_cnn.training.keras_fit import own_share

    x = np.random.default_rng(5).normal(size=(steps * rows, 4)).astype("float32")
    if bad_step is not None:
        x[bad_step * rows] = np.inf
    return own_share(tf.data.Dataset.from_tensor_slices((x, x[:, :1])).batch(rows))


def unlike(args, ctx):
    """Does on the last node what `args` names, and the plain thing on the others."""
    strategy, odd = ctx.strategy(), ctx.executor_id == ctx.num_workers - 1
    globals()[f"_{args}"](ctx, strategy, odd)


def _other_network(ctx, strategy, odd):
    model_of(strategy, 4, 5 if odd else 3)


def _other_order(ctx, strategy, odd):
    names = ["left", "right"]
    model_of(strategy, 4, 4, names=names[::-1] if odd else names)


def _stop_training(ctx, strategy, odd):
    import keras

    model = model_of(strategy, 4)

    def stop(batch, logs):
        model.stop_training = odd and batch == 2

    model.fit(share(6), epochs=3, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=stop)])
    if odd:
        time.sleep(600)


def _swallow(ctx, strategy, odd):
    import keras

    model = model_of(strategy, 4)

    def fail(epoch, logs):
        if odd:
            raise OSError("the disk is full")

    try:
        model.fit(share(6), epochs=3, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=fail)])
    except OSError:
        time.sleep(600)


def _break(ctx, strategy, odd):
    _loop(ctx, strategy, 3 if odd else 6)
    ctx.barrier()


def _loop(ctx, strategy, steps):
    """Trains so many of six steps in a loop of its own; gives the weights."""
    import keras
    import tensorflow as tf

    model = model_of(strategy, 4)
    with strategy.scope():
        optimizer = keras.optimizers.SGD(0.01)
        optimizer.build(model.trainable_variables)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2) / ctx.num_workers
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)

    train = tf.function(lambda x, y: strategy.run(step, args=(x, y)))
    for number, (x, y) in enumerate(share(6)):
        if number == steps:
            break
        train(x, y)
    return model


def other_keras(args, ctx):
    """Trains in a loop of its own and then by fit, where Keras has another version; gives the weights and the error."""
    import keras

    from tfspark_cnn.errors import UnsupportedVersionError

    keras.__version__ = "3.99.0"
    model = _loop(ctx, ctx.strategy(), 6)
    try:
        model.fit(share(2), verbose=0)
    except UnsupportedVersionError as error:
        _alone()
        return [weight.tolist() for weight in model.get_weights()], str(error)


def harmless(args, ctx):
    """Does what looks unlike and is not: stops at other moments after the same step, works alone on plain models.

    On the last node each step of one fit sleeps; gives the steps of another, whose rows are bad on the last node.
    """
    import keras
    import tensorflow as tf

    strategy, odd = ctx.strategy(), ctx.executor_id == ctx.num_workers - 1
    random = np.random.default_rng(ctx.executor_id)
    if odd:
        keras.layers.Dense(1)  # Keras numbers the next ones from here
    model = model_of(strategy, 4)

    def stop(batch, logs):
        time.sleep(random.uniform(0, 0.02))
        model.stop_training = batch == 1

    early = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    for _ in range(args["fits"]):
        model.fit(share(4), epochs=2, verbose=0, callbacks=[early])
        time.sleep(random.uniform(0, 0.1))
    ctx.barrier()
    model.fit(share(5), epochs=2, steps_per_epoch=9, verbose=0)
    if ctx.is_chief:
        _alone()
    model.predict(share(3 if odd else 1).map(lambda x, y: x), verbose=0)
    sleeping = _sleeping(strategy, args["sleep_s"] if odd else 0.0)
    sleeping.fit(share(15), epochs=3, verbose=0)
    if ctx.is_chief:
        _be_late()
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model.fit(share(6, bad_step=2 if odd else None), verbose=0, callbacks=[watch])
    return seen, int(tf.size(model.get_weights()[0]))


def _be_late():
    """Is what is tried, not a wait for anything: the others tell meanwhile where they wait, and nobody is to blame."""
    from tfspark_cnn.training.pace import SAMPLE_S

    time.sleep(2 * SAMPLE_S)


def _alone():
    import keras

    with_keras = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(1)])
    with_keras.compile("sgd", "mse")
    x = np.ones((40, 4), "float32")
    with_keras.fit(x, x[:, :1], epochs=3, verbose=0)
    with_keras.evaluate(x, x[:, :1], verbose=0)


def _sleeping(strategy, seconds):
    import keras
    import tensorflow as tf

    class Sleeps(keras.layers.Layer):
        def call(self, x):
            if not seconds:
                return x
            return tf.ensure_shape(tf.py_function(self.wait, [x], tf.float32), x.shape)

        def wait(self, x):
            time.sleep(seconds)
            return x

    with strategy.scope():
        model = keras.Sequential([keras.layers.Input((4,)), Sleeps(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    return model


def slow_and_short(args, ctx):
    """Fits where the last node computes more, then with more steps per epoch than the feed has, twice; gives these."""
    import keras

    _heavier(ctx)
    strategy, seen = ctx.strategy(), []
    with strategy.scope():
        model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    rows = ctx.dataset("x", "id", batch_size=10)
    model.fit(rows, epochs=2, steps_per_epoch=50, verbose=0, callbacks=[watch])
    model.fit(rows, epochs=2, steps_per_epoch=5, verbose=0, callbacks=[watch])
    return seen


HEAVY_S, HEAVY_STEPS = 0.075, 64
"""Seconds that a node computes more in a step, and steps: some windows of ten on any machine."""


def _heavier(ctx):
    import keras
    import tensorflow as tf

    strategy, odd = ctx.strategy(), ctx.executor_id == ctx.num_workers - 1

    class Computes(keras.layers.Layer):
        def call(self, x):
            if not odd:
                return x
            # On one core, which leaves the other one to the other node.
            until = tf.timestamp() + HEAVY_S
            end = tf.while_loop(lambda now: now < until, lambda now: [tf.timestamp()], [tf.timestamp()])
            with tf.control_dependencies(end):
                return tf.identity(x)

    with strategy.scope():
        model = keras.Sequential([keras.layers.Input((4,)), Computes(), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
    model.fit(share(HEAVY_STEPS), verbose=0)
