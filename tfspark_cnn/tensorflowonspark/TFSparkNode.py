"""`TFNodeContext`: the `ctx` of TensorFlowOnSpark's programs.

Reference: `tensorflowonspark/TFSparkNode.py`, class TFNodeContext.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

from tfspark_cnn.cluster.topology import DATA_ROLES, Role
from tfspark_cnn.errors import ConfigError

if TYPE_CHECKING:
    from tfspark_cnn.cluster.context import NodeContext
    from tfspark_cnn.feed.data_feed import DataFeed as Rows
    from tfspark_cnn.tensorflowonspark.TFNode import DataFeed

MASTER = "master"
"""What TensorFlow 1 called its chief. TensorFlow 2 knows only `chief`, which is what TF_CONFIG says."""

_NOBODY: Mapping[str, Sequence[str]] = MappingProxyType({})

_NO_QUEUES = "take rows by ctx.get_data_feed() or TFNode.DataFeed(ctx.mgr): next_batch, batch_results, terminate"


class TFManager:
    """What `ctx.mgr` is: the way to the rows of this node, for `TFNode.DataFeed(ctx.mgr)`.

    There is no manager process behind it, and so neither queues nor keys.
    """

    def __init__(self, native: NodeContext) -> None:
        self._native = native

    def data_feed(self, qname: str, *, train_mode: bool, input_mapping: Mapping[str, str] | None) -> Rows:
        """Gives the feed of a queue.

        Raises:
            ConfigError: this node is not fed, or there is no such queue.
        """
        return self._native.get_data_feed(train_mode, qname, input_mapping=input_mapping)

    def get_queue(self, name: str) -> NoReturn:
        """There are no queues.

        Raises:
            ConfigError: always; so do `get` and `set`.
        """
        raise ConfigError(f"mgr.get_queue({name!r}) was called, and rows do not come by queues here", hint=_NO_QUEUES)

    def get(self, key: str) -> NoReturn:
        """There are no keys."""
        raise ConfigError(f"mgr.get({key!r}) was called, and there is no manager process here", hint=_NO_QUEUES)

    def set(self, key: str, value: Any) -> NoReturn:
        """There are no keys."""
        raise ConfigError(f"mgr.set({key!r}, ...) was called, and there is no manager process here", hint=_NO_QUEUES)


class TFNodeContext:
    """What map_fun is called with, as `map_fun(args, ctx)`.

    It also has whatever `tfspark_cnn`'s own `ctx` has: `strategy()`, `dataset(...)`, `callbacks()`, `gpus` and more.

    Attributes:
        executor_id: number of this node in the cluster; also `worker_num`.
        job_name: its role: `chief`, `worker`, `ps` or `evaluator`; `master` where the program calls its chief so.
        task_index: its index among the nodes of that role.
        cluster_spec: `{role: ["host:port", ...]}`.
        num_workers: how many nodes train: chief, or master, and workers; in `TFParallel`, how many there are.
        defaultFS: Hadoop's default file system, as `hdfs://namenode:8020`.
        working_dir: the folder that the driver's program was started in.
        mgr: for `TFNode.DataFeed(ctx.mgr)`.
        tmp_socket: what keeps the port of TensorFlow reserved until `release_port()`, with `release_port=False`; else
            None.
    """

    def __init__(
        self,
        executor_id: int = 0,
        job_name: str = "",
        task_index: int = 0,
        cluster_spec: Mapping[str, Sequence[str]] = _NOBODY,
        defaultFS: str = "file://",
        working_dir: str = ".",
        mgr: Any = None,
        tmp_socket: socket.socket | None = None,
    ) -> None:
        self.worker_num = self.executor_id = executor_id
        self.job_name, self.task_index = job_name, task_index
        self.cluster_spec = cluster_spec
        self.num_workers = sum(len(cluster_spec.get(role, ())) for role in (*DATA_ROLES, MASTER))
        self.defaultFS, self.working_dir = defaultFS, working_dir
        self.mgr, self.tmp_socket = mgr, tmp_socket
        self._native: NodeContext | None = None

    @classmethod
    def of(cls, native: NodeContext, *, working_dir: str, leader: str | None = None) -> TFNodeContext:
        """Gives the context of a node.

        Args:
            native: what this package calls map_fun with.
            working_dir: of the driver's program.
            leader: what the program calls its chief.
        """
        names = {Role.CHIEF.value: leader or Role.CHIEF.value}
        ctx = cls(
            native.executor_id,
            names.get(native.job_name, native.job_name),
            native.task_index,
            {names.get(role, role): addresses for role, addresses in native.cluster_spec.items()},
            native.defaultFS,
            working_dir,
            TFManager(native),
            native.reserved_socket,
        )
        ctx.num_workers = native.num_workers
        ctx._native = native
        return ctx

    def __getattr__(self, name: str) -> Any:
        native = self.__dict__.get("_native")
        if native is None or name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(native, name)

    def absolute_path(self, path: str) -> str:
        """Gives a path with its file system: `TFNode.hdfs_path`."""
        from tfspark_cnn.tensorflowonspark import TFNode

        return TFNode.hdfs_path(self, path)

    def start_cluster_server(self, num_gpus: int = 1, rdma: bool = False) -> NoReturn:
        """TensorFlow 2 starts its server by itself: `TFNode.start_cluster_server`."""
        from tfspark_cnn.tensorflowonspark import TFNode

        TFNode.start_cluster_server(self, num_gpus, rdma)

    def export_saved_model(self, sess: Any, export_dir: str, tag_set: str, signatures: Any) -> NoReturn:
        """TensorFlow 2 has no sessions: `TFNode.export_saved_model`."""
        from tfspark_cnn.tensorflowonspark import TFNode

        TFNode.export_saved_model(sess, export_dir, tag_set, signatures)

    def get_data_feed(
        self,
        train_mode: bool = True,
        qname_in: str = "input",
        qname_out: str = "output",
        input_mapping: Mapping[str, str] | None = None,
    ) -> DataFeed:
        """Gives the rows that Spark feeds to this node: `TFNode.DataFeed`."""
        from tfspark_cnn.tensorflowonspark import TFNode

        return TFNode.DataFeed(self.mgr, train_mode, qname_in, qname_out, input_mapping)

    def release_port(self) -> None:
        """Gives up the port that is reserved for TensorFlow: `TFNode.release_port`."""
        from tfspark_cnn.tensorflowonspark import TFNode

        TFNode.release_port(self)
