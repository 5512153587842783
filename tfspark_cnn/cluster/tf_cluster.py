"""`TFCluster`: turns executors into a TensorFlow cluster, feeds it, and brings the results home."""

from __future__ import annotations

import contextlib
import logging
import secrets
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from types import TracebackType
from typing import Any, TypeVar

from tfspark_cnn.cluster import (
    ancestor_engine,
    application,
    cluster_arguments,
    engines,
    feed_data,
    map_fun_payload,
    restarts,
    slots,
    start_failure,
    streams,
    tensorboard_options,
    topology,
    watching,
)
from tfspark_cnn.cluster.attempts import Attempt, AttemptReport, Blueprint, driver_address
from tfspark_cnn.cluster.coordinator import Coordinator, addresses
from tfspark_cnn.cluster.feed_report import FeedReport
from tfspark_cnn.cluster.history import History
from tfspark_cnn.cluster.launcher import Launch
from tfspark_cnn.cluster.node_plan import Cache, RunOptions
from tfspark_cnn.cluster.step_report import StepReport
from tfspark_cnn.cluster.streams import MicroBatches, Streams
from tfspark_cnn.cluster.tensorboard_beside import TensorBoardBeside
from tfspark_cnn.cluster.tensorboard_options import TensorBoardLink, TensorBoardOptions
from tfspark_cnn.cluster.train_feeds import TrainCall, TrainFeeds
from tfspark_cnn.cluster.watching import Watching
from tfspark_cnn.errors import (
    ClusterError,
    ClusterStopped,
    ConfigError,
    TFSparkError,
)
from tfspark_cnn.events.schema import Event
from tfspark_cnn.feed.inference import Inference

log = logging.getLogger(__name__)

T = TypeVar("T")

QUEUES = ("input", "output", "error", "validation")
"""The queues a cluster has unless it is told others. `input` is the training feed."""

REPORTS_KEPT = 1000
"""A stream makes one with each micro-batch."""


class InputMode(IntEnum):
    """Where the rows come from: files that nodes read themselves, or Spark. TensorFlowOnSpark's values."""

    TENSORFLOW = 0
    SPARK = 1


