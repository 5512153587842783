"""map_fun on a node of TensorFlowOnSpark: what of our `ctx` it can be given, and how it tells that it failed."""

from __future__ import annotations

import importlib
import socket
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfspark_cnn import env
from tfspark_cnn.cluster.ancestor_arguments import ENGINE, NATIVE
from tfspark_cnn.cluster.ancestor_errors import NodeFailed, keras_fit
from tfspark_cnn.cluster.topology import DATA_ROLES, Role
from tfspark_cnn.errors import ConfigError, TFSparkError

_CURES: Mapping[str, str] = {
    "dataset": "take rows by ctx.get_data_feed().next_batch(n)",
    "stream": "take rows by ctx.get_data_feed().next_batch(n)",
    "num_epochs": "pass it in tf_args",
    "callbacks": "pass callbacks of your own to fit",
    "report": "write what there is to tell to a file",
    "barrier": "let the collectives of a strategy wait",
    "parameter_servers": NATIVE,
    "evaluate_checkpoints": NATIVE,
}
"""Members of our `ctx` that it has no way to give, and what to do without them."""


class AncestorFeed:
    """The rows of a queue of its, by the interface of `feed.data_feed.DataFeed`.

    Args:
        feed: its DataFeed.
        input_mapping: `{column: tensor}`, or None for batches as lists of rows.
    """

    def __init__(self, feed: Any, input_mapping: Mapping[str, str] | None) -> None:
        self._feed = feed
        self._mapping = dict(sorted(input_mapping.items())) if input_mapping else {}
        self.input_tensors = list(self._mapping.values()) if input_mapping else None
        self.train_mode: bool = feed.train_mode

    @property
    def done_feeding(self) -> bool:
        """Whether no further row will come."""
        return bool(self._feed.should_stop())

    def next_batch(self, batch_size: int) -> Any:
        """Gives up to so many rows, or a dict of tensor name -> values; by name where rows have names, as ours."""
        rows = self._feed.next_batch(batch_size)
        if not self._mapping:
            return rows
        names = [(column, place) for place, column in enumerate(self._mapping)]
        columns = [[_value(row, column, place) for row in rows] for column, place in names]
        return dict(zip(self._mapping.values(), columns, strict=True))

    def should_stop(self) -> bool:
        """Tells whether no further row will come."""
        return self.done_feeding

    def batch_results(self, results: Iterable[Any]) -> None:
        """Takes the results of the rows of the last batch, one for each."""
        self._feed.batch_results(results)

    def terminate(self) -> None:
        """Says that no further row is wanted. Its feeder looks for that at the end of a partition."""
        self._feed.terminate()


def _value(row: Any, column: str, place: int) -> Any:
    return row[column] if hasattr(row, "__fields__") else row[place]


