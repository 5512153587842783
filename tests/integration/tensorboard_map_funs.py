"""What nodes run in the tests of TensorBoard: a small `fit` with pictures and a trace, and a worker that is killed."""

from __future__ import annotations

import os
import signal

from tfspark_cnn import Checkpoints, Column

SIDE, CLASSES, BATCH = 8, 3, 8
DIES_AT = 13  # a step of the second epoch; 12 of them were saved
IMAGES = 4


def fit(rows, ctx):
    """Trains for some epochs; in the first attempt the worker is killed in the second one.

    Gives the losses, and how many steps were trained in all.
    """
    import keras

    class Dies(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            Dies.steps += 1
            if (ctx.attempt, ctx.job_name, Dies.steps) == (1, "worker", DIES_AT):
                os.kill(os.getpid(), signal.SIGKILL)

    keras.utils.set_random_seed(1)
    with ctx.strategy().scope():
        layers = [keras.layers.Conv2D(4, 3, activation="relu", name="eyes"), keras.layers.Flatten()]
        model = keras.Sequential([*layers, keras.layers.Dense(CLASSES, activation="softmax", name="verdict")])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    train = ctx.dataset(Column("image", shape=(SIDE, SIDE, 1)), "label", batch_size=BATCH, augment="flip")
    often = Checkpoints(every_steps=4, every_s=None)
    callbacks = ctx.callbacks(Dies(), checkpoints=often, images=IMAGES, profile=(2, 3))
    losses = model.fit(train, epochs=ctx.num_epochs, verbose=0, callbacks=callbacks).history["loss"]
    return losses, int(model.optimizer.iterations.numpy())
