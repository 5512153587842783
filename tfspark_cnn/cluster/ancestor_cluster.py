"""A running cluster of TensorFlowOnSpark, by the interface of our `TFCluster`."""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from tfspark_cnn.cluster import feed_data, streams
from tfspark_cnn.cluster.ancestor_arguments import ENGINE, NATIVE
from tfspark_cnn.cluster.ancestor_errors import translated
from tfspark_cnn.errors import ClusterError, ClusterStopped, ConfigError, TFSparkError

log = logging.getLogger(__name__)

OURS_ALONE = (
    "add_event_listener", "add_progress_listener", "attempts", "await_stream", "cancel", "coordinator_address",
    "evaluations", "events_path", "feed_reports", "foreach_batch", "history", "refused_calls", "replaced_nodes",
    "show_progress", "step_report",
)  # fmt: skip
"""What of `TFCluster` it has not."""


class AncestorCluster:
    """A running cluster of TensorFlowOnSpark, by the interface of our `TFCluster`. Made by `ancestor_engine.run`.

    Args:
        module: its module `TFCluster`.
        theirs: its cluster.
        fed: whether Spark feeds the nodes.

    Attributes:
        theirs: its own `TFCluster`.
        run_id: names this run.
    """

    def __init__(self, module: Any, theirs: Any, *, fed: bool) -> None:
        self.theirs, self.run_id = theirs, f"tensorflowonspark-{secrets.token_hex(4)}"
        self._module, self._fed, self._over = module, fed, False
        self._failure: TFSparkError | None = None
        self._timings = {"start": 0.0, "feed": 0.0, "stop": 0.0}

    def __getattr__(self, name: str) -> Any:
        if name in OURS_ALONE:
            raise ConfigError(f"{ENGINE} has no cluster.{name}", hint=NATIVE)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def train(
        self, data: Any, num_epochs: int = 1, feed_timeout: float = 600, qname: str = "input", *, validation: Any = None
    ) -> None:
        """Feeds data to the nodes row by row, in one Spark job, and returns when they have taken it.

        Args:
            data: an RDD, or a DataFrame, whose Rows are fed; or a DStream of RDDs: then it returns at once.
            num_epochs: how often, at least once.
            feed_timeout: seconds that a partition may take.
            qname: the queue.
            validation: None: it feeds no other rows meanwhile.

        Raises:
            ConfigError: the cluster is not fed by Spark, or the arguments cannot be.
            FeedTimeout: a partition was not taken in time.
            NodeError: a node failed; errors of our own tree come as they were raised there.
        """
        self._check(data, "train", qname)
        if validation is not None:
            raise ConfigError(f"{ENGINE} feeds no validation rows beside others", hint=NATIVE)
        if isinstance(num_epochs, bool) or not isinstance(num_epochs, int) or num_epochs < 1:
            raise ConfigError(f"{ENGINE} needs num_epochs of at least 1, received {num_epochs!r}", hint="pass a number")
        rows = data.rdd if hasattr(data, "mapInArrow") and hasattr(data, "rdd") else data
        began = time.monotonic()
        with self._translating():
            self.theirs.train(rows, num_epochs, feed_timeout=feed_timeout, qname=qname)
        self.took("feed", began)

    def inference(self, data: Any, feed_timeout: float = 600, qname: str = "input", *, result_type: Any = None) -> Any:
        """Gives the RDD of what the nodes make of each row of an RDD. Lazy; errors are Spark's, from the action.

        Raises:
            ConfigError: the cluster is not fed by Spark, data is no RDD, or a result_type was given.
        """
        self._check(data, "inference", qname)
        if result_type is not None or not feed_data.is_rdd(data):
            raise ConfigError(
                f"{ENGINE} makes an RDD of results of an RDD alone, received {type(data).__name__}"
                + (f" with result_type={result_type!r}" if result_type is not None else ""),
                hint="pass df.rdd without result_type; or run with engine='native'",
            )
        return self.theirs.inference(data, feed_timeout=feed_timeout, qname=qname)

    def shutdown(self, ssc: Any = None, grace_secs: float = 0, timeout: float = 259200) -> list[Any]:
        """Ends the cluster. It does not wait for map_fun in InputMode.SPARK: `grace_secs` is for what is to be written.

        Args:
            ssc: a StreamingContext, whose end is waited for; it ends when nodes have called `terminate`.
            grace_secs: seconds between the end of the feed and that of the cluster.
            timeout: seconds after which it is no longer waited for; -1: none.

        Returns:
            None for each node: it drops what map_fun returns.

        Raises:
            NodeError: a node failed, also after it had its last row.
            ClusterError: it had not ended at the time limit.
        """
        nothing = [None] * len(self.theirs.cluster_info)
        if self._failure is not None:
            raise self._failure
        if self._over:
            return nothing
        self._over, began = True, time.monotonic()
        with self._translating():
            # Its own limit is a SIGALRM, in the main thread alone, that is never taken back.
            _within(timeout, lambda: self.theirs.shutdown(ssc, grace_secs, timeout=-1))
        self.took("stop", began)
        return nothing

    def tensorboard_url(self) -> str | None:
        """Gives the URL of the TensorBoard on one of its executors, or None without one."""
        found = self.theirs.tensorboard_url()
        return None if found is None else str(found)

    def nodes(self) -> list[dict[str, Any]]:
        """Gives where each node runs: `executor_id` (its number), `job_name`, `task_index`, `host` and `port`."""
        names = ("executor_id", "job_name", "task_index", "host", "port")
        found = [{name: node[name] for name in names} for node in self.theirs.cluster_info]
        return sorted(found, key=lambda node: int(node["executor_id"]))

    @property
    def default_fs(self) -> str:
        """Hadoop's default file system, as nodes are told it."""
        return str(self.theirs.cluster_meta["default_fs"])

    def timings(self) -> dict[str, float]:
        """Gives seconds that `run`, all `train` calls, and `shutdown` took: `start`, `feed`, `stop`."""
        return dict(self._timings)

    def took(self, what: str, began_s: float) -> None:
        """Notes how long something took, that began at a time of `time.monotonic`."""
        self._timings[what] += time.monotonic() - began_s

    def __enter__(self) -> AncestorCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and not self._over:
            self.shutdown()
        elif not self._over:
            self._over = True
            self.theirs.server.stop()
            log.warning("%s has no way to end nodes: they may hold memory until the application ends", ENGINE)

    def _check(self, data: Any, method: str, qname: str) -> None:
        if self._over or self._failure is not None:
            raise ClusterStopped(f"{method} was called on a cluster that has ended", hint="run a new one")
        if not self._fed:
            raise ConfigError(
                f"{method} was called in InputMode.TENSORFLOW, where nodes read files themselves",
                hint="run with input_mode=InputMode.SPARK",
            )
        if qname not in self.theirs.queues:
            known = ", ".join(self.theirs.queues)
            raise ConfigError(f"there is no queue {qname!r}: they are {known}", hint="name it in run(queues=...)")
        if not streams.is_dstream(data):
            feed_data.check(data, method)

    @contextlib.contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            self._failure = translated(error, status=self._module.tf_status.get("error"))
            raise self._failure from error


def _within(timeout_s: float, action: Callable[[], None]) -> None:
    """Does something in a thread, and waits for so long; -1: for ever.

    Raises:
        ClusterError: it had not ended by then. Its thread goes on.
    """
    failures: list[BaseException] = []

    def act() -> None:
        try:
            action()
        except BaseException as error:  # raised below, in the thread that waits
            failures.append(error)

    thread = threading.Thread(target=act, name="tensorflowonspark-shutdown", daemon=True)
    thread.start()
    thread.join(None if timeout_s < 0 else timeout_s)
    if thread.is_alive():
        raise ClusterError(
            f"{ENGINE} had not ended after {timeout_s:g} s, and has no way to end its nodes",
            hint="stop the Spark application, or raise shutdown(timeout=...)",
        )
    if failures:
        raise failures[0]
