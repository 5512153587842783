"""The map_fun of the estimators: trains a network on the fed rows, and gives it to the driver.

It is sent by name, `"tfspark_cnn.training.network_job:run"`, so that the driver never imports TensorFlow.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from tfspark_cnn.ml.task import TrainingTask
from tfspark_cnn.training.supervised import Supervised, plain


def run(task: TrainingTask, ctx: Any) -> dict[str, Any] | None:
    """Trains the network of the task on this node's share of the rows.

    Returns:
        On the chief `network` (bytes of the `.keras` file), `history` (metric to its values by epoch), `fit_s`
        (seconds) and `weights` (how many); None on others.
    """
    keras.utils.set_random_seed(task.train.seed)  # the same on all nodes, which take the chief's initial values anyway
    if {"ps", "chief", "worker"} <= ctx.cluster_spec.keys():
        found: dict[str, Any] | None = ctx.parameter_servers(lambda servers: _run_asynchronously(task, servers))
        return found
    model = _supervised(task).compiled(ctx.strategy(precision=task.train.precision))
    fit_s, history = _timed(lambda: model.fit(
        _rows(task, ctx.dataset, "train"), epochs=task.train.epochs, verbose=0, callbacks=ctx.callbacks(),
        validation_data=_rows(task, ctx.dataset, "validation") if task.validated else None,
    ))  # fmt: skip
    return _trained(model, history, fit_s) if ctx.is_chief else None


def _run_asynchronously(task: TrainingTask, servers: Any) -> dict[str, Any]:
    model = _supervised(task).compiled(servers.strategy)
    validation = _rows(task, servers.dataset, "validation") if task.validated else None
    fit_s, history = _timed(lambda: servers.fit(
        model, _rows(task, servers.dataset, "train"), epochs=task.train.epochs, validation_data=validation
    ))  # fmt: skip
    return _trained(model, history, fit_s)


def _supervised(task: TrainingTask) -> Supervised:
    assert task.image.shape is not None and len(task.image.shape) == 3
    height, width, channels = task.image.shape
    return Supervised(task.model, task.train, (height, width, channels), classes=task.classes, steps=task.steps)


def _rows(task: TrainingTask, dataset: Callable[..., Any], name: str) -> Any:
    augment = _supervised(task).augment(training=name == "train")
    return dataset(task.image, task.label, batch_size=task.train.batch_size, name=name, augment=augment)


def _timed(fit: Callable[[], Any]) -> tuple[float, Any]:
    began = time.monotonic()
    history = fit()
    return time.monotonic() - began, history


def _trained(model: keras.Model, history: Any, fit_s: float) -> dict[str, Any]:
    return {
        "network": saved(model),
        "history": plain(history.history),
        "fit_s": fit_s,
        "weights": model.count_params(),
    }


def saved(model: keras.Model) -> bytes:
    """Gives the bytes of the `.keras` file of a network."""
    with tempfile.TemporaryDirectory(prefix="tfspark-network-") as folder:
        path = Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()
