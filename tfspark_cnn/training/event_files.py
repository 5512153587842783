"""What the chief writes for TensorBoard: Keras' own callback, with steps at a bounded rate, and images of a batch.

Keras writes metrics by epoch, the learning rate, and the trace of TensorFlow's profiler. The graph is that of the
layers alone: the one of all operations takes seconds of a run that takes ten.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfspark_cnn.cluster.event_options import EventOptions, next_point_s
from tfspark_cnn.training.layer_graph import layer_graph
from tfspark_cnn.training.sample_images import FirstBatch

log = logging.getLogger(__name__)

IMAGES = "first_batch"


class EventFiles(keras.callbacks.TensorBoard):
    """Writes metrics by epoch as Keras does (`epoch_loss`), and this node's own by step (`batch_loss`).

    Steps count over all epochs and calls of `fit`, also when a run goes on after one that was killed.
    """

    def __init__(
        self,
        folder: str,
        options: EventOptions = EventOptions(),  # noqa: B008  # frozen
        *,
        first: FirstBatch | None = None,
        steps_before: Callable[[], int] = lambda: 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keeps what it works with.

        Args:
            folder: for `train` and `validation`.
            options: what is written besides scalars.
            first: where the images are.
            steps_before: gives how many steps were trained before the one that has just been.
            clock: seconds that only grow.
        """
        super().__init__(folder, write_graph=False, update_freq="epoch", profile_batch=options.profile or 0)
        self._options, self._first, self._steps_before, self._clock = options, first, steps_before, clock
        if first is not None:
            first.wanted = options.images

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the graph of the layers."""
        super().on_train_begin(logs)
        graph = layer_graph(self.model)
        if graph is not None:
            with self._train_writer.as_default(step=0):
                tf.summary.graph(graph)
        self._began_s = self._due_s = self._point_s = self._clock()
        self._before: int | None = None  # steps before this call's first
        self._point = self._ended = self._in_epoch = 0  # steps of this call

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts on."""
        super().on_epoch_begin(epoch, logs)
        self._ended, self._in_epoch = self._ended + self._in_epoch, 0

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the metrics of a step, if the last ones are long enough ago."""
        super().on_train_batch_end(batch, None)  # Keras would call for each metric of each step
        self._in_epoch = batch + 1
        if self._before is None:
            self._before = self._steps_before()
            self._write_images(self._before + 1)
        now_s = self._clock()
        if now_s >= self._due_s:
            self._write_point(now_s, logs or {})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Writes the epoch, where TensorBoard sees it at once."""
        super().on_epoch_end(epoch, logs)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Closes the files, and says what they lack of what was asked for."""
        missed = self._options.profile and self._global_train_batch < self._options.profile[0]
        if missed and self._global_train_batch:
            log.warning("no trace was written: it was to begin at step %d of %d", self._start_batch, self._ended)
        super().on_train_end(logs)

    # Keras would write a graph of all operations with the trace, which is empty for a step that was traced before.

    def _start_trace(self) -> None:
        self._start_profiler(logdir=self._train_dir)
        self._is_tracing = True

    def _stop_trace(self, batch: int | None = None) -> None:
        self._stop_profiler()
        self._is_tracing = False

    def _write_point(self, now_s: float, logs: Mapping[str, Any]) -> None:
        step = self._ended + self._in_epoch
        values = {f"batch_{name}": float(value) for name, value in logs.items() if not np.ndim(value)}
        if now_s > self._point_s and step > self._point > 0:
            values["batch_steps_per_second"] = (step - self._point) / (now_s - self._point_s)
        with self._train_writer.as_default(step=(self._before or 0) + step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._train_writer.flush()
        self._point, self._point_s, self._due_s = step, now_s, next_point_s(self._began_s, now_s)

    def _write_images(self, step: int) -> None:
        if self._first is None or not self._first.wanted:
            return
        images = self._first.take()
        if images is None:
            log.warning("no images were written: the batches are not of ctx.dataset, or have no images")
            return
        with self._train_writer.as_default(step=step):
            tf.summary.image(IMAGES, images, max_outputs=len(images))
