"""The ancestor's side of `ancestor_training`. Imports nothing of our package.

Its programs train by legacy Keras, since Keras 3 does not run on several workers. What is fed is taken as in its
examples: by `next_batch` in a generator, 90 % of the steps that the rows make, and `terminate` then, because its nodes
do not get the same number of rows each.
"""

from __future__ import annotations

import contextlib
import ctypes
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tensorflowonspark import TFCluster

from bench.shared_nodes import POLL_S
from bench.shared_training import (
    BATCH_ROWS,
    EPOCHS,
    KILLED,
    KNOWN,
    SHAPE,
    Trained,
    Training,
    digits,
    left,
    middle,
    network,
    steps_of,
)
from bench.spark import NODES, application

PART_TAKEN = 0.9
PARTITIONS = NODES
PATIENCE_S = 600.0
_PR_SET_CHILD_SUBREAPER = 36
LIMIT_S = 20.0
"""So long its driver is given to notice a dead worker. By its default it feeds on for 600 s, four times."""


@dataclass(frozen=True)
class FitLegacy:
    """A map_fun of the ancestor's that trains the small CNN.

    Attributes:
        training: what a node needs.
    """

    training: Training

    def __call__(self, args: Any, ctx: Any) -> None:
        """Trains, scores the held-out rows on the chief, and ends the feed."""
        import tensorflow as tf
        import tf_keras

        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        with strategy.scope():
            model = network(tf_keras)
        feed = ctx.get_data_feed()
        model.fit(
            strategy.distribute_datasets_from_function(lambda _: self._dataset(feed)),
            epochs=EPOCHS,
            steps_per_epoch=steps_of(self.training.rows, nodes=ctx.num_workers, part=PART_TAKEN),
            callbacks=[self.training.callback(tf_keras, ctx.job_name)],
            verbose=0,
        )
        if ctx.job_name == "chief":
            self.training.score(tf_keras, model.get_weights())
        feed.terminate()

    @staticmethod
    def _dataset(feed: Any) -> Any:
        import tensorflow as tf

        def batches() -> Iterator[Any]:
            while not feed.should_stop():
                rows = feed.next_batch(BATCH_ROWS)
                if rows:
                    images, labels = zip(*rows, strict=True)
                    yield np.array(images, np.float32).reshape(-1, *SHAPE), np.array(labels, np.int64)

        signature = (tf.TensorSpec((None, *SHAPE), tf.float32), tf.TensorSpec((None,), tf.int64))
        options = tf.data.Options()
        options.experimental_optimization.inject_prefetch = False  # else it takes all rows long before they are needed
        return tf.data.Dataset.from_generator(batches, output_signature=signature).with_options(options)


@contextmanager
def _prepared(conf: Mapping[str, str], *, kill: bool) -> Iterator[tuple[Any, Any, Training]]:
    """Gives a fresh application, the rows as an RDD that Spark keeps, and the training."""
    (images, labels), held_out = digits()
    kill_at = middle(len(labels), nodes=NODES) if kill else None
    with tempfile.TemporaryDirectory(prefix="bench-training-") as folder, application(conf) as spark:
        rows = list(zip(images.tolist(), labels.tolist(), strict=True))
        data = spark.sparkContext.parallelize(rows, PARTITIONS).persist()
        assert data.count() == len(labels)
        yield spark.sparkContext, data, Training(Path(folder), len(labels), held_out, kill_at)


def _run(context: Any, training: Training) -> Any:
    return TFCluster.run(
        context, FitLegacy(training), {}, NODES, 0, input_mode=TFCluster.InputMode.SPARK, master_node="chief"
    )


def undisturbed(conf: Mapping[str, str]) -> Trained:
    """Trains from the call of `run` to the end of `shutdown`."""
    with _prepared(conf, kill=False) as (context, data, training):

        def live() -> None:
            cluster = _run(context, training)
            cluster.train(data, EPOCHS)
            _moment(training.directory, KNOWN)  # its shutdown ends a chief that is not done
            cluster.shutdown()

        return Trained.of(training.directory, live)


def killed(conf: Mapping[str, str]) -> dict[str, Any]:
    """Trains until a worker is killed, and waits for the driver's program to be told.

    Returns:
        `killed_s`, from the call of `run` until the kill; `told_s`, from then until `train` or
        `shutdown` raised or returned, or until they were given up; and `error`, what was raised, or None.
    """
    with _nothing_left(), _prepared(conf, kill=True) as (context, data, training):
        began = time.time()
        cluster = _run(context, training)
        told = _Told(lambda: (cluster.train(data, EPOCHS), cluster.shutdown(timeout=-1)))  # no alarm: it is a thread
        at = _moment(training.directory, KILLED)
        told.wait(at + LIMIT_S - time.time())
        return {"killed_s": at - began, "told_s": min(time.time() - at, LIMIT_S), "error": told.error}


class _Told:
    """A call in a thread of its own, and what it raised."""

    def __init__(self, call: Callable[[], object]) -> None:
        self.error: str | None = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # of many kinds, SystemExit is one; what it says is what counts
            lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
            self.error = next((line for line in lines if line.startswith("Exception:")), lines[0])

    def wait(self, seconds: float) -> None:
        self._thread.join(max(0.0, seconds))


def _moment(directory: Path, name: str) -> float:
    """Waits for what a node leaves, and gives when it did."""
    until = time.monotonic() + PATIENCE_S
    while not (directory / name).exists():
        if time.monotonic() > until:
            raise TimeoutError(f"no node has left {name!r} after {PATIENCE_S:g} s")
        time.sleep(POLL_S)
    return float(left(directory, name)["at"])


@contextmanager
def _nothing_left() -> Iterator[None]:
    """Ends what outlives the application: nobody stops a node whose peer is dead, nor its queues.

    Their parents are gone by then, so this process asks to become the parent of what its own children leave behind
    (https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html).
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        left_over = [one for one in psutil.Process().children(recursive=True) if _is_of_a_node(one)]
        for process in left_over:
            with contextlib.suppress(psutil.Error):  # it has just ended
                process.kill()
        psutil.wait_procs(left_over)


def _is_of_a_node(process: psutil.Process) -> bool:
    """Tells whether a process is a Python worker of Spark's, or was forked from one."""
    try:
        return "pyspark.daemon" in process.cmdline()
    except psutil.Error:  # it has just ended
        return False
