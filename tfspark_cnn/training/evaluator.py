"""The evaluator: scores each checkpoint of a running training on one node, beside it.

Example:
    >>> load_checkpoint(model, "s3://bucket/digits", which="best")
    120
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

from tfspark_cnn.checkpoints.archive import Archive, decode
from tfspark_cnn.checkpoints.options import is_more_better
from tfspark_cnn.checkpoints.retention import Direction, Entry, is_better
from tfspark_cnn.checkpoints.store import CheckpointStore
from tfspark_cnn.errors import CheckpointError, ConfigError
from tfspark_cnn.training import model_state

log = logging.getLogger(__name__)


def load_checkpoint(model: keras.Model, model_dir: str, *, which: str | int = "newest") -> int:
    """Sets the weights of a model to those of a checkpoint, and gives its step.

    Args:
        model: as it was trained, built; its optimizer stays as it is.
        model_dir: that the run was given.
        which: `newest`, `best`, or a step.

    Raises:
        CheckpointError: there is none, it is damaged, or it is of another model.
    """
    store = CheckpointStore(model_dir)
    entry = _named(store, which)
    if entry is None:
        steps = sorted(one.step for one in store.entries())
        raise CheckpointError(
            f"expected the {which} checkpoint in {store.uri}, received none",
            hint=f"there are steps {steps}" if steps else "there are none at all: pass the model_dir of a run",
        )
    try:
        model_state.restore_weights(model, decode(store.read(entry)))
    except CheckpointError as error:
        raise CheckpointError(error.message, hint="build the model as the one that was trained") from error
    return entry.step


def _named(store: CheckpointStore, which: str | int) -> Entry | None:
    if which == "best":
        return store.best()
    found = store.entries()
    if which == "newest":
        return found[0] if found else None
    if isinstance(which, bool) or not isinstance(which, int):
        raise ConfigError(f"which is {which!r}, expected 'newest', 'best' or a step", hint="pass which='best'")
    return next((entry for entry in found if entry.step == which), None)


class Evaluator:
    """Scores checkpoints as they come.

    Args:
        model: compiled, with the metrics to score by; made outside of any strategy.
        store: where the checkpoints are.
        monitor: the metric by which the best is known.
        patience: training ends when so many in a row were no better than the best; None: never.
        tell: called with the entry, its metrics, whether it is the best, and whether training is to end.
        log_dir: of event files, or None.
    """

    def __init__(
        self,
        model: keras.Model,
        store: CheckpointStore,
        *,
        monitor: str,
        patience: int | None,
        tell: Callable[[Entry, dict[str, float], bool, bool], None],
        log_dir: str | None,
    ) -> None:
        self._model, self._store, self._monitor, self._patience, self._tell = model, store, monitor, patience, tell
        self._writer = tf.summary.create_file_writer(log_dir) if log_dir else None
        self._best: float | None = None
        self._since_best = 0

    def run(self, entries: Iterator[Entry], data: Any) -> list[dict[str, float]]:
        """Scores each checkpoint on a dataset, or on (x, y, sample weights); gives metrics and `step` of each."""
        found = []
        given = dict(zip(("x", "y", "sample_weight"), data if isinstance(data, tuple) else (data,), strict=False))
        for entry in entries:
            archive = self._read(entry)
            if archive is not None:
                model_state.restore_weights(self._model, archive)
                values = self._model.evaluate(**given, return_dict=True, verbose=0)
                found.append(self._judged(entry, {name: float(value) for name, value in values.items()}))
        if self._writer is not None:
            self._writer.close()
        return found

    def _read(self, entry: Entry) -> Archive | None:
        """Gives a checkpoint, or None where it has made room for newer ones already, or is damaged."""
        try:
            return decode(self._store.read(entry))
        except CheckpointError as error:
            log.warning("checkpoint %s is not scored: %s", entry.name, error.message)
            return None

    def _judged(self, entry: Entry, metrics: dict[str, float]) -> dict[str, float]:
        if self._monitor not in metrics:
            raise ConfigError(
                f"monitor is {self._monitor!r}, expected one of the model's metrics: {', '.join(metrics)}",
                hint=f"pass monitor={next(iter(metrics))!r}",
            )
        value = metrics[self._monitor]
        best = is_better(value, self._best, Direction.MAX if is_more_better(self._monitor) else Direction.MIN)
        self._best, self._since_best = (value, 0) if best else (self._best, self._since_best + 1)
        if best:
            self._store.mark_best(entry, self._monitor, value)
        self._tell(entry, metrics, best, self._patience is not None and self._since_best >= self._patience)
        self._write(entry.step, metrics)
        return {"step": entry.step, **metrics}

    def _write(self, step: int, metrics: Mapping[str, float]) -> None:
        if self._writer is None:
            return
        with self._writer.as_default(step=step):
            for name, value in metrics.items():
                tf.summary.scalar(f"evaluation_{name}_vs_iterations", value)
        self._writer.flush()
