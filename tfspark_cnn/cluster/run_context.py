"""`ctx` of an independent run: a node alone, without rows that Spark feeds and without others to wait for."""

from __future__ import annotations

from typing import Any, NoReturn

from tfspark_cnn.cluster.context import NodeContext
from tfspark_cnn.cluster.link import Link
from tfspark_cnn.cluster.node_feeds import NodeFeeds
from tfspark_cnn.cluster.node_plan import NodePlan
from tfspark_cnn.cluster.ports import HeldPort
from tfspark_cnn.errors import ConfigError

_ROWS = "read files in map_fun, or pass what it needs in args; TFCluster.run feeds rows of Spark"
_OTHERS = "let each run do its own work; nodes that train one model together are TFCluster.run's"


class RunContext(NodeContext):
    """What map_fun is called with by `run_parallel`.

    As `NodeContext`, with these differences:

    Attributes:
        task_index: number of this run, from 0; also `executor_id` and `worker_num`.
        job_name: `run`.
        cluster_spec: empty.
        num_workers: how many runs there are.
        is_chief: True: each run writes checkpoints and logs of its own, into folders of its own.
        attempt: how often this run has begun, from 1; more than that only with `retries`.
        model_dir: `run-<number>` in the `model_dir` of `run_parallel`, or None.
        log_dir: likewise.
    """

    def __init__(self, plan: NodePlan, *, link: Link, feeds: NodeFeeds, held_port: HeldPort | None) -> None:
        super().__init__(plan, link=link, feeds=feeds, held_port=held_port)
        self.num_workers = plan.runs

    @property
    def num_epochs(self) -> int:
        """There is no `cluster.train` that would say.

        Raises:
            ConfigError: always; as all methods below.
        """
        self._refuse("ctx.num_epochs, which cluster.train sets", "pass the number of epochs in args")

    def dataset(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Spark feeds no rows to a run."""
        self._refuse("ctx.dataset, which needs rows that Spark feeds", _ROWS)

    def stream(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Spark feeds no rows to a run."""
        self._refuse("ctx.stream, which needs rows that Spark feeds", _ROWS)

    def get_data_feed(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Spark feeds no rows to a run."""
        self._refuse("ctx.get_data_feed, which needs rows that Spark feeds", _ROWS)

    def barrier(self) -> NoReturn:
        """A run knows nothing of others, which may not have begun."""
        self._refuse("ctx.barrier, which waits for others", _OTHERS)

    def parameter_servers(self, *args: Any, **kwargs: Any) -> NoReturn:
        """There are none."""
        self._refuse("ctx.parameter_servers, which needs ps nodes", _OTHERS)

    def evaluate_checkpoints(self, *args: Any, **kwargs: Any) -> NoReturn:
        """There is no chief that would write them."""
        self._refuse("ctx.evaluate_checkpoints, which needs a chief", _OTHERS)

    def _refuse(self, what: str, cure: str) -> NoReturn:
        raise ConfigError(
            f"map_fun used {what}; the runs of run_parallel are independent, {self.num_workers} of one node each",
            hint=cure,
        )
