"""The map_fun of the command line: trains a classifier on the fed rows.

It is sent by name, `"tfspark_cnn.training.job:run"`, so that the driver never imports TensorFlow.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt

from tfspark_cnn.data.task import ClassificationTask
from tfspark_cnn.errors import ConfigError, SchemaError
from tfspark_cnn.feed.columns import Encoding
from tfspark_cnn.feed.schema import Column
from tfspark_cnn.training import images
from tfspark_cnn.training.callbacks import ProgressReporter
from tfspark_cnn.training.parameter_server import ParameterServers
from tfspark_cnn.training.supervised import Supervised, plain

MODEL_FILE = "model.keras"
FILES_AT_ONCE = 64
ROWS_AT_ONCE = 1024  # bounds the memory of scoring; a step of the training is far smaller


class JobContext(Protocol):
    """What the job needs of the node's context."""

    is_chief: bool
    job_name: str
    task_index: int
    model_dir: str | None
    cluster_spec: Mapping[str, Any]

    def parameter_servers(self, train: Callable[[ParameterServers], Any]) -> Any:
        """Calls `train` on the chief, and takes its steps on workers."""

    def strategy(self, *, precision: str | None = None) -> Any:
        """Gives the strategy over all nodes."""

    def dataset(self, features: Any, label: Any = None, *, batch_size: int, augment: Any = None) -> Any:
        """Gives this node's share of the fed rows; each pass is an epoch."""

    def callbacks(self, *own: Any, images: int = 0, profile: str = "") -> list[Any]:
        """Gives the callbacks of this node."""


def run(task: ClassificationTask, ctx: JobContext) -> dict[str, Any] | None:
    """Trains the network of the task on this node's share of the rows.

    Args:
        task: the configuration and the held-out rows.
        ctx: of this node.

    Returns:
        `node`, `history` (metric to its values by epoch), `fit_s` (seconds), `images` (rows this node trained); on the
        chief also `model` (path of the saved network), `test_accuracy`, `test_rows`. With parameter servers the chief
        alone gives that, for all rows, and workers None.
    """
    # The same on all nodes: they must create the same variables, and take the chief's initial values anyway.
    keras.utils.set_random_seed(task.config.train.seed)
    if {"ps", "chief", "worker"} <= ctx.cluster_spec.keys():
        return ctx.parameter_servers(lambda servers: _run_asynchronously(task, ctx, servers))
    model = _supervised(task).compiled(ctx.strategy(precision=task.config.train.precision))
    rows = _rows(task, ctx.dataset)
    ours = ctx.callbacks(images=task.config.output.images, profile=task.config.output.profile)
    started_s = time.monotonic()
    history = model.fit(rows, epochs=task.config.train.epochs, callbacks=ours, verbose=0)
    result = {
        "node": f"{ctx.job_name}:{ctx.task_index}",
        "history": plain(history.history),
        "fit_s": time.monotonic() - started_s,
        "images": sum(one.images for one in ours if isinstance(one, ProgressReporter)),
    }
    return result | (_judged(model, task, ctx) if ctx.is_chief else {})


def _run_asynchronously(task: ClassificationTask, ctx: JobContext, servers: ParameterServers) -> dict[str, Any]:
    model = _supervised(task).compiled(servers.strategy)
    rows = _rows(task, servers.dataset)
    started_s = time.monotonic()
    history = servers.fit(model, rows, epochs=task.config.train.epochs)
    result = {
        "node": f"{ctx.job_name}:{ctx.task_index}",
        "history": plain(history.history),
        "fit_s": time.monotonic() - started_s,
        "images": servers.rows_trained,
    }
    return result | _judged(model, task, ctx)


def _supervised(task: ClassificationTask) -> Supervised:
    config = task.config
    return Supervised(config.model, config.train, task.image_shape, classes=task.classes, steps=task.steps)


def _rows(task: ClassificationTask, dataset: Callable[..., Any]) -> Any:
    image, size = column_of(task), task.config.train.batch_size
    return dataset(image, "label", batch_size=size, augment=_supervised(task).augment(training=True))


def column_of(task: ClassificationTask) -> Column:
    """Gives how column `image` is read: values as they are, files brought to one size and to values from 0 to 1."""
    if task.encoding == Encoding.RAW:
        return Column("image", shape=task.image_shape)
    return Column("image", shape=task.image_shape, encoding=task.encoding, resize="bilinear", scale=1 / 255)


def _judged(model: keras.Model, task: ClassificationTask, ctx: JobContext) -> dict[str, Any]:
    """Saves and evaluates on one node; what it calls must need no other node, or it would wait for ever."""
    path = _save(model, ctx.model_dir)
    # Read back, the network has plain variables, outside the strategy; and what is judged is what was saved.
    saved = keras.models.load_model(path, compile=False)
    accuracy = accuracy_of(saved, pixels(task), task.test_labels)
    return {"model": str(path), "test_accuracy": accuracy, "test_rows": len(task.test_labels)}


def _save(model: keras.Model, model_dir: str | None) -> Path:
    if not model_dir or "://" in model_dir:
        raise ConfigError(
            f"expected a local folder for the saved model, received model_dir={model_dir!r}",
            hint="pass model_dir, as [output] dir does",
        )
    folder = Path(model_dir)
    folder.mkdir(parents=True, exist_ok=True)
    # Under another name first: a run that is killed here leaves the model of the run before.
    partial = folder / f".partial-{MODEL_FILE}"
    model.save(partial)
    os.replace(partial, folder / MODEL_FILE)
    return folder / MODEL_FILE


def pixels(task: ClassificationTask) -> Iterator[npt.NDArray[np.float32]]:
    """Gives the held-out images in parts, as the network takes them: `float32[rows, height, width, channels]`.

    Raises:
        SchemaError: the bytes of one are no image.
    """
    at_once = ROWS_AT_ONCE if task.encoding == Encoding.RAW else FILES_AT_ONCE
    for start in range(0, len(task.test_labels), at_once):
        part = task.test_images[start : start + at_once]
        yield part if isinstance(part, np.ndarray) else np.stack([_decoded(one, column_of(task)) for one in part])


def _decoded(file: bytes, column: Column) -> npt.NDArray[np.float32]:
    wrong = images.why_not(file, column)
    if wrong:
        raise SchemaError(f"a held-out row of column {column.name!r}: {wrong[0]}", hint=wrong[1])
    found: npt.NDArray[np.float32] = images.cast(images.fitted(images.opened(file, column), column), column).numpy()
    return found


def accuracy_of(model: keras.Model, parts: Iterable[npt.NDArray[np.float32]], labels: npt.NDArray[np.int64]) -> float:
    """Gives the part of the rows that the network labels right, on this node alone.

    Args:
        model: built outside any strategy; gives `float32[rows, classes]`.
        parts: `float32[rows, height, width, channels]`, which together are all images.
        labels: `int64[rows]`.
    """
    found = np.concatenate([np.argmax(model(part, training=False), axis=-1) for part in parts])
    return int(np.sum(found == labels)) / len(labels)
