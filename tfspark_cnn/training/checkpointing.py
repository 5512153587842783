"""`fit` that saves its state, and goes on where a run before it was killed: at the step, with the rows that come next.

All nodes meet now and then, at steps that they count alike: the chief then says whether a checkpoint is due and when to
meet next, and the metrics of the epoch so far are summed. Only the chief copies and writes. At the beginning it reads,
and what it has read goes to all nodes as it was written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfspark_cnn.checkpoints.archive import Archive
from tfspark_cnn.checkpoints.options import Checkpoints, Schedule
from tfspark_cnn.checkpoints.retention import Metric
from tfspark_cnn.training import callback_state, keras_fit, model_state, together
from tfspark_cnn.training.resuming import History, Position, Session

log = logging.getLogger(__name__)

METRICS = "metrics"


class Checkpointing(keras.callbacks.Callback):
    """Saves and resumes calls of `fit`. It belongs behind all other callbacks; `ctx.callbacks` puts it there."""

    def __init__(
        self,
        session: Session,
        options: Checkpoints,
        *,
        others: Sequence[keras.callbacks.Callback] = (),
        starts_at: Callable[[int], None] = lambda step: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keeps what it works with.

        Args:
            session: of this process.
            options: when to save, and what to keep.
            others: callbacks whose memory belongs to a checkpoint.
            starts_at: told how many steps of the first epoch were trained before.
            clock: seconds that only grow.
        """
        super().__init__()
        keras_fit.install()
        self._session, self._options, self._others = session, options, tuple(others)
        self._starts_at, self._clock = starts_at, clock
        self._dataset: tuple[str, int] | None = None
        self._ended: tuple[int, Mapping[str, Any]] | None = None

    # --- beginning ---------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Goes on where a checkpoint says, if there is one."""
        session = self._session
        self._fit = session.begin_fit(self.model, self._options)
        self._history, self._is_whole, self._dataset = History(), True, None
        self._ended = None
        self._point = session.resume(self._fit, self.model)
        self._is_over = False
        first = 0
        if self._point is not None:
            first = self._go_on(self._point)
        epoch = self.model._initial_epoch or 0
        session.position = Position(self._fit, epoch, first, session.position.steps)
        self._starts_at(first)
        self._schedule = Schedule(self._options, now_s=self._clock(), step=session.position.steps)
        self._met = session.position.steps
        _, self._next = self._schedule.meet(self._met, now_s=self._clock())

    def _go_on(self, point: Archive) -> int:
        """Sets the epoch to begin with, and gives how many of its steps were trained."""
        self._is_whole = False
        target = Position(**point.meta["position"])
        self._is_over = target.fit > self._fit
        if self._is_over:
            self._point, self._history = None, self._session.histories[self._fit]
            self.model._initial_epoch = int(self.params["epochs"])
            return 0
        self._history = History(**point.meta["history"])
        self.model._initial_epoch = target.epoch
        if point.meta["own_dataset"] and target.step:
            keras_fit.skip_steps(target.step)
        return target.step

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Saves the epoch before, which all callbacks have seen now; in the first one, gives them back their memory."""
        self._save_epoch()
        position = self._session.position
        self._base, self._has_begun = position.step, False
        self._dataset = None
        point, self._point = self._point, None
        if point is not None:
            callback_state.restore(self._others, point.meta["callbacks"], point.arrays)
            if position.step:
                numbers = point.arrays[METRICS] if self._session.around.is_chief else None
                model_state.restore_metrics(self.model, numbers)

    # --- steps and epochs --------------------------------------------------------------------------------------------

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts, and meets the other nodes where that was agreed."""
        session, position = self._session, self._session.position
        if not self._has_begun:
            self._has_begun, self._dataset = True, session.around.last_begun()
        step = self._base + batch + 1
        session.position = Position(self._fit, position.epoch, step, position.steps + step - position.step)
        if session.position.steps >= self._met + self._next and self._meets():
            self._save(with_metrics=True)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remembers the epoch; it is saved when all callbacks have seen it, and added to its logs."""
        self._ended = epoch, {} if logs is None else logs
        self._session.position = Position(self._fit, epoch + 1, 0, self._session.position.steps)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Saves the end, and leaves the history of all attempts in the model."""
        self._save_epoch(last=True)
        self.model._initial_epoch = None
        if not self._is_whole:
            own = self.model.history = keras.callbacks.History()
            own.set_model(self.model)
            own.epoch, own.history = list(self._history.epoch), dict(self._history.history)
        if not self._is_over:
            self._session.histories.append(self._history)

    # --- saving ------------------------------------------------------------------------------------------------------

    def _save_epoch(self, *, last: bool = False) -> None:
        if self._ended is None:
            return
        (epoch, logs), self._ended = self._ended, None
        self._history.add(epoch, logs)
        values = {name: found[-1] for name, found in self._history.history.items() if name in logs}
        keeper = self._session.keeper(self._options)
        best = keeper.improves(self._options.metric(values)) if keeper else None
        if self._meets(last=last) or best is not None:
            self._save(best=best)

    def _meets(self, *, last: bool = False) -> bool:
        """Meets the other nodes, and gives whether the chief wants a checkpoint."""
        around, steps = self._session.around, self._session.position.steps
        due, following = self._schedule.meet(steps, now_s=self._clock())
        says = [float(due or last), float(following)] if around.is_chief else [0.0, 0.0]
        wanted, agreed, stops = together.sums(self.model.distribute_strategy, [*says, float(around.wants_stop())])
        self._met, self._next = steps, round(agreed)
        if stops and not self.model.stop_training:
            log.warning("training ends after step %d, as was asked for from outside", steps)
            self.model.stop_training = True
        return bool(wanted)

    def _save(self, *, with_metrics: bool = False, best: Metric | None = None) -> None:
        """Saves on the chief; with the metrics of an epoch that goes on, all nodes must be here."""
        arrays: dict[str, Any] = {}
        if with_metrics:
            strategy = self.model.distribute_strategy
            arrays[METRICS] = np.asarray(together.sums(strategy, list(model_state.metrics(self.model))))
        keeper = self._session.keeper(self._options)
        if keeper is None:
            return
        states, remembered = callback_state.capture(self._others)
        arrays |= remembered | model_state.weights(self.model)
        meta = self._session.meta(self._history, states, self._dataset)
        meta["identity"] = model_state.identity(self.model, **self._session.around.identity).to_json()
        keeper.submit(self._session.position.steps, arrays, meta, best=best)
