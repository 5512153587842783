"""Checkpoints as a node has to do with them: the chief's hold on storage, and what the coordinator tells of them."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from tfspark_cnn import env
from tfspark_cnn.checkpoints.keeper import Keeper
from tfspark_cnn.checkpoints.options import Checkpoints
from tfspark_cnn.checkpoints.retention import Entry
from tfspark_cnn.checkpoints.store import entry_of
from tfspark_cnn.cluster.link import Link
from tfspark_cnn.cluster.messages import (
    CheckpointWritten,
    Evaluated,
    Resumed,
    Saved,
    StopTraining,
    TrainingOver,
)
from tfspark_cnn.cluster.node_feeds import NodeFeeds
from tfspark_cnn.cluster.node_plan import NodePlan
from tfspark_cnn.cluster.topology import Role

log = logging.getLogger(__name__)


class NodeCheckpoints:
    """What one node has to do with checkpoints, over all its calls of `fit`.

    Args:
        plan: of the node.
        link: to the coordinator.
        feeds: whose places belong to a checkpoint.
    """

    def __init__(self, plan: NodePlan, link: Link, feeds: NodeFeeds) -> None:
        self._plan, self._link, self._feeds = plan, link, feeds
        self._is_chief = plan.node.number == plan.topology.chief.number
        self._session: Any = None
        self._keeper: Keeper | None = None
        self._stops = threading.Event()
        self._written: queue.SimpleQueue[CheckpointWritten | None] = queue.SimpleQueue()  # a few bytes for each
        link.on(StopTraining, lambda message: self._stops.set())
        link.on(CheckpointWritten, self._written.put)
        self._over: Future[None] = Future()
        link.on(TrainingOver, lambda message: self._end_of_training())

    def session(self, checkpoints: Checkpoints | None) -> Any:
        """Gives the `training.resuming.Session` of this process, or None where no checkpoints are made."""
        if not self._plan.options.model_dir or checkpoints is None:
            return None
        if env.legacy_keras():
            log.warning("checkpoints are not made of models of Keras 2 (TF_USE_LEGACY_KERAS=1)")
            return None
        if self._session is None:
            self._session = self._new_session()
        return self._session

    def by_epochs(self) -> Callable[[Checkpoints], Any]:
        """Gives what opens checkpoints of asynchronous training, on the chief."""
        from tfspark_cnn.training.async_checkpoints import EpochCheckpoints

        return lambda checkpoints: EpochCheckpoints(self._open(checkpoints), checkpoints, resumed=self._resumed)

    def stops(self) -> bool:
        """Tells whether somebody has asked for the end of training."""
        return self._stops.is_set()

    def scored(self, entry: Entry, metrics: dict[str, float], best: bool, stop: bool) -> None:
        """Tells the coordinator what an evaluator has found."""
        self._link.send(Evaluated(self._link.node, entry.step, entry.name, metrics, best=best, stop=stop))

    def as_written(self) -> Iterator[Entry]:
        """Gives checkpoints as the chief writes them, until training has ended."""
        while (message := self._written.get()) is not None:  # from the coordinator; losing it ends this process
            yield entry_of(message.name)

    def when_training_ends(self, callback: Callable[[], None]) -> None:
        """Calls `callback`, on an evaluator, when chief and workers have returned; at once if they have."""
        self._over.add_done_callback(lambda _: callback())

    def _end_of_training(self) -> None:
        self._written.put(None)
        if not self._over.done():
            self._over.set_result(None)

    def flush(self) -> None:
        """Called when map_fun has returned: everything that it wanted to keep is written."""
        if self._keeper is not None:
            self._keeper.flush()

    def end(self) -> None:
        """Called when all nodes have returned: the run came to its end."""
        if self._keeper is not None:
            self._keeper.close(ended=True)

    def _new_session(self) -> Any:
        from tfspark_cnn.training.resuming import Session, Surroundings

        plan = self._plan
        return Session(
            Surroundings(
                is_chief=self._is_chief,
                keeper=self._open,
                places=self._feeds.places,
                last_begun=self._feeds.last_begun,
                resume=self._feeds.resume,
                identity={"num_workers": len(plan.topology.data_nodes), "seed": plan.options.seed},
                resumed=self._resumed,
                wants_stop=self.stops,
            )
        )

    def _resumed(self, at: Any) -> None:
        if self._is_chief:
            self._link.send(Resumed(self._link.node, at.steps, at.epoch))

    def _open(self, checkpoints: Checkpoints) -> Keeper:
        options = self._plan.options
        self._keeper = self._keeper or Keeper.open(
            str(options.model_dir),
            run=f"{options.run_id}-{options.attempt}",
            before=[f"{options.run_id}-{number}" for number in range(1, options.attempt)],
            address=options.coordinator.removeprefix("grpc://"),
            options=checkpoints,
            judges=all(node.role is not Role.EVALUATOR for node in self._plan.topology),
            written=self._tell_written,
        )
        return self._keeper

    def _tell_written(self, entry: Entry, meta: Mapping[str, Any]) -> None:
        metrics = {name: values[-1] for name, values in meta["history"]["history"].items()}
        self._link.send(Saved(self._link.node, entry.step, meta["position"]["epoch"], entry.name, metrics))
