"""`TFCluster.run(engine="tensorflowonspark")`: the same call on TensorFlowOnSpark itself, to compare a program on both.

Its package is imported inside functions, when somebody asks for it: it imports TensorFlow, on the driver too.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any

from tfspark_cnn.cluster import (
    ancestor_arguments,
    application,
    cluster_arguments,
    feed_data,
    map_fun_payload,
    slots,
    streams,
    topology,
)
from tfspark_cnn.cluster.ancestor_arguments import ENGINE, NATIVE
from tfspark_cnn.cluster.ancestor_context import AncestorProgram
from tfspark_cnn.cluster.ancestor_errors import translated
from tfspark_cnn.errors import ClusterError, ClusterStopped, ConfigError, ReservationTimeout, TFSparkError

log = logging.getLogger(__name__)

INSTALL = "pip install tensorflowonspark 'setuptools<81', or: pip install 'tfspark_cnn[tensorflowonspark]'"

SPARK_FEEDS = 1
"""`InputMode.SPARK`, which is that of both."""

OURS_ALONE = (
    "add_progress_listener", "attempts", "await_stream", "cancel", "coordinator_address", "evaluations", "feed_reports",
    "foreach_batch", "refused_calls", "replaced_nodes", "step_report",
)  # fmt: skip
"""What of `TFCluster` it has not."""


def package() -> Any:
    """Imports its module `TFCluster`, and TensorFlow with it.

    Raises:
        ConfigError: it is not installed, or `pkg_resources` is not, which it needs.
    """
    root = logging.getLogger()
    quiet = logging.NullHandler()
    root.addHandler(quiet)  # with a handler there, the logging.basicConfig of its __init__ leaves the program's alone
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pkg_resources and of escapes in its texts
            from tensorflowonspark import TFCluster
    except ImportError as error:
        missing = "pkg_resources, which is in setuptools below 81" if error.name == "pkg_resources" else error.name
        raise ConfigError(f"{ENGINE} needs a package that is not here: {missing}", hint=INSTALL) from error
    finally:
        root.removeHandler(quiet)
    return TFCluster


class GuardedContext:
    """A SparkContext that is not stopped by a library: TensorFlowOnSpark does so where its nodes fail.

    Args:
        sc: the SparkContext.
    """

    def __init__(self, sc: Any) -> None:
        self._sc = sc

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sc, name)

    def stop(self) -> None:
        """Leaves the application as it is."""
        log.warning("%s wanted to stop the Spark application, which is not its own", ENGINE)


def run(given: Mapping[str, Any]) -> Any:
    """Starts a cluster of TensorFlowOnSpark.

    Args:
        given: the arguments of `TFCluster.run`, by name.

    Returns:
        An `AncestorCluster`.

    Raises:
        ConfigError: an argument is none of its, or the package is not installed.
        SlotsError: executors are not as it needs them.
        ReservationTimeout: some nodes did not come up in time.
        NodeError: a node failed meanwhile.
    """
    began, fed = time.monotonic(), given["input_mode"] == SPARK_FEEDS
    ancestor_arguments.check(given, fed=fed)
    nodes = topology.plan(given["num_executors"], master_node=given["master_node"], eval_node=given["eval_node"])
    cluster_arguments.check(**{name: given[name] for name in ("reservation_timeout", "tensorboard", "log_dir")})
    map_fun_payload.pickled(given["map_fun"], given["tf_args"])
    sc = application.session(given["sc"]).sparkContext
    application.use_this_python(sc)
    conf = dict(sc.getConf().getAll())
    slots.check_static(conf)
    misfit = ancestor_arguments.misfit(conf, sc.master, nodes=len(nodes), fed=fed)
    if misfit is not None:
        raise misfit
    theirs = package()
    cluster = AncestorCluster(theirs, _started(theirs, sc, given), fed=fed)
    cluster.took("start", began)
    return cluster


def _started(theirs: Any, sc: Any, given: Mapping[str, Any]) -> Any:
    queues = ancestor_arguments.queues(given["queues"])
    program = AncestorProgram(given["map_fun"], given["tf_args"], tuple(queues), given["log_dir"])
    gpus = {} if given["gpus_per_node"] is None else {"num_gpus": given["gpus_per_node"]}
    theirs.tf_status.clear()  # else an error of a cluster before is one of this
    passed = ("tensorboard", "input_mode", "log_dir", "master_node", "reservation_timeout", "eval_node", "release_port")
    try:
        return theirs.run(
            GuardedContext(sc),
            program,
            argparse.Namespace(**gpus),
            given["num_executors"],
            0,
            queues=queues,
            **{name: given[name] for name in passed},
        )
    except (Exception, SystemExit) as error:
        if "timed out waiting for reservations" in str(error):
            raise ReservationTimeout(
                f"{ENGINE}: after {given['reservation_timeout']:g} s not all nodes were up",
                hint="its job goes on waiting for executors: cancel it in the Spark UI, or stop the application",
            ) from error
        raise translated(error, status=theirs.tf_status.get("error")) from error


class AncestorCluster:
    """A running cluster of TensorFlowOnSpark, by the interface of our `TFCluster`. Made by `run`.

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