class TFCluster:
    """A TensorFlow cluster on Spark executors. Made by `run`, not by its constructor.

    A context manager: leaving the block shuts the cluster down, leaving it by an exception cancels it.

    Example:
        >>> with TFCluster.run(spark, map_fun, args, 2, input_mode=InputMode.SPARK,      # doctest: +SKIP
        ...                    master_node="chief") as cluster:
        ...     cluster.train(df, num_epochs=3)
        ...     results = cluster.shutdown()
    """

    InputMode = InputMode

    def __init__(self, blueprint: Blueprint, *, watching: Watching, max_restarts: int = 0) -> None:
        self._watching = watching
        self._blueprint, self._spark, self._max_restarts = blueprint, blueprint.spark, max_restarts
        self._endings: list[restarts.Ending] = []
        self._attempts: list[AttemptReport] = []  # that have ended
        self._last: Attempt | None = None  # the one before
        self._calls: list[TrainCall] = []
        self._timings = {"start": 0.0, "feed": 0.0, "stop": 0.0}
        self._results: list[Any] | None = None
        self._stopped = False
        self._reports: deque[FeedReport] = deque(maxlen=REPORTS_KEPT)
        self._streams = Streams()
        self._once_only: str | None = None  # why the next attempt could not be fed the same
        self._tensorboard: TensorBoardBeside | None = None
        self._begin_attempt(1)

    def _begin_attempt(self, number: int) -> None:
        cause = restarts.cause(self._endings[-1].error) if self._endings else ""
        self._watching.recorder.begin_attempt(number, cause=cause)
        self._attempt = self._blueprint.attempt(number)
        self._feeds = TrainFeeds(self._attempt, reports=self._reports, timings=self._timings)
        self._started = False
        coordinator, launch = self._attempt.coordinator, self._attempt.launch
        self._finalizer = weakref.finalize(self, _end, coordinator, launch, self._watching)  # also at the program's end

    @property
    def _coordinator(self) -> Coordinator:
        return self._attempt.coordinator

    @property
    def _options(self) -> RunOptions:
        return self._attempt.options

    # --- run ---------------------------------------------------------------------------------------------------------

    @classmethod
    def run(
        cls,
        sc: Any,
        map_fun: Callable[[Any, Any], Any] | str,
        tf_args: Any,
        num_executors: int,
        num_ps: int = 0,
        tensorboard: bool | TensorBoardOptions = False,
        input_mode: int = InputMode.TENSORFLOW,
        log_dir: str | None = None,
        driver_ps_nodes: bool = False,
        master_node: str | None = None,
        reservation_timeout: float = 600,
        queues: Sequence[str] = QUEUES,
        eval_node: bool = False,
        release_port: bool = True,
        *,
        max_restarts: int = 0,
        model_dir: str | None = None,
        gpus_per_node: int | Mapping[str, int] | None = None,
        resource_profile: Any = None,
        cache: str = Cache.MEMORY,
        cache_bytes: int | None = None,
        seed: int = 0,
        node_env: Mapping[str, str] | None = None,
        engine: str = engines.Engine.NATIVE,
        progress: watching.Progress = watching.AUTO,
    ) -> TFCluster:
        """Reserves executors, starts a node on each, and returns when map_fun was entered on all.

        Args:
            sc: a SparkContext or SparkSession.
            map_fun: called once on every node as `map_fun(args, ctx)`; a picklable function, or
                `"package.module:function"`. Nodes of role ps serve variables instead.
            tf_args: what map_fun gets as `args`.
            num_executors: all nodes, of every role.
            num_ps: how many of them are parameter servers.
            tensorboard: whether to start TensorBoard on `log_dir`, on the driver; `TensorBoardOptions` say where it
                serves. It stays through restarts, and stops with the cluster; see `tensorboard_url`.
            input_mode: whether Spark feeds the nodes (`SPARK`) or they read files (`TENSORFLOW`).
            log_dir: where event files go.
            driver_ps_nodes: whether the ps run as processes on the driver's host, where they need no slots. Executors
                must reach it at `spark.driver.host`.
            master_node: `"chief"`, or None: the first worker leads.
            reservation_timeout: seconds within which all nodes must be up.
            queues: names of the feeds that there may be.
            eval_node: whether one of the nodes is an evaluator.
            release_port: whether the port reserved for TensorFlow is given up once TensorFlow has it; False: when
                map_fun calls `ctx.release_port()`.
            max_restarts: how often the whole cluster may begin anew after a node has died. Nodes then go on from the
                last checkpoint in `model_dir` (see `ctx.callbacks`), and are fed the same rows again. A failure that
                comes again and again without a newer checkpoint is raised before that.
            model_dir: where models and checkpoints go: a folder, or an URI that `pyarrow.fs` knows.
            gpus_per_node: GPUs of a chief or worker; or by role, as `{"worker": 2, "evaluator": 1}`. None: all that
                Spark assigned to the task. ps and evaluator get none unless named.
            resource_profile: a `pyspark.resource.ResourceProfile` for the nodes (stage-level scheduling).
            cache: where nodes keep rows for the later epochs: `"memory"`, up to `cache_bytes` and then in files under
                Spark's local directories; `"disk"`; or `"none"`: Spark computes `data` anew for each epoch, and feeders
                wait where nodes are slower. One dataset at a time can then read it. Validation rows are always kept.
            cache_bytes: bytes of rows that a node keeps in memory; None: a quarter of its host's memory, shared by the
                nodes there; with `cache="none"`, 256 MiB.
            seed: of shuffling.
            node_env: environment variables for the nodes' processes.
            engine: `"native"`, or `"tensorflowonspark"`: the same call on that package itself, for comparison; what
                only this one has is then an error. It gives a `cluster.ancestor_cluster.AncestorCluster`.
            progress: whether a live display shows epoch, step, metrics, speed, time left and a row for each node:
                `"auto"`: in notebooks; True: also in a terminal, and as lines where there is none. `show_progress`
                does so later. Whatever it is, events go into `log_dir` (`tfspark_cnn.events`).

        Raises:
            TopologyError: the numbers do not add up, or a role is unknown. Nothing was started; as below.
            SlotsError: Spark has too few slots for the nodes and a feeder, or dynamic allocation is on.
            MapFunError: map_fun cannot be pickled, or (from the node) does not exist.
            ReservationTimeout: some nodes did not come up in time.
            NodeError: a node failed meanwhile.
        """
        if engines.chosen(engine) is engines.Engine.TENSORFLOWONSPARK:
            theirs: TFCluster = ancestor_engine.run(locals())
            return theirs
        began = time.monotonic()
        spark = application.of_this_python(sc)
        plan = topology.plan(num_executors, num_ps=num_ps, master_node=master_node, eval_node=eval_node)
        gpu_counts = topology.gpu_counts(gpus_per_node)
        board = tensorboard_options.options_of(tensorboard)
        cluster_arguments.check(reservation_timeout=reservation_timeout, tensorboard=board, log_dir=log_dir)
        cluster_arguments.check_restarts(max_restarts, model_dir)
        watching.check(progress)
        payload = map_fun_payload.pickled(map_fun, tf_args)
        profile = resource_profile or application.gpu_profile(spark, gpu_counts if gpus_per_node is not None else {})
        on_driver = cluster_arguments.on_driver(plan) if driver_ps_nodes else ()
        options = RunOptions(
            run_id=f"tfspark-{secrets.token_hex(4)}",
            coordinator="",
            secret="",
            fed=_input_mode(input_mode) is InputMode.SPARK,
            queues=tuple(dict.fromkeys([*queues, "validation"])),
            log_dir=log_dir,
            model_dir=model_dir,
            default_fs=application.default_fs(spark),
            seed=seed,
            cache=cluster_arguments.cache_of(cache, cache_bytes),
            cache_bytes=cache_bytes,
            release_port=release_port,
            extra_env=dict(node_env or {}),
            likeness=map_fun_payload.likeness(map_fun),
        )
        needs: dict[str, Any] = {"nodes": len(plan) - len(on_driver), "feeders": int(options.fed), "profile": profile}
        with start_failure.examined(spark, **needs):
            slots.check(spark.sparkContext, **needs)
        blueprint = Blueprint(spark, plan, options, payload, gpu_counts, profile, on_driver, reservation_timeout)
        cluster = cls._watched(blueprint, progress=progress, max_restarts=max_restarts)
        with start_failure.examined(spark, **needs):
            cluster._start(board)
        cluster._timings["start"] = time.monotonic() - began
        return cluster

    @classmethod
    def _watched(cls, blueprint: Blueprint, *, progress: watching.Progress, max_restarts: int) -> TFCluster:
        """Makes a cluster whose events are recorded from the beginning."""
        watched = Watching.of(blueprint.options, blueprint.topology, progress=progress)
        with watched.ended_on_error():
            recorded = replace(blueprint, recorder=watched.recorder)
            return cls(recorded, watching=watched, max_restarts=max_restarts)

    def _start(self, board: TensorBoardOptions | None) -> None:
        """Brings TensorBoard and the nodes up, beside each other: either takes seconds."""
        with self._cancelled_on_error():
            self._begin_tensorboard(board)
        self._surviving(lambda: None)
        with self._cancelled_on_error():
            self._await_tensorboard()

    # --- attempts ----------------------------------------------------------------------------------------------------

    def attempts(self) -> list[AttemptReport]:
        """Gives what became of each attempt: what ended it, where it went on, and how long that took.

        Example:
            >>> print(*cluster.attempts(), sep="\\n")                      # doctest: +SKIP
            attempt 1: from the beginning; [worker:1] was ended by SIGKILL (exit 137) ... after 31.2 s
            attempt 2: from step 840, first step 14.9 s after the failure before it; well after 58.0 s
        """
        if len(self._attempts) == self._options.attempt:
            return list(self._attempts)
        return [*self._attempts, self._attempt.report(before=self._last)]

    def _surviving(self, action: Callable[[], T]) -> T:
        """Does what waits for nodes. When one dies, and may, lets the next attempt come as far, and does it again."""
        with self._cancelled_on_error():
            while True:
                try:
                    self._come_up()
                    return action()
                except TFSparkError as error:
                    self._end_attempt(error)

    def _come_up(self) -> None:
        if self._started:
            return
        self._attempt.start()
        for call in self._calls:
            self._feeds.send(call)
        self._started = True

    def _end_attempt(self, error: TFSparkError) -> None:
        """Begins the next attempt, or raises the error where there is none."""
        attempt = self._attempt
        self._endings.append(restarts.Ending(attempt.options.attempt, error, attempt.coordinator.state.saved_step))
        reason = self._why_no_restart()
        if reason:
            raise restarts.told(error, self._endings, reason)
        log.warning(
            "%s; attempt %d of at most %d begins",
            restarts.cause(error), len(self._endings) + 1, self._max_restarts + 1,
        )  # fmt: skip
        attempt.end(f"attempt {attempt.options.attempt} has failed")
        self._watching.recorder.blame(error.node, restarts.cause(error))
        self._attempts.append(attempt.report(error=error, before=self._last))
        self._finalizer.detach()
        self._last = attempt
        self._begin_attempt(attempt.options.attempt + 1)

    def _why_no_restart(self) -> str | None:
        if self._once_only and self._max_restarts and restarts.may_pass(self._endings[-1].error):
            return self._once_only
        return restarts.reason_to_stop(self._endings, max_restarts=self._max_restarts)

    # --- train -------------------------------------------------------------------------------------------------------

    def train(
        self,
        data: Any,
        num_epochs: int = 1,
        feed_timeout: float = 600,
        qname: str = "input",
        *,
        validation: Any = None,
    ) -> None:
        """Feeds data to the nodes, and returns when they have taken `num_epochs` epochs of it or have ended.

        Spark goes over the data once, and later epochs come from the nodes' memory or disks; with `cache="none"` it
        computes each epoch anew. When all nodes stop early, so does the Spark job.

        Args:
            data: a DataFrame, or an RDD of tuples, lists, dicts, Rows, NumPy arrays or single values (`feed.rows`). A
                DStream of such RDDs: `train` returns at once, and each RDD is fed as it comes, as by `foreach_batch`;
                what goes wrong is raised by `shutdown(ssc)`.
            num_epochs: how often each row is to be taken; 0: until every node has stopped asking.
            feed_timeout: seconds without any progress, of Spark or of a node, after which the cluster is given up.
            qname: the queue; `input` is what `ctx.dataset(name="train")` reads.
            validation: a DataFrame or RDD for `ctx.dataset(name="validation")`, fed before `data` and kept for all
                epochs.

        Raises:
            ConfigError: the cluster is not in InputMode.SPARK, or the arguments cannot be.
            EmptyFeedError: the data has no rows, or fewer than nodes train.
            FeedError: Spark could not compute the data.
            FeedTimeout: nothing moved for `feed_timeout` seconds.
            NodeError: a node failed. Errors of our own tree, as SchemaError, come as they were raised on the node.
        """
        if streams.is_dstream(data):
            self._register(data, num_epochs, feed_timeout, qname, validation)
            return
        self._check_train(data, num_epochs, qname)
        if validation is not None:
            with self._cancelled_on_error():
                self._check_train(validation, 0, "validation")
        self._send(TrainCall(data, num_epochs, feed_timeout, qname, validation))

    def _send(self, call: TrainCall) -> None:
        self._surviving(lambda: self._feeds.send(call))
        if self._max_restarts:
            self._calls.append(call)

    def foreach_batch(self, num_epochs: int = 1, feed_timeout: float = 600, qname: str = "input") -> MicroBatches:
        """Gives a function for `writeStream.foreachBatch`: each micro-batch becomes a `train` call.

        On the nodes, `ctx.stream` gives a dataset for each. A micro-batch with fewer rows than nodes is held over, and
        goes with the next one; what is held at the end is logged, and is the attribute `held`. A micro-batch is
        persisted while it is fed, unless it is already. Where a node that takes rows by `ctx.get_data_feed` has none
        left, and the others take none for a second, the next micro-batch is fed: they may be waiting for that node.

        A node that fails ends the query with its error, and so does a micro-batch that comes when all nodes have
        stopped asking, or the cluster is being shut down: call `query.stop()` first.

        Args:
            num_epochs: how often each row is to be taken, at least 1.
            feed_timeout: as in `train`, for each micro-batch.
            qname: the queue.

        Raises:
            ConfigError: the cluster is not in InputMode.SPARK, or the arguments cannot be.

        Example:
            >>> query = stream_df.writeStream.foreachBatch(cluster.foreach_batch()).start()      # doctest: +SKIP
        """
        self._check_fed(None, "foreach_batch", qname)
        self._check_epochs(num_epochs)
        self._once_only = "micro-batches of a stream cannot be sent again"

        def feed(data: Any) -> None:
            self._check_train(data, num_epochs, qname)
            self._send(TrainCall(data, num_epochs, feed_timeout, qname, None, streamed=True))

        return self._streams.open(
            feed,
            unwanted=lambda: self._unwanted(qname),
            nodes=len(self._coordinator.state.topology.data_nodes),
            num_epochs=num_epochs,
        )

    def _register(self, dstream: Any, num_epochs: int, feed_timeout: float, qname: str, validation: Any) -> None:
        if validation is not None:
            raise ConfigError(
                "train got a DStream and validation rows, expected these with a DataFrame or an RDD",
                hint="leave out validation",
            )
        self._streams.register(dstream, self.foreach_batch(num_epochs, feed_timeout, qname))

    def await_stream(self, ssc: Any, qname: str = "input") -> None:
        """Waits until a StreamingContext has ended, or no node takes rows of the queue any more; `shutdown(ssc)` next.

        What ended the stream, if it was an error, is raised by `shutdown`.
        """
        self._streams.await_end(
            ssc,
            ended=self._coordinator.wake,
            wait=lambda over: self._coordinator.wait(
                lambda state: over() or not self._feeds.asking(qname), timeout_s=None
            ),
        )

    def _unwanted(self, qname: str) -> str | None:
        """Says why no node will take a further feed, or gives None.

        Raises:
            NodeError: a node has failed since the last one.
        """
        if self._stopped:
            return "the cluster was stopped"
        with self._cancelled_on_error():
            self._raise_error()
        state = self._coordinator.state
        if qname in state.feeds.closed:
            return "the cluster is being shut down"
        return None if self._feeds.asking(qname) else f"no node asks for rows on {qname!r} any more"

    def _check_train(self, data: Any, num_epochs: int, qname: str) -> None:
        self._check_fed(data, "train", qname)
        streams.refuse_streaming(data)
        self._check_epochs(num_epochs)

    @staticmethod
    def _check_epochs(num_epochs: int) -> None:
        if isinstance(num_epochs, bool) or not isinstance(num_epochs, int) or num_epochs < 0:
            raise ConfigError(f"num_epochs is {num_epochs!r}, expected 0 or more", hint="0: as many as nodes ask for")

    def _check_fed(self, data: Any, method: str, qname: str) -> None:
        if self._stopped:
            raise ClusterStopped(f"{method} was called on a cluster that was stopped", hint="run a new one")
        if not self._options.fed:
            raise ConfigError(
                f"{method} was called in InputMode.TENSORFLOW, where nodes read files themselves",
                hint="run with input_mode=InputMode.SPARK",
            )
        if qname not in self._options.queues:
            known = ", ".join(self._options.queues)
            raise ConfigError(f"there is no queue {qname!r}: they are {known}", hint="name it in run(queues=...)")
        if data is not None:
            feed_data.check(data, method)

    # --- inference ---------------------------------------------------------------------------------------------------

    def inference(
        self, data: Any, feed_timeout: float = 600, qname: str = "input", *, result_type: Any = "array<float>"
    ) -> Any:
        """Gives what the nodes make of each row of an RDD or DataFrame: one result for each row, in order. Lazy.

        Each partition goes to one node, whose map_fun takes it by `next_batch` of
        `ctx.get_data_feed(train_mode=False)` and answers by `batch_results`. Partitions without rows contact nobody.
        Run actions on what this gives before `shutdown`.

        Args:
            data: an RDD or a DataFrame.
            feed_timeout: seconds without any progress of its node after which a partition is given up.
            qname: the queue: `qname_in` of `get_data_feed`.
            result_type: Spark type of the column `prediction`, as DDL or DataType; for a DataFrame only. Default: what
                a classifier gives, one number for each class.

        Returns:
            Of an RDD an RDD of the results; of a DataFrame its columns and `prediction`.

        Raises:
            ConfigError: the cluster is not in InputMode.SPARK, or the arguments cannot be. What goes wrong later is
                raised by Spark, from the action, with our message in it: a wrong number of results, a node that ended.

        Example:
            >>> cluster.inference(df.select("image"), result_type="bigint").show()      # doctest: +SKIP
        """
        self._check_fed(data, "inference", qname)
        self._once_only = "what inference gave belongs to the nodes of one attempt"
        if not feed_timeout > 0:
            raise ConfigError(f"feed_timeout is {feed_timeout!r} s, expected more than 0", hint="pass 600")
        inboxes = tuple(inbox for inbox in addresses(self._coordinator.state) if inbox is not None)
        return feed_data.infer(data, Inference(qname, inboxes, self._options.secret, feed_timeout), result_type)

    # --- shutdown ----------------------------------------------------------------------------------------------------

    def shutdown(self, ssc: Any = None, grace_secs: float = 0, timeout: float = 259200) -> list[Any]:
        """Waits until map_fun has returned on every node, ends the nodes, and gives what it returned.

        Args:
            ssc: a StreamingContext to stop first, when the rows it has received are fed.
            grace_secs: accepted for TensorFlowOnSpark's programs; nodes are waited for, so nobody needs to guess.
            timeout: seconds after which nodes that still work are stopped; -1: none.

        Returns:
            What map_fun returned, by node number; None for a ps.

        Raises:
            NodeError: a node failed.
            ClusterError: nodes still worked at the time limit.
            TFSparkError: a batch of a stream could not be fed.
        """
        if self._results is not None:
            return self._results
        if ssc is not None:  # also where a batch of it has ended the cluster
            ssc.stop(stopSparkContext=False, stopGraceFully=True)
        self._raise_stream_failure()
        if self._stopped:
            raise ClusterStopped("shutdown was called on a cluster that was cancelled", hint="run a new one")
        self._results = self._surviving(lambda: self._await_results(timeout))
        began = time.monotonic()
        self._close()
        self._timings["stop"] += time.monotonic() - began
        return self._results

    def _await_results(self, timeout: float) -> list[Any]:
        self._coordinator.act(lambda state: state.feeds.close(self._options.queues))
        returned = self._coordinator.wait(lambda s: not s.working(), timeout_s=None if timeout < 0 else timeout)
        self._raise_error()
        if not returned:
            working = ", ".join(self._coordinator.state.working())
            raise ClusterError(
                f"after {timeout:g} s map_fun still ran on {working}", hint="raise shutdown(timeout=...)"
            )
        began = time.monotonic()
        self._coordinator.wait_job(timeout_s=None)
        self._raise_error()
        self._timings["stop"] = time.monotonic() - began
        return [self._attempt.launch.result(node.number) for node in self._coordinator.state.topology]

    def cancel(self, reason: str = "the driver cancelled the cluster") -> None:
        """Ends all nodes at once. Harmless if the cluster has ended."""
        if self._stopped:
            return
        self._watching.cancelled(reason)
        self._attempt.end(reason)
        self._close()

    def __enter__(self) -> TFCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.cancel(f"the driver's block was left by {type(error).__name__}")
        elif not self._stopped:
            self.shutdown()
        else:
            self._raise_stream_failure()

    # --- looking at it -----------------------------------------------------------------------------------------------

    def tensorboard_url(self) -> TensorBoardLink | None:
        """Gives the URL of the TensorBoard started with the cluster, or None where none serves (any more).

        A text, which is shown as a link where it ends a cell of a notebook, or is printed by rich.
        """
        return self._tensorboard.url if self._tensorboard else None

    @property
    def run_id(self) -> str:
        """Names this run in logs and in Spark's job groups."""
        return self._options.run_id

    @property
    def default_fs(self) -> str:
        """Hadoop's default file system, as nodes are told it."""
        return self._options.default_fs

    @property
    def coordinator_address(self) -> tuple[str, int]:
        """Host and port by which nodes reach the driver."""
        host, _, port = self._coordinator.location.removeprefix("grpc://").rpartition(":")
        return host.strip("[]"), int(port)

    def nodes(self) -> list[dict[str, Any]]:
        """Gives where each node runs: `executor_id` (its number), `job_name`, `task_index`, `host` and `port`."""
        found = []
        for node in self._coordinator.state.topology:
            place = {"executor_id": node.number, "job_name": node.role.value, "task_index": node.index}
            reserved = self._coordinator.state.nodes[node.number].reserved
            host, port = (reserved.host, int(reserved.address.rpartition(":")[2])) if reserved else (None, None)
            found.append({**place, "host": host, "port": port})
        return found

    def timings(self) -> dict[str, float]:
        """Gives seconds: `start` until every map_fun was entered, `feed` until all rows were with the nodes, `stop`
        from the last map_fun's return until nothing was left."""
        return dict(self._timings)

    def feed_reports(self) -> list[FeedReport]:
        """Gives the figures of the last feeds that were taken: rows, bytes, who waited for whom, and what bound them.

        One for each `train` call, or with `cache="none"` for each of its epochs, whose `seconds` then end when Spark
        has sent it, while the nodes may still take it.

        Example:
            >>> print(cluster.feed_reports()[-1])                          # doctest: +SKIP
            input-1: 1,437 rows, 0.4 MiB from 4 partitions in 1.3 s, taken in 7.1 s; bound by the network being trained
              feeders: 0.9 s for Spark, 0.0 s dealing, 0.2 s sending
              chief:0: 719 rows, 0.2 MiB, 20 epochs, waited 0.4 s
              worker:0: 718 rows, 0.2 MiB, 20 epochs, waited 0.4 s
        """
        return list(self._reports)

    def history(self) -> History:
        """Gives what happened so far: metrics by epoch, pictures of them and of the run, and what bound it, in words.

        Example:
            >>> cluster.history().plot()                                   # doctest: +SKIP
            >>> print(cluster.history().verdict())                         # doctest: +SKIP
            input-bound: nodes stood still for rows 71% of the time ...
        """
        return History(self._watching.recorder.events())

    def show_progress(self, where: watching.Progress = True) -> None:
        """Shows the run live from here on, with what has happened before: in a cell, a terminal, or as lines.

        Args:
            where: as `progress` of `run`.

        Raises:
            ConfigError: it is none of these.
        """
        self._watching.show(where)

    def events_path(self) -> str | None:
        """Gives the file of events, or None without a local log_dir: `tfspark_cnn.events.read` reads it."""
        return self._watching.recorder.path

    def evaluations(self) -> list[dict[str, Any]]:
        """Gives what evaluators found: `step`, `checkpoint` (its name), `metrics`, and whether it was `best` yet."""
        return [
            {"step": one.step, "checkpoint": one.name, "metrics": one.metrics, "best": one.best}
            for one in self._coordinator.state.evaluations
        ]

    def step_report(self) -> StepReport:
        """Gives what each node's own part of a training step took so far, and which nodes are stragglers.

        In synchronous training all nodes take as long as the slowest. A node is a straggler when its own part, without
        the wait for the others' gradients, takes over three times the median of the others'; the log warns of it once.

        Example:
            >>> print(cluster.step_report())                               # doctest: +SKIP
            worker:1 is a straggler: 210 ms per step of its own, the others 20 ms
        """
        return self._coordinator.state.paces.report()

    def replaced_nodes(self) -> list[str]:
        """Says which workers' processes have died and were started again, and why; with parameter servers only."""
        state = self._coordinator.state
        return [f"{state.topology.nodes[one.node].name} ({one.host}) {one.message}" for one in state.replaced]

    @property
    def refused_calls(self) -> int:
        """How many calls strangers made: without the secret of the cluster, or with what no part of it sends.

        Those of the coordinator are counted at once, those of a node when its map_fun has returned.
        """
        return self._coordinator.refused

    def add_event_listener(self, listener: Callable[[Event], None]) -> None:
        """Calls `listener` with each `tfspark_cnn.events.Event`, those that have happened first, reports of steps too.

        It is called from background threads, and should return soon.
        """
        self._watching.recorder.watch(listener)

    def add_progress_listener(self, listener: Callable[[dict[str, Any]], None]) -> None:
        """Calls `listener` with each `ctx.report(...)` of a node, as a dict with its name under `node`.

        It is called from a background thread, and should return soon.
        """
        self._blueprint.listeners.append(listener)
        self._coordinator.add_listener(listener)

    # --- inner -------------------------------------------------------------------------------------------------------

    def _begin_tensorboard(self, options: TensorBoardOptions | None) -> None:
        """Starts it before the nodes, beside which it then comes up."""
        if options is not None and self._options.log_dir is not None:
            public, bind = driver_address(self._spark)
            self._tensorboard = TensorBoardBeside(self._options.log_dir, options, bind=bind, public=public)
            weakref.finalize(self, self._tensorboard.stop)

    def _await_tensorboard(self) -> None:
        if self._tensorboard is not None:
            self._tensorboard.await_up()

    def _raise_stream_failure(self) -> None:
        """Raises what went wrong in a thread of Spark's that feeds a stream, if nobody was told yet."""
        failure = self._streams.take_failure()
        if failure is not None:
            with self._cancelled_on_error():
                raise failure

    def _raise_error(self) -> None:
        self._attempt.raise_error()

    @contextlib.contextmanager
    def _cancelled_on_error(self) -> Any:
        """Leaves nothing running when the block fails, by an interrupt too; the first error stays the one raised."""
        try:
            yield
        except BaseException as error:
            if not self._stopped:
                self._watching.failed(error)
                self._cancel_quietly(error)
                self._attempts.append(self._attempt.report(error=error, before=self._last))
            raise

    def _cancel_quietly(self, error: BaseException) -> None:
        try:
            self.cancel(f"the driver met {type(error).__name__}")
        except Exception:  # clean-up never replaces the first error
            log.warning("could not end the cluster in good order", exc_info=True)

    def _close(self) -> None:
        self._stopped = True
        self._streams.close()
        self._calls.clear()
        if self._tensorboard is not None:
            self._tensorboard.stop()
        self._finalizer.detach()
        with contextlib.ExitStack() as stack:
            stack.callback(self._watching.end)  # what closing the attempt still brings is part of the run
            self._attempt.close()
        if self.refused_calls:
            log.warning(
                "%d calls to the coordinator or to nodes came without the secret of the cluster, or carried what no "
                "part of it sends; they were refused",
                self.refused_calls,
            )


def _input_mode(value: int) -> InputMode:
    try:
        return InputMode(value)
    except ValueError as error:
        raise ConfigError(f"input_mode is {value!r}, expected InputMode.SPARK or InputMode.TENSORFLOW") from error


def _end(coordinator: Coordinator, launch: Launch, watching: Watching) -> None:
    """Ends a cluster that nobody has shut down, when the program ends or the object is gone."""
    coordinator.abort("the driver's program has ended")
    coordinator.wait_job(timeout_s=2.0)
    coordinator.close()
    watching.cancelled("the driver's program has ended")
    watching.end()
