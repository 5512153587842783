"""What nodes do in the test of histories."""

from __future__ import annotations

import time

from tfspark_cnn import Column


def slowly(row):
    """Takes its time over some rows, as a source that decodes or joins."""
    if row[1] == 5:
        time.sleep(0.25)
    return row


def easy_then_hard(args, ctx):
    """Fits a network that takes no time on the rows of the first `train` call, and one that does on the second's."""
    import keras

    strategy = ctx.strategy()
    rows = ctx.dataset(Column("image", shape=(8, 8, 1)), "label", batch_size=16, shuffle=False)
    for filters, epochs in ((2, 1), (args["filters"], 2)):
        with strategy.scope():
            inner = [keras.layers.Conv2D(filters, 3, padding="same", activation="relu") for _ in range(3)]
            model = keras.Sequential([*inner, keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
            model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        found = model.fit(rows, epochs=epochs, verbose=0, callbacks=ctx.callbacks(checkpoints=None)).history
    return found
