"""`python -m bench.fit_by_hand`: a worker as one writes it without this package, one JSON line in, one JSON line out.

TF_CONFIG is set by who starts it. The rows are in NumPy arrays; the loop is that of TensorFlow's guide to custom
training loops under MultiWorkerMirroredStrategy, with the loss and the accuracy that `fit` shows as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.fit_network import BATCH_ROWS, ROWS, network, optimizer

PREFETCH = 2


class Worker:
    """One of the processes: its network, and its half of the rows.

    Args:
        count: rows of all workers together.
    """

    def __init__(self, count: int) -> None:
        import keras
        import tensorflow as tf

        self._strategy = tf.distribute.MultiWorkerMirroredStrategy()
        index, workers = self._strategy.cluster_resolver.task_id, self._strategy.num_replicas_in_sync
        with self._strategy.scope():
            self._model, self._optimizer = network(), optimizer()
            self._optimizer.build(self._model.trainable_variables)
            self._loss, self._accuracy = keras.metrics.Mean(), keras.metrics.SparseCategoricalAccuracy()
        own = count // workers
        self.steps = -(-own // BATCH_ROWS)
        rows = ROWS.batch(index * own, own)
        images = rows["image"].values.to_numpy().reshape(own, *ROWS.shape)
        labels = rows["label"].to_numpy()
        slices = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(own)
        self._dataset = slices.batch(BATCH_ROWS).prefetch(PREFETCH)
        self._step = tf.function(lambda batch: self._strategy.run(self._train, args=batch), reduce_retracing=True)

    def fit(self, epochs: int) -> list[float]:
        """Trains, and gives the seconds of each epoch."""
        return [self._epoch() for _ in range(epochs)]

    def _epoch(self) -> float:
        began = time.perf_counter()
        for batch in self._dataset:
            self._step(batch)
        for metric in (self._loss, self._accuracy):
            float(metric.result())
            metric.reset_state()
        return time.perf_counter() - began

    def _train(self, images: Any, labels: Any) -> None:
        import keras
        import tensorflow as tf

        with tf.GradientTape() as tape:
            scores = self._model(images, training=True)
            losses = keras.losses.sparse_categorical_crossentropy(labels, scores)
            loss = tf.reduce_mean(losses) / self._strategy.num_replicas_in_sync
        variables = self._model.trainable_variables
        self._optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        self._loss.update_state(losses)
        self._accuracy.update_state(labels, scores)


@contextlib.contextmanager
def _told() -> Iterator[Callable[[Any], None]]:
    """Gives what answers; everything else that writes to stdout goes to stderr."""
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)
        yield lambda answer: print(json.dumps(answer), file=answers, flush=True)


def main() -> None:
    """Trains as often as it is told to, until its input ends."""
    with _told() as answer:
        worker = Worker(json.loads(sys.stdin.readline()))
        answer(worker.steps)
        for line in sys.stdin:
            answer(worker.fit(json.loads(line)))


if __name__ == "__main__":
    main()
