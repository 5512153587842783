"""What nodes do in the test of histories."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from tfspark_cnn import Column


@dataclass(frozen=True)
class Slow:
    """Takes its time over partitions, as a source that decodes or joins; over most of them once training has begun."""

    begun: str

    def __call__(self, number, rows):
        deadline_s = time.monotonic() + 120
        while number >= 4 and not Path(self.begun).exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        time.sleep(1.5 if number >= 4 else 0.0)
        return rows


def easy_then_hard(args, ctx):
    """Fits a network that takes no time on the rows of the first `train` call, then twice one that does on others.

    The second time the rows of that call are all there. Few weights on many pixels: 0.2 MB of gradients a step, so that
    all but a tenth of its time is computing also where the nodes share cores.
    """
    import keras

    begins = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: Path(args["begun"]).touch())
    strategy = ctx.strategy()
    rows = ctx.dataset(Column("image", shape=(8, 8, 1)), "label", batch_size=16, shuffle=False)
    for filters, size in ((2, 1), (args["filters"], args["size"]), (args["filters"], args["size"])):
        with strategy.scope():
            inner = [keras.layers.Conv2D(filters, 3, padding="same", activation="relu") for _ in range(3)]
            outer = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(10, activation="softmax")]
            model = keras.Sequential([keras.layers.UpSampling2D(size), *inner, *outer])
            model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        found = model.fit(rows, epochs=1, verbose=0, callbacks=ctx.callbacks(begins, checkpoints=None)).history
    return found
