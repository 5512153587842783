"""Checkpoints of training with parameter servers: by epochs, as steps have no order that could be gone on with.

The chief reads the variables from the ps nodes at the end of an epoch, when no step is under way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import keras
import numpy as np

from tfspark_cnn.checkpoints.archive import decode
from tfspark_cnn.checkpoints.identity import check_same
from tfspark_cnn.checkpoints.keeper import Keeper
from tfspark_cnn.checkpoints.options import Checkpoints, Schedule
from tfspark_cnn.training import model_state
from tfspark_cnn.training.resuming import History, Position


class EpochCheckpoints:
    """What one call of `fit` saves, and goes on from.

    Args:
        keeper: the chief's hold on storage.
        options: when to save.
        resumed: told where training goes on.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        keeper: Keeper,
        options: Checkpoints,
        *,
        resumed: Callable[[Position], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keeper, self._options, self._resumed, self._clock = keeper, options, resumed, clock
        self._history = History()
        self._schedule = Schedule(options, now_s=clock(), step=0)
        body = keeper.newest()
        self._point = None if body is None else decode(body)

    def epochs_done(self) -> int:
        """Gives the epochs of the newest checkpoint; 0 if there is none."""
        return Position(**self._point.meta["position"]).epoch if self._point else 0

    def resume(self, model: Any) -> None:
        """Sets a model, which is built, to what the newest checkpoint holds, if there is one.

        Raises:
            CheckpointError: it is of another model.
        """
        point, self._point = self._point, None
        if point is None:
            return
        check_same(point.meta["identity"], model_state.identity(model).to_json())
        model_state.restore(model, point.arrays)
        position = Position(**point.meta["position"])
        self._history = History(**point.meta["history"])
        self._schedule = Schedule(self._options, now_s=self._clock(), step=position.steps)
        self._resumed(position)

    def complete_history(self, model: Any) -> None:
        """Leaves the history of all attempts in a model."""
        own = model.history = keras.callbacks.History()
        own.set_model(model)
        own.epoch, own.history = list(self._history.epoch), dict(self._history.history)

    def epoch_ended(self, model: Any, epoch: int, logs: Mapping[str, float], *, last: bool) -> None:
        """Saves where a checkpoint is due, the epoch is the best so far, or training is over."""
        self._history.add(epoch, logs)
        steps = int(model.optimizer.iterations.numpy())
        best = self._keeper.improves(self._options.metric(dict(logs)))
        due, _ = self._schedule.meet(steps, now_s=self._clock())
        if not (due or last or best):
            return
        meta = {
            "position": asdict(Position(epoch=epoch + 1, steps=steps)),
            "history": asdict(self._history),
            "identity": model_state.identity(model).to_json(),
        }
        variables = model_state.named(model)
        self._keeper.submit(steps, {name: np.array(one.numpy()) for name, one in variables.items()}, meta, best=best)
