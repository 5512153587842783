"""What Keras tells while it trains: progress to the driver, event files for TensorBoard, files on the chief only.

Example:
    >>> model.fit(rows, callbacks=callbacks(ctx.report, is_chief=True, log_dir=None, rows_trained=lambda: 0))
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfspark_cnn.checkpoints.options import Checkpoints
from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.step_clock import StepClock
from tfspark_cnn.training.checkpointing import Checkpointing
from tfspark_cnn.training.pace import pace_of
from tfspark_cnn.training.resuming import Session

log = logging.getLogger(__name__)

REPORTS_PER_S = 5  # more than an eye follows, and each report costs a read of the loss and a message

# They write files, to one and the same path on every node; the chief's copy is enough and no two may race.
WRITERS = (
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.BackupAndRestore,
    keras.callbacks.CSVLogger,
    keras.callbacks.TensorBoard,
)


FILE_WORDS = frozenset(["file", "filename", "filepath", "path", "dir", "directory", "folder", "logdir"])
"""In names of attributes; what has one is taken for a reader or writer of files."""


class ProgressReporter(keras.callbacks.Callback):
    """Reports where `fit` is, about five times a second and at the end of each epoch.

    A report has `epoch`, `epochs`, `step`, `steps` (of an epoch, once it is known), `loss`, `metrics`, `images`,
    `skipped`, `seconds` (of the epoch), `epoch_end`, and of all steps but the first of each epoch `timed_steps`,
    `timed_s`, and `waited_s` of them without rows; on several nodes also `own_steps`, and `own_s` of them without
    waiting for the gradients of others. `first_waited_s` are those that the first steps had no rows.

    Metrics are read from their tensors only when they are reported, since reading makes Python wait for the step. At
    the end of an epoch they are the epoch's over all nodes; before, they are this node's own.

    Attributes:
        images: rows this node had trained at the last report.
    """

    def __init__(
        self,
        report: Callable[..., None],
        *,
        rows_trained: Callable[[], int],
        rows_skipped: Callable[[], int] = lambda: 0,
        step_clock: StepClock | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keeps the two ends.

        Args:
            report: takes the metrics by keyword; must neither block nor raise.
            rows_trained: gives how many rows this node has trained since the start.
            rows_skipped: gives how many rows it has left out, as their images cannot be decoded.
            step_clock: told of each step; knows how long the rows were waited for.
            clock: seconds that only grow.
        """
        super().__init__()
        self._report = report
        self._rows_trained, self._rows_skipped = rows_trained, rows_skipped
        self._step_clock = step_clock or StepClock()
        self._clock = clock
        self._due_s = clock()
        self._epoch = 0
        self._step = self._base = self._first = 0
        self._steps: int | None = None
        self._epoch_began_s = self._last_s = self._timed_from_s = self._waited_from_s = 0.0
        self._fresh = True
        self._own_before, self._starved_before_s = (0, 0.0), 0.0
        self._timed = (0, 0.0, 0.0)  # of the epochs before: steps, seconds, seconds without rows
        self.images = 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Lets what is measured of this fit begin here."""
        self._own_before, self._starved_before_s = self._own(), self._step_clock.starved_s
        self._timed, self._fresh = (0, 0.0, 0.0), True

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Starts the count of steps anew."""
        self._epoch, self._first, self._base = epoch + 1, self._base, 0
        self._step, self._fresh = self._first, True
        self._epoch_began_s = self._last_s = self._clock()
        self._step_clock.steps, self._step_clock.ended_s = self._step, self._last_s

    def starts_at(self, step: int) -> None:
        """Lets the steps of the first epoch count from those that were trained before."""
        self._base = step

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Reports if the last report is long enough ago."""
        self._last_s = now_s = self._clock()
        self._step = self._step_clock.steps = self._first + batch + 1
        self._step_clock.ended_s = now_s
        if self._fresh:
            self._fresh = False
            self._timed_from_s, self._waited_from_s = now_s, self._step_clock.starved_s
        if now_s >= self._due_s:
            self._send(logs, epoch_end=False)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Reports always, so that no epoch is missing in what the driver shows."""
        self._timed, self._steps = self._timed_so_far(), self._step or self._steps
        self._fresh = True
        self._send(logs, epoch_end=True)

    def _timed_so_far(self) -> tuple[int, float, float]:
        if self._fresh:
            return self._timed
        steps, seconds, waited_s = self._timed
        return (
            steps + max(0, self._step - self._first - 1),
            seconds + self._last_s - self._timed_from_s,
            waited_s + self._step_clock.starved_s - self._waited_from_s,
        )

    def _own(self) -> tuple[int, float]:
        strategy = getattr(self.model, "distribute_strategy", None)
        pace = None if strategy is None else pace_of(strategy)
        return pace.own if pace is not None else (0, 0.0)

    def _send(self, logs: Mapping[str, Any] | None, *, epoch_end: bool) -> None:
        self._due_s = self._clock() + 1 / REPORTS_PER_S
        self.images = self._rows_trained()
        metrics = _scalars(logs or {})
        steps, seconds, waited_s = self._timed_so_far()
        own = [now - before for now, before in zip(self._own(), self._own_before, strict=True)]
        self._report(
            epoch=self._epoch,
            epochs=int((self.params or {}).get("epochs") or self._epoch),
            step=self._step,
            steps=self._steps or (self.params or {}).get("steps"),
            loss=metrics.get("loss"),
            metrics=metrics,
            images=self.images,
            skipped=self._rows_skipped(),
            seconds=self._clock() - self._epoch_began_s,
            timed_steps=steps,
            timed_s=seconds,
            waited_s=waited_s,
            first_waited_s=max(0.0, self._step_clock.starved_s - self._starved_before_s - waited_s),
            own_steps=own[0],
            own_s=own[1],
            epoch_end=epoch_end,
        )


