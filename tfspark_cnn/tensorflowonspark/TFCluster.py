"""`TFCluster.run`: TensorFlowOnSpark's way to start a cluster, feed it and end it, over `tfspark_cnn.TFCluster`.

Reference: `tensorflowonspark/TFCluster.py`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

from tfspark_cnn.cluster import streams, tf_cluster, topology
from tfspark_cnn.cluster.tf_cluster import InputMode
from tfspark_cnn.cluster.topology import Role
from tfspark_cnn.errors import ClusterStopped, TFSparkError
from tfspark_cnn.tensorflowonspark.program import Program, chief_of, gpus_of
from tfspark_cnn.tensorflowonspark.TFSparkNode import MASTER

__all__ = ["InputMode", "TFCluster", "run", "tf_status"]

log = logging.getLogger(__name__)

QUEUES = ("input", "output", "error")

EPOCHS = 10
"""What `num_epochs=0` means."""

tf_status: dict[str, str] = {}
"""Kept for programs that clear it. Nothing is ever in it: an error is raised once, where it belongs."""


class TFCluster:
    """A running cluster. Made by `run`.

    A context manager: leaving the block shuts the cluster down, leaving it by an exception cancels it.

    Attributes:
        sc: what `run` was given.
        native: the `tfspark_cnn.TFCluster` behind it, with its reports, timings and streams.
        defaultFS: Hadoop's default file system.
        working_dir: the folder that this program was started in.
        num_executors: all nodes.
        nodeRDD: the numbers of the nodes that are Spark tasks, a partition each.
        cluster_id: names the run.
        cluster_meta: `id`, `cluster_template`, `num_executors`, `default_fs`, `working_dir`, `server_addr` and
            `release_port`.
        input_mode: where the rows come from.
        queues: names of the feeds.
        server: None: nobody but its nodes can talk to this cluster.
    """

    sc: Any = None
    defaultFS: str | None = None
    working_dir: str | None = None
    num_executors: int | None = None
    nodeRDD: Any = None
    cluster_id: str | None = None
    cluster_meta: Mapping[str, Any] | None = None
    input_mode: InputMode | None = None
    queues: Sequence[str] | None = None
    server: None = None

    def __init__(self, native: tf_cluster.TFCluster) -> None:
        self.native = native
        self._stream_queue = "input"
        self._failure: TFSparkError | None = None  # that `train` has raised

    @property
    def cluster_info(self) -> list[dict[str, Any]]:
        """Where each node runs: `executor_id`, `host`, `job_name`, `task_index`, `port`, `tb_pid`, `tb_port`, `addr`
        and `authkey`. The last four belong to processes that there are not: 0 and None. TensorBoard runs beside the
        driver; see `tensorboard_url`.
        """
        leader = _leader(self.cluster_meta)
        absent = {"tb_pid": 0, "tb_port": 0, "addr": None, "authkey": None}
        return [{**node, "job_name": _called(node["job_name"], leader), **absent} for node in self.native.nodes()]

    def train(self, dataRDD: Any, num_epochs: int = 0, feed_timeout: float = 600, qname: str = "input") -> None:
        """Feeds data to the nodes, and returns when they have taken all epochs of it, or all have said `terminate`.

        Args:
            dataRDD: an RDD, a DataFrame, or a DStream, of which each RDD is fed once; then it returns at once.
            num_epochs: how often each row is fed; 0: ten times.
            feed_timeout: seconds without any progress after which the cluster is given up.
            qname: the queue.

        Raises:
            ConfigError: the cluster is not in InputMode.SPARK, or the arguments cannot be.
            NodeError: a node failed.
            FeedTimeout: nothing moved for `feed_timeout` seconds.
        """
        if streams.is_dstream(dataRDD):
            self._stream_queue, num_epochs = qname, 1
        try:
            self.native.train(dataRDD, num_epochs or EPOCHS, feed_timeout, qname)
        except TFSparkError as error:
            self._failure = error
            raise

    def inference(self, dataRDD: Any, feed_timeout: float = 600, qname: str = "input") -> Any:
        """Gives what the nodes make of each row: an RDD of one result for each, in order. Lazy.

        Args:
            dataRDD: an RDD; of a DataFrame, its columns and `prediction` are given.
            feed_timeout: seconds without any progress after which a partition is given up.
            qname: the queue.

        Raises:
            ConfigError: the cluster is not in InputMode.SPARK, or the arguments cannot be.
        """
        return self.native.inference(dataRDD, feed_timeout, qname)

    def shutdown(self, ssc: Any = None, grace_secs: float = 0, timeout: float = 259200) -> None:
        """Waits until map_fun has returned on all nodes but ps and evaluators, and ends the cluster.

        Args:
            ssc: a StreamingContext: waits for its end, or until nodes want no more rows, and stops it.
            grace_secs: kept for programs that give time for an export: map_fun is waited for, however long it takes.
            timeout: seconds after which nodes that still work are ended; 0 or less: none.

        Raises:
            NodeError: a node failed, also after it had its last row. What `train` has raised is raised again.
            ClusterError: nodes still worked at the time limit.
        """
        if ssc is not None:
            self.native.await_stream(ssc, self._stream_queue)
        try:
            self.native.shutdown(ssc, grace_secs, timeout if timeout > 0 else -1)
        except ClusterStopped as stopped:  # by what `train` has raised: that is what the program should end with
            raise self._failure or stopped from None

    def tensorboard_url(self) -> str | None:
        """Gives the URL of the TensorBoard started with the cluster, or None without one."""
        return self.native.tensorboard_url()

    def __enter__(self) -> TFCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.native.__exit__(kind, error, trace)


def run(
    sc: Any,
    map_fun: Callable[[Any, Any], Any],
    tf_args: Any,
    num_executors: int,
    num_ps: int = 0,
    tensorboard: bool = False,
    input_mode: int = InputMode.TENSORFLOW,
    log_dir: str | None = None,
    driver_ps_nodes: bool = False,
    master_node: str | None = None,
    reservation_timeout: float = 600,
    queues: Sequence[str] = QUEUES,
    eval_node: bool = False,
    release_port: bool = True,
) -> TFCluster:
    """Starts a node on each of `num_executors` executors, and returns when map_fun was entered on all.

    Nodes keep their slots, and with `InputMode.SPARK` one more is needed to feed them.

    Args:
        sc: a SparkContext.
        map_fun: called once on every node as `map_fun(tf_args, ctx)`; ps nodes serve variables instead.
        tf_args: an `argparse.Namespace`, a dict, or a list, which becomes `sys.argv` on the nodes. `num_gpus` in the
            first two is how many GPUs a node gets.
        num_executors: all nodes, of every role: ps, then master_node, then the evaluator, then workers.
        num_ps: how many of them are parameter servers.
        tensorboard: whether to start TensorBoard, beside the driver.
        input_mode: whether Spark feeds the nodes or they read files.
        log_dir: where event files go; with `tensorboard` by default a folder in that of this program.
        driver_ps_nodes: whether the ps run on the driver's host.
        master_node: `"chief"` or `"master"`, or None: the first worker leads.
        reservation_timeout: seconds within which all nodes must be up.
        queues: names of the feeds that there may be.
        eval_node: whether one of the nodes is an evaluator, which is ended when nobody trains any more.
        release_port: whether TensorFlow's port is given up by itself; False: when map_fun calls `ctx.release_port()`.

    Raises:
        TopologyError: the numbers do not add up, or a role is unknown. Nothing was started; as in the next two.
        SlotsError: Spark has too few slots.
        MapFunError: map_fun cannot be pickled, or not be called so.
        ReservationTimeout: some nodes did not come up in time.
        NodeError: a node failed meanwhile.
    """
    working_dir = os.getcwd()
    leader = chief_of(master_node)
    if tensorboard and not log_dir:
        roles = topology.plan(num_executors, num_ps=num_ps, master_node=leader, eval_node=eval_node)
        log_dir = _log_dir(working_dir, roles)
    native = tf_cluster.TFCluster.run(
        sc,
        Program(map_fun, working_dir, master_node),
        tf_args,
        num_executors,
        num_ps,
        tensorboard,
        input_mode,
        log_dir,
        driver_ps_nodes,
        leader,
        reservation_timeout,
        queues,
        eval_node,
        release_port,
        gpus_per_node=gpus_of(tf_args),
    )
    cluster = TFCluster(native)
    cluster.sc, cluster.num_executors, cluster.working_dir = sc, num_executors, working_dir
    cluster.input_mode, cluster.queues = InputMode(input_mode), queues
    cluster.defaultFS, cluster.cluster_id = native.default_fs, native.run_id
    cluster.cluster_meta = _meta(native, num_executors, working_dir, release_port, master_node)
    cluster.nodeRDD = _node_rdd(sc, num_ps if driver_ps_nodes else 0, num_executors)
    return cluster


def _log_dir(working_dir: str, roles: topology.Topology) -> str:
    """Gives the folder named by the node that had TensorBoard there: the first worker, or else the chief."""
    node = next((node for node in roles if node.role is Role.WORKER), roles.chief)
    found = os.path.join(working_dir, f"tensorboard_{node.number}")
    log.info("event files are expected in %s, which is ctx.log_dir; pass log_dir for another", found)
    return found


def _meta(
    native: tf_cluster.TFCluster, num_executors: int, working_dir: str, release_port: bool, leader: str | None
) -> dict[str, Any]:
    template: dict[str, list[int]] = {}
    for node in native.nodes():
        template.setdefault(_called(node["job_name"], leader), []).append(node["executor_id"])
    return {
        "id": native.run_id,
        "cluster_template": template,
        "num_executors": num_executors,
        "default_fs": native.default_fs,
        "working_dir": working_dir,
        "server_addr": native.coordinator_address,
        "release_port": release_port,
    }


def _leader(meta: Mapping[str, Any] | None) -> str | None:
    return MASTER if meta and MASTER in meta["cluster_template"] else None


def _called(role: str, leader: str | None) -> str:
    return leader if leader and role == Role.CHIEF else role


def _node_rdd(sc: Any, first: int, num_executors: int) -> Any:
    context = getattr(sc, "sparkContext", sc)
    return context.parallelize(range(first, num_executors), num_executors - first)
