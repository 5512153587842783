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


def _fewer_layers(ctx, strategy, odd):
    model = model_of(strategy, 4)
    if not odd:
        model_of(strategy, 4)
    model.fit(share(4), epochs=1, verbose=0)


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


def _leave_last_step(ctx, strategy, odd):
    import keras

    model = model_of(strategy, 4)

    def fail(batch, logs):
        if odd and batch == 5:
            raise OSError("after the last step, before the metrics")

    try:
        model.fit(share(6), epochs=1, verbose=0, callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=fail)])
    except OSError:
        return


def _other_epochs(ctx, strategy, odd):
    model_of(strategy, 4).fit(share(6), epochs=1 if odd else 2, verbose=0)


def _break(ctx, strategy, odd):
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
        if odd and number == 3:
            break
        train(x, y)
    ctx.barrier()


def _evaluate_alone(ctx, strategy, odd):
    model = model_of(strategy, 4)
    model.fit(share(2), verbose=0)
    if not odd:
        model.evaluate(share(2), verbose=0)
