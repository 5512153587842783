"""Where a run that was killed goes on: what one process knows of it over all its calls of `fit`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import keras

from tfspark_cnn.checkpoints.archive import Archive, decode
from tfspark_cnn.checkpoints.identity import check_same, difference
from tfspark_cnn.checkpoints.keeper import Keeper
from tfspark_cnn.checkpoints.options import Checkpoints
from tfspark_cnn.training import keras_fit, model_state, together

Places = dict[str, dict[int, dict[str, Any]]]
"""By queue and number of a dataset: the `feed` it reads, the `passes` over it that have begun, the `step` of the next
one, and what is known of the rows: `totals` by node, `digest` of the first."""


@dataclass(frozen=True)
class Position:
    """Where training is.

    Attributes:
        fit: which call of `fit` on this node, from 0.
        epoch: of that call, from 0.
        step: steps of that epoch that were trained.
        steps: steps of all epochs of all calls.
    """

    fit: int = 0
    epoch: int = 0
    step: int = 0
    steps: int = 0


@dataclass
class History:
    """Epochs of a call of `fit`, and their values by metric: what Keras' History has."""

    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)

    def add(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Takes note of an epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))


@dataclass(frozen=True)
class Surroundings:
    """What checkpoints need of the node they are made on.

    Attributes:
        is_chief: whether it reads and writes.
        keeper: opens what writes.
        places: gives where the datasets over feeds are.
        last_begun: gives the dataset of which a pass was begun last, or None.
        resume: lets datasets go on at places, and gives those that have been made yet.
        identity: to what else than a model a checkpoint belongs.
        resumed: told where training goes on.
        wants_stop: tells whether somebody outside has asked for the end of training.
    """

    is_chief: bool
    keeper: Callable[[Checkpoints], Keeper]
    places: Callable[[], Places]
    last_begun: Callable[[], tuple[str, int] | None]
    resume: Callable[[Places], list[tuple[str, int]]]
    identity: Mapping[str, Any]
    resumed: Callable[[Position], None]
    wants_stop: Callable[[], bool] = lambda: False


class Session:
    """The calls of `fit` of one process.

    Attributes:
        around: the node.
        position: where training is.
        histories: of the calls that have ended.
    """

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.position = Position()
        self.histories: list[History] = []
        self._fits = itertools.count()
        self._keeper: Keeper | None = None
        self._point: Archive | None = None
        self._asked = False
        self._pending: Places = {}

    def keeper(self, options: Checkpoints) -> Keeper | None:
        """Gives what writes on the chief, None on the others.

        Raises:
            CheckpointError: `model_dir` cannot be written, or another run uses it.
        """
        if self.around.is_chief and self._keeper is None:
            self._keeper = self.around.keeper(options)
        return self._keeper

    def will_resume(self, options: Checkpoints) -> bool:
        """Tells the chief whether a checkpoint will be gone on from."""
        keeper = self.keeper(options)
        return keeper is not None and keeper.has_any()

    def begin_fit(self, model: keras.Model, options: Checkpoints) -> int:
        """Gives the number of a call of `fit`. At the first, all nodes learn from where to go on."""
        keeper = self.keeper(options)
        if not self._asked:
            self._asked = True
            found = together.from_chief(model.distribute_strategy, keeper.newest() if keeper else None)
            if found is not None:
                self._learn(decode(found))
        return next(self._fits)

    def _learn(self, point: Archive) -> None:
        self._point = point
        other = {} if self.around.is_chief else {"digest": None}  # the chief has written of its own first row
        places = point.meta["places"].items()
        self._pending = {queue: {int(n): one | other for n, one in of.items()} for queue, of in places}
        self.histories = [History(**one) for one in point.meta["histories"]]
        self.around.resumed(Position(**point.meta["position"]))

    def resume(self, fit: int, model: keras.Model) -> Archive | None:
        """Gives what a call of `fit` goes on from, and lets the datasets go on there; None: from its beginning.

        The model gets the weights of the checkpoint. A call before the one of the checkpoint had ended; its model gets
        them too, if it is the same.

        Raises:
            CheckpointError: the checkpoint is of another model or of other data.
        """
        point = self._point
        if point is None:
            return None
        keras_fit.build(model)
        now = model_state.identity(model, **self.around.identity).to_json()
        if fit == point.meta["position"]["fit"]:
            check_same(point.meta["identity"], now)
            self.position, self._point = Position(**point.meta["position"]), None
        if not difference(point.meta["identity"], now):
            model_state.restore(model, point.arrays)
        for queue, number in self.around.resume(self._pending):
            del self._pending[queue][number]
        return point

    def meta(self, history: History, states: Mapping[str, Any], dataset: tuple[str, int] | None) -> dict[str, Any]:
        """Gives what a checkpoint says beside the arrays.

        Args:
            history: of the present call.
            states: of the callbacks.
            dataset: that is being trained on; None: one of the user's own.
        """
        places = self.around.places()
        if dataset is not None and self.position.step:
            queue, number = dataset
            place = places[queue][number]
            place |= {"passes": place["passes"] - 1, "step": self.position.step}
        return {
            "position": asdict(self.position),
            "places": places,
            "own_dataset": dataset is None,
            "histories": [asdict(one) for one in self.histories],
            "history": asdict(history),
            "callbacks": dict(states),
        }