class AncestorContext:
    """What map_fun is called with: of `cluster.context.NodeContext` what it can be given, an error for all else.

    Args:
        theirs: its own context.
        queues: names of the feeds.
        log_dir: where event files go, or None.
    """

    def __init__(self, theirs: Any, *, queues: Sequence[str], log_dir: str | None) -> None:
        self.executor_id = self.worker_num = theirs.executor_id
        self.job_name, self.task_index = theirs.job_name, theirs.task_index
        self.cluster_spec, self.num_workers = theirs.cluster_spec, theirs.num_workers
        self.defaultFS, self.working_dir = theirs.defaultFS, theirs.working_dir
        leader = (Role.CHIEF.value if Role.CHIEF.value in self.cluster_spec else Role.WORKER.value, 0)
        self.is_chief = (self.job_name, self.task_index) == leader
        self.attempt, self.seed = 1, 0
        self.gpus = tuple(env.visible_gpus() or ())
        self.log_dir, self.model_dir = log_dir, None
        self._theirs, self._queues = theirs, tuple(queues)
        self._strategy: Any = None

    def __getattr__(self, name: str) -> Any:
        if name in _CURES:
            raise ConfigError(f"{ENGINE} has no ctx.{name}", hint=f"{_CURES[name]}; or run with engine='native'")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def strategy(self, **options: Any) -> Any:
        """Gives TensorFlow's own `MultiWorkerMirroredStrategy`, which takes none of our options and mends nothing.

        Raises:
            ConfigError: options were given, this node does not train, or it set no TF_CONFIG.
            ReplicaCountError: the strategy sees another number of replicas than the cluster has workers.
        """
        if options:
            raise ConfigError(f"{ENGINE} has no options of ctx.strategy, received {', '.join(options)}", hint=NATIVE)
        if self.job_name not in DATA_ROLES:
            raise ConfigError(
                f"{self.job_name}:{self.task_index} asked for a training strategy, which chief and workers have",
                hint="look at ctx.job_name first",
            )
        if self.num_workers > 1 and Role.CHIEF.value not in self.cluster_spec:
            raise ConfigError(
                f"{ENGINE} sets TF_CONFIG only with a chief: {self.num_workers} workers would train as many networks",
                hint="run with master_node='chief'",
            )
        if self._strategy is None:
            from tfspark_cnn.training.plain_strategy import plain

            self._strategy = plain(self.num_workers, gpus=len(self.gpus))
        return self._strategy

    def get_data_feed(
        self,
        train_mode: bool = True,
        qname_in: str = "input",
        qname_out: str = "output",
        input_mapping: Mapping[str, str] | None = None,
    ) -> AncestorFeed:
        """Gives the rows that Spark feeds to this node; as `NodeContext.get_data_feed`.

        Raises:
            ConfigError: there is no such queue.
        """
        for name in (qname_in, qname_out):
            if name not in self._queues:
                known = ", ".join(self._queues)
                raise ConfigError(f"there is no queue {name!r}: they are {known}", hint="name it in run(queues=...)")
        return AncestorFeed(self._theirs.get_data_feed(train_mode, qname_in, qname_out), input_mapping)

    def absolute_path(self, path: str) -> str:
        """Gives a path with its file system."""
        return str(self._theirs.absolute_path(path))

    def release_port(self) -> None:
        """Gives up the port that is held for TensorFlow; harmless where none is."""
        if self._theirs.tmp_socket is not None:
            self._theirs.release_port()


@dataclass(frozen=True)
class AncestorProgram:
    """What it calls on each of its nodes: map_fun with a context of ours, and a failure as text that the driver reads.

    Attributes:
        map_fun: of the user, or its name as `package.module:function`.
        args: what map_fun gets; what it was given itself is for GPUs alone.
        queues: names of the feeds.
        log_dir: where event files go, or None.
    """

    map_fun: Callable[[Any, Any], Any] | str
    args: Any
    queues: tuple[str, ...]
    log_dir: str | None

    def __call__(self, _: Any, theirs: Any) -> None:
        """Calls map_fun on this node. What it returns goes nowhere."""
        ctx = AncestorContext(theirs, queues=self.queues, log_dir=self.log_dir)
        try:
            self._found()(self.args, ctx)
        except (Exception, SystemExit) as error:
            if isinstance(error, SystemExit) and error.code in (None, 0):
                return
            raise RuntimeError(_failed(error, f"{ctx.job_name}:{ctx.task_index}").line()) from None

    def _found(self) -> Callable[[Any, Any], Any]:
        if not isinstance(self.map_fun, str):
            return self.map_fun
        module, _, function = self.map_fun.partition(":")
        found: Callable[[Any, Any], Any] = getattr(importlib.import_module(module), function)
        return found


def _failed(error: BaseException, node: str) -> NodeFailed:
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    told = keras_fit(str(error), files) or error
    hint = told.hint if isinstance(told, TFSparkError) else None
    message = told.message if isinstance(told, TFSparkError) else str(told)
    text = "".join(traceback.format_exception(error))
    return NodeFailed(node, socket.gethostname(), type(told).__name__, message, hint, text)