def _scalars(logs: Mapping[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in logs.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError):  # a metric of the user's own, as one number for each class
            continue
    return found


class TerminateTogetherOnNaN(keras.callbacks.TerminateOnNaN):
    """Stops `fit` on all nodes after the same step, when the loss of any of them is NaN or infinite.

    The loss that a callback sees in the middle of an epoch is its node's own. Keras' callback would stop one node and
    leave the others waiting for its gradients. This one lets all nodes say what they see: one number each a step.
    """

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stops where any node has a loss that is no number."""
        loss = (logs or {}).get("loss")
        if loss is None or not self._anywhere(not math.isfinite(float(loss))):
            return
        log.warning("step %d: the loss is NaN or infinite on some node, training ends on all", batch)
        self._terminated_on_nan = True
        self.model.stop_training = True

    def _anywhere(self, seen: bool) -> bool:
        strategy = self.model.distribute_strategy
        each = strategy.run(tf.constant, args=(float(seen),))
        return bool(strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None) > 0)


def _for_several_nodes(own: keras.callbacks.Callback) -> keras.callbacks.Callback:
    """Gives what a callback of the caller is where several nodes train.

    Raises:
        ConfigError: nodes would begin at different epochs.
    """
    if isinstance(own, keras.callbacks.BackupAndRestore):
        raise ConfigError(
            "BackupAndRestore would restore the chief alone, and the nodes would train different epochs",
            hint="pass TFCluster.run(model_dir=...): its checkpoints go on at the step, on all nodes",
        )
    if type(own) is keras.callbacks.TerminateOnNaN:
        return TerminateTogetherOnNaN()
    return own


def callbacks(
    report: Callable[..., None],
    *,
    is_chief: bool,
    log_dir: str | None,
    rows_trained: Callable[[], int],
    rows_skipped: Callable[[], int] = lambda: 0,
    own: Iterable[keras.callbacks.Callback] = (),
    node: str = "chief:0",
    step_clock: StepClock | None = None,
    num_workers: int = 1,
    session: Session | None = None,
    checkpoints: Checkpoints | None = None,
) -> list[keras.callbacks.Callback]:
    """Gives the callbacks for `fit` on one node: ours, and those of the caller that belong on it.

    Args:
        report: takes metrics by keyword and sends them to the driver without blocking.
        is_chief: whether this node writes files.
        log_dir: folder for event files, which go to its `chief-0`; None writes none.
        rows_trained: gives how many rows this node has trained since the start.
        rows_skipped: gives how many rows it has left out, as their images cannot be decoded.
        own: the caller's; those that write files are left out on all nodes but the chief.
        node: role and index of this node; names its folder of event files.
        step_clock: told of each step, so that waits for rows are known.
        num_workers: how many nodes train.
        session: of checkpoints; None: there are none.
        checkpoints: when to save, and what to keep.

    Raises:
        ConfigError: one of `own` would let the nodes train different epochs.
        CheckpointError: checkpoints cannot be written.
    """
    if session is not None:
        own = [one for one in own if not _is_in_vain(one)]
    if num_workers > 1:
        own = [_for_several_nodes(one) for one in own]
        _warn_of_files(own)
    kept = [one for one in own if is_chief or not isinstance(one, WRITERS)]
    progress = ProgressReporter(
        report, rows_trained=rows_trained, rows_skipped=rows_skipped, step_clock=step_clock
    )  # fmt: skip
    ours: list[keras.callbacks.Callback] = [progress]
    if is_chief and log_dir and not any(isinstance(one, keras.callbacks.TensorBoard) for one in kept):
        ours.append(_event_files(log_dir, node))
    if session is None or checkpoints is None:
        return [*ours, *kept]
    if session.will_resume(checkpoints):
        _go_on_writing(kept)
    return [*ours, *kept, Checkpointing(session, checkpoints, others=kept, starts_at=progress.starts_at)]


def _warn_of_files(own: Iterable[keras.callbacks.Callback]) -> None:
    """Warns of callbacks that seem to read or write a file, and do so on every node."""
    for one in own:
        if isinstance(one, WRITERS):
            continue
        found = {name: value for name, value in vars(one).items() if _names_a_file(name, value)}
        if found:
            name, value = next(iter(found.items()))
            log.warning(
                "%s has %s=%r and runs on every node; let it work on the chief alone (ctx.is_chief), or give each "
                "node a file of its own (ctx.executor_id)", type(one).__name__, name, str(value),
            )  # fmt: skip


def _names_a_file(name: str, value: object) -> bool:
    words = name.lower().strip("_").split("_")
    return isinstance(value, str | Path) and bool(str(value)) and any(word in FILE_WORDS for word in words)


def _is_in_vain(own: keras.callbacks.Callback) -> bool:
    if not isinstance(own, keras.callbacks.BackupAndRestore):
        return False
    log.info("BackupAndRestore is left out: the checkpoints in model_dir go on at the step, not at the epoch")
    return True


def _go_on_writing(own: Iterable[keras.callbacks.Callback]) -> None:
    """Lets the file that a callback has written before go on, instead of beginning anew."""
    for one in own:
        if isinstance(one, keras.callbacks.CSVLogger):
            one.append = True


def _event_files(log_dir: str, node: str) -> keras.callbacks.Callback:
    folder = str(Path(log_dir) / node.replace(":", "-")) if "://" not in log_dir else f"{log_dir}/{node}"
    # The graph and the profile would cost seconds of a run that takes ten.
    return keras.callbacks.TensorBoard(log_dir=folder, write_graph=False, update_freq="epoch", profile_batch=0)
